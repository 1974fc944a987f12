//! `bge_chunks(text [, max_tokens [, overlap [, model]]])`: passages of a text that fit the model.

use super::model;
use crate::engine::SharedEmbedder;
use crate::engine::{Passage, Passages};
use crate::error::{Error, Result};
use crate::sql::arguments::{mismatch, position, text_of};
use crate::sql::ffi::{Call, Cursor, Host, Output, TableFunction, Type};
use crate::sql::statement::Models;
use std::ops::Range;

/// See the module.
pub struct Chunks;

/// The rest of the text, and the passage at hand. Without a text there is neither.
pub struct Rows {
    rest: Option<(SharedEmbedder, Passages<String>)>,
    idx: i64,
    row: Option<(Range<usize>, Passage)>,
}

impl TableFunction for Chunks {
    const NAME: &'static str = "bge_chunks";
    const COLUMNS: &'static [&'static str] = &[
        "idx INTEGER",
        "start INTEGER",
        "stop INTEGER",
        "tokens INTEGER",
        "chunk TEXT",
    ];
    const ARGUMENTS: &'static [&'static str] = &["text", "max_tokens", "overlap", "model"];
    const REQUIRED: usize = 1;
    const DIRECT_ONLY: bool = false;
    type Shared = Models;
    type Cursor = Rows;

    fn call(call: &Call<'_>, models: &mut Models) -> Result<Rows> {
        let text = call
            .argument(0)
            .map_or(Ok(None), |value| text_of(value, 0))?;
        let max_tokens = tokens(call, 1)?;
        let overlap = tokens(call, 2)?.unwrap_or(0);
        let rest = match text {
            None => None,
            Some(text) => {
                let model = model(call, 3, models)?;
                let passages = model.passages(text.to_owned(), max_tokens, overlap)?;
                Some((model, passages))
            }
        };
        Ok(Rows {
            rest,
            idx: -1,
            row: None,
        })
    }
}

/// A number of tokens; `None` where it is absent or NULL.
fn tokens(call: &Call<'_>, n: usize) -> Result<Option<usize>> {
    let Some(value) = call.argument(n) else {
        return Ok(None);
    };
    match value.kind() {
        Type::Null => Ok(None),
        Type::Integer => usize::try_from(value.integer()).map(Some).map_err(|_| {
            Error::invalid(format!(
                "is {}, expected a number of tokens",
                value.integer()
            ))
            .at(position(n))
        }),
        other => Err(mismatch(
            n,
            other,
            "a number of tokens, or NULL for the default",
        )),
    }
}

impl Cursor for Rows {
    fn advance(&mut self, host: &Host<'_>) -> Result<bool> {
        self.row = match &mut self.rest {
            None => None,
            Some((model, passages)) => passages.next(model.tokenizer(), host.interrupts)?,
        };
        self.idx += 1;
        Ok(self.row.is_some())
    }

    fn column(&self, n: usize) -> Result<Output> {
        let (Some((_, passages)), Some((range, row))) = (&self.rest, &self.row) else {
            return Ok(Output::Null);
        };
        Ok(match n {
            0 => Output::Integer(self.idx),
            1 => Output::Integer(row.start as i64),
            2 => Output::Integer(row.stop as i64),
            3 => Output::Integer(row.tokens as i64),
            _ => Output::Text(passages.text()[range.clone()].to_owned()),
        })
    }
}
