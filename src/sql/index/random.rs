//! Random numbers from the system: two processes, forked ones too, must not draw the same.

use crate::error::{Error, Result};

/// 64 random bits.
///
/// # Errors
/// The system has no randomness to give.
pub fn random() -> Result<i64> {
    let bits = getrandom::u64();
    let bits = bits.map_err(|e| Error::internal(format!("the system gives no randomness: {e}")))?;
    Ok(bits.cast_signed())
}
