//! The three triggers that keep the index's table of words in step with a content table.
//!
//! They name neither the index nor a schema, so a host without the extension can write, if it has FTS5. Each takes
//! the row's old words away by a DELETE of its own before it adds the new ones: the OR clause of the user's
//! statement overrides a trigger's own, and a row that OR REPLACE displaces fires no DELETE trigger. A key that is no
//! integer is that of no row.
//!
//! Unlike the triggers of [notes](super::super::content::triggers), these are made with the index: words are searched
//! from the first moment on. What the content is called those say, and these must agree to the letter.

use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use crate::sql::index::content::triggers::{Named, changes, not_ours};
use crate::sql::index::names::{Names, WORDS};
use crate::sql::index::shadow::Shadow;
use crate::sql::lexer::quote_name;

/// Endings of their names, behind those of the table.
const ENDINGS: [&str; 3] = ["ai", "ad", "au"];

/// The name of each, and what follows it in CREATE TRIGGER. `columns`: those of the table of words, each with the
/// content's.
fn definitions(
    names: &Names,
    content: &Named,
    columns: &[(String, String)],
) -> [(String, String); 3] {
    let words = quote_name(&names.bare(WORDS));
    let (table, key) = (quote_name(&content.table), quote_name(&content.key));
    let into: String = columns
        .iter()
        .map(|(ours, _)| format!(", {ours}"))
        .collect();
    let from: String = columns
        .iter()
        .map(|(_, theirs)| format!(", new.{}", quote_name(theirs)))
        .collect();
    let take = |row: &str| {
        format!(
            "DELETE FROM {words} WHERE rowid = {row}.{key} AND typeof({row}.{key}) = 'integer'; "
        )
    };
    let add = format!(
        "INSERT INTO {words}(rowid{into}) SELECT new.{key}{from} WHERE typeof(new.{key}) = 'integer'; "
    );
    let changed = changes(
        &content.key,
        columns.iter().map(|(_, theirs)| theirs.as_str()),
    );
    let bodies = [
        format!("AFTER INSERT ON {table} BEGIN {}{add}END", take("new")),
        format!("AFTER DELETE ON {table} BEGIN {}END", take("old")),
        format!(
            "AFTER UPDATE ON {table} WHEN {changed} BEGIN {}{}{add}END",
            take("old"),
            take("new")
        ),
    ];
    let mut named = ENDINGS.map(|ending| (name(names, ending), String::new()));
    for (definition, body) in named.iter_mut().zip(bodies) {
        definition.1 = body;
    }
    named
}

fn name(names: &Names, ending: &str) -> String {
    format!("{}_{ending}", names.bare(WORDS))
}

/// What stands in each of them, and in none of the user's: SQLite rewrites only what names the content.
fn mark(names: &Names) -> String {
    format!("DELETE FROM {} WHERE rowid", quote_name(&names.bare(WORDS)))
}

/// Triggers that have the names of ours: name, text, and whether they are ours.
fn called_so(shadow: Shadow<'_>) -> Result<Vec<(String, String, bool)>> {
    let names = shadow.names();
    let mut find = shadow.kept("triggers of words", || {
        format!(
            "SELECT name, sql FROM {} WHERE type = 'trigger' AND name COLLATE NOCASE IN (?1, ?2, ?3)",
            names.schema_table()
        )
    })?;
    for (n, ending) in ENDINGS.iter().enumerate() {
        find.bind(n + 1, &Value::from(name(names, ending)))?;
    }
    let mark = mark(names);
    let mut found = Vec::new();
    while find.step()? == Row::Ready {
        let name = find.text(0)?.unwrap_or_default();
        let sql = find.text(1)?.unwrap_or_default();
        let ours = sql.contains(&mark);
        found.push((name, sql, ours));
    }
    Ok(found)
}

/// Whether all three are there, for a content of these names.
///
/// # Errors
/// What SQLite says.
pub fn are_there(
    shadow: Shadow<'_>,
    content: &Named,
    columns: &[(String, String)],
) -> Result<bool> {
    let there = called_so(shadow)?;
    let is_there =
        |(_, body): &(String, String)| there.iter().any(|(_, sql, _)| sql.ends_with(body));
    Ok(definitions(shadow.names(), content, columns)
        .iter()
        .all(is_there))
}

/// Makes those that are not there; drops what is left of others that were ours.
///
/// # Errors
/// There is a trigger of such a name, which is not ours to drop; what SQLite says.
pub fn create(shadow: Shadow<'_>, content: &Named, columns: &[(String, String)]) -> Result<()> {
    check_names(shadow)?;
    if are_there(shadow, content, columns)? {
        return Ok(());
    }
    drop_all(shadow)?;
    for (name, body) in definitions(shadow.names(), content, columns) {
        let trigger = shadow.names().in_schema(&name);
        shadow
            .host
            .db
            .execute(&format!("CREATE TRIGGER {trigger} {body}"))?;
    }
    Ok(())
}

/// # Errors
/// There is a trigger that is called as one of ours, and is not exactly it.
pub fn check_can_adopt(
    shadow: Shadow<'_>,
    content: &Named,
    columns: &[(String, String)],
) -> Result<()> {
    let ours = definitions(shadow.names(), content, columns);
    let exactly = |sql: &str| {
        let is_it = |(n, body): &(String, String)| {
            sql == format!("CREATE TRIGGER {} {body}", quote_name(n))
        };
        ours.iter().any(is_it)
    };
    let there = called_so(shadow)?;
    let stranger = there.iter().find(|(_, sql, _)| !exactly(sql));
    stranger.map_or(Ok(()), |(name, ..)| Err(not_ours(name)))
}

/// # Errors
/// There is a trigger of the user's that is called as one of ours.
pub fn check_names(shadow: Shadow<'_>) -> Result<()> {
    let there = called_so(shadow)?;
    let stranger = there.iter().find(|(.., ours)| !ours);
    stranger.map_or(Ok(()), |(name, ..)| Err(not_ours(name)))
}

/// Drops those that are there, and are ours.
///
/// # Errors
/// What SQLite says.
pub fn drop_all(shadow: Shadow<'_>) -> Result<()> {
    for (name, ..) in called_so(shadow)?.iter().filter(|(.., ours)| *ours) {
        let name = shadow.names().in_schema(name);
        shadow.host.db.execute(&format!("DROP TRIGGER {name}"))?;
    }
    Ok(())
}
