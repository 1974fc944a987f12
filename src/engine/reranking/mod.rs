//! Reranking: pairs of a query and a passage in, scores out, with a cross-encoder.
//!
//! A [`reranker`] is one loaded model: its pairs become ids (`engine::text::pairs`), its graph runs in
//! `engine::inference::scorer`, which [`prepare`] has loaded, with our
//! own encoder ([`native_scorer`]) or with the passes that fit. Callers use it in
//! [`turns`], each for one batch, and are not joined: a pair has half a thousand tokens, which fill a batch
//! alone. [`each`] is for many passages against one query.

pub mod each;
pub mod native_scorer;
pub mod prepare;
pub mod reranker;
pub mod turns;
