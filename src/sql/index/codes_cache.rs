//! Codes in memory: one copy a process, bounded, shared by all connections.
//!
//! An entry is a chunk, found by its random stamp: equal stamp, equal codes. So rollbacks, other
//! connections and other processes need no protocol; versions that are committed and versions that
//! are not live side by side. What is over the bound (`$BGE_CODES_MB`, 1024) is read again from the
//! file, chunk by chunk. No SQL runs under a lock of the cache.

use super::code_store::{CHUNK, Chunk};
use super::store::{Store, corrupt};
use crate::engine::process::per_process::PerProcess;
use crate::error::Result;
use crate::sql::ffi::{Output, Row};
use crate::vector::codes::{Coder, Query};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// Chunks by stamp, and lists of chunks by the index's stamp.
struct Codes {
    chunks: Cache<i64, Arc<Chunk>, ByBytes>,
    lists: Cache<i64, Arc<List>>,
}

/// The chunks of an index, by their numbers from 0, and what they were coded with.
pub struct List {
    /// The index's stamp.
    pub stamp: i64,
    stamps: Vec<i64>,
    /// What codes were made with.
    pub coder: Coder,
    z: f32,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<i64, Arc<Chunk>> for ByBytes {
    fn weight(&self, _: &i64, chunk: &Arc<Chunk>) -> u64 {
        (chunk.codes.len() + chunk.live.len() + 64) as u64
    }
}

/// Lists that are remembered: versions of all indexes of the process.
const LISTS: usize = 64;

static CODES: PerProcess<Codes> = PerProcess::new(|| {
    let megabytes = std::env::var("BGE_CODES_MB")
        .ok()
        .and_then(|mb| mb.parse().ok());
    let bytes = megabytes.unwrap_or(1024u64).saturating_mul(1 << 20);
    let expected = (bytes / (100 << 10)).clamp(16, 1 << 16) as usize;
    Codes {
        chunks: Cache::with_weighter(expected, bytes, ByBytes),
        lists: Cache::new(LISTS),
    }
});

/// Bytes of codes that this process holds.
pub fn bytes_held() -> u64 {
    CODES.get().chunks.weight()
}

impl Store<'_> {
    /// The chunks of this index in the version that the running statement sees; `None` where there
    /// are no codes.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn code_list(&self) -> Result<Option<Arc<List>>> {
        let Output::Integer(stamp) = self.get("stamp")? else {
            return Ok(None);
        };
        if let Some(list) = CODES.get().lists.get(&stamp) {
            return Ok(Some(list));
        }
        let Some(coder) = self.coder()? else {
            return Ok(None);
        };
        let mut read = self.sql("SELECT chunk, stamp FROM {codes} ORDER BY chunk")?;
        let mut stamps = Vec::new();
        while read.step()? == Row::Ready {
            let (number, stamp) = (read.integer(0), read.integer(1));
            if number != Some(stamps.len() as i64) {
                return Err(corrupt(format_args!(
                    "chunk {} of the codes is missing",
                    stamps.len()
                )));
            }
            let stamp = stamp.ok_or_else(|| corrupt("a chunk of the codes has no stamp"))?;
            stamps.push(stamp);
        }
        if stamps.is_empty() {
            return Ok(None);
        }
        let list = Arc::new(List {
            stamp,
            stamps,
            coder,
            z: self.z()?,
        });
        CODES.get().lists.insert(stamp, Arc::clone(&list));
        Ok(Some(list))
    }

    /// A lower bound of the distance for each coded slot; +infinity where it is free.
    ///
    /// # Errors
    /// An interruption; damage.
    pub fn scan_codes(&self, list: &List, query: &Query) -> Result<Vec<f32>> {
        let mut bounds = Vec::with_capacity(list.stamps.len() * CHUNK);
        for (number, &stamp) in list.stamps.iter().enumerate() {
            if number % 64 == 0 {
                self.host.interrupts.check()?;
            }
            let chunk = self.chunk(number as i64, stamp, list.coder.code_bytes())?;
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

    fn chunk(&self, number: i64, stamp: i64, code_bytes: usize) -> Result<Arc<Chunk>> {
        let held = &CODES.get().chunks;
        if let Some(chunk) = held.get(&stamp)
            && chunk.codes.len() == CHUNK * code_bytes
        {
            return Ok(chunk);
        }
        let mut read = self.sql("SELECT live, codes FROM {codes} WHERE chunk = ?1")?;
        read.bind_output(1, &Output::Integer(number))?;
        if read.step()? == Row::Done {
            return Err(corrupt(format_args!(
                "chunk {number} of the codes is missing"
            )));
        }
        let chunk = Arc::new(Chunk::read(
            number,
            read.blob(0)?,
            read.blob(1)?,
            code_bytes,
        )?);
        held.insert(stamp, Arc::clone(&chunk));
        Ok(chunk)
    }
}
