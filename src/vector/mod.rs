//! Vectors: what a blob means, and maths on it. Knows nothing else of this crate but its errors.
//!
//! - [`blob`]: the format (little-endian f32, as numpy's `tobytes()` writes it) and JSON.
//! - [`kernels`]: inner loops, with SIMD chosen at run time, behind one naive oracle.
//! - [`codes`]: 2 bits a dimension, to find candidates without reading vectors.
//! - [`storage`]: how an index keeps vectors (f32, f16, int8), and cosines to them.
//! - this file: the measures that SQL offers, made of kernels and checks.
//!
//! A vector is always seen as a [`Vector`]: checked bytes, never copied. Sums run in f64, where a
//! product of two f32 is exact, so results do not depend on the CPU beyond the order of addition,
//! and 1,024 dimensions keep far more than 6 digits.

pub mod ascending;
pub mod blob;
pub mod codes;
pub mod kernels;
pub mod storage;

pub use blob::Vector;

use crate::error::{Error, Result};
use crate::memory::reserved;

/// Cosine of the angle between two vectors, in [-1, 1]; 0 where one of them is the zero vector.
///
/// # Errors
/// Different dimensions, or a NaN or infinity in either vector.
pub fn cosine(a: Vector<'_>, b: Vector<'_>) -> Result<f64> {
    check_dims(a, b)?;
    let norm = squared_norm(a)?;
    cosine_with_norm(a, norm, b)
}

/// [`cosine`] with `|a|²` known from [`squared_norm`]: one pass over `b` (a query against rows).
///
/// # Errors
/// As [`cosine`].
pub fn cosine_with_norm(a: Vector<'_>, a_squared: f64, b: Vector<'_>) -> Result<f64> {
    check_dims(a, b)?;
    let (ab, bb) = kernels::dot_and_squared(a.elements(), b.elements());
    if !bb.is_finite() || !ab.is_finite() {
        return Err(not_finite(&[a, b]));
    }
    let scale = (a_squared * bb).sqrt();
    if scale == 0.0 {
        return Ok(0.0);
    }
    Ok((ab / scale).clamp(-1.0, 1.0))
}

/// The sum of squares of a vector.
///
/// # Errors
/// A NaN or infinity in the vector.
pub fn squared_norm(v: Vector<'_>) -> Result<f64> {
    finite(kernels::dot(v.elements(), v.elements()), &[v])
}

/// Inner product.
///
/// # Errors
/// As [`cosine`].
pub fn dot(a: Vector<'_>, b: Vector<'_>) -> Result<f64> {
    check_dims(a, b)?;
    finite(kernels::dot(a.elements(), b.elements()), &[a, b])
}

/// Euclidean distance.
///
/// # Errors
/// As [`cosine`].
pub fn l2(a: Vector<'_>, b: Vector<'_>) -> Result<f64> {
    check_dims(a, b)?;
    Ok(finite(kernels::squared_l2(a.elements(), b.elements()), &[a, b])?.sqrt())
}

/// The blob of the vector divided by `max(norm, 1e-12)`, as FlagEmbedding does; the zero vector stays
/// zero.
///
/// # Errors
/// A NaN or infinity in the vector. Out of memory.
pub fn normalize(v: Vector<'_>) -> Result<Vec<u8>> {
    let divisor = divisor(squared_norm(v)?.sqrt());
    let mut bytes = reserved(4 * v.dims())?;
    let scaled = |&element: &[u8; 4]| scaled(f32::from_le_bytes(element), divisor).to_le_bytes();
    bytes.extend(v.elements().iter().flat_map(scaled));
    Ok(bytes)
}

/// [`normalize`] in place, for rows that are known to be finite.
pub fn normalize_in_place(row: &mut [f32]) {
    let norm = row
        .iter()
        .map(|&x| f64::from(x) * f64::from(x))
        .sum::<f64>()
        .sqrt();
    let divisor = divisor(norm);
    for x in row {
        *x = scaled(*x, divisor);
    }
}

fn divisor(norm: f64) -> f64 {
    norm.max(1e-12)
}

fn scaled(x: f32, divisor: f64) -> f32 {
    (f64::from(x) / divisor) as f32
}

/// # Errors
/// Vectors of different dimensions.
pub fn check_dims(a: Vector<'_>, b: Vector<'_>) -> Result<()> {
    if a.dims() == b.dims() {
        return Ok(());
    }
    let (longer, shorter) = if a.dims() > b.dims() { (a, b) } else { (b, a) };
    let reason = if longer.dims() == 2 * shorter.dims() && longer.looks_like_f64() {
        blob::FLOAT64
    } else {
        "vectors of different models cannot be compared"
    };
    Err(Error::invalid(format!(
        "the vectors have {} and {} dimensions, expected equal ones; {reason}",
        a.dims(),
        b.dims()
    )))
}

/// A finite sum means finite terms: infinities and NaN survive every addition, and the square of
/// the largest f32 is far below the largest f64. So one check on the sum replaces one an element.
fn finite(sum: f64, vectors: &[Vector<'_>]) -> Result<f64> {
    if sum.is_finite() {
        Ok(sum)
    } else {
        Err(not_finite(vectors))
    }
}

fn not_finite(vectors: &[Vector<'_>]) -> Error {
    for v in vectors {
        if let Err(e) = v.check_finite() {
            return e;
        }
    }
    Error::internal("a sum of finite products is not finite")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[f32]) -> Vec<u8> {
        blob::from_f32(values)
    }

    fn with<T>(a: &[f32], b: &[f32], f: impl Fn(Vector<'_>, Vector<'_>) -> T) -> T {
        let (a, b) = (bytes(a), bytes(b));
        f(Vector::parse(&a).unwrap(), Vector::parse(&b).unwrap())
    }

    #[test]
    fn cosine_of_scaled_copies_is_one_and_of_a_zero_vector_zero() {
        assert_eq!(with(&[1.0, 2.0], &[10.0, 20.0], cosine).unwrap(), 1.0);
        assert_eq!(with(&[1.0, 2.0], &[-1.0, -2.0], cosine).unwrap(), -1.0);
        assert_eq!(with(&[0.0, 0.0], &[1.0, 2.0], cosine).unwrap(), 0.0);
        assert_eq!(with(&[0.0, 0.0], &[0.0, 0.0], cosine).unwrap(), 0.0);
        assert_eq!(with(&[1.0, 0.0], &[0.0, 5.0], cosine).unwrap(), 0.0);
    }

    #[test]
    fn extreme_magnitudes_do_not_overflow() {
        assert_eq!(with(&[f32::MAX; 8], &[f32::MAX; 8], cosine).unwrap(), 1.0);
        assert_eq!(with(&[1e-38; 8], &[1e-38; 8], cosine).unwrap(), 1.0);
        assert!(
            with(&[f32::MAX; 8], &[f32::MIN; 8], l2)
                .unwrap()
                .is_finite()
        );
    }

    #[test]
    fn bad_elements_are_named_by_position() {
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for f in [cosine, dot, l2] {
                let message = with(&[1.0, 1.0], &[1.0, bad], f).unwrap_err().to_string();
                assert!(message.contains("element 1"), "{message}");
                assert!(with(&[0.0, bad], &[0.0, 0.0], f).is_err());
            }
        }
        assert!(
            with(&[1.0], &[1.0, 2.0], dot)
                .unwrap_err()
                .message()
                .contains("1 and 2")
        );
    }

    #[test]
    fn normalize_gives_unit_length_and_keeps_zero() {
        let v = bytes(&[3.0, 4.0]);
        assert_eq!(
            normalize(Vector::parse(&v).unwrap()).unwrap(),
            bytes(&[0.6, 0.8])
        );
        let zero = bytes(&[0.0, 0.0]);
        assert_eq!(
            normalize(Vector::parse(&zero).unwrap()).unwrap(),
            bytes(&[0.0, 0.0])
        );
    }
}
