//! `bge_sync` and `bge_status`.

use crate::error::{Error, Result};
use crate::sql::arguments::{mismatch, position, required_text};
use crate::sql::ffi::{Access, Arguments, Context, Flags, Function, Value};
use crate::sql::index::{self, Parts};
use crate::sql::statement::PerStatement;
use std::time::Duration;

/// See the module.
pub const FUNCTIONS: &[Function] = &[
    Function {
        name: "bge_sync",
        arguments: 1,
        flags: Flags::DIRECTONLY,
        needs: Access::Full,
        body: sync,
    },
    Function {
        name: "bge_sync",
        arguments: 2,
        flags: Flags::DIRECTONLY,
        needs: Access::Full,
        body: sync,
    },
    Function {
        name: "bge_status",
        arguments: 1,
        flags: Flags::DIRECTONLY.and(Flags::JSON),
        needs: Access::ReadOnly,
        body: status,
    },
];

const WANTED: &str = "the name of an index, such as 'notes_bge'";

fn sync(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    let name = required_text(arguments, 0, WANTED)?;
    let limit = match arguments.count() {
        2 => seconds(arguments)?,
        _ => None,
    };
    with_index(context, name, |parts| {
        let db = &parts.shadow.host.db;
        let last = db.last_insert_rowid();
        let rows = index::sync(parts, limit);
        db.set_last_insert_rowid(last);
        Ok(Value::Integer(rows?))
    })
}

fn status(context: &Context<'_>, arguments: Arguments<'_>) -> Result<Value> {
    let name = required_text(arguments, 0, WANTED)?;
    with_index(context, name, |parts| {
        Ok(index::status(parts)?.to_string().into())
    })
}

fn with_index(
    context: &Context<'_>,
    name: &str,
    work: impl FnOnce(Parts<'_>) -> Result<Value>,
) -> Result<Value> {
    let of_statement = PerStatement::of(context);
    let host = of_statement.host(context);
    let index = index::find(&host, name)?;
    let work = || {
        let _using = index.answer()?;
        work(Parts::new(&host, &index))
    };
    work().map_err(|e| index::explained(&e))
}

/// The most seconds; NULL: as long as it takes.
fn seconds(arguments: Arguments<'_>) -> Result<Option<Duration>> {
    const WANTED: &str = "a number of seconds; NULL for no limit";
    let value = arguments.get(1);
    let seconds = match value.to_value()? {
        Value::Null => return Ok(None),
        Value::Integer(n) => n as f64,
        Value::Real(x) => x,
        _ => return Err(mismatch(1, value.kind(), WANTED)),
    };
    if seconds < 0.0 {
        let place = position(1);
        return Err(Error::invalid(format!(
            "{place} is {seconds}, expected {WANTED}, not below 0"
        )));
    }
    Ok(Some(
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX),
    ))
}
