//! How an index keeps vectors for rescoring: exactly, or in half or a quarter of the bytes.
//!
//! | name | bytes | content (little-endian) |
//! |---|---|---|
//! | `f32` | `4 d` | the vector as it is ([`super::blob`]) |
//! | `f16` | `2 d` | IEEE 754 half, rounded to nearest |
//! | `int8` | `4 + d` | f32 scale, the largest `abs(x)` divided by 127, then `round(x / scale)` as i8 |
//!
//! Nothing is normalised: `f32` gives the bits back that came. Smaller kinds are widened to f32
//! before they are compared, so the distances they give are those of the values they keep.

use super::{Vector, blob, cosine_with_norm, squared_norm};
use crate::error::{Error, Result};
use half::f16;

/// A kind of storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Storage {
    /// As the model or the user gave it.
    #[default]
    F32,
    /// About 3 significant digits.
    F16,
    /// 255 steps over a vector's own range.
    Int8,
}

impl Storage {
    const ALL: [Storage; 3] = [Storage::F32, Storage::F16, Storage::Int8];

    /// The kind of that name.
    ///
    /// # Errors
    /// Another name; the message has those there are.
    pub fn parse(name: &str) -> Result<Self> {
        let found = Storage::ALL.into_iter().find(|s| s.name() == name);
        found.ok_or_else(|| {
            let names = Storage::ALL.map(Storage::name).join(", ");
            Error::invalid(format!("no storage '{name}', expected one of {names}"))
        })
    }

    /// The name: `f32`, `f16` or `int8`.
    pub fn name(self) -> &'static str {
        match self {
            Storage::F32 => "f32",
            Storage::F16 => "f16",
            Storage::Int8 => "int8",
        }
    }

    /// Bytes of a stored vector of `dims` dimensions.
    pub fn bytes(self, dims: usize) -> usize {
        match self {
            Storage::F32 => 4 * dims,
            Storage::F16 => 2 * dims,
            Storage::Int8 => 4 + dims,
        }
    }

    /// The dimensions of a stored vector of that many bytes.
    pub fn dims(self, bytes: usize) -> usize {
        match self {
            Storage::F32 => bytes / 4,
            Storage::F16 => bytes / 2,
            Storage::Int8 => bytes.saturating_sub(4),
        }
    }

    /// The bytes to store.
    ///
    /// # Errors
    /// An empty vector; a NaN or infinity; values that this storage cannot hold (`f16` beyond
    /// 65,504; a vector other than zero that would become zero or lose its digits).
    pub fn encode(self, vector: &[f32]) -> Result<Vec<u8>> {
        let f32_bytes = blob::from_f32(vector);
        Vector::parse(&f32_bytes)?.check_finite()?;
        match self {
            Storage::F32 => Ok(f32_bytes),
            Storage::F16 => encode_f16(vector),
            Storage::Int8 => encode_int8(vector),
        }
    }

    /// The values of a stored vector.
    ///
    /// # Errors
    /// Another length than [`Storage::bytes`] says; a NaN or infinity in it.
    pub fn decode(self, stored: &[u8], dims: usize) -> Result<Vec<f32>> {
        self.check_length(stored, dims)?;
        let mut widened = Vec::new();
        let vector = self.widen(stored, &mut widened)?;
        vector.check_finite()?;
        vector.to_f32()
    }

    fn check_length(self, stored: &[u8], dims: usize) -> Result<()> {
        if stored.len() == self.bytes(dims) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "a stored vector has {} bytes, expected {} ({dims} dimensions as {})",
            stored.len(),
            self.bytes(dims),
            self.name()
        )))
    }

    /// The stored vector as f32, in `buffer` where it was not.
    fn widen<'a>(self, stored: &'a [u8], buffer: &'a mut Vec<u8>) -> Result<Vector<'a>> {
        buffer.clear();
        match self {
            Storage::F32 => return Vector::parse(stored),
            Storage::F16 => {
                let (halves, _) = stored.as_chunks::<2>();
                buffer.extend(
                    halves
                        .iter()
                        .flat_map(|&b| f16::from_le_bytes(b).to_f32().to_le_bytes()),
                );
            }
            Storage::Int8 => {
                let Some((scale, levels)) = stored.split_first_chunk::<4>() else {
                    return Err(Error::invalid("a stored vector has no scale"));
                };
                let scale = f32::from_le_bytes(*scale);
                buffer.extend(
                    levels
                        .iter()
                        .flat_map(|&k| (scale * f32::from(k as i8)).to_le_bytes()),
                );
            }
        }
        Vector::parse(buffer)
    }
}

fn encode_f16(vector: &[f32]) -> Result<Vec<u8>> {
    let halves: Vec<f16> = vector.iter().map(|&x| f16::from_f32(x)).collect();
    if let Some(i) = halves.iter().position(|x| x.is_infinite()) {
        return Err(Error::invalid(format!(
            "element {i} of the vector ({}) is beyond the range of f16, 65504; \
             normalise the vector or store f32",
            vector[i]
        )));
    }
    let vanished = halves.iter().all(|&x| x == f16::ZERO);
    if vanished && vector.iter().any(|&x| x != 0.0) {
        return Err(too_small("f16"));
    }
    Ok(halves.into_iter().flat_map(f16::to_le_bytes).collect())
}

fn encode_int8(vector: &[f32]) -> Result<Vec<u8>> {
    let largest = vector.iter().fold(0f32, |max, x| max.max(x.abs()));
    // Rounded down where 127 scales would be more than f32 holds.
    let mut scale = largest / 127.0;
    if !(127.0 * scale).is_finite() {
        scale = scale.next_down();
    }
    if largest > 0.0 && !scale.is_normal() {
        return Err(too_small("int8"));
    }
    let mut bytes = scale.to_le_bytes().to_vec();
    bytes.extend(vector.iter().map(|&x| match largest {
        0.0 => 0,
        _ => (x / scale).round().clamp(-127.0, 127.0) as i8 as u8,
    }));
    Ok(bytes)
}

fn too_small(storage: &str) -> Error {
    Error::invalid(format!(
        "the vector is too small for {storage}; normalise it or store f32"
    ))
}

/// A query against stored vectors of one kind, one after the other.
#[derive(Clone, Debug)]
pub struct Rescorer {
    storage: Storage,
    query: Vec<u8>,
    squared_norm: f64,
    buffer: Vec<u8>,
}

impl Rescorer {
    /// # Errors
    /// An empty query; a NaN or infinity in it.
    pub fn new(storage: Storage, query: &[f32]) -> Result<Self> {
        let query = blob::from_f32(query);
        let squared_norm = squared_norm(Vector::parse(&query)?)?;
        Ok(Rescorer {
            storage,
            query,
            squared_norm,
            buffer: Vec::new(),
        })
    }

    /// The cosine to a stored vector, in [-1, 1]; 0 where one of them is the zero vector. For `f32`
    /// it has the bits of [`super::cosine`].
    ///
    /// # Errors
    /// A stored vector of other length than the query's dimensions ask for; a NaN or infinity in it.
    pub fn cosine(&mut self, stored: &[u8]) -> Result<f64> {
        let query = Vector::parse(&self.query)?;
        self.storage.check_length(stored, query.dims())?;
        let vector = self.storage.widen(stored, &mut self.buffer)?;
        cosine_with_norm(query, self.squared_norm, vector)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::cosine;
    use proptest::prelude::*;

    fn exact(a: &[f32], b: &[f32]) -> f64 {
        let (a, b) = (blob::from_f32(a), blob::from_f32(b));
        cosine(Vector::parse(&a).unwrap(), Vector::parse(&b).unwrap()).unwrap()
    }

    #[test]
    fn names_go_both_ways() {
        for storage in Storage::ALL {
            assert_eq!(Storage::parse(storage.name()).unwrap(), storage);
        }
        let error = Storage::parse("F8").unwrap_err();
        assert!(error.message().contains("f32, f16, int8"), "{error}");
    }

    #[test]
    fn the_formats_are_pinned() {
        let v = [1.0, -0.5, 0.0];
        assert_eq!(Storage::F32.encode(&v).unwrap(), blob::from_f32(&v));
        assert_eq!(Storage::F16.encode(&v).unwrap(), [0, 0x3c, 0, 0xb8, 0, 0]);
        let mut want = (1.0f32 / 127.0).to_le_bytes().to_vec();
        want.extend([127, -64i8 as u8, 0]);
        assert_eq!(Storage::Int8.encode(&v).unwrap(), want);
        assert_eq!(Storage::Int8.encode(&[0.0]).unwrap(), [0; 5]);
    }

    #[test]
    fn what_a_kind_cannot_hold_is_refused() {
        for storage in Storage::ALL {
            assert!(storage.encode(&[]).is_err());
            assert!(storage.encode(&[0.0, f32::NAN]).is_err());
            assert!(storage.encode(&[f32::INFINITY]).is_err());
            assert!(storage.encode(&[0.0, -0.0]).is_ok());
        }
        assert!(Storage::F16.encode(&[65_519.0]).is_ok());
        let error = Storage::F16.encode(&[0.0, -65_520.0]).unwrap_err();
        assert!(error.message().contains("element 1"), "{error}");
        assert!(Storage::F16.encode(&[1e-9, -1e-9]).is_err());
        assert!(Storage::Int8.encode(&[1e-40]).is_err());
        let huge = Storage::Int8.encode(&[f32::MAX, f32::MIN]).unwrap();
        let back = Storage::Int8.decode(&huge, 2).unwrap();
        assert!((back[0] / f32::MAX - 1.0).abs() < 1e-6, "{back:?}");
        assert_eq!(back[0], -back[1]);
    }

    #[test]
    fn stored_bytes_that_are_no_vector_are_errors() {
        for storage in Storage::ALL {
            let good = storage.encode(&[1.0, 2.0, 3.0]).unwrap();
            let mut rescorer = Rescorer::new(storage, &[1.0, 1.0, 1.0]).unwrap();
            for bad in [&good[1..], &[good.clone(), vec![0]].concat(), &[]] {
                let error = storage.decode(bad, 3).unwrap_err();
                assert!(error.message().contains("expected"), "{error}");
                assert_eq!(rescorer.cosine(bad).unwrap_err(), error);
            }
            let mut bad = good.clone();
            bad[..4].fill(0xff);
            let error = storage.decode(&bad, 3).unwrap_err();
            assert!(error.message().contains("finite"), "{error}");
            assert_eq!(rescorer.cosine(&bad).unwrap_err(), error);
            // The buffer carries nothing over.
            assert!(rescorer.cosine(&good).unwrap() > 0.9);
            assert!(storage.decode(&[], 0).is_err());
        }
        assert!(Rescorer::new(Storage::F32, &[]).is_err());
        assert!(Rescorer::new(Storage::F32, &[f32::NAN]).is_err());
    }

    proptest! {
        #[test]
        fn cosines_are_those_of_the_values_kept(
            pairs in proptest::collection::vec((-3f32..3.0, -3f32..3.0), 1..800)
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            for (storage, error) in [
                (Storage::F32, 0.0), (Storage::F16, 1.0 / 2048.0), (Storage::Int8, 0.5 / 127.0)
            ] {
                let stored = storage.encode(&b).unwrap();
                prop_assert_eq!(stored.len(), storage.bytes(b.len()));
                let back = storage.decode(&stored, b.len()).unwrap();
                let largest = b.iter().fold(0f32, |m, x| m.max(x.abs()));
                for (x, y) in b.iter().zip(&back) {
                    prop_assert!((x - y).abs() <= 1.001 * error * largest, "{} {}", x, y);
                }
                let got = Rescorer::new(storage, &a).unwrap().cosine(&stored).unwrap();
                prop_assert_eq!(got.to_bits(), exact(&a, &back).to_bits());
            }
        }
    }
}
