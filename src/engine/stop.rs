//! How a long call asks whether it should stop.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a waiting caller goes without asking whether it should stop.
pub const POLL: Duration = Duration::from_millis(50);

/// Asked between pieces of work (a batch, some thousand tokens), on the caller's own thread.
pub trait Stop {
    /// # Errors
    /// [`crate::Kind::Interrupted`] when the caller wants the work to stop.
    fn check(&self) -> Result<()>;
}

/// Never stops: for callers without a way to interrupt.
pub struct NeverStop;

impl Stop for NeverStop {
    fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// How one thread tells another to stop.
#[derive(Default)]
pub struct StopFlag(AtomicBool);

impl StopFlag {
    /// From now on the other thread's work is to stop.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Stop for StopFlag {
    fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            Err(Error::interrupted())
        } else {
            Ok(())
        }
    }
}
