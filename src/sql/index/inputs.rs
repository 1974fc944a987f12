//! The values of a plan: what is searched for, how many rows are wanted, and the filters.

use super::affinity::{Affinity, apply};
use super::filter::Filters;
use super::parts::Parts;
use super::plan::{Filter, Input, Operator, Recipe, Refusal, Subject, Test};
use super::ranking::run::{self, Chosen};
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::{Value, ValueRef};

/// The values of a plan, sorted.
pub struct Inputs {
    /// What is searched for.
    pub query: Value,
    /// How many rows are wanted.
    pub k: Option<usize>,
    /// How they are ranked; none: by distance.
    pub ranking: Option<Chosen>,
    /// What is applied before ranking.
    pub filters: Filters,
    /// The bounds of the rowid, where nothing is searched for.
    pub rowids: Vec<(Operator, Value)>,
}

/// Sorts the values of a plan.
///
/// # Errors
/// Two things to search for, two limits, a limit that is none, a filter that cannot be applied before it.
pub fn read(parts: Parts<'_>, recipe: &Recipe, values: &[ValueRef<'_>]) -> Result<Inputs> {
    let mut inputs = Inputs {
        query: Value::Null,
        k: None,
        ranking: ranking(parts, recipe, values)?,
        filters: Filters::default(),
        rowids: Vec::new(),
    };
    let is_cut = recipe.inputs.contains(&Input::K) || inputs.ranking.is_some();
    let mut searched = None;
    for (input, &value) in recipe.inputs.iter().zip(values) {
        match input {
            Input::Query => {
                let query = value.to_value()?;
                if searched.replace(query.clone()).is_some_and(|q| q != query) {
                    return Err(Error::invalid(
                        "there are two things to search for, expected one MATCH",
                    ));
                }
                inputs.query = query;
            }
            Input::K => {
                let k = k_of(value.to_value()?)?;
                if inputs.k.replace(k).is_some_and(|other| other != k) {
                    return Err(Error::invalid("k is given twice"));
                }
            }
            Input::Uncut if value.is_from_bind() => return Err(Error::invalid(uncut())),
            Input::Uncut | Input::Ranking => {}
            Input::Filter(filter) => {
                // What another table says is no part of what `k` counts, nor of what a ranking sees:
                // SQLite applies it to the rows that come of them, in every order of a join.
                if !is_cut || filter.is_constant || value.is_from_bind() {
                    inputs.add(parts, filter, value)?;
                }
            }
        }
    }
    for &(column, is_null) in &recipe.nulls {
        inputs.filters.add_null(column, is_null);
    }
    Ok(inputs)
}

/// How a search is ranked.
fn ranking(parts: Parts<'_>, recipe: &Recipe, values: &[ValueRef<'_>]) -> Result<Option<Chosen>> {
    if !recipe.inputs.contains(&Input::Query) {
        return Ok(None);
    }
    let (mut said, mut is_text) = (Value::Null, true);
    let mut rankings = 0;
    for (input, value) in recipe.inputs.iter().zip(values) {
        match input {
            Input::Query => is_text = !matches!(value.to_value()?, Value::Blob(_)),
            Input::Ranking => {
                let given = value.to_value()?;
                if rankings > 0 && given != said {
                    return Err(Error::invalid("rank is given twice, expected one ranking"));
                }
                (said, rankings) = (given, rankings + 1);
            }
            _ => {}
        }
    }
    let settings = parts.shadow.settings()?;
    run::chosen(parts.shadow.spec(), &said, &settings, is_text)
}

impl Inputs {
    fn add(&mut self, parts: Parts<'_>, filter: &Filter, value: ValueRef<'_>) -> Result<()> {
        let operands = match filter.test {
            Test::In => value.members()?,
            Test::Compare(_) => vec![value.to_value()?],
        };
        if let (Subject::Rowid, Test::Compare(operator), [operand]) =
            (filter.subject, filter.test, &operands[..])
        {
            let operand = apply(Affinity::Integer, operand.clone());
            self.rowids.push((operator, operand));
        }
        let spec = parts.shadow.spec();
        self.filters.add(spec, filter, operands);
        Ok(())
    }
}

fn uncut() -> String {
    "k is given beside a filter that cannot be applied before the k rows are chosen (on a text column \
     that is embedded, or on a hidden column); write ORDER BY distance LIMIT instead of k, or filter \
     on an UNINDEXED column"
        .to_owned()
}

/// Counting the row would give too few rows, or too many.
pub fn uncountable(id: i64) -> Error {
    Error::invalid(format!(
        "k cannot be counted: whether row {id} passes is known to SQLite alone (a text compared with \
         a number, or <> and not by BINARY); write ORDER BY distance LIMIT instead of k"
    ))
}

/// The error of a query that cannot be answered.
pub fn refused(refusal: Refusal, index: &str) -> Error {
    Error::invalid(match refusal {
        Refusal::BadK => {
            "k can only be given as k = a whole number, once; for another limit write LIMIT"
                .to_owned()
        }
        Refusal::KAlone => {
            format!("k is given, but nothing to search for: WHERE {index} MATCH '...'")
        }
        Refusal::KUncut => uncut(),
        Refusal::RankAlone => format!(
            "rank says how to rank, but nothing is searched for: WHERE {index} MATCH '...' AND rank MATCH '...'"
        ),
        Refusal::BadRank => {
            "a query has one ranking: rank MATCH '...', not several with rank IN".to_owned()
        }
        Refusal::MatchColumn => {
            format!("MATCH searches the whole index, not a column: WHERE {index} MATCH '...'")
        }
        Refusal::ThirdArgument => format!(
            "a call takes what to search for and k, as in {index}('...', 10), and nothing else; \
             distance is compared with < or >, with = only as +distance = ..."
        ),
    })
}

fn k_of(value: Value) -> Result<usize> {
    let given = apply(Affinity::Integer, value);
    let shown = match &given {
        Value::Integer(n @ 1..) => return Ok(usize::try_from(*n).unwrap_or(usize::MAX)),
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Null => "NULL".to_owned(),
        _ => "no number".to_owned(),
    };
    Err(Error::new(
        Kind::Invalid,
        format!("k is {shown}, expected a whole number of at least 1"),
    ))
}
