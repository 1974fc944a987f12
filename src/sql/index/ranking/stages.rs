//! The stages behind the first: each puts candidates in a new order.

use super::language::pipeline::Stage;
use super::language::time::unix_seconds;
use super::maths::decay::decayed;
use super::maths::mmr;
use super::maths::scale::Scale;
use super::pool::{Candidate, Candidates};
use crate::error::{Error, Result};
use crate::sql::ffi::Value;
use crate::sql::index::best::{Best, decoded};
use crate::sql::index::content::{LOOKED_UP, Located, Present};
use crate::sql::index::declare::Spec;
use crate::sql::index::overlay::Overlay;
use crate::sql::index::parts::Parts;
use crate::sql::lexer::shown;
use crate::sql::models;
use crate::vector::{self, Vector, blob};
use std::time::{SystemTime, UNIX_EPOCH};

/// What stages work on.
#[derive(Clone, Copy)]
pub struct Stages<'a> {
    /// The index.
    pub parts: Parts<'a>,
    /// Its content.
    pub located: &'a Located,
    /// The vectors that the query made.
    pub overlay: &'a Overlay,
    /// What is asked; none where that is a vector.
    pub question: Option<&'a str>,
}

impl Stages<'_> {
    /// Runs a stage.
    ///
    /// # Errors
    /// A reranker that cannot be had, or has no text to look at; a time that is none; what SQLite says; an
    /// interruption.
    pub fn run(self, stage: &Stage, candidates: &mut Candidates) -> Result<()> {
        match stage {
            Stage::Rerank { model, depth } => self.rerank(model.as_deref(), *depth, candidates),
            Stage::Mmr { lambda, depth } => self.mmr(*lambda, *depth, candidates),
            Stage::Decay {
                column,
                half_life,
                now,
            } => {
                let now = now.unwrap_or_else(present_moment);
                self.decay(column, *half_life, now, candidates)
            }
        }
    }

    /// The best `depth` by the logits of a cross-encoder on the question and their best passages.
    fn rerank(self, model: Option<&str>, depth: usize, candidates: &mut Candidates) -> Result<()> {
        let host = self.parts.shadow.host;
        let question = self.question.ok_or_else(|| {
            Error::invalid("rerank needs the text of a question: MATCH was given a vector")
        })?;
        let model = models::reranker(model, host)?;
        let depth = depth.min(candidates.list.len());
        let mut texts: Vec<Option<String>> = Vec::with_capacity(depth);
        self.look_at(&candidates.list[..depth], |candidate, present| {
            texts.push(self.text(candidate, present)?);
            Ok(())
        })?;
        let known: Vec<&str> = texts.iter().flatten().map(String::as_str).collect();
        let mut logits = model
            .score_many(question, &known, host.interrupts)?
            .into_iter();
        let behind = candidates.list.split_off(depth);
        let (mut scored, mut unread) = (Vec::with_capacity(depth), Vec::new());
        for (mut candidate, text) in candidates.list.drain(..).zip(texts) {
            match text.and_then(|_| logits.next()) {
                Some(logit) => {
                    candidate.relevance = logit;
                    candidate.hit.rerank = Some(logit);
                    scored.push(candidate);
                }
                None => unread.push(candidate),
            }
        }
        scored.sort_by(|a, b| b.relevance.total_cmp(&a.relevance));
        // What was not read cannot be told from the worst that was.
        let worst = scored.last().map_or(0.0, |candidate| candidate.relevance);
        candidates.list = scored;
        for mut candidate in unread.into_iter().chain(behind) {
            candidate.relevance = worst;
            candidates.list.push(candidate);
        }
        candidates.scale = Scale::Logit;
        Ok(())
    }

    /// What a reranker reads of a row: its best passage; all of its text where that has changed since.
    fn text(self, candidate: &Candidate, present: &Present) -> Result<Option<String>> {
        let found = candidate.hit.found.as_ref();
        let best = Best {
            parts: self.parts,
            overlay: Some(self.overlay),
            present,
            found,
        };
        if let Some(text) = best.text()? {
            return Ok(Some(text.to_owned()));
        }
        let whole = present.joined.as_ref().and_then(|joined| joined.text());
        Ok(whole.map(|text| text.whole.clone()))
    }

    fn mmr(self, lambda: f64, depth: usize, candidates: &mut Candidates) -> Result<()> {
        let depth = depth.min(candidates.list.len());
        let head = &candidates.list[..depth];
        let relevances: Vec<f64> = head
            .iter()
            .map(|c| candidates.scale.comparable(c.relevance))
            .collect();
        // As BLOBs; empty for a row that has none.
        let mut vectors: Vec<Vec<u8>> = Vec::with_capacity(depth);
        self.look_at(head, |candidate, present| {
            let found = candidate.hit.found.as_ref();
            let best = Best {
                parts: self.parts,
                overlay: Some(self.overlay),
                present,
                found,
            };
            let stored = found.map_or(Ok(None), |_| best.stored())?;
            let vector = stored
                .map(|stored| decoded(self.parts, &stored))
                .transpose()?;
            vectors.push(vector.map_or(Vec::new(), |vector| blob::from_f32(&vector)));
            Ok(())
        })?;
        let interrupts = self.parts.shadow.host.interrupts;
        let cosine = |a: usize, b: usize| likeness(&vectors[a], &vectors[b]);
        let order = mmr::spread(&relevances, lambda, cosine, || interrupts.check())?;
        let behind = candidates.list.split_off(depth);
        let mut head: Vec<Option<Candidate>> = candidates.list.drain(..).map(Some).collect();
        candidates.list = order
            .into_iter()
            .filter_map(|n| head[n].take())
            .chain(behind)
            .collect();
        Ok(())
    }

    fn decay(
        self,
        column: &str,
        half_life: f64,
        now: f64,
        candidates: &mut Candidates,
    ) -> Result<()> {
        let n = decaying(self.parts.shadow.spec(), column)?;
        let mut shares = Vec::with_capacity(candidates.list.len());
        self.look_at(&candidates.list, |candidate, present| {
            let value = &present.values[n];
            let time = match value {
                Value::Null => None,
                value => {
                    Some(unix_seconds(value).ok_or_else(|| no_time(column, present.id, value))?)
                }
            };
            let relevance = candidates.scale.comparable(candidate.relevance);
            shares.push(decayed(relevance, time, now, half_life));
            Ok(())
        })?;
        for (candidate, share) in candidates.list.iter_mut().zip(shares) {
            candidate.relevance = share;
        }
        candidates
            .list
            .sort_by(|a, b| b.relevance.total_cmp(&a.relevance));
        candidates.scale = Scale::Cosine;
        Ok(())
    }

    /// Shows candidates as they are now. A row that was deleted while the ranking runs says nothing.
    fn look_at(
        self,
        candidates: &[Candidate],
        mut look: impl FnMut(&Candidate, &Present) -> Result<()>,
    ) -> Result<()> {
        for some in candidates.chunks(LOOKED_UP) {
            self.parts.shadow.host.interrupts.check()?;
            let ids: Vec<i64> = some.iter().map(|candidate| candidate.hit.row).collect();
            let now = self.parts.content.fetch_by_key(self.located, &ids)?;
            for candidate in some {
                match now.get(&candidate.hit.row) {
                    Some(present) => look(candidate, present)?,
                    None => look(candidate, &self.nothing(candidate.hit.row))?,
                }
            }
        }
        Ok(())
    }

    fn nothing(self, id: i64) -> Present {
        let values = self.parts.shadow.spec().columns.iter();
        Present {
            id,
            values: values.map(|_| Value::Null).collect(),
            joined: None,
        }
    }
}

/// The number of a column that times can be taken from.
///
/// # Errors
/// There is none of that name, or it is text that is embedded.
pub fn decaying(spec: &Spec, column: &str) -> Result<usize> {
    let named = spec
        .columns
        .iter()
        .position(|c| !c.indexed && c.name.eq_ignore_ascii_case(column));
    named.ok_or_else(|| {
        let others = spec.columns.iter().filter(|c| !c.indexed).map(|c| c.name.as_str());
        let others: Vec<&str> = others.collect();
        let known = match others.is_empty() {
            true => "this index has none".to_owned(),
            false => format!("known: {}", others.join(", ")),
        };
        Error::invalid(format!(
            "decay: '{column}' is no UNINDEXED column of this index, which a time is taken from; {known}"
        ))
    })
}

/// The cosine of a candidate and one that was chosen, for [`mmr::spread`]. A candidate without a vector counts as like
/// whatever was chosen: nobody knows that it is another thing, and all of its kind would come first otherwise.
fn likeness(candidate: &[u8], chosen: &[u8]) -> Result<Option<f64>> {
    match (candidate, chosen) {
        ([], _) => Ok(Some(1.0)),
        (_, []) => Ok(None),
        (a, b) => vector::cosine(Vector::parse(a)?, Vector::parse(b)?).map(Some),
    }
}

fn present_moment() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

fn no_time(column: &str, id: i64, value: &Value) -> Error {
    let came = match value {
        Value::Text(_) => value
            .as_str()
            .map_or("no UTF-8".to_owned(), |text| format!("'{}'", shown(text))),
        Value::Blob(_) => "a BLOB".to_owned(),
        Value::Real(x) => x.to_string(),
        Value::Integer(n) => n.to_string(),
        Value::Null => "NULL".to_owned(),
    };
    Error::invalid(format!(
        "decay: {column} of row {id} is {came}, expected a Unix time, or a date such as '2026-11-25' or \
         '2026-11-25 10:30:00'"
    ))
}
