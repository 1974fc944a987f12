//! Table functions: eponymous virtual tables that are called with arguments, `f(a, b)`.
//!
//! Whoever writes one implements [`TableFunction`] and [`Cursor`], in safe Rust; this file has the
//! callbacks, the plan and the memory. The plan is the same for all: every argument is a hidden
//! column that must be given by `=` (which is what `f(a, b)` means), in `idxNum` one bit for each
//! argument that is there.

use super::api::{Api, Connection, code, result_code, sqlite};
use super::function::{Context, name_it};
use super::guard::{guarded, release};
use super::host::{Host, Table, register};
use super::value::Value;
use super::value_ref::ValueRef;
use crate::error::{Error, Result};
use sqlite_loadable::ext::{
    sqlite3, sqlite3_context, sqlite3_index_info,
    sqlite3_index_info_sqlite3_index_constraint as Constraint,
    sqlite3_index_info_sqlite3_index_constraint_usage as Usage, sqlite3_module, sqlite3_value,
    sqlite3_vtab, sqlite3_vtab_cursor,
};
use std::ffi::{CString, c_char, c_int, c_void};
use std::marker::PhantomData;

/// A table function.
pub trait TableFunction: 'static {
    /// Its name in SQL.
    const NAME: &'static str;
    /// Columns that it gives, as in CREATE TABLE.
    const COLUMNS: &'static [&'static str];
    /// Arguments that it takes, in their order.
    const ARGUMENTS: &'static [&'static str];
    /// How many of them must be given.
    const REQUIRED: usize;
    /// Whether it may be used only by the application itself, never by a view or trigger.
    const DIRECT_ONLY: bool;
    /// What the calls of one statement share: it lives as long as the statement.
    type Shared: Default + Send + 'static;
    /// Rows of one call.
    type Cursor: Cursor;

    /// Starts a call. Absent optional arguments are `None`; NULL is a value.
    ///
    /// # Errors
    /// Of the arguments.
    fn call(call: &Call<'_>, shared: &mut Self::Shared) -> Result<Self::Cursor>;
}

/// The rows of one call, one at a time.
pub trait Cursor: Send + 'static {
    /// Goes to the next row (the first, at the first call); `false` at the end.
    ///
    /// # Errors
    /// Whatever goes wrong on the way.
    fn advance(&mut self, host: &Host<'_>) -> Result<bool>;

    /// A column of the present row, by its place in [`TableFunction::COLUMNS`].
    ///
    /// # Errors
    /// Of the conversion.
    fn column(&self, n: usize) -> Result<Value>;
}

/// The arguments of a call.
pub struct Call<'c> {
    /// See [`Host`].
    pub host: Host<'c>,
    arguments: Vec<Option<ValueRef<'c>>>,
}

impl<'c> Call<'c> {
    /// The `n`th argument, if it was given.
    pub fn argument(&self, n: usize) -> Option<ValueRef<'c>> {
        self.arguments[n]
    }
}

impl Connection<'_> {
    /// Registers a table function.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn define_table<T: TableFunction>(&self) -> Result<()> {
        // SAFETY: the module is static.
        unsafe { register(self, T::NAME, &Callbacks::<T>::MODULE) }
    }
}

/// A cursor, as SQLite sees it: its own part first.
#[repr(C)]
struct Rows<T: TableFunction> {
    base: sqlite3_vtab_cursor,
    shared: T::Shared,
    arguments: Vec<Option<Value>>,
    cursor: Option<T::Cursor>,
    rowid: i64,
    at_end: bool,
}

struct Callbacks<T>(PhantomData<T>);

impl<T: TableFunction> Callbacks<T> {
    const MODULE: sqlite3_module = sqlite3_module {
        iVersion: 0,
        // No xCreate: the table is there without CREATE VIRTUAL TABLE, and cannot be made with it.
        xCreate: None,
        xConnect: Some(Self::connect),
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

    unsafe extern "C" fn connect(
        db: *mut sqlite3,
        data: *mut c_void,
        _count: c_int,
        _arguments: *const *const c_char,
        table: *mut *mut sqlite3_vtab,
        message: *mut *mut c_char,
    ) -> c_int {
        // SAFETY: `data` is what `define_table` registered; the connection is open.
        let (api, connection) = unsafe {
            let api = *data.cast::<Api>();
            (api, Connection::from_raw(api, db))
        };
        if let Err(e) = guarded(|| declare::<T>(&connection)) {
            // SAFETY: SQLite gives a place for the message, and frees it.
            unsafe { *message = api.new_c_string(e.message()) };
            return result_code(e.kind());
        }
        let made = Box::new(Table::new(connection));
        // SAFETY: `table` is writable; a `Table` begins with a `sqlite3_vtab`.
        unsafe { *table = Box::into_raw(made).cast() };
        code::OK
    }

    unsafe extern "C" fn disconnect(table: *mut sqlite3_vtab) -> c_int {
        // SAFETY: made by `connect`, disconnected once, its cursors closed before.
        release(unsafe { Box::from_raw(table.cast::<Table>()) });
        code::OK
    }

    unsafe extern "C" fn best_index(
        table: *mut sqlite3_vtab,
        info: *mut sqlite3_index_info,
    ) -> c_int {
        // SAFETY: SQLite's own structures, alive during the call.
        let (table, info) = unsafe { (&*table.cast::<Table>(), &mut *info) };
        match guarded(|| Ok(plan::<T>(info))) {
            Ok(Plan::Possible) => code::OK,
            Ok(Plan::Impossible) => CONSTRAINT,
            Err(e) => table.fail(&e),
        }
    }

    unsafe extern "C" fn open(
        _: *mut sqlite3_vtab,
        cursor: *mut *mut sqlite3_vtab_cursor,
    ) -> c_int {
        let rows = Box::new(Rows::<T> {
            base: sqlite3_vtab_cursor {
                pVtab: std::ptr::null_mut(),
            },
            shared: T::Shared::default(),
            arguments: Vec::new(),
            cursor: None,
            rowid: 0,
            at_end: true,
        });
        // SAFETY: `cursor` is writable; `Rows` begins with a `sqlite3_vtab_cursor`.
        unsafe { *cursor = Box::into_raw(rows).cast() };
        code::OK
    }

    unsafe extern "C" fn close(cursor: *mut sqlite3_vtab_cursor) -> c_int {
        // SAFETY: made by `open`, closed once.
        release(unsafe { Box::from_raw(cursor.cast::<Rows<T>>()) });
        code::OK
    }

    unsafe extern "C" fn filter(
        cursor: *mut sqlite3_vtab_cursor,
        plan: c_int,
        _: *const c_char,
        count: c_int,
        values: *mut *mut sqlite3_value,
    ) -> c_int {
        // SAFETY: a cursor of this module; `count` values that live during the call.
        let (rows, table, values) = unsafe {
            let (rows, table) = parts::<T>(cursor);
            let values: &[*mut sqlite3_value] = match count {
                0 => &[],
                n => std::slice::from_raw_parts(values, n as usize),
            };
            (rows, table, values)
        };
        let mut given = values.iter();
        let take = |n: usize| {
            let present = plan & (1 << n) != 0;
            // SAFETY: a protected value that lives during the call.
            let value = |&raw: &*mut sqlite3_value| unsafe { ValueRef::from_raw(table.api(), raw) };
            if present {
                given.next().map(value)
            } else {
                None
            }
        };
        let arguments: Vec<Option<ValueRef<'_>>> = (0..T::ARGUMENTS.len()).map(take).collect();
        rows.cursor = None;
        rows.rowid = 0;
        rows.at_end = true;
        let started = guarded(|| {
            missing::<T>(plan)?;
            let copies = arguments
                .iter()
                .map(|v| v.map(ValueRef::to_value).transpose());
            rows.arguments = copies.collect::<Result<_>>()?;
            T::call(
                &Call {
                    host: table.host(),
                    arguments,
                },
                &mut rows.shared,
            )
        });
        match started {
            Ok(cursor) => rows.cursor = Some(cursor),
            Err(e) => return table.fail(&name_it(e, T::NAME)),
        }
        Self::step(rows, table)
    }

    unsafe extern "C" fn next(cursor: *mut sqlite3_vtab_cursor) -> c_int {
        // SAFETY: a cursor of this module.
        let (rows, table) = unsafe { parts::<T>(cursor) };
        Self::step(rows, table)
    }

    fn step(rows: &mut Rows<T>, table: &Table) -> c_int {
        let Some(cursor) = &mut rows.cursor else {
            return code::OK;
        };
        rows.rowid += 1;
        match guarded(|| cursor.advance(&table.host())) {
            Ok(more) => {
                rows.at_end = !more;
                code::OK
            }
            Err(e) => {
                rows.at_end = true;
                table.fail(&name_it(e, T::NAME))
            }
        }
    }

    unsafe extern "C" fn eof(cursor: *mut sqlite3_vtab_cursor) -> c_int {
        // SAFETY: a cursor of this module.
        c_int::from(unsafe { &*cursor.cast::<Rows<T>>() }.at_end)
    }

    unsafe extern "C" fn column(
        cursor: *mut sqlite3_vtab_cursor,
        context: *mut sqlite3_context,
        n: c_int,
    ) -> c_int {
        // SAFETY: a cursor of this module; the context is alive during the call.
        let (rows, context) = unsafe {
            let (rows, table) = parts::<T>(cursor);
            (&*rows, Context::from_raw(table.api(), context))
        };
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        let output = guarded(|| match (&rows.cursor, n.checked_sub(T::COLUMNS.len())) {
            (Some(cursor), None) => cursor.column(n),
            // SQLite may compare a hidden column again with what was given for it.
            (Some(_), Some(argument)) => Ok(rows
                .arguments
                .get(argument)
                .cloned()
                .flatten()
                .unwrap_or(Value::Null)),
            (None, _) => Ok(Value::Null),
        });
        context.give(output.map_err(|e| name_it(e, T::NAME)));
        code::OK
    }

    unsafe extern "C" fn rowid(cursor: *mut sqlite3_vtab_cursor, rowid: *mut i64) -> c_int {
        // SAFETY: a cursor of this module; `rowid` is writable.
        unsafe { *rowid = (*cursor.cast::<Rows<T>>()).rowid };
        code::OK
    }
}

/// # Safety
/// `cursor` was made by `open` of this module, and no other reference to it is in use: SQLite enters
/// a cursor once at a time (nested SQL opens its own).
unsafe fn parts<'a, T: TableFunction>(
    cursor: *mut sqlite3_vtab_cursor,
) -> (&'a mut Rows<T>, &'a Table) {
    // SAFETY: the caller's contract; SQLite sets `pVtab` after `open`.
    unsafe { (&mut *cursor.cast(), &*(*cursor).pVtab.cast()) }
}

fn declare<T: TableFunction>(db: &Connection<'_>) -> Result<()> {
    const DIRECTONLY: c_int = 3;
    let arguments: Vec<String> = T::ARGUMENTS
        .iter()
        .map(|name| format!("{name} HIDDEN"))
        .collect();
    let columns: Vec<&str> = T::COLUMNS
        .iter()
        .copied()
        .chain(arguments.iter().map(String::as_str))
        .collect();
    let sql = CString::new(format!("CREATE TABLE x({})", columns.join(", ")))
        .map_err(|e| Error::internal(e.to_string()))?;
    // SAFETY: called inside xConnect, as both routines want; the text is a C string.
    let rc = unsafe {
        if T::DIRECT_ONLY {
            sqlite!(db.api(), vtab_config(db.raw(), DIRECTONLY));
        }
        sqlite!(db.api(), declare_vtab(db.raw(), sql.as_ptr()))
    };
    if rc == code::OK {
        Ok(())
    } else {
        Err(db.error(rc))
    }
}

const CONSTRAINT: c_int = 19;

enum Plan {
    Possible,
    /// An argument comes from a table that this plan reads later: the planner must reorder.
    Impossible,
}

fn plan<T: TableFunction>(info: &mut sqlite3_index_info) -> Plan {
    const EQ: u8 = 2;
    let count = usize::try_from(info.nConstraint).unwrap_or(0);
    let (mut constraints, mut usage): (&[Constraint], &mut [Usage]) = (&[], &mut []);
    if count > 0 {
        // SAFETY: SQLite passes two arrays of `nConstraint` elements.
        unsafe {
            constraints = std::slice::from_raw_parts(info.aConstraint, count);
            usage = std::slice::from_raw_parts_mut(info.aConstraintUsage, count);
        }
    }
    let (mut given, mut values) = (0, 0);
    for argument in 0..T::ARGUMENTS.len() {
        let column = (T::COLUMNS.len() + argument) as c_int;
        let is_ours = |i: &usize| constraints[*i].iColumn == column && constraints[*i].op == EQ;
        let mut ours = (0..count).filter(is_ours).peekable();
        if ours.peek().is_none() {
            continue;
        }
        let Some(usable) = ours.find(|&i| constraints[i].usable != 0) else {
            return Plan::Impossible;
        };
        values += 1;
        given |= 1 << argument;
        usage[usable].argvIndex = values;
        usage[usable].omit = 1;
    }
    info.idxNum = given;
    // So dear that a join makes it the outer loop: it is scanned once. SQLite also plans parts of a
    // query that lack the argument (one side of an OR): not impossible, but never worth it.
    let complete = missing::<T>(given).is_ok();
    info.estimatedCost = if complete { 1e9 } else { 1e99 };
    info.estimatedRows = if complete { 1000 } else { i64::MAX };
    Plan::Possible
}

fn missing<T: TableFunction>(given: c_int) -> Result<()> {
    match (0..T::REQUIRED).find(|n| given & (1 << n) == 0) {
        None => Ok(()),
        Some(n) => {
            let call = format!("{}({})", T::NAME, T::ARGUMENTS.join(", "));
            Err(Error::invalid(format!(
                "argument {} is missing; it is called as {call}",
                n + 1
            )))
        }
    }
}
