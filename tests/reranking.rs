//! Pairs and scores as FlagEmbedding's `FlagReranker` has them, and what is refused.

mod common;

use bge::engine::internals::edit;
use bge::engine::internals::protobuf::{GraphBody, Model, Node, data_type};
use bge::engine::{
    Bulk, LoadedModel, ModelConfig, ModelFiles, ModelKind, ModelLocation, NeverStop, Options,
    PairEncoder, Reranker, Row as BulkRow, ScoreAgainst, Tokenizer,
};
use common::Scratch;
use prost::Message;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One golden row; see tests/fixtures/README.md.
#[derive(Deserialize)]
struct Row {
    id: usize,
    query: String,
    text: String,
    token_ids: Vec<i64>,
    /// Tokens with the type of the query; none where all have one type.
    query_tokens: Option<usize>,
    score: f64,
}

fn fixtures() -> PathBuf {
    common::fixtures().join("rerankers")
}

const MODELS: [&str; 2] = ["tiny-reranker", "tiny-reranker-xlmr"];

fn golden(model: &str) -> Vec<Row> {
    let path = fixtures().join(model).join("golden.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let rows: Vec<Row> = rows.collect();
    assert!(rows.len() >= 25);
    rows
}

fn load(folder: &Path, options: &str) -> bge::Result<Reranker> {
    let options = Options::from_json(options).unwrap();
    Reranker::load("r", &ModelLocation::folder(folder), &options, &NeverStop)
}

fn encoder(folder: &Path, max_length: usize) -> bge::Result<PairEncoder> {
    let mut config = ModelConfig::read(folder, "r")?;
    config.max_length = max_length;
    let files = ModelFiles::of(folder, None)?;
    PairEncoder::new(Tokenizer::load(&files, &config)?, &config)
}

#[test]
fn pairs_are_those_of_flagreranker() {
    for model in MODELS {
        let encoder = encoder(&fixtures().join(model), 512).unwrap();
        for row in golden(model) {
            let (pair, _) = encoder.encode(&row.query, &row.text, &NeverStop).unwrap();
            assert_eq!(pair.ids, row.token_ids, "{model}, row {}", row.id);
            let query = row.query_tokens.unwrap_or(pair.ids.len());
            assert_eq!(pair.query, query, "{model}, row {}", row.id);
        }
    }
}

#[test]
fn the_query_is_cut_at_three_quarters_and_then_the_passage_alone() {
    let words = |n: usize| vec!["a"; n].join(" ");
    for (model, specials) in MODELS.into_iter().zip([3, 4]) {
        let encoder = encoder(&fixtures().join(model), 40).unwrap();
        for (query, passage, of_query, of_passage, cut) in [
            (5, 40 - 5 - specials, 5, 40 - 5 - specials, false),
            (5, 41 - 5 - specials, 5, 40 - 5 - specials, true),
            (30, 10 - specials, 30, 10 - specials, false),
            (31, 1, 30, 1, true),
            (900, 900, 30, 10 - specials, true),
            (0, 0, 0, 0, false),
        ] {
            let made = encoder.encode(&words(query), &words(passage), &NeverStop);
            let (pair, is_cut) = made.unwrap();
            assert_eq!(pair.ids.len(), of_query + of_passage + specials, "{model}");
            assert_eq!(is_cut, cut, "{model}: {query} and {passage}");
            if model == MODELS[0] {
                // [CLS] and the first [SEP] are the query's.
                assert_eq!(pair.query, of_query + 2);
            }
        }
    }
}

#[test]
fn a_limit_without_room_for_a_passage_is_refused() {
    for (model, least) in MODELS.into_iter().zip([13, 17]) {
        let folder = fixtures().join(model);
        assert!(encoder(&folder, least).is_ok(), "{model}");
        let error = encoder(&folder, least - 1).err().expect("no room");
        let said = error.to_string();
        assert!(said.contains(&format!("at least {least}")), "{said}");
    }
}

#[test]
fn scores_are_those_of_flagreranker_one_by_one_and_in_batches() {
    for model in MODELS {
        for options in [
            "{}",
            r#"{"passes": "none", "threads": 1}"#,
            r#"{"batch_tokens": 4096}"#,
            r#"{"encoder": "graph"}"#,
        ] {
            let reranker = load(&fixtures().join(model), options).unwrap();
            let rows = golden(model);
            for row in &rows {
                let score = reranker.score(&row.query, &row.text, &NeverStop).unwrap();
                let off = (score - row.score).abs();
                assert!(off < 5e-5, "{model}, row {}: off by {off}", row.id);
            }
            let query = &rows[0].query;
            let same: Vec<&Row> = rows.iter().filter(|row| row.query == *query).collect();
            let texts: Vec<&str> = same.iter().map(|row| row.text.as_str()).collect();
            let before = reranker.inferences();
            let scores = reranker.score_many(query, &texts, &NeverStop).unwrap();
            assert!(
                reranker.inferences() - before < texts.len() as u64,
                "no batches"
            );
            for (row, score) in same.iter().zip(scores) {
                let off = (score - row.score).abs();
                assert!(
                    off < 5e-5,
                    "{model}, row {} in a batch: off by {off}",
                    row.id
                );
            }
        }
    }
}

/// What our own encoder needs to run.
fn has_kernels() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

fn scores_of(reranker: &Reranker, rows: &[Row]) -> Vec<f64> {
    let score = |row: &Row| reranker.score(&row.query, &row.text, &NeverStop).unwrap();
    rows.iter().map(score).collect()
}

#[test]
fn the_native_encoder_gives_the_graphs_scores() {
    if !has_kernels() {
        return;
    }
    let folder = fixtures().join(MODELS[0]);
    let rows = golden(MODELS[0]);
    let graph = load(&folder, r#"{"encoder": "graph", "passes": "none"}"#).unwrap();
    assert_eq!(graph.native().err(), Some("option encoder is 'graph'"));
    for options in [
        "{}",
        r#"{"encoder": "native"}"#,
        r#"{"encoder": "native", "passes": "none", "threads": 3}"#,
    ] {
        let native = load(&folder, options).unwrap();
        assert!(native.native().is_ok(), "{options}: {:?}", native.native());
        let off = native.passes()[0].off.as_deref();
        assert_eq!(off, Some("the native encoder runs"), "{options}");
        let own = scores_of(&native, &rows);
        for (row, (own, other)) in rows.iter().zip(own.iter().zip(scores_of(&graph, &rows))) {
            assert!((own - other).abs() < 1e-5, "row {}: {own} {other}", row.id);
            assert!((own - row.score).abs() < 1e-5, "row {}: {own}", row.id);
        }
    }
}

/// The folder of the tiny BERT reranker with a changed graph.
fn with_graph(test: &str, change: impl FnOnce(&mut GraphBody)) -> Scratch {
    let path = fixtures().join(MODELS[0]).join("onnx/model.onnx");
    let mut graph = Model::decode(std::fs::read(path).unwrap().as_slice()).unwrap();
    change(graph.body_mut());
    Scratch::model(test, "rerankers/tiny-reranker", &graph)
}

#[test]
fn what_keeps_the_native_encoder_from_running_is_told() {
    let [bert, xlmr] = MODELS.map(|model| fixtures().join(model));
    // A mask over queries and not over keys: padding is attended to, which no structure shows.
    let other_mask = with_graph("other-mask", |body| {
        let axes = edit::integers("axes", &[1, 2]).raw_data;
        let tensors = body.initializer.iter_mut();
        let found = tensors.filter(|tensor| tensor.raw_data == axes);
        found.for_each(|tensor| tensor.raw_data = edit::integers("axes", &[1, 3]).raw_data);
    });
    let second_token = with_graph("second-token", |body| {
        let takes = |node: &&mut Node| node.is("Gather") && node.int("axis") == Some(1);
        let head = body.node.iter_mut().find(takes).unwrap();
        head.input[1] = "second".to_owned();
        let one = 1i64.to_le_bytes().to_vec();
        body.initializer
            .push(edit::tensor("second", data_type::INT64, &[], one));
    });
    // Some exporters take the whole batch first.
    let other_writing = with_graph("other-writing", |body| {
        let takes = |node: &Node| node.is("Gather") && node.int("axis") == Some(1);
        let head = body.node.iter().position(takes).unwrap();
        let states = std::mem::replace(&mut body.node[head].input[0], "whole".to_owned());
        let bounds = [states.as_str(), "from", "to", "from"];
        body.node
            .insert(head, edit::node("Slice", &bounds, &["whole"], vec![]));
        body.initializer.push(edit::integers("from", &[0]));
        body.initializer.push(edit::integers("to", &[i64::MAX]));
    });
    if has_kernels() {
        let native = load(&other_writing.0, r#"{"encoder": "native"}"#).unwrap();
        let plain = load(&bert, "{}").unwrap();
        let rows = golden(MODELS[0]);
        assert_eq!(scores_of(&native, &rows), scores_of(&plain, &rows));
    }
    for (folder, options, why) in [
        (
            &bert,
            r#"{"passes": "all"}"#,
            "option passes is for the graph",
        ),
        (
            &bert,
            r#"{"precision": "fp16"}"#,
            "precision 'fp16' is for the graph",
        ),
        (&xlmr, "{}", "the graph is not BERT's"),
        (&other_mask.0, "{}", "its scores are not the graph's"),
        (
            &second_token.0,
            "{}",
            "not made of the first token's state alone",
        ),
    ] {
        let reranker = load(folder, options).unwrap();
        let Err(reason) = reranker.native() else {
            panic!("{options}: it runs");
        };
        if has_kernels() {
            assert!(reason.contains(why), "{options}: {reason}");
        }
    }
    for (options, asked) in [
        (
            r#"{"encoder": "native"}"#,
            "option encoder is 'native', and",
        ),
        (
            r#"{"precision": "bf16"}"#,
            "option precision is 'bf16', which the native encoder alone has, and",
        ),
    ] {
        let said = load(&xlmr, options).err().expect("an error").to_string();
        assert!(
            said.contains(asked) && said.contains("leave the option out"),
            "{said}"
        );
    }
}

#[test]
fn the_order_is_kept_in_other_precisions() {
    let rows = golden(MODELS[0]);
    for (encoder, precision, most) in [
        ("auto", "fp16", 0.01),
        ("graph", "int8", 1.0),
        ("auto", "int8", 0.5),
        ("native", "bf16", 0.5),
    ] {
        let options = format!(r#"{{"encoder": "{encoder}", "precision": "{precision}"}}"#);
        let reranker = match load(&fixtures().join(MODELS[0]), &options) {
            Err(e) if e.message().contains("have no bfloat16") || !has_kernels() => continue,
            loaded => loaded.unwrap(),
        };
        assert_eq!(reranker.precision().name(), precision);
        for row in &rows {
            let score = reranker.score(&row.query, &row.text, &NeverStop).unwrap();
            let off = (score - row.score).abs();
            assert!(off < most, "{precision}, row {}: off by {off}", row.id);
        }
    }
}

/// The folder of the tiny BERT reranker with another `config.json` or another graph.
fn changed(test: &str, config: &str, graph: &Path) -> Scratch {
    let scratch = Scratch::new(test);
    let base = fixtures().join(MODELS[0]);
    std::fs::copy(
        base.join("tokenizer.json"),
        scratch.0.join("tokenizer.json"),
    )
    .unwrap();
    std::fs::copy(graph, scratch.0.join("onnx/model.onnx")).unwrap();
    let text = std::fs::read_to_string(base.join("config.json")).unwrap();
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let other: serde_json::Value = serde_json::from_str(config).unwrap();
    for (key, value) in other.as_object().unwrap() {
        json[key] = value.clone();
    }
    std::fs::write(scratch.0.join("config.json"), json.to_string()).unwrap();
    scratch
}

#[test]
fn what_is_no_cross_encoder_with_one_label_is_refused() {
    let own = fixtures().join(MODELS[0]).join("onnx/model.onnx");
    let headless = common::fixtures().join("tiny-bert/onnx/model.onnx");
    for (test, config, graph, wanted) in [
        (
            "headless",
            "{}",
            &headless,
            "outputs are last_hidden_state, expected one called logits",
        ),
        (
            "labels",
            r#"{"id2label": {"0": "no", "1": "yes"}}"#,
            &own,
            "there are 2 labels",
        ),
        (
            "architecture",
            r#"{"architectures": ["DebertaV2ForSequenceClassification"]}"#,
            &own,
            "the architecture is DebertaV2ForSequenceClassification",
        ),
    ] {
        let scratch = changed(test, config, graph);
        let error = load(&scratch.0, "{}").err().expect("an error").to_string();
        assert!(error.contains(wanted), "{test}: {error}");
        assert!(error.starts_with("model 'r': "), "{test}: {error}");
    }
}

#[test]
fn options_of_embedding_models_are_refused() {
    let folder = fixtures().join(MODELS[0]);
    for (key, value) in [
        ("pooling", "\"cls\""),
        ("query_instruction", "\"q\""),
        ("cache_mb", "1"),
        ("graph_cache", "\"/tmp/graphs\""),
    ] {
        let error = load(&folder, &format!("{{\"{key}\": {value}}}"));
        let said = error.err().expect("an error").to_string();
        assert!(
            said.contains(&format!("option {key} is for embedding models")),
            "{said}"
        );
    }
    let said = load(&folder, r#"{"max_length": 513}"#)
        .err()
        .unwrap()
        .to_string();
    assert!(said.contains("at most 512"), "{said}");
    let short = load(&folder, r#"{"max_length": 64, "overflow": "error"}"#).unwrap();
    assert_eq!(short.max_length(), 64);
    let long = vec!["a"; 80].join(" ");
    let said = short.score("q", &long, &NeverStop).unwrap_err().to_string();
    assert!(said.contains("reads 64 tokens of both together"), "{said}");
    assert!(short.score("q", "a", &NeverStop).is_ok());
}

#[test]
fn a_loaded_model_is_of_one_kind() {
    let load = |folder: &str| {
        let location = ModelLocation::folder(&common::fixtures().join(folder));
        LoadedModel::load(folder, &location, &Options::default(), &NeverStop).unwrap()
    };
    let (embedder, reranker) = (load("tiny-bert"), load("rerankers/tiny-reranker"));
    assert_eq!(embedder.kind(), ModelKind::Embedding);
    assert_eq!(reranker.kind(), ModelKind::Reranking);
    let said = embedder.clone().reranker().err().unwrap().to_string();
    assert!(said.contains("compare vectors with bge_cosine"), "{said}");
    let said = reranker.clone().embedder().err().unwrap().to_string();
    assert!(
        said.contains("bge_rerank(query, text, 'rerankers/tiny-reranker')"),
        "{said}"
    );
    assert!(embedder.embedder().is_ok() && reranker.reranker().is_ok());
}

#[test]
fn two_windows_in_flight_give_what_one_gives() {
    let model = Arc::new(load(&fixtures().join(MODELS[0]), "{}").unwrap());
    let take = |overlaps: bool| {
        let work = ScoreAgainst::new(Arc::clone(&model), "how to", &NeverStop).unwrap();
        let mut bulk = Bulk::new(work, usize::to_string).overlapping(overlaps);
        let mut keys = 0..1500;
        let mut source = || {
            Ok(keys.next().map(|key| BulkRow {
                key,
                text: (key % 7 != 3).then(|| format!("text {} of a table", key % 50)),
                bytes: 20,
            }))
        };
        let mut taken = Vec::new();
        while let Some(row) = bulk.next(&mut source, &NeverStop).unwrap() {
            assert_eq!(row.text.is_some(), row.made.is_some());
            taken.push((row.key, row.made));
        }
        taken
    };
    let (plain, both) = (take(false), take(true));
    assert_eq!(plain.len(), 1500);
    for ((key, a), (other, b)) in plain.iter().zip(&both) {
        assert_eq!(key, other);
        assert_eq!(a.is_some(), b.is_some(), "{key}");
        assert!(a.zip(*b).is_none_or(|(a, b)| (a - b).abs() < 1e-5), "{key}");
    }
}

#[test]
fn a_head_whose_weights_are_in_a_file_of_their_own() {
    if !has_kernels() {
        return;
    }
    let mut weights = Vec::new();
    let scratch = with_graph("external", |body| {
        for tensor in body.initializer.iter_mut().filter(|t| t.dims.len() == 2) {
            let bytes = tensor.raw_data.take().unwrap();
            let offset = weights.len() as u64;
            weights.extend_from_slice(&bytes);
            tensor.set_external("model.onnx_data", offset, bytes.len() as u64);
        }
    });
    std::fs::write(scratch.0.join("onnx/model.onnx_data"), &weights).unwrap();
    let rows = golden(MODELS[0]);
    let native = load(&scratch.0, r#"{"encoder": "native"}"#).unwrap();
    let plain = load(&fixtures().join(MODELS[0]), "{}").unwrap();
    assert_eq!(scores_of(&native, &rows), scores_of(&plain, &rows));
}
