//! The numbers in which matrix products are computed: how weights and activations are rounded to them, and
//! how they are multiplied.
//!
//! All formats share one layout: an activation row is a list of *words* of four bytes, a word holds one
//! `f32`, two bfloat16 or four bytes, and a [`Line`] of weights has as much for each of sixteen columns.

use crate::engine::encoder::lanes::{Bf16Lanes, LANES, Lanes};
use crate::engine::encoder::line::Line;
use half::bf16;
use serde::{Deserialize, Serialize};

/// The kinds of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Single precision.
    Fp32,
    /// bfloat16, added up in single precision.
    Bf16,
    /// Weights in signed bytes with a scale for each column, activations in unsigned bytes with a scale and
    /// a zero for each row.
    Int8,
}

impl Format {
    /// Numbers in a word.
    pub const fn in_word(self) -> usize {
        match self {
            Format::Fp32 => 1,
            Format::Bf16 => 2,
            Format::Int8 => 4,
        }
    }
}

/// What turns the bytes of a row back: its scale, and minus the scale times the byte that stands for zero.
pub type RowScale = [f32; 2];

/// How one format is computed on one kind of CPU.
pub trait Arithmetic<L: Lanes>: Copy + Send + Sync {
    /// Sixteen sums.
    type Sums: Copy;
    /// Which it is.
    const FORMAT: Format;

    /// Sums of nothing.
    fn zero(lanes: L) -> Self::Sums;
    /// `sums + word * line`
    fn step(lanes: L, sums: Self::Sums, word: u32, line: &Line) -> Self::Sums;
    /// The sums as numbers; `scales` and `totals` are those of [`Columns`].
    fn finish(lanes: L, sums: Self::Sums, row: RowScale, columns: Columns<'_>) -> L::Floats;
    /// Rounds a row of `f32` into words: as many as [`Format::in_word`] says. `numbers` has a multiple of
    /// 64.
    fn round(lanes: L, numbers: &[f32], words: &mut [u32]) -> RowScale;
}

/// What sixteen columns of weights need: their scales, and the scales times the totals of their bytes.
#[derive(Clone, Copy)]
pub struct Columns<'m> {
    /// Scales.
    pub scales: &'m [f32; LANES],
    /// Scales times totals.
    pub totals: &'m [f32; LANES],
}

/// See [`Format::Fp32`].
#[derive(Clone, Copy)]
pub struct Fp32;

impl<L: Lanes> Arithmetic<L> for Fp32 {
    type Sums = L::Floats;
    const FORMAT: Format = Format::Fp32;

    #[inline(always)]
    fn zero(lanes: L) -> L::Floats {
        lanes.splat(0.0)
    }

    #[inline(always)]
    fn step(lanes: L, sums: L::Floats, word: u32, line: &Line) -> L::Floats {
        let weights: &[f32; LANES] = bytemuck::cast_ref(line);
        lanes.fma(lanes.splat(f32::from_bits(word)), lanes.load(weights), sums)
    }

    #[inline(always)]
    fn finish(_: L, sums: L::Floats, _: RowScale, _: Columns<'_>) -> L::Floats {
        sums
    }

    #[inline(always)]
    fn round(_: L, numbers: &[f32], words: &mut [u32]) -> RowScale {
        words.copy_from_slice(bytemuck::cast_slice(numbers));
        [1.0, 0.0]
    }
}

/// See [`Format::Bf16`].
#[derive(Clone, Copy)]
pub struct Bf16;

impl<L: Bf16Lanes> Arithmetic<L> for Bf16 {
    type Sums = L::Floats;
    const FORMAT: Format = Format::Bf16;

    #[inline(always)]
    fn zero(lanes: L) -> L::Floats {
        lanes.splat(0.0)
    }

    #[inline(always)]
    fn step(lanes: L, sums: L::Floats, word: u32, line: &Line) -> L::Floats {
        lanes.dot2(sums, word, line)
    }

    #[inline(always)]
    fn finish(_: L, sums: L::Floats, _: RowScale, _: Columns<'_>) -> L::Floats {
        sums
    }

    #[inline(always)]
    fn round(lanes: L, numbers: &[f32], words: &mut [u32]) -> RowScale {
        let (pairs, _) = numbers.as_chunks::<{ 2 * LANES }>();
        let (out, _) = words.as_chunks_mut::<LANES>();
        for (pair, out) in pairs.iter().zip(out) {
            let (halves, _) = pair.as_chunks::<LANES>();
            lanes.halves(lanes.load(&halves[0]), lanes.load(&halves[1]), out);
        }
        [1.0, 0.0]
    }
}

/// See [`Format::Int8`].
#[derive(Clone, Copy)]
pub struct Int8;

impl<L: Lanes> Arithmetic<L> for Int8 {
    type Sums = L::Ints;
    const FORMAT: Format = Format::Int8;

    #[inline(always)]
    fn zero(lanes: L) -> L::Ints {
        lanes.zero()
    }

    #[inline(always)]
    fn step(lanes: L, sums: L::Ints, word: u32, line: &Line) -> L::Ints {
        lanes.dot4(sums, word, line)
    }

    #[inline(always)]
    fn finish(lanes: L, sums: L::Ints, row: RowScale, columns: Columns<'_>) -> L::Floats {
        let [scale, zero] = row;
        let scaled = lanes.mul(lanes.floats(sums), lanes.splat(scale));
        let scaled = lanes.mul(scaled, lanes.load(columns.scales));
        lanes.fma(lanes.splat(zero), lanes.load(columns.totals), scaled)
    }

    /// The range of a row always holds 0, which is then exact: the zeros behind a row stay zeros.
    #[inline(always)]
    fn round(lanes: L, numbers: &[f32], words: &mut [u32]) -> RowScale {
        let (sixteens, _) = numbers.as_chunks::<LANES>();
        let (mut low, mut high) = (lanes.splat(0.0), lanes.splat(0.0));
        for numbers in sixteens {
            let numbers = lanes.load(numbers);
            low = lanes.min(low, numbers);
            high = lanes.max(high, numbers);
        }
        let (mut lows, mut highs) = ([0.0; LANES], [0.0; LANES]);
        lanes.store(low, &mut lows);
        lanes.store(high, &mut highs);
        let (mut low, mut high) = (0f32, 0f32);
        for i in 0..LANES {
            low = low.min(lows[i]);
            high = high.max(highs[i]);
        }
        // A row of zeros has a scale too.
        let scale = ((high - low) / 255.0).max(f32::MIN_POSITIVE);
        let zero = (-low / scale).round_ties_even();
        let (factor, shift) = (lanes.splat(scale.recip()), lanes.splat(zero));
        let (out, _) = bytemuck::cast_slice_mut::<u32, u8>(words).as_chunks_mut::<LANES>();
        for (numbers, out) in sixteens.iter().zip(out) {
            lanes.bytes(lanes.fma(lanes.load(numbers), factor, shift), out);
        }
        [scale, -scale * zero]
    }
}

/// Sixteen columns of as many rows as a word holds, as a line of weights: `rows[k]` are row k's. Bytes are
/// of `numbers / scale`.
pub fn line(format: Format, rows: &[[f32; LANES]], scales: &[f32; LANES]) -> Line {
    let mut line = Line::ZERO;
    for (column, word) in line.0.as_chunks_mut::<4>().0.iter_mut().enumerate() {
        match format {
            Format::Fp32 => *word = rows[0][column].to_le_bytes(),
            Format::Bf16 => {
                let [a, b] = [0, 1].map(|k| bf16::from_f32(rows[k][column]).to_le_bytes());
                *word = [a[0], a[1], b[0], b[1]];
            }
            Format::Int8 => {
                for (k, byte) in word.iter_mut().enumerate() {
                    *byte = (rows[k][column] / scales[column]).round_ties_even() as i8 as u8;
                }
            }
        }
    }
    line
}
