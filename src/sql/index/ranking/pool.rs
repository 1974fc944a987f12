//! The candidates of a ranking: its first stage, over the two lists that an index can give.

use super::hit::Hit;
use super::language::pipeline::First;
use super::maths::fusion::{Fusion, Named, common};
use super::maths::ranks::Ranks;
use super::maths::scale::Scale;
use crate::error::Result;
use crate::sql::index::content::{LOOKED_UP, Located, Noting, Present};
use crate::sql::index::filter::Filters;
use crate::sql::index::parts::Parts;
use crate::sql::index::search::{Found, Search};
use crate::sql::index::shadow::Scanned;
use crate::sql::index::words::{Hit as WordHit, Lists, Reach};
use std::collections::{HashMap, HashSet};
use std::iter::Skip;
use std::vec::IntoIter;

/// Candidates of a fusion by what a question names.
const NAMES: usize = 10;

/// A row to be ranked, and how relevant it is so far (the higher, the better).
pub struct Candidate {
    /// The row.
    pub hit: Hit,
    /// What kind of number it is, [`Candidates::scale`] says.
    pub relevance: f64,
}

/// The candidates, the best first.
pub struct Candidates {
    /// Each row once.
    pub list: Vec<Candidate>,
    /// What kind of number their relevances are.
    pub scale: Scale,
    /// How many rows of the list that goes on behind them were found.
    pub places: usize,
    /// What follows behind them.
    pub behind: Behind,
}

/// Rows behind the candidates.
pub enum Behind {
    /// None.
    Nothing,
    /// All others by their distance.
    Meaning,
    /// Others that have words of the question.
    Words(Skip<IntoIter<WordHit>>),
}

/// Candidates with their ranks, in their order.
pub struct Pool {
    /// The rows.
    pub hits: Vec<Hit>,
    /// The ranks so far.
    pub ranks: Ranks,
    /// How many rows of the list that goes on behind them were found.
    pub places: usize,
    /// What follows behind them.
    pub behind: Behind,
}

/// What candidates are gathered from.
pub struct Gathering<'a> {
    /// The index.
    pub parts: Parts<'a>,
    /// Its content.
    pub located: &'a Located,
    /// The search by meaning, at its start.
    pub search: &'a mut Search,
    /// The words of the question; none for one that is a vector.
    pub question: Option<&'a str>,
    /// How many candidates are wanted of each list.
    pub depth: usize,
}

/// A row that has words of the question, as it passes the filters.
struct Worded {
    hit: WordHit,
    found: Option<Found>,
}

impl Gathering<'_> {
    /// The candidates of a first stage.
    ///
    /// # Errors
    /// What SQLite says; damage; an interruption.
    pub fn run(mut self, first: &First) -> Result<Candidates> {
        match *first {
            First::Meaning { .. } => self.meaning(),
            First::Words { depth } => self.words(depth.is_none()),
            First::Hybrid { weight, .. } => {
                let weight = weight.unwrap_or(Fusion::default().weight);
                self.hybrid(Fusion { weight })
            }
        }
    }

    fn meaning(&mut self) -> Result<Candidates> {
        let list = self.by_meaning()?;
        Ok(Candidates {
            places: list.len(),
            list: list
                .into_iter()
                .map(|hit| candidate(hit, |found| found.score))
                .collect(),
            scale: Scale::Cosine,
            behind: Behind::Meaning,
        })
    }

    fn words(&mut self, goes_on: bool) -> Result<Candidates> {
        let question = self.question.unwrap_or_default();
        let hits = self.parts.words.list(question, Reach::WORDS)?;
        let hits = self.that_may_pass(hits)?;
        let (list, looked_at) = self.by_words(&hits, self.depth)?;
        let places = list.len();
        let list = list.into_iter().enumerate().map(|(n, worded)| Candidate {
            relevance: -worded.hit.bm25,
            hit: Hit {
                by_words: Some(n + 1),
                ..Hit::by_words(worded.hit, worded.found)
            },
        });
        Ok(Candidates {
            list: list.collect(),
            scale: Scale::Words,
            places,
            behind: match goes_on {
                true => Behind::Words(hits.into_iter().skip(looked_at)),
                false => Behind::Nothing,
            },
        })
    }

    fn hybrid(&mut self, fusion: Fusion) -> Result<Candidates> {
        let near = self.by_meaning()?;
        let places = near.len();
        let reach = self.parts.words.reach_of_fusion()?;
        let question = self.question.unwrap_or_default();
        let Lists { all, names, share } = self.parts.words.lists(question, reach)?;
        let hits = self.that_may_pass(all)?;
        let names = names.map(|names| self.that_may_pass(names)).transpose()?;
        let names = names.as_ref().unwrap_or(&hits);
        let (worded, _) = self.by_words(&hits, self.depth)?;
        let (named, _) = self.by_words(names, NAMES)?;
        let common = common(named.iter().map(|named| -named.hit.bm25));
        // A row that only words find, and that has no vector yet, is as far as the farthest candidate.
        let farthest = near.last().and_then(|hit| hit.found);
        let farthest = farthest.map_or(0.0, |found| found.score);
        let mut union = Union::of(near);
        for (n, Worded { hit, found }) in worded.into_iter().enumerate() {
            union.add(hit, found).by_words = Some(n + 1);
        }
        for Worded { hit, found } in named {
            union.add(hit, found);
        }
        let (bm25, of_names) = (union.bm25_of(&hits), union.bm25_of(names));
        let mut list: Vec<Candidate> = (union.hits.into_iter())
            .map(|mut hit| {
                hit.bm25 = bm25.get(&hit.row).copied();
                let n = of_names.get(&hit.row).copied();
                let cosine = hit.found.map_or(farthest, |found| found.score);
                let (b, n) = (-hit.bm25.unwrap_or(0.0), -n.unwrap_or(0.0));
                let relevance = fusion.score(cosine, b, n, Named { share, common });
                Candidate { hit, relevance }
            })
            .collect();
        list.sort_by(|a, b| {
            let by_relevance = b.relevance.total_cmp(&a.relevance);
            by_relevance.then(a.hit.row.cmp(&b.hit.row))
        });
        Ok(Candidates {
            list,
            scale: Scale::Cosine,
            places,
            behind: Behind::Meaning,
        })
    }

    /// The nearest rows.
    fn by_meaning(&mut self) -> Result<Vec<Hit>> {
        let depth = self.depth;
        let mut near: Vec<Hit> = Vec::new();
        while near.len() < depth {
            let mut found = Vec::new();
            while found.len() < LOOKED_UP.min(depth - near.len())
                && let Some(next) = self.search.next(self.parts)?
            {
                found.push(next);
            }
            if found.is_empty() {
                break;
            }
            self.parts.shadow.host.interrupts.check()?;
            let there = confirm(
                self.parts,
                self.located,
                self.search.filters(),
                found,
                |f| f.row,
            )?;
            for (found, _) in there {
                near.push(Hit {
                    by_meaning: Some(near.len() + 1),
                    ..Hit::by_meaning(found)
                });
            }
        }
        Ok(near)
    }

    /// Leaves out rows that certainly do not pass the filters, where looking each up would take long: of a word that
    /// 100,000 rows have, ten may pass.
    fn that_may_pass(&self, mut hits: Vec<WordHit>) -> Result<Vec<WordHit>> {
        const FEW: usize = 1_000;
        let (filters, shadow) = (self.search.filters(), self.parts.shadow);
        let is_noted = self.located.noting == Noting::On;
        if hits.len() <= FEW || filters.is_empty() || !is_noted {
            return Ok(hits);
        }
        if shadow.settings()?.scanned != Scanned::All {
            return Ok(hits);
        }
        let mut rejected = HashSet::new();
        let asked: HashSet<i64> = hits.iter().map(|hit| hit.row).collect();
        filters.each_rejected(shadow, self.parts.notes, |row| {
            if asked.contains(&row) {
                rejected.insert(row);
            }
        })?;
        hits.retain(|hit| !rejected.contains(&hit.row));
        Ok(hits)
    }

    /// The first rows by words that pass the filters, and how many were looked at for that.
    fn by_words(&mut self, hits: &[WordHit], depth: usize) -> Result<(Vec<Worded>, usize)> {
        let (mut worded, mut looked_at): (Vec<Worded>, usize) = (Vec::new(), 0);
        while worded.len() < depth && looked_at < hits.len() {
            let some: Vec<WordHit> = hits[looked_at..].iter().copied().take(LOOKED_UP).collect();
            self.parts.shadow.host.interrupts.check()?;
            let filters = self.search.filters();
            let there = confirm(self.parts, self.located, filters, some, |hit| hit.row)?;
            let mut there = there.into_iter().map(|(hit, _)| hit).peekable();
            for hit in hits[looked_at..].iter().take(LOOKED_UP) {
                if worded.len() == depth {
                    break;
                }
                looked_at += 1;
                let Some(hit) = there.next_if(|there| there.row == hit.row) else {
                    continue;
                };
                let found = self.search.found_of(self.parts, hit.row)?;
                if has_distance(self.search.filters(), found.as_ref()) {
                    worded.push(Worded { hit, found });
                }
            }
        }
        Ok((worded, looked_at))
    }
}

/// Candidates of several lists, each row once.
struct Union {
    hits: Vec<Hit>,
    at: HashMap<i64, usize>,
}

impl Union {
    fn of(hits: Vec<Hit>) -> Self {
        let at = hits.iter().enumerate().map(|(n, hit)| (hit.row, n));
        Union {
            at: at.collect(),
            hits,
        }
    }

    /// The row, which may be there already.
    fn add(&mut self, hit: WordHit, found: Option<Found>) -> &mut Hit {
        let hits = &mut self.hits;
        let at = *self.at.entry(hit.row).or_insert_with(|| {
            hits.push(Hit::by_words(hit, found));
            hits.len() - 1
        });
        &mut self.hits[at]
    }

    /// The bm25 of these rows in a list.
    fn bm25_of(&self, hits: &[WordHit]) -> HashMap<i64, f64> {
        let ours = hits.iter().filter(|hit| self.at.contains_key(&hit.row));
        ours.map(|hit| (hit.row, hit.bm25)).collect()
    }
}

/// Whether the distance of a row passes; without one, only where nothing is asked of it.
pub fn has_distance(filters: &Filters, found: Option<&Found>) -> bool {
    match found {
        Some(found) => filters.takes_distance(found.distance(), found.score),
        None => !filters.has_distances(),
    }
}

fn candidate(hit: Hit, relevance: fn(&Found) -> f64) -> Candidate {
    let relevance = hit.found.as_ref().map_or(0.0, relevance);
    Candidate { hit, relevance }
}

impl Candidates {
    /// The ranks of the candidates, which never fall.
    pub fn ranked(self) -> Pool {
        let mut ranks = Ranks::default();
        let hits: Vec<Hit> = (self.list.into_iter())
            .map(|candidate| Hit {
                rank: ranks.next(candidate.hit.row, self.scale.rank(candidate.relevance)),
                ..candidate.hit
            })
            .collect();
        Pool {
            hits,
            ranks,
            places: self.places,
            behind: self.behind,
        }
    }
}

/// Those of some rows that are there and pass the filters with their present values, in their order.
///
/// # Errors
/// The content is gone or has changed; what SQLite says.
pub fn confirm<T>(
    parts: Parts<'_>,
    located: &Located,
    filters: &Filters,
    rows: Vec<T>,
    id: impl Fn(&T) -> i64,
) -> Result<Vec<(T, Present)>> {
    let ids: Vec<i64> = rows.iter().map(&id).collect();
    let mut now = parts.content.fetch_by_key(located, &ids)?;
    let mut there = Vec::with_capacity(rows.len());
    for row in rows {
        if let Some(present) = now.remove(&id(&row))
            && filters.takes_values(parts.shadow, present.id, &present.values)?
        {
            there.push((row, present));
        }
    }
    Ok(there)
}
