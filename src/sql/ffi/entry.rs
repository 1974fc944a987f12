//! The symbols that SQLite looks for when it loads the extension.
//!
//! The library pins itself in memory and returns plain `SQLITE_OK`: `SQLITE_OK_LOAD_PERMANENTLY`
//! would pin too, but stops the auto-extensions that come after it.

use super::access::Access;
use super::api::{Api, Connection, code, result_code};
use super::guard::guarded;
use crate::engine::process::own_library;
use crate::error::Result;
use crate::sql::registration::register;
use sqlite_loadable::ext::{sqlite3, sqlite3_api_routines};
use std::ffi::{c_char, c_int};

/// The entry point that SQLite derives from the file name `libbge`; also for
/// `sqlite3_auto_extension` in programs that link this crate.
///
/// # Safety
/// Called by SQLite: `db` is open, `error` is null or writable, `api` is its routines table.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_bge_init(
    db: *mut sqlite3,
    error: *mut *mut c_char,
    api: *mut sqlite3_api_routines,
) -> c_int {
    // SAFETY: the same contract.
    unsafe { enter(db, error, api, Access::Full) }
}

/// The entry point for connections whose SQL comes from strangers: it registers only what reads. As in
/// `.load ./libbge sqlite3_bge_readonly_init`.
///
/// # Safety
/// As [`sqlite3_bge_init`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_bge_readonly_init(
    db: *mut sqlite3,
    error: *mut *mut c_char,
    api: *mut sqlite3_api_routines,
) -> c_int {
    // SAFETY: the same contract.
    unsafe { enter(db, error, api, Access::ReadOnly) }
}

/// # Safety
/// As [`sqlite3_bge_init`].
unsafe fn enter(
    db: *mut sqlite3,
    error: *mut *mut c_char,
    api: *mut sqlite3_api_routines,
    access: Access,
) -> c_int {
    if api.is_null() || db.is_null() {
        return code::ERROR;
    }
    // SAFETY: what SQLite passed, checked for null.
    match guarded(|| unsafe { init(db, api, access) }) {
        Ok(()) => code::OK,
        Err(e) => {
            if !error.is_null() {
                // SAFETY: `error` is writable; `api` is a host's static table, also if refused.
                unsafe { *error = Api::unregistered(&*api).new_c_string(e.message()) };
            }
            result_code(e.kind())
        }
    }
}

/// The entry point that SQLite tries for a file of any other name. Only with feature `loadable`:
/// two extensions in one program would both have it.
///
/// # Safety
/// As [`sqlite3_bge_init`].
#[cfg(feature = "loadable")]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sqlite3_extension_init(
    db: *mut sqlite3,
    error: *mut *mut c_char,
    api: *mut sqlite3_api_routines,
) -> c_int {
    // SAFETY: the same contract.
    unsafe { sqlite3_bge_init(db, error, api) }
}

unsafe fn init(db: *mut sqlite3, table: *mut sqlite3_api_routines, access: Access) -> Result<()> {
    // SAFETY: the caller's contract.
    let db = unsafe { Connection::from_raw(Api::adopt(table)?, db) };
    own_library::pin_own_library();
    register(&db, access)
}
