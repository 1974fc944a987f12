//! Where the texts of an index are: a table or view of the user's, the index itself, or nowhere.
//!
//! [`Store::declare_content`] looks at it once, when the index is made; [`Store::content`] finds it
//! again in every statement, whatever was renamed meanwhile. Rows are read by [`Store::fetch`],
//! which is the same for all.

use super::compare::{Affinity, affinity_of, apply};
use super::declare::Content as Declared;
use super::names::{quoted, text};
use super::store::{Scanned, Store};
use super::text::{Joined, join};
use super::triggers::Named;
use crate::error::{Error, Result};
use crate::sql::ffi::{Row, Statement, Value};
use serde_json::Value as Json;
use std::collections::HashMap;

/// What kind of place the texts are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An ordinary table: one lookup a row.
    Table,
    /// A view, or a virtual table: one lookup a batch.
    View,
    /// The index keeps the texts.
    Own,
    /// The index keeps a text only until it is embedded.
    Nothing,
}

/// How changes come to be noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noting {
    /// By triggers, or by the index itself where it keeps the text.
    On,
    /// Not at all: every sync compares all rows.
    Off,
    /// By triggers that are gone: something dropped or rebuilt the content table.
    Lost,
}

/// The content, as it is called now.
#[derive(Clone, Debug)]
pub struct Content {
    /// What it is.
    pub kind: Kind,
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

impl Store<'_> {
    /// Checks the content that was declared, finds its key, and notes its names.
    ///
    /// # Errors
    /// No such table or column, no key that is fit.
    pub fn declare_content(&self) -> Result<()> {
        let Declared::Table { name, key } = &self.index.spec.content else {
            return self.set("scan", Value::from("all"));
        };
        let (table, kind) = self.table_kind(name)?;
        let columns = self.columns_of(&table)?;
        let find = |wanted: &str| {
            let same = |c: &&ColumnOf| c.name.eq_ignore_ascii_case(wanted);
            columns.iter().find(same).map(|c| c.name.clone())
        };
        let key = match kind {
            Kind::View => self.key_of_view(&table, key.as_deref(), find)?,
            _ => self.key_of_table(&table, key.as_deref(), &columns)?,
        };
        let mut named = Vec::new();
        for column in &self.index.spec.columns {
            named.push(find(&column.name).ok_or_else(|| {
                Error::invalid(format!(
                    "content '{table}' has no column '{}'; it has {}",
                    column.name,
                    list(&columns)
                ))
            })?);
        }
        let triggers = self.index.spec.triggers.unwrap_or(kind == Kind::Table);
        if triggers && kind == Kind::View {
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
        self.remember_content(&named)?;
        self.set("triggers", Value::Integer(i64::from(triggers)))?;
        if triggers {
            self.create_triggers(&named)?;
            // Of an empty table, from now on every row has a note: there is nothing to scan.
            let table = self.index.names.in_schema(&named.table);
            let any = self.plain_sql(&format!("SELECT 1 FROM {table} LIMIT 1"))?;
            if any.integer_of_first()?.is_none() {
                self.set_scanned(Scanned::All)?;
            }
        }
        Ok(())
    }

    /// Writes down the content's names, for the time when its triggers are lost.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remember_content(&self, named: &Named) -> Result<()> {
        self.set("content", Value::from(named.table.clone()))?;
        self.set("key", Value::from(named.key.clone()))?;
        let columns = Json::from(named.columns.clone()).to_string();
        self.set("columns", Value::from(columns))
    }

    /// The content as it is called now.
    ///
    /// # Errors
    /// It is gone.
    pub fn content(&self) -> Result<Content> {
        if self.keeps_text() {
            let own = self.index.spec.content == Declared::Own;
            return Ok(Content {
                kind: if own { Kind::Own } else { Kind::Nothing },
                noting: Noting::On,
                named: self.own_names(),
            });
        }
        let wanted = self.get("triggers")? != Value::Integer(0);
        let found = if wanted { self.read_triggers()? } else { None };
        let noting = match (wanted, &found) {
            (false, _) => Noting::Off,
            (true, Some(_)) => Noting::On,
            (true, None) => Noting::Lost,
        };
        let mut named = match found {
            Some(named) => named,
            None => self.remembered()?,
        };
        let (table, kind) = self.table_kind(&named.table)?;
        named.table = table;
        if noting != Noting::On {
            // Nobody has followed its names.
            self.check_columns(&named)?;
        }
        Ok(Content {
            kind,
            noting,
            named,
        })
    }

    fn check_columns(&self, named: &Named) -> Result<()> {
        let columns = self.columns_of(&named.table)?;
        for wanted in named.columns.iter().chain([&named.key]) {
            if !columns.iter().any(|c| c.name.eq_ignore_ascii_case(wanted)) {
                return Err(Error::invalid(format!(
                    "content '{}' no longer has column '{wanted}'; it has {}; put it back, or drop \
                     the index and make it again",
                    named.table,
                    list(&columns)
                )));
            }
        }
        Ok(())
    }

    /// The content's names as they were written down.
    ///
    /// # Errors
    /// Damage.
    pub fn remembered(&self) -> Result<Named> {
        let get = |key: &str| -> Result<String> {
            let missing = || super::store::corrupt(format_args!("setting {key} is missing"));
            text(&self.get(key)?).ok_or_else(missing)
        };
        let columns: Vec<String> = serde_json::from_str(&get("columns")?)
            .map_err(|e| super::store::corrupt(format_args!("setting columns: {e}")))?;
        if columns.len() != self.index.spec.columns.len() {
            return Err(super::store::corrupt("setting columns has another length"));
        }
        Ok(Named {
            table: get("content")?,
            key: get("key")?,
            columns,
        })
    }

    fn own_names(&self) -> Named {
        let count = self.index.spec.columns.len();
        Named {
            table: self.index.names.bare("text"),
            key: "id".to_owned(),
            columns: (0..count).map(|n| format!("c{n}")).collect(),
        }
    }

    /// The true name of a table of our schema, and what it is.
    fn table_kind(&self, name: &str) -> Result<(String, Kind)> {
        let names = &self.index.names;
        let mut find = self.index.statements.get(self.host, "table kind", || {
            format!(
                "SELECT name, type, coalesce(sql, '') LIKE 'create virtual %' FROM {} \
                 WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
                names.schema_table()
            )
        })?;
        find.bind(1, &Value::from(name))?;
        if find.step()? == Row::Done {
            return Err(Error::invalid(format!(
                "there is no table or view '{name}' in schema '{}', where content of '{}' is to be; \
                 an index and its content are in one schema",
                names.schema, names.index
            )));
        }
        let is_table = text(&find.column(1)?).as_deref() == Some("table");
        let kind = match is_table && find.integer(2) == Some(0) {
            true => Kind::Table,
            false => Kind::View,
        };
        Ok((text(&find.column(0)?).unwrap_or_default(), kind))
    }

    fn columns_of(&self, table: &str) -> Result<Vec<ColumnOf>> {
        let mut list = self.index.statements.get(self.host, "columns", || {
            "SELECT name, type, pk FROM pragma_table_xinfo(?1, ?2)".to_owned()
        })?;
        list.bind(1, &Value::from(table))?;
        list.bind(2, &Value::from(self.index.names.schema.clone()))?;
        let mut columns = Vec::new();
        while list.step()? == Row::Ready {
            columns.push(ColumnOf {
                name: text(&list.column(0)?).unwrap_or_default(),
                declared: text(&list.column(1)?).unwrap_or_default(),
                in_key: list.integer(2).unwrap_or(0) > 0,
            });
        }
        Ok(columns)
    }

    fn key_of_view(
        &self,
        view: &str,
        given: Option<&str>,
        find: impl Fn(&str) -> Option<String>,
    ) -> Result<String> {
        let given = given.ok_or_else(|| {
            Error::invalid(format!(
                "content '{view}' is no ordinary table, so its key must be named: content_rowid='...'"
            ))
        })?;
        find(given).ok_or_else(|| no_column(view, given))
    }

    fn key_of_table(
        &self,
        table: &str,
        given: Option<&str>,
        columns: &[ColumnOf],
    ) -> Result<String> {
        let indexes = self.unique_indexes(table)?;
        let mut keys = columns.iter().filter(|c| c.in_key);
        let alias = match (keys.next(), keys.next()) {
            (Some(one), None) if one.declared.eq_ignore_ascii_case("integer") => {
                let by_index = indexes.iter().any(|index| index.of_key);
                (!by_index).then(|| one.name.clone())
            }
            _ => None,
        };
        let Some(given) = given else {
            return alias.ok_or_else(|| {
                Error::invalid(format!(
                    "table '{table}' has no INTEGER PRIMARY KEY, so VACUUM may renumber its rows; \
                     name an integer column that has a UNIQUE index: content_rowid='...'"
                ))
            });
        };
        let column = columns.iter().find(|c| c.name.eq_ignore_ascii_case(given));
        let Some(column) = column else {
            let is_rowid = ["rowid", "oid", "_rowid_"]
                .iter()
                .any(|r| given.eq_ignore_ascii_case(r));
            return match alias {
                Some(alias) if is_rowid => Ok(alias),
                _ => Err(no_column(table, given)),
            };
        };
        if matches!(
            affinity_of(&column.declared),
            Affinity::Text | Affinity::Real
        ) {
            return Err(Error::invalid(format!(
                "content_rowid '{given}' of '{table}' is declared {}, expected an integer column",
                column.declared
            )));
        }
        let unique = |index: &UniqueIndex| index.column.as_deref() == Some(column.name.as_str());
        if alias.as_ref() == Some(&column.name) || indexes.iter().any(unique) {
            return Ok(column.name.clone());
        }
        Err(Error::invalid(format!(
            "content_rowid '{given}' is neither the primary key of '{table}' nor has it a UNIQUE \
             index of its own; make one: CREATE UNIQUE INDEX ... ON {}({})",
            quoted(table),
            quoted(&column.name)
        )))
    }

    /// Whether a row of the content can be displaced without a note: by OR REPLACE through a
    /// UNIQUE index.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn can_be_displaced(&self, content: &Content) -> Result<bool> {
        Ok(content.kind == Kind::Table && !self.unique_indexes(&content.named.table)?.is_empty())
    }

    fn unique_indexes(&self, table: &str) -> Result<Vec<UniqueIndex>> {
        let mut list = self.index.statements.get(self.host, "unique indexes", || {
            "SELECT l.origin = 'pk', l.partial = 0 AND count(*) = 1, max(i.name) \
             FROM pragma_index_list(?1, ?2) AS l, pragma_index_info(l.name, ?2) AS i \
             WHERE l.\"unique\" GROUP BY l.seq"
                .to_owned()
        })?;
        list.bind(1, &Value::from(table))?;
        list.bind(2, &Value::from(self.index.names.schema.clone()))?;
        let mut indexes = Vec::new();
        while list.step()? == Row::Ready {
            let total_of_one = list.integer(1) == Some(1);
            indexes.push(UniqueIndex {
                of_key: list.integer(0) == Some(1),
                column: text(&list.column(2)?).filter(|_| total_of_one),
            });
        }
        Ok(indexes)
    }

    // ---- rows

    /// The key of the content, and what it is FROM. Every name is qualified: SQLite takes a bare
    /// `"name"` that is no column for a text.
    pub fn source(&self, content: &Content) -> (String, String) {
        let names = &self.index.names;
        if content.kind == Kind::Nothing {
            let (rows, text) = (names.table("rows"), names.table("text"));
            let from = format!("{rows} AS r LEFT JOIN {text} AS t ON t.id = r.id");
            return ("r.id".to_owned(), from);
        }
        let key = format!("c.{}", quoted(&content.named.key));
        (
            key,
            format!("{} AS c", names.in_schema(&content.named.table)),
        )
    }

    /// A SELECT of key and columns, for [`Self::present`], up to before WHERE; and the key.
    pub fn select(&self, content: &Content) -> (String, String) {
        let (key, from) = self.source(content);
        let columns = self.index.spec.columns.iter().zip(&content.named.columns);
        let columns: String = columns
            .map(|(c, name)| match (content.kind, c.indexed) {
                (Kind::Nothing, true) => format!(", t.{name}"),
                (Kind::Nothing, false) => format!(", r.{name}"),
                _ => format!(", c.{}", quoted(name)),
            })
            .collect();
        let kept = if content.kind == Kind::Nothing {
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
    pub fn fetch(&self, content: &Content, ids: &[i64]) -> Result<Vec<Present>> {
        let (from, key) = self.select(content);
        let mut read = match ids {
            [] => return Ok(Vec::new()),
            [id] => {
                let mut read = self.plain_sql(&format!("{from} WHERE {key} = ?1"))?;
                read.bind(1, &Value::Integer(*id))?;
                read
            }
            ids => {
                let list = Json::from(ids).to_string();
                let list_of = "(SELECT value FROM json_each(?1))";
                let mut read = self.plain_sql(&format!("{from} WHERE {key} IN {list_of}"))?;
                read.bind(1, &Value::from(list))?;
                read
            }
        };
        let _reading = self.index.reading();
        let mut rows = Vec::with_capacity(ids.len());
        while read.step()? == Row::Ready {
            rows.extend(self.present(content, &read)?);
        }
        Ok(rows)
    }

    /// [`Self::fetch`], by key.
    ///
    /// # Errors
    /// As there.
    pub fn fetch_by_key(&self, content: &Content, ids: &[i64]) -> Result<HashMap<i64, Present>> {
        let rows = self.fetch(content, ids)?;
        Ok(rows.into_iter().map(|row| (row.id, row)).collect())
    }

    /// The row that a statement of [`Self::select`] stands on; `None` where its key is no integer.
    ///
    /// # Errors
    /// Out of memory.
    pub fn present(&self, content: &Content, read: &Statement<'_>) -> Result<Option<Present>> {
        let Some(id) = read.integer(0) else {
            return Ok(None);
        };
        let columns = self.index.spec.columns.iter().enumerate();
        // UNINDEXED values are what the declaration makes of them, whatever the content's own does.
        let values = columns.map(|(n, column)| match column.indexed {
            true => read.column(n + 1),
            false => Ok(apply(column.affinity, read.column(n + 1)?)),
        });
        let values: Vec<Value> = values.collect::<Result<_>>()?;
        let kept = content.kind != Kind::Nothing || read.integer(values.len() + 1).is_some();
        let joined = kept.then(|| self.join(&values));
        Ok(Some(Present { id, values, joined }))
    }

    /// What of these values is embedded.
    pub fn join(&self, values: &[Value]) -> Joined {
        let columns = self.index.spec.columns.iter().zip(values);
        join(
            columns
                .filter(|(c, _)| c.indexed)
                .map(|(c, v)| (c.name.as_str(), v)),
        )
    }

    /// The UNINDEXED values among all.
    pub fn others_of(&self, values: &[Value]) -> Vec<Value> {
        self.others().map(|(n, _)| values[n].clone()).collect()
    }
}

struct ColumnOf {
    name: String,
    declared: String,
    in_key: bool,
}

fn list(columns: &[ColumnOf]) -> String {
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    names.join(", ")
}

struct UniqueIndex {
    of_key: bool,
    /// Its only column, where it is total and has one.
    column: Option<String>,
}

fn no_column(table: &str, name: &str) -> Error {
    Error::invalid(format!(
        "content '{table}' has no column '{name}', which content_rowid names"
    ))
}
