//! SQLite: functions and tables over the engine. Knows everything below it.
//!
//! - [`ffi`]: the only files that touch the C API; everything above is safe Rust.
//! - [`functions`]: scalar functions: decode, one call below, encode.
//! - [`tables`]: table functions.
//! - [`index`]: the semantic index, a virtual table that keeps data.
//! - [`arguments`]: decoding for both, with messages that say what came and what was wanted.
//! - [`statement`]: what the calls of one statement share.
//! - this file: what is registered on a connection, in one list.
//!
//! `sql/catalogue.txt` lists every SQL name that this layer registers; a test compares.

mod arguments;
pub mod ffi;
mod functions;
mod index;
mod statement;
mod tables;

use crate::VERSION;
use crate::error::Result;
use ffi::{Connection, Statement, Value};

/// Registers everything on a new connection. Touches neither model nor runtime.
pub(crate) fn register(db: &Connection<'_>) -> Result<()> {
    if is_registered(db) {
        return Ok(());
    }
    for function in functions::all() {
        db.define(function)?;
    }
    tables::register(db)?;
    index::register(db)
}

/// Loading twice is usual (an auto-extension and a `.load`). SQLite refuses to define a function anew
/// while a statement runs, as `SELECT load_extension(...)` does.
fn is_registered(db: &Connection<'_>) -> bool {
    let version = || -> Result<Value> {
        let mut statement = Statement::prepare(*db, "SELECT bge_version()")?;
        statement.step()?;
        statement.column(0)
    };
    version() == Ok(Value::from(VERSION))
}
