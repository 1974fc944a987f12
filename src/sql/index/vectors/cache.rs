//! Codes in memory: one copy a process, bounded, shared by all connections to a file.
//!
//! An entry is a chunk, found by its file and its random stamp: equal stamp, equal codes. So rollbacks,
//! other connections and other processes need no protocol. A stamp stands in the file, and a copy of the
//! file has it too, so the key has what a file cannot claim: which file it is ([`Database`]). A file may be
//! written anew in its place while nobody has it open, so codes are kept as long as a connection uses them.
//!
//! What is over the bound (`$BGE_CODES_MB`, 1024) is read again from the file, chunk by chunk; so are the
//! chunks of an older version, once a newer one of the same index has been read. No SQL runs under a lock
//! of the cache.

use super::chunk::Chunk;
use crate::engine::process::lock::lock;
use crate::engine::process::per_process::PerProcess;
use crate::error::Result;
use crate::sql::index::database::Database;
use crate::sql::index::handle::Index;
use crate::sql::index::shadow::Shadow;
use crate::vector::codes::Coder;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use xxhash_rust::xxh3::xxh3_64;

/// Whose codes they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    database: Database,
    index: u64,
}

/// The chunks of an index, by their numbers from 0, and what they were coded with.
pub struct List {
    /// Whose they are.
    pub owner: Owner,
    /// The index's stamp.
    pub stamp: i64,
    /// Those of the chunks.
    pub stamps: Vec<i64>,
    /// What codes were made with.
    pub coder: Coder,
    /// Standard errors between an estimate and its bound.
    pub z: f32,
}

struct Held {
    chunks: Cache<(Owner, i64), Arc<Chunk>, ByBytes>,
    /// The newest list of each index.
    lists: Cache<Owner, Arc<List>>,
    /// How many connections use the codes of each index.
    users: Mutex<HashMap<Owner, usize>>,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<(Owner, i64), Arc<Chunk>> for ByBytes {
    fn weight(&self, _: &(Owner, i64), chunk: &Arc<Chunk>) -> u64 {
        (chunk.codes.len() + chunk.live.len() + 64) as u64
    }
}

/// Indexes whose lists are remembered.
const LISTS: usize = 64;

static HELD: PerProcess<Held> = PerProcess::new(|| {
    let megabytes = std::env::var("BGE_CODES_MB")
        .ok()
        .and_then(|mb| mb.parse().ok());
    let bytes = megabytes.unwrap_or(1024u64).saturating_mul(1 << 20);
    let expected = (bytes / (100 << 10)).clamp(16, 1 << 16) as usize;
    Held {
        chunks: Cache::with_weighter(expected, bytes, ByBytes),
        lists: Cache::new(LISTS),
        users: Mutex::default(),
    }
});

/// Bytes of codes that this process holds.
pub fn bytes_held() -> u64 {
    HELD.get().chunks.weight()
}

/// Whose codes those of an index are.
pub fn owner_of(shadow: Shadow<'_>) -> Owner {
    let owner = owner(shadow.index, shadow.database());
    if !shadow.index.uses_codes.replace(true) {
        *lock(&HELD.get().users).entry(owner).or_default() += 1;
    }
    owner
}

fn owner(index: &Index, database: Database) -> Owner {
    Owner {
        database,
        index: xxh3_64(index.names.index.to_lowercase().as_bytes()),
    }
}

/// The list of this stamp, where it is the newest that was seen.
pub fn list(owner: Owner, stamp: i64) -> Option<Arc<List>> {
    let list = HELD.get().lists.get(&owner);
    list.filter(|list| list.stamp == stamp)
}

/// Keeps a list, and forgets the chunks that only the list before had.
pub fn keep_list(list: List) -> Arc<List> {
    let held = HELD.get();
    let list = Arc::new(list);
    if let Some(before) = held.lists.get(&list.owner) {
        let current: HashSet<i64> = list.stamps.iter().copied().collect();
        for stamp in before.stamps.iter().filter(|s| !current.contains(s)) {
            held.chunks.remove(&(list.owner, *stamp));
        }
    }
    held.lists.insert(list.owner, Arc::clone(&list));
    list
}

/// A chunk, by its stamp; `read` has it from the file.
///
/// # Errors
/// Those of `read`.
pub fn chunk(
    owner: Owner,
    stamp: i64,
    code_bytes: usize,
    read: impl FnOnce() -> Result<Chunk>,
) -> Result<Arc<Chunk>> {
    let chunks = &HELD.get().chunks;
    let held = chunks.get(&(owner, stamp));
    if let Some(chunk) = held.filter(|c| c.codes.len() == super::chunk::CHUNK * code_bytes) {
        return Ok(chunk);
    }
    let chunk = Arc::new(read()?);
    chunks.insert((owner, stamp), Arc::clone(&chunk));
    Ok(chunk)
}

/// Says that a connection uses the codes of an index no more. Those that nobody uses are forgotten.
pub fn leave(index: &Index) {
    let database = index.database.get().copied();
    let Some(database) = database.filter(|_| index.uses_codes.replace(false)) else {
        return;
    };
    let (held, owner) = (HELD.get(), owner(index, database));
    let mut users = lock(&held.users);
    match users.get_mut(&owner) {
        Some(count) if *count > 1 => *count -= 1,
        _ => {
            users.remove(&owner);
            if let Some((_, list)) = held.lists.remove(&owner) {
                for stamp in &list.stamps {
                    held.chunks.remove(&(owner, *stamp));
                }
            }
        }
    }
}
