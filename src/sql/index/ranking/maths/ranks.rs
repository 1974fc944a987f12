//! The column `rank`: a number that rises from each row to the next.
//!
//! The order of rows is decided by stages, and some of them (the first rows reranked, the others behind) give
//! numbers that do not follow it. SQLite, an application or a later ORDER BY may sort by `rank`, so it must.

/// Gives out ranks in order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ranks {
    last: Option<f64>,
}

impl Ranks {
    /// The rank of the next row: its own, unless that is not above the last one's; then the next number above
    /// it.
    pub fn next(&mut self, own: f64) -> f64 {
        let rank = self.last.map_or(own, |last| own.max(last.next_up()));
        self.last = Some(rank);
        rank
    }
}
