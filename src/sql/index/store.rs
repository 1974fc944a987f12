//! The shadow tables: made, read and written, one row at a time. What they mean is in
//! `docs/ARCHITECTURE.md`; the codes have their own file ([`super::code_store`]).
//!
//! Nothing read here outlives the statement that is running: after a ROLLBACK it would be wrong.

use super::declare::{Content, Spec};
use super::names::{Names, quoted, text};
use super::statements::{Kept, Statements};
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::{Host, Row, Value};
use crate::vector::storage::Storage;
use std::cell::Cell;

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
    /// Whether its content is being read: a content that reads the index would never end.
    pub is_reading: Cell<bool>,
}

/// While it lives, the content is being read.
pub struct Reading<'i>(&'i Cell<bool>, bool);

impl Index {
    /// Says that the content is being read.
    pub fn reading(&self) -> Reading<'_> {
        Reading(&self.is_reading, self.is_reading.replace(true))
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}

/// An index in use by the running statement.
#[derive(Clone, Copy)]
pub struct Store<'a> {
    /// The connection.
    pub host: &'a Host<'a>,
    /// The index.
    pub index: &'a Index,
}

/// A row of the index, as it was when it was embedded.
#[derive(Clone, Debug, PartialEq)]
pub struct Indexed {
    /// The hash of the text that its vectors are of.
    pub hash: Vec<u8>,
    /// Its UNINDEXED values.
    pub others: Vec<Value>,
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

/// Damaged shadow tables.
pub fn corrupt(what: impl std::fmt::Display) -> Error {
    const CORRUPT_VTAB: i32 = 11 | 1 << 8;
    let message =
        format!("the index is damaged: {what}; INSERT INTO t(t) VALUES ('rebuild') makes it anew");
    Error::new(Kind::Host(CORRUPT_VTAB), message)
}

impl<'a> Store<'a> {
    /// A kept statement. In `sql`, `{rows}` and the like stand for the shadow tables.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn sql(&self, sql: &str) -> Result<Kept<'a>> {
        let index = self.index;
        index
            .statements
            .get(self.host, sql, || index.names.expand(sql))
    }

    /// A kept statement, with names of the user's in it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn plain_sql(&self, sql: &str) -> Result<Kept<'a>> {
        self.index.statements.get(self.host, sql, || sql.to_owned())
    }

    /// Makes the shadow tables. (Not the triggers.)
    ///
    /// # Errors
    /// One is there already; what SQLite says.
    pub fn create_tables(&self) -> Result<()> {
        for (suffix, definition) in self.definitions() {
            let table = self.index.names.table(suffix);
            self.host
                .db
                .execute(&format!("CREATE TABLE {table}{definition}"))?;
        }
        self.create_text_table()?;
        self.begin()
    }

    /// What follows the names of all shadow tables but the texts.
    fn definitions(&self) -> [(&'static str, String); 5] {
        let others = self.others().map(|(n, c)| format!(", {}", column(n, c)));
        let others: String = others.collect();
        [
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
        ]
    }

    fn begin(&self) -> Result<()> {
        self.set("format", Value::Integer(FORMAT))?;
        self.set("generation", Value::Integer(1))
    }

    /// Makes the table of texts, where texts are kept.
    fn create_text_table(&self) -> Result<()> {
        if !self.keeps_text() {
            return Ok(());
        }
        let columns = self.index.spec.columns.iter().enumerate();
        let columns: String = columns
            .map(|(n, c)| format!(", {}", column(n, c)))
            .collect();
        let table = self.index.names.table("text");
        self.host.db.execute(&format!(
            "CREATE TABLE {table}(id INTEGER PRIMARY KEY{columns})"
        ))
    }

    /// Drops those shadow tables that are there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn drop_tables(&self) -> Result<()> {
        self.index.statements.clear();
        for suffix in super::names::SHADOWS.iter().chain(&["log"]) {
            let table = self.index.names.table(suffix);
            self.host
                .db
                .execute(&format!("DROP TABLE IF EXISTS {table}"))?;
        }
        Ok(())
    }

    /// Makes those that are missing, and empties all but the texts. (While the statement runs that
    /// asks for it, SQLite refuses to drop a table.)
    ///
    /// # Errors
    /// What SQLite says.
    pub fn empty_tables(&self) -> Result<()> {
        for (suffix, definition) in self.definitions() {
            let table = self.index.names.table(suffix);
            self.host.db.execute(&format!(
                "CREATE TABLE IF NOT EXISTS {table}{definition}; DELETE FROM {table}"
            ))?;
        }
        if self.keeps_text() && !self.has_table("text")? {
            self.create_text_table()?;
        }
        self.begin()
    }

    /// Whether texts are kept, always or until they are embedded.
    pub fn keeps_text(&self) -> bool {
        !matches!(self.index.spec.content, Content::Table { .. })
    }

    /// The UNINDEXED columns, with their numbers among all columns.
    pub fn others(&self) -> impl Iterator<Item = (usize, &'a super::declare::Column)> {
        let columns = self.index.spec.columns.iter().enumerate();
        columns.filter(|(_, column)| !column.indexed)
    }

    /// How vectors are kept.
    pub fn storage(&self) -> Storage {
        self.index.spec.storage
    }

    // ---- settings

    /// A setting; NULL where there is none.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn get(&self, key: &str) -> Result<Value> {
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
    pub fn set(&self, key: &str, value: Value) -> Result<()> {
        let put = self.sql("REPLACE INTO {config}(k, v) VALUES (?1, ?2)")?;
        put.with(&[Value::from(key), value])?.run()
    }

    /// All that searching and syncing must know.
    ///
    /// # Errors
    /// A format of a newer version; damage.
    pub fn settings(&self) -> Result<Settings> {
        self.check_format()?;
        let integer = |value: Value, what: &str| match value {
            Value::Integer(n) => Ok(n),
            other => Err(corrupt(format_args!("{what} is {other:?}"))),
        };
        let model = match (text(&self.get("model")?), self.get("fingerprint")?) {
            (Some(name), Value::Blob(print)) => Some((name, print)),
            (None, Value::Null) => None,
            _ => {
                return Err(corrupt(
                    "the model's name and fingerprint do not go together",
                ));
            }
        };
        let dims = match self.get("dims")? {
            Value::Null => None,
            value => {
                let dims = integer(value, "dims")?;
                let dims = usize::try_from(dims)
                    .ok()
                    .filter(|d| (1..=1 << 20).contains(d));
                Some(dims.ok_or_else(|| corrupt("dims is out of range"))?)
            }
        };
        let scanned = match self.get("scan")? {
            Value::Null => Scanned::Nothing,
            Value::Integer(key) => Scanned::To(key),
            value if text(&value).as_deref() == Some("all") => Scanned::All,
            other => return Err(corrupt(format_args!("scan is {other:?}"))),
        };
        Ok(Settings {
            generation: integer(self.get("generation")?, "generation")?,
            model,
            dims,
            scanned,
        })
    }

    /// # Errors
    /// A format that this version does not know.
    pub fn check_format(&self) -> Result<()> {
        match self.get("format")? {
            Value::Integer(FORMAT) => Ok(()),
            Value::Integer(newer) if newer > FORMAT => Err(Error::invalid(format!(
                "the index has format {newer}, this version of sqlite-bge ({}) reads {FORMAT}; \
                 use a newer version, or drop the index and make it again",
                crate::VERSION
            ))),
            other => Err(corrupt(format_args!("its format is {other:?}"))),
        }
    }

    /// Says how far a scan has come.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_scanned(&self, scanned: Scanned) -> Result<()> {
        let value = match scanned {
            Scanned::Nothing => Value::Null,
            Scanned::To(key) => Value::Integer(key),
            Scanned::All => Value::from("all"),
        };
        self.set("scan", value)
    }

    /// Fixes the dimensions at the first vector, and holds all others to them.
    ///
    /// # Errors
    /// A vector of other dimensions.
    pub fn fix_dims(&self, dims: usize, known: &Value) -> Result<()> {
        check_dims(dims, known)?;
        match known {
            Value::Null => self.set("dims", Value::Integer(dims as i64)),
            _ => Ok(()),
        }
    }

    /// Whether a vector could be written, before anything is.
    ///
    /// # Errors
    /// Other dimensions than the index has; values that its storage cannot hold.
    pub fn check_vector(&self, vector: &[f32]) -> Result<()> {
        check_dims(vector.len(), &self.get("dims")?)?;
        let encoded = self.storage().encode(vector);
        encoded.map(drop).map_err(|e| e.at("embedding"))
    }

    // ---- rows

    /// What is indexed of a row.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn row(&self, id: i64) -> Result<Option<Indexed>> {
        let mut find = self.sql("SELECT * FROM {rows} WHERE id = ?1")?;
        find.bind(1, &Value::Integer(id))?;
        if find.step()? == Row::Done {
            return Ok(None);
        }
        let Some(hash) = find.blob(1)? else {
            return Err(corrupt(format_args!("row {id} has no hash")));
        };
        let hash = hash.to_vec();
        let others = (3..find.columns())
            .map(|n| find.column(n))
            .collect::<Result<_>>()?;
        Ok(Some(Indexed { hash, others }))
    }

    /// Writes what is indexed of a row.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put_row(
        &self,
        id: i64,
        hash: &[u8],
        problem: Option<&str>,
        others: &[Value],
    ) -> Result<()> {
        let places: String = (0..others.len()).map(|n| format!(", ?{}", n + 4)).collect();
        let put = format!("REPLACE INTO {{rows}} VALUES (?1, ?2, ?3{places})");
        let problem = problem.map_or(Value::Null, Value::from);
        let mut values = vec![Value::Integer(id), Value::Blob(hash.to_vec()), problem];
        values.extend_from_slice(others);
        self.sql(&put)?.with(&values)?.run()
    }

    /// Writes the UNINDEXED values of a row whose text has not changed.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn refresh_others(&self, id: i64, others: &[Value]) -> Result<()> {
        for ((n, _), value) in self.others().zip(others) {
            let update = self.sql(&format!("UPDATE {{rows}} SET c{n} = ?2 WHERE id = ?1"))?;
            update.with(&[Value::Integer(id), value.clone()])?.run()?;
        }
        Ok(())
    }

    /// Removes a row with its vectors.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn remove_row(&self, id: i64) -> Result<()> {
        self.remove_passages(id)?;
        let delete = self.sql("DELETE FROM {rows} WHERE id = ?1")?;
        delete.with(&[Value::Integer(id)])?.run()
    }

    /// Notes that a row has changed.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn note(&self, id: i64) -> Result<()> {
        let note = self.sql("INSERT INTO {log}(id) VALUES (?1)")?;
        note.with(&[Value::Integer(id)])?.run()
    }
}

/// Whether a vector of so many dimensions goes with the setting.
fn check_dims(dims: usize, known: &Value) -> Result<()> {
    match known {
        Value::Null => Ok(()),
        Value::Integer(known) if *known == dims as i64 => Ok(()),
        Value::Integer(known) => Err(Error::invalid(format!(
            "the vector has {dims} dimensions, those of this index have {known}"
        ))),
        other => Err(corrupt(format_args!("dims is {other:?}"))),
    }
}

/// A column of ours for a column of the user's: `c2 TEXT COLLATE NOCASE`.
fn column(n: usize, column: &super::declare::Column) -> String {
    let collation = column.collation.as_ref();
    let collation = collation.map(|c| format!(" COLLATE {}", quoted(c)));
    // An indexed column's value is kept as it came.
    let declared = if column.indexed { "" } else { &column.declared };
    format!("c{n} {declared}{}", collation.unwrap_or_default())
}
