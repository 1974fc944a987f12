//! `bge_rerank_each(query, json_array [, model])`: the texts of a JSON array with their scores as answers to
//! one query.

use super::each::Each;
use super::json_texts::JsonTexts;
use crate::engine::ScoreAgainst;
use crate::error::Result;
use crate::sql::arguments::text_of;
use crate::sql::ffi::{Access, Call, TableFunction, Value};
use crate::sql::statement::Models;

/// See the module.
pub struct RerankEach;

impl TableFunction for RerankEach {
    const NAME: &'static str = "bge_rerank_each";
    const COLUMNS: &'static [&'static str] = &["idx INTEGER", "text TEXT", "score REAL"];
    const ARGUMENTS: &'static [&'static str] = &["query", "json_array", "model"];
    const REQUIRED: usize = 2;
    const DIRECT_ONLY: bool = false;
    const NEEDS: Access = Access::ReadOnly;
    type Shared = Models;
    type Cursor = Each<ScoreAgainst>;

    fn call(call: &Call<'_>, models: &mut Models) -> Result<Self::Cursor> {
        let query = call
            .argument(0)
            .map_or(Ok(None), |value| text_of(value, 0))?;
        let texts = JsonTexts::of_call(call, 1)?;
        // Without a query or elements there need be no model.
        let work = match query {
            Some(query) if !texts.is_empty() => {
                let model = models.reranker_of_call(call, 2)?;
                Some(ScoreAgainst::new(model, query, call.host.interrupts)?)
            }
            _ => None,
        };
        Ok(Each::new(texts, work, |&score| Value::Real(score)))
    }
}
