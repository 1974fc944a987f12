//! Where models and the runtime may be. Looks at paths and the environment, opens nothing.
//!
//! Every place that was looked at is reported, found or not: error messages and `bge_info` are
//! made of the same lists. The host's working directory is never searched.

use super::{catalog, native};
use crate::error::{Error, Result};
use std::env;
use std::path::{Path, PathBuf};

/// One place that was looked at.
#[derive(Clone, Debug)]
pub struct Place {
    /// What was looked for.
    pub path: PathBuf,
    /// Why there: the variable or rule that names the place.
    pub rule: &'static str,
    /// Whether it is there.
    pub found: bool,
}

impl Place {
    fn new(path: PathBuf, rule: &'static str) -> Self {
        let found = path.exists();
        Place { path, rule, found }
    }
}

/// The longest name that a file system takes.
const MAX_NAME: usize = 255;

/// A model's name is letters, digits, `.`, `_` and `-`, does not start with `.` and has no `..`.
/// It is never a path: SQL from a database must not make us open files of its choice.
///
/// # Errors
/// Any other name.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.len() > MAX_NAME {
        return Err(Error::invalid(format!(
            "no model name has {} bytes as this one does: expected at most {MAX_NAME} letters, digits, '.', '_' and '-'",
            name.len()
        )));
    }
    if !name.is_empty() && name.chars().all(plain) && !name.starts_with('.') && !name.contains("..")
    {
        return Ok(());
    }
    let shown: String = name.chars().take(40).collect();
    Err(Error::invalid(format!(
        "'{}' is not a model name: expected letters, digits, '.', '_' and '-' such as \
         'bge-small-en-v1.5'; a folder of that name is looked for in models/ beside the extension \
         and in $BGE_MODELS",
        shown.escape_debug()
    )))
}

/// Where one model is.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// The graph, where a file was named; else the folder's usual one.
    pub graph: Option<PathBuf>,
    /// The name by which the catalogue may know it.
    pub model: String,
}

impl Source {
    /// The model of a name.
    ///
    /// # Errors
    /// As [`model`].
    pub fn named(name: &str) -> Result<Self> {
        Ok(Source {
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
        Source {
            folder,
            graph: None,
            model,
        }
    }

    /// What a user names: a model folder, an `.onnx` file in one (or in its `onnx/`), or the name of
    /// a model.
    ///
    /// # Errors
    /// None of these.
    pub fn parse(text: &str) -> Result<Self> {
        let path = Path::new(text);
        if path.is_dir() && (text.contains(['/', '\\']) || model(text).is_err()) {
            return Ok(Self::folder(path));
        }
        if path.is_file() && path.extension().is_some_and(|e| e == "onnx") {
            return Ok(Self::graph(path));
        }
        if check_name(text).is_ok() {
            return Self::named(text);
        }
        let shown: String = text.chars().take(200).collect();
        Err(Error::invalid(format!(
            "'{}' is neither a model folder nor an .onnx file in one, nor a model's name",
            shown.escape_debug()
        )))
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
        Source {
            graph: Some(graph.clone()),
            ..Self::folder(folder)
        }
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
        format!("get it with: scripts/get_model.py {name} --into models")
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
pub fn model_places(name: &str) -> Vec<Place> {
    let root_places = model_roots()
        .into_iter()
        .map(|(root, rule)| Place::new(root.join(name), rule));
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
        .filter(|entry| entry.path().join("config.json").is_file())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| check_name(name).is_ok())
        .collect();
    let cached = |entry: &&catalog::Entry| hub_places(&entry.name).iter().any(|place| place.found);
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
fn hub_places(name: &str) -> Vec<Place> {
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
    let snapshot = |repo: String| {
        let folder = cache.join(format!("models--{}", repo.replace('/', "--")));
        let revision = std::fs::read_to_string(folder.join("refs/main")).unwrap_or_default();
        let rule = "the Hugging Face cache";
        match revision.trim() {
            "" => Place {
                path: folder,
                rule,
                found: false,
            },
            revision => {
                // Other tools leave snapshots without a graph there: not a model for us.
                let path = folder.join("snapshots").join(revision);
                let found = ["onnx/model.onnx", "model.onnx"]
                    .iter()
                    .any(|graph| path.join(graph).is_file());
                Place { path, rule, found }
            }
        }
    };
    repos.into_iter().map(snapshot).collect()
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

/// The runtime's library: the first place that is there, by its absolute path. `None` leaves it to
/// the system's loader.
///
/// # Errors
/// `$BGE_ORT_LIB` names something that is not there: what a user names is not silently replaced.
pub fn runtime() -> Result<Option<PathBuf>> {
    let places = runtime_places();
    if let Some(named) = places.iter().find(|p| p.rule == "$BGE_ORT_LIB" && !p.found) {
        return Err(Error::invalid(format!(
            "$BGE_ORT_LIB is {}, which does not exist; expected the path of {RUNTIME_FILE}",
            named.path.display()
        )));
    }
    Ok(places
        .into_iter()
        .find(|place| place.found)
        .map(|place| place.path))
}

/// Every file that is looked at for the runtime before the system's loader is asked.
pub fn runtime_places() -> Vec<Place> {
    if let Some(named) = set_path("BGE_ORT_LIB") {
        let path = std::path::absolute(&named).unwrap_or(named);
        return vec![Place::new(path, "$BGE_ORT_LIB")];
    }
    let mut places = Vec::new();
    if let Some(dir) = own_dir() {
        places.push(Place::new(dir.join(RUNTIME_FILE), "beside the extension"));
        let capi = dir.join("../onnxruntime/capi");
        let wheel = versioned_runtime(&capi).unwrap_or_else(|| capi.join(RUNTIME_FILE));
        places.push(Place::new(wheel, "the onnxruntime wheel beside our own"));
    }
    places
}

/// The runtime's file name.
pub const RUNTIME_FILE: &str = if cfg!(target_os = "macos") {
    "libonnxruntime.dylib"
} else if cfg!(windows) {
    "onnxruntime.dll"
} else {
    "libonnxruntime.so"
};

/// The wheel keeps the version in the file's name.
fn versioned_runtime(folder: &Path) -> Option<PathBuf> {
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libonnxruntime.") || name == "onnxruntime.dll"
        })
        .collect();
    names.sort();
    names.pop()
}

/// The folder this library is in.
pub fn own_dir() -> Option<PathBuf> {
    Some(native::own_path()?.parent()?.to_path_buf())
}

/// Places as one line for an error message.
pub fn list(places: &[Place]) -> String {
    let line = |p: &Place| format!("{} ({})", p.path.display(), p.rule);
    places.iter().map(line).collect::<Vec<_>>().join(", ")
}

fn user_dir(variable: &str, below_home: &str) -> Option<PathBuf> {
    set_path(variable)
        .filter(|path| path.is_absolute())
        .or_else(|| Some(set_path("HOME")?.join(below_home)))
}

fn set_path(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|v| !v.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_never_paths() {
        for good in ["bge-small-en-v1.5", "a", "My_model.2"] {
            check_name(good).unwrap();
        }
        for bad in [
            "", ".", "..", ".hidden", "a/b", "../x", "a\\b", "a..b", "/etc", "ü", "a b", "a\0",
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_missing_model_lists_places_and_the_way_out() {
        let known = model("bge-large-zh").unwrap_err().to_string();
        assert!(
            known.contains("scripts/get_model.py bge-large-zh"),
            "{known}"
        );
        let unknown = model("no-such-model").unwrap_err().to_string();
        assert!(unknown.contains("bge-small-en-v1.5"), "{unknown}");
    }
}
