//! Makes the codes of vectors; what they are is said in [`crate::vector::codes`].

use crate::error::{Error, Result};
use crate::vector::codes::rotation::Rotation;

/// The most dimensions a coder takes: the sums of a scan stay in i32.
pub const MAX_DIMS: usize = 1 << 20;

/// Bytes of a code after its levels: offset, scale, sigma.
pub(super) const FIGURES: usize = 12;

/// Makes codes of vectors, and queries for them. Its centroid and seed belong to the codes: whoever
/// stores codes stores these, and makes the same coder again with [`Coder::new`].
#[derive(Clone, Debug)]
pub struct Coder {
    pub(super) centroid: Vec<f32>,
    seed: u64,
    pub(super) rotation: Rotation,
}

impl Coder {
    /// A coder for vectors of `dims` dimensions around `centroid` (any one no longer than a unit
    /// vector gives right bounds; the mean of the unit vectors gives tight ones).
    ///
    /// # Errors
    /// `dims` is 0 or over [`MAX_DIMS`]; a centroid of other dimensions, not finite, or longer than
    /// a mean of unit vectors can be.
    pub fn new(dims: usize, centroid: Vec<f32>, seed: u64) -> Result<Self> {
        if dims == 0 || dims > MAX_DIMS {
            return Err(Error::invalid(format!(
                "codes of {dims} dimensions, expected 1 to {MAX_DIMS}"
            )));
        }
        check(&centroid, dims).map_err(|e| e.at("the centroid of the codes"))?;
        let length = dot(&centroid, &centroid).sqrt();
        if length > 1.001 {
            return Err(Error::invalid(format!(
                "the centroid of the codes has length {length}, expected 1 at most"
            )));
        }
        Ok(Coder {
            centroid,
            seed,
            rotation: Rotation::new(dims, seed),
        })
    }

    /// A coder around the mean of the vectors, each at unit length; around 0 if there are none.
    ///
    /// # Errors
    /// As [`Coder::new`] and [`Coder::encode`].
    pub fn fit<'a>(
        vectors: impl IntoIterator<Item = &'a [f32]>,
        dims: usize,
        seed: u64,
    ) -> Result<Self> {
        let mut sums = vec![0.0f64; dims.min(MAX_DIMS)];
        let mut count = 0.0f64;
        for vector in vectors {
            for (sum, x) in sums.iter_mut().zip(unit(vector, dims)?) {
                *sum += f64::from(x);
            }
            count += 1.0;
        }
        let mean = sums.iter().map(|sum| (sum / count.max(1.0)) as f32);
        Coder::new(dims, mean.collect(), seed)
    }

    /// The number of dimensions.
    pub fn dims(&self) -> usize {
        self.centroid.len()
    }

    /// The centroid, [`Coder::dims`] elements.
    pub fn centroid(&self) -> &[f32] {
        &self.centroid
    }

    /// The seed of the rotation.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Bytes of one code.
    pub fn code_bytes(&self) -> usize {
        self.width() + FIGURES
    }

    /// Bytes of the levels in a code.
    pub(super) fn width(&self) -> usize {
        self.dims().div_ceil(4)
    }

    /// Writes the code of a vector of any length but zero's (see the module) into `out`, which has
    /// [`Coder::code_bytes`] bytes.
    ///
    /// # Errors
    /// A vector of other dimensions, or with a NaN or infinity; `out` of another length.
    pub fn encode(&self, vector: &[f32], out: &mut [u8]) -> Result<()> {
        if out.len() != self.code_bytes() {
            return Err(Error::internal(format!(
                "room of {} bytes for a code of {}",
                out.len(),
                self.code_bytes()
            )));
        }
        let x = unit(vector, self.dims())?;
        let mut y = self.minus_centroid(&x);
        let offset = dot(&y, &self.centroid);
        self.rotation.apply(&mut y);

        let grid = Grid::fit(&y);
        let (levels, figures) = out.split_at_mut(self.width());
        levels.fill(0);
        for (plane, values) in y.chunks(levels.len()).enumerate() {
            for (byte, &value) in levels.iter_mut().zip(values) {
                *byte |= grid.level(value) << (2 * plane);
            }
        }
        let numbers = [offset, grid.scale, self.sigma(grid.squared_error)];
        for (bytes, number) in figures.chunks_exact_mut(4).zip(numbers) {
            bytes.copy_from_slice(&(number as f32).to_le_bytes());
        }
        Ok(())
    }

    /// The standard error of `|y|² tan² θ`.
    pub(super) fn sigma(&self, squared_error: f64) -> f64 {
        let spread = (self.dims() - 1).max(1) as f64;
        (squared_error / spread).sqrt()
    }

    pub(super) fn minus_centroid(&self, x: &[f32]) -> Vec<f32> {
        x.iter().zip(&self.centroid).map(|(x, c)| x - c).collect()
    }
}

/// The levels of one vector: which of them get ±3/2, and what follows from that.
struct Grid {
    /// Bits of the smallest `|y[i]|` with level ±3/2.
    threshold: u32,
    /// `|y|² / <v, y>`.
    scale: f64,
    /// `|y|² tan² θ`.
    squared_error: f64,
}

impl Grid {
    fn fit(y: &[f32]) -> Self {
        // Magnitudes as bits: they sort as the numbers do.
        let mut sorted: Vec<u32> = y.iter().map(|x| x.abs().to_bits()).collect();
        sorted.sort_unstable_by(|a, b| b.cmp(a));
        let magnitudes = sorted.iter().map(|&bits| f64::from(f32::from_bits(bits)));
        let (mut total, mut squares) = (0.0, 0.0);
        for m in magnitudes.clone() {
            total += m;
            squares += m * m;
        }
        // <v, y> and |v|² with the k largest at 3/2 and the others at 1/2, best cosine first.
        let mut product = total / 2.0;
        let mut length = y.len() as f64 / 4.0;
        let mut best = (product, length);
        let mut threshold = u32::MAX;
        for (k, m) in magnitudes.enumerate() {
            product += m;
            length += 2.0;
            let last_of_equals = sorted.get(k + 1) != Some(&sorted[k]);
            if last_of_equals && product * product * best.1 > best.0 * best.0 * length {
                best = (product, length);
                threshold = sorted[k];
            }
        }
        let (product, length) = best;
        if product == 0.0 {
            return Grid {
                threshold,
                scale: 0.0,
                squared_error: 0.0,
            };
        }
        let scale = squares / product;
        Grid {
            threshold,
            scale,
            squared_error: (scale * scale * length - squares).max(0.0),
        }
    }

    /// The level of an element, 0..=3.
    fn level(&self, y: f32) -> u8 {
        // Without branches: signs are as good as random.
        let far = u8::from(y.abs().to_bits() >= self.threshold);
        let negative = u8::from(y < 0.0);
        (2 + far) ^ (3 * negative)
    }
}

/// The vector divided by its length, however small that is; the zero vector stays zero.
pub(super) fn unit(vector: &[f32], dims: usize) -> Result<Vec<f32>> {
    check(vector, dims)?;
    let norm = dot(vector, vector).sqrt();
    if norm == 0.0 {
        return Ok(vector.to_vec());
    }
    let scaled = vector.iter().map(|&x| (f64::from(x) / norm) as f32);
    Ok(scaled.collect())
}

fn check(vector: &[f32], dims: usize) -> Result<()> {
    if vector.len() != dims {
        return Err(Error::invalid(format!(
            "a vector of {} dimensions, expected {dims}",
            vector.len()
        )));
    }
    match vector.iter().position(|x| !x.is_finite()) {
        None => Ok(()),
        Some(i) => Err(Error::invalid(format!(
            "element {i} of the vector is {}, expected a finite number",
            vector[i]
        ))),
    }
}

/// In f64, in order: the same bits everywhere.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f64 {
    let products = a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y));
    products.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A change here makes every stored index unreadable.
    #[test]
    fn the_format_is_pinned() {
        let vector: Vec<f32> = (0..10).map(|i| (i * i % 7) as f32 - 2.0).collect();
        let coder = Coder::new(10, vec![0.125; 10], 99).unwrap();
        let mut code = vec![0xff; coder.code_bytes()];
        coder.encode(&vector, &mut code).unwrap();
        let hex: String = code.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "a3180c99b03abeb8b9963ef3ed953d");
        assert_eq!(
            code[1] >> 6 | code[2] >> 6,
            0,
            "nothing beyond 10 dimensions"
        );
        let zeros = Coder::new(384, vec![0.0; 384], 0).unwrap();
        assert_eq!(zeros.code_bytes(), 108);
    }

    #[test]
    fn the_levels_are_the_best_of_all() {
        for seed in 0..50 {
            let mut generator = crate::vector::codes::rotation::SplitMix64(seed);
            let mut next = || (generator.next() >> 40) as f32 / 1e7 - 0.8;
            let y: Vec<f32> = (0..6).map(|_| next()).collect();
            let cosine = |levels: &[u8]| {
                let v: Vec<f32> = levels.iter().map(|&u| f32::from(u) - 1.5).collect();
                dot(&v, &y) / (dot(&v, &v) * dot(&y, &y)).sqrt()
            };
            let grid = Grid::fit(&y);
            let ours: Vec<u8> = y.iter().map(|&x| grid.level(x)).collect();
            let best = (0..4u32.pow(6))
                .map(|n| {
                    cosine(&std::array::from_fn::<u8, 6, _>(|i| {
                        (n >> (2 * i) & 3) as u8
                    }))
                })
                .fold(-1.0, f64::max);
            assert!((cosine(&ours) - best).abs() < 1e-12, "{y:?}");
            let tangent = grid.squared_error / dot(&y, &y);
            assert!((1.0 / (1.0 + tangent) - best * best).abs() < 1e-9);
        }
    }

    #[test]
    fn the_same_direction_has_the_same_code() {
        let coder = Coder::new(5, vec![0.1; 5], 3).unwrap();
        let code = |scale: f32| {
            let mut out = vec![0; coder.code_bytes()];
            let vector: Vec<f32> = (1..6).map(|i| scale * i as f32).collect();
            coder.encode(&vector, &mut out).unwrap();
            out
        };
        assert_eq!(code(1.0), code(2.0f32.powi(100)));
        assert_eq!(code(1.0), code(2.0f32.powi(-100)));
    }

    #[test]
    fn what_cannot_be_coded_is_refused() {
        assert!(Coder::new(0, vec![], 1).is_err());
        assert!(Coder::new(MAX_DIMS + 1, vec![0.0; MAX_DIMS + 1], 1).is_err());
        assert!(Coder::new(2, vec![0.0; 3], 1).is_err());
        assert!(Coder::new(2, vec![0.0, f32::NAN], 1).is_err());
        assert!(Coder::new(2, vec![0.0, f32::MAX], 1).is_err());
        let coder = Coder::new(2, vec![0.0; 2], 1).unwrap();
        let mut code = vec![0; coder.code_bytes()];
        assert!(coder.encode(&[1.0], &mut code).is_err());
        assert!(coder.encode(&[1.0, f32::INFINITY], &mut code).is_err());
        assert!(coder.encode(&[1.0, 1.0], &mut code[1..]).is_err());
        assert!(coder.query(&[1.0, f32::NAN]).is_err());
        assert!(coder.query(&[1.0; 3]).is_err());
    }

    #[test]
    fn the_fitted_centroid_is_the_mean_of_unit_vectors() {
        let vectors = [[2.0f32, 0.0], [0.0, 5.0], [0.0, 0.0]];
        let coder = Coder::fit(vectors.iter().map(|v| &v[..]), 2, 9).unwrap();
        assert_eq!(coder.centroid(), [1.0 / 3.0; 2]);
        assert_eq!((coder.dims(), coder.seed()), (2, 9));
        let empty = Coder::fit(std::iter::empty(), 2, 9).unwrap();
        assert_eq!(empty.centroid(), [0.0; 2]);
        assert!(Coder::fit([&[f32::NAN; 2][..]], 2, 9).is_err());
    }
}
