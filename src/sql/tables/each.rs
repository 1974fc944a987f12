//! Rows that a model makes of the texts of a JSON array: index, text and what was made of it.

use super::json_texts::{self, JsonTexts};
use crate::engine::{Bulk, Finished, Work};
use crate::error::Result;
use crate::memory::copy_text;
use crate::sql::ffi::{Cursor, Host, Value};

/// The array, and the row at hand.
pub struct Each<W: Work> {
    texts: JsonTexts,
    /// Without it nothing is made of the texts.
    bulk: Option<Bulk<usize, W>>,
    row: Option<Finished<usize, W::Made>>,
    value: fn(&W::Made) -> Value,
}

impl<W: Work> Each<W> {
    /// The texts for a work, or for none; `value` is the last column.
    pub fn new(texts: JsonTexts, work: Option<W>, value: fn(&W::Made) -> Value) -> Self {
        Each {
            texts,
            bulk: work.map(|work| Bulk::new(work, json_texts::name)),
            row: None,
            value,
        }
    }
}

impl<W: Work> Cursor for Each<W> {
    fn advance(&mut self, host: &Host<'_>) -> Result<bool> {
        let texts = &mut self.texts;
        self.row = match &mut self.bulk {
            Some(bulk) => bulk.next(&mut || texts.next(), host.interrupts)?,
            None => texts.next()?.map(|row| Finished {
                key: row.key,
                text: row.text,
                made: None,
            }),
        };
        Ok(self.row.is_some())
    }

    fn column(&self, n: usize) -> Result<Value> {
        let Some(row) = &self.row else {
            return Ok(Value::Null);
        };
        Ok(match n {
            0 => Value::Integer(row.key as i64),
            1 => row.text.as_deref().map(copy_text).transpose()?.into(),
            _ => row.made.as_ref().map_or(Value::Null, self.value),
        })
    }
}
