//! What can be used and what is in use: the rows of `bge_models`. Reads folders, loads nothing.

use super::config::ModelConfig;
use super::embedder::Embedder;
use super::find::{self, Source};
use super::pooling::Pooling;
use super::process::state;
use std::path::{Path, PathBuf};

/// One model. What a broken folder does not say is `None`.
#[derive(Clone, Debug)]
#[allow(missing_docs)]
pub struct Model {
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
pub fn models() -> Vec<Model> {
    let mut models: Vec<Model> = state()
        .registry
        .loaded()
        .iter()
        .map(|m| loaded(m))
        .collect();
    for name in find::available() {
        if models.iter().all(|model| model.name != name)
            && let Ok(source) = Source::named(&name)
        {
            models.push(on_disk(name, &source));
        }
    }
    models.sort_by(|a, b| a.name.cmp(&b.name));
    models
}

fn loaded(model: &Embedder) -> Model {
    Model {
        loaded: true,
        device: Some(model.device().got.name()),
        precision: Some(model.precision().name()),
        ..describe(
            model.name().to_owned(),
            &model.config().folder,
            Some(model.config()),
        )
    }
}

fn on_disk(name: String, source: &Source) -> Model {
    describe(
        name,
        &source.folder,
        ModelConfig::read(source).ok().as_ref(),
    )
}

fn describe(name: String, folder: &Path, config: Option<&ModelConfig>) -> Model {
    Model {
        name,
        source: folder.to_path_buf(),
        loaded: false,
        dims: config.map(|c| c.dims),
        max_length: config.map(|c| c.max_length),
        pooling: config.map(|c| c.pooling),
        device: None,
        precision: None,
        revision: revision(folder),
        bytes: config.and_then(|c| bytes(&c.onnx)),
    }
}

/// `scripts/get_model.py` leaves it in `.complete`; in the Hugging Face cache it is the folder's name.
fn revision(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(".complete")).ok();
    let marker: Option<serde_json::Value> = text.and_then(|text| serde_json::from_str(&text).ok());
    if let Some(revision) = marker.as_ref().and_then(|m| m["revision"].as_str()) {
        return Some(revision.to_owned());
    }
    let in_cache = folder.parent()?.file_name()? == "snapshots";
    in_cache.then(|| {
        folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    })
}

/// External data lies beside the graph, under names that begin with the graph's.
fn bytes(graph: &Path) -> Option<u64> {
    let stem = graph.file_name()?.to_string_lossy().into_owned();
    let entries = std::fs::read_dir(graph.parent()?).ok()?.flatten();
    let parts = entries.filter(|e| e.file_name().to_string_lossy().starts_with(&stem));
    Some(
        parts
            .filter_map(|e| std::fs::metadata(e.path()).ok())
            .map(|m| m.len())
            .sum(),
    )
}
