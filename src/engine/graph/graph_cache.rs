//! Prepared graphs in a folder, so that a later load need not make and check them again.
//!
//! One file a key. It holds the key, what became of each pass, and the graph; large tensors that no
//! pass changed stay in the model's own file, which the key names with its hash. A file whose key
//! differs, or whose bytes are not those that were written, is not used.

use crate::engine::models::pass::{Pass, PassReport};
use crate::engine::onnx::protobuf::Model;
use crate::engine::process::whole_file;
use prost::Message;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// Everything that a prepared graph depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// Of this crate; passes may change with it.
    pub version: String,
    /// The graph's file and those with its tensors, each with a hash of its bytes.
    pub files: Vec<(PathBuf, String)>,
    /// The passes that were asked for.
    pub passes: Vec<Pass>,
    /// How vectors are pooled.
    pub pooling: String,
    /// The runtime's version: it checked the graph.
    pub runtime: String,
    /// What matters of the CPU.
    pub cpu: String,
}

/// What was kept.
#[derive(Debug, PartialEq)]
pub struct PreparedGraph {
    /// What became of each pass.
    pub passes: Vec<PassReport>,
    /// The graph.
    pub model: Model,
}

/// The line in front of the graph.
#[derive(Serialize, Deserialize)]
struct Header {
    key: Key,
    passes: Vec<PassReport>,
    bytes: usize,
    hash: String,
}

const MAGIC: &str = "sqlite-bge prepared graph 1";

fn hex(hash: u128) -> String {
    format!("{hash:032x}")
}

/// Where the graph of a key is kept.
pub fn place(folder: &Path, key: &Key) -> PathBuf {
    let words = serde_json::to_vec(key).unwrap_or_default();
    folder.join(format!("{}.bge-graph", hex(xxh3_128(&words))))
}

/// The graph that was kept for a key.
///
/// # Errors
/// Why there is none to use: `none was kept`, or what is wrong with it.
pub fn read(folder: &Path, key: &Key) -> Result<PreparedGraph, String> {
    let bytes = match std::fs::read(place(folder, key)) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(NONE.to_owned()),
        Err(e) => return Err(format!("what was kept cannot be read: {e}")),
    };
    parse(&bytes, key).ok_or_else(|| "what was kept is damaged or of another key".to_owned())
}

/// What [`read`] says when nothing was kept.
pub const NONE: &str = "none was kept";

fn parse(bytes: &[u8], key: &Key) -> Option<PreparedGraph> {
    let rest = bytes.strip_prefix(MAGIC.as_bytes())?.strip_prefix(b"\n")?;
    let end = memchr::memchr(b'\n', rest)?;
    let header: Header = serde_json::from_slice(&rest[..end]).ok()?;
    let graph = &rest[end + 1..];
    let whole = header.bytes == graph.len() && header.hash == hex(xxh3_128(graph));
    if !whole || header.key != *key {
        return None;
    }
    Some(PreparedGraph {
        passes: header.passes,
        model: Model::decode(graph).ok()?,
    })
}

/// Keeps a graph: written under another name first, so that nobody reads half of it.
///
/// # Errors
/// What the system said, with the folder's name.
pub fn write(folder: &Path, key: &Key, entry: &PreparedGraph) -> Result<(), String> {
    let graph = entry.model.encode_to_vec();
    let header = Header {
        key: key.clone(),
        passes: entry.passes.clone(),
        bytes: graph.len(),
        hash: hex(xxh3_128(&graph)),
    };
    let header = serde_json::to_string(&header).map_err(|e| e.to_string())?;
    whole_file::write(&place(folder, key), |file| {
        file.write_all(format!("{MAGIC}\n{header}\n").as_bytes())?;
        file.write_all(&graph)
    })
    .map_err(|e| format!("{} cannot be written: {e}", folder.display()))
}

/// What matters of this CPU to a prepared graph: its kind, and the instructions for small integers.
pub fn cpu() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let has = [
            ("avx2", is_x86_feature_detected!("avx2")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avxvnni", is_x86_feature_detected!("avxvnni")),
            ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ];
        let names = has.iter().filter(|(_, is)| *is).map(|(name, _)| *name);
        ["x86_64"]
            .into_iter()
            .chain(names)
            .collect::<Vec<_>>()
            .join(" ")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH.to_owned()
    }
}
