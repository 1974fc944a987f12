//! `_codes`: the codes of the vectors, a chunk a row, and what they are made with, in `_config`.
//!
//! Whatever changes a chunk gives the chunk and the index fresh random *stamps*: within one file, equal
//! stamp, equal codes, for every connection and process, whatever was rolled back. [`super::cache`] finds
//! codes by them.

use super::cache;
use super::chunk::{CHUNK, Chunk};
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use crate::sql::index::damage::corrupt;
use crate::sql::index::random::random;
use crate::sql::index::shadow::Shadow;
use crate::vector::codes::{Coder, DEFAULT_Z, Query};
use crate::vector::{Vector, blob};
use std::sync::Arc;

/// The codes of an index.
#[derive(Clone, Copy)]
pub struct Codes<'a> {
    shadow: Shadow<'a>,
}

/// Where the tail begins behind this last chunk.
pub fn tail_after(last: Option<i64>) -> Result<i64> {
    let slots = |chunk: i64| chunk.checked_add(1)?.checked_mul(CHUNK as i64);
    match last {
        None => Ok(0),
        Some(last) => slots(last)
            .filter(|_| last >= 0)
            .ok_or_else(|| corrupt(format_args!("there is no chunk {last} of codes"))),
    }
}

impl<'a> Codes<'a> {
    /// Those of an index.
    pub fn new(shadow: Shadow<'a>) -> Self {
        Codes { shadow }
    }

    /// The slot behind the last coded one: where the tail begins.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn tail_start(self) -> Result<i64> {
        let last = self.shadow.sql("SELECT max(chunk) FROM {codes}")?;
        tail_after(last.integer_of_first()?)
    }

    /// The numbers of all chunks, in their order.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn numbers(self) -> Result<Vec<i64>> {
        let mut read = self
            .shadow
            .sql("SELECT chunk FROM {codes} ORDER BY chunk")?;
        let mut numbers = Vec::new();
        while read.step()? == Row::Ready {
            numbers.push(read.integer(0).unwrap_or(i64::MIN));
        }
        Ok(numbers)
    }

    /// What codes are made and read with; `None` as long as there are none.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn coder(self) -> Result<Option<Coder>> {
        let (centroid, seed) = match (self.shadow.get("centroid")?, self.shadow.get("seed")?) {
            (Value::Null, Value::Null) => return Ok(None),
            (Value::Blob(centroid), Value::Integer(seed)) => (centroid, seed.cast_unsigned()),
            _ => return Err(corrupt("the codes' parameters are of wrong types")),
        };
        let dims = self.shadow.settings()?.dims;
        let dims = dims.ok_or_else(|| corrupt("codes without dims"))?;
        let centroid = Vector::parse(&centroid).map_err(|e| corrupt(e.message()))?;
        let coder = Coder::new(dims, centroid.to_f32()?, seed).map_err(|e| corrupt(e.message()))?;
        Ok(Some(coder))
    }

    /// [`Self::coder`], where there are chunks.
    ///
    /// # Errors
    /// As there; there is none.
    pub fn coder_of_chunks(self) -> Result<Coder> {
        self.coder()?
            .ok_or_else(|| corrupt("there are codes, but not their parameters"))
    }

    /// Standard errors between an estimate and its bound in this index.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn z(self) -> Result<f32> {
        match self.shadow.get("z")? {
            Value::Null => Ok(DEFAULT_Z),
            Value::Real(z) if z.is_finite() && z >= f64::from(DEFAULT_Z) => Ok(z as f32),
            // A smaller one would lose rows.
            other => Err(corrupt(format_args!("z is {other:?}"))),
        }
    }

    /// Slots in coded chunks that are free.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn free(self) -> Result<Value> {
        self.shadow.get("free")
    }

    /// Starts anew, with these parameters and without chunks.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn restart(self, coder: &Coder, seed: i64) -> Result<()> {
        let centroid = Value::Blob(blob::from_f32(coder.centroid()));
        self.shadow.set("centroid", centroid)?;
        self.shadow.set("seed", Value::Integer(seed))?;
        self.drop_chunks()
    }

    /// Says how far bounds stand from estimates.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn set_z(self, z: f32) -> Result<()> {
        self.shadow.set("z", Value::Real(f64::from(z)))?;
        self.new_stamp()
    }

    /// Forgets all codes.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn drop_chunks(self) -> Result<()> {
        self.shadow.sql("DELETE FROM {codes}")?.run()?;
        self.shadow.set("free", Value::Integer(0))?;
        self.new_stamp()
    }

    fn new_stamp(self) -> Result<()> {
        self.shadow.set("stamp", Value::Integer(random()?))
    }

    /// Changes a coded chunk; `change` gets it with the slot's place in it.
    ///
    /// # Errors
    /// What SQLite says; damage; those of `change`.
    pub fn change(
        self,
        slot: i64,
        coder: &Coder,
        change: impl FnOnce(&mut Chunk, usize) -> Result<()>,
    ) -> Result<()> {
        let number = slot.div_euclid(CHUNK as i64);
        let mut chunk = self.read(number, coder.code_bytes())?;
        let before = chunk.used();
        change(&mut chunk, slot.rem_euclid(CHUNK as i64) as usize)?;
        self.write(number, &chunk)?;
        self.add_free(before - chunk.used())
    }

    /// Writes a chunk behind all others.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn append(self, number: i64, chunk: &Chunk) -> Result<()> {
        let put = "REPLACE INTO {codes}(chunk, stamp, used, live, codes) VALUES (?1, NULL, 0, NULL, NULL)";
        self.shadow
            .sql(put)?
            .with(&[Value::Integer(number)])?
            .run()?;
        self.write(number, chunk)?;
        self.add_free(CHUNK as i64 - chunk.used())
    }

    /// The first slot of a coded chunk that is free, where there is one.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn first_free(self) -> Result<Option<i64>> {
        let mut find = self
            .shadow
            .sql("SELECT chunk, live FROM {codes} WHERE used < 1024 ORDER BY chunk LIMIT 1")?;
        if find.step()? == Row::Done {
            return Ok(None);
        }
        let chunk = find.integer(0).unwrap_or(0);
        let full = || corrupt(format_args!("chunk {chunk} is full"));
        let live = find.blob(1)?.unwrap_or_default();
        let free = (0..live.len().min(CHUNK / 8) * 8).find(|&n| live[n / 8] & (1 << (n % 8)) == 0);
        let free = free.ok_or_else(full)? as i64;
        let slot = chunk.checked_mul(CHUNK as i64).map(|first| first + free);
        slot.filter(|_| chunk >= 0).map(Some).ok_or_else(full)
    }

    /// A chunk from the file.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn read(self, number: i64, code_bytes: usize) -> Result<Chunk> {
        let mut read = self
            .shadow
            .sql("SELECT live, codes FROM {codes} WHERE chunk = ?1")?;
        read.bind(1, &Value::Integer(number))?;
        match read.step()? {
            Row::Ready => Chunk::read(number, read.blob(0)?, read.blob(1)?, code_bytes),
            Row::Done => Err(missing(number)),
        }
    }

    fn write(self, number: i64, chunk: &Chunk) -> Result<()> {
        // An UPDATE of equal length: SQLite then writes only the pages that differ.
        let update =
            "UPDATE {codes} SET stamp = ?2, used = ?3, live = ?4, codes = ?5 WHERE chunk = ?1";
        let mut put = self.shadow.sql(update)?;
        put.bind(1, &Value::Integer(number))?;
        put.bind(2, &Value::Integer(random()?))?;
        put.bind(3, &Value::Integer(chunk.used()))?;
        put.bind_bytes(4, &chunk.live)?;
        put.bind_bytes(5, &chunk.codes)?;
        put.run()?;
        self.new_stamp()
    }

    fn add_free(self, more: i64) -> Result<()> {
        if more == 0 {
            return Ok(());
        }
        let free = self.free()?.as_integer().unwrap_or(0);
        let free = free.saturating_add(more).max(0);
        self.shadow.set("free", Value::Integer(free))
    }

    /// Whether the codes are still those of a list.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn are_still(self, list: &cache::List) -> Result<bool> {
        Ok(self.shadow.get("stamp")? == Value::Integer(list.stamp))
    }

    /// The chunks in the version that the running statement sees; `None` where there are no codes.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn list(self) -> Result<Option<Arc<cache::List>>> {
        let Value::Integer(stamp) = self.shadow.get("stamp")? else {
            return Ok(None);
        };
        let owner = cache::owner_of(self.shadow);
        if let Some(list) = cache::list(owner, stamp) {
            return Ok(Some(list));
        }
        let Some(coder) = self.coder()? else {
            return Ok(None);
        };
        let mut read = self
            .shadow
            .sql("SELECT chunk, stamp FROM {codes} ORDER BY chunk")?;
        let mut stamps = Vec::new();
        while read.step()? == Row::Ready {
            if read.integer(0) != Some(stamps.len() as i64) {
                return Err(missing(stamps.len() as i64));
            }
            let no_stamp = || corrupt("a chunk of the codes has no stamp");
            stamps.push(read.integer(1).ok_or_else(no_stamp)?);
        }
        if stamps.is_empty() {
            return Ok(None);
        }
        let list = cache::List {
            owner,
            stamp,
            stamps,
            coder,
            z: self.z()?,
        };
        Ok(Some(cache::keep_list(list)))
    }

    /// A lower bound of the distance for each coded slot; +infinity where it is free.
    ///
    /// # Errors
    /// An interruption; damage; out of memory.
    pub fn scan(self, list: &cache::List, query: &Query) -> Result<Vec<f32>> {
        let mut bounds = Vec::new();
        let slots = list.stamps.len() * CHUNK;
        bounds.try_reserve_exact(slots).map_err(|_| {
            crate::error::Error::new(crate::error::Kind::NoMemory, "no memory for the bounds")
        })?;
        for (number, &stamp) in list.stamps.iter().enumerate() {
            if number % 64 == 0 {
                self.shadow.host.interrupts.check()?;
            }
            let code_bytes = list.coder.code_bytes();
            let chunk = cache::chunk(list.owner, stamp, code_bytes, || {
                self.read(number as i64, code_bytes)
            })?;
            let first = bounds.len();
            query.scan(&chunk.codes, list.z, &mut bounds)?;
            for (byte, &live) in chunk.live.iter().enumerate() {
                if live == u8::MAX {
                    continue;
                }
                for bit in (0..8).filter(|bit| live & (1 << bit) == 0) {
                    bounds[first + byte * 8 + bit] = f32::INFINITY;
                }
            }
        }
        Ok(bounds)
    }
}

fn missing(number: i64) -> crate::error::Error {
    corrupt(format_args!("chunk {number} of the codes is missing"))
}
