//! A value that SQLite owns, such as an argument of a function, read without trusting it.

use super::api::{Api, bytes, code, kind, sqlite};
use super::value::Value;
use crate::error::{Error, Result};
use crate::memory::{copy, push};
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
    pub(super) fn from_code(code: i32) -> Self {
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
pub struct ValueRef<'v> {
    api: Api,
    raw: *mut sqlite3_value,
    life: PhantomData<&'v ()>,
}

impl<'v> ValueRef<'v> {
    /// # Safety
    /// `raw` is a protected value of this host that lives as long as `'v`.
    pub(super) unsafe fn from_raw(api: Api, raw: *mut sqlite3_value) -> Self {
        ValueRef {
            api,
            raw,
            life: PhantomData,
        }
    }

    pub(super) fn raw(self) -> *mut sqlite3_value {
        self.raw
    }

    /// Its type.
    pub fn kind(self) -> Type {
        // SAFETY: the value is alive.
        Type::from_code(unsafe { sqlite!(self.api, value_type(self.raw)) })
    }

    /// Whether it is NULL.
    pub fn is_null(self) -> bool {
        self.kind() == Type::Null
    }

    /// Whether it is a parameter's value, so that another run of the statement may have another.
    pub fn is_from_bind(self) -> bool {
        // SAFETY: the value is alive.
        unsafe { sqlite!(self.api, value_frombind(self.raw)) != 0 }
    }

    /// In an UPDATE: whether the statement leaves this column as it is. Its value is then NULL.
    pub fn is_unchanged(self) -> bool {
        // SAFETY: the value is alive.
        unsafe { sqlite!(self.api, value_nochange(self.raw)) != 0 }
    }

    /// All values of an `IN`, copied, where the plan asked for them at once.
    ///
    /// # Errors
    /// What SQLite says; out of memory.
    pub fn members(self) -> Result<Vec<Value>> {
        let mut members = Vec::new();
        let mut raw = std::ptr::null_mut();
        // SAFETY: the value is alive and stands for a list; each member lives until the next call.
        unsafe {
            let mut rc = sqlite!(self.api, vtab_in_first(self.raw, &mut raw));
            while rc == code::OK && !raw.is_null() {
                let member = ValueRef::from_raw(self.api, raw).to_value()?;
                push(&mut members, member)?;
                rc = sqlite!(self.api, vtab_in_next(self.raw, &mut raw));
            }
            if rc == code::OK || rc == code::DONE {
                return Ok(members);
            }
            Err(Error::new(kind(rc), "the values of an IN cannot be read"))
        }
    }

    /// Its value as an integer, converted as SQL does.
    pub fn integer(self) -> i64 {
        // SAFETY: the value is alive.
        unsafe { sqlite!(self.api, value_int64(self.raw)) }
    }

    /// The bytes of a BLOB; empty for an empty one and for a value of any other type.
    ///
    /// # Errors
    /// Out of memory (SQLite may have to expand a zeroblob).
    pub fn blob(self) -> Result<&'v [u8]> {
        // Asking for the bytes of a text could convert it, and move what `text` gave.
        if self.kind() != Type::Blob {
            return Ok(&[]);
        }
        // SAFETY: the value is alive and stays as it is; the length is asked for after the pointer,
        // as SQLite wants.
        unsafe {
            let start = sqlite!(self.api, value_blob(self.raw)).cast::<u8>();
            bytes(start, sqlite!(self.api, value_bytes(self.raw)), false)
        }
    }

    /// The text of a text or number, as SQL converts it. NUL bytes inside are kept.
    ///
    /// # Errors
    /// Text that is not UTF-8, named by the first bad byte; a BLOB or NULL; out of memory.
    pub fn text(self) -> Result<&'v str> {
        if matches!(self.kind(), Type::Blob | Type::Null) {
            return Err(Error::internal("a BLOB or NULL was read as text"));
        }
        // SAFETY: as for `blob`; the first call may convert the value, later ones find it so.
        let bytes = unsafe {
            let start = sqlite!(self.api, value_text(self.raw));
            bytes(start, sqlite!(self.api, value_bytes(self.raw)), true)?
        };
        std::str::from_utf8(bytes).map_err(|e| {
            Error::invalid(format!(
                "the text is not valid UTF-8 (byte {} of {})",
                e.valid_up_to(),
                bytes.len()
            ))
        })
    }

    /// A copy.
    ///
    /// # Errors
    /// Out of memory.
    pub fn to_value(self) -> Result<Value> {
        Ok(match self.kind() {
            Type::Null => Value::Null,
            Type::Integer => Value::Integer(self.integer()),
            // SAFETY: the value is alive.
            Type::Real => Value::Real(unsafe { sqlite!(self.api, value_double(self.raw)) }),
            // SAFETY: as in `text`.
            Type::Text => Value::Text(unsafe {
                let start = sqlite!(self.api, value_text(self.raw));
                copy(bytes(
                    start,
                    sqlite!(self.api, value_bytes(self.raw)),
                    true,
                )?)?
            }),
            Type::Blob => Value::Blob(copy(self.blob()?)?),
        })
    }
}
