//! What is run: an encoder's sizes, what it gives, and its packed weights.

use crate::engine::encoder::format::Format;
use crate::engine::encoder::line::{Line, floats};
use crate::engine::encoder::norm::Norm;
use crate::engine::encoder::shape::{Layout, Shape};
use crate::engine::encoder::store::Store;
use crate::engine::models::pooling::Pooling;
use crate::error::{Error, Result};
use std::ops::Range;

/// What an encoder gives for a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// An L2-normalised vector, pooled like this.
    Vector(Pooling),
    /// The state of its first token, as it is.
    FirstState,
}

impl Output {
    /// Whether the last layer is needed for the first tokens alone.
    pub fn is_of_first_token(self) -> bool {
        self != Output::Vector(Pooling::Mean)
    }
}

/// A BERT encoder's sizes and weights.
pub struct Network {
    /// Its sizes.
    pub shape: Shape,
    /// What its products are computed in.
    pub format: Format,
    /// What comes out.
    pub output: Output,
    /// Where its weights are.
    pub layout: Layout,
    store: Store,
}

impl Network {
    /// A network over a store that was packed for this shape and format.
    ///
    /// # Errors
    /// A shape that the kernels cannot run, a store of another size.
    pub fn new(shape: Shape, format: Format, output: Output, store: Store) -> Result<Self> {
        shape.check().map_err(Error::invalid)?;
        let layout = Layout::of(&shape, format);
        if layout.lines != store.lines().len() {
            return Err(Error::invalid(format!(
                "the packed weights have {} lines, expected {}",
                store.lines().len(),
                layout.lines
            )));
        }
        Ok(Network {
            shape,
            format,
            output,
            layout,
            store,
        })
    }

    /// All lines.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Lines of a layer.
    pub fn layer(&self, layer: usize) -> &[Line] {
        &self.store.lines()[self.layout.layer(layer)]
    }

    /// A row of the states of tokens or positions.
    pub fn state(&self, table: &Range<usize>, row: usize) -> &[f32] {
        &floats(&self.store.lines()[table.clone()])[row * self.shape.hidden..][..self.shape.hidden]
    }

    /// A norm within some lines.
    pub fn norm<'s>(&self, lines: &'s [Line], place: &[Range<usize>; 2]) -> Norm<'s> {
        let part = |place: &Range<usize>| &floats(&lines[place.clone()])[..self.shape.hidden];
        Norm {
            gain: part(&place[0]),
            bias: part(&place[1]),
            epsilon: self.shape.epsilon,
        }
    }

    /// The norm of the embeddings.
    pub fn first_norm(&self) -> Norm<'_> {
        self.norm(self.store.lines(), &self.layout.norm)
    }
}
