//! `bge_embed_each(json_array [, model])`: the texts of a JSON array with their vectors.

use crate::engine::{Bulk, Embedded, Row};
use crate::error::{Error, Result};
use crate::sql::arguments::text_of;
use crate::sql::ffi::{Access, Call, Cursor, Host, TableFunction, Value};
use crate::sql::statement::Models;
use crate::vector::blob;
use serde_json::Value as Json;

/// See the module.
pub struct EmbedEach;

/// The rest of the array, and the row at hand.
pub struct Each {
    items: std::iter::Enumerate<std::vec::IntoIter<Json>>,
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
        let json = call
            .argument(0)
            .map_or(Ok(None), |value| text_of(value, 0))?;
        let items = json.map_or(Ok(Vec::new()), parse)?;
        let bulk = if items.is_empty() {
            None
        } else {
            Some(Bulk::new(models.of_call(call, 1)?, |idx| {
                format!("element {idx}")
            }))
        };
        Ok(Each {
            items: items.into_iter().enumerate(),
            bulk,
            row: None,
        })
    }
}

const WANTED: &str = "expected a JSON array of strings such as [\"one\", \"two\"]";

fn parse(json: &str) -> Result<Vec<Json>> {
    match serde_json::from_str(json) {
        Ok(Json::Array(items)) => Ok(items),
        Ok(_) => Err(Error::invalid(format!(
            "argument 1 is JSON, but no array; {WANTED}"
        ))),
        Err(e) => Err(Error::invalid(format!(
            "argument 1 is not valid JSON ({e}); {WANTED}"
        ))),
    }
}

fn text(index: usize, item: Json) -> Result<Option<String>> {
    let what = match item {
        Json::Null => return Ok(None),
        Json::String(text) => return Ok(Some(text)),
        Json::Number(number) => return Ok(Some(number.to_string())),
        Json::Bool(_) => "a boolean",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    };
    Err(Error::invalid(format!(
        "element {index} is {what}, expected a string, a number or null"
    )))
}

impl Cursor for Each {
    fn advance(&mut self, host: &Host<'_>) -> Result<bool> {
        let items = &mut self.items;
        let mut source = || match items.next() {
            None => Ok(None),
            Some((key, item)) => {
                let text = text(key, item)?;
                let bytes = text.as_ref().map_or(0, String::len);
                Ok(Some(Row { key, text, bytes }))
            }
        };
        self.row = match &mut self.bulk {
            Some(bulk) => bulk.next(&mut source, host.interrupts)?,
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
            1 => row.text.clone().into(),
            _ => row
                .vector
                .as_ref()
                .map_or(Value::Null, |v| Value::Blob(blob::from_f32(v))),
        })
    }
}
