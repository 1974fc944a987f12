//! Running a graph: ids in, vectors out, with the one ONNX Runtime of the process.
//!
//! [`find_runtime`] says where its library may be, [`elf`] whether a file is whole, [`library`] opens it and
//! [`runtime`] starts it. A [`loaded_graph`] runs batches in it: a [`session`] makes vectors of what it gives, a
//! [`scorer`] scores of pairs. [`prepare`] goes from a model's files to the session that runs, with the
//! passes of [`crate::engine::graph`]; [`pooling`] makes vectors where the graph does not. [`providers`] is
//! how the runtime calls devices, [`assignment`] what it really runs where, [`cuda_memory`] what a GPU has
//! room for. [`operator`]
//! makes our own encoder a graph of one node. [`runner`] is the face that the queue sees.

pub mod assignment;
pub mod cuda_memory;
pub mod elf;
pub mod find_runtime;
pub mod library;
pub mod loaded_graph;
pub mod operator;
pub mod pooling;
pub mod prepare;
pub mod providers;
pub mod runner;
pub mod runtime;
pub mod scorer;
pub mod session;
