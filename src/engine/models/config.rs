//! What one model folder says of its model: dimensions, how long a text it takes, how its vectors are
//! pooled. Reads JSON only.

use crate::engine::models::catalog;
use crate::engine::models::files::{self, read_json};
use crate::engine::models::pooling::Pooling;
use crate::error::{Error, Result};
use serde_json::Value;
use std::path::Path;

/// What a model folder says of its model.
#[derive(Clone, Debug)]
pub struct ModelConfig {
    /// Dimensions of hidden states, and so of vectors.
    pub dims: usize,
    /// Entries of the embedding table: ids must stay below.
    pub vocab_size: usize,
    /// The most tokens of one text, specials included.
    pub max_length: usize,
    /// How vectors are pooled.
    pub pooling: Pooling,
    /// Put in front of queries; may be empty.
    pub query_instruction: String,
}

impl ModelConfig {
    /// Reads a model folder; the catalogue, where it knows this name, fills in what no file says.
    ///
    /// # Errors
    /// A missing file, JSON that cannot be read, a value that is missing or out of range.
    pub fn read(folder: &Path, name: &str) -> Result<Self> {
        let known = catalog::get(name);
        let json = read_json(&folder.join(files::CONFIG))?;
        let dims = positive(&json, "hidden_size", folder)?;
        let vocab_size = positive(&json, "vocab_size", folder)?;
        let model_limit = position_limit(&json, folder)?;
        let tokenizer_limit = tokenizer_limit(folder)?;
        let mut max_length = model_limit.min(tokenizer_limit.unwrap_or(usize::MAX));
        if let Some(entry) = known {
            max_length = max_length.min(entry.max_length);
        }
        if max_length < MIN_LENGTH {
            return Err(Error::invalid(format!(
                "{} allows texts of {max_length} tokens, expected at least {MIN_LENGTH}",
                folder.display()
            )));
        }
        Ok(ModelConfig {
            dims,
            vocab_size,
            max_length,
            pooling: read_pooling(folder)?
                .or(known.and_then(|e| e.pooling))
                .unwrap_or(Pooling::Cls),
            query_instruction: known
                .map(|e| e.query_instruction.clone())
                .unwrap_or_default(),
        })
    }
}

const MIN_LENGTH: usize = 8;

fn positive(json: &Value, key: &str, folder: &Path) -> Result<usize> {
    let limit = 1 << 24;
    match json.get(key).and_then(Value::as_u64) {
        Some(n) if (1..=limit).contains(&n) => Ok(n as usize),
        _ => Err(Error::invalid(format!(
            "{}/{}: {key} is {}, expected a number from 1 to {limit}; \
             is this the configuration of a BERT-like model?",
            folder.display(),
            files::CONFIG,
            json.get(key).unwrap_or(&Value::Null)
        ))),
    }
}

/// RoBERTa-like models (bge-m3 among them) count positions from `pad_token_id + 1`.
fn position_limit(json: &Value, folder: &Path) -> Result<usize> {
    let positions = positive(json, "max_position_embeddings", folder)?;
    let roberta_like = json["model_type"]
        .as_str()
        .is_some_and(|t| t.contains("roberta"));
    let reserved = json["pad_token_id"].as_u64().unwrap_or(1) as usize + 1;
    Ok(if roberta_like {
        positions.saturating_sub(reserved)
    } else {
        positions
    })
}

/// `model_max_length` where there is one that means something (some files say 1e30).
fn tokenizer_limit(folder: &Path) -> Result<Option<usize>> {
    let path = folder.join(files::TOKENIZER_CONFIG);
    if !path.exists() {
        return Ok(None);
    }
    let limit = read_json(&path)?["model_max_length"].as_f64();
    Ok(limit.filter(|n| (1.0..1e9).contains(n)).map(|n| n as usize))
}

fn read_pooling(folder: &Path) -> Result<Option<Pooling>> {
    let path = folder.join(files::POOLING_CONFIG);
    if !path.exists() {
        return Ok(None);
    }
    let json = read_json(&path)?;
    let is = |key: &str| json[key].as_bool().unwrap_or(false);
    let (cls, mean) = (is("pooling_mode_cls_token"), is("pooling_mode_mean_tokens"));
    match (cls, mean) {
        (true, false) => Ok(Some(Pooling::Cls)),
        (false, true) => Ok(Some(Pooling::Mean)),
        _ => Err(Error::invalid(format!(
            "{} asks for neither CLS nor mean pooling alone; expected exactly one of \
             pooling_mode_cls_token and pooling_mode_mean_tokens to be true",
            path.display()
        ))),
    }
}
