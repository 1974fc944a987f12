//! Fixtures for the engine's tests: golden rows and models.

#![allow(dead_code)] // each test program uses a part of it

use bge::engine::internals::protobuf::Model;
use bge::engine::{Embedder, ModelLocation, NeverStop, Options, Pooling};
use prost::Message;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// One golden row; see tests/fixtures/reference/README.md.
#[derive(Deserialize)]
pub struct Row {
    pub id: usize,
    pub text: String,
    pub query: bool,
    pub token_ids: Vec<i64>,
    pub tokens: usize,
    pub cls: Vec<f32>,
    pub mean: Vec<f32>,
}

pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub fn golden(path: &str) -> Vec<Row> {
    let text = std::fs::read_to_string(fixtures().join(path)).expect("golden rows");
    let rows: Vec<Row> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a golden row"))
        .collect();
    assert!(rows.len() >= 40, "{path} has only {} rows", rows.len());
    rows
}

pub fn tiny(name: &str, options: &Options) -> Embedder {
    Embedder::load(
        name,
        &ModelLocation::folder(&fixtures().join(name)),
        options,
        &NeverStop,
    )
    .expect("a tiny model")
}

/// The real model, which `make model` puts into dist/.
pub fn real(options: &Options) -> Embedder {
    let loaded = Embedder::load("bge-small-en-v1.5", &real_location(), options, &NeverStop);
    loaded.expect("run `make model` first")
}

/// Where it is.
pub fn real_location() -> ModelLocation {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/models/bge-small-en-v1.5");
    ModelLocation::folder(&folder)
}

/// A folder for one test, with a model's files and a graph of our own in it.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("bge-test-{}-{test}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("onnx")).unwrap();
        Scratch(folder)
    }

    pub fn model(test: &str, base: &str, graph: &Model) -> Self {
        let scratch = Scratch::new(test);
        for file in ["config.json", "tokenizer.json"] {
            std::fs::copy(fixtures().join(base).join(file), scratch.0.join(file)).unwrap();
        }
        std::fs::write(scratch.0.join("onnx/model.onnx"), graph.encode_to_vec()).unwrap();
        scratch
    }

    pub fn load(&self, options: &Options) -> bge::Result<Embedder> {
        Embedder::load(
            "scratch",
            &ModelLocation::folder(&self.0),
            options,
            &NeverStop,
        )
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The graph of the tiny model, tensors and all.
pub fn tiny_graph() -> Model {
    let path = fixtures().join("tiny-bert/onnx/model.onnx");
    Model::decode(std::fs::read(path).unwrap().as_slice()).unwrap()
}

pub fn pooled(pooling: Pooling) -> Options {
    Options {
        pooling: Some(pooling),
        ..Options::default()
    }
}

/// The largest difference in one component.
pub fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, f32::max)
}
