//! Pass `fp16`: weights and most of the arithmetic in half precision, for GPUs.
//!
//! Matrix products, embedding tables and what lies between them are half; norms, softmax with its
//! mask, and pooling stay single, with a Cast where a value crosses. A CPU computes it too, more
//! slowly than single precision.

use crate::engine::graph::edit::{self, Index, int, node};
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::{Attribute, Model, Node, Tensor, data_type};
use crate::engine::onnx::tensors;
use half::f16;
use std::collections::{HashMap, HashSet};

const BOOL: i32 = 9;

/// The operator that pass `attention` makes; it keeps its sums in single precision.
const ATTENTION: &str = "MultiHeadAttention";

/// Operators that are half where one of their operands is.
const FOLLOWING: [&str; 14] = [
    "Add",
    "Mul",
    "Div",
    "Erf",
    "Tanh",
    "Gelu",
    "Reshape",
    "Transpose",
    "Slice",
    "Unsqueeze",
    "Squeeze",
    "Gather",
    "Concat",
    "Identity",
];

/// The graph in half precision.
///
/// # Errors
/// Why the pass does not fit.
pub fn apply(source: &OnnxGraph) -> Result<Model, String> {
    let model = &source.model;
    let index = Index::new(model);
    let kinds = kinds(model)?;
    let is_float = |value: &str| kinds.get(value) == Some(&data_type::FLOAT);
    let mut half: HashSet<&str> = HashSet::new();
    let mut products = 0;
    let body = model.body();
    for node in &body.node {
        if is_half(&index, node, &half) && is_float(node.out()) {
            half.insert(node.out());
            products += usize::from(node.is("MatMul"));
        }
    }
    if products == 0 {
        return Err("the graph has no float32 matrix product".into());
    }
    let mut work = Rewrite {
        source,
        index: &index,
        half: &half,
        crossed: HashSet::new(),
        tensors: HashMap::new(),
        new: Vec::new(),
    };
    let mut changed = model.clone();
    for (i, old) in body.node.iter().enumerate() {
        let wants_half = half.contains(old.out());
        for (k, input) in old.input.iter().enumerate().filter(|(_, v)| is_float(v)) {
            if let Some(name) = work.input(i, input, wants_half)? {
                changed.body_mut().node[i].input[k] = name;
            }
        }
    }
    let (new, tensors) = (work.new, work.tensors.into_values());
    changed.body_mut().initializer.extend(tensors.flatten());
    for output in &body.output {
        if half.contains(output.name()) {
            give_back_single(&mut changed, output.name());
        }
    }
    edit::insert(&mut changed, new);
    Ok(changed)
}

fn is_half(index: &Index<'_>, node: &Node, half: &HashSet<&str>) -> bool {
    let softmax = |i: &usize| index.node(*i).is("Softmax");
    let is_half = |value: &String| half.contains(value.as_str());
    let table = || node.is("Gather") && index.weight(node.arg(0)).is_some();
    let follows = || {
        FOLLOWING.iter().any(|op| node.is(op))
            && node.input.iter().any(is_half)
            // The mask is beyond the range of half precision.
            && !(node.is("Add") && index.takers(node.out()).iter().any(softmax))
    };
    node.is("MatMul") || node.op_type() == ATTENTION || table() || follows()
}

/// Collects what has to be added.
struct Rewrite<'a> {
    source: &'a OnnxGraph,
    index: &'a Index<'a>,
    half: &'a HashSet<&'a str>,
    crossed: HashSet<String>,
    /// Half copies of constants, by the name of the single one; `None`: it was half already.
    tensors: HashMap<String, Option<Tensor>>,
    new: Vec<(usize, Node)>,
}

impl Rewrite<'_> {
    /// The name under which node `i` gets a float value in the precision it wants; `None`: its own.
    fn input(&mut self, i: usize, value: &str, wants_half: bool) -> Result<Option<String>, String> {
        if let Some((tensor, _)) = self.index.weight(value) {
            return if wants_half {
                self.constant(value, tensor).map(Some)
            } else {
                Ok(None)
            };
        }
        if self.half.contains(value) == wants_half {
            return Ok(None);
        }
        let (name, to) = if wants_half {
            (format!("{value}_bge_half"), data_type::FLOAT16)
        } else {
            (format!("{value}_bge_single"), data_type::FLOAT)
        };
        if self.crossed.insert(name.clone()) {
            let cast = node("Cast", &[value], &[&name], vec![int("to", to.into())]);
            self.new.push((i, cast));
        }
        Ok(Some(name))
    }

    fn constant(&mut self, value: &str, tensor: &Tensor) -> Result<String, String> {
        if tensor.data_type() == data_type::FLOAT16 {
            return Ok(tensor.name().to_owned());
        }
        let name = format!("{value}_bge_half");
        if !self.tensors.contains_key(value) {
            let values = tensors::floats(tensor, &self.source.folder).map_err(|e| e.to_string())?;
            let halves = values.iter().flat_map(|&v| {
                let largest = f16::MAX.to_f32();
                f16::from_f32(v.clamp(-largest, largest)).to_le_bytes()
            });
            let copy = edit::tensor(&name, data_type::FLOAT16, &tensor.dims, halves.collect());
            self.tensors.insert(value.to_owned(), Some(copy));
        }
        Ok(name)
    }
}

/// The output keeps its name and kind; what made it gets another name.
fn give_back_single(model: &mut Model, output: &str) {
    let inner = format!("{output}_bge_half_output");
    let body = model.body_mut();
    for node in &mut body.node {
        for name in node.output.iter_mut().chain(&mut node.input) {
            if name == output {
                name.clone_from(&inner);
            }
        }
    }
    let to_float: Vec<Attribute> = vec![int("to", data_type::FLOAT.into())];
    let mut cast = node("Cast", &[&inner], &[output], to_float);
    cast.name = Some(format!("{output}_bge_cast"));
    body.node.push(cast);
}

/// The kind of every value, as far as it matters here.
fn kinds(model: &Model) -> Result<HashMap<&str, i32>, String> {
    let body = model.body();
    let mut kinds: HashMap<&str, i32> = HashMap::new();
    for input in &body.input {
        kinds.insert(input.name(), edit::element_kind(input).unwrap_or(0));
    }
    for tensor in &body.initializer {
        kinds.insert(tensor.name(), tensor.data_type());
    }
    for node in &body.node {
        if !matches!(node.domain(), "" | "ai.onnx") && node.op_type() != ATTENTION {
            return Err(format!("{} is no standard operator", node.op_type()));
        }
        let of_input = |k: usize| {
            node.input
                .get(k)
                .and_then(|v| kinds.get(v.as_str()))
                .copied()
        };
        let value = || node.attribute("value")?.t.as_ref().map(Tensor::data_type);
        let kind = match node.op_type() {
            "Shape" | "Size" | "NonZero" | "ArgMax" => Some(data_type::INT64),
            "Cast" => node.int("to").and_then(|to| i32::try_from(to).ok()),
            "Constant" => Some(value().unwrap_or(match node.attribute.first() {
                Some(a) if a.name().starts_with("value_float") => data_type::FLOAT,
                _ => data_type::INT64,
            })),
            "ConstantOfShape" => Some(value().unwrap_or(data_type::FLOAT)),
            "Equal" | "Less" | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "And" | "Or"
            | "Not" | "IsNaN" => Some(BOOL),
            "Where" => of_input(1),
            _ => of_input(0),
        };
        for output in &node.output {
            kinds.insert(output, kind.unwrap_or(0));
        }
    }
    Ok(kinds)
}
