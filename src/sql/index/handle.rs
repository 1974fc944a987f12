//! What a connection knows of an index, and whether it is in use right now.

use super::damage::corrupt;
use super::database::Database;
use super::declare::Spec;
use super::names::Names;
use super::statements::Statements;
use crate::error::{Error, Result};
use std::cell::{Cell, OnceCell};

/// What a connection knows of an index: its names, its declaration, statements.
pub struct Index {
    /// Its schema and name.
    pub names: Names,
    /// Its declaration.
    pub spec: Spec,
    /// The text of it, where the index was found by its name; of one that SQLite has connected, SQLite sees to it
    /// that the declaration is the schema's.
    pub found_as: Option<String>,
    /// Statements on its tables.
    pub statements: Statements,
    /// What of the index is being used right now.
    pub in_use: Cell<InUse>,
    /// Which database the index is in, once somebody has asked.
    pub database: OnceCell<Database>,
    /// Whether this connection has searched its codes.
    pub uses_codes: Cell<bool>,
    /// The schema's version when the shadow tables were last found to be ours.
    pub verified: Cell<Option<i64>>,
}

/// What a connection does with an index at the moment. SQL that an index runs itself must not come
/// back to it: a content that reads the index, or a shadow table that is a view over it, would never
/// end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InUse {
    /// Nothing.
    #[default]
    No,
    /// A call of SQLite's is being answered.
    Tables,
    /// The same, and the user's content is being read for it.
    Content,
}

/// Until it is dropped, the index is in use.
pub struct Using<'i> {
    index: &'i Index,
    before: InUse,
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        self.index.in_use.set(self.before);
    }
}

impl Index {
    /// An index of these names.
    pub fn new(names: Names, spec: Spec) -> Self {
        Index {
            names,
            spec,
            found_as: None,
            statements: Statements::default(),
            in_use: Cell::default(),
            database: OnceCell::new(),
            uses_codes: Cell::default(),
            verified: Cell::default(),
        }
    }

    /// Begins to answer a call of SQLite's.
    ///
    /// # Errors
    /// The call comes from SQL that this index runs itself.
    pub fn answer(&self) -> Result<Using<'_>> {
        match self.in_use.get() {
            InUse::No => Ok(self.using(InUse::Tables)),
            InUse::Content => Err(Error::invalid(
                "the content of this index reads the index itself",
            )),
            InUse::Tables => Err(corrupt(
                "one of its own tables reads or writes the index itself",
            )),
        }
    }

    /// Says that the content is being read.
    pub fn reading_content(&self) -> Using<'_> {
        self.using(InUse::Content)
    }

    fn using(&self, what: InUse) -> Using<'_> {
        Using {
            index: self,
            before: self.in_use.replace(what),
        }
    }
}
