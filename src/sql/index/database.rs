//! Which database an index is in: what a file cannot claim of itself.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use xxhash_rust::xxh3::xxh3_128;

/// A database, told from all others that this process has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Database {
    /// A file, by a hash of what the system knows it by.
    File(u128),
    /// What one connection has in memory.
    Private(u64),
}

impl Database {
    /// Of the file that a connection opened, or of a connection that has none.
    pub fn of(file: Option<&Path>) -> Self {
        file.and_then(identity).unwrap_or_else(private)
    }
}

/// What the system knows a file by.
#[cfg(unix)]
fn identity(file: &Path) -> Option<Database> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(file).ok().filter(|m| m.is_file())?;
    let mut name = metadata.dev().to_le_bytes().to_vec();
    name.extend(metadata.ino().to_le_bytes());
    Some(Database::File(xxh3_128(&name)))
}

/// The full path, where the system gives no number that is easily had.
#[cfg(not(unix))]
fn identity(file: &Path) -> Option<Database> {
    let path = std::fs::canonicalize(file).ok()?;
    Some(Database::File(xxh3_128(path.to_string_lossy().as_bytes())))
}

/// A number for a database that no other connection sees.
fn private() -> Database {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    Database::Private(NEXT.fetch_add(1, Ordering::Relaxed))
}
