//! A row of an answer, and why it stands where it does.

use crate::sql::index::search::Found;
use crate::sql::index::words::Hit as WordHit;

/// See the module.
#[derive(Clone, Debug, PartialEq)]
pub struct Hit {
    /// Its id.
    pub row: i64,
    /// Its best passage; none for a row without vectors, which only words find.
    pub found: Option<Found>,
    /// What it is ranked by: the lower, the better.
    pub rank: f64,
    /// Its place by meaning, from 1; none where it was not looked for so, or not found so.
    pub by_meaning: Option<usize>,
    /// Its place by words, from 1; likewise.
    pub by_words: Option<usize>,
    /// FTS5's bm25 of the question's words: negative, the lower, the better. None where it has none of
    /// them.
    pub bm25: Option<f64>,
    /// The reranker's logit.
    pub rerank: Option<f64>,
}

impl Hit {
    /// A row that was found by meaning; its place is still to be said.
    pub fn by_meaning(found: Found) -> Self {
        Hit {
            row: found.row,
            rank: found.distance(),
            found: Some(found),
            by_meaning: None,
            by_words: None,
            bm25: None,
            rerank: None,
        }
    }

    /// A row that was found by words; its place is still to be said.
    pub fn by_words(hit: WordHit, found: Option<Found>) -> Self {
        Hit {
            row: hit.row,
            found,
            rank: hit.bm25,
            by_meaning: None,
            by_words: None,
            bm25: Some(hit.bm25),
            rerank: None,
        }
    }
}
