//! One graph in the runtime: loads it, checks that it is a text encoder, runs batches.

use super::config::ModelConfig;
use super::pooling::{Pooling, pool};
use super::precision::{Precision, is_quantised};
use super::queue::{Runner, Vectors};
use super::runtime;
use crate::error::{Error, Result};
use half::f16;
use ndarray::{Array2, ArrayView3, Ix3};
use ort::session::builder::SessionBuilder;
use ort::session::{OutputSelector, RunOptions, Session as OrtSession};
use ort::value::{DynValue, Outlet, TensorElementType, TensorRef, ValueType};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A loaded graph.
pub struct Session {
    inner: OrtSession,
    output: String,
    has_type_ids: bool,
    dims: usize,
    pooling: Pooling,
    runs: Arc<AtomicU64>,
    precision: Precision,
}

/// The inputs of a BERT-like encoder, all int64 `[batch, tokens]`.
const INPUTS: [&str; 3] = ["input_ids", "attention_mask", "token_type_ids"];

/// Names that exporters give to the hidden states of the last layer.
const OUTPUTS: [&str; 2] = ["last_hidden_state", "token_embeddings"];

/// After a run of more padded tokens than this the runtime gives its scratch memory back: it would
/// keep the peak otherwise.
const SHRINK_ABOVE: usize = 2048;

impl Session {
    /// Loads the graph of a model folder.
    ///
    /// # Errors
    /// No runtime, a file that it refuses, inputs or outputs that are no text encoder's.
    pub fn load(config: &ModelConfig, threads: usize) -> Result<Self> {
        let runtime = runtime::get()?;
        let path = config.onnx.display();
        let inner = build(runtime, config, threads).map_err(|e| {
            Error::invalid(format!(
                "{path} cannot be loaded: {}; the file may be damaged or incomplete: get it again",
                runtime::message(&e)
            ))
        })?;
        check_inputs(inner.inputs()).map_err(|e| e.at(&path))?;
        let (output, half) =
            choose_output(inner.outputs(), config.dims).map_err(|e| e.at(&path))?;
        let precision = match (is_quantised(&config.onnx), half) {
            (true, _) => Precision::Int8,
            (false, true) => Precision::Fp16,
            (false, false) => Precision::Fp32,
        };
        Ok(Session {
            has_type_ids: inner.inputs().iter().any(|i| i.name() == INPUTS[2]),
            inner,
            output,
            dims: config.dims,
            pooling: config.pooling,
            precision,
            runs: Arc::default(),
        })
    }

    /// What the graph computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Counts the runs of the graph.
    pub fn runs(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.runs)
    }

    fn infer(&mut self, ids: &Array2<i64>, mask: &Array2<i64>) -> Result<Hidden> {
        let shrink = ids.len() > SHRINK_ABOVE;
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
        let half = matches!(
            value.dtype(),
            ValueType::Tensor {
                ty: TensorElementType::Float16,
                ..
            }
        );
        Ok(if half {
            Hidden::F16(value)
        } else {
            Hidden::F32(value)
        })
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

impl Runner for Session {
    /// Runs one batch and pools it: L2-normalised vectors in the order of the texts.
    fn run(&mut self, texts: &[&[i64]]) -> Result<Vectors> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let (ids, mask) = pad(texts);
        let rows = match self.infer(&ids, &mask)? {
            Hidden::F32(value) => {
                pool::<f32>(self.view(&value, ids.dim())?, &lengths, self.pooling)
            }
            Hidden::F16(value) => {
                pool::<f16>(self.view(&value, ids.dim())?, &lengths, self.pooling)
            }
        };
        Ok(rows
            .rows()
            .into_iter()
            .map(|row| row.to_vec().into())
            .collect())
    }
}

/// Hidden states as the graph gives them.
enum Hidden {
    F32(DynValue),
    F16(DynValue),
}

fn build(
    runtime: &runtime::Runtime,
    config: &ModelConfig,
    threads: usize,
) -> ort::Result<OrtSession> {
    let mut builder: SessionBuilder = OrtSession::builder(&runtime.environment)?
        .with_intra_threads(threads)?
        .with_inter_threads(1)?
        // The pool's threads stop spinning when a run ends: no busy core between calls.
        .with_config_entry("session.force_spinning_stop", "1")?;
    builder.commit_from_file(&config.onnx)
}

/// `[texts, longest]` ids and mask. Padding is masked, so its id does not matter; the mask of a
/// text comes from its length, never from its ids (a literal `[PAD]` in a text is attended to).
fn pad(texts: &[&[i64]]) -> (Array2<i64>, Array2<i64>) {
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

/// The output that holds the hidden states, by name, else the only one; and whether it is fp16.
fn choose_output(outputs: &[Outlet], dims: usize) -> Result<(String, bool)> {
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
        TensorElementType::Float32 => Ok((output.name().to_owned(), false)),
        TensorElementType::Float16 => Ok((output.name().to_owned(), true)),
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
