//! What a model is for: vectors of texts, or scores of pairs of texts. A folder's `config.json` tells.

use crate::engine::models::files::{self, read_json};
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::path::Path;

/// What a model is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// A text becomes a vector.
    #[default]
    Embedding,
    /// A pair of texts, query and passage, becomes a score.
    Reranking,
}

/// The architectures of rerankers that are known here, as `config.json` writes them.
const RERANKERS: [&str; 2] = [
    "BertForSequenceClassification",
    "XLMRobertaForSequenceClassification",
];

/// The end of an architecture's name that says that it gives labels, or one score.
const CLASSIFIES: &str = "ForSequenceClassification";

impl ModelKind {
    /// As `bge_models` says it.
    pub fn name(self) -> &'static str {
        match self {
            ModelKind::Embedding => "embedding",
            ModelKind::Reranking => "reranking",
        }
    }

    /// The kind of a folder's model.
    ///
    /// # Errors
    /// A `config.json` that is missing or cannot be read.
    pub fn read(folder: &Path) -> Result<Self> {
        let json = read_json(&folder.join(files::CONFIG))?;
        let classifies = architectures(&json).any(|name| name.ends_with(CLASSIFIES));
        Ok(if classifies {
            ModelKind::Reranking
        } else {
            ModelKind::Embedding
        })
    }

    /// What to say where a model of this kind was wanted and the one of this name is of the other.
    pub fn refusal(self, name: &str) -> Error {
        Error::invalid(match self {
            ModelKind::Embedding => format!(
                "model '{name}' is a reranking model, which scores pairs of texts and makes no vectors; \
                 call bge_rerank(query, text, '{name}'), or name an embedding model such as \
                 'bge-small-en-v1.5'"
            ),
            ModelKind::Reranking => format!(
                "model '{name}' is an embedding model, which makes vectors and scores no pairs of texts; \
                 compare vectors with bge_cosine, or name a reranking model such as 'bge-reranker-base' \
                 (its config.json names the architecture {})",
                RERANKERS.join(" or ")
            ),
        })
    }
}

/// # Errors
/// A folder whose model is not a cross-encoder with one label, of an architecture that is known here.
pub fn check_reranker(folder: &Path) -> Result<()> {
    let path = folder.join(files::CONFIG);
    let json = read_json(&path)?;
    let wrong = |found: String| {
        let path = path.display();
        Error::invalid(format!(
            "{path}: {found}; a reranking model is {} with one label",
            RERANKERS.join(" or ")
        ))
    };
    if !architectures(&json).any(|name| RERANKERS.contains(&name)) {
        let names: Vec<&str> = architectures(&json).collect();
        return Err(wrong(format!("the architecture is {}", names.join(", "))));
    }
    match labels(&json) {
        None | Some(1) => Ok(()),
        Some(n) => Err(wrong(format!("there are {n} labels"))),
    }
}

fn architectures(json: &Value) -> impl Iterator<Item = &str> {
    let names = json["architectures"].as_array().into_iter().flatten();
    names.filter_map(Value::as_str)
}

/// How many labels the file says there are; `None`: it says nothing, and the graph will.
fn labels(json: &Value) -> Option<usize> {
    let counted = json["num_labels"].as_u64().map(|n| n as usize);
    counted.or_else(|| json["id2label"].as_object().map(serde_json::Map::len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_says_what_the_model_is_for() {
        let folder = std::env::temp_dir().join(format!("bge-kind-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |json: &str| std::fs::write(folder.join("config.json"), json).unwrap();
        for json in [
            "{}",
            r#"{"architectures": null}"#,
            r#"{"architectures": ["BertModel"]}"#,
            r#"{"architectures": [1, "XLMRobertaModel"]}"#,
        ] {
            write(json);
            assert_eq!(ModelKind::read(&folder), Ok(ModelKind::Embedding), "{json}");
        }
        for (labels, fits) in [
            ("", true),
            (r#", "num_labels": 1"#, true),
            (r#", "id2label": {"0": "LABEL_0"}"#, true),
            (r#", "num_labels": 3"#, false),
            (r#", "id2label": {"0": "no", "1": "yes"}"#, false),
        ] {
            for architecture in RERANKERS {
                let json = format!(r#"{{"architectures": ["{architecture}"]{labels}}}"#);
                write(&json);
                assert_eq!(ModelKind::read(&folder), Ok(ModelKind::Reranking), "{json}");
                assert_eq!(check_reranker(&folder).is_ok(), fits, "{json}");
            }
        }
        write(r#"{"architectures": ["DebertaForSequenceClassification"]}"#);
        let said = check_reranker(&folder).unwrap_err().to_string();
        assert!(said.contains("the architecture is Deberta"), "{said}");
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(ModelKind::read(&folder).is_err());
    }
}
