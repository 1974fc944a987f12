//! Packed weights in memory: our own, or a file that is mapped.

#![allow(unsafe_code)]

use crate::engine::encoder::line::{LINE, Line, Lines};
use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::io;

/// Lines of packed weights.
pub enum Store {
    /// In our memory.
    Own(Lines),
    /// A mapped file.
    Mapped(Mmap),
}

impl Store {
    /// Maps the lines that are in a file behind `front` bytes, whole pages. Nobody may write into the file
    /// while it is mapped; whoever calls this has seen that nobody else can.
    ///
    /// # Errors
    /// What the system said; a file that holds no whole lines.
    pub fn map(file: &File, front: usize) -> io::Result<Self> {
        // SAFETY: the file is replaced, never written into, by us, and others cannot write into it
        // (`packed_file::is_ours_alone`).
        let map = unsafe { MmapOptions::new().offset(front as u64).map(file) }?;
        if map.len().is_multiple_of(LINE) && map.as_ptr().cast::<Line>().is_aligned() {
            Ok(Store::Mapped(map))
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    /// All lines.
    pub fn lines(&self) -> &[Line] {
        match self {
            Store::Own(lines) => lines,
            // `map` has seen that these are whole lines.
            Store::Mapped(map) => bytemuck::cast_slice(map),
        }
    }

    /// Whether it is a mapped file.
    pub fn is_mapped(&self) -> bool {
        matches!(self, Store::Mapped(_))
    }
}
