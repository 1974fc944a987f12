//! How long a text may be.

use crate::error::{Error, Kind, Result};

/// The longest text that is taken, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 32 << 20;

/// # Errors
/// [`Kind::TooBig`] for a text above [`MAX_TEXT_BYTES`].
pub fn check_text_size(bytes: usize) -> Result<()> {
    if bytes <= MAX_TEXT_BYTES {
        return Ok(());
    }
    Err(Error::new(
        Kind::TooBig,
        format!("the text has {bytes} bytes, the limit is {MAX_TEXT_BYTES}; split it first"),
    ))
}
