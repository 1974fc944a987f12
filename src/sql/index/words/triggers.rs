//! What the three triggers say that keep the index's table of words in step with a content table.
//!
//! They name neither the index nor a schema, so a host without the extension can write, if it has FTS5. Each takes
//! the row's old words away by a DELETE of its own before it adds the new ones: the OR clause of the user's
//! statement overrides a trigger's own, and a row that OR REPLACE displaces fires no DELETE trigger. A key that is no
//! integer is that of no row.
//!
//! Unlike the [triggers that note changes](super::super::content::triggers), these are made with the index: words are
//! searched from the first moment on. What table and columns are called is read from those alone; where these say
//! something else, they count as lost.

use crate::error::Result;
use crate::sql::index::content::triggers::{Named, changes};
use crate::sql::index::names::WORDS;
use crate::sql::index::shadow::Shadow;
use crate::sql::index::trigger_set::{Bodies, TriggerSet};
use crate::sql::lexer::quote_name;

fn set(shadow: Shadow<'_>) -> TriggerSet<'_> {
    let words = quote_name(&shadow.names().bare(WORDS));
    let mark = format!("DELETE FROM {words} WHERE rowid");
    TriggerSet::new(shadow, &format!("{WORDS}_"), mark)
}

/// What they say. `columns`: those of the table of words, each with the content's.
fn bodies(shadow: Shadow<'_>, content: &Named, columns: &[(String, String)]) -> Bodies {
    let words = quote_name(&shadow.names().bare(WORDS));
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
    [
        format!("AFTER INSERT ON {table} BEGIN {}{add}END", take("new")),
        format!("AFTER DELETE ON {table} BEGIN {}END", take("old")),
        format!(
            "AFTER UPDATE ON {table} WHEN {changed} BEGIN {}{}{add}END",
            take("old"),
            take("new")
        ),
    ]
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
    set(shadow).are_there(&bodies(shadow, content, columns))
}

/// Makes them. Those that are there exactly so stay.
///
/// # Errors
/// There is a trigger of such a name, which is not ours to drop; what SQLite says.
pub fn create(shadow: Shadow<'_>, content: &Named, columns: &[(String, String)]) -> Result<()> {
    set(shadow).create(&bodies(shadow, content, columns))
}

/// # Errors
/// There is a trigger that is called as one of ours, and is not exactly it.
pub fn check_can_adopt(
    shadow: Shadow<'_>,
    content: &Named,
    columns: &[(String, String)],
) -> Result<()> {
    set(shadow).check_can_adopt(&bodies(shadow, content, columns))
}

/// # Errors
/// There is a trigger of the user's that is called as one of ours.
pub fn check_names(shadow: Shadow<'_>) -> Result<()> {
    set(shadow).check_names()
}

/// Drops those that are there, and are ours.
///
/// # Errors
/// What SQLite says.
pub fn drop_all(shadow: Shadow<'_>) -> Result<()> {
    set(shadow).drop_all()
}
