//! BERT by its definition, in double precision, with weights that look random: what the kernels are compared
//! with.

use crate::engine::encoder::network::Output;
use crate::engine::encoder::shape::Shape;
use crate::engine::encoder::weights::{Dense, Embeddings, LayerWeights, WeightSource};
use crate::engine::models::pooling::Pooling;
use crate::error::Result;

/// Numbers that look random and are the same each time.
pub fn numbers(count: usize, scale: f32, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 2.0 * scale
    };
    (0..count).map(|_| next()).collect()
}

/// Weights of a shape.
pub struct Random(pub Shape);

impl Random {
    fn dense(inputs: usize, outputs: usize, seed: u64) -> Dense {
        Dense {
            weights: numbers(inputs * outputs, 2.0 / (inputs as f32).sqrt(), seed),
            bias: numbers(outputs, 0.2, seed + 1),
        }
    }

    fn norm(&self, seed: u64) -> [Vec<f32>; 2] {
        let gain = numbers(self.0.hidden, 0.3, seed)
            .iter()
            .map(|x| 1.0 + x)
            .collect();
        [gain, numbers(self.0.hidden, 0.2, seed + 1)]
    }
}

impl WeightSource for Random {
    fn embeddings(&self) -> Result<Embeddings> {
        let hidden = self.0.hidden;
        Ok(Embeddings {
            words: numbers(self.0.vocabulary * hidden, 1.0, 1),
            positions: numbers(self.0.positions * hidden, 0.3, 2),
            token_types: numbers(self.0.token_types * hidden, 0.1, 3),
            norm: self.norm(4),
        })
    }

    fn layer(&self, layer: usize) -> Result<LayerWeights> {
        let (hidden, inner, seed) = (self.0.hidden, self.0.inner, 1000 * (layer as u64 + 1));
        let own = |i: u64| Random::dense(hidden, hidden, seed + 10 * i);
        Ok(LayerWeights {
            qkv: [own(0), own(1), own(2)],
            output: own(3),
            norm: self.norm(seed + 40),
            up: Random::dense(hidden, inner, seed + 50),
            down: Random::dense(inner, hidden, seed + 60),
            last_norm: self.norm(seed + 70),
        })
    }
}

type Row = Vec<f64>;

fn apply(dense: &Dense, rows: &[Row]) -> Vec<Row> {
    let outputs = dense.bias.len();
    let one = |row: &Row| -> Row {
        let sum = |j: usize| -> f64 {
            let products = row
                .iter()
                .enumerate()
                .map(|(i, x)| x * f64::from(dense.weights[i * outputs + j]));
            products.sum::<f64>() + f64::from(dense.bias[j])
        };
        (0..outputs).map(sum).collect()
    };
    rows.iter().map(one).collect()
}

fn norm(rows: &[Row], [gain, bias]: &[Vec<f32>; 2], epsilon: f32) -> Vec<Row> {
    let one = |row: &Row| -> Row {
        let count = row.len() as f64;
        let mean = row.iter().sum::<f64>() / count;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        let root = (variance + f64::from(epsilon)).sqrt();
        let parts = row.iter().zip(gain).zip(bias);
        parts
            .map(|((x, g), b)| (x - mean) / root * f64::from(*g) + f64::from(*b))
            .collect()
    };
    rows.iter().map(one).collect()
}

fn add(a: &[Row], b: &[Row]) -> Vec<Row> {
    let one = |(a, b): (&Row, &Row)| a.iter().zip(b).map(|(a, b)| a + b).collect();
    a.iter().zip(b).map(one).collect()
}

fn attention(query: &[Row], key: &[Row], value: &[Row], heads: usize) -> Vec<Row> {
    let size = query[0].len() / heads;
    let one = |query: &Row| -> Row {
        let mut out = Vec::new();
        for head in 0..heads {
            let own = head * size..(head + 1) * size;
            let score = |key: &Row| -> f64 {
                let products = query[own.clone()]
                    .iter()
                    .zip(&key[own.clone()])
                    .map(|(a, b)| a * b);
                products.sum::<f64>() / (size as f64).sqrt()
            };
            let powers: Row = key.iter().map(|key| score(key).exp()).collect();
            let total: f64 = powers.iter().sum();
            out.extend(
                own.map(|i| powers.iter().zip(value).map(|(p, v)| p * v[i]).sum::<f64>() / total),
            );
        }
        out
    };
    query.iter().map(one).collect()
}

/// The error function: its Taylor series near 0, and its continued fraction elsewhere.
pub fn erf(x: f64) -> f64 {
    if x.abs() < 3.0 {
        let (mut term, mut sum) = (x, x);
        for n in 1..100 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        return sum * 2.0 / std::f64::consts::PI.sqrt();
    }
    let tail = (1..60)
        .rev()
        .fold(0.0, |tail, n| f64::from(n) / 2.0 / (x.abs() + tail));
    let rest = (-x * x).exp() / std::f64::consts::PI.sqrt() / (x.abs() + tail);
    (1.0 - rest) * x.signum()
}

/// The types of a text's tokens: of two there are, its second half has the second.
pub fn types(shape: &Shape, text: &[i64]) -> Vec<i64> {
    let own = |t: usize| i64::from(shape.token_types > 1 && t > text.len() / 2);
    (0..text.len()).map(own).collect()
}

/// What an encoder gives for texts.
pub fn outputs(shape: &Shape, output: Output, texts: &[Vec<i64>]) -> Vec<Row> {
    let random = Random(shape.clone());
    let front = random.embeddings().unwrap();
    let one = |text: &Vec<i64>| -> Row {
        let types = types(shape, text);
        let state = |(t, &id): (usize, &i64)| -> Row {
            let own = &front.token_types[types[t] as usize * shape.hidden..];
            let sum = |i: usize| {
                let word = front.words[id as usize * shape.hidden + i];
                let position = front.positions[t * shape.hidden + i];
                f64::from(word) + f64::from(position) + f64::from(own[i])
            };
            (0..shape.hidden).map(sum).collect()
        };
        let rows: Vec<Row> = text.iter().enumerate().map(state).collect();
        let mut rows = norm(&rows, &front.norm, shape.epsilon);
        for layer in 0..shape.layers {
            rows = layer_of(&random.layer(layer).unwrap(), shape, &rows);
        }
        let pooled: Row = match output {
            Output::FirstState => return rows[0].clone(),
            Output::Vector(Pooling::Cls) => rows[0].clone(),
            Output::Vector(Pooling::Mean) => (0..shape.hidden)
                .map(|i| rows.iter().map(|row| row[i]).sum())
                .collect(),
        };
        let length = pooled.iter().map(|x| x * x).sum::<f64>().sqrt();
        pooled.iter().map(|x| x / length).collect()
    };
    texts.iter().map(one).collect()
}

fn layer_of(layer: &LayerWeights, shape: &Shape, rows: &[Row]) -> Vec<Row> {
    let [query, key, value] = [0, 1, 2].map(|i| apply(&layer.qkv[i], rows));
    let context = attention(&query, &key, &value, shape.heads);
    let rows = norm(
        &add(&apply(&layer.output, &context), rows),
        &layer.norm,
        shape.epsilon,
    );
    let bell = |row: Row| {
        row.iter()
            .map(|x| x / 2.0 * (1.0 + erf(x / std::f64::consts::SQRT_2)))
            .collect()
    };
    let inner: Vec<Row> = apply(&layer.up, &rows).into_iter().map(bell).collect();
    norm(
        &add(&apply(&layer.down, &inner), &rows),
        &layer.last_norm,
        shape.epsilon,
    )
}
