//! Is a library file complete? Looked at before the system's loader maps it: reading a mapped page
//! beyond a file's end kills the process, and a copy that was cut short is an ordinary accident.
//!
//! Reads the headers of 64-bit little-endian ELF files (Linux); any other file is left to the
//! loader, which refuses what it does not know.

use crate::error::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// # Errors
/// An ELF file that is shorter than its headers say. (A file that cannot be read is left to the
/// loader, whose message says why.)
pub fn check_complete(path: &Path) -> Result<()> {
    let sizes = || -> std::io::Result<(u64, u64)> {
        let mut file = File::open(path)?;
        Ok((file.metadata()?.len(), needed(&mut file)?))
    };
    match sizes() {
        Ok((length, needed)) if length < needed => Err(Error::invalid(format!(
            "{} is cut short: it has {length} bytes, its headers ask for {needed}; copy it again",
            path.display()
        ))),
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Err(Error::invalid(format!(
            "{} is cut short inside its headers; copy it again",
            path.display()
        ))),
        Err(_) => Ok(()),
    }
}

/// The bytes that the headers ask for; 0 for other kinds of files. Offsets as in `elf.h`.
fn needed(file: &mut File) -> std::io::Result<u64> {
    let mut magic = [0; 6];
    if file.read(&mut magic)? < magic.len() || magic != *b"\x7fELF\x02\x01" {
        return Ok(0);
    }
    let mut header = [0; 64];
    file.rewind()?;
    file.read_exact(&mut header)?;
    let sections = long(&header, 0x28).saturating_add(short(&header, 0x3a) * short(&header, 0x3c));
    let mut needed = sections;
    file.seek(SeekFrom::Start(long(&header, 0x20)))?;
    for _ in 0..short(&header, 0x38) {
        let mut segment = vec![0; short(&header, 0x36).max(56) as usize];
        file.read_exact(&mut segment)?;
        needed = needed.max(long(&segment, 0x08).saturating_add(long(&segment, 0x20)));
    }
    Ok(needed)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"))
}

fn short(bytes: &[u8], at: usize) -> u64 {
    u64::from(u16::from_le_bytes(
        bytes[at..at + 2].try_into().expect("2 bytes"),
    ))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_a_cut_library_is_refused() {
        let whole = std::env::current_exe().unwrap();
        check_complete(&whole).unwrap();
        let bytes = std::fs::read(&whole).unwrap();
        let folder = std::env::temp_dir().join(format!("bge-elf-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let cut = folder.join("cut");
        for length in [6, 40, 64, 200, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(&cut, &bytes[..length]).unwrap();
            let error = check_complete(&cut).unwrap_err();
            assert!(error.message().contains("cut short"), "{length}: {error}");
        }
        std::fs::write(&cut, "not a library").unwrap();
        check_complete(&cut).unwrap();
        check_complete(&folder.join("missing")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
