//! What a function or table may ask of the host while it works.

use super::access::Access;
use super::api::Connection;
use super::statement::Statement;
use crate::engine::Stop;
use crate::error::Result;

/// See the module.
#[derive(Clone, Copy)]
pub struct Host<'c> {
    /// The connection that runs the statement.
    pub db: Connection<'c>,
    /// "Should I stop?", with a probe that lives as long as the table is connected.
    pub interrupts: &'c dyn Stop,
    /// How much the connection may do.
    pub access: Access,
}

impl Host<'_> {
    /// Prepares a statement that a cursor keeps from row to row; and its own part of the text.
    ///
    /// # Errors
    /// As [`Statement::prepare_one`].
    pub fn prepare_kept<'s>(&self, sql: &'s str) -> Result<(Statement<'static>, &'s str)> {
        // SAFETY: SQLite closes all cursors and disconnects all tables of a connection before it
        // closes it. What else of ours keeps statements does so within a callback.
        let db = unsafe { Connection::from_raw(self.db.api(), self.db.raw()) };
        Statement::prepare_one(db, sql)
    }
}
