//! The scan: inner products of levels with an int8 query, and the bounds that follow.
//!
//! One naive body, and one for AVX2 that multiplies 32 levels an instruction. Integer sums are
//! exact, and the bounds are the same f32 operations in the same order (Rust never fuses them), so
//! the versions agree to the bit. AVX-512 is left out: at AVX2 a scan is near the speed of memory.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use crate::vector::codes::block::{self, LANES, Scratch};
use crate::vector::codes::coder::Coder;
use crate::vector::codes::rotation::Rotation;

/// Room for what f32 arithmetic loses, in units of the distance.
pub(super) const SLACK: f32 = 2e-6;

/// Codes whose sums are kept at a time: what fits into L1 beside the query.
const BLOCK: usize = 64;

/// What a scan needs of a query; [`super::query`] makes it and explains the numbers.
#[derive(Clone, Debug)]
pub(super) struct Scan {
    /// Bytes of the levels in a code.
    pub width: usize,
    /// Bytes from one code to the next: the levels and three f32.
    pub stride: usize,
    /// The query in the order of a code's levels: `planes[j][p][i]` belongs to bits `2p, 2p + 1` of
    /// byte `32 j + i`; 0 beyond the code's width.
    pub planes: Vec<[[i8; 32]; 4]>,
    /// Three times the sum of the query's int8 values.
    pub three_sums: i32,
    /// Half the step of the query's int8 values.
    pub half_step: f32,
    /// `1 - <c, q>`.
    pub base: f32,
    /// Upper bound of `1 - |c|²`, so that `|y|² <= radius - 2 offset`.
    pub radius: f32,
    /// The error's variance is `alpha · sigma² + beta · |y|²`, less what is known of `<y, q'>`.
    pub alpha: f32,
    /// See `alpha`.
    pub beta: f32,
}

impl Scan {
    /// The estimate of `<y, q'>`: twice `Σ (u - 3/2) k`, in halves of steps.
    #[inline(always)]
    fn product(&self, dot: i32, scale: f32) -> f32 {
        let doubled = (2 * dot - self.three_sums) as f32;
        scale * (doubled * self.half_step)
    }

    /// The lower bound of a distance, from `Σ u[i] k[i]` and the code's offset, scale and sigma; `z2` is the
    /// square of the number of standard errors.
    #[inline(always)]
    pub fn bound(&self, dot: i32, [offset, scale, sigma]: [f32; 3], z2: f32) -> f32 {
        let s = self.product(dot, scale);
        let variance = sigma * sigma;
        let y2 = (self.radius - 2.0 * offset).max(SLACK);
        // The largest t with (t - s)² <= z² (variance of s, given that <y, q'> is t).
        let a2 = z2 * variance / y2;
        let r2 = z2 * (self.alpha * variance + self.beta * y2);
        let root = (a2 * r2 + (r2 - a2 * (s * s)).max(0.0)).sqrt();
        let t = (s + root) / (1.0 + a2);
        self.base - offset - t - SLACK
    }
}

/// Lower bounds of the distances of the codes that `out` has room for, at `z` standard errors.
/// `codes` may go on behind them.
pub(super) fn lower_bounds(scan: &Scan, codes: &[u8], z: f32, out: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if let Some(cpu) = x86::Avx2::detect() {
        return cpu.lower_bounds(scan, codes, z, out);
    }
    body::lower_bounds(scan, codes, z, out, body::dots);
}

/// Estimates of the distances; otherwise as [`lower_bounds`].
pub(super) fn estimates(scan: &Scan, codes: &[u8], out: &mut [f32]) {
    body::blocks(scan, codes, out, body::dots, |block, i| {
        scan.base - block.offset[i] - block.product(scan, i)
    });
}

/// Codes a block of vectors, with the widest instructions that the CPU has: see [`block::encode`].
pub(super) fn encode(
    coder: &Coder,
    vectors: &[f32],
    scratch: &mut Scratch,
    out: &mut [u8],
) -> bool {
    #[cfg(target_arch = "x86_64")]
    if let Some(cpu) = x86::Avx2::detect() {
        return cpu.encode(coder, vectors, scratch, out);
    }
    block::encode(coder, vectors, scratch, out)
}

impl Coder {
    /// Writes the codes of vectors that lie one after the other into `out`, likewise: the bits that
    /// [`Coder::encode`] gives each of them, some four times as fast.
    ///
    /// # Errors
    /// As [`Coder::encode`]; vectors or codes that are no whole number, or not equally many.
    pub fn encode_all(&self, vectors: &[f32], out: &mut [u8]) -> Result<()> {
        let (dims, size) = (self.dims(), self.code_bytes());
        let count = vectors.len() / dims;
        if vectors.len() != count * dims || out.len() != count * size {
            return Err(Error::internal(format!(
                "{} elements of vectors with {dims} dimensions, and {} bytes for codes of {size}",
                vectors.len(),
                out.len()
            )));
        }
        let mut scratch = Scratch::default();
        let blocks = vectors.chunks(LANES * dims);
        for (vectors, out) in blocks.zip(out.chunks_mut(LANES * size)) {
            let whole = vectors.len() == LANES * dims;
            if whole && encode(self, vectors, &mut scratch, out) {
                continue;
            }
            // The last ones, and a block with a vector that is refused here.
            for (vector, code) in vectors.chunks(dims).zip(out.chunks_mut(size)) {
                self.encode(vector, code)?;
            }
        }
        Ok(())
    }
}

impl Rotation {
    /// Rotates `v` (`dims` elements) in place, with the widest additions that the CPU has. Every
    /// transform has signs of its own before it: without them the second of a round would undo much of
    /// the first.
    pub(super) fn apply(&self, v: &mut [f32]) {
        #[cfg(target_arch = "x86_64")]
        if let Some(cpu) = x86::Avx2::detect() {
            return cpu.rotate(self, v);
        }
        self.rotate(v);
    }
}

/// The loops themselves, inlined into each version.
mod body {
    use super::{BLOCK, Scan};

    /// Codes side by side.
    pub struct Block {
        dots: [i32; BLOCK],
        pub offset: [f32; BLOCK],
        scale: [f32; BLOCK],
        sigma: [f32; BLOCK],
    }

    impl Block {
        #[inline(always)]
        pub fn product(&self, scan: &Scan, i: usize) -> f32 {
            scan.product(self.dots[i], self.scale[i])
        }
    }

    /// `out[i] = finish(block, i)` for every code; what is not finite becomes -infinity.
    #[inline(always)]
    pub fn blocks(
        scan: &Scan,
        codes: &[u8],
        out: &mut [f32],
        dots: impl Fn(&Scan, &[u8], &mut [i32]),
        finish: impl Fn(&Block, usize) -> f32,
    ) {
        let mut block = Block {
            dots: [0; BLOCK],
            offset: [0.0; BLOCK],
            scale: [0.0; BLOCK],
            sigma: [0.0; BLOCK],
        };
        for (n, out) in out.chunks_mut(BLOCK).enumerate() {
            let codes = &codes[n * BLOCK * scan.stride..];
            dots(scan, codes, &mut block.dots[..out.len()]);
            for (i, code) in codes.chunks_exact(scan.stride).take(out.len()).enumerate() {
                let (numbers, _) = code[scan.width..].as_chunks::<4>();
                block.offset[i] = f32::from_le_bytes(numbers[0]);
                block.scale[i] = f32::from_le_bytes(numbers[1]);
                block.sigma[i] = f32::from_le_bytes(numbers[2]);
            }
            // Always the whole block, so that the compiler knows its length.
            let mut results = [0.0; BLOCK];
            for (i, result) in results.iter_mut().enumerate() {
                let value = finish(&block, i);
                *result = if value.is_finite() {
                    value
                } else {
                    f32::NEG_INFINITY
                };
            }
            out.copy_from_slice(&results[..out.len()]);
        }
    }

    #[inline(always)]
    pub fn lower_bounds(
        scan: &Scan,
        codes: &[u8],
        z: f32,
        out: &mut [f32],
        dots: impl Fn(&Scan, &[u8], &mut [i32]),
    ) {
        let z2 = z * z;
        blocks(scan, codes, out, dots, |block, i| {
            let figures = [block.offset[i], block.scale[i], block.sigma[i]];
            scan.bound(block.dots[i], figures, z2)
        });
    }

    /// `Σ u[i] k[i]` of each code.
    #[inline(always)]
    pub fn dots(scan: &Scan, codes: &[u8], out: &mut [i32]) {
        for (code, out) in codes.chunks_exact(scan.stride).zip(out) {
            *out = 0;
            for (bytes, planes) in code[..scan.width].chunks(32).zip(&scan.planes) {
                for (p, plane) in planes.iter().enumerate() {
                    for (byte, &k) in bytes.iter().zip(plane) {
                        *out += i32::from(byte >> (2 * p) & 3) * i32::from(k);
                    }
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Coder, Rotation, Scan, Scratch, block, body};
    use std::arch::x86_64::*;

    /// Proof that this CPU has AVX2: only [`Avx2::detect`] makes one.
    #[derive(Clone, Copy)]
    pub struct Avx2(());

    impl Avx2 {
        #[inline]
        pub fn detect() -> Option<Self> {
            std::arch::is_x86_feature_detected!("avx2").then_some(Avx2(()))
        }

        #[inline]
        pub fn lower_bounds(self, scan: &Scan, codes: &[u8], z: f32, out: &mut [f32]) {
            // SAFETY: `self` proves that the CPU has AVX2; the function is safe otherwise.
            unsafe { lower_bounds(scan, codes, z, out) }
        }

        #[inline]
        pub fn rotate(self, rotation: &Rotation, v: &mut [f32]) {
            // SAFETY: `self` proves that the CPU has AVX2; the function is safe otherwise.
            unsafe { rotate(rotation, v) }
        }

        #[inline]
        pub fn encode(
            self,
            coder: &Coder,
            vectors: &[f32],
            scratch: &mut Scratch,
            out: &mut [u8],
        ) -> bool {
            // SAFETY: `self` proves that the CPU has AVX2; the function is safe otherwise.
            unsafe { encode(coder, vectors, scratch, out) }
        }

        #[cfg(test)]
        pub fn dots(self, scan: &Scan, codes: &[u8], out: &mut [i32]) {
            // SAFETY: `self` proves that the CPU has AVX2; the function is safe otherwise.
            unsafe { dots(scan, codes, out) }
        }
    }

    #[target_feature(enable = "avx2")]
    fn lower_bounds(scan: &Scan, codes: &[u8], z: f32, out: &mut [f32]) {
        body::lower_bounds(scan, codes, z, out, |s, c, o| dots(s, c, o));
    }

    #[target_feature(enable = "avx2")]
    fn rotate(rotation: &Rotation, v: &mut [f32]) {
        rotation.rotate(v);
    }

    #[target_feature(enable = "avx2")]
    fn encode(coder: &Coder, vectors: &[f32], scratch: &mut Scratch, out: &mut [u8]) -> bool {
        block::encode(coder, vectors, scratch, out)
    }

    /// Codes that go through the registers together, to share the query's loads.
    const TOGETHER: usize = 4;

    /// Loads of 32 bytes before i16 sums overflow: one adds at most 4 * 2 * 3 * 127 = 3,048 to a
    /// lane, so 10 would do.
    const LOADS: usize = 8;

    // No closures below: one that the compiler leaves a function of its own, in a generic function
    // without AVX2, cannot be inlined any more (a scan took four times as long).

    #[target_feature(enable = "avx2")]
    fn dots(scan: &Scan, codes: &[u8], out: &mut [i32]) {
        let read = 32 * scan.planes.len();
        let mut done = 0;
        for out in out.as_chunks_mut::<TOGETHER>().0 {
            let first = &codes[done * scan.stride..];
            if first.len() < (TOGETHER - 1) * scan.stride + read {
                break;
            }
            let mut together: [&[[u8; 32]]; TOGETHER] = [&[]; TOGETHER];
            for (i, code) in together.iter_mut().enumerate() {
                *code = first[i * scan.stride..][..read].as_chunks::<32>().0;
            }
            *out = four(together, &scan.planes);
            done += TOGETHER;
        }
        // The last ones, and those whose last load would pass the end.
        body::dots(scan, &codes[done * scan.stride..], &mut out[done..]);
    }

    /// Bytes behind a code's levels may be read: the query is 0 there.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn four(codes: [&[[u8; 32]]; TOGETHER], planes: &[[[i8; 32]; 4]]) -> [i32; TOGETHER] {
        let ones = _mm256_set1_epi16(1);
        let mut sums = [_mm256_setzero_si256(); TOGETHER];
        let mut from = 0;
        for planes in planes.chunks(LOADS) {
            let mut short = [_mm256_setzero_si256(); TOGETHER];
            for (j, [a, b, c, d]) in planes.iter().enumerate() {
                let query = [load_i8(a), load_i8(b), load_i8(c), load_i8(d)];
                for i in 0..TOGETHER {
                    let products = multiply(load(&codes[i][from + j]), query);
                    short[i] = _mm256_add_epi16(short[i], products);
                }
            }
            for i in 0..TOGETHER {
                sums[i] = _mm256_add_epi32(sums[i], _mm256_madd_epi16(short[i], ones));
            }
            from += LOADS;
        }
        let [a, b, c, d] = sums;
        let pairs = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
        let low = _mm256_castsi256_si128(pairs);
        let all = _mm_add_epi32(low, _mm256_extracti128_si256::<1>(pairs));
        [
            _mm_extract_epi32::<0>(all),
            _mm_extract_epi32::<1>(all),
            _mm_extract_epi32::<2>(all),
            _mm_extract_epi32::<3>(all),
        ]
    }

    /// The four planes of 32 bytes times the query's, in sums of eight products.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn multiply(bytes: __m256i, query: [__m256i; 4]) -> __m256i {
        let mask = _mm256_set1_epi8(3);
        let levels = [
            _mm256_and_si256(bytes, mask),
            _mm256_and_si256(_mm256_srli_epi16::<2>(bytes), mask),
            _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), mask),
            _mm256_and_si256(_mm256_srli_epi16::<6>(bytes), mask),
        ];
        let first = _mm256_add_epi16(
            _mm256_maddubs_epi16(levels[0], query[0]),
            _mm256_maddubs_epi16(levels[1], query[1]),
        );
        let second = _mm256_add_epi16(
            _mm256_maddubs_epi16(levels[2], query[2]),
            _mm256_maddubs_epi16(levels[3], query[3]),
        );
        _mm256_add_epi16(first, second)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(bytes: &[u8; 32]) -> __m256i {
        // SAFETY: the reference covers the 32 bytes read, and the load takes any alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load_i8(bytes: &[i8; 32]) -> __m256i {
        // SAFETY: the reference covers the 32 bytes read, and the load takes any alignment.
        unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The oracle: one dimension at a time, as the format says.
    fn naive(code: &[u8], width: usize, query: &[i8]) -> i32 {
        let mut sum = 0;
        for (i, &k) in query.iter().enumerate() {
            let level = code[i % width] >> (2 * (i / width)) & 3;
            sum += i32::from(level) * i32::from(k);
        }
        sum
    }

    fn scan(query: &[i8]) -> Scan {
        Scan {
            base: 0.9,
            radius: 0.8,
            alpha: 0.7,
            beta: 1e-5,
            ..Scan::of_levels(query, 0.01)
        }
    }

    proptest! {
        #[test]
        fn every_version_agrees_with_the_oracle(
            query in proptest::collection::vec(-127i8..=127, 1..1500),
            extreme in any::<bool>(),
            bytes in proptest::collection::vec(any::<u8>(), 1..8000),
        ) {
            let query: Vec<i8> = if extreme { vec![127; query.len()] } else { query };
            let scan = scan(&query);
            let bytes: Vec<u8> = if extreme { vec![0xff; bytes.len()] } else { bytes };
            let n = bytes.len() / scan.stride;
            let codes = &bytes[..n * scan.stride];
            let want: Vec<i32> = codes
                .chunks_exact(scan.stride)
                .map(|code| naive(code, scan.width, &query))
                .collect();
            let mut got = vec![-1; n];
            body::dots(&scan, codes, &mut got);
            prop_assert_eq!(&got, &want);
            #[cfg(target_arch = "x86_64")]
            if let Some(cpu) = x86::Avx2::detect() {
                got.fill(-1);
                cpu.dots(&scan, codes, &mut got);
                prop_assert_eq!(&got, &want);
            }
            // The figures here are random bits, NaN and infinities among them.
            let (mut fast, mut plain) = (vec![0.0; n], vec![0.0; n]);
            lower_bounds(&scan, codes, 5.0, &mut fast);
            body::lower_bounds(&scan, codes, 5.0, &mut plain, body::dots);
            let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            prop_assert_eq!(bits(&fast), bits(&plain));
            prop_assert!(fast.iter().all(|&x| x.is_finite() || x == f32::NEG_INFINITY));
        }
    }
}
