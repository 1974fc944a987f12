//! How a model is to be loaded. Every field left at its default asks for the model's own value.

use super::pooling::Pooling;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Threads of one inference; default: the cores this process may use.
    pub threads: Option<usize>,
    /// How vectors are pooled; default: what the model's folder says.
    pub pooling: Option<Pooling>,
}
