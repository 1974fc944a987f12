//! Recognises a BERT encoder by its structure, so that `engine::encoder` can run it: which tensors are its
//! weights, and how many heads and layers it has.
//!
//! It works backwards from the hidden states: a norm over a sum of a feed-forward network and its own
//! input, which is a norm over a sum of an attention's output and the layer's input, and so on down to the
//! embeddings. Whatever differs from BERT by an operator, an activation or a constant is not recognised.

use crate::engine::encoder::shape::Shape;
use crate::engine::encoder::weights::{Dense, Embeddings, LayerWeights, WeightSource};
use crate::engine::graph::attention::{self, Found};
use crate::engine::graph::bert_parts::{DenseFound, Norm, dense, gelu, norm, starts_at_zero};
use crate::engine::graph::edit::{self, Index};
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::{Model, Tensor, data_type};
use crate::engine::onnx::tensors;
use crate::error::Result as Fallible;
use std::collections::HashMap;

/// A recognised encoder.
#[derive(Debug)]
pub struct Bert<'g> {
    /// Its sizes, where all tokens have type 0.
    pub shape: Shape,
    /// The types of tokens that the graph tells apart; 1: it has no input for them.
    pub token_types_told: usize,
    words: &'g Tensor,
    positions: &'g Tensor,
    token_types: Option<&'g Tensor>,
    norm: [&'g Tensor; 2],
    layers: Vec<Layer<'g>>,
}

/// Weights and bias.
pub type Linear<'g> = [&'g Tensor; 2];

#[derive(Debug)]
struct Layer<'g> {
    qkv: [Linear<'g>; 3],
    output: Linear<'g>,
    norm: [&'g Tensor; 2],
    up: Linear<'g>,
    down: Linear<'g>,
    last_norm: [&'g Tensor; 2],
}

/// More layers are no BERT; it also ends a walk through a graph that is damaged.
const MOST_LAYERS: usize = 256;

/// Recognises the encoder whose hidden states are `hidden`.
///
/// # Errors
/// What was not found.
pub fn recognise<'g>(model: &'g Model, hidden: &'g str) -> Result<Bert<'g>, String> {
    if let Some(reason) = edit::refusal(model) {
        return Err(reason.to_owned());
    }
    let index = Index::new(model);
    let walk = Walk::new(&index);
    let mut layers = Vec::new();
    let mut value = index.alias(hidden);
    let (mut heads, mut epsilon) = (None, None);
    loop {
        let norm = norm(&index, value).ok_or_else(|| walk.at(layers.len(), "no layer norm"))?;
        if *epsilon.get_or_insert(norm.epsilon) != norm.epsilon {
            return Err(walk.at(layers.len(), "norms of different epsilons"));
        }
        if let Some(front) = walk.embeddings(norm.input) {
            let heads = heads.ok_or("it has no layers")?;
            layers.reverse();
            return walk.bert(front, [norm.gain, norm.bias], layers, heads, norm.epsilon);
        }
        let (layer, input, own_heads) = walk
            .layer(&norm)
            .map_err(|what| walk.at(layers.len(), what))?;
        if *heads.get_or_insert(own_heads) != own_heads || layers.len() == MOST_LAYERS {
            return Err(walk.at(layers.len(), "another number of heads than its neighbours"));
        }
        layers.push(layer);
        value = input;
    }
}

struct Walk<'a, 'g> {
    index: &'a Index<'g>,
    /// Attentions by the value that they give.
    attentions: HashMap<&'g str, Found<'g>>,
}

/// Tables of states.
struct Front<'g> {
    words: &'g Tensor,
    positions: &'g Tensor,
    token_types: Option<&'g Tensor>,
    /// Whether the graph's input says which token has which type.
    types_are_told: bool,
}

impl<'a, 'g> Walk<'a, 'g> {
    fn new(index: &'a Index<'g>) -> Self {
        let all = attention::all(index);
        let by_value = all
            .into_iter()
            .map(|found| (index.node(found.end).out(), found));
        Walk {
            index,
            attentions: by_value.collect(),
        }
    }

    /// Which layer, counted from the last, and what is wrong with it.
    fn at(&self, layer: usize, what: &str) -> String {
        format!(
            "the graph is not BERT's: {what} (layer {} from the end)",
            layer + 1
        )
    }

    /// The layer whose last norm this is, its input, and its heads.
    fn layer(&self, last: &Norm<'g>) -> Result<(Layer<'g>, &'g str, i64), &'static str> {
        let index = self.index;
        let (down, middle) = self
            .residual(last.input)
            .ok_or("no feed-forward network with a residual")?;
        let up_value =
            gelu(index, down.input).ok_or("its activation is not GELU with the error function")?;
        let up = dense(index, up_value).ok_or("no first product of a feed-forward network")?;
        if up.input != middle {
            return Err("its feed-forward network has another input than the residual");
        }
        let first = norm(index, middle).ok_or("no norm behind the attention")?;
        if first.epsilon != last.epsilon {
            return Err("norms of different epsilons");
        }
        let (output, input) = self
            .residual(first.input)
            .ok_or("no attention with a residual")?;
        let found = self
            .attentions
            .get(output.input)
            .ok_or("its attention is not BERT's")?;
        let part = |value: &'g str| dense(index, value).filter(|dense| dense.input == input);
        let parts = [found.query, found.key, found.value].map(part);
        let [Some(query), Some(key), Some(value)] = parts else {
            return Err("queries, keys or values are made in another way");
        };
        let size = query.linear[1].dims.iter().product::<i64>() / found.heads.max(1);
        let wanted = (size as f32).sqrt().recip();
        if (found.scale - wanted).abs() > wanted * 1e-4 {
            return Err("its attention has another scale than the root of a head's size");
        }
        let layer = Layer {
            qkv: [query.linear, key.linear, value.linear],
            output: output.linear,
            norm: [first.gain, first.bias],
            up: up.linear,
            down: down.linear,
            last_norm: [last.gain, last.bias],
        };
        Ok((layer, input, found.heads))
    }

    /// A sum of a product and something else.
    fn residual(&self, sum: &'g str) -> Option<(DenseFound<'g>, &'g str)> {
        let add = self.index.made_by(sum, "Add")?;
        let [a, b] = add.input.as_slice() else {
            return None;
        };
        let (a, b) = (self.index.alias(a), self.index.alias(b));
        match (dense(self.index, a), dense(self.index, b)) {
            (Some(dense), _) if dense.input != b => Some((dense, b)),
            (_, Some(dense)) => Some((dense, a)),
            _ => None,
        }
    }

    /// The tables whose rows are added up, if that is what this value is.
    fn embeddings(&self, sum: &'g str) -> Option<Front<'g>> {
        let mut parts = Vec::new();
        let mut todo = vec![sum];
        while let Some(value) = todo.pop() {
            match self.index.made_by(value, "Add") {
                Some(add) if parts.len() + todo.len() < 3 => {
                    todo.extend(add.input.iter().map(String::as_str))
                }
                Some(_) => return None,
                None => parts.push(value),
            }
        }
        let (mut words, mut positions, mut token_types) = (None, None, None);
        let mut types_are_told = false;
        for part in parts {
            let slot = match self.table(part)? {
                (table, Rows::Tokens) => words.replace(table),
                (table, Rows::Positions) => positions.replace(table),
                (table, Rows::FirstType) => token_types.replace(table),
                (table, Rows::TokenTypes) => {
                    types_are_told = true;
                    token_types.replace(table)
                }
            };
            if slot.is_some() {
                return None;
            }
        }
        Some(Front {
            words: words?,
            positions: positions?,
            token_types,
            types_are_told,
        })
    }

    /// A table, and what its rows are taken by.
    fn table(&self, value: &'g str) -> Option<(&'g Tensor, Rows)> {
        let index = self.index;
        if let Some(slice) = index.made_by(value, "Slice") {
            let (table, kind) = index.weight(slice.arg(0))?;
            let from_start = starts_at_zero(index, slice, 0);
            return (kind == data_type::FLOAT && from_start).then_some((table, Rows::Positions));
        }
        let gather = index.made_by(value, "Gather")?;
        let by_row = gather.int("axis").unwrap_or(0) == 0;
        let (table, kind) = index.weight(gather.arg(0)).filter(|_| by_row)?;
        let ids = index.alias(gather.input.get(1)?);
        let rows = match ids {
            "input_ids" => Rows::Tokens,
            "token_type_ids" => Rows::TokenTypes,
            _ => match index.integers(ids) {
                Some(zeros) if zeros.iter().all(|&id| id == 0) => Rows::FirstType,
                Some(_) => return None,
                None => {
                    let slice = index.made_by(ids, "Slice")?;
                    let all = index.integers(slice.arg(0))?;
                    let counted = all.iter().enumerate().all(|(i, &id)| id == i as i64);
                    (counted && starts_at_zero(index, slice, 1)).then_some(Rows::Positions)?
                }
            },
        };
        (kind == data_type::FLOAT).then_some((table, rows))
    }

    fn bert(
        &self,
        front: Front<'g>,
        norm: [&'g Tensor; 2],
        layers: Vec<Layer<'g>>,
        heads: i64,
        epsilon: f32,
    ) -> Result<Bert<'g>, String> {
        let size = |tensor: &Tensor, axis: usize| -> usize {
            tensor
                .dims
                .get(axis)
                .and_then(|&d| usize::try_from(d).ok())
                .unwrap_or(0)
        };
        let shape = Shape {
            vocabulary: size(front.words, 0),
            positions: size(front.positions, 0),
            hidden: size(front.words, 1),
            inner: layers.first().map_or(0, |layer| size(layer.up[0], 1)),
            heads: usize::try_from(heads).unwrap_or(0),
            layers: layers.len(),
            token_types: 1,
            epsilon,
        };
        shape.check()?;
        let table = front.token_types.filter(|_| front.types_are_told);
        Ok(Bert {
            shape,
            token_types_told: table.map_or(1, |table| size(table, 0)),
            words: front.words,
            positions: front.positions,
            token_types: front.token_types,
            norm,
            layers,
        })
    }
}

enum Rows {
    Tokens,
    Positions,
    TokenTypes,
    FirstType,
}

/// The weights of a recognised encoder, read from the graph's files.
pub struct GraphWeights<'g> {
    /// The graph.
    pub source: &'g OnnxGraph,
    /// Which tensors they are.
    pub bert: Bert<'g>,
}

impl GraphWeights<'_> {
    fn floats(&self, tensor: &Tensor) -> Fallible<Vec<f32>> {
        tensors::floats(tensor, &self.source.folder)
    }

    fn pair(&self, pair: [&Tensor; 2]) -> Fallible<[Vec<f32>; 2]> {
        Ok([self.floats(pair[0])?, self.floats(pair[1])?])
    }

    fn dense(&self, linear: Linear<'_>) -> Fallible<Dense> {
        let [weights, bias] = self.pair(linear)?;
        Ok(Dense { weights, bias })
    }
}

impl WeightSource for GraphWeights<'_> {
    fn embeddings(&self) -> Fallible<Embeddings> {
        let bert = &self.bert;
        let count = bert.shape.token_types * bert.shape.hidden;
        let mut token_types = match bert.token_types {
            Some(table) => self.floats(table)?,
            None => vec![0.0; count],
        };
        token_types.truncate(count);
        Ok(Embeddings {
            words: self.floats(bert.words)?,
            positions: self.floats(bert.positions)?,
            token_types,
            norm: self.pair(bert.norm)?,
        })
    }

    fn layer(&self, layer: usize) -> Fallible<LayerWeights> {
        let layer = &self.bert.layers[layer];
        let [query, key, value] = layer.qkv;
        Ok(LayerWeights {
            qkv: [self.dense(query)?, self.dense(key)?, self.dense(value)?],
            output: self.dense(layer.output)?,
            norm: self.pair(layer.norm)?,
            up: self.dense(layer.up)?,
            down: self.dense(layer.down)?,
            last_norm: self.pair(layer.last_norm)?,
        })
    }
}
