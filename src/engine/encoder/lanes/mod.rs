//! Sixteen numbers at a time: what the kernels ask of a CPU, and the proofs that it can do it.
//!
//! A kernel is written once, over [`Lanes`]. A value of a type that implements it is a proof that this CPU
//! has the instructions: it can only be got from `detect` ([`avx512`], [`avx2`]), so that its methods are
//! safe to call. [`portable`] does the same in plain Rust; it is the oracle of the tests.
//!
//! Sums run in one order everywhere: lane by lane, and the sixteen lanes of a sum are added as
//! [`add_up`] does it. So the float and int8 kernels give the same bits on every CPU whose
//! products of bytes are the same (`WEIGHTS` tells).

#[cfg(target_arch = "x86_64")]
pub mod avx2;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(test)]
pub mod portable;

use crate::engine::encoder::line::Line;

/// The number of lanes.
pub const LANES: usize = 16;

/// Sixteen lanes of one kind of CPU. All methods are meant to be inlined into [`Lanes::run`].
pub trait Lanes: Copy + Send + Sync + 'static {
    /// Sixteen `f32`.
    type Floats: Copy;
    /// Sixteen `i32`.
    type Ints: Copy;

    /// Accumulators of sixteen lanes that fit into registers side by side, for each row of a tile: 4 or 1.
    const WIDE: bool;
    /// The largest magnitude of a weight in 8 bits whose products [`Self::dot4`] adds without saturation.
    const WEIGHTS: i8;

    /// Runs a kernel with this CPU's instructions enabled.
    fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output;

    /// One number in all lanes.
    fn splat(self, x: f32) -> Self::Floats;
    /// Sixteen numbers.
    fn load(self, from: &[f32; LANES]) -> Self::Floats;
    /// Stores them.
    fn store(self, x: Self::Floats, to: &mut [f32; LANES]);
    /// `a + b`
    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a - b`
    fn sub(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b`
    fn mul(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a / b`
    fn div(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::Floats, b: Self::Floats, c: Self::Floats) -> Self::Floats;
    /// The greater ones.
    fn max(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The smaller ones.
    fn min(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;
    /// The nearest whole numbers, ties to even.
    fn round(self, x: Self::Floats) -> Self::Floats;
    /// `2^n` for whole numbers from -126 to 127.
    fn exp2(self, n: Self::Floats) -> Self::Floats;
    /// The sum of the lanes, as [`add_up`] does it.
    fn sum(self, x: Self::Floats) -> f32;
    /// The nearest whole numbers, ties to even, from 0 to 255.
    fn bytes(self, x: Self::Floats, to: &mut [u8; LANES]);
    /// Sixteen rows of sixteen turned into columns.
    fn transpose(self, rows: &mut [Self::Floats; LANES]);

    /// Asks for a line that is read soon; one that is not there does no harm.
    fn prefetch(self, line: *const Line);

    /// All lanes 0.
    fn zero(self) -> Self::Ints;
    /// `sum + word * line`: the four unsigned bytes of a word times the four signed bytes of each lane.
    fn dot4(self, sum: Self::Ints, word: u32, line: &Line) -> Self::Ints;
    /// As floats.
    fn floats(self, x: Self::Ints) -> Self::Floats;
}

/// Lanes that multiply bfloat16.
pub trait Bf16Lanes: Lanes {
    /// `sum + word * line`: the two bfloat16 of a word times the two of each lane.
    fn dot2(self, sum: Self::Floats, word: u32, line: &Line) -> Self::Floats;
    /// Thirty-two numbers rounded to bfloat16, two in a word, the first one low.
    fn halves(self, first: Self::Floats, second: Self::Floats, to: &mut [u32; LANES]);
}

/// Something to be run with a CPU's instructions. `run` must be `#[inline(always)]`.
pub trait Kernel<L: Lanes> {
    /// What it gives.
    type Output;
    /// Runs it.
    fn run(self, lanes: L) -> Self::Output;
}

/// The order in which sixteen lanes are added: halves, then halves of halves.
#[cfg(test)]
pub fn add_up(mut x: [f32; LANES]) -> f32 {
    let mut half = LANES / 2;
    while half > 0 {
        for i in 0..half {
            x[i] += x[i + half];
        }
        half /= 2;
    }
    x[0]
}
