//! What is registered on a connection, in one list. Each entry says what a connection must be allowed
//! to do to have it ([`Access`]); the entry point says what this one may do.
//!
//! `sql/catalogue.txt` lists every SQL name; a test compares.

use super::ffi::{Access, Connection, Statement, Value};
use super::{functions, index, tables};
use crate::VERSION;
use crate::error::{Error, Result};

/// Registers what a new connection may have. Touches neither model nor runtime.
///
/// # Errors
/// What SQLite says; the other entry point was loaded into this connection before.
pub fn register(db: &Connection<'_>, access: Access) -> Result<()> {
    match registered(db) {
        Some(found) if found != access => return Err(already(found)),
        Some(_) => {}
        // What an unfinished load has left can be added to, and not be taken back.
        None if access == Access::ReadOnly && has_writing(db) => return Err(already(Access::Full)),
        None => register_all(db, access)?,
    }
    // `sqlite3_open` takes an error of the connection for one of its automatic extensions, and what asked
    // whether something is there may have left one. An empty text takes it back, and reads nothing.
    db.execute("")
}

fn register_all(db: &Connection<'_>, access: Access) -> Result<()> {
    // First what writes, last what says that all is there.
    for function in functions::all().filter(|function| function.needs <= access) {
        db.define(access, function)?;
    }
    tables::register(db, access)?;
    index::register(db, access)?;
    db.define(access, functions::VERSION)
}

/// What an earlier load has registered, if it came to its end.
///
/// Loading twice is usual (an auto-extension and a `.load`). SQLite refuses to define a function anew
/// while a statement runs, as `SELECT load_extension(...)` does.
fn registered(db: &Connection<'_>) -> Option<Access> {
    if version(db) != Ok(Value::from(VERSION)) {
        return None;
    }
    Some(if has_writing(db) {
        Access::Full
    } else {
        Access::ReadOnly
    })
}

fn version(db: &Connection<'_>) -> Result<Value> {
    let mut statement = Statement::prepare(*db, "SELECT bge_version()")?;
    statement.step()?;
    statement.column(0)
}

fn has_writing(db: &Connection<'_>) -> bool {
    Statement::prepare(*db, "SELECT bge_load(NULL, NULL)").is_ok()
}

fn already(found: Access) -> Error {
    Error::invalid(match found {
        Access::Full => {
            "this connection has loaded the whole of sqlite-bge, which cannot be taken back; load \
             sqlite3_bge_readonly_init into a new connection"
        }
        Access::ReadOnly => {
            "this connection has loaded sqlite-bge read-only, and stays so; load the whole of it into \
             a new connection"
        }
    })
}
