//! How far a pass may move a vector.

use crate::engine::models::pass::Pass;
use crate::engine::models::precision::Precision;

/// How far apart two vectors of length one may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// In one component, at most.
    Difference(f32),
    /// Their cosine, at least.
    Cosine(f32),
}

impl Bound {
    /// Vectors of one encoder on two CPUs: their kernels add in one order.
    pub const SAME: Bound = Bound::Difference(1e-6);

    /// What our own encoder may do to a graph in single precision.
    pub fn of_encoder(precision: Precision) -> Self {
        match precision {
            Precision::Fp32 | Precision::Fp16 => Bound::Difference(1e-5),
            Precision::Bf16 => Bound::Cosine(0.9995),
            Precision::Int8 => Bound::Cosine(0.98),
        }
    }

    /// What these passes may do to a graph of this precision.
    pub fn of(passes: &[Pass], file: Precision) -> Self {
        if passes.contains(&Pass::Int8) {
            return Bound::Cosine(0.95);
        }
        if passes.contains(&Pass::Fp16) {
            return Bound::Cosine(0.9995);
        }
        match file {
            Precision::Fp32 => Bound::Difference(1e-5),
            // No file computes in bfloat16 alone.
            Precision::Fp16 | Precision::Bf16 => Bound::Difference(2e-3),
            // Rounding can fall otherwise where an operator was fused.
            Precision::Int8 => Bound::Cosine(0.999),
        }
    }

    /// What a GPU may do: it adds in another order, and rounds more where it is allowed to.
    pub fn of_device(precision: Precision, rounds: bool) -> Self {
        match precision {
            Precision::Fp32 if !rounds => Bound::Difference(5e-4),
            // No GPU runs bfloat16: it is our own encoder's.
            Precision::Fp32 | Precision::Fp16 | Precision::Bf16 => Bound::Cosine(0.999),
            Precision::Int8 => Bound::Cosine(0.98),
        }
    }

    /// # Errors
    /// That a pass did it, and how far apart they are.
    pub fn check(self, a: &[f32], b: &[f32]) -> Result<(), String> {
        self.near(a, b)
            .map_err(|found| format!("it changes the vector of the probe text: {found}"))
    }

    /// # Errors
    /// How far apart they are, if that is too far.
    pub fn near(self, a: &[f32], b: &[f32]) -> Result<(), String> {
        let pairs = || a.iter().zip(b);
        let (fits, found) = match self {
            Bound::Difference(most) => {
                // A NaN must not get lost in a maximum.
                let fits = pairs().all(|(x, y)| (x - y).abs() <= most);
                let worst = pairs().map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
                (
                    fits,
                    format!("a component by {worst:.1e}, allowed are {most:.0e}"),
                )
            }
            Bound::Cosine(least) => {
                let cosine: f32 = pairs().map(|(x, y)| x * y).sum();
                (
                    cosine >= least,
                    format!("cosine {cosine:.5}, least is {least}"),
                )
            }
        };
        if fits && a.len() == b.len() {
            Ok(())
        } else {
            Err(found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_a_number_is_never_near() {
        for bound in [Bound::Difference(1e-5), Bound::Cosine(0.9)] {
            bound.check(&[0.6, 0.8], &[0.6, 0.800_001]).unwrap();
            for other in [&[0.8, 0.6, 0.0][..], &[0.6], &[0.6, f32::NAN], &[0.9, -0.4]] {
                assert!(
                    bound.check(&[0.6, 0.8], other).is_err(),
                    "{bound:?} {other:?}"
                );
            }
        }
    }
}
