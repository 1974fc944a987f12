//! The rotation in front of the codes: random signs and fast Hadamard transforms, three rounds.
//!
//! It spreads every vector evenly over the dimensions, which is what the bounds in [`super`] rest
//! on, in `d log d` additions. For dimensions that are no power of two a round transforms the first
//! and then the last `2^k` of them and mixes the two halves, as `FhtKacRotator` of RaBitQ's library
//! does, so nothing is padded. **Part of the file format**: codes made with one rotation mean
//! nothing to another. Everything is f32 additions, subtractions and products in a fixed order, so
//! every CPU gives the same bits.

/// Rounds of transforms. Two would do for vectors that are not made to defeat it.
const ROUNDS: usize = 3;

/// The generator `splitmix64` (Steele, Lea and Flood, 2014), as in Java's `SplittableRandom`.
pub(super) struct SplitMix64(pub u64);

impl SplitMix64 {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// An orthonormal map of `dims` dimensions, fixed by a seed.
#[derive(Clone, Debug)]
pub(super) struct Rotation {
    dims: usize,
    /// The largest power of two in `dims`.
    power: usize,
    /// ±1 for each transform and dimension.
    signs: Vec<f32>,
}

impl Rotation {
    /// Sign `i` of transform `t` is bit `(t * dims + i) % 64`, from the lowest, of output
    /// `(t * dims + i) / 64` of splitmix64; a set bit means -1. A round has one transform where
    /// `dims` is a power of two, else two.
    pub(super) fn new(dims: usize, seed: u64) -> Self {
        let power = 1 << dims.ilog2();
        let transforms = if power == dims { ROUNDS } else { 2 * ROUNDS };
        let mut generator = SplitMix64(seed);
        let mut bits = 0;
        let signs = (0..transforms * dims)
            .map(|i| {
                if i % 64 == 0 {
                    bits = generator.next();
                }
                if bits >> (i % 64) & 1 == 1 { -1.0 } else { 1.0 }
            })
            .collect();
        Rotation { dims, power, signs }
    }

    /// What [`Rotation::apply`] compiles for several kinds of CPU; the bits are the same on all.
    #[inline(always)]
    pub(super) fn rotate(&self, v: &mut [f32]) {
        let rest = self.dims - self.power;
        for (t, signs) in self.signs.chunks_exact(self.dims).enumerate() {
            for (x, sign) in v.iter_mut().zip(signs) {
                *x *= sign;
            }
            match t % 2 {
                _ if rest == 0 => hadamard(v),
                0 => hadamard(&mut v[..self.power]),
                _ => {
                    hadamard(&mut v[rest..]);
                    mix_halves(v);
                }
            }
        }
    }
}

impl Rotation {
    /// Rotates several vectors side by side: `rows[i]` has element `i` of each. The bits are those of
    /// [`Rotation::apply`].
    #[inline(always)]
    pub(super) fn rotate_rows<const LANES: usize>(&self, rows: &mut [[f32; LANES]]) {
        let rest = self.dims - self.power;
        for (t, signs) in self.signs.chunks_exact(self.dims).enumerate() {
            for (row, &sign) in rows.iter_mut().zip(signs) {
                scale_row(row, sign);
            }
            match t % 2 {
                _ if rest == 0 => hadamard_rows(rows),
                0 => hadamard_rows(&mut rows[..self.power]),
                _ => {
                    hadamard_rows(&mut rows[rest..]);
                    mix_halves_of_rows(rows);
                }
            }
        }
    }
}

#[inline(always)]
fn scale_row<const LANES: usize>(row: &mut [f32; LANES], factor: f32) {
    for x in row {
        *x *= factor;
    }
}

/// [`hadamard`], two steps at a time, so that rows are read and written half as often.
#[inline(always)]
fn hadamard_rows<const LANES: usize>(rows: &mut [[f32; LANES]]) {
    let mut half = 1;
    while 2 * half < rows.len() {
        for four in rows.chunks_exact_mut(4 * half) {
            let (low, high) = four.split_at_mut(2 * half);
            let ((a, b), (c, d)) = (low.split_at_mut(half), high.split_at_mut(half));
            for (((a, b), c), d) in a.iter_mut().zip(b).zip(c).zip(d) {
                for i in 0..LANES {
                    let (first, second) = ((a[i] + b[i], a[i] - b[i]), (c[i] + d[i], c[i] - d[i]));
                    (a[i], c[i]) = (first.0 + second.0, first.0 - second.0);
                    (b[i], d[i]) = (first.1 + second.1, first.1 - second.1);
                }
            }
        }
        half *= 4;
    }
    if half < rows.len() {
        let (low, high) = rows.split_at_mut(half);
        butterfly_of_rows(low, high);
    }
    let scale = (1.0 / (rows.len() as f64).sqrt()) as f32;
    for row in rows {
        scale_row(row, scale);
    }
}

/// [`mix_halves`].
#[inline(always)]
fn mix_halves_of_rows<const LANES: usize>(rows: &mut [[f32; LANES]]) {
    let half = rows.len() / 2;
    let (low, high) = rows.split_at_mut(rows.len() - half);
    let low = &mut low[..half];
    butterfly_of_rows(low, high);
    let scale = 0.5f64.sqrt() as f32;
    for row in low.iter_mut().chain(high) {
        scale_row(row, scale);
    }
}

#[inline(always)]
fn butterfly_of_rows<const LANES: usize>(a: &mut [[f32; LANES]], b: &mut [[f32; LANES]]) {
    for (a, b) in a.iter_mut().zip(b) {
        for i in 0..LANES {
            (a[i], b[i]) = (a[i] + b[i], a[i] - b[i]);
        }
    }
}

/// A turn by 45 degrees of each element and its partner half the dimensions on; the middle of an
/// odd number has none. Where the two transforms of a round share few dimensions (1 of 511), it is
/// this that mixes the halves.
#[inline(always)]
fn mix_halves(v: &mut [f32]) {
    let half = v.len() / 2;
    let (low, high) = v.split_at_mut(v.len() - half);
    let low = &mut low[..half];
    butterfly(low, high);
    let scale = 0.5f64.sqrt() as f32;
    for x in low.iter_mut().chain(high) {
        *x *= scale;
    }
}

/// The orthonormal Walsh-Hadamard transform of a power of two of elements, in place.
#[inline(always)]
fn hadamard(v: &mut [f32]) {
    // The first steps join neighbours: eight at a time, in lengths that the compiler knows.
    let (eights, _) = v.as_chunks_mut::<8>();
    for eight in &mut *eights {
        *eight = step::<4>(step::<2>(step::<1>(*eight)));
    }
    let mut half = if eights.is_empty() { 1 } else { 8 };
    while half < v.len() {
        for pair in v.chunks_exact_mut(2 * half) {
            let (a, b) = pair.split_at_mut(half);
            butterfly(a, b);
        }
        half *= 2;
    }
    let scale = (1.0 / (v.len() as f64).sqrt()) as f32;
    for x in v {
        *x *= scale;
    }
}

/// One step of a transform over eight elements, of pairs that are `HALF` apart.
#[inline(always)]
fn step<const HALF: usize>(v: [f32; 8]) -> [f32; 8] {
    std::array::from_fn(|i| match i & HALF {
        0 => v[i] + v[i + HALF],
        _ => v[i - HALF] - v[i],
    })
}

/// `(a, b) -> (a + b, a - b)`.
#[inline(always)]
fn butterfly(a: &mut [f32], b: &mut [f32]) {
    for (x, y) in a.iter_mut().zip(b) {
        (*x, *y) = (*x + *y, *x - *y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        let mut generator = SplitMix64(1_234_567);
        let first = [generator.next(), generator.next(), generator.next()];
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    /// A change here makes every stored index unreadable.
    #[test]
    fn the_rotation_is_pinned() {
        let rotation = Rotation::new(70, 42);
        let negative = |range: std::ops::Range<usize>| {
            rotation.signs[range]
                .iter()
                .rev()
                .fold(0u64, |bits, &s| bits << 1 | u64::from(s < 0.0))
        };
        let mut generator = SplitMix64(42);
        for word in 0..6 {
            assert_eq!(negative(64 * word..64 * word + 64), generator.next());
        }
        let mut v = [1.0, 2.0, 3.0];
        Rotation::new(3, 1).apply(&mut v);
        assert_eq!(
            v.map(f32::to_bits),
            [3_218_652_202, 1_067_022_428, 3_225_896_826]
        );
    }

    #[test]
    fn it_is_orthonormal_and_spreads_every_axis() {
        for dims in [1, 2, 3, 5, 8, 31, 32, 100, 127, 384, 511, 768, 1024] {
            let rotation = Rotation::new(dims, 7);
            let columns: Vec<Vec<f32>> = (0..dims)
                .map(|i| {
                    let mut axis = vec![0.0; dims];
                    axis[i] = 1.0;
                    rotation.apply(&mut axis);
                    axis
                })
                .collect();
            let dot = |a: &[f32], b: &[f32]| {
                let products = a.iter().zip(b).map(|(x, y)| f64::from(x * y));
                products.sum::<f64>()
            };
            for (i, a) in columns.iter().enumerate().step_by(dims.div_ceil(40)) {
                for (j, b) in columns.iter().enumerate() {
                    let want = f64::from(u8::from(i == j));
                    assert!((dot(a, b) - want).abs() < 3e-6, "{dims}: {i} {j}");
                }
                if dims >= 100 {
                    let spread = |part: &[f32]| dot(part, part);
                    let largest = a.iter().fold(0f32, |m, x| m.max(x.abs()));
                    assert!(largest < 6.0 / (dims as f32).sqrt(), "{dims}: {largest}");
                    let half = spread(&a[..dims / 2]);
                    assert!((half - 0.5).abs() < 0.3, "{dims}: {half}");
                }
            }
        }
    }
}
