//! The maths of the stages beside naive restatements of it.

use super::fusion::{self, Fusion, Named};
use super::ranks::Ranks;
use super::scale::Scale;
use super::{decay, mmr};
use crate::error::{Error, Result};
use proptest::prelude::*;

#[test]
fn a_name_stands_out_and_words_saturate() {
    let fusion = Fusion::default();
    let none = Named::default();
    assert_eq!(fusion.score(0.5, 0.0, 0.0, none), 0.5);
    assert_eq!(fusion.score(0.5, 20.0, 0.0, none), 0.5 + 0.1 * 20.0 / 40.0);
    let named = Named {
        share: 0.25,
        common: 4.0,
    };
    let expected = 0.5 + 0.1 * 20.0 / 40.0 + 1.5 * 0.5 * (10.0 - 4.0) / 20.0;
    assert!((fusion.score(0.5, 20.0, 10.0, named) - expected).abs() < 1e-15);
    // A name that ordinary rows have lifts nothing.
    assert_eq!(fusion.score(0.5, 0.0, 4.0, named), 0.5);
    assert_eq!(fusion::common([9.0, 8.0, 7.0, 6.0]), 0.0);
    assert_eq!(fusion::common([9.0, 8.0, 7.0, 6.0, 5.0, 4.0]), 5.0);
}

/// MMR as its formula says it: each likeness looked for anew.
fn naive_mmr(relevances: &[f64], lambda: f64, cosines: &[Vec<f64>]) -> Vec<usize> {
    let mut chosen: Vec<usize> = Vec::new();
    while chosen.len() < relevances.len() {
        let gain = |i: usize| {
            let likeness = chosen.iter().map(|j| cosines[i][*j]);
            let likeness = likeness.reduce(f64::max).unwrap_or(0.0);
            lambda * relevances[i] - (1.0 - lambda) * likeness
        };
        let left = (0..relevances.len()).filter(|i| !chosen.contains(i));
        // The last of equals is the maximum, so from behind.
        let best = left.rev().max_by(|a, b| gain(*a).total_cmp(&gain(*b)));
        chosen.push(best.unwrap());
    }
    chosen
}

fn spread(relevances: &[f64], lambda: f64, cosines: &[Vec<f64>]) -> Vec<usize> {
    mmr::spread(
        relevances,
        lambda,
        |i, j| Ok(Some(cosines[i][j])),
        || Ok(()),
    )
    .unwrap()
}

#[test]
fn mmr_passes_over_a_double() {
    // Two that are the same, and one that is less relevant and unlike them.
    let cosines = [[1.0, 1.0, 0.1], [1.0, 1.0, 0.1], [0.1, 0.1, 1.0]].map(|row| row.to_vec());
    let relevances = [0.9, 0.89, 0.6];
    assert_eq!(spread(&relevances, 0.7, &cosines), [0, 2, 1]);
    assert_eq!(spread(&relevances, 1.0, &cosines), [0, 1, 2]);
    assert_eq!(spread(&[], 0.7, &[]), [0; 0]);
}

#[test]
fn a_vector_that_is_missing_is_like_all_and_repels_none() {
    let has_vector = [true, false, true, false];
    let cosine = |i: usize, j: usize| {
        Ok(match (has_vector[i], has_vector[j]) {
            (false, _) => Some(1.0),
            (true, false) => None,
            (true, true) => Some(0.5),
        })
    };
    let order = |relevances: &[f64]| mmr::spread(relevances, 0.5, cosine, || Ok(())).unwrap();
    assert_eq!(order(&[0.9, 0.8, 0.7, 0.8]), [0, 2, 1, 3]);
    assert_eq!(order(&[0.8, 0.9, 0.7, 0.8]), [1, 0, 2, 3]);
    assert_eq!(order(&[0.2, 0.1, 0.1, 3.0]), [3, 0, 2, 1]);
}

#[test]
fn mmr_stops_when_it_is_told_to_and_each_pair_has_one_cosine() {
    let (mut checks, mut cosines) = (0, 0);
    let outcome: Result<Vec<usize>> = mmr::spread(
        &[0.5; 100],
        0.5,
        |_, _| Ok(Some(0.0)),
        || {
            checks += 1;
            if checks == 10 {
                Err(Error::interrupted())
            } else {
                Ok(())
            }
        },
    );
    assert_eq!((outcome, checks), (Err(Error::interrupted()), 10));
    let count = |_, _| {
        cosines += 1;
        Ok(Some(0.0))
    };
    mmr::spread(&[0.5; 100], 0.5, count, || Ok(())).unwrap();
    assert_eq!(cosines, 100 * 99 / 2);
    let broken = mmr::spread(&[0.5; 2], 0.5, |_, _| Err(Error::internal("x")), || Ok(()));
    assert_eq!(broken, Err(Error::internal("x")));
}

proptest! {
    #[test]
    fn mmr_is_its_formula(
        relevances in prop::collection::vec((0..8).prop_map(|n| f64::from(n) / 8.0), 0..12),
        lambda in prop_oneof![Just(0.0), Just(0.5), Just(1.0), 0.0..=1.0],
        seeds in prop::collection::vec(-4_i32..=4, 12 * 12),
    ) {
        let n = relevances.len();
        let cosine = |i: usize, j: usize| f64::from(seeds[i.min(j) * 12 + i.max(j)]) / 4.0;
        let cosines: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| cosine(i, j)).collect()).collect();
        let expected = naive_mmr(&relevances, lambda, &cosines);
        prop_assert_eq!(spread(&relevances, lambda, &cosines), expected);
    }

    #[test]
    fn age_only_takes_away(
        relevance in -1.0_f64..1.0, time in -1e9_f64..1e9, later in 0.0_f64..1e9, half_life in 1.0_f64..1e9
    ) {
        let at = |now: f64| decay::decayed(relevance, Some(time), now, half_life);
        prop_assert_eq!(at(time - later), relevance);
        prop_assert!(at(time + later) <= relevance);
        prop_assert!(at(time + 2.0 * later) <= at(time + later));
        prop_assert!((relevance - at(time + 2.0 * half_life) - 0.75 * relevance.abs()).abs() < 1e-6);
        prop_assert_eq!(decay::decayed(relevance, None, later, half_life), relevance);
    }

    #[test]
    fn ranks_never_fall_and_are_no_larger_than_they_must(
        own in prop::collection::vec((0_i64..4, prop_oneof![-4.0_f64..4.0, Just(0.0), Just(1.0)]), 0..20)
    ) {
        let mut ranks = Ranks::default();
        let given: Vec<f64> = own.iter().map(|(row, own)| ranks.next(*row, *own)).collect();
        for i in 1..own.len() {
            let is_tie = own[i].1 == own[i - 1].1 && own[i].0 > own[i - 1].0;
            let expected = match is_tie {
                true => given[i - 1],
                false => own[i].1.max(given[i - 1].next_up()),
            };
            prop_assert_eq!(given[i], expected);
        }
        prop_assert!(given.first().copied() == own.first().map(|first| first.1));
    }

    #[test]
    fn a_comparable_relevance_keeps_the_order(a in 0.0_f64..30.0, b in 0.0_f64..30.0) {
        for scale in [Scale::Cosine, Scale::Words, Scale::Logit] {
            let (x, y) = (scale.comparable(a), scale.comparable(b));
            prop_assert!(a.total_cmp(&b) != std::cmp::Ordering::Less || x < y || b - a < 1e-2);
            prop_assert_eq!(scale.rank(a) < scale.rank(b), a > b && scale.rank(a) != scale.rank(b));
        }
    }
}

#[test]
fn logits_far_out_are_probabilities() {
    for (logit, probability) in [(0.0, 0.5), (800.0, 1.0), (-800.0, 0.0)] {
        assert_eq!(Scale::Logit.comparable(logit), probability);
    }
    assert_eq!(Scale::Words.comparable(10.0), 0.5);
    assert_eq!(Scale::Cosine.rank(0.75), 0.25);
    assert_eq!(Scale::Words.rank(3.5), -3.5);
}
