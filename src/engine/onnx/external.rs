//! The files that a graph names for its tensors: ONNX's external data, by whatever name.

use crate::engine::onnx::protobuf::{
    Attribute, Function, GraphBody, Model, Node, SparseTensor, Tensor,
};
use bytes::Bytes;
use prost::Message;
use std::collections::BTreeSet;

/// Subgraphs in subgraphs, deeper than any exporter makes them.
const DEEPEST: usize = 32;

/// The locations of all external data of a graph, sorted, as the graph writes them: of its initializers,
/// of constants, and of those inside subgraphs and functions. What cannot be decoded names no file: the
/// runtime cannot read it either.
pub fn locations(model: &Model) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    in_body(model.body(), DEEPEST, &mut found);
    for function in model.functions.iter().filter_map(decode::<Function>) {
        in_nodes(&function.node, DEEPEST, &mut found);
    }
    found
}

fn in_body(body: &GraphBody, depth: usize, found: &mut BTreeSet<String>) {
    found.extend(body.initializer.iter().filter_map(location));
    for sparse in body
        .sparse_initializer
        .iter()
        .filter_map(decode::<SparseTensor>)
    {
        found.extend(
            sparse
                .values
                .iter()
                .chain(&sparse.indices)
                .filter_map(location),
        );
    }
    in_nodes(&body.node, depth, found);
}

fn in_nodes(nodes: &[Node], depth: usize, found: &mut BTreeSet<String>) {
    for attribute in nodes.iter().flat_map(|node| &node.attribute) {
        in_attribute(attribute, depth, found);
    }
}

fn in_attribute(attribute: &Attribute, depth: usize, found: &mut BTreeSet<String>) {
    found.extend(
        attribute
            .t
            .iter()
            .chain(&attribute.tensors)
            .filter_map(location),
    );
    let sparse = attribute
        .sparse_tensor
        .iter()
        .chain(&attribute.sparse_tensors);
    for sparse in sparse.filter_map(decode::<SparseTensor>) {
        found.extend(
            sparse
                .values
                .iter()
                .chain(&sparse.indices)
                .filter_map(location),
        );
    }
    let Some(depth) = depth.checked_sub(1) else {
        return;
    };
    let bodies = attribute.g.iter().chain(&attribute.graphs);
    for body in bodies.filter_map(decode::<GraphBody>) {
        in_body(&body, depth, found);
    }
}

fn location(tensor: &Tensor) -> Option<String> {
    Some(tensor.external()?.location.to_owned())
}

fn decode<M: Message + Default>(bytes: &Bytes) -> Option<M> {
    M::decode(bytes.clone()).ok()
}
