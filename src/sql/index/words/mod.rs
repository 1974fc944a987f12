//! Stub until words18.
use super::shadow::Shadow;
use crate::error::Result;

/// A hit.
#[derive(Clone, Copy, Debug)]
pub struct WordHit {
    /// row
    pub row: i64,
    /// bm25
    pub bm25: f64,
}

/// Words.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    _shadow: Shadow<'a>,
}

impl<'a> Words<'a> {
    /// new
    pub fn new(shadow: Shadow<'a>) -> Self {
        Words { _shadow: shadow }
    }
    /// list
    pub fn list(self, _question: &str) -> Result<Vec<WordHit>> {
        Ok(Vec::new())
    }
}
