//! The rows of an answer, one after the other.
//!
//! First those of the pool, which a ranking has put in order; behind them, but where words alone find rows,
//! all others by their distance. Without a ranking the pool is empty, and rows come as the search gives
//! them. A row that is gone, or no longer passes the filters, is not found; which are there is looked up
//! as they come, since rows may be deleted while an answer is read.

use super::hit::Hit;
use super::maths::ranks::Ranks;
use super::pool::{Behind, Pool, confirm, has_distance};
use crate::error::Result;
use crate::sql::index::content::{LOOKED_UP, Located, Origin, Present};
use crate::sql::index::parts::Parts;
use crate::sql::index::search::{OrderBy, Search};
use std::collections::{HashSet, VecDeque};

/// See the module.
pub struct Answer {
    search: Search,
    /// Rows of the pool that were not given out, in the order in which they will be.
    pool: VecDeque<Hit>,
    /// All rows of the pool.
    pooled: HashSet<i64>,
    /// What follows behind the pool.
    behind: Behind,
    /// The next of those, where it was looked for already.
    next: Option<Later>,
    /// How many rows the list behind the pool has given.
    place: usize,
    /// The ranks of the pool, and of what came behind it; none without a ranking.
    ranks: Option<Ranks>,
    /// The order that is asked for, where it is another than the ranking's.
    by_distance: Option<OrderBy>,
}

/// A row that an answer gives.
struct Later {
    hit: Hit,
    /// Rows of the pool that stand before it in the list behind the pool, since the row before it there.
    passed: usize,
}

impl Answer {
    /// The rows by meaning alone, in the search's order.
    pub fn by_meaning(search: Search) -> Self {
        Answer {
            search,
            pool: VecDeque::new(),
            pooled: HashSet::new(),
            behind: Behind::Meaning,
            next: None,
            place: 0,
            ranks: None,
            by_distance: None,
        }
    }

    /// The rows that a ranking has put in order, then the rest. `by_distance`: not in that order after all.
    /// `k`: no more than that many will be asked for.
    pub fn ranked(
        search: Search,
        pool: Pool,
        by_distance: Option<OrderBy>,
        k: Option<usize>,
    ) -> Self {
        let Pool {
            mut hits,
            ranks,
            places,
            behind,
        } = pool;
        let pooled = hits.iter().map(|hit| hit.row).collect();
        if let Some(order) = by_distance {
            // The k rows are the ranking's, whatever order they come in.
            hits.truncate(k.unwrap_or(usize::MAX));
            hits.sort_by(|a, b| {
                key(order, a)
                    .total_cmp(&key(order, b))
                    .then(a.row.cmp(&b.row))
            });
        }
        let is_complete = by_distance.is_some() && k.is_some();
        Answer {
            search,
            pool: hits.into(),
            pooled,
            behind: if is_complete { Behind::Nothing } else { behind },
            next: None,
            place: places,
            ranks: Some(ranks),
            by_distance,
        }
    }

    /// The search, with its filters and the vectors that the query made.
    pub fn search(&self) -> &Search {
        &self.search
    }

    /// The next rows, as they are now: none at the end only. No more than `most`.
    ///
    /// # Errors
    /// What SQLite says; damage; an interruption.
    pub fn more(
        &mut self,
        parts: Parts<'_>,
        located: &Located,
        most: usize,
    ) -> Result<Vec<(Hit, Present)>> {
        let batch = if located.origin == Origin::View {
            LOOKED_UP
        } else {
            1
        };
        loop {
            let mut hits = Vec::new();
            while hits.len() < batch.min(most)
                && let Some(later) = self.next(parts)?
            {
                hits.push(later);
            }
            if hits.is_empty() {
                return Ok(Vec::new());
            }
            let filters = self.search.filters();
            let there = confirm(parts, located, filters, hits, |later| later.hit.row)?;
            if !there.is_empty() {
                let there = there.into_iter();
                return Ok(there
                    .map(|(later, present)| (self.placed(later), present))
                    .collect());
            }
        }
    }

    /// A row that is there, with its place: behind the pool only such rows have one.
    fn placed(&mut self, Later { mut hit, passed }: Later) -> Hit {
        if self.pooled.contains(&hit.row) {
            return hit;
        }
        self.place += passed + 1;
        match self.behind {
            Behind::Words(_) => hit.by_words = Some(self.place),
            Behind::Meaning | Behind::Nothing => hit.by_meaning = Some(self.place),
        }
        hit
    }

    fn next(&mut self, parts: Parts<'_>) -> Result<Option<Later>> {
        let Some(order) = self.by_distance else {
            return match self.next_of_pool() {
                Some(later) => Ok(Some(later)),
                None => self.behind(parts),
            };
        };
        if self.next.is_none() {
            self.next = self.behind(parts)?;
        }
        let takes_pool = match (self.pool.front(), &self.next) {
            (Some(pooled), Some(next)) => key(order, pooled) <= key(order, &next.hit),
            (pooled, _) => pooled.is_some(),
        };
        Ok(match takes_pool {
            true => self.next_of_pool(),
            false => self.next.take(),
        })
    }

    fn next_of_pool(&mut self) -> Option<Later> {
        let hit = self.pool.pop_front()?;
        Some(Later { hit, passed: 0 })
    }

    /// The next row that is not of the pool.
    fn behind(&mut self, parts: Parts<'_>) -> Result<Option<Later>> {
        let mut later = match &mut self.behind {
            Behind::Nothing => None,
            Behind::Meaning => self.next_by_meaning(parts)?,
            Behind::Words(_) => self.next_by_words(parts)?,
        };
        if let (Some(Later { hit, .. }), Some(ranks)) = (&mut later, &mut self.ranks) {
            hit.rank = ranks.next(hit.row, hit.rank);
        }
        Ok(later)
    }

    fn next_by_meaning(&mut self, parts: Parts<'_>) -> Result<Option<Later>> {
        let mut passed = 0;
        while let Some(found) = self.search.next(parts)? {
            if !self.pooled.contains(&found.row) {
                let hit = Hit::by_meaning(found);
                return Ok(Some(Later { hit, passed }));
            }
            // Only words had found the row before.
            passed += 1;
        }
        Ok(None)
    }

    fn next_by_words(&mut self, parts: Parts<'_>) -> Result<Option<Later>> {
        let Behind::Words(hits) = &mut self.behind else {
            return Ok(None);
        };
        for hit in hits {
            parts.shadow.host.interrupts.check()?;
            let found = self.search.found_of(parts, hit.row)?;
            if has_distance(self.search.filters(), found.as_ref()) {
                let hit = Hit::by_words(hit, found);
                return Ok(Some(Later { hit, passed: 0 }));
            }
        }
        Ok(None)
    }
}

/// What the rows are sorted by. NULL is SQLite's least value, also where a row has no distance yet.
fn key(order: OrderBy, hit: &Hit) -> f64 {
    match (order, &hit.found) {
        (OrderBy::Distance, Some(found)) => found.distance(),
        (OrderBy::Distance, None) => f64::NEG_INFINITY,
        (OrderBy::Score, Some(found)) => -found.score,
        (OrderBy::Score, None) => f64::INFINITY,
    }
}
