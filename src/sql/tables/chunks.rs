//! `bge_chunks(text [, max_tokens [, overlap [, model]]])`: passages of a text that fit the model.

use crate::engine::SharedEmbedder;
use crate::engine::{Passage, Passages};
use crate::error::{Error, Result};
use crate::memory::copy_text;
use crate::sql::arguments::{mismatch, position, text_of};
use crate::sql::ffi::{Access, Call, Cursor, Host, TableFunction, Type, Value};
use crate::sql::statement::Models;
use std::ops::Range;

/// See the module.
pub struct Chunks;

/// The rest of the text, and the passage at hand. Without a text there is neither.
pub struct ChunkRows {
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
    const NEEDS: Access = Access::ReadOnly;
    type Shared = Models;
    type Cursor = ChunkRows;

    fn call(call: &Call<'_>, models: &mut Models) -> Result<ChunkRows> {
        let text = call
            .argument(0)
            .map_or(Ok(None), |value| text_of(value, 0))?;
        let max_tokens = tokens(call, 1)?;
        let overlap = tokens(call, 2)?.unwrap_or(0);
        let rest = match text {
            None => None,
            Some(text) => {
                let model = models.of_call(call, 3)?;
                let passages = model.passages(copy_text(text)?, max_tokens, overlap)?;
                Some((model, passages))
            }
        };
        Ok(ChunkRows {
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

impl Cursor for ChunkRows {
    fn advance(&mut self, host: &Host<'_>) -> Result<bool> {
        self.row = match &mut self.rest {
            None => None,
            Some((model, passages)) => passages.next(model.tokenizer(), host.interrupts)?,
        };
        self.idx += 1;
        Ok(self.row.is_some())
    }

    fn column(&self, n: usize) -> Result<Value> {
        let (Some((_, passages)), Some((range, row))) = (&self.rest, &self.row) else {
            return Ok(Value::Null);
        };
        Ok(match n {
            0 => Value::Integer(self.idx),
            1 => Value::Integer(row.start as i64),
            2 => Value::Integer(row.stop as i64),
            3 => Value::Integer(row.tokens as i64),
            _ => copy_text(&passages.text()[range.clone()])?.into(),
        })
    }
}
