//! Layer normalisation, with what comes before it in an encoder (a sum of two rows) and after it (rounding
//! into words) in one pass over a row.

use crate::engine::encoder::lanes::{LANES, Lanes};

/// `(x - mean) / sqrt(variance + epsilon) * gain + bias` over a row.
#[derive(Clone, Copy)]
pub struct Norm<'s> {
    /// As many as the row's numbers, a multiple of sixteen.
    pub gain: &'s [f32],
    /// As many.
    pub bias: &'s [f32],
    /// What keeps a row of equal numbers from a division by zero.
    pub epsilon: f32,
}

impl Norm<'_> {
    /// `row = norm(row + other)`, over as many numbers as the norm has; the rest is left alone.
    #[inline(always)]
    pub fn add_and_apply<L: Lanes>(&self, lanes: L, row: &mut [f32], other: &[f32]) {
        let (gain, bias) = (
            self.gain.as_chunks::<LANES>().0,
            self.bias.as_chunks::<LANES>().0,
        );
        let row = &mut row.as_chunks_mut::<LANES>().0[..gain.len()];
        let other = &other.as_chunks::<LANES>().0[..gain.len()];
        let count = (gain.len() * LANES) as f32;
        // Two sums side by side: one would wait for itself.
        let mut sums = [lanes.splat(0.0); 2];
        for (row, other) in row.chunks_mut(2).zip(other.chunks(2)) {
            for ((row, other), sum) in row.iter_mut().zip(other).zip(&mut sums) {
                let x = lanes.add(lanes.load(row), lanes.load(other));
                lanes.store(x, row);
                *sum = lanes.add(*sum, x);
            }
        }
        let mean = lanes.splat(lanes.sum(lanes.add(sums[0], sums[1])) / count);
        let mut squares = [lanes.splat(0.0); 2];
        for row in row.chunks_mut(2) {
            for (row, square) in row.iter_mut().zip(&mut squares) {
                let x = lanes.sub(lanes.load(row), mean);
                lanes.store(x, row);
                *square = lanes.fma(x, x, *square);
            }
        }
        let variance = lanes.sum(lanes.add(squares[0], squares[1])) / count;
        let factor = lanes.splat(1.0 / (variance + self.epsilon).sqrt());
        for ((row, gain), bias) in row.iter_mut().zip(gain).zip(bias) {
            let x = lanes.mul(lanes.load(row), factor);
            lanes.store(lanes.fma(x, lanes.load(gain), lanes.load(bias)), row);
        }
    }
}
