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
    /// That of the same files in the runtime's int8, where it differs.
    in_graph_int8: Option<[u8; 16]>,
}

/// What vectors depend on beside the files, as it goes into the hash. Our own encoder gives the graph's
/// vectors in single precision, and others in bytes.
pub fn rest(config: &ModelConfig, precision: Precision, native: bool) -> String {
    let numbers = match (precision, native) {
        (Precision::Int8, true) => "native int8",
        (Precision::Bf16, _) => "bf16",
        (Precision::Int8, false) => "true",
        (Precision::Fp32 | Precision::Fp16, _) => "false",
    };
    format!("{:?} {} {numbers}", config.pooling, config.max_length)
}

impl Fingerprint {
    /// Of files with these hashes, and what else vectors depend on.
    pub fn of(files: &FileHashes, rest: &str) -> Self {
        let in_graph = rest
            .strip_suffix("native int8")
            .map(|front| format!("{front}true"));
        Fingerprint {
            bytes: files.with(rest),
            by_old_rule: files.old_with(rest),
            in_graph_int8: in_graph.map(|rest| files.with(&rest)),
        }
    }

    /// As a packed file remembers it: today's kind, that of an older version and that of the runtime's int8,
    /// where those differ.
    pub fn remembered(kinds: ([u8; 16], Option<[u8; 16]>, Option<[u8; 16]>)) -> Self {
        let (bytes, by_old_rule, in_graph_int8) = kinds;
        Fingerprint {
            bytes,
            by_old_rule,
            in_graph_int8,
        }
    }

    /// See [`Self::remembered`].
    pub fn kinds(&self) -> ([u8; 16], Option<[u8; 16]>, Option<[u8; 16]>) {
        (self.bytes, self.by_old_rule, self.in_graph_int8)
    }

    /// The one to remember.
    pub fn bytes(&self) -> [u8; 16] {
        self.bytes
    }

    /// Whether what was remembered is this model's.
    pub fn is(&self, remembered: &[u8]) -> bool {
        self.bytes == remembered || self.by_old_rule.is_some_and(|old| old == remembered)
    }

    /// Whether what was remembered is of the same files in the runtime's int8.
    pub fn is_graph_int8(&self, remembered: &[u8]) -> bool {
        self.in_graph_int8.is_some_and(|int8| int8 == remembered)
    }
}
