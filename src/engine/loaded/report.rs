//! The doctor behind `bge_info`: what was looked for, what was found, what is loaded. As JSON.
//!
//! It reads state and looks at paths; it loads nothing.

use crate::engine::embedding::embedder::{Embedder, Running};
use crate::engine::inference::{find_runtime, prepare, runtime};
use crate::engine::loaded::model::LoadedModel;
use crate::engine::loaded::registry;
use crate::engine::models::find;
use crate::engine::models::searched_path::SearchedPath;
use crate::engine::process::own_library::own_dir;
use crate::engine::reranking::reranker::Reranker;
use crate::{COMMIT, VERSION};
use serde_json::{Value, json};
use std::path::Path;

/// Everything, seen from the model of this name.
pub fn report(model: &str) -> Value {
    let loaded = registry::loaded();
    json!({
        "version": VERSION,
        "commit": COMMIT,
        "library": own_dir().map(|p| text(&p)),
        "runtime": runtime_report(),
        "default_model": registry::default_model_name(),
        "default_reranker": registry::default_reranker_name(),
        "model": model_report(model),
        "loaded": loaded.iter().map(loaded_report).collect::<Vec<_>>(),
        "last_load_error": registry::last_failure().map(|e| e.to_string()),
    })
}

fn runtime_report() -> Value {
    let started = runtime::started();
    json!({
        "started": started.is_some(),
        "path": started.map(|r| text(&r.path)),
        "version": started.map(|r| &r.version),
        "telemetry": started.map(runtime::Runtime::telemetry),
        "looked_at": places(&find_runtime::runtime_places()),
        "last_message": runtime::last_message(),
    })
}

fn model_report(name: &str) -> Value {
    json!({
        "name": name,
        "looked_at": places(&find::model_places(name)),
    })
}

fn loaded_report(model: &LoadedModel) -> Value {
    let mut said = match model {
        LoadedModel::Embedding(model) => embedder_report(model),
        LoadedModel::Reranking(model) => reranker_report(model),
    };
    said["kind"] = model.kind().name().into();
    said
}

fn embedder_report(model: &Embedder) -> Value {
    let config = model.config();
    let cache = model.cache().counters();
    json!({
        "name": model.name(),
        "folder": text(model.folder()),
        "graph": text(model.graph()),
        "dims": config.dims,
        "max_length": config.max_length,
        "pooling": config.pooling,
        "query_instruction": config.query_instruction,
        "device": device_report(model.device()),
        "precision": model.precision().name(),
        "encoder": encoder_report(model.native()),
        "passes": prepare::describe(model.passes()),
        "graph_cache": model.graph_cache().unwrap_or("off"),
        "threads": model.threads(),
        "batch_tokens": model.batch_tokens(),
        "overflow": format!("{:?}", model.overflow()).to_lowercase(),
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

fn encoder_report(native: Result<(&'static str, &'static str), &str>) -> Value {
    match native {
        Ok((kernels, weights)) => json!({
            "kind": "native",
            "kernels": kernels,
            "weights": weights,
            "reason": null,
        }),
        Err(reason) => json!({ "kind": "graph", "reason": reason }),
    }
}

fn reranker_report(model: &Reranker) -> Value {
    json!({
        "name": model.name(),
        "folder": text(model.folder()),
        "graph": text(model.graph()),
        "max_length": model.max_length(),
        "device": device_report(model.device()),
        "precision": model.precision().name(),
        "encoder": encoder_report(model.native()),
        "passes": prepare::describe(model.passes()),
        "threads": model.threads(),
        "batch_tokens": model.batch_tokens(),
        "overflow": format!("{:?}", model.overflow()).to_lowercase(),
        "inferences": model.inferences(),
    })
}

fn device_report(device: &Running) -> Value {
    let nodes = device.nodes.as_ref();
    json!({
        "asked": device.asked.name(),
        "got": device.got.name(),
        "reason": device.reason,
        "nodes": nodes.map_or(json!("not told by this runtime"), |nodes| json!(nodes)),
    })
}

fn places(places: &[SearchedPath]) -> Vec<Value> {
    let place =
        |p: &SearchedPath| json!({ "path": text(&p.path), "rule": p.rule, "found": p.found });
    places.iter().map(place).collect()
}

/// A path need not be UTF-8; JSON must.
fn text(path: &Path) -> String {
    path.display().to_string()
}
