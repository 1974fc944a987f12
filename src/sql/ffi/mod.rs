//! The border to SQLite: the only files that touch its C API. Everything they offer is safe.
//!
//! `sqlite-loadable` gives the types and the shape of the routines table; its helpers are not used,
//! and neither is its global table: two copies of SQLite in one process (Python's `sqlite3` beside
//! `apsw`, say) have a table each, and a call must go through the one it came from.
//!
//! - [`access`]: how much a connection may do.
//! - [`api`]: the routines table of one host, found again from inside a callback.
//! - [`entry`]: the symbols that `.load` looks for.
//! - `files`: which file a connection reads.
//! - [`function`]: scalar functions: registration, results, errors, auxiliary data.
//! - [`value`]: a value of ours; [`value_ref`]: one of SQLite's, such as an argument.
//! - [`statement`]: nested SQL on the caller's connection.
//! - [`host`]: what a function or table may ask of the host.
//! - [`table`]: what every virtual table offers, and [`plan`], what SQLite asks it about a query;
//!   [`callbacks`] are written once over both.
//! - [`table_function`]: tables that are called with arguments; [`stored`]: tables that are made with
//!   CREATE VIRTUAL TABLE, their [`module`] adding what only these have.
//! - [`interrupt`]: "should I stop?", for every SQLite version.
#![allow(unsafe_code)]

mod access;
mod api;
mod callbacks;
mod entry;
mod files;
mod function;
mod guard;
mod host;
mod interrupt;
mod module;
mod plan;
mod statement;
mod stored;
mod table;
mod table_function;
mod value;
mod value_ref;

pub use access::Access;
pub use api::Connection;
pub use function::{Arguments, Context, Flags, Function};
pub use host::Host;
pub use interrupt::Interrupts;
pub use plan::{IndexInfo, Term};
pub use statement::{Conflict, Row, Statement, Transaction};
pub use stored::{Columns, NewTable, StoredTable, Write};
pub use table::RowCursor;
pub use value::Value;
pub use value_ref::{Type, ValueRef};

pub use table_function::{Call, Comparison, Cursor, TableFunction};

/// The primary result code of whatever SQLite finds corrupt.
pub const CORRUPT: i32 = api::code::CORRUPT;
/// The result code of a virtual table whose own tables are damaged.
pub const CORRUPT_VTAB: i32 = api::code::CORRUPT_VTAB;
