//! The one ONNX Runtime of the process: found, opened, checked and started at the first embedding.
//!
//! Its environment is made once and never dropped. It has no threads of its own (sessions have),
//! so a forked child keeps using it.

use crate::engine::inference::library::{ApiTable, RuntimeLibrary};
use crate::engine::inference::{assignment, elf, find_runtime};
use crate::engine::models::{install, searched_path};
use crate::engine::process::environment::set_env_if_unset;
use crate::engine::process::lock::lock;
use crate::engine::process::per_process::PerProcess;
use crate::error::{Error, Result};
use once_cell::sync::OnceCell;
use ort::environment::Environment;
use ort::logging::LogLevel;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// A running ONNX Runtime.
pub struct Runtime {
    pub environment: Environment,
    /// The library's file, or a bare name that the system's loader resolved.
    pub path: PathBuf,
    /// The library's version, such as `1.28.0`.
    pub version: String,
    /// Its functions that `ort` does not offer; `None`: it is too old for them.
    pub api: Option<ApiTable>,
}

impl Runtime {
    /// Whether a graph in memory may have its tensors in the model's file.
    ///
    /// # Errors
    /// Why it may not.
    pub fn takes_graphs_in_memory(&self) -> std::result::Result<(), String> {
        if minor(&self.version) >= FIRST_WITH_TENSOR_FOLDER {
            return Ok(());
        }
        Err(format!(
            "ONNX Runtime {} is older than 1.{FIRST_WITH_TENSOR_FOLDER}, which passes need",
            self.version
        ))
    }

    /// Whether it reports usage over the network: `off`, or what the user's own
    /// `ORT_DISABLE_TELEMETRY` says where that is not `1`.
    pub fn telemetry(&self) -> String {
        match std::env::var("ORT_DISABLE_TELEMETRY") {
            Ok(value) if minor(&self.version) >= FIRST_WITH_TELEMETRY && value != "1" => {
                format!("ORT_DISABLE_TELEMETRY is '{value}'")
            }
            _ => "off".to_owned(),
        }
    }
}

/// From this minor version on the official builds report usage unless told not to.
const FIRST_WITH_TELEMETRY: u32 = 29;

/// From this minor version on a graph in memory can name a folder for its tensors (1.20 ignores it).
const FIRST_WITH_TENSOR_FOLDER: u32 = 21;

/// Inherited by forked children on purpose: ONNX Runtime allows one environment a process image.
static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// What is not inherited: locks that may be held at the moment of a fork.
#[derive(Default)]
struct OfProcess {
    /// Held while the runtime is being started.
    start: Mutex<()>,
    /// The last warning or error that it logged.
    last_message: Mutex<Option<String>>,
}

static PROCESS: PerProcess<OfProcess> = PerProcess::new(OfProcess::default);

/// Who is loading a model: a process id and a count of its threads there.
///
/// If the process is forked in that moment, locks inside ONNX Runtime, the system's loader or the
/// tokenizer stay held in the child for ever. The child finds its parent's id here, and refuses
/// instead of waiting.
static SETTING_UP: AtomicU64 = AtomicU64::new(0);

/// Held while a thread loads a model.
pub struct SettingUp(());

impl SettingUp {
    pub fn enter() -> Result<Self> {
        let own = u64::from(std::process::id()) << 32;
        let add_one = |seen: u64| {
            let count = seen & 0xffff_ffff;
            if seen >> 32 == own >> 32 || count == 0 {
                Some(own | (count + 1))
            } else {
                None
            }
        };
        match SETTING_UP.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add_one) {
            Ok(_) => Ok(SettingUp(())),
            Err(_) => Err(Error::invalid(
                "this process was forked while its parent was loading a model, so ONNX Runtime cannot \
                 be used in it; embed once before forking, or start the child with exec",
            )),
        }
    }
}

impl Drop for SettingUp {
    fn drop(&mut self) {
        SETTING_UP.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The runtime, started at the first call.
///
/// # Errors
/// No library found, a file that is none, one that is too old, one that fails to start. The next
/// call tries again.
pub fn get() -> Result<&'static Runtime> {
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let _one_at_a_time = lock(&PROCESS.get().start);
    if let Some(runtime) = RUNTIME.get() {
        return Ok(runtime);
    }
    let runtime = start()?;
    Ok(RUNTIME.get_or_init(|| runtime))
}

/// The runtime if it has been started.
pub fn started() -> Option<&'static Runtime> {
    RUNTIME.get()
}

/// The last warning or error that the runtime logged in this process.
pub fn last_message() -> Option<String> {
    lock(&PROCESS.get().last_message).clone()
}

fn start() -> Result<Runtime> {
    let found = find_runtime::runtime()?;
    let path = found
        .clone()
        .unwrap_or_else(|| PathBuf::from(find_runtime::RUNTIME_FILE));
    let library = open(&path).map_err(|e| match found {
        Some(_) => way_out(&e),
        None => not_found(&e),
    })?;
    // `ort` would look for a bare name beside the host's program first: give it what was checked.
    let path = library.path.clone();
    let api = (minor(&library.version) >= assignment::API)
        .then(|| library.api(assignment::API))
        .flatten();
    let version = library.keep();
    if minor(&version) >= FIRST_WITH_TELEMETRY {
        set_env_if_unset("ORT_DISABLE_TELEMETRY", "1");
    }
    let environment = ort::init_from(&path)
        .map_err(|e| Error::invalid(e.to_string()))?
        .with_name("sqlite-bge")
        .with_telemetry(false)
        .with_logger(Arc::new(
            |level, _category: &str, _id: &str, _at: &str, message: &str| {
                if level >= LogLevel::Warning {
                    *lock(&PROCESS.get().last_message) = Some(message.to_owned());
                }
            },
        ))
        .build()
        .map_err(|e| {
            way_out(&Error::invalid(format!(
                "{} cannot be started: {e}",
                path.display()
            )))
        })?;
    // `ort` asks for everything when there is a logger; formatting it would cost time.
    environment.set_log_level(LogLevel::Warning);
    Ok(Runtime {
        environment,
        path,
        version,
        api,
    })
}

fn open(path: &Path) -> Result<RuntimeLibrary> {
    if path.is_absolute() {
        elf::check_complete(path)?;
    }
    let library = RuntimeLibrary::open(path)?;
    let version = &library.version;
    if version.starts_with("1.") && minor(version) >= ort::MINOR_VERSION {
        return Ok(library);
    }
    Err(Error::invalid(format!(
        "{} is ONNX Runtime {version}, expected {OLDEST}",
        path.display()
    )))
}

fn way_out(error: &Error) -> Error {
    Error::invalid(format!(
        "{error}; put ONNX Runtime {OLDEST} beside the extension as {} ({}), \
         or name it in $BGE_ORT_LIB",
        find_runtime::RUNTIME_FILE,
        install::way_to_runtime()
    ))
}

fn not_found(error: &Error) -> Error {
    way_out(&Error::invalid(format!(
        "no ONNX Runtime found; looked at {}, and the system's loader said: {error}",
        searched_path::list(&find_runtime::runtime_places())
    )))
}

/// As `ort` is built (feature `api-17`).
const OLDEST: &str = "1.17 or later";

/// The runtime's own words on one line: some of its messages end with a line break.
pub fn message<R>(error: &ort::Error<R>) -> String {
    error
        .to_string()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn minor(version: &str) -> u32 {
    version
        .split('.')
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0)
}
