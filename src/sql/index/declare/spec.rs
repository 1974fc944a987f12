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
    /// The most tokens of a passage; default: that of `passage_size`.
    pub chunk_tokens: Option<usize>,
    /// The most tokens that a passage repeats of the one before; default: see there.
    pub overlap: Option<usize>,
    /// How vectors are kept.
    pub storage: Storage,
    /// The columns behind the user's, [`Hidden::Query`] first.
    pub hidden: Vec<Hidden>,
    /// Where the words of the texts are.
    pub words: WordsMode,
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

/// Where the words of the texts are, as an FTS5 table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WordsMode {
    /// Nowhere: the index is searched by meaning alone.
    #[default]
    Off,
    /// In a table of the index's own, which keeps it in step.
    Kept {
        /// What FTS5 takes as `tokenize`.
        tokenize: String,
    },
    /// In a table of the user's, of this name; its rowids are the keys of the index.
    Named(String),
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
    /// What rows are ranked by, the lowest first; what MATCH on it says is the ranking.
    Rank,
    /// The place by meaning.
    ByMeaning,
    /// The place by words.
    ByWords,
    /// FTS5's bm25 of the words.
    Bm25,
    /// The reranker's logit.
    Rerank,
    /// The first character of the best passage.
    Start,
    /// The character behind its last.
    Stop,
}

impl Hidden {
    /// All of them, in their order.
    const ALL: [Hidden; 13] = [
        Hidden::Query,
        Hidden::K,
        Hidden::Distance,
        Hidden::Score,
        Hidden::Passage,
        Hidden::Embedding,
        Hidden::Rank,
        Hidden::ByMeaning,
        Hidden::ByWords,
        Hidden::Bm25,
        Hidden::Rerank,
        Hidden::Start,
        Hidden::Stop,
    ];

    /// The name and the type; none for the column that is called like the index.
    const fn named(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Hidden::Query => return None,
            Hidden::K => ("k", "INTEGER"),
            Hidden::Distance => ("distance", "REAL"),
            Hidden::Score => ("score", "REAL"),
            Hidden::Passage => ("passage", "TEXT"),
            Hidden::Embedding => ("embedding", "BLOB"),
            Hidden::Rank => ("rank", "REAL"),
            Hidden::ByMeaning => ("by_meaning", "INTEGER"),
            Hidden::ByWords => ("by_words", "INTEGER"),
            Hidden::Bm25 => ("bm25", "REAL"),
            Hidden::Rerank => ("rerank", "REAL"),
            Hidden::Start => ("start", "INTEGER"),
            Hidden::Stop => ("stop", "INTEGER"),
        })
    }

    /// Whether every index has the column. The others came later: an index that was declared before may
    /// have a column of the user's, or itself, of their name, which then wins.
    const fn is_always_there(self) -> bool {
        (self as usize) <= Hidden::Embedding as usize
    }

    /// Those of an index with these names in use.
    pub fn beside<'n>(names: impl Iterator<Item = &'n str> + Clone) -> Vec<Hidden> {
        let in_use = |name: &str| names.clone().any(|used| same(used, name));
        let is_there = |hidden: &Hidden| match hidden.named() {
            Some((name, _)) => hidden.is_always_there() || !in_use(name),
            None => true,
        };
        Hidden::ALL.into_iter().filter(is_there).collect()
    }
}

/// The names of hidden columns that no column of the user's may have.
pub fn reserved(with_words: bool) -> impl Iterator<Item = &'static str> {
    let reserved = move |hidden: &Hidden| with_words || hidden.is_always_there();
    let all = Hidden::ALL.into_iter().filter(reserved);
    all.filter_map(|hidden| hidden.named().map(|(name, _)| name))
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
    /// For a table with that many columns of the user's and these of ours; `None` for a number that it has
    /// not.
    pub fn of(number: i32, columns: usize, hidden: &[Hidden]) -> Option<Self> {
        let Ok(number) = usize::try_from(number) else {
            return (number == -1).then_some(ColumnRole::Rowid);
        };
        match number.checked_sub(columns) {
            None => Some(ColumnRole::OfUser(number)),
            Some(behind) => hidden.get(behind).copied().map(ColumnRole::Hidden),
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
        } else if self.is_taken(index_name) {
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

    /// The number of one of our own columns, if the index has it.
    pub fn number_of(&self, hidden: Hidden) -> Option<usize> {
        let place = self.hidden.iter().position(|there| *there == hidden);
        place.map(|place| self.columns.len() + place)
    }

    /// The number of the column that is called like the index.
    pub fn query_column(&self) -> usize {
        self.columns.len()
    }

    /// The name of a hidden column.
    pub fn name_of<'n>(&self, hidden: Hidden, index_name: &'n str) -> &'n str {
        hidden.named().map_or(index_name, |(name, _)| name)
    }

    /// What a column number of SQLite's stands for.
    pub fn role(&self, number: i32) -> Option<ColumnRole> {
        ColumnRole::of(number, self.columns.len(), &self.hidden)
    }

    /// Whether a column of the user's, or the index, may not be called so.
    pub fn is_taken(&self, name: &str) -> bool {
        let mut taken = reserved(self.has_words()).chain(ROWIDS);
        taken.any(|taken| same(taken, name))
    }

    /// Whether words are kept beside the vectors.
    pub fn has_words(&self) -> bool {
        self.words != WordsMode::Off
    }

    /// The statement by which SQLite learns of the columns.
    pub fn create_table(&self, index_name: &str) -> String {
        // Without a type, HIDDEN itself would count as one, and give them the affinity NUMERIC.
        let own = self.hidden.iter().filter_map(|hidden| hidden.named());
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
