//! Making codes: fitted to the vectors of the index, and made anew with `optimize`.
//!
//! The last slots, up to a full chunk, are the *tail*: they have no codes and are read as vectors, so
//! that writing a row writes one small row, and a chunk is coded at once when it is full. Below
//! [`FIRST_CODES`] vectors nothing is coded: reading all vectors is exact, and fast enough, and a centroid
//! fits so many better than the first 64.
//!
//! When codes are made, they are tried on the index's own vectors, and the number of standard errors of
//! their bounds grows until no true distance lies below its bound.

use super::chunk::{CHUNK, Chunk, FIRST_CODES};
use super::codes::Codes;
use super::passages::Passages;
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use crate::sql::index::damage::corrupt;
use crate::sql::index::random::random;
use crate::vector::blob;
use crate::vector::codes::{Coder, DEFAULT_Z};
use crate::vector::storage::{Rescorer, Storage};

/// The most vectors that the centroid is the mean of.
const SAMPLE: i64 = 16_384;
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
    coder.encode_all(&rows.concat(), &mut codes)?;
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

/// Makes the codes anew, or none where there are too few vectors: what `optimize` does.
///
/// # Errors
/// What SQLite says; damage; an interruption.
pub fn refit(passages: Passages<'_>, codes: Codes<'_>) -> Result<()> {
    close_holes(passages, codes)?;
    if passages.count()? < FIRST_CODES {
        return Ok(());
    }
    let dims = passages.shadow().settings()?.dims;
    let dims = dims.ok_or_else(|| corrupt("vectors without dims"))?;
    let seed = random()?;
    let sample = sample(passages, dims)?;
    let coder = Coder::fit(sample.chunks_exact(dims), dims, seed.cast_unsigned())?;
    codes.restart(&coder, seed)?;
    let slots = passages.last_slot()?.map_or(0, |last| last + 1);
    for number in 0..slots / CHUNK as i64 {
        code_chunk(passages, codes, &coder, number)?;
    }
    codes.set_z(proven_z(&coder, &sample)?)
}

/// Codes a chunk of the tail that is full.
///
/// # Errors
/// What SQLite says; damage; an interruption.
pub fn code_chunk(
    passages: Passages<'_>,
    codes: Codes<'_>,
    coder: &Coder,
    number: i64,
) -> Result<()> {
    let shadow = passages.shadow();
    shadow.host.interrupts.check()?;
    let first = number * CHUNK as i64;
    let (mut places, mut vectors) = (Vec::new(), Vec::new());
    passages.each_between(first, first + CHUNK as i64, |slot, _, stored| {
        let vector = shadow.storage().decode(stored, coder.dims());
        let mut vector = vector.map_err(|e| corrupt(e.message()))?;
        places.push((slot - first) as usize);
        vectors.append(&mut vector);
        Ok(())
    })?;
    let mut chunk = Chunk::empty(coder);
    chunk.encode_all(coder, &places, &vectors)?;
    codes.append(number, &chunk)
}

/// Vectors from all over the index, one after the other.
fn sample(passages: Passages<'_>, dims: usize) -> Result<Vec<f32>> {
    let shadow = passages.shadow();
    let step = (passages.count()? / SAMPLE).max(1);
    let mut read = shadow.sql("SELECT vector FROM {passages} WHERE slot % ?1 = 0 LIMIT ?2")?;
    read.bind(1, &Value::Integer(step))?;
    read.bind(2, &Value::Integer(SAMPLE))?;
    let mut sample = Vec::new();
    while read.step()? == Row::Ready {
        let stored = read.blob(0)?.unwrap_or_default();
        let vector = shadow.storage().decode(stored, dims);
        sample.append(&mut vector.map_err(|e| corrupt(e.message()))?);
    }
    Ok(sample)
}

/// Moves the last vectors into the holes, so that slots run from 0 without one; without codes.
///
/// # Errors
/// What SQLite says; an interruption.
pub fn close_holes(passages: Passages<'_>, codes: Codes<'_>) -> Result<()> {
    codes.drop_chunks()?;
    let slots = passages.all_slots()?;
    let count = slots.len() as i64;
    let taken = slots.partition_point(|&slot| slot < count);
    // Damage: a slot below 0 is moved as well.
    let below = slots.partition_point(|&slot| slot < 0);
    let mut holes = (0..count).filter(|slot| slots[below..taken].binary_search(slot).is_err());
    for (n, &slot) in slots[..below].iter().chain(&slots[taken..]).enumerate() {
        if n % 1024 == 0 {
            passages.shadow().host.interrupts.check()?;
        }
        let Some(hole) = holes.next() else { break };
        passages.move_to(slot, hole)?;
    }
    Ok(())
}
