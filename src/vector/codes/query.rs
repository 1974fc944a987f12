//! A query over codes: what it keeps, and where its bounds come from.
//!
//! With the notation of [`super`] and `q' = P(q - c)`, a code gives the estimate
//! `s = scale · <v, q'>` of `t = <y, q'>`, and `1 - <c, q> - offset - t` is the distance. For the
//! scan `q'` is rounded to int8, `q' = step · k + e` with `|k[i]| <= 127`, so that
//! `<v, q'> ≈ step · (Σ u[i] k[i] - 3/2 Σ k[i])`, the first sum being all that a code costs.
//!
//! Two errors are in `s`, both in directions that the rotation makes random:
//! - of the code, orthogonal to `y`, so it only meets the part of `q'` orthogonal to `y`: standard
//!   error `sigma · sqrt(|q'|² - t²/|y|²)`. (The paper drops `t` here; kept, it makes the bounds of
//!   the near rows, the ones that matter, a good deal tighter.)
//! - of rounding, `<scale · v, e>`: standard error `|e| |scale · v| / sqrt(d)`, where
//!   `|scale · v|² = |y|² + (d - 1) sigma²`.
//!
//! So with `z` standard errors, `(t - s)² <= z² (alpha sigma² + beta |y|²) - a² t²`, where
//! `alpha = |q'|² + |e|² (d - 1)/d`, `beta = |e|²/d` and `a = z sigma / |y|`. It holds for `t` up to
//! the larger root of a quadratic,
//! `t = (s + sqrt(R² + a² (R² - s²))) / (1 + a²)` with `R² = z² (alpha sigma² + beta |y|²)`, and
//! that gives the lower bound of the distance. At `s = R/a` the root is `s` itself, the largest `t`
//! there is; beyond it the square root stays at its value there, so bounds only fall as estimates
//! rise. `|y|²` needs no place in a code: it is `1 - |c|² - 2 offset` (or less, for a zero
//! vector, and more is on the safe side).

use crate::error::{Error, Result};
use crate::vector::codes::coder::{Coder, FIGURES, dot, unit};
use crate::vector::codes::kernels::{self, SLACK, Scan};

/// Standard errors between an estimate and its bound, unless the caller wants others: a normal
/// distribution passes 5 of them on one side in 3 of 10 million cases.
pub const DEFAULT_Z: f32 = 5.0;

/// A query vector, ready for scans over the codes of one [`Coder`]; threads may share it.
#[derive(Clone, Debug)]
pub struct Query(pub(super) Scan);

/// A pair of a code and a query whose bound is small enough, by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Near {
    /// Which code.
    pub code: u32,
    /// Which query.
    pub query: u32,
}

impl Coder {
    /// Prepares a query, at unit length, for scans over codes of this coder.
    ///
    /// # Errors
    /// A vector of other dimensions, or with a NaN or infinity.
    pub fn query(&self, q: &[f32]) -> Result<Query> {
        Ok(Query::new(self, &unit(q, self.dims())?))
    }
}

impl Query {
    /// `q` is a unit vector, or zero, of the coder's dimensions.
    pub(super) fn new(coder: &Coder, q: &[f32]) -> Self {
        let dims = coder.dims();
        let centre = dot(coder.centroid(), q);
        let mut rotated = coder.minus_centroid(q);
        coder.rotation.apply(&mut rotated);
        let largest = rotated.iter().fold(0f32, |max, x| max.max(x.abs()));
        let step = largest / 127.0;
        // A step of 0 makes NaN (which becomes 0) and infinities of the quotients.
        let levels: Vec<i8> = rotated
            .iter()
            .map(|x| (x / step).round().clamp(-127.0, 127.0) as i8)
            .collect();
        let errors = rotated.iter().zip(&levels);
        let errors = errors.map(|(&x, &k)| f64::from(x) - f64::from(step) * f64::from(k));
        let squared_error: f64 = errors.map(|e| e * e).sum();

        let squared_centroid = dot(coder.centroid(), coder.centroid());
        let d = dims as f64;
        Query(Scan {
            base: (1.0 - centre) as f32,
            radius: (1.0 - squared_centroid) as f32 + SLACK,
            alpha: (dot(&rotated, &rotated) + squared_error * (d - 1.0) / d) as f32,
            beta: (squared_error / d) as f32,
            ..Scan::of_levels(&levels, step)
        })
    }

    /// Appends to `bounds` a lower bound of the cosine distance (1 - cosine, 0 to 2) of every code
    /// in `codes`, at `z` standard errors ([`DEFAULT_Z`]). Codes that are not what
    /// [`Coder::encode`] writes give a bound without meaning; where it is no finite number it is
    /// -infinity, which asks for rescoring.
    ///
    /// # Errors
    /// `codes` is no whole number of codes; nothing is appended.
    pub fn scan(&self, codes: &[u8], z: f32, bounds: &mut Vec<f32>) -> Result<()> {
        let out = self.room(codes, bounds)?;
        kernels::lower_bounds(&self.0, codes, z, out);
        Ok(())
    }

    /// Appends the estimated distances themselves; otherwise as [`Query::scan`]. For checks of an
    /// index: not made to be fast.
    ///
    /// # Errors
    /// As [`Query::scan`].
    pub fn estimate(&self, codes: &[u8], estimates: &mut Vec<f32>) -> Result<()> {
        let out = self.room(codes, estimates)?;
        kernels::estimates(&self.0, codes, out);
        Ok(())
    }

    fn room<'a>(&self, codes: &[u8], out: &'a mut Vec<f32>) -> Result<&'a mut [f32]> {
        self.check(codes)?;
        let before = out.len();
        out.resize(before + codes.len() / self.0.stride, 0.0);
        Ok(&mut out[before..])
    }

    /// # Errors
    /// `codes` is no whole number of codes.
    pub(super) fn check(&self, codes: &[u8]) -> Result<()> {
        if codes.len().is_multiple_of(self.0.stride) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{} bytes of codes, expected a multiple of {}",
            codes.len(),
            self.0.stride
        )))
    }
}

impl Scan {
    /// The integer part: int8 values of the query, one a dimension, and their step.
    pub(super) fn of_levels(levels: &[i8], step: f32) -> Self {
        let width = levels.len().div_ceil(4);
        let mut planes = vec![[[0; 32]; 4]; width.div_ceil(32)];
        for (i, &k) in levels.iter().enumerate() {
            let (plane, byte) = (i / width, i % width);
            planes[byte / 32][plane][byte % 32] = k;
        }
        Scan {
            width,
            stride: width + FIGURES,
            planes,
            three_sums: 3 * levels.iter().map(|&k| i32::from(k)).sum::<i32>(),
            half_step: step / 2.0,
            base: 0.0,
            radius: 0.0,
            alpha: 0.0,
            beta: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::codes::rotation::SplitMix64;

    /// Normal numbers, by Box and Muller.
    struct Normal(SplitMix64);

    impl Normal {
        fn next(&mut self) -> f64 {
            let mut uniform = || (self.0.next() >> 11) as f64 / (1u64 << 53) as f64;
            let (a, b) = (1.0 - uniform(), uniform());
            (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()
        }

        fn vector(&mut self, dims: usize) -> Vec<f64> {
            (0..dims).map(|_| self.next()).collect()
        }
    }

    /// Rows in clusters around a common direction, with a few dimensions that dominate, as in
    /// embeddings; then queries, each near a row at an angle of its own. Not at unit length.
    struct Data {
        coder: Coder,
        rows: Vec<Vec<f32>>,
        queries: Vec<Vec<f32>>,
        codes: Vec<u8>,
    }

    impl Data {
        fn new(dims: usize, rows: usize, queries: usize) -> Self {
            let mut normal = Normal(SplitMix64(dims as u64));
            let weights: Vec<f64> = normal.vector(dims).iter().map(|x| x.exp()).collect();
            let common = normal.vector(dims);
            let centres: Vec<_> = (0..50).map(|_| normal.vector(dims)).collect();
            let mix = |centre: &[f64], own: &[f64], spread: f64| -> Vec<f32> {
                let x = (0..dims).map(|i| (common[i] + centre[i] + spread * own[i]) * weights[i]);
                x.map(|x| x as f32).collect()
            };
            let rows: Vec<Vec<f32>> = (0..rows)
                .map(|i| mix(&centres[i % 50], &normal.vector(dims), 1.0))
                .collect();
            let queries = (0..queries)
                .map(|i| {
                    let spread = [0.0, 0.01, 0.2, 0.7, 2.0][i % 5];
                    let own = normal.vector(dims);
                    let near = rows[i * 37].iter().zip(&own).zip(&weights);
                    near.map(|((x, e), w)| (f64::from(*x) + spread * e * w) as f32)
                        .collect()
                })
                .collect();
            Data::code(dims, rows, queries)
        }

        /// Vectors that no model makes: a few whole numbers, or all of them ±1; copies among them.
        fn odd(dims: usize, rows: usize) -> Self {
            let mut random = SplitMix64(dims as u64);
            let rows: Vec<Vec<f32>> = (0..rows)
                .map(|i| {
                    let mut row = vec![0.0; dims];
                    for _ in 0..[1, 2, 5, 4 * dims][i % 4] {
                        let value =
                            [1.0, -1.0, 1.0, 2.0][random.next() as usize % (4 - i % 4 / 3 * 2)];
                        row[random.next() as usize % dims] = value;
                    }
                    row
                })
                .collect();
            let queries = rows.iter().step_by(97).cloned().collect();
            Data::code(dims, rows, queries)
        }

        fn code(dims: usize, rows: Vec<Vec<f32>>, queries: Vec<Vec<f32>>) -> Self {
            let sample = rows.iter().step_by(rows.len() / 64).map(|v| &v[..]);
            let coder = Coder::fit(sample, dims, 11).unwrap();
            let mut codes = vec![0; rows.len() * coder.code_bytes()];
            for (row, code) in rows.iter().zip(codes.chunks_exact_mut(coder.code_bytes())) {
                coder.encode(row, code).unwrap();
            }
            Data {
                coder,
                rows,
                queries,
                codes,
            }
        }

        fn distances(&self, q: &[f32]) -> Vec<f64> {
            let rows = self.rows.iter();
            rows.map(|x| 1.0 - dot(x, q) / (dot(x, x) * dot(q, q)).sqrt())
                .collect()
        }

        fn bounds(&self, q: &[f32], z: f32) -> Vec<f32> {
            let mut bounds = Vec::new();
            let query = self.coder.query(q).unwrap();
            query.scan(&self.codes, z, &mut bounds).unwrap();
            bounds
        }
    }

    fn kth(distances: &[f64], k: usize) -> f64 {
        let mut sorted = distances.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted[k - 1]
    }

    #[test]
    fn bounds_hold_estimates_are_unbiased_and_candidates_few() {
        for (dims, most) in [(3, 4_000.0), (32, 1_500.0), (100, 800.0), (384, 110.0)] {
            let data = Data::new(dims, 20_000, 20);
            let (mut violations, mut beyond_two, mut candidates) = (0, 0, 0);
            let (mut error, mut absolute) = (0.0, 0.0);
            for q in &data.queries {
                let want = data.distances(q);
                let nearest = kth(&want, 10);
                let bounds = data.bounds(q, DEFAULT_Z);
                let mut estimates = Vec::new();
                let query = data.coder.query(q).unwrap();
                query.estimate(&data.codes, &mut estimates).unwrap();
                for ((want, bound), estimate) in want.iter().zip(&bounds).zip(estimates) {
                    violations += usize::from(*want < f64::from(*bound));
                    candidates += usize::from(f64::from(*bound) <= nearest);
                    error += f64::from(estimate) - want;
                    absolute += (f64::from(estimate) - want).abs();
                }
                let two = data.bounds(q, 2.0);
                let pairs = want.iter().zip(two);
                beyond_two += pairs.filter(|(w, b)| **w < f64::from(*b)).count();
            }
            let pairs = (data.rows.len() * data.queries.len()) as f64;
            let candidates = candidates as f64 / data.queries.len() as f64;
            println!(
                "{dims} dims: {violations} of {pairs} below 5 sigma, {:.4} % below 2, \
                 bias {:.1e} of mean error {:.1e}, {candidates:.0} candidates of {}",
                100.0 * beyond_two as f64 / pairs,
                error / pairs,
                absolute / pairs,
                data.rows.len()
            );
            assert!((violations as f64) < 1e-4 * pairs, "{dims}: {violations}");
            assert!(beyond_two as f64 <= 0.04 * pairs, "{dims}: {beyond_two}");
            assert!(error.abs() < 0.1 * absolute, "{dims}: {error} {absolute}");
            assert!(candidates < most, "{dims}: {candidates}");
        }
    }

    #[test]
    fn bounds_hold_for_vectors_unlike_those_of_models() {
        for dims in [16, 33, 100, 384, 511, 768] {
            let data = Data::odd(dims, 4_000);
            let (mut violations, mut beyond_two) = (0, 0);
            for q in &data.queries {
                let want = data.distances(q);
                let below = |z| {
                    let bounds = data.bounds(q, z);
                    let pairs = want.iter().zip(bounds);
                    pairs.filter(|(w, b)| **w < f64::from(*b)).count()
                };
                violations += below(DEFAULT_Z);
                beyond_two += below(2.0);
            }
            let pairs = (data.rows.len() * data.queries.len()) as f64;
            let share = 100.0 * beyond_two as f64 / pairs;
            println!("{dims} dims: {violations} of {pairs} below 5 sigma, {share:.2} % below 2");
            assert!((violations as f64) < 1e-4 * pairs, "{dims}: {violations}");
            assert!(share <= 4.0, "{dims}: {share}");
        }
    }

    #[test]
    fn rescoring_in_the_order_of_bounds_finds_the_exact_top_ten() {
        for dims in [3, 32, 100, 384] {
            let data = Data::new(dims, 5_000, 20);
            for q in &data.queries {
                let distances = data.distances(q);
                let bounds = data.bounds(q, DEFAULT_Z);
                let mut order: Vec<usize> = (0..bounds.len()).collect();
                order.sort_by(|&a, &b| bounds[a].total_cmp(&bounds[b]));
                let mut best: Vec<f64> = Vec::new();
                for row in order {
                    if best.len() == 10 && f64::from(bounds[row]) > best[9] {
                        break;
                    }
                    best.push(distances[row]);
                    best.sort_by(f64::total_cmp);
                    best.truncate(10);
                }
                let mut want = distances;
                want.sort_by(f64::total_cmp);
                assert_eq!(best, want[..10]);
            }
        }
    }

    #[test]
    fn bounds_hold_for_copies_zeros_and_few_dimensions() {
        for dims in [1, 2, 3, 33, 384] {
            for centroid in [0.0, 0.03] {
                let coder = Coder::new(dims, vec![centroid; dims], 5).unwrap();
                let mut normal = Normal(SplitMix64(3));
                let mut vectors = vec![vec![0.0; dims], vec![1.0; dims], vec![-1.0; dims]];
                for i in 0..20 {
                    let mut axis = vec![0.0; dims];
                    axis[i * 19 % dims] = 1.0;
                    vectors.push(axis.clone());
                    axis[i * 31 % dims] -= 0.5;
                    vectors.push(axis);
                    let v = normal.vector(dims);
                    vectors.push(v.iter().map(|&x| x as f32).collect());
                    vectors.push(v.iter().map(|&x| (x * 1e-30) as f32).collect());
                }
                let mut codes = vec![0; vectors.len() * coder.code_bytes()];
                for (v, code) in vectors
                    .iter()
                    .zip(codes.chunks_exact_mut(coder.code_bytes()))
                {
                    coder.encode(v, code).unwrap();
                }
                for q in &vectors {
                    let mut bounds = Vec::new();
                    let query = coder.query(q).unwrap();
                    query.scan(&codes, DEFAULT_Z, &mut bounds).unwrap();
                    for (v, bound) in vectors.iter().zip(bounds) {
                        let scale = (dot(v, v) * dot(q, q)).sqrt();
                        let cosine = if scale == 0.0 { 0.0 } else { dot(v, q) / scale };
                        assert!(
                            f64::from(bound) <= 1.0 - cosine,
                            "{dims} {centroid}: {bound} {cosine} {:?} {:?}",
                            &v[..3.min(dims)],
                            &q[..3.min(dims)]
                        );
                        assert!(bound >= -2.5, "{dims}: {bound}");
                    }
                }
            }
        }
    }

    #[test]
    fn figures_that_are_no_numbers_ask_for_rescoring() {
        let coder = Coder::new(40, vec![0.01; 40], 5).unwrap();
        let query = coder.query(&[1.0; 40]).unwrap();
        let mut code = vec![0; coder.code_bytes()];
        coder.encode(&[0.5; 40], &mut code).unwrap();
        for figure in 0..3 {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut code = code.clone();
                code[10 + 4 * figure..][..4].copy_from_slice(&bad.to_le_bytes());
                let mut bounds = vec![7.0];
                query.scan(&code, DEFAULT_Z, &mut bounds).unwrap();
                assert_eq!(bounds, [7.0, f32::NEG_INFINITY], "{figure} {bad}");
            }
        }
        let mut bounds = Vec::new();
        query.scan(&code, f32::NAN, &mut bounds).unwrap();
        assert_eq!(bounds, [f32::NEG_INFINITY]);
        assert!(query.scan(&code[1..], 5.0, &mut bounds).is_err());
        query.scan(&[], 5.0, &mut bounds).unwrap();
        assert_eq!(bounds.len(), 1);
    }

    /// `cargo test --release --lib scan_speed -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn scan_speed() {
        for (dims, rows) in [
            (384, 200_000),
            (768, 200_000),
            (1024, 200_000),
            (100, 200_000),
        ] {
            let data = Data::new(dims, 2_000, 1);
            let codes = data.codes.repeat(rows / 2_000);
            let query = data.coder.query(&data.queries[0]).unwrap();
            let mut bounds = Vec::with_capacity(rows);
            let mut times: Vec<f64> = (0..31)
                .map(|_| {
                    bounds.clear();
                    let start = std::time::Instant::now();
                    query.scan(&codes, DEFAULT_Z, &mut bounds).unwrap();
                    start.elapsed().as_secs_f64()
                })
                .collect();
            times.sort_by(f64::total_cmp);
            let start = std::time::Instant::now();
            let mut code = vec![0; data.coder.code_bytes()];
            for row in &data.rows {
                data.coder.encode(row, &mut code).unwrap();
            }
            println!(
                "{dims} dims, {rows} codes: {:.2} ms (best {:.2}), {:.1} GB/s; encode {:.1} us",
                1e3 * times[15],
                1e3 * times[0],
                codes.len() as f64 / times[15] / 1e9,
                1e6 * start.elapsed().as_secs_f64() / data.rows.len() as f64
            );
        }
    }
}
