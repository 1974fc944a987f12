//! Sixteen lanes in plain Rust: the oracle of the kernels.

use crate::engine::encoder::lanes::{Bf16Lanes, Kernel, LANES, Lanes, add_up};
use crate::engine::encoder::line::Line;
use half::bf16;
use std::array::from_fn;

/// Needs nothing of a CPU; its weights have as many bits as those of the CPU that it is compared with.
#[derive(Clone, Copy, Debug)]
pub struct Portable<const WEIGHTS: i8>;

type Sixteen = [f32; LANES];

impl<const WEIGHTS: i8> Lanes for Portable<WEIGHTS> {
    type Floats = Sixteen;
    type Ints = [i32; LANES];
    const WIDE: bool = false;
    const WEIGHTS: i8 = WEIGHTS;

    fn run<K: Kernel<Self>>(self, kernel: K) -> K::Output {
        kernel.run(self)
    }
    fn splat(self, x: f32) -> Sixteen {
        [x; LANES]
    }
    fn load(self, from: &Sixteen) -> Sixteen {
        *from
    }
    fn store(self, x: Sixteen, to: &mut Sixteen) {
        *to = x;
    }
    fn add(self, a: Sixteen, b: Sixteen) -> Sixteen {
        from_fn(|i| a[i] + b[i])
    }
    fn sub(self, a: Sixteen, b: Sixteen) -> Sixteen {
        from_fn(|i| a[i] - b[i])
    }
    fn mul(self, a: Sixteen, b: Sixteen) -> Sixteen {
        from_fn(|i| a[i] * b[i])
    }
    fn div(self, a: Sixteen, b: Sixteen) -> Sixteen {
        from_fn(|i| a[i] / b[i])
    }
    fn fma(self, a: Sixteen, b: Sixteen, c: Sixteen) -> Sixteen {
        from_fn(|i| a[i].mul_add(b[i], c[i]))
    }
    fn max(self, a: Sixteen, b: Sixteen) -> Sixteen {
        from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }
    fn min(self, a: Sixteen, b: Sixteen) -> Sixteen {
        from_fn(|i| if a[i] < b[i] { a[i] } else { b[i] })
    }
    fn round(self, x: Sixteen) -> Sixteen {
        x.map(f32::round_ties_even)
    }
    fn exp2(self, n: Sixteen) -> Sixteen {
        n.map(|n| 2f32.powi(n as i32))
    }
    fn sum(self, x: Sixteen) -> f32 {
        add_up(x)
    }
    fn bytes(self, x: Sixteen, to: &mut [u8; LANES]) {
        *to = x.map(|x| x.round_ties_even() as u8);
    }
    fn transpose(self, rows: &mut [Sixteen; LANES]) {
        let from = *rows;
        *rows = from_fn(|i| from_fn(|j| from[j][i]));
    }
    fn prefetch(self, _: *const Line) {}
    fn zero(self) -> [i32; LANES] {
        [0; LANES]
    }
    fn dot4(self, sum: [i32; LANES], word: u32, line: &Line) -> [i32; LANES] {
        let word = word.to_le_bytes();
        from_fn(|i| {
            let products = (0..4).map(|k| i32::from(word[k]) * i32::from(line.0[4 * i + k] as i8));
            sum[i] + products.sum::<i32>()
        })
    }
    fn floats(self, x: [i32; LANES]) -> Sixteen {
        x.map(|x| x as f32)
    }
}

impl<const WEIGHTS: i8> Bf16Lanes for Portable<WEIGHTS> {
    fn dot2(self, sum: Sixteen, word: u32, line: &Line) -> Sixteen {
        let half = |bytes: &[u8]| bf16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        let word = word.to_le_bytes();
        from_fn(|i| {
            let products = (0..4)
                .step_by(2)
                .map(|k| half(&word[k..]) * half(&line.0[4 * i + k..]));
            sum[i] + products.sum::<f32>()
        })
    }
    fn halves(self, first: Sixteen, second: Sixteen, to: &mut [u32; LANES]) {
        let all: Vec<u16> = first
            .iter()
            .chain(&second)
            .map(|&x| bf16::from_f32(x).to_bits())
            .collect();
        *to = from_fn(|i| u32::from(all[2 * i]) | u32::from(all[2 * i + 1]) << 16);
    }
}
