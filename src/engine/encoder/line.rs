//! Memory in lines of 64 bytes: what a register of sixteen lanes holds, and what a CPU's cache reads.

use crate::error::Result;
use crate::memory::reserved;
use bytemuck::{Pod, Zeroable};
use std::ops::Deref;

/// 64 bytes that begin at a multiple of 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
#[repr(C, align(64))]
pub struct Line(pub [u8; LINE]);

/// Bytes of a line.
pub const LINE: usize = 64;

impl Line {
    /// All bits 0.
    pub const ZERO: Line = Line([0; LINE]);

    /// A line of sixteen words of four bytes.
    pub fn of_words(words: [[u8; 4]; 16]) -> Line {
        let mut line = Line::ZERO;
        line.0.as_chunks_mut().0.copy_from_slice(&words);
        line
    }
}

/// Lines as they are.
pub type Lines = Vec<Line>;

/// That many lines, all bits 0.
///
/// # Errors
/// Not enough memory.
pub fn zeroed(count: usize) -> Result<Lines> {
    let mut lines = reserved(count)?;
    lines.resize(count, Line::ZERO);
    Ok(lines)
}

/// Floats that begin at a line.
#[derive(Default)]
pub struct Floats(Lines);

impl Floats {
    /// That many zeros, rounded up to whole lines.
    ///
    /// # Errors
    /// Not enough memory.
    pub fn zeros(count: usize) -> Result<Self> {
        Ok(Floats(zeroed((count * 4).div_ceil(LINE))?))
    }

    /// All of them.
    pub fn all(&self) -> &[f32] {
        floats(&self.0)
    }

    /// All of them, to be changed.
    pub fn all_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(&mut self.0)
    }
}

impl Deref for Floats {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        self.all()
    }
}

/// The floats in lines.
pub fn floats(lines: &[Line]) -> &[f32] {
    bytemuck::cast_slice(lines)
}
