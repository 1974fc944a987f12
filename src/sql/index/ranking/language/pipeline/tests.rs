//! Pipelines that are taken, what is said of the others, and the canonical text.

use super::*;
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
            vec![rerank(Some("it's (odd), \"x\""), 20), mmr(0.7, limits::MMR)],
        ),
        (
            "mmr mmr(1, 2000)",
            MEANING,
            vec![mmr(0.7, limits::MMR), mmr(1.0, 2_000)],
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
        ("meaning(1e99)", 1, "meaning: depth is 1e99, expected"),
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
            "decay: half_life is 0, expected more than 0, and finite: a number of days, or a text with a unit",
        ),
        ("decay(c, -1)", 1, "decay: half_life is -1"),
        ("decay(c, '0 days')", 1, "decay: half_life is '0 days'"),
        (
            "decay(c, 6 months)",
            1,
            "decay: half_life is '6 months', expected more than 0, and finite: a number of days, or a text with a unit (seconds, minutes, hours, days, weeks, years)",
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
        ("mmr", false, false, Some(limits::MMR)),
        ("mmr rerank(m, 500)", false, false, Some(500)),
        ("meaning(5) mmr", false, false, Some(5)),
        ("rerank decay(c, 1)", false, false, Some(limits::DECAY)),
        ("words", false, true, None),
        ("words(7) mmr", false, true, Some(7)),
        ("hybrid", false, true, Some(limits::HYBRID)),
        ("hybrid rerank(m, 500)", false, true, Some(500)),
        ("hybrid(depth = 9) rerank(m, 500)", false, true, Some(9)),
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
