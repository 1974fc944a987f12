//! What a search asks: the value given to MATCH, as a vector, with the words that it came from.

use super::affinity::real_text;
use super::model;
use super::overlay::unless_missing;
use super::parts::Parts;
use super::shadow::Settings;
use crate::engine::{Role, SharedEmbedder};
use crate::error::{Error, Result};
use crate::sql::ffi::Value;
use crate::vector::Vector;

/// See the module.
pub struct Query {
    /// One component for each dimension.
    pub vector: Vec<f32>,
    /// The question; none where a vector was given.
    pub text: Option<String>,
    /// A vector needs none, unless rows are pending.
    model: Option<SharedEmbedder>,
}

impl Query {
    /// Reads a value: a BLOB is a vector, all else is text, which the index's model embeds as a query.
    ///
    /// # Errors
    /// A vector of other dimensions than the index's, or not finite; text that is not UTF-8; no model; an interruption.
    pub fn read(parts: Parts<'_>, settings: &Settings, given: &Value) -> Result<Self> {
        let Value::Blob(bytes) = given else {
            let text = searched_text(given)?;
            let model = model::get(parts.shadow, settings)?;
            let vector = model.embed(&text, Role::Query, parts.shadow.host.interrupts)?;
            return Ok(Query {
                vector: vector.to_vec(),
                text: Some(text),
                model: Some(model),
            });
        };
        let vector = Vector::parse(bytes).map_err(|e| e.at("MATCH"))?;
        vector.check_finite().map_err(|e| e.at("MATCH"))?;
        check_dims(settings.dims, vector)?;
        Ok(Query {
            vector: vector.to_f32()?,
            text: None,
            model: None,
        })
    }

    /// The model for pending rows, whose vectors are compared with this one; `None` where it cannot be had: those
    /// rows are left out then.
    ///
    /// # Errors
    /// A model that is there and fails.
    pub fn model_of_passages(
        &mut self,
        parts: Parts<'_>,
        settings: &Settings,
    ) -> Result<Option<SharedEmbedder>> {
        if self.model.is_none() {
            self.model = unless_missing(model::get(parts.shadow, settings))?;
        }
        let dims = self.vector.len();
        Ok(self.model.clone().filter(|model| model.dims() == dims))
    }
}

fn check_dims(dims: Option<usize>, vector: Vector<'_>) -> Result<()> {
    match dims {
        Some(dims) if dims != vector.dims() => Err(Error::invalid(format!(
            "MATCH: the vector has {} dimensions, those of this index have {dims}{}",
            vector.dims(),
            vector.question(dims)
        ))),
        _ => Ok(()),
    }
}

fn searched_text(query: &Value) -> Result<String> {
    let not_utf8 = || Error::invalid("MATCH: the text is not valid UTF-8");
    Ok(match query {
        Value::Text(bytes) => String::from_utf8(bytes.clone()).map_err(|_| not_utf8())?,
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => real_text(*x),
        Value::Null | Value::Blob(_) => return Err(Error::internal("no text to search for")),
    })
}
