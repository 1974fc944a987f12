//! An embedding model's graph in the runtime: batches of texts in, vectors out.

use crate::engine::graph::pool::OUTPUT;
use crate::engine::inference::assignment::Nodes;
use crate::engine::inference::loaded_graph::{Graph, LoadedGraph, Settings, array, is_half, pad};
use crate::engine::inference::pooling::pool;
use crate::engine::inference::runner::{Runner, Vectors};
use crate::engine::models::pooling::Pooling;
use crate::error::{Error, Result};
use half::f16;
use ndarray::{Array2, ArrayView3, Ix2, Ix3};
use ort::value::{DynValue, Outlet, PrimitiveTensorElementType, TensorElementType, ValueType};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

/// A loaded graph.
pub struct Session {
    graph: LoadedGraph,
    output: String,
    pools: bool,
    half: bool,
    dims: usize,
    pooling: Pooling,
}

/// Names that exporters give to the hidden states of the last layer.
pub const OUTPUTS: [&str; 2] = ["last_hidden_state", "token_embeddings"];

impl Session {
    /// Loads a graph.
    ///
    /// # Errors
    /// As [`LoadedGraph::open`]; outputs that are no text encoder's.
    pub fn open(graph: Graph<'_>, settings: &Settings) -> Result<Self> {
        let loaded = LoadedGraph::open(graph, settings)?;
        let outputs = loaded.outputs();
        let pools = outputs.iter().any(|o| o.name() == OUTPUT);
        let output = if pools {
            OUTPUT.to_owned()
        } else {
            choose_output(outputs, settings.dims).map_err(|e| graph.place(e))?
        };
        let half = |o: &Outlet| o.name() == output && is_half(o.dtype());
        Ok(Session {
            half: outputs.iter().any(half),
            graph: loaded,
            output,
            pools,
            dims: settings.dims,
            pooling: settings.pooling,
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

    /// As [`Runner::run`], and not counted.
    ///
    /// # Errors
    /// A failure of the runtime.
    pub fn probe(&mut self, texts: &[&[i64]]) -> Result<Vectors> {
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let (ids, mask) = pad(texts);
        let value = self.graph.run(&self.output, (&ids, &mask), None)?;
        let rows = match self.half {
            _ if self.pools => self.vectors(&value, texts.len())?,
            true => pool::<f16>(self.view(&value, ids.dim())?, &lengths, self.pooling),
            false => pool::<f32>(self.view(&value, ids.dim())?, &lengths, self.pooling),
        };
        Ok(rows
            .rows()
            .into_iter()
            .map(|row| row.to_vec().into())
            .collect())
    }

    /// The vectors of a graph that pools, checked to be those of this batch.
    fn vectors(&self, value: &DynValue, texts: usize) -> Result<Array2<f32>> {
        let array = array::<f32>(&self.output, value)?;
        let shape = array.shape().to_vec();
        match array.into_dimensionality::<Ix2>() {
            Ok(view) if view.dim() == (texts, self.dims) => Ok(view.to_owned()),
            _ => Err(Error::invalid(format!(
                "the graph gave vectors of shape {shape:?}"
            ))),
        }
    }

    /// The hidden states, checked to be those of this batch.
    fn view<'v, T: PrimitiveTensorElementType>(
        &self,
        value: &'v DynValue,
        batch: (usize, usize),
    ) -> Result<ArrayView3<'v, T>> {
        let array = array::<T>(&self.output, value)?;
        let shape = array.shape().to_vec();
        match array.into_dimensionality::<Ix3>() {
            Ok(view) if view.dim() == (batch.0, batch.1, self.dims) => Ok(view),
            _ => Err(wrong_shape(&self.output, &format!("{shape:?}"), self.dims)),
        }
    }
}

impl Runner for Session {
    /// Runs one batch and pools it: L2-normalised vectors in the order of the texts.
    fn run(&mut self, texts: &[&[i64]]) -> Result<Vectors> {
        self.graph.count();
        self.probe(texts)
    }
}

/// The output that holds the hidden states, by name, else the only one.
fn choose_output(outputs: &[Outlet], dims: usize) -> Result<String> {
    let by_name = OUTPUTS
        .iter()
        .find_map(|&name| outputs.iter().find(|o| o.name() == name));
    let Some(output) = by_name.or(outputs.first().filter(|_| outputs.len() == 1)) else {
        let names: Vec<&str> = outputs.iter().map(Outlet::name).collect();
        return Err(Error::invalid(format!(
            "the graph's outputs are {}, expected one called last_hidden_state",
            names.join(", ")
        )));
    };
    let ValueType::Tensor { ty, shape, .. } = output.dtype() else {
        return Err(wrong_shape(
            output.name(),
            &output.dtype().to_string(),
            dims,
        ));
    };
    // A negative dimension is one that the graph leaves open.
    let hidden = shape.last().copied().unwrap_or(-1);
    if shape.len() != 3 || (hidden >= 0 && hidden != dims as i64) {
        return Err(wrong_shape(output.name(), &format!("{shape:?}"), dims));
    }
    match ty {
        TensorElementType::Float32 | TensorElementType::Float16 => Ok(output.name().to_owned()),
        other => Err(Error::invalid(format!(
            "the graph's output {} is {other}, expected float32 or float16",
            output.name()
        ))),
    }
}

fn wrong_shape(output: &str, shape: &str, dims: usize) -> Error {
    Error::invalid(format!(
        "the graph's output {output} has shape {shape}, expected [batch, tokens, {dims}] \
         (hidden_size of config.json): hidden states, not pooled vectors"
    ))
}
