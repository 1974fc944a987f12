//! The pass over rows between two products: perhaps a sum and its norm, then rounding into words.

#![allow(unsafe_code)]

use crate::engine::encoder::format::{Arithmetic, RowScale};
use crate::engine::encoder::lanes::{Kernel, Lanes};
use crate::engine::encoder::norm::Norm;
use crate::engine::encoder::sheet::Sheet;
use std::marker::PhantomData;
use std::ops::Range;

/// Some rows, to be rounded.
pub struct RoundRows<'a, A> {
    /// Which rows.
    pub rows: Range<usize>,
    /// Where they are; where they are normed, the result is stored there.
    pub numbers: Sheet<'a>,
    /// What is added before the norm, and the norm.
    pub norm: Option<(Sheet<'a>, Norm<'a>)>,
    /// Where the words go.
    pub words: Sheet<'a, u32>,
    /// Where the scales go, one in a row.
    pub scales: Sheet<'a, RowScale>,
    /// The numbers that words hold.
    pub arithmetic: PhantomData<A>,
}

impl<L: Lanes, A: Arithmetic<L>> Kernel<L> for RoundRows<'_, A> {
    type Output = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        for row in self.rows.clone() {
            // SAFETY: whoever splits rows among threads gives each its own (see `Sheet`).
            let (numbers, words, scale) = unsafe {
                (
                    self.numbers.row(row),
                    self.words.row(row),
                    self.scales.row(row),
                )
            };
            if let Some((other, norm)) = &self.norm {
                // SAFETY: as above.
                norm.add_and_apply(lanes, numbers, unsafe { other.row(row) });
            }
            let count = numbers.len() / A::FORMAT.in_word();
            scale[0] = A::round(lanes, numbers, &mut words[..count]);
        }
    }
}
