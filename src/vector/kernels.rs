//! Inner loops over vectors as they are stored: little-endian f32, at any alignment.
//!
//! One body for each measure, compiled once for the base CPU and once for AVX2; the compiler
//! vectorises it over [`LANES`] independent sums. The product of two f32 is exact in f64, so every
//! version adds the same numbers in the same order: the results have the same bits on every CPU,
//! and one naive oracle (in the tests) covers them all. A NaN or infinity in a vector shows in the sum, so
//! that no pass over the elements is needed to refuse it.
#![allow(unsafe_code)]

/// Independent partial sums: enough to hide the latency of addition, and a multiple of the widest
/// register's f64 lanes.
const LANES: usize = 16;

type Elements<'a> = &'a [[u8; 4]];

/// Sum of `a[i] * b[i]`. Lengths must be equal (extra elements are ignored).
pub fn dot(a: Elements<'_>, b: Elements<'_>) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if let Some(cpu) = x86::Avx2::detect() {
        return cpu.dot(a, b);
    }
    body::dot(a, b)
}

/// Sum of `(a[i] - b[i])²`. The difference is taken in f64.
pub fn squared_l2(a: Elements<'_>, b: Elements<'_>) -> f64 {
    #[cfg(target_arch = "x86_64")]
    if let Some(cpu) = x86::Avx2::detect() {
        return cpu.squared_l2(a, b);
    }
    body::squared_l2(a, b)
}

/// `(Σ a[i]·b[i], Σ b[i]²)` in one pass.
pub fn dot_and_squared(a: Elements<'_>, b: Elements<'_>) -> (f64, f64) {
    #[cfg(target_arch = "x86_64")]
    if let Some(cpu) = x86::Avx2::detect() {
        return cpu.dot_and_squared(a, b);
    }
    body::dot_and_squared(a, b)
}

/// The loops themselves, inlined into each version.
mod body {
    use super::{Elements, LANES};

    #[inline(always)]
    fn read(x: [u8; 4]) -> f64 {
        f64::from(f32::from_le_bytes(x))
    }

    /// Sums `term(a, b)` over all pairs, in [`LANES`] partial sums and then the rest.
    #[inline(always)]
    fn sum(a: Elements<'_>, b: Elements<'_>, term: impl Fn(f64, f64) -> f64) -> f64 {
        let mut lanes = [0.0; LANES];
        let (a_blocks, a_rest) = a.as_chunks::<LANES>();
        let (b_blocks, b_rest) = b.as_chunks::<LANES>();
        for (x, y) in a_blocks.iter().zip(b_blocks) {
            for i in 0..LANES {
                lanes[i] += term(read(x[i]), read(y[i]));
            }
        }
        let rest = a_rest.iter().zip(b_rest);
        lanes.iter().sum::<f64>() + rest.map(|(x, y)| term(read(*x), read(*y))).sum::<f64>()
    }

    #[inline(always)]
    pub fn dot(a: Elements<'_>, b: Elements<'_>) -> f64 {
        sum(a, b, |x, y| x * y)
    }

    #[inline(always)]
    pub fn squared_l2(a: Elements<'_>, b: Elements<'_>) -> f64 {
        sum(a, b, |x, y| (x - y) * (x - y))
    }

    #[inline(always)]
    pub fn dot_and_squared(a: Elements<'_>, b: Elements<'_>) -> (f64, f64) {
        let (mut ab, mut bb) = ([0.0; LANES], [0.0; LANES]);
        let (a_blocks, a_rest) = a.as_chunks::<LANES>();
        let (b_blocks, b_rest) = b.as_chunks::<LANES>();
        for (x, y) in a_blocks.iter().zip(b_blocks) {
            for i in 0..LANES {
                ab[i] += read(x[i]) * read(y[i]);
                bb[i] += read(y[i]) * read(y[i]);
            }
        }
        (
            ab.iter().sum::<f64>() + dot(a_rest, b_rest),
            bb.iter().sum::<f64>() + dot(b_rest, b_rest),
        )
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Elements, body};

    /// Proof that this CPU has AVX2: only [`Avx2::detect`] makes one.
    #[derive(Clone, Copy)]
    pub struct Avx2(());

    impl Avx2 {
        #[inline]
        pub fn detect() -> Option<Self> {
            std::arch::is_x86_feature_detected!("avx2").then_some(Avx2(()))
        }

        #[inline]
        pub fn dot(self, a: Elements<'_>, b: Elements<'_>) -> f64 {
            // SAFETY: `self` proves that the CPU has AVX2; the function is safe otherwise.
            unsafe { dot(a, b) }
        }

        #[inline]
        pub fn squared_l2(self, a: Elements<'_>, b: Elements<'_>) -> f64 {
            // SAFETY: `self` proves that the CPU has AVX2; the function is safe otherwise.
            unsafe { squared_l2(a, b) }
        }

        #[inline]
        pub fn dot_and_squared(self, a: Elements<'_>, b: Elements<'_>) -> (f64, f64) {
            // SAFETY: `self` proves that the CPU has AVX2; the function is safe otherwise.
            unsafe { dot_and_squared(a, b) }
        }
    }

    #[target_feature(enable = "avx2")]
    fn dot(a: Elements<'_>, b: Elements<'_>) -> f64 {
        body::dot(a, b)
    }

    #[target_feature(enable = "avx2")]
    fn squared_l2(a: Elements<'_>, b: Elements<'_>) -> f64 {
        body::squared_l2(a, b)
    }

    #[target_feature(enable = "avx2")]
    fn dot_and_squared(a: Elements<'_>, b: Elements<'_>) -> (f64, f64) {
        body::dot_and_squared(a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The oracle: one term at a time, in order.
    fn naive(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
        let mut sum = 0.0;
        for (x, y) in a.iter().zip(b) {
            sum += term(f64::from(*x), f64::from(*y));
        }
        sum
    }

    fn elements(values: &[f32]) -> Vec<[u8; 4]> {
        values.iter().map(|x| x.to_le_bytes()).collect()
    }

    fn close(got: f64, want: f64, scale: f64) -> bool {
        (got - want).abs() <= 1e-13 * scale.max(1e-300)
    }

    proptest! {
        #[test]
        fn every_version_agrees_with_the_oracle(
            pairs in proptest::collection::vec((-1e3f32..1e3, -1e3f32..1e3), 1..1100)
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let (ea, eb) = (elements(&a), elements(&b));
            let scale = naive(&a, &b, |x, y| (x * y).abs()) + naive(&a, &a, |x, y| x * y)
                + naive(&b, &b, |x, y| x * y);
            prop_assert!(close(dot(&ea, &eb), naive(&a, &b, |x, y| x * y), scale));
            prop_assert!(close(squared_l2(&ea, &eb), naive(&a, &b, |x, y| (x - y) * (x - y)), scale));
            let (ab, bb) = dot_and_squared(&ea, &eb);
            prop_assert!(close(ab, naive(&a, &b, |x, y| x * y), scale));
            prop_assert!(close(bb, naive(&b, &b, |x, y| x * y), scale));
            // Bit for bit the same with and without AVX2.
            prop_assert_eq!(dot(&ea, &eb).to_bits(), body::dot(&ea, &eb).to_bits());
            prop_assert_eq!(squared_l2(&ea, &eb).to_bits(), body::squared_l2(&ea, &eb).to_bits());
            prop_assert_eq!(dot_and_squared(&ea, &eb), body::dot_and_squared(&ea, &eb));
        }
    }
}
