//! Name -> loaded model, for the whole process. Loading is lazy and single-flight: however many
//! threads ask first, one loads and the others wait for it. A failure is told to all who waited
//! and forgotten: the next call tries again, so nobody has to reconnect once the cause is fixed.

use super::embedder::{Embedder, SharedEmbedder};
use super::find;
use super::process::{lock, state};
use crate::error::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// The models of one process.
#[derive(Default)]
pub struct Registry {
    slots: Mutex<HashMap<String, Arc<Slot>>>,
    last_failure: Mutex<Option<Error>>,
}

/// A model that is being loaded, or was.
#[derive(Default)]
struct Slot {
    outcome: Mutex<Option<Result<SharedEmbedder>>>,
    ready: Condvar,
}

/// The model of this name, loaded at the first call.
///
/// # Errors
/// As [`Embedder::load`].
pub fn model(name: &str) -> Result<SharedEmbedder> {
    state().registry.get(name)
}

/// The name that stands for "no name given": `$BGE_MODEL`, else `bge-small-en-v1.5`.
pub fn default_model_name() -> String {
    let named = std::env::var("BGE_MODEL")
        .ok()
        .filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "bge-small-en-v1.5".to_owned())
}

impl Registry {
    fn get(&self, name: &str) -> Result<SharedEmbedder> {
        let (slot, ours) = self.slot(name);
        if ours {
            self.load(name, &slot);
        }
        slot.wait()
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

    fn load(&self, name: &str, slot: &Slot) {
        // A panic must not leave the others waiting for ever.
        let loaded = std::panic::catch_unwind(|| Embedder::load(name)).unwrap_or_else(|_| {
            Err(Error::internal(format!(
                "a panic while loading model '{name}'"
            )))
        });
        if let Err(error) = &loaded {
            lock(&self.slots).remove(name);
            *lock(&self.last_failure) = Some(error.clone());
        }
        *lock(&slot.outcome) = Some(loaded.map(Arc::new));
        slot.ready.notify_all();
    }

    /// The models that are loaded, by name.
    pub fn loaded(&self) -> Vec<SharedEmbedder> {
        let slots: Vec<Arc<Slot>> = lock(&self.slots).values().cloned().collect();
        let mut models: Vec<SharedEmbedder> =
            slots.iter().filter_map(|slot| slot.loaded()).collect();
        models.sort_by(|a, b| a.name().cmp(b.name()));
        models
    }

    /// The last load that failed, and why.
    pub fn last_failure(&self) -> Option<Error> {
        lock(&self.last_failure).clone()
    }
}

impl Slot {
    fn wait(&self) -> Result<SharedEmbedder> {
        let mut outcome = lock(&self.outcome);
        loop {
            if let Some(outcome) = &*outcome {
                return outcome.clone();
            }
            outcome = self
                .ready
                .wait(outcome)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn loaded(&self) -> Option<SharedEmbedder> {
        lock(&self.outcome).as_ref()?.as_ref().ok().cloned()
    }
}

/// Whether a folder of this name exists, without loading it.
///
/// # Errors
/// As [`find::model`].
pub fn exists(name: &str) -> Result<()> {
    find::model(name).map(drop)
}
