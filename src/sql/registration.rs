//! What is registered on a connection, in one list.
//!
//! `sql/catalogue.txt` lists every SQL name; a test compares.

use super::ffi::{Connection, Statement, Value};
use super::{functions, index, tables};
use crate::VERSION;
use crate::error::Result;

/// Registers everything on a new connection. Touches neither model nor runtime.
///
/// # Errors
/// What SQLite says.
pub fn register(db: &Connection<'_>) -> Result<()> {
    if is_registered(db) {
        return Ok(());
    }
    tables::register(db)?;
    index::register(db)?;
    for function in functions::all() {
        db.define(function)?;
    }
    Ok(())
}

/// Whether an earlier load came to its end: `bge_version` is registered last.
///
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
