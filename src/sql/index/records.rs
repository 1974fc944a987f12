//! `_rows`: what each row said when it was embedded: the hash of its text, its UNINDEXED values, and why
//! it has no vector where it has none.

use super::damage::corrupt;
use super::shadow::Shadow;
use crate::error::Result;
use crate::sql::ffi::{Row, Value};

/// The records of an index.
#[derive(Clone, Copy)]
pub struct Records<'a> {
    shadow: Shadow<'a>,
}

/// A row of the index, as it was when it was embedded.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The hash of the text that its vectors are of; empty for a row without content table that was
    /// not embedded yet.
    pub hash: Vec<u8>,
    /// Its UNINDEXED values.
    pub others: Vec<Value>,
}

impl<'a> Records<'a> {
    /// Those of an index.
    pub fn new(shadow: Shadow<'a>) -> Self {
        Records { shadow }
    }

    /// The names of the UNINDEXED columns in the table.
    fn columns(self) -> impl Iterator<Item = String> {
        self.shadow.others().map(|(n, _)| format!("c{n}"))
    }

    /// The record of a row.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn of(self, id: i64) -> Result<Option<Record>> {
        let columns: String = self.columns().map(|c| format!(", {c}")).collect();
        let find = format!("SELECT hash{columns} FROM {{rows}} WHERE id = ?1");
        let mut find = self.shadow.sql(&find)?;
        find.bind(1, &Value::Integer(id))?;
        if find.step()? == Row::Done {
            return Ok(None);
        }
        let Some(hash) = find.blob(0)? else {
            return Err(corrupt(format_args!("row {id} has no hash")));
        };
        let hash = hash.to_vec();
        let others = (1..find.columns()).map(|n| find.column(n));
        let others = others.collect::<Result<_>>()?;
        Ok(Some(Record { hash, others }))
    }

    /// Whether a row was embedded with a text of this hash.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn says(self, id: i64, hash: &[u8]) -> Result<bool> {
        Ok(self.of(id)?.is_some_and(|record| record.hash == hash))
    }

    /// Whether there is a record of a row.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has(self, id: i64) -> Result<bool> {
        let find = self.shadow.sql("SELECT 1 FROM {rows} WHERE id = ?1")?;
        Ok(find.with(&[Value::Integer(id)])?.first()?.is_some())
    }

    /// Writes the record of a row.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put(self, id: i64, hash: &[u8], problem: Option<&str>, others: &[Value]) -> Result<()> {
        // By name, and without REPLACE: a later version may have columns of its own.
        let columns: String = self.columns().map(|c| format!(", {c}")).collect();
        let places: String = (0..others.len()).map(|n| format!(", ?{}", n + 4)).collect();
        let set = self.columns().map(|c| format!(", {c} = excluded.{c}"));
        let set: String = set.collect();
        let put = format!(
            "INSERT INTO {{rows}}(id, hash, problem{columns}) VALUES (?1, ?2, ?3{places}) \
             ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, problem = excluded.problem{set}"
        );
        let mut values = vec![
            Value::Integer(id),
            Value::Blob(hash.to_vec()),
            Value::from(problem),
        ];
        values.extend_from_slice(others);
        self.shadow.sql(&put)?.with(&values)?.run()
    }

    /// Writes the record of a new row; its rowid, which SQLite chooses where none is given.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn insert(self, id: Option<i64>, hash: Vec<u8>, others: &[Value]) -> Result<i64> {
        let places: String = (0..others.len()).map(|n| format!(", ?{}", n + 3)).collect();
        let columns: String = self.columns().map(|c| format!(", {c}")).collect();
        let insert = format!("INSERT INTO {{rows}}(id, hash{columns}) VALUES (?1, ?2{places})");
        let mut all = vec![Value::from(id), Value::Blob(hash)];
        all.extend_from_slice(others);
        self.shadow.sql(&insert)?.with(&all)?.run()?;
        Ok(self.shadow.host.db.last_insert_rowid())
    }

    /// Writes one UNINDEXED value, of column `n` among all columns.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set(self, id: i64, n: usize, value: &Value) -> Result<()> {
        let update = format!("UPDATE {{rows}} SET c{n} = ?2 WHERE id = ?1");
        let mut update = self.shadow.sql(&update)?;
        update.bind(1, &Value::Integer(id))?;
        update.bind(2, value)?;
        update.run()
    }

    /// Writes the UNINDEXED values of a row whose text has not changed.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_others(self, id: i64, others: &[Value]) -> Result<()> {
        let mut columns = self.shadow.others().zip(others);
        columns.try_for_each(|((n, _), value)| self.set(id, n, value))
    }

    /// Gives a row another rowid.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn renumber(self, old: i64, new: i64) -> Result<()> {
        let update = self.shadow.sql("UPDATE {rows} SET id = ?2 WHERE id = ?1")?;
        update
            .with(&[Value::Integer(old), Value::Integer(new)])?
            .run()
    }

    /// Removes the record of a row.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove(self, id: i64) -> Result<()> {
        let delete = self.shadow.sql("DELETE FROM {rows} WHERE id = ?1")?;
        delete.with(&[Value::Integer(id)])?.run()
    }
}
