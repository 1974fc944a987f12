//! Where the time goes: each kernel's share of a pass, and how near the products come to what the
//! multipliers can do. Not a test, but it stands with them since it needs the kernels alone:
//!
//! ```text
//! cargo test --release --lib encoder::measure -- --ignored --nocapture
//! ```

use crate::engine::encoder::attention::{Head, scratch};
use crate::engine::encoder::format::{Arithmetic, Bf16, Fp32, Int8};
use crate::engine::encoder::lanes::{Kernel, LANES, Lanes, avx512};
use crate::engine::encoder::line::{Line, zeroed};
use crate::engine::encoder::matrix::{MatrixPlace, PANEL};
use crate::engine::encoder::norm::Norm;
use crate::engine::encoder::oracle::numbers;
use crate::engine::encoder::product::{Activation, Product, Words};
use crate::engine::encoder::rows::RoundRows;
use crate::engine::encoder::sheet::Sheet;
use std::hint::black_box;
use std::io::Write;
use std::marker::PhantomData;
use std::time::Instant;

/// Rows of a pass: 32 texts of 16 tokens, or 4 of 128.
const ROWS: usize = 512;

/// The sizes of bge-small.
const HIDDEN: usize = 384;
const INNER: usize = 1536;
const HEADS: usize = 12;
const LAYERS: f64 = 12.0;

/// The multipliers alone: as many sums as fit into registers, nothing read.
struct Registers<A>(usize, PhantomData<A>);

impl<L: Lanes, A: Arithmetic<L>> Kernel<L> for Registers<A> {
    type Output = ();
    #[inline(always)]
    fn run(self, lanes: L) {
        let (line, word) = (black_box(Line([0; 64])), black_box(0));
        let mut sums = [A::zero(lanes); 24];
        for _ in 0..self.0 {
            for sums in &mut sums {
                *sums = A::step(lanes, *sums, word, &line);
            }
        }
        black_box(sums);
    }
}

/// The median seconds of some runs.
fn seconds(mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..9)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Seconds of one product.
fn product<L: Lanes, A: Arithmetic<L>>(
    lanes: L,
    inputs: usize,
    outputs: usize,
    activation: Activation,
) -> f64 {
    let (place, lines) = MatrixPlace::at(0, A::FORMAT, inputs, outputs);
    let mut store = zeroed(lines).unwrap();
    place.pack(
        &mut store,
        L::WEIGHTS,
        &numbers(place.rows * place.columns, 0.1, 1),
        &numbers(place.columns, 0.1, 2),
    );
    let words = vec![0x0101_0101; ROWS * place.rows / A::FORMAT.in_word()];
    let scales = vec![[0.01, 0.0]; ROWS];
    let mut out = vec![0f32; ROWS * place.columns];
    seconds(|| {
        lanes.run(Product::<A> {
            left: Words {
                words: &words,
                scales: &scales,
            },
            right: place.of(&store),
            panels: 0..place.columns / PANEL,
            activation,
            out: Sheet::new(&mut out, place.columns),
            arithmetic: PhantomData,
        });
    })
}

/// Seconds of the pass over rows of so many numbers, with or without the norm.
fn rows<L: Lanes, A: Arithmetic<L>>(lanes: L, width: usize, normed: bool) -> f64 {
    let (mut numbers, mut added) = (numbers(ROWS * width, 1.0, 3), vec![0.1; ROWS * width]);
    let mut words = vec![0; ROWS * width / A::FORMAT.in_word()];
    let mut scales = vec![[0.0; 2]; ROWS];
    let (gain, bias) = (vec![1.0; width], vec![0.0; width]);
    seconds(|| {
        let norm = Norm {
            gain: &gain,
            bias: &bias,
            epsilon: 1e-12,
        };
        lanes.run(RoundRows::<A> {
            rows: 0..ROWS,
            numbers: Sheet::new(&mut numbers, width),
            norm: normed.then_some((Sheet::new(&mut added, width), norm)),
            words: Sheet::new(&mut words, width / A::FORMAT.in_word()),
            scales: Sheet::new(&mut scales, 1),
            arithmetic: PhantomData,
        });
    })
}

/// Seconds of the attention of texts of so many tokens.
fn attention<L: Lanes>(lanes: L, tokens: usize) -> f64 {
    let (stride, size) = (3 * HIDDEN, HIDDEN / HEADS);
    let qkv = numbers(ROWS * stride, 0.5, 4);
    let mut out = vec![0f32; ROWS * HIDDEN];
    let mut memory = vec![0f32; scratch(tokens, size)];
    seconds(|| {
        let out = Sheet::new(&mut out, HIDDEN);
        for first in (0..ROWS).step_by(tokens) {
            for head in 0..HEADS {
                let from = |part: usize| &qkv[first * stride + part * HIDDEN + head * size..];
                lanes.run(Head {
                    queries: from(0),
                    query_stride: stride,
                    count: tokens,
                    keys: from(1),
                    values: from(2),
                    stride,
                    tokens,
                    size,
                    out: out.rows_from(first),
                    column: head * size,
                    scratch: &mut memory,
                });
            }
        }
    })
}

/// A format's report.
fn measure<L: Lanes, A: Arithmetic<L>>(lanes: L) -> String {
    let mut report = String::new();
    const TURNS: usize = 2_000_000;
    let operations = |products: usize| 2.0 * products as f64;
    let lane_products = LANES * A::FORMAT.in_word();
    let limit = operations(24 * TURNS * lane_products)
        / seconds(|| lanes.run(Registers::<A>(TURNS, PhantomData)));
    report += &format!(
        "{:?}: registers alone {:.0} Gop/s\n",
        A::FORMAT,
        limit / 1e9
    );
    let mut all = 0.0;
    let mut kernels = Vec::new();
    for (what, inputs, outputs, activation) in [
        (
            "queries, keys, values",
            HIDDEN,
            3 * HIDDEN,
            Activation::None,
        ),
        ("attention's output", HIDDEN, HIDDEN, Activation::None),
        ("feed-forward up, GELU", HIDDEN, INNER, Activation::Gelu),
        ("feed-forward down", INNER, HIDDEN, Activation::None),
    ] {
        let time = product::<L, A>(lanes, inputs, outputs, activation);
        let share = operations(ROWS * inputs * outputs) / time / limit;
        kernels.push((
            format!("{what} ({:.0} % of the limit)", share * 100.0),
            time,
        ));
    }
    let around = 2.0 * rows::<L, A>(lanes, HIDDEN, true)
        + rows::<L, A>(lanes, HIDDEN, false)
        + rows::<L, A>(lanes, INNER, false);
    kernels.push(("norms and rounding".to_owned(), around));
    for tokens in [16, 128, 512] {
        let own = attention(lanes, tokens);
        all = kernels.iter().map(|(_, time)| time).sum::<f64>() + own;
        report += &format!(
            "  texts of {tokens} tokens: {:.1} ms for {ROWS} tokens; attention {:.1} %\n",
            all * LAYERS * 1e3,
            own / all * 100.0
        );
    }
    for (what, time) in &kernels {
        report += &format!("  at 512 tokens, {what}: {:.1} %\n", time / all * 100.0);
    }
    report
}

#[test]
#[ignore = "a measure, to be run alone"]
fn share_of_each_kernel() {
    if let Some(lanes) = avx512::Avx512Bf16::detect() {
        let report =
            measure::<_, Fp32>(lanes) + &measure::<_, Bf16>(lanes) + &measure::<_, Int8>(lanes);
        std::io::stdout().write_all(report.as_bytes()).unwrap();
    }
}
