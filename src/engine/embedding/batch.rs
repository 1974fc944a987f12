//! Which texts run together: pure planning, no I/O.
//!
//! Texts are sorted by length and cut into batches by a budget of *padded* tokens, as in
//! text-embeddings-inference's queue: padding costs as much as text, so texts of like length go
//! together, and a budget in tokens bounds a run's memory and time whatever the lengths are.

use std::ops::Range;

/// About what a CPU runs best: larger batches fall out of its caches (measured; see
/// docs/BENCHMARKS.md).
pub const CPU_BATCH_TOKENS: usize = 512;

/// A plan over some texts.
#[derive(Debug, PartialEq, Eq)]
pub struct Plan {
    /// Indices of the texts, longest first.
    pub order: Vec<usize>,
    /// Batches as ranges of `order`.
    pub batches: Vec<Range<usize>>,
}

/// Plans batches of at most `budget` padded tokens (but at least one text each).
pub fn plan(lengths: &[usize], budget: usize) -> Plan {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    // Longest first: the largest buffers are allocated once, and texts of equal length keep the
    // caller's order, so a call's plan depends on nothing but its texts.
    order.sort_by_key(|&i| std::cmp::Reverse(lengths[i]));
    let mut batches = Vec::new();
    let mut start = 0;
    while start < order.len() {
        let width = lengths[order[start]].max(1);
        let rows = (budget / width).max(1);
        let end = (start + rows).min(order.len());
        batches.push(start..end);
        start = end;
    }
    Plan { order, batches }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_is_in_one_batch_within_the_budget(
            lengths in proptest::collection::vec(1usize..600, 0..200), budget in 1usize..5000
        ) {
            let plan = plan(&lengths, budget);
            let mut seen = plan.order.clone();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            let mut next = 0;
            for batch in &plan.batches {
                prop_assert_eq!(batch.start, next);
                next = batch.end;
                let rows = batch.len();
                let width = plan.order[batch.clone()].iter().map(|&i| lengths[i]).max().unwrap();
                prop_assert!(rows == 1 || rows * width <= budget);
            }
            prop_assert_eq!(next, lengths.len());
        }
    }
}
