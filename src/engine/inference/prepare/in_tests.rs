//! What the tests of loads of both kinds of models share: passes that are wrong, and how tiny models are loaded.

use crate::engine::graph::{self, Facts};
use crate::engine::inference::loaded_graph::Settings;
use crate::engine::models::device::Device;
use crate::engine::models::options::{EncoderChoice, Options};
use crate::engine::models::pass::Pass;
use crate::engine::models::pooling::Pooling;
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::GraphBody;

/// The CPU's provider, in a GPU's place.
pub const CPU: &str = "CPUExecutionProvider";

/// How a tiny model is loaded on a device.
pub fn settings(device: Device, options: &Options) -> Settings {
    Settings {
        threads: 1,
        dims: 32,
        pooling: Pooling::Cls,
        device,
        gpu: options.gpu.clone(),
    }
}

/// The same options, for tests that look at the passes of the graph.
pub fn for_graph(options: &Options) -> Options {
    Options {
        encoder: EncoderChoice::Graph,
        ..options.clone()
    }
}

/// Applies a pass, and changes what comes of it where it is `wrong`.
pub fn apply_wrongly(
    wrong: Pass,
    change: impl Fn(&mut GraphBody),
    (pass, source, facts): (Pass, &OnnxGraph, &Facts<'_>),
) -> Result<OnnxGraph, String> {
    let mut changed = graph::apply(pass, source, facts)?;
    if pass == wrong {
        change(changed.model.body_mut());
    }
    Ok(changed)
}

/// Gives int8 weights of one.
pub fn crude(pass: Pass, source: &OnnxGraph, facts: &Facts<'_>) -> Result<OnnxGraph, String> {
    let ones = |body: &mut GraphBody| {
        for tensor in &mut body.initializer {
            if tensor.name().starts_with("bge_int8_weight") {
                let count = tensor.dims.iter().product::<i64>() as usize;
                tensor.raw_data = Some(vec![1; count].into());
            }
        }
    };
    apply_wrongly(Pass::Int8, ones, (pass, source, facts))
}
