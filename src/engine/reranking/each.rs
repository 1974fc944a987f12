//! Many texts to scores: what is done with a window of them.

use crate::engine::bulk::Work;
use crate::engine::reranking::reranker::SharedReranker;
use crate::engine::stop::Stop;
use crate::engine::text::pairs::{Pair, QueryIds};
use crate::error::Result;

/// Texts scored as answers to one query.
pub struct ScoreAgainst {
    model: SharedReranker,
    query: QueryIds,
}

impl ScoreAgainst {
    /// With this model.
    ///
    /// # Errors
    /// A query above the limit, an interruption.
    pub fn new(model: SharedReranker, query: &str, stop: &dyn Stop) -> Result<Self> {
        let query = model.query(query, stop)?;
        Ok(ScoreAgainst { model, query })
    }
}

impl Work for ScoreAgainst {
    type Encoded = Pair;
    type Made = f64;

    fn encode(&self, text: &str, stop: &dyn Stop) -> Result<Pair> {
        self.model.encode(&self.query, text, stop)
    }

    fn run(&self, encoded: Vec<Pair>, stop: &dyn Stop) -> Result<Vec<f64>> {
        self.model.score_encoded(&encoded, stop)
    }

    fn is_on_gpu(&self) -> bool {
        self.model.device().got.is_gpu()
    }
}
