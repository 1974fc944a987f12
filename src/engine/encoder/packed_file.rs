//! Packed weights in a file, so that a process need not pack them, and processes share them.
//!
//! The file is a front of [`FRONT`] bytes, a line that says what it is and one of JSON ([`Header`]), and the
//! lines of the store. It is used only where it was packed for the model, the format and the kernels at hand,
//! and gives the vectors of the probe texts as they were. It is mapped where nobody but its owner and root
//! can write into it, since a mapped file that is cut ends the process that reads it; else it is copied.

use crate::engine::encoder::format::Format;
use crate::engine::encoder::line::{LINE, zeroed};
use crate::engine::encoder::shape::{Layout, Shape};
use crate::engine::encoder::store::Store;
use crate::engine::process::whole_file;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// What stands before the JSON. The number grows with the layout of the lines and with the kernels' order
/// of sums.
const MAGIC: &[u8] = b"sqlite-bge packed encoder 1\n";

/// Bytes before the lines.
pub const FRONT: usize = 1 << 16;

/// What packed weights depend on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Sizes.
    pub shape: Shape,
    /// Numbers.
    pub format: Format,
    /// The largest magnitude of a byte.
    pub most: i8,
    /// Which files they came from, as long as nobody touches those; `None`: not known.
    pub identity: Option<String>,
    /// The model's fingerprint, and what went into it beside the files.
    pub fingerprint: Fingerprints,
    /// Vectors of the probe texts, checked when the file was written.
    pub probe: Vec<Vec<f32>>,
}

/// A model's fingerprint as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fingerprints {
    /// What it is of, beside the files.
    pub rest: String,
    /// The kinds that there are: today's, that of an older version, that of the runtime's int8.
    pub kinds: ([u8; 16], Option<[u8; 16]>, Option<[u8; 16]>),
}

/// The file of a format in a folder. `stem` tells models apart.
pub fn place(folder: &Path, stem: &str, format: Format, most: i8) -> PathBuf {
    let name = match format {
        Format::Fp32 => "fp32".to_owned(),
        Format::Bf16 => "bf16".to_owned(),
        Format::Int8 if most == i8::MAX => "int8".to_owned(),
        Format::Int8 => format!("int8-{most}"),
    };
    folder.join(format!("{stem}-{name}.bge-packed"))
}

/// A file's header.
///
/// # Errors
/// Why there is none to use.
pub fn header(file: &mut File) -> Result<Header, String> {
    let mut front = vec![0; FRONT];
    file.read_exact(&mut front)
        .map_err(|e| format!("it cannot be read: {e}"))?;
    let json = front
        .strip_prefix(MAGIC)
        .ok_or("it is of another version, or none of ours")?;
    let end = memchr::memchr(b'\n', json).ok_or("it is damaged")?;
    serde_json::from_slice(&json[..end]).map_err(|e| format!("it is damaged: {e}"))
}

/// The lines behind a header.
///
/// # Errors
/// A file that is longer or shorter than its header says, or cannot be read or mapped; not enough memory.
pub fn store(mut file: File, header: &Header) -> Result<Store, String> {
    header.shape.check()?;
    let lines = Layout::of(&header.shape, header.format).lines;
    let found = file.metadata().map_err(|e| e.to_string())?;
    let wanted = (FRONT + lines * LINE) as u64;
    if found.len() != wanted {
        return Err(format!("it has {} bytes, expected {wanted}", found.len()));
    }
    if is_ours_alone(&found) {
        return Store::map(&file, FRONT).map_err(|e| format!("it cannot be mapped: {e}"));
    }
    let mut own = zeroed(lines).map_err(|e| e.message().to_owned())?;
    file.read_exact(bytemuck::cast_slice_mut(&mut own))
        .map_err(|e| format!("it cannot be read: {e}"))?;
    Ok(Store::Own(own))
}

/// Whether only this user and root can write into a file.
#[cfg(unix)]
fn is_ours_alone(file: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let owner = file.uid();
    let ours = owner == 0 || owner == crate::engine::process::environment::user();
    ours && file.mode() & 0o022 == 0
}

/// Elsewhere the system does not let others cut a mapped file.
#[cfg(not(unix))]
fn is_ours_alone(_: &std::fs::Metadata) -> bool {
    true
}

/// Writes a file, whole or not at all.
///
/// # Errors
/// What the system said.
pub fn write(path: &Path, header: &Header, store: &Store) -> Result<(), String> {
    let mut front = MAGIC.to_vec();
    serde_json::to_writer(&mut front, header).map_err(|e| e.to_string())?;
    front.push(b'\n');
    if front.len() > FRONT {
        return Err(format!("its front would have {} bytes", front.len()));
    }
    front.resize(FRONT, b' ');
    whole_file::write(path, |file| {
        set_mode(file)?;
        file.write_all(&front)?;
        file.write_all(bytemuck::cast_slice(store.lines()))
    })
    .map_err(|e| format!("{} cannot be written: {e}", path.display()))
}

/// Whatever the user's mask says: a file that others can write into is never mapped.
#[cfg(unix)]
fn set_mode(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn set_mode(_: &File) -> std::io::Result<()> {
    Ok(())
}
