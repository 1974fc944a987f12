//! What an index was declared as: its columns, where its texts are, its options; and the table that
//! SQLite is told of.

use crate::error::{Error, Result};
use crate::sql::index::affinity::Affinity;
use crate::sql::lexer::{quote_name, shown};
use crate::vector::storage::Storage;

/// What an index was declared as.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The user's columns, in their order.
    pub columns: Vec<Column>,
    /// Where the texts are.
    pub content: ContentMode,
    /// The model's name; default: the default model.
    pub model: Option<String>,
    /// Whether triggers on the content table keep notes; default: on, but for a view.
    pub triggers: Option<bool>,
    /// The most pending rows that a query embeds itself.
    pub catchup: usize,
    /// The most tokens of a passage; default: see `passage_size`.
    pub chunk_tokens: Option<usize>,
    /// The most tokens that a passage repeats of the one before; default: see there.
    pub overlap: Option<usize>,
    /// How vectors are kept.
    pub storage: Storage,
}

/// A column of the user's.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name, without quotes.
    pub name: String,
    /// Whether it is text that is embedded; others can be compared in queries.
    pub indexed: bool,
    /// What the declared type makes of values; none for text that is embedded.
    pub affinity: Affinity,
    /// The declared type, safe to write into SQL; empty where there is none.
    pub declared: String,
    /// The name of its collation; default: BINARY.
    pub collation: Option<String>,
}

/// Where the texts are, in FTS5's terms.
#[derive(Clone, Debug, PartialEq)]
pub enum ContentMode {
    /// The index keeps the texts.
    Own,
    /// Contentless: the index keeps a text only until it is embedded.
    Contentless,
    /// External content: the texts are in a table or view of the user's.
    External {
        /// Its name.
        name: String,
        /// The column that identifies a row; default: the INTEGER PRIMARY KEY.
        key: Option<String>,
    },
}

/// The columns behind the user's, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// What is searched for; called like the index itself.
    Query,
    /// How many rows are wanted.
    K,
    /// 1 - cosine.
    Distance,
    /// The cosine.
    Score,
    /// The best passage.
    Passage,
    /// A vector, written instead of a text.
    Embedding,
}

impl Hidden {
    /// All of them, in their order.
    pub const ALL: [Hidden; 6] = [
        Hidden::Query,
        Hidden::K,
        Hidden::Distance,
        Hidden::Score,
        Hidden::Passage,
        Hidden::Embedding,
    ];

    /// The names of all but the first.
    pub const NAMES: [&'static str; 5] = ["k", "distance", "score", "passage", "embedding"];

    /// The types of all but the first.
    const TYPES: [&'static str; 5] = ["INTEGER", "REAL", "REAL", "TEXT", "BLOB"];
}

/// What a column number of SQLite's stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnRole {
    /// The rowid.
    Rowid,
    /// One of [`Spec::columns`].
    OfUser(usize),
    /// One of ours.
    Hidden(Hidden),
}

impl ColumnRole {
    /// For a table with that many columns of the user's; `None` for a number that it has not.
    pub fn of(number: i32, columns: usize) -> Option<Self> {
        let Ok(number) = usize::try_from(number) else {
            return (number == -1).then_some(ColumnRole::Rowid);
        };
        match number.checked_sub(columns) {
            None => Some(ColumnRole::OfUser(number)),
            Some(behind) => Hidden::ALL.get(behind).copied().map(ColumnRole::Hidden),
        }
    }
}

/// Names of the rowid that no column may take.
pub const ROWIDS: [&str; 3] = ["rowid", "_rowid_", "oid"];

impl Spec {
    /// Whether the index can be called so. Also for ALTER TABLE ... RENAME.
    ///
    /// # Errors
    /// Why not.
    pub fn check_index_name(&self, index_name: &str) -> Result<()> {
        let quoted = quote_name(&shown(index_name));
        let is_content =
            matches!(&self.content, ContentMode::External { name, .. } if same(name, index_name));
        let why = if index_name.is_empty() || index_name.contains('\0') {
            "a name has at least one character, and no NUL".to_owned()
        } else if is_taken(index_name) {
            format!("one of its columns is called {quoted}")
        } else if self.columns.iter().any(|c| same(&c.name, index_name)) {
            format!(
                "a column is called {quoted}, and what is searched for is a column with the index's name"
            )
        } else if is_content {
            format!("its content is {quoted}; an index is not its own content")
        } else {
            return Ok(());
        };
        Err(Error::invalid(format!(
            "the index cannot be called {quoted}: {why}"
        )))
    }

    /// The number of one of our own columns.
    pub fn number_of(&self, hidden: Hidden) -> usize {
        self.columns.len() + hidden as usize
    }

    /// The number of the column that is called like the index.
    pub fn query_column(&self) -> usize {
        self.number_of(Hidden::Query)
    }

    /// The name of a hidden column.
    pub fn name_of<'n>(&self, hidden: Hidden, index_name: &'n str) -> &'n str {
        match hidden as usize {
            0 => index_name,
            n => Hidden::NAMES[n - 1],
        }
    }

    /// What a column number of SQLite's stands for.
    pub fn role(&self, number: i32) -> Option<ColumnRole> {
        ColumnRole::of(number, self.columns.len())
    }

    /// The statement by which SQLite learns of the columns.
    pub fn create_table(&self, index_name: &str) -> String {
        // Without a type, HIDDEN itself would count as one, and give them the affinity NUMERIC.
        let own = Hidden::NAMES.iter().zip(Hidden::TYPES);
        let own = own.map(|(name, declared)| format!("{name} {declared} HIDDEN"));
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(Column::definition)
            .chain([format!("{} BLOB HIDDEN", quote_name(index_name))])
            .chain(own)
            .collect();
        format!("CREATE TABLE x({})", columns.join(", "))
    }
}

impl Column {
    /// As it stands in a CREATE TABLE.
    pub fn definition(&self) -> String {
        let mut definition = quote_name(&self.name);
        if !self.declared.is_empty() {
            definition = definition + " " + &self.declared;
        }
        if let Some(collation) = &self.collation {
            definition = definition + " COLLATE " + &quote_name(collation);
        }
        definition
    }
}

/// Names are equal where SQLite finds them equal.
pub fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

pub fn is_taken(name: &str) -> bool {
    let mut taken = Hidden::NAMES.iter().chain(&ROWIDS);
    taken.any(|taken| same(taken, name))
}
