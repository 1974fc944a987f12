//! Passes over a model's graph: each takes a graph and gives a changed one, or a reason why it does
//! not fit. Nothing here runs a graph; `engine::prepare` decides which passes are used and checks what
//! they did.
//!
//! [`file`] reads a graph without its weights into a [`model`]; [`edit`] is what passes share;
//! [`attention`], [`last_layer`], [`pool`], [`int8`] and [`fp16`] are the passes; [`bound`] says how far they may move a
//! vector; [`cache`] keeps prepared graphs in a folder. May use `engine::pooling` and `engine::precision`; names no runtime.

pub mod attention;
pub mod bound;
pub mod cache;
pub mod edit;
pub mod file;
pub mod fp16;
pub mod int8;
pub mod last_layer;
#[allow(missing_docs)] // as in onnx.proto
pub mod model;
pub mod pool;

use super::pooling::Pooling;
use super::precision::Precision;
use file::Source;
use model::{Model, kind};
use serde::{Deserialize, Serialize};

/// A pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// See [`attention`].
    Attention,
    /// See [`last_layer`].
    LastLayer,
    /// See [`pool`].
    Pool,
    /// See [`int8`].
    Int8,
    /// See [`fp16`].
    Fp16,
}

impl Pass {
    /// Those that can be switched by name; they change no vector beyond rounding.
    pub const SWITCHED: [Pass; 3] = [Pass::Attention, Pass::LastLayer, Pass::Pool];

    /// The order in which they are applied. Pooling comes last: it stays in single precision.
    pub const ORDER: [Pass; 5] = [
        Pass::Attention,
        Pass::LastLayer,
        Pass::Int8,
        Pass::Fp16,
        Pass::Pool,
    ];

    /// As it is written in options.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Attention => "attention",
            Pass::LastLayer => "last_layer",
            Pass::Pool => "pool",
            Pass::Int8 => "int8",
            Pass::Fp16 => "fp16",
        }
    }
}

/// What became of a pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassReport {
    /// Which.
    pub pass: Pass,
    /// Why it is off; `None`: it is on.
    pub off: Option<String>,
}

/// What passes need to know of a model.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'m> {
    /// The output with the hidden states.
    pub hidden: &'m str,
    /// Dimensions of a vector.
    pub dims: usize,
    /// How vectors are pooled.
    pub pooling: Pooling,
    /// What the file computes in.
    pub precision: Precision,
    /// How far int8 weights may go.
    pub range: int8::Range,
}

/// Applies one pass.
///
/// # Errors
/// Why it does not fit.
pub fn apply(pass: Pass, source: &Source, facts: &Facts<'_>) -> Result<Source, String> {
    if let Some(reason) = edit::refusal(&source.model) {
        return Err(reason.to_owned());
    }
    let model = match pass {
        Pass::LastLayer if facts.pooling == Pooling::Mean => {
            Err("mean pooling uses every token".to_owned())
        }
        Pass::LastLayer if facts.precision == Precision::Int8 => {
            Err("an int8 graph is left as it is".to_owned())
        }
        Pass::Attention if facts.precision != Precision::Fp32 => Err(format!(
            "an {} graph is left as it is",
            facts.precision.name()
        )),
        Pass::Attention => attention::apply(&source.model),
        Pass::LastLayer => last_layer::apply(&source.model, facts.hidden),
        Pass::Pool => pool::apply(&source.model, facts.hidden, facts.dims, facts.pooling),
        Pass::Int8 => int8::apply(source, facts.range),
        Pass::Fp16 => fp16::apply(source),
    }?;
    Ok(Source {
        model,
        folder: source.folder.clone(),
    })
}

/// What a file's graph computes in: from its operators and the kind of its matrices and output.
pub fn precision(model: &Model, hidden: &str) -> Precision {
    const QUANTISED: [&str; 6] = [
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "DynamicQuantizeLSTM",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "QAttention",
    ];
    let index = edit::Index::new(model);
    let body = model.body();
    if body.node.iter().any(|n| QUANTISED.contains(&n.op_type())) {
        return Precision::Int8;
    }
    let output = body.output.iter().find(|o| o.name() == hidden);
    let half_matrix = |n: &model::Node| {
        let matrix = n.input.get(1).and_then(|name| index.weight(name));
        n.op_type() == "MatMul" && matrix.is_some_and(|(_, seen)| seen == kind::FLOAT16)
    };
    let half = output.and_then(edit::element_kind) == Some(kind::FLOAT16);
    if half || body.node.iter().any(half_matrix) {
        Precision::Fp16
    } else {
        Precision::Fp32
    }
}

/// Large tensors that the runtime keeps as they are, rather than packing them anew for its matrix
/// products: they must be in memory of ours, since a mapped file may change.
pub fn resident(model: &Model) -> Vec<&model::Tensor> {
    let index = edit::Index::new(model);
    let packs = |n: &model::Node, name: &str| {
        matches!(n.op_type(), "MatMul" | "MatMulInteger")
            && n.input.get(1).is_some_and(|w| w == name)
    };
    let packed = |name: &str| {
        let mut takers = index.takers(name).iter().map(|&i| index.node(i));
        takers.all(|n| packs(n, name))
    };
    let tensors = model.body().initializer.iter();
    tensors
        .filter(|t| t.external().is_some() && !packed(t.name()))
        .collect()
}
