//! The BGE family as data: `catalog.json`, read by this module and by `scripts/get_model.py`.
//!
//! A model of any other name works too: everything here is a default for what its folder does not
//! say (the query instruction is in no file of the folder).

use crate::engine::models::kind::ModelKind;
use crate::engine::models::pooling::Pooling;
use crate::engine::process::per_process::PerProcess;
use serde::Deserialize;

/// What the engine needs of one model that is known by name.
#[derive(Debug, Deserialize)]
pub struct KnownModel {
    /// The name used in SQL.
    pub name: String,
    /// The most tokens it reads, `[CLS]` and `[SEP]` included.
    pub max_length: usize,
    /// What it is for.
    #[serde(default)]
    pub kind: ModelKind,
    /// How its vectors are pooled, where it makes any.
    pub pooling: Option<Pooling>,
    /// What `bge_embed_query` puts in front of a text; may be empty.
    #[serde(default)]
    pub query_instruction: String,
    /// `owner/name` on the Hugging Face hub of the folder that has an ONNX file.
    pub hub: String,
    /// The revision there that is fetched, or `main`.
    pub revision: String,
}

#[derive(Deserialize)]
struct Catalog {
    models: Vec<KnownModel>,
}

const CATALOG_JSON: &str = include_str!("../catalog.json");

/// Parsed at first use. Not behind a lock of its own, which a fork could leave held for ever.
static CATALOG: PerProcess<Vec<KnownModel>> = PerProcess::new(parse);

fn parse() -> Vec<KnownModel> {
    let catalog: Catalog =
        serde_json::from_str(CATALOG_JSON).expect("catalog.json is checked by a test");
    catalog.models
}

/// Every model of the catalogue.
pub fn all() -> &'static [KnownModel] {
    CATALOG.get()
}

/// The entry of a name.
pub fn get(name: &str) -> Option<&'static KnownModel> {
    all().iter().find(|entry| entry.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::models::name::check_name;
    use std::collections::HashSet;

    #[test]
    fn entries_are_complete_and_plausible() {
        let mut names = HashSet::new();
        for entry in all() {
            check_name(&entry.name).unwrap();
            assert!(names.insert(&entry.name), "{} is listed twice", entry.name);
            assert_eq!(
                entry.max_length,
                if entry.name == "bge-m3" { 8192 } else { 512 }
            );
            let embeds = entry.kind == ModelKind::Embedding;
            assert_eq!(entry.pooling.is_some(), embeds, "{}", entry.name);
            assert_eq!(entry.name.starts_with("bge-reranker-"), !embeds);
            assert_eq!(
                entry.query_instruction.is_empty(),
                !embeds || entry.name == "bge-m3"
            );
            assert_eq!(entry.hub.split('/').count(), 2);
        }
        assert_eq!(names.len(), 16);
        // For the script that fetches models.
        let json: serde_json::Value = serde_json::from_str(CATALOG_JSON).unwrap();
        for entry in json["models"].as_array().unwrap() {
            let dims = entry["dims"].as_u64();
            let embeds = entry["kind"] != "reranking";
            assert_eq!(dims.is_some(), embeds, "{entry}");
            let known = |dims| [384, 512, 768, 1024].contains(&dims);
            assert!(dims.is_none_or(known), "{entry}");
        }
    }
}
