//! Table functions: rows out of arguments.
//!
//! - [`embed_each`]: `bge_embed_each(json_array [, model])`.
//! - [`batch`]: `bge_batch(select_sql [, model [, p1 ... p8]])`.
//! - [`chunks`]: `bge_chunks(text [, max_tokens [, overlap [, model]]])`.
//! - [`rerank_each`]: `bge_rerank_each(query, json_array [, model])`.
//! - [`pairs`]: `bge_pairs(index, min_score)`.
//! - [`models`] is `bge_models`.
//!
//! [`json_texts`] reads the arrays, [`each`] gives the rows of what a model makes of them.

mod batch;
mod chunks;
mod each;
mod embed_each;
mod json_texts;
mod models;
mod pairs;
mod rerank_each;

use super::ffi::{Access, Connection};
use crate::error::Result;

/// Registers the table functions that a connection may have.
pub fn register(db: &Connection<'_>, access: Access) -> Result<()> {
    db.define_table::<embed_each::EmbedEach>(access)?;
    db.define_table::<rerank_each::RerankEach>(access)?;
    db.define_table::<batch::Batch>(access)?;
    db.define_table::<chunks::Chunks>(access)?;
    db.define_table::<pairs::Pairs>(access)?;
    db.define_table::<models::Models>(access)
}
