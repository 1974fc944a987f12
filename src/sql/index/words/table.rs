//! The life of the index's own FTS5 table and of its triggers: how they are made, mended, emptied, renamed and dropped, and
//! whether they are there.

use super::{Found, Words, errors, triggers};
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use crate::sql::index::content::{Located, Origin};
use crate::sql::index::declare::WordsMode;
use crate::sql::index::names::{Names, WORDS};
use crate::sql::lexer::quote_name;

/// A table that FTS5 keeps behind its own.
pub struct Behind {
    /// What follows `index_` in its name.
    pub suffix: &'static str,
    /// What follows its name in CREATE TABLE.
    definition: &'static str,
    /// Whether the columns of the FTS5 table and a parenthesis follow.
    has_columns: bool,
}

const fn behind(suffix: &'static str, definition: &'static str) -> Behind {
    Behind {
        suffix,
        definition,
        has_columns: false,
    }
}

/// The texts.
const CONTENT: &str = "words_content";
/// How long the text of each row is; the smallest of those that have every row.
pub const SIZES: &str = "words_docsize";
const CONFIG: &str = "words_config";

/// The tables behind the index's own.
pub const TABLES: [Behind; 5] = [
    behind("words_data", "(id INTEGER PRIMARY KEY, block BLOB)"),
    behind(
        "words_idx",
        "(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID",
    ),
    Behind {
        suffix: CONTENT,
        definition: "(id INTEGER PRIMARY KEY",
        has_columns: true,
    },
    behind(SIZES, "(id INTEGER PRIMARY KEY, sz BLOB)"),
    behind(CONFIG, "(k PRIMARY KEY, v) WITHOUT ROWID"),
];

impl Words<'_> {
    /// What follows the name of our own table in CREATE VIRTUAL TABLE.
    pub(super) fn definition(self) -> String {
        let tokenize = match &self.shadow.spec().words {
            WordsMode::Kept { tokenize } => tokenize.replace('\'', "''"),
            WordsMode::Named(_) | WordsMode::Off => String::new(),
        };
        let columns = self.own_columns();
        let columns = columns.trim_start_matches(", ");
        format!(" USING fts5({columns}, tokenize='{tokenize}')")
    }

    /// Whether the table is there, exactly as it is to be, and empty: a dump may bring it before the index.
    pub(super) fn can_adopt(self) -> Result<bool> {
        if !self.is_ours(&self.look()?) {
            return Ok(false);
        }
        let any = format!("SELECT 1 FROM {} LIMIT 1", self.shadow.names().table(WORDS));
        Ok(self.shadow.plain_sql(&any)?.first()?.is_none())
    }

    /// Whether it is the table that the index has made, and not one of the user's by its name.
    fn is_ours(self, found: &Found) -> bool {
        matches!(found, Found::Fts5(sql) if sql.ends_with(&self.definition()))
    }

    /// Makes the table.
    pub(super) fn create_table(self) -> Result<()> {
        let table = self.shadow.names().table(WORDS);
        let create = format!("CREATE VIRTUAL TABLE {table}{}", self.definition());
        let created = self.shadow.host.db.execute(&create);
        created.map_err(|e| e.at("the table of words"))
    }

    /// Makes the table and its triggers anew, without a row. (While the statement runs that asks for it, SQLite refuses
    /// to drop a table: so FTS5 is given empty ones in the place of whatever is there, and makes its index of them.)
    pub(super) fn make_empty(self, located: &Located) -> Result<()> {
        self.check_host()?;
        triggers::check_names(self.shadow)?;
        triggers::drop_all(self.shadow)?;
        self.shadow.index.statements.clear();
        match self.look()? {
            Found::Nothing => self.create_table()?,
            Found::Fts5(_) | Found::Other(_) => {
                self.mend()?;
                let of = |suffix: &str| self.shadow.names().table(suffix);
                let (content, sizes, words) = (of(CONTENT), of(SIZES), of(WORDS));
                let name = quote_name(&self.shadow.names().bare(WORDS));
                let config = of(CONFIG);
                self.shadow.host.db.execute(&format!(
                    "DELETE FROM {content}; DELETE FROM {sizes}; DELETE FROM {config}; \
                     INSERT INTO {config}(k, v) VALUES ('version', 4); \
                     INSERT INTO {words}({name}) VALUES ('rebuild')"
                ))?;
            }
        }
        self.create_triggers(located)
    }

    /// Makes those of FTS5's tables that are missing: without them FTS5 refuses to drop and rename, too.
    fn mend(self) -> Result<()> {
        let columns = self.own_columns();
        let count = columns.matches(',').count();
        // FTS5 numbers its own columns from 0, whatever they are called.
        let columns: String = (0..count).map(|n| format!(", c{n}")).collect();
        for behind in TABLES {
            let table = self.shadow.names().table(behind.suffix);
            let rest = match behind.has_columns {
                true => format!("{columns})"),
                false => String::new(),
            };
            let create = format!(
                "CREATE TABLE IF NOT EXISTS {table}{}{rest}",
                behind.definition
            );
            self.shadow.host.db.execute(&create)?;
        }
        let config = self.shadow.names().table(CONFIG);
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
        match self.release()? {
            true => {
                let table = self.shadow.names().table(WORDS);
                let drop = format!("DROP TABLE {table}");
                self.shadow.host.db.execute(&drop)
            }
            false => Ok(()),
        }
    }

    /// Drops the triggers and makes the table fit to be dropped or renamed: whether there is one that is ours.
    fn release(self) -> Result<bool> {
        triggers::drop_all(self.shadow)?;
        let is_ours = self.is_ours(&self.look()?);
        if is_ours {
            self.check_host()?;
            self.mend()?;
            self.shadow.index.statements.clear();
        }
        Ok(is_ours)
    }

    /// Drops the triggers, of which none may name a table that is not there, and gives the table the name that goes
    /// with another name of the index. [`Self::renamed`] is to follow, but not where the words
    /// [are lost](Self::are_lost) already: without triggers the next sync finds that out, and makes them again.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn rename(self, to: &Names) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        if self.release()? {
            let (old, new) = (
                self.shadow.names().table(WORDS),
                quote_name(&to.bare(WORDS)),
            );
            let rename = format!("ALTER TABLE {old} RENAME TO {new}");
            self.shadow.host.db.execute(&rename)?;
        }
        Ok(())
    }

    /// Makes the triggers under the index's new name.
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
    /// The SQLite of this host was built without FTS5.
    pub(super) fn check_host(self) -> Result<()> {
        match self.host_has_fts5()? {
            true => Ok(()),
            false => Err(errors::no_fts5()),
        }
    }

    pub(super) fn create_triggers(self, located: &Located) -> Result<()> {
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

    /// Whether the triggers can be made.
    ///
    /// # Errors
    /// There is one of such a name, which is not ours.
    pub fn check_names(self) -> Result<()> {
        match self.are_kept() {
            true => triggers::check_names(self.shadow),
            false => Ok(()),
        }
    }

    /// Whether the table and the triggers can be made under the name that the index is to have.
    ///
    /// # Errors
    /// There is something else of such a name.
    pub fn check_all_names(self) -> Result<()> {
        self.check_names()?;
        if !self.are_kept() {
            return Ok(());
        }
        let behind = TABLES.into_iter().map(|behind| behind.suffix);
        for suffix in [WORDS].into_iter().chain(behind) {
            let mut find = self.shadow.kept("taken name", || {
                let schema = self.shadow.names().schema_table();
                format!(
                    "SELECT type FROM {schema} WHERE type <> 'trigger' AND name = ?1 COLLATE NOCASE"
                )
            })?;
            let name = self.shadow.names().bare(suffix);
            find.bind(1, &Value::from(name.as_str()))?;
            if find.step()? == Row::Ready {
                let kind = find.text(0)?.unwrap_or_default();
                return Err(errors::taken(&kind, &name));
            }
        }
        Ok(())
    }

    /// As [`Self::check_all_names`], before the index is made. The table may be there as a dump has brought it.
    ///
    /// # Errors
    /// As there; this host has no FTS5.
    pub fn check_can_be_made(self) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        self.check_host()?;
        match self.can_adopt()? {
            true => Ok(()),
            false => self.check_all_names(),
        }
    }

    /// # Errors
    /// Something else stands in the place of our own table, which would have SQL of somebody else's run.
    pub fn verify(self) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        match self.look()? {
            Found::Nothing => Ok(()),
            found if self.is_ours(&found) => Ok(()),
            Found::Fts5(_) => Err(errors::stranger("TABLE", &self.table())),
            Found::Other(kind) => Err(errors::stranger(&kind.to_uppercase(), &self.table())),
        }
    }
}
