//! The shadow tables as such: their names, which of them are there, statements on them, and the settings
//! of the index in `_config`. What the other tables mean, their owners know: [`super::notes`] (`_log`),
//! [`super::records`] (`_rows`), [`super::vectors`] (`_passages`, `_codes`), [`super::content`] (`_text`).
//!
//! Nothing read here outlives the statement that is running: after a ROLLBACK it would be wrong.

use super::damage::corrupt;
use super::database::Database;
use super::declare::{Column, ContentMode, Spec};
use super::names::{Names, shadow_tables};
use super::statements::{Kept, Statements};
use crate::error::{Error, Result};
use crate::sql::ffi::{Host, Row, Value};
use crate::sql::lexer::quote_name;
use crate::vector::storage::Storage;
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;

/// The format of shadow tables that this version writes.
pub const FORMAT: i64 = 1;

/// What a connection knows of an index: its names, its declaration, statements.
pub struct Index {
    /// Its schema and name.
    pub names: Names,
    /// Its declaration.
    pub spec: Spec,
    /// Statements on its tables.
    pub statements: Statements,
    /// What of the index is being used right now.
    pub in_use: Cell<InUse>,
    /// Which database the index is in, once somebody has asked.
    pub database: OnceCell<Database>,
    /// The schema's version when the shadow tables were last found to be ours.
    verified: Cell<Option<i64>>,
}

/// What a connection does with an index at the moment. SQL that an index runs itself must not come
/// back to it: a content that reads the index, or a shadow table that is a view over it, would never
/// end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InUse {
    /// Nothing.
    #[default]
    No,
    /// A call of SQLite's is being answered.
    Tables,
    /// The same, and the user's content is being read for it.
    Content,
}

/// Until it is dropped, the index is in use.
pub struct Using<'i> {
    index: &'i Index,
    before: InUse,
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        self.index.in_use.set(self.before);
    }
}

impl Index {
    /// An index of these names.
    pub fn new(names: Names, spec: Spec) -> Self {
        Index {
            names,
            spec,
            statements: Statements::default(),
            in_use: Cell::default(),
            database: OnceCell::new(),
            verified: Cell::default(),
        }
    }

    /// Begins to answer a call of SQLite's.
    ///
    /// # Errors
    /// The call comes from SQL that this index runs itself.
    pub fn answer(&self) -> Result<Using<'_>> {
        match self.in_use.get() {
            InUse::No => Ok(self.using(InUse::Tables)),
            InUse::Content => Err(Error::invalid(
                "the content of this index reads the index itself",
            )),
            InUse::Tables => Err(corrupt(
                "one of its own tables reads or writes the index itself",
            )),
        }
    }

    /// Says that the content is being read.
    pub fn reading_content(&self) -> Using<'_> {
        self.using(InUse::Content)
    }

    fn using(&self, what: InUse) -> Using<'_> {
        Using {
            index: self,
            before: self.in_use.replace(what),
        }
    }
}

/// The shadow tables of an index in use by the running statement.
#[derive(Clone, Copy)]
pub struct Shadow<'a> {
    /// The connection.
    pub host: &'a Host<'a>,
    /// The index.
    pub index: &'a Index,
}

/// What is known of all vectors of an index.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Changes whenever work under way must start again: at `rebuild`, and with the model.
    pub generation: i64,
    /// The model's name and fingerprint, once something was embedded.
    pub model: Option<(String, Vec<u8>)>,
    /// Dimensions, once there is a vector.
    pub dims: Option<usize>,
    /// The key that a full scan of the content has passed.
    pub scanned: Scanned,
}

/// How far a full scan of the content has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scanned {
    /// Not begun.
    #[default]
    Nothing,
    /// Up to this key.
    To(i64),
    /// Everything.
    All,
}

impl<'a> Shadow<'a> {
    /// Its schema and name.
    pub fn names(self) -> &'a Names {
        &self.index.names
    }

    /// Its declaration.
    pub fn spec(self) -> &'a Spec {
        &self.index.spec
    }

    /// How vectors are kept.
    pub fn storage(self) -> Storage {
        self.index.spec.storage
    }

    /// The database that it is in.
    pub fn database(self) -> Database {
        let find = || Database::of(self.host.db.file_of(&self.index.names.schema).as_deref());
        *self.index.database.get_or_init(find)
    }

    // ---- statements

    /// A kept statement. In `sql`, `{rows}` and the like stand for the shadow tables.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn sql(self, sql: &str) -> Result<Kept<'a>> {
        self.kept(sql, || self.index.names.expand(sql))
    }

    /// A kept statement, with names of the user's in it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn plain_sql(self, sql: &str) -> Result<Kept<'a>> {
        self.kept(sql, || sql.to_owned())
    }

    /// A kept statement, by a name of its own.
    ///
    /// # Errors
    /// What SQLite says of the text.
    pub fn kept(self, name: &str, text: impl FnOnce() -> String) -> Result<Kept<'a>> {
        self.index.statements.get(self.host, name, text)
    }

    // ---- the tables

    /// Whether all shadow tables that are there are ordinary tables without triggers: a view in the
    /// place of one, or a trigger on one, would have whatever reads or writes the index run SQL of
    /// somebody else's. Looked at again when the schema has changed.
    ///
    /// # Errors
    /// One is something else, or has a trigger.
    pub fn verify(self) -> Result<()> {
        let version = self.schema_version()?;
        if version.is_some() && self.index.verified.get() == version {
            return Ok(());
        }
        for (suffix, fault) in self.foreign()? {
            return Err(corrupt(format_args!(
                "'{}' {fault}",
                self.index.names.bare(suffix)
            )));
        }
        self.index.verified.set(version);
        Ok(())
    }

    /// [`Self::verify`], for a call that is made for each row: not again for a table that was
    /// connected and looked at.
    ///
    /// # Errors
    /// As there.
    pub fn verify_once(self) -> Result<()> {
        match self.index.verified.get() {
            Some(_) => Ok(()),
            None => self.verify(),
        }
    }

    fn schema_version(self) -> Result<Option<i64>> {
        let read = self.kept("schema version", || {
            format!("PRAGMA {}.schema_version", quote_name(&self.index.names.schema))
        })?;
        read.integer_of_first()
    }

    /// Shadow tables that are none of ours, and why.
    fn foreign(self) -> Result<Vec<(&'static str, String)>> {
        let schema = self.index.names.schema_table();
        let mut find = self.kept("what the tables are", || {
            format!(
                "SELECT s.name, s.type = 'table' AND s.sql LIKE 'create table%', s.type, \
                   (SELECT name FROM {schema} WHERE type = 'trigger' AND tbl_name = s.name COLLATE NOCASE) \
                 FROM {schema} AS s WHERE s.type IN ('table', 'view') \
                 AND s.name COLLATE NOCASE IN (SELECT value FROM json_each(?1))"
            )
        })?;
        let wanted: Vec<String> = shadow_tables().map(|t| self.index.names.bare(t)).collect();
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
                let what = if what == "view" { "a view" } else { "a virtual table" };
                foreign.push((suffix, format!("is {what}, and should be a table of this index")));
            } else if let Some(trigger) = find.text(3)? {
                foreign.push((suffix, format!("has a trigger, '{trigger}', that is not of this index")));
            }
        }
        Ok(foreign)
    }

    /// The shadow tables that are there, and are tables.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn present(self) -> Result<Vec<&'static str>> {
        let foreign = self.foreign()?;
        let mut present = Vec::new();
        for suffix in shadow_tables() {
            let is_foreign = foreign.iter().any(|(other, fault)| *other == suffix && fault.starts_with("is "));
            if !is_foreign && self.has_table(suffix)? {
                present.push(suffix);
            }
        }
        Ok(present)
    }

    /// Whether a shadow table is there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has_table(self, suffix: &str) -> Result<bool> {
        let find = self.kept("has table", || {
            let list = self.index.names.schema_table();
            format!("SELECT 1 FROM {list} WHERE type = 'table' AND name = ?1 COLLATE NOCASE")
        })?;
        let name = Value::from(self.index.names.bare(suffix));
        Ok(find.with(&[name])?.integer_of_first()?.is_some())
    }

    /// Makes the shadow tables. (Not the triggers.)
    ///
    /// # Errors
    /// One is there already; what SQLite says.
    pub fn create_tables(self) -> Result<()> {
        for (suffix, definition) in self.definitions() {
            self.create_table(suffix, &definition, "")?;
        }
        self.begin()
    }

    fn create_table(self, suffix: &str, definition: &str, unless: &str) -> Result<()> {
        let table = self.index.names.table(suffix);
        self.host
            .db
            .execute(&format!("CREATE TABLE {unless}{table}{definition}"))
    }

    /// What follows the names of the shadow tables that this index has.
    fn definitions(self) -> Vec<(&'static str, String)> {
        let columns = || self.spec().columns.iter().enumerate();
        let others: String = self.others().map(|(n, c)| column(n, c)).collect();
        let mut definitions = vec![
            ("config", "(k TEXT PRIMARY KEY, v) WITHOUT ROWID".to_owned()),
            (
                "log",
                "(seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER)".to_owned(),
            ),
            (
                "rows",
                format!("(id INTEGER PRIMARY KEY, hash, problem{others})"),
            ),
            (
                "passages",
                "(slot INTEGER PRIMARY KEY, row INTEGER, start, stop, vector, UNIQUE (row, slot))"
                    .to_owned(),
            ),
            (
                "codes",
                "(chunk INTEGER PRIMARY KEY, stamp, used, live, codes)".to_owned(),
            ),
        ];
        if self.keeps_text() {
            let all: String = columns().map(|(n, c)| column(n, c)).collect();
            definitions.push(("text", format!("(id INTEGER PRIMARY KEY{all})")));
        }
        definitions
    }

    fn begin(self) -> Result<()> {
        self.set("format", Value::Integer(FORMAT))?;
        self.set("generation", Value::Integer(1))
    }

    /// Drops those shadow tables that are there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn drop_tables(self) -> Result<()> {
        let present = self.present()?;
        self.index.statements.clear();
        for suffix in present {
            let table = self.index.names.table(suffix);
            self.host.db.execute(&format!("DROP TABLE {table}"))?;
        }
        Ok(())
    }

    /// Makes those that are missing, and empties all but the texts. (While the statement runs that
    /// asks for it, SQLite refuses to drop a table.)
    ///
    /// # Errors
    /// What SQLite says.
    pub fn empty_tables(self) -> Result<()> {
        for (suffix, definition) in self.definitions() {
            self.create_table(suffix, &definition, "IF NOT EXISTS ")?;
            if suffix != "text" {
                self.sql(&format!("DELETE FROM {{{suffix}}}"))?.run()?;
            }
        }
        self.begin()
    }

    /// Whether texts are kept, always or until they are embedded.
    pub fn keeps_text(self) -> bool {
        !matches!(self.spec().content, ContentMode::External { .. })
    }

    /// The UNINDEXED columns, with their numbers among all columns.
    pub fn others(self) -> impl Iterator<Item = (usize, &'a Column)> {
        let columns = self.index.spec.columns.iter().enumerate();
        columns.filter(|(_, column)| !column.indexed)
    }

    // ---- settings

    /// A setting; NULL where there is none.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn get(self, key: &str) -> Result<Value> {
        let mut find = self.sql("SELECT v FROM {config} WHERE k = ?1")?;
        find.bind(1, &Value::from(key))?;
        Ok(match find.step()? {
            Row::Ready => find.column(0)?,
            Row::Done => Value::Null,
        })
    }

    /// Writes a setting.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set(self, key: &str, value: Value) -> Result<()> {
        let put = self.sql("REPLACE INTO {config}(k, v) VALUES (?1, ?2)")?;
        put.with(&[Value::from(key), value])?.run()
    }

    /// Writes nothing new, so that this connection has the right to write.
    ///
    /// # Errors
    /// What SQLite says: BUSY above all.
    pub fn touch(self) -> Result<()> {
        self.sql("UPDATE {config} SET v = v WHERE k = 'generation'")?
            .run()
    }

    /// All that searching and syncing must know, read in one statement: of two, each may see another
    /// process's commit.
    ///
    /// # Errors
    /// A format of a newer version; damage.
    pub fn settings(self) -> Result<Settings> {
        let mut read = self.sql(
            "SELECT k, v FROM {config} \
             WHERE k IN ('format', 'generation', 'model', 'fingerprint', 'dims', 'scan')",
        )?;
        let mut found = HashMap::new();
        while read.step()? == Row::Ready {
            found.insert(read.text(0)?.unwrap_or_default(), read.column(1)?);
        }
        let mut take = |key: &str| found.remove(key).unwrap_or(Value::Null);
        known_format(&take("format"))?;
        let model = match (take("model"), take("fingerprint")) {
            (Value::Null, Value::Null) => None,
            (name, Value::Blob(print)) if name.as_str().is_some() => {
                name.as_str().map(|name| (name.to_owned(), print))
            }
            _ => {
                return Err(corrupt(
                    "the model's name and fingerprint do not go together",
                ));
            }
        };
        let dims = match take("dims") {
            Value::Null => None,
            value => {
                let dims = integer(&value, "dims")?;
                let dims = usize::try_from(dims)
                    .ok()
                    .filter(|d| (1..=1 << 20).contains(d));
                Some(dims.ok_or_else(|| corrupt("dims is out of range"))?)
            }
        };
        let scanned = match take("scan") {
            Value::Null => Scanned::Nothing,
            Value::Integer(key) => Scanned::To(key),
            value if value.as_str() == Some("all") => Scanned::All,
            other => return Err(corrupt(format_args!("scan is {other:?}"))),
        };
        Ok(Settings {
            generation: integer(&take("generation"), "generation")?,
            model,
            dims,
            scanned,
        })
    }

    /// # Errors
    /// A format that this version does not know.
    pub fn check_format(self) -> Result<()> {
        known_format(&self.get("format")?)
    }

    /// Says how far a scan has come.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_scanned(self, scanned: Scanned) -> Result<()> {
        let value = match scanned {
            Scanned::Nothing => Value::Null,
            Scanned::To(key) => Value::Integer(key),
            Scanned::All => Value::from("all"),
        };
        self.set("scan", value)
    }
}

fn integer(value: &Value, what: &str) -> Result<i64> {
    let wrong = || corrupt(format_args!("{what} is {value:?}"));
    value.as_integer().ok_or_else(wrong)
}

fn known_format(format: &Value) -> Result<()> {
    match format {
        Value::Integer(FORMAT) => Ok(()),
        Value::Integer(newer) if *newer > FORMAT => Err(Error::invalid(format!(
            "the index has format {newer}, this version of sqlite-bge ({}) reads {FORMAT}; \
             use a newer version, or drop the index and make it again",
            crate::VERSION
        ))),
        other => Err(corrupt(format_args!("its format is {other:?}"))),
    }
}

/// A column of ours for a column of the user's: `, c2 TEXT COLLATE NOCASE`.
fn column(n: usize, column: &Column) -> String {
    let collation = column.collation.as_ref();
    let collation = collation.map(|c| format!(" COLLATE {}", quote_name(c)));
    // An indexed column's value is kept as it came.
    let declared = if column.indexed { "" } else { &column.declared };
    format!(", c{n} {declared}{}", collation.unwrap_or_default())
}
