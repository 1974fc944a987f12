//! One graph in the runtime: loads it, checks that it is a text encoder, runs batches.

use crate::engine::encoder::encoder::Encoder;
use crate::engine::graph::{self, pool::OUTPUT};
use crate::engine::inference::assignment::{self, Nodes};
use crate::engine::inference::operator::{self, INPUTS};
use crate::engine::inference::pooling::pool;
use crate::engine::inference::providers;
use crate::engine::inference::runner::{Runner, Vectors};
use crate::engine::inference::runtime;
use crate::engine::models::device::{Device, GpuOptions};
use crate::engine::models::pooling::Pooling;
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::{self, data_type};
use crate::engine::onnx::tensors;
use crate::error::{Error, Result};
use half::f16;
use ndarray::{Array2, ArrayView3, Ix2, Ix3};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{OutputSelector, RunOptions, Session as OrtSession};
use ort::value::{DynValue, Outlet, Tensor, TensorElementType, TensorRef, ValueType};
use prost::Message;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A loaded graph.
pub struct Session {
    inner: OrtSession,
    output: String,
    pools: bool,
    half: bool,
    has_type_ids: bool,
    dims: usize,
    pooling: Pooling,
    on_gpu: bool,
    nodes: Option<Nodes>,
    runs: Arc<AtomicU64>,
}

/// What is to be loaded.
#[derive(Clone, Copy)]
pub enum Graph<'g> {
    /// A file, as it is.
    File(&'g Path),
    /// A graph in memory, to be used.
    Prepared(&'g OnnxGraph),
    /// A graph of [`operator`]'s in memory, and the encoder in it.
    Encoder(&'g protobuf::Model, &'g Arc<Encoder>),
    /// A graph in memory, to be run once: loaded quickly, with its weights mapped and nothing optimised.
    Probed(&'g OnnxGraph),
}

/// How a graph is to be loaded.
#[derive(Clone)]
pub struct Settings {
    /// Threads of one run.
    pub threads: usize,
    /// Dimensions of a vector.
    pub dims: usize,
    /// How vectors are pooled, where the graph does not.
    pub pooling: Pooling,
    /// Where it is to run; a graph that is only probed always runs on the CPU.
    pub device: Device,
    /// For a GPU.
    pub gpu: GpuOptions,
}

/// Names that exporters give to the hidden states of the last layer.
pub const OUTPUTS: [&str; 2] = ["last_hidden_state", "token_embeddings"];

/// After a run of more padded tokens than this the runtime gives its scratch memory back: it would
/// keep the peak otherwise.
pub(super) const SHRINK_ABOVE: usize = 2048;

impl Session {
    /// Loads a graph.
    ///
    /// # Errors
    /// No runtime, a graph that it refuses, inputs or outputs that are no text encoder's.
    pub fn open(graph: Graph<'_>, settings: &Settings) -> Result<Self> {
        let inner = open_graph(graph, settings)?;
        let place = |e: Error| match graph {
            Graph::File(path) => e.at(path.display()),
            _ => e,
        };
        check_inputs(inner.inputs()).map_err(place)?;
        let pools = inner.outputs().iter().any(|o| o.name() == OUTPUT);
        let output = if pools {
            OUTPUT.to_owned()
        } else {
            choose_output(inner.outputs(), settings.dims).map_err(place)?
        };
        let half = inner
            .outputs()
            .iter()
            .any(|o| o.name() == output && is_half(o.dtype()));
        Ok(Session {
            has_type_ids: inner.inputs().iter().any(|i| i.name() == INPUTS[2]),
            on_gpu: settings.device.is_gpu() && !matches!(graph, Graph::Probed(_)),
            nodes: nodes(&inner)?,
            inner,
            output,
            half,
            pools,
            dims: settings.dims,
            pooling: settings.pooling,
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

    fn infer(&mut self, ids: &Array2<i64>, mask: &Array2<i64>) -> Result<Hidden> {
        // A GPU's arena is kept: to fill it again would cost more than it saves.
        let shrink = ids.len() > SHRINK_ABOVE && !self.on_gpu;
        self.run_graph(ids, mask, shrink).map_err(|e| {
            Error::invalid(format!(
                "ONNX Runtime failed on a batch of {:?}: {}",
                ids.dim(),
                runtime::message(&e)
            ))
        })
    }

    fn run_graph(
        &mut self,
        ids: &Array2<i64>,
        mask: &Array2<i64>,
        shrink: bool,
    ) -> ort::Result<Hidden> {
        let mut options =
            RunOptions::new()?.with_outputs(OutputSelector::no_default().with(&self.output));
        if shrink {
            options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
        }
        let types = Array2::<i64>::zeros(if self.has_type_ids { ids.dim() } else { (0, 0) });
        let mut inputs = ort::inputs![
            INPUTS[0] => TensorRef::from_array_view(ids)?,
            INPUTS[1] => TensorRef::from_array_view(mask)?,
        ];
        if self.has_type_ids {
            inputs.push((INPUTS[2].into(), TensorRef::from_array_view(&types)?.into()));
        }
        let mut outputs = self.inner.run_with_options(inputs, &options)?;
        let value = outputs
            .remove(self.output.as_str())
            .expect("the one output that was asked for");
        Ok(match self.half {
            _ if self.pools => Hidden::Vectors(value),
            true => Hidden::F16(value),
            false => Hidden::F32(value),
        })
    }

    /// The vectors of a graph that pools, checked to be those of this batch.
    fn vectors(&self, value: &DynValue, texts: usize) -> Result<Array2<f32>> {
        let array = value.try_extract_array::<f32>().map_err(|e| {
            Error::invalid(format!("output {}: {}", self.output, runtime::message(&e)))
        })?;
        let shape = array.shape().to_vec();
        match array.into_dimensionality::<Ix2>() {
            Ok(view) if view.dim() == (texts, self.dims) => Ok(view.to_owned()),
            _ => Err(Error::invalid(format!(
                "the graph gave vectors of shape {shape:?}"
            ))),
        }
    }

    /// The hidden states, checked to be those of this batch.
    fn view<'v, T: ort::value::PrimitiveTensorElementType>(
        &self,
        value: &'v DynValue,
        batch: (usize, usize),
    ) -> Result<ArrayView3<'v, T>> {
        let array = value.try_extract_array::<T>().map_err(|e| {
            Error::invalid(format!("output {}: {}", self.output, runtime::message(&e)))
        })?;
        let shape = array.shape().to_vec();
        match array.into_dimensionality::<Ix3>() {
            Ok(view) if view.dim() == (batch.0, batch.1, self.dims) => Ok(view),
            _ => Err(wrong_shape(&self.output, &format!("{shape:?}"), self.dims)),
        }
    }
}

impl Session {
    /// As [`Runner::run`], and not counted.
    ///
    /// # Errors
    /// A failure of the runtime.
    pub fn probe(&mut self, texts: &[&[i64]]) -> Result<Vectors> {
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let (ids, mask) = pad(texts);
        let rows = match self.infer(&ids, &mask)? {
            Hidden::F32(value) => {
                pool::<f32>(self.view(&value, ids.dim())?, &lengths, self.pooling)
            }
            Hidden::F16(value) => {
                pool::<f16>(self.view(&value, ids.dim())?, &lengths, self.pooling)
            }
            Hidden::Vectors(value) => self.vectors(&value, texts.len())?,
        };
        Ok(rows
            .rows()
            .into_iter()
            .map(|row| row.to_vec().into())
            .collect())
    }
}

impl Runner for Session {
    /// Runs one batch and pools it: L2-normalised vectors in the order of the texts.
    fn run(&mut self, texts: &[&[i64]]) -> Result<Vectors> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        self.probe(texts)
    }
}

/// What the graph gives.
enum Hidden {
    F32(DynValue),
    F16(DynValue),
    /// Pooled already.
    Vectors(DynValue),
}

/// Has the runtime load a graph, whatever it is for.
///
/// # Errors
/// No runtime, a graph that it refuses.
pub(super) fn open_graph(graph: Graph<'_>, settings: &Settings) -> Result<OrtSession> {
    let runtime = runtime::get()?;
    let said = |e: &ort::Error| runtime::message(e);
    match graph {
        Graph::File(path) => builder(runtime, settings)
            .and_then(|mut builder| builder.commit_from_file(path))
            .map_err(|e| {
                let way_out = if settings.device.is_gpu() {
                    ""
                } else {
                    "; the file may be damaged or incomplete: get it again"
                };
                let path = path.display();
                Error::invalid(format!("{path} cannot be loaded: {}{way_out}", said(&e)))
            }),
        Graph::Prepared(source) => {
            // The runtime would hand memory of ours to a GPU's kernels as it is.
            let resident = if settings.device.is_gpu() {
                Vec::new()
            } else {
                resident(source)?
            };
            prepared(runtime, settings, source, resident).map_err(|e| Error::invalid(said(&e)))
        }
        Graph::Encoder(graph, encoder) => {
            encoded(runtime, settings, graph, encoder).map_err(|e| Error::invalid(said(&e)))
        }
        Graph::Probed(source) => {
            probed(runtime, settings, source).map_err(|e| Error::invalid(said(&e)))
        }
    }
}

/// How many nodes of a session which provider runs; `None`: not told by this runtime.
///
/// # Errors
/// No runtime.
pub(super) fn nodes(session: &OrtSession) -> Result<Option<Nodes>> {
    let api = runtime::get()?.api.as_ref();
    Ok(api.and_then(|api| assignment::nodes(session, api)))
}

fn builder(runtime: &runtime::Runtime, settings: &Settings) -> ort::Result<SessionBuilder> {
    let builder = plain(runtime, settings)?;
    let providers = providers::of(settings.device, &settings.gpu);
    Ok(builder.with_execution_providers(providers)?)
}

/// For the CPU.
fn plain(runtime: &runtime::Runtime, settings: &Settings) -> ort::Result<SessionBuilder> {
    Ok(OrtSession::builder(&runtime.environment)?
        // Runtimes that do not know it take no notice.
        .with_config_entry(assignment::SETTING, "1")?
        .with_intra_threads(settings.threads)?
        .with_inter_threads(1)?
        // The pool's threads stop spinning when a run ends: no busy core between calls.
        .with_config_entry("session.force_spinning_stop", "1")?)
}

/// Large tensors of a graph in memory are in the model's file: this says in which folder that is.
const FOLDER: &str = "session.model_external_initializers_file_folder_path";

fn in_memory(builder: SessionBuilder, source: &OnnxGraph) -> ort::Result<SessionBuilder> {
    let folder = source.folder.to_string_lossy();
    Ok(builder.with_config_entry(FOLDER, folder)?)
}

fn prepared(
    runtime: &runtime::Runtime,
    settings: &Settings,
    source: &OnnxGraph,
    resident: Vec<(String, DynValue)>,
) -> ort::Result<OrtSession> {
    let mut builder = in_memory(builder(runtime, settings)?, source)?;
    for (name, value) in resident {
        builder = builder.with_initializer(name, value)?;
    }
    builder.commit_from_memory(&source.model.encode_to_vec())
}

fn encoded(
    runtime: &runtime::Runtime,
    settings: &Settings,
    graph: &protobuf::Model,
    encoder: &Arc<Encoder>,
) -> ort::Result<OrtSession> {
    let operators = operator::domain(Arc::clone(encoder), settings.threads)?;
    plain(runtime, settings)?
        .with_operators(operators)?
        .commit_from_memory(&graph.encode_to_vec())
}

fn probed(
    runtime: &runtime::Runtime,
    settings: &Settings,
    source: &OnnxGraph,
) -> ort::Result<OrtSession> {
    in_memory(plain(runtime, settings)?, source)?
        .with_optimization_level(GraphOptimizationLevel::Disable)?
        .with_prepacking(false)?
        .commit_from_memory(&source.model.encode_to_vec())
}

/// Tensors that the runtime is to use where they are, in memory of ours.
fn resident(source: &OnnxGraph) -> Result<Vec<(String, DynValue)>> {
    let read = |tensor| {
        let value = value_of(tensor, source)?;
        Ok((tensor.name().to_owned(), value))
    };
    graph::resident(&source.model)
        .into_iter()
        .map(read)
        .collect()
}

fn value_of(tensor: &protobuf::Tensor, source: &OnnxGraph) -> Result<DynValue> {
    let (dims, folder) = (tensor.dims.clone(), source.folder.as_path());
    let value = match tensor.data_type() {
        data_type::FLOAT => {
            Tensor::from_array((dims, tensors::floats(tensor, folder)?)).map(Tensor::into_dyn)
        }
        data_type::FLOAT16 => {
            Tensor::from_array((dims, tensors::halves(tensor, folder)?)).map(Tensor::into_dyn)
        }
        data_type::UINT8 => {
            Tensor::from_array((dims, tensors::bytes(tensor, folder)?)).map(Tensor::into_dyn)
        }
        data_type::INT8 => {
            let signed: Vec<i8> = tensors::bytes(tensor, folder)?
                .iter()
                .map(|&b| b as i8)
                .collect();
            Tensor::from_array((dims, signed)).map(Tensor::into_dyn)
        }
        other => {
            return Err(Error::invalid(format!(
                "tensor {} is of kind {other}",
                tensor.name()
            )));
        }
    };
    value.map_err(|e| Error::invalid(runtime::message(&e)))
}

/// `[texts, longest]` ids and mask. Padding is masked, so its id does not matter; the mask of a
/// text comes from its length, never from its ids (a literal `[PAD]` in a text is attended to).
pub(super) fn pad(texts: &[&[i64]]) -> (Array2<i64>, Array2<i64>) {
    let width = texts.iter().map(|ids| ids.len()).max().unwrap_or(0);
    let mut ids = Array2::zeros((texts.len(), width));
    let mut mask = Array2::zeros((texts.len(), width));
    for (row, text) in texts.iter().enumerate() {
        for (column, &id) in text.iter().enumerate() {
            ids[(row, column)] = id;
            mask[(row, column)] = 1;
        }
    }
    (ids, mask)
}

pub(super) fn is_half(value: &ValueType) -> bool {
    let half = TensorElementType::Float16;
    matches!(value, ValueType::Tensor { ty, .. } if *ty == half)
}

pub(super) fn check_inputs(inputs: &[Outlet]) -> Result<()> {
    let names: Vec<&str> = inputs.iter().map(Outlet::name).collect();
    let missing = INPUTS[..2].iter().any(|name| !names.contains(name));
    if missing || names.iter().any(|name| !INPUTS.contains(name)) {
        return Err(Error::invalid(format!(
            "the graph's inputs are {}, expected input_ids, attention_mask and perhaps token_type_ids; \
             is this a text encoder?",
            names.join(", ")
        )));
    }
    for input in inputs {
        if !matches!(
            input.dtype(),
            ValueType::Tensor {
                ty: TensorElementType::Int64,
                ..
            }
        ) {
            return Err(Error::invalid(format!(
                "the graph's input {} is {}, expected int64; export the model again with int64 inputs",
                input.name(),
                input.dtype()
            )));
        }
    }
    Ok(())
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
