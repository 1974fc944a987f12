//! A test for each rule of planning. The table has two columns with text (0, 1), two without (2,
//! 3), then the query (4), k (5), distance (6), score (7), passage (8), embedding (9), rank (10) and what
//! says why (11 to 16).

mod rank;

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
const RANK: i32 = 10;

fn layout() -> Layout {
    Layout {
        indexed: vec![true, true, false, false],
        hidden: Hidden::beside([].into_iter()),
    }
}

fn term(column: i32, operator: Op) -> Term {
    Term {
        column,
        operator,
        usable: true,
        can_take_all: false,
        collation: "BINARY".into(),
        is_literal: true,
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
        ..term(column, is(Operator::Eq))
    }
}

fn collated(column: i32, operator: Op, collation: &str) -> Term {
    Term {
        collation: collation.into(),
        ..term(column, operator)
    }
}

fn is(operator: Operator) -> Op {
    Op::Compare(operator)
}

fn k() -> Term {
    term(K, is(Operator::Eq))
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
    assert_eq!(text(&[term(QUERY, is(Operator::Eq))]), "match");
    assert_eq!(text(&[term(K, is(Operator::Eq)), matched()]), "match k");
    assert_eq!(
        arguments(&[term(K, is(Operator::Eq)), matched()]),
        [(1, true, false), (0, true, false)]
    );
    let (with_k, without) = (
        chosen(&[matched(), term(K, is(Operator::Eq))]),
        chosen(&[matched()]),
    );
    assert_eq!((with_k.rows, without.rows), (10, 1000));
    assert!(!with_k.unique && !with_k.order_consumed);
}

#[test]
fn filters_are_taken_and_checked_again() {
    let terms = [
        term(ROWID, is(Operator::Gt)),
        term(LANG, is(Operator::Eq)),
        matched(),
        any_of(YEAR),
        any_of(ROWID),
        term(DISTANCE, is(Operator::Le)),
        term(SCORE, is(Operator::Ge)),
        term(K, is(Operator::Eq)),
        term(LANG, is(Operator::Ne)),
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
fn collations_are_named() {
    let with = |collation| text(&[matched(), collated(LANG, is(Operator::Eq), collation)]);
    assert_eq!(with("binary"), "match col2=");
    assert_eq!(with("NOCASE"), "match col2:NOCASE=");
    assert_eq!(with("my own: 1"), "match col2:my%20own%3a%201=");
    let many = Term {
        collation: "NOCASE".into(),
        ..any_of(LANG)
    };
    assert_eq!(text(&[matched(), many]), "match col2:NOCASE-in");
}

#[test]
fn all_that_sqlite_offers_of_a_column_is_applied() {
    for (operator, word) in [
        (Operator::Is, "-is"),
        (Operator::IsNot, "-is-not"),
        (Operator::Like, "-like"),
        (Operator::Glob, "-glob"),
        (Operator::Regexp, "-regexp"),
    ] {
        let terms = [matched(), k(), term(LANG, Op::Compare(operator))];
        assert_eq!(text(&terms), format!("match k col2{word}"));
        let terms = [matched(), k(), term(ROWID, Op::Compare(operator))];
        assert_eq!(text(&terms), format!("match k rowid{word}"));
    }
}

#[test]
fn beside_k_a_constant_filter_is_applied_or_refused() {
    for left in [
        term(TITLE, is(Operator::Eq)),
        term(TITLE, Op::IsNull),
        term(LANG, Op::Other(150)),
        term(DISTANCE, is(Operator::Ne)),
        term(SCORE, is(Operator::Is)),
        term(QUERY, Op::NotNull),
        term(8, is(Operator::Like)),
        any_of(TITLE),
    ] {
        let without = chosen(&[matched(), left.clone()]);
        assert_eq!(without.text, "match", "{left:?}");
        assert!(without.cost < 1e7);
        let with_k = chosen(&[matched(), k(), left.clone()]);
        assert_eq!(
            (with_k.text.as_str(), with_k.cost),
            ("k-uncut", 1e99),
            "{left:?}"
        );
    }
}

#[test]
fn beside_k_only_the_value_tells_a_parameter_from_another_table() {
    let of_join = |column, operator| Term {
        is_literal: false,
        ..term(column, Op::Compare(operator))
    };
    let terms = [
        matched(),
        k(),
        of_join(ROWID, Operator::Eq),
        of_join(TITLE, Operator::Eq),
        any_of(LANG),
    ];
    assert_eq!(text(&terms), "match k rowid=? uncut col2-in");
    assert_eq!(
        arguments(&terms)[2..],
        [(2, false, false), (3, false, false), (4, false, true)]
    );
    // What a join checks later comes after k, as written.
    let equal = is(Operator::Eq);
    for later in [unusable(ROWID, equal), unusable(TITLE, equal)] {
        assert_eq!(text(&[matched(), k(), later]), "match k");
    }
}

#[test]
fn nulls_need_no_value() {
    let terms = [
        term(LANG, Op::IsNull),
        matched(),
        term(YEAR, Op::NotNull),
        term(YEAR, is(Operator::Lt)),
    ];
    assert_eq!(text(&terms), "match col3< col2-null col3-not-null");
    assert_eq!(chosen(&terms).recipe.nulls, [(2, true), (3, false)]);
    assert_eq!(chosen(&terms).arguments.len(), 2);
}

/// SQLite up to 3.40 repeats the arguments of a call.
#[test]
fn the_same_may_be_asked_twice() {
    let terms = [
        matched(),
        k(),
        matched(),
        term(ROWID, is(Operator::Eq)),
        k(),
    ];
    assert_eq!(text(&terms), "match match k k rowid=");
}

#[test]
fn what_cannot_be_answered_is_refused_when_it_runs() {
    for (terms, word) in [
        (
            vec![
                matched(),
                term(QUERY, is(Operator::Eq)),
                term(K, is(Operator::Lt)),
            ],
            "bad-k",
        ),
        (vec![matched(), any_of(K)], "bad-k"),
        (vec![matched(), term(K, is(Operator::Lt))], "bad-k"),
        (vec![matched(), k(), term(K, is(Operator::Ge))], "bad-k"),
        (vec![k()], "k-alone"),
        (vec![k(), term(ROWID, is(Operator::Eq))], "k-alone"),
        (vec![term(TITLE, Op::Match)], "match-column"),
        (vec![matched(), term(LANG, Op::Match)], "match-column"),
        (
            vec![matched(), k(), term(DISTANCE, is(Operator::Eq))],
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
        unusable(QUERY, is(Operator::Eq)),
        unusable(K, is(Operator::Eq)),
        unusable(K, is(Operator::Lt)),
    ] {
        for others in [vec![], vec![matched()], vec![term(ROWID, is(Operator::Eq))]] {
            let terms = [&others[..], std::slice::from_ref(&late)].concat();
            assert_eq!(plan(&layout(), &terms, &[]), Plan::Impossible, "{terms:?}");
        }
    }
}

#[test]
fn limits_are_about_no_column() {
    for column in [0, LANG, QUERY, K, 77] {
        assert_eq!(text(&[matched(), term(column, Op::Limit)]), "match");
        assert_eq!(text(&[term(column, Op::Limit)]), "scan");
    }
    assert_eq!(text(&[term(ROWID, Op::Limit)]), "scan");
}

#[test]
fn without_a_query_rows_come_by_rowid() {
    let lookup = chosen(&[
        term(LANG, is(Operator::Eq)),
        term(ROWID, is(Operator::Eq)),
        term(ROWID, is(Operator::Lt)),
    ]);
    assert_eq!(lookup.text, "lookup rowid=");
    assert_eq!((lookup.cost, lookup.rows, lookup.unique), (10.0, 1, true));
    assert_eq!(lookup.arguments[0].term, 1);
    // SQLite goes through the values of an IN.
    assert_eq!(text(&[any_of(ROWID)]), "lookup rowid=");
    assert_eq!(arguments(&[any_of(ROWID)]), [(0, false, false)]);
    assert_eq!(text(&[unusable(ROWID, is(Operator::Eq))]), "scan");

    let range = chosen(&[
        term(ROWID, is(Operator::Ge)),
        term(LANG, is(Operator::Eq)),
        term(ROWID, is(Operator::Lt)),
    ]);
    assert_eq!(range.text, "scan rowid>= rowid<");
    assert!(range.cost < 1e9 && !range.unique);
    let all = chosen(&[term(LANG, is(Operator::Eq)), term(ROWID, is(Operator::Ne))]);
    assert_eq!((all.text.as_str(), all.cost), ("scan", 1e9));
}

#[test]
fn orders_are_claimed_exactly() {
    let search = |order: &[(i32, bool)]| ordered(&[matched(), term(K, is(Operator::Eq))], order);
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

    let scan = |order: &[(i32, bool)]| ordered(&[term(ROWID, is(Operator::Gt))], order);
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
    assert!(bare > cost(&[term(LANG, is(Operator::Eq))]));
    assert!(
        cost(&[term(LANG, is(Operator::Eq))])
            > cost(&[term(LANG, is(Operator::Eq)), any_of(ROWID)])
    );
    assert_eq!(cost(&[term(ROWID, is(Operator::Eq))]), bare);
    let many = vec![term(LANG, is(Operator::Eq)); 100];
    assert!(cost(&many) >= 1e6);
}

#[test]
fn operators_have_sqlites_numbers() {
    for (code, op) in [
        (2, is(Operator::Eq)),
        (4, is(Operator::Gt)),
        (8, is(Operator::Le)),
        (16, is(Operator::Lt)),
        (32, is(Operator::Ge)),
        (64, Op::Match),
        (65, is(Operator::Like)),
        (66, is(Operator::Glob)),
        (67, is(Operator::Regexp)),
        (68, is(Operator::Ne)),
        (69, is(Operator::IsNot)),
        (70, Op::NotNull),
        (71, Op::IsNull),
        (72, is(Operator::Is)),
        (73, Op::Limit),
        (74, Op::Limit),
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
        "match col1:%zz=",
        "match order=lang",
        "match col1-not",
        "twice?",
        "match  k",
    ] {
        assert!(text.parse::<Recipe>().is_err(), "{text:?}");
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
    let collation = prop_oneof![
        Just("BINARY"),
        Just("nocase"),
        Just("RTRIM"),
        Just("my own-1")
    ];
    (
        -2i32..18,
        code,
        prop::bool::weighted(0.9),
        any::<bool>(),
        collation,
        any::<bool>(),
    )
        .prop_map(
            |(column, code, usable, can_take_all, collation, is_literal)| Term {
                column,
                operator: Op::from_code(code),
                usable,
                can_take_all: can_take_all && code == 2,
                collation: collation.into(),
                is_literal,
            },
        )
}

proptest! {
    #[test]
    fn any_plan_is_read_back(
        terms in prop::collection::vec(any_term(), 0..6),
        searches in any::<bool>(),
        order in prop::collection::vec((-2i32..18, any::<bool>()), 0..3),
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
            prop_assert_eq!(&chosen.text.parse::<Recipe>().unwrap(), &chosen.recipe);
            prop_assert_eq!(chosen.arguments.len(), chosen.recipe.inputs.len());
            prop_assert_eq!(chosen.order_consumed, chosen.recipe.order.is_some());
            let mut taken: Vec<usize> = chosen.arguments.iter().map(|a| a.term).collect();
            taken.sort_unstable();
            taken.dedup();
            prop_assert_eq!(taken.len(), chosen.arguments.len());
            for (argument, input) in chosen.arguments.iter().zip(&chosen.recipe.inputs) {
                let term = &terms[argument.term];
                prop_assert!(term.usable);
                prop_assert!(!argument.all || term.can_take_all);
                prop_assert_eq!(argument.omit, matches!(input, Input::Query | Input::K | Input::Ranking));
            }
            if chosen.recipe.access == Access::Search {
                prop_assert!(chosen.cost >= 1e6);
            }
        }
    }
}
