//! Wrong passes, and a GPU's way through the code with the CPU's provider in its place.

use super::*;
use crate::engine::inference::prepare::in_tests::{CPU, apply_wrongly, crude, for_graph, settings};
use crate::engine::onnx::protobuf::GraphBody;
use crate::engine::stop::NeverStop;
use std::path::Path;

fn with_job<R>(
    apply: Apply,
    options: &Options,
    device: Device,
    run: impl FnOnce(&Job<'_>) -> R,
) -> R {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rerankers/tiny-reranker");
    let files = ModelFiles::of(&folder, None).unwrap();
    let pairs = [
        Pair {
            ids: vec![2, 60, 70, 3, 80, 3],
            query: 4,
        },
        Pair {
            ids: vec![2, 80, 3, 90, 100, 110, 120, 3],
            query: 3,
        },
    ];
    let options = &for_graph(options);
    run(&Job {
        files: &files,
        options,
        settings: settings(device, options),
        probe: pairs.iter().collect(),
        apply,
        stop: &NeverStop,
    })
}

fn options(json: &str) -> Options {
    Options::from_json(json).unwrap()
}

fn scores(apply: Apply, json: &str) -> (Vec<f64>, Vec<PassReport>) {
    with_job(apply, &options(json), Device::Cpu, |job| {
        let mut prepared = job.run().unwrap();
        (prepared.scorer.probe(&job.probe).unwrap(), prepared.passes)
    })
}

/// Multiplies the query by two: another attention.
fn wrong_attention(
    pass: Pass,
    source: &OnnxGraph,
    facts: &Facts<'_>,
) -> std::result::Result<OnnxGraph, String> {
    let twice = |body: &mut GraphBody| {
        let attributes = body.node.iter_mut().flat_map(|node| &mut node.attribute);
        for attribute in attributes.filter(|a| a.name.as_deref() == Some("scale")) {
            attribute.f = attribute.f.map(|scale| 2.0 * scale);
        }
    };
    apply_wrongly(Pass::Attention, twice, (pass, source, facts))
}

#[test]
fn a_pass_that_changes_scores_is_not_used() {
    let (plain, _) = scores(graph::apply, r#"{"passes": "none"}"#);
    let (fused, passes) = scores(graph::apply, "{}");
    assert_eq!(passes, [report(None)]);
    Tolerance::Rounding.check(&plain, &fused).unwrap();
    for precision in ["fp32", "fp16", "int8"] {
        let json = format!(r#"{{"precision": "{precision}"}}"#);
        let (found, passes) = scores(wrong_attention, &json);
        let off = passes[0].off.as_deref().expect("it is off");
        assert!(off.contains("changes the score of a probe pair"), "{off}");
        let (without, _) = scores(
            graph::apply,
            &format!(r#"{{"passes": "none", "precision": "{precision}"}}"#),
        );
        assert_eq!(found, without, "{precision}");
    }
}

#[test]
fn a_precision_that_loses_the_meaning_is_an_error() {
    let json = r#"{"precision": "int8"}"#;
    let error = with_job(crude, &options(json), Device::Cpu, |job| job.run().err());
    let error = error.expect("an error").to_string();
    assert!(error.contains("option precision is 'int8'"), "{error}");
    assert!(error.contains("changes the score"), "{error}");
}

#[test]
fn a_gpu_must_give_the_scores_of_the_cpu_and_run_the_nodes() {
    let on = |name, json| {
        with_job(graph::apply, &options(json), Device::StandIn(name), |job| {
            job.on_gpu().map(|prepared| prepared.precision)
        })
    };
    assert_eq!(on(CPU, "{}"), Ok(Precision::Fp32));
    assert_eq!(on(CPU, r#"{"precision": "fp16"}"#), Ok(Precision::Fp16));
    let int8 = on(CPU, r#"{"precision": "int8"}"#).unwrap_err();
    assert_eq!(int8.message(), "int8 is made for CPUs");
    let idle = on("CUDAExecutionProvider", "{}").unwrap_err();
    assert_eq!(
        idle.message(),
        "CUDAExecutionProvider runs no node of this graph"
    );
}

#[test]
fn a_score_that_is_not_a_number_is_never_near() {
    for tolerance in [Tolerance::Rounding, Tolerance::Int8] {
        tolerance.check(&[1.0, -2.0], &[1.0, -2.00001]).unwrap();
        for other in [&[1.0][..], &[1.0, f64::NAN], &[1.0, 3.0]] {
            assert!(tolerance.check(&[1.0, -2.0], other).is_err(), "{other:?}");
        }
    }
}
