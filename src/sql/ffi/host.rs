//! What every virtual table of ours has, table function or stored: SQLite's own part of it, the
//! connection, a way to ask whether to stop, and a place for error messages.

use super::api::{Api, Connection, code, result_code, sqlite};
use super::interrupt::Interrupts;
use super::statement::Statement;
use crate::engine::Stop;
use crate::error::{Error, Result};
use sqlite_loadable::ext::{sqlite3, sqlite3_module, sqlite3_vtab};
use std::cell::UnsafeCell;
use std::ffi::{CString, c_int, c_void};

/// What a table or cursor may ask of the host while it works.
pub struct Host<'c> {
    /// The connection that runs the statement.
    pub db: Connection<'c>,
    /// "Should I stop?", with a probe that lives as long as the table is connected.
    pub interrupts: &'c dyn Stop,
}

impl Host<'_> {
    /// Prepares a statement that a cursor keeps from row to row; and its own part of the text.
    ///
    /// # Errors
    /// As [`Statement::prepare_one`].
    pub fn prepare_kept<'s>(&self, sql: &'s str) -> Result<(Statement<'static>, &'s str)> {
        // SAFETY: SQLite closes all cursors and disconnects all tables of a connection before it
        // closes it. What else of ours keeps statements does so within a callback.
        let db = unsafe { Connection::from_raw(self.db.api(), self.db.raw()) };
        Statement::prepare_one(db, sql)
    }
}

/// Registers a module; its callbacks get the [`Api`] of this host as their data.
///
/// # Errors
/// What SQLite says.
///
/// # Safety
/// `module` is static, and as long as its `iVersion` says.
pub(super) unsafe fn register(
    db: &Connection<'_>,
    name: &str,
    module: *const sqlite3_module,
) -> Result<()> {
    let c_name = CString::new(name).map_err(|e| Error::internal(e.to_string()))?;
    let data = Box::into_raw(Box::new(db.api())).cast::<c_void>();
    // SAFETY: the connection is open, the module the caller's; `data` is freed by `drop_data`, which
    // SQLite calls also where registration fails.
    let rc = unsafe {
        let drop = Some(drop_data as unsafe extern "C" fn(*mut c_void));
        sqlite!(
            db.api(),
            create_module_v2(db.raw(), c_name.as_ptr(), module, data, drop)
        )
    };
    if rc == code::OK {
        Ok(())
    } else {
        Err(db.error(rc).at(name))
    }
}

unsafe extern "C" fn drop_data(data: *mut c_void) {
    // SAFETY: made by `register`, freed once.
    drop(unsafe { Box::from_raw(data.cast::<Api>()) });
}

/// A connected table, as SQLite sees it: its own part first.
///
/// A cursor at work may run nested SQL that uses the same table, so nobody ever has it mutably:
/// SQLite's part, which both sides write, is reached through raw pointers only.
#[repr(C)]
pub(super) struct Table {
    base: UnsafeCell<sqlite3_vtab>,
    api: Api,
    db: *mut sqlite3,
    /// The probe is finalised when the table is disconnected, which SQLite does before a
    /// connection closes: hence a lifetime that the compiler cannot see.
    interrupts: Interrupts<'static>,
}

impl Table {
    /// A table of this connection, which outlives it.
    pub fn new(db: Connection<'static>) -> Self {
        Table {
            base: UnsafeCell::new(sqlite3_vtab {
                pModule: std::ptr::null(),
                nRef: 0,
                zErrMsg: std::ptr::null_mut(),
            }),
            api: db.api(),
            db: db.raw(),
            interrupts: Interrupts::new(db),
        }
    }

    pub fn api(&self) -> Api {
        self.api
    }

    pub fn host(&self) -> Host<'_> {
        // SAFETY: the connection stays open while the table is connected.
        let db = unsafe { Connection::from_raw(self.api, self.db) };
        Host {
            db,
            interrupts: &self.interrupts,
        }
    }

    /// Leaves the message for SQLite, in its own memory, and frees an older one.
    pub fn fail(&self, error: &Error) -> c_int {
        let message = self.api.new_c_string(error.message());
        // SAFETY: SQLite and we write this part only while the connection's mutex is held, never
        // through a reference; the message is null or was allocated by SQLite.
        unsafe {
            let place = &raw mut (*self.base.get()).zErrMsg;
            sqlite!(self.api, free(place.read().cast()));
            place.write(message);
        }
        result_code(error.kind())
    }
}
