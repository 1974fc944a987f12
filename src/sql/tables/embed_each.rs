//! `bge_embed_each(json_array [, model])`: the texts of a JSON array with their vectors.

use super::json_texts::{self, JsonTexts};
use crate::engine::{Bulk, Embedded};
use crate::error::Result;
use crate::memory::copy_text;
use crate::sql::ffi::{Access, Call, Cursor, Host, TableFunction, Value};
use crate::sql::statement::Models;
use crate::vector::blob;

/// See the module.
pub struct EmbedEach;

/// The array, and the row at hand. Without elements there is no model either.
pub struct Each {
    texts: JsonTexts,
    bulk: Option<Bulk<usize>>,
    row: Option<Embedded<usize>>,
}

impl TableFunction for EmbedEach {
    const NAME: &'static str = "bge_embed_each";
    const COLUMNS: &'static [&'static str] = &["idx INTEGER", "text TEXT", "embedding BLOB"];
    const ARGUMENTS: &'static [&'static str] = &["json_array", "model"];
    const REQUIRED: usize = 1;
    const DIRECT_ONLY: bool = false;
    const NEEDS: Access = Access::ReadOnly;
    type Shared = Models;
    type Cursor = Each;

    fn call(call: &Call<'_>, models: &mut Models) -> Result<Each> {
        let texts = JsonTexts::of_call(call, 0)?;
        let bulk = if texts.is_empty() {
            None
        } else {
            Some(Bulk::new(models.of_call(call, 1)?, json_texts::name))
        };
        Ok(Each {
            texts,
            bulk,
            row: None,
        })
    }
}

impl Cursor for Each {
    fn advance(&mut self, host: &Host<'_>) -> Result<bool> {
        let texts = &mut self.texts;
        self.row = match &mut self.bulk {
            Some(bulk) => bulk.next(&mut || texts.next(), host.interrupts)?,
            None => None,
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
            _ => row
                .vector
                .as_ref()
                .map_or(Value::Null, |v| Value::Blob(blob::from_f32(v))),
        })
    }
}
