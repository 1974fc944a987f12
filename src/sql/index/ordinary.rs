//! Whether the shadow tables are what they are called: ordinary tables, without triggers of anybody.
//!
//! A view in the place of one, or a trigger on one, would have whatever reads or writes the index run
//! somebody else's SQL. It is looked for before the first statement on them, and again when the schema has
//! changed.

use super::damage::refused;
use super::names::shadow_tables;
use super::shadow::Shadow;
use super::words::{TABLES as OF_WORDS, Words};
use crate::error::{Error, Result};
use crate::sql::ffi::{Row, Value};
use crate::sql::lexer::quote_name;

/// Whether all shadow tables that are there are ordinary tables without triggers: a view in the
/// place of one, or a trigger on one, would have whatever reads or writes the index run SQL of
/// somebody else's. Looked at again when the schema has changed.
///
/// # Errors
/// One is something else, or has a trigger.
pub fn verify(shadow: Shadow<'_>) -> Result<()> {
    let version = schema_version(shadow)?;
    if version.is_some() && shadow.index.verified.get() == version {
        return Ok(());
    }
    if let Some((suffix, stranger)) = foreign(shadow)?.first() {
        return Err(stranger.refused(&shadow.index.names.bare(suffix)));
    }
    Words::new(shadow).verify()?;
    shadow.index.verified.set(version);
    Ok(())
}

/// [`verify`], for a call that is made for each row: not again for a table that was
/// connected and looked at.
///
/// # Errors
/// As there.
pub fn verify_once(shadow: Shadow<'_>) -> Result<()> {
    match shadow.index.verified.get() {
        Some(_) => Ok(()),
        None => verify(shadow),
    }
}

fn schema_version(shadow: Shadow<'_>) -> Result<Option<i64>> {
    let read = shadow.kept("schema version", || {
        format!(
            "PRAGMA {}.schema_version",
            quote_name(&shadow.index.names.schema)
        )
    })?;
    read.integer_of_first()
}

/// What is wrong with a shadow table.
enum Stranger {
    /// It is a view.
    View,
    /// It is a virtual table.
    VirtualTable,
    /// It has this trigger.
    Trigger(String),
}

impl Stranger {
    /// `rebuild` is no way out: it would run on what is there.
    fn refused(&self, table: &str) -> Error {
        let quoted = quote_name(table);
        let rebuild = "and give the command 'rebuild'";
        let fault = match self {
            Stranger::View => format!("'{table}' is a view: DROP VIEW {quoted}, {rebuild}"),
            Stranger::VirtualTable => {
                format!("'{table}' is a virtual table: DROP TABLE {quoted}, {rebuild}")
            }
            Stranger::Trigger(name) => format!(
                "'{table}' has a trigger that is not of this index: DROP TRIGGER {}",
                quote_name(name)
            ),
        };
        refused(format!("the index is damaged, its shadow table {fault}"))
    }
}

/// The shadow tables, and those of FTS5 where the index keeps words.
fn watched(shadow: Shadow<'_>) -> Vec<&'static str> {
    let of_words = OF_WORDS.into_iter().map(|behind| behind.suffix);
    let kept = Words::new(shadow).are_kept();
    shadow_tables().chain(of_words.filter(|_| kept)).collect()
}

/// Shadow tables that are none of ours, and why.
fn foreign(shadow: Shadow<'_>) -> Result<Vec<(&'static str, Stranger)>> {
    let schema = shadow.index.names.schema_table();
    // (Not by LIKE: what that means, a pragma and the host may change.)
    let mut find = shadow.kept("what the tables are", || {
        format!(
            "SELECT s.name, s.type = 'table' AND lower(substr(s.sql, 1, 12)) = 'create table', s.type = 'view', \
               (SELECT name FROM {schema} WHERE type = 'trigger' AND tbl_name = s.name COLLATE NOCASE) \
             FROM {schema} AS s WHERE s.type IN ('table', 'view') \
             AND s.name COLLATE NOCASE IN (SELECT value FROM json_each(?1))"
        )
    })?;
    let names = &shadow.index.names;
    let watched = watched(shadow);
    let wanted: Vec<String> = watched.iter().map(|table| names.bare(table)).collect();
    let list = serde_json::Value::from(wanted.clone()).to_string();
    find.bind(1, &Value::from(list))?;
    let mut foreign = Vec::new();
    while find.step()? == Row::Ready {
        let name = find.text(0)?.unwrap_or_default();
        let found = wanted.iter().position(|w| w.eq_ignore_ascii_case(&name));
        let Some(&suffix) = found.and_then(|n| watched.get(n)) else {
            continue;
        };
        let stranger = match (find.integer(1), find.integer(2), find.text(3)?) {
            (Some(1), _, None) => continue,
            (Some(1), _, Some(trigger)) => Stranger::Trigger(trigger),
            (_, Some(1), _) => Stranger::View,
            _ => Stranger::VirtualTable,
        };
        foreign.push((suffix, stranger));
    }
    Ok(foreign)
}

/// The shadow tables that are there, and are tables.
///
/// # Errors
/// What SQLite says.
pub fn present(shadow: Shadow<'_>) -> Result<Vec<&'static str>> {
    let foreign = foreign(shadow)?;
    let is_table = |suffix: &str| {
        let mut others = foreign.iter();
        !others
            .any(|(other, stranger)| *other == suffix && !matches!(stranger, Stranger::Trigger(_)))
    };
    let mut present = Vec::new();
    for suffix in shadow_tables().filter(|suffix| is_table(suffix)) {
        if shadow.has_table(suffix)? {
            present.push(suffix);
        }
    }
    Ok(present)
}
