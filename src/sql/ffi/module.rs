//! The module of [`super::stored`] tables: how they are made, connected, written, renamed, checked
//! and dropped. What they share with table functions is in [`super::callbacks`].

use super::access::Access;
use super::api::{Connection, code, result_code, sqlite};
use super::callbacks::{Callbacks, Connected, connect, elements, register};
use super::guard::guarded;
use super::host::Host;
use super::plan::IndexInfo;
use super::stored::{Columns, NewTable, StoredTable, Write};
use super::table::Table;
use super::value_ref::ValueRef;
use crate::error::{Error, Kind, Result};
use sqlite_loadable::ext::{sqlite3, sqlite3_module, sqlite3_value, sqlite3_vtab};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

impl Connection<'_> {
    /// Registers a module of stored tables. With [`Access::ReadOnly`] they can be read and checked,
    /// and nothing else.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn define_module<T: StoredTable>(&self, access: Access) -> Result<()> {
        // The whole of it: a new enough SQLite reads beyond the first part.
        let module = std::ptr::from_ref(Storing::<T>::MODULE).cast::<sqlite3_module>();
        // SAFETY: the module is static, and long enough for version 4.
        unsafe { register(self, access, T::NAME, module) }
    }
}

impl<T: StoredTable> Table for T {
    type Cursor = T::Cursor;

    fn plan(&self, info: &mut IndexInfo<'_>) -> Result<bool> {
        StoredTable::plan(self, info)
    }

    fn open(&self) -> Self::Cursor {
        StoredTable::open(self)
    }
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

/// The callbacks that only a stored table has.
struct Storing<T>(PhantomData<T>);

impl<T: StoredTable> Storing<T> {
    // Every write goes through at once, so transactions need nothing from us.
    const MODULE: &'static Module = &Module {
        base: sqlite3_module {
            iVersion: 4,
            xCreate: Some(Self::create),
            xConnect: Some(Self::connect),
            xDestroy: Some(Self::destroy),
            xUpdate: Some(Self::update),
            xRename: Some(Self::rename),
            xShadowName: Some(Self::shadow_name),
            ..Callbacks::<T>::READING
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
        unsafe {
            Self::make(
                Self::create_if_allowed,
                db,
                data,
                (count, arguments),
                table,
                message,
            )
        }
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

    fn create_if_allowed(host: &Host<'_>, new: &NewTable<'_>) -> Result<(T, String)> {
        check_writable(host)?;
        T::create(host, new)
    }

    unsafe fn make(
        how: fn(&Host<'_>, &NewTable<'_>) -> Result<(T, String)>,
        db: *mut sqlite3,
        data: *mut c_void,
        (count, arguments): (c_int, *const *const c_char),
        table: *mut *mut sqlite3_vtab,
        message: *mut *mut c_char,
    ) -> c_int {
        // SAFETY: SQLite passes `count` C strings, three at least, that live during the call.
        let arguments = unsafe { elements(count, arguments) };
        let make = |host: &Host<'_>| {
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
            how(host, &new)
        };
        // SAFETY: as SQLite calls xCreate and xConnect.
        unsafe { connect(db, data, table, message, make, support_constraints) }
    }

    unsafe extern "C" fn destroy(table: *mut sqlite3_vtab) -> c_int {
        // SAFETY: a table of this module.
        let connected = unsafe { Connected::<T>::from_raw(table) };
        match guarded(|| {
            let host = connected.host();
            check_writable(&host)?;
            connected.inner.destroy(&host)
        }) {
            // SAFETY: where it succeeds SQLite does not use the table again.
            Ok(()) => unsafe { Callbacks::<T>::disconnect(table) },
            Err(e) => connected.fail(&e),
        }
    }

    unsafe extern "C" fn update(
        table: *mut sqlite3_vtab,
        count: c_int,
        values: *mut *mut sqlite3_value,
        rowid: *mut i64,
    ) -> c_int {
        // SAFETY: a table of this module; `count` protected values that live during the call.
        let (table, values) = unsafe {
            let table = Connected::<T>::from_raw(table);
            (table, elements(count, values.cast_const()))
        };
        let (host, api) = (table.host(), table.api());
        // Our own tables' rowids are not the application's.
        let last = host.db.last_insert_rowid();
        let outcome = guarded(|| {
            check_writable(&host)?;
            // SAFETY: protected values that live during the call.
            let value = |n: usize| unsafe { ValueRef::from_raw(api, values[n]) };
            // SAFETY: as for `value`.
            let columns = || unsafe { Columns::from_raw(api, &values[2..]) };
            let write = match (values.len(), value(0).is_null()) {
                (1, _) => Write::Delete(value(0)),
                (_, true) => Write::Insert(value(1), columns()),
                (_, false) => Write::Update(value(0), value(1), columns()),
            };
            table.inner.write(&host, write)
        });
        host.db.set_last_insert_rowid(last);
        match outcome {
            Ok(id) => {
                // SAFETY: `rowid` is writable.
                unsafe { *rowid = id };
                code::OK
            }
            Err(e) => table.fail(&e),
        }
    }

    unsafe extern "C" fn rename(table: *mut sqlite3_vtab, to: *const c_char) -> c_int {
        // SAFETY: a table of this module; the name is a C string.
        let (table, to) = unsafe {
            let table = Connected::<T>::from_raw(table);
            (table, CStr::from_ptr(to).to_string_lossy())
        };
        table.report(guarded(|| {
            let host = table.host();
            check_writable(&host)?;
            table.inner.rename(&host, &to)
        }))
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
        let table = unsafe { Connected::<T>::from_raw(table) };
        let found = guarded(|| table.inner.integrity(&table.host(), quick & 1 != 0));
        let said = match found {
            Ok(said) => said,
            Err(e) if matches!(e.kind(), Kind::Interrupted | Kind::NoMemory) => {
                return result_code(e.kind());
            }
            Err(e) => Some(e.message().to_owned()),
        };
        if let Some(said) = said {
            let said = table.api().new_c_string(&said);
            // To SQLite, no message is a table without faults.
            if said.is_null() {
                return code::NOMEM;
            }
            // SAFETY: SQLite gives a place for the message, and frees it.
            unsafe { *message = said };
        }
        code::OK
    }
}

fn check_writable(host: &Host<'_>) -> Result<()> {
    match host.access {
        Access::Full => Ok(()),
        // SQLite has words of its own for this code, where it does not take ours (DROP TABLE).
        Access::ReadOnly => Err(Error::new(
            Kind::Host(code::READONLY),
            "this connection has loaded sqlite-bge read-only: an index can be searched here, and not \
             made, written, renamed or dropped",
        )),
    }
}

/// Lets `OR REPLACE` and the other clauses be answered by the table itself.
fn support_constraints(db: &Connection<'_>) {
    const CONSTRAINT_SUPPORT: c_int = 1;
    // SAFETY: called inside xCreate or xConnect, as SQLite wants.
    unsafe {
        sqlite!(
            db.api(),
            vtab_config(db.raw(), CONSTRAINT_SUPPORT, 1 as c_int)
        )
    };
}
