//! Which sentences of a text are nearest to a query.
//!
//! Each sentence is embedded by itself, many in a batch. The nearest takes its neighbours in, one after the
//! other, as long as both together are clearly nearer to the query than without: an answer may need the
//! sentence before it. A run ends at a blank line: what follows is about something else, or a heading.

use crate::engine::embedding::embedder::{Embedder, Role};
use crate::engine::stop::Stop;
use crate::engine::text::sentences::Sentences;
use crate::error::Result;
use crate::memory::reserve;
use std::ops::Range;

/// Sentences that are embedded at once; of those of a long text only their similarity is kept.
const WINDOW: usize = 256;

/// The most sentences that are given.
const LONGEST_RUN: usize = 4;

/// By how much a sentence more must raise the cosine: a few words about nothing raise it by less than 0.01,
/// the second half of an answer by 0.04 and more (bge-small-en-v1.5, sentences in the tests).
const LEAST_GAIN: f32 = 0.02;

/// The sentence, or the run of them, that answers a query best, in bytes of the text; none in a blank text.
///
/// # Errors
/// As [`Embedder::embed`]; asks `stop` before each batch.
pub fn best_run(
    model: &Embedder,
    text: &str,
    query: &str,
    stop: &dyn Stop,
) -> Result<Option<Range<usize>>> {
    let mut search = Search {
        model,
        text,
        query: model.embed(query, Role::Query, stop)?.to_vec(),
        stop,
    };
    let (sentences, best) = search.sentences()?;
    match best {
        Some((place, similarity)) => search.extend(&sentences, place, similarity).map(Some),
        None => Ok(None),
    }
}

struct Search<'a> {
    model: &'a Embedder,
    text: &'a str,
    query: Vec<f32>,
    stop: &'a dyn Stop,
}

impl Search<'_> {
    /// All sentences, and the place of the nearest with its similarity.
    #[allow(clippy::type_complexity)]
    fn sentences(&mut self) -> Result<(Vec<Range<usize>>, Option<(usize, f32)>)> {
        let mut source = Sentences::new(self.text);
        let mut found: Vec<Range<usize>> = Vec::new();
        let mut best: Option<(usize, f32)> = None;
        loop {
            let first = found.len();
            while found.len() < first + WINDOW
                && let Some(range) = source.next(self.stop)?
            {
                reserve(&mut found, 1)?;
                found.push(range);
            }
            if found.len() == first {
                return Ok((found, best));
            }
            let similarities = self.similarities(&found[first..])?;
            for (place, similarity) in (first..).zip(similarities) {
                if best.is_none_or(|(_, most)| similarity > most) {
                    best = Some((place, similarity));
                }
            }
        }
    }

    /// The run around a sentence.
    fn extend(
        &self,
        sentences: &[Range<usize>],
        place: usize,
        similarity: f32,
    ) -> Result<Range<usize>> {
        let (mut run, mut most) = (place..place + 1, similarity);
        let bytes = |run: &Range<usize>| sentences[run.start].start..sentences[run.end - 1].end;
        while run.len() < LONGEST_RUN {
            let before = run.start.checked_sub(1).map(|start| start..run.end);
            let behind = (run.end < sentences.len()).then_some(run.start..run.end + 1);
            let runs = before.into_iter().chain(behind);
            let runs: Vec<Range<usize>> =
                runs.filter(|run| !self.is_parted(sentences, run)).collect();
            let texts: Vec<Range<usize>> = runs.iter().map(bytes).collect();
            let similarities = self.similarities(&texts)?;
            let longer = runs.into_iter().zip(similarities);
            let longer = longer.max_by(|(_, a), (_, b)| a.total_cmp(b));
            match longer.filter(|(_, similarity)| *similarity > most + LEAST_GAIN) {
                Some(better) => (run, most) = better,
                None => break,
            }
        }
        Ok(bytes(&run))
    }

    /// Whether a blank line is between two sentences of a run.
    fn is_parted(&self, sentences: &[Range<usize>], run: &Range<usize>) -> bool {
        let mut neighbours = sentences[run.clone()].windows(2);
        neighbours.any(|both| {
            let between = &self.text[both[0].end..both[1].start];
            between.matches('\n').count() > 1
        })
    }

    /// The cosines of parts of the text and the query.
    fn similarities(&self, parts: &[Range<usize>]) -> Result<Vec<f32>> {
        let texts: Vec<&str> = parts.iter().map(|part| &self.text[part.clone()]).collect();
        let vectors = self.model.embed_many(&texts, Role::Passage, self.stop)?;
        let cosine = |vector: &[f32]| vector.iter().zip(&self.query).map(|(x, y)| x * y).sum();
        Ok(vectors.iter().map(|vector| cosine(vector)).collect())
    }
}
