//! Which models SQL may have: any that can be found by name; on a connection that only reads, those
//! that a stranger's SQL cannot make the process load one after the other.

use super::ffi::{Access, Host};
use crate::engine::process::lock::lock;
use crate::engine::process::per_process::PerProcess;
use crate::engine::{self, LoadedModel, SharedEmbedder, SharedReranker, check_name};
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// How many models the indexes that read-only connections search may make one process load, beside
/// the default model and those that the program has loaded itself.
const MOST_OF_INDEXES: usize = 8;

/// The names of those models.
static OF_INDEXES: PerProcess<Mutex<BTreeSet<String>>> = PerProcess::new(Mutex::default);

/// The embedding model that a call names; `None` is the default model.
///
/// # Errors
/// As [`engine::model_unless`]; on a read-only connection, another than the default model that is not
/// loaded.
pub fn named(name: Option<&str>, host: &Host<'_>) -> Result<SharedEmbedder> {
    let default = engine::default_model_name();
    let name = name.unwrap_or(&default);
    match only_loaded(name, &default, host)? {
        Some(model) => model.embedder(),
        None => engine::model_unless(name, host.interrupts),
    }
}

/// The reranker that a call names; `None` is the default one.
///
/// # Errors
/// As [`named`].
pub fn reranker(name: Option<&str>, host: &Host<'_>) -> Result<SharedReranker> {
    let default = engine::default_reranker_name();
    let name = name.unwrap_or(&default);
    match only_loaded(name, &default, host)? {
        Some(model) => model.reranker(),
        None => engine::reranker_unless(name, host.interrupts),
    }
}

/// The model of this name, where the connection may not have any be loaded; `None`: it may.
fn only_loaded(name: &str, default: &str, host: &Host<'_>) -> Result<Option<LoadedModel>> {
    if host.access == Access::Full || name == default {
        return Ok(None);
    }
    check_name(name)?;
    engine::loaded_model(name).map(Some).ok_or_else(|| {
        Error::invalid(format!(
            "model '{name}' is not loaded, and this connection has loaded sqlite-bge read-only: it has \
             the default model ('{default}'), the models of the indexes it has searched, and those \
             that the program has loaded"
        ))
    })
}

/// The model of an index.
///
/// # Errors
/// As [`engine::model_unless`]; on a read-only connection, one model more than
/// indexes may make the process load.
pub fn of_index(name: &str, host: &Host<'_>) -> Result<SharedEmbedder> {
    let free = host.access == Access::Full || name == engine::default_model_name();
    if free {
        return engine::model_unless(name, host.interrupts);
    }
    if let Some(model) = engine::loaded_model(name) {
        return model.embedder();
    }
    check_name(name)?;
    let is_new = count(name)?;
    let found = engine::model_unless(name, host.interrupts);
    if found.is_err() && is_new {
        lock(OF_INDEXES.get()).remove(name);
    }
    found
}

/// Counts a model among those of indexes; whether it is a new one.
fn count(name: &str) -> Result<bool> {
    let mut names = lock(OF_INDEXES.get());
    if !names.contains(name) && names.len() >= MOST_OF_INDEXES {
        return Err(Error::invalid(format!(
            "model '{name}' is not loaded, and indexes that were searched read-only have made this \
             process load {MOST_OF_INDEXES} models already; the program itself may load more"
        )));
    }
    Ok(names.insert(name.to_owned()))
}
