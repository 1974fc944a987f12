//! Names in SQL: an index's shadow tables and triggers, what a function was given as an index's name,
//! and the arguments in the text of a CREATE VIRTUAL TABLE. Pure: [`super::find`] looks things up.

use crate::error::{Error, Result};
use crate::sql::lexer::{self, Token, Tokens, Word, Words, quote_name};

/// What follows `index_` in the names of the shadow tables that DEFENSIVE hosts protect.
pub const PROTECTED: [&str; 5] = ["config", "rows", "text", "passages", "codes"];

/// What follows `index_` in the name of the log of notes. DEFENSIVE hosts do not protect it, since
/// triggers write to it, which DEFENSIVE would stop.
pub const LOG: &str = "log";

/// What follows `index_` in the name of the index's own FTS5 table, where it keeps words. Triggers write to it too.
pub const WORDS: &str = "words";

/// All shadow tables that an index may have.
pub fn shadow_tables() -> impl Iterator<Item = &'static str> {
    PROTECTED.into_iter().chain([LOG])
}

/// An index: its schema and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// `main`, or an attached database.
    pub schema: String,
    /// The virtual table.
    pub index: String,
}

impl Names {
    /// A shadow table, for use in SQL: `"schema"."index_suffix"`.
    pub fn table(&self, suffix: &str) -> String {
        self.in_schema(&self.bare(suffix))
    }

    /// The unquoted name of a shadow table or trigger.
    pub fn bare(&self, suffix: &str) -> String {
        format!("{}_{suffix}", self.index)
    }

    /// Any name of the index's schema, for use in SQL.
    pub fn in_schema(&self, name: &str) -> String {
        format!("{}.{}", quote_name(&self.schema), quote_name(name))
    }

    /// SQL with the names of shadow tables in the place of `{rows}` and the like. What is put in is
    /// not looked at again: a name may hold braces itself.
    pub fn expand(&self, sql: &str) -> String {
        let (mut expanded, mut rest) = (String::with_capacity(sql.len()), sql);
        while let Some((before, after)) = rest.split_once('{') {
            expanded.push_str(before);
            let place = after.split_once('}');
            let known = |suffix: &str| shadow_tables().any(|shadow| shadow == suffix);
            rest = match place.filter(|(suffix, _)| known(suffix)) {
                Some((suffix, behind)) => {
                    expanded.push_str(&self.table(suffix));
                    behind
                }
                None => {
                    expanded.push('{');
                    after
                }
            };
        }
        expanded + rest
    }

    /// The schema's table of tables.
    pub fn schema_table(&self) -> String {
        format!("{}.sqlite_schema", quote_name(&self.schema))
    }
}

/// `name`, `schema.name`, either part quoted: the schema, where one is given, and the name.
///
/// # Errors
/// It is no such name.
pub fn qualified(given: &str) -> Result<(Option<String>, String)> {
    let wanted = || {
        Error::invalid(format!(
            "'{given}' is not the name of an index, expected name or schema.name"
        ))
    };
    let (first, rest) = leading_name(given.trim()).ok_or_else(wanted)?;
    let Some(rest) = rest.trim_start().strip_prefix('.') else {
        return match rest.trim() {
            "" => Ok((None, first)),
            _ => Err(wanted()),
        };
    };
    match leading_name(rest.trim_start()) {
        Some((second, "")) => Ok((Some(first), second)),
        _ => Err(wanted()),
    }
}

/// The name that a text begins with, and what follows it. Unquoted it holds whatever there is up to a
/// point: names of indexes may well have spaces.
fn leading_name(text: &str) -> Option<(String, &str)> {
    let mut tokens = Tokens::new(text);
    if let Some(Token::Quoted { raw, closed }) = tokens.next() {
        return closed.then(|| (lexer::unquoted(raw), tokens.rest()));
    }
    let end = text.find('.').unwrap_or(text.len());
    let name = text[..end].trim_end();
    (!name.is_empty()).then(|| (name.to_owned(), &text[end..]))
}

/// The arguments of `CREATE VIRTUAL TABLE ... USING bge(...)`, as SQLite hands them over; `None` for
/// any other CREATE text.
pub fn declared_arguments(sql: &str) -> Option<Vec<String>> {
    arguments_for(sql, "bge")
}

/// Whether the text is a `CREATE VIRTUAL TABLE ... USING fts5`.
pub fn is_fts5(sql: &str) -> bool {
    arguments_for(sql, "fts5").is_some()
}

fn arguments_for(sql: &str, module: &str) -> Option<Vec<String>> {
    let mut words = Words::new(sql);
    let is = |word: Option<Word>, wanted: &str| match word {
        Some(Word::Bare(word) | Word::Quoted(word)) => Some(word.eq_ignore_ascii_case(wanted)),
        _ => None,
    };
    is(words.next().ok()?, "create")?.then_some(())?;
    is(words.next().ok()?, "virtual")?.then_some(())?;
    loop {
        match words.next().ok()?? {
            Word::Bare(word) if word.eq_ignore_ascii_case("using") => break,
            _ => {}
        }
    }
    is(words.next().ok()?, module)?.then_some(())?;
    words.skip_blanks().ok()?;
    match words.rest().strip_prefix('(') {
        Some(inside) => Some(lexer::arguments(inside)),
        None => Some(Vec::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_in_sql() {
        let cases = [
            ("t", None, "t"),
            (" main.t ", Some("main"), "t"),
            ("\"my \"\"index\"\"\"", None, "my \"index\""),
            ("[a].[b.c]", Some("a"), "b.c"),
            ("main . 'x'", Some("main"), "x"),
            ("Übersicht", None, "Übersicht"),
        ];
        for (given, schema, name) in cases {
            let expected = (schema.map(str::to_owned), name.to_owned());
            assert_eq!(qualified(given).unwrap(), expected, "{given}");
        }
        for bad in ["", "\"open", "a.", ".b", "a.\"b\"c"] {
            assert!(qualified(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_our_module_counts() {
        let of = |sql| declared_arguments(sql).map(|a| a.join("|"));
        assert_eq!(
            of("CREATE VIRTUAL TABLE \"x\" USING bge(a)"),
            Some("a".into())
        );
        let many = "create virtual table if not exists main.[using fts] using BGE (a, 'b,(', c t(1,2) unindexed ) ";
        assert_eq!(of(many), Some("a|'b,('|c t(1,2) unindexed".into()));
        let remarks =
            "CREATE VIRTUAL TABLE t USING bge(a, /* one, two */ b, -- it's (\n c UNINDEXED)";
        assert_eq!(of(remarks), Some("a|b|c UNINDEXED".into()));
        assert_eq!(of("CREATE VIRTUAL TABLE bge USING fts5(a)"), None);
        assert_eq!(of("CREATE TABLE using_bge(a)"), None);
    }
}
