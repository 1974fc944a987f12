//! SQLite's comparisons outside of SQLite: affinities, collations, and what it makes of a term.
//!
//! A virtual table gets the operands of a query raw. What it filters itself must come out as it
//! would have in SQLite, or be left to SQLite. [`Comparison`] also knows the cases that nobody can
//! decide here, since they depend on how the operand was written.

use crate::sql::ffi::Value;
use std::cmp::Ordering;

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

/// What an operand without affinity of its own (a literal, a parameter) becomes when it is
/// compared with a column of that affinity.
pub fn coerce(affinity: Affinity, value: Value) -> Value {
    match affinity {
        Affinity::Blob => value,
        Affinity::Text => apply(affinity, value),
        Affinity::Numeric | Affinity::Integer | Affinity::Real => match text_of(&value) {
            Some(bytes) => number(bytes).unwrap_or(value),
            None => value,
        },
    }
}

/// A number where the value is one or is written like one; whole reals become integers.
fn numeric(value: Value) -> Value {
    let found = match &value {
        Value::Real(x) => whole(*x),
        other => text_of(other).and_then(number),
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
/// way; see [`same_in_every_version`].
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

/// How texts are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collation {
    /// By their bytes.
    Binary,
    /// A to Z as a to z.
    NoCase,
    /// By their bytes, without spaces at the end.
    RTrim,
}

impl Collation {
    /// All of them. What else there is belongs to the application.
    pub const ALL: [Collation; 3] = [Collation::Binary, Collation::NoCase, Collation::RTrim];

    /// As in SQL.
    pub fn name(self) -> &'static str {
        match self {
            Collation::Binary => "BINARY",
            Collation::NoCase => "NOCASE",
            Collation::RTrim => "RTRIM",
        }
    }

    /// By its name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|collation| collation.name().eq_ignore_ascii_case(name))
    }

    fn compare(self, a: &[u8], b: &[u8]) -> Ordering {
        match self {
            Collation::Binary => a.cmp(b),
            Collation::NoCase => {
                for (x, y) in a.iter().zip(b) {
                    match x.to_ascii_lowercase().cmp(&y.to_ascii_lowercase()) {
                        // Behind a NUL SQLite compares nothing but the lengths.
                        Ordering::Equal if *x == 0 => break,
                        Ordering::Equal => {}
                        unequal => return unequal,
                    }
                }
                a.len().cmp(&b.len())
            }
            Collation::RTrim => trimmed(a).cmp(trimmed(b)),
        }
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|b| *b != b' ').map_or(0, |at| at + 1);
    &text[..end]
}

fn text_of(value: &Value) -> Option<&[u8]> {
    value.as_text()
}

/// How two values stand to each other; `None` where one is NULL. No affinity is applied.
pub fn compare(a: &Value, b: &Value, collation: Collation) -> Option<Ordering> {
    let class = |value: &Value| match value {
        Value::Null => None,
        Value::Integer(_) => Some(0),
        Value::Real(x) => (!x.is_nan()).then_some(0), // SQLite makes NULL of it
        Value::Text(_) => Some(1),
        Value::Blob(_) => Some(2),
    };
    let (left, right) = (class(a)?, class(b)?);
    Some(match (a, b) {
        (Value::Integer(x), Value::Integer(y)) => x.cmp(y),
        (Value::Real(x), Value::Real(y)) => x.partial_cmp(y)?,
        (Value::Integer(x), Value::Real(y)) => integer_to_real(*x, *y),
        (Value::Real(x), Value::Integer(y)) => integer_to_real(*y, *x).reverse(),
        (Value::Blob(x), Value::Blob(y)) => x.cmp(y),
        _ => match (text_of(a), text_of(b)) {
            (Some(x), Some(y)) => collation.compare(x, y),
            _ => left.cmp(&right),
        },
    })
}

/// Exactly, also where no real is near enough to the integer.
fn integer_to_real(n: i64, x: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if x < -LIMIT {
        return Ordering::Greater;
    }
    if x >= LIMIT {
        return Ordering::Less;
    }
    let fraction = || (n as f64).partial_cmp(&x).unwrap_or(Ordering::Equal);
    n.cmp(&(x as i64)).then_with(fraction)
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Operator {
    /// All of them, with how they are written.
    pub const ALL: [(Operator, &'static str); 6] = [
        (Operator::Eq, "="),
        (Operator::Ne, "<>"),
        (Operator::Lt, "<"),
        (Operator::Le, "<="),
        (Operator::Gt, ">"),
        (Operator::Ge, ">="),
    ];

    /// Whether a row stays where [`compare`] gave this; never where a value is NULL.
    pub fn holds(self, ordering: Option<Ordering>) -> bool {
        ordering.is_some_and(|ordering| match self {
            Operator::Eq => ordering.is_eq(),
            Operator::Ne => ordering.is_ne(),
            Operator::Lt => ordering.is_lt(),
            Operator::Le => ordering.is_le(),
            Operator::Gt => ordering.is_gt(),
            Operator::Ge => ordering.is_ge(),
        })
    }
}

/// A column compared with an operand, made once for many stored values.
#[derive(Clone, Debug)]
pub struct Comparison {
    operator: Operator,
    collation: Collation,
    affinity: Affinity,
    raw: Value,
    coerced: Value,
}

impl Comparison {
    /// `column operator operand`.
    pub fn new(
        affinity: Affinity,
        operator: Operator,
        operand: Value,
        collation: Collation,
    ) -> Self {
        Comparison {
            operator,
            collation,
            affinity,
            coerced: coerce(affinity, operand.clone()),
            raw: operand,
        }
    }

    /// What the column must be equal to, where that is the comparison.
    pub fn equals(&self) -> Option<&Value> {
        (self.operator == Operator::Eq).then_some(&self.raw)
    }

    /// Whether SQLite keeps a row with this stored value. `None`: that depends on what SQLite does
    /// not tell, see [`Self::keeps_with`], or on the collation of `<>`: for that it says BINARY,
    /// whatever it is *(tried on 3.38 to 3.51)*.
    pub fn keeps(&self, stored: &Value) -> Option<bool> {
        if self.operator != Operator::Ne {
            return self.keeps_with(stored, self.collation);
        }
        let keeps = Collation::ALL.map(|collation| self.keeps_with(stored, collation));
        keeps.iter().all(|k| *k == keeps[0]).then_some(keeps[0])?
    }

    /// `None`: it depends on whether the operand has an affinity (`code = 7` compares texts,
    /// `code = other.number` numbers). That is so only for a stored text and a number as operand.
    fn keeps_with(&self, stored: &Value, collation: Collation) -> Option<bool> {
        let holds = |stored: &Value, operand: &Value| {
            let ordering = compare(stored, operand, collation);
            self.operator.holds(ordering)
        };
        let as_literal = holds(stored, &self.coerced);
        let number = matches!(self.raw, Value::Integer(_) | Value::Real(_));
        let converts = matches!(self.affinity, Affinity::Text | Affinity::Blob);
        let Some(text) = text_of(stored).filter(|_| number && converts) else {
            return Some(as_literal);
        };
        let as_number = number_or(text, stored, |stored| holds(stored, &self.raw));
        let all_agree = as_literal == as_number
            && as_literal == holds(stored, &self.raw)
            && (self.affinity == Affinity::Blob || same_in_every_version(&self.raw));
        all_agree.then_some(as_literal)
    }
}

fn number_or(text: &[u8], value: &Value, then: impl Fn(&Value) -> bool) -> bool {
    number(text).map_or_else(|| then(value), |number| then(&number))
}

/// A real with more than 15 digits is cut and rounded by some versions of SQLite, not by others.
fn same_in_every_version(value: &Value) -> bool {
    match value {
        Value::Real(x) => real_text(*x).parse() == Ok(*x),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
