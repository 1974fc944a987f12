//! The one error type of the crate: what happened, of which kind, and the way out.
//!
//! A leaf: it imports nothing of ours and holds no foreign types, so every layer can return it.
//! [`Kind`] is what a host can act on (retry, give up, free memory); the SQLite layer maps each
//! kind to a result code.

use std::fmt;

/// What a host may want to tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Wrong input or set-up: the message says what came, what was wanted and the way out.
    Invalid,
    /// An argument has the wrong SQL type.
    Mismatch,
    /// A text, blob or result is over a limit.
    TooBig,
    /// Memory could not be had.
    NoMemory,
    /// The caller asked to stop.
    Interrupted,
    /// A fault of ours.
    Internal,
    /// Stored data is damaged: the message says what is wrong with it.
    Corrupt,
    /// What the host's database said about a statement of ours, by its own result code (busy,
    /// read-only, corrupt, ...).
    Host(i32),
}

/// An error with its kind and a message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    kind: Kind,
    message: String,
}

/// `Result` with [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of any kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            message: message.into(),
        }
    }

    /// Wrong input or set-up.
    pub fn invalid(message: impl Into<String>) -> Self {
        Error::new(Kind::Invalid, message)
    }

    /// The caller asked to stop.
    pub fn interrupted() -> Self {
        Error::new(Kind::Interrupted, "interrupted")
    }

    /// A fault of ours.
    pub fn internal(message: impl Into<String>) -> Self {
        Error::new(Kind::Internal, message)
    }

    /// The same error, with the place it happened in put in front: `place: message`.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = format!("{place}: {}", self.message);
        self
    }

    /// What a host can act on.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether it says nothing of what was asked for, only of this moment: the caller has stopped the
    /// work, there is no memory, another connection is at it (`SQLITE_BUSY`, `SQLITE_LOCKED`). Whoever can
    /// do without what is damaged or missing must not do without what could not be asked.
    pub fn is_passing(&self) -> bool {
        const BUSY: i32 = 5;
        const LOCKED: i32 = 6;
        match self.kind {
            Kind::Interrupted | Kind::NoMemory => true,
            Kind::Host(rc) => matches!(rc & 0xff, BUSY | LOCKED),
            Kind::Invalid | Kind::Mismatch | Kind::TooBig | Kind::Internal | Kind::Corrupt => false,
        }
    }

    /// The message, without its kind.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// What there is, and nothing where it is damaged or missing.
///
/// # Errors
/// Those that are [passing](Error::is_passing).
#[cfg(feature = "sql")]
pub fn if_there<T>(outcome: Result<T>) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.is_passing() => Err(e),
        Err(_) => Ok(None),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
