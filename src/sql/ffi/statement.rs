//! Nested SQL on the caller's own connection: sees what the running statement sees.

use super::api::{Connection, code, sqlite};
use crate::error::Result;
use sqlite_loadable::ext::sqlite3_stmt;
use std::ffi::c_int;

/// A prepared statement; finalised when dropped.
pub struct Statement<'c> {
    db: Connection<'c>,
    raw: *mut sqlite3_stmt,
}

/// What a step found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A row is ready.
    Ready,
    /// The statement is at its end.
    Done,
}

impl<'c> Statement<'c> {
    /// Prepares one statement.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn prepare(db: Connection<'c>, sql: &str) -> Result<Self> {
        let mut raw = std::ptr::null_mut();
        let length = c_int::try_from(sql.len()).unwrap_or(c_int::MAX);
        // SAFETY: the connection is open; the text has `length` bytes; `raw` is writable.
        let rc = unsafe {
            sqlite!(
                db.api(),
                prepare_v3(
                    db.raw(),
                    sql.as_ptr().cast(),
                    length,
                    0,
                    &mut raw,
                    std::ptr::null_mut()
                )
            )
        };
        if rc == code::OK {
            Ok(Statement { db, raw })
        } else {
            Err(db.error(rc))
        }
    }

    /// Runs to the next row.
    ///
    /// # Errors
    /// What SQLite says, an interruption included.
    pub fn step(&mut self) -> Result<Row> {
        // SAFETY: the statement is alive.
        match unsafe { sqlite!(self.db.api(), step(self.raw)) } {
            code::ROW => Ok(Row::Ready),
            code::DONE => Ok(Row::Done),
            rc => Err(self.db.error(rc)),
        }
    }

    /// Back to the start. (The error of an earlier step was reported by that step.)
    pub fn reset(&mut self) {
        // SAFETY: the statement is alive.
        unsafe { sqlite!(self.db.api(), reset(self.raw)) };
    }
}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: alive until here, and finalised once; finalising null does nothing.
        unsafe { sqlite!(self.db.api(), finalize(self.raw)) };
    }
}
