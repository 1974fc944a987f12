//! The codes of [`LANES`] vectors side by side, to the bit those of [`Coder::encode`].
//!
//! The sums of the format are in f64 and in order, and the levels need the magnitudes sorted: done for one
//! vector, each addition waits for the one before it, and each comparison of the sort is a guess. Here element
//! `i` of all vectors is one row of lanes, so that the same steps, in the same order, are vector instructions.
//! The sort is Batcher's merge exchange (Knuth, TAOCP 3, 5.2.2, algorithm M): which elements it compares
//! depends on their number alone.
//!
//! Everything is inlined into what [`super::kernels`] compiles for several kinds of CPU. Loops over lanes are
//! plain loops over arrays of a length that the compiler knows.

use crate::vector::codes::coder::Coder;

/// Vectors side by side.
pub(super) const LANES: usize = 8;

/// One element of each vector.
type Row = [f32; LANES];
/// One number of each vector.
type Wide = [f64; LANES];

/// What the block needs besides its input, kept from one block to the next.
#[derive(Default)]
pub(super) struct Scratch {
    /// The vectors, element by element; then what is coded of them.
    elements: Vec<Row>,
    /// Their magnitudes, sorted.
    sorted: Vec<Row>,
}

/// The levels of each vector: as `Grid` for one.
struct Grids {
    threshold: Wide,
    scale: Wide,
    squared_error: Wide,
}

/// Codes `LANES` vectors, one after the other in `vectors`, into `out`, likewise. False where one of them has
/// an element that is not finite; `out` then means nothing.
#[inline(always)]
pub(super) fn encode(
    coder: &Coder,
    vectors: &[f32],
    scratch: &mut Scratch,
    out: &mut [u8],
) -> bool {
    let dims = coder.dims();
    let y = &mut scratch.elements;
    y.clear();
    y.resize(dims, [0.0; LANES]);
    for (lane, vector) in vectors.chunks_exact(dims).enumerate() {
        for (row, &x) in y.iter_mut().zip(vector) {
            row[lane] = x;
        }
    }
    let Some(norms) = norms(y) else {
        return false;
    };
    let offset = centre(y, &coder.centroid, &norms);
    coder.rotation.rotate_rows(y);
    let sorted = &mut scratch.sorted;
    sorted.clear();
    sorted.extend_from_slice(y);
    for row in sorted.iter_mut() {
        for x in row {
            *x = x.abs();
        }
    }
    sort(sorted);
    let grids = grids(sorted);
    write_levels(y, &grids, coder, out);
    write_figures(&offset, &grids, coder, out);
    true
}

/// What the vectors are divided by: their lengths, 1 for zero; `None` where one is not finite.
#[inline(always)]
fn norms(y: &[Row]) -> Option<Wide> {
    let mut norms = [0.0; LANES];
    for row in y {
        for (sum, &x) in norms.iter_mut().zip(row) {
            *sum += f64::from(x) * f64::from(x);
        }
    }
    let mut finite = true;
    for norm in &mut norms {
        finite &= norm.is_finite();
        *norm = if *norm == 0.0 { 1.0 } else { norm.sqrt() };
    }
    finite.then_some(norms)
}

/// Makes unit vectors less the centroid; their offsets.
#[inline(always)]
fn centre(y: &mut [Row], centroid: &[f32], norms: &Wide) -> Wide {
    // Where a sum of none starts: -0.0, of which one can be left where all products are 0.
    let mut offset = [-0.0; LANES];
    for (row, &c) in y.iter_mut().zip(centroid) {
        for lane in 0..LANES {
            let unit = (f64::from(row[lane]) / norms[lane]) as f32;
            row[lane] = unit - c;
            offset[lane] += f64::from(row[lane]) * f64::from(c);
        }
    }
    offset
}

/// Sorts the elements of each lane, the largest first.
#[inline(always)]
fn sort(rows: &mut [Row]) {
    let n = rows.len();
    let highest = n.next_power_of_two() / 2;
    let mut p = highest;
    while p > 0 {
        let (mut q, mut r, mut distance) = (highest, 0, p);
        loop {
            exchange(rows, p, r, distance);
            if q == p {
                break;
            }
            distance = q - p;
            q /= 2;
            r = p;
        }
        p /= 2;
    }
}

/// Puts `i` and `i + distance` in order for every `i` with `i & p == r`. These come in runs of `p`, and
/// `distance` is `p` or more.
#[inline(always)]
fn exchange(rows: &mut [Row], p: usize, r: usize, distance: usize) {
    let ends = rows.len().saturating_sub(distance);
    let mut start = r;
    while start < ends {
        let (low, high) = rows.split_at_mut(start + distance);
        for (a, b) in low[start..].iter_mut().zip(high).take(p) {
            let (x, y) = (*a, *b);
            for lane in 0..LANES {
                a[lane] = if x[lane] > y[lane] { x[lane] } else { y[lane] };
                b[lane] = if x[lane] > y[lane] { y[lane] } else { x[lane] };
            }
        }
        start += 2 * p;
    }
}

/// The best levels of each vector, from its sorted magnitudes: as `Grid::fit`.
#[inline(always)]
fn grids(sorted: &[Row]) -> Grids {
    let (mut total, mut squares) = ([0.0; LANES], [0.0; LANES]);
    for row in sorted {
        for lane in 0..LANES {
            let m = f64::from(row[lane]);
            total[lane] += m;
            squares[lane] += m * m;
        }
    }
    let mut product = [0.0; LANES];
    for lane in 0..LANES {
        product[lane] = total[lane] / 2.0;
    }
    let mut length = sorted.len() as f64 / 4.0;
    let (mut best_product, mut best_length) = (product, [length; LANES]);
    let mut threshold = [f64::INFINITY; LANES];
    for (k, row) in sorted.iter().enumerate() {
        // Behind the last one is a magnitude that none has.
        let next = sorted.get(k + 1).unwrap_or(&[-1.0; LANES]);
        length += 2.0;
        for lane in 0..LANES {
            let m = f64::from(row[lane]);
            product[lane] += m;
            let ours = product[lane] * product[lane] * best_length[lane];
            let theirs = best_product[lane] * best_product[lane] * length;
            let better = (f64::from(next[lane]) != m) & (ours > theirs);
            best_product[lane] = if better {
                product[lane]
            } else {
                best_product[lane]
            };
            best_length[lane] = if better { length } else { best_length[lane] };
            threshold[lane] = if better { m } else { threshold[lane] };
        }
    }
    let (mut scale, mut squared_error) = ([0.0; LANES], [0.0; LANES]);
    for lane in 0..LANES {
        if best_product[lane] != 0.0 {
            let of_lane = squares[lane] / best_product[lane];
            let error = of_lane * of_lane * best_length[lane] - squares[lane];
            scale[lane] = of_lane;
            squared_error[lane] = error.max(0.0);
        }
    }
    Grids {
        threshold,
        scale,
        squared_error,
    }
}

#[inline(always)]
fn write_levels(y: &[Row], grids: &Grids, coder: &Coder, out: &mut [u8]) {
    let width = coder.width();
    let mut threshold = [0.0; LANES];
    for (threshold, exact) in threshold.iter_mut().zip(&grids.threshold) {
        // It is a magnitude, or infinite.
        *threshold = *exact as f32;
    }
    for byte in 0..width {
        let mut levels = [0u32; LANES];
        for plane in 0..4 {
            let Some(row) = y.get(plane * width + byte) else {
                break;
            };
            for lane in 0..LANES {
                let far = u32::from(row[lane].abs() >= threshold[lane]);
                let negative = u32::from(row[lane] < 0.0);
                levels[lane] |= ((2 + far) ^ (3 * negative)) << (2 * plane);
            }
        }
        for (code, level) in out.chunks_exact_mut(coder.code_bytes()).zip(levels) {
            code[byte] = level as u8;
        }
    }
}

#[inline(always)]
fn write_figures(offset: &Wide, grids: &Grids, coder: &Coder, out: &mut [u8]) {
    let codes = out.chunks_exact_mut(coder.code_bytes());
    for (lane, code) in codes.enumerate() {
        let figures = [
            offset[lane],
            grids.scale[lane],
            coder.sigma(grids.squared_error[lane]),
        ];
        code[coder.width()..]
            .copy_from_slice(figures.map(|x| (x as f32).to_le_bytes()).as_flattened());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::codes::rotation::SplitMix64;
    use proptest::prelude::*;

    /// Vectors of many kinds: no two alike, few different values, zeros, tiny and huge ones.
    fn vector(dims: usize, kind: u64, random: &mut SplitMix64) -> Vec<f32> {
        let mut next = || (random.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        match kind % 6 {
            0 => vec![0.0; dims],
            1 => (0..dims).map(|_| next().signum()).collect(),
            2 => (0..dims).map(|_| (3.0 * next()).round()).collect(),
            3 => (0..dims).map(|_| next() * 1e-38).collect(),
            4 => (0..dims).map(|_| next() * 3e38).collect(),
            _ => (0..dims).map(|_| next().powi(9)).collect(),
        }
    }

    proptest! {
        #[test]
        fn a_block_has_the_bits_of_single_codes(
            dims in prop_oneof![1usize..70, Just(384), Just(511), Just(512), Just(1024)],
            kinds in proptest::collection::vec(any::<u64>(), 0..20),
            around in prop_oneof![Just(0.0f32), Just(0.9)],
            seed in any::<u64>(),
        ) {
            let mut random = SplitMix64(seed);
            let rows: Vec<Vec<f32>> = kinds.iter().map(|&k| vector(dims, k, &mut random)).collect();
            let centroid = vec![around / (dims as f32).sqrt(); dims];
            let coder = Coder::new(dims, centroid, seed).unwrap();
            let size = coder.code_bytes();
            let mut want = vec![0; rows.len() * size];
            for (row, code) in rows.iter().zip(want.chunks_exact_mut(size)) {
                coder.encode(row, code).unwrap();
            }
            let mut got = vec![0xff; want.len()];
            coder.encode_all(&rows.concat(), &mut got).unwrap();
            prop_assert_eq!(&got, &want);
            if rows.len() >= LANES {
                // The body that other CPUs run.
                let (vectors, mut scratch) = (rows[..LANES].concat(), Scratch::default());
                let mut plain = vec![0xff; LANES * size];
                prop_assert!(encode(&coder, &vectors, &mut scratch, &mut plain));
                prop_assert_eq!(&plain, &want[..LANES * size]);
            }
        }
    }

    #[test]
    fn a_vector_that_is_not_finite_is_named() {
        let coder = Coder::new(5, vec![0.0; 5], 1).unwrap();
        let mut codes = vec![0; LANES * coder.code_bytes()];
        let good = vec![1.0; LANES * 5];
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut vectors = good.clone();
            vectors[13] = bad;
            assert!(!encode(
                &coder,
                &vectors,
                &mut Scratch::default(),
                &mut codes
            ));
            let error = coder.encode_all(&vectors, &mut codes).unwrap_err();
            assert!(error.message().contains("element 3 "), "{error}");
        }
        coder.encode_all(&good, &mut codes).unwrap();
        assert!(coder.encode_all(&good[1..], &mut codes).is_err());
        assert!(coder.encode_all(&good, &mut codes[1..]).is_err());
    }

    /// `cargo test --release --lib coding_speed -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn coding_speed() {
        for dims in [384, 768, 1024] {
            let mut random = SplitMix64(1);
            let vectors: Vec<f32> = (0..1024)
                .flat_map(|_| vector(dims, 5, &mut random))
                .collect();
            let coder = Coder::fit(vectors.chunks_exact(dims), dims, 1).unwrap();
            let mut codes = vec![0; 1024 * coder.code_bytes()];
            let mut best = [f64::INFINITY; 2];
            for _ in 0..20 {
                let start = std::time::Instant::now();
                coder.encode_all(&vectors, &mut codes).unwrap();
                best[0] = best[0].min(start.elapsed().as_secs_f64() / 1024.0);
                let start = std::time::Instant::now();
                for (vector, code) in vectors
                    .chunks(dims)
                    .zip(codes.chunks_mut(coder.code_bytes()))
                {
                    coder.encode(vector, code).unwrap();
                }
                best[1] = best[1].min(start.elapsed().as_secs_f64() / 1024.0);
            }
            println!(
                "{dims} dims: {:.2} us a vector in blocks, {:.2} alone",
                best[0] * 1e6,
                best[1] * 1e6
            );
        }
    }
}
