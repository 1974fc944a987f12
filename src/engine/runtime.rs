//! The one ONNX Runtime of the process: found, opened, checked and started at the first embedding.
//!
//! Its environment is made once and never dropped. It has no threads of its own (sessions have),
//! so a forked child keeps using it.

use super::process::{lock, state};
use super::{find, native};
use crate::error::{Error, Result};
use once_cell::sync::OnceCell;
use ort::environment::Environment;
use ort::logging::LogLevel;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// A running ONNX Runtime.
pub struct Runtime {
    pub(super) environment: Environment,
    /// The library's file, or a bare name that the system's loader resolved.
    pub path: PathBuf,
    /// The library's version, such as `1.28.0`.
    pub version: String,
}

/// Inherited by forked children on purpose: ONNX Runtime allows one environment a process image.
static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// The process that is starting the runtime right now; 0: none.
static STARTING: AtomicU32 = AtomicU32::new(0);

/// The runtime, started at the first call.
///
/// # Errors
/// No library found, a file that is none, one that is too old, one that fails to start. The next
/// call tries again.
pub fn get() -> Result<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    refuse_half_started_parent()?;
    let _one_at_a_time = lock(&state().runtime_start);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    STARTING.store(std::process::id(), Ordering::SeqCst);
    let started = start();
    STARTING.store(0, Ordering::SeqCst);
    let runtime = started?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// The runtime if it has been started.
pub fn started() -> Option<&'static Runtime> {
    RUNTIME.get()
}

/// If the process was forked in the very moment in which another thread started the runtime, the
/// runtime's own locks stay held in this child for ever: waiting for them would hang.
fn refuse_half_started_parent() -> Result<()> {
    let pid = STARTING.load(Ordering::SeqCst);
    if pid == 0 || pid == std::process::id() {
        return Ok(());
    }
    Err(Error::invalid(
        "this process was forked while its parent was starting ONNX Runtime; \
         embed once before forking, or start the child with exec",
    ))
}

fn start() -> Result<Runtime> {
    let found = find::runtime()?;
    let path = found
        .clone()
        .unwrap_or_else(|| PathBuf::from(find::RUNTIME_FILE));
    let version = native::runtime_version(&path).map_err(|e| {
        if found.is_some() {
            return e;
        }
        Error::invalid(format!(
            "no ONNX Runtime found; looked at {}, and the system's loader said: {e}; \
             put {} beside the extension (`make build` does) or name it in $BGE_ORT_LIB",
            find::list(&find::runtime_places()),
            find::RUNTIME_FILE
        ))
    })?;
    check_version(&path, &version)?;
    if minor(&version) >= 29 {
        // From 1.29 on the official builds report usage over the network unless told not to.
        native::set_env_if_unset("ORT_DISABLE_TELEMETRY", "1");
    }
    let environment = ort::init_from(&path)
        .map_err(|e| Error::invalid(e.to_string()))?
        .with_name("sqlite-bge")
        .with_telemetry(false)
        .with_logger(Arc::new(
            |level, _category: &str, _id: &str, _at: &str, message: &str| {
                if level >= LogLevel::Warning {
                    *lock(&state().runtime_message) = Some(message.to_owned());
                }
            },
        ))
        .build()
        .map_err(|e| Error::invalid(format!("{} cannot be started: {e}", path.display())))?;
    // `ort` asks for everything when there is a logger; formatting it would cost time.
    environment.set_log_level(LogLevel::Warning);
    Ok(Runtime {
        environment,
        path,
        version,
    })
}

fn check_version(path: &Path, version: &str) -> Result<()> {
    if version.starts_with("1.") && minor(version) >= ort::MINOR_VERSION {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} is ONNX Runtime {version}, expected 1.{} or later",
        path.display(),
        ort::MINOR_VERSION
    )))
}

fn minor(version: &str) -> u32 {
    version
        .split('.')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}
