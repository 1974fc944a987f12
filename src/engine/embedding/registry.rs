//! Name -> loaded model, for the whole process. Loading is lazy and single-flight: however many
//! threads ask first, one loads and the others wait for it. A failure is told to all who waited
//! and forgotten: the next call tries again, so nobody has to reconnect once the cause is fixed.

use crate::engine::embedding::embedder::{Embedder, SharedEmbedder};
use crate::engine::models::find::ModelLocation;
use crate::engine::models::name::check_name;
use crate::engine::models::options::Options;
use crate::engine::process::lock::lock;
use crate::engine::process::per_process::PerProcess;
use crate::engine::stop::{NeverStop, POLL, Stop};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The models of one process.
#[derive(Default)]
struct Registry {
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    last_failure: Mutex<Option<Error>>,
}

static REGISTRY: PerProcess<Registry> = PerProcess::new(Registry::default);

/// A model that is being loaded, or was.
#[derive(Default)]
struct Slot {
    outcome: Mutex<Option<Result<SharedEmbedder>>>,
    ready: Condvar,
}

/// The model of this name, loaded at the first call.
///
/// # Errors
/// A name that is none, no such model, whatever [`Embedder::load`] finds wrong.
pub fn model(name: &str) -> Result<SharedEmbedder> {
    model_unless(name, &NeverStop)
}

/// [`model`], which stops waiting for another thread's loading when asked to. (Loading itself, some
/// tenths of a second for a small model, cannot be stopped half-way.)
///
/// # Errors
/// As [`model`]; an interruption.
pub fn model_unless(name: &str, stop: &dyn Stop) -> Result<SharedEmbedder> {
    REGISTRY.get().model(name, stop)
}

/// The name that stands for "no name given": `$BGE_MODEL`, else `bge-small-en-v1.5`.
pub fn default_model_name() -> String {
    let named = std::env::var("BGE_MODEL")
        .ok()
        .filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "bge-small-en-v1.5".to_owned())
}

/// Loads a model from a source of the user's under a name, for the whole process. Whoever uses the
/// name's old model keeps it until he is done.
///
/// # Errors
/// As [`model`]; the old model then stays.
pub fn load(name: &str, source: &str, options: &Options) -> Result<SharedEmbedder> {
    check_name(name)?;
    let loaded =
        ModelLocation::parse(source).and_then(|source| Embedder::load(name, &source, options));
    let registry = REGISTRY.get();
    let model = Arc::new(loaded.inspect_err(|e| registry.remember(e))?);
    let slot = Slot {
        outcome: Mutex::new(Some(Ok(Arc::clone(&model)))),
        ready: Condvar::new(),
    };
    let old = lock(&registry.slots).insert(name.to_owned(), Arc::new(slot));
    // Not under the lock: dropping a session takes its time.
    drop(old);
    Ok(model)
}

/// Forgets a model. Whoever uses it keeps it until he is done; `false`: it was not loaded.
pub fn unload(name: &str) -> bool {
    let mut slots = lock(&REGISTRY.get().slots);
    // One that is just being loaded is its loader's.
    let loaded = slots.get(name).is_some_and(|slot| slot.loaded().is_some());
    let removed = if loaded { slots.remove(name) } else { None };
    drop(slots);
    removed.is_some()
}

impl Registry {
    fn model(&self, name: &str, stop: &dyn Stop) -> Result<SharedEmbedder> {
        let (slot, ours) = self.slot(name);
        if ours {
            self.load(name, &slot);
        }
        slot.wait(stop)
    }

    /// The slot of a name, and whether we are the one to fill it.
    fn slot(&self, name: &str) -> (Arc<Slot>, bool) {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(name) {
            return (Arc::clone(slot), false);
        }
        let slot = Arc::new(Slot::default());
        slots.insert(name.to_owned(), Arc::clone(&slot));
        (slot, true)
    }

    fn load(&self, name: &str, slot: &Arc<Slot>) {
        // A panic must not leave the others waiting for ever.
        let loaded = std::panic::catch_unwind(|| load_by_name(name)).unwrap_or_else(|_| {
            Err(Error::internal(format!(
                "a panic while loading model '{name}'"
            )))
        });
        if let Err(error) = &loaded {
            let mut slots = lock(&self.slots);
            // `bge_load` may have put another model there meanwhile.
            if slots
                .get(name)
                .is_some_and(|present| Arc::ptr_eq(present, slot))
            {
                slots.remove(name);
            }
            drop(slots);
            self.remember(error);
        }
        *lock(&slot.outcome) = Some(loaded.map(Arc::new));
        slot.ready.notify_all();
    }

    fn remember(&self, failure: &Error) {
        *lock(&self.last_failure) = Some(failure.clone());
    }
}

/// The models that are loaded, by name.
pub fn loaded() -> Vec<SharedEmbedder> {
    let slots: Vec<Arc<Slot>> = lock(&REGISTRY.get().slots).values().cloned().collect();
    let mut models: Vec<SharedEmbedder> = slots.iter().filter_map(|slot| slot.loaded()).collect();
    models.sort_by(|a, b| a.name().cmp(b.name()));
    models
}

/// The last load that failed, and why.
pub fn last_failure() -> Option<Error> {
    lock(&REGISTRY.get().last_failure).clone()
}

/// The environment's options are for the default model only: others are loaded as they are, or by
/// `bge_load` with options of their own.
fn load_by_name(name: &str) -> Result<Embedder> {
    let source = ModelLocation::named(name)?;
    let options = if name == default_model_name() {
        Options::from_environment()?
    } else {
        Options::default()
    };
    Embedder::load(name, &source, &options)
}

impl Slot {
    fn wait(&self, stop: &dyn Stop) -> Result<SharedEmbedder> {
        let mut outcome = lock(&self.outcome);
        loop {
            if let Some(outcome) = &*outcome {
                return outcome.clone();
            }
            let waited = self.ready.wait_timeout(outcome, POLL);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            // The host's code runs in `check`: never under our lock.
            stop.check()?;
            outcome = lock(&self.outcome);
        }
    }

    fn loaded(&self) -> Option<SharedEmbedder> {
        lock(&self.outcome).as_ref()?.as_ref().ok().cloned()
    }
}
