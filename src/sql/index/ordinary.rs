//! Whether the shadow tables are what they are called: ordinary tables, without triggers of anybody.
//!
//! A view in the place of one, or a trigger on one, would have whatever reads or writes the index run
//! somebody else's SQL. It is looked for before the first statement on them, and again when the schema has
//! changed.

use super::damage::corrupt;
use super::names::shadow_tables;
use super::shadow::Shadow;
use crate::error::Result;
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
    for (suffix, fault) in foreign(shadow)? {
        return Err(corrupt(format_args!(
            "'{}' {fault}",
            shadow.index.names.bare(suffix)
        )));
    }
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

/// Shadow tables that are none of ours, and why.
fn foreign(shadow: Shadow<'_>) -> Result<Vec<(&'static str, String)>> {
    let schema = shadow.index.names.schema_table();
    let mut find = shadow.kept("what the tables are", || {
        format!(
            "SELECT s.name, s.type = 'table' AND s.sql LIKE 'create table%', s.type, \
               (SELECT name FROM {schema} WHERE type = 'trigger' AND tbl_name = s.name COLLATE NOCASE) \
             FROM {schema} AS s WHERE s.type IN ('table', 'view') \
             AND s.name COLLATE NOCASE IN (SELECT value FROM json_each(?1))"
        )
    })?;
    let wanted: Vec<String> = shadow_tables()
        .map(|t| shadow.index.names.bare(t))
        .collect();
    let list = serde_json::Value::from(wanted.clone()).to_string();
    find.bind(1, &Value::from(list))?;
    let mut foreign = Vec::new();
    while find.step()? == Row::Ready {
        let name = find.text(0)?.unwrap_or_default();
        let found = wanted.iter().position(|w| w.eq_ignore_ascii_case(&name));
        let Some(suffix) = found.and_then(|n| shadow_tables().nth(n)) else {
            continue;
        };
        if find.integer(1) != Some(1) {
            let what = find.text(2)?.unwrap_or_default();
            let what = if what == "view" {
                "a view"
            } else {
                "a virtual table"
            };
            foreign.push((
                suffix,
                format!("is {what}, and should be a table of this index"),
            ));
        } else if let Some(trigger) = find.text(3)? {
            foreign.push((
                suffix,
                format!("has a trigger, '{trigger}', that is not of this index"),
            ));
        }
    }
    Ok(foreign)
}

/// The shadow tables that are there, and are tables.
///
/// # Errors
/// What SQLite says.
pub fn present(shadow: Shadow<'_>) -> Result<Vec<&'static str>> {
    let foreign = foreign(shadow)?;
    let mut present = Vec::new();
    for suffix in shadow_tables() {
        let is_foreign = foreign
            .iter()
            .any(|(other, fault)| *other == suffix && fault.starts_with("is "));
        if !is_foreign && shadow.has_table(suffix)? {
            present.push(suffix);
        }
    }
    Ok(present)
}
