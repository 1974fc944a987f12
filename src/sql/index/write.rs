//! INSERT, UPDATE and DELETE on the index itself.
//!
//! Writing stores and notes; it never embeds. What may be written depends on where the texts are:
//! where the index keeps them, everything; over a content table, only `embedding` of a row that is
//! there (texts are written to the table); without texts, everything, but a text is kept only until
//! it is embedded. Nothing of a write outlives it in memory.
//!
//! A statement that writes one row has no statement journal: what we wrote before an error stays,
//! where the user has a transaction open, and SQLite opens no savepoint beside a statement that
//! writes. So everything that can be wrong with a write is looked at before the first of ours.

use super::affinity::{Affinity, apply};
use super::content::{Origin, Present};
use super::declare::{ContentMode, Hidden};
use super::parts::Parts;
use super::text::{Joined, span};
use super::vectors::passages::Passage;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::sql::ffi::{Columns, Conflict, Type, Value, ValueRef, Write};
use crate::vector::Vector;

/// One write; the rowid of an inserted row.
///
/// # Errors
/// What cannot be written here; a rowid that is taken; what SQLite says.
pub fn write(parts: Parts<'_>, write: Write<'_>) -> Result<i64> {
    parts.shadow.check_format()?;
    parts.words.prepare()?;
    match write {
        Write::Delete(rowid) => delete(parts, rowid.integer()).map(|()| 0),
        Write::Insert(rowid, columns) => insert(parts, rowid, columns),
        Write::Update(old, new, columns) => update(parts, old.integer(), new, columns),
    }
}

/// The table of the user's that the texts are in.
fn content_table<'a>(parts: Parts<'a>) -> Option<&'a str> {
    match &parts.shadow.spec().content {
        ContentMode::External { name, .. } => Some(name),
        ContentMode::Own | ContentMode::Contentless => None,
    }
}

fn delete(parts: Parts<'_>, id: i64) -> Result<()> {
    if let Some(table) = content_table(parts) {
        return Err(Error::invalid(format!(
            "the rows of this index are those of '{table}': delete them there"
        )));
    }
    parts.remove_row(id)?;
    parts.content.forget(id)
}

fn insert(parts: Parts<'_>, rowid: ValueRef<'_>, columns: Columns<'_>) -> Result<i64> {
    let given = rowid_of(rowid)?;
    let vector = hidden(parts, columns, false)?;
    let values = values(parts, columns)?;
    if let Some(table) = content_table(parts) {
        let only_a_vector = values.iter().all(|v| *v == Value::Null);
        return match (given, vector) {
            (Some(id), Some(vector)) if only_a_vector => {
                put_vector(parts, id, &vector).map(|()| id)
            }
            _ => Err(Error::invalid(format!(
                "the rows of this index are those of '{table}': insert there; here only \
                 (rowid, embedding) of a row of '{table}' can be given"
            ))),
        };
    }
    if let Some(id) = given {
        make_room(parts, id)?;
    }
    let own = parts.shadow.spec().content == ContentMode::Own;
    if let (false, Some(vector)) = (own, &vector) {
        return insert_vector(parts, given, &values, vector);
    }
    let id = match own {
        true => parts.content.keep(given, &values, false)?,
        false => insert_without_text(parts, given, &values)?,
    };
    // A row that came without its words is to leave nothing.
    parts
        .words
        .refresh(id)
        .inspect_err(|_| drop(parts.content.forget(id)))?;
    match vector {
        Some(vector) => put_vector(parts, id, &vector)?,
        None => parts.notes.add(id)?,
    }
    Ok(id)
}

/// What a write gives for the columns of the user's.
fn values(parts: Parts<'_>, columns: Columns<'_>) -> Result<Vec<Value>> {
    let values = (0..parts.shadow.spec().columns.len()).map(|n| columns.get(n).to_value());
    values.collect()
}

/// Without texts, a new row that comes with its vector: the text is not kept even for a moment.
fn insert_vector(
    parts: Parts<'_>,
    id: Option<i64>,
    values: &[Value],
    vector: &[f32],
) -> Result<i64> {
    let joined = parts.content.join(values);
    let others = parts.content.others_of(values);
    let id = parts.records.insert(id, joined.hash(), &others)?;
    let (span, vector) = (joined.text().map(|text| span(&text.whole)), vector.to_vec());
    parts.vectors.put_one(None, id, &Passage { span, vector })?;
    Ok(id)
}

/// Makes a rowid free, as the statement's OR clause wants.
fn make_room(parts: Parts<'_>, id: i64) -> Result<()> {
    if !exists(parts, id)? {
        return Ok(());
    }
    if parts.shadow.host.db.on_conflict() == Conflict::Replace {
        return delete(parts, id);
    }
    const CONSTRAINT_ROWID: i32 = 19 | 10 << 8;
    Err(Error::new(
        ErrorKind::Host(CONSTRAINT_ROWID),
        format!(
            "UNIQUE constraint failed: {}.rowid",
            parts.shadow.names().index
        ),
    ))
}

fn exists(parts: Parts<'_>, id: i64) -> Result<bool> {
    match parts.shadow.spec().content {
        ContentMode::Own => parts.content.has_text(id),
        _ => parts.records.has(id),
    }
}

/// Without texts, the row is in `_rows` at once, with an empty hash until it is embedded.
fn insert_without_text(parts: Parts<'_>, id: Option<i64>, values: &[Value]) -> Result<i64> {
    let others = parts.content.others_of(values);
    let id = parts.records.insert(id, Vec::new(), &others)?;
    if has_text(parts, values) {
        parts.content.keep(Some(id), values, true)?;
    }
    Ok(id)
}

fn has_text(parts: Parts<'_>, values: &[Value]) -> bool {
    let columns = parts.shadow.spec().columns.iter().zip(values);
    columns
        .filter(|(c, _)| c.indexed)
        .any(|(_, v)| *v != Value::Null)
}

fn update(parts: Parts<'_>, old: i64, rowid: ValueRef<'_>, columns: Columns<'_>) -> Result<i64> {
    let new = rowid_of(rowid)?.unwrap_or(old);
    let vector = hidden(parts, columns, true)?;
    let count = parts.shadow.spec().columns.len();
    let changes: Vec<usize> = (0..count)
        .filter(|&n| !columns.get(n).is_unchanged())
        .collect();
    if let Some(table) = content_table(parts)
        && (!changes.is_empty() || new != old)
    {
        return Err(Error::invalid(format!(
            "the texts of this index are those of '{table}': update them there; here only \
                 embedding can be set"
        )));
    }
    let values = values(parts, columns)?;
    check_changes(parts, &changes)?;
    if vector.is_some() && parts.shadow.keeps_text() && !exists(parts, old)? {
        return Err(no_row(old, &parts.shadow.names().index));
    }
    if new != old {
        make_room(parts, new)?;
        renumber(parts, old, new)?;
    }
    if !changes.is_empty() {
        update_columns(parts, new, &values, &changes, vector.is_some())?;
        parts.words.refresh(new)?;
    }
    if let Some(vector) = vector {
        put_vector(parts, new, &vector)?;
    }
    Ok(new)
}

/// Gives a row, with all that is indexed of it, another rowid.
fn renumber(parts: Parts<'_>, old: i64, new: i64) -> Result<()> {
    parts.records.renumber(old, new)?;
    parts.vectors.passages.renumber(old, new)?;
    parts.content.renumber(old, new)?;
    parts.words.remove(old)?;
    parts.words.refresh(new)?;
    // Whether it is pending is not only in its notes: a scan may have passed `new`, and not `old`.
    parts.notes.add(new)
}

/// Whether these columns may be changed together.
fn check_changes(parts: Parts<'_>, changes: &[usize]) -> Result<()> {
    let spec = &parts.shadow.spec();
    let texts = changes.iter().filter(|&&n| spec.columns[n].indexed).count();
    let all = spec.columns.iter().filter(|c| c.indexed).count();
    if spec.content == ContentMode::Contentless && texts > 0 && texts < all {
        return Err(Error::invalid(
            "this index keeps no texts (content=''), so an UPDATE of one must set every \
             text column",
        ));
    }
    Ok(())
}

fn update_columns(
    parts: Parts<'_>,
    id: i64,
    values: &[Value],
    changes: &[usize],
    with_vector: bool,
) -> Result<()> {
    let spec = &parts.shadow.spec();
    let texts = changes.iter().filter(|&&n| spec.columns[n].indexed).count();
    if spec.content == ContentMode::Contentless && texts > 0 {
        // The row says already that the rowid is taken.
        parts.content.keep(Some(id), values, true)?;
    }
    for &n in changes {
        match (&spec.content, spec.columns[n].indexed) {
            (ContentMode::Own, _) => parts.content.set(id, n, &values[n])?,
            (_, false) => parts.records.set(id, n, &values[n])?,
            (_, true) => {}
        }
    }
    let noted = texts > 0 || spec.content == ContentMode::Own;
    if noted && !with_vector {
        parts.notes.add(id)?;
    }
    Ok(())
}

/// The vector that a write gives; an error for hidden columns that cannot be written.
fn hidden(parts: Parts<'_>, columns: Columns<'_>, update: bool) -> Result<Option<Vec<f32>>> {
    let spec = &parts.shadow.spec();
    let (mut embedding, first) = (None, spec.query_column());
    for (n, &hidden) in spec.hidden.iter().enumerate() {
        let value = columns.get(first + n);
        let untouched = value.is_null() && (value.is_unchanged() || !update);
        if hidden == Hidden::Embedding {
            embedding = Some(value);
            continue;
        }
        if untouched {
            continue;
        }
        // An UPDATE hands over what was read, NULL without MATCH.
        if update && value.is_null() {
            continue;
        }
        return Err(Error::invalid(format!(
            "column '{}' cannot be written",
            spec.name_of(hidden, &parts.shadow.names().index)
        )));
    }
    let Some(value) = embedding else {
        return Ok(None);
    };
    match value.kind() {
        _ if value.is_unchanged() => Ok(None),
        Type::Null if !update => Ok(None),
        Type::Null => Err(Error::invalid(
            "embedding cannot be set to NULL; DELETE removes a row, rebuild all vectors",
        )),
        Type::Blob => {
            let vector = Vector::parse(value.blob()?).map_err(|e| e.at("embedding"))?;
            vector.check_finite().map_err(|e| e.at("embedding"))?;
            parts.vectors.check_given(vector)?;
            let vector = vector.to_f32()?;
            Ok(Some(vector))
        }
        other => Err(Error::new(
            ErrorKind::Mismatch,
            format!("embedding is {}, expected a vector BLOB", other.name()),
        )),
    }
}

/// Takes a vector for a row as it is now.
fn put_vector(parts: Parts<'_>, id: i64, vector: &[f32]) -> Result<()> {
    let content = parts.content.locate()?;
    let Some(present) = parts.content.fetch(&content, &[id])?.pop() else {
        return Err(no_row(id, &content.named.table));
    };
    let Present { values, joined, .. } = present;
    // A row without text says nothing; its vector is what it has.
    let joined = joined.unwrap_or(Joined::Nothing);
    let span = joined.text().map(|text| span(&text.whole));
    let vector = vector.to_vec();
    // Of damage, too, nothing is to be left that says the vector were of this text.
    parts
        .vectors
        .put(id, &[Passage { span, vector }])
        .inspect_err(|_| drop(parts.notes.add(id)))?;
    parts
        .records
        .put(id, &joined.hash(), None, &parts.content.others_of(&values))?;
    if content.origin == Origin::Contentless {
        parts.content.forget(id)?;
    }
    Ok(())
}
fn no_row(id: i64, table: &str) -> Error {
    Error::invalid(format!(
        "there is no row {id} in '{table}', so it can have no vector"
    ))
}

/// A rowid as it was given; NULL: none.
fn rowid_of(value: ValueRef<'_>) -> Result<Option<i64>> {
    match apply(Affinity::Integer, value.to_value()?) {
        Value::Null => Ok(None),
        Value::Integer(id) => Ok(Some(id)),
        _ => Err(Error::new(
            ErrorKind::Mismatch,
            "datatype mismatch: a rowid is an integer",
        )),
    }
}
