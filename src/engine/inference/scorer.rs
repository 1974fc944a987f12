//! A reranker's graph in the runtime: pairs of texts in, scores out.
//!
//! It is loaded as [`super::session`] loads any graph; what the graph must have and what it gives differ:
//! one output `logits` of one number a row, and types that tell query and passage apart, where the graph
//! has an input for them.

use crate::engine::inference::assignment::Nodes;
use crate::engine::inference::operator::INPUTS;
use crate::engine::inference::runtime;
use crate::engine::inference::session::{
    Graph, SHRINK_ABOVE, Settings, check_inputs, is_half, nodes, open_graph, pad,
};
use crate::engine::text::pairs::Pair;
use crate::error::{Error, Result};
use half::f16;
use ndarray::Array2;
use ort::session::{OutputSelector, RunOptions, Session as OrtSession};
use ort::value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The output with the scores.
pub const LOGITS: &str = "logits";

/// A loaded graph.
pub struct Scorer {
    inner: OrtSession,
    half: bool,
    has_type_ids: bool,
    on_gpu: bool,
    nodes: Option<Nodes>,
    runs: Arc<AtomicU64>,
}

impl Scorer {
    /// Loads a graph.
    ///
    /// # Errors
    /// No runtime, a graph that it refuses, one that gives no score.
    pub fn open(graph: Graph<'_>, settings: &Settings) -> Result<Self> {
        let inner = open_graph(graph, settings)?;
        let place = |e: Error| match graph {
            Graph::File(path) => e.at(path.display()),
            _ => e,
        };
        check_inputs(inner.inputs()).map_err(place)?;
        let output = score_output(inner.outputs()).map_err(place)?;
        Ok(Scorer {
            half: is_half(output.dtype()),
            has_type_ids: inner.inputs().iter().any(|i| i.name() == INPUTS[2]),
            on_gpu: settings.device.is_gpu() && !matches!(graph, Graph::Probed(_)),
            nodes: nodes(&inner)?,
            inner,
            runs: Arc::default(),
        })
    }

    /// Whether its output is float16.
    pub fn gives_half(&self) -> bool {
        self.half
    }

    /// How many nodes which provider runs; `None`: not told by this runtime.
    pub fn nodes(&self) -> Option<&Nodes> {
        self.nodes.as_ref()
    }

    /// Counts the runs of the graph.
    pub fn runs(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.runs)
    }

    /// The scores of a batch, in its order.
    ///
    /// # Errors
    /// A failure of the runtime; a score that is not a number.
    pub fn score(&mut self, batch: &[&Pair]) -> Result<Vec<f64>> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.probe(batch)
    }

    /// As [`Self::score`], and not counted.
    ///
    /// # Errors
    /// As there.
    pub fn probe(&mut self, batch: &[&Pair]) -> Result<Vec<f64>> {
        let texts: Vec<&[i64]> = batch.iter().map(|pair| pair.ids.as_slice()).collect();
        let (ids, mask) = pad(&texts);
        let types = self.has_type_ids.then(|| types(batch, ids.dim()));
        let scores = self
            .run_graph(&ids, &mask, types.as_ref())
            .and_then(|value| self.numbers(&value))
            .map_err(|e| {
                Error::invalid(format!(
                    "ONNX Runtime failed on a batch of {:?}: {}",
                    ids.dim(),
                    runtime::message(&e)
                ))
            })?;
        if scores.len() != batch.len() {
            return Err(Error::invalid(format!(
                "the graph gave {} scores for {} pairs",
                scores.len(),
                batch.len()
            )));
        }
        match scores.iter().find(|score| !score.is_finite()) {
            Some(score) => Err(Error::invalid(format!("the graph gave the score {score}"))),
            None => Ok(scores),
        }
    }

    fn run_graph(
        &mut self,
        ids: &Array2<i64>,
        mask: &Array2<i64>,
        types: Option<&Array2<i64>>,
    ) -> ort::Result<DynValue> {
        let mut options =
            RunOptions::new()?.with_outputs(OutputSelector::no_default().with(LOGITS));
        if ids.len() > SHRINK_ABOVE && !self.on_gpu {
            options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
        }
        let mut inputs = ort::inputs![
            INPUTS[0] => TensorRef::from_array_view(ids)?,
            INPUTS[1] => TensorRef::from_array_view(mask)?,
        ];
        if let Some(types) = types {
            inputs.push((INPUTS[2].into(), TensorRef::from_array_view(types)?.into()));
        }
        let mut outputs = self.inner.run_with_options(inputs, &options)?;
        Ok(outputs
            .remove(LOGITS)
            .expect("the one output that was asked for"))
    }

    fn numbers(&self, value: &DynValue) -> ort::Result<Vec<f64>> {
        if self.half {
            let array = value.try_extract_array::<f16>()?;
            return Ok(array.iter().map(|&x| f64::from(x)).collect());
        }
        let array = value.try_extract_array::<f32>()?;
        Ok(array.iter().map(|&x| f64::from(x)).collect())
    }
}

/// `[pairs, longest]`: 0 for the query and its special tokens, 1 for the passage and its own.
fn types(batch: &[&Pair], shape: (usize, usize)) -> Array2<i64> {
    let mut types = Array2::zeros(shape);
    for (row, pair) in batch.iter().enumerate() {
        for column in pair.query..pair.ids.len() {
            types[(row, column)] = 1;
        }
    }
    types
}

/// The output with the scores, checked to be one number a row.
fn score_output(outputs: &[Outlet]) -> Result<&Outlet> {
    let names: Vec<&str> = outputs.iter().map(Outlet::name).collect();
    let Some(output) = outputs.iter().find(|o| o.name() == LOGITS) else {
        return Err(Error::invalid(format!(
            "the graph's outputs are {}, expected one called {LOGITS}: this is a graph without the head that \
             scores pairs; export the model again for the task text-classification",
            names.join(", ")
        )));
    };
    let wanted = "expected float32 or float16 of shape [batch, 1]: one label";
    let wrong =
        |found: &str| Error::invalid(format!("the graph's output {LOGITS} is {found}, {wanted}"));
    let ValueType::Tensor { ty, shape, .. } = output.dtype() else {
        return Err(wrong(&output.dtype().to_string()));
    };
    let floats = matches!(ty, TensorElementType::Float32 | TensorElementType::Float16);
    // A negative dimension is one that the graph leaves open.
    let one_label = shape.len() == 2 && (shape[1] == 1 || shape[1] < 0);
    if floats && one_label {
        Ok(output)
    } else {
        Err(wrong(&format!("{ty} of shape {shape:?}")))
    }
}
