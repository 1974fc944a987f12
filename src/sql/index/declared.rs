//! Whether an index is still the one that a call has begun with. Between the steps of a sync no lock is held, and
//! another connection may drop the index, make it anew, or give its name to another one: what is known of its
//! columns and options is then of an index that is gone, and says nothing of the tables that have the name.

use super::shadow::Shadow;
use crate::error::{Error, Result};

/// The text that an index was made with, as it was when the call began.
pub struct Declared(String);

impl Declared {
    /// That of this index: what it was found as, or, where SQLite itself has it connected, what the schema says.
    ///
    /// # Errors
    /// It is gone; what SQLite says.
    pub fn of(shadow: Shadow<'_>) -> Result<Self> {
        let found = match &shadow.index.found_as {
            Some(text) => Some(text.clone()),
            None => shadow.declaration()?,
        };
        found.map(Declared).ok_or_else(gone)
    }

    /// To be called in the snapshot, or under the lock, of what is done next.
    ///
    /// # Errors
    /// The index is another one now.
    pub fn check(&self, shadow: Shadow<'_>) -> Result<()> {
        match shadow.declaration()? {
            Some(text) if text == self.0 => Ok(()),
            _ => Err(gone()),
        }
    }

    /// The error of a step, or what it comes from, where the index is another one now.
    pub fn explain(&self, shadow: Shadow<'_>, error: Error) -> Error {
        match self.check(shadow) {
            Err(reason) if !error.is_passing() && !reason.is_passing() => reason,
            _ => error,
        }
    }
}

fn gone() -> Error {
    Error::invalid(
        "the index was dropped, renamed or made anew while it was being synced; call bge_sync again, where it \
         is still wanted",
    )
}
