//! Invariants of the engine: a text's vector depends on nothing but the text; a failed load is
//! told to all who waited; long texts are cut exactly where the model is full.

mod common;

use bge::engine::{Bulk, EmbedPassages, Embedder, NeverStop, Options, Role, Row, Stop};
use bge::{Error, Kind};
use common::{difference, golden, tiny};
use std::cell::Cell;

fn embed(model: &Embedder, text: &str) -> Vec<f32> {
    model
        .embed(text, Role::Passage, &NeverStop)
        .unwrap()
        .to_vec()
}

#[test]
fn a_vector_does_not_depend_on_neighbours_order_or_threads() {
    let rows = golden("tiny-bert/golden.jsonl");
    let mut texts: Vec<&str> = rows.iter().map(|row| row.text.as_str()).collect();
    let one = tiny(
        "tiny-bert",
        &Options {
            threads: Some(1),
            ..Options::default()
        },
    );
    let alone: Vec<Vec<f32>> = texts.iter().map(|text| embed(&one, text)).collect();
    let mut expected: Vec<&[f32]> = alone.iter().map(Vec::as_slice).collect();
    for threads in [1, 2, 5] {
        let model = tiny(
            "tiny-bert",
            &Options {
                threads: Some(threads),
                ..Options::default()
            },
        );
        for turn in 0..3 {
            texts.rotate_left(turn * 7);
            expected.rotate_left(turn * 7);
            let vectors = model.embed_many(&texts, Role::Passage, &NeverStop).unwrap();
            for ((got, want), text) in vectors.iter().zip(&expected).zip(&texts) {
                assert!(difference(got, want) <= 1e-6, "{threads} threads, {text:?}");
            }
            let again = model.embed_many(&texts, Role::Passage, &NeverStop).unwrap();
            assert_eq!(vectors, again, "the same call gives the same bits");
        }
    }
}

#[test]
fn texts_are_cut_at_the_models_limit() {
    let model = tiny("tiny-bert", &Options::default());
    let full = "a ".repeat(510);
    let vector = embed(&model, &full);
    for words in [511, 512, 5_000] {
        let text = format!("{full}{}", "b ".repeat(words - 510));
        assert_eq!(model.count_tokens(&text, &NeverStop).unwrap(), words + 2);
        let ids = model.tokenize(&text, &NeverStop).unwrap();
        assert_eq!(ids.len(), 512);
        assert_eq!(
            ids,
            model.tokenize(&full, &NeverStop).unwrap(),
            "{words} words"
        );
        assert_eq!(embed(&model, &text), vector);
    }
    let short = "a ".repeat(509);
    assert_eq!(model.tokenize(&short, &NeverStop).unwrap().len(), 511);
    assert!(difference(&embed(&model, &short), &vector) > 1e-5);
}

#[test]
fn no_texts_give_no_vectors() {
    let model = tiny("tiny-bert", &Options::default());
    assert!(
        model
            .embed_many(&[], Role::Passage, &NeverStop)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_long_text_is_read_in_windows_and_can_be_stopped() {
    struct StopAt(Cell<u32>);
    impl Stop for StopAt {
        fn check(&self) -> bge::Result<()> {
            self.0.set(self.0.get().saturating_sub(1));
            if self.0.get() == 0 {
                Err(Error::interrupted())
            } else {
                Ok(())
            }
        }
    }
    let model = tiny("tiny-bert", &Options::default());
    let text = "stop here, please. ".repeat(100_000);
    let error = model
        .count_tokens(&text, &StopAt(Cell::new(5)))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    let texts = vec!["some words"; 5_000];
    let error = model
        .embed_many(&texts, Role::Passage, &StopAt(Cell::new(3)))
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
    assert_eq!(embed(&model, "and again"), embed(&model, "and again"));
}

#[test]
fn a_text_above_the_limit_is_too_big() {
    let model = tiny("tiny-bert", &Options::default());
    let text = "x".repeat((32 << 20) + 1);
    let error = model.embed(&text, Role::Passage, &NeverStop).unwrap_err();
    assert_eq!(error.kind(), Kind::TooBig);
}

#[test]
fn windows_change_no_token() {
    let whole =
        tokenizers::Tokenizer::from_file(common::fixtures().join("tiny-bert/tokenizer.json"))
            .unwrap();
    let model = tiny("tiny-bert", &Options::default());
    let rows = golden("tiny-bert/golden.jsonl");
    let joints = [
        "",
        " ",
        "\n",
        ", ",
        "e\u{301} \u{301}",
        "[MASK]",
        "-",
        " [SEP]",
        "]",
    ];
    for (i, joint) in joints.iter().enumerate() {
        // Texts of many kinds, glued in many ways, repeated so that windows are cut everywhere.
        let mut text = String::new();
        for turn in 0..40 {
            for row in rows.iter().skip(i % 3).filter(|row| row.text.len() < 3_000) {
                text.push_str(&row.text);
                text.push_str(joint);
                text.extend(std::iter::repeat_n('x', turn % 7));
            }
        }
        assert!(text.len() > 200_000);
        let ids = whole
            .encode_fast(text.as_str(), false)
            .unwrap()
            .get_ids()
            .to_vec();
        assert_eq!(
            model.count_tokens(&text, &NeverStop).unwrap(),
            ids.len() + 2
        );
        let cut = model.tokenize(&text, &NeverStop).unwrap();
        assert!(
            cut[1..511]
                .iter()
                .zip(&ids)
                .all(|(&a, &b)| a == i64::from(b))
        );
    }
}

/// The model's tokenizer as it stands in its file, and as we read texts with it.
fn both_tokenizers() -> Vec<(tokenizers::Tokenizer, Embedder)> {
    let small =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/models/bge-small-en-v1.5");
    let file = |folder: &std::path::Path| {
        tokenizers::Tokenizer::from_file(folder.join("tokenizer.json")).unwrap()
    };
    vec![
        (
            file(&common::fixtures().join("tiny-bert")),
            tiny("tiny-bert", &Options::default()),
        ),
        (file(&small), common::real(&Options::default())),
    ]
}

fn assert_same_tokens((whole, model): &(tokenizers::Tokenizer, Embedder), text: &str) {
    let ids = whole.encode_fast(text, false).unwrap().get_ids().to_vec();
    let shown: String = text.chars().take(80).collect();
    assert_eq!(
        model.count_tokens(text, &NeverStop).unwrap(),
        ids.len() + 2,
        "{shown:?}"
    );
    let cut = model.tokenize(text, &NeverStop).unwrap();
    let wanted: Vec<i64> = ids.iter().take(510).map(|&id| i64::from(id)).collect();
    assert_eq!(cut[1..cut.len() - 1], wanted, "{shown:?}");
}

/// What a hostile text is made of: letters, marks that go and marks that stay, what is removed, what ends
/// a word and what only looks so, added tokens and parts of them.
const SCRAPS: [&str; 44] = [
    "x",
    "ab",
    "Ä",
    "İ",
    "ß",
    "e\u{301}",
    "\u{301}",
    "\u{489}",
    "\u{302e}",
    "\u{1b44}",
    "\u{0}",
    "\u{85}",
    "\u{b}",
    "\u{200d}",
    "\u{fffd}",
    "\u{a0}",
    "\u{2028}",
    "\u{3000}",
    " ",
    "\n",
    "!",
    "。",
    "\u{2044}",
    "\u{1fef}",
    "$",
    "]",
    "[",
    "[SEP]",
    "[MASK]",
    "[sep]",
    "SEP]",
    "[SE",
    "😀",
    "👩\u{200d}👩",
    "語",
    "\u{20000}",
    "\u{f900}",
    "한",
    "ㅎ",
    "ﬁ",
    "∑",
    "\u{e000}",
    "１",
    "ー",
];

#[test]
fn long_words_change_no_token() {
    let tokenizers = both_tokenizers();
    let check = |text: &str| {
        tokenizers
            .iter()
            .for_each(|both| assert_same_tokens(both, text))
    };
    for scrap in SCRAPS {
        for (before, after) in [
            ("", ""),
            ("a ", " b"),
            ("[SEP]", "!"),
            ("[", "]"),
            ("x", "[MASK] y"),
        ] {
            check(&format!(
                "{before}{}{after}",
                scrap.repeat(90_000 / scrap.len())
            ));
        }
    }
    // A word of just so many characters, and marks that go, over the places where pieces end.
    for letters in [99, 100, 101] {
        for size in [8 << 10, 16 << 10, (16 << 10) + 4080] {
            for shift in [0, 1, 50, 100] {
                let marks = "\u{301}".repeat(size / 2 - shift);
                check(&format!(
                    "{marks}{}{}",
                    "a".repeat(letters),
                    "\u{301}".repeat(30_000)
                ));
                check(&format!(
                    "{}{marks}{}",
                    "a".repeat(letters / 2),
                    "a".repeat(letters - letters / 2)
                ));
                check(&format!(
                    "{}\u{20000}{marks}a\u{302e}\u{301}b",
                    "\u{301}".repeat(20_000)
                ));
            }
        }
    }
}

#[test]
fn random_long_words_change_no_token() {
    let tokenizers = both_tokenizers();
    let mut random = 7u64;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below
    };
    for round in 0..60 {
        // Some few scraps, long runs of each: in many texts there is no place to cut for long.
        let few: Vec<&str> = (0..=next(4)).map(|_| SCRAPS[next(SCRAPS.len())]).collect();
        let mut text = String::new();
        while text.len() < 120_000 {
            let scrap = few[next(few.len())];
            let times = [1, 3, 100, 20_000][next(4)] / scrap.len() + 1;
            text.push_str(&scrap.repeat(times));
            if next(40) == 0 {
                text.push_str(SCRAPS[next(SCRAPS.len())]);
            }
        }
        assert_same_tokens(&tokenizers[round % 2], &text);
    }
}

#[test]
fn a_text_is_cut_only_where_words_end() {
    let (whole, _) = &both_tokenizers()[1];
    let ids = |text: &str| whole.encode_fast(text, false).unwrap().get_ids().to_vec();
    for c in ('\0'..=char::MAX).filter(|&c| bge::engine::internals::may_cut_before(whole, c)) {
        let (whole, parts) = (
            ids(&format!("a{c}a")),
            [ids("a"), ids(&format!("{c}a"))].concat(),
        );
        assert_eq!(whole, parts, "U+{:04x}", c as u32);
        assert!(parts.len() >= 2);
    }
}

#[test]
fn a_hundred_callers_of_a_missing_model_all_hear_why() {
    // (That first callers share one load is tested through SQL, in tests/hosts/test_process.py.)
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..100)
            .map(|_| scope.spawn(|| bge::engine::model("not-there").map(drop)))
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    for result in results {
        assert!(
            result
                .unwrap_err()
                .message()
                .contains("no model 'not-there' found")
        );
    }
    assert!(bge::engine::model("not-there").is_err());
}

/// Rows of some texts, of which one may be an error.
fn rows(count: usize, wrong: Option<usize>) -> impl FnMut() -> bge::Result<Option<Row<usize>>> {
    let thread = std::thread::current().id();
    let mut at = 0;
    move || {
        assert_eq!(
            std::thread::current().id(),
            thread,
            "rows are read on the caller's thread"
        );
        if Some(at) == wrong {
            return Err(Error::invalid(format!("row {at}")));
        }
        let text = (at % 7 != 3).then(|| format!("text {} of a table", at % 50));
        at += 1;
        Ok((at <= count).then_some(Row {
            key: at - 1,
            text,
            bytes: 20,
        }))
    }
}

fn take(overlaps: bool, count: usize, wrong: Option<usize>) -> (Vec<(usize, bool)>, Option<Error>) {
    let model = std::sync::Arc::new(tiny("tiny-bert", &Options::default()));
    let alone = embed(&model, "text 5 of a table");
    let mut bulk = Bulk::new(EmbedPassages(model), usize::to_string).overlapping(overlaps);
    let (mut source, mut taken) = (rows(count, wrong), Vec::new());
    loop {
        match bulk.next(&mut source, &NeverStop) {
            Ok(Some(row)) => {
                assert_eq!(row.text.is_some(), row.made.is_some());
                if row.text.as_deref() == Some("text 5 of a table") {
                    assert!(difference(row.made.as_deref().unwrap(), &alone) <= 1e-6);
                }
                taken.push((row.key, row.made.is_some()));
            }
            Ok(None) => return (taken, None),
            Err(e) => return (taken, Some(e)),
        }
    }
}

#[test]
fn two_windows_in_flight_give_what_one_gives() {
    for (count, wrong) in [
        (0, None),
        (63, None),
        (320, None),
        (1_500, None),
        (3_000, None),
        (3_000, Some(1_400)),
    ] {
        let (plain, both) = (take(false, count, wrong), take(true, count, wrong));
        assert_eq!(plain, both, "{count} rows");
        assert_eq!(both.1.is_some(), wrong.is_some());
        let keys: Vec<usize> = both.0.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, (0..keys.len()).collect::<Vec<_>>());
    }
}

#[test]
fn two_windows_in_flight_can_be_stopped() {
    struct After(Cell<usize>);
    impl Stop for After {
        fn check(&self) -> bge::Result<()> {
            self.0.set(self.0.get() + 1);
            if self.0.get() > 12 {
                Err(Error::new(Kind::Interrupted, "stop"))
            } else {
                Ok(())
            }
        }
    }
    let model = std::sync::Arc::new(tiny("tiny-bert", &Options::default()));
    let mut bulk = Bulk::new(EmbedPassages(model), usize::to_string).overlapping(true);
    let (mut source, stop) = (rows(100_000, None), After(Cell::new(0)));
    let error = loop {
        if let Err(e) = bulk.next(&mut source, &stop) {
            break e;
        }
    };
    assert_eq!(error.kind(), Kind::Interrupted);
}
