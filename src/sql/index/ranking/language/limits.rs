//! How many rows the stages look at: what holds where a ranking says nothing, and the most that one may say.

/// Candidates of each list that are fused.
pub const HYBRID: usize = 100;
/// Rows by words that are looked up first: more are as they are asked for.
pub const WORDS: usize = 64;
/// The best candidates that a reranker reads. A large one takes some 50 ms for each on a CPU.
pub const RERANK: usize = 20;
/// The best candidates that are spread: a page of ten among five times as many.
pub const MMR: usize = 50;
/// The nearest rows whose age counts: an old row gives its place up to any of so many newer ones.
pub const DECAY: usize = 500;

/// The most of a list.
pub const MOST: usize = 100_000;
/// The most that a reranker reads.
pub const MOST_RERANKED: usize = 1_000;
/// The most that are spread: each is compared with each.
pub const MOST_SPREAD: usize = 2_000;
