//! The ONNX file format, as far as it is needed: reads graphs, runs none and changes none.
//!
//! [`protobuf`] has the messages; [`skeleton`] reads a file without its weights, which [`tensors`] reads
//! one by one; [`external`] says which other files a graph names; [`graph`] is a graph with the folder
//! that its tensors are in.

pub mod external;
pub mod graph;
#[allow(missing_docs)] // as in onnx.proto
pub mod protobuf;
pub mod skeleton;
pub mod tensors;
