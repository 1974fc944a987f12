//! Maximal marginal relevance: candidates that are relevant and unlike those before them.
//!
//! J. Carbonell and J. Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and
//! Producing Summaries", SIGIR 1998: next comes the candidate with the greatest
//! `lambda * relevance - (1 - lambda) * (greatest cosine with one that was chosen)`. Each candidate keeps that
//! greatest cosine, so n candidates take n (n - 1) / 2 cosines.

use crate::error::Result;

/// The candidates in their new order, as places in the old one. `relevances` are about as large as cosines;
/// `lambda` is the share of relevance, 0 to 1; of equals the former first is the first. Before anything is
/// chosen no cosine counts. `cosine(candidate, chosen)`: `None` where the chosen one has no vector and so repels none.
///
/// # Errors
/// Those of `cosine` and of `check`, which is asked before each choice.
pub fn spread(
    relevances: &[f64],
    lambda: f64,
    mut cosine: impl FnMut(usize, usize) -> Result<Option<f64>>,
    mut check: impl FnMut() -> Result<()>,
) -> Result<Vec<usize>> {
    let mut left: Vec<(usize, f64)> = (0..relevances.len())
        .map(|i| (i, f64::NEG_INFINITY))
        .collect();
    let mut chosen: Vec<usize> = Vec::with_capacity(relevances.len());
    while !left.is_empty() {
        check()?;
        if let Some(last) = chosen.last() {
            for (candidate, nearest) in &mut left {
                if let Some(cosine) = cosine(*candidate, *last)? {
                    *nearest = nearest.max(cosine);
                }
            }
        }
        let gain = |(candidate, nearest): &(usize, f64)| {
            let likeness = if nearest.is_finite() { *nearest } else { 0.0 };
            lambda * relevances[*candidate] - (1.0 - lambda) * likeness
        };
        let mut best = 0;
        for at in 1..left.len() {
            if gain(&left[at]) > gain(&left[best]) {
                best = at;
            }
        }
        chosen.push(left.remove(best).0);
    }
    Ok(chosen)
}
