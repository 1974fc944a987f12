//! `CREATE VIRTUAL TABLE t USING bge(...)`: its arguments, and the table that SQLite is told of.
//!
//! An argument is an option, `name = value`, or a column, `name [type] [COLLATE c] [UNINDEXED]`.
//! [`options`] has all of the former.

mod options;

use super::affinity::{Affinity, affinity_of};
use crate::error::{Error, Result};
use crate::sql::lexer::{Word, Words, is_bare_name, quote_name, shown};
use crate::vector::storage::Storage;
use options::{KNOWN, Options};

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
    /// The most tokens of a passage; default: the model's limit.
    pub chunk_tokens: Option<usize>,
    /// The most tokens that a passage repeats of the one before.
    pub overlap: usize,
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
const ROWIDS: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// Words that SQLite does not take as a word of a type, or takes for more than that. *(Each one
/// tried.)*
const NO_TYPES: &str = " ADD ALL ALTER AND AS AUTOINCREMENT BETWEEN CASE CHECK COLLATE COMMIT \
    CONSTRAINT CREATE CROSS DEFAULT DEFERRABLE DELETE DISTINCT DROP ELSE ESCAPE EXCEPT EXISTS \
    FOREIGN FROM FULL GENERATED GROUP HAVING HIDDEN IN INDEX INDEXED INNER INSERT INTERSECT INTO \
    IS ISNULL JOIN LEFT LIMIT NATURAL NOT NOTHING NOTNULL NULL ON OR ORDER OUTER PRIMARY \
    REFERENCES RETURNING RIGHT SELECT SET TABLE THEN TO TRANSACTION UNION UNIQUE UPDATE USING \
    VALUES WHEN WHERE ";

/// Reads the arguments as SQLite hands them over.
///
/// # Errors
/// Whatever is wrong, with what came and what is known.
pub fn parse(index_name: &str, arguments: &[&str]) -> Result<Spec> {
    let mut columns: Vec<Column> = Vec::new();
    let mut options = Options::default();
    for argument in arguments {
        let at = |e: Error| e.at(format_args!("argument {}", shown(argument)));
        let mut words = Words::new(argument);
        words.skip_blanks().map_err(at)?;
        let Some(name) = words.next().map_err(at)? else {
            continue;
        };
        let name = name_of(name).map_err(at)?;
        if words.take_sign('=').map_err(at)? {
            options.set(&name, words).map_err(at)?;
        } else {
            let column = column(name, words).map_err(at)?;
            columns.push(column);
        }
    }
    let spec = options.with(columns)?;
    for (n, column) in spec.columns.iter().enumerate() {
        let name = &column.name;
        if is_taken(name) {
            return Err(Error::invalid(format!(
                "a column cannot be called {}: every index has {} and {} of its own; give the column another name",
                quote_name(name),
                Hidden::NAMES.join(", "),
                ROWIDS.join(", "),
            )));
        }
        if spec.columns[..n].iter().any(|c| same(&c.name, name)) {
            return Err(Error::invalid(format!(
                "column {} is there twice",
                quote_name(name)
            )));
        }
    }
    if !spec.columns.iter().any(|column| column.indexed) {
        return Err(Error::invalid(
            "an index needs a column with text to embed, as in bge(title, body, lang UNINDEXED)",
        ));
    }
    spec.check_index_name(index_name)?;
    Ok(spec)
}

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
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn is_taken(name: &str) -> bool {
    let mut taken = Hidden::NAMES.iter().chain(&ROWIDS);
    taken.any(|taken| same(taken, name))
}

/// The name that a word is.
fn name_of(word: Word) -> Result<String> {
    match word {
        Word::Bare(name) if is_bare_name(&name) => Ok(name),
        Word::Quoted(name) if !name.is_empty() => Ok(name),
        Word::Quoted(_) => Err(Error::invalid("a name has at least one character")),
        _ => Err(Error::invalid(format!(
            "expected a column, as in {EXAMPLE}, or an option, as in content = 'notes'; \
             a name with other characters than letters, digits and _ stands in \"quotes\"; \
             known options: {KNOWN}"
        ))),
    }
}

const EXAMPLE: &str = "title or lang TEXT COLLATE NOCASE UNINDEXED";

/// What follows a column's name.
fn column(name: String, mut words: Words<'_>) -> Result<Column> {
    let (mut types, mut collation, mut unindexed) = (Vec::new(), None, false);
    let mut closed = false; // by parentheses, behind which a type does not go on
    while let Some(word) = words.next()? {
        let expected = || {
            Error::invalid(format!(
                "a column is a name, then a type, COLLATE and UNINDEXED, in this order and nothing else, as in {EXAMPLE}"
            ))
        };
        if unindexed {
            return Err(expected());
        }
        match word {
            Word::Bare(word) if same(&word, "UNINDEXED") => unindexed = true,
            _ if collation.is_some() => return Err(expected()),
            Word::Bare(word) if same(&word, "COLLATE") => {
                let found = words.next()?.ok_or_else(expected)?;
                let found = name_of(found).map_err(|_| expected())?;
                collation = Some(known_collation(&found)?);
            }
            Word::Bare(word) if !closed && is_bare_name(&word) && is_type(&word) => {
                types.push(word);
            }
            Word::Group(size) if !closed && !types.is_empty() => {
                let size = size_of(&size).ok_or_else(expected)?;
                closed = true;
                types.push(size);
            }
            _ => return Err(expected()),
        }
    }
    let mut declared = types.join(" ");
    if closed {
        declared = declared.replace(" (", "(");
    }
    if !unindexed {
        if collation.is_some() || !(declared.is_empty() || same(&declared, "TEXT")) {
            return Err(Error::invalid(format!(
                "{} is text to embed, and has neither type nor collation; write UNINDEXED behind \
                 them for a column that is compared in queries, as in {EXAMPLE}",
                quote_name(&name)
            )));
        }
        declared.clear();
    }
    Ok(Column {
        name,
        indexed: !unindexed,
        affinity: affinity_of(&declared),
        declared,
        collation,
    })
}

/// SQLite's own collations. A host that lacked an application's could not even drop the index.
const COLLATIONS: [&str; 3] = ["BINARY", "NOCASE", "RTRIM"];

fn known_collation(name: &str) -> Result<String> {
    let known = COLLATIONS.into_iter().find(|known| same(known, name));
    known.map(str::to_owned).ok_or_else(|| {
        Error::invalid(format!(
            "unknown collation '{}'; known: {}",
            shown(name),
            COLLATIONS.join(", ")
        ))
    })
}

fn is_type(word: &str) -> bool {
    !NO_TYPES.contains(&format!(" {} ", word.to_ascii_uppercase()))
}

/// One or two numbers, as in VARCHAR(10) and DECIMAL(10, 2).
fn size_of(text: &str) -> Option<String> {
    let numbers: Vec<&str> = text.split(',').map(str::trim).collect();
    let plain = |n: &&str| {
        let digits = n.strip_prefix(['+', '-']).unwrap_or(n);
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    };
    let fits = numbers.len() <= 2 && numbers.iter().all(plain);
    fits.then(|| format!("({})", numbers.join(",")))
}

#[cfg(test)]
mod tests;
