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

use super::content::{Kind, Present};
use super::declare::{Content, Hidden};
use super::passages::Passage;
use super::store::Store;
use super::text::{Joined, span};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::sql::ffi::{Columns, Conflict, Type, Value, ValueRef, Write};
use crate::vector::Vector;

impl Store<'_> {
    /// One write; the rowid of an inserted row.
    ///
    /// # Errors
    /// What cannot be written here; a rowid that is taken; what SQLite says.
    pub fn write(&self, write: Write<'_>) -> Result<i64> {
        if let Write::Insert(_, columns) = &write {
            let command = columns.get(self.index.spec.query_column());
            if !command.is_null() {
                // What is returned becomes last_insert_rowid().
                let last = self.host.db.last_insert_rowid();
                self.command(&command.to_value()?)?;
                return Ok(last);
            }
        }
        self.check_format()?;
        match write {
            Write::Delete(rowid) => self.delete(rowid.integer()).map(|()| 0),
            Write::Insert(rowid, columns) => self.insert(rowid, columns),
            Write::Update(old, new, columns) => self.update(old.integer(), new, columns),
        }
    }

    fn has_content_table(&self) -> Option<&str> {
        match &self.index.spec.content {
            Content::Table { name, .. } => Some(name),
            Content::Own | Content::Nothing => None,
        }
    }

    fn delete(&self, id: i64) -> Result<()> {
        if let Some(table) = self.has_content_table() {
            return Err(Error::invalid(format!(
                "the rows of this index are those of '{table}': delete them there"
            )));
        }
        self.remove_row(id)?;
        let delete = self.sql("DELETE FROM {text} WHERE id = ?1")?;
        delete.with(&[Value::Integer(id)])?.run()
    }

    fn insert(&self, rowid: ValueRef<'_>, columns: Columns<'_>) -> Result<i64> {
        let given = rowid_of(rowid)?;
        let vector = self.hidden(columns, false)?;
        let values = self.values(columns)?;
        if let Some(table) = self.has_content_table() {
            let only_a_vector = values.iter().all(|v| *v == Value::Null);
            return match (given, vector) {
                (Some(id), Some(vector)) if only_a_vector => {
                    self.put_vector(id, &vector).map(|()| id)
                }
                _ => Err(Error::invalid(format!(
                    "the rows of this index are those of '{table}': insert there; here only \
                     (rowid, embedding) of a row of '{table}' can be given"
                ))),
            };
        }
        if let Some(id) = given {
            self.make_room(id)?;
        }
        let own = self.index.spec.content == Content::Own;
        if let (false, Some(vector)) = (own, &vector) {
            return self.insert_vector(given, &values, vector);
        }
        let id = match own {
            true => self.insert_text(given, &values)?,
            false => self.insert_without_text(given, &values)?,
        };
        match vector {
            Some(vector) => self.put_vector(id, &vector)?,
            None => self.note(id)?,
        }
        Ok(id)
    }

    /// What a write gives for the columns of the user's.
    fn values(&self, columns: Columns<'_>) -> Result<Vec<Value>> {
        let values = (0..self.index.spec.columns.len()).map(|n| columns.get(n).to_value());
        values.collect()
    }

    /// Without texts, a new row that comes with its vector: the text is not kept even for a moment.
    fn insert_vector(&self, id: Option<i64>, values: &[Value], vector: &[f32]) -> Result<i64> {
        let joined = self.join(values);
        let id = self.insert_row(id, joined.hash(), values)?;
        let (span, vector) = (joined.text().map(|text| span(&text.whole)), vector.to_vec());
        self.put_passage(None, id, &Passage { span, vector })?;
        Ok(id)
    }

    /// Makes a rowid free, as the statement's OR clause wants.
    fn make_room(&self, id: i64) -> Result<()> {
        if !self.exists(id)? {
            return Ok(());
        }
        if self.host.db.on_conflict() == Conflict::Replace {
            return self.delete(id);
        }
        const CONSTRAINT_ROWID: i32 = 19 | 10 << 8;
        Err(Error::new(
            ErrorKind::Host(CONSTRAINT_ROWID),
            format!("UNIQUE constraint failed: {}.rowid", self.index.names.index),
        ))
    }

    fn exists(&self, id: i64) -> Result<bool> {
        let find = match self.index.spec.content {
            Content::Own => "SELECT 1 FROM {text} WHERE id = ?1",
            _ => "SELECT 1 FROM {rows} WHERE id = ?1",
        };
        let found = self.sql(find)?.with(&[Value::Integer(id)])?.first()?;
        Ok(found.is_some())
    }

    fn insert_text(&self, id: Option<i64>, values: &[Value]) -> Result<i64> {
        let places: String = (0..values.len()).map(|n| format!(", ?{}", n + 2)).collect();
        // Where texts are kept for a while only, the row says whether the rowid is taken.
        let verb = match self.index.spec.content {
            Content::Own => "INSERT",
            _ => "REPLACE",
        };
        let insert = format!("{verb} INTO {{text}} VALUES (?1{places})");
        let mut all = vec![id.map_or(Value::Null, Value::Integer)];
        all.extend_from_slice(values);
        self.sql(&insert)?.with(&all)?.run()?;
        Ok(self.host.db.last_insert_rowid())
    }

    /// Without texts, the row is in `_rows` at once, with an empty hash until it is embedded.
    fn insert_without_text(&self, id: Option<i64>, values: &[Value]) -> Result<i64> {
        let id = self.insert_row(id, Vec::new(), values)?;
        if self.has_text(values) {
            self.insert_text(Some(id), values)?;
        }
        Ok(id)
    }

    fn insert_row(&self, id: Option<i64>, hash: Vec<u8>, values: &[Value]) -> Result<i64> {
        let others = self.others_of(values);
        let places: String = (0..others.len()).map(|n| format!(", ?{}", n + 3)).collect();
        let insert = format!("INSERT INTO {{rows}} VALUES (?1, ?2, NULL{places})");
        let mut all = vec![id.map_or(Value::Null, Value::Integer), Value::Blob(hash)];
        all.extend(others);
        self.sql(&insert)?.with(&all)?.run()?;
        Ok(self.host.db.last_insert_rowid())
    }

    fn has_text(&self, values: &[Value]) -> bool {
        let columns = self.index.spec.columns.iter().zip(values);
        columns
            .filter(|(c, _)| c.indexed)
            .any(|(_, v)| *v != Value::Null)
    }

    fn update(&self, old: i64, rowid: ValueRef<'_>, columns: Columns<'_>) -> Result<i64> {
        let new = rowid_of(rowid)?.unwrap_or(old);
        let vector = self.hidden(columns, true)?;
        let count = self.index.spec.columns.len();
        let changes: Vec<usize> = (0..count)
            .filter(|&n| !columns.get(n).is_unchanged())
            .collect();
        if let Some(table) = self.has_content_table()
            && (!changes.is_empty() || new != old)
        {
            return Err(Error::invalid(format!(
                "the texts of this index are those of '{table}': update them there; here only \
                     embedding can be set"
            )));
        }
        let values = self.values(columns)?;
        self.check_changes(&changes)?;
        if vector.is_some() && self.keeps_text() && !self.exists(old)? {
            return Err(no_row(old, &self.index.names.index));
        }
        if new != old {
            self.make_room(new)?;
            self.renumber(old, new)?;
        }
        if !changes.is_empty() {
            self.update_columns(new, &values, &changes, vector.is_some())?;
        }
        if let Some(vector) = vector {
            self.put_vector(new, &vector)?;
        }
        Ok(new)
    }

    /// Gives a row, with all that is indexed of it, another rowid.
    fn renumber(&self, old: i64, new: i64) -> Result<()> {
        for sql in [
            "UPDATE {rows} SET id = ?2 WHERE id = ?1",
            "UPDATE {passages} SET row = ?2 WHERE row = ?1",
            "UPDATE OR REPLACE {text} SET id = ?2 WHERE id = ?1",
        ] {
            let update = self.sql(sql)?;
            update
                .with(&[Value::Integer(old), Value::Integer(new)])?
                .run()?;
        }
        // Whether it is pending is not only in its notes: a scan may have passed `new`, and not `old`.
        self.note(new)
    }

    /// Whether these columns may be changed together.
    fn check_changes(&self, changes: &[usize]) -> Result<()> {
        let spec = &self.index.spec;
        let texts = changes.iter().filter(|&&n| spec.columns[n].indexed).count();
        let all = spec.columns.iter().filter(|c| c.indexed).count();
        if spec.content == Content::Nothing && texts > 0 && texts < all {
            return Err(Error::invalid(
                "this index keeps no texts (content=''), so an UPDATE of one must set every \
                 text column",
            ));
        }
        Ok(())
    }

    fn update_columns(
        &self,
        id: i64,
        values: &[Value],
        changes: &[usize],
        with_vector: bool,
    ) -> Result<()> {
        let spec = &self.index.spec;
        let texts = changes.iter().filter(|&&n| spec.columns[n].indexed).count();
        if spec.content == Content::Nothing && texts > 0 {
            self.insert_text(Some(id), values)?;
        }
        for &n in changes {
            let table = match (&spec.content, spec.columns[n].indexed) {
                (Content::Own, _) => "{text}",
                (_, false) => "{rows}",
                (_, true) => continue,
            };
            let update = self.sql(&format!("UPDATE {table} SET c{n} = ?2 WHERE id = ?1"))?;
            update
                .with(&[Value::Integer(id), values[n].clone()])?
                .run()?;
        }
        let noted = texts > 0 || spec.content == Content::Own;
        if noted && !with_vector {
            self.note(id)?;
        }
        Ok(())
    }

    /// The vector that a write gives; an error for hidden columns that cannot be written.
    fn hidden(&self, columns: Columns<'_>, update: bool) -> Result<Option<Vec<f32>>> {
        let spec = &self.index.spec;
        for hidden in Hidden::ALL {
            let value = columns.get(spec.number_of(hidden));
            let untouched = value.is_null() && (value.is_unchanged() || !update);
            if hidden == Hidden::Embedding || untouched {
                continue;
            }
            // An UPDATE hands over what was read, NULL without MATCH.
            if update && value.is_null() {
                continue;
            }
            return Err(Error::invalid(format!(
                "column '{}' cannot be written",
                spec.name_of(hidden, &self.index.names.index)
            )));
        }
        let value = columns.get(spec.number_of(Hidden::Embedding));
        match value.kind() {
            _ if value.is_unchanged() => Ok(None),
            Type::Null if !update => Ok(None),
            Type::Null => Err(Error::invalid(
                "embedding cannot be set to NULL; DELETE removes a row, rebuild all vectors",
            )),
            Type::Blob => {
                let vector = Vector::parse(value.blob()?).map_err(|e| e.at("embedding"))?;
                vector.check_finite().map_err(|e| e.at("embedding"))?;
                let vector = vector.to_f32()?;
                self.check_vector(&vector)?;
                Ok(Some(vector))
            }
            other => Err(Error::new(
                ErrorKind::Mismatch,
                format!("embedding is {}, expected a vector BLOB", other.name()),
            )),
        }
    }

    /// Takes a vector for a row as it is now.
    fn put_vector(&self, id: i64, vector: &[f32]) -> Result<()> {
        let content = self.content()?;
        let Some(present) = self.fetch(&content, &[id])?.pop() else {
            return Err(no_row(id, &content.named.table));
        };
        let Present { values, joined, .. } = present;
        // A row without text says nothing; its vector is what it has.
        let joined = joined.unwrap_or(Joined::Nothing);
        let span = joined.text().map(|text| span(&text.whole));
        let vector = vector.to_vec();
        // Of damage, too, nothing is to be left that says the vector were of this text.
        self.put_passages(id, &[Passage { span, vector }])
            .inspect_err(|_| drop(self.note(id)))?;
        self.put_row(id, &joined.hash(), None, &self.others_of(&values))?;
        if content.kind == Kind::Nothing {
            let delete = self.sql("DELETE FROM {text} WHERE id = ?1")?;
            delete.with(&[Value::Integer(id)])?.run()?;
        }
        Ok(())
    }
}

fn no_row(id: i64, table: &str) -> Error {
    Error::invalid(format!(
        "there is no row {id} in '{table}', so it can have no vector"
    ))
}

/// A rowid as it was given; NULL: none.
fn rowid_of(value: ValueRef<'_>) -> Result<Option<i64>> {
    use super::compare::{Affinity, apply};
    match apply(Affinity::Integer, value.to_value()?) {
        Value::Null => Ok(None),
        Value::Integer(id) => Ok(Some(id)),
        _ => Err(Error::new(
            ErrorKind::Mismatch,
            "datatype mismatch: a rowid is an integer",
        )),
    }
}
