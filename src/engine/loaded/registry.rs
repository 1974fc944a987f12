//! Name -> loaded model, for the whole process: one name has one model, of either kind. Loading is lazy and single-flight: however many
//! threads ask first, one loads and the others wait for it. A failure is told to all who waited
//! and forgotten: the next call tries again, so nobody has to reconnect once the cause is fixed.

use crate::engine::embedding::embedder::SharedEmbedder;
use crate::engine::inference::runtime::{self, SettingUp};
use crate::engine::loaded::model::LoadedModel;
use crate::engine::models::catalog;
use crate::engine::models::find::ModelLocation;
use crate::engine::models::kind::ModelKind;
use crate::engine::models::name::check_name;
use crate::engine::models::options::Options;
use crate::engine::process::ending::{MustEnd, wait_at_the_end};
use crate::engine::process::lock::lock;
use crate::engine::process::per_process::PerProcess;
use crate::engine::reranking::reranker::SharedReranker;
use crate::engine::stop::{NeverStop, POLL, Stop, StopFlag};
use crate::error::{Error, Kind, Result};
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

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
    outcome: Mutex<Option<Result<LoadedModel>>>,
    ready: Condvar,
    /// The kind that its loader wants; `None`: any.
    wanted: Option<ModelKind>,
}

/// The embedding model of this name, loaded at the first call.
///
/// # Errors
/// A name that is none, no such model, a reranker, whatever [`LoadedModel::load`] finds wrong.
pub fn model(name: &str) -> Result<SharedEmbedder> {
    model_unless(name, &NeverStop)
}

/// [`model`], which stops waiting when asked to. A load that was begun goes on, on a thread of its own:
/// the next call finds the model, or waits for it again.
///
/// # Errors
/// As [`model`]; an interruption.
pub fn model_unless(name: &str, stop: &dyn Stop) -> Result<SharedEmbedder> {
    let model = REGISTRY.get().model(name, ModelKind::Embedding, stop)?;
    model.embedder()
}

/// As [`model_unless`], for a reranker.
///
/// # Errors
/// As there; an embedding model.
pub fn reranker_unless(name: &str, stop: &dyn Stop) -> Result<SharedReranker> {
    let model = REGISTRY.get().model(name, ModelKind::Reranking, stop)?;
    model.reranker()
}

/// The name that stands for "no name given": `$BGE_MODEL`, else `bge-small-en-v1.5`.
pub fn default_model_name() -> String {
    let named = std::env::var("BGE_MODEL")
        .ok()
        .filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "bge-small-en-v1.5".to_owned())
}

/// The same for rerankers: `$BGE_RERANKER`, else `bge-reranker-base`.
pub fn default_reranker_name() -> String {
    let named = std::env::var("BGE_RERANKER")
        .ok()
        .filter(|name| !name.is_empty());
    named.unwrap_or_else(|| "bge-reranker-base".to_owned())
}

/// Loads a model from a source of the user's under a name, for the whole process. Whoever uses the
/// name's old model keeps it until he is done.
///
/// # Errors
/// As [`model`], also where the model is no embedding model. The old model then stays, but for that case.
pub fn load(name: &str, source: &str, options: &Options) -> Result<SharedEmbedder> {
    load_unless(name, source, options, &NeverStop)?.embedder()
}

/// [`load`] of a model of any kind, which stops when asked to; what was begun is then given up after its
/// step.
///
/// # Errors
/// As [`model`]; an interruption. The old model then stays.
pub fn load_unless(
    name: &str,
    source: &str,
    options: &Options,
    stop: &dyn Stop,
) -> Result<LoadedModel> {
    check_name(name)?;
    let registry = REGISTRY.get();
    let location = ModelLocation::parse(source).inspect_err(|e| registry.remember(e))?;
    let slot = Arc::new(Slot::default());
    let unwanted = Arc::new(StopFlag::default());
    let job = LoadJob {
        name: name.to_owned(),
        location,
        options: options.clone(),
        stop: Arc::clone(&unwanted),
    };
    let thread = start(job, {
        let slot = Arc::clone(&slot);
        move |loaded| slot.fill(loaded)
    });
    let model = wait_for(&slot, thread, stop).inspect_err(|e| {
        unwanted.set();
        registry.remember(e);
    })?;
    let old = lock(&registry.slots).insert(name.to_owned(), slot);
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
    fn model(&'static self, name: &str, wanted: ModelKind, stop: &dyn Stop) -> Result<LoadedModel> {
        loop {
            let (slot, ours) = self.slot(name, wanted);
            let thread = if ours {
                self.load(name, wanted, Arc::clone(&slot))
            } else {
                None
            };
            let outcome = wait_for(&slot, thread, stop);
            // Who wanted the other kind may have been refused what we want.
            match &outcome {
                Err(e) if slot.wanted != Some(wanted) && e.kind() != Kind::Interrupted => {}
                _ => return outcome,
            }
        }
    }

    /// The slot of a name, and whether we are the one to fill it.
    fn slot(&self, name: &str, wanted: ModelKind) -> (Arc<Slot>, bool) {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(name) {
            return (Arc::clone(slot), false);
        }
        let slot = Arc::new(Slot {
            wanted: Some(wanted),
            ..Slot::default()
        });
        slots.insert(name.to_owned(), Arc::clone(&slot));
        (slot, true)
    }

    /// Has the model of a slot of ours loaded.
    fn load(
        &'static self,
        name: &str,
        wanted: ModelKind,
        slot: Arc<Slot>,
    ) -> Option<JoinHandle<()>> {
        // The kind first: to load the other one may take long, and would be in vain.
        match check_kind(name, wanted).and_then(|()| LoadJob::by_name(name)) {
            Ok(job) => start(job, move |loaded| self.fill(&slot, loaded)),
            Err(e) => {
                self.fill(&slot, Err(e));
                None
            }
        }
    }

    fn fill(&self, slot: &Arc<Slot>, loaded: Result<LoadedModel>) {
        if let Err(error) = &loaded {
            let mut slots = lock(&self.slots);
            // `bge_load` may have put another model there meanwhile.
            slots.retain(|_, present| !Arc::ptr_eq(present, slot));
            drop(slots);
            self.remember(error);
        }
        slot.fill(loaded);
    }

    fn remember(&self, failure: &Error) {
        if failure.kind() != Kind::Interrupted {
            *lock(&self.last_failure) = Some(failure.clone());
        }
    }
}

/// # Errors
/// No such model, or one of the other kind. (What cannot be read the load will say.)
fn check_kind(name: &str, wanted: ModelKind) -> Result<()> {
    // Nobody should fetch a model to be told that it is of the wrong kind.
    let known = catalog::get(name).filter(|entry| entry.kind != wanted);
    let place = ModelLocation::named(name);
    let place = place.map_err(|e| known.map_or(e, |_| wanted.refusal(name)))?;
    match ModelKind::read(&place.folder) {
        Ok(kind) if kind != wanted => Err(wanted.refusal(name)),
        _ => Ok(()),
    }
}

/// The model of a name, if it is loaded.
pub fn loaded_model(name: &str) -> Option<LoadedModel> {
    let slot = lock(&REGISTRY.get().slots).get(name).cloned();
    slot?.loaded()
}

/// The models that are loaded, by name.
pub fn loaded() -> Vec<LoadedModel> {
    let slots: Vec<Arc<Slot>> = lock(&REGISTRY.get().slots).values().cloned().collect();
    let mut models: Vec<LoadedModel> = slots.iter().filter_map(|slot| slot.loaded()).collect();
    models.sort_by(|a, b| a.name().cmp(b.name()));
    models
}

/// The last load that failed, and why.
pub fn last_failure() -> Option<Error> {
    lock(&REGISTRY.get().last_failure).clone()
}

/// What is to be loaded.
struct LoadJob {
    name: String,
    location: ModelLocation,
    options: Options,
    stop: Arc<StopFlag>,
}

impl LoadJob {
    /// The environment's options are for the default models only: others are loaded as they are, or by
    /// `bge_load` with options of their own.
    fn by_name(name: &str) -> Result<Self> {
        let location = ModelLocation::named(name)?;
        let mut options = Options::default();
        if name == default_model_name() {
            options = Options::from_environment()?;
        } else if name == default_reranker_name() {
            options = Options::from_environment()?;
            // No score is kept.
            options.cache_mb = None;
        }
        Ok(LoadJob {
            name: name.to_owned(),
            location,
            options,
            stop: Arc::default(),
        })
    }

    fn run(&self) -> Result<LoadedModel> {
        let load = || LoadedModel::load(&self.name, &self.location, &self.options, &*self.stop);
        // A panic must not leave others waiting for ever.
        std::panic::catch_unwind(AssertUnwindSafe(load)).unwrap_or_else(|_| {
            let name = &self.name;
            Err(Error::internal(format!(
                "a panic while loading model '{name}'"
            )))
        })
    }
}

/// Loads on a thread that ends with the load, so that whoever waits can go away; on this one where there
/// is no other to be had.
fn start(
    job: LoadJob,
    done: impl FnOnce(Result<LoadedModel>) + Send + 'static,
) -> Option<JoinHandle<()>> {
    // Before any lock of the loader's is taken, and to the end of the load: see there.
    let setting_up = match SettingUp::enter() {
        Ok(entered) => entered,
        Err(e) => {
            done(Err(e.at(format_args!("model '{}'", job.name))));
            return None;
        }
    };
    // Here, since starting it writes the environment. What is wrong with it the load will say.
    let _ = runtime::get();
    let must_end = MustEnd::enter();
    let work = Arc::new(Mutex::new(Some((job, done, setting_up, must_end))));
    let run = {
        let work = Arc::clone(&work);
        move || {
            let taken = lock(&work).take();
            if let Some((job, done, setting_up, must_end)) = taken {
                let loaded = job.run();
                drop(setting_up);
                done(loaded);
                drop(must_end);
            }
        }
    };
    let thread = std::thread::Builder::new().name("bge-load".into());
    let thread = thread.spawn(run.clone()).ok();
    if thread.is_none() {
        run();
    }
    thread
}

/// Waits for the outcome of a slot that this thread fills; nothing of ours is left running then.
fn wait_for(slot: &Slot, thread: Option<JoinHandle<()>>, stop: &dyn Stop) -> Result<LoadedModel> {
    let outcome = slot.wait(stop).inspect_err(|_| wait_at_the_end())?;
    if let Some(thread) = thread {
        let _ = thread.join();
    }
    outcome
}

impl Slot {
    fn fill(&self, outcome: Result<LoadedModel>) {
        *lock(&self.outcome) = Some(outcome);
        self.ready.notify_all();
    }

    /// Waits until it is filled, which is the outer result.
    fn wait(&self, stop: &dyn Stop) -> Result<Result<LoadedModel>> {
        let mut outcome = lock(&self.outcome);
        loop {
            if let Some(outcome) = &*outcome {
                return Ok(outcome.clone());
            }
            let waited = self.ready.wait_timeout(outcome, POLL);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            // The host's code runs in `check`: never under our lock.
            stop.check()?;
            outcome = lock(&self.outcome);
        }
    }

    fn loaded(&self) -> Option<LoadedModel> {
        lock(&self.outcome).as_ref()?.as_ref().ok().cloned()
    }
}
