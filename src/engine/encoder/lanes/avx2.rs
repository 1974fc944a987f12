//! Sixteen lanes in two registers: AVX2 with FMA (Haswell, Zen and later), with or without the products
//! of bytes of AVX-VNNI.

#![allow(unsafe_code)]

use crate::engine::encoder::lanes::{Kernel, LANES, Lanes};
use crate::engine::encoder::line::Line;
use std::arch::x86_64::*;

/// Proof that this CPU has AVX2 and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx2(());

/// Proof that this CPU has those, and AVX-VNNI.
#[derive(Clone, Copy, Debug)]
pub struct AvxVnni(Avx2);

impl Avx2 {
    /// The proof, where it holds.
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        has.then_some(Avx2(()))
    }
}

impl AvxVnni {
    /// The proof, where it holds.
    pub fn detect() -> Option<Self> {
        let own = Avx2::detect()?;
        is_x86_feature_detected!("avxvnni").then_some(AvxVnni(own))
    }
}

/// A method of two registers by one of each half.
macro_rules! by_halves {
    ($(fn $name:ident($($arg:ident),*) = $intrinsic:path;)*) => {
        $(#[inline(always)]
        fn $name(self, $($arg: [__m256; 2]),*) -> [__m256; 2] {
            // SAFETY: `self` proves AVX2 and FMA.
            unsafe { [$intrinsic($($arg[0]),*), $intrinsic($($arg[1]),*)] }
        })*
    };
}

impl Lanes for Avx2 {
    type Floats = [__m256; 2];
    type Ints = [__m256i; 2];
    const WIDE: bool = false;
    // Two products are added in 16 bits: 2 x 255 x 64 fits.
    const WEIGHTS: i8 = 64;

    #[inline]
    fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma")]
        fn inner<K: Kernel<Avx2>>(lanes: Avx2, kernel: K) -> K::Output {
            kernel.run(lanes)
        }
        // SAFETY: `self` proves that the CPU has these features.
        unsafe { inner(self, kernel) }
    }

    by_halves! {
        fn add(a, b) = _mm256_add_ps;
        fn sub(a, b) = _mm256_sub_ps;
        fn mul(a, b) = _mm256_mul_ps;
        fn div(a, b) = _mm256_div_ps;
        fn fma(a, b, c) = _mm256_fmadd_ps;
        fn max(a, b) = _mm256_max_ps;
        fn min(a, b) = _mm256_min_ps;
        fn round(x) = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>;
    }

    #[inline(always)]
    fn splat(self, x: f32) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_set1_ps(x); 2] }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2; sixteen floats can be read there.
        unsafe {
            [
                _mm256_loadu_ps(from.as_ptr()),
                _mm256_loadu_ps(from.as_ptr().add(8)),
            ]
        }
    }

    #[inline(always)]
    fn store(self, x: [__m256; 2], to: &mut [f32; LANES]) {
        // SAFETY: `self` proves AVX2; sixteen floats can be written there.
        unsafe {
            _mm256_storeu_ps(to.as_mut_ptr(), x[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), x[1]);
        }
    }

    #[inline(always)]
    fn exp2(self, n: [__m256; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let bias = _mm256_set1_epi32(127);
            let low = _mm256_add_epi32(_mm256_cvtps_epi32(n[0]), bias);
            let high = _mm256_add_epi32(_mm256_cvtps_epi32(n[1]), bias);
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(high)),
            ]
        }
    }

    #[inline(always)]
    fn sum(self, x: [__m256; 2]) -> f32 {
        // SAFETY: `self` proves AVX2.
        unsafe {
            let x = _mm256_add_ps(x[0], x[1]);
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
        }
    }

    #[inline(always)]
    fn bytes(self, x: [__m256; 2], to: &mut [u8; LANES]) {
        // SAFETY: `self` proves AVX2; sixteen bytes can be written there.
        unsafe {
            let (low, high) = (_mm256_cvtps_epi32(x[0]), _mm256_cvtps_epi32(x[1]));
            // Packing works in halves of a register: the second step puts them in order.
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(low, high));
            let (low, high) = (
                _mm256_castsi256_si128(words),
                _mm256_extracti128_si256::<1>(words),
            );
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm_packus_epi16(low, high));
        }
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [[__m256; 2]; LANES]) {
        let mut from = [[0f32; LANES]; LANES];
        for (row, to) in rows.iter().zip(&mut from) {
            self.store(*row, to);
        }
        let mut column = [0f32; LANES];
        for (i, row) in rows.iter_mut().enumerate() {
            for (to, from) in column.iter_mut().zip(&from) {
                *to = from[i];
            }
            *row = self.load(&column);
        }
    }

    #[inline(always)]
    fn prefetch(self, line: *const Line) {
        // SAFETY: every x86-64 CPU has the instruction, which reads nothing that a program sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }

    #[inline(always)]
    fn zero(self) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_setzero_si256(); 2] }
    }

    #[inline(always)]
    fn dot4(self, sum: [__m256i; 2], word: u32, line: &Line) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX2; a line is 64 bytes at a multiple of 64.
        unsafe {
            let word = _mm256_set1_epi32(word.cast_signed());
            let ones = _mm256_set1_epi16(1);
            let (first, second) = (line.0.as_ptr(), line.0.as_ptr().add(32));
            let low = _mm256_maddubs_epi16(word, _mm256_load_si256(first.cast()));
            let high = _mm256_maddubs_epi16(word, _mm256_load_si256(second.cast()));
            [
                _mm256_add_epi32(sum[0], _mm256_madd_epi16(low, ones)),
                _mm256_add_epi32(sum[1], _mm256_madd_epi16(high, ones)),
            ]
        }
    }

    #[inline(always)]
    fn floats(self, x: [__m256i; 2]) -> [__m256; 2] {
        // SAFETY: `self` proves AVX2.
        unsafe { [_mm256_cvtepi32_ps(x[0]), _mm256_cvtepi32_ps(x[1])] }
    }
}

/// All as [`Avx2`] but the products of bytes.
macro_rules! as_avx2 {
    ($(fn $name:ident($($arg:ident: $kind:ty),*) $(-> $out:ty)?;)*) => {
        $(#[inline(always)]
        fn $name(self, $($arg: $kind),*) $(-> $out)? {
            self.0.$name($($arg),*)
        })*
    };
}

type Pair = [__m256; 2];

impl Lanes for AvxVnni {
    type Floats = Pair;
    type Ints = [__m256i; 2];
    const WIDE: bool = false;
    const WEIGHTS: i8 = 127;

    #[inline]
    fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,avxvnni")]
        fn inner<K: Kernel<AvxVnni>>(lanes: AvxVnni, kernel: K) -> K::Output {
            kernel.run(lanes)
        }
        // SAFETY: `self` proves that the CPU has these features.
        unsafe { inner(self, kernel) }
    }

    as_avx2! {
        fn splat(x: f32) -> Pair;
        fn load(from: &[f32; LANES]) -> Pair;
        fn store(x: Pair, to: &mut [f32; LANES]);
        fn add(a: Pair, b: Pair) -> Pair;
        fn sub(a: Pair, b: Pair) -> Pair;
        fn mul(a: Pair, b: Pair) -> Pair;
        fn div(a: Pair, b: Pair) -> Pair;
        fn fma(a: Pair, b: Pair, c: Pair) -> Pair;
        fn max(a: Pair, b: Pair) -> Pair;
        fn min(a: Pair, b: Pair) -> Pair;
        fn round(x: Pair) -> Pair;
        fn exp2(n: Pair) -> Pair;
        fn sum(x: Pair) -> f32;
        fn bytes(x: Pair, to: &mut [u8; LANES]);
        fn transpose(rows: &mut [Pair; LANES]);
        fn prefetch(line: *const Line);
        fn zero() -> [__m256i; 2];
        fn floats(x: [__m256i; 2]) -> Pair;
    }

    #[inline(always)]
    fn dot4(self, sum: [__m256i; 2], word: u32, line: &Line) -> [__m256i; 2] {
        // SAFETY: `self` proves AVX-VNNI; a line is 64 bytes at a multiple of 64.
        unsafe {
            let word = _mm256_set1_epi32(word.cast_signed());
            let (first, second) = (line.0.as_ptr(), line.0.as_ptr().add(32));
            [
                _mm256_dpbusd_avx_epi32(sum[0], word, _mm256_load_si256(first.cast())),
                _mm256_dpbusd_avx_epi32(sum[1], word, _mm256_load_si256(second.cast())),
            ]
        }
    }
}
