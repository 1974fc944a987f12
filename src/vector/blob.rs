//! What a vector blob is: little-endian f32 values, one after the other, at least one.
//!
//! The format of sqlite-vec, numpy's `tobytes()` and Turso. [`Vector`] is a checked view of such
//! bytes; finiteness is checked where the values are read anyway (see [`super`]).

use crate::error::{Error, Result};

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
    pub fn to_f32(self) -> Vec<f32> {
        self.0.iter().map(|&b| f32::from_le_bytes(b)).collect()
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
            Some(i) => Err(Error::invalid(format!(
                "element {i} of the vector is {}, expected a finite number",
                f32::from_le_bytes(self.0[i])
            ))),
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
/// A NaN or infinity: JSON has none.
pub fn to_json(v: Vector<'_>) -> Result<String> {
    v.check_finite()?;
    serde_json::to_string(&v.to_f32()).map_err(|e| Error::internal(e.to_string()))
}

/// The blob of a JSON array of numbers. Each is read as f64 and rounded to f32, as numpy does.
///
/// # Errors
/// Not JSON, not an array, an empty array, an element that is no number or beyond f32's range.
pub fn from_json(json: &str) -> Result<Vec<u8>> {
    let wanted = "expected a JSON array of numbers such as [0.1, 0.2]";
    let value: serde_json::Value = serde_json::from_str(json)
        .map_err(|e| Error::invalid(format!("not valid JSON ({e}); {wanted}")))?;
    let serde_json::Value::Array(items) = value else {
        return Err(Error::invalid(format!(
            "the JSON is {}, {wanted}",
            json_kind(&value)
        )));
    };
    if items.is_empty() {
        return Err(Error::invalid(format!("the JSON array is empty, {wanted}")));
    }
    let mut values = Vec::with_capacity(items.len());
    for (i, item) in items.iter().enumerate() {
        let Some(x) = item.as_f64() else {
            return Err(Error::invalid(format!(
                "element {i} is {}, {wanted}",
                json_kind(item)
            )));
        };
        let narrowed = x as f32;
        if !narrowed.is_finite() {
            return Err(Error::invalid(format!(
                "element {i} ({item}) is beyond the range of f32"
            )));
        }
        values.push(narrowed);
    }
    Ok(from_f32(&values))
}

fn json_kind(value: &serde_json::Value) -> &'static str {
    match value {
        serde_json::Value::Null => "null",
        serde_json::Value::Bool(_) => "a boolean",
        serde_json::Value::Number(_) => "a number",
        serde_json::Value::String(_) => "a string",
        serde_json::Value::Array(_) => "an array",
        serde_json::Value::Object(_) => "an object",
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

    proptest! {
        #[test]
        fn json_gives_the_same_bits_back(bits in proptest::collection::vec(any::<u32>(), 1..50)) {
            let values: Vec<f32> = bits.into_iter().map(f32::from_bits).filter(|x| x.is_finite()).collect();
            prop_assume!(!values.is_empty());
            let blob = from_f32(&values);
            let json = to_json(Vector::parse(&blob).unwrap()).unwrap();
            prop_assert_eq!(from_json(&json).unwrap(), blob);
        }
    }
}
