//! The three triggers that note changes of a content table, and what they still say later.
//!
//! They are append-only (`INSERT INTO "t_log"`), so that no OR clause of the user's statement can
//! make them fail, and name neither the index nor a schema: a host without the extension can write,
//! ALTER and VACUUM the file. The UPDATE trigger compares old and new values: `UPDATE OF column`
//! would miss `SET rowid =`, generated columns, and changes of case in NOCASE columns.
//!
//! SQLite rewrites the triggers when the content table or one of its columns is renamed, so they,
//! and not our own notes, say what the content is called now: [`read`].

use super::names::{Names, quoted, text};
use super::store::Store;
use crate::error::{Error, Result};
use crate::sql::ffi::{Row, Value};

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

/// The text of the three triggers.
pub fn definitions(names: &Names, content: &Named) -> String {
    let [ai, ad, au] = ENDINGS.map(|ending| names.in_schema(&names.bare(ending)));
    let log = quoted(&names.bare("log"));
    let (table, key) = (quoted(&content.table), quoted(&content.key));
    let changes: String = content
        .columns
        .iter()
        .map(|c| changed(&quoted(c)))
        .collect();
    format!(
        "CREATE TRIGGER {ai} AFTER INSERT ON {table} BEGIN \
           INSERT INTO {log}(id) VALUES (new.{key}); END;\n\
         CREATE TRIGGER {ad} AFTER DELETE ON {table} BEGIN \
           INSERT INTO {log}(id) VALUES (old.{key}); END;\n\
         CREATE TRIGGER {au} AFTER UPDATE ON {table} WHEN old.{key} IS NOT new.{key}{changes} BEGIN \
           INSERT INTO {log}(id) SELECT old.{key} WHERE old.{key} IS NOT new.{key}; \
           INSERT INTO {log}(id) VALUES (new.{key}); END;"
    )
}

/// What stands in each of them, and in none of the user's: SQLite rewrites only what names the
/// content.
fn mark(names: &Names) -> String {
    format!("INSERT INTO {}", quoted(&names.bare("log")))
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

/// The names after `old.`, in their order; names in quotes are passed over as a whole.
fn old_columns(sql: &str) -> Option<Vec<String>> {
    let (mut found, mut rest) = (Vec::new(), sql);
    while let Some(at) = rest.find('"') {
        let (name, after) = leading_name(&rest[at..])?;
        if rest[..at].ends_with("old.") {
            found.push(name);
        }
        rest = after;
    }
    Some(found)
}

/// The double-quoted name that a text begins with, and what follows.
fn leading_name(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut name = String::new();
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, rest)),
        }
    }
}

impl Store<'_> {
    /// The content as the triggers name it; `None` unless all three are there, on one table.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn read_triggers(&self) -> Result<Option<Named>> {
        // One look through the schema, which has no index on names.
        let names = &self.index.names;
        let mut find = self.index.statements.get(self.host, "read triggers", || {
            let list = names.schema_table();
            format!(
                "SELECT tbl_name, sql, name = ?3 FROM {list} \
                 WHERE type = 'trigger' AND name IN (?1, ?2, ?3) AND instr(sql, ?4)"
            )
        })?;
        find.bind(4, &Value::from(mark(names)))?;
        for (n, ending) in ENDINGS.iter().enumerate() {
            find.bind(n + 1, &Value::from(names.bare(ending)))?;
        }
        let (mut found, mut table, mut update) = (0, None, None);
        while find.step()? == Row::Ready {
            let on = text(&find.column(0)?);
            if on.is_none() || (found > 0 && table != on) {
                return Ok(None);
            }
            if find.integer(2) == Some(1) {
                update = text(&find.column(1)?);
            }
            table = on;
            found += 1;
        }
        if found < ENDINGS.len() {
            return Ok(None);
        }
        let count = self.index.spec.columns.len();
        let parsed = update.and_then(|sql| parse(&sql, count));
        Ok(table.zip(parsed).map(|(table, (key, columns))| Named {
            table,
            key,
            columns,
        }))
    }

    /// Makes the triggers.
    ///
    /// # Errors
    /// There is a trigger of such a name, which is not ours to drop; what SQLite says.
    pub fn create_triggers(&self, content: &Named) -> Result<()> {
        self.check_trigger_names()?;
        self.host
            .db
            .execute(&definitions(&self.index.names, content))
    }

    /// # Errors
    /// There is a trigger of the user's that is called as one of ours.
    pub fn check_trigger_names(&self) -> Result<()> {
        match self.triggers_called_so(false)?.first() {
            None => Ok(()),
            Some(name) => Err(Error::invalid(format!(
                "there is a trigger '{name}' that is not of this index, which needs the name for one \
                 of its own; drop it and make it again under another name"
            ))),
        }
    }

    /// Drops those of the triggers that are there, and are ours.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn drop_triggers(&self) -> Result<()> {
        // An index that never had any may have a name that makes others look like it.
        if self.keeps_text() || matches!(self.get("triggers"), Ok(Value::Integer(0))) {
            return Ok(());
        }
        for name in self.triggers_called_so(true)? {
            let name = self.index.names.in_schema(&name);
            self.host.db.execute(&format!("DROP TRIGGER {name}"))?;
        }
        Ok(())
    }

    /// Triggers that have the names of ours: ours, or others.
    fn triggers_called_so(&self, ours: bool) -> Result<Vec<String>> {
        let names = &self.index.names;
        let mut find = self
            .index
            .statements
            .get(self.host, "triggers called so", || {
                format!(
                    "SELECT name FROM {} WHERE type = 'trigger' \
                     AND name COLLATE NOCASE IN (?1, ?2, ?3) AND (instr(sql, ?4) > 0) = ?5",
                    names.schema_table()
                )
            })?;
        for (n, ending) in ENDINGS.iter().enumerate() {
            find.bind(n + 1, &Value::from(names.bare(ending)))?;
        }
        find.bind(4, &Value::from(mark(names)))?;
        find.bind(5, &Value::Integer(i64::from(ours)))?;
        let mut found = Vec::new();
        while find.step()? == Row::Ready {
            found.extend(text(&find.column(0)?));
        }
        Ok(found)
    }
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
        let sql = definitions(&names, &content);
        let update = &sql[sql.rfind("CREATE TRIGGER").unwrap()..];
        assert_eq!(parse(update, 3), Some(("id".into(), content.columns)));
        assert_eq!(parse("CREATE TRIGGER x", 1), None);
    }
}
