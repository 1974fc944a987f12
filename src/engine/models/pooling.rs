//! The ways of pooling, by name: how a text's hidden states become its vector.

use serde::{Deserialize, Serialize};

/// How hidden states become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The hidden state of the first token, `[CLS]`.
    Cls,
    /// The mean over all tokens of the text, specials included, padding left out.
    Mean,
}

impl Pooling {
    /// As it is written in options.
    pub fn name(self) -> &'static str {
        match self {
            Pooling::Cls => "cls",
            Pooling::Mean => "mean",
        }
    }
}

/// Below this the norm of a pooled vector counts as this: as FlagEmbedding does it.
pub const SMALLEST_NORM: f32 = 1e-12;
