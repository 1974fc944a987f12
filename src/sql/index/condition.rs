//! A term of a query as SQL.
//!
//! SQLite compares. A term becomes SQL again, on `_rows`, whose columns have the types and collations of
//! the declaration; for a row that has changed since it was embedded, on its present values, bound with
//! the same affinity. Affinities, collations, encodings and an application's own functions are so what
//! they are everywhere else in the database.
//!
//! What SQLite does not tell a virtual table is how the operand was written. A number that comes from a
//! column is compared with a text in another way than a literal, and of `<>` the collation is not told.
//! There a row that passes in any reading is *possible*, and SQLite checks it again; it is *certain*
//! when it passes in every reading.

use super::affinity::{Affinity, apply};
use super::declare::Spec;
use super::plan::{Filter, Operator, Test};
use super::shadow::Shadow;
use crate::error::Result;
use crate::sql::ffi::{Statement, Value};
use crate::sql::lexer::quote_name;
use std::collections::HashSet;

/// `subject test values`.
pub struct Term {
    /// The column's number; the rowid: none.
    pub column: Option<usize>,
    affinity: Affinity,
    /// The collation by which a row is possible, and the one by which it is certain; empty for BINARY.
    collation: String,
    certain: String,
    pub test: Test,
    pub values: Vec<Value>,
    /// The members of an IN of rowids: a row is looked up here, whatever the number of members.
    pub rowids: Option<HashSet<i64>>,
}

/// What of a row is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Possible,
    Certain,
}

/// By which collation a row is possible, and by which it is certain to pass.
///
/// Of `<>` and IS NOT, which SQLite offers for a bare column only, BINARY is told whatever it is *(tried
/// on 3.38 to 3.54)*. Beside a literal it is the column's own. A parameter may have a COLLATE, so there a
/// row that differs by BINARY, by which the most do, is possible.
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
pub struct Sql {
    /// The text.
    pub text: String,
    values: Vec<Value>,
}

impl Sql {
    /// Appends a parameter.
    pub fn value(&mut self, value: &Value) {
        let parameter = self.parameter(value);
        self.text.push_str(&parameter);
    }

    /// A parameter for a value, to be put anywhere.
    fn parameter(&mut self, value: &Value) -> String {
        self.values.push(value.clone());
        format!("?{}", self.values.len())
    }

    pub fn and(&mut self) {
        if !self.text.is_empty() {
            self.text.push_str(" AND ");
        }
    }

    pub fn prepare(&self, shadow: Shadow<'_>) -> Result<Statement<'static>> {
        let text = shadow.names().expand(&self.text);
        let mut statement = shadow.host.prepare_kept(&text)?.0;
        self.bind(&mut statement)?;
        Ok(statement)
    }

    pub fn bind(&self, statement: &mut Statement<'static>) -> Result<()> {
        for (n, value) in self.values.iter().enumerate() {
            statement.bind(n + 1, value)?;
        }
        Ok(())
    }
}

impl Term {
    /// A filter on the rowid (no column) or a column; `values` is one operand, or all members of an IN.
    pub fn new(
        spec: &Spec,
        filter: &Filter,
        column: Option<usize>,
        affinity: Affinity,
        values: Vec<Value>,
    ) -> Self {
        let (collation, certain) = collations(spec, filter, column);
        let as_rowid = |value: &Value| apply(Affinity::Integer, value.clone());
        let (values, rowids) = match (column, filter.test) {
            (None, Test::In) => {
                let ids: Vec<Value> = values.iter().map(as_rowid).collect();
                let set = ids.iter().filter_map(Value::as_integer).collect();
                (ids, Some(set))
            }
            _ => (values, None),
        };
        Term {
            column,
            affinity,
            collation,
            certain,
            test: filter.test,
            values,
            rowids,
        }
    }

    /// The term as SQL on an expression that has the column's affinity.
    pub fn write(&self, left: &str, values: &[Value], asked: Asked, sql: &mut Sql) {
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
            Asked::Possible => " OR ",
            Asked::Certain => " AND ",
        };
        sql.text.push_str(&format!("({})", readings.join(joint)));
    }

    /// The term on a present value, which the declaration's affinity has been applied to.
    pub fn write_on_value(&self, present: &Value, asked: Asked, sql: &mut Sql) {
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
            Asked::Possible => &self.collation,
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
        let joint = if asked == Asked::Possible {
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
