//! What stands between the queue of callers and whatever runs their batches.

use crate::error::Result;
use std::sync::Arc;

/// A vector, shared by whoever holds it.
pub type SharedVector = Arc<[f32]>;

/// Vectors in the order of the texts.
pub type Vectors = Vec<SharedVector>;

/// What runs a batch: the session, or a stand-in of the tests.
pub trait Runner: Send {
    /// The vectors of texts, given as token ids.
    ///
    /// # Errors
    /// Of the runtime.
    fn run(&mut self, texts: &[&[i64]]) -> Result<Vectors>;
}
