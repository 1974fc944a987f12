//! A model on a GPU: what must hold before it is believed.

use super::{Bound, Device, Graph, Job, Loaded, Precision, Session, Settings};
use crate::engine::assignment::Nodes;
use crate::engine::providers;
use crate::error::{Error, Result};

impl Job<'_> {
    /// As [`Self::run`], and sees to it that the GPU really is used, works, and gives the CPU's vectors.
    pub(super) fn on_gpu(&self) -> Result<Loaded> {
        let Settings { device, gpu, .. } = &self.settings;
        let for_cpus = |precision| {
            let auto = self.options.device == Device::Auto;
            let int8 = auto && precision == Precision::Int8;
            let message = "int8 is made for CPUs";
            if int8 {
                Err(Error::invalid(message))
            } else {
                Ok(())
            }
        };
        self.options.precision.map_or(Ok(()), for_cpus)?;
        providers::check(*device, gpu)?;
        let mut loaded = self.run()?;
        for_cpus(loaded.precision)?;
        let provider = providers::name(*device);
        let count = |nodes: &Nodes| nodes.get(provider).copied().unwrap_or_default();
        if loaded
            .session
            .nodes()
            .is_some_and(|nodes| count(nodes) == 0)
        {
            return Err(Error::invalid(format!(
                "{provider} runs no node of this graph"
            )));
        }
        let vectors = loaded.session.probe(&self.probe)?;
        let cpu = Settings {
            device: Device::Cpu,
            ..self.settings.clone()
        };
        let reference = Session::open(Graph::File(self.path), &cpu)?.probe(&self.probe)?;
        let rounds = gpu.tf32 || matches!(device, Device::TensorRt(_));
        let bound = Bound::of_device(loaded.precision, rounds);
        for (ours, theirs) in reference.iter().zip(&vectors) {
            bound.near(ours, theirs).map_err(|found| {
                Error::invalid(format!("its vectors are not those of the CPU: {found}"))
            })?;
        }
        Ok(loaded)
    }
}
