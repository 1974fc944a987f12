//! Memory for what an input decides the size of: had, or an error, where the standard collections would end
//! the process.

use crate::error::{Error, Kind, Result};
use std::collections::TryReserveError;

/// Room for `more` items; grows as `Vec` does.
///
/// # Errors
/// [`Kind::NoMemory`].
pub fn reserve<T>(items: &mut Vec<T>, more: usize) -> Result<()> {
    items
        .try_reserve(more)
        .map_err(|e| none(more.saturating_mul(size_of::<T>()), &e))
}

/// A vector with room for `count` items.
///
/// # Errors
/// [`Kind::NoMemory`].
pub fn with_room<T>(count: usize) -> Result<Vec<T>> {
    let mut items = Vec::new();
    reserve(&mut items, count)?;
    Ok(items)
}

/// A text with room for so many bytes.
///
/// # Errors
/// [`Kind::NoMemory`].
pub fn text_with_room(bytes: usize) -> Result<String> {
    let mut text = String::new();
    text.try_reserve_exact(bytes).map_err(|e| none(bytes, &e))?;
    Ok(text)
}

fn none(bytes: usize, error: &TryReserveError) -> Error {
    Error::new(
        Kind::NoMemory,
        format!("no memory for {bytes} bytes: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_an_error() {
        for error in [
            reserve(&mut vec![0u64], usize::MAX / 16).unwrap_err(),
            with_room::<u8>(isize::MAX as usize).unwrap_err(),
            text_with_room(isize::MAX as usize).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::NoMemory);
        }
        assert!(with_room::<u8>(100).unwrap().capacity() >= 100);
    }
}
