//! The values of a tensor, wherever its bytes are.

use crate::engine::onnx::protobuf::{Tensor, data_type};
use crate::error::{Error, Result};
use crate::memory::reserved;
use bytes::Bytes;
use half::f16;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// The values of a float tensor, single or half.
///
/// # Errors
/// A file that cannot be read, bytes that do not fit the tensor's shape, a tensor of another kind.
pub fn floats(tensor: &Tensor, folder: &Path) -> Result<Vec<f32>> {
    let mut values = reserved(capacity(tensor)?)?;
    match tensor.data_type() {
        data_type::FLOAT => read(tensor, folder, |bytes| {
            values.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
        }),
        data_type::FLOAT16 => read(tensor, folder, |bytes| {
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
    let mut values = reserved(capacity(tensor)?)?;
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
    let mut all = reserved(byte_length(tensor)?.min(1 << 30) as usize)?;
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
        data_type::FLOAT => tensor
            .float_data
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect(),
        data_type::INT64 => tensor
            .int64_data
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect(),
        data_type::FLOAT16 => tensor
            .int32_data
            .iter()
            .flat_map(|&x| (x as u16).to_le_bytes())
            .collect(),
        data_type::INT8 | data_type::UINT8 => tensor.int32_data.iter().map(|&x| x as u8).collect(),
        _ => Bytes::new(),
    }
}

/// The bytes that its shape needs.
///
/// # Errors
/// A shape that is none, a tensor of a kind that no pass reads.
pub fn byte_length(tensor: &Tensor) -> Result<u64> {
    let size = match tensor.data_type() {
        data_type::FLOAT => 4,
        data_type::FLOAT16 => 2,
        data_type::INT8 | data_type::UINT8 => 1,
        data_type::INT64 => 8,
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
