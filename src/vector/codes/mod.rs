//! Compact codes: 2 bits a dimension, for finding candidates without reading vectors.
//!
//! A scan of codes gives each row a **lower bound of its cosine distance** to the query. Rows are
//! then rescored from their stored vectors, nearest bound first, until the bound exceeds the
//! distance of the k-th best row: what remains cannot be among the k (but for the tail beyond
//! `z` standard errors, about 3 in 10 million rows at [`DEFAULT_Z`]).
//!
//! # What is coded
//!
//! Let `x` be the vector at unit length (a zero vector stays zero), `c` the centroid, `P` the
//! rotation and `y = P(x - c)`, in `d` dimensions. Each `y[i]` becomes one of 4 levels,
//! `v[i] = u[i] - 3/2` with `u[i]` in 0..=3, its step being free: the levels are those with the
//! largest cosine to `y` of all. (It takes one sort: a level is ±1/2 or ±3/2, and the `k` largest
//! `|y[i]|` get the 3/2, so `k` is all there is to try. It is the search of extended RaBitQ for
//! 2 bits.) Then, `θ` being the angle between `v` and `y`,
//!
//! - `<x, q> = <c, q> + <x - c, c> + <y, P(q - c)>`,
//! - `scale · v` with `scale = |y|² / <v, y>` is an unbiased estimate of `y` under random
//!   rotations: it is `y` plus something orthogonal to `y`, of length `|y| tan θ`, in a direction
//!   that the rotation makes random,
//! - so the estimate of `<y, P(q - c)>` has standard error `sigma · |q - c|` at most, where
//!   `sigma = |y| tan θ / sqrt(d - 1)`. See [`Query`] for what becomes of it.
//!
//! Sources: Gao and Long, "RaBitQ" (SIGMOD 2024), theorem 3.2 and section 3.2 (estimator and its
//! error); Gao, Gou, Xu, Yang, Long and Wong, "Practical and asymptotically optimal quantization of
//! high-dimensional vectors" (SIGMOD 2025) for more than one bit and free steps.
//!
//! # The format of a code (little-endian)
//!
//! With `w = ceil(d / 4)`, a code has `w + 12` bytes (108 at 384 dimensions):
//!
//! | bytes | content |
//! |---|---|
//! | `0 .. w` | byte `j`: `u[j]` in bits 0-1, `u[w + j]` in 2-3, `u[2w + j]` in 4-5, `u[3w + j]` in 6-7; 0 beyond `d` |
//! | `w .. w+4` | f32 `offset = <x - c, c>` |
//! | `w+4 .. w+8` | f32 `scale` (0 where `y` is 0) |
//! | `w+8 .. w+12` | f32 `sigma` (0 where `d` is 1 or `y` is 0) |
//!
//! Codes lie one after the other, without padding. They mean something only together with the
//! coder's centroid and seed, and have the same bits on every CPU.

mod block;
mod coder;
mod kernels;
mod queries;
mod query;
mod rotation;
#[cfg(target_arch = "x86_64")]
mod tiles;

pub use coder::{Coder, MAX_DIMS};
pub use queries::Queries;
pub use query::{DEFAULT_Z, Near, Query};
