//! Joined callers: many threads want a vector, one model runs one batch at a time.
//!
//! Like a group commit: who finds the model idle *leads*. The leader takes the job at the front and,
//! where that may be joined, other joinable jobs as long as the batch's token budget has room, runs
//! them together, hands out the results and goes its way; another waiting caller leads next. No
//! thread of ours exists: all work is done on the callers' own.
//!
//! Where memory runs out, which on a GPU depends on who else uses it, a batch is run in two halves, and
//! batches stay that small from then on.
//!
//! Callers do not disturb each other: a batch of several that fails is run again one by one, so an
//! error reaches only the caller whose text it is; who is interrupted takes his job back.

use crate::engine::inference::runner::{Runner, SharedVector, Vectors};
use crate::engine::models::device::is_out_of_memory;
use crate::engine::process::lock::lock;
use crate::engine::stop::{POLL, Stop};
use crate::error::{Error, Result};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Token ids of the texts of one job.
pub type Texts = Vec<Vec<i64>>;

/// See the module.
pub struct Queue<R> {
    runner: Mutex<R>,
    waiting: Mutex<Waiting>,
    turn: Condvar,
    arrived: Condvar,
    budget: AtomicUsize,
    joins: bool,
}

#[derive(Default)]
struct Waiting {
    running: bool,
    jobs: VecDeque<Arc<Job>>,
    /// Jobs of the last batch.
    joined: usize,
}

struct Job {
    texts: Texts,
    width: usize,
    joinable: bool,
    outcome: Mutex<Option<Result<Vectors>>>,
}

/// How long a leader waits for the callers of the last batch: a small part of what a batch takes.
const PATIENCE: Duration = Duration::from_micros(500);

impl<R: Runner> Queue<R> {
    /// A queue before a runner, joining jobs up to `budget` padded tokens; `joins: false` runs every
    /// job alone (int8 graphs: their activations are quantised a batch, so that a vector would
    /// depend on strangers' texts).
    pub fn new(runner: R, budget: usize, joins: bool) -> Self {
        Queue {
            runner: Mutex::new(runner),
            waiting: Mutex::default(),
            turn: Condvar::new(),
            arrived: Condvar::new(),
            budget: AtomicUsize::new(budget),
            joins,
        }
    }

    /// Padded tokens of one run: as it was told, less where memory ran out.
    pub fn budget(&self) -> usize {
        self.budget.load(Ordering::Relaxed)
    }

    /// The vector of one text, perhaps in one batch with those of other callers.
    ///
    /// # Errors
    /// Of the runner; an interruption while waiting.
    pub fn one(&self, ids: Vec<i64>, stop: &dyn Stop) -> Result<SharedVector> {
        let vectors = self.submit(vec![ids], self.joins, stop)?;
        vectors
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("a batch gave no vector"))
    }

    /// The vectors of a batch that was planned as a whole: it runs as it is.
    ///
    /// # Errors
    /// As [`Self::one`].
    pub fn batch(&self, texts: Texts, stop: &dyn Stop) -> Result<Vectors> {
        self.submit(texts, false, stop)
    }

    fn submit(&self, texts: Texts, joinable: bool, stop: &dyn Stop) -> Result<Vectors> {
        let width = texts.iter().map(Vec::len).max().unwrap_or(0);
        let job = Arc::new(Job {
            texts,
            width,
            joinable,
            outcome: Mutex::new(None),
        });
        stop.check()?;
        let mut asked = Instant::now();
        let mut waiting = lock(&self.waiting);
        waiting.jobs.push_back(Arc::clone(&job));
        self.arrived.notify_one();
        loop {
            if let Some(outcome) = lock(&job.outcome).take() {
                return outcome;
            }
            if asked.elapsed() >= POLL {
                // The host's code runs in `check`: never under our lock.
                drop(waiting);
                let stopped = stop.check();
                asked = Instant::now();
                waiting = lock(&self.waiting);
                if let Err(e) = stopped {
                    waiting.jobs.retain(|other| !Arc::ptr_eq(other, &job));
                    return Err(e);
                }
                continue;
            }
            waiting = if waiting.running {
                self.turn
                    .wait_timeout(waiting, POLL)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            } else {
                self.lead(waiting)
            };
        }
    }

    /// Runs the jobs at the front, and leaves the lead.
    fn lead<'q>(&'q self, mut waiting: MutexGuard<'q, Waiting>) -> MutexGuard<'q, Waiting> {
        waiting.running = true;
        // Those of the last batch are on their way back with their next texts: without a moment's
        // patience they would fall into two halves that take turns.
        let joined = waiting.joined;
        if joined > 1 {
            let few = |w: &mut Waiting| w.jobs.len() < joined;
            let gathered = self.arrived.wait_timeout_while(waiting, PATIENCE, few);
            waiting = gathered.unwrap_or_else(PoisonError::into_inner).0;
        }
        let jobs = waiting.take_group(self.budget());
        waiting.joined = jobs.len();
        drop(waiting);
        if !jobs.is_empty() {
            self.run_jobs(&jobs);
        }
        let mut waiting = lock(&self.waiting);
        waiting.running = false;
        self.turn.notify_all();
        waiting
    }

    /// The vectors of a batch, run in as many parts as its memory wants.
    fn run_fitting(&self, runner: &mut R, texts: &[&[i64]]) -> Result<Vectors> {
        let width = texts.iter().map(|ids| ids.len()).max().unwrap_or(0);
        let tokens = width * texts.len();
        let halves = |runner: &mut R| {
            let (left, right) = texts.split_at(texts.len() / 2);
            let mut vectors = self.run_fitting(runner, left)?;
            vectors.extend(self.run_fitting(runner, right)?);
            Ok(vectors)
        };
        // What was planned before memory ran out may be too large now.
        if texts.len() > 1 && tokens > self.budget() {
            return halves(runner);
        }
        match runner.run(texts) {
            Err(e) if is_out_of_memory(e.message()) => {
                if texts.len() > 1 {
                    self.budget
                        .fetch_min((tokens / 2).max(1), Ordering::Relaxed);
                    return halves(runner);
                }
                Err(Error::invalid(format!(
                    "one text of {tokens} tokens alone does not fit into the memory of the device; load the \
                     model with a smaller max_length, as fp16, or on another device ({})",
                    e.message()
                )))
            }
            outcome => outcome,
        }
    }

    fn run_jobs(&self, jobs: &[Arc<Job>]) {
        let texts: Vec<&[i64]> = jobs
            .iter()
            .flat_map(|job| &job.texts)
            .map(Vec::as_slice)
            .collect();
        let run = || self.run_fitting(&mut *lock(&self.runner), &texts);
        // A panic is an error like others: it must reach only the caller whose text brought it about.
        let outcome = catch_unwind(AssertUnwindSafe(run))
            .unwrap_or_else(|_| Err(Error::internal("a panic while running a batch")));
        match outcome {
            Ok(vectors) => {
                let mut vectors = vectors.into_iter();
                for job in jobs {
                    job.finish(Ok(vectors.by_ref().take(job.texts.len()).collect()));
                }
            }
            Err(error) => match jobs {
                [alone] => alone.finish(Err(error)),
                several => several
                    .iter()
                    .for_each(|job| self.run_jobs(std::slice::from_ref(job))),
            },
        }
    }
}

impl Waiting {
    /// The front job and those that may join it.
    fn take_group(&mut self, budget: usize) -> Vec<Arc<Job>> {
        let Some(first) = self.jobs.pop_front() else {
            return Vec::new();
        };
        let mut width = first.width;
        let joinable = first.joinable;
        let mut group = vec![first];
        let mut at = 0;
        while joinable && at < self.jobs.len() {
            let other = &self.jobs[at];
            let wider = width.max(other.width);
            if other.joinable && wider * (group.len() + 1) <= budget {
                width = wider;
                group.extend(self.jobs.remove(at));
            } else {
                at += 1;
            }
        }
        group
    }
}

impl Job {
    fn finish(&self, outcome: Result<Vectors>) {
        *lock(&self.outcome) = Some(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stop::NeverStop;
    use crate::error::Kind;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Gives each text its first id as a vector; fails on 13, panics on 666; waits to be let go.
    struct Fake {
        sizes: Sizes,
        gate: Option<Receiver<()>>,
    }

    impl Runner for Fake {
        fn run(&mut self, texts: &[&[i64]]) -> Result<Vectors> {
            if let Some(gate) = &self.gate {
                gate.recv().unwrap();
            }
            self.sizes.lock().unwrap().push(texts.len());
            if texts.iter().any(|ids| ids[0] == 666) {
                panic!("as a runner might");
            }
            if texts.iter().any(|ids| ids[0] == 13) {
                return Err(Error::invalid("13"));
            }
            Ok(texts.iter().map(|ids| vec![ids[0] as f32].into()).collect())
        }
    }

    type Sizes = Arc<Mutex<Vec<usize>>>;

    fn queue(gated: bool, joins: bool) -> (Arc<Queue<Fake>>, Sizes, Sender<()>) {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let (open, gate) = channel();
        let fake = Fake {
            sizes: Arc::clone(&sizes),
            gate: gated.then_some(gate),
        };
        (Arc::new(Queue::new(fake, 8, joins)), sizes, open)
    }

    /// Starts one caller a text and waits until all of them wait or lead.
    fn callers(
        queue: &Arc<Queue<Fake>>,
        texts: &[Vec<i64>],
    ) -> Vec<std::thread::JoinHandle<Result<SharedVector>>> {
        let mut threads = Vec::new();
        for (n, ids) in texts.iter().enumerate() {
            let (q, ids) = (Arc::clone(queue), ids.clone());
            threads.push(std::thread::spawn(move || q.one(ids, &NeverStop)));
            loop {
                let waiting = lock(&queue.waiting);
                // The first caller leads: its job has left the queue.
                if waiting.running && waiting.jobs.len() == n {
                    break;
                }
                drop(waiting);
                std::thread::yield_now();
            }
        }
        threads
    }

    #[test]
    fn waiting_callers_are_joined_within_the_budget() {
        let (queue, sizes, open) = queue(true, true);
        let texts: Vec<Vec<i64>> = (0..6).map(|n| vec![n, 0]).collect();
        let threads = callers(&queue, &texts);
        for _ in 0..3 {
            open.send(()).unwrap();
        }
        for (n, thread) in threads.into_iter().enumerate() {
            assert_eq!(*thread.join().unwrap().unwrap(), [n as f32]);
        }
        // One alone, then four of two tokens (the budget is 8), then the last.
        assert_eq!(*sizes.lock().unwrap(), [1, 4, 1]);
    }

    #[test]
    fn without_joining_every_job_runs_alone() {
        let (queue, sizes, open) = queue(true, false);
        let threads = callers(&queue, &vec![vec![1]; 4]);
        (0..4).for_each(|_| open.send(()).unwrap());
        threads
            .into_iter()
            .for_each(|t| drop(t.join().unwrap().unwrap()));
        assert_eq!(*sizes.lock().unwrap(), [1, 1, 1, 1]);
    }

    #[test]
    fn an_error_reaches_only_the_caller_whose_text_it_is() {
        let (queue, _, open) = queue(true, true);
        let threads = callers(&queue, &[vec![1], vec![2], vec![13], vec![3]]);
        (0..5).for_each(|_| open.send(()).unwrap());
        let outcomes: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        let failed: Vec<bool> = outcomes.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, false, true, false]);
        assert_eq!(**outcomes[3].as_ref().unwrap(), [3.0]);
    }

    #[test]
    fn a_panic_reaches_only_the_caller_whose_text_brought_it_about() {
        let (queue, _, open) = queue(true, true);
        let threads = callers(&queue, &[vec![1], vec![666], vec![2]]);
        (0..5).for_each(|_| open.send(()).unwrap());
        let outcomes: Vec<_> = threads
            .into_iter()
            .map(|t| t.join().unwrap_or(Err(Error::internal("panic"))))
            .collect();
        let failed: Vec<bool> = outcomes.iter().map(Result::is_err).collect();
        assert_eq!(failed, [false, true, false]);
        assert!(!lock(&queue.waiting).running);
    }

    /// Has room for so many padded tokens; then says what ONNX Runtime says.
    struct Small {
        room: usize,
        runs: Vec<(usize, bool)>,
    }

    impl Runner for Small {
        fn run(&mut self, texts: &[&[i64]]) -> Result<Vectors> {
            let width = texts.iter().map(|ids| ids.len()).max().unwrap();
            let fits = width * texts.len() <= self.room;
            self.runs.push((texts.len(), fits));
            if !fits {
                return Err(Error::invalid(
                    "ONNX Runtime failed on a batch: Failed to allocate memory for requested buffer of size 1",
                ));
            }
            Ok(texts.iter().map(|ids| vec![ids[0] as f32].into()).collect())
        }
    }

    #[test]
    fn where_memory_runs_out_batches_are_halved_and_stay_small() {
        let runs = Vec::new();
        let queue = Queue::new(Small { room: 10, runs }, 32, true);
        let batch = || (0..16).map(|n| vec![n, 0]).collect::<Texts>();
        let wanted: Vec<SharedVector> = (0..16).map(|n| vec![n as f32].into()).collect();
        assert_eq!(queue.batch(batch(), &NeverStop).unwrap(), wanted);
        assert_eq!(queue.budget(), 8);
        let runs = |queue: &Queue<Small>| std::mem::take(&mut lock(&queue.runner).runs);
        let first = runs(&queue);
        // 32 tokens, then 16, then 8, which fit: two failures in all.
        assert_eq!(first.iter().filter(|(_, fits)| !fits).count(), 2);
        assert_eq!(queue.batch(batch(), &NeverStop).unwrap(), wanted);
        // Nothing fails twice.
        assert_eq!(runs(&queue), vec![(4, true); 4]);
        // A text that does not fit alone is an error that says so; one that does is not disturbed.
        let error = queue
            .batch(vec![vec![1; 12], vec![2]], &NeverStop)
            .unwrap_err();
        assert!(
            error
                .message()
                .starts_with("one text of 12 tokens alone does not fit"),
            "{error}"
        );
        assert!(
            error.message().contains("requested buffer of size 1"),
            "{error}"
        );
        assert_eq!(*queue.one(vec![5; 9], &NeverStop).unwrap(), [5.0]);
        assert!(queue.budget() <= 8);
    }

    #[test]
    fn who_is_interrupted_takes_his_job_back() {
        struct Interrupted(AtomicUsize);
        impl Stop for Interrupted {
            fn check(&self) -> Result<()> {
                // Not at once: only when it waits.
                if self.0.fetch_add(1, Ordering::SeqCst) == 0 {
                    Ok(())
                } else {
                    Err(Error::interrupted())
                }
            }
        }
        let (queue, sizes, open) = queue(true, true);
        let threads = callers(&queue, &[vec![1]]);
        let stop = Interrupted(AtomicUsize::new(0));
        assert_eq!(
            queue.one(vec![2], &stop).unwrap_err().kind(),
            Kind::Interrupted
        );
        assert_eq!(stop.0.load(Ordering::SeqCst), 2);
        assert!(lock(&queue.waiting).jobs.is_empty());
        open.send(()).unwrap();
        threads
            .into_iter()
            .for_each(|t| drop(t.join().unwrap().unwrap()));
        assert_eq!(*sizes.lock().unwrap(), [1]);
    }
}
