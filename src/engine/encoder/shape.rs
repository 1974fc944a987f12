//! What there is to know of a BERT encoder but its weights, and where its weights are in a store.

use crate::engine::encoder::format::Format;
use crate::engine::encoder::lanes::LANES;
use crate::engine::encoder::line::LINE;
use crate::engine::encoder::matrix::{MatrixPlace, padded};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The sizes of an encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Tokens of the longest text.
    pub positions: usize,
    /// Numbers of a token's state: the dimensions of a vector.
    pub hidden: usize,
    /// Numbers between the two products of a feed-forward network.
    pub inner: usize,
    /// Heads of an attention.
    pub heads: usize,
    /// Layers.
    pub layers: usize,
    /// Types of tokens that are told apart; 1: all have type 0.
    #[serde(default = "one")]
    pub token_types: usize,
    /// Of every norm.
    pub epsilon: f32,
}

/// Packed files of older versions do not say it.
fn one() -> usize {
    1
}

/// The most that each size may be: more is no BERT, and a file cannot make us reserve more.
const LARGEST: [(&str, usize); 7] = [
    ("tokens of the vocabulary", 1 << 20),
    ("positions", 1 << 14),
    ("hidden numbers", 1 << 13),
    ("inner numbers", 1 << 15),
    ("heads", 1 << 8),
    ("layers", 1 << 8),
    ("types of tokens", 1 << 4),
];

impl Shape {
    /// Numbers of a head.
    pub fn head(&self) -> usize {
        self.hidden / self.heads
    }

    /// Numbers of a head in memory.
    pub fn padded_head(&self) -> usize {
        self.head().next_multiple_of(LANES)
    }

    /// The width of all heads in memory.
    pub fn heads_width(&self) -> usize {
        padded(self.heads * self.padded_head())
    }

    /// # Errors
    /// Why the kernels cannot run it.
    pub fn check(&self) -> Result<(), String> {
        let sizes = [
            self.vocabulary,
            self.positions,
            self.hidden,
            self.inner,
            self.heads,
            self.layers,
            self.token_types,
        ];
        for ((what, most), size) in LARGEST.into_iter().zip(sizes) {
            if size == 0 || size > most {
                return Err(format!("it has {size} {what}, expected 1 to {most}"));
            }
        }
        if !self.hidden.is_multiple_of(LANES) || !self.hidden.is_multiple_of(self.heads) {
            return Err(format!(
                "it has {} hidden numbers in {} heads, expected a multiple of {LANES} and of the heads",
                self.hidden, self.heads
            ));
        }
        if self.epsilon.is_nan() || self.epsilon < 0.0 {
            return Err(format!("its norms have the epsilon {}", self.epsilon));
        }
        Ok(())
    }
}

/// Where everything of a layer is in the layer's part of the store: all layers lie alike.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerPlace {
    /// How many lines it has.
    pub lines: usize,
    /// Queries, keys and values side by side, each as wide as all heads.
    pub qkv: MatrixPlace,
    /// What comes out of the attention.
    pub output: MatrixPlace,
    /// Gain and bias of the norm behind the attention.
    pub norm: [Range<usize>; 2],
    /// The feed-forward network's first product.
    pub up: MatrixPlace,
    /// And its second.
    pub down: MatrixPlace,
    /// The norm behind it.
    pub last_norm: [Range<usize>; 2],
}

/// Where everything is. It follows from the shape and the format alone, so that a file needs to say no
/// more.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// A state for each token, one behind the other.
    pub words: Range<usize>,
    /// A state for each position, with that of a token type added: first all positions of type 0.
    pub positions: Range<usize>,
    /// The norm of the embeddings.
    pub norm: [Range<usize>; 2],
    /// The first layer's first line; the others are behind it.
    pub first_layer: usize,
    /// How each of them lies.
    pub layer: LayerPlace,
    /// All lines.
    pub lines: usize,
}

impl Layout {
    /// The layout of an encoder.
    pub fn of(shape: &Shape, format: Format) -> Self {
        let mut at = 0;
        let mut take = |floats: usize| {
            let from = at;
            at += (floats * 4).div_ceil(LINE);
            from..at
        };
        let words = take(shape.vocabulary * shape.hidden);
        let positions = take(shape.token_types * shape.positions * shape.hidden);
        let norm = [take(shape.hidden), take(shape.hidden)];
        let layer = LayerPlace::of(shape, format);
        Layout {
            words,
            positions,
            norm,
            first_layer: at,
            lines: at + shape.layers * layer.lines,
            layer,
        }
    }

    /// The part of a layer.
    pub fn layer(&self, layer: usize) -> Range<usize> {
        let from = self.first_layer + layer * self.layer.lines;
        from..from + self.layer.lines
    }
}

impl LayerPlace {
    fn of(shape: &Shape, format: Format) -> Self {
        let (hidden, heads) = (shape.hidden, shape.heads_width());
        let norm_lines = (hidden * 4).div_ceil(LINE);
        let norm = |at: usize| {
            let middle = at + norm_lines;
            (
                [at..middle, middle..middle + norm_lines],
                middle + norm_lines,
            )
        };
        let (qkv, at) = MatrixPlace::at(0, format, hidden, 3 * heads);
        let (output, at) = MatrixPlace::at(at, format, heads, hidden);
        let (first_norm, at) = norm(at);
        let (up, at) = MatrixPlace::at(at, format, hidden, shape.inner);
        let (down, at) = MatrixPlace::at(at, format, shape.inner, hidden);
        let (last_norm, at) = norm(at);
        LayerPlace {
            lines: at,
            qkv,
            output,
            norm: first_norm,
            up,
            down,
            last_norm,
        }
    }
}
