//! From a model's files to the session that runs: on which device, which graph passes are used, whether
//! they did no harm, and what is loaded where they cannot be used.
//!
//! [`target`] is what is wanted, [`job`] one load on one device, [`on_gpu`] what must hold before a GPU is
//! believed, [`native`] is our own encoder, [`make`] applies passes and checks them, [`reports`] says what
//! became of them, and [`rules`] are those that rerankers have too. A graph from the folder of kept ones was
//! checked when it was made.

pub mod job;
pub mod make;
pub mod native;
pub mod on_gpu;
pub mod reports;
pub mod rules;
pub mod target;

use crate::engine::graph;
use crate::engine::inference::loaded_graph::Settings;
use crate::engine::inference::prepare::job::{Job, Loaded};
use crate::engine::inference::prepare::target::Target;
use crate::engine::inference::providers;
use crate::engine::inference::runtime;
use crate::engine::models::config::ModelConfig;
use crate::engine::models::device::Device;
use crate::engine::models::files::ModelFiles;
use crate::engine::models::options::Options;
use crate::engine::models::pass::PassReport;
use crate::engine::stop::Stop;
use crate::error::Result;
use serde_json::{Value, json};

/// What a load is told.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// The model's files.
    pub files: &'a ModelFiles,
    /// What they say.
    pub config: &'a ModelConfig,
    /// What the user wants.
    pub options: &'a Options,
    /// Threads of one run.
    pub threads: usize,
    /// Ids of some texts.
    pub probe: &'a [Vec<i64>],
    /// Asked between steps.
    pub stop: &'a (dyn Stop + Sync),
}

impl<'a> Wanted<'a> {
    fn job(&self, device: Device, unpacked: Option<String>) -> Job<'a> {
        Job {
            target: Target {
                files: self.files,
                options: self.options,
                settings: Settings {
                    threads: self.threads,
                    dims: self.config.dims,
                    pooling: self.config.pooling,
                    device,
                    gpu: self.options.gpu.clone(),
                },
                probe: self.probe.iter().map(Vec::as_slice).collect(),
                stop: self.stop,
            },
            apply: graph::apply,
            unpacked,
        }
    }
}

/// Our own encoder with packed weights, which needs neither the model's weights nor their hash; else what
/// is wrong with those weights, or nothing.
///
/// # Errors
/// No runtime.
pub fn packed(wanted: &Wanted<'_>) -> Result<std::result::Result<Loaded, Option<String>>> {
    let no_gpu = match wanted.options.device {
        Device::Cpu => None,
        Device::Auto => match Device::tried_first() {
            None => None,
            // A runtime without the GPU's provider says so at once.
            Some(gpu) => match providers::check(gpu, &wanted.options.gpu) {
                Ok(()) => return Ok(Err(None)),
                Err(e) => Some(e.message().to_owned()),
            },
        },
        _ => return Ok(Err(None)),
    };
    let mut found = wanted.job(Device::Cpu, None).packed()?;
    if let Ok(loaded) = &mut found {
        loaded.device_reason = no_gpu;
    }
    Ok(found)
}

/// Loads the graph of a model folder, or our own encoder for it. `unpacked` is what [`packed`] found wrong.
///
/// `auto` takes the CPU wherever a GPU cannot be had, and keeps the reason.
///
/// # Errors
/// No runtime, a file that it refuses, no text encoder, a precision or a device that cannot be had.
pub fn load(wanted: &Wanted<'_>, unpacked: Option<String>) -> Result<Loaded> {
    // Its own trouble is no device's.
    runtime::get()?;
    let job = |device: Device| wanted.job(device, unpacked.clone());
    let (mut loaded, reason) = rules::on_device(
        wanted.options.device,
        |gpu| on_gpu::load(&job(gpu)),
        || job(Device::Cpu).run(),
    )?;
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
pub mod in_tests;
#[cfg(test)]
mod tests;
