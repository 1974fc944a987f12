//! What kind of number a relevance is.

/// Where a relevance comes from. Higher is better on each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// A cosine, or a score made of one ([`super::fusion`]) or of any relevance that [`Self::comparable`] gave.
    Cosine,
    /// bm25 with its sign turned: 0 or more.
    Words,
    /// A reranker's logit.
    Logit,
}

impl Scale {
    /// The relevance beside cosines, as large as they are: a logit as a probability, bm25 saturated. The order
    /// is the same (but for logits so far out that their probabilities are equal).
    pub fn comparable(self, relevance: f64) -> f64 {
        match self {
            Scale::Cosine => relevance,
            Scale::Words => relevance / (relevance + 10.0),
            Scale::Logit => 1.0 / (1.0 + (-relevance).exp()),
        }
    }

    /// The column `rank`, where a lower number is better: of a cosine the distance, of words FTS5's bm25.
    pub fn rank(self, relevance: f64) -> f64 {
        match self {
            Scale::Cosine => 1.0 - relevance,
            Scale::Words | Scale::Logit => -relevance,
        }
    }
}
