//! How rows are ranked.
//!
//! Pure parts, as maths and text: no SQL, no model, no clock.
//!
//! A *pipeline* is what a user writes: `hybrid, rerank('bge-reranker-base', 20), mmr(0.7)`.
//! - [`pipeline`]: the stages of one, and its canonical text. [`parse`]: from a text to a pipeline, with the
//!   stages that [`known`] lists and the [`arguments`] they are given.
//!
//! A *candidate* has a relevance, a number that is higher for a better row; [`scale`] says what kind of number.
//! - [`fusion`]: one relevance of meaning and words.
//! - [`mmr`] and [`decay`]: what a stage makes of the relevances; [`time`] reads what `decay` goes by.
//! - [`places`]: the column `rank`, which never falls from one row to the next.
//!
//! A ranking at work:
//! - [`run`]: which one a query has, and the answer that comes of it.
//! - [`pool`] gathers the candidates of the first stage, [`stages`] puts them in a new order.
//! - [`answer`]: the rows one after the other, those of the pool and those behind it; [`hit`] is one.

pub mod answer;
mod arguments;
pub mod decay;
pub mod fusion;
pub mod hit;
mod known;
pub mod mmr;
mod parse;
pub mod pipeline;
pub mod places;
mod pool;
pub mod run;
pub mod scale;
mod stages;
pub mod time;

#[cfg(test)]
mod tests;
