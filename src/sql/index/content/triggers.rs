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

use crate::error::{Error, Result};
use crate::sql::ffi::{Row, Value};
use crate::sql::index::names::Names;
use crate::sql::index::shadow::Shadow;
use crate::sql::index::statements::Kept;
use crate::sql::lexer::{Token, Tokens, quote_name, unquoted};

/// Endings of their names.
const ENDINGS: [&str; 3] = ["ai", "ad", "au"];

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

/// The three triggers, each by its name and by what follows it in CREATE TRIGGER.
fn definitions(names: &Names, content: &Named) -> [(String, String); 3] {
    let log = quote_name(&names.bare("log"));
    let (table, key) = (quote_name(&content.table), quote_name(&content.key));
    let changed = changes(&content.key, content.columns.iter().map(String::as_str));
    let bodies = [
        format!("AFTER INSERT ON {table} BEGIN INSERT INTO {log}(id) VALUES (new.{key}); END"),
        format!("AFTER DELETE ON {table} BEGIN INSERT INTO {log}(id) VALUES (old.{key}); END"),
        format!(
            "AFTER UPDATE ON {table} WHEN {changed} BEGIN \
             INSERT INTO {log}(id) SELECT old.{key} WHERE old.{key} IS NOT new.{key}; \
             INSERT INTO {log}(id) VALUES (new.{key}); END"
        ),
    ];
    let mut named = ENDINGS.map(|ending| (names.bare(ending), String::new()));
    for (definition, body) in named.iter_mut().zip(bodies) {
        definition.1 = body;
    }
    named
}

/// What stands in each of them, and in none of the user's: SQLite rewrites only what names the
/// content.
fn mark(names: &Names) -> String {
    format!("INSERT INTO {}", quote_name(&names.bare("log")))
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
    // One look through the schema, which has no index on names.
    let names = shadow.names();
    let mut find = shadow.kept("read triggers", || {
        let list = names.schema_table();
        format!(
            "SELECT tbl_name, sql, name = ?3 FROM {list} \
             WHERE type = 'trigger' AND name IN (?1, ?2, ?3) AND instr(sql, ?4)"
        )
    })?;
    bind_names(&mut find, names)?;
    let (mut found, mut table, mut update) = (0, None, None);
    while find.step()? == Row::Ready {
        let on = find.text(0)?;
        if on.is_none() || (found > 0 && table != on) {
            return Ok(None);
        }
        if find.integer(2) == Some(1) {
            update = find.text(1)?;
        }
        table = on;
        found += 1;
    }
    if found < ENDINGS.len() {
        return Ok(None);
    }
    let count = shadow.spec().columns.len();
    let parsed = update.and_then(|sql| parse(&sql, count));
    Ok(table.zip(parsed).map(|(table, (key, columns))| Named {
        table,
        key,
        columns,
    }))
}

fn bind_names(find: &mut Kept<'_>, names: &Names) -> Result<()> {
    for (n, ending) in ENDINGS.iter().enumerate() {
        find.bind(n + 1, &Value::from(names.bare(ending)))?;
    }
    find.bind(4, &Value::from(mark(names)))
}

/// Makes the triggers. Those that are there exactly so, as a dump brings them, stay.
///
/// # Errors
/// There is a trigger of such a name, which is not ours to drop; what SQLite says.
pub fn create(shadow: Shadow<'_>, content: &Named) -> Result<()> {
    check_names(shadow)?;
    shadow.create_log()?;
    let names = shadow.names();
    let there = called_so(shadow, true)?;
    for (name, body) in definitions(names, content) {
        let is_it =
            |(n, sql): &&(String, String)| n.eq_ignore_ascii_case(&name) && sql.ends_with(&body);
        if there.iter().any(|trigger| is_it(&trigger)) {
            continue;
        }
        let trigger = names.in_schema(&name);
        let sql = format!("DROP TRIGGER IF EXISTS {trigger}; CREATE TRIGGER {trigger} {body};");
        shadow.host.db.execute(&sql)?;
    }
    Ok(())
}

/// # Errors
/// There is a trigger that is called as one of ours, and is not exactly it.
pub fn check_can_adopt(shadow: Shadow<'_>, content: &Named) -> Result<()> {
    let ours = definitions(shadow.names(), content);
    let mut there = called_so(shadow, true)?;
    there.extend(called_so(shadow, false)?);
    for (name, sql) in there {
        let is_it = |(n, body): &(String, String)| {
            n.eq_ignore_ascii_case(&name)
                && sql == format!("CREATE TRIGGER {} {body}", quote_name(n))
        };
        if !ours.iter().any(is_it) {
            return Err(not_ours(&name));
        }
    }
    Ok(())
}

/// Of a trigger that is called as one of an index's own.
pub fn not_ours(name: &str) -> Error {
    Error::invalid(format!(
        "there is a trigger '{name}' that is not of this index, which needs the name for one \
         of its own; drop it and make it again under another name"
    ))
}

/// # Errors
/// There is a trigger of the user's that is called as one of ours.
pub fn check_names(shadow: Shadow<'_>) -> Result<()> {
    match called_so(shadow, false)?.first() {
        None => Ok(()),
        Some((name, _)) => Err(not_ours(name)),
    }
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
    for (name, _) in called_so(shadow, true)? {
        let name = shadow.names().in_schema(&name);
        shadow.host.db.execute(&format!("DROP TRIGGER {name}"))?;
    }
    Ok(())
}

/// Triggers that have the names of ours, with their texts: ours, or others.
fn called_so(shadow: Shadow<'_>, ours: bool) -> Result<Vec<(String, String)>> {
    let names = shadow.names();
    let mut find = shadow.kept("triggers called so", || {
        format!(
            "SELECT name, sql FROM {} WHERE type = 'trigger' \
             AND name COLLATE NOCASE IN (?1, ?2, ?3) AND (instr(sql, ?4) > 0) = ?5",
            names.schema_table()
        )
    })?;
    bind_names(&mut find, names)?;
    find.bind(5, &Value::from(ours))?;
    let mut found = Vec::new();
    while find.step()? == Row::Ready {
        let name = find.text(0)?.unwrap_or_default();
        found.push((name, find.text(1)?.unwrap_or_default()));
    }
    Ok(found)
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
        let [.., (_, update)] = definitions(&names, &content);
        assert_eq!(parse(&update, 3), Some(("id".into(), content.columns)));
        assert_eq!(parse("CREATE TRIGGER x", 1), None);
    }
}
