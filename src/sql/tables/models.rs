//! `bge_models`: what can be used, and what is in use. Loads nothing.

use crate::engine::{ListedModel, models};
use crate::error::Result;
use crate::sql::ffi::{Access, Call, Cursor, Host, TableFunction, Value};

/// See the module.
pub struct Models;

/// The models, and the one at hand.
pub struct ModelRows {
    rest: std::vec::IntoIter<ListedModel>,
    row: Option<ListedModel>,
}

impl TableFunction for Models {
    const NAME: &'static str = "bge_models";
    const COLUMNS: &'static [&'static str] = &[
        "name TEXT",
        "source TEXT",
        "loaded INTEGER",
        "dims INTEGER",
        "max_length INTEGER",
        "pooling TEXT",
        "device TEXT",
        "precision TEXT",
        "revision TEXT",
        "bytes INTEGER",
        // Hidden, so that SELECT * gives what it gave before there were two kinds.
        "kind TEXT HIDDEN",
    ];
    const ARGUMENTS: &'static [&'static str] = &[];
    const REQUIRED: usize = 0;
    const DIRECT_ONLY: bool = false;
    const NEEDS: Access = Access::ReadOnly;
    type Shared = ();
    type Cursor = ModelRows;

    fn call(_: &Call<'_>, (): &mut ()) -> Result<ModelRows> {
        Ok(ModelRows {
            rest: models().into_iter(),
            row: None,
        })
    }
}

impl Cursor for ModelRows {
    fn advance(&mut self, _: &Host<'_>) -> Result<bool> {
        self.row = self.rest.next();
        Ok(self.row.is_some())
    }

    fn column(&self, n: usize) -> Result<Value> {
        let Some(row) = &self.row else {
            return Ok(Value::Null);
        };
        let text = |text: Option<String>| Value::from(text);
        let number = |n: Option<u64>| Value::from(n.map(|n| n as i64));
        Ok(match n {
            0 => row.name.as_str().into(),
            1 => row.source.display().to_string().into(),
            2 => Value::Integer(i64::from(row.loaded)),
            3 => number(row.dims.map(|n| n as u64)),
            4 => number(row.max_length.map(|n| n as u64)),
            5 => text(row.pooling.map(|p| p.name().to_owned())),
            6 => text(row.device.clone()),
            7 => text(row.precision.map(str::to_owned)),
            8 => text(row.revision.clone()),
            9 => number(row.bytes),
            _ => text(row.kind.map(|kind| kind.name().to_owned())),
        })
    }
}
