//! The text -> vector cache of one loaded model: shared by all connections, bounded in bytes.
//!
//! It serves what SQLite does not hoist out of a statement (the same call in SELECT and WHERE, a
//! query text from a joined row) and queries that come again. A model that is loaded anew has a
//! new cache, so a vector never outlives the weights that made it.

use crate::engine::inference::runner::SharedVector;
use quick_cache::Weighter;
use quick_cache::sync::Cache as QuickCache;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// See the module.
pub struct VectorCache {
    entries: QuickCache<Box<str>, SharedVector, ByBytes>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What `bge_info` shows of a cache.
#[derive(Clone, Copy, Debug)]
pub struct Counters {
    /// Texts that were found.
    pub hits: u64,
    /// Texts that were not.
    pub misses: u64,
    /// Texts held.
    pub entries: usize,
    /// Bytes held, keys and vectors.
    pub bytes: u64,
    /// The bound on `bytes`.
    pub capacity: u64,
}

/// Texts above this are not kept: they cost more than they are likely to save.
const MAX_KEY: usize = 16 << 10;

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<str>, SharedVector> for ByBytes {
    fn weight(&self, text: &Box<str>, vector: &SharedVector) -> u64 {
        const ENTRY_OVERHEAD: usize = 96;
        (text.len() + size_of_val::<[f32]>(vector) + ENTRY_OVERHEAD) as u64
    }
}

impl VectorCache {
    /// A cache of at most `capacity` bytes; 0 keeps nothing.
    pub fn new(capacity: u64) -> Self {
        let expected_entries = (capacity / 2048) as usize;
        VectorCache {
            entries: QuickCache::with_weighter(expected_entries, capacity, ByBytes),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    /// The vector of a text, if it is held.
    pub fn get(&self, text: &str) -> Option<SharedVector> {
        let found = self.entries.get(text);
        let counter = if found.is_some() {
            &self.hits
        } else {
            &self.misses
        };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Keeps a vector, unless the text is too long.
    pub fn put(&self, text: &str, vector: &SharedVector) {
        if self.entries.capacity() > 0 && text.len() <= MAX_KEY {
            self.entries.insert(text.into(), Arc::clone(vector));
        }
    }

    /// Its counters.
    pub fn counters(&self) -> Counters {
        Counters {
            hits: self.hits.load(Ordering::Relaxed),
            misses: self.misses.load(Ordering::Relaxed),
            entries: self.entries.len(),
            bytes: self.entries.weight(),
            capacity: self.entries.capacity(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_its_bytes_and_counts() {
        let cache = VectorCache::new(100_000);
        let vector: SharedVector = vec![0.5; 384].into();
        for i in 0..1000 {
            cache.put(&format!("text {i}"), &vector);
        }
        assert!(cache.counters().bytes <= 100_000);
        assert!(cache.counters().entries > 10);
        cache.put("here", &vector);
        assert!(cache.get("here").is_some());
        assert!(cache.get("not here").is_none());
        assert_eq!((cache.counters().hits, cache.counters().misses), (1, 1));
    }

    #[test]
    fn no_capacity_or_a_long_text_keeps_nothing() {
        let vector: SharedVector = vec![0.5; 4].into();
        let off = VectorCache::new(0);
        off.put("a", &vector);
        assert!(off.get("a").is_none());
        let on = VectorCache::new(1 << 20);
        on.put(&"x".repeat(MAX_KEY + 1), &vector);
        assert_eq!(on.counters().entries, 0);
    }
}
