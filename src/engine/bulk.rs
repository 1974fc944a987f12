//! Rows in, rows with what a model makes of their texts out, in the same order and in bounded memory: the
//! engine of whole-table work. What is made is the business of a [`Work`].
//!
//! It reads ahead a *window* of rows, has its texts run in batches of like length, and hands the rows
//! out. Windows grow, so that the first rows come soon and a long run sorts many texts at once; they
//! are bounded in rows and in bytes of text, so a table of any size needs the same memory.
//!
//! On a GPU two windows are in flight from the second on: while one is computed, on a thread that ends
//! with the call, the caller reads and tokenises the next. (On a CPU both would want the same cores.)

use crate::engine::stop::{POLL, Stop, StopFlag};
use crate::error::{Error, Kind, Result};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};

/// What is done with the texts of a window.
pub trait Work: Send + Sync + 'static {
    /// A text as the model sees it.
    type Encoded: Send;
    /// What becomes of it.
    type Made: Send;

    /// Encodes a text.
    ///
    /// # Errors
    /// Of the text; an interruption.
    fn encode(&self, text: &str, stop: &dyn Stop) -> Result<Self::Encoded>;

    /// Runs texts by batches of like length; what becomes of them is in their order.
    ///
    /// # Errors
    /// Of the model; an interruption (asked for before each batch).
    fn run(&self, encoded: Vec<Self::Encoded>, stop: &dyn Stop) -> Result<Vec<Self::Made>>;

    /// Whether it runs on a GPU.
    fn is_on_gpu(&self) -> bool;
}

/// A row of the source: anything that names it, and its text (none: nothing is made).
pub struct Row<K> {
    /// What names the row.
    pub key: K,
    /// Its text.
    pub text: Option<String>,
    /// What both take in memory.
    pub bytes: usize,
}

/// A row with what was made of its text.
pub struct Finished<K, M> {
    /// What names the row.
    pub key: K,
    /// Its text.
    pub text: Option<String>,
    /// What was made of it; none without a text.
    pub made: Option<M>,
}

/// See the module.
pub struct Bulk<K, W: Work> {
    work: Arc<W>,
    name: fn(&K) -> String,
    ready: VecDeque<Finished<K, W::Made>>,
    /// Read and encoded, not run yet.
    ahead: Vec<Read<K, W>>,
    /// What was wrong with the row after those: told when they are handed out.
    failed: Option<Error>,
    window: usize,
    exhausted: bool,
    overlaps: bool,
}

/// Where the rows come from: the next one, or none at the end.
pub type NextRow<'s, K> = dyn FnMut() -> Result<Option<Row<K>>> + 's;

/// A row of the window, and its text encoded.
type Read<K, W> = (Row<K>, Option<<W as Work>::Encoded>);

/// Rows of the first window, and of the largest.
const FIRST_WINDOW: usize = 64;
const LARGEST_WINDOW: usize = 4096;
/// Bytes of text after which a window is full, whatever it has of rows.
const WINDOW_BYTES: usize = 8 << 20;

impl<K, W: Work> Bulk<K, W> {
    /// Rows for this work; `name` says in an error which row it is about.
    pub fn new(work: W, name: fn(&K) -> String) -> Self {
        Bulk {
            overlaps: work.is_on_gpu(),
            ahead: Vec::new(),
            failed: None,
            work: Arc::new(work),
            name,
            ready: VecDeque::new(),
            window: FIRST_WINDOW,
            exhausted: false,
        }
    }

    /// Whether the next window is read while one is computed; as it is done on GPUs otherwise.
    #[must_use]
    pub fn overlapping(mut self, overlaps: bool) -> Self {
        self.overlaps = overlaps;
        self
    }

    /// The next row. The source is asked for rows a window ahead; once it gave none it is not asked
    /// again.
    ///
    /// # Errors
    /// Of the source, of a text, of the model, an interruption (asked for before each batch).
    pub fn next(
        &mut self,
        source: &mut NextRow<'_, K>,
        stop: &dyn Stop,
    ) -> Result<Option<Finished<K, W::Made>>> {
        if self.ready.is_empty()
            && let Some(error) = self.failed.take()
        {
            self.exhausted = true;
            return Err(error);
        }
        if self.ready.is_empty() && (!self.exhausted || !self.ahead.is_empty()) {
            let mut rows = std::mem::take(&mut self.ahead);
            if rows.is_empty() {
                rows = self.read_window(source, stop)?;
            }
            // The first window alone may be all that is wanted.
            if self.overlaps && !self.exhausted && self.window > 4 * FIRST_WINDOW {
                self.run_and_read(rows, source, stop)?;
            } else {
                self.run(rows, stop)?;
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Runs a window on a thread of this call while the next is read here: SQLite and the host's code
    /// in `stop` are not to be touched from another thread.
    fn run_and_read(
        &mut self,
        mut rows: Vec<Read<K, W>>,
        source: &mut NextRow<'_, K>,
        stop: &dyn Stop,
    ) -> Result<()> {
        let encoded = take_encoded::<K, W>(&mut rows);
        let work = Arc::clone(&self.work);
        let stopped = StopFlag::default();
        let (made, read) = std::thread::scope(|scope| {
            let (done, outcome) = channel();
            let stopped = &stopped;
            let thread = std::thread::Builder::new().spawn_scoped(scope, move || {
                // The caller waits for it to the end.
                let _ = done.send(work.run(encoded, stopped));
            });
            if let Err(e) = thread {
                let message = format!("no thread to run the model beside reading: {e}");
                return (Err(Error::invalid(message)), Ok(Vec::new()));
            }
            let read = self.read_window(source, stop);
            if matches!(&read, Err(e) if e.kind() == Kind::Interrupted) {
                stopped.set();
            }
            loop {
                match outcome.recv_timeout(POLL) {
                    Ok(made) => return (made, read),
                    Err(RecvTimeoutError::Timeout) => {
                        if let Err(e) = stop.check() {
                            stopped.set();
                            return (Err(e), read);
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        return (Err(Error::internal("a panic while a window ran")), read);
                    }
                }
            }
        });
        match (made, read) {
            (_, Err(e)) if e.kind() == Kind::Interrupted => Err(e),
            (Err(e), _) => Err(e),
            (Ok(made), read) => {
                match read {
                    Ok(ahead) => self.ahead = ahead,
                    Err(e) => self.failed = Some(e),
                }
                self.hand_out(rows, made);
                Ok(())
            }
        }
    }

    fn read_window(
        &mut self,
        source: &mut NextRow<'_, K>,
        stop: &dyn Stop,
    ) -> Result<Vec<Read<K, W>>> {
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < self.window && bytes < WINDOW_BYTES {
            if rows.len() % 256 == 0 {
                stop.check()?;
            }
            let Some(row) = source()? else {
                self.exhausted = true;
                break;
            };
            bytes += row.bytes;
            let encoded = self.encode(&row, stop)?;
            rows.push((row, encoded));
        }
        self.window = (self.window * 4).min(LARGEST_WINDOW);
        Ok(rows)
    }

    fn encode(&self, row: &Row<K>, stop: &dyn Stop) -> Result<Option<W::Encoded>> {
        let Some(text) = &row.text else {
            return Ok(None);
        };
        match self.work.encode(text, stop) {
            Ok(encoded) => Ok(Some(encoded)),
            Err(e) if e.kind() == Kind::Interrupted => Err(e),
            Err(e) => Err(e.at((self.name)(&row.key))),
        }
    }

    fn run(&mut self, mut rows: Vec<Read<K, W>>, stop: &dyn Stop) -> Result<()> {
        let made = self.work.run(take_encoded::<K, W>(&mut rows), stop)?;
        self.hand_out(rows, made);
        Ok(())
    }

    fn hand_out(&mut self, rows: Vec<Read<K, W>>, made: Vec<W::Made>) {
        let mut made = made.into_iter();
        self.ready.extend(rows.into_iter().map(|(row, _)| Finished {
            made: row.text.is_some().then(|| made.next()).flatten(),
            key: row.key,
            text: row.text,
        }));
    }
}

fn take_encoded<K, W: Work>(rows: &mut [Read<K, W>]) -> Vec<W::Encoded> {
    let encoded = rows.iter_mut().map(|(_, encoded)| encoded.take());
    encoded.flatten().collect()
}
