//! Arguments of our functions. NULL is `None`; anything else that does not fit is an error that
//! names the position (from 1), what came, what was wanted and, where there is one, the way out.

use crate::engine::{self, SharedEmbedder};
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::{Arguments, Type};
use crate::vector::Vector;

/// A text. A number counts as its text.
pub fn text<'v>(arguments: Arguments<'v>, n: usize) -> Result<Option<&'v str>> {
    let value = arguments.get(n);
    match value.kind() {
        Type::Null => Ok(None),
        Type::Blob => Err(mismatch(
            n,
            Type::Blob,
            "text; if it holds UTF-8: CAST(... AS TEXT)",
        )),
        Type::Text | Type::Integer | Type::Real => {
            let text = value.text().map_err(|e| e.at(position(n)))?;
            engine::check_text_size(text.len()).map_err(|e| e.at(position(n)))?;
            Ok(Some(text))
        }
    }
}

/// A vector, not yet known to be finite.
pub fn vector<'v>(arguments: Arguments<'v>, n: usize) -> Result<Option<Vector<'v>>> {
    let value = arguments.get(n);
    match value.kind() {
        Type::Null => Ok(None),
        Type::Blob => Vector::parse(value.blob()?)
            .map(Some)
            .map_err(|e| e.at(position(n))),
        Type::Text => Err(mismatch(
            n,
            Type::Text,
            "a vector BLOB; embed it first: bge_embed(...)",
        )),
        other => Err(mismatch(n, other, "a vector BLOB")),
    }
}

/// A text and the model to read it with. A NULL text needs no model, but a model name that could
/// never be right is an error all the same.
pub fn text_and_model<'v>(arguments: Arguments<'v>) -> Result<Option<(&'v str, SharedEmbedder)>> {
    let text = text(arguments, 0)?;
    let name = model_name(arguments, 1)?;
    let Some(text) = text else { return Ok(None) };
    Ok(Some((text, engine::model(&name)?)))
}

/// The name of the model that argument `n` names, or of the default one where there is no such
/// argument.
pub fn model_name(arguments: Arguments<'_>, n: usize) -> Result<String> {
    if n >= arguments.count() {
        return Ok(engine::default_model_name());
    }
    let value = arguments.get(n);
    match value.kind() {
        Type::Text => Ok(value.text().map_err(|e| e.at(position(n)))?.to_owned()),
        other => Err(mismatch(
            n,
            other,
            "a model name such as 'bge-small-en-v1.5'; leave it out for the default model",
        )),
    }
}

fn mismatch(n: usize, came: Type, wanted: &str) -> Error {
    let message = format!("{} is {}, expected {wanted}", position(n), came.name());
    Error::new(Kind::Mismatch, message)
}

/// "argument 1" for the first.
pub fn position(n: usize) -> String {
    format!("argument {}", n + 1)
}
