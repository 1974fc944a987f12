//! The vectors of an index: [`Vectors`] alone knows what slots, chunks, stamps and the tail are.
//!
//! - [`passages`]: `_passages`, a vector a slot.
//! - [`codes`]: `_codes`, a chunk of codes for 1,024 slots, [`chunk`] its layout; [`cache`]: codes in
//!   memory.
//! - [`fit`]: when and how codes are made.
//!
//! Freed slots are used again, the lowest first, before the tail grows.

pub mod cache;
pub mod chunk;
pub mod codes;
mod fit;
pub mod passages;

use super::damage::corrupt;
use super::shadow::Shadow;
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::Value;
use crate::vector::Vector;
use chunk::{CHUNK, FIRST_CODES};
use codes::{Codes, tail_after};
use passages::{Passage, Passages};

/// The vectors of an index.
#[derive(Clone, Copy)]
pub struct Vectors<'a> {
    shadow: Shadow<'a>,
    /// The vectors as they are stored.
    pub passages: Passages<'a>,
    /// Their codes.
    pub codes: Codes<'a>,
}

/// What writing a vector must know of the index; true until something is written.
struct Room {
    /// The setting.
    dims: Value,
    /// Whether coded chunks have free slots.
    has_holes: bool,
    /// The slot behind all others.
    next: i64,
    /// Where the tail begins.
    tail: i64,
}

impl<'a> Vectors<'a> {
    /// Those of an index.
    pub fn new(shadow: Shadow<'a>) -> Self {
        Vectors {
            shadow,
            passages: Passages::new(shadow),
            codes: Codes::new(shadow),
        }
    }

    /// Whether a vector of the user's could be written, before anything is.
    ///
    /// # Errors
    /// Other dimensions than the index has; values that its storage cannot hold.
    pub fn check_given(self, vector: Vector<'_>) -> Result<()> {
        let known = self.shadow.get("dims")?;
        let wanted = known
            .as_integer()
            .and_then(|dims| usize::try_from(dims).ok());
        let question = wanted.map_or(String::new(), |dims| vector.question(dims));
        check_dims(vector.dims(), &known).map_err(|e| match e.kind() {
            Kind::Invalid => Error::invalid(format!("{e}{question}")),
            _ => e,
        })?;
        let encoded = self.shadow.storage().encode(&vector.to_f32()?);
        encoded.map(drop).map_err(|e| e.at("embedding"))
    }

    /// Puts a row's vectors in the place of those it had.
    ///
    /// # Errors
    /// Wrong dimensions; what SQLite says; damage.
    pub fn put(self, row: i64, passages: &[Passage]) -> Result<()> {
        let old = self.passages.slots_of(row)?;
        for (n, passage) in passages.iter().enumerate() {
            self.put_one(old.get(n).copied(), row, passage)?;
        }
        for &slot in old.get(passages.len()..).unwrap_or_default() {
            self.remove_slot(slot)?;
        }
        Ok(())
    }

    /// Writes a vector of a row to a slot, or to a new one.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn put_one(self, slot: Option<i64>, row: i64, passage: &Passage) -> Result<()> {
        let room = self.room()?;
        let dims = passage.vector.len();
        check_dims(dims, &room.dims)?;
        if room.dims.is_null() {
            self.shadow.set("dims", Value::Integer(dims as i64))?;
        }
        let (is_new, slot) = match slot {
            Some(slot) => (false, slot),
            None => (true, self.new_slot(&room)?),
        };
        let stored = self.shadow.storage().encode(&passage.vector)?;
        self.passages
            .put(slot, is_new, row, passage.span, &stored)?;
        self.code(slot, &stored, &room)
    }

    /// Removes a row's vectors and frees their slots.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn remove(self, row: i64) -> Result<()> {
        let slots = self.passages.slots_of(row)?;
        slots
            .into_iter()
            .try_for_each(|slot| self.remove_slot(slot))
    }

    fn remove_slot(self, slot: i64) -> Result<()> {
        if slot < self.codes.tail_start()? {
            let coder = self.codes.coder_of_chunks()?;
            self.codes.change(slot, &coder, |chunk, place| {
                chunk.set_live(place, false);
                Ok(())
            })?;
        }
        self.passages.remove(slot)
    }

    /// Makes slots and codes as if the index were new.
    ///
    /// # Errors
    /// What SQLite says; damage; an interruption.
    pub fn optimize(self) -> Result<()> {
        fit::refit(self.passages, self.codes)
    }

    /// What writing a vector must know, in one statement: a row costs as many as it runs.
    fn room(self) -> Result<Room> {
        let mut read = self.shadow.sql(
            "SELECT (SELECT v FROM {config} WHERE k = 'dims'), \
                    (SELECT v FROM {config} WHERE k = 'free'), \
                    (SELECT max(slot) FROM {passages}), (SELECT max(chunk) FROM {codes})",
        )?;
        read.step()?;
        let tail = tail_after(read.integer(3))?;
        let next = read.integer(2).map_or(Some(0), |last| last.checked_add(1));
        Ok(Room {
            dims: read.column(0)?,
            has_holes: read.integer(1).is_some_and(|free| free > 0),
            next: next.ok_or_else(no_slot)?.max(tail),
            tail,
        })
    }

    /// A slot for a new vector.
    fn new_slot(self, room: &Room) -> Result<i64> {
        if room.has_holes
            && let Some(free) = self.codes.first_free()?
        {
            return Ok(free);
        }
        // A chunk is coded as soon as it is full, so a slot farther on is none of ours.
        let most = if room.tail == 0 {
            FIRST_CODES
        } else {
            CHUNK as i64
        };
        if room.next - room.tail >= most {
            let last = room.next - 1;
            return Err(corrupt(format_args!(
                "slot {last} is far behind the codes, which end at slot {}",
                room.tail
            )));
        }
        Ok(room.next)
    }

    /// Codes the vector that was written to a slot, where that is to be done now. `room` is as it
    /// was before that.
    fn code(self, slot: i64, stored: &[u8], room: &Room) -> Result<()> {
        if slot < room.tail {
            let coder = self.codes.coder_of_chunks()?;
            let vector = self.shadow.storage().decode(stored, coder.dims());
            let vector = vector.map_err(|e| corrupt(e.message()))?;
            return self.codes.change(slot, &coder, |chunk, place| {
                chunk.encode(&coder, place, &vector)
            });
        }
        let filled = slot + 1;
        if filled % CHUNK as i64 != 0 || filled < FIRST_CODES {
            return Ok(());
        }
        if room.tail > 0 {
            let coder = self.codes.coder_of_chunks()?;
            return fit::code_chunk(self.passages, self.codes, &coder, slot / CHUNK as i64);
        }
        match self.passages.count()? <= FIRST_CODES / 2 {
            true => fit::close_holes(self.passages, self.codes),
            false => fit::refit(self.passages, self.codes),
        }
    }
}

/// Whether a vector of so many dimensions goes with the setting.
fn check_dims(dims: usize, known: &Value) -> Result<()> {
    match known {
        Value::Null => Ok(()),
        Value::Integer(known) if *known == dims as i64 => Ok(()),
        Value::Integer(known) => Err(Error::invalid(format!(
            "the vector has {dims} dimensions, those of this index have {known}"
        ))),
        other => Err(corrupt(format_args!("dims is {other:?}"))),
    }
}

fn no_slot() -> Error {
    corrupt("there is no slot left")
}
