//! Wrong passes: the self-check must find them and drop no others.

use super::*;
use crate::engine::graph::bound::Bound;
use crate::engine::graph::{Facts, edit};
use crate::engine::inference::prepare::in_tests::{CPU, apply_wrongly, crude, for_graph, settings};
use crate::engine::inference::prepare::make::Apply;
use crate::engine::inference::runner::Vectors;
use crate::engine::models::pass::Pass;
use crate::engine::models::precision::Precision;
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::GraphBody;
use std::path::Path;

fn tiny() -> ModelFiles {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tiny-bert");
    ModelFiles::of(&folder, None).unwrap()
}

fn load_with(apply: Apply, options: &Options) -> Result<Loaded> {
    job_with(apply, options, Device::Cpu, |job| job.run())
}

fn job_with(
    apply: Apply,
    options: &Options,
    device: Device,
    run: fn(&Job<'_>) -> Result<Loaded>,
) -> Result<Loaded> {
    let (a, b) = ([2, 60, 70, 3], [2, 80, 90, 100, 110, 120, 3]);
    let options = &for_graph(options);
    let job = Job {
        target: Target {
            files: &tiny(),
            options,
            settings: settings(device, options),
            probe: vec![&a, &b],
            stop: &crate::engine::stop::NeverStop,
        },
        apply,
        unpacked: None,
    };
    run(&job)
}

/// The passes that are off, with their reasons.
fn off(loaded: &Loaded) -> Vec<(Pass, &str)> {
    let reports = loaded.passes.iter();
    reports
        .filter_map(|r| Some((r.pass, r.off.as_deref()?)))
        .collect()
}

/// What the file's own graph gives.
fn plain() -> Vectors {
    let options = Options {
        passes: Some(Vec::new()),
        ..Options::default()
    };
    load_with(graph::apply, &options)
        .unwrap()
        .session
        .probe(&TEXTS)
        .unwrap()
}

const TEXTS: [&[i64]; 1] = [&[2, 200, 300, 400, 500, 3]];

fn assert_same(loaded: &mut Loaded) {
    let vectors = loaded.session.probe(&TEXTS).unwrap();
    Bound::Difference(1e-5)
        .check(&plain()[0], &vectors[0])
        .unwrap();
}

/// Takes the second token for the first.
fn wrong_token(
    pass: Pass,
    source: &OnnxGraph,
    facts: &Facts<'_>,
) -> std::result::Result<OnnxGraph, String> {
    let second = |body: &mut GraphBody| {
        for tensor in &mut body.initializer {
            match tensor.name() {
                "bge_first_start" => *tensor = edit::integers("bge_first_start", &[1]),
                "bge_first_stop" => *tensor = edit::integers("bge_first_stop", &[2]),
                _ => {}
            }
        }
    };
    apply_wrongly(Pass::LastLayer, second, (pass, source, facts))
}

#[test]
fn a_pass_that_changes_vectors_is_dropped_and_the_others_stay() {
    let mut loaded = load_with(wrong_token, &Options::default()).unwrap();
    let off = off(&loaded);
    assert_eq!(off.len(), 1, "{off:?}");
    assert_eq!(off[0].0, Pass::LastLayer);
    assert!(
        off[0].1.contains("changes the vector of the probe text"),
        "{off:?}"
    );
    assert_same(&mut loaded);
}

#[test]
fn the_loose_bounds_of_int8_hide_no_wrong_pass() {
    let options = Options {
        precision: Some(Precision::Int8),
        ..Options::default()
    };
    let loaded = load_with(wrong_token, &options).unwrap();
    assert_eq!(loaded.precision, Precision::Int8);
    let off = off(&loaded);
    assert_eq!(off.len(), 1, "{off:?}");
    assert_eq!(off[0].0, Pass::LastLayer);
}

/// Makes graphs that the runtime refuses.
fn nonsense(
    pass: Pass,
    source: &OnnxGraph,
    facts: &Facts<'_>,
) -> std::result::Result<OnnxGraph, String> {
    let mut source = graph::apply(pass, source, facts)?;
    let nowhere = edit::node("Add", &["nowhere", "nothing"], &["bge_nonsense"], vec![]);
    source.model.body_mut().node.push(nowhere);
    // Whoever prunes must not remove it.
    let output = edit::vectors("bge_nonsense", 32);
    source.model.body_mut().output.push(output);
    Ok(source)
}

#[test]
fn where_every_pass_fails_the_file_is_loaded_as_it_is() {
    let mut loaded = load_with(nonsense, &Options::default()).unwrap();
    assert_eq!(off(&loaded).len(), Pass::SWITCHED.len());
    assert_same(&mut loaded);
}

#[test]
fn a_precision_that_loses_the_meaning_is_an_error() {
    let options = Options {
        precision: Some(Precision::Int8),
        ..Options::default()
    };
    let error = load_with(crude, &options).err().expect("an error");
    assert!(
        error
            .message()
            .contains("option precision is 'int8', which cannot be made of"),
        "{error}"
    );
    assert!(error.message().contains("cosine"), "{error}");
}

/// A GPU's way through the code, with the CPU's provider in its place.
fn on_stand_in(name: &'static str, apply: Apply, options: &Options) -> Result<Loaded> {
    job_with(apply, options, Device::StandIn(name), on_gpu::load)
}

#[test]
fn a_gpu_that_gives_the_cpus_vectors_is_believed() {
    let precisions = [None, Some(Precision::Fp16)];
    for (precision, passes) in precisions
        .into_iter()
        .flat_map(|p| [(p, None), (p, Some(vec![]))])
    {
        let options = Options {
            precision,
            passes,
            ..Options::default()
        };
        let mut loaded = on_stand_in(CPU, graph::apply, &options).unwrap();
        assert_eq!(loaded.device, Device::StandIn(CPU));
        let vectors = loaded.session.probe(&TEXTS).unwrap();
        Bound::Cosine(0.999).near(&plain()[0], &vectors[0]).unwrap();
        let pooled = loaded
            .passes
            .iter()
            .any(|r| r.pass == Pass::Pool && r.off.is_none());
        assert_eq!(
            pooled,
            options.passes.is_none(),
            "passes are used on GPUs too"
        );
    }
}

#[test]
fn a_wrong_pass_is_found_on_a_gpu_too() {
    let mut loaded = on_stand_in(CPU, wrong_token, &Options::default()).unwrap();
    assert_eq!(
        off(&loaded)
            .iter()
            .map(|(pass, _)| *pass)
            .collect::<Vec<_>>(),
        [Pass::LastLayer]
    );
    assert_same(&mut loaded);
}

#[test]
fn a_provider_that_runs_no_node_is_an_error() {
    let wrong = on_stand_in("CUDAExecutionProvider", graph::apply, &Options::default());
    let error = wrong.err().expect("the nodes run elsewhere");
    assert_eq!(
        error.message(),
        "CUDAExecutionProvider runs no node of this graph"
    );
}

#[test]
fn auto_takes_no_gpu_for_int8() {
    let options = Options {
        precision: Some(Precision::Int8),
        ..Options::default()
    };
    let refused = on_stand_in(CPU, graph::apply, &options);
    let error = refused.err().expect("auto goes on with the CPU");
    assert_eq!(error.message(), "int8 is made for CPUs");
}
