//! An index that a connection has connected to, as its cursors and its virtual table see it.

use super::handle::Index;
use super::parts::{Parts, answer};
use super::plan::Layout;
use super::vectors::cache;
use crate::error::Result;
use crate::sql::ffi::Host;

/// A connected index.
pub struct Connected {
    /// Names, declaration, statements.
    pub index: Index,
    /// What planning must know of it.
    pub layout: Layout,
}

impl Connected {
    /// Answers a call of SQLite's; errors say which index they are about.
    ///
    /// # Errors
    /// Those of `work`; the call comes from SQL that the index runs itself.
    pub fn answer<R>(
        &self,
        host: &Host<'_>,
        work: impl FnOnce(Parts<'_>) -> Result<R>,
    ) -> Result<R> {
        answer(host, &self.index, work)
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        cache::leave(&self.index);
    }
}
