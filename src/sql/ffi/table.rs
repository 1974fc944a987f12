//! What every virtual table of ours offers to SQLite, whether it keeps data or is called like a
//! function. [`super::callbacks`] is written once over these two traits.

use super::host::Host;
use super::plan::IndexInfo;
use super::value::Value;
use super::value_ref::ValueRef;
use crate::error::Result;

/// A table that can be planned and scanned.
pub trait Table: Sized + 'static {
    /// Reads it.
    type Cursor: RowCursor<Self>;

    /// Answers what SQLite asks about a query; `false`: impossible in this order of tables.
    ///
    /// # Errors
    /// None are usual: SQLite asks also about plans that it will not use.
    fn plan(&self, info: &mut IndexInfo<'_>) -> Result<bool>;
    /// A cursor, not yet on a row.
    fn open(&self) -> Self::Cursor;
}

/// The rows of one scan.
pub trait RowCursor<T>: Send + 'static {
    /// Starts a scan and goes to its first row. `plan` is the text that the table's plan gave.
    ///
    /// # Errors
    /// Of the values, and whatever goes wrong on the way.
    fn filter(
        &mut self,
        table: &T,
        host: &Host<'_>,
        plan: &str,
        values: &[ValueRef<'_>],
    ) -> Result<()>;
    /// Goes to the next row.
    ///
    /// # Errors
    /// Whatever goes wrong on the way.
    fn next(&mut self, table: &T, host: &Host<'_>) -> Result<()>;
    /// Whether there is no row.
    fn at_end(&self) -> bool;
    /// The present row's.
    fn rowid(&self) -> i64;
    /// Column `n` of the present row. `None` gives no value at all, which is only allowed where an
    /// UPDATE leaves the column as it is (`unchanged`).
    ///
    /// # Errors
    /// Whatever goes wrong on the way.
    fn column(
        &mut self,
        table: &T,
        host: &Host<'_>,
        n: usize,
        unchanged: bool,
    ) -> Result<Option<Value>>;
}
