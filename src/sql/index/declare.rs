//! `CREATE VIRTUAL TABLE t USING bge(...)`: its arguments, and the table that SQLite is told of.
//!
//! An argument is an option, `name = value`, or a column, `name [type] [COLLATE c] [UNINDEXED]`. A collation
//! is one of SQLite's own: a host that lacks another one could not even connect to the table, nor drop it.
//! [`options`] has all of the former; what comes of both is a [`spec::Spec`].

mod options;
mod spec;

use super::affinity::affinity_of;
use crate::error::{Error, Result};
use crate::sql::lexer::{Word, Words, is_bare_name, quote_name, shown};
pub use options::{CHUNK_TOKENS, OVERLAP};
use options::{KNOWN, Options};
pub use spec::{Column, ColumnRole, ContentMode, Hidden, Spec, WordsMode};
use spec::{ROWIDS, reserved, same};

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
    let mut spec = options.with(columns)?;
    let names = spec.columns.iter().map(|column| column.name.as_str());
    spec.hidden = Hidden::beside(names.chain([index_name]));
    for (n, column) in spec.columns.iter().enumerate() {
        let name = &column.name;
        if spec.is_taken(name) {
            let taken: Vec<&str> = reserved(spec.has_words()).collect();
            let which = if spec.has_words() {
                "an index with words"
            } else {
                "every index"
            };
            return Err(Error::invalid(format!(
                "a column cannot be called {}: {which} has {} and {} of its own; give the column another \
                 name, in the table or in a view that is named as content instead of the table",
                quote_name(name),
                taken.join(", "),
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
