//! The callbacks and the memory behind [`super::stored`]: tables that keep data.
//!
//! A table is shared by its cursors and may be used again by SQL that it runs itself, so it is never
//! seen mutably.

use super::api::{Api, Connection, code, result_code, sqlite};
use super::function::Context;
use super::guard::{guarded, release};
use super::host::{Host, Table, register};
use super::plan::IndexInfo;
use super::stored::{Columns, NewTable, RowCursor, StoredTable, Write};
use super::value_ref::ValueRef;
use crate::error::{Error, Kind, Result};
use sqlite_loadable::ext::{
    sqlite3, sqlite3_context, sqlite3_index_info, sqlite3_module, sqlite3_value, sqlite3_vtab,
    sqlite3_vtab_cursor,
};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::marker::PhantomData;

impl Connection<'_> {
    /// Registers a module of stored tables.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn define_module<T: StoredTable>(&self) -> Result<()> {
        // The whole of it: a new enough SQLite reads beyond the first part.
        let module = std::ptr::from_ref(Callbacks::<T>::MODULE).cast::<sqlite3_module>();
        // SAFETY: the module is static.
        unsafe { register(self, T::NAME, module) }
    }
}

/// A table as SQLite sees it: the common part first.
#[repr(C)]
struct Stored<T> {
    table: Table,
    inner: T,
}

/// A cursor, as SQLite sees it: its own part first.
#[repr(C)]
struct Scan<C> {
    base: sqlite3_vtab_cursor,
    inner: C,
}

/// The module of SQLite 3.44 and later; older ones look at the first part only.
#[repr(C)]
struct Module {
    base: sqlite3_module,
    integrity: unsafe extern "C" fn(
        *mut sqlite3_vtab,
        *const c_char,
        *const c_char,
        c_int,
        *mut *mut c_char,
    ) -> c_int,
}

struct Callbacks<T>(PhantomData<T>);

impl<T: StoredTable> Callbacks<T> {
    const MODULE: &'static Module = &Module {
        base: sqlite3_module {
            iVersion: 4,
            xCreate: Some(Self::create),
            xConnect: Some(Self::connect),
            xBestIndex: Some(Self::best_index),
            xDisconnect: Some(Self::disconnect),
            xDestroy: Some(Self::destroy),
            xOpen: Some(Self::open),
            xClose: Some(Self::close),
            xFilter: Some(Self::filter),
            xNext: Some(Self::next),
            xEof: Some(Self::eof),
            xColumn: Some(Self::column),
            xRowid: Some(Self::rowid),
            xUpdate: Some(Self::update),
            // Every write goes through at once, so transactions need nothing from us.
            xBegin: None,
            xSync: None,
            xCommit: None,
            xRollback: None,
            xFindFunction: None,
            xRename: Some(Self::rename),
            xSavepoint: None,
            xRelease: None,
            xRollbackTo: None,
            xShadowName: Some(Self::shadow_name),
        },
        integrity: Self::integrity,
    };

    unsafe extern "C" fn create(
        db: *mut sqlite3,
        data: *mut c_void,
        count: c_int,
        arguments: *const *const c_char,
        table: *mut *mut sqlite3_vtab,
        message: *mut *mut c_char,
    ) -> c_int {
        // SAFETY: as SQLite calls xCreate.
        unsafe { Self::make(T::create, db, data, (count, arguments), table, message) }
    }

    unsafe extern "C" fn connect(
        db: *mut sqlite3,
        data: *mut c_void,
        count: c_int,
        arguments: *const *const c_char,
        table: *mut *mut sqlite3_vtab,
        message: *mut *mut c_char,
    ) -> c_int {
        // SAFETY: as SQLite calls xConnect.
        unsafe { Self::make(T::connect, db, data, (count, arguments), table, message) }
    }

    unsafe fn make(
        how: fn(&Host<'_>, &NewTable<'_>) -> Result<(T, String)>,
        db: *mut sqlite3,
        data: *mut c_void,
        (count, arguments): (c_int, *const *const c_char),
        table: *mut *mut sqlite3_vtab,
        message: *mut *mut c_char,
    ) -> c_int {
        // SAFETY: `data` is what `define_module` registered; the connection outlives its tables;
        // SQLite passes `count` C strings, three at least, that live during the call.
        let (api, connection, arguments) = unsafe {
            let api = *data.cast::<Api>();
            let arguments = std::slice::from_raw_parts(arguments, count as usize);
            (api, Connection::<'static>::from_raw(api, db), arguments)
        };
        let made = guarded(|| {
            let text = |&raw: &*const c_char| {
                // SAFETY: one of the C strings.
                let text = unsafe { CStr::from_ptr(raw) };
                let message = "an argument of CREATE VIRTUAL TABLE is not UTF-8";
                text.to_str().map_err(|_| Error::invalid(message))
            };
            let texts = arguments.iter().map(text).collect::<Result<Vec<&str>>>()?;
            let new = NewTable {
                schema: texts[1],
                name: texts[2],
                arguments: texts[3..].to_vec(),
            };
            let base = Table::new(connection);
            let (inner, columns) = how(&base.host(), &new)?;
            declare(&connection, &columns)?;
            Ok(Stored { table: base, inner })
        });
        // SAFETY: SQLite gives places for the table and for the message, which it frees.
        unsafe {
            match made {
                Ok(stored) => {
                    *table = Box::into_raw(Box::new(stored)).cast();
                    code::OK
                }
                Err(e) => {
                    *message = api.new_c_string(e.message());
                    result_code(e.kind())
                }
            }
        }
    }

    unsafe extern "C" fn disconnect(table: *mut sqlite3_vtab) -> c_int {
        // SAFETY: made by `make`, disconnected once, its cursors closed before.
        release(unsafe { Box::from_raw(table.cast::<Stored<T>>()) });
        code::OK
    }

    unsafe extern "C" fn destroy(table: *mut sqlite3_vtab) -> c_int {
        // SAFETY: a table of this module.
        let stored = unsafe { &*table.cast::<Stored<T>>() };
        match guarded(|| stored.inner.destroy(&stored.table.host())) {
            // SAFETY: where it succeeds SQLite does not use the table again.
            Ok(()) => unsafe { Self::disconnect(table) },
            Err(e) => stored.table.fail(&e),
        }
    }

    unsafe extern "C" fn best_index(
        table: *mut sqlite3_vtab,
        info: *mut sqlite3_index_info,
    ) -> c_int {
        const CONSTRAINT: c_int = 19;
        // SAFETY: SQLite's own structures, alive during the call.
        let (stored, mut info) = unsafe {
            let stored = &*table.cast::<Stored<T>>();
            (stored, IndexInfo::from_raw(stored.table.api(), &mut *info))
        };
        match guarded(|| stored.inner.plan(&mut info)) {
            Ok(true) => code::OK,
            Ok(false) => CONSTRAINT,
            Err(e) => stored.table.fail(&e),
        }
    }

    unsafe extern "C" fn open(
        table: *mut sqlite3_vtab,
        cursor: *mut *mut sqlite3_vtab_cursor,
    ) -> c_int {
        // SAFETY: a table of this module.
        let stored = unsafe { &*table.cast::<Stored<T>>() };
        match guarded(|| Ok(stored.inner.open())) {
            Ok(inner) => {
                let base = sqlite3_vtab_cursor {
                    pVtab: std::ptr::null_mut(),
                };
                // SAFETY: `cursor` is writable; a `Scan` begins with a `sqlite3_vtab_cursor`.
                unsafe { *cursor = Box::into_raw(Box::new(Scan { base, inner })).cast() };
                code::OK
            }
            Err(e) => stored.table.fail(&e),
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
        // SAFETY: a cursor of this module; the plan is the text that `plan` gave, a C string; there
        // are `count` values that live during the call.
        let (scan, stored, plan, values) = unsafe {
            let (scan, stored) = Self::parts(cursor);
            let plan = CStr::from_ptr(plan).to_string_lossy();
            (scan, stored, plan, raw_values(count, values))
        };
        let api = stored.table.api();
        // SAFETY: protected values that live during the call.
        let value = |&raw: &*mut sqlite3_value| unsafe { ValueRef::from_raw(api, raw) };
        let outcome = guarded(|| {
            let values: Vec<ValueRef<'_>> = values.iter().map(value).collect();
            let host = stored.table.host();
            scan.inner.filter(&stored.inner, &host, &plan, &values)
        });
        stored.report(outcome)
    }

    unsafe extern "C" fn next(cursor: *mut sqlite3_vtab_cursor) -> c_int {
        // SAFETY: a cursor of this module.
        let (scan, stored) = unsafe { Self::parts(cursor) };
        stored.report(guarded(|| {
            scan.inner.next(&stored.inner, &stored.table.host())
        }))
    }

    unsafe extern "C" fn eof(cursor: *mut sqlite3_vtab_cursor) -> c_int {
        // SAFETY: a cursor of this module.
        c_int::from(unsafe { Self::parts(cursor) }.0.inner.at_end())
    }

    unsafe extern "C" fn column(
        cursor: *mut sqlite3_vtab_cursor,
        context: *mut sqlite3_context,
        n: c_int,
    ) -> c_int {
        // SAFETY: a cursor of this module; the context is alive during the call.
        let (scan, stored, result, unchanged) = unsafe {
            let (scan, stored) = Self::parts(cursor);
            let api = stored.table.api();
            let unchanged = sqlite!(api, vtab_nochange(context)) != 0;
            (scan, stored, Context::from_raw(api, context), unchanged)
        };
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let host = stored.table.host();
        match guarded(|| scan.inner.column(&stored.inner, &host, n, unchanged)) {
            Ok(Some(output)) => result.give(Ok(output)),
            Ok(None) => {}
            Err(e) => result.give(Err(e)),
        }
        code::OK
    }

    unsafe extern "C" fn rowid(cursor: *mut sqlite3_vtab_cursor, rowid: *mut i64) -> c_int {
        // SAFETY: a cursor of this module; `rowid` is writable.
        unsafe { *rowid = Self::parts(cursor).0.inner.rowid() };
        code::OK
    }

    unsafe extern "C" fn update(
        table: *mut sqlite3_vtab,
        count: c_int,
        values: *mut *mut sqlite3_value,
        rowid: *mut i64,
    ) -> c_int {
        // SAFETY: a table of this module; `count` protected values that live during the call.
        let (stored, values) = unsafe {
            let stored = &*table.cast::<Stored<T>>();
            (stored, raw_values(count, values))
        };
        let host = stored.table.host();
        let api = stored.table.api();
        // Our own tables' rowids are not the application's.
        let last = host.db.last_insert_rowid();
        let outcome = guarded(|| {
            // SAFETY: protected values that live during the call.
            let value = |n: usize| unsafe { ValueRef::from_raw(api, values[n]) };
            // SAFETY: as for `value`.
            let columns = || unsafe { Columns::from_raw(api, &values[2..]) };
            let write = match (values.len(), value(0).is_null()) {
                (1, _) => Write::Delete(value(0)),
                (_, true) => Write::Insert(value(1), columns()),
                (_, false) => Write::Update(value(0), value(1), columns()),
            };
            stored.inner.write(&host, write)
        });
        host.db.set_last_insert_rowid(last);
        match outcome {
            Ok(id) => {
                // SAFETY: `rowid` is writable.
                unsafe { *rowid = id };
                code::OK
            }
            Err(e) => stored.table.fail(&e),
        }
    }

    unsafe extern "C" fn rename(table: *mut sqlite3_vtab, to: *const c_char) -> c_int {
        // SAFETY: a table of this module; the name is a C string.
        let (stored, to) = unsafe {
            let stored = &*table.cast::<Stored<T>>();
            (stored, CStr::from_ptr(to).to_string_lossy())
        };
        stored.report(guarded(|| stored.inner.rename(&stored.table.host(), &to)))
    }

    unsafe extern "C" fn shadow_name(suffix: *const c_char) -> c_int {
        // SAFETY: a C string.
        let suffix = unsafe { CStr::from_ptr(suffix) }.to_string_lossy();
        let is_one = |shadow: &&str| suffix.eq_ignore_ascii_case(shadow);
        c_int::from(T::SHADOWS.iter().any(is_one))
    }

    unsafe extern "C" fn integrity(
        table: *mut sqlite3_vtab,
        _schema: *const c_char,
        _name: *const c_char,
        quick: c_int,
        message: *mut *mut c_char,
    ) -> c_int {
        // SAFETY: a table of this module.
        let stored = unsafe { &*table.cast::<Stored<T>>() };
        let found = guarded(|| stored.inner.integrity(&stored.table.host(), quick & 1 != 0));
        let said = match found {
            Ok(said) => said,
            Err(e) if matches!(e.kind(), Kind::Interrupted | Kind::NoMemory) => {
                return result_code(e.kind());
            }
            Err(e) => Some(e.message().to_owned()),
        };
        if let Some(said) = said {
            // SAFETY: SQLite gives a place for the message, and frees it.
            unsafe { *message = stored.table.api().new_c_string(&said) };
        }
        code::OK
    }

    /// # Safety
    /// `cursor` was made by `open` of this module, and no other reference to it is in use: SQLite
    /// enters a cursor once at a time (nested SQL opens its own).
    unsafe fn parts<'a>(
        cursor: *mut sqlite3_vtab_cursor,
    ) -> (&'a mut Scan<T::Cursor>, &'a Stored<T>) {
        // SAFETY: the caller's contract; SQLite sets `pVtab` after `open`.
        unsafe { (&mut *cursor.cast(), &*(*cursor).pVtab.cast()) }
    }
}

impl<T> Stored<T> {
    fn report(&self, outcome: Result<()>) -> c_int {
        match outcome {
            Ok(()) => code::OK,
            Err(e) => self.table.fail(&e),
        }
    }
}

/// # Safety
/// `values` points to `count` elements that live as long as `'v`.
unsafe fn raw_values<'v>(
    count: c_int,
    values: *mut *mut sqlite3_value,
) -> &'v [*mut sqlite3_value] {
    match count {
        // SAFETY: the caller's contract.
        n @ 1.. => unsafe { std::slice::from_raw_parts(values, n as usize) },
        _ => &[],
    }
}

fn declare(db: &Connection<'_>, columns: &str) -> Result<()> {
    const CONSTRAINT_SUPPORT: c_int = 1;
    let sql = CString::new(columns).map_err(|e| Error::internal(e.to_string()))?;
    // SAFETY: called inside xCreate or xConnect, as both routines want; the text is a C string.
    let rc = unsafe {
        sqlite!(
            db.api(),
            vtab_config(db.raw(), CONSTRAINT_SUPPORT, 1 as c_int)
        );
        sqlite!(db.api(), declare_vtab(db.raw(), sql.as_ptr()))
    };
    if rc == code::OK {
        Ok(())
    } else {
        Err(db.error(rc))
    }
}
