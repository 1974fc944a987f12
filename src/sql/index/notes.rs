//! `_log`: notes that a row has changed, in the order of the changes. A row that has notes is pending.
//! Triggers write notes too, see [`super::content::triggers`].
//!
//! The table is made with the first note or trigger, not with the index. It is no protected shadow table
//! (triggers write to it), so a dump has a CREATE TABLE for it, behind that of the index.

use super::names::LOG;
use super::shadow::Shadow;
use crate::error::Result;
use crate::sql::ffi::{Row, Value};

/// The log of an index.
#[derive(Clone, Copy)]
pub struct Notes<'a> {
    shadow: Shadow<'a>,
}

/// A note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// Its place in the log.
    pub seq: i64,
    /// The row that has changed. A key that is no integer is that of no row of an index; it reads as
    /// the least integer.
    pub row: i64,
}

impl<'a> Notes<'a> {
    /// Those of an index.
    pub fn new(shadow: Shadow<'a>) -> Self {
        Notes { shadow }
    }

    /// Whether there is a log.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn are_kept(self) -> Result<bool> {
        self.shadow.has_table(LOG)
    }

    /// A SELECT of the rows that have notes, for [`Shadow::plain_sql`]: a name in it may hold braces.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn rows_sql(self) -> Result<String> {
        Ok(match self.are_kept()? {
            true => {
                let log = self.shadow.names().table(LOG);
                format!("SELECT id FROM {log} WHERE id IS NOT NULL")
            }
            false => "SELECT NULL AS id WHERE 0".to_owned(),
        })
    }

    /// Notes that a row has changed.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn add(self, row: i64) -> Result<()> {
        const ADD: &str = "INSERT INTO {log}(id) VALUES (?1)";
        let add = || self.shadow.sql(ADD)?.with(&[Value::Integer(row)])?.run();
        match add() {
            Err(_) if !self.are_kept()? => {
                self.shadow.create_log()?;
                add()
            }
            outcome => outcome,
        }
    }

    /// Deletes a note.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove(self, note: Note) -> Result<()> {
        let remove = self.shadow.sql("DELETE FROM {log} WHERE seq = ?1")?;
        remove.with(&[Value::Integer(note.seq)])?.run()
    }

    /// How many there are.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn count(self) -> Result<usize> {
        if !self.are_kept()? {
            return Ok(0);
        }
        let count = self.shadow.sql("SELECT count(*) FROM {log}")?;
        Ok(usize::try_from(count.integer_of_first()?.unwrap_or(0)).unwrap_or(0))
    }

    /// The least and the greatest place in the log.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn ends(self) -> Result<Option<(i64, i64)>> {
        if !self.are_kept()? {
            return Ok(None);
        }
        let ends = self.shadow.sql("SELECT min(seq), max(seq) FROM {log}")?;
        Ok(match ends.first()?.as_deref() {
            Some([Value::Integer(first), Value::Integer(last)]) => Some((*first, *last)),
            _ => None,
        })
    }

    /// Notes from a place on, in their order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn from(self, seq: i64, most: usize) -> Result<Vec<Note>> {
        let mut read = self
            .shadow
            .sql("SELECT seq, id FROM {log} WHERE seq >= ?1 ORDER BY seq LIMIT ?2")?;
        read.bind(1, &Value::Integer(seq))?;
        read.bind(2, &Value::Integer(i64::try_from(most).unwrap_or(i64::MAX)))?;
        let mut notes = Vec::new();
        while read.step()? == Row::Ready {
            notes.push(Note {
                seq: read.integer(0).unwrap_or(0),
                row: read.integer(1).unwrap_or(i64::MIN),
            });
        }
        Ok(notes)
    }

    /// The rows of the newest notes, the newest first.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn newest(self, most: usize) -> Result<Vec<i64>> {
        if !self.are_kept()? {
            return Ok(Vec::new());
        }
        let mut read = self
            .shadow
            .sql("SELECT id FROM {log} ORDER BY seq DESC LIMIT ?1")?;
        read.bind(1, &Value::Integer(i64::try_from(most).unwrap_or(i64::MAX)))?;
        let mut rows = Vec::new();
        while read.step()? == Row::Ready {
            rows.push(read.integer(0).unwrap_or(i64::MIN));
        }
        Ok(rows)
    }
}
