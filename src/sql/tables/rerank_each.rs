//! `bge_rerank_each(query, json_array [, model])`: the texts of a JSON array with their scores as answers to
//! one query.

use super::json_texts::{self, JsonTexts};
use crate::engine::{RerankEach as Bulk, Scored};
use crate::error::Result;
use crate::memory::copy_text;
use crate::sql::arguments::text_of;
use crate::sql::ffi::{Access, Call, Cursor, Host, TableFunction, Value};
use crate::sql::statement::Models;

/// See the module.
pub struct RerankEach;

/// The array, and the row at hand. Without elements or without a query there is no model either.
pub struct Each {
    texts: JsonTexts,
    bulk: Option<Bulk<usize>>,
    row: Option<Scored<usize>>,
}

impl TableFunction for RerankEach {
    const NAME: &'static str = "bge_rerank_each";
    const COLUMNS: &'static [&'static str] = &["idx INTEGER", "text TEXT", "score REAL"];
    const ARGUMENTS: &'static [&'static str] = &["query", "json_array", "model"];
    const REQUIRED: usize = 2;
    const DIRECT_ONLY: bool = false;
    const NEEDS: Access = Access::ReadOnly;
    type Shared = Models;
    type Cursor = Each;

    fn call(call: &Call<'_>, models: &mut Models) -> Result<Each> {
        let query = call
            .argument(0)
            .map_or(Ok(None), |value| text_of(value, 0))?;
        let texts = JsonTexts::of_call(call, 1)?;
        let bulk = match query {
            Some(query) if !texts.is_empty() => {
                let model = models.reranker_of_call(call, 2)?;
                let stop = call.host.interrupts;
                Some(Bulk::new(model, query, json_texts::name, stop)?)
            }
            _ => None,
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
            // No query: the texts without scores.
            None => texts.next()?.map(|row| Scored {
                key: row.key,
                text: row.text,
                score: None,
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
            _ => row.score.map_or(Value::Null, Value::Real),
        })
    }
}
