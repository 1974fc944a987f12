//! A reranker's graph in the runtime: pairs of texts in, scores out.
//!
//! It is loaded and run as any graph is ([`super::loaded_graph`]); what it gives is its own: one output `logits`
//! of one number a row. Types tell query and passage apart, where the graph has an input for them.

use crate::engine::inference::assignment::Nodes;
use crate::engine::inference::loaded_graph::{Graph, LoadedGraph, Settings, array, is_half, pad};
use crate::engine::text::pairs::Pair;
use crate::error::{Error, Result};
use half::f16;
use ndarray::Array2;
use ort::value::{DynValue, Outlet, TensorElementType, ValueType};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// The output with the scores.
pub const LOGITS: &str = "logits";

/// A loaded graph.
pub struct Scorer {
    graph: LoadedGraph,
    half: bool,
}

impl Scorer {
    /// Loads a graph.
    ///
    /// # Errors
    /// As [`LoadedGraph::open`]; a graph that gives no score.
    pub fn open(graph: Graph<'_>, settings: &Settings) -> Result<Self> {
        let loaded = LoadedGraph::open(graph, settings)?;
        let output = score_output(loaded.outputs()).map_err(|e| graph.place(e))?;
        Ok(Scorer {
            half: is_half(output.dtype()),
            graph: loaded,
        })
    }

    /// Whether its output is float16.
    pub fn gives_half(&self) -> bool {
        self.half
    }

    /// How many nodes which provider runs; `None`: not told by this runtime.
    pub fn nodes(&self) -> Option<&Nodes> {
        self.graph.nodes()
    }

    /// Counts the runs of the graph.
    pub fn runs(&self) -> Arc<AtomicU64> {
        self.graph.runs()
    }

    /// The scores of a batch, in its order.
    ///
    /// # Errors
    /// A failure of the runtime; a score that is not a number.
    pub fn score(&mut self, batch: &[&Pair]) -> Result<Vec<f64>> {
        self.graph.count();
        self.probe(batch)
    }

    /// As [`Self::score`], and not counted.
    ///
    /// # Errors
    /// As there.
    pub fn probe(&mut self, batch: &[&Pair]) -> Result<Vec<f64>> {
        let texts: Vec<&[i64]> = batch.iter().map(|pair| pair.ids.as_slice()).collect();
        let (ids, mask) = pad(&texts);
        let types = types(batch, ids.dim());
        let value = self.graph.run(LOGITS, (&ids, &mask), Some(types))?;
        let scores = self.numbers(&value)?;
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

    fn numbers(&self, value: &DynValue) -> Result<Vec<f64>> {
        if self.half {
            let array = array::<f16>(LOGITS, value)?;
            return Ok(array.iter().map(|&x| f64::from(x)).collect());
        }
        let array = array::<f32>(LOGITS, value)?;
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
