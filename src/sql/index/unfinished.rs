//! Vectors that were computed and could not be stored: a call of `bge_sync` was interrupted, its lock was not
//! to be had, or its time was over in the middle of a long text. The next call in this process goes on from
//! them, so that every call makes progress, however little time it is given.
//!
//! A vector is found by its model and by what the model reads. The memory is bounded; what is too much is
//! computed again.

use crate::engine::SharedVector;
use crate::engine::process::per_process::PerProcess;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use xxhash_rust::xxh3::Xxh3;

/// The most floats that are kept: 64 MB of them.
const MOST: usize = 16 << 20;

/// The model's fingerprint and the tokens of a passage, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key(u128);

impl Key {
    /// Of a passage's ids.
    pub fn new(fingerprint: &[u8], ids: &[i64]) -> Self {
        let mut hash = Xxh3::new();
        hash.update(fingerprint);
        for id in ids {
            hash.update(&id.to_le_bytes());
        }
        Key(hash.digest128())
    }
}

#[derive(Default)]
struct Kept {
    vectors: HashMap<Key, SharedVector>,
    floats: usize,
}

static KEPT: PerProcess<Mutex<Kept>> = PerProcess::new(Mutex::default);

/// Keeps vectors for the next call.
pub fn keep(vectors: impl Iterator<Item = (Key, SharedVector)>) {
    let mut kept = KEPT.get().lock().unwrap_or_else(PoisonError::into_inner);
    for (key, vector) in vectors {
        if kept.floats + vector.len() > MOST {
            return;
        }
        let floats = vector.len();
        if kept.vectors.insert(key, vector).is_none() {
            kept.floats += floats;
        }
    }
}

/// Takes the vector of a passage, where there is one.
pub fn take(key: Key) -> Option<SharedVector> {
    let mut kept = KEPT.get().lock().unwrap_or_else(PoisonError::into_inner);
    let vector = kept.vectors.remove(&key)?;
    kept.floats -= vector.len();
    Some(vector)
}
