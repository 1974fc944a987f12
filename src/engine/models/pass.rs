//! The passes over a model's graph, by name. What they do is in [`crate::engine::graph`].

use serde::{Deserialize, Serialize};

/// A pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pass {
    /// See [`crate::engine::graph::attention`].
    Attention,
    /// See [`crate::engine::graph::last_layer`].
    LastLayer,
    /// See [`crate::engine::graph::pool`].
    Pool,
    /// See [`crate::engine::graph::int8`].
    Int8,
    /// See [`crate::engine::graph::fp16`].
    Fp16,
}

impl Pass {
    /// Those that can be switched by name; they change no vector beyond rounding.
    pub const SWITCHED: [Pass; 3] = [Pass::Attention, Pass::LastLayer, Pass::Pool];

    /// The order in which they are applied. Pooling comes last: it stays in single precision.
    pub const ORDER: [Pass; 5] = [
        Pass::Attention,
        Pass::LastLayer,
        Pass::Int8,
        Pass::Fp16,
        Pass::Pool,
    ];

    /// As it is written in options.
    pub fn name(self) -> &'static str {
        match self {
            Pass::Attention => "attention",
            Pass::LastLayer => "last_layer",
            Pass::Pool => "pool",
            Pass::Int8 => "int8",
            Pass::Fp16 => "fp16",
        }
    }
}

/// What became of a pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PassReport {
    /// Which.
    pub pass: Pass,
    /// Why it is off; `None`: it is on.
    pub off: Option<String>,
}
