//! Ranking: the rows of an index by their distance to a query, the nearest first.
//!
//! Stored vectors give the distances. Where there are codes, they say which vectors to read: each
//! slot has a lower bound of its distance, slots are rescored in the order of their bounds, and the
//! best row found so far is given out only when it is nearer than the next bound. So the order is
//! true however few are asked for, and nothing depends on a number of candidates. Without codes (up
//! to some 8,000 vectors), for a radius, and when few rows pass the filters, all vectors concerned
//! are read.
//!
//! A row's distance is that of its best passage. Equal distances come in the order of rowids. Why a bound,
//! and no number of candidates, is in `docs/decisions/15-order-by-a-bound.md`.

use super::damage::corrupt;
use super::filter::Filters;
use super::overlay::Overlay;
use super::parts::Parts;
use super::shadow::Settings;
use super::vectors::cache::List;
use super::vectors::chunk::CHUNK;
use crate::error::Result;
use crate::vector::ascending::Ascending;
use crate::vector::storage::Rescorer;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

/// Rejections by filters after which all rows that pass are looked for at once.
const REJECTIONS: usize = 256;
/// Past this share of all vectors rescored one by one, the rest is read in one go.
const SHARE: usize = 16;

/// A row that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Its id.
    pub row: i64,
    /// Cosine of its best passage.
    pub score: f64,
    /// Where that passage is.
    pub at: VectorAt,
}

/// Where a vector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum VectorAt {
    /// Stored.
    Slot(i64),
    /// Among those of the overlay.
    Fresh(usize),
}

impl Found {
    /// 1 - cosine.
    pub fn distance(&self) -> f64 {
        1.0 - self.score
    }
}

/// What is equal for ORDER BY is in the order of rowids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderBy {
    /// `ORDER BY distance`.
    Distance,
    /// `ORDER BY score DESC`: two scores may differ where their distances are rounded to one.
    Score,
}

/// In the heap: the first to be given out is the greatest.
struct Ranked(f64, Found);

impl Ranked {
    fn key(&self) -> (f64, i64, VectorAt) {
        (self.0, self.1.row, self.1.at)
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.key(), other.key());
        a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2))
    }
}
impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Ranked {}

/// A search under way.
pub struct Search {
    rescorer: Rescorer,
    order: OrderBy,
    filters: Filters,
    overlay: Overlay,
    heap: BinaryHeap<Reverse<Ranked>>,
    /// Coded slots that were not rescored yet; `None`: everything is in the heap.
    coded: Option<Ascending>,
    /// The codes that they were read from.
    list: Option<Arc<List>>,
    /// Rows that were given out.
    given: HashSet<i64>,
    /// Whether it was tried to find the few rows that pass the filters.
    looked_for_few: bool,
    /// All rows that pass the filters as they were embedded, where all vectors are read.
    allowed: Option<HashSet<i64>>,
    vectors: usize,
    rescored: usize,
    rejected: usize,
}

impl Search {
    /// Starts a search. `exact`: read every vector, whatever the codes say.
    ///
    /// # Errors
    /// A query of other dimensions; what SQLite says; damage; an interruption.
    pub fn start(
        parts: Parts<'_>,
        settings: &Settings,
        query: &[f32],
        filters: Filters,
        overlay: Overlay,
        order: OrderBy,
        exact: bool,
    ) -> Result<Self> {
        let mut search = Search {
            rescorer: Rescorer::new(parts.shadow.storage(), query)?,
            order,
            filters,
            overlay,
            heap: BinaryHeap::new(),
            coded: None,
            list: None,
            given: HashSet::new(),
            looked_for_few: false,
            allowed: None,
            vectors: 0,
            rescored: 0,
            rejected: 0,
        };
        search.rank_overlay()?;
        if settings.dims.is_none() {
            return Ok(search);
        }
        let slots = parts.vectors.passages.last_slot()?.unwrap_or(-1);
        search.vectors = usize::try_from(slots.saturating_add(1)).unwrap_or(usize::MAX);
        if search.filters.has_rowids() && search.read_those_that_pass(parts)? {
            return Ok(search);
        }
        match parts.vectors.codes.list()? {
            Some(list) if !exact => search.scan(parts, &list, query)?,
            _ => search.read_all(parts, 0)?,
        }
        Ok(search)
    }

    /// What the overlay holds.
    pub fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// The query's filters.
    pub fn filters(&self) -> &Filters {
        &self.filters
    }

    /// The next row.
    ///
    /// # Errors
    /// What SQLite says; damage; an interruption.
    pub fn next(&mut self, parts: Parts<'_>) -> Result<Option<Found>> {
        loop {
            self.rescore(parts)?;
            let Some(Reverse(Ranked(_, found))) = self.heap.pop() else {
                return Ok(None);
            };
            if !self.filters.takes_distance(found.distance(), found.score) {
                if self.order == OrderBy::Distance && self.filters.ends_at(found.distance()) {
                    return Ok(None);
                }
                continue;
            }
            if self.given.insert(found.row) {
                return Ok(Some(found));
            }
        }
    }

    /// The best passage of a row, wherever it stands; none for a row without vectors.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub fn found_of(&mut self, parts: Parts<'_>, row: i64) -> Result<Option<Found>> {
        let mut best: Option<Found> = None;
        let rescorer = &mut self.rescorer;
        let mut look = |at: VectorAt, stored: &[u8]| -> Result<()> {
            let score = rescorer.cosine(stored).map_err(|e| corrupt(e.message()))?;
            if best.is_none_or(|best| score > best.score) {
                best = Some(Found { row, score, at });
            }
            Ok(())
        };
        if self.overlay.replaced.contains(&row) {
            let fresh = self.overlay.passages.iter().enumerate();
            let mut of_row = fresh.filter(|(_, fresh)| fresh.row == row);
            of_row.try_for_each(|(n, fresh)| look(VectorAt::Fresh(n), &fresh.stored))?;
        } else {
            let passages = parts.vectors.passages;
            passages.each_of_row(row, |slot, stored| look(VectorAt::Slot(slot), stored))?;
        }
        Ok(best)
    }

    /// Rescores coded slots until none that is left can be nearer than the best row in the heap.
    fn rescore(&mut self, parts: Parts<'_>) -> Result<()> {
        loop {
            let Some(coded) = &mut self.coded else {
                return Ok(());
            };
            let Some(bound) = coded.peek().map(f64::from) else {
                self.coded = None;
                return Ok(());
            };
            if self
                .heap
                .peek()
                .is_some_and(|best| best.0.1.distance() < bound)
            {
                return Ok(());
            }
            if self.filters.ends_at(bound) {
                self.coded = None;
                return Ok(());
            }
            let slot = coded.take().unwrap_or(0) as i64;
            self.rescore_slot(parts, slot)?;
            if self.rescored > (self.vectors / SHARE).max(CHUNK) {
                self.start_again()?;
                self.read_all(parts, i64::MIN)?;
            } else if self.rejected > REJECTIONS && !self.looked_for_few {
                self.read_those_that_pass(parts)?;
            }
        }
    }

    /// Forgets what was ranked of the stored vectors: all that may be found will be read.
    fn start_again(&mut self) -> Result<()> {
        self.coded = None;
        self.heap.clear();
        self.rank_overlay()
    }

    fn rescore_slot(&mut self, parts: Parts<'_>, slot: i64) -> Result<()> {
        let passages = parts.vectors.passages;
        let found = passages.at(slot, |row, stored| {
            if self.is_settled(row) {
                return Ok(());
            }
            let passes = self.passes(parts, row)?;
            let count = if passes {
                &mut self.rescored
            } else {
                &mut self.rejected
            };
            *count += 1;
            if count.is_multiple_of(1024) {
                parts.shadow.host.interrupts.check()?;
            }
            match passes {
                true => self.rank(row, VectorAt::Slot(slot), stored),
                false => Ok(()),
            }
        })?;
        // Rows may be deleted by this connection while the search is being read.
        let codes = parts.vectors.codes;
        let unchanged = |list: &Arc<List>| codes.are_still(list);
        if found.is_none() && self.list.as_ref().map(unchanged).transpose()? == Some(true) {
            return Err(corrupt(format_args!(
                "slot {slot} has a code but no vector"
            )));
        }
        Ok(())
    }

    /// Whether a row's stored vectors say nothing more: it was given out, or has changed.
    fn is_settled(&self, row: i64) -> bool {
        self.given.contains(&row) || self.overlay.replaced.contains(&row)
    }

    fn rank(&mut self, row: i64, at: VectorAt, stored: &[u8]) -> Result<()> {
        let score = self
            .rescorer
            .cosine(stored)
            .map_err(|e| corrupt(e.message()))?;
        let found = Found { row, score, at };
        let key = match self.order {
            OrderBy::Distance => found.distance(),
            OrderBy::Score => -score,
        };
        self.heap.push(Reverse(Ranked(key, found)));
        Ok(())
    }

    fn rank_overlay(&mut self) -> Result<()> {
        let passages = std::mem::take(&mut self.overlay.passages);
        for (n, fresh) in passages.iter().enumerate() {
            self.rank(fresh.row, VectorAt::Fresh(n), &fresh.stored)?;
        }
        self.overlay.passages = passages;
        Ok(())
    }

    fn passes(&self, parts: Parts<'_>, row: i64) -> Result<bool> {
        if self.filters.is_empty() || self.overlay.passing.contains(&row) {
            return Ok(true);
        }
        match &self.allowed {
            Some(allowed) => Ok(allowed.contains(&row)),
            None => self.filters.takes_row(parts.shadow, row),
        }
    }

    /// Finds the rows that pass the filters; where they are few, their vectors are read, and whether
    /// that is so is said.
    fn read_those_that_pass(&mut self, parts: Parts<'_>) -> Result<bool> {
        self.looked_for_few = true;
        let most = self.vectors / SHARE;
        let Some(mut rows) = self.filters.possible_rows(parts.shadow, most)? else {
            return Ok(false);
        };
        // Changed rows whose vectors are as they were.
        let known: HashSet<i64> = rows.iter().copied().collect();
        rows.extend(self.overlay.passing.difference(&known));
        self.start_again()?;
        for (n, &row) in rows.iter().enumerate() {
            if n % 1024 == 0 {
                parts.shadow.host.interrupts.check()?;
            }
            if self.is_settled(row) {
                continue;
            }
            parts.vectors.passages.each_of_row(row, |slot, stored| {
                self.rank(row, VectorAt::Slot(slot), stored)
            })?;
        }
        Ok(true)
    }

    fn scan(&mut self, parts: Parts<'_>, list: &Arc<List>, query: &[f32]) -> Result<()> {
        let query = list.coder.query(query)?;
        let bounds = parts.vectors.codes.scan(list, &query)?;
        let tail = bounds.len() as i64;
        self.coded = Some(Ascending::new(bounds));
        self.list = Some(Arc::clone(list));
        self.read_all(parts, tail)
    }

    /// Ranks all vectors from a slot on.
    fn read_all(&mut self, parts: Parts<'_>, from: i64) -> Result<()> {
        let everything = from <= 0;
        if everything && !self.filters.is_empty() {
            // Where few rows pass, the others' vectors need not be read.
            if !self.looked_for_few && self.read_those_that_pass(parts)? {
                return Ok(());
            }
            let all = self.filters.possible_rows(parts.shadow, usize::MAX)?;
            self.allowed = Some(all.unwrap_or_default().into_iter().collect());
        }
        let passages = parts.vectors.passages;
        passages.each_between(from, i64::MAX, |slot, row, stored| {
            match !self.is_settled(row) && self.passes(parts, row)? {
                true => self.rank(row, VectorAt::Slot(slot), stored),
                false => Ok(()),
            }
        })
    }
}
