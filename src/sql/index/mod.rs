//! The semantic index: `CREATE VIRTUAL TABLE ... USING bge`.
//!
//! Pure parts, which do no I/O:
//! - [`declare`]: the arguments of CREATE VIRTUAL TABLE, and the table that SQLite is told of.
//! - [`plan`]: from the terms of a query to what a cursor is to do, and the text between the two.
//! - [`affinity`]: what a declared type makes of a value; [`names`]: what the tables of an index are
//!   called; [`text`]: what a row says, and the hash that tells whether it has changed.
//! - in [`ranking`], the language of `rank` and the maths of its stages.
//!
//! What is stored, each shadow table with one owner; [`parts`] puts them together:
//! - [`shadow`]: which tables there are, statements on them ([`statements`]), settings (`_config`);
//!   [`ordinary`]: whether they are what they are called.
//! - [`passage_size`]: how long passages are; the defaults that an index keeps.
//! - [`notes`]: `_log`, the rows that have changed. [`records`]: `_rows`, what rows said when they were
//!   embedded.
//! - [`vectors`]: `_passages` and `_codes`; it alone knows slots, chunks, stamps and the tail.
//! - [`words`]: `_words`, an FTS5 table over the texts, or one of the user's.
//! - [`content`]: where the texts are (`_text`, or a table or view of the user's), and the triggers.
//! - [`trigger_set`]: the triggers of either of the two last, as what is made, found and dropped.
//!
//! The verbs, functions over the parts:
//! - [`write`] notes, and so do the triggers;
//! - [`sync`] embeds (while the index is as [`declared`]), in slices ([`slice`]) that are stored in steps
//!   ([`transaction`]), with the [`model`];
//!   [`unfinished`] keeps what could not be stored;
//! - reading: [`table`] plans, [`inputs`] takes the values, [`cursor`] reads; [`query`] is what is searched for, [`search`]
//!   goes through what passes the [`filter`]s (each term a [`condition`] in SQL) by its distance, with [`overlay`] for
//!   rows that are pending, [`ranking`] puts it in another order, and [`best`] is the passage that was found of a row;
//! - [`pairs`] compares rows with each other;
//! - [`commands`], [`check`] and [`status`].
//!
//! Leaves: [`damage`] says what cannot be; [`database`] which database this is; [`random`]. [`find`] has an
//! index by its name, [`handle`] is what a connection knows of
//! one, [`connected`] one as SQLite holds it.

mod affinity;
mod best;
mod check;
mod commands;
mod condition;
mod connected;
mod content;
mod cursor;
mod damage;
mod database;
mod declare;
mod declared;
mod filter;
mod find;
mod handle;
mod inputs;
mod model;
mod names;
mod notes;
mod ordinary;
mod overlay;
mod pairs;
mod parts;
mod passage_size;
mod plan;
mod query;
mod random;
mod ranking;
mod records;
mod search;
mod shadow;
mod slice;
mod statements;
mod status;
mod sync;
mod table;
mod text;
mod transaction;
mod trigger_set;
mod unfinished;
mod vectors;
mod words;
mod write;

use super::ffi::{Access, Connection, Host};
use crate::error::Result;
pub use damage::explained;
pub use handle::Index;
pub use pairs::{Between, Pair, Pairs};
pub use parts::Parts;
pub use status::status;
pub use sync::sync;

/// Registers the module.
pub fn register(db: &Connection<'_>, access: Access) -> Result<()> {
    db.define_module::<connected::Connected>(access)
}

/// The index that a function was given by its name.
///
/// # Errors
/// There is none of that name; its declaration cannot be read.
pub fn find(host: &Host<'_>, name: &str) -> Result<Index> {
    let (names, text, arguments) = find::find(host.db, name)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut index = table::declared(&names.schema, &names.index, &arguments)?;
    index.found_as = Some(text);
    Ok(index)
}
