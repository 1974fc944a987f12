//! The vectors of a row in the shadow tables: one passage, or several of a long text.

use super::store::{Store, corrupt};
use crate::error::Result;
use crate::sql::ffi::{Row, Value};

/// A vector of a row.
pub struct Passage {
    /// First character and the one behind the last, in the row's joined text; none for a vector
    /// that was given without text.
    pub span: Option<(i64, i64)>,
    /// The vector.
    pub vector: Vec<f32>,
}

impl Store<'_> {
    /// Slots of a row's vectors, in their order.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn slots(&self, id: i64) -> Result<Vec<i64>> {
        let mut find = self.sql("SELECT slot FROM {passages} WHERE row = ?1 ORDER BY slot")?;
        find.bind(1, &Value::Integer(id))?;
        let mut slots = Vec::new();
        while find.step()? == Row::Ready {
            slots.push(
                find.integer(0)
                    .ok_or_else(|| corrupt("a slot without a number"))?,
            );
        }
        Ok(slots)
    }

    /// Removes a row's vectors and frees their slots.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn remove_passages(&self, id: i64) -> Result<()> {
        for slot in self.slots(id)? {
            self.remove_passage(slot)?;
        }
        Ok(())
    }

    /// Puts a row's vectors in the place of those it had.
    ///
    /// # Errors
    /// Wrong dimensions; what SQLite says; damage.
    pub fn put_passages(&self, id: i64, passages: &[Passage]) -> Result<()> {
        let old = self.slots(id)?;
        for (n, passage) in passages.iter().enumerate() {
            self.put_passage(old.get(n).copied(), id, passage)?;
        }
        for &slot in old.get(passages.len()..).unwrap_or_default() {
            self.remove_passage(slot)?;
        }
        Ok(())
    }

    /// Writes a vector of a row to a slot, or to a new one.
    ///
    /// # Errors
    /// As [`Self::put_passages`].
    pub fn put_passage(&self, slot: Option<i64>, id: i64, passage: &Passage) -> Result<()> {
        let room = self.room()?;
        self.fix_dims(passage.vector.len(), &room.dims)?;
        // A slot that is free needs no look for what stands there.
        let (verb, slot) = match slot {
            Some(slot) => ("REPLACE", slot),
            None => ("INSERT", self.new_slot(&room)?),
        };
        let stored = self.storage().encode(&passage.vector)?;
        let place = |n: Option<i64>| n.map_or(Value::Null, Value::Integer);
        let mut put = self.sql(&format!(
            "{verb} INTO {{passages}}(slot, row, start, stop, vector) VALUES (?1, ?2, ?3, ?4, ?5)"
        ))?;
        put.bind(1, &Value::Integer(slot))?;
        put.bind(2, &Value::Integer(id))?;
        put.bind(3, &place(passage.span.map(|s| s.0)))?;
        put.bind(4, &place(passage.span.map(|s| s.1)))?;
        put.bind_bytes(5, &stored)?;
        put.run()?;
        self.fill_slot(slot, &stored, &room)
    }

    fn remove_passage(&self, slot: i64) -> Result<()> {
        self.free_slot(slot)?;
        let delete = self.sql("DELETE FROM {passages} WHERE slot = ?1")?;
        delete.with(&[Value::Integer(slot)])?.run()
    }
}
