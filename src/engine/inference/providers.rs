//! Devices as ONNX Runtime knows them: its execution providers and their options.

use crate::engine::inference::runtime;
use crate::engine::models::device::{ArenaExtend, Device, GpuOptions};
use crate::error::{Error, Result};
use ort::ep::{self, ArbitrarilyConfigurableExecutionProvider, ExecutionProviderDispatch};
use ort::session::Session as OrtSession;

/// The name of the provider that is to run the nodes on a device.
pub fn name(device: Device) -> &'static str {
    match device {
        Device::Auto | Device::Cpu => "CPUExecutionProvider",
        Device::Cuda(_) => "CUDAExecutionProvider",
        Device::TensorRt(_) => "TensorrtExecutionProvider",
        #[cfg(test)]
        Device::StandIn(name) => name,
        #[cfg(target_vendor = "apple")]
        Device::CoreMl => "CoreMLExecutionProvider",
        #[cfg(windows)]
        Device::DirectMl(_) => "DmlExecutionProvider",
    }
}

/// The providers to register, in order. One that cannot be had is an error: the runtime would go on
/// with the CPU in silence.
pub fn of(device: Device, options: &GpuOptions) -> Vec<ExecutionProviderDispatch> {
    let providers = match device {
        Device::Auto | Device::Cpu => Vec::new(),
        Device::Cuda(_) => vec![cuda(device, options)],
        Device::TensorRt(_) => vec![tensorrt(device, options), cuda(device, options)],
        #[cfg(test)]
        Device::StandIn(_) => vec![ep::CPU::default().build()],
        #[cfg(target_vendor = "apple")]
        Device::CoreMl => vec![ep::CoreML::default().build()],
        #[cfg(windows)]
        Device::DirectMl(_) => {
            vec![
                ep::DirectML::default()
                    .with_device_id(device.number() as i32)
                    .build(),
            ]
        }
    };
    let strict = |provider: ExecutionProviderDispatch| provider.error_on_failure();
    providers.into_iter().map(strict).collect()
}

fn cuda(device: Device, options: &GpuOptions) -> ExecutionProviderDispatch {
    let extend = match options.arena_extend {
        ArenaExtend::PowerOfTwo => "kNextPowerOfTwo",
        ArenaExtend::Requested => "kSameAsRequested",
    };
    let mut provider = ep::CUDA::default()
        .with_device_id(device.number() as i32)
        .with_arbitrary_config("arena_extend_strategy", extend)
        .with_arbitrary_config("use_tf32", u8::from(options.tf32));
    if let Some(mb) = options.mem_mb {
        provider = provider.with_arbitrary_config("gpu_mem_limit", mb << 20);
    }
    provider.build()
}

/// TensorRT has no arena: what it gives to CUDA is bounded there.
fn tensorrt(device: Device, options: &GpuOptions) -> ExecutionProviderDispatch {
    let mut provider = ep::TensorRT::default().with_device_id(device.number() as i32);
    if let Some(folder) = &options.trt_cache {
        let folder = folder.to_string_lossy();
        provider = provider
            .with_engine_cache(true)
            .with_engine_cache_path(&folder)
            .with_timing_cache(true)
            .with_timing_cache_path(&folder);
    }
    provider.build()
}

/// Whether the runtime has a device's provider and can load it. What only a session shows, such as a
/// number that no device has, shows later.
///
/// # Errors
/// The runtime's reason, in its own words.
pub fn check(device: Device, options: &GpuOptions) -> Result<()> {
    let runtime = runtime::get()?;
    let registered = OrtSession::builder(&runtime.environment).and_then(|builder| {
        builder
            .with_execution_providers(of(device, options))
            .map_err(Into::into)
    });
    match registered {
        Ok(_) => Ok(()),
        Err(e) => Err(Error::invalid(runtime::message(&e))),
    }
}
