//! Pipelines that are taken, what is said of the others, and the maths beside naive restatements of it.

use super::fusion::{self, Fusion};
use super::pipeline::{First, Pipeline, Stage};
use super::places::Ranks;
use super::scale::Scale;
use super::{decay, mmr, time};
use crate::error::{Error, Result};
use crate::sql::ffi::Value;
use proptest::prelude::*;

const MEANING: First = First::Meaning { depth: None };
const DAY: f64 = 86_400.0;

fn parsed(text: &str) -> Pipeline {
    Pipeline::parse(text).unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

fn error(text: &str) -> String {
    match Pipeline::parse(text) {
        Err(e) => e.message().to_owned(),
        Ok(pipeline) => panic!("{text:?} gave {pipeline:?}"),
    }
}

fn decays(column: &str, half_life: f64, now: Option<f64>) -> Stage {
    let column = column.into();
    Stage::Decay {
        column,
        half_life,
        now,
    }
}

#[test]
fn pipelines_are_read() {
    let words = |depth| First::Words { depth };
    let hybrid = |weight, depth| First::Hybrid { weight, depth };
    let rerank = |model: Option<&str>, depth| Stage::Rerank {
        model: model.map(str::to_owned),
        depth,
    };
    let mmr = |lambda, depth| Stage::Mmr { lambda, depth };
    for (text, first, stages) in [
        ("meaning", MEANING, vec![]),
        (" MEANING() ", MEANING, vec![]),
        ("meaning(7)", First::Meaning { depth: Some(7) }, vec![]),
        ("words", words(None), vec![]),
        ("words(depth = 100000)", words(Some(100_000)), vec![]),
        ("hybrid", hybrid(None, None), vec![]),
        ("hybrid(0.25, 1e2)", hybrid(Some(0.25), Some(100)), vec![]),
        (
            "hybrid ( DEPTH=5 , Weight = 0)",
            hybrid(Some(0.0), Some(5)),
            vec![],
        ),
        ("rerank", MEANING, vec![rerank(None, 20)]),
        ("rerank(depth = 5)", MEANING, vec![rerank(None, 5)]),
        (
            "words|rerank(bge-reranker-base, 7)",
            words(None),
            vec![rerank(Some("bge-reranker-base"), 7)],
        ),
        (
            "hybrid rerank('it''s (odd), \"x\"') , mmr /* spread */ (0.7)",
            hybrid(None, None),
            vec![rerank(Some("it's (odd), \"x\""), 20), mmr(0.7, 100)],
        ),
        (
            "mmr mmr(1, 2000)",
            MEANING,
            vec![mmr(0.7, 100), mmr(1.0, 2_000)],
        ),
        (
            "decay(created, 30)",
            MEANING,
            vec![decays("created", 30.0 * DAY, None)],
        ),
        (
            "decay(\"created at\", '12 hours', 0)",
            MEANING,
            vec![decays("created at", 12.0 * 3_600.0, Some(0.0))],
        ),
    ] {
        assert_eq!(parsed(text), Pipeline { first, stages }, "{text}");
    }
}

#[test]
fn half_lives_and_moments_are_read() {
    for (half_life, seconds) in [
        ("1", DAY),
        ("0.5", DAY / 2.0),
        ("'30'", 30.0 * DAY),
        ("1 second", 1.0),
        ("'90seconds'", 90.0),
        ("1.5 MINUTES", 90.0),
        ("' 12 hours '", 43_200.0),
        ("'1 day'", DAY),
        ("2 weeks", 14.0 * DAY),
        ("1 year", 31_557_600.0),
    ] {
        let text = format!("decay(t, {half_life})");
        assert_eq!(parsed(&text).stages, [decays("t", seconds, None)], "{text}");
    }
    for (now, seconds) in [
        ("-1.5", -1.5),
        ("1970-01-02", DAY),
        ("1970-01-01T00:00:01Z", 1.0),
        ("'1970-01-01 01:00+01:00'", 0.0),
        ("now = 1970-01-01 00:01", 60.0),
    ] {
        let text = format!("decay(t, 1, {now})");
        assert_eq!(
            parsed(&text).stages,
            [decays("t", DAY, Some(seconds))],
            "{text}"
        );
    }
}

/// Each names what came and where, and lists what is known.
#[test]
fn what_is_no_pipeline_is_told() {
    let known = "a ranking is one of meaning(depth), words(depth), hybrid(weight, depth) and then any of \
                 rerank(model, depth), mmr(lambda, depth), decay(column, half_life, now)";
    for (text, at, told) in [
        ("", 1, "no stage in it"),
        (" \n", 3, "no stage in it"),
        (",", 2, "the end where a stage was wanted"),
        ("hybrid,", 8, "the end where a stage was wanted"),
        ("hybrid,,mmr", 8, ", where a stage was wanted"),
        ("hybrid, rernk(5)", 9, "no stage 'rernk'"),
        ("größe", 1, "no stage 'größe'"),
        ("'hybrid'", 1, "' where a stage was wanted"),
        ("hybrid)", 7, ") where a stage was wanted"),
        ("(hybrid)", 1, "( where a stage was wanted"),
        ("hybrid; mmr", 7, "; where a stage was wanted"),
        ("hybrid\0", 7, "\\0 where a stage was wanted"),
        (
            "mmr, hybrid",
            6,
            "hybrid: it says where rows come from, so it stands first or nowhere",
        ),
        ("meaning words", 9, "words: it says where rows come from"),
        (
            "mmr(2)",
            1,
            "mmr: lambda is 2, expected a number from 0 to 1",
        ),
        ("mmr(-0.1)", 1, "mmr: lambda is -0.1"),
        ("mmr('0.5')", 1, "mmr: lambda is '0.5'"),
        ("mmr(nan)", 1, "mmr: lambda is 'nan'"),
        (
            "mmr(0.5, 2001)",
            1,
            "mmr: depth is 2001, expected a whole number of candidates from 1 to 2000",
        ),
        ("mmr(0.5", 1, "mmr: a ) is missing at the end"),
        (
            "mmr(0.5, 10, 3)",
            1,
            "mmr: 3 arguments or more, expected 2 at most",
        ),
        ("mmr(,10)", 1, "mmr: lambda: nothing is given"),
        ("mmr(0.5,)", 1, "mmr: depth: nothing is given"),
        ("mmr(lambda =)", 1, "mmr: lambda: nothing is given"),
        ("mmr(0.5, lambda = 0.5)", 1, "mmr: lambda is given twice"),
        (
            "mmr(lambda = 0.5, 10)",
            1,
            "mmr: behind an argument with a name, all have names",
        ),
        ("mmr(weight = 0.5)", 1, "mmr: no argument 'weight'"),
        (
            "mmr(lambda = depth = 5)",
            1,
            "mmr: an = that does not follow an argument's name",
        ),
        ("mmr((0.5))", 1, "mmr: a ( among the arguments"),
        (
            "meaning(0)",
            1,
            "meaning: depth is 0, expected a whole number of candidates from 1 to 100000",
        ),
        ("meaning(1.5)", 1, "meaning: depth is 1.5"),
        ("meaning(1e99)", 1, "meaning: depth is 1000"),
        ("words(-5)", 1, "words: depth is -5"),
        (
            "hybrid(1.01)",
            1,
            "hybrid: weight is 1.01, expected a number from 0 to 1",
        ),
        (
            "rerank(20)",
            1,
            "rerank: model is 20, expected a reranker's name",
        ),
        (
            "rerank('')",
            1,
            "rerank: model is '', expected a reranker's name",
        ),
        (
            "rerank(m, 1001)",
            1,
            "rerank: depth is 1001, expected a whole number of candidates from 1 to 1000",
        ),
        ("rerank('m)", 1, "rerank: a ' is missing at the end"),
        (
            "rerank('m' 'n')",
            1,
            "rerank: 'n' beside another value, without a comma",
        ),
        (
            "rerank(m 'n')",
            1,
            "rerank: 'n' beside another value, without a comma",
        ),
        (
            "rerank('m' n)",
            1,
            "rerank: n beside another value, without a comma",
        ),
        (
            "rerank('m\0')",
            1,
            "rerank: a NUL character among the arguments",
        ),
        ("decay", 1, "decay: column is missing"),
        (
            "decay(created)",
            1,
            "decay: half_life is missing, as in decay(created, '30 days')",
        ),
        ("decay(half_life = 5)", 1, "decay: column is missing"),
        (
            "decay(c, 0)",
            1,
            "decay: half_life is 0, expected more than 0: a number of days, or a text with a unit",
        ),
        ("decay(c, -1)", 1, "decay: half_life is -1"),
        ("decay(c, '0 days')", 1, "decay: half_life is '0 days'"),
        (
            "decay(c, 6 months)",
            1,
            "decay: half_life is '6 months', expected more than 0: a number of days, or a text with a unit (seconds, minutes, hours, days, weeks, years)",
        ),
        ("decay(c, 'days')", 1, "decay: half_life is 'days'"),
        ("decay(c, inf)", 1, "decay: half_life is 'inf'"),
        ("decay(c, 1e400)", 1, "decay: half_life is '1e400'"),
        (
            "decay(c, 1, 'yesterday')",
            1,
            "decay: now is 'yesterday', expected a Unix time, or a date",
        ),
        ("decay(c, 1, '2023-02-29')", 1, "decay: now is '2023-02-29'"),
    ] {
        let message = error(text);
        let place = format!("character {at}: {told}");
        assert!(message.contains(&place), "{text:?}: {message}");
        assert!(message.ends_with(known), "{text:?}: {message}");
    }
    assert!(error(&"mmr ".repeat(101)).contains("character 401: more than 100 stages"));
    assert_eq!(parsed(&"mmr ".repeat(100)).stages.len(), 100);
    assert!(error(&"x".repeat(100_000)).len() < 1_000);
}

#[test]
fn what_a_pipeline_needs_follows_from_its_stages() {
    for (text, is_plain, needs_words, depth) in [
        ("meaning", true, false, Some(0)),
        ("meaning(5)", true, false, Some(5)),
        ("mmr", false, false, Some(100)),
        ("mmr rerank(m, 500)", false, false, Some(500)),
        ("meaning(5) mmr", false, false, Some(5)),
        ("rerank decay(c, 1)", false, false, Some(1_000)),
        ("words", false, true, None),
        ("words(7) mmr", false, true, Some(7)),
        ("hybrid rerank(m, 500)", false, true, Some(100)),
        ("hybrid(depth = 300)", false, true, Some(300)),
    ] {
        let pipeline = parsed(text);
        let found = (
            pipeline.is_plain_meaning(),
            pipeline.needs_words(),
            pipeline.depth(),
        );
        assert_eq!(found, (is_plain, needs_words, depth), "{text}");
    }
}

fn pipelines() -> impl Strategy<Value = Pipeline> {
    let depth = || prop::option::of(1_usize..=100_000);
    let weight = prop::option::of(0.0..=1.0);
    let first = prop_oneof![
        depth().prop_map(|depth| First::Meaning { depth }),
        depth().prop_map(|depth| First::Words { depth }),
        (weight, depth()).prop_map(|(weight, depth)| First::Hybrid { weight, depth }),
    ];
    let name = "[a-z'\"(),=|é -]{0,8}[a-z']";
    let rerank = (prop::option::of(name), 1_usize..=1_000);
    let age = (1e-9_f64..1e12, prop::option::of(-1e12_f64..1e12));
    let stage = prop_oneof![
        rerank.prop_map(|(model, depth)| Stage::Rerank { model, depth }),
        (0.0..=1.0, 1_usize..=2_000).prop_map(|(lambda, depth)| Stage::Mmr { lambda, depth }),
        (name, age).prop_map(|(column, (half_life, now))| decays(&column, half_life, now)),
    ];
    let stages = prop::collection::vec(stage, 0..4);
    (first, stages).prop_map(|(first, stages)| Pipeline { first, stages })
}

proptest! {
    #[test]
    fn the_canonical_text_says_the_same(pipeline in pipelines()) {
        let text = pipeline.to_string();
        prop_assert_eq!(parsed(&text), pipeline, "{}", text);
    }

    #[test]
    fn no_text_panics_and_what_is_taken_has_a_text(
        text in "(meaning|hybrid|rerank|mmr|decay|depth|lambda|[ ,|()='\"\\[\\]0-9.e-]|\0|é){0,12}"
    ) {
        if let Ok(pipeline) = Pipeline::parse(&text) {
            prop_assert_eq!(parsed(&pipeline.to_string()), pipeline);
        }
    }
}

/// What `unixepoch` of SQLite 3.40 gives, and with fractions `(julianday(x) - 2440587.5) * 86400`.
#[test]
fn dates_are_those_of_sqlite() {
    for (text, seconds) in [
        ("0000-01-01", -62_167_219_200.0),
        ("0001-03-01", -62_130_499_200.0),
        ("0400-02-29", -49_539_340_800.0),
        ("1582-10-10", -12_219_724_800.0),
        ("1600-02-29", -11_670_998_400.0),
        ("1858-11-17 12:00", -3_506_673_600.0),
        ("1899-12-31T23:59:59", -2_208_988_801.0),
        ("1900-02-28", -2_203_977_600.0),
        ("1900-03-01", -2_203_891_200.0),
        ("1969-12-31 23:59:59", -1.0),
        ("1970-01-01", 0.0),
        ("1999-12-31", 946_598_400.0),
        ("2000-02-29", 951_782_400.0),
        ("2000-03-01 00:00:01", 951_868_801.0),
        ("2024-02-29T23:59:59Z", 1_709_251_199.0),
        ("2024-02-29T23:59:59.250z", 1_709_251_199.25),
        ("2026-11-25 10:12:05.5", 1_795_601_525.5),
        ("2026-11-25 10:12+05:30", 1_795_581_720.0),
        ("2026-11-25T10:12:05-14:00", 1_795_651_925.0),
        ("2026-11-25 10:12:05.125 +01:00", 1_795_597_925.125),
        ("2026-11-25  10:12 ", 1_795_601_520.0),
        ("2100-02-28", 4_107_456_000.0),
        ("2400-02-29 24:00", 13_574_649_600.0),
        ("9999-12-31 23:59:59.999", 253_402_300_799.999),
    ] {
        assert_eq!(time::unix_seconds(&text.into()), Some(seconds), "{text}");
    }
}

#[test]
fn what_is_no_moment_is_none() {
    for text in [
        // Days and times that there are not, which SQLite counts on from the one before.
        "1900-02-29",
        "2023-02-29",
        "2023-02-31",
        "2023-04-31",
        "2023-01-01 24:00:01",
        // What is a date in other places only.
        "2023-01-0112:00",
        "2023-01-01TT12:00",
        "2023-01-01T 12:00",
        "now",
        "12:00",
        "2460000",
        "-2023-01-01",
        "10000-01-01",
        "1700000000",
        "01.02.2023",
        "2023/01/01",
        // What SQLite takes for none either.
        "2023-13-01",
        "2023-00-10",
        "2023-01-00",
        "2023-01-32",
        "2023-1-1",
        "23-01-01",
        "2023-01-01 25:00",
        "2023-01-01 12",
        "2023-01-01 12:60",
        "2023-01-01 12:00:60",
        "2023-01-01 12:00:00.",
        "2023-01-01 12:00:00.x",
        "2023-01-01 12:00+15:00",
        "2023-01-01 12:00+0100",
        "2023-01-01Z",
        "2023-01-01 12:00ZZ",
        "2023-01-01t12:00",
        "",
        " 2023-01-01",
        "2023-01-01 12:00 x",
        "2023-01-01 12:00+01:60",
        "2023-01-01 12:00+01:00x",
        "２023-01-01",
        "20é-01-01",
        "+023-01-01",
        "2023-+1-01",
    ] {
        assert_eq!(time::unix_seconds(&text.into()), None, "{text}");
    }
    let none = [
        Value::Null,
        Value::Blob(b"2023-01-01".to_vec()),
        Value::Text(vec![0xff]),
    ];
    for value in none
        .into_iter()
        .chain([Value::Real(f64::INFINITY), Value::Real(f64::NAN)])
    {
        assert_eq!(time::unix_seconds(&value), None, "{value:?}");
    }
    assert_eq!(time::unix_seconds(&Value::Integer(-5)), Some(-5.0));
    assert_eq!(time::unix_seconds(&Value::Real(0.25)), Some(0.25));
}

/// Every day of eleven centuries, counted one by one.
#[test]
fn days_follow_each_other() {
    let mut expected = -11_676_096_000.0; // 1600-01-01, by SQLite's unixepoch.
    for year in 1_600..2_700 {
        let is_leap = year % 400 == 0 || year % 4 == 0 && year % 100 != 0;
        let lengths = [
            31,
            28 + i32::from(is_leap),
            31,
            30,
            31,
            30,
            31,
            31,
            30,
            31,
            30,
            31,
        ];
        for (month, length) in lengths.into_iter().enumerate() {
            for day in 1..=31 {
                let text = format!("{year}-{:02}-{day:02}", month + 1);
                let exists = (day <= length).then_some(expected);
                assert_eq!(time::unix_seconds(&text.as_str().into()), exists, "{text}");
                expected += exists.map_or(0.0, |_| DAY);
            }
        }
    }
}

#[test]
fn a_name_stands_out_and_words_saturate() {
    let fusion = Fusion::default();
    assert_eq!(fusion.score(0.5, 0.0, 3.0), 0.5);
    assert_eq!(fusion.score(0.5, 10.0, 10.0), 0.5 + 0.1 * 10.0 / 20.0);
    let named = 0.5 + 0.1 * 10.0 / 20.0 + 0.3 * (10.0 - 4.0) / 20.0;
    assert!((fusion.score(0.5, 10.0, 4.0) - named).abs() < 1e-15);
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
    mmr::spread(relevances, lambda, |i, j| Ok(cosines[i][j]), || Ok(())).unwrap()
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
fn mmr_stops_when_it_is_told_to_and_each_pair_has_one_cosine() {
    let (mut checks, mut cosines) = (0, 0);
    let outcome: Result<Vec<usize>> = mmr::spread(
        &[0.5; 100],
        0.5,
        |_, _| Ok(0.0),
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
        Ok(0.0)
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
    fn ranks_rise_and_are_no_larger_than_they_must(
        own in prop::collection::vec(prop_oneof![-4.0_f64..4.0, Just(0.0), Just(1.0)], 0..20)
    ) {
        let mut ranks = Ranks::default();
        let given: Vec<f64> = own.iter().map(|own| ranks.next(*own)).collect();
        prop_assert!(given.is_sorted_by(|a, b| a < b));
        for i in 0..own.len() {
            let is_own = given[i] == own[i];
            prop_assert!(is_own || i > 0 && given[i] == given[i - 1].next_up() && own[i] < given[i]);
        }
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
