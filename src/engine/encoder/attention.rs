//! Attention between the tokens of one text, one head at a time, in single precision.
//!
//! Keys are turned first, so that the scores of a query against sixteen keys are sixteen lanes. Queries go
//! four at a time: scores, softmax (exponentials of the differences to the largest score, divided at the
//! end), and the weighted sum of the values. A text of 512 tokens needs some 80 KB of scratch.

#![allow(unsafe_code)]

use crate::engine::encoder::lanes::{Kernel, LANES, Lanes};
use crate::engine::encoder::sheet::Sheet;

/// One head of one text.
pub struct Head<'a> {
    /// Queries, from the head's first number of the first query on; they are scaled already.
    pub queries: &'a [f32],
    /// From one query to the next.
    pub query_stride: usize,
    /// How many there are.
    pub count: usize,
    /// Keys, from the head's first number of the first key on.
    pub keys: &'a [f32],
    /// Values, likewise.
    pub values: &'a [f32],
    /// From one key or value to the next.
    pub stride: usize,
    /// Tokens of the text.
    pub tokens: usize,
    /// Numbers of a head, a multiple of sixteen.
    pub size: usize,
    /// Row 0 is the first query's.
    pub out: Sheet<'a>,
    /// The head's first column there.
    pub column: usize,
    /// See [`scratch`].
    pub scratch: &'a mut [f32],
}

/// Queries of a block.
const BLOCK: usize = 4;

/// Floats of scratch that a head needs: turned keys, and the scores of a block.
pub fn scratch(tokens: usize, size: usize) -> usize {
    tokens.next_multiple_of(LANES) * (size + BLOCK)
}

/// What a score of no key is.
const NOWHERE: f32 = -1e30;

impl<L: Lanes> Kernel<L> for Head<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self, lanes: L) {
        let padded = self.tokens.next_multiple_of(LANES);
        let last = |rows: usize, stride: usize| (rows - 1) * stride + self.size;
        assert!(self.tokens > 0 && self.count > 0 && self.size.is_multiple_of(LANES));
        assert!(self.queries.len() >= last(self.count, self.query_stride));
        assert!(self.keys.len() >= last(self.tokens, self.stride));
        assert!(self.values.len() >= last(self.tokens, self.stride));
        let Head {
            queries,
            query_stride,
            count,
            keys,
            values,
            stride,
            tokens,
            size,
            out,
            column,
            scratch,
        } = self;
        let (turned, scores) = scratch.split_at_mut(padded * size);
        let rest = Rest {
            queries,
            query_stride,
            values,
            stride,
            tokens,
            padded,
            size,
            out,
            column,
        };
        turn(lanes, keys, stride, tokens, size, turned);
        let scores = &mut scores[..padded * BLOCK];
        let mut from = 0;
        while from < count {
            match count - from {
                1 => rest.block::<L, 1>(lanes, from, turned, scores),
                2 => rest.block::<L, 2>(lanes, from, turned, scores),
                3 => rest.block::<L, 3>(lanes, from, turned, scores),
                _ => rest.block::<L, BLOCK>(lanes, from, turned, scores),
            }
            from += BLOCK;
        }
    }
}

/// Turns keys: number `c` of key `j` goes to `c * padded + j`. Keys that are not there are zeros.
#[inline(always)]
fn turn<L: Lanes>(
    lanes: L,
    keys: &[f32],
    stride: usize,
    tokens: usize,
    size: usize,
    turned: &mut [f32],
) {
    let padded = tokens.next_multiple_of(LANES);
    for first in (0..padded).step_by(LANES) {
        for column in (0..size).step_by(LANES) {
            let mut rows = [lanes.splat(0.0); LANES];
            for (i, row) in rows.iter_mut().enumerate().take(tokens - first) {
                *row = lanes.load(sixteen(keys, (first + i) * stride + column));
            }
            lanes.transpose(&mut rows);
            for (i, row) in rows.iter().enumerate() {
                lanes.store(*row, sixteen_mut(turned, (column + i) * padded + first));
            }
        }
    }
}

/// What all blocks of queries share.
struct Rest<'a> {
    queries: &'a [f32],
    query_stride: usize,
    values: &'a [f32],
    stride: usize,
    tokens: usize,
    padded: usize,
    size: usize,
    out: Sheet<'a>,
    column: usize,
}

impl Rest<'_> {
    #[inline(always)]
    fn block<L: Lanes, const QUERIES: usize>(
        &self,
        lanes: L,
        from: usize,
        turned: &[f32],
        scores: &mut [f32],
    ) {
        let mut largest = [lanes.splat(NOWHERE); QUERIES];
        let blocks = self.padded / LANES;
        let mut at = 0;
        while at < blocks {
            if L::WIDE && blocks - at >= 4 {
                self.scores::<L, QUERIES, 4>(lanes, from, turned, at, scores, &mut largest);
                at += 4;
            } else if L::WIDE && blocks - at >= 2 {
                self.scores::<L, QUERIES, 2>(lanes, from, turned, at, scores, &mut largest);
                at += 2;
            } else {
                self.scores::<L, QUERIES, 1>(lanes, from, turned, at, scores, &mut largest);
                at += 1;
            }
        }
        let mut factors = [0f32; QUERIES];
        for (i, factor) in factors.iter_mut().enumerate() {
            let row = &mut scores[i * self.padded..][..self.padded];
            *factor = 1.0 / exponentials(lanes, row, largest[i]);
        }
        let mut column = 0;
        while column < self.size {
            if L::WIDE && self.size - column >= 4 * LANES {
                self.sums::<L, QUERIES, 4>(lanes, from, column, scores, &factors);
                column += 4 * LANES;
            } else if L::WIDE && self.size - column >= 2 * LANES {
                self.sums::<L, QUERIES, 2>(lanes, from, column, scores, &factors);
                column += 2 * LANES;
            } else {
                self.sums::<L, QUERIES, 1>(lanes, from, column, scores, &factors);
                column += LANES;
            }
        }
    }

    /// Scores of some queries against `WIDTH` times sixteen keys, and the largest so far.
    #[inline(always)]
    fn scores<L: Lanes, const QUERIES: usize, const WIDTH: usize>(
        &self,
        lanes: L,
        from: usize,
        turned: &[f32],
        at: usize,
        scores: &mut [f32],
        largest: &mut [L::Floats; QUERIES],
    ) {
        let mut sums = [[lanes.splat(0.0); WIDTH]; QUERIES];
        for c in 0..self.size {
            for (i, sums) in sums.iter_mut().enumerate() {
                let query = lanes.splat(number(self.queries, (from + i) * self.query_stride + c));
                for (j, sum) in sums.iter_mut().enumerate() {
                    let keys = lanes.load(sixteen(turned, c * self.padded + (at + j) * LANES));
                    *sum = lanes.fma(query, keys, *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                let first = (at + j) * LANES;
                let there = lanes.min(sum, self.limits(lanes, first));
                largest[i] = lanes.max(largest[i], there);
                lanes.store(there, sixteen_mut(scores, i * self.padded + first));
            }
        }
    }

    /// What scores from a key on may be at most: those of no key nothing.
    #[inline(always)]
    fn limits<L: Lanes>(&self, lanes: L, first: usize) -> L::Floats {
        if first + LANES <= self.tokens {
            return lanes.splat(f32::INFINITY);
        }
        let mut limits = [NOWHERE; LANES];
        limits[..self.tokens - first].fill(f32::INFINITY);
        lanes.load(&limits)
    }

    /// The weighted sums of `WIDTH` times sixteen numbers of the values.
    #[inline(always)]
    fn sums<L: Lanes, const QUERIES: usize, const WIDTH: usize>(
        &self,
        lanes: L,
        from: usize,
        column: usize,
        weights: &[f32],
        factors: &[f32; QUERIES],
    ) {
        let mut sums = [[lanes.splat(0.0); WIDTH]; QUERIES];
        for token in 0..self.tokens {
            for (i, sums) in sums.iter_mut().enumerate() {
                let weight = lanes.splat(number(weights, i * self.padded + token));
                for (j, sum) in sums.iter_mut().enumerate() {
                    let at = token * self.stride + column + j * LANES;
                    *sum = lanes.fma(weight, lanes.load(sixteen(self.values, at)), *sum);
                }
            }
        }
        for (i, sums) in sums.iter().enumerate() {
            for (j, &sum) in sums.iter().enumerate() {
                let at = self.column + column + j * LANES;
                // SAFETY: whoever splits heads among threads gives each its own (see `Sheet`).
                let out = unsafe { self.out.sixteen(from + i, at) };
                lanes.store(lanes.mul(sum, lanes.splat(factors[i])), out);
            }
        }
    }
}

/// Turns scores into the exponentials of their differences to the largest, and adds them up.
#[inline(always)]
fn exponentials<L: Lanes>(lanes: L, scores: &mut [f32], largest: L::Floats) -> f32 {
    let mut each = [0f32; LANES];
    lanes.store(largest, &mut each);
    let largest = lanes.splat(each.iter().fold(NOWHERE, |a, &b| if b > a { b } else { a }));
    let mut sum = lanes.splat(0.0);
    for scores in scores.as_chunks_mut::<LANES>().0 {
        let power = exp(lanes, lanes.sub(lanes.load(scores), largest));
        sum = lanes.add(sum, power);
        lanes.store(power, scores);
    }
    lanes.sum(sum)
}

/// `e^x` for numbers up to 0: to the nearest power of two, and a polynomial for the rest (Cephes' `expf`).
#[inline(always)]
#[allow(clippy::excessive_precision)] // as they are printed there
fn exp<L: Lanes>(lanes: L, x: L::Floats) -> L::Floats {
    // Below this the result is no normal number: it counts as the smallest one.
    let x = lanes.max(x, lanes.splat(-87.0));
    let whole = lanes.round(lanes.mul(x, lanes.splat(std::f32::consts::LOG2_E)));
    // The logarithm of 2 in two parts, the first of which is exact.
    let rest = lanes.fma(whole, lanes.splat(-0.693359375), x);
    let rest = lanes.fma(whole, lanes.splat(2.12194440e-4), rest);
    let mut sum = lanes.splat(1.9875691500e-4);
    for coefficient in [
        1.3981999507e-3,
        8.3334519073e-3,
        4.1665795894e-2,
        1.6666665459e-1,
        5.0000001201e-1,
    ] {
        sum = lanes.fma(sum, rest, lanes.splat(coefficient));
    }
    let power = lanes.add(
        lanes.fma(sum, lanes.mul(rest, rest), rest),
        lanes.splat(1.0),
    );
    lanes.mul(power, lanes.exp2(whole))
}

/// A number of a slice that `Head::run` has seen to be long enough.
#[inline(always)]
fn number(numbers: &[f32], at: usize) -> f32 {
    debug_assert!(at < numbers.len());
    // SAFETY: `Head::run` asserts that queries, keys, values and scratch hold what their strides reach.
    unsafe { *numbers.get_unchecked(at) }
}

/// Sixteen numbers of such a slice.
#[inline(always)]
fn sixteen(numbers: &[f32], at: usize) -> &[f32; LANES] {
    debug_assert!(at + LANES <= numbers.len());
    // SAFETY: as for `number`.
    unsafe { &*numbers.as_ptr().add(at).cast() }
}

/// Sixteen numbers of such a slice, to be written.
#[inline(always)]
fn sixteen_mut(numbers: &mut [f32], at: usize) -> &mut [f32; LANES] {
    debug_assert!(at + LANES <= numbers.len());
    // SAFETY: as for `number`.
    unsafe { &mut *numbers.as_mut_ptr().add(at).cast() }
}
