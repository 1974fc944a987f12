//! Finding an index by the name that a function was given, and reading its declaration.

use super::names::{Names, declared_arguments, qualified};
use crate::error::{Error, Result};
use crate::sql::ffi::{Connection, Row, Statement, Value};
use crate::sql::lexer::quote_name;

/// Finds the index that a function was given, as in SQL, optionally qualified and quoted; and the
/// text that it was made with, with the arguments in it.
///
/// # Errors
/// No such table, or one that is no index of ours.
pub fn find(db: Connection<'_>, given: &str) -> Result<(Names, String, Vec<String>)> {
    let (schema, name) = qualified(given)?;
    let schemas = match schema {
        Some(schema) => vec![schema],
        None => schemas(db)?,
    };
    for schema in &schemas {
        let Some((index, sql)) = table(db, schema, &name)? else {
            continue;
        };
        if let Some(arguments) = declared_arguments(&sql) {
            let schema = schema.clone();
            return Ok((Names { schema, index }, sql, arguments));
        }
        return Err(Error::invalid(format!(
            "'{index}' is not a semantic index; one is made with CREATE VIRTUAL TABLE ... USING bge(...)"
        )));
    }
    Err(Error::invalid(format!(
        "there is no index '{given}'; one is made with CREATE VIRTUAL TABLE ... USING bge(...)"
    )))
}

fn schemas(db: Connection<'_>) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut list = Statement::prepare(db, "SELECT name FROM pragma_database_list ORDER BY seq")?;
    while list.step()? == Row::Ready {
        names.extend(list.column(0)?.as_str().map(str::to_owned));
    }
    Ok(names)
}

/// The true name and the CREATE text of a table.
fn table(db: Connection<'_>, schema: &str, name: &str) -> Result<Option<(String, String)>> {
    let sql = format!(
        "SELECT name, sql FROM {}.sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE",
        quote_name(schema)
    );
    let mut find = Statement::prepare(db, &sql)?;
    find.bind(1, &Value::from(name))?;
    if find.step()? == Row::Done {
        return Ok(None);
    }
    let text = |n: usize| -> Result<String> {
        Ok(find.column(n)?.as_str().unwrap_or_default().to_owned())
    };
    Ok(Some((text(0)?, text(1)?)))
}
