//! Passes over a model's graph: each takes a graph and gives a changed one, or a reason why it does
//! not fit. Nothing here runs a graph; `inference::prepare` decides which passes are used and checks what
//! they did.
//!
//! [`edit`] is what passes share; [`attention`], [`last_layer`], [`pool`], [`int8`] and [`fp16`] are the
//! passes; [`bert`] recognises what our own encoder can run, by the parts of [`bert_parts`], and
//! [`head`] what stands on it in a reranker; [`bound`] says how far they may move a vector; [`graph_cache`] keeps
//! prepared graphs in a folder. Uses `engine::onnx` and the words of `engine::models`; names no runtime.

pub mod attention;
pub mod bert;
pub mod bert_parts;
pub mod bound;
pub mod edit;
pub mod fp16;
pub mod graph_cache;
pub mod head;
pub mod int8;
pub mod last_layer;
pub mod pool;

use crate::engine::models::pass::Pass;
use crate::engine::models::pooling::Pooling;
use crate::engine::models::precision::Precision;
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::{Model, Node, Tensor, data_type};

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
pub fn apply(pass: Pass, source: &OnnxGraph, facts: &Facts<'_>) -> Result<OnnxGraph, String> {
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
    Ok(OnnxGraph {
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
    let half_matrix = |n: &Node| {
        let matrix = n.input.get(1).and_then(|name| index.weight(name));
        n.op_type() == "MatMul" && matrix.is_some_and(|(_, seen)| seen == data_type::FLOAT16)
    };
    let half = output.and_then(edit::element_kind) == Some(data_type::FLOAT16);
    if half || body.node.iter().any(half_matrix) {
        Precision::Fp16
    } else {
        Precision::Fp32
    }
}

/// Large tensors that the runtime keeps as they are, rather than packing them anew for its matrix
/// products: they must be in memory of ours, since a mapped file may change.
pub fn resident(model: &Model) -> Vec<&Tensor> {
    let index = edit::Index::new(model);
    let packs = |n: &Node, name: &str| {
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
