//! Which files a model has: external data by whatever name the graph gives it, also as links.

#![cfg(unix)]

mod common;

use bge::engine::ModelLocation;
use bge::engine::internals::protobuf::{Attribute, GraphBody, Model, Node, Tensor};
use common::Scratch;
use prost::Message;

/// A graph whose large tensors are in files of these names, in turn.
fn outside(names: &[&str]) -> (Model, Vec<Vec<u8>>) {
    let mut graph = common::tiny_graph();
    let mut data = vec![Vec::new(); names.len()];
    let large = graph.body_mut().initializer.iter_mut();
    for (i, tensor) in large
        .filter(|t| t.raw_data.as_ref().is_some_and(|raw| raw.len() > 1000))
        .enumerate()
    {
        let (file, raw) = (i % names.len(), tensor.raw_data.clone().unwrap());
        tensor.set_external(names[file], data[file].len() as u64, raw.len() as u64);
        data[file].extend_from_slice(&raw);
    }
    (graph, data)
}

#[test]
fn external_data_of_any_name_belongs_to_the_model() {
    let names = ["weights.bin", "model.onnx_data", "more"];
    let (graph, data) = outside(&names);
    let scratch = Scratch::model("any-name", "tiny-bert", &graph);
    let onnx = scratch.0.join("onnx");
    for (name, bytes) in names.iter().zip(&data) {
        std::fs::write(onnx.join(name), bytes).unwrap();
    }
    std::fs::write(onnx.join("model.onnx.sha256"), "not the model's").unwrap();
    let files = ModelLocation::folder(&scratch.0).files().unwrap();
    let mut wanted = vec![onnx.join("model.onnx")];
    wanted.extend(["model.onnx_data", "more", "weights.bin"].map(|name| onnx.join(name)));
    assert_eq!(files.weights(), wanted);
    let bytes = graph.encoded_len() + data.iter().map(Vec::len).sum::<usize>();
    assert_eq!(files.bytes(), Some(bytes as u64));

    // As in the Hugging Face cache: links to files of other names.
    let blobs = scratch.0.join("blobs");
    std::fs::create_dir(&blobs).unwrap();
    for (i, name) in names.iter().chain(&["model.onnx"]).enumerate() {
        std::fs::rename(onnx.join(name), blobs.join(i.to_string())).unwrap();
        std::os::unix::fs::symlink(format!("../blobs/{i}"), onnx.join(name)).unwrap();
    }
    let files = ModelLocation::folder(&scratch.0).files().unwrap();
    assert_eq!(files.weights(), wanted);
    assert_eq!(files.bytes(), Some(bytes as u64));
    scratch.load(&Default::default()).unwrap();

    std::fs::remove_file(blobs.join("0")).unwrap();
    assert_eq!(
        ModelLocation::folder(&scratch.0).files().unwrap().bytes(),
        None
    );
}

#[test]
fn data_of_constants_and_subgraphs_is_seen() {
    let tensor = |location: &str| {
        let mut tensor = Tensor::default();
        tensor.set_external(location, 0, 4);
        tensor
    };
    let node = |attribute: Attribute| Node {
        attribute: vec![attribute],
        ..Node::default()
    };
    let inner = GraphBody {
        initializer: vec![tensor("inner")],
        node: vec![node(Attribute {
            t: Some(tensor("constant")),
            ..Attribute::default()
        })],
        ..GraphBody::default()
    };
    let mut graph = common::tiny_graph();
    graph.body_mut().node.push(node(Attribute {
        g: Some(inner.encode_to_vec().into()),
        ..Attribute::default()
    }));
    let scratch = Scratch::model("nested", "tiny-bert", &graph);
    let files = ModelLocation::folder(&scratch.0).files().unwrap();
    let names: Vec<_> = files
        .weights()
        .iter()
        .map(|p| p.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["model.onnx", "constant", "inner"]);
}
