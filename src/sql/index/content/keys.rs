//! Which column of a content can be the key of an index: an integer that identifies a row and stays.
//!
//! That is the INTEGER PRIMARY KEY, or a column with a total UNIQUE index of its own; VACUUM gives other
//! rows new rowids. A true alias of the rowid is the only column of a primary key, is declared INTEGER, and
//! `pragma_index_list` has no entry of origin 'pk'. A key without an index would cost 82 ms a lookup at
//! 1,000,000 rows.

use crate::error::{Error, Result};
use crate::sql::ffi::{Row, Value};
use crate::sql::index::affinity::{Affinity, affinity_of};
use crate::sql::index::shadow::Shadow;
use crate::sql::lexer::quote_name;

/// What the texts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An ordinary table: one lookup a row.
    Table,
    /// A view, or a virtual table: one lookup a batch.
    View,
    /// The index keeps the texts.
    Own,
    /// The index keeps a text only until it is embedded.
    Contentless,
}

/// A column of a content.
pub struct ColumnOf {
    /// Its name.
    pub name: String,
    declared: String,
    in_key: bool,
}

struct UniqueIndex {
    of_key: bool,
    /// Its only column, where it is total and has one.
    column: Option<String>,
}

/// The column of that name.
pub fn find<'c>(columns: &'c [ColumnOf], name: &str) -> Option<&'c ColumnOf> {
    columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
}

/// The columns for a message.
pub fn list(columns: &[ColumnOf]) -> String {
    let names: Vec<&str> = columns.iter().map(|c| c.name.as_str()).collect();
    names.join(", ")
}

/// The true name of a table of our schema, and what it is.
///
/// # Errors
/// There is none.
pub fn true_name(shadow: Shadow<'_>, name: &str) -> Result<(String, Origin)> {
    let names = shadow.names();
    let mut find = shadow.kept("table kind", || {
        format!(
            "SELECT name, type, coalesce(lower(substr(sql, 1, 15)) = 'create virtual ', 0) FROM {} \
             WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE",
            names.schema_table()
        )
    })?;
    find.bind(1, &Value::from(name))?;
    if find.step()? == Row::Done {
        return Err(Error::invalid(format!(
            "there is no table or view '{name}' in schema '{}', where content of '{}' is to be; \
             an index and its content are in one schema",
            names.schema, names.index
        )));
    }
    let is_table = find.text(1)?.as_deref() == Some("table");
    let origin = match is_table && find.integer(2) == Some(0) {
        true => Origin::Table,
        false => Origin::View,
    };
    Ok((find.text(0)?.unwrap_or_default(), origin))
}

/// The columns of a table or view, hidden ones too.
///
/// # Errors
/// What SQLite says.
pub fn columns_of(shadow: Shadow<'_>, table: &str) -> Result<Vec<ColumnOf>> {
    let mut list = shadow.kept("columns", || {
        "SELECT name, type, pk FROM pragma_table_xinfo(?1, ?2)".to_owned()
    })?;
    list.bind(1, &Value::from(table))?;
    list.bind(2, &Value::from(shadow.names().schema.clone()))?;
    let mut columns = Vec::new();
    while list.step()? == Row::Ready {
        columns.push(ColumnOf {
            name: list.text(0)?.unwrap_or_default(),
            declared: list.text(1)?.unwrap_or_default(),
            in_key: list.integer(2).unwrap_or(0) > 0,
        });
    }
    Ok(columns)
}

/// The key of a view, which must be named.
///
/// # Errors
/// It is not, or there is no such column.
pub fn of_view(view: &str, given: Option<&str>, columns: &[ColumnOf]) -> Result<String> {
    let given = given.ok_or_else(|| {
        Error::invalid(format!(
            "content '{view}' is no ordinary table, so its key must be named: content_rowid='...'"
        ))
    })?;
    let column = find(columns, given).ok_or_else(|| no_column(view, given))?;
    Ok(column.name.clone())
}

/// The key of an ordinary table: named, or its INTEGER PRIMARY KEY.
///
/// # Errors
/// None is fit; what SQLite says.
pub fn of_table(
    shadow: Shadow<'_>,
    table: &str,
    given: Option<&str>,
    columns: &[ColumnOf],
) -> Result<String> {
    let indexes = unique_indexes(shadow, table)?;
    let mut keys = columns.iter().filter(|c| c.in_key);
    let alias = match (keys.next(), keys.next()) {
        (Some(one), None) if one.declared.eq_ignore_ascii_case("integer") => {
            let by_index = indexes.iter().any(|index| index.of_key);
            (!by_index).then(|| one.name.clone())
        }
        _ => None,
    };
    let Some(given) = given else {
        return alias.ok_or_else(|| no_key(table, &indexes));
    };
    let Some(column) = find(columns, given) else {
        let is_rowid = ["rowid", "oid", "_rowid_"]
            .iter()
            .any(|r| given.eq_ignore_ascii_case(r));
        return match alias {
            Some(alias) if is_rowid => Ok(alias),
            _ => Err(no_column(table, given)),
        };
    };
    if matches!(
        affinity_of(&column.declared),
        Affinity::Text | Affinity::Real
    ) {
        return Err(Error::invalid(format!(
            "content_rowid '{given}' of '{table}' is declared {}, expected an integer column",
            column.declared
        )));
    }
    let unique = |index: &UniqueIndex| index.column.as_deref() == Some(column.name.as_str());
    if alias.as_ref() == Some(&column.name) || indexes.iter().any(unique) {
        return Ok(column.name.clone());
    }
    Err(Error::invalid(format!(
        "content_rowid '{given}' is neither the primary key of '{table}' nor has it a UNIQUE \
         index of its own; make one: CREATE UNIQUE INDEX ... ON {}({})",
        quote_name(table),
        quote_name(&column.name)
    )))
}

fn unique_indexes(shadow: Shadow<'_>, table: &str) -> Result<Vec<UniqueIndex>> {
    let mut list = shadow.kept("unique indexes", || {
        "SELECT l.origin = 'pk', l.partial = 0 AND count(*) = 1, max(i.name) \
         FROM pragma_index_list(?1, ?2) AS l, pragma_index_info(l.name, ?2) AS i \
         WHERE l.\"unique\" GROUP BY l.seq"
            .to_owned()
    })?;
    list.bind(1, &Value::from(table))?;
    list.bind(2, &Value::from(shadow.names().schema.clone()))?;
    let mut indexes = Vec::new();
    while list.step()? == Row::Ready {
        let total_of_one = list.integer(1) == Some(1);
        indexes.push(UniqueIndex {
            of_key: list.integer(0) == Some(1),
            column: list.text(2)?.filter(|_| total_of_one),
        });
    }
    Ok(indexes)
}

/// Whether a row of a table can be displaced without a note: by OR REPLACE through a UNIQUE index.
///
/// # Errors
/// What SQLite says.
pub fn has_unique_index(shadow: Shadow<'_>, table: &str) -> Result<bool> {
    Ok(!unique_indexes(shadow, table)?.is_empty())
}

fn no_column(table: &str, name: &str) -> Error {
    Error::invalid(format!(
        "content '{table}' has no column '{name}', which content_rowid names"
    ))
}

/// Why a table has no key that need not be named.
fn no_key(table: &str, indexes: &[UniqueIndex]) -> Error {
    let of_key = indexes.iter().find(|index| index.of_key);
    Error::invalid(match of_key.and_then(|index| index.column.as_ref()) {
        Some(key) => format!(
            "the primary key of '{table}' is no other name of its rowid (it is WITHOUT ROWID, or \
             '{key}' is not declared INTEGER PRIMARY KEY), so it must be named: content_rowid='{key}', \
             if its values are integers"
        ),
        None => format!(
            "table '{table}' has no INTEGER PRIMARY KEY, so VACUUM may renumber its rows; \
             name an integer column that has a UNIQUE index: content_rowid='...'"
        ),
    })
}
