//! Names in SQL: quoting, an index's shadow tables and triggers, and finding an index by its name.

use super::words::{Word, Words};
use crate::error::{Error, Result};
use crate::sql::ffi::{Connection, Row, Statement, Value, skip_blanks};

/// What follows `index_` in the names of the tables that DEFENSIVE hosts protect. The log is not
/// among them: triggers write it, which DEFENSIVE would stop.
pub const SHADOWS: &[&str] = &["config", "rows", "text", "passages", "codes"];

pub use super::words::quote_name as quoted;

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
        format!("{}.{}", quoted(&self.schema), quoted(name))
    }

    /// SQL with the names of shadow tables in the place of `{rows}` and the like. What is put in is
    /// not looked at again: a name may hold braces itself.
    pub fn expand(&self, sql: &str) -> String {
        let (mut expanded, mut rest) = (String::with_capacity(sql.len()), sql);
        while let Some((before, after)) = rest.split_once('{') {
            expanded.push_str(before);
            let place = after.split_once('}');
            let known = |suffix: &str| SHADOWS.contains(&suffix) || suffix == "log";
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
        format!("{}.sqlite_schema", quoted(&self.schema))
    }
}

/// Finds the index that a function was given, as in SQL, optionally qualified and quoted; and the
/// arguments that it was made with.
///
/// # Errors
/// No such table, or one that is no index of ours.
pub fn find(db: Connection<'_>, given: &str) -> Result<(Names, Vec<String>)> {
    let (schema, name) = split(given)?;
    let schemas = match schema {
        Some(schema) => vec![schema],
        None => schemas(db)?,
    };
    for schema in &schemas {
        let Some((index, sql)) = table(db, schema, &name)? else {
            continue;
        };
        if let Some(arguments) = arguments(&sql) {
            let schema = schema.clone();
            return Ok((Names { schema, index }, arguments));
        }
        return Err(Error::invalid(format!(
            "'{index}' is not a semantic index; one is made with CREATE VIRTUAL TABLE ... USING bge(...)"
        )));
    }
    Err(Error::invalid(format!(
        "there is no index '{given}'; one is made with CREATE VIRTUAL TABLE ... USING bge(...)"
    )))
}

/// `name`, `schema.name`, either part quoted.
fn split(given: &str) -> Result<(Option<String>, String)> {
    let wanted = || {
        Error::invalid(format!(
            "'{given}' is not the name of an index, expected name or schema.name"
        ))
    };
    let (first, rest) = identifier(given.trim()).ok_or_else(wanted)?;
    let Some(rest) = rest.trim_start().strip_prefix('.') else {
        return if rest.trim().is_empty() {
            Ok((None, first))
        } else {
            Err(wanted())
        };
    };
    match identifier(rest.trim_start()) {
        Some((second, "")) => Ok((Some(first), second)),
        _ => Err(wanted()),
    }
}

/// The identifier that a text begins with, and what follows it.
fn identifier(text: &str) -> Option<(String, &str)> {
    let open = text.chars().next()?;
    let close = match open {
        '"' | '`' | '\'' => open,
        '[' => ']',
        _ => {
            // Unquoted: whatever it holds up to a point. Names of indexes may well have spaces.
            let end = text.find('.').unwrap_or(text.len());
            let name = text[..end].trim_end();
            return (!name.is_empty()).then(|| (name.to_owned(), &text[end..]));
        }
    };
    let mut name = String::new();
    let mut rest = &text[1..];
    loop {
        let end = rest.find(close)?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        if close == ']' || !rest.starts_with(close) {
            return Some((name, rest));
        }
        name.push(close);
        rest = &rest[1..];
    }
}

fn schemas(db: Connection<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut list = Statement::prepare(db, "SELECT name FROM pragma_database_list ORDER BY seq")?;
    while list.step()? == Row::Ready {
        names.extend(text(&list.column(0)?));
    }
    Ok(names)
}

/// The true name and the text of a table.
fn table(db: Connection<'_>, schema: &str, name: &str) -> Result<Option<(String, String)>> {
    let sql = format!(
        "SELECT name, sql FROM {}.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
        quoted(schema)
    );
    let mut find = Statement::prepare(db, &sql)?;
    find.bind(1, &Value::from(name.to_owned()))?;
    if find.step()? == Row::Done {
        return Ok(None);
    }
    let name = text(&find.column(0)?).unwrap_or_default();
    Ok(Some((name, text(&find.column(1)?).unwrap_or_default())))
}

/// The arguments of `CREATE VIRTUAL TABLE ... USING bge(...)`, as SQLite hands them over; `None` for
/// any other CREATE text.
fn arguments(sql: &str) -> Option<Vec<String>> {
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
    is(words.next().ok()?, "bge")?.then_some(())?;
    words.skip_blanks().ok()?;
    match words.rest().strip_prefix('(') {
        Some(inside) => Some(split_arguments(inside)),
        None => Some(Vec::new()),
    }
}

/// Splits at commas outside of quotes and parentheses, up to the closing one.
fn split_arguments(inside: &str) -> Vec<String> {
    let (mut arguments, mut argument) = (Vec::new(), String::new());
    let (mut depth, mut close) = (0usize, None);
    let mut rest = inside;
    while let Some(c) = rest.chars().next() {
        if close.is_none() && (rest.starts_with("--") || rest.starts_with("/*")) {
            let after = skip_blanks(rest);
            argument.push(' ');
            rest = after;
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match (close, c) {
            (Some(end), _) => {
                if c == end {
                    close = None;
                }
            }
            (None, '"' | '`' | '\'') => close = Some(c),
            (None, '[') => close = Some(']'),
            (None, '(') => depth += 1,
            (None, ')') if depth == 0 => break,
            (None, ')') => depth -= 1,
            (None, ',') if depth == 0 => {
                arguments.push(std::mem::take(&mut argument).trim().to_owned());
                continue;
            }
            (None, _) => {}
        }
        argument.push(c);
    }
    arguments.push(argument.trim().to_owned());
    arguments
}

/// The text of a value, where it is text.
pub fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
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
            assert_eq!(split(given).unwrap(), expected, "{given}");
        }
        for bad in ["", "\"open", "a.", ".b", "a.\"b\"c"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_our_module_counts() {
        let of = |sql| arguments(sql).map(|a| a.join("|"));
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
