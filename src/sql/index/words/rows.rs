//! The words of single rows: written here where the index keeps the texts, and removed wherever a row vanished unseen.

use super::{WORDS, Words};
use crate::error::Result;
use crate::sql::ffi::Value;
use crate::sql::index::content::Present;
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

    /// Brings the words of a row of a content table in step with its texts, where they are not: a trigger of the user's
    /// may have changed the texts in the middle of the statement that ours was fired by.
    ///
    /// # Errors
    /// What SQLite says; the table is missing or damaged.
    pub fn follow(self, present: &Present) -> Result<()> {
        if !self.are_kept() || self.shadow.keeps_text() {
            return Ok(());
        }
        let columns = self.shadow.spec().columns.iter().zip(&present.values);
        let texts = columns.filter(|(column, _)| column.indexed);
        let mut row = vec![Value::Integer(present.id)];
        row.extend(texts.map(|(_, text)| text.clone()));
        let followed = self.is_row(&row).and_then(|is_so| match is_so {
            true => Ok(()),
            false => self.remove(present.id).and_then(|()| {
                let add = self.shadow.kept("fill words", || self.adding_sql())?;
                add.with(&row)?.run()
            }),
        });
        self.told(followed)
    }

    /// Whether the table has this row, key and texts.
    fn is_row(self, row: &[Value]) -> Result<bool> {
        let find = self.shadow.kept("words of a row", || {
            let columns = self.own_columns();
            let columns = columns.split(", ").skip(1).enumerate();
            let same: String = columns
                .map(|(n, column)| {
                    let n = n + 2;
                    format!(" AND {column} IS ?{n} AND typeof({column}) = typeof(?{n})")
                })
                .collect();
            let words = self.shadow.names().table(WORDS);
            format!("SELECT 1 FROM {words} WHERE rowid = ?1{same}")
        })?;
        Ok(find.with(row)?.integer_of_first()?.is_some())
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
