//! What a model may be called.

use crate::error::{Error, Result};

/// The longest name that a file system takes.
const MAX_NAME: usize = 255;

/// A model's name is letters, digits, `.`, `_` and `-`, does not start with `.` and has no `..`.
/// It is never a path: SQL from a database must not make us open files of its choice.
///
/// # Errors
/// Any other name.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() > MAX_NAME {
        return Err(Error::invalid(format!(
            "no model name has {} bytes as this one does: expected at most {MAX_NAME} letters, digits, '.', '_' and '-'",
            name.len()
        )));
    }
    if !name.is_empty() && name.chars().all(plain) && !name.starts_with('.') && !name.contains("..")
    {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(Error::invalid(format!(
        "'{}' is not a model name: expected letters, digits, '.', '_' and '-' such as \
         'bge-small-en-v1.5'; a folder of that name is looked for in models/ beside the extension \
         and in $BGE_MODELS",
        shown.escape_debug()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_paths() {
        for good in ["bge-small-en-v1.5", "a", "My_model.2"] {
            check_name(good).unwrap();
        }
        for bad in [
            "", ".", "..", ".hidden", "a/b", "../x", "a\\b", "a..b", "/etc", "ü", "a b", "a\0",
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
