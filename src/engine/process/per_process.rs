//! A value of one process, safe across `fork()`: whoever needs a lock, a model or a counter that a whole
//! process shares keeps it in a static of this type. Asking for it takes no lock, so a child after
//! `fork()` starts with nothing loaded and nothing locked.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicPtr, Ordering};

/// One value a process, made at first use. After `fork()` the child makes its own: the parent's
/// is leaked, never dropped, since its locks may be held and its threads are gone.
pub struct PerProcess<T: 'static> {
    current: AtomicPtr<Tagged<T>>,
    make: fn() -> T,
}

struct Tagged<T> {
    pid: u32,
    value: T,
}

impl<T: Send + Sync> PerProcess<T> {
    pub const fn new(make: fn() -> T) -> Self {
        PerProcess {
            current: AtomicPtr::new(std::ptr::null_mut()),
            make,
        }
    }

    /// The value of this process. Takes no lock.
    pub fn get(&'static self) -> &'static T {
        let pid = std::process::id();
        loop {
            let seen = self.current.load(Ordering::Acquire);
            // SAFETY: a pointer that is not null came from `Box::into_raw` below, published with
            // Release, and is never freed.
            if let Some(tagged) = unsafe { seen.as_ref() }
                && tagged.pid == pid
            {
                return &tagged.value;
            }
            let value = (self.make)();
            let fresh = Box::into_raw(Box::new(Tagged { pid, value }));
            let swap =
                self.current
                    .compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire);
            if swap.is_err() {
                // SAFETY: `fresh` was made above and seen by nobody else.
                drop(unsafe { Box::from_raw(fresh) });
            }
        }
    }
}
