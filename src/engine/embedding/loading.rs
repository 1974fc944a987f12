//! The parts of loading a model that need no loaded one: its options, what runs it, its fingerprint.

use crate::engine::embedding::batch::CPU_BATCH_TOKENS;
use crate::engine::inference::cuda_memory::cuda_memory;
use crate::engine::inference::prepare::job::Loaded;
use crate::engine::inference::prepare::{self, Wanted};
use crate::engine::inference::runtime::SettingUp;
use crate::engine::models::config::ModelConfig;
use crate::engine::models::device::{self, Device};
use crate::engine::models::files::ModelFiles;
use crate::engine::models::find::ModelLocation;
use crate::engine::models::fingerprint::{self, Fingerprint};
use crate::engine::models::options::Options;
use crate::error::{Error, Kind, Result};

/// How often files are read that change meanwhile.
const TRIES: usize = 3;

/// Loads a model from files that stay as they are meanwhile. `open` opens them, `load` makes a model of them; errors
/// say which model they are about.
///
/// # Errors
/// Of `open` and `load`; the process is ending; files that change again and again.
pub fn load_whole<M>(
    name: &str,
    open: impl Fn() -> Result<ModelFiles>,
    load: impl Fn(&ModelFiles) -> Result<M>,
) -> Result<M> {
    let try_to = || -> Result<M> {
        let _setting_up = SettingUp::enter()?;
        let mut again = 1..TRIES;
        loop {
            let files = open()?;
            let loaded = load(&files);
            // What a load says of files in the making is not said of those that are made.
            match (files.check_as_opened(), again.next()) {
                (Ok(()), _) => return loaded,
                (Err(e), None) => return Err(e),
                (Err(_), Some(_)) if loaded.as_ref().is_err_and(Error::is_passing) => {
                    return loaded;
                }
                (Err(_), Some(_)) => {}
            }
        }
    };
    try_to().map_err(|e| match e.kind() {
        Kind::Interrupted => e,
        _ => e.at(format_args!("model '{name}'")),
    })
}

/// Loads what runs the model, and its fingerprint: as a packed file remembers it, else of a hash of all
/// files, which is made meanwhile.
pub fn load_and_know(wanted: &Wanted<'_>) -> Result<(Loaded, Fingerprint)> {
    let rest =
        |loaded: &Loaded| fingerprint::rest(wanted.config, loaded.precision, loaded.native.is_ok());
    let packed = prepare::packed(wanted)?;
    if let Ok(loaded) = packed {
        let remembered = loaded
            .remembered()
            .filter(|known| known.rest == rest(&loaded));
        let fingerprint = match remembered {
            Some(known) => Fingerprint::remembered(known.kinds),
            None => Fingerprint::of(&wanted.files.hash(wanted.stop)?, &rest(&loaded)),
        };
        return Ok((loaded, fingerprint));
    }
    let unpacked = packed.err().flatten();
    let (hashes, loaded) = std::thread::scope(|scope| {
        let hashing =
            std::thread::Builder::new().spawn_scoped(scope, || wanted.files.hash(wanted.stop));
        let loaded = prepare::load(wanted, unpacked);
        let hashes = match hashing {
            Ok(thread) => thread.join().unwrap_or_else(|_| {
                Err(Error::internal("a panic while hashing the model's files"))
            }),
            // No thread to be had.
            Err(_) => wanted.files.hash(wanted.stop),
        };
        (hashes, loaded)
    });
    let loaded = loaded?;
    let fingerprint = Fingerprint::of(&hashes?, &rest(&loaded));
    Ok((loaded, fingerprint))
}

/// What the folder says, changed by the options.
pub fn configure(location: &ModelLocation, options: &Options) -> Result<ModelConfig> {
    let mut config = ModelConfig::read(&location.folder, &location.model)?;
    config.pooling = options.pooling.unwrap_or(config.pooling);
    if let Some(instruction) = &options.query_instruction {
        config.query_instruction.clone_from(instruction);
    }
    if let Some(wanted) = options.max_length {
        if wanted > config.max_length {
            return Err(Error::invalid(format!(
                "option max_length is {wanted}, the model reads at most {} tokens",
                config.max_length
            )));
        }
        config.max_length = wanted;
    }
    Ok(config)
}

/// Padded tokens in one run, where the options do not say.
pub fn batch_tokens(device: Device, options: &Options, config: &ModelConfig) -> usize {
    if !device.is_gpu() {
        return CPU_BATCH_TOKENS;
    }
    let allowed = options.gpu.mem_mb.map(|mb| mb << 20);
    let there = cuda_memory(device.number());
    let memory = [allowed, there].into_iter().flatten().min();
    device::gpu_batch_tokens(memory, config.dims, config.max_length)
}
