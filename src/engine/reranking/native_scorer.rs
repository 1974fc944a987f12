//! Our own encoder under a reranker's head: the graph's nodes up to the states that the head takes are replaced
//! by [`operator`], the head stays as it is.

use crate::engine::encoder::network::Output;
use crate::engine::graph::{self, bert, head};
use crate::engine::inference::loaded_graph::{Graph, Settings};
use crate::engine::inference::operator;
use crate::engine::inference::prepare::native::{self, Native, Plan};
use crate::engine::inference::scorer::{LOGITS, Scorer};
use crate::engine::models::options::Options;
use crate::engine::models::precision::Precision;
use crate::engine::onnx::graph::OnnxGraph;

/// A scorer with our encoder.
pub struct NativeScorer {
    /// Runs it.
    pub scorer: Scorer,
    /// What the encoder computes in.
    pub precision: Precision,
    /// The encoder.
    pub native: Native,
}

impl NativeScorer {
    /// Opens it. `scores` is what the file's graph gives, and is found meanwhile.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn open(
        source: &OnnxGraph,
        options: &Options,
        settings: &Settings,
        scores: impl FnOnce() -> Result<Vec<f64>, String> + Send,
    ) -> Result<(Self, Vec<f64>), String> {
        let plan = Plan::of(options, settings.device)?;
        let file = graph::precision(&source.model, LOGITS);
        if file != Precision::Fp32 {
            return Err(format!("the file computes in {}", file.name()));
        }
        let states = head::states(&source.model, LOGITS)?;
        let mut bert = bert::recognise(&source.model, states)?;
        bert.shape.token_types = bert.token_types_told;
        let make = || -> Result<Self, String> {
            let encoder = plan.encoder(source, bert, Output::FirstState, settings.threads)?;
            let graph = operator::under_head(source, &encoder, states, LOGITS)
                .map_err(|e| e.message().to_owned())?;
            let scorer = Scorer::open(Graph::Encoder(&graph, &encoder), settings);
            Ok(NativeScorer {
                scorer: scorer.map_err(native::refused)?,
                precision: plan.precision(),
                native: Native::of(encoder),
            })
        };
        let (scores, made) = native::beside(scores, make)?;
        Ok((made, scores))
    }
}
