//! SQLite: functions and tables over the engine. Knows everything below it.
//!
//! - [`ffi`]: the only files that touch the C API; everything above is safe Rust.
//! - [`functions`]: scalar functions: decode, one call below, encode.
//! - this file: what is registered on a connection, in one list.
//!
//! `sql/catalogue.txt` lists every SQL name that this layer registers; a test compares.

pub mod ffi;
mod functions;

use crate::error::Result;
use ffi::Connection;

/// Registers everything on a new connection. Touches neither model nor runtime.
pub(crate) fn register(db: &Connection) -> Result<()> {
    for function in functions::all() {
        db.define(function)?;
    }
    Ok(())
}
