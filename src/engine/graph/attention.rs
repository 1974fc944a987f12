//! Pass `attention`: the dozen operators of a layer's attention become one, `MultiHeadAttention` of
//! ONNX Runtime's own set. It saves the copies between heads and tokens.
//!
//! Recognised from its softmax: products of heads before and after it, a constant scale, and a mask
//! that is made of `attention_mask` in BERT's way.

use crate::engine::graph::edit::{self, Index, int, node};
use crate::engine::onnx::protobuf::{Attribute, Model, Node, OperatorSet, data_type};

/// A layer's attention.
pub struct Found<'g> {
    /// Queries, `[batch, tokens, heads x size]`.
    pub query: &'g str,
    /// Keys, likewise.
    pub key: &'g str,
    /// Values, likewise.
    pub value: &'g str,
    /// Heads.
    pub heads: i64,
    /// What products of queries and keys are multiplied with.
    pub scale: f32,
    /// The reshape at its end.
    pub end: usize,
}

/// All that are recognised.
pub fn all<'g>(index: &Index<'g>) -> Vec<Found<'g>> {
    let nodes = index.nodes().iter().enumerate();
    let softmaxes = nodes.filter(|(_, n)| n.is("Softmax"));
    softmaxes.filter_map(|(i, _)| recognise(index, i)).collect()
}

/// The graph with each attention as one node.
///
/// # Errors
/// Why the pass does not fit.
pub fn apply(model: &Model) -> Result<Model, String> {
    let index = Index::new(model);
    let softmaxes = index.nodes().iter().filter(|n| n.is("Softmax")).count();
    let found = all(&index);
    if found.is_empty() || found.len() < softmaxes {
        return Err("attention was not recognised in every layer".into());
    }
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
    let add = index
        .made_by(softmax.input.first()?, "Add")
        .filter(|_| over_last)?;
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

fn is_transpose(node: &Node, perm: &[i64]) -> bool {
    node.is("Transpose") && node.attribute("perm").is_some_and(|p| p.ints == perm)
}

/// The product under a constant scale, if there is one.
fn scaled<'g>(index: &Index<'g>, scores: &str) -> Option<(&'g Node, f32)> {
    let node = index.node(index.maker(scores)?);
    if node.is("MatMul") {
        return Some((node, 1.0));
    }
    let number = index.number(node.input.get(1)?)?;
    let scale = match node.op_type() {
        "Div" => number.recip(),
        "Mul" => number,
        _ => return None,
    };
    Some((index.made_by(node.arg(0), "MatMul")?, scale))
}

/// The value `[batch, tokens, heads x size]` that was split into heads and turned, and their number.
fn heads<'g>(index: &Index<'g>, value: &str, perm: &[i64]) -> Option<(&'g str, i64)> {
    let turned = index.node(index.maker(value)?);
    if !is_transpose(turned, perm) {
        return None;
    }
    let split = index.made_by(turned.input.first()?, "Reshape")?;
    let shape = split.input.get(1)?;
    let size_and_heads = |at: usize| match index.integers(shape) {
        Some(shape) => shape.get(at).copied(),
        None => index
            .integers(index.made_by(shape, "Concat")?.input.get(at)?)?
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
        None => Some(index.made_by(shape, "Concat")?.input.len()),
    }
}

/// Whether a value is `(1 - attention_mask) x (very negative)`, spread over heads and queries.
fn is_mask(index: &Index<'_>, value: &str) -> bool {
    let found = || {
        let product = index.made_by(value, "Mul")?;
        let [a, b] = product.input.as_slice() else {
            return None;
        };
        let (rest, factor) = match (index.number(a), index.number(b)) {
            (None, Some(factor)) => (a, factor),
            (Some(factor), None) => (b, factor),
            _ => return None,
        };
        let sub = index.made_by(rest, "Sub")?;
        let one = index.number(sub.input.first()?)? == 1.0;
        let mut at = index.made_by(sub.input.get(1)?, "Cast")?.input.first()?;
        for _ in 0..2 {
            if at != "attention_mask" {
                at = index.made_by(at, "Unsqueeze")?.input.first()?;
            }
        }
        Some(one && factor <= -1e4 && at == "attention_mask")
    };
    found() == Some(true)
}
