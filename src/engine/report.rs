//! The doctor behind `bge_info`: what was looked for, what was found, what is loaded. As JSON.
//!
//! It reads state and looks at paths; it loads nothing.

use super::embedder::Embedder;
use super::find::{self, Place};
use super::process::{lock, state};
use super::{registry, runtime};
use crate::{COMMIT, VERSION};
use serde_json::{Value, json};

/// Everything, seen from the model of this name.
pub fn report(model: &str) -> Value {
    let loaded = state().registry.loaded();
    json!({
        "version": VERSION,
        "commit": COMMIT,
        "library": find::own_dir(),
        "runtime": runtime_report(),
        "default_model": registry::default_model_name(),
        "model": model_report(model),
        "loaded": loaded.iter().map(|m| loaded_report(m)).collect::<Vec<_>>(),
        "last_load_error": state().registry.last_failure().map(|e| e.to_string()),
    })
}

fn runtime_report() -> Value {
    let started = runtime::started();
    json!({
        "started": started.is_some(),
        "path": started.map(|r| &r.path),
        "version": started.map(|r| &r.version),
        "telemetry": started.map(|_| "off"),
        "looked_at": places(&find::runtime_places()),
        "last_message": *lock(&state().runtime_message),
    })
}

fn model_report(name: &str) -> Value {
    json!({
        "name": name,
        "looked_at": places(&find::model_places(name)),
    })
}

fn loaded_report(model: &Embedder) -> Value {
    let config = model.config();
    let cache = model.cache().counters();
    json!({
        "name": model.name(),
        "folder": config.folder,
        "graph": config.onnx,
        "dims": config.dims,
        "max_length": config.max_length,
        "pooling": config.pooling,
        "query_instruction": config.query_instruction,
        "device": { "asked": "cpu", "got": "cpu" },
        "threads": model.threads(),
        "inferences": model.inferences(),
        "cache": {
            "hits": cache.hits,
            "misses": cache.misses,
            "entries": cache.entries,
            "bytes": cache.bytes,
            "capacity_bytes": cache.capacity,
        },
    })
}

fn places(places: &[Place]) -> Vec<Value> {
    let place = |p: &Place| json!({ "path": p.path, "rule": p.rule, "found": p.found });
    places.iter().map(place).collect()
}
