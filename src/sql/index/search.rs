//! Ranking: the rows of an index by their distance to a query, the nearest first.
//!
//! Stored vectors give the distances. Where there are codes, they say which vectors to read: each
//! slot has a lower bound of its distance, slots are rescored in the order of their bounds, and the
//! best row found so far is given out only when it is nearer than the next bound. So the order is
//! true however few are asked for, and nothing depends on a number of candidates. Without codes (up
//! to some 8,000 vectors), for a radius, and when few rows pass the filters, all vectors concerned
//! are read.
//!
//! A row's distance is that of its best passage. Equal distances come in the order of rowids.

use super::code_store::CHUNK;
use super::codes_cache::List;
use super::filter::Filters;
use super::overlay::Overlay;
use super::store::{Settings, Store, corrupt};
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use crate::vector::ascending::Ascending;
use crate::vector::storage::Rescorer;
use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

/// Rejections by filters after which the filters are looked at for all rows at once.
const REJECTIONS: usize = 2_000;
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
    pub place: Place,
}

/// Where a vector is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
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
    fn key(&self) -> (f64, i64, Place) {
        (self.0, self.1.row, self.1.place)
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
    /// The index's stamp when they were read.
    stamp: i64,
    /// Rows that were given out.
    given: HashSet<i64>,
    /// Rows that pass the filters, once all were looked at.
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
        store: &Store<'_>,
        settings: &Settings,
        query: &[f32],
        filters: Filters,
        overlay: Overlay,
        order: OrderBy,
        exact: bool,
    ) -> Result<Self> {
        let mut search = Search {
            rescorer: Rescorer::new(store.storage(), query)?,
            order,
            filters,
            overlay,
            heap: BinaryHeap::new(),
            coded: None,
            stamp: 0,
            given: HashSet::new(),
            allowed: None,
            vectors: 0,
            rescored: 0,
            rejected: 0,
        };
        search.rank_overlay()?;
        if settings.dims.is_none() {
            return Ok(search);
        }
        let last = store
            .sql("SELECT max(slot) FROM {passages}")?
            .integer_of_first()?;
        search.vectors =
            usize::try_from(last.unwrap_or(-1).saturating_add(1)).unwrap_or(usize::MAX);
        if let Some(ids) = search.few_rowids() {
            search.read_rows(store, &ids)?;
            return Ok(search);
        }
        match store.code_list()? {
            Some(list) if !exact => search.scan(store, &list, query)?,
            _ => search.read_all(store, i64::MIN)?,
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
    pub fn next(&mut self, store: &Store<'_>) -> Result<Option<Found>> {
        loop {
            self.rescore(store)?;
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

    /// Rescores coded slots until none that is left can be nearer than the best row in the heap.
    fn rescore(&mut self, store: &Store<'_>) -> Result<()> {
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
            self.rescore_slot(store, slot)?;
            if self.rescored > (self.vectors / SHARE).max(CHUNK) {
                self.coded = None;
                self.heap.clear();
                self.rank_overlay()?;
                self.read_all(store, i64::MIN)?;
            } else if self.rejected > REJECTIONS && self.allowed.is_none() {
                self.look_at_all_rows(store)?;
            }
        }
    }

    fn rescore_slot(&mut self, store: &Store<'_>, slot: i64) -> Result<()> {
        let mut read = store.sql("SELECT row, vector FROM {passages} WHERE slot = ?1")?;
        read.bind(1, &Value::Integer(slot))?;
        if read.step()? == Row::Done {
            // Rows may be deleted by this connection while the search is being read.
            if store.get("stamp")? != Value::Integer(self.stamp) {
                return Ok(());
            }
            return Err(corrupt(format_args!(
                "slot {slot} has a code but no vector"
            )));
        }
        let row = read
            .integer(0)
            .ok_or_else(|| corrupt(format_args!("slot {slot} has no row")))?;
        if self.given.contains(&row) || self.overlay.replaced.contains(&row) {
            return Ok(());
        }
        if !self.passes(store, row)? {
            self.rejected += 1;
            if self.rejected.is_multiple_of(1024) {
                store.host.interrupts.check()?;
            }
            return Ok(());
        }
        self.rescored += 1;
        if self.rescored.is_multiple_of(1024) {
            store.host.interrupts.check()?;
        }
        self.rank(row, Place::Slot(slot), read.blob(1)?.unwrap_or_default())
    }

    fn rank(&mut self, row: i64, place: Place, stored: &[u8]) -> Result<()> {
        let score = self
            .rescorer
            .cosine(stored)
            .map_err(|e| corrupt(e.message()))?;
        let found = Found { row, score, place };
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
            self.rank(fresh.row, Place::Fresh(n), &fresh.stored)?;
        }
        self.overlay.passages = passages;
        Ok(())
    }

    fn passes(&self, store: &Store<'_>, row: i64) -> Result<bool> {
        if self.filters.is_empty() || self.overlay.passing.contains(&row) {
            return Ok(true);
        }
        if let Some(allowed) = &self.allowed {
            return Ok(allowed.contains(&row));
        }
        if !self.filters.takes_rowid(row) {
            return Ok(false);
        }
        if !self.filters.has_columns() {
            return Ok(true);
        }
        let indexed = store.row(row)?;
        Ok(indexed.is_some_and(|indexed| self.filters.takes_others(&indexed.others)))
    }

    /// Looks at the filters of all rows; if few pass, their vectors are read at once.
    fn look_at_all_rows(&mut self, store: &Store<'_>) -> Result<()> {
        let mut allowed = self.overlay.passing.clone();
        let mut read = store.sql("SELECT * FROM {rows}")?;
        let mut rows = 0usize;
        while read.step()? == Row::Ready {
            rows += 1;
            if rows.is_multiple_of(4096) {
                store.host.interrupts.check()?;
            }
            let Some(id) = read.integer(0) else { continue };
            if !self.filters.takes_rowid(id) {
                continue;
            }
            let others = (3..read.columns()).map(|n| read.column(n));
            if !self.filters.has_columns()
                || self
                    .filters
                    .takes_others(&others.collect::<Result<Vec<_>>>()?)
            {
                allowed.insert(id);
            }
        }
        drop(read);
        if allowed.len() < self.vectors / SHARE && self.coded.is_some() {
            self.coded = None;
            self.heap.clear();
            self.rank_overlay()?;
            let ids: Vec<i64> = allowed.iter().copied().collect();
            self.read_rows(store, &ids)?;
        }
        self.allowed = Some(allowed);
        Ok(())
    }

    /// The rows that the filters name, where reading them beats looking at codes.
    fn few_rowids(&self) -> Option<Vec<i64>> {
        let ids = self.filters.rowids()?;
        (ids.len() <= self.vectors / SHARE).then_some(ids)
    }

    fn read_rows(&mut self, store: &Store<'_>, ids: &[i64]) -> Result<()> {
        for (n, &row) in ids.iter().enumerate() {
            if n % 1024 == 0 {
                store.host.interrupts.check()?;
            }
            let skip = self.given.contains(&row) || self.overlay.replaced.contains(&row);
            if skip || !self.passes(store, row)? {
                continue;
            }
            let mut read = store.sql("SELECT slot, vector FROM {passages} WHERE row = ?1")?;
            read.bind(1, &Value::Integer(row))?;
            while read.step()? == Row::Ready {
                let slot = read
                    .integer(0)
                    .ok_or_else(|| corrupt("a slot without a number"))?;
                self.rank(row, Place::Slot(slot), read.blob(1)?.unwrap_or_default())?;
            }
        }
        Ok(())
    }

    fn scan(&mut self, store: &Store<'_>, list: &Arc<List>, query: &[f32]) -> Result<()> {
        let query = list.coder.query(query)?;
        let bounds = store.scan_codes(list, &query)?;
        let tail = bounds.len() as i64;
        self.coded = Some(Ascending::new(bounds));
        self.stamp = list.stamp;
        self.read_all(store, tail)
    }

    /// Ranks all vectors from a slot on.
    fn read_all(&mut self, store: &Store<'_>, from: i64) -> Result<()> {
        let worthwhile = from == i64::MIN && self.filters.has_columns() && self.allowed.is_none();
        if worthwhile {
            self.look_at_all_rows(store)?;
        }
        let mut read = store.sql("SELECT slot, row, vector FROM {passages} WHERE slot >= ?1")?;
        read.bind(1, &Value::Integer(from))?;
        let mut count = 0usize;
        while read.step()? == Row::Ready {
            count += 1;
            if count.is_multiple_of(4096) {
                store.host.interrupts.check()?;
            }
            let (Some(slot), Some(row)) = (read.integer(0), read.integer(1)) else {
                return Err(corrupt("a vector without slot or row"));
            };
            let skip = self.given.contains(&row) || self.overlay.replaced.contains(&row);
            if !skip && self.passes(store, row)? {
                self.rank(row, Place::Slot(slot), read.blob(2)?.unwrap_or_default())?;
            }
        }
        Ok(())
    }
}
