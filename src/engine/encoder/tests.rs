//! The kernels against oracles: the same code over plain Rust for the bits, and a BERT in double precision,
//! written as its definition is, for the numbers.

use crate::engine::encoder::cpu::Cpu;
use crate::engine::encoder::encoder::Encoder;
use crate::engine::encoder::format::{Arithmetic, Bf16, Format, Fp32, Int8, RowScale};
use crate::engine::encoder::gelu::gelu;
use crate::engine::encoder::lanes::portable::Portable;
use crate::engine::encoder::lanes::{Kernel, LANES, Lanes, avx2, avx512};
use crate::engine::encoder::line::zeroed;
use crate::engine::encoder::matrix::{MatrixPlace, PANEL, padded};
use crate::engine::encoder::network::{Network, Output};
use crate::engine::encoder::oracle::{self, numbers};
use crate::engine::encoder::product::{Activation, Product, Words};
use crate::engine::encoder::shape::Shape;
use crate::engine::encoder::sheet::Sheet;
use crate::engine::encoder::store::Store;
use crate::engine::encoder::team::{Alone, Team};
use crate::engine::encoder::tokens::Tokens;
use crate::engine::encoder::weights::{self, WeightSource};
use crate::engine::models::pooling::Pooling;
use proptest::prelude::*;
use std::marker::PhantomData;

/// Rounds rows, as a kernel.
struct Rounding<'a, A>(&'a [f32], &'a mut [u32], PhantomData<A>);

impl<L: Lanes, A: Arithmetic<L>> Kernel<L> for Rounding<'_, A> {
    type Output = RowScale;
    #[inline(always)]
    fn run(self, lanes: L) -> RowScale {
        A::round(lanes, self.0, self.1)
    }
}

/// A product on some lanes: `rows x inputs` times `inputs x outputs`.
fn product<L: Lanes, A: Arithmetic<L>>(
    lanes: L,
    [rows, inputs, outputs]: [usize; 3],
    activation: Activation,
) -> Vec<f32> {
    let (place, lines) = MatrixPlace::at(0, A::FORMAT, inputs, outputs);
    let mut store = zeroed(lines).unwrap();
    let weights = numbers(place.rows * place.columns, 0.2, 7);
    place.pack(
        &mut store,
        L::WEIGHTS,
        &weights,
        &numbers(place.columns, 0.5, 9),
    );
    let per_row = place.rows / A::FORMAT.in_word();
    let mut words = vec![0; rows * per_row];
    let mut scales = Vec::new();
    for (i, words) in words.chunks_exact_mut(per_row).enumerate() {
        let row = numbers(place.rows, 2.0, 100 + i as u64);
        scales.push(lanes.run(Rounding::<A>(&row, words, PhantomData)));
    }
    let mut out = vec![0f32; rows * place.columns];
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
    out
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn products_have_the_same_bits_on_every_cpu(
        rows in 1usize..20, inputs in 1usize..200, outputs in 1usize..200, gelu in any::<bool>()
    ) {
        same_products([rows, inputs, outputs], gelu);
    }
}

#[test]
fn products_of_one_row_and_of_many() {
    for rows in [1, 7, 8, 513] {
        same_products([rows, 384, 64], false);
    }
}

fn same_products(sizes: [usize; 3], gelu: bool) {
    let activation = if gelu {
        Activation::Gelu
    } else {
        Activation::None
    };
    let wanted = bits(&product::<_, Fp32>(Portable::<127>, sizes, activation));
    let whole = bits(&product::<_, Int8>(Portable::<127>, sizes, activation));
    let seven = bits(&product::<_, Int8>(Portable::<64>, sizes, activation));
    if let Some(lanes) = avx512::Avx512::detect() {
        assert_eq!(bits(&product::<_, Fp32>(lanes, sizes, activation)), wanted);
        assert_eq!(bits(&product::<_, Int8>(lanes, sizes, activation)), whole);
    }
    if let Some(lanes) = avx2::AvxVnni::detect() {
        assert_eq!(bits(&product::<_, Int8>(lanes, sizes, activation)), whole);
    }
    if let Some(lanes) = avx2::Avx2::detect() {
        assert_eq!(bits(&product::<_, Fp32>(lanes, sizes, activation)), wanted);
        assert_eq!(bits(&product::<_, Int8>(lanes, sizes, activation)), seven);
    }
    if let Some(lanes) = avx512::Avx512Bf16::detect() {
        // The CPU adds pairs before it adds them to the sum, in an order of its own.
        let oracle = product::<_, Bf16>(Portable::<127>, sizes, activation);
        let found = product::<_, Bf16>(lanes, sizes, activation);
        for (a, b) in oracle.iter().zip(&found) {
            assert!((a - b).abs() <= 1e-4 * a.abs().max(1.0), "{a} {b}");
        }
    }
}

struct Gelu<'a>(&'a mut [f32; LANES]);

impl<L: Lanes> Kernel<L> for Gelu<'_> {
    type Output = ();
    #[inline(always)]
    fn run(self, lanes: L) {
        let x = gelu(lanes, lanes.load(self.0));
        lanes.store(x, self.0);
    }
}

#[test]
fn gelu_is_that_of_the_error_function() {
    for i in -1000..1000 {
        let mut found = [i as f32 / 100.0; LANES];
        Portable::<127>.run(Gelu(&mut found));
        let x = f64::from(i as f32 / 100.0);
        let wanted = x / 2.0 * (1.0 + oracle::erf(x / std::f64::consts::SQRT_2));
        assert!(
            (f64::from(found[0]) - wanted).abs() < 2e-6,
            "{x}: {} {wanted}",
            found[0]
        );
    }
}

fn shape(hidden: usize, inner: usize, heads: usize, layers: usize) -> Shape {
    Shape {
        vocabulary: 50,
        positions: 520,
        hidden,
        inner,
        heads,
        layers,
        token_types: 1,
        epsilon: 1e-12,
    }
}

fn two_types(shape: Shape) -> Shape {
    Shape {
        token_types: 2,
        ..shape
    }
}

const CLS: Output = Output::Vector(Pooling::Cls);

fn encoder(shape: &Shape, format: Format, output: Output, cpu: Cpu) -> Encoder {
    let store =
        weights::pack(shape, format, cpu.most(), &oracle::Random(shape.clone()), 2).unwrap();
    Encoder::new(
        Network::new(shape.clone(), format, output, Store::Own(store)).unwrap(),
        cpu,
    )
    .unwrap()
}

/// All kernels that this CPU runs.
fn cpus() -> Vec<Cpu> {
    let all = [
        avx512::Avx512Bf16::detect().map(Cpu::Avx512Bf16),
        avx512::Avx512::detect().map(Cpu::Avx512),
        avx2::AvxVnni::detect().map(Cpu::AvxVnni),
        avx2::Avx2::detect().map(Cpu::Avx2),
    ];
    all.into_iter().flatten().collect()
}

fn texts(lengths: &[usize]) -> Vec<Vec<i64>> {
    let text = |(i, &length): (usize, &usize)| {
        (0..length)
            .map(|t| ((i * 31 + t * 7) % 50) as i64)
            .collect()
    };
    lengths.iter().enumerate().map(text).collect()
}

fn run(encoder: &Encoder, team: &dyn Team, texts: &[Vec<i64>]) -> Vec<f32> {
    let shape = &encoder.network.shape;
    let types: Vec<_> = texts
        .iter()
        .map(|text| oracle::types(shape, text))
        .collect();
    let texts = texts.iter().zip(&types);
    let texts: Vec<Tokens<'_>> = texts.map(|(ids, types)| Tokens { ids, types }).collect();
    let mut out = vec![0.0; texts.len() * shape.hidden];
    encoder.run(team, &texts, &mut out).unwrap();
    out
}

/// Threads of the test's own.
struct Threads(usize);

impl Team for Threads {
    fn threads(&self) -> usize {
        self.0
    }
    fn each(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        std::thread::scope(|scope| {
            for i in 0..tasks {
                scope.spawn(move || task(i));
            }
        });
    }
}

#[test]
fn vectors_are_those_of_the_definition() {
    for (shape, output) in [
        (shape(32, 64, 4, 2), CLS),
        (shape(48, 80, 3, 3), Output::Vector(Pooling::Mean)),
        (shape(128, 192, 2, 1), CLS),
        (two_types(shape(32, 64, 4, 2)), CLS),
        (
            two_types(shape(48, 80, 3, 2)),
            Output::Vector(Pooling::Mean),
        ),
    ] {
        let texts = texts(&[1, 5, 16, 17, 40]);
        let wanted = oracle::outputs(&shape, output, &texts);
        for cpu in cpus() {
            let found = run(&encoder(&shape, Format::Fp32, output, cpu), &Alone, &texts);
            for (a, b) in wanted.iter().flatten().zip(&found) {
                assert!(
                    (a - f64::from(*b)).abs() < 2e-6,
                    "{cpu:?} {shape:?}: {a} {b}"
                );
            }
            for (format, least) in [(Format::Bf16, 0.999), (Format::Int8, 0.99)] {
                if !cpu.has(format) {
                    continue;
                }
                let found = run(&encoder(&shape, format, output, cpu), &Alone, &texts);
                for (a, b) in wanted.iter().zip(found.chunks_exact(shape.hidden)) {
                    let cosine: f64 = a.iter().zip(b).map(|(a, b)| a * f64::from(*b)).sum();
                    assert!(cosine > least, "{cpu:?} {format:?} {shape:?}: {cosine}");
                }
            }
        }
    }
}

#[test]
fn first_states_are_not_normalised() {
    let shape = two_types(shape(32, 64, 4, 2));
    let texts = texts(&[1, 5, 16, 40]);
    let wanted = oracle::outputs(&shape, Output::FirstState, &texts);
    for cpu in cpus() {
        let encoder = encoder(&shape, Format::Fp32, Output::FirstState, cpu);
        for (a, b) in wanted.iter().flatten().zip(&run(&encoder, &Alone, &texts)) {
            assert!((a - f64::from(*b)).abs() < 1e-5, "{cpu:?}: {a} {b}");
        }
    }
}

#[test]
fn a_vector_depends_on_its_text_alone() {
    let shape = two_types(shape(64, 128, 2, 3));
    let texts = texts(&[1, 512, 3, 60, 60, 17, 33, 2, 250, 16]);
    for cpu in cpus() {
        for format in [Format::Fp32, Format::Bf16, Format::Int8] {
            for output in [CLS, Output::Vector(Pooling::Mean), Output::FirstState] {
                if !cpu.has(format) {
                    continue;
                }
                let encoder = encoder(&shape, format, output, cpu);
                let alone: Vec<f32> = texts
                    .iter()
                    .flat_map(|text| run(&encoder, &Alone, std::slice::from_ref(text)))
                    .collect();
                for threads in [1, 2, 3, 16] {
                    let found = run(&encoder, &Threads(threads), &texts);
                    assert_eq!(bits(&found), bits(&alone), "{cpu:?} {format:?} {threads}");
                    let first = run(&encoder, &Threads(threads), &texts[1..2]);
                    assert_eq!(
                        bits(&first),
                        bits(&alone[64..128]),
                        "{cpu:?} {format:?} {threads}"
                    );
                }
            }
        }
    }
}

#[test]
fn cpus_give_the_same_bits() {
    let shape = shape(96, 160, 3, 2);
    let texts = texts(&[4, 30, 100]);
    for format in [Format::Fp32, Format::Int8] {
        let kinds = cpus()
            .into_iter()
            .filter(|cpu| format != Format::Int8 || cpu.most() == i8::MAX);
        let found = kinds.map(|cpu| run(&encoder(&shape, format, CLS, cpu), &Alone, &texts));
        let all: Vec<_> = found.map(|vectors| bits(&vectors)).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]), "{format:?}");
    }
}

#[test]
fn what_is_no_text_of_the_model_is_refused() {
    let shape = shape(32, 64, 2, 1);
    let Some(&cpu) = cpus().first() else { return };
    let encoder = encoder(&shape, Format::Fp32, CLS, cpu);
    let mut out = vec![0.0; 32];
    for (ids, types, why) in [
        (vec![], vec![], "0 tokens"),
        (vec![1; 521], vec![], "521 tokens"),
        (vec![1, 50], vec![], "token 50"),
        (vec![-1], vec![], "token -1"),
        (vec![1, 2], vec![0], "1 types for a text of 2 tokens"),
        (vec![1, 2], vec![0, 1], "a token of type 1, there are 1"),
        (vec![1], vec![-1], "a token of type -1"),
    ] {
        let text = Tokens {
            ids: &ids,
            types: &types,
        };
        let refused = encoder.run(&Alone, &[text], &mut out).unwrap_err();
        assert!(refused.message().contains(why), "{refused}");
    }
    encoder.run(&Alone, &[], &mut []).unwrap();
}

#[test]
fn a_weight_that_is_no_number_is_refused() {
    struct Broken;
    impl WeightSource for Broken {
        fn embeddings(&self) -> crate::error::Result<weights::Embeddings> {
            oracle::Random(shape(32, 64, 2, 1)).embeddings()
        }
        fn layer(&self, layer: usize) -> crate::error::Result<weights::LayerWeights> {
            let mut weights = oracle::Random(shape(32, 64, 2, 1)).layer(layer)?;
            weights.up.weights[5] = f32::NAN;
            Ok(weights)
        }
    }
    for format in [Format::Fp32, Format::Int8] {
        let refused = weights::pack(&shape(32, 64, 2, 1), format, 127, &Broken, 2).unwrap_err();
        assert!(
            refused.message().contains("a weight that is NaN"),
            "{refused}"
        );
    }
}

#[test]
fn shapes_that_cannot_be_run_are_told() {
    for (wrong, why) in [
        (shape(40, 64, 2, 1), "40 hidden numbers"),
        (shape(48, 64, 5, 1), "in 5 heads"),
        (shape(32, 0, 2, 1), "0 inner numbers"),
        (
            Shape {
                vocabulary: usize::MAX,
                ..shape(32, 64, 2, 1)
            },
            "tokens of the vocabulary",
        ),
    ] {
        assert!(wrong.check().unwrap_err().contains(why), "{wrong:?}");
    }
    assert_eq!(padded(65), 128);
}

#[test]
fn nothing_is_sized_by_a_shape_that_cannot_be_run() {
    struct Unread;
    impl WeightSource for Unread {
        fn embeddings(&self) -> crate::error::Result<weights::Embeddings> {
            unreachable!("weights of a shape that cannot be run")
        }
        fn layer(&self, _: usize) -> crate::error::Result<weights::LayerWeights> {
            unreachable!("weights of a shape that cannot be run")
        }
    }
    let wrong = Shape {
        token_types: 1 << 40,
        ..shape(32, 64, 2, 1)
    };
    let refused = weights::pack(&wrong, Format::Fp32, 127, &Unread, 2).unwrap_err();
    assert!(
        refused.message().contains("types of tokens, expected"),
        "{refused}"
    );
}
