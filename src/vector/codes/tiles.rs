//! Many queries over the same codes on CPUs with AVX-512 VNNI: sixteen codes lie side by side, one a lane, and
//! eight queries pass over them together.
//!
//! A byte of a code holds four levels, which are spread to the four bytes of a lane; the query's four numbers
//! for them are the other operand, the same for all lanes. So one instruction adds 64 products, the sums of
//! sixteen codes need no adding up at the end, and what is spread once serves all queries. For one query alone
//! that would not pay: [`super::kernels`] is for that, and both find the same pairs.
//!
//! Most pairs are far from near. They are sorted out by a bound that is looser and cheaper than that of
//! [`Scan::bound`]: the largest `t` is `s + R` at most (see [`super::query`]), and `R` is the sum of two
//! products of a number of the code's and one of the query's.
#![allow(unsafe_code)]

use crate::vector::codes::coder::FIGURES;
use crate::vector::codes::kernels::{SLACK, Scan};
use crate::vector::codes::query::{Near, Query};
use std::arch::x86_64::*;

/// Codes side by side.
const LANES: usize = 16;
/// Queries together.
const TOGETHER: usize = 8;
/// What the cheap bound may lose by rounding, and more.
const ROUNDING: f32 = 1e-4;
/// The figures of a code are far below; others are damage.
const LARGEST_FIGURE: f32 = 1e9;

/// Proof that this CPU has what is needed: only [`Avx512Vnni::detect`] makes one.
#[derive(Clone, Copy)]
pub(super) struct Avx512Vnni(());

impl Avx512Vnni {
    pub fn detect() -> Option<Self> {
        let has = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vnni");
        has.then_some(Avx512Vnni(()))
    }
}

/// Queries as they meet the codes: `numbers[tile * width + j][t]` are the four int8 of query `8 tile + t` for
/// byte `j` of a code; 0 beyond the last query.
pub(super) struct Tiles {
    cpu: Avx512Vnni,
    numbers: Vec<[i32; TOGETHER]>,
    codes: SideBySide,
}

/// Sixteen codes, as they meet the queries.
#[derive(Default)]
struct SideBySide {
    /// The four levels of byte `j` of each code, a byte each.
    levels: Vec<[u32; LANES]>,
    offset: [f32; LANES],
    scale: [f32; LANES],
    sigma: [f32; LANES],
    /// As `sigma`, but where the figures cannot be true, so that such a code passes the cheap bound.
    spread: [f32; LANES],
    /// An upper bound of `|y|`.
    length: [f32; LANES],
}

impl Tiles {
    pub fn new(cpu: Avx512Vnni, queries: &[Query]) -> Self {
        let mut numbers = Vec::new();
        for together in queries.chunks(TOGETHER) {
            let width = together[0].0.width;
            let first = numbers.len();
            numbers.resize(first + width, [0; TOGETHER]);
            for (t, Query(scan)) in together.iter().enumerate() {
                for (j, four) in numbers[first..].iter_mut().enumerate() {
                    let of_byte = |plane: usize| scan.planes[j / 32][plane][j % 32] as u8;
                    four[t] = i32::from_le_bytes(std::array::from_fn(of_byte));
                }
            }
        }
        Tiles {
            cpu,
            numbers,
            codes: SideBySide::default(),
        }
    }

    /// Appends the pairs whose bound is `most` or less. `codes` are whole codes.
    pub fn near(
        &mut self,
        queries: &[Query],
        codes: &[u8],
        z: f32,
        most: f64,
        near: &mut Vec<Near>,
    ) {
        let Some(Query(any)) = queries.first() else {
            return;
        };
        let groups = codes.chunks(LANES * any.stride);
        for (group, codes) in groups.enumerate() {
            self.codes.spread(any, codes);
            let lanes = codes.len() / any.stride;
            let tiles = self.numbers.chunks_exact(any.width);
            for (tile, (numbers, scans)) in tiles.zip(queries.chunks(TOGETHER)).enumerate() {
                // SAFETY: `self.cpu` proves that the CPU has the instructions; the function is safe otherwise.
                let (masks, dots) = unsafe { pass(&self.codes, numbers, scans, z, most as f32) };
                let _ = self.cpu;
                for (t, Query(scan)) in scans.iter().enumerate() {
                    let mut mask = masks[t] & (u16::MAX >> (LANES - lanes));
                    while mask != 0 {
                        let lane = mask.trailing_zeros() as usize;
                        mask &= mask - 1;
                        if self.codes.bound(scan, lane, dots[t][lane], z) <= most {
                            near.push(Near {
                                code: (group * LANES + lane) as u32,
                                query: (tile * TOGETHER + t) as u32,
                            });
                        }
                    }
                }
            }
        }
    }
}

impl SideBySide {
    /// Takes up to sixteen codes.
    fn spread(&mut self, scan: &Scan, codes: &[u8]) {
        self.levels.resize(scan.width, [0; LANES]);
        for (lane, code) in codes.chunks_exact(scan.width + FIGURES).enumerate() {
            for (levels, &byte) in self.levels.iter_mut().zip(code) {
                let b = u32::from(byte);
                levels[lane] = b & 3 | (b & 0xc) << 6 | (b & 0x30) << 12 | (b & 0xc0) << 18;
            }
            let (figures, _) = code[scan.width..].as_chunks::<4>();
            let [offset, scale, sigma] = [0, 1, 2].map(|n| f32::from_le_bytes(figures[n]));
            let plausible = [offset, scale, sigma]
                .iter()
                .all(|figure| figure.abs() < LARGEST_FIGURE);
            self.offset[lane] = offset;
            self.scale[lane] = scale;
            self.sigma[lane] = sigma;
            self.spread[lane] = if plausible {
                sigma.abs()
            } else {
                f32::INFINITY
            };
            self.length[lane] = (scan.radius - 2.0 * offset).max(SLACK).sqrt();
        }
    }

    fn bound(&self, scan: &Scan, lane: usize, dot: i32, z: f32) -> f64 {
        let figures = [self.offset[lane], self.scale[lane], self.sigma[lane]];
        let bound = scan.bound(dot, figures, z * z);
        f64::from(if bound.is_finite() {
            bound
        } else {
            f32::NEG_INFINITY
        })
    }
}

/// For each query the codes that pass the cheap bound, a bit each, and all sums.
#[target_feature(enable = "avx512f,avx512vnni")]
fn pass(
    codes: &SideBySide,
    numbers: &[[i32; TOGETHER]],
    queries: &[Query],
    z: f32,
    most: f32,
) -> ([u16; TOGETHER], [[i32; LANES]; TOGETHER]) {
    let mut sums = [_mm512_setzero_si512(); TOGETHER];
    for (levels, four) in codes.levels.iter().zip(numbers) {
        let levels = load_u32(levels);
        for (sum, &numbers) in sums.iter_mut().zip(four) {
            *sum = _mm512_dpbusd_epi32(*sum, levels, _mm512_set1_epi32(numbers));
        }
    }
    let (mut masks, mut dots) = ([0; TOGETHER], [[0; LANES]; TOGETHER]);
    let (offset, scale) = (load_f32(&codes.offset), load_f32(&codes.scale));
    let (spread, length) = (load_f32(&codes.spread), load_f32(&codes.length));
    for (t, Query(scan)) in queries.iter().enumerate() {
        let doubled = _mm512_sub_epi32(
            _mm512_slli_epi32::<1>(sums[t]),
            _mm512_set1_epi32(scan.three_sums),
        );
        let steps = _mm512_mul_ps(_mm512_cvtepi32_ps(doubled), _mm512_set1_ps(scan.half_step));
        let estimate = _mm512_mul_ps(scale, steps);
        let of_code = _mm512_mul_ps(spread, _mm512_set1_ps(z * scan.alpha.sqrt()));
        let of_rounding = _mm512_mul_ps(length, _mm512_set1_ps(z * scan.beta.sqrt()));
        let reach = _mm512_add_ps(
            _mm512_add_ps(estimate, offset),
            _mm512_add_ps(of_code, of_rounding),
        );
        let wanted = _mm512_set1_ps(scan.base - most - ROUNDING);
        // Not less: what is no number passes.
        masks[t] = _mm512_cmp_ps_mask::<_CMP_NLT_UQ>(reach, wanted);
        if masks[t] != 0 {
            store(&mut dots[t], sums[t]);
        }
    }
    (masks, dots)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_u32(lanes: &[u32; LANES]) -> __m512i {
    // SAFETY: the reference covers the 64 bytes read, and the load takes any alignment.
    unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_f32(lanes: &[f32; LANES]) -> __m512 {
    // SAFETY: the reference covers the 64 bytes read, and the load takes any alignment.
    unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(lanes: &mut [i32; LANES], sums: __m512i) {
    // SAFETY: the reference covers the 64 bytes written, and the store takes any alignment.
    unsafe { _mm512_storeu_si512(lanes.as_mut_ptr().cast(), sums) }
}
