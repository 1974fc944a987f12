//! Planning with `rank`: what MATCH on it is, and the order by it.

use super::*;

#[test]
fn a_ranking_is_an_input_of_a_search() {
    for operator in [Op::Match, is(Operator::Eq)] {
        let terms = [
            matched(),
            k(),
            term(RANK, operator),
            term(LANG, is(Operator::Eq)),
        ];
        let chosen = ordered(&terms, &[(RANK, false)]);
        assert_eq!(chosen.text, "match k rank col2= order=rank", "{operator:?}");
        assert!(chosen.order_consumed);
    }
    let later = [matched(), unusable(RANK, Op::Match)];
    assert_eq!(plan(&layout(), &later, &[]), Plan::Impossible);
    assert_eq!(chosen(&[term(RANK, Op::Match)]).text, "rank-alone");
    // Several are refused, as several k are.
    assert_eq!(chosen(&[matched(), any_of(RANK)]).text, "bad-rank");
    // Compared otherwise, it is a column like others.
    assert_eq!(
        chosen(&[matched(), term(RANK, is(Operator::Lt))]).text,
        "match"
    );
    assert_eq!(
        chosen(&[matched(), k(), term(RANK, is(Operator::Lt))]).text,
        "k-uncut"
    );
}

#[test]
fn only_the_lowest_ranks_come_first() {
    assert!(!ordered(&[matched()], &[(RANK, true)]).order_consumed);
    assert!(!ordered(&[], &[(RANK, false)]).order_consumed);
    let tied = ordered(&[matched()], &[(RANK, false), (ROWID, false)]);
    assert!(tied.order_consumed);
}
