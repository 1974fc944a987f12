//! The best passage of a row that was found: its place in the text, its text, its vector.

use super::content::Present;
use super::damage::corrupt;
use super::overlay::{Fresh, Overlay};
use super::parts::Parts;
use super::search::{Found, VectorAt};
use super::text::slice;
use crate::error::Result;
use crate::sql::ffi::Value;
use crate::vector::blob;

/// A row as it is now, and what was found of it: nothing where it was not searched for.
#[derive(Clone, Copy)]
pub struct Best<'a> {
    /// The index.
    pub parts: Parts<'a>,
    /// The vectors that the query made.
    pub overlay: Option<&'a Overlay>,
    /// The row.
    pub present: &'a Present,
    /// What was found of it.
    pub found: Option<&'a Found>,
}

impl<'a> Best<'a> {
    fn fresh(self, n: usize) -> Option<&'a Fresh> {
        self.overlay.and_then(|overlay| overlay.passages.get(n))
    }

    /// Its characters in the row's joined text, the first and the one behind the last; none where the text
    /// has changed since, or is not kept.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn span(self) -> Result<Option<(i64, i64)>> {
        let Some(joined) = &self.present.joined else {
            return Ok(None);
        };
        match self.found.map(|found| found.at) {
            None => Ok(None),
            Some(VectorAt::Fresh(n)) => Ok(self.fresh(n).map(|fresh| fresh.span)),
            Some(VectorAt::Slot(slot)) => {
                match self.parts.records.says(self.present.id, &joined.hash())? {
                    true => self.parts.vectors.passages.span(slot),
                    false => Ok(None),
                }
            }
        }
    }

    /// Its text; none where [`Self::span`] is none.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn text(self) -> Result<Option<&'a str>> {
        let span = self.span()?;
        let text = self
            .present
            .joined
            .as_ref()
            .and_then(|joined| joined.text());
        Ok(text
            .zip(span)
            .and_then(|(text, (start, stop))| slice(&text.whole, start, stop)))
    }

    /// Its vector, as it is stored; that of the row's first passage where nothing was searched for.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn stored(self) -> Result<Option<Vec<u8>>> {
        let passages = self.parts.vectors.passages;
        let slot = match self.found.map(|found| found.at) {
            Some(VectorAt::Fresh(n)) => return Ok(self.fresh(n).map(|fresh| fresh.stored.clone())),
            Some(VectorAt::Slot(slot)) => Some(slot),
            None => passages.first_of(self.present.id)?,
        };
        slot.map_or(Ok(None), |slot| passages.stored(slot))
    }

    /// Its vector as a BLOB of f32; NULL where it has none.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn embedding(self) -> Result<Value> {
        let Some(stored) = self.stored()? else {
            return Ok(Value::Null);
        };
        Ok(Value::Blob(blob::from_f32(&decoded(self.parts, &stored)?)))
    }
}

/// The values of a vector that is stored, or would be.
///
/// # Errors
/// What SQLite says; damage.
pub fn decoded(parts: Parts<'_>, stored: &[u8]) -> Result<Vec<f32>> {
    let storage = parts.shadow.storage();
    let dims = match parts.shadow.get("dims")? {
        Value::Integer(dims) => usize::try_from(dims).unwrap_or(0),
        // Nothing is stored yet: a vector that this query made.
        _ => storage.dims(stored.len()),
    };
    storage
        .decode(stored, dims)
        .map_err(|e| corrupt(e.message()))
}
