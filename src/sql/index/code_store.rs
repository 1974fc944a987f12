//! Slots and their codes in the shadow tables.
//!
//! A vector has a *slot*. [`CHUNK`] slots are a chunk, whose codes stand in one blob. The last slots,
//! up to a full chunk, are the *tail*: they have no codes and are read as vectors, so that writing a
//! row writes one small row, and a chunk is coded at once when it is full. Below [`FIRST_CODES`]
//! vectors nothing is coded: reading all vectors is exact, and fast enough.
//!
//! In a coded chunk `live` has one bit a slot. Freed slots are used again, the lowest first, before
//! the tail grows. Whatever changes a chunk gives it and the index fresh random *stamps*: equal
//! stamp, equal codes, for every connection and process, whatever was rolled back.

use super::store::{Store, corrupt};
use crate::error::{Error, Result};
use crate::sql::ffi::{Row, Value};
use crate::vector::codes::{Coder, DEFAULT_Z};
use crate::vector::storage::{Rescorer, Storage};
use crate::vector::{Vector, blob};

/// Slots in a chunk.
pub const CHUNK: usize = 1024;
/// Slots at which codes are made for the first time.
pub const FIRST_CODES: i64 = 8 * CHUNK as i64;
/// The most vectors that the centroid is the mean of.
const SAMPLE: i64 = 16_384;

/// A chunk as it is stored.
pub struct Chunk {
    /// One bit a slot.
    pub live: Vec<u8>,
    /// [`CHUNK`] codes.
    pub codes: Vec<u8>,
}

impl Chunk {
    fn empty(coder: &Coder) -> Self {
        Chunk {
            live: vec![0; CHUNK / 8],
            codes: vec![0; CHUNK * coder.code_bytes()],
        }
    }

    /// A chunk from its two columns.
    ///
    /// # Errors
    /// Damage: other lengths than they must have.
    pub fn read(
        number: i64,
        live: Option<&[u8]>,
        codes: Option<&[u8]>,
        code: usize,
    ) -> Result<Self> {
        match (live, codes) {
            (Some(live), Some(codes)) if live.len() == CHUNK / 8 && codes.len() == CHUNK * code => {
                Ok(Chunk {
                    live: live.to_vec(),
                    codes: codes.to_vec(),
                })
            }
            _ => Err(corrupt(format_args!(
                "chunk {number} of the codes has a wrong size"
            ))),
        }
    }

    /// Whether a slot holds a vector.
    pub fn is_live(&self, place: usize) -> bool {
        self.live[place / 8] & (1 << (place % 8)) != 0
    }

    fn set_live(&mut self, place: usize, live: bool) {
        let bit = 1 << (place % 8);
        if live {
            self.live[place / 8] |= bit;
        } else {
            self.live[place / 8] &= !bit;
        }
    }

    fn used(&self) -> i64 {
        self.live
            .iter()
            .map(|byte| i64::from(byte.count_ones()))
            .sum()
    }
}

/// A random stamp, from the system: two forked processes must not draw the same.
///
/// # Errors
/// Where the system has no randomness to give.
pub fn fresh_stamp() -> Result<i64> {
    let random = getrandom::u64().map_err(|e| Error::internal(format!("no random stamp: {e}")))?;
    Ok(random.cast_signed())
}

/// Vectors of the sample that the codes are tried on, as queries and as rows.
const TRIED: (usize, usize) = (32, 4096);

/// Tries the codes on the index's own vectors: the least number of standard errors below which no
/// true distance lies. [`DEFAULT_Z`] where the vectors behave as the theory says.
fn proven_z(coder: &Coder, sample: &[f32]) -> Result<f32> {
    let dims = coder.dims();
    let count = sample.len() / dims;
    let every = |wanted: usize| {
        sample
            .chunks_exact(dims)
            .step_by((count / wanted).max(1))
            .take(wanted)
    };
    let rows: Vec<&[f32]> = every(TRIED.1).collect();
    let mut codes = vec![0; rows.len() * coder.code_bytes()];
    for (row, code) in rows.iter().zip(codes.chunks_exact_mut(coder.code_bytes())) {
        coder.encode(row, code)?;
    }
    let stored: Vec<Vec<u8>> = rows.iter().map(|row| blob::from_f32(row)).collect();
    let mut z = DEFAULT_Z;
    for query in every(TRIED.0) {
        let scan = coder.query(query)?;
        let mut exact = Rescorer::new(Storage::F32, query)?;
        let mut distances = Vec::with_capacity(stored.len());
        for row in &stored {
            distances.push(1.0 - exact.cosine(row)?);
        }
        loop {
            let mut bounds = Vec::new();
            scan.scan(&codes, z, &mut bounds)?;
            let broken = |(&bound, &distance): (&f32, &f64)| f64::from(bound) > distance;
            if z > 100.0 || !bounds.iter().zip(&distances).any(broken) {
                break;
            }
            z *= 1.5;
        }
    }
    Ok(z)
}

/// What writing a vector must know of the index; true until something is written.
pub struct Room {
    /// The setting.
    pub dims: Value,
    /// Whether coded chunks have free slots.
    has_holes: bool,
    /// The slot behind all others; `None` where no number is left.
    next: Option<i64>,
    /// Where the tail begins.
    tail: i64,
}

/// Where the tail begins behind this last chunk.
fn tail_after(last: Option<i64>) -> Result<i64> {
    let slots = |chunk: i64| chunk.checked_add(1)?.checked_mul(CHUNK as i64);
    match last {
        None => Ok(0),
        Some(last) => slots(last)
            .filter(|_| last >= 0)
            .ok_or_else(|| corrupt(format_args!("there is no chunk {last} of codes"))),
    }
}

impl Store<'_> {
    /// The slot behind the last coded one: where the tail begins.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn tail_start(&self) -> Result<i64> {
        let last = self
            .sql("SELECT max(chunk) FROM {codes}")?
            .integer_of_first()?;
        tail_after(last)
    }

    /// What codes are made and read with; `None` as long as there are none.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn coder(&self) -> Result<Option<Coder>> {
        let (centroid, seed) = match (self.get("centroid")?, self.get("seed")?) {
            (Value::Null, Value::Null) => return Ok(None),
            (Value::Blob(centroid), Value::Integer(seed)) => (centroid, seed.cast_unsigned()),
            _ => return Err(corrupt("the codes' parameters are of wrong types")),
        };
        let dims = self
            .settings()?
            .dims
            .ok_or_else(|| corrupt("codes without dims"))?;
        let centroid = Vector::parse(&centroid)
            .map_err(|e| corrupt(e.message()))?
            .to_f32()?;
        let coder = Coder::new(dims, centroid, seed).map_err(|e| corrupt(e.message()))?;
        Ok(Some(coder))
    }

    fn coder_of_chunks(&self) -> Result<Coder> {
        self.coder()?
            .ok_or_else(|| corrupt("there are codes, but not their parameters"))
    }

    /// What writing a vector must know, in one statement: a row costs as many as it runs.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn room(&self) -> Result<Room> {
        let mut read = self.sql(
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
            next: next.map(|next| next.max(tail)),
            tail,
        })
    }

    /// A slot for a new vector.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn new_slot(&self, room: &Room) -> Result<i64> {
        if room.has_holes {
            let mut find = self
                .sql("SELECT chunk, live FROM {codes} WHERE used < 1024 ORDER BY chunk LIMIT 1")?;
            if find.step()? == Row::Ready {
                let chunk = find.integer(0).unwrap_or(0);
                let live = find.blob(1)?.unwrap_or_default();
                let free = (0..live.len() * 8).find(|&n| live[n / 8] & (1 << (n % 8)) == 0);
                let free = free.ok_or_else(|| corrupt(format_args!("chunk {chunk} is full")))?;
                return Ok(chunk * CHUNK as i64 + free as i64);
            }
        }
        room.next.ok_or_else(|| corrupt("there is no slot left"))
    }

    /// Codes the vector that was written to a slot, where that is to be done now. `room` is as it
    /// was before that.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn fill_slot(&self, slot: i64, stored: &[u8], room: &Room) -> Result<()> {
        let start = room.tail;
        if slot < start {
            let coder = self.coder_of_chunks()?;
            let vector = self.decoded(stored, coder.dims())?;
            return self.change_chunk(slot, &coder, |chunk, place| {
                let size = coder.code_bytes();
                chunk.set_live(place, true);
                coder.encode(&vector, &mut chunk.codes[place * size..(place + 1) * size])
            });
        }
        if (slot + 1) % CHUNK as i64 != 0 || slot + 1 < FIRST_CODES {
            return Ok(());
        }
        if start > 0 {
            return self.code_tail(&self.coder_of_chunks()?, start, slot + 1);
        }
        let count = self
            .sql("SELECT count(*) FROM {passages}")?
            .integer_of_first()?;
        if count.unwrap_or(0) <= FIRST_CODES / 2 {
            return self.close_holes();
        }
        self.fit()
    }

    /// Forgets the code of a slot.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn free_slot(&self, slot: i64) -> Result<()> {
        if slot >= self.tail_start()? {
            return Ok(());
        }
        let coder = self.coder_of_chunks()?;
        self.change_chunk(slot, &coder, |chunk, place| {
            chunk.set_live(place, false);
            Ok(())
        })
    }

    fn decoded(&self, stored: &[u8], dims: usize) -> Result<Vec<f32>> {
        self.storage()
            .decode(stored, dims)
            .map_err(|e| corrupt(e.message()))
    }

    fn change_chunk(
        &self,
        slot: i64,
        coder: &Coder,
        change: impl FnOnce(&mut Chunk, usize) -> Result<()>,
    ) -> Result<()> {
        let number = slot.div_euclid(CHUNK as i64);
        let mut find = self.sql("SELECT live, codes FROM {codes} WHERE chunk = ?1")?;
        find.bind(1, &Value::Integer(number))?;
        let mut chunk = match find.step()? {
            Row::Ready => Chunk::read(number, find.blob(0)?, find.blob(1)?, coder.code_bytes())?,
            Row::Done => {
                return Err(corrupt(format_args!(
                    "chunk {number} of the codes is missing"
                )));
            }
        };
        drop(find);
        let before = chunk.used();
        change(&mut chunk, slot.rem_euclid(CHUNK as i64) as usize)?;
        self.write_chunk(number, &chunk)?;
        self.add_free(before - chunk.used())
    }

    fn write_chunk(&self, number: i64, chunk: &Chunk) -> Result<()> {
        // An UPDATE of equal length: SQLite then writes only the pages that differ.
        let update =
            "UPDATE {codes} SET stamp = ?2, used = ?3, live = ?4, codes = ?5 WHERE chunk = ?1";
        let mut put = self.sql(update)?;
        put.bind(1, &Value::Integer(number))?;
        put.bind(2, &Value::Integer(fresh_stamp()?))?;
        put.bind(3, &Value::Integer(chunk.used()))?;
        put.bind_bytes(4, &chunk.live)?;
        put.bind_bytes(5, &chunk.codes)?;
        put.run()?;
        self.set("stamp", Value::Integer(fresh_stamp()?))
    }

    fn add_free(&self, more: i64) -> Result<()> {
        if more == 0 {
            return Ok(());
        }
        let free = match self.get("free")? {
            Value::Integer(free) => free,
            _ => 0,
        };
        self.set("free", Value::Integer((free + more).max(0)))
    }

    /// Codes whole chunks from the vectors: slots `start..end`.
    fn code_tail(&self, coder: &Coder, start: i64, end: i64) -> Result<()> {
        let size = coder.code_bytes();
        for number in start / CHUNK as i64..end / CHUNK as i64 {
            self.host.interrupts.check()?;
            let first = number * CHUNK as i64;
            let mut chunk = Chunk::empty(coder);
            let mut read =
                self.sql("SELECT slot, vector FROM {passages} WHERE slot >= ?1 AND slot < ?2")?;
            read.bind(1, &Value::Integer(first))?;
            read.bind(2, &Value::Integer(first + CHUNK as i64))?;
            while read.step()? == Row::Ready {
                let place = (read.integer(0).unwrap_or(first) - first) as usize;
                let vector = self.decoded(read.blob(1)?.unwrap_or_default(), coder.dims())?;
                coder.encode(&vector, &mut chunk.codes[place * size..(place + 1) * size])?;
                chunk.set_live(place, true);
            }
            drop(read);
            let put = "REPLACE INTO {codes}(chunk, stamp, used, live, codes) VALUES (?1, NULL, 0, NULL, NULL)";
            self.sql(put)?.with(&[Value::Integer(number)])?.run()?;
            self.write_chunk(number, &chunk)?;
            self.add_free(CHUNK as i64 - chunk.used())?;
        }
        Ok(())
    }

    /// Fits the codes to the vectors and codes every full chunk; slots beyond are the tail.
    ///
    /// # Errors
    /// What SQLite says; damage; an interruption.
    pub fn fit(&self) -> Result<()> {
        let dims = self
            .settings()?
            .dims
            .ok_or_else(|| corrupt("vectors without dims"))?;
        let seed = fresh_stamp()?;
        let sample = self.sample(dims)?;
        let coder = Coder::fit(sample.chunks_exact(dims), dims, seed.cast_unsigned())?;
        self.set("centroid", Value::Blob(blob::from_f32(coder.centroid())))?;
        self.set("seed", Value::Integer(seed))?;
        self.set("free", Value::Integer(0))?;
        self.sql("DELETE FROM {codes}")?.run()?;
        let last = self
            .sql("SELECT max(slot) FROM {passages}")?
            .integer_of_first()?;
        // Far more slots than vectors are none of ours: damage, or a history of deletions.
        let last = match last {
            Some(last) if last / 64 > FIRST_CODES + self.vectors()? => {
                self.close_holes()?;
                self.sql("SELECT max(slot) FROM {passages}")?
                    .integer_of_first()?
            }
            last => last,
        };
        let end = (last.unwrap_or(-1) + 1) / CHUNK as i64 * CHUNK as i64;
        self.code_tail(&coder, 0, end)?;
        let z = proven_z(&coder, &sample)?;
        self.set("z", Value::Real(f64::from(z)))?;
        self.set("stamp", Value::Integer(fresh_stamp()?))
    }

    /// Standard errors between an estimate and its bound in this index.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn z(&self) -> Result<f32> {
        match self.get("z")? {
            Value::Null => Ok(DEFAULT_Z),
            Value::Real(z) if z.is_finite() && z >= f64::from(DEFAULT_Z) => Ok(z as f32),
            // A smaller one would lose rows.
            other => Err(corrupt(format_args!("z is {other:?}"))),
        }
    }

    fn vectors(&self) -> Result<i64> {
        let count = self
            .sql("SELECT count(*) FROM {passages}")?
            .integer_of_first()?;
        Ok(count.unwrap_or(0))
    }

    /// Vectors from all over the index, one after the other.
    fn sample(&self, dims: usize) -> Result<Vec<f32>> {
        let count = self
            .sql("SELECT count(*) FROM {passages}")?
            .integer_of_first()?
            .unwrap_or(0);
        let step = (count / SAMPLE).max(1);
        let mut read = self.sql("SELECT vector FROM {passages} WHERE slot % ?1 = 0 LIMIT ?2")?;
        read.bind(1, &Value::Integer(step))?;
        read.bind(2, &Value::Integer(SAMPLE))?;
        let mut sample = Vec::new();
        while read.step()? == Row::Ready {
            sample.append(&mut self.decoded(read.blob(0)?.unwrap_or_default(), dims)?);
        }
        Ok(sample)
    }

    /// Moves the last vectors into the holes, so that slots run from 0 without one; without codes.
    ///
    /// # Errors
    /// What SQLite says; an interruption.
    pub fn close_holes(&self) -> Result<()> {
        self.sql("DELETE FROM {codes}")?.run()?;
        self.set("free", Value::Integer(0))?;
        self.set("stamp", Value::Integer(fresh_stamp()?))?;
        let count = self
            .sql("SELECT count(*) FROM {passages}")?
            .integer_of_first()?
            .unwrap_or(0);
        let mut slots = Vec::new();
        let mut read = self.sql("SELECT slot FROM {passages} ORDER BY slot")?;
        while read.step()? == Row::Ready {
            slots.push(read.integer(0).unwrap_or(0));
        }
        drop(read);
        let taken = slots.partition_point(|&slot| slot < count);
        let mut holes = (0..count).filter(|slot| slots[..taken].binary_search(slot).is_err());
        for (n, &slot) in slots[taken..].iter().enumerate() {
            if n % 1024 == 0 {
                self.host.interrupts.check()?;
            }
            let Some(hole) = holes.next() else { break };
            let moved = self.sql("UPDATE {passages} SET slot = ?2 WHERE slot = ?1")?;
            moved
                .with(&[Value::Integer(slot), Value::Integer(hole)])?
                .run()?;
        }
        Ok(())
    }
}
