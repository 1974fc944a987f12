//! What a model's vectors depend on, in 16 bytes: an index keeps it, so that it never mixes vectors
//! of two models.
//!
//! It is a hash (xxh3, 128 bits) of the bytes of weights and tokenizer as they were when the model was
//! loaded, the pooling, the limit in tokens, and whether the graph computes in 8 bits. The first indexes
//! remember one that takes external data for what lies beside the graph under its name with an ending in
//! `data`: where that makes a difference it is known as well, so that those indexes go on working.

use crate::engine::models::config::ModelConfig;
use crate::engine::models::files::FileHashes;
use crate::engine::models::precision::Precision;

/// The fingerprints of one loaded model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    bytes: [u8; 16],
    by_old_rule: Option<[u8; 16]>,
}

impl Fingerprint {
    /// Of files with these hashes, and what else vectors depend on.
    pub fn of(files: FileHashes, config: &ModelConfig, precision: Precision) -> Self {
        let int8 = precision == Precision::Int8;
        let rest = format!("{:?} {} {int8}", config.pooling, config.max_length);
        let finish = |mut hash: xxhash_rust::xxh3::Xxh3| {
            hash.update(rest.as_bytes());
            hash.digest128().to_le_bytes()
        };
        Fingerprint {
            bytes: finish(files.all),
            by_old_rule: files.by_old_rule.map(finish),
        }
    }

    /// The one to remember.
    pub fn bytes(&self) -> [u8; 16] {
        self.bytes
    }

    /// Whether what was remembered is this model's.
    pub fn is(&self, remembered: &[u8]) -> bool {
        self.bytes == remembered || self.by_old_rule.is_some_and(|old| old == remembered)
    }
}
