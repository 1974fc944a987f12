//! A test for each rule of planning. The table has two columns with text (0, 1), two without (2,
//! 3), then the query (4), k (5), distance (6), score (7), passage (8) and embedding (9).

use super::*;
use proptest::prelude::*;

const ROWID: i32 = -1;
const TITLE: i32 = 0;
const LANG: i32 = 2;
const YEAR: i32 = 3;
const QUERY: i32 = 4;
const K: i32 = 5;
const DISTANCE: i32 = 6;
const SCORE: i32 = 7;

fn layout() -> Layout {
    Layout {
        indexed: vec![true, true, false, false],
    }
}

fn term(column: i32, operator: Op) -> Term {
    Term {
        column,
        operator,
        usable: true,
        can_take_all: false,
        collation: "BINARY".into(),
    }
}

fn unusable(column: i32, operator: Op) -> Term {
    Term {
        usable: false,
        ..term(column, operator)
    }
}

fn any_of(column: i32) -> Term {
    Term {
        can_take_all: true,
        ..term(column, Op::Eq)
    }
}

fn collated(column: i32, operator: Op, collation: &str) -> Term {
    Term {
        collation: collation.into(),
        ..term(column, operator)
    }
}

fn matched() -> Term {
    term(QUERY, Op::Match)
}

fn ordered(terms: &[Term], order: &[(i32, bool)]) -> Chosen {
    let order: Vec<OrderTerm> = order
        .iter()
        .map(|&(column, descending)| OrderTerm { column, descending })
        .collect();
    match plan(&layout(), terms, &order) {
        Plan::Possible(chosen) => chosen,
        Plan::Impossible => panic!("{terms:?} is impossible"),
    }
}

fn chosen(terms: &[Term]) -> Chosen {
    ordered(terms, &[])
}

fn text(terms: &[Term]) -> String {
    chosen(terms).text
}

/// Which terms are taken, and how: `(term, omit, all)`.
fn arguments(terms: &[Term]) -> Vec<(usize, bool, bool)> {
    let arguments = chosen(terms).arguments;
    arguments.iter().map(|a| (a.term, a.omit, a.all)).collect()
}

#[test]
fn a_query_makes_a_search() {
    assert_eq!(text(&[matched()]), "match");
    assert_eq!(text(&[term(QUERY, Op::Eq)]), "match");
    assert_eq!(text(&[term(K, Op::Eq), matched()]), "match k");
    assert_eq!(
        arguments(&[term(K, Op::Eq), matched()]),
        [(1, true, false), (0, true, false)]
    );
    let (with_k, without) = (chosen(&[matched(), term(K, Op::Eq)]), chosen(&[matched()]));
    assert_eq!((with_k.rows, without.rows), (10, 1000));
    assert!(!with_k.unique && !with_k.order_consumed);
}

#[test]
fn filters_are_taken_and_checked_again() {
    let terms = [
        term(ROWID, Op::Gt),
        term(LANG, Op::Eq),
        matched(),
        any_of(YEAR),
        any_of(ROWID),
        term(DISTANCE, Op::Le),
        term(SCORE, Op::Ge),
        term(K, Op::Eq),
        term(LANG, Op::Ne),
    ];
    assert_eq!(
        text(&terms),
        "match k rowid> col2= col3-in rowid-in distance<= score>= col2<>"
    );
    let filters = [
        (0, false, false),
        (1, false, false),
        (3, false, true),
        (4, false, true),
        (5, false, false),
        (6, false, false),
        (8, false, false),
    ];
    let expected = [&[(2, true, false), (7, true, false)][..], &filters].concat();
    assert_eq!(arguments(&terms), expected);
}

#[test]
fn collations_are_known_or_the_term_is_left() {
    let with = |collation| text(&[matched(), collated(LANG, Op::Eq, collation)]);
    assert_eq!(with("binary"), "match col2=");
    assert_eq!(with("NOCASE"), "match col2:nocase=");
    assert_eq!(with("RTRIM"), "match col2:rtrim=");
    assert_eq!(with("unicode"), "match no-cut");
    let many = Term {
        collation: "NOCASE".into(),
        ..any_of(LANG)
    };
    assert_eq!(text(&[matched(), many]), "match col2:nocase-in");
}

#[test]
fn what_only_sqlite_checks_forbids_to_cut() {
    for left in [
        term(TITLE, Op::Eq),
        term(TITLE, Op::IsNull),
        term(LANG, Op::Other(65)),
        term(LANG, Op::Other(72)),
        term(DISTANCE, Op::Ne),
        term(SCORE, Op::Ne),
        term(QUERY, Op::NotNull),
        term(8, Op::Eq),
        term(ROWID, Op::IsNull),
        collated(LANG, Op::Lt, "mine"),
    ] {
        let without = chosen(&[matched(), left.clone()]);
        assert_eq!(without.text, "match no-cut", "{left:?}");
        assert!(without.cost < 1e7);
        let with_k = chosen(&[matched(), term(K, Op::Eq), left.clone()]);
        assert_eq!(with_k.text, "match k no-cut", "{left:?}");
        assert_eq!(with_k.cost, 1e99);
    }
    // What a join checks later comes after k, as written.
    for later in [unusable(ROWID, Op::Eq), unusable(TITLE, Op::Eq)] {
        assert_eq!(text(&[matched(), term(K, Op::Eq), later]), "match k");
    }
}

#[test]
fn nulls_need_no_value() {
    let terms = [
        term(LANG, Op::IsNull),
        matched(),
        term(YEAR, Op::NotNull),
        term(YEAR, Op::Lt),
    ];
    assert_eq!(text(&terms), "match col3< col2-null col3-not-null");
    assert_eq!(chosen(&terms).steps.nulls, [(2, true), (3, false)]);
    assert_eq!(chosen(&terms).arguments.len(), 2);
}

/// SQLite up to 3.40 repeats the arguments of a call.
#[test]
fn the_same_may_be_asked_twice() {
    let k = || term(K, Op::Eq);
    let terms = [matched(), k(), matched(), term(ROWID, Op::Eq), k()];
    assert_eq!(text(&terms), "match match k k rowid=");
}

#[test]
fn what_cannot_be_answered_is_refused_when_it_runs() {
    let k = || term(K, Op::Eq);
    for (terms, word) in [
        (
            vec![matched(), term(QUERY, Op::Eq), term(K, Op::Lt)],
            "bad-k",
        ),
        (vec![matched(), any_of(K)], "bad-k"),
        (vec![matched(), term(K, Op::Lt)], "bad-k"),
        (vec![term(K, Op::IsNull)], "bad-k"),
        (vec![matched(), k(), term(K, Op::Ge)], "bad-k"),
        (vec![k()], "k-alone"),
        (vec![k(), term(ROWID, Op::Eq)], "k-alone"),
        (vec![term(TITLE, Op::Match)], "match-column"),
        (vec![matched(), term(LANG, Op::Match)], "match-column"),
        (
            vec![matched(), k(), term(DISTANCE, Op::Eq)],
            "third-argument",
        ),
    ] {
        let chosen = chosen(&terms);
        assert_eq!(chosen.text, word);
        assert_eq!((chosen.cost, chosen.rows), (1e99, i64::MAX));
        assert_eq!(chosen.arguments, []);
    }
    assert_eq!(text(&[unusable(TITLE, Op::Match)]), "scan");
}

#[test]
fn a_query_or_k_from_a_later_table_is_impossible() {
    for late in [
        unusable(QUERY, Op::Match),
        unusable(QUERY, Op::Eq),
        unusable(K, Op::Eq),
        unusable(K, Op::Lt),
    ] {
        for others in [vec![], vec![matched()], vec![term(ROWID, Op::Eq)]] {
            let terms = [&others[..], std::slice::from_ref(&late)].concat();
            assert_eq!(plan(&layout(), &terms, &[]), Plan::Impossible, "{terms:?}");
        }
    }
}

#[test]
fn limits_are_hints_of_no_column() {
    for column in [0, LANG, QUERY, K, 77] {
        let terms = [matched(), term(column, Op::Offset), term(column, Op::Limit)];
        assert_eq!(text(&terms), "match limit offset");
        assert_eq!(
            arguments(&terms)[1..],
            [(2, false, false), (1, false, false)]
        );
        assert_eq!(text(&[term(column, Op::Limit)]), "scan");
    }
    assert_eq!(text(&[matched(), unusable(0, Op::Limit)]), "match");
    assert_eq!(text(&[term(ROWID, Op::Limit)]), "scan");
}

#[test]
fn without_a_query_rows_come_by_rowid() {
    let lookup = chosen(&[term(LANG, Op::Eq), term(ROWID, Op::Eq), term(ROWID, Op::Lt)]);
    assert_eq!(lookup.text, "lookup rowid=");
    assert_eq!((lookup.cost, lookup.rows, lookup.unique), (10.0, 1, true));
    assert_eq!(lookup.arguments[0].term, 1);
    // SQLite goes through the values of an IN.
    assert_eq!(text(&[any_of(ROWID)]), "lookup rowid=");
    assert_eq!(arguments(&[any_of(ROWID)]), [(0, false, false)]);
    assert_eq!(text(&[unusable(ROWID, Op::Eq)]), "scan");

    let range = chosen(&[term(ROWID, Op::Ge), term(LANG, Op::Eq), term(ROWID, Op::Lt)]);
    assert_eq!(range.text, "scan rowid>= rowid<");
    assert!(range.cost < 1e9 && !range.unique);
    let all = chosen(&[term(LANG, Op::Eq), term(ROWID, Op::Ne)]);
    assert_eq!((all.text.as_str(), all.cost), ("scan", 1e9));
}

#[test]
fn orders_are_claimed_exactly() {
    let search = |order: &[(i32, bool)]| ordered(&[matched(), term(K, Op::Eq)], order);
    for (order, word) in [
        (&[(DISTANCE, false)][..], " order=distance"),
        (&[(DISTANCE, false), (ROWID, false)], " order=distance"),
        (&[(SCORE, true)], " order=score"),
        (&[(SCORE, true), (ROWID, false)], " order=score"),
        (&[], ""),
        (&[(DISTANCE, true)], ""),
        (&[(SCORE, false)], ""),
        (&[(DISTANCE, false), (ROWID, true)], ""),
        (&[(DISTANCE, false), (LANG, false)], ""),
        (&[(DISTANCE, false), (ROWID, false), (LANG, false)], ""),
        (&[(ROWID, false)], ""),
        (&[(LANG, false), (DISTANCE, false)], ""),
    ] {
        let chosen = search(order);
        assert_eq!(chosen.text, format!("match k{word}"), "{order:?}");
        assert_eq!(chosen.order_consumed, !word.is_empty());
    }
    // One search for each value has no order.
    assert!(!ordered(&[any_of(QUERY)], &[(DISTANCE, false)]).order_consumed);

    let scan = |order: &[(i32, bool)]| ordered(&[term(ROWID, Op::Gt)], order);
    assert_eq!(scan(&[(ROWID, false)]).text, "scan rowid> order=rowid");
    assert!(scan(&[(ROWID, false)]).order_consumed);
    for order in [
        &[(ROWID, true)][..],
        &[(ROWID, false), (LANG, false)],
        &[(DISTANCE, false)],
    ] {
        assert!(!scan(order).order_consumed, "{order:?}");
    }
}

#[test]
fn a_search_is_never_cheap() {
    let cost = |terms: &[Term]| chosen(&[&[matched()], terms].concat()).cost;
    let bare = cost(&[]);
    assert!(bare > cost(&[term(LANG, Op::Eq)]));
    assert!(cost(&[term(LANG, Op::Eq)]) > cost(&[term(LANG, Op::Eq), any_of(ROWID)]));
    assert_eq!(cost(&[term(ROWID, Op::Eq)]), bare);
    let many = vec![term(LANG, Op::Eq); 100];
    assert!(cost(&many) >= 1e6);
}

#[test]
fn operators_have_sqlites_numbers() {
    for (code, op) in [
        (2, Op::Eq),
        (4, Op::Gt),
        (8, Op::Le),
        (16, Op::Lt),
        (32, Op::Ge),
        (64, Op::Match),
        (65, Op::Other(65)),
        (68, Op::Ne),
        (69, Op::Other(69)),
        (70, Op::NotNull),
        (71, Op::IsNull),
        (72, Op::Other(72)),
        (73, Op::Limit),
        (74, Op::Offset),
        (150, Op::Other(150)),
    ] {
        assert_eq!(Op::from_code(code), op);
    }
}

#[test]
fn other_texts_are_no_plans() {
    for text in [
        "",
        "match ",
        "scan x",
        "lookup rowid",
        "match col=",
        "match colx=",
        "match rowid==",
        "match rowid:unicode=",
        "match order=lang",
        "match col1-not",
        "twice?",
        "match  k",
    ] {
        assert!(text.parse::<Steps>().is_err(), "{text:?}");
    }
}

fn any_term() -> impl Strategy<Value = Term> {
    let code = prop_oneof![
        Just(2u8),
        Just(4),
        Just(8),
        Just(16),
        Just(32),
        Just(64),
        65u8..76,
        Just(150)
    ];
    let collation = prop_oneof![Just("BINARY"), Just("nocase"), Just("RTRIM"), Just("mine")];
    (
        -2i32..12,
        code,
        prop::bool::weighted(0.9),
        any::<bool>(),
        collation,
    )
        .prop_map(|(column, code, usable, can_take_all, collation)| Term {
            column,
            operator: Op::from_code(code),
            usable,
            can_take_all: can_take_all && code == 2,
            collation: collation.into(),
        })
}

proptest! {
    #[test]
    fn any_plan_is_read_back(
        terms in prop::collection::vec(any_term(), 0..6),
        searches in any::<bool>(),
        order in prop::collection::vec((-2i32..12, any::<bool>()), 0..3),
    ) {
        let mut terms = terms;
        if searches {
            // Mostly searches: else nearly all are impossible, refused or scans.
            terms.retain(|t| t.column != QUERY && t.column != K && t.operator != Op::Match);
            terms.push(matched());
        }
        let order: Vec<OrderTerm> = order
            .into_iter()
            .map(|(column, descending)| OrderTerm { column, descending })
            .collect();
        if let Plan::Possible(chosen) = plan(&layout(), &terms, &order) {
            prop_assert_eq!(&chosen.text.parse::<Steps>().unwrap(), &chosen.steps);
            prop_assert_eq!(chosen.arguments.len(), chosen.steps.inputs.len());
            prop_assert_eq!(chosen.order_consumed, chosen.steps.order.is_some());
            let mut taken: Vec<usize> = chosen.arguments.iter().map(|a| a.term).collect();
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(taken.len(), chosen.arguments.len());
            for (argument, input) in chosen.arguments.iter().zip(&chosen.steps.inputs) {
                let term = &terms[argument.term];
                prop_assert!(term.usable);
                prop_assert!(!argument.all || term.can_take_all);
                prop_assert_eq!(argument.omit, matches!(input, Input::Query | Input::K));
            }
            if chosen.steps.access == Access::Search {
                prop_assert!(chosen.cost >= 1e6);
            }
        }
    }
}
