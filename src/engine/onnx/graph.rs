//! A graph in memory whose large tensors are still in files.

use crate::engine::onnx::protobuf::Model;
use std::path::PathBuf;

/// A graph, and the one folder of the files that its tensors name.
#[derive(Clone, Debug)]
pub struct OnnxGraph {
    /// The graph.
    pub model: Model,
    /// Where the files are that its tensors name.
    pub folder: PathBuf,
}
