//! The terms of a query that are applied before ranking: on rowids, on UNINDEXED columns and on the
//! distance. SQLite checks each of them again.

use super::compare::{Affinity, Collation, Comparison, Operator};
use super::declare::Spec;
use crate::sql::ffi::Value;
use std::collections::HashSet;

/// See the module.
#[derive(Default)]
pub struct Filters {
    rowids: Vec<RowidTest>,
    columns: Vec<ColumnTest>,
    distances: Vec<Limit>,
}

enum RowidTest {
    Compare(Comparison),
    OneOf(HashSet<i64>),
}

struct ColumnTest {
    /// Its number among all columns, and among the UNINDEXED ones.
    column: usize,
    other: usize,
    test: Test,
}

enum Test {
    /// One of them must hold.
    Any(Vec<Comparison>),
    Null(bool),
}

struct Limit {
    of_score: bool,
    operator: Operator,
    operand: Value,
    test: Comparison,
}

impl Filters {
    /// `rowid operator value`.
    pub fn add_rowid(&mut self, operator: Operator, value: Value) {
        let test = Comparison::new(Affinity::Integer, operator, value, Collation::Binary);
        self.rowids.push(RowidTest::Compare(test));
    }

    /// `rowid IN (values)`.
    pub fn add_rowids(&mut self, values: Vec<Value>) {
        let ids = values.into_iter().filter_map(as_rowid).collect();
        self.rowids.push(RowidTest::OneOf(ids));
    }

    /// `column operator value`, or `column IN (values)` with `=`. No value: no row passes.
    pub fn add_column(
        &mut self,
        spec: &Spec,
        column: usize,
        operator: Operator,
        values: Vec<Value>,
        collation: Collation,
    ) {
        let affinity = spec.columns[column].affinity;
        let others = spec.columns[..column].iter().filter(|c| !c.indexed);
        let test = |value| Comparison::new(affinity, operator, value, collation);
        self.columns.push(ColumnTest {
            column,
            other: others.count(),
            test: Test::Any(values.into_iter().map(test).collect()),
        });
    }

    /// `column IS NULL`, or `IS NOT NULL`.
    pub fn add_null(&mut self, spec: &Spec, column: usize, is_null: bool) {
        let others = spec.columns[..column].iter().filter(|c| !c.indexed);
        self.columns.push(ColumnTest {
            column,
            other: others.count(),
            test: Test::Null(is_null),
        });
    }

    /// `distance operator value`, or of the score.
    pub fn add_distance(&mut self, of_score: bool, operator: Operator, operand: Value) {
        let test = Comparison::new(Affinity::Real, operator, operand.clone(), Collation::Binary);
        self.distances.push(Limit {
            of_score,
            operator,
            operand,
            test,
        });
    }

    /// Whether rows are not filtered (distances may be).
    pub fn is_empty(&self) -> bool {
        self.rowids.is_empty() && self.columns.is_empty()
    }

    /// Whether an UNINDEXED column is compared.
    pub fn has_columns(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Whether there is a limit on the distance or score.
    pub fn has_distances(&self) -> bool {
        !self.distances.is_empty()
    }

    /// Whether a rowid passes.
    pub fn takes_rowid(&self, id: i64) -> bool {
        self.rowids.iter().all(|test| match test {
            RowidTest::Compare(test) => test.keeps(&Value::Integer(id)).unwrap_or(true),
            RowidTest::OneOf(ids) => ids.contains(&id),
        })
    }

    /// Whether the values of the UNINDEXED columns pass.
    pub fn takes_others(&self, others: &[Value]) -> bool {
        let passes = |c: &ColumnTest| others.get(c.other).is_some_and(|value| c.takes(value));
        self.columns.iter().all(passes)
    }

    /// Whether a row passes, all columns given.
    pub fn takes_values(&self, id: i64, values: &[Value]) -> bool {
        self.takes_rowid(id) && self.columns.iter().all(|c| c.takes(&values[c.column]))
    }

    /// Whether it is certain that SQLite keeps a row that passes, all columns given.
    pub fn are_certain(&self, values: &[Value]) -> bool {
        self.columns.iter().all(|c| c.is_certain(&values[c.column]))
    }

    /// Whether a distance passes.
    pub fn takes_distance(&self, distance: f64, score: f64) -> bool {
        self.distances.iter().all(|limit| {
            let value = if limit.of_score { score } else { distance };
            limit.test.keeps(&Value::Real(value)).unwrap_or(true)
        })
    }

    /// Whether no row at this distance or farther can pass.
    pub fn ends_at(&self, distance: f64) -> bool {
        // 1 - score may be rounded.
        const ROUNDING: f64 = 1e-9;
        self.distances.iter().any(|limit| {
            let operand = match limit.operand {
                Value::Real(x) => x,
                Value::Integer(n) => n as f64,
                _ => return false,
            };
            match (limit.of_score, limit.operator) {
                (false, Operator::Lt | Operator::Le | Operator::Eq) => distance > operand,
                (true, Operator::Gt | Operator::Ge | Operator::Eq) => {
                    distance > 1.0 - operand + ROUNDING
                }
                _ => false,
            }
        })
    }

    /// The rowids that alone can pass, where the terms name them.
    pub fn rowids(&self) -> Option<Vec<i64>> {
        let named = self.rowids.iter().filter_map(|test| match test {
            RowidTest::OneOf(ids) => Some(ids.iter().copied().collect::<Vec<_>>()),
            RowidTest::Compare(test) => test
                .equals()
                .cloned()
                .map(|v| as_rowid(v).into_iter().collect()),
        });
        let fewest = named.min_by_key(Vec::len)?;
        Some(
            fewest
                .into_iter()
                .filter(|&id| self.takes_rowid(id))
                .collect(),
        )
    }
}

impl ColumnTest {
    fn takes(&self, value: &Value) -> bool {
        match &self.test {
            // What only SQLite can decide is left to it.
            Test::Any(any) => any.iter().any(|test| test.keeps(value).unwrap_or(true)),
            Test::Null(is_null) => (*value == Value::Null) == *is_null,
        }
    }

    fn is_certain(&self, value: &Value) -> bool {
        match &self.test {
            Test::Any(any) => any.iter().any(|test| test.keeps(value) == Some(true)),
            Test::Null(_) => true,
        }
    }
}

/// The rowid that a value is equal to.
fn as_rowid(value: Value) -> Option<i64> {
    match super::compare::apply(Affinity::Integer, value) {
        Value::Integer(n) => Some(n),
        Value::Real(x) if x == (x as i64) as f64 && x.abs() < 9e18 => Some(x as i64),
        _ => None,
    }
}
