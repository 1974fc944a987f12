//! Which files a model has: external data by whatever name the graph gives it, also as links.

#![cfg(unix)]

mod common;

use bge::engine::internals::protobuf::{Attribute, GraphBody, Model, Node, Tensor};
use bge::engine::{ModelLocation, Options};
use common::Scratch;
use prost::Message;

/// A graph whose large tensors are in files of these names, in turn.
fn outside(names: &[&str]) -> (Model, Vec<Vec<u8>>) {
    let mut graph = common::tiny_graph();
    let mut data = vec![Vec::new(); names.len()];
    let large = graph.body_mut().initializer.iter_mut();
    for (i, tensor) in large
        .filter(|t| t.raw_data.as_ref().is_some_and(|raw| raw.len() > 1000))
        .enumerate()
    {
        let (file, raw) = (i % names.len(), tensor.raw_data.clone().unwrap());
        tensor.set_external(names[file], data[file].len() as u64, raw.len() as u64);
        data[file].extend_from_slice(&raw);
    }
    (graph, data)
}

#[test]
fn external_data_of_any_name_belongs_to_the_model() {
    let names = ["weights.bin", "model.onnx_data", "more"];
    let (graph, data) = outside(&names);
    let scratch = Scratch::model("any-name", "tiny-bert", &graph);
    let onnx = scratch.0.join("onnx");
    for (name, bytes) in names.iter().zip(&data) {
        std::fs::write(onnx.join(name), bytes).unwrap();
    }
    std::fs::write(onnx.join("model.onnx.sha256"), "not the model's").unwrap();
    let files = ModelLocation::folder(&scratch.0).files().unwrap();
    let mut wanted = vec![onnx.join("model.onnx")];
    wanted.extend(["model.onnx_data", "more", "weights.bin"].map(|name| onnx.join(name)));
    assert_eq!(files.weights(), wanted);
    let bytes = graph.encoded_len() + data.iter().map(Vec::len).sum::<usize>();
    assert_eq!(files.bytes(), bytes as u64);

    // As in the Hugging Face cache: links to files of other names.
    let blobs = scratch.0.join("blobs");
    std::fs::create_dir(&blobs).unwrap();
    for (i, name) in names.iter().chain(&["model.onnx"]).enumerate() {
        std::fs::rename(onnx.join(name), blobs.join(i.to_string())).unwrap();
        std::os::unix::fs::symlink(format!("../blobs/{i}"), onnx.join(name)).unwrap();
    }
    let files = ModelLocation::folder(&scratch.0).files().unwrap();
    assert_eq!(files.weights(), wanted);
    assert_eq!(files.bytes(), bytes as u64);
    scratch.load(&Default::default()).unwrap();

    std::fs::remove_file(blobs.join("0")).unwrap();
    let error = ModelLocation::folder(&scratch.0).files().unwrap_err();
    assert!(
        error
            .message()
            .contains("'weights.bin', which does not exist"),
        "{error}"
    );
}

#[test]
fn data_of_constants_and_subgraphs_is_seen() {
    let tensor = |location: &str| {
        let mut tensor = Tensor::default();
        tensor.set_external(location, 0, 4);
        tensor
    };
    let node = |attribute: Attribute| Node {
        attribute: vec![attribute],
        ..Node::default()
    };
    let inner = GraphBody {
        initializer: vec![tensor("inner")],
        node: vec![node(Attribute {
            t: Some(tensor("constant")),
            ..Attribute::default()
        })],
        ..GraphBody::default()
    };
    let mut graph = common::tiny_graph();
    graph.body_mut().node.push(node(Attribute {
        g: Some(inner.encode_to_vec().into()),
        ..Attribute::default()
    }));
    let scratch = Scratch::model("nested", "tiny-bert", &graph);
    for name in ["inner", "constant"] {
        std::fs::write(scratch.0.join("onnx").join(name), [0; 4]).unwrap();
    }
    let files = ModelLocation::folder(&scratch.0).files().unwrap();
    let names: Vec<_> = files
        .weights()
        .iter()
        .map(|p| p.file_name().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["model.onnx", "constant", "inner"]);
}

/// The tiny model with its weights in files of these names.
fn with_data(test: &str, names: &[&str]) -> Scratch {
    let (graph, data) = outside(names);
    let scratch = Scratch::model(test, "tiny-bert", &graph);
    for (name, bytes) in names.iter().zip(&data) {
        std::fs::write(scratch.0.join("onnx").join(name), bytes).unwrap();
    }
    scratch
}

/// What the first versions took for a model's fingerprint, computed here once more.
fn first_fingerprint(scratch: &Scratch, config: &str) -> [u8; 16] {
    let onnx = scratch.0.join("onnx");
    let mut data: Vec<_> = std::fs::read_dir(&onnx)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.strip_prefix("model.onnx")
                .is_some_and(|rest| rest.ends_with("data"))
        })
        .collect();
    data.sort();
    let mut hashed = Vec::new();
    for path in [onnx.join("model.onnx")]
        .iter()
        .chain(&data)
        .chain([&scratch.0.join("tokenizer.json")])
    {
        let bytes = std::fs::read(path).unwrap();
        hashed.extend((bytes.len() as u64).to_le_bytes());
        hashed.extend(bytes);
    }
    hashed.extend(config.as_bytes());
    xxhash_rust::xxh3::xxh3_128(&hashed).to_le_bytes()
}

#[test]
fn a_fingerprint_is_of_what_was_loaded_and_of_all_of_it() {
    let names = ["weights.bin", "model.onnx_data"];
    let scratch = with_data("fingerprint", &names);
    let load = || scratch.load(&Options::default()).unwrap();
    let first = load();
    let known = first.fingerprint().unwrap();
    let change = |file: &str, replace: bool| {
        let path = scratch.0.join("onnx").join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        if replace {
            std::fs::write(path.with_extension("new"), bytes).unwrap();
            std::fs::rename(path.with_extension("new"), path).unwrap();
        } else {
            std::fs::write(path, bytes).unwrap();
        }
    };
    for (file, replace) in [
        ("weights.bin", true),
        ("model.onnx_data", false),
        ("weights.bin", false),
    ] {
        change(file, replace);
        let now = load();
        assert_eq!(
            first.fingerprint().unwrap(),
            known,
            "the old model has its old bytes"
        );
        assert_ne!(now.fingerprint().unwrap(), known, "{file}");
        assert!(!now.has_fingerprint(&known).unwrap() && first.has_fingerprint(&known).unwrap());
        change(file, replace);
        assert_eq!(load().fingerprint().unwrap(), known);
    }
}

#[test]
fn fingerprints_of_the_first_indexes_are_known() {
    // External data as it was known then, or none: the very same bytes.
    for names in [
        &[][..],
        &["model.onnx_data"],
        &["model.onnx.data", "model.onnx_data"],
    ] {
        let scratch = if names.is_empty() {
            Scratch::model("same", "tiny-bert", &common::tiny_graph())
        } else {
            with_data("same", names)
        };
        let wanted = first_fingerprint(&scratch, "Cls 512 false");
        assert_eq!(
            scratch
                .load(&Options::default())
                .unwrap()
                .fingerprint()
                .unwrap(),
            wanted,
            "{names:?}"
        );
    }
    // Of other names, or with a file of such a name that the graph does not use: both are known.
    for (names, stray) in [
        (&["weights.bin"][..], None),
        (&["model.onnx_data"], Some("model.onnx.metadata")),
    ] {
        let scratch = with_data("other", names);
        if let Some(stray) = stray {
            std::fs::write(scratch.0.join("onnx").join(stray), "stray").unwrap();
        }
        let old = first_fingerprint(&scratch, "Cls 512 false");
        let model = scratch.load(&Options::default()).unwrap();
        assert_ne!(model.fingerprint().unwrap(), old, "{names:?}");
        assert!(model.has_fingerprint(&old).unwrap());
        assert!(
            model
                .has_fingerprint(&model.fingerprint().unwrap())
                .unwrap()
        );
        assert!(
            !model.has_fingerprint(&[0; 16]).unwrap()
                && !model.has_fingerprint(&old[..15]).unwrap()
        );
        let options = Options {
            max_length: Some(100),
            ..Options::default()
        };
        assert!(
            !scratch
                .load(&options)
                .unwrap()
                .has_fingerprint(&old)
                .unwrap()
        );
    }
}

#[test]
fn files_that_change_while_they_are_read_are_read_again_or_refused() {
    let scratch = with_data("changing", &["weights.bin"]);
    let path = scratch.0.join("onnx/weights.bin");
    let bytes = std::fs::read(&path).unwrap();
    let writing = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while writing.load(std::sync::atomic::Ordering::Relaxed) {
                std::fs::write(&path, &bytes).unwrap();
            }
        });
        let error = scratch.load(&Options::default()).err();
        writing.store(false, std::sync::atomic::Ordering::Relaxed);
        // It may be seen half-written, too.
        let message = error.expect("an error").message().to_owned();
        assert!(
            message.contains("were changed while they were read") || message.contains("cannot be"),
            "{message}"
        );
    });
    scratch.load(&Options::default()).unwrap();
}

#[test]
fn data_that_is_no_file_of_the_folder_is_refused_and_never_waited_for() {
    let outside = std::env::temp_dir().join(format!("bge-outside-{}", std::process::id()));
    std::fs::write(&outside, vec![0; 1 << 20]).unwrap();
    let refused = |name: &str, prepare: &dyn Fn(&std::path::Path)| {
        let scratch = with_data("refused", &["model.onnx_data"]);
        let mut graph = common::tiny_graph();
        for tensor in &mut graph.body_mut().initializer {
            if tensor.raw_data.as_ref().is_some_and(|raw| raw.len() > 1000) {
                tensor.set_external(name, 0, 1000);
            }
        }
        std::fs::write(scratch.0.join("onnx/model.onnx"), graph.encode_to_vec()).unwrap();
        prepare(&scratch.0.join("onnx"));
        scratch
            .load(&Options::default())
            .err()
            .expect("an error")
            .message()
            .to_owned()
    };
    let nothing = |_: &std::path::Path| {};
    let link =
        |onnx: &std::path::Path| std::os::unix::fs::symlink(&outside, onnx.join("linked")).unwrap();
    let fifo = |onnx: &std::path::Path| {
        let done = std::process::Command::new("mkfifo")
            .arg(onnx.join("pipe"))
            .status();
        assert!(done.unwrap().success());
    };
    let folder = |onnx: &std::path::Path| std::fs::create_dir(onnx.join("folder")).unwrap();
    for (name, prepare, wanted) in [
        (
            "../../x",
            &nothing as &dyn Fn(&std::path::Path),
            "is no path within a folder",
        ),
        ("/dev/zero", &nothing, "is no path within a folder"),
        (
            outside.to_str().unwrap(),
            &nothing,
            "is no path within a folder",
        ),
        ("", &nothing, "is no path within a folder"),
        ("missing", &nothing, "does not exist"),
        ("linked", &link, "is a link out of the model's folder"),
        ("pipe", &fifo, "a pipe"),
        ("folder", &folder, "is a folder, expected a regular file"),
    ] {
        let message = refused(name, prepare);
        assert!(message.contains(wanted), "{name}: {message}");
    }
    std::fs::remove_file(outside).unwrap();
}

#[test]
fn what_is_read_has_bounds() {
    let scratch = Scratch::model("bounds", "tiny-bert", &common::tiny_graph());
    let error = |scratch: &Scratch| {
        scratch
            .load(&Options::default())
            .err()
            .expect("an error")
            .message()
            .to_owned()
    };
    let grow = |file: &str, bytes: u64| {
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(scratch.0.join(file))
            .unwrap();
        let old = file.metadata().unwrap().len();
        file.set_len(bytes).unwrap();
        move || file.set_len(old).unwrap()
    };
    let back = grow("tokenizer.json", 1 << 40);
    assert!(error(&scratch).contains("has 1099511627776 bytes, expected at most"));
    back();
    let back = grow("config.json", 1 << 40);
    assert!(error(&scratch).contains("config.json has 1099511627776 bytes, expected at most"));
    back();
    scratch.load(&Options::default()).unwrap();

    let mut graph = common::tiny_graph();
    graph.body_mut().node.resize(200_000, Node::default());
    let many = Scratch::model("bounds", "tiny-bert", &graph);
    assert!(
        error(&many).contains("more than 131072 nodes"),
        "{}",
        error(&many)
    );
    let mut graph = common::tiny_graph();
    graph.doc_string = Some("x".repeat(65 << 20));
    let large = Scratch::model("bounds", "tiny-bert", &graph);
    assert!(
        error(&large).contains("67108864 bytes beside its weights"),
        "{}",
        error(&large)
    );
}
