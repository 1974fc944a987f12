//! What passes share: who makes and who takes a value, constants, new nodes, the removal of dead ones.

use crate::engine::onnx::protobuf::{
    Attribute, Dim, Model, Node, Shape, Tensor, TensorType, Type, ValueInfo, data_type,
};
use crate::engine::onnx::tensors;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Looks into a graph by the names of its values.
pub struct Index<'g> {
    model: &'g Model,
    made_by: HashMap<&'g str, usize>,
    taken_by: HashMap<&'g str, Vec<usize>>,
    initializers: HashMap<&'g str, &'g Tensor>,
}

impl<'g> Index<'g> {
    /// Reads the graph once.
    pub fn new(model: &'g Model) -> Self {
        let body = model.body();
        let (mut made_by, mut taken_by) = (HashMap::new(), HashMap::<_, Vec<usize>>::new());
        for (i, node) in body.node.iter().enumerate() {
            made_by.extend(node.output.iter().map(|name| (name.as_str(), i)));
            for name in &node.input {
                let takers = taken_by.entry(name.as_str()).or_default();
                if takers.last() != Some(&i) {
                    takers.push(i);
                }
            }
        }
        let initializers = body.initializer.iter().map(|t| (t.name(), t)).collect();
        Index {
            model,
            made_by,
            taken_by,
            initializers,
        }
    }

    /// All nodes, in their order.
    pub fn nodes(&self) -> &'g [Node] {
        &self.model.body().node
    }

    /// A node by its place.
    pub fn node(&self, i: usize) -> &'g Node {
        &self.model.body().node[i]
    }

    /// The node that makes a value; `None`: an input, an initializer, nothing.
    pub fn maker(&self, value: &str) -> Option<usize> {
        self.made_by.get(value).copied()
    }

    /// The node that makes a value, if it is this operator.
    pub fn made_by(&self, value: &str, op: &str) -> Option<&'g Node> {
        let maker = self.node(self.maker(value)?);
        maker.is(op).then_some(maker)
    }

    /// A value, or the one that an Identity hands on as it; so does a Cast to single precision in a graph
    /// that computes in nothing else.
    pub fn alias(&self, value: &'g str) -> &'g str {
        let Some(node) = self.maker(value).map(|i| self.node(i)) else {
            return value;
        };
        let to_single = node.int("to") == Some(data_type::FLOAT.into());
        let hands_on = node.is("Identity") || node.is("Cast") && to_single;
        if hands_on && self.constant(node.arg(0)).is_none() {
            node.arg(0)
        } else {
            value
        }
    }

    /// A single float.
    pub fn number(&self, value: &str) -> Option<f32> {
        let tensor = self.constant(value)?;
        let single = tensor.dims.iter().all(|&d| d == 1);
        // A small tensor is in the graph: no folder is needed.
        let values = tensors::floats(tensor, Path::new("")).ok();
        values.filter(|_| single)?.first().copied()
    }

    /// The nodes that take a value.
    pub fn takers(&self, value: &str) -> &[usize] {
        self.taken_by.get(value).map_or(&[], Vec::as_slice)
    }

    /// Whether a value is an output of the graph.
    pub fn is_output(&self, value: &str) -> bool {
        let outputs = &self.model.body().output;
        outputs.iter().any(|output| output.name() == value)
    }

    /// A constant: an initializer, or the value of a Constant node.
    pub fn constant(&self, value: &str) -> Option<&'g Tensor> {
        if let Some(tensor) = self.initializers.get(value) {
            return Some(tensor);
        }
        let node = self.node(self.maker(value)?);
        let holds = node.is("Constant");
        holds.then(|| node.attribute("value")?.t.as_ref()).flatten()
    }

    /// A constant, perhaps through a Cast between float kinds: the tensor, and the kind that the
    /// graph sees.
    pub fn weight(&self, value: &str) -> Option<(&'g Tensor, i32)> {
        if let Some(tensor) = self.constant(value) {
            return Some((tensor, tensor.data_type()));
        }
        let node = self.node(self.maker(value)?);
        if !node.is("Cast") {
            return None;
        }
        let tensor = self.constant(node.input.first()?)?;
        Some((tensor, i32::try_from(node.int("to")?).ok()?))
    }

    /// The integers of a small constant.
    pub fn integers(&self, value: &str) -> Option<Vec<i64>> {
        let tensor = self.constant(value)?;
        if tensor.data_type() != data_type::INT64 {
            return None;
        }
        // A small tensor is in the graph: no folder is needed.
        let bytes = tensors::bytes(tensor, Path::new("")).ok()?;
        let words = bytes.as_chunks::<8>().0.iter();
        Some(words.map(|b| i64::from_le_bytes(*b)).collect())
    }
}

/// Why nothing can be done with a graph, whatever the pass.
pub fn refusal(model: &Model) -> Option<&'static str> {
    let body = model.body();
    let has_graph = |a: &Attribute| a.g.is_some() || !a.graphs.is_empty();
    if !model.functions.is_empty() {
        Some("the graph has functions of its own")
    } else if body.node.iter().any(|n| n.attribute.iter().any(has_graph)) {
        Some("the graph has subgraphs")
    } else if !body.sparse_initializer.is_empty() {
        Some("the graph has sparse tensors")
    } else if body.node.is_empty() {
        Some("the graph is empty")
    } else {
        None
    }
}

/// The kind of an output's elements and its name, if it is among `names` or the only one.
pub fn hidden_states<'m>(model: &'m Model, names: &[&str]) -> Option<&'m ValueInfo> {
    let outputs = &model.body().output;
    let by_name = names
        .iter()
        .find_map(|&name| outputs.iter().find(|o| o.name() == name));
    by_name.or(outputs.first().filter(|_| outputs.len() == 1))
}

/// The kind of a value's elements, as its declaration says.
pub fn element_kind(value: &ValueInfo) -> Option<i32> {
    value.r#type.as_ref()?.tensor_type.as_ref()?.elem_type
}

/// A node of the standard operators, named by its first output.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: Vec<Attribute>) -> Node {
    let owned = |names: &[&str]| names.iter().map(|&n| n.to_owned()).collect();
    Node {
        name: outputs.first().map(|&n| n.to_owned()),
        op_type: Some(op.to_owned()),
        input: owned(inputs),
        output: owned(outputs),
        attribute: attributes,
        ..Node::default()
    }
}

/// `AttributeProto.AttributeType`
const INT: i32 = 2;
const INTS: i32 = 7;

/// An integer attribute.
pub fn int(name: &str, value: i64) -> Attribute {
    Attribute {
        name: Some(name.to_owned()),
        i: Some(value),
        r#type: Some(INT),
        ..Attribute::default()
    }
}

/// An attribute of integers.
pub fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute {
        name: Some(name.to_owned()),
        ints: values.to_vec(),
        r#type: Some(INTS),
        ..Attribute::default()
    }
}

/// A tensor of any kind, from its little-endian bytes.
pub fn tensor(name: &str, data_type: i32, dims: &[i64], bytes: Vec<u8>) -> Tensor {
    Tensor {
        name: Some(name.to_owned()),
        data_type: Some(data_type),
        dims: dims.to_vec(),
        raw_data: Some(bytes.into()),
        ..Tensor::default()
    }
}

/// A list of integers.
pub fn integers(name: &str, values: &[i64]) -> Tensor {
    let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
    tensor(name, data_type::INT64, &[values.len() as i64], bytes)
}

/// A single number.
pub fn float(name: &str, value: f32) -> Tensor {
    tensor(name, data_type::FLOAT, &[], value.to_le_bytes().to_vec())
}

/// The declaration of `[batch, dims]` floats.
pub fn vectors(name: &str, dims: usize) -> ValueInfo {
    let dim = |value: Option<i64>, param: Option<&str>| Dim {
        dim_value: value,
        dim_param: param.map(str::to_owned),
        denotation: None,
    };
    let shape = Shape {
        dim: vec![dim(None, Some("batch")), dim(Some(dims as i64), None)],
    };
    ValueInfo {
        name: Some(name.to_owned()),
        r#type: Some(Type {
            tensor_type: Some(TensorType {
                elem_type: Some(data_type::FLOAT),
                shape: Some(shape),
            }),
            ..Type::default()
        }),
        ..ValueInfo::default()
    }
}

/// Puts nodes in front of others: `at` is the index of the node to come after, in the old numbering.
pub fn insert(model: &mut Model, new: Vec<(usize, Node)>) {
    let mut by_place: HashMap<usize, Vec<Node>> = HashMap::new();
    for (at, node) in new {
        by_place.entry(at).or_default().push(node);
    }
    let body = model.body_mut();
    let old = std::mem::take(&mut body.node);
    for (i, node) in old.into_iter().enumerate() {
        body.node.extend(by_place.remove(&i).unwrap_or_default());
        body.node.push(node);
    }
}

/// Removes nodes and initializers that no output needs, and notes about values that are gone.
pub fn prune(model: &mut Model) {
    let index = Index::new(model);
    let body = model.body();
    let mut live: HashSet<&str> = HashSet::new();
    let mut todo: Vec<&str> = body.output.iter().map(ValueInfo::name).collect();
    while let Some(value) = todo.pop() {
        if live.insert(value)
            && let Some(i) = index.maker(value)
        {
            let node = index.node(i);
            todo.extend(node.input.iter().map(String::as_str));
            // A node is kept or removed whole.
            todo.extend(node.output.iter().map(String::as_str));
        }
    }
    let live: HashSet<String> = live.into_iter().map(str::to_owned).collect();
    let body = model.body_mut();
    body.node.retain(|node| live.contains(node.out()));
    body.initializer
        .retain(|tensor| live.contains(tensor.name()));
    // Shapes may have changed; the runtime infers them anyway.
    body.value_info.clear();
}
