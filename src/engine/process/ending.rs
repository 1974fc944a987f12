//! The end of the process waits for a load under way: ONNX Runtime takes itself apart then, and a thread of
//! ours that is inside it would crash the host.
#![allow(unsafe_code)]

use super::lock::lock;
use super::per_process::PerProcess;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// The longest that the end of the process is held up, in case a load hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many threads of ours must not be cut off. A child after `fork()` has none.
static RUNNING: PerProcess<(Mutex<usize>, Condvar)> = PerProcess::new(Default::default);

/// While it lives, the process waits with its end.
pub struct MustEnd(());

impl MustEnd {
    /// Holds up the end of the process.
    pub fn enter() -> Self {
        *lock(&RUNNING.get().0) += 1;
        MustEnd(())
    }
}

/// Whether the process has loaded a model: what takes the runtime apart is registered while the first is
/// being loaded.
static SETTLED: PerProcess<(Mutex<bool>, Condvar)> = PerProcess::new(Default::default);

/// The longest that a caller waits for the first load before it leaves that behind.
const FIRST_LOAD: Duration = Duration::from_secs(2);

/// Has the end of the process wait for what must end. To be called when somebody leaves it behind: what was
/// registered last is called first, so it waits until the runtime has registered what takes it apart.
pub fn wait_at_the_end() {
    let (is_settled, told) = SETTLED.get();
    let unsettled = |is_settled: &mut bool| !*is_settled;
    drop(told.wait_timeout_while(lock(is_settled), FIRST_LOAD, unsettled));
    register();
}

impl Drop for MustEnd {
    fn drop(&mut self) {
        let (count, ended) = RUNNING.get();
        let mut count = lock(count);
        *count = count.saturating_sub(1);
        ended.notify_all();
        let (is_settled, told) = SETTLED.get();
        *lock(is_settled) = true;
        told.notify_all();
    }
}

#[cfg(unix)]
fn register() {
    // SAFETY: the function takes nothing, unwinds from nowhere, and stays in memory: the library is
    // pinned. Where no more can be registered, the process ends as it would have without.
    let _ = unsafe { libc::atexit(wait) };
}

/// Not done on this platform yet.
#[cfg(not(unix))]
fn register() {}

#[cfg(unix)]
extern "C" fn wait() {
    let (count, ended) = RUNNING.get();
    drop(ended.wait_timeout_while(lock(count), PATIENCE, |count| *count > 0));
}
