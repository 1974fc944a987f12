//! Rows in, rows with vectors out, in the same order and in bounded memory: the engine of whole-table
//! work.
//!
//! It reads ahead a *window* of rows, has it embedded in batches of like length, and hands the rows
//! out. Windows grow, so that the first rows come soon and a long run sorts many texts at once; they
//! are bounded in rows and in bytes of text, so a table of any size needs the same memory.
//!
//! On a GPU two windows are in flight from the second on: while one is computed, on a thread that ends
//! with the call, the caller reads and tokenises the next. (On a CPU both would want the same cores.)

use crate::engine::embedding::embedder::{Role, SharedEmbedder};
use crate::engine::inference::runner::SharedVector;
use crate::engine::stop::{POLL, Stop, StopFlag};
use crate::error::{Error, Kind, Result};
use std::collections::VecDeque;
use std::sync::mpsc::{RecvTimeoutError, channel};

/// A row of the source: anything that names it, and its text (none: no vector).
pub struct Row<K> {
    /// What names the row.
    pub key: K,
    /// Its text.
    pub text: Option<String>,
    /// What both take in memory.
    pub bytes: usize,
}

/// A row with its vector.
pub struct Embedded<K> {
    /// What names the row.
    pub key: K,
    /// Its text.
    pub text: Option<String>,
    /// The vector of the text.
    pub vector: Option<SharedVector>,
}

/// See the module.
pub struct Bulk<K> {
    model: SharedEmbedder,
    name: fn(&K) -> String,
    ready: VecDeque<Embedded<K>>,
    /// Read and tokenised, not embedded yet.
    ahead: Vec<Read<K>>,
    /// What was wrong with the row after those: told when they are handed out.
    failed: Option<Error>,
    window: usize,
    exhausted: bool,
    overlaps: bool,
}

/// Where the rows come from: the next one, or none at the end.
pub type NextRow<'s, K> = dyn FnMut() -> Result<Option<Row<K>>> + 's;

/// A row of the window, and the ids of its text.
type Read<K> = (Row<K>, Option<Vec<i64>>);

/// Rows of the first window, and of the largest.
pub const FIRST_WINDOW: usize = 64;
pub const LARGEST_WINDOW: usize = 4096;
/// Bytes of text after which a window is full, whatever it has of rows.
pub const WINDOW_BYTES: usize = 8 << 20;

impl<K> Bulk<K> {
    /// Rows embedded as passages with this model; `name` says in an error which row it is about.
    pub fn new(model: SharedEmbedder, name: fn(&K) -> String) -> Self {
        let overlaps = model.device().got.is_gpu();
        Bulk {
            overlaps,
            ahead: Vec::new(),
            failed: None,
            model,
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
    ) -> Result<Option<Embedded<K>>> {
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
                self.embed_and_read(rows, source, stop)?;
            } else {
                self.embed(rows, stop)?;
            }
        }
        Ok(self.ready.pop_front())
    }

    /// Embeds a window on a thread of this call while the next is read here: SQLite and the host's code
    /// in `stop` are not to be touched from another thread.
    fn embed_and_read(
        &mut self,
        mut rows: Vec<Read<K>>,
        source: &mut NextRow<'_, K>,
        stop: &dyn Stop,
    ) -> Result<()> {
        let ids = take_ids(&mut rows);
        let model = self.model.clone();
        let stopped = StopFlag::default();
        let (vectors, read) = std::thread::scope(|scope| {
            let (done, outcome) = channel();
            let stopped = &stopped;
            let thread = std::thread::Builder::new().spawn_scoped(scope, move || {
                // The caller waits for it to the end.
                let _ = done.send(model.embed_encoded(ids, stopped));
            });
            if let Err(e) = thread {
                let message = format!("no thread for the GPU's work: {e}");
                return (Err(Error::invalid(message)), Ok(Vec::new()));
            }
            let read = self.read_window(source, stop);
            if matches!(&read, Err(e) if e.kind() == Kind::Interrupted) {
                stopped.set();
            }
            loop {
                match outcome.recv_timeout(POLL) {
                    Ok(vectors) => return (vectors, read),
                    Err(RecvTimeoutError::Timeout) => {
                        if let Err(e) = stop.check() {
                            stopped.set();
                            return (Err(e), read);
                        }
                    }
                    Err(RecvTimeoutError::Disconnected) => {
                        return (Err(Error::internal("a panic while embedding")), read);
                    }
                }
            }
        });
        match (vectors, read) {
            (_, Err(e)) if e.kind() == Kind::Interrupted => Err(e),
            (Err(e), _) => Err(e),
            (Ok(vectors), read) => {
                match read {
                    Ok(ahead) => self.ahead = ahead,
                    Err(e) => self.failed = Some(e),
                }
                self.hand_out(rows, vectors);
                Ok(())
            }
        }
    }

    fn read_window(
        &mut self,
        source: &mut NextRow<'_, K>,
        stop: &dyn Stop,
    ) -> Result<Vec<Read<K>>> {
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
            let ids = self.encode(&row, stop)?;
            rows.push((row, ids));
        }
        self.window = (self.window * 4).min(LARGEST_WINDOW);
        Ok(rows)
    }

    fn encode(&self, row: &Row<K>, stop: &dyn Stop) -> Result<Option<Vec<i64>>> {
        let Some(text) = &row.text else {
            return Ok(None);
        };
        match self.model.encode_as(text, Role::Passage, stop) {
            Ok(ids) => Ok(Some(ids)),
            Err(e) if e.kind() == Kind::Interrupted => Err(e),
            Err(e) => Err(e.at((self.name)(&row.key))),
        }
    }

    fn embed(&mut self, mut rows: Vec<Read<K>>, stop: &dyn Stop) -> Result<()> {
        let vectors = self.model.embed_encoded(take_ids(&mut rows), stop)?;
        self.hand_out(rows, vectors);
        Ok(())
    }

    fn hand_out(&mut self, rows: Vec<Read<K>>, vectors: Vec<SharedVector>) {
        let mut vectors = vectors.into_iter();
        self.ready.extend(rows.into_iter().map(|(row, _)| {
            let vector = row.text.is_some().then(|| vectors.next()).flatten();
            Embedded {
                key: row.key,
                text: row.text,
                vector,
            }
        }));
    }
}

fn take_ids<K>(rows: &mut [Read<K>]) -> Vec<Vec<i64>> {
    rows.iter_mut().filter_map(|(_, ids)| ids.take()).collect()
}
