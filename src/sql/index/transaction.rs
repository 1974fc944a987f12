//! Steps that are committed one by one, or are part of what the user has begun.
//!
//! A step of ours is BEGIN and a first write, not BEGIN IMMEDIATE, which would lock every attached database.
//! Inside a transaction of the user's it is a savepoint, so that a sync that fails in the middle of a row
//! leaves none of it to commit. The rest is in `docs/decisions/14-steps-of-a-sync.md`.

use super::shadow::Shadow;
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::Transaction;
use std::time::{Duration, Instant};

/// How long a lock is waited for, beyond the host's own busy timeout.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committer {
    /// We do, after each step.
    Ours,
    /// The user's transaction, or the statement that is writing: no BEGIN or COMMIT of ours; a savepoint
    /// in the former, which undoes a step that failed.
    Users,
}

/// Finds out who commits.
///
/// While a statement writes, autocommit reads as on and BEGIN succeeds, but COMMIT fails and the
/// statement's own writes would stay uncommitted: so that is looked at first.
///
/// # Errors
/// A statement of this connection holds a snapshot: nothing could be committed beside it.
pub fn committer(shadow: Shadow<'_>) -> Result<Committer> {
    let db = &shadow.host.db;
    if !db.is_autocommit() || db.is_writing() {
        return Ok(Committer::Users);
    }
    if db.transaction(&shadow.names().schema)? == Transaction::None {
        return Ok(Committer::Ours);
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

impl Committer {
    /// Runs one step. An error undoes it; inside a statement that writes, SQLite does that.
    ///
    /// # Errors
    /// Of the work; a lock that is not to be had.
    pub fn step<R>(self, shadow: Shadow<'_>, work: impl FnOnce() -> Result<R>) -> Result<R> {
        let db = &shadow.host.db;
        if self == Committer::Users {
            // Beside a statement that writes, SQLite opens no savepoint.
            if db.is_autocommit() || db.is_writing() {
                return work();
            }
            shadow.prepare_touch()?;
            db.execute("SAVEPOINT bge_step")?;
            let open = Open(shadow, "ROLLBACK TO bge_step; RELEASE bge_step");
            shadow.touch()?;
            let result = work()?;
            db.execute("RELEASE bge_step")?;
            std::mem::forget(open);
            return Ok(result);
        }
        shadow.prepare_touch()?;
        // First: SQLite may ask whether to stop when it has begun, and then says INTERRUPT of what is done.
        let open = Open(shadow, "ROLLBACK");
        patiently(shadow, || db.execute("BEGIN"))?;
        // The first write takes the lock of our schema's file only; BEGIN IMMEDIATE would take
        // those of all attached ones.
        patiently(shadow, || shadow.touch())?;
        let result = work()?;
        patiently(shadow, || db.execute("COMMIT"))?;
        std::mem::forget(open);
        Ok(result)
    }

    /// Reads in one snapshot, so that what belongs together is of one commit.
    ///
    /// # Errors
    /// Of the work; what SQLite says.
    pub fn read<R>(self, shadow: Shadow<'_>, work: impl FnOnce() -> Result<R>) -> Result<R> {
        if self == Committer::Users {
            return work();
        }
        // `Open` may need it, and after an interruption it could not be prepared.
        shadow.prepare_touch()?;
        let _open = Open(shadow, "ROLLBACK");
        patiently(shadow, || shadow.host.db.execute("BEGIN"))?;
        work()
    }

    /// Before long work inside a transaction of the user's: writes, so that a snapshot that is too
    /// old to write is found out now and not afterwards.
    ///
    /// # Errors
    /// BUSY.
    pub fn claim(self, shadow: Shadow<'_>) -> Result<()> {
        match self {
            Committer::Ours => Ok(()),
            Committer::Users => shadow.touch(),
        }
    }
}

/// A transaction or savepoint of ours, and the SQL that undoes it; undone when dropped, whatever
/// happened.
struct Open<'s>(Shadow<'s>, &'static str);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let Open(shadow, undo) = self;
        let db = &shadow.host.db;
        for _ in 0..3 {
            if db.is_autocommit() || db.execute(undo).is_ok() {
                return;
            }
            // After sqlite3_interrupt nothing runs until the statement that called us has ended, ROLLBACK
            // neither. But a statement that writes and is interrupted takes its transaction back with it
            // (this one is prepared; preparing would be interrupted as well). A progress handler may
            // have meant the ROLLBACK alone: then the next one runs.
            let _ = shadow.touch();
        }
    }
}

/// Tries again for a while when somebody else has the lock.
fn patiently(shadow: Shadow<'_>, work: impl Fn() -> Result<()>) -> Result<()> {
    const BUSY: i32 = 5;
    let started = Instant::now();
    loop {
        match work() {
            Err(e) if matches!(e.kind(), Kind::Host(rc) if rc & 0xff == BUSY) => {
                shadow.host.interrupts.check()?;
                if started.elapsed() > PATIENCE {
                    return Err(e);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            other => return other,
        }
    }
}
