//! A text as an encoder reads it.

/// The tokens of a text.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'t> {
    /// Their ids.
    pub ids: &'t [i64],
    /// Their types, which tell a query from a passage: as many as ids, or none, where all have type 0.
    pub types: &'t [i64],
}

impl<'t> From<&'t [i64]> for Tokens<'t> {
    fn from(ids: &'t [i64]) -> Self {
        Tokens { ids, types: &[] }
    }
}

impl Tokens<'_> {
    /// How many they are.
    pub fn count(&self) -> usize {
        self.ids.len()
    }
}
