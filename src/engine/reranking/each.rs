//! Rows in, rows with scores out, in the same order and in bounded memory, against one query.
//!
//! As [`crate::engine::embedding::bulk`] does it for vectors: a window of rows is read ahead, scored in
//! batches of like length, and handed out.

use crate::engine::embedding::bulk::{FIRST_WINDOW, LARGEST_WINDOW, NextRow, Row, WINDOW_BYTES};
use crate::engine::reranking::reranker::SharedReranker;
use crate::engine::stop::Stop;
use crate::engine::text::pairs::{Pair, QueryIds};
use crate::error::{Kind, Result};
use std::collections::VecDeque;

/// A row with its score.
pub struct Scored<K> {
    /// What names the row.
    pub key: K,
    /// Its text.
    pub text: Option<String>,
    /// The score of the text; none without a text.
    pub score: Option<f64>,
}

/// See the module.
pub struct RerankEach<K> {
    model: SharedReranker,
    query: QueryIds,
    name: fn(&K) -> String,
    ready: VecDeque<Scored<K>>,
    window: usize,
    exhausted: bool,
}

impl<K> RerankEach<K> {
    /// Rows scored as answers to this query; `name` says in an error which row it is about.
    ///
    /// # Errors
    /// A query above the limit, an interruption.
    pub fn new(
        model: SharedReranker,
        query: &str,
        name: fn(&K) -> String,
        stop: &dyn Stop,
    ) -> Result<Self> {
        Ok(RerankEach {
            query: model.query(query, stop)?,
            model,
            name,
            ready: VecDeque::new(),
            window: FIRST_WINDOW,
            exhausted: false,
        })
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
    ) -> Result<Option<Scored<K>>> {
        if self.ready.is_empty() && !self.exhausted {
            self.score_window(source, stop)?;
        }
        Ok(self.ready.pop_front())
    }

    fn score_window(&mut self, source: &mut NextRow<'_, K>, stop: &dyn Stop) -> Result<()> {
        let (mut rows, mut pairs, mut bytes) = (Vec::new(), Vec::new(), 0);
        while rows.len() < self.window && bytes < WINDOW_BYTES {
            if rows.len() % 256 == 0 {
                stop.check()?;
            }
            let Some(row) = source()? else {
                self.exhausted = true;
                break;
            };
            bytes += row.bytes;
            if let Some(text) = &row.text {
                pairs.push(self.encode(&row.key, text, stop)?);
            }
            rows.push(row);
        }
        self.window = (self.window * 4).min(LARGEST_WINDOW);
        let mut scores = self.model.score_encoded(&pairs, stop)?.into_iter();
        self.ready
            .extend(rows.into_iter().map(|Row { key, text, .. }| {
                let score = text.is_some().then(|| scores.next()).flatten();
                Scored { key, text, score }
            }));
        Ok(())
    }

    fn encode(&self, key: &K, text: &str, stop: &dyn Stop) -> Result<Pair> {
        let pair = self.model.encode(&self.query, text, stop);
        pair.map_err(|e| match e.kind() {
            Kind::Interrupted => e,
            _ => e.at((self.name)(key)),
        })
    }
}
