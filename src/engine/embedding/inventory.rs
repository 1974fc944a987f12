//! What can be used and what is in use: the rows of `bge_models`. Reads folders, loads nothing.

use crate::engine::embedding::embedder::Embedder;
use crate::engine::embedding::registry;
use crate::engine::models::config::ModelConfig;
use crate::engine::models::files;
use crate::engine::models::find::{self, ModelLocation};
use crate::engine::models::pooling::Pooling;
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
}

/// Every model that is loaded or could be, by name.
pub fn models() -> Vec<ListedModel> {
    let mut models: Vec<ListedModel> = registry::loaded().iter().map(|m| loaded(m)).collect();
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
    ListedModel {
        loaded: true,
        device: Some(model.device().got.name()),
        precision: Some(model.precision().name()),
        bytes: Some(model.weight_bytes()),
        ..describe(
            model.name().to_owned(),
            model.folder(),
            Some(model.config()),
        )
    }
}

fn on_disk(name: String, location: &ModelLocation) -> ListedModel {
    let config = ModelConfig::read(&location.folder, &location.model).ok();
    let files = location.files().ok();
    ListedModel {
        bytes: files.map(|files| files.bytes()),
        ..describe(name, &location.folder, config.as_ref())
    }
}

fn describe(name: String, folder: &Path, config: Option<&ModelConfig>) -> ListedModel {
    ListedModel {
        name,
        source: folder.to_path_buf(),
        loaded: false,
        dims: config.map(|c| c.dims),
        max_length: config.map(|c| c.max_length),
        pooling: config.map(|c| c.pooling),
        device: None,
        precision: None,
        revision: files::revision(folder),
        bytes: None,
    }
}
