//! `bge_embed_each(json_array [, model])`: the texts of a JSON array with their vectors.

use crate::engine::{Bulk, Embedded, Row};
use crate::error::{Error, Result};
use crate::json::{Element, Elements, Problem, check_array};
use crate::memory::copy_text;
use crate::sql::arguments::text_of;
use crate::sql::ffi::{Access, Call, Cursor, Host, TableFunction, Value};
use crate::sql::statement::Models;
use crate::vector::blob;

/// See the module.
pub struct EmbedEach;

/// The array, the place in it, and the row at hand. Without an array there is no model either.
pub struct Each {
    json: String,
    elements: Elements,
    next: usize,
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
        let json = match json {
            None => "[]".to_owned(),
            Some(json) => copy_text(json)?,
        };
        // What is no JSON array is an error before the first row.
        check_array(&json).map_err(|problem| wrong(&problem))?;
        let is_empty = Elements::default().next(&json) == Ok(None);
        let bulk = if is_empty {
            None
        } else {
            Some(Bulk::new(models.of_call(call, 1)?, |idx| {
                format!("element {idx}")
            }))
        };
        Ok(Each {
            json,
            elements: Elements::default(),
            next: 0,
            bulk,
            row: None,
        })
    }
}

const WANTED: &str = "expected a JSON array of strings such as [\"one\", \"two\"]";

fn wrong(problem: &Problem) -> Error {
    Error::invalid(match problem {
        Problem::NoArray(_) => format!("argument 1 is JSON, but no array; {WANTED}"),
        Problem::Syntax(e) => format!("argument 1 is not valid JSON ({e}); {WANTED}"),
    })
}

fn text(index: usize, element: Element) -> Result<Option<String>> {
    match element {
        Element::Null => Ok(None),
        Element::Text(text) => Ok(Some(text)),
        Element::Number(number) => Ok(Some(number.to_string())),
        other => Err(Error::invalid(format!(
            "element {index} is {}, expected a string, a number or null",
            other.name()
        ))),
    }
}

impl Cursor for Each {
    fn advance(&mut self, host: &Host<'_>) -> Result<bool> {
        let (json, elements, next) = (&self.json, &mut self.elements, &mut self.next);
        let mut source = || match elements.next(json).map_err(|problem| wrong(&problem))? {
            None => Ok(None),
            Some(element) => {
                let key = *next;
                *next += 1;
                let text = text(key, element)?;
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
            1 => row.text.as_deref().map(copy_text).transpose()?.into(),
            _ => row
                .vector
                .as_ref()
                .map_or(Value::Null, |v| Value::Blob(blob::from_f32(v))),
        })
    }
}
