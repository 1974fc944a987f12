//! What a user writes as a ranking, as in `hybrid, rerank('bge-reranker-base', 20), mmr(0.7)`. Pure: no SQL, no model,
//! no clock.
//!
//! - [`pipeline`]: the stages of one, and its canonical text.
//! - [`parse`]: from a text to a pipeline, with the stages that [`known`] lists and the [`arguments`] they are given;
//!   [`limits`]: how many rows they look at.
//! - [`time`]: what counts as a time, in a ranking and in the column that `decay` goes by.

mod arguments;
pub mod known;
pub mod limits;
mod parse;
pub mod pipeline;
pub mod time;
