//! `_passages`: the vectors, one for each passage of a row, by their slots.

use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use crate::sql::index::damage::corrupt;
use crate::sql::index::shadow::Shadow;

/// A vector of a row.
pub struct Passage {
    /// First character and the one behind the last, in the row's joined text; none for a vector
    /// that was given without text.
    pub span: Option<(i64, i64)>,
    /// The vector.
    pub vector: Vec<f32>,
}

/// The table, slot by slot. What of it has codes, [`super::Vectors`] knows.
#[derive(Clone, Copy)]
pub struct Passages<'a> {
    shadow: Shadow<'a>,
}

impl<'a> Passages<'a> {
    /// Those of an index.
    pub fn new(shadow: Shadow<'a>) -> Self {
        Passages { shadow }
    }

    /// The index.
    pub fn shadow(self) -> Shadow<'a> {
        self.shadow
    }

    /// How many there are.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn count(self) -> Result<i64> {
        let count = self.shadow.sql("SELECT count(*) FROM {passages}")?;
        Ok(count.integer_of_first()?.unwrap_or(0))
    }

    /// The last slot in use.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn last_slot(self) -> Result<Option<i64>> {
        let last = self.shadow.sql("SELECT max(slot) FROM {passages}")?;
        last.integer_of_first()
    }

    /// Slots of a row's vectors, in their order.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn slots_of(self, row: i64) -> Result<Vec<i64>> {
        let mut find = self
            .shadow
            .sql("SELECT slot FROM {passages} WHERE row = ?1 ORDER BY slot")?;
        find.bind(1, &Value::Integer(row))?;
        let mut slots = Vec::new();
        while find.step()? == Row::Ready {
            slots.push(find.integer(0).ok_or_else(no_number)?);
        }
        Ok(slots)
    }

    /// The slot of a row's first passage, by its place in the text: a later one may have an earlier slot.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn first_of(self, row: i64) -> Result<Option<i64>> {
        let find = self
            .shadow
            .sql("SELECT slot FROM {passages} WHERE row = ?1 ORDER BY start, slot LIMIT 1")?;
        find.with(&[Value::Integer(row)])?.integer_of_first()
    }

    /// Row and stored vector of a slot, shown to `look`; `None` for a slot that is free.
    ///
    /// # Errors
    /// What SQLite says; damage; those of `look`.
    pub fn at<R>(self, slot: i64, look: impl FnOnce(i64, &[u8]) -> Result<R>) -> Result<Option<R>> {
        let mut read = self
            .shadow
            .sql("SELECT row, vector FROM {passages} WHERE slot = ?1")?;
        read.bind(1, &Value::Integer(slot))?;
        if read.step()? == Row::Done {
            return Ok(None);
        }
        let no_row = || corrupt(format_args!("slot {slot} has no row"));
        let row = read.integer(0).ok_or_else(no_row)?;
        look(row, read.blob(1)?.unwrap_or_default()).map(Some)
    }

    /// The stored vector of a slot.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn stored(self, slot: i64) -> Result<Option<Vec<u8>>> {
        self.at(slot, |_, stored| Ok(stored.to_vec()))
    }

    /// The characters that a slot's vector is of.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn span(self, slot: i64) -> Result<Option<(i64, i64)>> {
        let mut read = self
            .shadow
            .sql("SELECT start, stop FROM {passages} WHERE slot = ?1")?;
        read.bind(1, &Value::Integer(slot))?;
        Ok(match read.step()? {
            Row::Ready => read.integer(0).zip(read.integer(1)),
            Row::Done => None,
        })
    }

    /// Shows every slot and stored vector of a row to `look`.
    ///
    /// # Errors
    /// What SQLite says; damage; those of `look`.
    pub fn each_of_row(
        self,
        row: i64,
        mut look: impl FnMut(i64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut read = self
            .shadow
            .sql("SELECT slot, vector FROM {passages} WHERE row = ?1")?;
        read.bind(1, &Value::Integer(row))?;
        while read.step()? == Row::Ready {
            let slot = read.integer(0).ok_or_else(no_number)?;
            look(slot, read.blob(1)?.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Shows slot, row and stored vector of the slots `from..to` to `look`, in their order.
    ///
    /// # Errors
    /// What SQLite says; an interruption; damage; those of `look`.
    pub fn each_between(
        self,
        from: i64,
        to: i64,
        mut look: impl FnMut(i64, i64, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut read = self.shadow.sql(
            "SELECT slot, row, vector FROM {passages} WHERE slot >= ?1 AND slot < ?2 ORDER BY slot",
        )?;
        read.bind(1, &Value::Integer(from))?;
        read.bind(2, &Value::Integer(to))?;
        let mut count = 0usize;
        while read.step()? == Row::Ready {
            count += 1;
            if count.is_multiple_of(4096) {
                self.shadow.host.interrupts.check()?;
            }
            let (Some(slot), Some(row)) = (read.integer(0), read.integer(1)) else {
                return Err(corrupt("a vector without slot or row"));
            };
            look(slot, row, read.blob(2)?.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Every slot in use, in their order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn all_slots(self) -> Result<Vec<i64>> {
        let mut read = self
            .shadow
            .sql("SELECT slot FROM {passages} ORDER BY slot")?;
        let mut slots = Vec::new();
        while read.step()? == Row::Ready {
            slots.push(read.integer(0).unwrap_or(0));
        }
        Ok(slots)
    }

    /// Writes to a slot that is free (`is_new`), or in the place of what stands there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn put(
        self,
        slot: i64,
        is_new: bool,
        row: i64,
        span: Option<(i64, i64)>,
        stored: &[u8],
    ) -> Result<()> {
        // A slot that is free needs no look for what stands there.
        let verb = if is_new { "INSERT" } else { "REPLACE" };
        let mut put = self.shadow.sql(&format!(
            "{verb} INTO {{passages}}(slot, row, start, stop, vector) VALUES (?1, ?2, ?3, ?4, ?5)"
        ))?;
        put.bind(1, &Value::Integer(slot))?;
        put.bind(2, &Value::Integer(row))?;
        put.bind(3, &Value::from(span.map(|s| s.0)))?;
        put.bind(4, &Value::from(span.map(|s| s.1)))?;
        put.bind_bytes(5, stored)?;
        put.run()
    }

    /// Empties a slot.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove(self, slot: i64) -> Result<()> {
        let delete = self.shadow.sql("DELETE FROM {passages} WHERE slot = ?1")?;
        delete.with(&[Value::Integer(slot)])?.run()
    }

    /// Moves a vector to a slot that is free.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn move_to(self, slot: i64, free: i64) -> Result<()> {
        let update = "UPDATE {passages} SET slot = ?2 WHERE slot = ?1";
        let values = [Value::Integer(slot), Value::Integer(free)];
        self.shadow.sql(update)?.with(&values)?.run()
    }

    /// Gives the vectors of a row to another one.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn renumber(self, old: i64, new: i64) -> Result<()> {
        let update = "UPDATE {passages} SET row = ?2 WHERE row = ?1";
        let values = [Value::Integer(old), Value::Integer(new)];
        self.shadow.sql(update)?.with(&values)?.run()
    }
}

fn no_number() -> crate::error::Error {
    corrupt("a slot without a number")
}
