//! Where the texts of an index are: a table or view of the user's, the index itself, or nowhere.
//!
//! [`Content::declare`] looks at it once, when the index is made; [`Content::locate`] finds it again in
//! every statement, whatever was renamed meanwhile: by one query on the schema, and not only where
//! `PRAGMA schema_version` has changed, since that number is used again after ROLLBACK. Rows are read by
//! [`Content::fetch`], which is the same for all. [`keys`] says which column can be a key, [`triggers`] how
//! changes come to be noted.

mod keys;
pub mod triggers;

use super::affinity::apply;
use super::damage::corrupt;
use super::declare::ContentMode;
use super::names::LOG;
use super::shadow::{Scanned, Shadow};
use super::text::{Joined, join};
use crate::error::{Error, Result};
use crate::sql::ffi::{Row, Statement, Value};
use crate::sql::lexer::quote_name;
pub use keys::Origin;
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};
use triggers::Named;

/// Keys that are looked up at once where a lookup is dear, or where each may be the last that is wanted.
pub const LOOKED_UP: usize = 64;

/// The content of an index.
#[derive(Clone, Copy)]
pub struct Content<'a> {
    shadow: Shadow<'a>,
}

/// How changes come to be noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noting {
    /// By triggers, or by the index itself where it keeps the text.
    On,
    /// Not at all: every sync compares all rows.
    Off,
    /// By triggers that the first sync makes. Until then every row is pending.
    Due,
    /// By triggers that are gone, or whose log is: something dropped or rebuilt the content table.
    Lost,
}

/// A content that was found: what it is, and what it is called now.
#[derive(Clone, Debug)]
pub struct Located {
    /// What it is.
    pub origin: Origin,
    /// How its changes are noted.
    pub noting: Noting,
    /// Its names (of our own table, where the index keeps the text).
    pub named: Named,
}

/// A row of the content, as it is now.
#[derive(Clone, Debug)]
pub struct Present {
    /// Its key.
    pub id: i64,
    /// Its values, one for each column of the index.
    pub values: Vec<Value>,
    /// What is to be embedded; `None` where a text is no longer kept, so that nothing changes.
    pub joined: Option<Joined>,
}

impl<'a> Content<'a> {
    /// That of an index.
    pub fn new(shadow: Shadow<'a>) -> Self {
        Content { shadow }
    }

    /// Checks the content that was declared, finds its key, and notes its names.
    ///
    /// # Errors
    /// No such table or column, no key that is fit.
    pub fn declare(self) -> Result<()> {
        let ContentMode::External { name, key } = &self.shadow.spec().content else {
            return self.shadow.set_scanned(Scanned::All);
        };
        let (table, origin) = keys::true_name(self.shadow, name)?;
        let columns = keys::columns_of(self.shadow, &table)?;
        let key = match origin {
            Origin::View => keys::of_view(&table, key.as_deref(), &columns)?,
            _ => keys::of_table(self.shadow, &table, key.as_deref(), &columns)?,
        };
        let mut named = Vec::new();
        for column in &self.shadow.spec().columns {
            let found = keys::find(&columns, &column.name).ok_or_else(|| {
                Error::invalid(format!(
                    "content '{table}' has no column '{}'; it has {}",
                    column.name,
                    keys::list(&columns)
                ))
            })?;
            named.push(found.name.clone());
        }
        let triggers = self.shadow.spec().triggers;
        let triggers = triggers.unwrap_or(origin == Origin::Table);
        if triggers && origin == Origin::View {
            return Err(Error::invalid(format!(
                "content '{table}' is no ordinary table, so it can have no triggers; leave out \
                 triggers=on, and sync compares all rows"
            )));
        }
        let named = Named {
            table,
            key,
            columns: named,
        };
        self.remember(&named)?;
        self.shadow
            .set("triggers", Value::Integer(i64::from(triggers)))?;
        if triggers {
            // Made by the first sync: until then every row is pending, noted or not, and a dump that
            // goes on with CREATE TRIGGER can be read.
            triggers::check_can_adopt(self.shadow, &named)?;
        }
        Ok(())
    }

    /// Writes down the content's names, for the time when its triggers are lost.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remember(self, named: &Named) -> Result<()> {
        self.shadow
            .set("content", Value::from(named.table.clone()))?;
        self.shadow.set("key", Value::from(named.key.clone()))?;
        let columns = Json::from(named.columns.clone()).to_string();
        self.shadow.set("columns", Value::from(columns))
    }

    /// The content as it is called now.
    ///
    /// # Errors
    /// It is gone.
    pub fn locate(self) -> Result<Located> {
        match self.shadow.spec().content {
            ContentMode::Own => return Ok(self.kept_here(Origin::Own)),
            ContentMode::Contentless => return Ok(self.kept_here(Origin::Contentless)),
            ContentMode::External { .. } => {}
        }
        let wanted = self.shadow.get("triggers")? != Value::Integer(0);
        let found = match wanted {
            true => triggers::read(self.shadow)?,
            false => None,
        };
        let noting = match (wanted, &found) {
            (false, _) => Noting::Off,
            // Without the log, triggers are an error of whoever writes.
            (true, Some(_)) if !self.shadow.has_table(LOG)? => Noting::Lost,
            (true, Some(_)) => Noting::On,
            (true, None) if self.shadow.settings()?.scanned == Scanned::Nothing => Noting::Due,
            (true, None) => Noting::Lost,
        };
        let mut named = match found {
            Some(named) => named,
            None => self.remembered()?,
        };
        let (table, origin) = keys::true_name(self.shadow, &named.table)?;
        named.table = table;
        if noting != Noting::On {
            // Nobody has followed its names.
            self.check_columns(&named)?;
        }
        Ok(Located {
            origin,
            noting,
            named,
        })
    }

    fn check_columns(self, named: &Named) -> Result<()> {
        let columns = keys::columns_of(self.shadow, &named.table)?;
        for wanted in named.columns.iter().chain([&named.key]) {
            if keys::find(&columns, wanted).is_none() {
                return Err(Error::invalid(format!(
                    "content '{}' no longer has column '{wanted}'; it has {}; put it back, or drop \
                     the index and make it again",
                    named.table,
                    keys::list(&columns)
                )));
            }
        }
        Ok(())
    }

    /// The content's names as they were written down.
    ///
    /// # Errors
    /// Damage.
    pub fn remembered(self) -> Result<Named> {
        let get = |key: &str| -> Result<String> {
            let missing = || corrupt(format_args!("setting {key} is missing"));
            let value = self.shadow.get(key)?;
            value.as_str().map(str::to_owned).ok_or_else(missing)
        };
        let columns: Vec<String> = serde_json::from_str(&get("columns")?)
            .map_err(|e| corrupt(format_args!("setting columns: {e}")))?;
        if columns.len() != self.shadow.spec().columns.len() {
            return Err(corrupt("setting columns has another length"));
        }
        Ok(Named {
            table: get("content")?,
            key: get("key")?,
            columns,
        })
    }

    /// A content that is in our own tables.
    fn kept_here(self, origin: Origin) -> Located {
        let count = self.shadow.spec().columns.len();
        Located {
            origin,
            noting: Noting::On,
            named: Named {
                table: self.shadow.names().bare("text"),
                key: "id".to_owned(),
                columns: (0..count).map(|n| format!("c{n}")).collect(),
            },
        }
    }

    /// Whether a row of the content can be displaced without a note.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn can_be_displaced(self, located: &Located) -> Result<bool> {
        Ok(located.origin == Origin::Table
            && keys::has_unique_index(self.shadow, &located.named.table)?)
    }

    /// Rows of a content that cannot all be indexed, since their keys do not tell them apart: how many,
    /// and some of them by their keys, with why.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn unfit_keys(self, located: &Located, most: i64) -> Result<(i64, Vec<(Value, String)>)> {
        if !matches!(located.origin, Origin::Table | Origin::View) {
            return Ok((0, Vec::new()));
        }
        let (key, from) = self.source(located);
        let _reading = self.shadow.index.reading_content();
        let mut read = self.shadow.plain_sql(&format!(
            "SELECT {key}, typeof({key}), count(*), sum(count(*)) OVER () FROM {from} \
             GROUP BY {key} HAVING typeof({key}) <> 'integer' OR count(*) > 1 ORDER BY {key} LIMIT ?1"
        ))?;
        read.bind(1, &Value::Integer(most))?;
        let (mut all, mut some) = (0, Vec::new());
        while read.step()? == Row::Ready {
            all = read.integer(3).unwrap_or(0);
            let (is_integer, times) = (read.integer(0).is_some(), read.integer(2).unwrap_or(0));
            let why = match is_integer {
                true => format!(
                    "{times} rows of the content have this key, and only one of them is indexed"
                ),
                false => format!(
                    "the key is {}, expected an integer: the row is not indexed",
                    read.text(1)?.unwrap_or_default().to_uppercase()
                ),
            };
            some.push((read.column(0)?, why));
        }
        Ok((all, some))
    }

    // ---- rows

    /// The key of the content, and what it is FROM. Every name is qualified: SQLite takes a bare
    /// `"name"` that is no column for a text.
    pub fn source(self, located: &Located) -> (String, String) {
        let names = self.shadow.names();
        if located.origin == Origin::Contentless {
            let (rows, text) = (names.table("rows"), names.table("text"));
            let from = format!("{rows} AS r LEFT JOIN {text} AS t ON t.id = r.id");
            return ("r.id".to_owned(), from);
        }
        let key = format!("c.{}", quote_name(&located.named.key));
        (
            key,
            format!("{} AS c", names.in_schema(&located.named.table)),
        )
    }

    /// A SELECT of key and columns, for [`Self::present`], up to before WHERE; and the key.
    pub fn select(self, located: &Located) -> (String, String) {
        let (key, from) = self.source(located);
        let columns = self
            .shadow
            .spec()
            .columns
            .iter()
            .zip(&located.named.columns);
        let columns: String = columns
            .map(|(c, name)| match (located.origin, c.indexed) {
                (Origin::Contentless, true) => format!(", t.{name}"),
                (Origin::Contentless, false) => format!(", r.{name}"),
                _ => format!(", c.{}", quote_name(name)),
            })
            .collect();
        let kept = if located.origin == Origin::Contentless {
            ", t.id"
        } else {
            ""
        };
        (format!("SELECT {key}{columns}{kept} FROM {from}"), key)
    }

    /// The rows of these keys that are there, in any order.
    ///
    /// # Errors
    /// The content is gone or has changed.
    pub fn fetch(self, located: &Located, ids: &[i64]) -> Result<Vec<Present>> {
        let (from, key) = self.select(located);
        let mut read = match ids {
            [] => return Ok(Vec::new()),
            [id] => {
                let mut read = self.shadow.plain_sql(&format!("{from} WHERE {key} = ?1"))?;
                read.bind(1, &Value::Integer(*id))?;
                read
            }
            ids => {
                let list = Json::from(ids).to_string();
                let list_of = "(SELECT value FROM json_each(?1))";
                let mut read = self
                    .shadow
                    .plain_sql(&format!("{from} WHERE {key} IN {list_of}"))?;
                read.bind(1, &Value::from(list))?;
                read
            }
        };
        let _reading = self.shadow.index.reading_content();
        let mut rows = Vec::with_capacity(ids.len());
        while read.step()? == Row::Ready {
            rows.extend(self.present(located, &read)?);
        }
        Ok(rows)
    }

    /// [`Self::fetch`], by key.
    ///
    /// # Errors
    /// As there.
    pub fn fetch_by_key(self, located: &Located, ids: &[i64]) -> Result<HashMap<i64, Present>> {
        let rows = self.fetch(located, ids)?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// Which of these keys are there.
    ///
    /// # Errors
    /// The content is gone or has changed.
    pub fn present_among(self, located: &Located, ids: &[i64]) -> Result<HashSet<i64>> {
        let (key, from) = self.source(located);
        let mut read = self.shadow.plain_sql(&format!(
            "SELECT {key} FROM {from} WHERE {key} IN (SELECT value FROM json_each(?1))"
        ))?;
        read.bind(1, &Value::from(Json::from(ids).to_string()))?;
        let _reading = self.shadow.index.reading_content();
        let mut found = HashSet::with_capacity(ids.len());
        while read.step()? == Row::Ready {
            found.extend(read.integer(0));
        }
        Ok(found)
    }

    /// The row that a statement of [`Self::select`] stands on; `None` where its key is no integer.
    ///
    /// # Errors
    /// Out of memory.
    pub fn present(self, located: &Located, read: &Statement<'_>) -> Result<Option<Present>> {
        let Some(id) = read.integer(0) else {
            return Ok(None);
        };
        let columns = self.shadow.spec().columns.iter().enumerate();
        // UNINDEXED values are what the declaration makes of them, whatever the content's own does.
        let values = columns.map(|(n, column)| match column.indexed {
            true => read.column(n + 1),
            false => Ok(apply(column.affinity, read.column(n + 1)?)),
        });
        let values: Vec<Value> = values.collect::<Result<_>>()?;
        let kept =
            located.origin != Origin::Contentless || read.integer(values.len() + 1).is_some();
        let joined = kept.then(|| self.join(&values));
        Ok(Some(Present { id, values, joined }))
    }

    /// What of these values is embedded.
    pub fn join(self, values: &[Value]) -> Joined {
        let columns = self.shadow.spec().columns.iter().zip(values);
        join(
            columns
                .filter(|(c, _)| c.indexed)
                .map(|(c, v)| (c.name.as_str(), v)),
        )
    }

    /// The UNINDEXED values among all.
    pub fn others_of(self, values: &[Value]) -> Vec<Value> {
        self.shadow
            .others()
            .map(|(n, _)| values[n].clone())
            .collect()
    }

    // ---- texts that are kept here

    /// Whether a row has a text here.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has_text(self, id: i64) -> Result<bool> {
        let find = self.shadow.sql("SELECT 1 FROM {text} WHERE id = ?1")?;
        Ok(find.with(&[Value::Integer(id)])?.first()?.is_some())
    }

    /// Keeps the values of a row; its rowid, which SQLite chooses where none is given. `replace`: also
    /// where the row has some.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn keep(self, id: Option<i64>, values: &[Value], replace: bool) -> Result<i64> {
        let places: String = (0..values.len()).map(|n| format!(", ?{}", n + 2)).collect();
        let columns: String = (0..values.len()).map(|n| format!(", c{n}")).collect();
        let verb = if replace { "REPLACE" } else { "INSERT" };
        let mut put = self.shadow.sql(&format!(
            "{verb} INTO {{text}}(id{columns}) VALUES (?1{places})"
        ))?;
        put.bind(1, &Value::from(id))?;
        for (n, value) in values.iter().enumerate() {
            put.bind(n + 2, value)?;
        }
        put.run()?;
        Ok(self.shadow.host.db.last_insert_rowid())
    }

    /// Changes one value that is kept, of column `n`.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set(self, id: i64, n: usize, value: &Value) -> Result<()> {
        let update = format!("UPDATE {{text}} SET c{n} = ?2 WHERE id = ?1");
        let mut update = self.shadow.sql(&update)?;
        update.bind(1, &Value::Integer(id))?;
        update.bind(2, value)?;
        update.run()
    }

    /// Gives the values of a row to another one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn renumber(self, old: i64, new: i64) -> Result<()> {
        let update = "UPDATE OR REPLACE {text} SET id = ?2 WHERE id = ?1";
        let values = [Value::Integer(old), Value::Integer(new)];
        self.shadow.sql(update)?.with(&values)?.run()
    }

    /// Forgets the values of a row.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn forget(self, id: i64) -> Result<()> {
        let delete = self.shadow.sql("DELETE FROM {text} WHERE id = ?1")?;
        delete.with(&[Value::Integer(id)])?.run()
    }
}
