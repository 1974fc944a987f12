//! What a model's vectors depend on, in 16 bytes: an index keeps it, so that it never mixes vectors
//! of two models.

use crate::engine::models::config::ModelConfig;
use crate::engine::models::files::ModelFiles;
use crate::engine::models::precision::Precision;
use crate::error::Result;
use xxhash_rust::xxh3::Xxh3;

/// Hash (xxh3, 128 bits) of the weights' and the tokenizer's bytes, the pooling, the limit in tokens,
/// and whether the graph computes in 8 bits.
///
/// # Errors
/// A file that cannot be read.
pub fn fingerprint(
    files: &ModelFiles,
    config: &ModelConfig,
    precision: Precision,
) -> Result<[u8; 16]> {
    let mut hash = Xxh3::new();
    files.add_to(&mut hash)?;
    let int8 = precision == Precision::Int8;
    hash.update(format!("{:?} {} {int8}", config.pooling, config.max_length).as_bytes());
    Ok(hash.digest128().to_le_bytes())
}
