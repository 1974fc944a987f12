//! Where models may be. Looks at paths and the environment, opens nothing.
//!
//! Every place that was looked at is reported, found or not: error messages and `bge_info` are
//! made of the same lists. The host's working directory is never searched.

use crate::engine::models::catalog;
use crate::engine::models::files::{self, ModelFiles};
use crate::engine::models::install;
use crate::engine::models::name::check_name;
use crate::engine::models::searched_path::{SearchedPath, list, set_path, user_dir};
use crate::engine::process::own_library::own_dir;
use crate::error::{Error, Result};
use std::env;
use std::path::{Path, PathBuf};

/// Where one model is.
#[derive(Clone, Debug)]
pub struct ModelLocation {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// The graph, where a file was named; else the folder's usual one.
    pub graph: Option<PathBuf>,
    /// The name by which the catalogue may know it.
    pub model: String,
}

impl ModelLocation {
    /// The model of a name.
    ///
    /// # Errors
    /// As [`model`].
    pub fn named(name: &str) -> Result<Self> {
        Ok(ModelLocation {
            folder: model(name)?,
            graph: None,
            model: name.to_owned(),
        })
    }

    /// A folder, known to the catalogue by the folder's own name if at all.
    pub fn folder(path: &Path) -> Self {
        let folder = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let model = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        ModelLocation {
            folder,
            graph: None,
            model,
        }
    }

    /// What a user names: the path of a model folder or of an `.onnx` file in one (or in its `onnx/`), or
    /// the name of a model. Only what looks like a path is one: it is absolute, contains a separator, or
    /// starts with `.` or `~` (the user's home folder). A plain word is never looked for in the working
    /// directory, which is the host's business.
    ///
    /// # Errors
    /// None of these.
    pub fn parse(text: &str) -> Result<Self> {
        if !looks_like_path(text) {
            return Self::named(text).map_err(|e| {
                let shown: String = text.chars().take(80).collect();
                Error::invalid(format!(
                    "{e}; a path is written with a separator, such as './{}'",
                    shown.escape_debug()
                ))
            });
        }
        let path = at_home(text);
        if path.is_dir() {
            return Ok(Self::folder(&path));
        }
        if path.is_file() && path.extension().is_some_and(|e| e == "onnx") {
            return Ok(Self::graph(&path));
        }
        let shown: String = text.chars().take(200).collect();
        let what = if path.exists() {
            "is there, but is neither a model folder nor an .onnx file in one"
        } else {
            "does not exist; expected a model folder or an .onnx file in one, or a model's name"
        };
        Err(Error::invalid(format!("'{}' {what}", shown.escape_debug())))
    }

    /// The files there.
    ///
    /// # Errors
    /// As [`ModelFiles::of`].
    pub fn files(&self) -> Result<ModelFiles> {
        ModelFiles::of(&self.folder, self.graph.as_deref())
    }

    fn graph(path: &Path) -> Self {
        let graph = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        let parent = graph.parent().unwrap_or(&graph);
        let is_onnx = parent.file_name().is_some_and(|name| name == "onnx");
        let folder = if is_onnx {
            parent.parent().unwrap_or(parent)
        } else {
            parent
        };
        ModelLocation {
            graph: Some(graph.clone()),
            ..Self::folder(folder)
        }
    }
}

fn looks_like_path(text: &str) -> bool {
    text.starts_with(['.', '~'])
        || text.contains(std::path::is_separator)
        || Path::new(text).is_absolute()
}

/// The path, from the user's home folder where it starts with `~`.
fn at_home(text: &str) -> PathBuf {
    let below = text
        .strip_prefix('~')
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match (below, set_path("HOME")) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
        _ => PathBuf::from(text),
    }
}

/// The folder of a model.
///
/// # Errors
/// A bad name, or no folder of that name in any place; lists the places.
pub fn model(name: &str) -> Result<PathBuf> {
    check_name(name)?;
    let places = model_places(name);
    if let Some(place) = places.iter().find(|place| place.found) {
        return Ok(place.path.clone());
    }
    let known = if catalog::get(name).is_some() {
        install::way_to_model(name)
    } else {
        let names: Vec<&str> = catalog::all().iter().map(|e| e.name.as_str()).collect();
        format!("the names known to the catalogue are {}", names.join(", "))
    };
    Err(Error::invalid(format!(
        "no model '{name}' found; looked at {}; {known}",
        list(&places)
    )))
}

/// Every folder where the model of this (valid) name may be, best first.
pub fn model_places(name: &str) -> Vec<SearchedPath> {
    let root_places = model_roots()
        .into_iter()
        .map(|(root, rule)| SearchedPath::new(root.join(name), rule));
    root_places.chain(hub_places(name)).collect()
}

/// The folders that hold model folders, best first.
fn model_roots() -> Vec<(PathBuf, &'static str)> {
    let mut roots = Vec::new();
    if let Some(paths) = env::var_os("BGE_MODELS") {
        let named = env::split_paths(&paths).filter(|p| !p.as_os_str().is_empty());
        roots.extend(named.map(|root| (root, "$BGE_MODELS")));
    }
    if let Some(dir) = own_dir() {
        roots.push((dir.join("models"), "beside the extension"));
    }
    if let Some(data) = user_dir("XDG_DATA_HOME", ".local/share") {
        roots.push((data.join("bge/models"), "the user's data folder"));
    }
    roots
}

/// The names of all models that are there, sorted: folders with a `config.json`, and the
/// catalogue's models in the Hugging Face cache.
pub fn available() -> Vec<String> {
    let entries = |(root, _): (PathBuf, _)| std::fs::read_dir(root).into_iter().flatten().flatten();
    let folders = model_roots().into_iter().flat_map(entries);
    let mut names: Vec<String> = folders
        .filter(|entry| files::is_model_folder(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| check_name(name).is_ok())
        .collect();
    let cached =
        |entry: &&catalog::KnownModel| hub_places(&entry.name).iter().any(|place| place.found);
    names.extend(
        catalog::all()
            .iter()
            .filter(cached)
            .map(|entry| entry.name.clone()),
    );
    names.sort();
    names.dedup();
    names
}

/// Snapshots of the Hugging Face cache, in the layout of `huggingface_hub`:
/// `models--OWNER--NAME/refs/main` names the revision, `snapshots/REVISION` holds the files.
fn hub_places(name: &str) -> Vec<SearchedPath> {
    let Some(cache) = hub_cache() else {
        return Vec::new();
    };
    // The catalogue's repository is the one that has an ONNX file.
    let mut repos: Vec<String> = catalog::get(name)
        .map(|entry| entry.hub.clone())
        .into_iter()
        .collect();
    let own = format!("BAAI/{name}");
    if !repos.contains(&own) {
        repos.push(own);
    }
    let snapshots = |repo: String| {
        let folder = cache.join(format!("models--{}", repo.replace('/', "--")));
        let named = std::fs::read_to_string(folder.join("refs/main")).unwrap_or_default();
        let mut revisions = vec![named.trim().to_owned()];
        // Who fetches a revision by its hash leaves no name for it.
        let pinned = catalog::get(name).filter(|entry| entry.hub == repo);
        revisions.extend(pinned.map(|entry| entry.revision.clone()));
        let mut places: Vec<SearchedPath> = revisions
            .iter()
            .filter(|revision| check_name(revision).is_ok())
            .map(|revision| folder.join("snapshots").join(revision))
            .filter(|snapshot| snapshot.is_dir())
            .map(snapshot_place)
            .collect();
        if places.is_empty() {
            places.push(SearchedPath::new(folder.join("snapshots"), HUB));
            places[0].found = false;
        }
        places
    };
    repos.into_iter().flat_map(snapshots).collect()
}

const HUB: &str = "the Hugging Face cache";

/// Other tools leave snapshots without a graph there: not a model for us.
fn snapshot_place(snapshot: PathBuf) -> SearchedPath {
    let lacks = files::lacking(&snapshot);
    SearchedPath {
        found: lacks.is_none(),
        lacks,
        ..SearchedPath::new(snapshot, HUB)
    }
}

fn hub_cache() -> Option<PathBuf> {
    if let Some(cache) = set_path("HF_HUB_CACHE") {
        return Some(cache);
    }
    if let Some(home) = set_path("HF_HOME") {
        return Some(home.join("hub"));
    }
    Some(user_dir("XDG_CACHE_HOME", ".cache")?.join("huggingface/hub"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_model_lists_places_and_the_way_out() {
        let known = model("bge-large-zh").unwrap_err().to_string();
        assert!(known.contains("make model MODEL=bge-large-zh"), "{known}");
        let unknown = model("no-such-model").unwrap_err().to_string();
        assert!(unknown.contains("bge-small-en-v1.5"), "{unknown}");
    }
}
