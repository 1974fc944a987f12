//! Something that one caller uses at a time, the others waiting, as long as they like.

use crate::engine::process::lock::lock;
use crate::engine::stop::{POLL, Stop};
use crate::error::Result;
use std::sync::{Condvar, Mutex, PoisonError};

/// See the module.
pub struct Turns<T> {
    used: Mutex<T>,
    taken: Mutex<bool>,
    free: Condvar,
}

impl<T> Turns<T> {
    /// Nobody uses it yet.
    pub fn new(used: T) -> Self {
        Turns {
            used: Mutex::new(used),
            taken: Mutex::new(false),
            free: Condvar::new(),
        }
    }

    /// Waits for a turn and uses it.
    ///
    /// # Errors
    /// An interruption while waiting, or of the work.
    pub fn take<R>(&self, stop: &dyn Stop, work: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        let _turn = self.wait(stop)?;
        work(&mut lock(&self.used))
    }

    fn wait(&self, stop: &dyn Stop) -> Result<Turn<'_, T>> {
        loop {
            // The host's code runs in `check`: never under our lock.
            stop.check()?;
            let mut taken = lock(&self.taken);
            if *taken {
                let waited = self.free.wait_timeout(taken, POLL);
                taken = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            if !*taken {
                *taken = true;
                return Ok(Turn(self));
            }
        }
    }
}

/// A turn that ends when it is dropped, by a panic too.
struct Turn<'t, T>(&'t Turns<T>);

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        *lock(&self.0.taken) = false;
        self.0.free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stop::{NeverStop, StopFlag};
    use crate::error::Kind;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    #[test]
    fn one_at_a_time_and_who_waits_can_go() {
        let turns = Arc::new(Turns::new(0));
        let (inside, is_inside) = channel();
        let (leave, may_leave) = channel::<()>();
        let first = {
            let turns = Arc::clone(&turns);
            std::thread::spawn(move || {
                turns.take(&NeverStop, |n| {
                    inside.send(()).unwrap();
                    may_leave.recv().unwrap();
                    *n += 1;
                    Ok(*n)
                })
            })
        };
        is_inside.recv().unwrap();
        let stopped = Arc::new(StopFlag::default());
        let (waited, outcome) = channel();
        let (other, flag) = (Arc::clone(&turns), Arc::clone(&stopped));
        std::thread::spawn(move || waited.send(other.take(&*flag, |n| Ok(*n))));
        std::thread::sleep(POLL);
        stopped.set();
        let error = outcome.recv_timeout(100 * POLL).expect("it goes");
        assert_eq!(error.unwrap_err().kind(), Kind::Interrupted);
        leave.send(()).unwrap();
        assert_eq!(first.join().unwrap(), Ok(1));
        assert_eq!(turns.take(&NeverStop, |n| Ok(*n)), Ok(1));
    }

    #[test]
    fn a_panic_ends_a_turn() {
        let turns = Turns::new(1);
        let work = std::panic::AssertUnwindSafe(|| {
            let _: Result<()> = turns.take(&NeverStop, |_| panic!("as a runtime might"));
        });
        assert!(std::panic::catch_unwind(work).is_err());
        assert_eq!(turns.take(&NeverStop, |n| Ok(*n)), Ok(1));
    }
}
