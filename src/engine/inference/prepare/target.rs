//! What is to be loaded, and how.

use crate::engine::inference::loaded_graph::Settings;
use crate::engine::models::files::ModelFiles;
use crate::engine::models::options::Options;
use crate::engine::stop::Stop;

/// See the module.
#[derive(Clone)]
pub struct Target<'a> {
    /// The model.
    pub files: &'a ModelFiles,
    /// What the user wants.
    pub options: &'a Options,
    /// How graphs are loaded.
    pub settings: Settings,
    /// Ids of the texts on which graphs are compared.
    pub probe: Vec<&'a [i64]>,
    /// Asked before each graph is loaded.
    pub stop: &'a (dyn Stop + Sync),
}
