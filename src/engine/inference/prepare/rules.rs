//! Rules of a load that both kinds of models have: where it runs, and what becomes of a precision that was asked
//! for.

use crate::engine::inference::assignment::Nodes;
use crate::engine::inference::providers;
use crate::engine::models::device::Device;
use crate::engine::models::files::ModelFiles;
use crate::engine::models::options::Options;
use crate::engine::models::pass::Pass;
use crate::engine::models::precision::{Precision, is_quantised};
use crate::error::{Error, Kind, Result};

/// Loads on the device that is asked for. `auto` takes the CPU wherever a GPU cannot be had, and keeps the
/// reason.
///
/// # Errors
/// Of the load; a GPU that was asked for by name and cannot be had.
pub fn on_device<L>(
    asked: Device,
    on_gpu: impl Fn(Device) -> Result<L>,
    on_cpu: impl FnOnce() -> Result<L>,
) -> Result<(L, Option<String>)> {
    let reason = match asked {
        Device::Cpu => None,
        Device::Auto => match Device::tried_first().map(&on_gpu) {
            Some(Ok(loaded)) => return Ok((loaded, None)),
            Some(Err(e)) if e.kind() == Kind::Interrupted => return Err(e),
            Some(Err(e)) => Some(e.message().to_owned()),
            None => None,
        },
        gpu => {
            let loaded = on_gpu(gpu.numbered()).map_err(|e| match e.kind() {
                Kind::Interrupted => e,
                _ => Error::invalid(format!(
                    "device '{}' cannot be had: {} (see docs/GPU.md, or ask for 'auto' or 'cpu')",
                    gpu.name(),
                    e.message()
                )),
            });
            return Ok((loaded?, None));
        }
    };
    Ok((on_cpu()?, reason))
}

/// Whether a device runs some of a graph, as far as the runtime tells.
///
/// # Errors
/// A GPU that was told to run a graph and runs no node of it.
pub fn check_nodes(device: Device, ran: Option<&Nodes>) -> Result<()> {
    let provider = providers::name(device);
    if ran.is_some_and(|nodes| nodes.get(provider).copied().unwrap_or_default() == 0) {
        return Err(Error::invalid(format!(
            "{provider} runs no node of this graph"
        )));
    }
    Ok(())
}

/// What a file computes in, as it shows once it is loaded.
pub fn precision_seen(files: &ModelFiles, gives_half: bool) -> Precision {
    match (is_quantised(files.graph()), gives_half) {
        (true, _) => Precision::Int8,
        (false, true) => Precision::Fp16,
        (false, false) => Precision::Fp32,
    }
}

/// The pass that makes the precision that was asked for of a file that computes in `file`.
///
/// # Errors
/// No pass makes it.
pub fn precision_pass(
    options: &Options,
    files: &ModelFiles,
    file: Precision,
) -> Result<Option<Pass>> {
    match (options.precision, file) {
        (None, _) => Ok(None),
        (Some(wanted), file) if wanted == file => Ok(None),
        (Some(Precision::Int8), Precision::Fp32) => Ok(Some(Pass::Int8)),
        (Some(Precision::Fp16), Precision::Fp32) => Ok(Some(Pass::Fp16)),
        (Some(wanted), file) => Err(Error::invalid(format!(
            "option precision is '{}', but {} computes in {}, and no pass makes one of the other; \
             leave the option out, or take another file",
            wanted.name(),
            files.graph().display(),
            file.name()
        ))),
    }
}

/// Says why a pass does not make the precision that was asked for.
pub fn no_precision(making: Pass, files: &ModelFiles, reason: &str) -> Error {
    Error::invalid(format!(
        "option precision is '{}', which cannot be made of {}: {reason}",
        making.name(),
        files.graph().display()
    ))
}
