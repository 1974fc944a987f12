//! Sixteen lanes in one register: AVX-512 with VNNI (Ice Lake, Zen 4 and later), and its bfloat16.

#![allow(unsafe_code)]

use crate::engine::encoder::lanes::{Bf16Lanes, Kernel, LANES, Lanes};
use crate::engine::encoder::line::Line;
use std::arch::x86_64::*;

/// Proof that this CPU has AVX-512 (F, BW, DQ, VL, VNNI) and FMA.
#[derive(Clone, Copy, Debug)]
pub struct Avx512(());

/// Proof that this CPU has those, and AVX-512 BF16.
#[derive(Clone, Copy, Debug)]
pub struct Avx512Bf16(Avx512);

impl Avx512 {
    /// The proof, where it holds.
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("fma");
        has.then_some(Avx512(()))
    }
}

impl Avx512Bf16 {
    /// The proof, where it holds.
    pub fn detect() -> Option<Self> {
        let own = Avx512::detect()?;
        is_x86_feature_detected!("avx512bf16").then_some(Avx512Bf16(own))
    }
}

impl Lanes for Avx512 {
    type Floats = __m512;
    type Ints = __m512i;
    const WIDE: bool = true;
    const WEIGHTS: i8 = 127;

    #[inline]
    fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma")]
        fn inner<K: Kernel<Avx512>>(lanes: Avx512, kernel: K) -> K::Output {
            kernel.run(lanes)
        }
        // SAFETY: `self` proves that the CPU has these features.
        unsafe { inner(self, kernel) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_set1_ps(x) }
    }

    #[inline(always)]
    fn load(self, from: &[f32; LANES]) -> __m512 {
        // SAFETY: `self` proves AVX-512F; sixteen floats can be read there.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store(self, x: __m512, to: &mut [f32; LANES]) {
        // SAFETY: `self` proves AVX-512F; sixteen floats can be written there.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), x) }
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_add_ps(a, b) }
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_sub_ps(a, b) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_div_ps(a, b) }
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_max_ps(a, b) }
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_min_ps(a, b) }
    }

    #[inline(always)]
    fn round(self, x: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x) }
    }

    #[inline(always)]
    fn exp2(self, n: __m512) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe {
            let biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
            _mm512_castsi512_ps(_mm512_slli_epi32::<23>(biased))
        }
    }

    #[inline(always)]
    fn sum(self, x: __m512) -> f32 {
        // SAFETY: `self` proves AVX-512F and DQ, and with them AVX.
        unsafe {
            let x = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
            let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
            let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
            _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
        }
    }

    #[inline(always)]
    fn bytes(self, x: __m512, to: &mut [u8; LANES]) {
        // SAFETY: `self` proves AVX-512F; sixteen bytes can be written there.
        unsafe {
            let whole = _mm512_max_epi32(_mm512_cvtps_epi32(x), _mm512_setzero_si512());
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtusepi32_epi8(whole));
        }
    }

    #[inline(always)]
    fn transpose(self, r: &mut [__m512; LANES]) {
        // SAFETY: `self` proves AVX-512F.
        unsafe {
            let mut t = [_mm512_setzero_ps(); LANES];
            for i in 0..8 {
                t[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
                t[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
            }
            for i in 0..4 {
                for (half, (a, b)) in [(4 * i, 4 * i + 2), (4 * i + 1, 4 * i + 3)]
                    .iter()
                    .enumerate()
                {
                    let (a, b) = (_mm512_castps_pd(t[*a]), _mm512_castps_pd(t[*b]));
                    r[4 * i + 2 * half] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
                    r[4 * i + 2 * half + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
                }
            }
            for i in 0..4 {
                t[i] = _mm512_shuffle_f32x4::<0x88>(r[i], r[i + 4]);
                t[i + 4] = _mm512_shuffle_f32x4::<0xdd>(r[i], r[i + 4]);
                t[i + 8] = _mm512_shuffle_f32x4::<0x88>(r[i + 8], r[i + 12]);
                t[i + 12] = _mm512_shuffle_f32x4::<0xdd>(r[i + 8], r[i + 12]);
            }
            for i in 0..4 {
                r[i] = _mm512_shuffle_f32x4::<0x88>(t[i], t[i + 8]);
                r[i + 8] = _mm512_shuffle_f32x4::<0xdd>(t[i], t[i + 8]);
                r[i + 4] = _mm512_shuffle_f32x4::<0x88>(t[i + 4], t[i + 12]);
                r[i + 12] = _mm512_shuffle_f32x4::<0xdd>(t[i + 4], t[i + 12]);
            }
        }
    }

    #[inline(always)]
    fn prefetch(self, line: *const Line) {
        // SAFETY: every x86-64 CPU has the instruction, which reads nothing that a program sees.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }

    #[inline(always)]
    fn zero(self) -> __m512i {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    fn dot4(self, sum: __m512i, word: u32, line: &Line) -> __m512i {
        // SAFETY: `self` proves AVX-512 VNNI; a line is 64 bytes at a multiple of 64.
        unsafe {
            let line = _mm512_load_si512(line.0.as_ptr().cast());
            _mm512_dpbusd_epi32(sum, _mm512_set1_epi32(word.cast_signed()), line)
        }
    }

    #[inline(always)]
    fn floats(self, x: __m512i) -> __m512 {
        // SAFETY: `self` proves AVX-512F.
        unsafe { _mm512_cvtepi32_ps(x) }
    }
}

/// All as [`Avx512`]; the kernels run with bfloat16 enabled.
macro_rules! as_avx512 {
    ($(fn $name:ident($($arg:ident: $kind:ty),*) $(-> $out:ty)?;)*) => {
        $(#[inline(always)]
        fn $name(self, $($arg: $kind),*) $(-> $out)? {
            self.0.$name($($arg),*)
        })*
    };
}

impl Lanes for Avx512Bf16 {
    type Floats = __m512;
    type Ints = __m512i;
    const WIDE: bool = Avx512::WIDE;
    const WEIGHTS: i8 = Avx512::WEIGHTS;

    #[inline]
    fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16,fma")]
        fn inner<K: Kernel<Avx512Bf16>>(lanes: Avx512Bf16, kernel: K) -> K::Output {
            kernel.run(lanes)
        }
        // SAFETY: `self` proves that the CPU has these features.
        unsafe { inner(self, kernel) }
    }

    as_avx512! {
        fn splat(x: f32) -> __m512;
        fn load(from: &[f32; LANES]) -> __m512;
        fn store(x: __m512, to: &mut [f32; LANES]);
        fn add(a: __m512, b: __m512) -> __m512;
        fn sub(a: __m512, b: __m512) -> __m512;
        fn mul(a: __m512, b: __m512) -> __m512;
        fn div(a: __m512, b: __m512) -> __m512;
        fn fma(a: __m512, b: __m512, c: __m512) -> __m512;
        fn max(a: __m512, b: __m512) -> __m512;
        fn min(a: __m512, b: __m512) -> __m512;
        fn round(x: __m512) -> __m512;
        fn exp2(n: __m512) -> __m512;
        fn sum(x: __m512) -> f32;
        fn bytes(x: __m512, to: &mut [u8; LANES]);
        fn transpose(rows: &mut [__m512; LANES]);
        fn prefetch(line: *const Line);
        fn zero() -> __m512i;
        fn dot4(sum: __m512i, word: u32, line: &Line) -> __m512i;
        fn floats(x: __m512i) -> __m512;
    }
}

impl Bf16Lanes for Avx512Bf16 {
    #[inline(always)]
    fn dot2(self, sum: __m512, word: u32, line: &Line) -> __m512 {
        // SAFETY: `self` proves AVX-512 BF16; a line is 64 bytes at a multiple of 64. The registers of
        // integers and of bfloat16 have the same bits.
        unsafe {
            let line: __m512bh = std::mem::transmute(_mm512_load_si512(line.0.as_ptr().cast()));
            let word: __m512bh = std::mem::transmute(_mm512_set1_epi32(word.cast_signed()));
            _mm512_dpbf16_ps(sum, word, line)
        }
    }

    #[inline(always)]
    fn halves(self, first: __m512, second: __m512, to: &mut [u32; LANES]) {
        // SAFETY: `self` proves AVX-512 BF16; 64 bytes can be written there. The registers of integers
        // and of bfloat16 have the same bits.
        unsafe {
            let halves: __m512i = std::mem::transmute(_mm512_cvtne2ps_pbh(second, first));
            _mm512_storeu_si512(to.as_mut_ptr().cast(), halves);
        }
    }
}
