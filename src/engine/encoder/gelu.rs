//! GELU, `x / 2 * (1 + erf(x / sqrt 2))`.
//!
//! The error function is the rational approximation of Eigen's `generic_fast_erf_float` (13th over 8th
//! degree, error below 1e-6), as ONNX Runtime's own kernels on x86 have a like one.

use crate::engine::encoder::lanes::Lanes;

/// Odd coefficients of the numerator, highest first.
#[allow(clippy::excessive_precision)] // as it is printed there
const NUMERATOR: [f32; 7] = [
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
];

/// Even coefficients of the denominator, highest first.
#[allow(clippy::excessive_precision)] // likewise
const DENOMINATOR: [f32; 5] = [
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
];

/// Beyond this the error function is 1 in single precision, and the approximation is not.
const END: f32 = 4.0;

/// GELU of sixteen numbers.
#[inline(always)]
pub fn gelu<L: Lanes>(lanes: L, x: L::Floats) -> L::Floats {
    let scaled = lanes.mul(x, lanes.splat(std::f32::consts::FRAC_1_SQRT_2));
    let at = lanes.max(lanes.min(scaled, lanes.splat(END)), lanes.splat(-END));
    let square = lanes.mul(at, at);
    let mut over = lanes.splat(NUMERATOR[0]);
    for &coefficient in &NUMERATOR[1..] {
        over = lanes.fma(over, square, lanes.splat(coefficient));
    }
    let mut under = lanes.splat(DENOMINATOR[0]);
    for &coefficient in &DENOMINATOR[1..] {
        under = lanes.fma(under, square, lanes.splat(coefficient));
    }
    let erf = lanes.div(lanes.mul(over, at), under);
    let half = lanes.mul(x, lanes.splat(0.5));
    lanes.fma(half, erf, half)
}
