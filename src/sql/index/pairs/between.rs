//! Which rows are asked for: from one rowid to another.

use crate::sql::ffi::{Comparison, Value};
use crate::sql::index::affinity::{Affinity, apply};

/// The rows that are asked for: both ends are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Between {
    /// The least.
    pub from: i64,
    /// The greatest; below `from` where no row is asked for.
    pub to: i64,
}

impl Between {
    /// All rows.
    pub const ALL: Between = Between {
        from: i64::MIN,
        to: i64::MAX,
    };
    /// None.
    const NONE: Between = Between {
        from: i64::MAX,
        to: i64::MIN,
    };

    /// Whether no row is asked for.
    pub fn is_empty(self) -> bool {
        self.from > self.to
    }

    /// Whether a row is asked for.
    pub fn has(self, row: i64) -> bool {
        self.from <= row && row <= self.to
    }

    /// The rows of both.
    pub fn and(self, other: Between) -> Between {
        Between {
            from: self.from.max(other.from),
            to: self.to.min(other.to),
        }
    }

    /// Rows that a comparison may keep, with the rowid on its left: all that it keeps, and rarely more.
    pub fn compared(comparison: Comparison, value: Value) -> Between {
        let from = |from| Between {
            from,
            ..Between::ALL
        };
        let to = |to| Between { to, ..Between::ALL };
        let (is_equal, is_lower_end) = (
            comparison == Comparison::Equal,
            matches!(comparison, Comparison::Greater | Comparison::AtLeast),
        );
        match apply(Affinity::Integer, value) {
            Value::Integer(n) => match comparison {
                Comparison::Equal => Between { from: n, to: n },
                Comparison::AtLeast => from(n),
                Comparison::AtMost => to(n),
                Comparison::Greater => n.checked_add(1).map_or(Between::NONE, from),
                Comparison::Less => n.checked_sub(1).map_or(Between::NONE, to),
            },
            // Beyond all rowids the casts stay at the last one.
            Value::Real(x) if !is_equal && is_lower_end => from(x.ceil() as i64),
            Value::Real(x) if !is_equal => to(x.floor() as i64),
            // Numbers come before texts and BLOBs.
            Value::Text(_) | Value::Blob(_) if !is_equal && !is_lower_end => Between::ALL,
            Value::Real(_) | Value::Text(_) | Value::Blob(_) | Value::Null => Between::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_those_of_the_comparison() {
        use Comparison::*;
        let rows = |comparison, value: Value| Between::compared(comparison, value);
        let some = |from, to| Between { from, to };
        let (least, greatest) = (i64::MIN, i64::MAX);
        let whole = || Value::Integer(7);
        assert_eq!(rows(Equal, whole()), some(7, 7));
        assert_eq!(rows(Greater, whole()), some(8, greatest));
        assert_eq!(rows(AtLeast, Value::from(" 7.0 ")), some(7, greatest));
        assert_eq!(rows(Less, Value::from("7")), some(least, 6));
        assert_eq!(rows(AtMost, Value::Real(7.5)), some(least, 7));
        assert_eq!(rows(Less, Value::Real(-7.5)), some(least, -8));
        assert_eq!(rows(Greater, Value::Real(7.5)), some(8, greatest));
        assert_eq!(rows(Less, Value::Real(1e300)), Between::ALL);
        assert_eq!(rows(Less, Value::from("x")), Between::ALL);
        for (comparison, value) in [
            (Equal, Value::Real(7.5)),
            (Equal, Value::from("x")),
            (AtLeast, Value::Blob(vec![1])),
            (AtMost, Value::Null),
            (Greater, Value::Integer(greatest)),
            (Less, Value::Integer(least)),
        ] {
            assert!(rows(comparison, value).is_empty());
        }
        let both = rows(Greater, whole()).and(rows(AtMost, Value::Integer(9)));
        assert!(!both.has(7) && both.has(8) && both.has(9) && !both.has(10));
    }
}
