//! The semantic index: `CREATE VIRTUAL TABLE ... USING bge`.
//!
//! Pure parts, which do no I/O:
//! - [`words`]: names, quotes and comments, as SQLite reads them.
//! - [`declare`]: the arguments of CREATE VIRTUAL TABLE, and the table that SQLite is told of.
//! - [`compare`]: SQLite's affinities, collations and comparisons, outside of SQLite; [`filter`], the
//!   terms of one query made of them.
//! - [`plan`]: from the terms of a query to what a cursor is to do, and the text between the two.
//! - [`text`]: what a row says, and the hash that tells whether it has changed.
//!
//! What is stored:
//! - [`names`] and [`statements`]: SQL on the shadow tables; [`store`] and
//!   [`passages`]: the tables themselves;
//!   [`code_store`]: slots and codes; [`codes_cache`]: codes in memory.
//! - [`content`]: where the texts are; [`triggers`]: how changes are noted.
//!
//! The three verbs:
//! - writing notes: [`write`] (and the triggers);
//! - syncing embeds: [`sync`], in steps of [`transaction`], with [`model`];
//! - reading searches: [`table`] plans, [`cursor`] reads, [`search`] ranks, with [`overlay`] for
//!   rows that are pending.
//!
//! Beside them [`commands`], [`check`] and [`status`].

mod check;
mod code_store;
mod codes_cache;
mod commands;
mod compare;
mod content;
mod cursor;
mod declare;
mod filter;
mod model;
mod names;
mod overlay;
mod passages;
mod plan;
mod search;
mod statements;
mod status;
mod store;
mod sync;
mod table;
mod text;
mod transaction;
mod triggers;
mod words;
mod write;

use super::ffi::{Access, Connection, Host};
use crate::error::Result;
pub use store::{Index, Store};

/// Registers the module.
pub fn register(db: &Connection<'_>, access: Access) -> Result<()> {
    db.define_module::<table::Table>(access)
}

/// The index that a function was given by its name.
///
/// # Errors
/// There is none of that name; its declaration cannot be read.
pub fn find(host: &Host<'_>, name: &str) -> Result<Index> {
    let (names, arguments) = names::find(host.db, name)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Index::declared(&names.schema, &names.index, &arguments)
}
