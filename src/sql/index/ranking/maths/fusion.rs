//! One relevance from meaning and words.
//!
//! `cosine + w * b / (b + 20) + 1.5 * sqrt(share) * max(0, n - t) / (n + 10)`, where b is bm25 with its sign turned, 0
//! where the row has no word of the question; n the same for what the question *names* (a version, a code, a
//! path), share the part of the question that names something, and t the fifth best n of the index.
//!
//! The first share of words saturates: it never outweighs a clear difference of cosines, so it does little harm
//! where words are the weak list. The second is for names, which the model knows little of: a name that few rows have
//! lifts them far, one that many rows have lifts none. Chosen by nDCG@10 over nine collections and by names
//! found first (docs/BENCHMARKS.md, "Rankings").

/// How much words count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fusion {
    /// The share of words that every row has, 0 to 1.
    pub weight: f64,
}

impl Default for Fusion {
    fn default() -> Self {
        Fusion { weight: 0.1 }
    }
}

/// What is known of a question's names.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Named {
    /// Their part of the question, 0 to 1.
    pub share: f64,
    /// What ordinary names give: [`common`] of the rows that have one.
    pub common: f64,
}

/// The share of names in a question that is a name.
const NAMES: f64 = 1.5;
/// The b, and the n, that give half of a share.
const HALF: f64 = 20.0;
const HALF_OF_NAMES: f64 = 10.0;
/// What stands out is above the row of this place in the list of names.
const COMMON: usize = 5;

impl Fusion {
    /// The relevance of a row: `b` and `n` are its bm25 with the sign turned, 0 or more.
    pub fn score(&self, cosine: f64, b: f64, n: f64, named: Named) -> f64 {
        let words = self.weight * b / (b + HALF);
        let names = (n - named.common).max(0.0) / (n + HALF_OF_NAMES);
        cosine + words + NAMES * named.share.sqrt() * names
    }
}

/// What ordinary names give in a list: its fifth best n; 0 where it has fewer rows. `best_first`: the n of its
/// rows, the best first, after all filters.
pub fn common(best_first: impl IntoIterator<Item = f64>) -> f64 {
    best_first.into_iter().nth(COMMON - 1).unwrap_or(0.0)
}
