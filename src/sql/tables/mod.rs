//! Table functions: rows out of arguments.
//!
//! - [`embed_each`]: `bge_embed_each(json_array [, model])`.
//! - [`batch`]: `bge_batch(select_sql [, model [, p1 ... p8]])`.
//! - [`chunks`]: `bge_chunks(text [, max_tokens [, overlap [, model]]])`.
//! - [`models`] is `bge_models`.

mod batch;
mod chunks;
mod embed_each;
mod models;

use super::ffi::Connection;
use crate::error::Result;

/// Registers every table function.
pub fn register(db: &Connection<'_>) -> Result<()> {
    db.define_table::<embed_each::EmbedEach>()?;
    db.define_table::<batch::Batch>()?;
    db.define_table::<chunks::Chunks>()?;
    db.define_table::<models::Models>()
}
