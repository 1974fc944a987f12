//! The triggers that an index has on a table of the user's: one set notes changes ([`super::content::triggers`]), one
//! keeps words in step ([`super::words`]). What they do stands there; here is how they are found, made and dropped, without touching
//! a trigger of the user's that has such a name.

use super::shadow::Shadow;
use crate::error::{Error, Result};
use crate::sql::ffi::{Row, Value};
use crate::sql::lexer::quote_name;

/// What the names of a set end with: the triggers after INSERT, DELETE and UPDATE, in this order.
const ENDINGS: [&str; 3] = ["ai", "ad", "au"];

/// What follows the name of each trigger of a set in CREATE TRIGGER, in the order of their names.
pub type Bodies = [String; ENDINGS.len()];

/// A set of triggers.
pub struct TriggerSet<'a> {
    shadow: Shadow<'a>,
    /// Their names, after INSERT, DELETE and UPDATE.
    names: [String; ENDINGS.len()],
    /// What stands in each of them, and in none of the user's: SQLite rewrites only what names the content.
    mark: String,
}

/// A trigger that is called as one of a set.
pub struct There {
    /// Its name.
    pub name: String,
    /// The table it is on.
    pub table: String,
    /// The statement that made it.
    pub sql: String,
    /// Whether it has the mark of the set.
    pub is_ours: bool,
}

impl<'a> TriggerSet<'a> {
    /// The set whose names are that of the index, `_`, this prefix and an ending.
    pub fn new(shadow: Shadow<'a>, prefix: &str, mark: String) -> Self {
        let names = ENDINGS.map(|ending| shadow.names().bare(&format!("{prefix}{ending}")));
        TriggerSet {
            shadow,
            names,
            mark,
        }
    }

    /// All triggers that are called as one of the set, in one look through the schema, which has no index on names.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn called_so(&self) -> Result<Vec<There>> {
        let mut find = self.shadow.kept("triggers called so", || {
            format!(
                "SELECT name, tbl_name, sql FROM {} \
                 WHERE type = 'trigger' AND name COLLATE NOCASE IN (?1, ?2, ?3)",
                self.shadow.names().schema_table()
            )
        })?;
        for (n, name) in self.names.iter().enumerate() {
            find.bind(n + 1, &Value::from(name.as_str()))?;
        }
        let mut found = Vec::new();
        while find.step()? == Row::Ready {
            let text = |n: usize| Ok::<_, Error>(find.text(n)?.unwrap_or_default());
            let (name, table, sql) = (text(0)?, text(1)?, text(2)?);
            let is_ours = sql.contains(&self.mark);
            found.push(There {
                name,
                table,
                sql,
                is_ours,
            });
        }
        Ok(found)
    }

    /// The statement of the trigger after UPDATE and the table, where all of the set are there, on one table.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn on_one_table(&self) -> Result<Option<(String, String)>> {
        let mut there = self.called_so()?;
        there.retain(|trigger| trigger.is_ours);
        let [first, ..] = there.as_slice() else {
            return Ok(None);
        };
        let table = first.table.clone();
        if there.len() < self.names.len() || there.iter().any(|trigger| trigger.table != table) {
            return Ok(None);
        }
        let [.., after_update] = &self.names;
        let update = there
            .into_iter()
            .find(|trigger| trigger.name.eq_ignore_ascii_case(after_update));
        Ok(update.map(|trigger| (trigger.sql, table)))
    }

    /// Whether each of them is there, and says exactly this.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn are_there(&self, bodies: &Bodies) -> Result<bool> {
        let there = self.called_so()?;
        Ok(self.pairs(bodies).all(|pair| is_among(&there, pair)))
    }

    /// Makes them. Those that are there exactly so, as a dump brings them, stay.
    ///
    /// # Errors
    /// There is a trigger of such a name, which is not ours to drop; what SQLite says.
    pub fn create(&self, bodies: &Bodies) -> Result<()> {
        let there = self.called_so()?;
        refuse_strangers(&there)?;
        for (name, body) in self.pairs(bodies) {
            if is_among(&there, (name, body)) {
                continue;
            }
            let trigger = self.shadow.names().in_schema(name);
            let sql = format!("DROP TRIGGER IF EXISTS {trigger}; CREATE TRIGGER {trigger} {body};");
            self.shadow.host.db.execute(&sql)?;
        }
        Ok(())
    }

    /// # Errors
    /// There is a trigger that is called as one of these, and is not exactly it.
    pub fn check_can_adopt(&self, bodies: &Bodies) -> Result<()> {
        let is_exact = |there: &There| {
            self.pairs(bodies).any(|(name, body)| {
                there.name.eq_ignore_ascii_case(name)
                    && there.sql == format!("CREATE TRIGGER {} {body}", quote_name(name))
            })
        };
        match self.called_so()?.iter().find(|there| !is_exact(there)) {
            None => Ok(()),
            Some(stranger) => Err(not_ours(&stranger.name)),
        }
    }

    /// # Errors
    /// There is a trigger of the user's that is called as one of these.
    pub fn check_names(&self) -> Result<()> {
        refuse_strangers(&self.called_so()?)
    }

    /// Drops those that are there, and are ours.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn drop_all(&self) -> Result<()> {
        for trigger in self.called_so()?.iter().filter(|there| there.is_ours) {
            let name = self.shadow.names().in_schema(&trigger.name);
            self.shadow
                .host
                .db
                .execute(&format!("DROP TRIGGER {name}"))?;
        }
        Ok(())
    }

    /// The name of each, with what it is to say.
    fn pairs<'b>(&'b self, bodies: &'b Bodies) -> impl Iterator<Item = (&'b str, &'b str)> {
        let names = self.names.iter().map(String::as_str);
        names.zip(bodies.iter().map(String::as_str))
    }
}

fn is_among(there: &[There], (name, body): (&str, &str)) -> bool {
    there
        .iter()
        .any(|trigger| trigger.name.eq_ignore_ascii_case(name) && trigger.sql.ends_with(body))
}

fn refuse_strangers(there: &[There]) -> Result<()> {
    match there.iter().find(|trigger| !trigger.is_ours) {
        None => Ok(()),
        Some(stranger) => Err(not_ours(&stranger.name)),
    }
}

fn not_ours(name: &str) -> Error {
    Error::invalid(format!(
        "there is a trigger '{name}' that is not of this index, which needs the name for one \
         of its own; drop it and make it again under another name"
    ))
}
