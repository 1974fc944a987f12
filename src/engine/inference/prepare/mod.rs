//! From a model's files to the session that runs: on which device, which graph passes are used, whether
//! they did no harm, and what is loaded where they cannot be used.
//!
//! [`job`] is one load on one device, [`on_gpu`] what must hold before a GPU is believed, [`make`] applies
//! passes and checks them, [`reports`] says what became of them. A graph from the folder of kept ones was
//! checked when it was made.

pub mod job;
pub mod make;
pub mod on_gpu;
pub mod reports;

use crate::engine::graph;
use crate::engine::inference::prepare::job::{Job, Loaded};
use crate::engine::inference::runtime;
use crate::engine::inference::session::Settings;
use crate::engine::models::config::ModelConfig;
use crate::engine::models::device::Device;
use crate::engine::models::files::ModelFiles;
use crate::engine::models::options::Options;
use crate::engine::models::pass::PassReport;
use crate::engine::stop::Stop;
use crate::error::{Error, Kind, Result};
use serde_json::{Value, json};

/// Loads the graph of a model folder. `probe` are the ids of some texts.
///
/// `auto` takes the CPU wherever a GPU cannot be had, and keeps the reason.
///
/// # Errors
/// No runtime, a file that it refuses, no text encoder, a precision or a device that cannot be had.
pub fn load(
    files: &ModelFiles,
    config: &ModelConfig,
    options: &Options,
    threads: usize,
    probe: &[Vec<i64>],
    stop: &dyn Stop,
) -> Result<Loaded> {
    // Its own trouble is no device's.
    runtime::get()?;
    let job = |device: Device| Job {
        files,
        options,
        settings: Settings {
            threads,
            dims: config.dims,
            pooling: config.pooling,
            device,
            gpu: options.gpu.clone(),
        },
        probe: probe.iter().map(Vec::as_slice).collect(),
        apply: graph::apply,
        stop,
    };
    let reason = match options.device {
        Device::Cpu => None,
        Device::Auto => match Device::tried_first().map(|gpu| on_gpu::load(&job(gpu))) {
            Some(Ok(loaded)) => return Ok(loaded),
            Some(Err(e)) if e.kind() == Kind::Interrupted => return Err(e),
            Some(Err(e)) => Some(e.message().to_owned()),
            None => None,
        },
        gpu => {
            return on_gpu::load(&job(gpu.numbered())).map_err(|e| {
                if e.kind() == Kind::Interrupted {
                    return e;
                }
                Error::invalid(format!(
                    "device '{}' cannot be had: {} (see docs/GPU.md, or ask for 'auto' or 'cpu')",
                    gpu.name(),
                    e.message()
                ))
            });
        }
    };
    let mut loaded = job(Device::Cpu).run()?;
    loaded.device_reason = reason;
    Ok(loaded)
}

/// What `bge_info` says of passes.
pub fn describe(passes: &[PassReport]) -> Value {
    let one = |report: &PassReport| {
        json!({
            "name": report.pass.name(),
            "on": report.off.is_none(),
            "reason": report.off,
        })
    };
    passes.iter().map(one).collect()
}

#[cfg(test)]
mod tests;
