//! The words of the texts, in an FTS5 table beside the vectors: what `words` in the declaration asks for.
//!
//! The index's own one (`words=on`) is `_words`: a copy of the texts by their rowids, under the names that the
//! columns have in `_text`. Over a content table [`triggers`] keep it in step; where the index keeps the texts, its
//! write path does. A row that vanished unseen goes with its vectors. A table of the user's (`words='name'`) is only
//! asked.
//!
//! [`question`] makes a query of any text, [`search`](self::search) asks, [`rows`] writes single rows, and
//! [`check`](self::check) compares with the content.

mod check;
mod question;
mod rows;
mod search;
mod triggers;

use super::content::{Located, Origin};
use super::damage::corrupt;
use super::declare::WordsMode;
use super::names::{Names, OF_WORDS, WORDS, is_fts5};
use super::shadow::Shadow;
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::{Row, Value};
use crate::sql::lexer::quote_name;
pub use search::{Hit, Reach};

/// The tokenizer of our own table, where none is asked for: `doors` is found by `door`, and words that are not
/// English stay as FTS5's default tokenizer has them, but for such endings. Measured: docs/BENCHMARKS.md.
const TOKENIZE: &str = "porter unicode61";

/// The words of an index.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    shadow: Shadow<'a>,
}

/// What the schema has under a name.
enum Found {
    Nothing,
    /// A virtual table of FTS5's, as it was made.
    Fts5(String),
    /// Something else, as SQLite calls it.
    Other(String),
}

impl<'a> Words<'a> {
    /// Those of an index.
    pub fn new(shadow: Shadow<'a>) -> Self {
        Words { shadow }
    }

    /// Whether the index has a table of words of its own.
    pub fn are_kept(self) -> bool {
        matches!(self.shadow.spec().words, WordsMode::Kept { .. })
    }

    /// The name of the table, where there is one.
    pub fn name(self) -> Option<String> {
        self.shadow.spec().has_words().then(|| self.table())
    }

    /// The name that the table has, or would have.
    fn table(self) -> String {
        match &self.shadow.spec().words {
            WordsMode::Named(name) => name.clone(),
            WordsMode::Kept { .. } | WordsMode::Off => self.shadow.names().bare(WORDS),
        }
    }

    /// The columns of our own table, each with that of the content.
    fn columns(self, located: &Located) -> Vec<(String, String)> {
        let columns = self.shadow.spec().columns.iter().enumerate();
        columns
            .zip(&located.named.columns)
            .filter(|((_, column), _)| column.indexed)
            .map(|((n, _), named)| (format!("c{n}"), named.clone()))
            .collect()
    }

    /// Their names, each with a comma in front.
    fn own_columns(self) -> String {
        let columns = self.shadow.spec().columns.iter().enumerate();
        let indexed = columns.filter(|(_, column)| column.indexed);
        indexed.map(|(n, _)| format!(", c{n}")).collect()
    }

    /// What follows the name of our own table in CREATE VIRTUAL TABLE.
    fn definition(self) -> String {
        let tokenize = match &self.shadow.spec().words {
            WordsMode::Kept {
                tokenize: Some(tokenize),
            } => tokenize.replace('\'', "''"),
            _ => TOKENIZE.to_owned(),
        };
        let columns = self.own_columns();
        let columns = columns.trim_start_matches(", ");
        format!(" USING fts5({columns}, tokenize='{tokenize}')")
    }

    fn look(self) -> Result<Found> {
        let mut find = self.shadow.kept("words table", || {
            format!(
                "SELECT type, sql FROM {} WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
                self.shadow.names().schema_table()
            )
        })?;
        find.bind(1, &Value::from(self.table()))?;
        if find.step()? == Row::Done {
            return Ok(Found::Nothing);
        }
        let (kind, sql) = (find.text(0)?.unwrap_or_default(), find.text(1)?);
        Ok(match sql.filter(|sql| is_fts5(sql)) {
            Some(sql) => Found::Fts5(sql),
            None => Found::Other(kind),
        })
    }

    // ---- our own table

    /// Makes what the declaration asks for, or looks at what it names.
    ///
    /// # Errors
    /// This host has no FTS5; the content is a view; a name is taken; there is no FTS5 table of that name.
    pub fn declare(self, located: &Located) -> Result<()> {
        if !self.are_kept() {
            return match self.shadow.spec().has_words() {
                true => self.check_named(),
                false => Ok(()),
            };
        }
        if located.origin == Origin::View {
            return Err(Error::invalid(format!(
                "option words is on, and content '{}' is no ordinary table, whose triggers could keep words in \
                 step; make an FTS5 table with the same rowids, keep it in step yourself and name it: \
                 words='its name'",
                located.named.table
            )));
        }
        self.check_host()?;
        if located.origin == Origin::Table {
            triggers::check_can_adopt(self.shadow, &located.named, &self.columns(located))?;
        }
        if !self.can_adopt()? {
            self.create_table()?;
        }
        self.fill(located)?;
        self.create_triggers(located)
    }

    /// # Errors
    /// The SQLite of this host was built without FTS5.
    fn check_host(self) -> Result<()> {
        let find = self
            .shadow
            .plain_sql("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'")?;
        match find.integer_of_first()? {
            Some(_) => Ok(()),
            None => Err(Error::invalid(
                "option words needs FTS5, and the SQLite of this program was built without it; leave words out, \
                 or use a SQLite with SQLITE_ENABLE_FTS5",
            )),
        }
    }

    /// Whether the table is there, exactly as it is to be, and empty: a dump may bring it before the index.
    fn can_adopt(self) -> Result<bool> {
        let Found::Fts5(sql) = self.look()? else {
            return Ok(false);
        };
        if !sql.ends_with(&self.definition()) {
            return Ok(false);
        }
        let any = format!("SELECT 1 FROM {} LIMIT 1", self.shadow.names().table(WORDS));
        Ok(self.shadow.plain_sql(&any)?.first()?.is_none())
    }

    fn create_table(self) -> Result<()> {
        let table = self.shadow.names().table(WORDS);
        let create = format!("CREATE VIRTUAL TABLE {table}{}", self.definition());
        let created = self.shadow.host.db.execute(&create);
        created.map_err(|e| e.at("the table of words"))
    }

    /// Puts all texts of the content in.
    fn fill(self, located: &Located) -> Result<()> {
        let (select, key) = self.select(located);
        let (table, into) = (self.shadow.names().table(WORDS), self.own_columns());
        let _reading = self.shadow.index.reading_content();
        self.shadow.host.db.execute(&format!(
            "INSERT INTO {table}(rowid{into}) {select} WHERE typeof({key}) = 'integer' ORDER BY {key}"
        ))
    }

    /// A SELECT of the content's keys and texts, up to before WHERE; and the key.
    fn select(self, located: &Located) -> (String, String) {
        let key = format!("c.{}", quote_name(&located.named.key));
        let texts = self.columns(located).into_iter();
        let texts: String = texts
            .map(|(_, name)| format!(", c.{}", quote_name(&name)))
            .collect();
        let table = self.shadow.names().in_schema(&located.named.table);
        (format!("SELECT {key}{texts} FROM {table} AS c"), key)
    }

    fn create_triggers(self, located: &Located) -> Result<()> {
        match located.origin {
            Origin::Table => triggers::create(self.shadow, &located.named, &self.columns(located)),
            Origin::View | Origin::Own | Origin::Contentless => Ok(()),
        }
    }

    /// Whether something has to be made anew: the table is gone, or the triggers are, and what has changed since
    /// then is not known.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn are_lost(self, located: &Located) -> Result<bool> {
        if !self.are_kept() {
            return Ok(false);
        }
        let there = match located.origin {
            Origin::Table => {
                triggers::are_there(self.shadow, &located.named, &self.columns(located))?
            }
            Origin::View | Origin::Own | Origin::Contentless => true,
        };
        Ok(!there || !matches!(self.look()?, Found::Fts5(_)))
    }

    /// Removes the words of rows that are in the content no more: OR REPLACE displaces a row unseen, also one that was
    /// never embedded.
    ///
    /// # Errors
    /// What SQLite says; the table is damaged.
    pub fn remove_displaced(self, located: &Located) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        let mut read = self.shadow.plain_sql(&self.displaced_sql(located))?;
        let mut displaced = Vec::new();
        while read.step()? == Row::Ready {
            displaced.extend(read.integer(0));
        }
        drop(read);
        displaced.into_iter().try_for_each(|id| self.remove(id))
    }

    /// A SELECT of such rows, from the sizes of all, which are read fastest.
    fn displaced_sql(self, located: &Located) -> String {
        let (sizes, content) = (
            self.shadow.names().table("words_docsize"),
            self.shadow.names().in_schema(&located.named.table),
        );
        let key = format!("c.{}", quote_name(&located.named.key));
        format!(
            "SELECT id FROM {sizes} WHERE id NOT IN (SELECT {key} FROM {content} AS c WHERE {key} IS NOT NULL)"
        )
    }

    /// Makes triggers and table anew, and fills it. (While the statement runs that asks for it, SQLite refuses to
    /// drop a table: so FTS5 is given empty ones in the place of whatever is there, and makes its index of them.)
    ///
    /// # Errors
    /// A name is taken; what SQLite says.
    pub fn remake(self, located: &Located) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        self.check_host()?;
        triggers::check_names(self.shadow)?;
        triggers::drop_all(self.shadow)?;
        self.shadow.index.statements.clear();
        match self.look()? {
            Found::Nothing => self.create_table()?,
            Found::Fts5(_) | Found::Other(_) => {
                self.mend()?;
                let of = |suffix: &str| self.shadow.names().table(suffix);
                let (content, sizes) = (of("words_content"), of("words_docsize"));
                let words = (of(WORDS), quote_name(&self.shadow.names().bare(WORDS)));
                self.shadow.host.db.execute(&format!(
                    "DELETE FROM {content}; DELETE FROM {sizes}; \
                     INSERT INTO {}({}) VALUES ('rebuild')",
                    words.0, words.1
                ))?;
            }
        }
        self.fill(located)?;
        self.create_triggers(located)
    }

    /// Makes those of FTS5's tables that are missing: without them FTS5 refuses to drop and rename, too.
    fn mend(self) -> Result<()> {
        let columns = self.own_columns();
        let count = columns.matches(',').count();
        // FTS5 numbers its own columns from 0, whatever they are called.
        let columns: String = (0..count).map(|n| format!(", c{n}")).collect();
        for (suffix, definition) in OF_WORDS {
            let table = self.shadow.names().table(suffix);
            let rest = match definition.ends_with(')') || definition.ends_with("ROWID") {
                true => String::new(),
                false => format!("{columns})"),
            };
            let create = format!("CREATE TABLE IF NOT EXISTS {table}{definition}{rest}");
            self.shadow.host.db.execute(&create)?;
        }
        let config = self.shadow.names().table("words_config");
        let version = format!("INSERT OR IGNORE INTO {config}(k, v) VALUES ('version', 4)");
        self.shadow.host.db.execute(&version)
    }

    /// Drops triggers and table.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn drop(self) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        triggers::drop_all(self.shadow)?;
        if let Found::Fts5(_) = self.look()? {
            self.mend()?;
            self.shadow.index.statements.clear();
            let table = self.shadow.names().table(WORDS);
            self.shadow
                .host
                .db
                .execute(&format!("DROP TABLE {table}"))?;
        }
        Ok(())
    }

    /// Whether the triggers that the index is to have under another name can be made.
    ///
    /// # Errors
    /// There is one of such a name.
    pub fn check_names(self) -> Result<()> {
        match self.are_kept() {
            true => triggers::check_names(self.shadow),
            false => Ok(()),
        }
    }

    /// Drops the triggers, of which none may name a table that is not there, and gives the table the name that goes
    /// with another name of the index. [`Self::renamed`] is to follow.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn rename(self, to: &Names) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        triggers::drop_all(self.shadow)?;
        if let Found::Fts5(_) = self.look()? {
            self.mend()?;
            self.shadow.index.statements.clear();
            let (old, new) = (
                self.shadow.names().table(WORDS),
                quote_name(&to.bare(WORDS)),
            );
            let rename = format!("ALTER TABLE {old} RENAME TO {new}");
            self.shadow.host.db.execute(&rename)?;
        }
        Ok(())
    }

    /// Makes the triggers under the index's new name, where they were there under the old one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn renamed(self, located: &Located) -> Result<()> {
        match self.are_kept() {
            true => self.create_triggers(located),
            false => Ok(()),
        }
    }

    /// # Errors
    /// Something else stands in the place of our own table, which would have SQL of somebody else's run.
    pub fn verify(self) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        let what = match self.look()? {
            Found::Nothing => return Ok(()),
            Found::Fts5(sql) if sql.ends_with(&self.definition()) => return Ok(()),
            Found::Fts5(_) => "TABLE".to_owned(),
            Found::Other(kind) => kind.to_uppercase(),
        };
        const CORRUPT_VTAB: i32 = 11 | 1 << 8;
        let name = self.table();
        Err(Error::new(
            Kind::Host(CORRUPT_VTAB),
            format!(
                "the index is damaged, '{name}' is not the FTS5 table that it made: DROP {what} {}, and give the \
                 command 'rebuild'",
                quote_name(&name)
            ),
        ))
    }

    // ---- errors

    /// # Errors
    /// There is no FTS5 table of the name that the declaration has.
    fn check_named(self) -> Result<()> {
        let (name, names) = (self.table(), self.shadow.names());
        let what = match self.look()? {
            Found::Fts5(_) => return Ok(()),
            Found::Nothing => "there is none".to_owned(),
            Found::Other(kind) => format!("the {kind} of this name is none"),
        };
        Err(Error::invalid(format!(
            "option words names '{name}', which must be an FTS5 table in schema '{}', and {what}; make it with \
             CREATE VIRTUAL TABLE {} USING fts5(...), or make the index again with words=on",
            names.schema,
            quote_name(&name)
        )))
    }

    /// An outcome of a statement on the table, as the user of the index is told it.
    fn told<T>(self, outcome: Result<T>) -> Result<T> {
        const CORRUPT: i32 = 11;
        let error = match outcome {
            Ok(value) => return Ok(value),
            Err(e) => e,
        };
        let name = self.table();
        if !self.are_kept() {
            self.check_named()?;
            return Err(error.at(format_args!(
                "FTS5 table '{name}', which option words names"
            )));
        }
        Err(match (error.kind(), self.look()?) {
            (_, Found::Nothing) => {
                corrupt(format_args!("its table of words, '{name}', is missing"))
            }
            (Kind::Host(rc), _) if rc & 0xff == CORRUPT => damaged(&name, &error),
            // FTS5 could not even open it.
            (Kind::Invalid, _) => damaged(&name, &error),
            _ => error,
        })
    }
}

fn damaged(name: &str, error: &Error) -> Error {
    corrupt(format_args!(
        "its table of words, '{name}', cannot be used: {}",
        error.message()
    ))
}
