//! An argument of a function, read without trusting it.

use super::api::{Api, sqlite};
use crate::error::{Error, Kind, Result};
use sqlite_loadable::ext::sqlite3_value;
use std::marker::PhantomData;

/// The type that a value has in SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Type {
    Integer,
    Real,
    Text,
    Blob,
    Null,
}

impl Type {
    fn from_code(code: i32) -> Self {
        match code {
            1 => Type::Integer,
            2 => Type::Real,
            3 => Type::Text,
            4 => Type::Blob,
            _ => Type::Null,
        }
    }

    /// As it reads in an error message: "argument 1 is ...".
    pub fn name(self) -> &'static str {
        match self {
            Type::Integer => "an integer",
            Type::Real => "a real number",
            Type::Text => "text",
            Type::Blob => "a BLOB",
            Type::Null => "NULL",
        }
    }
}

/// A value that SQLite owns, for as long as the callback runs.
#[derive(Clone, Copy)]
pub struct Value<'v> {
    api: Api,
    raw: *mut sqlite3_value,
    life: PhantomData<&'v ()>,
}

impl<'v> Value<'v> {
    /// # Safety
    /// `raw` is a protected value of this host that lives as long as `'v`.
    pub(super) unsafe fn from_raw(api: Api, raw: *mut sqlite3_value) -> Self {
        Value {
            api,
            raw,
            life: PhantomData,
        }
    }

    /// Its type.
    pub fn kind(self) -> Type {
        // SAFETY: the value is alive.
        Type::from_code(unsafe { sqlite!(self.api, value_type(self.raw)) })
    }

    /// Its bytes as a BLOB; empty for an empty one.
    ///
    /// # Errors
    /// Out of memory (SQLite may have to expand a zeroblob).
    pub fn blob(self) -> Result<&'v [u8]> {
        // SAFETY: the value is alive; the length is asked for after the pointer, as SQLite wants.
        unsafe {
            let start = sqlite!(self.api, value_blob(self.raw)).cast::<u8>();
            self.bytes_at(start)
        }
    }

    /// Its text, numbers converted as SQL does. NUL bytes inside are kept.
    ///
    /// # Errors
    /// Text that is not UTF-8, named by the first bad byte; out of memory.
    pub fn text(self) -> Result<&'v str> {
        // SAFETY: as for `blob`; a text pointer is null only for NULL or when memory ran out.
        let bytes = unsafe {
            let start = sqlite!(self.api, value_text(self.raw));
            self.bytes_at(start)?
        };
        std::str::from_utf8(bytes).map_err(|e| {
            Error::invalid(format!(
                "the text is not valid UTF-8 (byte {} of {})",
                e.valid_up_to(),
                bytes.len()
            ))
        })
    }

    /// # Safety
    /// `start` is what SQLite gave for this value, not used for anything since.
    unsafe fn bytes_at(self, start: *const u8) -> Result<&'v [u8]> {
        // SAFETY: the caller's contract.
        let length = unsafe { sqlite!(self.api, value_bytes(self.raw)) };
        match (start.is_null(), usize::try_from(length).unwrap_or(0)) {
            (_, 0) => Ok(&[]),
            (true, _) => Err(Error::new(Kind::NoMemory, "out of memory")),
            // SAFETY: SQLite keeps `length` bytes at `start` while the value lives unchanged.
            (false, length) => Ok(unsafe { std::slice::from_raw_parts(start, length) }),
        }
    }
}
