//! The callbacks that every virtual table has, and the memory behind them: a [`Connected`] table and
//! its [`Scan`]s.
//!
//! A table is shared by its cursors and may be used again by SQL that it runs itself, so nobody ever
//! has it mutably.

use super::access::Access;
use super::api::{Api, Connection, code, result_code, sqlite};
use super::function::Context;
use super::guard::{guarded, release};
use super::host::Host;
use super::interrupt::Interrupts;
use super::plan::IndexInfo;
use super::table::{RowCursor, Table};
use super::value_ref::ValueRef;
use crate::error::{Error, Result};
use sqlite_loadable::ext::{
    sqlite3, sqlite3_context, sqlite3_index_info, sqlite3_module, sqlite3_value, sqlite3_vtab,
    sqlite3_vtab_cursor,
};
use std::cell::UnsafeCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;

/// What the callbacks of a module get as their data: this host, and what the connection may do.
struct ModuleData {
    api: Api,
    access: Access,
}

/// Registers a module on a connection that may do this much.
///
/// # Errors
/// What SQLite says.
///
/// # Safety
/// `module` is static, as long as its `iVersion` says, and its callbacks fit each other.
pub(super) unsafe fn register(
    db: &Connection<'_>,
    access: Access,
    name: &str,
    module: *const sqlite3_module,
) -> Result<()> {
    let c_name = CString::new(name).map_err(|e| Error::internal(e.to_string()))?;
    let data = ModuleData {
        api: db.api(),
        access,
    };
    let data = Box::into_raw(Box::new(data)).cast::<c_void>();
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
    drop(unsafe { Box::from_raw(data.cast::<ModuleData>()) });
}

/// A connected table, as SQLite sees it: its own part first, which both sides write, and which is
/// therefore reached through raw pointers only.
#[repr(C)]
pub(super) struct Connected<T> {
    base: UnsafeCell<sqlite3_vtab>,
    api: Api,
    access: Access,
    db: *mut sqlite3,
    /// The probe is finalised when the table is disconnected, which SQLite does before a
    /// connection closes: hence a lifetime that the compiler cannot see.
    interrupts: Interrupts<'static>,
    /// The table itself.
    pub inner: T,
}

impl<T> Connected<T> {
    /// # Safety
    /// `table` was made by [`connect`] with the same `T` and is not yet disconnected.
    pub unsafe fn from_raw<'a>(table: *mut sqlite3_vtab) -> &'a Self {
        // SAFETY: the caller's contract; nobody has it mutably.
        unsafe { &*table.cast::<Self>() }
    }

    /// The routines of the SQLite that it is connected in.
    pub fn api(&self) -> Api {
        self.api
    }

    /// What its work may ask for.
    pub fn host(&self) -> Host<'_> {
        // SAFETY: the connection stays open while the table is connected.
        let db = unsafe { Connection::from_raw(self.api, self.db) };
        Host {
            db,
            interrupts: &self.interrupts,
            access: self.access,
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

    /// The result code of an outcome, its error's message left for SQLite.
    pub fn report(&self, outcome: Result<()>) -> c_int {
        match outcome {
            Ok(()) => code::OK,
            Err(e) => self.fail(&e),
        }
    }
}

/// The body of `xConnect` and `xCreate`: makes the table, declares its columns (a CREATE TABLE text)
/// with the options that `configure` sets, and gives it to SQLite.
///
/// # Safety
/// As SQLite calls both: `data` is what [`register`] registered; `table` and `message` are writable.
pub(super) unsafe fn connect<T>(
    db: *mut sqlite3,
    data: *mut c_void,
    table: *mut *mut sqlite3_vtab,
    message: *mut *mut c_char,
    make: impl FnOnce(&Host<'_>) -> Result<(T, String)>,
    configure: impl FnOnce(&Connection<'_>),
) -> c_int {
    // SAFETY: the caller's contract; the connection outlives its tables.
    let (&ModuleData { api, access }, connection) = unsafe {
        let data = &*data.cast::<ModuleData>();
        (data, Connection::<'static>::from_raw(data.api, db))
    };
    let made = guarded(|| {
        let interrupts = Interrupts::new(connection);
        let host = Host {
            db: connection,
            interrupts: &interrupts,
            access,
        };
        let (inner, columns) = make(&host)?;
        configure(&connection);
        declare(&connection, &columns)?;
        let base = UnsafeCell::new(sqlite3_vtab {
            pModule: std::ptr::null(),
            nRef: 0,
            zErrMsg: std::ptr::null_mut(),
        });
        Ok(Box::new(Connected {
            base,
            api,
            access,
            db,
            interrupts,
            inner,
        }))
    });
    // SAFETY: both places are writable; a `Connected` begins with a `sqlite3_vtab`. SQLite frees the
    // message, and has words of its own where there was no memory for ours.
    unsafe {
        match made {
            Ok(made) => {
                *table = Box::into_raw(made).cast();
                code::OK
            }
            Err(e) => {
                *message = api.new_c_string(e.message());
                result_code(e.kind())
            }
        }
    }
}

fn declare(db: &Connection<'_>, columns: &str) -> Result<()> {
    let sql = CString::new(columns).map_err(|e| Error::internal(e.to_string()))?;
    // SAFETY: called inside xCreate or xConnect, as SQLite wants; the text is a C string.
    let rc = unsafe { sqlite!(db.api(), declare_vtab(db.raw(), sql.as_ptr())) };
    if rc == code::OK {
        Ok(())
    } else {
        Err(db.error(rc))
    }
}

/// The elements of an array that SQLite passes; its pointer may be null where there are none.
///
/// # Safety
/// `start` points to `count` elements that live as long as `'v`.
pub(super) unsafe fn elements<'v, E>(count: c_int, start: *const E) -> &'v [E] {
    match usize::try_from(count) {
        // SAFETY: the caller's contract.
        Ok(count @ 1..) => unsafe { std::slice::from_raw_parts(start, count) },
        _ => &[],
    }
}

/// A cursor, as SQLite sees it: its own part first.
#[repr(C)]
struct Scan<C> {
    base: sqlite3_vtab_cursor,
    inner: C,
}

/// The callbacks of a [`Table`].
pub(super) struct Callbacks<T>(PhantomData<T>);

impl<T: Table> Callbacks<T> {
    /// A module that can be scanned. What makes and connects it, and what writes it, is to be added:
    /// without an `xCreate` it cannot be made by CREATE VIRTUAL TABLE, and is there without it.
    pub const READING: sqlite3_module = sqlite3_module {
        iVersion: 0,
        xCreate: None,
        xConnect: None,
        xBestIndex: Some(Self::best_index),
        xDisconnect: Some(Self::disconnect),
        xDestroy: None,
        xOpen: Some(Self::open),
        xClose: Some(Self::close),
        xFilter: Some(Self::filter),
        xNext: Some(Self::next),
        xEof: Some(Self::eof),
        xColumn: Some(Self::column),
        xRowid: Some(Self::rowid),
        xUpdate: None,
        xBegin: None,
        xSync: None,
        xCommit: None,
        xRollback: None,
        xFindFunction: None,
        xRename: None,
        xSavepoint: None,
        xRelease: None,
        xRollbackTo: None,
        xShadowName: None,
    };

    pub unsafe extern "C" fn disconnect(table: *mut sqlite3_vtab) -> c_int {
        // SAFETY: made by `connect`, disconnected once, its cursors closed before.
        release(unsafe { Box::from_raw(table.cast::<Connected<T>>()) });
        code::OK
    }

    unsafe extern "C" fn best_index(
        table: *mut sqlite3_vtab,
        info: *mut sqlite3_index_info,
    ) -> c_int {
        const CONSTRAINT: c_int = 19;
        // SAFETY: a table of this module; SQLite's own structure, alive during the call.
        let (table, mut info) = unsafe {
            let table = Connected::<T>::from_raw(table);
            (table, IndexInfo::from_raw(table.api, &mut *info))
        };
        let planned = guarded(|| {
            let possible = table.inner.plan(&mut info)?;
            info.check_memory().map(|()| possible)
        });
        match planned {
            Ok(true) => code::OK,
            Ok(false) => CONSTRAINT,
            Err(e) => table.fail(&e),
        }
    }

    unsafe extern "C" fn open(
        table: *mut sqlite3_vtab,
        cursor: *mut *mut sqlite3_vtab_cursor,
    ) -> c_int {
        // SAFETY: a table of this module.
        let table = unsafe { Connected::<T>::from_raw(table) };
        match guarded(|| Ok(table.inner.open())) {
            Ok(inner) => {
                let base = sqlite3_vtab_cursor {
                    pVtab: std::ptr::null_mut(),
                };
                // SAFETY: `cursor` is writable; a `Scan` begins with a `sqlite3_vtab_cursor`.
                unsafe { *cursor = Box::into_raw(Box::new(Scan { base, inner })).cast() };
                code::OK
            }
            Err(e) => table.fail(&e),
        }
    }

    unsafe extern "C" fn close(cursor: *mut sqlite3_vtab_cursor) -> c_int {
        // SAFETY: made by `open`, closed once.
        release(unsafe { Box::from_raw(cursor.cast::<Scan<T::Cursor>>()) });
        code::OK
    }

    unsafe extern "C" fn filter(
        cursor: *mut sqlite3_vtab_cursor,
        _: c_int,
        plan: *const c_char,
        count: c_int,
        values: *mut *mut sqlite3_value,
    ) -> c_int {
        // SAFETY: a cursor of this module; there are `count` values that live during the call.
        let (scan, table, values) = unsafe {
            let (scan, table) = Self::parts(cursor);
            (scan, table, elements(count, values.cast_const()))
        };
        // SAFETY: protected values that live during the call.
        let value = |&raw: &*mut sqlite3_value| unsafe { ValueRef::from_raw(table.api, raw) };
        table.report(guarded(|| {
            if plan.is_null() {
                return Err(Error::internal("SQLite passes no plan for this scan"));
            }
            // SAFETY: the text that `best_index` gave, a C string that lives during the call.
            let plan = unsafe { CStr::from_ptr(plan) }.to_string_lossy();
            let values: Vec<ValueRef<'_>> = values.iter().map(value).collect();
            scan.filter(&table.inner, &table.host(), &plan, &values)
        }))
    }

    unsafe extern "C" fn next(cursor: *mut sqlite3_vtab_cursor) -> c_int {
        // SAFETY: a cursor of this module.
        let (scan, table) = unsafe { Self::parts(cursor) };
        table.report(guarded(|| scan.next(&table.inner, &table.host())))
    }

    unsafe extern "C" fn eof(cursor: *mut sqlite3_vtab_cursor) -> c_int {
        // SAFETY: a cursor of this module.
        c_int::from(unsafe { Self::parts(cursor) }.0.at_end())
    }

    unsafe extern "C" fn column(
        cursor: *mut sqlite3_vtab_cursor,
        context: *mut sqlite3_context,
        n: c_int,
    ) -> c_int {
        // SAFETY: a cursor of this module; the context is alive during the call.
        let (scan, table, result, unchanged) = unsafe {
            let (scan, table) = Self::parts(cursor);
            let unchanged = sqlite!(table.api, vtab_nochange(context)) != 0;
            let result = Context::from_raw(table.api, table.access, context);
            (scan, table, result, unchanged)
        };
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        match guarded(|| scan.column(&table.inner, &table.host(), n, unchanged)) {
            Ok(Some(value)) => result.give(Ok(value)),
            Ok(None) => {}
            Err(e) => result.give(Err(e)),
        }
        code::OK
    }

    unsafe extern "C" fn rowid(cursor: *mut sqlite3_vtab_cursor, rowid: *mut i64) -> c_int {
        // SAFETY: a cursor of this module; `rowid` is writable.
        unsafe { *rowid = Self::parts(cursor).0.rowid() };
        code::OK
    }

    /// # Safety
    /// `cursor` was made by `open` of this module, and no other reference to it is in use: SQLite
    /// enters a cursor once at a time (nested SQL opens its own).
    unsafe fn parts<'a>(cursor: *mut sqlite3_vtab_cursor) -> (&'a mut T::Cursor, &'a Connected<T>) {
        // SAFETY: the caller's contract; SQLite sets `pVtab` after `open`.
        unsafe {
            let scan: &'a mut Scan<T::Cursor> = &mut *cursor.cast();
            (&mut scan.inner, Connected::from_raw(scan.base.pVtab))
        }
    }
}
