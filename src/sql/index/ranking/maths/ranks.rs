//! The column `rank`: a number that falls from no row to the next.
//!
//! The order of rows is decided by stages, and some of them (the first rows reranked, the others behind) give
//! numbers that do not follow it. SQLite, an application or a later ORDER BY may sort by `rank`, so it must.

/// Gives out ranks in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ranks {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    row: i64,
    own: f64,
    rank: f64,
}

impl Ranks {
    /// The rank of the next row: its own, unless that is not above the last one's; then the next number above
    /// it. Of equals in the order of their rowids each has the same rank, so that a further term of ORDER BY can tell
    /// them apart.
    pub fn next(&mut self, row: i64, own: f64) -> f64 {
        let rank = match self.last {
            Some(last) if own == last.own && row > last.row => last.rank,
            Some(last) => own.max(last.rank.next_up()),
            None => own,
        };
        self.last = Some(Last { row, own, rank });
        rank
    }
}
