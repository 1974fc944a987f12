//! Arguments of our functions and table functions. NULL is `None`; anything else that does not fit is an error that
//! names the position (from 1), what came, what was wanted and, where there is one, the way out.

use crate::engine;
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::{Arguments, Type, ValueRef};
use crate::vector::Vector;

/// A text. A number counts as its text.
pub fn text(arguments: Arguments<'_>, n: usize) -> Result<Option<&str>> {
    text_of(arguments.get(n), n)
}

/// [`text`] of a value that is argument `n`.
pub fn text_of(value: ValueRef<'_>, n: usize) -> Result<Option<&str>> {
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

/// The model name that argument `n` is; `None` where the call has no such argument.
pub fn model_name<'v>(arguments: Arguments<'v>, n: usize) -> Result<Option<&'v str>> {
    if n >= arguments.count() {
        return Ok(None);
    }
    let value = arguments.get(n);
    required(
        Some(value),
        n,
        "a model name such as 'bge-small-en-v1.5'; leave it out for the default model",
    )
    .map(Some)
}

/// [`model_name`] for table functions, where NULL stands for the default model: later arguments can
/// only be given after it.
pub fn model_name_or_null(value: Option<ValueRef<'_>>, n: usize) -> Result<Option<&str>> {
    match value {
        Some(value) if value.kind() != Type::Null => {
            let wanted = "a model name such as 'bge-small-en-v1.5', or NULL for the default model";
            required(Some(value), n, wanted).map(Some)
        }
        _ => Ok(None),
    }
}

/// A text that must be there: a name, a path, options.
pub fn required_text<'v>(arguments: Arguments<'v>, n: usize, wanted: &str) -> Result<&'v str> {
    required(Some(arguments.get(n)), n, wanted)
}

/// [`required_text`] of a value that is argument `n`.
pub fn required<'v>(value: Option<ValueRef<'v>>, n: usize, wanted: &str) -> Result<&'v str> {
    match value.map(|v| (v, v.kind())) {
        Some((value, Type::Text)) => value.text().map_err(|e| e.at(position(n))),
        Some((_, other)) => Err(mismatch(n, other, wanted)),
        None => Err(mismatch(n, Type::Null, wanted)),
    }
}

/// "argument n is ..., expected ...".
pub fn mismatch(n: usize, came: Type, wanted: &str) -> Error {
    let message = format!("{} is {}, expected {wanted}", position(n), came.name());
    Error::new(Kind::Mismatch, message)
}

/// "argument 1" for the first.
pub fn position(n: usize) -> String {
    format!("argument {}", n + 1)
}
