//! Panics end at the border: never an abort, never a word on the host's terminal.

use crate::error::{Error, Result};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// How many callbacks of ours this thread is in, and what the last panic in one said.
    static INSIDE: RefCell<(usize, String)> = const { RefCell::new((0, String::new())) };
}

/// Runs the body of a callback; a panic in it becomes an error that says where it was.
pub fn guarded<R>(work: impl FnOnce() -> Result<R>) -> Result<R> {
    silence();
    INSIDE.with_borrow_mut(|inside| inside.0 += 1);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let message = INSIDE.with_borrow_mut(|inside| {
        inside.0 -= 1;
        std::mem::take(&mut inside.1)
    });
    outcome.unwrap_or_else(|_| {
        Err(Error::internal(format!(
            "internal error in sqlite-bge: {message}"
        )))
    })
}

/// Drops what a callback owns; a panic in it ends here.
pub fn release<R>(owned: Box<R>) {
    let _ = guarded(|| {
        drop(owned);
        Ok(())
    });
}

/// The standard hook prints to stderr, which is the host's. Ours keeps the words of panics inside
/// our callbacks and leaves all others to the hook that was there.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = take_hook();
        set_hook(Box::new(move |panic| {
            let ours = INSIDE.try_with(|inside| match inside.try_borrow_mut() {
                Ok(mut inside) if inside.0 > 0 => {
                    inside.1 = panic
                        .to_string()
                        .split_whitespace()
                        .collect::<Vec<_>>()
                        .join(" ");
                    true
                }
                _ => false,
            });
            if !ours.unwrap_or(false) {
                previous(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_words() {
        let error = guarded::<()>(|| panic!("on purpose")).unwrap_err();
        assert!(
            error.message().contains("on purpose") && error.message().contains("guard.rs"),
            "{error}"
        );
        assert_eq!(guarded(|| Ok(1)).unwrap(), 1);
    }
}
