//! Pass `last_layer`: with CLS pooling only the first token's output is used, so the last layer
//! computes queries, attention, feed-forward and norms for that token alone. Its keys and values stay
//! whole.
//!
//! It works backwards from the hidden states, with nothing assumed about the exporter: a value is
//! needed at index 0 of its token axis; so are, then, the operands of an elementwise operator, the
//! rows of a matrix product, the input of a norm over the last axis, and so on. The way back ends
//! where a value is also needed whole (the last layer's input, for keys and values) or at an operator
//! that is not known; there a Slice of index 0 is put.

use crate::engine::graph::edit::{self, Index, node};
use crate::engine::onnx::protobuf::{Model, Node};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// Constant matrices that a layer multiplies its token with, at the least: attention output and two
/// of the feed-forward. Fewer are not worth it.
const LEAST_PRODUCTS: usize = 3;

/// Where a value has its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tokens {
    axis: usize,
    rank: usize,
}

/// The graph whose `hidden` holds the first token alone: `[batch, 1, dims]`.
///
/// # Errors
/// Why the pass does not fit.
pub fn apply(model: &Model, hidden: &str) -> Result<Model, String> {
    if model.opset() < 10 {
        return Err(format!("opset {} is older than 10", model.opset()));
    }
    let index = Index::new(model);
    let sliced = Sliced::find(&index, hidden);
    let by_matrix = |node: &Node| node.input.get(1).is_some_and(|w| index.weight(w).is_some());
    let nodes = sliced.nodes.iter().map(|&i| index.node(i));
    let products = nodes.filter(|n| n.is("MatMul") && by_matrix(n)).count();
    let cuts: Vec<(&str, Tokens)> = sliced.cuts.iter().map(|(&v, &t)| (v, t)).collect();
    if products < LEAST_PRODUCTS || cuts.is_empty() || cuts.iter().any(|(v, _)| *v == hidden) {
        return Err("no layer was recognised before the hidden states".into());
    }
    sliced.check_reshapes(&index)?;
    Ok(rewrite(model, &index, &sliced, &cuts))
}

/// Slices the cut values and gives the sliced nodes what comes out.
fn rewrite(
    model: &Model,
    index: &Index<'_>,
    sliced: &Sliced<'_>,
    cuts: &[(&str, Tokens)],
) -> Model {
    let mut changed = model.clone();
    let mut new = Vec::new();
    for (n, &(value, tokens)) in cuts.iter().enumerate() {
        let (name, axes) = (
            format!("bge_first_{n}"),
            format!("bge_first_axis_{}", tokens.axis),
        );
        let takers: Vec<usize> = index.takers(value).to_vec();
        let mut first_taker = None;
        for i in takers.into_iter().filter(|i| sliced.nodes.contains(i)) {
            let node = &mut changed.body_mut().node[i];
            for (k, input) in node.input.iter_mut().enumerate() {
                if input == value && sliced.uses.contains(&(i, k)) {
                    input.clone_from(&name);
                    first_taker.get_or_insert(i);
                }
            }
        }
        let inputs = [value, "bge_first_start", "bge_first_stop", axes.as_str()];
        let slice = node("Slice", &inputs, &[&name], vec![]);
        new.extend(first_taker.map(|at| (at, slice)));
        let body = changed.body_mut();
        if body.initializer.iter().all(|t| t.name() != axes) {
            body.initializer
                .push(edit::integers(&axes, &[tokens.axis as i64]));
        }
    }
    edit::insert(&mut changed, new);
    let body = changed.body_mut();
    body.initializer
        .push(edit::integers("bge_first_start", &[0]));
    body.initializer
        .push(edit::integers("bge_first_stop", &[1]));
    changed
}

/// What works on the first token alone.
struct Sliced<'g> {
    nodes: BTreeSet<usize>,
    /// Inputs of those nodes that are to be sliced values: node and position.
    uses: HashSet<(usize, usize)>,
    /// Values to put a Slice behind.
    cuts: BTreeMap<&'g str, Tokens>,
}

impl<'g> Sliced<'g> {
    fn find(index: &Index<'g>, hidden: &'g str) -> Self {
        let mut whole: HashSet<&'g str> = HashSet::new();
        loop {
            let (found, values) = Self::walk(index, hidden, &whole);
            // A value that some node outside takes is needed whole.
            let more: Vec<&'g str> = values
                .into_iter()
                .filter(|&value| value != hidden && !found.keeps_inside(index, value))
                .collect();
            if more.is_empty() {
                return found;
            }
            whole.extend(more);
        }
    }

    /// The nodes back to the values in `whole`, and the values between them.
    fn walk(index: &Index<'g>, hidden: &'g str, whole: &HashSet<&'g str>) -> (Self, Vec<&'g str>) {
        let mut found = Sliced {
            nodes: BTreeSet::new(),
            uses: HashSet::new(),
            cuts: BTreeMap::new(),
        };
        let mut values: BTreeMap<&'g str, Tokens> = BTreeMap::new();
        let mut todo = vec![(hidden, Tokens { axis: 1, rank: 3 })];
        while let Some((value, tokens)) = todo.pop() {
            if values.contains_key(value) || found.cuts.contains_key(value) {
                continue;
            }
            let maker = index.maker(value).filter(|_| !whole.contains(value));
            let way = maker.and_then(|i| Some((i, back(index, index.node(i), tokens)?)));
            let Some((i, inputs)) = way else {
                found.cuts.insert(value, tokens);
                continue;
            };
            values.insert(value, tokens);
            found.nodes.insert(i);
            for (k, tokens) in inputs {
                found.uses.insert((i, k));
                todo.push((index.node(i).arg(k), tokens));
            }
        }
        (found, values.into_keys().collect())
    }

    /// Whether all that take a value are sliced nodes, or ask for the shape on behalf of one.
    fn keeps_inside(&self, index: &Index<'_>, value: &str) -> bool {
        !index.is_output(value)
            && index.takers(value).iter().all(|&i| {
                let takes_sliced =
                    |(k, input): (usize, &String)| input != value || self.uses.contains(&(i, k));
                let node = index.node(i);
                if node.is("Shape") {
                    self.shape_stays_inside(index, node.out(), 0)
                } else {
                    self.nodes.contains(&i) && node.input.iter().enumerate().all(takes_sliced)
                }
            })
    }

    /// Whether a shape goes nowhere but into the reshapes of sliced nodes.
    fn shape_stays_inside(&self, index: &Index<'_>, shape: &str, depth: usize) -> bool {
        const OPERATORS: [&str; 7] = [
            "Gather",
            "Unsqueeze",
            "Squeeze",
            "Concat",
            "Slice",
            "Cast",
            "Identity",
        ];
        depth < 16
            && !index.is_output(shape)
            && index.takers(shape).iter().all(|&i| {
                let node = index.node(i);
                let inside = self.nodes.contains(&i) && node.is("Reshape");
                inside
                    || OPERATORS.iter().any(|op| node.is(op))
                        && self.shape_stays_inside(index, node.out(), depth + 1)
            })
    }

    /// Every reshape of a sliced node must take its number of tokens from the sliced value.
    fn check_reshapes(&self, index: &Index<'_>) -> Result<(), String> {
        for &i in &self.nodes {
            let node = index.node(i);
            if node.is("Reshape") && !self.follows(index, node.arg(1), node) {
                return Err(format!("the shape of {} comes from elsewhere", node.out()));
            }
        }
        Ok(())
    }

    /// Whether element 1 of a shape is that of the reshaped value.
    fn follows(&self, index: &Index<'_>, shape: &str, reshape: &Node) -> bool {
        if let Some(shape) = index.integers(shape) {
            // 0 copies, -1 is worked out.
            return matches!(shape.get(1), Some(0 | -1));
        }
        let Some(concat) = index
            .maker(shape)
            .map(|i| index.node(i))
            .filter(|n| n.is("Concat"))
        else {
            return false;
        };
        let Some(part) = concat.input.get(1) else {
            return false;
        };
        if let Some(part) = index.integers(part) {
            return matches!(part.as_slice(), [0 | -1]);
        }
        // Unsqueeze(Gather(Shape(x), 1)), where x is sliced and has its tokens at 1 too.
        let mut value = part.as_str();
        for _ in 0..8 {
            let Some(node) = index.maker(value).map(|i| index.node(i)) else {
                return false;
            };
            if node.is("Shape") {
                return node.arg(0) == reshape.arg(0);
            }
            if !["Unsqueeze", "Gather", "Cast", "Identity"]
                .iter()
                .any(|op| node.is(op))
            {
                return false;
            }
            value = node.arg(0);
        }
        false
    }
}

/// Operators that treat each element by itself.
const ELEMENTWISE: [&str; 21] = [
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Pow",
    "Sqrt",
    "Erf",
    "Tanh",
    "Sigmoid",
    "Relu",
    "Exp",
    "Neg",
    "Abs",
    "Reciprocal",
    "Max",
    "Min",
    "Cast",
    "Identity",
    "Gelu",
    "FastGelu",
    "BiasGelu",
];

/// Norms over the last axis, whose first input (or two) has the tokens.
const NORMS: [(&str, usize); 3] = [
    ("LayerNormalization", 1),
    ("SimplifiedLayerNormalization", 1),
    ("SkipLayerNormalization", 2),
];

/// Whether a value is made of sizes and constants, such as the scale of attention in some exports: a
/// number, without tokens.
fn is_size(index: &Index<'_>, value: &str, depth: usize) -> bool {
    const OPERATORS: [&str; 6] = ["Gather", "Slice", "Squeeze", "Sqrt", "Div", "Cast"];
    if depth > 16 {
        return false;
    }
    let Some(node) = index.maker(value).map(|i| index.node(i)) else {
        return index.constant(value).is_some();
    };
    let all = || {
        node.input
            .iter()
            .all(|input| is_size(index, input, depth + 1))
    };
    node.is("Shape") || node.is("Constant") || OPERATORS.iter().any(|op| node.is(op)) && all()
}

/// The inputs of a node that are needed at their first token alone, if that is all its output is
/// needed at. `None`: the operator is not known, or mixes tokens.
fn back(index: &Index<'_>, node: &Node, out: Tokens) -> Option<Vec<(usize, Tokens)>> {
    let constant = |name: &str| index.weight(name).is_some();
    let op = node.op_type();
    if node.output.len() != 1 {
        return None;
    }
    if ELEMENTWISE.contains(&op) {
        let mut inputs = Vec::new();
        for (k, name) in node.input.iter().enumerate() {
            match index.weight(name) {
                // It must not vary along the tokens: at most the axes after them.
                Some((tensor, _)) if tensor.dims.len() < out.rank - out.axis => {}
                Some((tensor, _)) if tensor.dims.iter().all(|&d| d == 1) => {}
                Some(_) => return None,
                None if is_size(index, name, 0) => {}
                None => inputs.push((k, out)),
            }
        }
        return Some(inputs);
    }
    if let Some(&(_, count)) = NORMS.iter().find(|(name, _)| *name == op) {
        let last = node.int("axis").unwrap_or(-1);
        let over_last = last == -1 || last == out.rank as i64 - 1;
        return over_last.then(|| (0..count.min(node.input.len())).map(|k| (k, out)).collect());
    }
    match op {
        "MatMul" => {
            let right = node.input.get(1)?;
            let rows = out.axis + 2 == out.rank;
            (rows || constant(right) && out.axis + 1 < out.rank).then(|| vec![(0, out)])
        }
        // Queries one by one; keys and values whole.
        "MultiHeadAttention" => (out.rank == 3 && out.axis == 1).then(|| vec![(0, out)]),
        "Softmax" => {
            // Before opset 13 the default axis was 1.
            let axis = node.int("axis")?;
            (axis == -1 || axis == out.rank as i64 - 1).then(|| vec![(0, out)])
        }
        "ReduceMean" => {
            let axes = match node.attribute("axes") {
                Some(axes) => axes.ints.clone(),
                None => index.integers(node.input.get(1)?)?,
            };
            let last = axes == [-1] || axes == [out.rank as i64 - 1];
            (last && node.int("keepdims").unwrap_or(1) == 1).then(|| vec![(0, out)])
        }
        "Transpose" => {
            let perm = &node.attribute("perm")?.ints;
            let axis = usize::try_from(*perm.get(out.axis)?).ok()?;
            let tokens = Tokens {
                axis,
                rank: perm.len(),
            };
            (perm.len() == out.rank).then(|| vec![(0, tokens)])
        }
        // [batch, tokens, heads x size] <-> [batch, tokens, heads, size]
        "Reshape" => {
            let maker = index.maker(node.arg(0)).map(|i| index.node(i));
            let perm = maker.filter(|n| n.is("Transpose"));
            let rank = match perm.and_then(|n| n.attribute("perm")) {
                Some(perm) => perm.ints.len(),
                None => 3,
            };
            let known = matches!((rank, out.rank), (3, 4) | (4, 3) | (3, 3));
            (known && out.axis == 1).then(|| vec![(0, Tokens { axis: 1, rank })])
        }
        _ => None,
    }
}
