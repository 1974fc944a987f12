//! Reads a graph's file without its weights, and weights one by one.
//!
//! A model of 130 MB is some 300 KB of graph and 130 MB of weights. The walk over the protobuf skips
//! the bytes of each large tensor and says in the graph where they are, in ONNX's own words for data
//! outside the graph: ONNX Runtime then takes them from the model's own file.

use super::model::{Model, Tensor, kind};
use crate::error::{Error, Result};
use bytes::Bytes;
use half::f16;
use prost::Message;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Tensors of at least so many bytes stay in the file. Biases and norms of all BERT sizes are
/// smaller, matrices larger.
const LARGE: u64 = 32 << 10;

/// A graph whose large tensors are still in files of one folder.
#[derive(Clone, Debug)]
pub struct Source {
    /// The graph.
    pub model: Model,
    /// Where the files are that its tensors name.
    pub folder: PathBuf,
}

impl Source {
    /// Reads a graph. Links are followed: in the Hugging Face cache the file is in another folder.
    ///
    /// # Errors
    /// A file that is no ONNX graph, or one that this module does not understand; the message is
    /// the reason why nothing can be done with it.
    pub fn read(path: &Path) -> Result<Self> {
        let real = path.canonicalize().map_err(|e| cannot(path, &e))?;
        let (Some(folder), Some(name)) = (real.parent(), real.file_name().and_then(|n| n.to_str()))
        else {
            return Err(Error::invalid("the file's name is not UTF-8"));
        };
        let bytes = skeleton(&real, name)?;
        let mut model = Model::decode(bytes)
            .map_err(|e| Error::invalid(format!("the file is no ONNX graph: {e}")))?;
        for tensor in &mut model.body_mut().initializer {
            follow(tensor, path, folder, name)?;
        }
        Ok(Source {
            folder: folder.to_path_buf(),
            model,
        })
    }

    /// The files that hold the graph and its tensors.
    pub fn files(&self, path: &Path) -> Vec<PathBuf> {
        let mut files = vec![path.canonicalize().unwrap_or_else(|_| path.to_path_buf())];
        for tensor in &self.model.body().initializer {
            if let Some(external) = tensor.external() {
                let file = self.folder.join(external.location);
                if !files.contains(&file) {
                    files.push(file);
                }
            }
        }
        files
    }
}

/// A tensor's own external data, named as from the folder of the real file; ONNX Runtime takes
/// names within one folder only.
fn follow(tensor: &mut Tensor, path: &Path, folder: &Path, name: &str) -> Result<()> {
    let Some(external) = tensor.external() else {
        return Ok(());
    };
    if external.location == name {
        return Ok(());
    }
    let beside = path
        .parent()
        .unwrap_or(Path::new(""))
        .join(external.location);
    let real = beside.canonicalize().map_err(|e| cannot(&beside, &e))?;
    let inside = real.parent() == Some(folder);
    let Some(name) = real.file_name().and_then(|n| n.to_str()).filter(|_| inside) else {
        return Err(Error::invalid(format!(
            "external data {} is not in the graph's folder",
            external.location
        )));
    };
    let length = external.length.unwrap_or(byte_length(tensor)?);
    let (name, offset) = (name.to_owned(), external.offset);
    tensor.set_external(&name, offset, length);
    Ok(())
}

/// The values of a float tensor, single or half.
///
/// # Errors
/// A file that cannot be read, bytes that do not fit the tensor's shape, a tensor of another kind.
pub fn floats(tensor: &Tensor, folder: &Path) -> Result<Vec<f32>> {
    let mut values = Vec::with_capacity(capacity(tensor)?);
    match tensor.data_type() {
        kind::FLOAT => read(tensor, folder, |bytes| {
            values.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
        }),
        kind::FLOAT16 => read(tensor, folder, |bytes| {
            let halves = bytes.as_chunks().0.iter();
            values.extend(halves.map(|b| f16::from_le_bytes(*b).to_f32()));
        }),
        other => Err(Error::invalid(format!(
            "tensor {} is of kind {other}, expected floats",
            tensor.name()
        ))),
    }?;
    Ok(values)
}

/// The values of a half tensor.
///
/// # Errors
/// As [`floats`].
pub fn halves(tensor: &Tensor, folder: &Path) -> Result<Vec<f16>> {
    let mut values = Vec::with_capacity(capacity(tensor)?);
    read(tensor, folder, |bytes| {
        values.extend(bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b)));
    })?;
    Ok(values)
}

/// The bytes of a tensor.
///
/// # Errors
/// As [`floats`].
pub fn bytes(tensor: &Tensor, folder: &Path) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    read(tensor, folder, |bytes| all.extend_from_slice(bytes))?;
    Ok(all)
}

/// Gives the bytes of a tensor, wherever they are, in pieces of whole elements.
fn read(tensor: &Tensor, folder: &Path, mut take: impl FnMut(&[u8])) -> Result<()> {
    const PIECE: usize = 1 << 20;
    let wanted = byte_length(tensor)?;
    let wrong = |found: u64| {
        Error::invalid(format!(
            "tensor {} has {found} bytes, its shape needs {wanted}",
            tensor.name()
        ))
    };
    let Some(external) = tensor.external() else {
        let inside = tensor.raw_data.clone().unwrap_or_else(|| typed(tensor));
        if inside.len() as u64 != wanted {
            return Err(wrong(inside.len() as u64));
        }
        take(&inside);
        return Ok(());
    };
    if external.length.is_some_and(|length| length != wanted) {
        return Err(wrong(external.length.unwrap_or_default()));
    }
    let path = folder.join(external.location);
    let mut pieces = || -> std::io::Result<()> {
        let mut file = File::open(&path)?;
        file.seek(SeekFrom::Start(external.offset))?;
        let (mut piece, mut left) = (vec![0; PIECE], wanted);
        while left > 0 {
            let now = left.min(PIECE as u64);
            file.read_exact(&mut piece[..now as usize])?;
            take(&piece[..now as usize]);
            left -= now;
        }
        Ok(())
    };
    pieces().map_err(|e| cannot(&path, &e))
}

/// Values that stand in a field of their type.
fn typed(tensor: &Tensor) -> Bytes {
    match tensor.data_type() {
        kind::FLOAT => tensor
            .float_data
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect(),
        kind::INT64 => tensor
            .int64_data
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect(),
        kind::FLOAT16 => tensor
            .int32_data
            .iter()
            .flat_map(|&x| (x as u16).to_le_bytes())
            .collect(),
        kind::INT8 | kind::UINT8 => tensor.int32_data.iter().map(|&x| x as u8).collect(),
        _ => Bytes::new(),
    }
}

fn byte_length(tensor: &Tensor) -> Result<u64> {
    let size = match tensor.data_type() {
        kind::FLOAT => 4,
        kind::FLOAT16 => 2,
        kind::INT8 | kind::UINT8 => 1,
        kind::INT64 => 8,
        other => {
            return Err(Error::invalid(format!(
                "tensor {} is of kind {other}, which no pass reads",
                tensor.name()
            )));
        }
    };
    (elements(tensor)? as u64)
        .checked_mul(size)
        .ok_or_else(|| no_size(tensor))
}

fn elements(tensor: &Tensor) -> Result<usize> {
    let dims = tensor.dims.iter();
    dims.map(|&d| usize::try_from(d).ok())
        .try_fold(1usize, |product, d| product.checked_mul(d?))
        .filter(|&count| count < 1 << 40)
        .ok_or_else(|| no_size(tensor))
}

/// Room for its elements, unless the shape is nonsense, which reading will find out.
fn capacity(tensor: &Tensor) -> Result<usize> {
    Ok(elements(tensor)?.min(1 << 28))
}

fn no_size(tensor: &Tensor) -> Error {
    Error::invalid(format!("tensor {} has no size", tensor.name()))
}

fn cannot(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid(format!("{} cannot be read: {error}", path.display()))
}

/// The file's protobuf with large tensors named instead of held.
fn skeleton(path: &Path, name: &str) -> Result<Bytes> {
    let file = File::open(path).map_err(|e| cannot(path, &e))?;
    let length = file.metadata().map_err(|e| cannot(path, &e))?.len();
    let mut walk = Walk {
        file: BufReader::with_capacity(64 << 10, file),
        at: 0,
        name,
    };
    let mut out = Vec::new();
    walk.message(length, &mut out, Level::Model)
        .map_err(|e| Error::invalid(format!("the file is no whole ONNX graph: {e}")))?;
    Ok(out.into())
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

struct Walk<'n> {
    file: BufReader<File>,
    at: u64,
    name: &'n str,
}

impl Walk<'_> {
    fn message(&mut self, end: u64, out: &mut Vec<u8>, level: Level) -> std::io::Result<()> {
        let end = self.at.checked_add(end).ok_or_else(damaged)?;
        let mut skipped = None;
        while self.at < end {
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
                    if level == Level::Tensor && key == RAW_DATA_IN_TENSOR && length >= LARGE {
                        skipped = Some((self.at, length));
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
