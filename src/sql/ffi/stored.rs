//! Tables that are made with CREATE VIRTUAL TABLE, keep data, and can be written: what whoever writes
//! one implements, in safe Rust. [`super::module`] has the callbacks.

use super::api::Api;
use super::host::Host;
use super::plan::IndexInfo;
use super::table::RowCursor;
use super::value_ref::ValueRef;
use crate::error::Result;
use sqlite_loadable::ext::sqlite3_value;

/// What CREATE VIRTUAL TABLE said.
pub struct NewTable<'a> {
    /// The schema: `main`, or the name of an attached database.
    pub schema: &'a str,
    /// The table's name.
    pub name: &'a str,
    /// The arguments as they were written.
    pub arguments: Vec<&'a str>,
}

/// A write to one row.
pub enum Write<'v> {
    /// DELETE of a rowid.
    Delete(ValueRef<'v>),
    /// INSERT; the rowid is NULL where none was given.
    Insert(ValueRef<'v>, Columns<'v>),
    /// UPDATE: the rowid as it was, as it is to be, and the columns.
    Update(ValueRef<'v>, ValueRef<'v>, Columns<'v>),
}

/// The values of a write, one for each column of the table, hidden ones included.
#[derive(Clone, Copy)]
pub struct Columns<'v> {
    api: Api,
    raw: &'v [*mut sqlite3_value],
}

impl<'v> Columns<'v> {
    /// # Safety
    /// Protected values of this host that live as long as `'v`.
    pub(super) unsafe fn from_raw(api: Api, raw: &'v [*mut sqlite3_value]) -> Self {
        Columns { api, raw }
    }

    /// Column `n`.
    pub fn get(self, n: usize) -> ValueRef<'v> {
        // SAFETY: a protected value, alive as long as `'v`.
        unsafe { ValueRef::from_raw(self.api, self.raw[n]) }
    }
}

/// A table that keeps data.
pub trait StoredTable: Sized + Send + 'static {
    /// Name of the module.
    const NAME: &'static str;
    /// What follows `name_` in the names of its shadow tables.
    const SHADOWS: &'static [&'static str];
    /// Reads it.
    type Cursor: RowCursor<Self>;

    /// Makes it, with its shadow tables; and the CREATE TABLE text of its columns.
    ///
    /// # Errors
    /// Of the declaration, of SQLite.
    fn create(host: &Host<'_>, new: &NewTable<'_>) -> Result<(Self, String)>;
    /// Connects to one that is there.
    ///
    /// # Errors
    /// Of the declaration.
    fn connect(host: &Host<'_>, new: &NewTable<'_>) -> Result<(Self, String)>;
    /// DROP TABLE.
    ///
    /// # Errors
    /// Of SQLite.
    fn destroy(&self, host: &Host<'_>) -> Result<()>;
    /// Answers what SQLite asks about a query; `false`: impossible in this order of tables.
    ///
    /// # Errors
    /// None are usual: SQLite asks also about plans that it will not use.
    fn plan(&self, info: &mut IndexInfo<'_>) -> Result<bool>;
    /// A cursor, not yet on a row.
    fn open(&self) -> Self::Cursor;
    /// Writes one row; the rowid of an inserted one.
    ///
    /// # Errors
    /// Of the values, of SQLite.
    fn write(&self, host: &Host<'_>, write: Write<'_>) -> Result<i64>;
    /// ALTER TABLE ... RENAME.
    ///
    /// # Errors
    /// Of SQLite.
    fn rename(&self, host: &Host<'_>, to: &str) -> Result<()>;
    /// PRAGMA integrity_check (SQLite 3.44 and later): what is wrong, if anything.
    ///
    /// # Errors
    /// Where it cannot be found out.
    fn integrity(&self, host: &Host<'_>, quick: bool) -> Result<Option<String>>;
}
