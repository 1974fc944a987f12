//! "Should I stop?", asked in a way that works on every SQLite version.
//!
//! `sqlite3_is_interrupted` exists only from 3.41 and does not run a host's progress handler
//! (Datasette's time limit, the shell's Ctrl-C). A small recursive query on the same connection
//! does both: it ends with `SQLITE_INTERRUPT` after `sqlite3_interrupt`, and its steps count
//! towards the handler.

use super::api::Connection;
use super::statement::Statement;
use crate::engine::Stop;
use crate::error::{Error, Kind, Result};
use std::cell::RefCell;

/// Asks one connection, through one statement that is prepared at the first question.
pub struct Interrupts<'c> {
    db: Connection<'c>,
    probe: RefCell<Option<Statement<'c>>>,
}

/// 60 rows are about 1,000 VM steps and 30 microseconds.
const PROBE: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) \
                     SELECT max(i) FROM n";

impl<'c> Interrupts<'c> {
    /// For the connection that runs the callback.
    pub fn new(db: Connection<'c>) -> Self {
        Interrupts {
            db,
            probe: RefCell::new(None),
        }
    }
}

impl Stop for Interrupts<'_> {
    fn check(&self) -> Result<()> {
        let mut probe = self.probe.borrow_mut();
        if probe.is_none() {
            // An authorizer may forbid it: then there is no asking, and work goes on.
            *probe = Statement::prepare(self.db, PROBE).ok();
        }
        let Some(statement) = probe.as_mut() else {
            return Ok(());
        };
        let outcome = statement.step();
        statement.reset();
        match outcome {
            Err(e) if e.kind() == Kind::Interrupted => Err(Error::interrupted()),
            _ => Ok(()),
        }
    }
}
