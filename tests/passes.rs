//! Graph passes: the same vectors with and without, on tiny models and the real one; precisions;
//! graphs that no pass knows; the cache of prepared graphs.

mod common;

use bge::engine::internals::protobuf::Model;
use bge::engine::internals::{
    Facts, Graph, OnnxGraph, Range, Session, Settings, apply, edit, precision as precision_of,
    protobuf, resident, tensors,
};
use bge::engine::{
    Device, Embedder, EncoderChoice, GpuOptions, ModelConfig, ModelLocation, NeverStop, Options,
    Pass, Pooling, Precision, Role,
};
use common::{Scratch, difference, fixtures, golden, real, tiny};
use prost::Message;
use std::path::{Path, PathBuf};

const TINY: [&str; 3] = ["tiny-bert", "tiny-bert-no-types", "tiny-bert-fp16"];

fn with(passes: &[Pass], pooling: Pooling) -> Options {
    Options {
        passes: Some(passes.to_vec()),
        pooling: Some(pooling),
        ..Options::default()
    }
}

fn precision(wanted: Precision) -> Options {
    Options {
        precision: Some(wanted),
        encoder: EncoderChoice::Graph,
        ..Options::default()
    }
}

/// The graph of a model folder.
fn graph_in(folder: &Path) -> bge::Result<OnnxGraph> {
    ModelLocation::folder(folder).files()?.graph_source()
}

/// Why a pass is off.
fn off(model: &Embedder, pass: Pass) -> Option<String> {
    let report = model
        .passes()
        .iter()
        .find(|r| r.pass == pass)
        .expect("a report");
    report.off.clone()
}

fn embed(model: &Embedder, texts: &[&str]) -> Vec<Vec<f32>> {
    let vectors = model.embed_many(texts, Role::Passage, &NeverStop).unwrap();
    vectors.iter().map(|v| v.to_vec()).collect()
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn tiny_graph() -> PathBuf {
    fixtures().join("tiny-bert/onnx/model.onnx")
}

/// The whole file, tensors and all.
fn whole(path: &Path) -> Model {
    Model::decode(std::fs::read(path).unwrap().as_slice()).unwrap()
}

fn facts(pooling: Pooling) -> Facts<'static> {
    Facts {
        hidden: "last_hidden_state",
        dims: 32,
        pooling,
        precision: Precision::Fp32,
        range: Range::Full,
    }
}

#[test]
fn passes_change_no_vector_of_tiny_models() {
    let rows = golden("tiny-bert/golden.jsonl");
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    for name in TINY {
        let tolerance = if name == "tiny-bert-fp16" { 2e-3 } else { 1e-5 };
        for pooling in [Pooling::Cls, Pooling::Mean] {
            let stock = embed(&tiny(name, &with(&[], pooling)), &texts);
            for passes in [
                &[Pass::Pool][..],
                &[Pass::Attention],
                &[Pass::LastLayer, Pass::Pool],
                &Pass::SWITCHED,
            ] {
                let model = tiny(name, &with(passes, pooling));
                for &pass in passes {
                    let reason = off(&model, pass);
                    let wanted = match pass {
                        Pass::LastLayer if pooling == Pooling::Mean => {
                            Some("mean pooling uses every token")
                        }
                        Pass::Attention if name == "tiny-bert-fp16" => {
                            Some("an fp16 graph is left as it is")
                        }
                        _ => None,
                    };
                    assert_eq!(reason.as_deref(), wanted, "{name} {pooling:?}");
                }
                for (got, want) in embed(&model, &texts).iter().zip(&stock) {
                    let off = difference(got, want);
                    assert!(
                        off <= tolerance,
                        "{name} {pooling:?} {passes:?} is off by {off}"
                    );
                }
            }
        }
    }
}

#[test]
fn passes_change_no_vector_of_the_real_model() {
    let rows = golden("reference/bge-small-en-v1.5.jsonl");
    let texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    for pooling in [Pooling::Cls, Pooling::Mean] {
        let stock = embed(&real(&with(&[], pooling)), &texts);
        let model = real(&with(&Pass::SWITCHED, pooling));
        for pass in [Pass::Attention, Pass::Pool] {
            assert_eq!(off(&model, pass), None);
        }
        assert_eq!(
            off(&model, Pass::LastLayer).is_none(),
            pooling == Pooling::Cls
        );
        for ((got, want), row) in embed(&model, &texts).iter().zip(&stock).zip(&rows) {
            let off = difference(got, want);
            assert!(off <= 1e-5, "row {} is off by {off}", row.id);
            let alone = model.embed(&row.text, Role::Passage, &NeverStop).unwrap();
            assert!(difference(got, &alone) <= 1e-6, "row {} alone", row.id);
        }
    }
}

#[test]
fn last_layer_needs_pool() {
    let model = tiny(
        "tiny-bert",
        &with(&[Pass::Attention, Pass::LastLayer], Pooling::Cls),
    );
    assert_eq!(
        off(&model, Pass::LastLayer).as_deref(),
        Some("it needs pass pool")
    );
    assert_eq!(off(&model, Pass::Attention), None);
    assert_eq!(off(&model, Pass::Pool).as_deref(), Some("not asked for"));
}

/// Cosines of every reference text to fp32, with its number of tokens.
fn cosines(vectors: &[Vec<f32>]) -> Vec<(usize, f32)> {
    let rows = golden("reference/bge-small-en-v1.5.jsonl");
    let rows = rows.iter().filter(|row| !row.query);
    rows.zip(vectors)
        .map(|(row, v)| (row.tokens, cosine(&row.cls, v)))
        .collect()
}

fn passages() -> Vec<String> {
    let rows = golden("reference/bge-small-en-v1.5.jsonl");
    rows.into_iter()
        .filter(|row| !row.query)
        .map(|row| row.text)
        .collect()
}

fn assert_close(cosines: &[(usize, f32)], least: f32, mean: f32, what: &str) {
    let longer: Vec<f32> = cosines
        .iter()
        .filter(|(tokens, _)| *tokens > 3)
        .map(|(_, c)| *c)
        .collect();
    let worst = longer.iter().copied().fold(1.0, f32::min);
    let average = longer.iter().sum::<f32>() / longer.len() as f32;
    println!(
        "{what}: {} texts, worst {worst:.4}, mean {average:.4}",
        longer.len()
    );
    assert!(
        worst >= least && average >= mean,
        "{what}: worst {worst}, mean {average}"
    );
}

#[test]
fn int8_stays_close_to_fp32() {
    let model = real(&precision(Precision::Int8));
    assert_eq!(model.precision(), Precision::Int8);
    assert_eq!(off(&model, Pass::Int8), None);
    let texts = passages();
    let one = |text: &String| {
        model
            .embed(text, Role::Passage, &NeverStop)
            .unwrap()
            .to_vec()
    };
    let alone: Vec<Vec<f32>> = texts.iter().map(one).collect();
    assert_close(&cosines(&alone), 0.98, 0.99, "int8");
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_close(
        &cosines(&embed(&model, &texts)),
        0.98,
        0.99,
        "int8 in batches",
    );
}

#[test]
fn int8_for_cpus_without_vnni_stays_close_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/models/bge-small-en-v1.5");
    let config = ModelConfig::read(&folder, "bge-small-en-v1.5").unwrap();
    let source = graph_in(&folder).unwrap();
    let facts = Facts {
        dims: config.dims,
        range: Range::Reduced,
        ..facts(Pooling::Cls)
    };
    let changed = apply(Pass::Int8, &source, &facts).unwrap();
    let mut changed = apply(Pass::Pool, &changed, &facts).unwrap();
    edit::prune(&mut changed.model);
    let settings = Settings {
        threads: 2,
        dims: config.dims,
        pooling: Pooling::Cls,
        device: Device::Cpu,
        gpu: GpuOptions::default(),
    };
    let mut session = Session::open(Graph::Prepared(&changed), &settings).unwrap();
    let tokens = real(&Options::default());
    let mut vectors = Vec::new();
    for text in passages() {
        let ids = tokens.tokenize(&text, &NeverStop).unwrap();
        vectors.push(session.probe(&[&ids]).unwrap()[0].to_vec());
    }
    assert_close(&cosines(&vectors), 0.98, 0.99, "int8 in seven bits");
}

#[test]
fn fp16_stays_close_to_fp32() {
    let model = real(&precision(Precision::Fp16));
    assert_eq!(model.precision(), Precision::Fp16);
    let texts = passages();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_close(&cosines(&embed(&model, &texts)), 0.9999, 0.99999, "fp16");
    for name in ["tiny-bert", "tiny-bert-no-types"] {
        for pooling in [Pooling::Cls, Pooling::Mean] {
            let stock = embed(&tiny(name, &with(&[], pooling)), &texts);
            let options = Options {
                pooling: Some(pooling),
                ..precision(Precision::Fp16)
            };
            for (a, b) in embed(&tiny(name, &options), &texts).iter().zip(&stock) {
                assert!(
                    cosine(a, b) > 0.9995,
                    "{name} {pooling:?}: {}",
                    cosine(a, b)
                );
            }
        }
    }
}

#[test]
fn a_precision_that_the_file_contradicts_is_an_error() {
    let load = |folder: &Path, wanted| {
        let loaded = Embedder::load(
            "it",
            &ModelLocation::folder(folder),
            &precision(wanted),
            &NeverStop,
        );
        loaded.map(|model| model.precision())
    };
    let fp16 = fixtures().join("tiny-bert-fp16");
    assert_eq!(load(&fp16, Precision::Fp16), Ok(Precision::Fp16));
    let int8 = int8_file("contradicts");
    assert_eq!(load(&int8.0, Precision::Int8), Ok(Precision::Int8));
    for (folder, wanted, file) in [
        (&fp16, Precision::Fp32, "fp16"),
        (&fp16, Precision::Int8, "fp16"),
        (&int8.0, Precision::Fp32, "int8"),
        (&int8.0, Precision::Fp16, "int8"),
    ] {
        let error = load(folder, wanted).unwrap_err();
        let wanted = format!("option precision is '{}'", wanted.name());
        assert!(error.message().contains(&wanted), "{error}");
        assert!(
            error.message().contains(&format!("computes in {file}")),
            "{error}"
        );
    }
}

/// A model whose file is quantised already.
fn int8_file(test: &str) -> Scratch {
    let source = graph_in(&fixtures().join("tiny-bert")).unwrap();
    let mut changed = apply(Pass::Int8, &source, &facts(Pooling::Cls)).unwrap();
    edit::prune(&mut changed.model);
    inline(&mut changed);
    Scratch::model(test, "tiny-bert", &changed.model)
}

/// Takes tensors out of the model's file into the graph.
fn inline(source: &mut OnnxGraph) {
    for tensor in &mut source.model.body_mut().initializer {
        if tensor.external().is_some() {
            let bytes = tensors::bytes(tensor, &source.folder).unwrap();
            *tensor = edit::tensor(
                tensor.name(),
                tensor.data_type(),
                &tensor.dims.clone(),
                bytes,
            );
        }
    }
}

#[test]
fn an_int8_file_keeps_its_layers() {
    let scratch = int8_file("keeps");
    let model = scratch.load(&Options::default()).unwrap();
    assert_eq!(model.precision(), Precision::Int8);
    for pass in [Pass::Attention, Pass::LastLayer] {
        assert_eq!(
            off(&model, pass).as_deref(),
            Some("an int8 graph is left as it is")
        );
    }
    assert_eq!(off(&model, Pass::Pool), None);
    let stock = scratch.load(&with(&[], Pooling::Cls)).unwrap();
    for text in [
        "a",
        "how to embed a short text",
        &"a long text ".repeat(100),
    ] {
        let (a, b) = (embed(&model, &[text]), embed(&stock, &[text]));
        assert!(difference(&a[0], &b[0]) < 1e-5);
    }
}

/// Loads a changed tiny graph with all passes and without, compares, and gives why passes are off.
fn changed(test: &str, change: impl Fn(&mut Model)) -> [Option<String>; 3] {
    let mut graph = whole(&tiny_graph());
    change(&mut graph);
    let scratch = Scratch::model(test, "tiny-bert", &graph);
    let model = scratch.load(&Options::default()).unwrap();
    let stock = scratch.load(&with(&[], Pooling::Cls)).unwrap();
    let texts = [
        "a",
        "how to embed a short text",
        &"a long text ".repeat(100),
    ];
    for (a, b) in embed(&model, &texts).iter().zip(&embed(&stock, &texts)) {
        assert!(difference(a, b) < 1e-5, "{test}");
    }
    [Pass::Attention, Pass::LastLayer, Pass::Pool].map(|pass| off(&model, pass))
}

#[test]
fn graphs_of_another_shape_are_left_alone() {
    // Another activation: attention is known, the last layer's feed-forward is not.
    let [attention, last_layer, pool] = changed("softplus", |graph| {
        for node in &mut graph.body_mut().node {
            if node.op_type() == "Erf" {
                node.op_type = Some("Softplus".into());
            }
        }
    });
    assert_eq!((attention, pool), (None, None));
    assert_eq!(
        last_layer.as_deref(),
        Some("no layer was recognised before the hidden states")
    );

    // A softmax over another axis.
    let [attention, last_layer, pool] = changed("softmax", |graph| {
        for node in &mut graph.body_mut().node {
            if node.op_type() == "Softmax" {
                node.attribute = vec![edit::int("axis", 2)];
            }
        }
    });
    assert_eq!(
        attention.as_deref(),
        Some("attention was not recognised in every layer")
    );
    assert_eq!(pool, None);
    // The way back ends at the softmax; what follows it is still a layer.
    assert_eq!(last_layer, None);

    // An operator set from before Slice took its bounds as inputs is beyond the tiny model's; so is a
    // graph with a subgraph, which is refused as a whole.
    let mut graph = whole(&tiny_graph());
    graph.body_mut().node[0]
        .attribute
        .push(protobuf::Attribute {
            name: Some("body".into()),
            g: Some(vec![].into()),
            ..Default::default()
        });
    assert_eq!(edit::refusal(&graph), Some("the graph has subgraphs"));
    let mut graph = whole(&tiny_graph());
    graph.opset_import[0].version = Some(9);
    let source = OnnxGraph {
        model: graph,
        folder: PathBuf::new(),
    };
    for pass in [Pass::LastLayer, Pass::Int8] {
        let reason = apply(pass, &source, &facts(Pooling::Cls)).unwrap_err();
        assert!(reason.starts_with("opset 9 is older than"), "{reason}");
    }
}

#[test]
fn a_graph_is_read_and_written_without_loss() {
    for (folder, graph) in [
        ("tiny-bert", "onnx/model.onnx"),
        ("tiny-bert-fp16", "onnx/model.onnx"),
        ("tiny-bert-no-types", "model.onnx"),
    ] {
        let path = fixtures().join(folder).join(graph);
        let (bytes, whole) = (std::fs::read(&path).unwrap(), whole(&path));
        assert_eq!(
            whole.encode_to_vec().len(),
            bytes.len(),
            "{}",
            path.display()
        );
        let mut source = graph_in(&fixtures().join(folder)).unwrap();
        let outside = source
            .model
            .body()
            .initializer
            .iter()
            .filter(|t| t.external().is_some());
        assert!(outside.count() > 0);
        inline(&mut source);
        assert_eq!(source.model.encoded_len(), bytes.len());
        for (a, b) in source
            .model
            .body()
            .initializer
            .iter()
            .zip(&whole.body().initializer)
        {
            assert_eq!(a.name(), b.name());
            assert_eq!(a.raw_data, b.raw_data);
        }
        assert_eq!(source.model.body().node, whole.body().node);
    }
}

#[test]
fn damaged_graphs_never_panic() {
    let bytes = std::fs::read(tiny_graph()).unwrap();
    let scratch = Scratch::model("damaged", "tiny-bert", &whole(&tiny_graph()));
    let path = scratch.0.join("onnx/model.onnx");
    let mut random = 1u64;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    // The nodes stand first: most changes there hit them.
    let nodes = 20_000.min(bytes.len());
    let mut applied = 0;
    for round in 0..600 {
        let mut damaged = bytes.clone();
        if round % 4 == 0 {
            damaged.truncate(next(bytes.len()));
        } else {
            for _ in 0..=next(3) {
                let at = if round % 2 == 0 {
                    next(nodes)
                } else {
                    next(bytes.len())
                };
                damaged[at] = next(256) as u8;
            }
        }
        std::fs::write(&path, &damaged).unwrap();
        let Ok(source) = graph_in(&scratch.0) else {
            continue;
        };
        for pass in Pass::ORDER {
            for pooling in [Pooling::Cls, Pooling::Mean] {
                if let Ok(mut changed) = apply(pass, &source, &facts(pooling)) {
                    edit::prune(&mut changed.model);
                    applied += 1;
                }
            }
        }
        let _ = (
            precision_of(&source.model, "last_hidden_state"),
            resident(&source.model),
        );
    }
    assert!(applied > 500, "only {applied} graphs were read at all");
}

#[test]
fn external_data_and_links_are_followed() {
    // As in the Hugging Face cache: the graph and its data are links to files of other names.
    let mut graph = whole(&tiny_graph());
    let mut data = Vec::new();
    for tensor in &mut graph.body_mut().initializer {
        if let Some(raw) = tensor.raw_data.clone().filter(|raw| raw.len() > 1000) {
            tensor.set_external("model.onnx_data", data.len() as u64, raw.len() as u64);
            data.extend_from_slice(&raw);
        }
    }
    let scratch = Scratch::model("external", "tiny-bert", &graph);
    let onnx = scratch.0.join("onnx");
    std::fs::write(onnx.join("model.onnx_data"), &data).unwrap();
    let texts = ["a", "how to embed a short text"];
    let expected = embed(
        &tiny("tiny-bert", &with(&Pass::SWITCHED, Pooling::Cls)),
        &texts,
    );
    let assert_same = |model: &Embedder| {
        for (a, b) in embed(model, &texts).iter().zip(&expected) {
            assert!(difference(a, b) < 1e-5);
        }
    };
    let model = scratch.load(&with(&Pass::SWITCHED, Pooling::Cls)).unwrap();
    assert!(
        Pass::SWITCHED
            .iter()
            .all(|&pass| off(&model, pass).is_none())
    );
    assert_same(&model);
    assert_same(&scratch.load(&precision(Precision::Fp16)).unwrap());

    let blobs = scratch.0.join("blobs");
    std::fs::create_dir(&blobs).unwrap();
    for (name, blob) in [("model.onnx", "0a1b"), ("model.onnx_data", "2c3d")] {
        std::fs::rename(onnx.join(name), blobs.join(blob)).unwrap();
        std::os::unix::fs::symlink(format!("../blobs/{blob}"), onnx.join(name)).unwrap();
    }
    let model = scratch.load(&with(&Pass::SWITCHED, Pooling::Cls)).unwrap();
    assert!(
        Pass::SWITCHED
            .iter()
            .all(|&pass| off(&model, pass).is_none()),
        "{:?}",
        model.passes()
    );
    assert_same(&model);

    // Data in yet another folder: no passes, and the runtime's own opinion.
    std::fs::create_dir(scratch.0.join("other")).unwrap();
    std::fs::rename(blobs.join("2c3d"), scratch.0.join("other/2c3d")).unwrap();
    std::fs::remove_file(onnx.join("model.onnx_data")).unwrap();
    std::os::unix::fs::symlink("../other/2c3d", onnx.join("model.onnx_data")).unwrap();
    match scratch.load(&with(&Pass::SWITCHED, Pooling::Cls)) {
        Ok(model) => {
            let reason = off(&model, Pass::Pool).unwrap_or_default();
            assert!(reason.contains("not in the graph's folder"), "{reason}");
        }
        Err(error) => assert!(error.message().contains("cannot be loaded"), "{error}"),
    }
}

#[test]
fn prepared_graphs_are_kept_and_trusted_only_when_whole() {
    let graph = whole(&tiny_graph());
    let scratch = Scratch::model("cache", "tiny-bert", &graph);
    let cache = scratch.0.join("graphs/of mine");
    let load = |more: Options| {
        let options = Options {
            graph_cache: Some(cache.clone()),
            ..more
        };
        let model = scratch.load(&options).unwrap();
        (
            model.graph_cache().unwrap().to_owned(),
            embed(&model, &["how to embed a text"]),
            model.precision(),
        )
    };
    let files = || {
        let mut files: Vec<PathBuf> = std::fs::read_dir(&cache)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect();
        files.sort();
        files
    };
    let int8 = || precision(Precision::Int8);
    let (state, first, _) = load(int8());
    assert_eq!(state, "written");
    assert_eq!(files().len(), 1, "no draft is left");
    let kept = files().remove(0);
    assert_eq!(
        load(int8()),
        ("hit".to_owned(), first.clone(), Precision::Int8)
    );

    // Another key: another file.
    let (state, plain, got) = load(Options::default());
    assert_eq!(
        (state.as_str(), got, files().len()),
        ("written", Precision::Fp32, 2)
    );
    assert!(difference(&plain[0], &first[0]) > 1e-5);
    assert_eq!(
        load(Options::default()),
        ("hit".to_owned(), plain, Precision::Fp32)
    );

    // A file under the wrong key's name is not trusted, nor is a damaged or a cut one.
    let other = files().into_iter().find(|file| *file != kept).unwrap();
    let whole = std::fs::read(&kept).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for bad in [
        std::fs::read(&other).unwrap(),
        flipped,
        whole[..whole.len() / 2].to_vec(),
        vec![],
        b"x".to_vec(),
    ] {
        std::fs::write(&kept, &bad).unwrap();
        let (state, vectors, _) = load(int8());
        assert_eq!(
            state,
            "written anew: what was kept is damaged or of another key"
        );
        assert_eq!(vectors, first);
        assert_eq!(std::fs::read(&kept).unwrap(), whole);
    }

    // Another model file under the same name.
    let mut changed = graph.clone();
    changed.producer_version = Some("2".into());
    std::fs::write(scratch.0.join("onnx/model.onnx"), changed.encode_to_vec()).unwrap();
    assert_eq!(load(int8()).0, "written");
    assert_eq!(files().len(), 3);
}

#[test]
fn a_cache_that_cannot_be_written_costs_nothing_else() {
    let scratch = Scratch::new("unwritable");
    let file = scratch.0.join("file");
    std::fs::write(&file, "x").unwrap();
    let options = Options {
        graph_cache: Some(file.join("graphs")),
        encoder: EncoderChoice::Graph,
        ..Options::default()
    };
    let model = tiny("tiny-bert", &options);
    let state = model.graph_cache().unwrap().to_owned();
    assert!(
        state.contains("not written") && state.contains("graphs"),
        "{state}"
    );
    assert_eq!(off(&model, Pass::Pool), None);
    embed(&model, &["it works"]);
}
