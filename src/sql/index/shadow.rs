//! The shadow tables as such: their names, which of them are there, statements on them, and the settings
//! of the index in `_config`. What the other tables mean, their owners know: [`super::notes`] (`_log`),
//! [`super::records`] (`_rows`), [`super::vectors`] (`_passages`, `_codes`), [`super::content`] (`_text`).
//!
//! Nothing read here outlives the statement that is running: after a ROLLBACK it would be wrong.

use super::damage::corrupt;
use super::database::Database;
use super::declare::{Column, ContentMode, Spec};
use super::handle::Index;
use super::names::{LOG, Names, shadow_tables};
use super::passage_size::{KeptDefaults, PassageSize};
use super::statements::Kept;
use crate::error::{Error, Result, if_there};
use crate::sql::ffi::{Host, Row, Statement, Value};
use crate::sql::lexer::quote_name;
use crate::vector::storage::Storage;
use std::collections::HashMap;

/// What follows the log's name in CREATE TABLE.
const LOG_DEFINITION: &str = "(seq INTEGER PRIMARY KEY AUTOINCREMENT, id INTEGER)";

/// A write that changes nothing.
const TOUCH: &str = "UPDATE {config} SET v = v WHERE k = 'generation'";

/// The format of shadow tables that this version writes.
pub const FORMAT: i64 = 2;
/// The oldest one that is read, and written as it is: there, a log was made with the index.
const OLDEST: i64 = 1;

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
    /// The default ranking.
    pub rank: Option<String>,
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
        let kept = self.index.statements.get(self.host, name, text);
        kept.map_err(|e| self.missing(&e).unwrap_or(e))
    }

    /// The damage that a statement's refusal tells: one of our tables is not there.
    fn missing(self, error: &Error) -> Option<Error> {
        let table = error.message().strip_prefix("no such table: ")?;
        let name = table.rsplit('.').next()?;
        let ours = shadow_tables().any(|suffix| self.names().bare(suffix) == name);
        ours.then(|| corrupt(format_args!("its shadow table '{name}' is missing")))
    }

    // ---- the tables

    /// The text that the index was made with; `None` where it is gone.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn declaration(self) -> Result<Option<String>> {
        let mut find = self.kept("declaration", || {
            let list = self.names().schema_table();
            format!("SELECT sql FROM {list} WHERE type = 'table' AND name = ?1 COLLATE NOCASE")
        })?;
        find.bind(1, &Value::from(self.names().index.as_str()))?;
        match find.step()? {
            Row::Ready => find.text(0),
            Row::Done => Ok(None),
        }
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
            if !self.can_adopt(suffix, &definition)? {
                self.create_table(suffix, &definition, "")?;
            }
        }
        if self.has_table(LOG)? && !self.can_adopt(LOG, LOG_DEFINITION)? {
            // SQLite's own words.
            self.create_table(LOG, LOG_DEFINITION, "")?;
        }
        self.begin(KeptDefaults::of_today(self.spec()))
    }

    /// Whether a table is there that is exactly the one to be made, and is empty: a dump may bring the
    /// shadow tables before the index.
    fn can_adopt(self, suffix: &str, definition: &str) -> Result<bool> {
        let schema = self.names().schema_table();
        let name = self.names().bare(suffix);
        let mut find = Statement::prepare(
            self.host.db,
            &format!("SELECT sql FROM {schema} WHERE type = 'table' AND name = ?1 COLLATE NOCASE"),
        )?;
        find.bind(1, &Value::from(name))?;
        let same = find.step()? == Row::Ready
            && find
                .column(0)?
                .as_str()
                .is_some_and(|sql| sql.ends_with(definition));
        if !same {
            return Ok(false);
        }
        let any = format!("SELECT 1 FROM {} LIMIT 1", self.names().table(suffix));
        let mut any = Statement::prepare(self.host.db, &any)?;
        Ok(any.step()? == Row::Done)
    }

    /// Makes the log, unless it is there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn create_log(self) -> Result<()> {
        self.create_table(LOG, LOG_DEFINITION, "IF NOT EXISTS ")
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

    fn begin(self, sizes: KeptDefaults) -> Result<()> {
        self.set("format", Value::Integer(FORMAT))?;
        for (key, value) in sizes.settings() {
            self.set(key, value)?;
        }
        self.set("generation", Value::Integer(1))
    }

    /// Drops these shadow tables.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn drop_tables(self, suffixes: &[&str]) -> Result<()> {
        self.index.statements.clear();
        for suffix in suffixes {
            let table = self.index.names.table(suffix);
            self.host.db.execute(&format!("DROP TABLE {table}"))?;
        }
        Ok(())
    }

    /// Makes those that are missing, and empties all but the texts; what was the default for passages stays so. (While
    /// the statement runs that asks for it, SQLite refuses to drop a table.)
    ///
    /// # Errors
    /// What SQLite says.
    pub fn empty_tables(self) -> Result<()> {
        let kept = if_there(self.kept_defaults())?;
        let sizes = kept.unwrap_or_else(|| KeptDefaults::of_today(self.spec()));
        for (suffix, definition) in self.definitions() {
            self.create_table(suffix, &definition, "IF NOT EXISTS ")?;
            if suffix != "text" {
                self.sql(&format!("DELETE FROM {{{suffix}}}"))?.run()?;
            }
        }
        if self.has_table(LOG)? {
            self.sql("DELETE FROM {log}")?.run()?;
        }
        self.begin(sizes)
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

    fn kept_defaults(self) -> Result<KeptDefaults> {
        KeptDefaults::of_settings(|key| self.get(key))
    }

    /// How long texts are cut.
    ///
    /// # Errors
    /// What SQLite says; a setting that no index can have.
    pub fn passage_size(self) -> Result<PassageSize> {
        Ok(PassageSize::of(self.spec(), self.kept_defaults()?))
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
        self.sql(TOUCH)?.run()
    }

    /// Prepares what [`Self::touch`] runs.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn prepare_touch(self) -> Result<()> {
        self.sql(TOUCH).map(drop)
    }

    /// All that searching and syncing must know, read in one statement: of two, each may see another
    /// process's commit.
    ///
    /// # Errors
    /// A format of a newer version; damage.
    pub fn settings(self) -> Result<Settings> {
        let mut read = self.sql(
            "SELECT k, v FROM {config} \
             WHERE k IN ('format', 'generation', 'model', 'fingerprint', 'dims', 'scan', 'rank')",
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
        let rank = match take("rank") {
            Value::Null => None,
            value => match value.as_str() {
                Some(text) => Some(text.to_owned()),
                None => return Err(corrupt(format_args!("rank is {value:?}"))),
            },
        };
        Ok(Settings {
            rank,
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
        Value::Integer(OLDEST..=FORMAT) => Ok(()),
        Value::Integer(newer) if *newer > FORMAT => Err(Error::invalid(format!(
            "the index has format {newer}, this version of sqlite-bge ({}) reads {OLDEST} to {FORMAT}; \
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
