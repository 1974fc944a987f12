//! Rows in, rows with vectors out, in the same order and in bounded memory: the engine of whole-table
//! work.
//!
//! It reads ahead a *window* of rows, has it embedded in batches of like length, and hands the rows
//! out. Windows grow, so that the first rows come soon and a long run sorts many texts at once; they
//! are bounded in rows and in bytes of text, so a table of any size needs the same memory.

use super::cache::SharedVector;
use super::embedder::{Role, SharedEmbedder};
use super::stop::Stop;
use crate::error::{Kind, Result};
use std::collections::VecDeque;

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
    window: usize,
    exhausted: bool,
}

/// Where the rows come from: the next one, or none at the end.
pub type Source<'s, K> = dyn FnMut() -> Result<Option<Row<K>>> + 's;

/// A row of the window, and the ids of its text.
type Read<K> = (Row<K>, Option<Vec<i64>>);

const FIRST_WINDOW: usize = 64;
const LARGEST_WINDOW: usize = 4096;
const WINDOW_BYTES: usize = 8 << 20;

impl<K> Bulk<K> {
    /// Rows embedded as passages with this model; `name` says in an error which row it is about.
    pub fn new(model: SharedEmbedder, name: fn(&K) -> String) -> Self {
        Bulk {
            model,
            name,
            ready: VecDeque::new(),
            window: FIRST_WINDOW,
            exhausted: false,
        }
    }

    /// The next row. The source is asked for rows a window ahead; once it gave none it is not asked
    /// again.
    ///
    /// # Errors
    /// Of the source, of a text, of the model, an interruption (asked for before each batch).
    pub fn next(
        &mut self,
        source: &mut Source<'_, K>,
        stop: &dyn Stop,
    ) -> Result<Option<Embedded<K>>> {
        if self.ready.is_empty() && !self.exhausted {
            let rows = self.read_window(source, stop)?;
            self.embed(rows, stop)?;
        }
        Ok(self.ready.pop_front())
    }

    fn read_window(&mut self, source: &mut Source<'_, K>, stop: &dyn Stop) -> Result<Vec<Read<K>>> {
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
        let ids = rows.iter_mut().filter_map(|(_, ids)| ids.take()).collect();
        let mut vectors = self.model.embed_encoded(ids, stop)?.into_iter();
        self.ready.extend(rows.into_iter().map(|(row, _)| {
            let vector = row.text.is_some().then(|| vectors.next()).flatten();
            Embedded {
                key: row.key,
                text: row.text,
                vector,
            }
        }));
        Ok(())
    }
}
