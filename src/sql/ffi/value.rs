//! A value of SQL that is ours: what a function gives back, what is bound, what a column held.
//!
//! [`super::value_ref`] is the other kind, a value that SQLite owns.

use crate::error::Result;
use crate::memory::copy;

/// A value, as SQLite's five storage classes.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    /// The bytes of a text: UTF-8, unless a host stored what is none.
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl Value {
    /// Whether it is NULL.
    pub fn is_null(&self) -> bool {
        *self == Value::Null
    }

    /// An integer; `None` for every other type.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Integer(n) => Some(*n),
            _ => None,
        }
    }

    /// A text that is UTF-8; `None` for every other value.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(self.as_text()?).ok()
    }

    /// The bytes of a text, which may not be UTF-8; `None` for every other type.
    pub fn as_text(&self) -> Option<&[u8]> {
        match self {
            Value::Text(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes of a BLOB; `None` for every other type.
    pub fn as_blob(&self) -> Option<&[u8]> {
        match self {
            Value::Blob(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes of a text or BLOB; none for every other type.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Value::Text(bytes) | Value::Blob(bytes) => bytes,
            Value::Null | Value::Integer(_) | Value::Real(_) => &[],
        }
    }

    /// A copy, for a text or BLOB of any size.
    ///
    /// # Errors
    /// Out of memory.
    pub fn try_clone(&self) -> Result<Self> {
        Ok(match self {
            Value::Text(bytes) => Value::Text(copy(bytes)?),
            Value::Blob(bytes) => Value::Blob(copy(bytes)?),
            Value::Null | Value::Integer(_) | Value::Real(_) => self.clone(),
        })
    }
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Value::Integer(n)
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Self {
        Value::Real(x)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Value::Integer(i64::from(truth))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

/// A BLOB.
impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Blob(bytes)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
