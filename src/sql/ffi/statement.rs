//! Nested SQL on the caller's own connection: sees what the running statement sees.

use super::api::{Connection, bytes, code, sqlite, transient};
use super::value::Value;
use super::value_ref::{Type, ValueRef};
use crate::error::{Error, Kind, Result};
use crate::memory::copy;
use crate::sql::lexer::skip_blanks;
use sqlite_loadable::ext::sqlite3_stmt;
use std::ffi::{CStr, CString, c_int};

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

/// What to do about a rowid that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Take its place.
    Replace,
    /// Say so: SQLite then does what the OR clause wants.
    Fail,
}

impl<'c> Statement<'c> {
    /// Prepares the one statement that the text holds.
    ///
    /// # Errors
    /// What SQLite says; no statement at all, or a second one.
    pub fn prepare(db: Connection<'c>, sql: &str) -> Result<Self> {
        Ok(Self::prepare_one(db, sql)?.0)
    }

    /// [`Self::prepare`], and the statement's own part of the text.
    ///
    /// # Errors
    /// As there.
    pub fn prepare_one<'s>(db: Connection<'c>, sql: &'s str) -> Result<(Self, &'s str)> {
        if let Some(at) = sql.find('\0') {
            return Err(Error::invalid(format!(
                "the SQL has a NUL character at byte {at}"
            )));
        }
        let (statement, tail) = Self::prepare_first(db, sql)?;
        let Some(statement) = statement else {
            return Err(Error::invalid("the SQL holds no statement"));
        };
        // Looked at, not prepared: some statements act when they are.
        if skip_blanks(tail).is_empty() {
            return Ok((statement, &sql[..sql.len() - tail.len()]));
        }
        Err(Error::invalid(format!(
            "the SQL holds more than one statement, expected one; the second begins: {}",
            tail.trim().chars().take(40).collect::<String>()
        )))
    }

    /// The first statement of a text (none, if there are only blanks and comments), and the rest.
    fn prepare_first<'s>(db: Connection<'c>, sql: &'s str) -> Result<(Option<Self>, &'s str)> {
        let length = c_int::try_from(sql.len())
            .map_err(|_| Error::new(Kind::TooBig, "the SQL is too long"))?;
        let mut raw = std::ptr::null_mut();
        let mut tail = std::ptr::null();
        // SAFETY: the connection is open; the text has `length` bytes; both places are writable.
        let rc = unsafe {
            sqlite!(
                db.api(),
                prepare_v3(
                    db.raw(),
                    sql.as_ptr().cast(),
                    length,
                    0,
                    &mut raw,
                    &mut tail
                )
            )
        };
        if rc != code::OK {
            return Err(db.error(rc));
        }
        let used = if tail.is_null() {
            sql.len()
        } else {
            tail as usize - sql.as_ptr() as usize
        };
        let statement = (!raw.is_null()).then_some(Statement { db, raw });
        Ok((statement, sql.get(used..).unwrap_or("")))
    }

    /// Whether it writes nothing to the database.
    pub fn is_read_only(&self) -> bool {
        // SAFETY: the statement is alive.
        unsafe { sqlite!(self.db.api(), stmt_readonly(self.raw)) != 0 }
    }

    /// How many columns its rows have; 0 if it gives none.
    pub fn columns(&self) -> usize {
        // SAFETY: the statement is alive.
        let count = unsafe { sqlite!(self.db.api(), column_count(self.raw)) };
        usize::try_from(count).unwrap_or(0)
    }

    /// The largest number of a parameter.
    pub fn parameters(&self) -> usize {
        // SAFETY: the statement is alive.
        let count = unsafe { sqlite!(self.db.api(), bind_parameter_count(self.raw)) };
        usize::try_from(count).unwrap_or(0)
    }

    /// Binds a copy of a value to parameter `?n`, from 1.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn bind_ref(&mut self, n: usize, value: ValueRef<'_>) -> Result<()> {
        // SAFETY: statement and value are alive; SQLite copies the value.
        let rc = unsafe { sqlite!(self.db.api(), bind_value(self.raw, n as c_int, value.raw())) };
        if rc == code::OK {
            Ok(())
        } else {
            Err(self.db.error(rc))
        }
    }

    /// Binds a copy of a value of ours to parameter `?n`, from 1.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn bind(&mut self, n: usize, value: &Value) -> Result<()> {
        const UTF8: u8 = 1;
        let (api, raw, n) = (self.db.api(), self.raw, n as c_int);
        // SAFETY: the statement is alive; SQLite copies text and BLOBs.
        let rc = unsafe {
            match value {
                Value::Null => sqlite!(api, bind_null(raw, n)),
                Value::Integer(i) => sqlite!(api, bind_int64(raw, n, *i)),
                Value::Real(x) => sqlite!(api, bind_double(raw, n, *x)),
                Value::Text(text) => {
                    let (start, length) = (text.as_ptr().cast(), text.len() as u64);
                    sqlite!(api, bind_text64(raw, n, start, length, transient(), UTF8))
                }
                Value::Blob(bytes) => {
                    let (start, length) = (bytes.as_ptr().cast(), bytes.len() as u64);
                    sqlite!(api, bind_blob64(raw, n, start, length, transient()))
                }
            }
        };
        if rc == code::OK {
            Ok(())
        } else {
            Err(self.db.error(rc))
        }
    }

    /// Binds a BLOB without a copy of ours.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn bind_bytes(&mut self, n: usize, bytes: &[u8]) -> Result<()> {
        let (start, length) = (bytes.as_ptr().cast(), bytes.len() as u64);
        // SAFETY: the statement is alive; SQLite copies the bytes.
        let rc = unsafe {
            let raw = self.raw;
            sqlite!(
                self.db.api(),
                bind_blob64(raw, n as c_int, start, length, transient())
            )
        };
        if rc == code::OK {
            Ok(())
        } else {
            Err(self.db.error(rc))
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

    /// Column `n` (from 0) of the present row as an integer, or `None` if it is of another type.
    pub fn integer(&self, n: usize) -> Option<i64> {
        let n = n as c_int;
        // SAFETY: the statement is alive and stands on a row.
        unsafe {
            let kind = Type::from_code(sqlite!(self.db.api(), column_type(self.raw, n)));
            (kind == Type::Integer).then(|| sqlite!(self.db.api(), column_int64(self.raw, n)))
        }
    }

    /// The bytes of column `n` of the present row, where it is a BLOB; not copied.
    ///
    /// # Errors
    /// Out of memory.
    pub fn blob(&self, n: usize) -> Result<Option<&[u8]>> {
        let n = n as c_int;
        // SAFETY: the statement is alive and stands on a row; nobody can step or reset it while the
        // bytes are borrowed, and other columns are read without converting this one.
        unsafe {
            let api = self.db.api();
            if Type::from_code(sqlite!(api, column_type(self.raw, n))) != Type::Blob {
                return Ok(None);
            }
            let start = sqlite!(api, column_blob(self.raw, n)).cast();
            let length = sqlite!(api, column_bytes(self.raw, n));
            Ok(Some(bytes(start, length, false)?))
        }
    }

    /// A copy of column `n` (from 0) of the present row.
    ///
    /// # Errors
    /// Out of memory.
    pub fn column(&self, n: usize) -> Result<Value> {
        let n = n as c_int;
        // SAFETY: the statement is alive and stands on a row; text and blob are asked for before
        // their length, and copied before the next call.
        unsafe {
            let api = self.db.api();
            Ok(
                match Type::from_code(sqlite!(api, column_type(self.raw, n))) {
                    Type::Null => Value::Null,
                    Type::Integer => Value::Integer(sqlite!(api, column_int64(self.raw, n))),
                    Type::Real => Value::Real(sqlite!(api, column_double(self.raw, n))),
                    Type::Text => {
                        let start = sqlite!(api, column_text(self.raw, n));
                        Value::Text(self.copy(start, n, true)?)
                    }
                    Type::Blob => {
                        let start = sqlite!(api, column_blob(self.raw, n)).cast();
                        Value::Blob(self.copy(start, n, false)?)
                    }
                },
            )
        }
    }

    /// The text of a number in column `n`, as SQL converts it. Call it after [`Self::column`]: SQLite
    /// converts in place.
    ///
    /// # Errors
    /// Out of memory.
    pub fn number_as_text(&self, n: usize) -> Result<String> {
        let n = n as c_int;
        // SAFETY: as in `column`.
        let bytes = unsafe {
            let start = sqlite!(self.db.api(), column_text(self.raw, n));
            self.copy(start, n, true)?
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// # Safety
    /// `start` is what SQLite gave for column `n`, not used for anything since.
    unsafe fn copy(&self, start: *const u8, n: c_int, is_text: bool) -> Result<Vec<u8>> {
        // SAFETY: the caller's contract; the bytes are copied before the next call.
        unsafe {
            let length = sqlite!(self.db.api(), column_bytes(self.raw, n));
            copy(bytes(start, length, is_text)?)
        }
    }

    /// Back to the start. (The error of an earlier step was reported by that step.)
    pub fn reset(&mut self) {
        // SAFETY: the statement is alive.
        unsafe { sqlite!(self.db.api(), reset(self.raw)) };
    }
}

// SAFETY: SQLite lets a connection and its statements go from thread to thread, as long as one uses
// them at a time; a host that runs our callbacks holds to that.
unsafe impl Send for Statement<'_> {}

impl Drop for Statement<'_> {
    fn drop(&mut self) {
        // SAFETY: alive until here, and finalised once.
        unsafe { sqlite!(self.db.api(), finalize(self.raw)) };
    }
}

/// What a connection holds of a database file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// Nothing.
    None,
    /// A snapshot.
    Read,
    /// The right to write.
    Write,
}

impl Connection<'_> {
    /// Runs statements that give no rows that matter, without parameters.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn execute(&self, sql: &str) -> Result<()> {
        let mut rest = sql;
        loop {
            let (statement, tail) = Statement::prepare_first(*self, rest)?;
            if let Some(mut statement) = statement {
                while statement.step()? == Row::Ready {}
            }
            if skip_blanks(tail).is_empty() {
                return Ok(());
            }
            rest = tail;
        }
    }

    /// Whether no transaction was begun with BEGIN.
    pub fn is_autocommit(&self) -> bool {
        // SAFETY: the connection is open.
        unsafe { sqlite!(self.api(), get_autocommit(self.raw())) != 0 }
    }

    /// What the connection holds of a schema's file.
    ///
    /// # Errors
    /// A name with a NUL.
    pub fn transaction(&self, schema: &str) -> Result<Transaction> {
        let schema = CString::new(schema).map_err(|e| Error::invalid(e.to_string()))?;
        // SAFETY: the connection is open; the name a C string.
        Ok(
            match unsafe { sqlite!(self.api(), txn_state(self.raw(), schema.as_ptr())) } {
                1 => Transaction::Read,
                2 => Transaction::Write,
                _ => Transaction::None,
            },
        )
    }

    /// As the application sees it.
    pub fn last_insert_rowid(&self) -> i64 {
        // SAFETY: the connection is open.
        unsafe { sqlite!(self.api(), last_insert_rowid(self.raw())) }
    }

    /// Puts it back after writes of ours.
    pub fn set_last_insert_rowid(&self, rowid: i64) {
        // SAFETY: the connection is open.
        unsafe { sqlite!(self.api(), set_last_insert_rowid(self.raw(), rowid)) }
    }

    /// What OR clause the running write has.
    pub fn on_conflict(&self) -> Conflict {
        // SAFETY: called inside xUpdate, as SQLite wants.
        match unsafe { sqlite!(self.api(), vtab_on_conflict(self.raw())) } {
            5 => Conflict::Replace,
            _ => Conflict::Fail,
        }
    }

    /// The SQL of a statement that is running and reads from a database file.
    pub fn reading_statement(&self, but: &str) -> Option<String> {
        let mut statement = std::ptr::null_mut();
        let mut last = None;
        loop {
            // SAFETY: as in `is_writing`; the SQL of a statement lives as long as it does.
            unsafe {
                statement = sqlite!(self.api(), next_stmt(self.raw(), statement));
                if statement.is_null() {
                    return last;
                }
                let text = sqlite!(self.api(), sql(statement));
                if sqlite!(self.api(), stmt_busy(statement)) != 0 && !text.is_null() {
                    let text = CStr::from_ptr(text).to_string_lossy().into_owned();
                    if last.is_none() || !text.contains(but) {
                        last = Some(text);
                    }
                }
            }
        }
    }

    /// Whether a statement that writes is running on this connection right now.
    pub fn is_writing(&self) -> bool {
        let mut statement = std::ptr::null_mut();
        loop {
            // SAFETY: the connection is open; walking its statements starts at null and ends there.
            let busy_writer = unsafe {
                statement = sqlite!(self.api(), next_stmt(self.raw(), statement));
                if statement.is_null() {
                    return false;
                }
                sqlite!(self.api(), stmt_busy(statement)) != 0
                    && sqlite!(self.api(), stmt_readonly(statement)) == 0
            };
            if busy_writer {
                return true;
            }
        }
    }
}
