//! Our own BERT encoder: token ids to vectors with kernels written for the CPUs of today.
//!
//! From the bottom up: [`lanes`] is what a CPU does with sixteen numbers, [`line`] and [`sheet`] memory,
//! [`tokens`] a text,
//! [`format`] the numbers that products are computed in, [`matrix`] packed weights, [`product`],
//! [`gelu`], [`norm`], [`rows`] and [`attention`] the kernels. [`shape`] says what an encoder is and where
//! its weights lie in a [`store`], [`weights`] packs them, [`packed_file`] keeps them; [`network`] is
//! both. [`cpu`] chooses kernels, [`team`] is who shares the
//! work, [`forward`] the order of it, [`encoder`] the whole.
//!
//! Knows nothing of ONNX: `graph::bert` recognises an encoder in a graph, and
//! `inference::operator` makes one an operator of the runtime.

// Other CPUs have no kernels yet: there the graph runs.
#![cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused))]

pub mod attention;
pub mod cpu;
#[allow(clippy::module_inception)]
pub mod encoder;
pub mod format;
pub mod forward;
pub mod gelu;
pub mod lanes;
pub mod line;
pub mod matrix;
pub mod network;
pub mod norm;
pub mod packed_file;
pub mod product;
pub mod rows;
pub mod shape;
pub mod sheet;
pub mod store;
pub mod team;
pub mod tokens;
pub mod weights;

#[cfg(all(test, target_arch = "x86_64"))]
mod measure;
#[cfg(all(test, target_arch = "x86_64"))]
mod oracle;
#[cfg(all(test, target_arch = "x86_64"))]
mod tests;
