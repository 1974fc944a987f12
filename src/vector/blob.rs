//! What a vector blob is: little-endian f32 values, one after the other, at least one.
//!
//! The format of sqlite-vec, numpy's `tobytes()` and Turso. [`Vector`] is a checked view of such
//! bytes; finiteness is checked where the values are read anyway (see [`super`]).

use crate::error::{Error, Result};
use crate::json::{Element, Elements, Problem};
use crate::memory::{out_of_memory, reserved};
use serde::Serializer;

/// What an error asks where a blob [looks like f64](Vector::looks_like_f64).
pub const FLOAT64: &str = "float64? the BLOB reads as 8 bytes a dimension, a vector has 4; numpy makes it \
    with v.astype('float32').tobytes()";

/// A view of a blob as a vector of f32, at least one, not yet known to be finite.
#[derive(Clone, Copy, Debug)]
pub struct Vector<'a>(&'a [[u8; 4]]);

impl<'a> Vector<'a> {
    /// Reads a blob as a vector, without copying.
    ///
    /// # Errors
    /// An empty blob, or a length that is no multiple of 4.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let (elements, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(Error::invalid(format!(
                "a blob of {} bytes is not a vector: expected 4 bytes (little-endian f32) a dimension",
                bytes.len()
            )));
        }
        if elements.is_empty() {
            return Err(Error::invalid(
                "an empty blob is not a vector: expected 4 bytes (little-endian f32) a dimension",
            ));
        }
        Ok(Vector(elements))
    }

    /// The number of dimensions.
    pub fn dims(self) -> usize {
        self.0.len()
    }

    /// The elements as stored, for the kernels.
    pub(super) fn elements(self) -> &'a [[u8; 4]] {
        self.0
    }

    /// The values, copied.
    ///
    /// # Errors
    /// Out of memory.
    pub fn to_f32(self) -> Result<Vec<f32>> {
        let mut values = reserved(self.dims())?;
        values.extend(self.0.iter().map(|&b| f32::from_le_bytes(b)));
        Ok(values)
    }

    /// Whether the bytes read as numbers of usual size if each takes 8 of them, and not if each takes
    /// 4: numpy makes such blobs of an array that nobody told to be float32.
    ///
    /// The first half of an f64 is the end of its digits, which is hardly ever a usual f32 (nothing but
    /// zeros, where the digits are few).
    pub fn looks_like_f64(self) -> bool {
        const USUAL: std::ops::Range<f64> = 1e-7..1e7;
        let is_usual = |x: f64| x == 0.0 || USUAL.contains(&x.abs());
        let (pairs, rest) = self.0.as_chunks::<2>();
        let whole = |[low, high]: &[[u8; 4]; 2]| {
            let bits = u64::from(u32::from_le_bytes(*high)) << 32;
            f64::from_bits(bits | u64::from(u32::from_le_bytes(*low)))
        };
        let lows = || pairs.iter().map(|[low, _]| f32::from_le_bytes(*low));
        rest.is_empty()
            && pairs.iter().all(|pair| is_usual(whole(pair)))
            && pairs.iter().any(|pair| whole(pair) != 0.0)
            && (lows().any(|x| !is_usual(f64::from(x))) || lows().all(|x| x == 0.0))
    }

    /// What an error of wrong dimensions asks besides, where `wanted` were: nothing, or whether the BLOB is
    /// one of float64.
    pub fn question(self, wanted: usize) -> String {
        match wanted.checked_mul(2) == Some(self.dims()) && self.looks_like_f64() {
            true => format!("; {FLOAT64}"),
            false => String::new(),
        }
    }

    /// # Errors
    /// A NaN or infinity, named by its position (from 0).
    pub fn check_finite(self) -> Result<()> {
        let bad = self
            .0
            .iter()
            .position(|&b| !f32::from_le_bytes(b).is_finite());
        match bad {
            None => Ok(()),
            Some(i) => {
                let element = f32::from_le_bytes(self.0[i]);
                let question = if self.looks_like_f64() {
                    format!("; {FLOAT64}")
                } else {
                    String::new()
                };
                Err(Error::invalid(format!(
                    "element {i} of the vector is {element}, expected a finite number{question}"
                )))
            }
        }
    }
}

/// The blob of a vector.
pub fn from_f32(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// A JSON array with the shortest digits that give the same f32 back.
///
/// # Errors
/// A NaN or infinity: JSON has none. Out of memory.
pub fn to_json(v: Vector<'_>) -> Result<String> {
    /// The longest that an element and its comma are: `-1.17549435e-38,`.
    const LONGEST: usize = 16;
    v.check_finite()?;
    // All at once, so that writing allocates nothing.
    let mut bytes = reserved(LONGEST * v.dims() + 2)?;
    let values = v.0.iter().map(|&b| f32::from_le_bytes(b));
    serde_json::Serializer::new(&mut bytes)
        .collect_seq(values)
        .map_err(|e| Error::internal(e.to_string()))?;
    bytes.shrink_to_fit();
    String::from_utf8(bytes).map_err(|e| Error::internal(e.to_string()))
}

/// The blob of a JSON array of numbers. Each is read as f64 and rounded to f32, as numpy does.
///
/// # Errors
/// Not JSON, not an array, an empty array, an element that is no number or beyond f32's range. Out of
/// memory.
pub fn from_json(json: &str) -> Result<Vec<u8>> {
    let wanted = "expected a JSON array of numbers such as [0.1, 0.2]";
    let (mut elements, mut bytes, mut i) = (Elements::default(), Vec::new(), 0);
    loop {
        let element = elements.next(json).map_err(|problem| match problem {
            Problem::Syntax(e) => Error::invalid(format!("not valid JSON ({e}); {wanted}")),
            Problem::NoArray(what) => Error::invalid(format!("the JSON is {what}, {wanted}")),
        })?;
        let number = match element {
            Some(Element::Number(number)) => number,
            Some(other) => {
                let what = other.name();
                return Err(Error::invalid(format!("element {i} is {what}, {wanted}")));
            }
            None if i == 0 => {
                return Err(Error::invalid(format!("the JSON array is empty, {wanted}")));
            }
            None => return Ok(bytes),
        };
        let narrowed = number.as_f64().unwrap_or(f64::NAN) as f32;
        if !narrowed.is_finite() {
            return Err(Error::invalid(format!(
                "element {i} ({number}) is beyond the range of f32"
            )));
        }
        bytes.try_reserve(4).map_err(|_| out_of_memory())?;
        bytes.extend_from_slice(&narrowed.to_le_bytes());
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wrong_lengths_are_refused() {
        for n in [0, 1, 3, 5, 4094] {
            let error = Vector::parse(&vec![0; n]).unwrap_err();
            assert!(error.message().contains("4 bytes"), "{error}");
        }
        assert_eq!(Vector::parse(&[0; 8]).unwrap().dims(), 2);
    }

    #[test]
    fn json_errors_name_the_element() {
        for (json, part) in [
            ("[1, \"x\"]", "element 1 is a string"),
            ("[1e39]", "element 0 (1e+39) is beyond"),
            ("[]", "empty"),
            ("{}", "an object"),
            ("[1", "not valid JSON"),
            ("[null]", "element 0 is null"),
        ] {
            let error = from_json(json).unwrap_err();
            assert!(error.message().contains(part), "{json}: {error}");
        }
    }

    #[test]
    fn vectors_of_f64_are_told_from_those_of_f32() {
        let is_f64 = |bytes: &[u8]| Vector::parse(bytes).unwrap().looks_like_f64();
        let unit: Vec<f64> = (1..=384)
            .map(|i| (f64::from(i) * 0.37).sin() / 14.0)
            .collect();
        let of_f64: Vec<u8> = unit.iter().flat_map(|x| x.to_le_bytes()).collect();
        let of_f32 = from_f32(&unit.iter().map(|&x| x as f32).collect::<Vec<_>>());
        assert!(is_f64(&of_f64) && is_f64(&of_f64[..8 * 8]));
        let few: Vec<u8> = [1.0_f64, -2.5, 0.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        assert!(is_f64(&few));
        for plain in [[1.0, 1.0], [1.5, -1.25]] {
            assert!(!is_f64(&from_f32(&[plain; 4].concat())));
        }
        assert!(!is_f64(&of_f32) && !is_f64(&of_f32[..4 * 383]) && !is_f64(&[0; 64]));
    }

    proptest! {
        #[test]
        fn json_gives_the_same_bits_back(bits in proptest::collection::vec(any::<u32>(), 1..50)) {
            let values: Vec<f32> = bits.into_iter().map(f32::from_bits).filter(|x| x.is_finite()).collect();
            prop_assume!(!values.is_empty());
            let blob = from_f32(&values);
            let json = to_json(Vector::parse(&blob).unwrap()).unwrap();
            prop_assert!(json.len() <= 16 * values.len() + 2);
            prop_assert_eq!(from_json(&json).unwrap(), blob);
        }
    }
}
