//! What a declared type makes of the values that are stored: SQLite's affinities.
//!
//! SQLite converts what is written into a shadow table, and compares what stands there. The index
//! converts in one case only: an UNINDEXED value that it hands out straight from the content must be
//! what the declaration of the index makes of it, whatever the content's own declaration does.

use crate::sql::ffi::Value;

/// What a column makes of the values that are stored into it or compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// None: values stay what they are.
    Blob,
    /// Numbers become text.
    Text,
    /// Text that is a number becomes one.
    Numeric,
    /// As [`Affinity::Numeric`]; they differ in CAST only.
    Integer,
    /// As [`Affinity::Numeric`], and what is stored is never an integer.
    Real,
}

/// The affinity of a declared type, by SQLite's rules.
pub fn affinity_of(declared: &str) -> Affinity {
    let declared = declared.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| declared.contains(word));
    if has(&["int"]) {
        Affinity::Integer
    } else if has(&["char", "clob", "text"]) {
        Affinity::Text
    } else if declared.trim().is_empty() || has(&["blob"]) {
        Affinity::Blob
    } else if has(&["real", "floa", "doub"]) {
        Affinity::Real
    } else {
        Affinity::Numeric
    }
}

/// What is stored when `value` is put into a column of that affinity.
pub fn apply(affinity: Affinity, value: Value) -> Value {
    match (affinity, value) {
        (Affinity::Text, Value::Integer(n)) => Value::from(n.to_string()),
        (Affinity::Text, Value::Real(x)) => Value::from(real_text(x)),
        (Affinity::Blob | Affinity::Text, value) => value,
        (Affinity::Numeric | Affinity::Integer, value) => numeric(value),
        (Affinity::Real, value) => match numeric(value) {
            Value::Integer(n) => Value::Real(n as f64),
            other => other,
        },
    }
}

/// A number where the value is one or is written like one; whole reals become integers.
fn numeric(value: Value) -> Value {
    let found = match &value {
        Value::Real(x) => whole(*x),
        other => other.as_text().and_then(number),
    };
    found.unwrap_or(value)
}

/// The integer that a real is, but for the two at the ends, as in SQLite.
fn whole(x: f64) -> Option<Value> {
    let n = x as i64; // saturates
    (n as f64 == x && n > i64::MIN && n < i64::MAX).then_some(Value::Integer(n))
}

/// Blanks, a sign, digits with a point somewhere, an exponent, blanks: nothing else is a number.
fn number(text: &[u8]) -> Option<Value> {
    let blank = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r');
    let start = text.iter().position(|b| !blank(b))?;
    let end = text.iter().rposition(|b| !blank(b))? + 1;
    let text = std::str::from_utf8(&text[start..end]).ok()?;
    let sign = |s: &str| usize::from(s.starts_with(['+', '-']));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        None => (text, None),
        Some((mantissa, exponent)) => (mantissa, Some(&exponent[sign(exponent)..])),
    };
    let mantissa = &mantissa[sign(mantissa)..];
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let valid = digits(before)
        && digits(after)
        && before.len() + after.len() > 0
        && exponent.is_none_or(|e| !e.is_empty() && digits(e));
    if !valid {
        return None;
    }
    if let Ok(n) = text.parse::<i64>() {
        return Some(Value::Integer(n));
    }
    let x: f64 = text.parse().ok()?;
    Some(whole(x).unwrap_or(Value::Real(x)))
}

/// A real as SQLite writes it: `%!.15g`. Where the 16th digit is a last 5, SQLite may round the other
/// way; see [`super::filter`].
pub fn real_text(x: f64) -> String {
    if x == 0.0 {
        return "0.0".into();
    }
    if !x.is_finite() {
        return if x > 0.0 { "Inf" } else { "-Inf" }.into();
    }
    let sign = if x < 0.0 { "-" } else { "" };
    let scientific = format!("{:.14e}", x.abs());
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let all = mantissa.replace('.', "");
    let digits = all.trim_end_matches('0');
    let fraction = |digits: &str| if digits.is_empty() { "0" } else { digits }.to_owned();
    if !(-4..15).contains(&exponent) {
        let (minus, size) = (if exponent < 0 { '-' } else { '+' }, exponent.abs());
        let (first, rest) = digits.split_at(1);
        return format!("{sign}{first}.{}e{minus}{size:02}", fraction(rest));
    }
    match usize::try_from(exponent) {
        Err(_) => {
            let zeros = "0".repeat((-exponent - 1) as usize);
            format!("{sign}0.{zeros}{digits}")
        }
        Ok(point) if digits.len() <= point + 1 => format!("{sign}{digits:0<0$}.0", point + 1),
        Ok(point) => {
            let (before, after) = digits.split_at(point + 1);
            format!("{sign}{before}.{after}")
        }
    }
}

#[cfg(test)]
mod tests;
