//! Pass `attention`: the dozen operators of a layer's attention become one, `MultiHeadAttention` of
//! ONNX Runtime's own set. It saves the copies between heads and tokens.
//!
//! Recognised from its softmax: products of heads before and after it, a constant scale, and a mask
//! that is made of `attention_mask` in BERT's way.

use crate::engine::graph::edit::{self, Index, int, node};
use crate::engine::onnx::protobuf::{Attribute, Model, Node, OperatorSet, data_type};
use crate::engine::onnx::tensors;
use std::path::Path;

/// A layer's attention.
struct Found<'g> {
    query: &'g str,
    key: &'g str,
    value: &'g str,
    heads: i64,
    scale: f32,
    /// The reshape at its end.
    end: usize,
}

/// The graph with each attention as one node.
///
/// # Errors
/// Why the pass does not fit.
pub fn apply(model: &Model) -> Result<Model, String> {
    let index = Index::new(model);
    let nodes = model.body().node.iter().enumerate();
    let softmaxes: Vec<usize> = nodes
        .filter(|(_, n)| n.is("Softmax"))
        .map(|(i, _)| i)
        .collect();
    let found: Option<Vec<Found<'_>>> = softmaxes.iter().map(|&i| recognise(&index, i)).collect();
    let found = found.filter(|found| !found.is_empty());
    let found = found.ok_or("attention was not recognised in every layer")?;
    let mut changed = model.clone();
    for layer in &found {
        let output = index.node(layer.end).out();
        let inputs = [
            layer.query,
            layer.key,
            layer.value,
            "",
            "bge_attention_mask",
        ];
        let scale = Attribute {
            name: Some("scale".to_owned()),
            f: Some(layer.scale),
            r#type: Some(1),
            ..Attribute::default()
        };
        let mut fused = node(
            "MultiHeadAttention",
            &inputs,
            &[output],
            vec![int("num_heads", layer.heads), scale],
        );
        fused.domain = Some(DOMAIN.to_owned());
        changed.body_mut().node[layer.end] = fused;
    }
    let to_int32 = vec![int("to", data_type::INT32.into())];
    let mask = node(
        "Cast",
        &["attention_mask"],
        &["bge_attention_mask"],
        to_int32,
    );
    edit::insert(&mut changed, vec![(0, mask)]);
    if changed
        .opset_import
        .iter()
        .all(|set| set.domain() != DOMAIN)
    {
        changed.opset_import.push(OperatorSet {
            domain: Some(DOMAIN.to_owned()),
            version: Some(1),
        });
    }
    Ok(changed)
}

const DOMAIN: &str = "com.microsoft";

fn recognise<'g>(index: &Index<'g>, softmax: usize) -> Option<Found<'g>> {
    let softmax = index.node(softmax);
    let over_last = matches!(softmax.int("axis"), Some(-1 | 3));
    let add = made_by(index, softmax.input.first()?, "Add").filter(|_| over_last)?;
    let [a, b] = add.input.as_slice() else {
        return None;
    };
    let scores = match (is_mask(index, a), is_mask(index, b)) {
        (false, true) => a,
        (true, false) => b,
        _ => return None,
    };
    let (product, scale) = scaled(index, scores)?;
    let [left, right] = product.input.as_slice() else {
        return None;
    };
    let (query, query_heads) = heads(index, left, &[0, 2, 1, 3])?;
    let (key, key_heads) = heads(index, right, &[0, 2, 3, 1])?;
    let &[weighted] = index.takers(softmax.out()) else {
        return None;
    };
    let weighted =
        Some(index.node(weighted)).filter(|n| n.is("MatMul") && n.arg(0) == softmax.out())?;
    let (value, value_heads) = heads(index, weighted.input.get(1)?, &[0, 2, 1, 3])?;
    let &[back] = index.takers(weighted.out()) else {
        return None;
    };
    let back = Some(index.node(back)).filter(|n| is_transpose(n, &[0, 2, 1, 3]))?;
    let mut takers = index.takers(back.out()).iter().copied();
    let end = takers.find(|&i| index.node(i).is("Reshape"))?;
    let alone = index
        .takers(back.out())
        .iter()
        .all(|&i| i == end || index.node(i).is("Shape"));
    let flat = shape_length(index, index.node(end).input.get(1)?)? == 3;
    let same = query_heads == key_heads && key_heads == value_heads;
    (alone && flat && same).then_some(Found {
        query,
        key,
        value,
        heads: query_heads,
        scale,
        end,
    })
}

fn made_by<'g>(index: &Index<'g>, value: &str, op: &str) -> Option<&'g Node> {
    let maker = index.node(index.maker(value)?);
    maker.is(op).then_some(maker)
}

fn is_transpose(node: &Node, perm: &[i64]) -> bool {
    node.is("Transpose") && node.attribute("perm").is_some_and(|p| p.ints == perm)
}

/// The product under a constant scale, if there is one.
fn scaled<'g>(index: &Index<'g>, scores: &str) -> Option<(&'g Node, f32)> {
    let node = index.node(index.maker(scores)?);
    if node.is("MatMul") {
        return Some((node, 1.0));
    }
    let number = number(index, node.input.get(1)?)?;
    let scale = match node.op_type() {
        "Div" => number.recip(),
        "Mul" => number,
        _ => return None,
    };
    Some((made_by(index, node.arg(0), "MatMul")?, scale))
}

/// The value `[batch, tokens, heads x size]` that was split into heads and turned, and their number.
fn heads<'g>(index: &Index<'g>, value: &str, perm: &[i64]) -> Option<(&'g str, i64)> {
    let turned = index.node(index.maker(value)?);
    if !is_transpose(turned, perm) {
        return None;
    }
    let split = made_by(index, turned.input.first()?, "Reshape")?;
    let shape = split.input.get(1)?;
    let size_and_heads = |at: usize| match index.integers(shape) {
        Some(shape) => shape.get(at).copied(),
        None => index
            .integers(made_by(index, shape, "Concat")?.input.get(at)?)?
            .first()
            .copied(),
    };
    let (heads, size) = (size_and_heads(2)?, size_and_heads(3)?);
    let four = shape_length(index, shape)? == 4;
    (four && heads > 0 && size > 0).then_some((split.arg(0), heads))
}

fn shape_length(index: &Index<'_>, shape: &str) -> Option<usize> {
    match index.integers(shape) {
        Some(shape) => Some(shape.len()),
        None => Some(made_by(index, shape, "Concat")?.input.len()),
    }
}

/// Whether a value is `(1 - attention_mask) x (very negative)`, spread over heads and queries.
fn is_mask(index: &Index<'_>, value: &str) -> bool {
    let found = || {
        let product = made_by(index, value, "Mul")?;
        let [a, b] = product.input.as_slice() else {
            return None;
        };
        let (rest, factor) = match (number(index, a), number(index, b)) {
            (None, Some(factor)) => (a, factor),
            (Some(factor), None) => (b, factor),
            _ => return None,
        };
        let sub = made_by(index, rest, "Sub")?;
        let one = number(index, sub.input.first()?)? == 1.0;
        let mut at = made_by(index, sub.input.get(1)?, "Cast")?.input.first()?;
        for _ in 0..2 {
            if at != "attention_mask" {
                at = made_by(index, at, "Unsqueeze")?.input.first()?;
            }
        }
        Some(one && factor <= -1e4 && at == "attention_mask")
    };
    found() == Some(true)
}

/// A single float.
fn number(index: &Index<'_>, value: &str) -> Option<f32> {
    let tensor = index.constant(value)?;
    let single = tensor.dims.iter().all(|&d| d == 1);
    let values = tensors::floats(tensor, Path::new(""))
        .ok()
        .filter(|_| single)?;
    values.first().copied()
}
