//! The words of the texts, in an FTS5 table beside the vectors: what `words` in the declaration asks for.
//!
//! The index's own one (`words=on`) is `_words`: a copy of the texts by their rowids, under the names that the
//! columns have in `_text`. Over a content table [`triggers`] keep it in step; where the index keeps the texts, its
//! write path does. A row that vanished unseen goes with its vectors. A table of the user's (`words='name'`) is only
//! asked.
//!
//! [`declared`] makes or finds what was asked for, and knows whether it is ready. [`table`] makes, mends, renames and drops
//! the index's own; [`fill`] puts the texts of a whole content in, at once or in steps, and [`rows`] writes single rows.
//! [`question`] makes a query of any text and [`search`](self::search) asks, within a [`reach`]. [`check`] compares with the
//! content; [`errors`] has what the user is told.

mod check;
mod declared;
mod errors;
mod fill;
mod question;
mod reach;
mod rows;
mod search;
mod table;
mod triggers;

use super::content::Located;
use super::declare::WordsMode;
use super::names::{WORDS, is_fts5};
use super::shadow::Shadow;
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
pub use reach::Reach;
pub use search::{Hit, Lists};
pub use table::TABLES;

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

    /// Whether the SQLite of this program has FTS5.
    fn host_has_fts5(self) -> Result<bool> {
        let find = self
            .shadow
            .plain_sql("SELECT 1 FROM pragma_module_list WHERE name = 'fts5'")?;
        Ok(find.integer_of_first()?.is_some())
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
}
