//! Which model an index embeds with, and embedding the rows of an index.
//!
//! Name and fingerprint are bound together at the first embedding. From then on another model, also
//! one of the same name, is refused until `rebuild`.
//!
//! A long text is cut into passages; a short first column is a title and goes before each of them, which
//! finds more (`docs/decisions/17-titles.md`).

use super::shadow::{Settings, Shadow};
use super::text::{Text, span};
use crate::engine::{self, Role, SharedEmbedder};
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::Value;
use crate::sql::models;

/// The first digits of a fingerprint, for people.
fn digits(print: &[u8]) -> String {
    print
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The name of the model that this index uses.
pub fn name(shadow: Shadow<'_>, settings: &Settings) -> String {
    match (&settings.model, &shadow.spec().model) {
        (Some((name, _)), _) | (None, Some(name)) => name.clone(),
        (None, None) => engine::default_model_name(),
    }
}

/// The model, checked against what the index is bound to.
///
/// # Errors
/// It cannot be loaded, or is another than the one that made the vectors.
pub fn get(shadow: Shadow<'_>, settings: &Settings) -> Result<SharedEmbedder> {
    let name = name(shadow, settings);
    let model = models::of_index(&name, shadow.host)?;
    if let Some((_, bound)) = &settings.model
        && !model.has_fingerprint(bound)?
    {
        if model.has_graph_int8_fingerprint(bound) {
            return Err(Error::invalid(format!(
                "the vectors of this index were made with model '{name}' in the graph's int8, and the '{name}' \
                 here runs the native encoder's; load it with the options {{\"precision\": \"int8\", \
                 \"encoder\": \"graph\"}}, or embed anew with the command 'rebuild'"
            )));
        }
        let here = model.fingerprint()?;
        return Err(Error::invalid(format!(
            "the vectors of this index were made with model '{name}' of fingerprint {}, and \
             the '{name}' here has {}; load the right one with bge_load('{name}', path), \
             or embed anew with the command 'rebuild'",
            digits(bound),
            digits(&here)
        )));
    }
    match settings.dims {
        Some(dims) if dims != model.dims() => Err(Error::invalid(format!(
            "the vectors of this index have {dims} dimensions, those of model '{name}' {}; \
             name the right model, or embed anew with the command 'rebuild'",
            model.dims()
        ))),
        _ => Ok(model),
    }
}

/// Binds the index to a model, at the first embedding.
///
/// # Errors
/// What SQLite says.
pub fn bind(shadow: Shadow<'_>, model: &SharedEmbedder) -> Result<()> {
    if shadow.get("model")? != Value::Null {
        return Ok(());
    }
    shadow.set("model", Value::from(model.name()))?;
    shadow.set("fingerprint", Value::Blob(model.fingerprint()?.to_vec()))
}

/// The passages of a text, as spans of characters and ids; or why there are none.
///
/// # Errors
/// An interruption, passages that the model cannot have.
pub fn cut(shadow: Shadow<'_>, model: &SharedEmbedder, text: &Text) -> Result<Cut> {
    let (stop, size) = (shadow.host.interrupts, shadow.passage_size()?);
    let encode = |text: &str| model.encode_as(text, Role::Passage, stop);
    // A problem of the text, not of the model or the machine.
    let problem = |e: Error| match e.kind() {
        Kind::Invalid | Kind::TooBig => Ok(Err(e.message().to_owned())),
        _ => Err(e),
    };
    let limit = model.config().max_length;
    let most = size.tokens(limit);
    match encode(&text.whole) {
        Ok(ids) if ids.len() < limit && ids.len() <= most => {
            return Ok(Ok(vec![(span(&text.whole), ids)]));
        }
        Ok(_) => {}
        Err(e) if e.kind() == Kind::Invalid => {}
        Err(e) => return problem(e),
    }
    let (title, body, room) = title(shadow, model, text, most)?;
    let first = text.whole[..text.whole.len() - body.len()].chars().count();
    let mut passages = Vec::new();
    for chunk in model.chunks(body, Some(room), size.overlap(room), stop)? {
        let ids = match title {
            "" => encode(chunk.text),
            title => encode(&format!("{title}\n{}", chunk.text)),
        };
        let span = ((first + chunk.start) as i64, (first + chunk.stop) as i64);
        match ids {
            Ok(ids) => passages.push((span, ids)),
            Err(e) => return problem(e),
        }
    }
    Ok(Ok(passages))
}

/// A title that goes before every passage, what is cut, and the tokens that a passage may have.
/// Only a short first column is a title: it takes room from every passage.
fn title<'t>(
    shadow: Shadow<'_>,
    model: &SharedEmbedder,
    text: &'t Text,
    most: usize,
) -> Result<(&'t str, &'t str, usize)> {
    const SHARE: usize = 4;
    const LEAST: usize = 8;
    let (title, body) = text.parts();
    // In bytes first: a token has one at least, and a book need not be tokenised for this.
    if !title.trim().is_empty() && !body.trim().is_empty() && title.len() < 16 * most {
        let tokens = model.count_tokens(title, shadow.host.interrupts)?;
        let room = most.saturating_sub(tokens);
        if tokens * SHARE <= most && room >= LEAST {
            return Ok((title, body, room));
        }
    }
    Ok(("", &text.whole, most))
}

/// Passages of a text as spans of characters with their ids, or why it cannot be embedded.
pub type Cut = std::result::Result<Vec<((i64, i64), Vec<i64>)>, String>;
