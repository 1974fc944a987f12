//! Threads that share a piece of work: those of the runtime, or the caller alone.

/// Something with threads. Tasks are numbered from 0; which thread takes which is not known, and one thread
/// may take all.
pub trait Team: Sync {
    /// How many tasks can run at once.
    fn threads(&self) -> usize;

    /// Runs so many tasks, and returns when all have ended.
    fn each(&self, tasks: usize, task: &(dyn Fn(usize) + Sync));
}

/// The caller alone.
pub struct Alone;

impl Team for Alone {
    fn threads(&self) -> usize {
        1
    }

    fn each(&self, tasks: usize, task: &(dyn Fn(usize) + Sync)) {
        (0..tasks).for_each(task);
    }
}

/// The part of `count` things that task `task` of `tasks` has: parts differ by at most one.
pub fn part(count: usize, task: usize, tasks: usize) -> std::ops::Range<usize> {
    count * task / tasks..count * (task + 1) / tasks
}
