//! A loaded model of either kind.

use crate::engine::embedding::embedder::{Embedder, SharedEmbedder};
use crate::engine::models::find::ModelLocation;
use crate::engine::models::kind::ModelKind;
use crate::engine::models::options::Options;
use crate::engine::reranking::reranker::{Reranker, SharedReranker};
use crate::engine::stop::Stop;
use crate::error::{Error, Result};
use std::sync::Arc;

/// A loaded model, shared.
#[derive(Clone)]
pub enum LoadedModel {
    /// Makes vectors.
    Embedding(SharedEmbedder),
    /// Scores pairs.
    Reranking(SharedReranker),
}

impl LoadedModel {
    /// Loads the model of a folder, whatever it is for.
    ///
    /// # Errors
    /// As [`Embedder::load`] and [`Reranker::load`].
    pub fn load(
        name: &str,
        location: &ModelLocation,
        options: &Options,
        stop: &(dyn Stop + Sync),
    ) -> Result<Self> {
        let kind = ModelKind::read(&location.folder)
            .map_err(|e: Error| e.at(format_args!("model '{name}'")))?;
        match kind {
            ModelKind::Embedding => Embedder::load(name, location, options, stop)
                .map(|model| LoadedModel::Embedding(Arc::new(model))),
            ModelKind::Reranking => Reranker::load(name, location, options, stop)
                .map(|model| LoadedModel::Reranking(Arc::new(model))),
        }
    }

    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        match self {
            LoadedModel::Embedding(model) => model.name(),
            LoadedModel::Reranking(model) => model.name(),
        }
    }

    /// What it is for.
    pub fn kind(&self) -> ModelKind {
        match self {
            LoadedModel::Embedding(_) => ModelKind::Embedding,
            LoadedModel::Reranking(_) => ModelKind::Reranking,
        }
    }

    /// The embedding model.
    ///
    /// # Errors
    /// It is a reranker.
    pub fn embedder(self) -> Result<SharedEmbedder> {
        match self {
            LoadedModel::Embedding(model) => Ok(model),
            LoadedModel::Reranking(model) => Err(ModelKind::Embedding.refusal(model.name())),
        }
    }

    /// The reranker.
    ///
    /// # Errors
    /// It is an embedding model.
    pub fn reranker(self) -> Result<SharedReranker> {
        match self {
            LoadedModel::Reranking(model) => Ok(model),
            LoadedModel::Embedding(model) => Err(ModelKind::Reranking.refusal(model.name())),
        }
    }
}
