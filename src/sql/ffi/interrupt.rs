//! "Should I stop?", asked in a way that works on every SQLite version.
//!
//! `sqlite3_is_interrupted` exists only from 3.41 and does not run a host's progress handler
//! (Datasette's time limit, the shell's Ctrl-C). A small recursive query on the same connection
//! does both: it ends with `SQLITE_INTERRUPT` after `sqlite3_interrupt`, and its steps count
//! towards the handler. They add up over many questions as long as the statement is kept.

use super::api::Connection;
use super::statement::Statement;
use crate::engine::Stop;
use crate::error::{Error, Kind, Result};
use std::sync::{Mutex, PoisonError};

/// Asks one connection, through one statement that is prepared at the first question.
pub struct Interrupts<'c>(Mutex<Probe<'c>>);

struct Probe<'c> {
    db: Connection<'c>,
    statement: Option<Statement<'c>>,
}

/// 60 rows are about 1,000 VM steps and 30 microseconds.
const PROBE: &str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60) \
                     SELECT max(i) FROM n";

impl<'c> Interrupts<'c> {
    /// For the connection that runs the callback.
    pub fn new(db: Connection<'c>) -> Self {
        Interrupts(Mutex::new(Probe {
            db,
            statement: None,
        }))
    }

    fn ask(&self) -> Result<()> {
        let mut probe = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Probe { db, statement } = &mut *probe;
        let statement = match statement {
            Some(statement) => statement,
            // Preparing can be interrupted as well as running.
            none => none.insert(Statement::prepare(*db, PROBE)?),
        };
        let outcome = statement.step();
        statement.reset();
        outcome.map(drop)
    }
}

impl Stop for Interrupts<'_> {
    fn check(&self) -> Result<()> {
        match self.ask() {
            Err(e) if e.kind() == Kind::Interrupted => Err(Error::interrupted()),
            // An authorizer may forbid the query: then there is no asking, and work goes on.
            _ => Ok(()),
        }
    }
}
