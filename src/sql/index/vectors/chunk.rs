//! A chunk of codes as it is stored. Pure.
//!
//! A vector has a *slot*. [`CHUNK`] slots are a chunk, whose codes stand in one blob; `live` has one bit a
//! slot. The layout to the byte is in `docs/FORMAT.md`.

use crate::error::Result;
use crate::sql::index::damage::corrupt;
use crate::vector::codes::Coder;

/// Slots in a chunk.
pub const CHUNK: usize = 1024;
/// Slots at which codes are made for the first time.
pub const FIRST_CODES: i64 = 8 * CHUNK as i64;

/// See the module.
pub struct Chunk {
    /// One bit a slot.
    pub live: Vec<u8>,
    /// [`CHUNK`] codes.
    pub codes: Vec<u8>,
}

impl Chunk {
    /// A chunk without vectors.
    pub fn empty(coder: &Coder) -> Self {
        Chunk {
            live: vec![0; CHUNK / 8],
            codes: vec![0; CHUNK * coder.code_bytes()],
        }
    }

    /// A chunk from its two columns; a code has `code` bytes.
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

    /// Whether a slot, by its place in the chunk, holds a vector.
    pub fn is_live(&self, place: usize) -> bool {
        self.live[place / 8] & (1 << (place % 8)) != 0
    }

    /// Says whether a slot holds a vector.
    pub fn set_live(&mut self, place: usize, live: bool) {
        let bit = 1 << (place % 8);
        if live {
            self.live[place / 8] |= bit;
        } else {
            self.live[place / 8] &= !bit;
        }
    }

    /// How many slots hold a vector.
    pub fn used(&self) -> i64 {
        let ones = |byte: &u8| i64::from(byte.count_ones());
        self.live.iter().map(ones).sum()
    }

    /// Codes a vector into a slot.
    ///
    /// # Errors
    /// Wrong dimensions.
    pub fn encode(&mut self, coder: &Coder, place: usize, vector: &[f32]) -> Result<()> {
        let size = coder.code_bytes();
        self.set_live(place, true);
        coder.encode(vector, &mut self.codes[place * size..(place + 1) * size])
    }

    /// Codes vectors, which lie one after the other, into the slots of these places.
    ///
    /// # Errors
    /// Wrong dimensions; other numbers of places and vectors.
    pub fn encode_all(&mut self, coder: &Coder, places: &[usize], vectors: &[f32]) -> Result<()> {
        let size = coder.code_bytes();
        let mut codes = vec![0; places.len() * size];
        coder.encode_all(vectors, &mut codes)?;
        for (&place, code) in places.iter().zip(codes.chunks_exact(size)) {
            self.set_live(place, true);
            self.codes[place * size..(place + 1) * size].copy_from_slice(code);
        }
        Ok(())
    }
}
