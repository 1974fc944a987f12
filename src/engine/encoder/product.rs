//! The matrix product: rows of activations times packed weights, tile by tile.
//!
//! A tile is up to six rows by 64 columns (by sixteen, where a CPU has half the registers); its sums stay in
//! registers over all steps, so each number of the result is one sum in one order, whatever the other
//! rows are.

#![allow(unsafe_code)]

use crate::engine::encoder::format::{Arithmetic, RowScale};
use crate::engine::encoder::gelu::gelu;
use crate::engine::encoder::lanes::{Kernel, LANES, Lanes};
use crate::engine::encoder::matrix::{Matrix, PANEL, STEP};
use crate::engine::encoder::sheet::Sheet;
use std::marker::PhantomData;
use std::ops::Range;

/// Rows of activations, rounded into words.
#[derive(Clone, Copy)]
pub struct Words<'a> {
    /// The words, row by row.
    pub words: &'a [u32],
    /// One for each row.
    pub scales: &'a [RowScale],
}

/// What is done with a number of the result after the bias was added.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// Nothing.
    None,
    /// GELU with the error function.
    Gelu,
}

/// One product, or some panels of one.
pub struct Product<'a, A> {
    /// The rows; as many as `scales` says.
    pub left: Words<'a>,
    /// The weights.
    pub right: Matrix<'a>,
    /// Which panels of the result are computed.
    pub panels: Range<usize>,
    /// What comes after the bias.
    pub activation: Activation,
    /// Where the result goes: row 0 is that of the first row, column 0 that of the first panel there is.
    pub out: Sheet<'a>,
    /// The numbers it computes in.
    pub arithmetic: PhantomData<A>,
}

impl<A> Product<'_, A> {
    /// All tiles.
    ///
    /// # Panics
    /// Where the words are not as many as rows and weights need, or the result has no room.
    #[inline(always)]
    fn tiles<L: Lanes, const NARROW: bool>(&self, lanes: L)
    where
        A: Arithmetic<L>,
    {
        let rows = self.left.scales.len();
        assert!(self.left.words.len() >= rows * self.right.steps);
        assert!(self.panels.end * PANEL <= self.right.columns);
        for panel in self.panels.clone() {
            let mut from = 0;
            // A last tile of one or two rows would leave the multipliers waiting.
            while rows - from >= 6 && !matches!(rows - from, 7 | 8) {
                self.tile_of::<L, 6, NARROW>(lanes, from, panel);
                from += 6;
            }
            match rows - from {
                1 => self.tile_of::<L, 1, NARROW>(lanes, from, panel),
                2 => self.tile_of::<L, 2, NARROW>(lanes, from, panel),
                3 => self.tile_of::<L, 3, NARROW>(lanes, from, panel),
                4 => self.tile_of::<L, 4, NARROW>(lanes, from, panel),
                5 => self.tile_of::<L, 5, NARROW>(lanes, from, panel),
                7 => {
                    self.tile_of::<L, 4, NARROW>(lanes, from, panel);
                    self.tile_of::<L, 3, NARROW>(lanes, from + 4, panel);
                }
                8 => {
                    self.tile_of::<L, 4, NARROW>(lanes, from, panel);
                    self.tile_of::<L, 4, NARROW>(lanes, from + 4, panel);
                }
                _ => {}
            }
        }
    }

    #[inline(always)]
    fn tile_of<L: Lanes, const ROWS: usize, const NARROW: bool>(
        &self,
        lanes: L,
        from: usize,
        panel: usize,
    ) where
        A: Arithmetic<L>,
    {
        if NARROW {
            for sixteen in 0..STEP {
                self.tile::<L, ROWS, 1>(lanes, from, panel, sixteen);
            }
        } else {
            self.tile::<L, ROWS, STEP>(lanes, from, panel, 0);
        }
    }

    /// `ROWS` rows by `WIDTH` times sixteen columns.
    #[inline(always)]
    fn tile<L: Lanes, const ROWS: usize, const WIDTH: usize>(
        &self,
        lanes: L,
        from: usize,
        panel: usize,
        sixteen: usize,
    ) where
        A: Arithmetic<L>,
    {
        /// Steps that weights are asked for before they are read.
        const AHEAD: usize = 8;
        let steps = self.right.steps;
        let lines = self.right.panel(panel);
        let words = &self.left.words[from * steps..][..ROWS * steps];
        let mut sums = [[A::zero(lanes); WIDTH]; ROWS];
        for step in 0..steps {
            let at = step * STEP + sixteen;
            for j in 0..WIDTH {
                lanes.prefetch(lines.as_ptr().wrapping_add(at + AHEAD * STEP + j));
            }
            for (row, sums) in sums.iter_mut().enumerate() {
                // SAFETY: `words` has ROWS x steps words, as its slice was cut.
                let word = unsafe { *words.get_unchecked(row * steps + step) };
                for (j, sums) in sums.iter_mut().enumerate() {
                    // SAFETY: a panel has steps x STEP lines, and sixteen + WIDTH is at most STEP.
                    let line = unsafe { lines.get_unchecked(at + j) };
                    *sums = A::step(lanes, *sums, word, line);
                }
            }
        }
        for (row, sums) in sums.iter().enumerate() {
            for (j, &sums) in sums.iter().enumerate() {
                self.finish(lanes, sums, from + row, panel * STEP + sixteen + j);
            }
        }
    }

    /// Bias, activation, and out.
    #[inline(always)]
    fn finish<L: Lanes>(&self, lanes: L, sums: A::Sums, row: usize, sixteen: usize)
    where
        A: Arithmetic<L>,
    {
        let columns = self.right.columns_at(sixteen);
        let sum = A::finish(lanes, sums, self.left.scales[row], columns);
        let mut sum = lanes.add(sum, lanes.load(self.right.bias_at(sixteen)));
        if self.activation == Activation::Gelu {
            sum = gelu(lanes, sum);
        }
        // SAFETY: whoever splits a product among threads gives each its own panels (see `Sheet`).
        lanes.store(sum, unsafe { self.out.sixteen(row, sixteen * LANES) });
    }
}

impl<L: Lanes, A: Arithmetic<L>> Kernel<L> for Product<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        if L::WIDE {
            self.tiles::<L, false>(lanes);
        } else {
            self.tiles::<L, true>(lanes);
        }
    }
}
