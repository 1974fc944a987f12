//! One graph in the runtime, whatever it is for: loaded for a device, seen to have a text encoder's inputs, and
//! run on batches of ids. [`super::session`] makes vectors of what comes out, [`super::scorer`] scores.

use crate::engine::encoder::encoder::Encoder;
use crate::engine::graph;
use crate::engine::inference::assignment::{self, Nodes};
use crate::engine::inference::operator::{self, INPUTS};
use crate::engine::inference::providers;
use crate::engine::inference::runtime;
use crate::engine::models::device::{Device, GpuOptions};
use crate::engine::models::files::ModelFiles;
use crate::engine::models::pooling::Pooling;
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::{self, data_type};
use crate::engine::onnx::tensors;
use crate::error::{Error, Result};
use ndarray::{Array2, ArrayViewD};
use ort::session::builder::{GraphOptimizationLevel, SessionBuilder};
use ort::session::{OutputSelector, RunOptions, Session as OrtSession};
use ort::value::{
    DynValue, Outlet, PrimitiveTensorElementType, Tensor, TensorElementType, TensorRef, ValueType,
};
use prost::Message;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A graph that is loaded.
pub struct LoadedGraph {
    inner: OrtSession,
    has_type_ids: bool,
    on_gpu: bool,
    nodes: Option<Nodes>,
    runs: Arc<AtomicU64>,
}

/// What is to be loaded.
#[derive(Clone, Copy)]
pub enum Graph<'g> {
    /// A model's own file, as it is.
    File(&'g ModelFiles),
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

/// After a run of more padded tokens than this the runtime gives its scratch memory back: it would
/// keep the peak otherwise.
const SHRINK_ABOVE: usize = 2048;

impl Graph<'_> {
    /// Says which file an error is about, where it is about one.
    pub fn place(self, error: Error) -> Error {
        match self {
            Graph::File(files) => error.at(files.graph().display()),
            _ => error,
        }
    }
}

impl LoadedGraph {
    /// Loads a graph.
    ///
    /// # Errors
    /// No runtime, a graph that it refuses, inputs that are no text encoder's.
    pub fn open(graph: Graph<'_>, settings: &Settings) -> Result<Self> {
        let inner = open(graph, settings)?;
        check_inputs(inner.inputs()).map_err(|e| graph.place(e))?;
        let api = runtime::get()?.api.as_ref();
        Ok(LoadedGraph {
            has_type_ids: inner.inputs().iter().any(|i| i.name() == INPUTS[2]),
            on_gpu: settings.device.is_gpu() && !matches!(graph, Graph::Probed(_)),
            nodes: api.and_then(|api| assignment::nodes(&inner, api)),
            inner,
            runs: Arc::default(),
        })
    }

    /// What it gives.
    pub fn outputs(&self) -> &[Outlet] {
        self.inner.outputs()
    }

    /// How many nodes which provider runs; `None`: not told by this runtime.
    pub fn nodes(&self) -> Option<&Nodes> {
        self.nodes.as_ref()
    }

    /// Counts the runs of the graph.
    pub fn runs(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.runs)
    }

    /// Counts a run.
    pub fn count(&self) {
        self.runs.fetch_add(1, Ordering::Relaxed);
    }

    /// One output of a batch: `[texts, longest]` ids, their mask and, where the graph has an input for them,
    /// their types (`None`: all 0).
    ///
    /// # Errors
    /// A failure of the runtime.
    pub fn run(
        &mut self,
        output: &str,
        (ids, mask): (&Array2<i64>, &Array2<i64>),
        types: Option<Array2<i64>>,
    ) -> Result<DynValue> {
        self.run_in_runtime(output, (ids, mask), types)
            .map_err(|e| {
                Error::invalid(format!(
                    "ONNX Runtime failed on a batch of {:?}: {}",
                    ids.dim(),
                    runtime::message(&e)
                ))
            })
    }

    fn run_in_runtime(
        &mut self,
        output: &str,
        (ids, mask): (&Array2<i64>, &Array2<i64>),
        types: Option<Array2<i64>>,
    ) -> ort::Result<DynValue> {
        let mut options =
            RunOptions::new()?.with_outputs(OutputSelector::no_default().with(output));
        // A GPU's arena is kept: to fill it again would cost more than it saves.
        if ids.len() > SHRINK_ABOVE && !self.on_gpu {
            options.set("memory.enable_memory_arena_shrinkage", "cpu:0")?;
        }
        let types = self
            .has_type_ids
            .then(|| types.unwrap_or_else(|| Array2::zeros(ids.dim())));
        let mut inputs = ort::inputs![
            INPUTS[0] => TensorRef::from_array_view(ids)?,
            INPUTS[1] => TensorRef::from_array_view(mask)?,
        ];
        if let Some(types) = &types {
            inputs.push((INPUTS[2].into(), TensorRef::from_array_view(types)?.into()));
        }
        let mut outputs = self.inner.run_with_options(inputs, &options)?;
        Ok(outputs
            .remove(output)
            .expect("the one output that was asked for"))
    }
}

/// The numbers of an output.
///
/// # Errors
/// Numbers of another kind.
pub fn array<'v, T: PrimitiveTensorElementType>(
    output: &str,
    value: &'v DynValue,
) -> Result<ArrayViewD<'v, T>> {
    value
        .try_extract_array::<T>()
        .map_err(|e| Error::invalid(format!("output {output}: {}", runtime::message(&e))))
}

/// Has the runtime load a graph, whatever it is for.
///
/// # Errors
/// No runtime, a graph that it refuses.
fn open(graph: Graph<'_>, settings: &Settings) -> Result<OrtSession> {
    let runtime = runtime::get()?;
    let said = |e: &ort::Error| runtime::message(e);
    match graph {
        Graph::File(files) => {
            // The runtime maps the file: were it cut off meanwhile, reading it would end the process.
            files.check_as_opened()?;
            let path = files.graph();
            let opened =
                builder(runtime, settings).and_then(|mut builder| builder.commit_from_file(path));
            opened.map_err(|e| {
                let way_out = if settings.device.is_gpu() {
                    ""
                } else {
                    "; the file may be damaged or incomplete: get it again"
                };
                let path = path.display();
                Error::invalid(format!("{path} cannot be loaded: {}{way_out}", said(&e)))
            })
        }
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
pub fn pad(texts: &[&[i64]]) -> (Array2<i64>, Array2<i64>) {
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

/// Whether a value is of half precision.
pub fn is_half(value: &ValueType) -> bool {
    let half = TensorElementType::Float16;
    matches!(value, ValueType::Tensor { ty, .. } if *ty == half)
}

fn check_inputs(inputs: &[Outlet]) -> Result<()> {
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
