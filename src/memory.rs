//! Memory whose amount an input chooses: where it runs short that is an error, never the end of the
//! process, as it is for Rust's own containers.
//!
//! It is for texts, BLOBs, JSON and results. What is small, or of a number that the code bounds (names,
//! messages, a window of rows), is allocated as in any Rust program: where even that finds no memory, the
//! process ends.

use crate::error::{Error, Kind, Result};

/// An empty vector with room for `count` elements.
///
/// # Errors
/// Out of memory.
pub fn reserved<T>(count: usize) -> Result<Vec<T>> {
    let mut vec = Vec::new();
    vec.try_reserve_exact(count).map_err(|_| out_of_memory())?;
    Ok(vec)
}

/// A copy.
///
/// # Errors
/// Out of memory.
#[cfg(feature = "sql")]
pub fn copy<T: Copy>(elements: &[T]) -> Result<Vec<T>> {
    let mut copy = reserved(elements.len())?;
    copy.extend_from_slice(elements);
    Ok(copy)
}

/// Room for `more` elements; grows as `Vec` does.
///
/// # Errors
/// Out of memory.
pub fn reserve<T>(vec: &mut Vec<T>, more: usize) -> Result<()> {
    vec.try_reserve(more).map_err(|_| out_of_memory())
}

/// An empty text with room for so many bytes.
///
/// # Errors
/// Out of memory.
pub fn reserved_text(bytes: usize) -> Result<String> {
    let mut text = String::new();
    text.try_reserve_exact(bytes).map_err(|_| out_of_memory())?;
    Ok(text)
}

/// A copy of a text.
///
/// # Errors
/// Out of memory.
#[cfg(feature = "sql")]
pub fn copy_text(text: &str) -> Result<String> {
    let mut copy = reserved_text(text.len())?;
    copy.push_str(text);
    Ok(copy)
}

/// Appends to what grows by and by.
///
/// # Errors
/// Out of memory.
#[cfg(feature = "sql")]
pub fn push<T>(vec: &mut Vec<T>, element: T) -> Result<()> {
    vec.try_reserve(1).map_err(|_| out_of_memory())?;
    vec.push(element);
    Ok(())
}

/// The error.
pub fn out_of_memory() -> Error {
    Error::new(Kind::NoMemory, "out of memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_an_error() {
        for error in [
            reserve(&mut vec![0u64], usize::MAX / 16).unwrap_err(),
            reserved::<u8>(isize::MAX as usize).unwrap_err(),
            reserved_text(isize::MAX as usize).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::NoMemory);
        }
        assert!(reserved::<u8>(100).unwrap().capacity() >= 100);
    }
}
