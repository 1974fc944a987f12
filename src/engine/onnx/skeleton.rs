//! Reads a graph's file without its weights.
//!
//! A model of 130 MB is some 300 KB of graph and 130 MB of weights. The walk over the protobuf skips
//! the bytes of each large tensor and says in the graph where they are, in ONNX's own words for data
//! outside the graph: ONNX Runtime then takes them from the model's own file.

use crate::engine::onnx::protobuf::{Model, Tensor};
use crate::error::{Error, Kind, Result};
use bytes::Bytes;
use prost::Message;
use std::io::{BufReader, Read, Seek};

/// Tensors of at least so many bytes stay in the file. Biases and norms of all BERT sizes are
/// smaller, matrices larger.
const LARGE: u64 = 32 << 10;

/// The most bytes that a graph may have beside its weights; those of BGE have one or two million.
const LARGEST: u64 = 64 << 20;

/// The most nodes, tensors and declarations of a graph: some two thousand in those of BGE.
const MOST_FIELDS: usize = 1 << 17;

/// The graph in a file of `bytes` bytes; its large tensors are named as data in the file called `name`.
///
/// # Errors
/// A file that is no ONNX graph, or too large a one; the message is the reason why nothing can be done
/// with it.
pub fn read(file: impl Read + Seek, bytes: u64, name: &str) -> Result<Model> {
    let mut walk = Walk {
        file: BufReader::with_capacity(64 << 10, file),
        at: 0,
        name,
        fields: 0,
        kept: 0,
    };
    let mut out = Vec::new();
    let walked = walk.message(bytes, &mut out, Level::Model);
    if walk.fields > MOST_FIELDS || walk.kept > LARGEST {
        return Err(Error::new(
            Kind::TooBig,
            format!(
                "the graph has more than {MOST_FIELDS} nodes, or more than {LARGEST} bytes beside its weights"
            ),
        ));
    }
    walked.map_err(|e| Error::invalid(format!("the file is no whole ONNX graph: {e}")))?;
    Model::decode(Bytes::from(out))
        .map_err(|e| Error::invalid(format!("the file is no ONNX graph: {e}")))
}

/// Messages on the way to a tensor's bytes.
#[derive(Clone, Copy, PartialEq)]
enum Level {
    Model,
    Graph,
    Tensor,
}

/// Tags and wire types of protobuf: `tag << 3 | type`.
const GRAPH_IN_MODEL: u64 = 7 << 3 | 2;
const INITIALIZER_IN_GRAPH: u64 = 5 << 3 | 2;
const RAW_DATA_IN_TENSOR: u64 = 9 << 3 | 2;
/// Packed floats have the bytes of raw data.
const FLOATS_IN_TENSOR: u64 = 4 << 3 | 2;

struct Walk<'n, F> {
    file: BufReader<F>,
    at: u64,
    name: &'n str,
    /// Fields of the model and its graph so far.
    fields: usize,
    /// Bytes that are held so far.
    kept: u64,
}

impl<F: Read + Seek> Walk<'_, F> {
    fn message(&mut self, end: u64, out: &mut Vec<u8>, level: Level) -> std::io::Result<()> {
        let end = self.at.checked_add(end).ok_or_else(damaged)?;
        let mut skipped = None;
        while self.at < end {
            self.fields += usize::from(level != Level::Tensor);
            if self.fields > MOST_FIELDS {
                return Err(damaged());
            }
            let key = self.varint()?;
            let inner = match (level, key) {
                (Level::Model, GRAPH_IN_MODEL) => Some(Level::Graph),
                (Level::Graph, INITIALIZER_IN_GRAPH) => Some(Level::Tensor),
                _ => None,
            };
            if let Some(inner) = inner {
                let length = self.length(end)?;
                let mut message = Vec::new();
                self.message(length, &mut message, inner)?;
                put(out, key, &message);
                continue;
            }
            match key & 7 {
                0 => {
                    prost::encoding::encode_varint(key, out);
                    let value = self.varint()?;
                    prost::encoding::encode_varint(value, out);
                }
                1 | 5 => {
                    prost::encoding::encode_varint(key, out);
                    self.copy(if key & 7 == 1 { 8 } else { 4 }, out)?;
                }
                2 => {
                    let length = self.length(end)?;
                    let weights = matches!(key, RAW_DATA_IN_TENSOR | FLOATS_IN_TENSOR);
                    if level == Level::Tensor && weights && length >= LARGE {
                        if skipped.replace((self.at, length)).is_some() {
                            return Err(damaged());
                        }
                        self.file
                            .seek_relative(i64::try_from(length).map_err(|_| damaged())?)?;
                        self.at += length;
                    } else {
                        prost::encoding::encode_varint(key, out);
                        prost::encoding::encode_varint(length, out);
                        self.copy(length, out)?;
                    }
                }
                _ => return Err(damaged()),
            }
        }
        if self.at != end {
            return Err(damaged());
        }
        if let Some((offset, length)) = skipped {
            let mut named = Tensor::default();
            named.set_external(self.name, offset, length);
            // Fields of a message may stand in any order, and messages may be glued.
            named.encode(out).map_err(|_| damaged())?;
        }
        Ok(())
    }

    fn varint(&mut self) -> std::io::Result<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.file.read_exact(&mut byte)?;
            self.at += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(damaged())
    }

    /// The length of a field, which must end where its message does or before.
    fn length(&mut self, end: u64) -> std::io::Result<u64> {
        let length = self.varint()?;
        let fits = self.at.checked_add(length).is_some_and(|stop| stop <= end);
        fits.then_some(length).ok_or_else(damaged)
    }

    fn copy(&mut self, length: u64, out: &mut Vec<u8>) -> std::io::Result<()> {
        self.kept = self.kept.saturating_add(length);
        if self.kept > LARGEST {
            return Err(damaged());
        }
        let read = Read::by_ref(&mut self.file).take(length).read_to_end(out)?;
        self.at += length;
        if read as u64 == length {
            Ok(())
        } else {
            Err(damaged())
        }
    }
}

fn put(out: &mut Vec<u8>, key: u64, message: &[u8]) {
    prost::encoding::encode_varint(key, out);
    prost::encoding::encode_varint(message.len() as u64, out);
    out.extend_from_slice(message);
}

fn damaged() -> std::io::Error {
    std::io::Error::from(std::io::ErrorKind::InvalidData)
}
