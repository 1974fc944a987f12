//! Steps that are committed one by one, or are part of what the user has begun.

use super::code_store::fresh_stamp;
use super::store::Store;
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::{Output, Transaction};
use std::time::{Duration, Instant};

/// How long a lock is waited for, beyond the host's own busy timeout.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// We do, after each step.
    Ours,
    /// The user's transaction, or the statement that is writing: no BEGIN or COMMIT of ours.
    Users,
}

/// Finds out who commits.
///
/// While a statement writes, autocommit reads as on and BEGIN succeeds, but COMMIT fails and the
/// statement's own writes would stay uncommitted: so that is looked at first.
///
/// # Errors
/// A statement of this connection holds a snapshot: nothing could be committed beside it.
pub fn steps(store: &Store<'_>) -> Result<Steps> {
    let db = &store.host.db;
    if !db.is_autocommit() || db.is_writing() {
        return Ok(Steps::Users);
    }
    if db.transaction(&store.index.names.schema)? == Transaction::None {
        return Ok(Steps::Ours);
    }
    let open = db.reading_statement("bge_sync").unwrap_or_default();
    const BUSY: i32 = 5;
    Err(Error::new(
        Kind::Host(BUSY),
        format!(
            "a statement of this connection is still open, so nothing can be committed; read it to \
             its end or reset it first, or use another connection: {open}"
        ),
    ))
}

impl Steps {
    /// Runs one step. An error undoes it, where it is ours.
    ///
    /// # Errors
    /// Of the work; a lock that is not to be had.
    pub fn step<R>(self, store: &Store<'_>, work: impl FnOnce() -> Result<R>) -> Result<R> {
        if self == Steps::Users {
            return work();
        }
        patiently(store, || store.host.db.execute("BEGIN"))?;
        let open = Open(store);
        // The first write takes the lock of our schema's file only; BEGIN IMMEDIATE would take
        // those of all attached ones.
        patiently(store, || store.touch())?;
        let result = work()?;
        patiently(store, || store.host.db.execute("COMMIT"))?;
        std::mem::forget(open);
        Ok(result)
    }

    /// Before long work inside a transaction of the user's: writes, so that a snapshot that is too
    /// old to write is found out now and not afterwards.
    ///
    /// # Errors
    /// BUSY.
    pub fn claim(self, store: &Store<'_>) -> Result<()> {
        match self {
            Steps::Ours => Ok(()),
            Steps::Users => store.set("stamp", Output::Integer(fresh_stamp()?)),
        }
    }
}

/// A transaction of ours; rolled back when dropped, whatever happened.
struct Open<'s>(&'s Store<'s>);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let db = &self.0.host.db;
        if !db.is_autocommit() {
            let _ = db.execute("ROLLBACK");
        }
        // After an interruption SQLite refuses every statement until all are finished, this one too.
        // But it rolls back what a statement that writes was in when it was interrupted.
        if !db.is_autocommit() {
            let _ = self.0.touch();
        }
    }
}

/// Tries again for a while when somebody else has the lock.
fn patiently(store: &Store<'_>, work: impl Fn() -> Result<()>) -> Result<()> {
    const BUSY: i32 = 5;
    let started = Instant::now();
    loop {
        match work() {
            Err(e) if matches!(e.kind(), Kind::Host(rc) if rc & 0xff == BUSY) => {
                store.host.interrupts.check()?;
                if started.elapsed() > PATIENCE {
                    return Err(e);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}

impl Store<'_> {
    fn touch(&self) -> Result<()> {
        self.sql("UPDATE {config} SET v = v WHERE k = 'generation'")?
            .run()
    }
}
