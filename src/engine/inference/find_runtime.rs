//! Where the runtime's library may be. Looks at paths and the environment, opens nothing.

use crate::engine::models::searched_path::{SearchedPath, set_path};
use crate::engine::process::own_library::own_dir;
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

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
pub fn runtime_places() -> Vec<SearchedPath> {
    if let Some(named) = set_path("BGE_ORT_LIB") {
        let path = std::path::absolute(&named).unwrap_or(named);
        return vec![SearchedPath::new(path, "$BGE_ORT_LIB")];
    }
    let mut places = Vec::new();
    if let Some(dir) = own_dir() {
        places.push(SearchedPath::new(
            dir.join(RUNTIME_FILE),
            "beside the extension",
        ));
        let capi = dir.join("../onnxruntime/capi");
        let wheel = versioned_runtime(&capi).unwrap_or_else(|| capi.join(RUNTIME_FILE));
        places.push(SearchedPath::new(
            wheel,
            "the onnxruntime wheel beside our own",
        ));
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
