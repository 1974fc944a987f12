//! The terms of one query that are applied before ranking: on rowids, on UNINDEXED columns and on the
//! distance.
//!
//! SQLite compares. A term becomes SQL again, on `_rows`, whose columns have the types and collations of
//! the declaration; for a row that has changed since it was embedded, on its present values, bound with
//! the same affinity. Affinities, collations, encodings and an application's own functions are so what
//! they are everywhere else in the database.
//!
//! What SQLite does not tell a virtual table is how the operand was written. A number that comes from a
//! column is compared with a text in another way than a literal, and of `<>` the collation is not told.
//! There a row that passes in any reading is a *candidate*, which SQLite checks again; it is *certain*
//! when it passes in every reading.

use super::affinity::{Affinity, apply};
use super::declare::Spec;
use super::plan::{Filter, Operator, Subject, Test};
use super::shadow::Shadow;
use crate::error::Result;
use crate::sql::ffi::{Row, Statement, Value};
use crate::sql::lexer::quote_name;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

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

/// `subject test values`.
struct Term {
    /// The column's number; the rowid: none.
    column: Option<usize>,
    affinity: Affinity,
    /// The collation by which a row is a candidate, and the one by which it is certain; empty for BINARY.
    collation: String,
    certain: String,
    test: Test,
    values: Vec<Value>,
    /// The members of an IN of rowids: a row is looked up here, whatever the number of members.
    rowids: Option<HashSet<i64>>,
}

/// What of a row is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Candidate,
    Certain,
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
        let (collation, certain) = collations(spec, filter, column);
        let as_rowid = |value: &Value| apply(Affinity::Integer, value.clone());
        let (values, rowids) = match (column, test) {
            (None, Test::In) => {
                let ids: Vec<Value> = values.iter().map(as_rowid).collect();
                let set = ids.iter().filter_map(Value::as_integer).collect();
                (ids, Some(set))
            }
            _ => (values, None),
        };
        self.terms.push(Term {
            rowids,
            column,
            affinity,
            collation,
            certain,
            test,
            values,
        });
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

    /// The candidates among the indexed rows, as they were embedded; `None` for more than `most`.
    ///
    /// # Errors
    /// What SQLite says; an interruption.
    pub fn candidates(&self, shadow: Shadow<'_>, most: usize) -> Result<Option<Vec<i64>>> {
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

    /// Whether an indexed row passes as it was embedded: as a candidate.
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
        self.values_pass(shadow, id, values, Asked::Candidate)
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

    /// All terms as one condition on `_rows`, which candidates meet.
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
            term.write(&left, &term.values, Asked::Candidate, &mut sql);
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

/// By which collation a row is a candidate, and by which it is certain to pass.
///
/// Of `<>` and IS NOT, which SQLite offers for a bare column only, BINARY is told whatever it is *(tried
/// on 3.38 to 3.54)*. Beside a literal it is the column's own. A parameter may have a COLLATE, so there a
/// row that differs by BINARY, by which the most do, is a candidate.
fn collations(spec: &Spec, filter: &Filter, column: Option<usize>) -> (String, String) {
    let told = filter.collation.clone();
    let is_told = !matches!(filter.test, Test::Compare(Operator::Ne | Operator::IsNot));
    let declared = column.and_then(|n| spec.columns[n].collation.clone());
    let declared = declared.unwrap_or_default();
    match (is_told, filter.is_constant) {
        (true, _) => (told.clone(), told),
        (false, true) => (declared.clone(), declared),
        (false, false) => (told, declared),
    }
}

/// SQL in the making, with the values of its parameters.
#[derive(Default)]
struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// Appends a parameter.
    fn value(&mut self, value: &Value) {
        let parameter = self.parameter(value);
        self.text.push_str(&parameter);
    }

    /// A parameter for a value, to be put anywhere.
    fn parameter(&mut self, value: &Value) -> String {
        self.values.push(value.clone());
        format!("?{}", self.values.len())
    }

    fn and(&mut self) {
        if !self.text.is_empty() {
            self.text.push_str(" AND ");
        }
    }

    fn prepare(&self, shadow: Shadow<'_>) -> Result<Statement<'static>> {
        let text = shadow.names().expand(&self.text);
        let mut statement = shadow.host.prepare_kept(&text)?.0;
        self.bind(&mut statement)?;
        Ok(statement)
    }

    fn bind(&self, statement: &mut Statement<'static>) -> Result<()> {
        for (n, value) in self.values.iter().enumerate() {
            statement.bind(n + 1, value)?;
        }
        Ok(())
    }
}

impl Term {
    /// The term as SQL on an expression that has the column's affinity.
    fn write(&self, left: &str, values: &[Value], asked: Asked, sql: &mut Sql) {
        let readings = match self.test {
            Test::Compare(operator) => match values {
                [value] => self.readings(left, operator, value, asked, sql),
                _ => vec![format!("0 AND {left} IS NULL")],
            },
            Test::In => {
                let condition = self.one_of(left, values, asked, sql);
                sql.text.push_str(&condition);
                return;
            }
        };
        let joint = match asked {
            Asked::Candidate => " OR ",
            Asked::Certain => " AND ",
        };
        sql.text.push_str(&format!("({})", readings.join(joint)));
    }

    /// The term on a present value, which the declaration's affinity has been applied to.
    fn write_on_value(&self, present: &Value, asked: Asked, sql: &mut Sql) {
        let parameter = sql.parameter(present);
        let is_text = present.as_text().is_some();
        let left = match (self.affinity, present) {
            // A BLOB is what it is, and CAST would make a text of it.
            (Affinity::Blob, _) | (_, Value::Blob(_)) => parameter,
            (Affinity::Text, _) => format!("CAST({parameter} AS TEXT)"),
            // A text that is no number: CAST would make 0 of it.
            (Affinity::Numeric | Affinity::Integer | Affinity::Real, _) if is_text => {
                let operands = self.values.iter().cloned();
                let operands: Vec<Value> = operands
                    .map(|value| apply(Affinity::Numeric, value))
                    .collect();
                return self.write(&parameter, &operands, asked, sql);
            }
            (Affinity::Numeric | Affinity::Integer | Affinity::Real, _) => {
                format!("CAST({parameter} AS NUMERIC)")
            }
        };
        self.write(&left, &self.values, asked, sql);
    }

    /// What `left operator value` may mean.
    fn readings(
        &self,
        left: &str,
        operator: Operator,
        value: &Value,
        asked: Asked,
        sql: &mut Sql,
    ) -> Vec<String> {
        use Operator::{Glob, Like, Regexp};
        let parameter = sql.parameter(value);
        let symbol = operator.sql();
        if matches!(operator, Like | Glob | Regexp) {
            return vec![format!("{left} {symbol} {parameter}")];
        }
        let collate = self.collate(asked);
        let mut readings = vec![format!("{left}{collate} {symbol} {parameter}")];
        if self.may_be_converted(value) {
            readings.push(format!("+{left}{collate} {symbol} {parameter}"));
            readings.push(format!(
                "{left}{collate} {symbol} CAST({parameter} AS NUMERIC)"
            ));
        }
        readings
    }

    /// ` COLLATE "name"`, of an empty name BINARY: without it, a column's own would count.
    fn collate(&self, asked: Asked) -> String {
        let name = match asked {
            Asked::Candidate => &self.collation,
            Asked::Certain => &self.certain,
        };
        match (self.column, name.as_str()) {
            (None, _) => String::new(),
            (Some(_), "") => " COLLATE BINARY".to_owned(),
            (Some(_), name) => format!(" COLLATE {}", quote_name(name)),
        }
    }

    /// A number against a column that may hold texts: what is converted depends on whether the number
    /// was written or comes from a column.
    fn may_be_converted(&self, value: &Value) -> bool {
        matches!(value, Value::Integer(_) | Value::Real(_))
            && matches!(self.affinity, Affinity::Text | Affinity::Blob)
    }

    /// `left IN (values)`. SQLite has converted the members already, as the comparison wants them; of
    /// numbers against a column that may hold texts, each reading is a list of its own.
    fn one_of(&self, left: &str, values: &[Value], asked: Asked, sql: &mut Sql) -> String {
        let collated = format!("{left}{}", self.collate(asked));
        let is_ambiguous = |value: &&Value| self.may_be_converted(value);
        let (numbers, others): (Vec<&Value>, Vec<&Value>) = values.iter().partition(is_ambiguous);
        let plain = Members::new(&others, sql);
        let numbers = Members::new(&numbers, sql);
        let mut readings = Vec::new();
        if !numbers.is_empty() {
            readings.push(numbers.found(&collated, false));
            readings.push(numbers.found(&format!("+{collated}"), false));
            readings.push(numbers.found(&collated, true));
        }
        let joint = if asked == Asked::Candidate {
            " OR "
        } else {
            " AND "
        };
        let mut either = Vec::new();
        either.extend((!readings.is_empty()).then(|| format!("({})", readings.join(joint))));
        either.extend((!plain.is_empty()).then(|| plain.found(&collated, false)));
        match either.is_empty() {
            // A parameter that stands in `left` is bound, and so must stand in the text.
            true => format!("(0 AND {left} IS NULL)"),
            false => format!("({})", either.join(" OR ")),
        }
    }
}

/// The members of an IN as parameters: what JSON can hold in one of its own, the others one by one. (As
/// terms of an OR, a thousand would be too deep for SQLite.)
struct Members {
    json: Option<String>,
    others: Vec<String>,
}

impl Members {
    fn new(values: &[&Value], sql: &mut Sql) -> Self {
        let (mut json, mut others) = (Vec::new(), Vec::new());
        for value in values {
            match value {
                Value::Null => {}
                Value::Integer(n) => json.push(serde_json::Value::from(*n)),
                value => match value.as_str().filter(|text| !text.contains('\0')) {
                    Some(text) => json.push(serde_json::Value::from(text)),
                    None => others.push(sql.parameter(value)),
                },
            }
        }
        let list = serde_json::Value::Array(json);
        let is_empty = list.as_array().is_none_or(Vec::is_empty);
        Members {
            json: (!is_empty).then(|| sql.parameter(&Value::from(list.to_string()))),
            others,
        }
    }

    fn is_empty(&self) -> bool {
        self.json.is_none() && self.others.is_empty()
    }

    /// `left IN (...)`; the members as numbers of a column would be compared, or as they are.
    fn found(&self, left: &str, as_numeric: bool) -> String {
        let shown = |name: &str| match as_numeric {
            true => format!("CAST({name} AS NUMERIC)"),
            false => name.to_owned(),
        };
        let mut lists = Vec::new();
        if let Some(json) = &self.json {
            let value = shown("value");
            lists.push(format!("{left} IN (SELECT {value} FROM json_each({json}))"));
        }
        if !self.others.is_empty() && as_numeric {
            let rows: Vec<String> = self.others.iter().map(|p| format!("({p})")).collect();
            let value = shown("column1");
            let rows = rows.join(", ");
            lists.push(format!("{left} IN (SELECT {value} FROM (VALUES {rows}))"));
        } else if !self.others.is_empty() {
            lists.push(format!("{left} IN ({})", self.others.join(", ")));
        }
        format!("({})", lists.join(" OR "))
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
