//! The weights of an encoder as they come from a model's graph, and how they are packed.

use crate::engine::encoder::format::Format;
use crate::engine::encoder::line::{Line, Lines, zeroed};
use crate::engine::encoder::matrix::{MatrixPlace, put};
use crate::engine::encoder::shape::{LayerPlace, Layout, Shape};
use crate::error::{Error, Result};
use crate::memory::reserved;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A matrix of a layer, `inputs x outputs`, row by row, and its bias.
pub struct Dense {
    /// The weights.
    pub weights: Vec<f32>,
    /// One for each output.
    pub bias: Vec<f32>,
}

/// A layer as the graph has it. Norms are gain and bias.
pub struct LayerWeights {
    /// Queries, keys and values.
    pub qkv: [Dense; 3],
    /// What comes out of the attention.
    pub output: Dense,
    /// Behind the attention.
    pub norm: [Vec<f32>; 2],
    /// The feed-forward network's products.
    pub up: Dense,
    /// And the second one.
    pub down: Dense,
    /// Behind the feed-forward network.
    pub last_norm: [Vec<f32>; 2],
}

/// What comes before the layers.
pub struct Embeddings {
    /// `vocabulary x hidden`
    pub words: Vec<f32>,
    /// `positions x hidden`
    pub positions: Vec<f32>,
    /// `token types x hidden`
    pub token_types: Vec<f32>,
    /// Gain and bias.
    pub norm: [Vec<f32>; 2],
}

/// Where weights come from, in parts, so that they need not all be in memory twice.
pub trait WeightSource: Sync {
    /// # Errors
    /// Weights that cannot be read or have other sizes than the shape says.
    fn embeddings(&self) -> Result<Embeddings>;
    /// # Errors
    /// As for [`Self::embeddings`].
    fn layer(&self, layer: usize) -> Result<LayerWeights>;
}

/// Packs all weights, layers side by side on so many threads. `most` is the largest magnitude of a byte.
///
/// # Errors
/// A shape that no encoder has, before anything is sized by it; of the source; not enough memory; a weight that is
/// not finite.
pub fn pack(
    shape: &Shape,
    format: Format,
    most: i8,
    source: &dyn WeightSource,
    threads: usize,
) -> Result<Lines> {
    shape.check().map_err(Error::invalid)?;
    let layout = Layout::of(shape, format);
    let mut store = zeroed(layout.lines)?;
    let (front, layers) = store.split_at_mut(layout.first_layer);
    let parts = layers.chunks_exact_mut(layout.layer.lines);
    let parts: Vec<_> = parts.map(|part| Mutex::new(Some(part))).collect();
    let next = AtomicUsize::new(0);
    let work = || -> Result<()> {
        loop {
            let layer = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(layer) else {
                return Ok(());
            };
            let taken = part.lock().ok().and_then(|mut part| part.take());
            if let Some(own) = taken {
                pack_layer(shape, most, &source.layer(layer)?, &layout.layer, own)?;
            }
        }
    };
    std::thread::scope(|scope| {
        let helpers: Vec<_> = (1..threads.max(1))
            .map_while(|_| std::thread::Builder::new().spawn_scoped(scope, work).ok())
            .collect();
        let embeddings = pack_embeddings(shape, &source.embeddings()?, &layout, front);
        let own = embeddings.and_then(|()| work());
        helpers
            .into_iter()
            .map(|helper| {
                helper
                    .join()
                    .unwrap_or_else(|_| Err(Error::internal("a panic while packing")))
            })
            .fold(own, |all, one| all.and(one))
    })?;
    Ok(store)
}

fn pack_embeddings(
    shape: &Shape,
    source: &Embeddings,
    layout: &Layout,
    store: &mut [Line],
) -> Result<()> {
    expect(
        "token states",
        &source.words,
        shape.vocabulary * shape.hidden,
    )?;
    expect(
        "position states",
        &source.positions,
        shape.positions * shape.hidden,
    )?;
    expect(
        "states of token types",
        &source.token_types,
        shape.token_types * shape.hidden,
    )?;
    put(&mut store[layout.words.clone()], &source.words);
    let types = source.token_types.chunks_exact(shape.hidden);
    let sums: Vec<f32> = types
        .flat_map(|own| source.positions.iter().zip(own.iter().cycle()))
        .map(|(position, own)| position + own)
        .collect();
    put(&mut store[layout.positions.clone()], &sums);
    put_norm(shape, &source.norm, &layout.norm, store)
}

fn put_norm(
    shape: &Shape,
    norm: &[Vec<f32>; 2],
    places: &[std::ops::Range<usize>; 2],
    store: &mut [Line],
) -> Result<()> {
    for (numbers, place) in norm.iter().zip(places) {
        expect("a norm", numbers, shape.hidden)?;
        put(&mut store[place.clone()], numbers);
    }
    Ok(())
}

fn pack_layer(
    shape: &Shape,
    most: i8,
    source: &LayerWeights,
    place: &LayerPlace,
    store: &mut [Line],
) -> Result<()> {
    let (hidden, inner) = (shape.hidden, shape.inner);
    for dense in source.qkv.iter().chain([&source.output]) {
        dense.check("attention", hidden, hidden)?;
    }
    source.up.check("the feed-forward network", hidden, inner)?;
    source
        .down
        .check("the feed-forward network", inner, hidden)?;
    let heads = Heads {
        size: shape.head(),
        padded: shape.padded_head(),
    };
    let mut qkv = Packing::new(&place.qkv)?;
    for (i, dense) in source.qkv.iter().enumerate() {
        // The scale of the attention goes into the queries.
        let factor = if i == 0 {
            (shape.head() as f32).sqrt().recip()
        } else {
            1.0
        };
        qkv.add(
            dense,
            |row| row,
            |column| i * shape.heads_width() + heads.place(column),
            factor,
        );
    }
    qkv.pack(&place.qkv, store, most);
    let mut output = Packing::new(&place.output)?;
    output.add(&source.output, |row| heads.place(row), |column| column, 1.0);
    output.pack(&place.output, store, most);
    for (dense, place) in [(&source.up, &place.up), (&source.down, &place.down)] {
        let mut packing = Packing::new(place)?;
        packing.add(dense, |row| row, |column| column, 1.0);
        packing.pack(place, store, most);
    }
    put_norm(shape, &source.norm, &place.norm, store)?;
    put_norm(shape, &source.last_norm, &place.last_norm, store)
}

/// How heads lie beside each other: each is padded.
struct Heads {
    size: usize,
    padded: usize,
}

impl Heads {
    fn place(&self, number: usize) -> usize {
        number / self.size * self.padded + number % self.size
    }
}

/// A matrix with its padding, to be packed.
struct Packing {
    weights: Vec<f32>,
    bias: Vec<f32>,
    columns: usize,
}

impl Packing {
    fn new(place: &MatrixPlace) -> Result<Self> {
        let mut weights = reserved(place.rows * place.columns)?;
        weights.resize(place.rows * place.columns, 0.0);
        Ok(Packing {
            weights,
            bias: vec![0.0; place.columns],
            columns: place.columns,
        })
    }

    fn add(
        &mut self,
        dense: &Dense,
        row: impl Fn(usize) -> usize,
        column: impl Fn(usize) -> usize,
        factor: f32,
    ) {
        let columns: Vec<usize> = (0..dense.bias.len()).map(column).collect();
        for (i, from) in dense.weights.chunks_exact(dense.bias.len()).enumerate() {
            let to = &mut self.weights[row(i) * self.columns..][..self.columns];
            for (&column, x) in columns.iter().zip(from) {
                to[column] = x * factor;
            }
        }
        for (&column, x) in columns.iter().zip(&dense.bias) {
            self.bias[column] = x * factor;
        }
    }

    fn pack(&self, place: &MatrixPlace, store: &mut [Line], most: i8) {
        place.pack(store, most, &self.weights, &self.bias);
    }
}

impl Dense {
    fn check(&self, what: &str, inputs: usize, outputs: usize) -> Result<()> {
        expect(what, &self.weights, inputs * outputs)?;
        expect(what, &self.bias, outputs)
    }
}

fn expect(what: &str, numbers: &[f32], count: usize) -> Result<()> {
    if numbers.len() != count {
        return Err(Error::invalid(format!(
            "{what} has {} numbers, expected {count}",
            numbers.len()
        )));
    }
    if let Some(x) = numbers.iter().find(|x| !x.is_finite()) {
        return Err(Error::invalid(format!("{what} has a weight that is {x}")));
    }
    Ok(())
}
