//! The words of single rows: written here where the index keeps the texts, and removed wherever a row vanished unseen.

use super::{WORDS, Words};
use crate::error::Result;
use crate::sql::ffi::Value;
use crate::sql::index::statements::Kept;

impl<'a> Words<'a> {
    /// Brings the words of a row in step with its text.
    ///
    /// # Errors
    /// What SQLite says; the table is missing or damaged.
    pub fn refresh(self, id: i64) -> Result<()> {
        if !self.is_written_here() {
            return Ok(());
        }
        self.remove(id)?;
        let added = self
            .adding()
            .and_then(|add| add.with(&[Value::Integer(id)])?.run());
        self.told(added)
    }

    /// Finds out whether [`Self::refresh`] has what it needs, before anything is written.
    ///
    /// # Errors
    /// The table is missing.
    pub fn prepare(self) -> Result<()> {
        match self.is_written_here() {
            true => self.told(self.adding().map(drop)),
            false => Ok(()),
        }
    }

    fn is_written_here(self) -> bool {
        self.are_kept() && self.shadow.keeps_text()
    }

    fn adding(self) -> Result<Kept<'a>> {
        self.shadow.kept("add words", || {
            let names = self.shadow.names();
            let (words, text, columns) =
                (names.table(WORDS), names.table("text"), self.own_columns());
            format!(
                "INSERT INTO {words}(rowid{columns}) SELECT id{columns} FROM {text} WHERE id = ?1"
            )
        })
    }

    /// Removes the words of a row.
    ///
    /// # Errors
    /// What SQLite says; the table is missing or damaged.
    pub fn remove(self, id: i64) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        let removed = self
            .shadow
            .kept("remove words", || {
                format!(
                    "DELETE FROM {} WHERE rowid = ?1",
                    self.shadow.names().table(WORDS)
                )
            })
            .and_then(|remove| remove.with(&[Value::Integer(id)])?.run());
        self.told(removed)
    }
}
