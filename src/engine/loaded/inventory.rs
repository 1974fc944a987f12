//! What can be used and what is in use: the rows of `bge_models`. Reads folders, loads nothing.

use crate::engine::embedding::embedder::Embedder;
use crate::engine::loaded::model::LoadedModel;
use crate::engine::loaded::registry;
use crate::engine::models::config::ModelConfig;
use crate::engine::models::files;
use crate::engine::models::find::{self, ModelLocation};
use crate::engine::models::kind::ModelKind;
use crate::engine::models::pooling::Pooling;
use crate::engine::reranking::reranker::Reranker;
use crate::engine::text::pairs::USUAL_LENGTH;
use std::path::{Path, PathBuf};

/// One model. What a broken folder does not say is `None`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct ListedModel {
    pub name: String,
    pub source: PathBuf,
    pub loaded: bool,
    pub dims: Option<usize>,
    pub max_length: Option<usize>,
    pub pooling: Option<Pooling>,
    /// Where it runs; only of a loaded one.
    pub device: Option<String>,
    /// What its graph computes in; only of a loaded one.
    pub precision: Option<&'static str>,
    /// The revision it was fetched at, where the folder says so.
    pub revision: Option<String>,
    /// The graph's file, with its external data.
    pub bytes: Option<u64>,
    /// What it is for.
    pub kind: Option<ModelKind>,
}

/// Every model that is loaded or could be, by name.
pub fn models() -> Vec<ListedModel> {
    let of = |model: &LoadedModel| match model {
        LoadedModel::Embedding(model) => loaded(model),
        LoadedModel::Reranking(model) => loaded_reranker(model),
    };
    let mut models: Vec<ListedModel> = registry::loaded().iter().map(of).collect();
    for name in find::available() {
        if models.iter().all(|model| model.name != name)
            && let Ok(location) = ModelLocation::named(&name)
        {
            models.push(on_disk(name, &location));
        }
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models
}

fn loaded(model: &Embedder) -> ListedModel {
    let config = model.config();
    ListedModel {
        loaded: true,
        kind: Some(ModelKind::Embedding),
        dims: Some(config.dims),
        max_length: Some(config.max_length),
        pooling: Some(config.pooling),
        device: Some(model.device().got.name()),
        precision: Some(model.precision().name()),
        bytes: Some(model.weight_bytes()),
        ..in_folder(model.name().to_owned(), model.folder())
    }
}

fn loaded_reranker(model: &Reranker) -> ListedModel {
    ListedModel {
        loaded: true,
        kind: Some(ModelKind::Reranking),
        max_length: Some(model.max_length()),
        device: Some(model.device().got.name()),
        precision: Some(model.precision().name()),
        bytes: Some(model.weight_bytes()),
        ..in_folder(model.name().to_owned(), model.folder())
    }
}

fn on_disk(name: String, location: &ModelLocation) -> ListedModel {
    let kind = ModelKind::read(&location.folder).ok();
    let config = ModelConfig::read(&location.folder, &location.model).ok();
    let files = location.files().ok();
    let mut listed = ListedModel {
        kind,
        max_length: config.as_ref().map(|c| c.max_length),
        bytes: files.map(|files| files.bytes()),
        ..in_folder(name, &location.folder)
    };
    if kind == Some(ModelKind::Reranking) {
        listed.max_length = listed.max_length.map(|most| most.min(USUAL_LENGTH));
    } else {
        listed.dims = config.as_ref().map(|c| c.dims);
        listed.pooling = config.as_ref().map(|c| c.pooling);
    }
    listed
}

/// What the folder itself says.
fn in_folder(name: String, folder: &Path) -> ListedModel {
    ListedModel {
        name,
        source: folder.to_path_buf(),
        loaded: false,
        dims: None,
        max_length: None,
        pooling: None,
        device: None,
        precision: None,
        revision: files::revision(folder),
        bytes: None,
        kind: None,
    }
}
