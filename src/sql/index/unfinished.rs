//! Vectors that were computed and could not be stored: a call of `bge_sync` was interrupted, its lock was not
//! to be had, or its time was over in the middle of a long text. The next call in this process goes on from
//! them, so that every call makes progress, however little time it is given.
//!
//! A vector is found by its model and by what the model reads. The memory is bounded; what is too much is
//! computed again.

use crate::engine::SharedVector;
use crate::engine::process::lock::lock;
use crate::engine::process::per_process::PerProcess;
use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
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
    /// The oldest first; a key that was forgotten may stand here still.
    order: VecDeque<Key>,
    floats: usize,
}

impl Kept {
    fn remove(&mut self, key: Key) {
        if let Some(vector) = self.vectors.remove(&key) {
            self.floats -= vector.len();
        }
    }
}

static KEPT: PerProcess<Mutex<Kept>> = PerProcess::new(Mutex::default);

/// Keeps vectors for the next call; the oldest go where there are too many.
pub fn keep(vectors: impl Iterator<Item = (Key, SharedVector)>) {
    let mut kept = lock(KEPT.get());
    for (key, vector) in vectors {
        if kept.vectors.contains_key(&key) {
            continue;
        }
        kept.floats += vector.len();
        kept.order.push_back(key);
        kept.vectors.insert(key, vector);
        while kept.floats > MOST
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.remove(oldest);
        }
    }
}

/// The vector of a passage, where there is one. Several passages may be equal.
pub fn get(key: Key) -> Option<SharedVector> {
    lock(KEPT.get()).vectors.get(&key).map(SharedVector::clone)
}

/// Forgets vectors that were stored.
pub fn forget(keys: impl Iterator<Item = Key>) {
    let mut kept = lock(KEPT.get());
    if kept.vectors.is_empty() {
        kept.order.clear();
        return;
    }
    keys.for_each(|key| kept.remove(key));
}
