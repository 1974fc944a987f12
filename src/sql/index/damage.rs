//! Damage: what is in a shadow table and cannot be. Errors of [`Kind::Corrupt`] say what is wrong; the
//! border of the index ([`named`]) says once, for all of them, of which index and what the way out is.

use crate::error::{Error, Kind, Result};
use crate::sql::ffi::{CORRUPT, CORRUPT_VTAB};
use std::fmt::Display;

/// Damaged shadow tables.
pub fn corrupt(what: impl Display) -> Error {
    Error::new(Kind::Corrupt, what.to_string())
}

/// Damage for which `rebuild` is no way out: the message has its own.
pub fn refused(message: String) -> Error {
    Error::new(Kind::Host(CORRUPT_VTAB), message)
}

/// Whether SQLite, or a virtual table of somebody else's, calls something corrupt.
pub fn is_corrupt(error: &Error) -> bool {
    matches!(error.kind(), Kind::Host(rc) if rc & 0xff == CORRUPT)
}

/// The outcome as the user of an index is told it.
///
/// # Errors
/// That of the outcome, with the index's name and, of damage, the way out.
pub fn named<T>(index: &str, outcome: Result<T>) -> Result<T> {
    outcome.map_err(|e| match e.kind() {
        Kind::Interrupted => e,
        // SQLite's own words, which tests and people know.
        Kind::Host(rc) if rc & 0xff == 19 => e,
        Kind::Corrupt => explained(&e).at(index),
        _ => e.at(index),
    })
}

/// What damage is called where the index's name is said by somebody else.
pub fn explained(error: &Error) -> Error {
    match error.kind() {
        Kind::Corrupt => Error::new(
            Kind::Corrupt,
            format!(
                "the index is damaged: {}; INSERT INTO t(t) VALUES ('rebuild') makes it anew",
                error.message()
            ),
        ),
        _ => error.clone(),
    }
}
