//! Pass `int8`: products with constant matrices become dynamically quantised ones.
//!
//! Weights are int8, symmetric, with a scale for each column; activations are quantised to uint8 as
//! they come, once for all products that take them. Written in standard operators, which ONNX Runtime
//! fuses into its own. Embedding tables, attention between tokens, norms and the rest stay in single
//! precision; so do the products at the end of the first layers, which take the most skewed
//! activations: without that, texts of rare characters lose their meaning.

use crate::engine::graph::edit::{self, Index, int, node};
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::{Model, Node, data_type};
use crate::engine::onnx::tensors;
use std::collections::HashMap;

/// How far weights may use their eight bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// -127 to 127.
    Full,
    /// -63 to 63: x86 without VNNI adds two products of a weight in 16 bits, which would overflow.
    Reduced,
}

impl Range {
    /// What this CPU can add up.
    pub fn of_this_cpu() -> Self {
        #[cfg(target_arch = "x86_64")]
        if !is_x86_feature_detected!("avx512vnni") && !is_x86_feature_detected!("avxvnni") {
            return Range::Reduced;
        }
        Range::Full
    }

    fn largest(self) -> f32 {
        match self {
            Range::Full => 127.0,
            Range::Reduced => 63.0,
        }
    }
}

/// The graph with its constant products quantised.
///
/// # Errors
/// Why the pass does not fit.
pub fn apply(source: &OnnxGraph, range: Range) -> Result<Model, String> {
    let model = &source.model;
    if model.opset() < 11 {
        return Err(format!("opset {} is older than 11", model.opset()));
    }
    let index = Index::new(model);
    let mut changed = model.clone();
    let mut new = Vec::new();
    let mut quantised: HashMap<String, [String; 3]> = HashMap::new();
    let mut weights: HashMap<String, [String; 2]> = HashMap::new();
    let spared = spared(&index);
    for (i, product) in model.body().node.iter().enumerate() {
        let [Some(left), Some(right)] = [product.input.first(), product.input.get(1)] else {
            continue;
        };
        let Some((matrix, data_type::FLOAT)) = index.weight(right).filter(|_| product.is("MatMul"))
        else {
            continue;
        };
        if matrix.dims.len() != 2 || index.weight(left).is_some() || spared.contains(&i) {
            continue;
        }
        let [whole, scales] = match weights.get(right) {
            Some(names) => names.clone(),
            None => {
                let n = weights.len();
                let names = [
                    format!("bge_int8_weight_{n}"),
                    format!("bge_int8_scale_{n}"),
                ];
                let values = tensors::floats(matrix, &source.folder).map_err(|e| e.to_string())?;
                let (whole, scales) = quantise(&values, matrix.dims[1] as usize, range);
                let scales: Vec<u8> = scales.iter().flat_map(|s| s.to_le_bytes()).collect();
                changed.body_mut().initializer.extend([
                    edit::tensor(&names[0], data_type::INT8, &matrix.dims, whole),
                    edit::tensor(&names[1], data_type::FLOAT, &matrix.dims[1..], scales),
                ]);
                weights.insert(right.clone(), names.clone());
                names
            }
        };
        let n = quantised.len();
        let [bytes, scale, zero] = quantised.entry(left.clone()).or_insert_with(|| {
            let names = ["bytes", "scale", "zero"].map(|part| format!("bge_int8_{part}_of_{n}"));
            let outputs = [names[0].as_str(), &names[1], &names[2]];
            new.push((i, node("DynamicQuantizeLinear", &[left], &outputs, vec![])));
            names
        });
        let part = |name: &str| format!("bge_int8_{name}_{i}");
        let (sum, float, both) = (part("sum"), part("float"), part("scales"));
        let to_float = vec![int("to", data_type::FLOAT.into())];
        new.push((
            i,
            node("MatMulInteger", &[bytes, &whole, zero], &[&sum], vec![]),
        ));
        new.push((i, node("Cast", &[&sum], &[&float], to_float)));
        new.push((i, node("Mul", &[scale, &scales], &[&both], vec![])));
        changed.body_mut().node[i] = node("Mul", &[&float, &both], &[product.out()], vec![]);
    }
    if weights.is_empty() {
        return Err("the graph multiplies with no constant float32 matrix".into());
    }
    edit::insert(&mut changed, new);
    Ok(changed)
}

/// One in so many of the narrowing products, the ones that end a feed-forward, stays as it is.
const SPARED: usize = 12;

/// The products that are not quantised: the first of those that narrow.
fn spared(index: &Index<'_>) -> Vec<usize> {
    let narrows = |node: &Node| {
        let matrix = index
            .weight(node.arg(1))
            .map(|(tensor, _)| tensor.dims.as_slice());
        node.is("MatMul") && matches!(matrix, Some(&[rows, columns]) if rows > columns)
    };
    let nodes = index.nodes().iter().enumerate();
    let mut found: Vec<usize> = nodes.filter(|(_, n)| narrows(n)).map(|(i, _)| i).collect();
    found.truncate(found.len() / SPARED);
    found
}

/// Rounds a matrix `[rows, columns]` to int8 with a scale for each column.
fn quantise(values: &[f32], columns: usize, range: Range) -> (Vec<u8>, Vec<f32>) {
    let mut scales = vec![0f32; columns];
    for row in values.chunks_exact(columns) {
        for (scale, value) in scales.iter_mut().zip(row) {
            *scale = scale.max(value.abs());
        }
    }
    for scale in &mut scales {
        *scale /= range.largest();
        if *scale == 0.0 || !scale.is_finite() {
            *scale = 1.0;
        }
    }
    let factors: Vec<f32> = scales.iter().map(|s| s.recip()).collect();
    let mut whole = Vec::with_capacity(values.len());
    for row in values.chunks_exact(columns) {
        // `as` saturates, and takes NaN for zero.
        let rounded = row
            .iter()
            .zip(&factors)
            .map(|(v, f)| (v * f).round_ties_even() as i8 as u8);
        whole.extend(rounded);
    }
    (whole, scales)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_scales_of_their_own() {
        let (whole, scales) = quantise(&[1.0, -100.0, -0.5, 50.0, 0.25, 0.0], 2, Range::Full);
        assert_eq!(scales, [1.0 / 127.0, 100.0 / 127.0]);
        let whole: Vec<i8> = whole.iter().map(|&b| b as i8).collect();
        assert_eq!(whole, [127, -127, -64, 64, 32, 0]);
        let (whole, _) = quantise(&[1.0, -100.0, -0.5, 50.0, 0.25, 0.0], 2, Range::Reduced);
        assert!(whole.iter().all(|&b| (b as i8).abs() <= 63));
        let (whole, scales) = quantise(&[0.0, f32::NAN], 2, Range::Full);
        assert_eq!((whole, scales), (vec![0, 0], vec![1.0, 1.0]));
    }
}
