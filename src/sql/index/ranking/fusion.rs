//! One relevance from meaning and words.
//!
//! `cosine + w * b / (b + 10) + 0.3 * max(0, b - t) / (b + 10)`, where b is bm25 with its sign turned, 0 where
//! the row has no word of the question, and t is the fifth best b of the list.
//!
//! The first share of words saturates: it never outweighs a clear difference of cosines, so it does little harm
//! where words are the weak list. The second is for names: a name lifts one row far above the fifth, and
//! ordinary words lift many rows alike.

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

/// The share of what stands out.
const NAMES: f64 = 0.3;
/// The b that gives half of a share.
const HALF: f64 = 10.0;
/// What stands out is above the row of this place in the list of words.
const COMMON: usize = 5;

impl Fusion {
    /// The relevance of a row: `b` its bm25 with the sign turned, 0 or more; `common` as [`common`] has it.
    pub fn score(&self, cosine: f64, b: f64, common: f64) -> f64 {
        let names = NAMES * (b - common).max(0.0);
        cosine + (self.weight * b + names) / (b + HALF)
    }
}

/// What ordinary words give in a list of words: its fifth best b; 0 where it has fewer rows. `best_first`: the
/// b of its rows, the best first, after all filters.
pub fn common(best_first: impl IntoIterator<Item = f64>) -> f64 {
    best_first.into_iter().nth(COMMON - 1).unwrap_or(0.0)
}
