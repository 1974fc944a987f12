//! All state that is shared by a whole process, behind one pointer keyed by the process id.
//!
//! Whoever needs a lock, a model or a counter comes through [`state`], which takes no lock itself.
//! So a child after `fork()` starts with nothing loaded and nothing locked. (What is inherited on
//! purpose, the runtime's environment, is in [`super::runtime`].)

use super::native::PerProcess;
use super::registry::Registry;
use std::sync::Mutex;

/// See the module.
#[derive(Default)]
pub struct State {
    /// The models in use.
    pub registry: Registry,
    /// Held while the runtime is being started.
    pub runtime_start: Mutex<()>,
    /// The last warning or error that the runtime logged.
    pub runtime_message: Mutex<Option<String>>,
}

static STATE: PerProcess<State> = PerProcess::new(State::default);

/// The state of this process.
pub fn state() -> &'static State {
    STATE.get()
}

/// Locks a mutex, also one that a panicking thread left behind: what our locks guard is replaced
/// as a whole, so there is no half-made state to be afraid of.
pub fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
