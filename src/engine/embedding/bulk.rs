//! Many texts to vectors: what is done with a window of them.

use crate::engine::bulk::Work;
use crate::engine::embedding::embedder::{Role, SharedEmbedder};
use crate::engine::inference::runner::SharedVector;
use crate::engine::stop::Stop;
use crate::error::Result;

/// Texts embedded as passages with this model.
pub struct EmbedPassages(pub SharedEmbedder);

impl Work for EmbedPassages {
    type Encoded = Vec<i64>;
    type Made = SharedVector;

    fn encode(&self, text: &str, stop: &dyn Stop) -> Result<Vec<i64>> {
        self.0.encode_as(text, Role::Passage, stop)
    }

    fn run(&self, encoded: Vec<Vec<i64>>, stop: &dyn Stop) -> Result<Vec<SharedVector>> {
        self.0.embed_encoded(encoded, stop)
    }

    fn is_on_gpu(&self) -> bool {
        self.0.device().got.is_gpu()
    }
}
