//! The three triggers that note changes of a content table, and what they still say later.
//!
//! They are append-only (`INSERT INTO "t_log"`), so that no OR clause of the user's statement can
//! make them fail, and name neither the index nor a schema: a host without the extension can write,
//! ALTER and VACUUM the file. The UPDATE trigger compares old and new values: `UPDATE OF column`
//! would miss `SET rowid =`, generated columns, and changes of case in NOCASE columns.
//!
//! SQLite rewrites the triggers when the content table or one of its columns is renamed, so they,
//! and not our own notes, say what the content is called now: [`read`]. Columns go by their place in the
//! UPDATE trigger, the index keeps its own names. The first sync makes the triggers; why, and what else was
//! tried, is in `docs/decisions/13-notes-and-triggers.md`.

use crate::error::Result;
use crate::sql::ffi::Value;
use crate::sql::index::names::Names;
use crate::sql::index::shadow::Shadow;
use crate::sql::index::trigger_set::{Bodies, TriggerSet};
use crate::sql::lexer::{Token, Tokens, quote_name, unquoted};

/// The content as its triggers name it: table, key, columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The table.
    pub table: String,
    /// Its key.
    pub key: String,
    /// Its columns, in the order of the index's.
    pub columns: Vec<String>,
}

fn set(shadow: Shadow<'_>) -> TriggerSet<'_> {
    let log = quote_name(&shadow.names().bare("log"));
    TriggerSet::new(shadow, "", format!("INSERT INTO {log}"))
}

/// What the three triggers say.
fn bodies(names: &Names, content: &Named) -> Bodies {
    let log = quote_name(&names.bare("log"));
    let (table, key) = (quote_name(&content.table), quote_name(&content.key));
    let changed = changes(&content.key, content.columns.iter().map(String::as_str));
    [
        format!("AFTER INSERT ON {table} BEGIN INSERT INTO {log}(id) VALUES (new.{key}); END"),
        format!("AFTER DELETE ON {table} BEGIN INSERT INTO {log}(id) VALUES (old.{key}); END"),
        format!(
            "AFTER UPDATE ON {table} WHEN {changed} BEGIN \
             INSERT INTO {log}(id) SELECT old.{key} WHERE old.{key} IS NOT new.{key}; \
             INSERT INTO {log}(id) VALUES (new.{key}); END"
        ),
    ]
}

/// Whether an UPDATE changes the key or one of these columns.
pub fn changes<'c>(key: &str, columns: impl Iterator<Item = &'c str>) -> String {
    let key = quote_name(key);
    let columns: String = columns.map(|column| changed(&quote_name(column))).collect();
    format!("old.{key} IS NOT new.{key}{columns}")
}

fn changed(column: &str) -> String {
    format!(
        " OR old.{column} COLLATE BINARY IS NOT new.{column} \
         OR typeof(old.{column}) <> typeof(new.{column})"
    )
}

/// Key and columns from the text of an UPDATE trigger, for an index of `count` columns.
fn parse(sql: &str, count: usize) -> Option<(String, Vec<String>)> {
    let mut olds = old_columns(sql)?.into_iter();
    let key = olds.next()?;
    let mut columns = Vec::with_capacity(count);
    for _ in 0..count {
        // Each column stands there twice: compared, and inside typeof().
        let name = olds.next()?;
        (olds.next()? == name).then_some(())?;
        columns.push(name);
    }
    Some((key, columns))
}

/// The quoted names after `old.`, in their order.
fn old_columns(sql: &str) -> Option<Vec<String>> {
    let (mut found, mut before) = (Vec::new(), [Token::Blank; 2]);
    for token in Tokens::new(sql) {
        if let Token::Quoted { raw, closed } = token {
            closed.then_some(())?;
            if before == [Token::Name("old"), Token::Sign('.')] {
                found.push(unquoted(raw));
            }
        }
        before = [before[1], token];
    }
    Some(found)
}

/// The content as the triggers name it; `None` unless all three are there, on one table.
///
/// # Errors
/// What SQLite says.
pub fn read(shadow: Shadow<'_>) -> Result<Option<Named>> {
    let Some((update, table)) = set(shadow).on_one_table()? else {
        return Ok(None);
    };
    let parsed = parse(&update, shadow.spec().columns.len());
    Ok(parsed.map(|(key, columns)| Named {
        table,
        key,
        columns,
    }))
}

/// Makes the triggers, and the log that they write to. Those that are there exactly so, as a dump brings them, stay.
///
/// # Errors
/// There is a trigger of such a name, which is not ours to drop; what SQLite says.
pub fn create(shadow: Shadow<'_>, content: &Named) -> Result<()> {
    set(shadow).check_names()?;
    shadow.create_log()?;
    set(shadow).create(&bodies(shadow.names(), content))
}

/// # Errors
/// There is a trigger that is called as one of ours, and is not exactly it.
pub fn check_can_adopt(shadow: Shadow<'_>, content: &Named) -> Result<()> {
    set(shadow).check_can_adopt(&bodies(shadow.names(), content))
}

/// # Errors
/// There is a trigger of the user's that is called as one of ours.
pub fn check_names(shadow: Shadow<'_>) -> Result<()> {
    set(shadow).check_names()
}

/// Drops those of the triggers that are there, and are ours.
///
/// # Errors
/// What SQLite says.
pub fn drop_all(shadow: Shadow<'_>) -> Result<()> {
    // An index that never had any may have a name that makes others look like it. Three that are ours to
    // the last column are ours, whatever a damaged setting says.
    let never = || matches!(shadow.get("triggers"), Ok(Value::Integer(0)));
    if shadow.keeps_text() || (never() && read(shadow)?.is_none()) {
        return Ok(());
    }
    set(shadow).drop_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_whatever_the_names() {
        let names = Names {
            schema: "main".into(),
            index: "t \"x\" old.\"".into(),
        };
        let content = Named {
            table: "dócs".into(),
            key: "id".into(),
            columns: vec!["a b".into(), "old.\"q\"".into(), "ü".into()],
        };
        let [.., update] = bodies(&names, &content);
        assert_eq!(parse(&update, 3), Some(("id".into(), content.columns)));
        assert_eq!(parse("CREATE TRIGGER x", 1), None);
    }
}
