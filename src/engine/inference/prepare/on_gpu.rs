//! A model on a GPU: what must hold before it is believed.

use crate::engine::graph::bound::Bound;
use crate::engine::inference::loaded_graph::{Graph, Settings};
use crate::engine::inference::prepare::job::{Job, Loaded};
use crate::engine::inference::prepare::rules;
use crate::engine::inference::providers;
use crate::engine::inference::session::Session;
use crate::engine::models::device::Device;
use crate::engine::models::precision::Precision;
use crate::error::{Error, Result};

/// As [`Job::run`], and sees to it that the GPU really is used, works, and gives the CPU's vectors.
pub fn load(job: &Job<'_>) -> Result<Loaded> {
    let Settings { device, gpu, .. } = &job.target.settings;
    let for_cpus = |precision| {
        let auto = job.target.options.device == Device::Auto;
        let int8 = auto && precision == Precision::Int8;
        let message = "int8 is made for CPUs";
        if int8 {
            Err(Error::invalid(message))
        } else {
            Ok(())
        }
    };
    job.target.options.precision.map_or(Ok(()), for_cpus)?;
    providers::check(*device, gpu)?;
    let mut loaded = job.run()?;
    for_cpus(loaded.precision)?;
    rules::check_nodes(*device, loaded.session.nodes())?;
    let vectors = loaded.session.probe(&job.target.probe)?;
    let cpu = Settings {
        device: Device::Cpu,
        ..job.target.settings.clone()
    };
    let reference = Session::open(Graph::File(job.target.files), &cpu)?.probe(&job.target.probe)?;
    let rounds = gpu.tf32 || matches!(device, Device::TensorRt(_));
    let bound = Bound::of_device(loaded.precision, rounds);
    for (ours, theirs) in reference.iter().zip(&vectors) {
        bound.near(ours, theirs).map_err(|found| {
            Error::invalid(format!("its vectors are not those of the CPU: {found}"))
        })?;
    }
    Ok(loaded)
}
