//! An index in use by the running statement: its parts, each the only owner of its tables.
//!
//! The verbs (write, sync, search, check, status, commands) are functions over these parts.

use super::content::Content;
use super::damage::named;
use super::handle::Index;
use super::notes::Notes;
use super::records::Records;
use super::shadow::Shadow;
use super::vectors::Vectors;
use super::words::Words;
use crate::error::Result;
use crate::sql::ffi::Host;

/// See the module.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// Names, statements, settings.
    pub shadow: Shadow<'a>,
    /// `_log`.
    pub notes: Notes<'a>,
    /// `_rows`.
    pub records: Records<'a>,
    /// `_passages` and `_codes`.
    pub vectors: Vectors<'a>,
    /// The texts: `_text`, or the user's table with our triggers.
    pub content: Content<'a>,
    /// `_words`, or an FTS5 table of the user's.
    pub words: Words<'a>,
}

impl<'a> Parts<'a> {
    /// Those of an index.
    pub fn new(host: &'a Host<'a>, index: &'a Index) -> Self {
        let shadow = Shadow { host, index };
        Parts {
            shadow,
            notes: Notes::new(shadow),
            records: Records::new(shadow),
            vectors: Vectors::new(shadow),
            content: Content::new(shadow),
            words: Words::new(shadow),
        }
    }

    /// Removes a row with its vectors and words.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn remove_row(self, id: i64) -> Result<()> {
        self.vectors.remove(id)?;
        self.records.remove(id)?;
        self.words.remove(id)
    }
}

/// Answers a call of SQLite's with the parts of an index; errors say which index they are about.
///
/// # Errors
/// Those of `work`; the call comes from SQL that the index runs itself.
pub fn answer<R>(
    host: &Host<'_>,
    index: &Index,
    work: impl FnOnce(Parts<'_>) -> Result<R>,
) -> Result<R> {
    let answer = || {
        let _using = index.answer()?;
        work(Parts::new(host, index))
    };
    named(&index.names.index, answer())
}
