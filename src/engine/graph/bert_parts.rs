//! The parts of an encoder that exporters write in several ways: a product with its bias, GELU, a norm,
//! a slice.

use crate::engine::graph::edit::Index;
use crate::engine::onnx::protobuf::{Node, Tensor, data_type};

/// `input x weights + bias`
#[derive(Clone, Copy)]
pub struct DenseFound<'g> {
    /// What is multiplied.
    pub input: &'g str,
    /// Weights `[inputs, outputs]` and bias.
    pub linear: [&'g Tensor; 2],
}

/// A layer norm.
#[derive(Clone, Copy)]
pub struct Norm<'g> {
    /// What is normed.
    pub input: &'g str,
    /// Gain.
    pub gain: &'g Tensor,
    /// Bias.
    pub bias: &'g Tensor,
    /// Epsilon.
    pub epsilon: f32,
}

/// A constant of floats with so many axes.
fn floats<'g>(index: &Index<'g>, value: &str, axes: usize) -> Option<&'g Tensor> {
    let (tensor, kind) = index.weight(value)?;
    (kind == data_type::FLOAT && tensor.dims.len() == axes).then_some(tensor)
}

/// The constant among two inputs, and the other one.
fn split<'g>(index: &Index<'g>, node: &'g Node, axes: usize) -> Option<(&'g Tensor, &'g str)> {
    let [a, b] = node.input.as_slice() else {
        return None;
    };
    match (floats(index, a, axes), floats(index, b, axes)) {
        (Some(constant), None) => Some((constant, index.alias(b))),
        (None, Some(constant)) => Some((constant, index.alias(a))),
        _ => None,
    }
}

/// The number among two inputs, and the other one.
fn with_number<'g>(index: &Index<'g>, node: &'g Node) -> Option<(f32, &'g str)> {
    let [a, b] = node.input.as_slice() else {
        return None;
    };
    match (index.number(a), index.number(b)) {
        (Some(number), None) => Some((number, index.alias(b))),
        (None, Some(number)) => Some((number, index.alias(a))),
        _ => None,
    }
}

/// A product with its bias.
pub fn dense<'g>(index: &Index<'g>, value: &str) -> Option<DenseFound<'g>> {
    let (bias, product) = split(index, index.made_by(value, "Add")?, 1)?;
    let product = index.made_by(product, "MatMul")?;
    let weights = floats(index, product.input.get(1)?, 2)?;
    let input = index.alias(product.arg(0));
    Some(DenseFound {
        input,
        linear: [weights, bias],
    })
}

/// What GELU with the error function is taken of: `x * (erf(x / sqrt 2) + 1) / 2`, multiplied in any order.
pub fn gelu<'g>(index: &Index<'g>, value: &str) -> Option<&'g str> {
    if let Some(node) = index.made_by(value, "Gelu") {
        let exact = node
            .attribute("approximate")
            .is_none_or(|a| a.s.as_deref() == Some(b"none".as_slice()));
        return exact.then(|| index.alias(node.arg(0)));
    }
    let mut factors = Vec::new();
    let outer = index.made_by(value, "Mul")?;
    for input in &outer.input {
        match index.made_by(input, "Mul") {
            Some(inner) if inner.input.len() == 2 => {
                factors.extend(inner.input.iter().map(|i| index.alias(i)))
            }
            _ => factors.push(index.alias(input)),
        }
    }
    let [mut half, mut x, mut bell] = [None; 3];
    for factor in factors {
        let slot = if index.number(factor).is_some_and(|n| n == 0.5) {
            &mut half
        } else if let Some(input) = bell_of(index, factor) {
            x.get_or_insert(input);
            &mut bell
        } else {
            if *x.get_or_insert(factor) != factor {
                return None;
            }
            continue;
        };
        if slot.replace(factor).is_some() {
            return None;
        }
    }
    half.and(bell).and(x)
}

/// `x` of `erf(x / sqrt 2) + 1`.
fn bell_of<'g>(index: &Index<'g>, value: &str) -> Option<&'g str> {
    let (one, erf) = with_number(index, index.made_by(value, "Add")?)?;
    let scaled = index.made_by(erf, "Erf").filter(|_| one == 1.0)?.arg(0);
    let scaling = index.node(index.maker(scaled)?);
    let (number, x) = with_number(index, scaling)?;
    let root = match scaling.op_type() {
        // A number over x would be another function.
        "Div" if index.number(scaling.arg(0)).is_none() => number,
        "Mul" => number.recip(),
        _ => return None,
    };
    ((root - std::f32::consts::SQRT_2).abs() < 1e-4).then_some(x)
}

/// A norm over the last axis, as one operator or as nine.
pub fn norm<'g>(index: &Index<'g>, value: &str) -> Option<Norm<'g>> {
    if let Some(node) = index.made_by(value, "LayerNormalization") {
        let last = node.int("axis").unwrap_or(-1) == -1;
        return Some(Norm {
            input: index.alias(node.arg(0)),
            gain: floats(index, node.input.get(1)?, 1).filter(|_| last)?,
            bias: floats(index, node.input.get(2)?, 1)?,
            epsilon: node.attribute("epsilon").and_then(|a| a.f).unwrap_or(1e-5),
        });
    }
    let (bias, scaled) = split(index, index.made_by(value, "Add")?, 1)?;
    let (gain, divided) = split(index, index.made_by(scaled, "Mul")?, 1)?;
    let divide = index.made_by(divided, "Div")?;
    let [centred, root] = divide.input.as_slice() else {
        return None;
    };
    let centre = index.made_by(centred, "Sub")?;
    let input = index.alias(centre.arg(0));
    let mean = mean(index, centre.input.get(1)?).filter(|&of| of == input);
    let root = index.made_by(root, "Sqrt")?;
    let (epsilon, variance) = with_number(index, index.made_by(root.arg(0), "Add")?)?;
    let square = index.made_by(self::mean(index, variance)?, "Pow")?;
    let two = index.number(square.input.get(1)?) == Some(2.0);
    let same = index.alias(square.arg(0)) == index.alias(centred);
    (mean.is_some() && two && same).then_some(Norm {
        input,
        gain,
        bias,
        epsilon,
    })
}

/// What a mean over the last axis is taken of.
fn mean<'g>(index: &Index<'g>, value: &str) -> Option<&'g str> {
    let node = index.made_by(value, "ReduceMean")?;
    let axes = match node.attribute("axes") {
        Some(axes) => axes.ints.clone(),
        None => index.integers(node.input.get(1)?)?,
    };
    let last = axes == [-1] || axes == [2];
    (last && node.int("keepdims").unwrap_or(1) == 1).then(|| index.alias(node.arg(0)))
}

/// Whether a slice has the first elements of an axis, one after the other.
pub fn starts_at_zero(index: &Index<'_>, slice: &Node, axis: i64) -> bool {
    let single =
        |at: usize, otherwise: i64| match slice.input.get(at).filter(|name| !name.is_empty()) {
            None => Some(otherwise),
            Some(name) => index.integers(name).filter(|v| v.len() == 1).map(|v| v[0]),
        };
    single(1, 0) == Some(0) && single(3, axis) == Some(axis) && single(4, 1) == Some(1)
}
