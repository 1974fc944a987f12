//! What a graph computes in, as far as its file shows it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The number format of a graph's matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// Single precision.
    Fp32,
    /// Half precision.
    Fp16,
    /// bfloat16, added up in single precision: of our own encoder alone.
    Bf16,
    /// Matrix products of bytes. In a graph of the runtime's the activations of a batch share their scale, so
    /// that a text's vector depends a little on its neighbours; in our own encoder each token has its own.
    Int8,
}

impl Precision {
    /// The precision of a name.
    pub fn parse(text: &str) -> Option<Self> {
        [
            Precision::Fp32,
            Precision::Fp16,
            Precision::Bf16,
            Precision::Int8,
        ]
        .into_iter()
        .find(|precision| precision.name() == text)
    }

    /// As it is written in options.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Fp16 => "fp16",
            Precision::Bf16 => "bf16",
            Precision::Int8 => "int8",
        }
    }
}

/// The operators of dynamic quantisation, by the names that stand in the file.
const QUANTISED: [&[u8]; 2] = [b"DynamicQuantize", b"MatMulInteger"];

/// ONNX files begin with the nodes; weights follow. So much of a file holds every node of an encoder.
const NODES: u64 = 8 << 20;

/// Whether the graph quantises its activations. A file that cannot be read does not (the runtime
/// will say why it cannot be read).
pub fn is_quantised(graph: &Path) -> bool {
    let mut nodes = Vec::new();
    let read = File::open(graph).and_then(|file| file.take(NODES).read_to_end(&mut nodes));
    let has = |name: &[u8]| memchr::memmem::find(&nodes, name).is_some();
    read.is_ok() && QUANTISED.iter().any(|name| has(name))
}
