//! A pair of a code and a query, of which a bound says that they may be near.

/// A pair whose bound is small enough, by its places among the codes and among the queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Near {
    /// Which code.
    pub code: u32,
    /// Which query.
    pub query: u32,
}
