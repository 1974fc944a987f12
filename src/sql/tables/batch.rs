//! `bge_batch(select_sql [, model [, p1 ... p8]])`: the rows of a SELECT with the vectors of their
//! texts, in full batches.
//!
//! The SELECT runs on the caller's own connection, so it sees what the statement sees. While a
//! statement that writes is running, it is read to its end first, into a sorter of SQLite's:
//! `INSERT INTO t SELECT ... FROM bge_batch('SELECT ... FROM t')` would read its own rows for ever.

use crate::engine::{Bulk, EmbedPassages, Finished, Row, SharedVector};
use crate::error::{Error, Kind, Result};
use crate::memory::copy_text;
use crate::sql::arguments::required;
use crate::sql::ffi::{self, Access, Call, Cursor, Host, Statement, TableFunction, Value};
use crate::sql::lexer::skip_blanks;
use crate::sql::statement::Models;
use crate::vector::blob;

/// See the module.
pub struct Batch;

/// The SELECT under way, and the row at hand.
pub struct BatchRows {
    select: Statement<'static>,
    bulk: Bulk<Value, EmbedPassages>,
    row: Option<Finished<Value, SharedVector>>,
}

/// Arguments before the parameters of the SELECT.
const OWN: usize = 2;

impl TableFunction for Batch {
    const NAME: &'static str = "bge_batch";
    const COLUMNS: &'static [&'static str] = &["key", "embedding BLOB", "text TEXT"];
    const ARGUMENTS: &'static [&'static str] = &[
        "select_sql",
        "model",
        "p1",
        "p2",
        "p3",
        "p4",
        "p5",
        "p6",
        "p7",
        "p8",
    ];
    const REQUIRED: usize = 1;
    const DIRECT_ONLY: bool = true;
    const NEEDS: Access = Access::Full;
    type Shared = Models;
    type Cursor = BatchRows;

    fn call(call: &Call<'_>, models: &mut Models) -> Result<BatchRows> {
        let sql = required(call.argument(0), 0, "a SELECT of two columns, key and text")?;
        let mut select = prepare(call, sql)?;
        bind(call, &mut select)?;
        Ok(BatchRows {
            select,
            bulk: Bulk::new(EmbedPassages(models.of_call(call, 1)?), row_name),
            row: None,
        })
    }
}

const WANTED: &str = "expected one SELECT of two columns, (key, text)";

fn prepare(call: &Call<'_>, sql: &str) -> Result<Statement<'static>> {
    if acts_when_prepared(sql) {
        return Err(Error::invalid(format!("the SQL is no SELECT, {WANTED}")));
    }
    // Checked as it was written, so that SQLite's messages are about the user's own text.
    let (select, sql) = call.host.prepare_kept(sql)?;
    if !select.is_read_only() {
        return Err(Error::invalid(format!("the SQL writes, {WANTED}")));
    }
    if select.columns() != 2 {
        return Err(Error::invalid(format!(
            "the SQL gives {}, {WANTED}",
            many(select.columns(), "column")
        )));
    }
    if !call.host.db.is_writing() {
        return Ok(select);
    }
    prepare_sorted(call, sql)
}

/// Whether the text begins with a word that no query begins with. Asked before SQLite sees it: some
/// PRAGMAs act when they are prepared, also behind EXPLAIN.
fn acts_when_prepared(sql: &str) -> bool {
    let rest = skip_blanks(sql);
    let end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    ["pragma", "explain"]
        .iter()
        .any(|word| rest[..end].eq_ignore_ascii_case(word))
}

/// The same query, read to its end before it gives its first row, in the same order. (`MATERIALIZED`
/// alone does that from SQLite 3.40 on, and not on 3.38: a sorter does it everywhere.)
fn prepare_sorted(call: &Call<'_>, sql: &str) -> Result<Statement<'static>> {
    let bare = sql.trim_end().trim_end_matches(';');
    let mut name = "bge_q".to_owned();
    while bare.to_ascii_lowercase().contains(&name) {
        name.push('_');
    }
    // On lines of its own: it may end with a comment, even one that is not closed.
    let wrapped = |close: &str| {
        format!(
            "WITH {name}(k, t) AS MATERIALIZED (\n{bare}\n{close}) SELECT k, t \
             FROM (SELECT k, t, row_number() OVER () AS n FROM {name}) ORDER BY n"
        )
    };
    let prepare = |close| Ok(call.host.prepare_kept(&wrapped(close))?.0);
    prepare("").or_else(|e| prepare("*/").map_err(|_: Error| e))
}

/// "1 column", "2 columns".
fn many(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// p1 is ?1 and so on: all that the SELECT has, and none more.
fn bind(call: &Call<'_>, select: &mut Statement<'_>) -> Result<()> {
    let most = Batch::ARGUMENTS.len() - OWN;
    let given: Vec<usize> = (1..=most)
        .filter(|&n| call.argument(OWN + n - 1).is_some())
        .collect();
    let wanted: Vec<usize> = (1..=select.parameters()).collect();
    if given != wanted {
        return Err(Error::invalid(format!(
            "the SELECT has {}, and {} given for them (p1 is ?1, at most {most})",
            many(wanted.len(), "parameter"),
            many(given.len(), "value")
        )));
    }
    for n in given {
        if let Some(value) = call.argument(OWN + n - 1) {
            select.bind_ref(n, value)?;
        }
    }
    Ok(())
}

fn read(select: &mut Statement<'_>) -> Result<Option<Row<Value>>> {
    if select.step()? == ffi::Row::Done {
        return Ok(None);
    }
    let key = select.column(0)?;
    let text = match select.column(1)? {
        Value::Null => None,
        Value::Text(bytes) => Some(utf8(bytes).map_err(|e| e.at(row_name(&key)))?),
        Value::Blob(_) => {
            let message = "the text is a BLOB, expected text; if it holds UTF-8: CAST(... AS TEXT)";
            return Err(Error::new(Kind::Mismatch, message).at(row_name(&key)));
        }
        _ => Some(select.number_as_text(1)?),
    };
    let bytes = key.as_bytes().len() + text.as_ref().map_or(0, String::len);
    Ok(Some(Row { key, text, bytes }))
}

fn utf8(bytes: Vec<u8>) -> Result<String> {
    crate::engine::check_text_size(bytes.len())?;
    String::from_utf8(bytes).map_err(|e| {
        Error::invalid(format!(
            "the text is not valid UTF-8 (byte {})",
            e.utf8_error().valid_up_to()
        ))
    })
}

/// The row as an error message names it.
fn row_name(key: &Value) -> String {
    match key {
        Value::Null => "the row with key NULL".to_owned(),
        Value::Integer(n) => format!("the row with key {n}"),
        Value::Real(x) => format!("the row with key {x}"),
        Value::Text(text) => {
            let text = String::from_utf8_lossy(&text[..text.len().min(100)]);
            let beginning: String = text.chars().take(40).collect();
            format!("the row with key '{}'", beginning.escape_debug())
        }
        _ => "a row with a BLOB key".to_owned(),
    }
}

impl Cursor for BatchRows {
    fn advance(&mut self, host: &Host<'_>) -> Result<bool> {
        let select = &mut self.select;
        self.row = self.bulk.next(&mut || read(select), host.interrupts)?;
        Ok(self.row.is_some())
    }

    fn column(&self, n: usize) -> Result<Value> {
        let Some(row) = &self.row else {
            return Ok(Value::Null);
        };
        Ok(match n {
            0 => row.key.try_clone()?,
            1 => row
                .made
                .as_ref()
                .map_or(Value::Null, |v| Value::Blob(blob::from_f32(v))),
            _ => row.text.as_deref().map(copy_text).transpose()?.into(),
        })
    }
}
