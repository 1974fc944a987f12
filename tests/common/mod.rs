//! Fixtures for the engine's tests: golden rows and models.

#![allow(dead_code)] // each test program uses a part of it

use bge::engine::Embedder;
use bge::engine::find::Source;
use bge::engine::options::Options;
use bge::engine::pooling::Pooling;
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
    Embedder::load(name, &Source::folder(&fixtures().join(name)), options).expect("a tiny model")
}

/// The real model, which `make model` puts into dist/.
pub fn real(options: &Options) -> Embedder {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/models/bge-small-en-v1.5");
    Embedder::load("bge-small-en-v1.5", &Source::folder(&folder), options)
        .expect("run `make model` first")
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
