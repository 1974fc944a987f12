//! The terms of one query that are applied before ranking: on rowids, on UNINDEXED columns and on the
//! distance.
//!
//! Each term is SQL again ([`super::condition`]): SQLite compares.

use super::affinity::{Affinity, apply};
use super::condition::{Asked, Sql, Term};
use super::declare::Spec;
use super::notes::Notes;
use super::plan::{Filter, Operator, Subject, Test};
use super::shadow::Shadow;
use crate::error::Result;
use crate::sql::ffi::{Row, Statement, Value};
use std::cell::RefCell;
use std::collections::HashMap;

/// Statements on present values that are kept; their texts differ by the types of the values.
const KEPT: usize = 32;

/// See the module.
#[derive(Default)]
pub struct Filters {
    terms: Vec<Term>,
    nulls: Vec<(usize, bool)>,
    distances: Vec<DistanceBound>,
    statements: RefCell<HashMap<String, Statement<'static>>>,
}

impl Filters {
    /// A filter on a rowid or a column; `values` is one operand, or all members of an IN.
    pub fn add(&mut self, spec: &Spec, filter: &Filter, values: Vec<Value>) {
        let (subject, test) = (filter.subject, filter.test);
        let (column, affinity) = match subject {
            Subject::Rowid => (None, Affinity::Integer),
            Subject::Column(n) => (Some(n), spec.columns[n].affinity),
            Subject::Distance | Subject::Score => {
                let bound = DistanceBound::new(subject == Subject::Score, test, values);
                return self.distances.extend(bound);
            }
        };
        self.terms
            .push(Term::new(spec, filter, column, affinity, values));
    }

    /// `column IS NULL`, or `IS NOT NULL`.
    pub fn add_null(&mut self, column: usize, is_null: bool) {
        self.nulls.push((column, is_null));
    }

    /// Whether rows are not filtered (distances may be).
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.nulls.is_empty()
    }

    /// Whether a term names rowids or a range of them, so that all rows that pass are found without
    /// looking at every row.
    pub fn has_rowids(&self) -> bool {
        self.terms.iter().any(|term| {
            let bounded = match term.test {
                Test::In => true,
                Test::Compare(operator) => operator == Operator::Eq || operator.is_one_sided(),
            };
            term.column.is_none() && bounded
        })
    }

    /// Whether there is a limit on the distance or score.
    pub fn has_distances(&self) -> bool {
        !self.distances.is_empty()
    }

    /// Whether a distance passes.
    pub fn takes_distance(&self, distance: f64, score: f64) -> bool {
        self.distances
            .iter()
            .all(|bound| bound.takes(distance, score))
    }

    /// Whether no row at this distance or farther can pass.
    pub fn ends_at(&self, distance: f64) -> bool {
        self.distances.iter().any(|bound| bound.ends_at(distance))
    }

    /// The rows that possibly pass, of the indexed ones as they were embedded; `None` for more than `most`.
    ///
    /// # Errors
    /// What SQLite says; an interruption.
    pub fn possible_rows(&self, shadow: Shadow<'_>, most: usize) -> Result<Option<Vec<i64>>> {
        let mut sql = self.on_rows(true);
        sql.text = format!("SELECT id FROM {{rows}} WHERE {} LIMIT ", sql.text);
        let limit = i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1);
        sql.value(&Value::Integer(limit));
        let mut read = sql.prepare(shadow)?;
        let mut ids = Vec::new();
        while read.step()? == Row::Ready {
            if ids.len() == most {
                return Ok(None);
            }
            ids.extend(read.integer(0));
        }
        Ok(Some(ids))
    }

    /// Calls `reject` with each row that certainly does not pass: it did not as it was embedded, and no change of it is
    /// noted since.
    ///
    /// # Errors
    /// What SQLite says; an interruption.
    pub fn each_rejected(
        &self,
        shadow: Shadow<'_>,
        notes: Notes<'_>,
        mut reject: impl FnMut(i64),
    ) -> Result<()> {
        let mut sql = self.on_rows(true);
        let unchanged = match notes.are_kept()? {
            true => " AND id NOT IN (SELECT id FROM {log} WHERE id IS NOT NULL)",
            false => "",
        };
        sql.text = format!(
            "SELECT id FROM {{rows}} WHERE ({}) IS NOT TRUE{unchanged}",
            sql.text
        );
        let mut read = sql.prepare(shadow)?;
        while read.step()? == Row::Ready {
            read.integer(0).into_iter().for_each(&mut reject);
        }
        Ok(())
    }

    /// Whether an indexed row passes as it was embedded: possibly.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn takes_row(&self, shadow: Shadow<'_>, id: i64) -> Result<bool> {
        if !self.has_rowid(id) {
            return Ok(false);
        }
        let mut sql = self.on_rows(false);
        sql.text = format!("SELECT 1 FROM {{rows}} WHERE {} AND id = ", sql.text);
        sql.value(&Value::Integer(id));
        self.finds_one(shadow, sql)
    }

    /// Whether a row passes with its present values, one for each column of the index.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn takes_values(&self, shadow: Shadow<'_>, id: i64, values: &[Value]) -> Result<bool> {
        self.values_pass(shadow, id, values, Asked::Possible)
    }

    /// Whether it is certain that SQLite keeps a row with these present values.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn are_certain_values(
        &self,
        shadow: Shadow<'_>,
        id: i64,
        values: &[Value],
    ) -> Result<bool> {
        self.values_pass(shadow, id, values, Asked::Certain)
    }

    fn values_pass(
        &self,
        shadow: Shadow<'_>,
        id: i64,
        values: &[Value],
        asked: Asked,
    ) -> Result<bool> {
        if !self.has_rowid(id) {
            return Ok(false);
        }
        let mut sql = Sql::default();
        for term in self.terms.iter().filter(|term| term.rowids.is_none()) {
            let present = match term.column {
                Some(n) => &values[n],
                None => &Value::Integer(id),
            };
            sql.and();
            term.write_on_value(present, asked, &mut sql);
        }
        for &(column, is_null) in &self.nulls {
            sql.and();
            sql.text.push_str(if values[column].is_null() == is_null {
                "1"
            } else {
                "0"
            });
        }
        if sql.text.is_empty() {
            return Ok(true);
        }
        sql.text = format!("SELECT 1 WHERE {}", sql.text);
        self.finds_one(shadow, sql)
    }

    /// All terms as one condition on `_rows`, which rows meet that possibly pass.
    /// Lists of rowids are left out where [`Self::has_rowid`] has looked at them.
    fn on_rows(&self, with_rowids: bool) -> Sql {
        let mut sql = Sql::default();
        for term in &self.terms {
            if term.rowids.is_some() && !with_rowids {
                continue;
            }
            sql.and();
            let left = match term.column {
                Some(n) => format!("c{n}"),
                None => "id".to_owned(),
            };
            term.write(&left, &term.values, Asked::Possible, &mut sql);
        }
        for &(column, is_null) in &self.nulls {
            sql.and();
            let not = if is_null { "" } else { "NOT " };
            sql.text.push_str(&format!("c{column} IS {not}NULL"));
        }
        if sql.text.is_empty() {
            sql.text.push('1');
        }
        sql
    }

    /// Whether a rowid is in all lists of rowids.
    fn has_rowid(&self, id: i64) -> bool {
        let lists = self.terms.iter().filter_map(|term| term.rowids.as_ref());
        lists.into_iter().all(|list| list.contains(&id))
    }

    /// Runs a statement that is kept, by its text, for the rows that follow.
    fn finds_one(&self, shadow: Shadow<'_>, sql: Sql) -> Result<bool> {
        let kept = self.statements.borrow_mut().remove(&sql.text);
        let mut statement = match kept {
            Some(mut statement) => {
                sql.bind(&mut statement)?;
                statement
            }
            None => sql.prepare(shadow)?,
        };
        let found = statement.step();
        statement.reset();
        let mut statements = self.statements.borrow_mut();
        if statements.len() >= KEPT {
            statements.clear();
        }
        statements.insert(sql.text, statement);
        Ok(found? == Row::Ready)
    }
}

/// `distance operator operand`, or of the score.
struct DistanceBound {
    of_score: bool,
    operator: Operator,
    /// NULL, or a number; infinite in the place of a text or BLOB, which every number is below.
    operand: Option<f64>,
}

impl DistanceBound {
    fn new(of_score: bool, test: Test, mut values: Vec<Value>) -> Option<Self> {
        let Test::Compare(operator) = test else {
            return None;
        };
        let operand = match apply(Affinity::Real, values.pop()?) {
            Value::Null => None,
            Value::Real(x) => Some(x),
            Value::Integer(n) => Some(n as f64),
            Value::Text(_) | Value::Blob(_) => Some(f64::INFINITY),
        };
        Some(DistanceBound {
            of_score,
            operator,
            operand,
        })
    }

    fn takes(&self, distance: f64, score: f64) -> bool {
        let value = if self.of_score { score } else { distance };
        self.operand.is_some_and(|operand| match self.operator {
            Operator::Lt => value < operand,
            Operator::Le => value <= operand,
            Operator::Gt => value > operand,
            Operator::Ge => value >= operand,
            _ => true,
        })
    }

    fn ends_at(&self, distance: f64) -> bool {
        // 1 - score may be rounded.
        const ROUNDING: f64 = 1e-9;
        let Some(operand) = self.operand else {
            return true;
        };
        match (self.of_score, self.operator) {
            (false, Operator::Lt | Operator::Le) => distance > operand,
            (true, Operator::Gt | Operator::Ge) => distance > 1.0 - operand + ROUNDING,
            _ => false,
        }
    }
}
