//! What SQLite asks a virtual table about a query (`xBestIndex`), and the answer, in safe Rust.

use super::api::{Api, code, sqlite};
use crate::error::Result;
use crate::memory::out_of_memory;
use sqlite_loadable::ext::{
    sqlite3_index_info, sqlite3_index_info_sqlite3_index_constraint as Constraint,
    sqlite3_index_info_sqlite3_index_constraint_usage as Usage,
    sqlite3_index_info_sqlite3_index_orderby as OrderBy, sqlite3_value,
};
use std::ffi::{CStr, c_int};

/// A term of the WHERE clause that SQLite offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// The column's number; -1 is the rowid.
    pub column: i32,
    /// `SQLITE_INDEX_CONSTRAINT_...`.
    pub operator: u8,
    /// Whether its value is known before the table is read, in the plan that is asked about.
    pub usable: bool,
}

/// See the module.
pub struct IndexInfo<'i> {
    api: Api,
    raw: &'i mut sqlite3_index_info,
    /// Whether SQLite had no memory for the text of the answer.
    out_of_memory: bool,
}

impl<'i> IndexInfo<'i> {
    /// # Safety
    /// SQLite's own structure, inside `xBestIndex`.
    pub(super) unsafe fn from_raw(api: Api, raw: &'i mut sqlite3_index_info) -> Self {
        IndexInfo {
            api,
            raw,
            out_of_memory: false,
        }
    }

    fn constraints(&self) -> &[Constraint] {
        match self.raw.nConstraint {
            // SAFETY: SQLite passes an array of `nConstraint` elements.
            n @ 1.. => unsafe { std::slice::from_raw_parts(self.raw.aConstraint, n as usize) },
            _ => &[],
        }
    }

    /// The terms offered.
    pub fn terms(&self) -> Vec<Term> {
        let term = |c: &Constraint| Term {
            column: c.iColumn,
            operator: c.op,
            usable: c.usable != 0,
        };
        self.constraints().iter().map(term).collect()
    }

    /// The collation that a term compares with.
    pub fn collation(&mut self, term: usize) -> String {
        // SAFETY: `term` is one of the terms; the name lives as long as the call of xBestIndex.
        unsafe {
            let name = sqlite!(self.api, vtab_collation(self.raw, term as c_int));
            if name.is_null() {
                return "BINARY".to_owned();
            }
            CStr::from_ptr(name).to_string_lossy().into_owned()
        }
    }

    /// Whether a term's right-hand side is a literal of the statement, so that its value is known
    /// while the statement is prepared. A parameter is none, and neither is another table's column.
    pub fn rhs_is_literal(&mut self, term: usize) -> bool {
        assert!(term < self.constraints().len());
        let mut value: *mut sqlite3_value = std::ptr::null_mut();
        // SAFETY: `term` is one of the terms; the value is not used, only asked for.
        let rc = unsafe {
            sqlite!(
                self.api,
                vtab_rhs_value(self.raw, term as c_int, &mut value)
            )
        };
        rc == code::OK && !value.is_null()
    }

    /// Whether a term is an `IN` whose values can be had all at once.
    pub fn can_take_all(&mut self, term: usize) -> bool {
        // SAFETY: `term` is one of the terms; -1 only asks.
        unsafe { sqlite!(self.api, vtab_in(self.raw, term as c_int, -1)) != 0 }
    }

    /// The ORDER BY wanted: column (-1: rowid) and whether it descends.
    pub fn order(&self) -> Vec<(i32, bool)> {
        let terms: &[OrderBy] = match self.raw.nOrderBy {
            // SAFETY: SQLite passes an array of `nOrderBy` elements.
            n @ 1.. => unsafe { std::slice::from_raw_parts(self.raw.aOrderBy, n as usize) },
            _ => &[],
        };
        terms.iter().map(|t| (t.iColumn, t.desc != 0)).collect()
    }

    /// Has a term's value passed to `filter` as its argument `argument` (from 0). With `omit` SQLite
    /// does not check the term again; with `all` the value stands for all values of an `IN`.
    pub fn take(&mut self, term: usize, argument: usize, omit: bool, all: bool) {
        assert!(term < self.constraints().len());
        // SAFETY: SQLite passes an array of `nConstraint` elements; `term` is one of them.
        unsafe {
            let usage: &mut Usage = &mut *self.raw.aConstraintUsage.add(term);
            usage.argvIndex = argument as c_int + 1;
            usage.omit = u8::from(omit);
            if all {
                sqlite!(self.api, vtab_in(self.raw, term as c_int, 1));
            }
        }
    }

    /// The plan: what `filter` gets as text, and what the planner wants to know of it.
    pub fn answer(&mut self, text: &str, cost: f64, rows: i64, ordered: bool, unique: bool) {
        const SCAN_UNIQUE: c_int = 1;
        self.raw.idxStr = self.api.new_c_string(text);
        self.raw.needToFreeIdxStr = 1;
        self.out_of_memory = self.raw.idxStr.is_null();
        self.raw.estimatedCost = cost;
        self.raw.estimatedRows = rows;
        self.raw.orderByConsumed = c_int::from(ordered);
        self.raw.idxFlags = if unique { SCAN_UNIQUE } else { 0 };
    }

    /// # Errors
    /// Out of memory, if there was none for the answer.
    pub(super) fn check_memory(&self) -> Result<()> {
        if self.out_of_memory {
            return Err(out_of_memory());
        }
        Ok(())
    }
}
