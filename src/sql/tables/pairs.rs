//! `bge_pairs(index, min_score)`: pairs of rows of an index that are near each other.

use crate::error::{Error, Result};
use crate::sql::arguments::{mismatch, position, required};
use crate::sql::ffi::{Access, Call, Cursor, Host, TableFunction, Type, Value, ValueRef};
use crate::sql::index::{self, Between};

/// See the module.
pub struct Pairs;

/// The pairs to come, and the one at hand.
pub struct PairRows {
    pairs: index::Pairs,
    row: Option<index::Pair>,
}

const INDEX: &str = "the name of an index, such as 'notes_bge'";
const SCORE: &str = "a cosine from -1 to 1, such as 0.95";

impl TableFunction for Pairs {
    const NAME: &'static str = "bge_pairs";
    const COLUMNS: &'static [&'static str] = &["a INTEGER", "b INTEGER", "score REAL"];
    const ARGUMENTS: &'static [&'static str] = &["index_name", "min_score"];
    const REQUIRED: usize = 2;
    // As whatever takes an index by its name: a view that is an index's content would never end.
    const DIRECT_ONLY: bool = true;
    const NEEDS: Access = Access::ReadOnly;
    const BOUNDED: usize = 2;
    const ORDERED: usize = 2;
    type Shared = ();
    type Cursor = PairRows;

    fn call(call: &Call<'_>, (): &mut ()) -> Result<PairRows> {
        let name = required(call.argument(0), 0, INDEX)?;
        let least = least_score(call.argument(1))?;
        let index = index::find(&call.host, name)?;
        let mut sides = [Between::ALL; 2];
        for bound in call.bounds() {
            let side = &mut sides[bound.column];
            let value = bound.value.to_value()?;
            *side = side.and(Between::compared(bound.comparison, value));
        }
        let [a, b] = sides;
        Ok(PairRows {
            pairs: index::Pairs::start(&call.host, index, least, a, b)?,
            row: None,
        })
    }
}

fn least_score(value: Option<ValueRef<'_>>) -> Result<f64> {
    let kind = value.map_or(Type::Null, ValueRef::kind);
    let score = match value.map(ValueRef::to_value).transpose()? {
        Some(Value::Integer(n)) => n as f64,
        Some(Value::Real(x)) => x,
        _ => return Err(mismatch(1, kind, SCORE)),
    };
    if !(-1.0..=1.0).contains(&score) {
        let place = position(1);
        return Err(Error::invalid(format!(
            "{place} is {score}, expected {SCORE}"
        )));
    }
    Ok(score)
}

impl Cursor for PairRows {
    fn advance(&mut self, host: &Host<'_>) -> Result<bool> {
        self.row = self.pairs.next(host)?;
        Ok(self.row.is_some())
    }

    fn column(&self, n: usize) -> Result<Value> {
        let Some(pair) = &self.row else {
            return Ok(Value::Null);
        };
        Ok(match n {
            0 => Value::Integer(pair.a),
            1 => Value::Integer(pair.b),
            _ => Value::Real(pair.score),
        })
    }
}
