//! Prepared statements that an index keeps: writing one row takes some of them, and preparing
//! costs more than running.

use crate::error::Result;
use crate::sql::ffi::{Host, Row, Statement, Value};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::{Deref, DerefMut};

/// The statements, by the names that they are asked for by. A statement is taken out while it is used.
#[derive(Default)]
pub struct Statements(RefCell<HashMap<String, Statement<'static>>>);

/// A statement in use: reset and given back when dropped.
pub struct Kept<'s> {
    home: &'s Statements,
    name: String,
    statement: Option<Statement<'static>>,
}

impl Statements {
    /// The statement of this name; `text` makes its SQL where the statement must be prepared, which is
    /// also so while somebody else uses the one that is kept.
    ///
    /// # Errors
    /// What SQLite says of the text.
    pub fn get(
        &self,
        host: &Host<'_>,
        name: &str,
        text: impl FnOnce() -> String,
    ) -> Result<Kept<'_>> {
        let found = self.0.borrow_mut().remove_entry(name);
        let (name, statement) = match found {
            Some(found) => found,
            None => (name.to_owned(), host.prepare_kept(&text())?.0),
        };
        Ok(Kept {
            home: self,
            name,
            statement: Some(statement),
        })
    }

    /// Forgets all: the names in them are no longer true.
    pub fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}

impl Kept<'_> {
    /// Binds all parameters, from `?1`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn with(mut self, values: &[Value]) -> Result<Self> {
        for (n, value) in values.iter().enumerate() {
            self.bind(n + 1, value)?;
        }
        Ok(self)
    }

    /// Runs to its end.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn run(mut self) -> Result<()> {
        while self.step()? == Row::Ready {}
        Ok(())
    }

    /// Columns of the first row, if there is one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn first(mut self) -> Result<Option<Vec<Value>>> {
        if self.step()? == Row::Done {
            return Ok(None);
        }
        self.row().map(Some)
    }

    /// Copies of all columns of the present row.
    ///
    /// # Errors
    /// Out of memory.
    pub fn row(&self) -> Result<Vec<Value>> {
        (0..self.columns()).map(|n| self.column(n)).collect()
    }

    /// Column `n` of the present row, where it is a text; invalid UTF-8 is replaced.
    ///
    /// # Errors
    /// Out of memory.
    pub fn text(&self, n: usize) -> Result<Option<String>> {
        let value = self.column(n)?;
        Ok(value
            .as_text()
            .map(|text| String::from_utf8_lossy(text).into_owned()))
    }

    /// The first column of the first row, where it is an integer.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn integer_of_first(mut self) -> Result<Option<i64>> {
        Ok(match self.step()? {
            Row::Ready => self.integer(0),
            Row::Done => None,
        })
    }
}

impl Deref for Kept<'_> {
    type Target = Statement<'static>;
    fn deref(&self) -> &Self::Target {
        self.statement.as_ref().expect("there until dropped")
    }
}

impl DerefMut for Kept<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.statement.as_mut().expect("there until dropped")
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if let Some(mut statement) = self.statement.take() {
            statement.reset();
            let name = std::mem::take(&mut self.name);
            self.home.0.borrow_mut().insert(name, statement);
        }
    }
}
