//! Passages: what each one promises, where texts are cut, and that no text takes long.

mod common;

use bge::engine::internals::split as split_with;
use bge::engine::{Chunk, Embedder, ModelConfig, NeverStop, Options, Pooling, Stop, Tokenizer};
use bge::{Error, Kind};
use proptest::prelude::*;
use std::cell::Cell;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use unicode_segmentation::UnicodeSegmentation;

static TINY: LazyLock<Embedder> = LazyLock::new(|| common::tiny("tiny-bert", &Options::default()));
static REAL: LazyLock<Embedder> = LazyLock::new(|| common::real(&Options::default()));
/// `[CLS]` and `[SEP]`.
const SPECIALS: usize = 2;

fn count(model: &Embedder, text: &str) -> usize {
    model.count_tokens(text, &NeverStop).unwrap()
}

fn split<'t>(model: &Embedder, text: &'t str, max: usize, overlap: usize) -> Vec<Chunk<'t>> {
    let chunks = model.chunks(text, Some(max), overlap, &NeverStop).unwrap();
    check(text, &chunks, max, overlap, |text| count(model, text));
    chunks
}

fn texts<'t>(model: &Embedder, text: &'t str, max: usize, overlap: usize) -> Vec<&'t str> {
    let chunks = split(model, text, max, overlap);
    chunks.into_iter().map(|chunk| chunk.text).collect()
}

/// All that is promised of any text.
fn check(text: &str, chunks: &[Chunk], max: usize, overlap: usize, count: impl Fn(&str) -> usize) {
    let mut bytes: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    bytes.push(text.len());
    let blank = |from: usize, to: usize| text[bytes[from]..bytes[to]].trim().is_empty();
    if text.trim().is_empty() {
        let tokens = count("");
        assert_eq!(
            chunks,
            [Chunk {
                start: 0,
                stop: 0,
                tokens,
                text: ""
            }]
        );
        return;
    }
    for chunk in chunks {
        assert!(chunk.start < chunk.stop);
        assert_eq!(chunk.text, &text[bytes[chunk.start]..bytes[chunk.stop]]);
        assert_eq!(chunk.text, chunk.text.trim());
        assert_eq!(chunk.tokens, count(chunk.text), "{:?}", chunk.text);
        assert!(chunk.tokens <= max, "{chunk:?}");
    }
    assert!(blank(0, chunks[0].start));
    assert!(blank(chunks.last().unwrap().stop, bytes.len() - 1));
    for pair in chunks.windows(2) {
        let [one, two] = pair else { unreachable!() };
        assert!(
            one.start < two.start && one.stop < two.stop,
            "{one:?} {two:?}"
        );
        if two.start >= one.stop {
            assert!(
                blank(one.stop, two.start),
                "lost between {one:?} and {two:?}"
            );
        } else {
            let repeated = &text[bytes[two.start]..bytes[one.stop]];
            assert!(count(repeated) - count("") <= overlap, "{repeated:?}");
        }
    }
    // Very long stretches without white space are read in parts, which may have more tokens.
    if count(text) <= max && text.split_whitespace().all(|word| word.len() < 2_000) {
        assert_eq!(chunks.len(), 1, "a text that fits whole was cut");
    }
}

/// Texts of all sorts: words, borders of each kind, what segmenters stumble over, any `char`.
fn any_text() -> impl Strategy<Value = String> {
    const BITS: &[&str] = &[
        "word",
        "and",
        "Nine",
        "overwhelmingly",
        "don't",
        "3.14",
        "e.g.",
        "[MASK]",
        "[SEP]",
        "foo_bar",
        " ",
        " ",
        " ",
        " ",
        "  ",
        "\n",
        "\r\n",
        "\n\n",
        "\r\n \r\n",
        "\t",
        "\u{2029}",
        "\u{3000}",
        "\r",
        ". ",
        "! ",
        "? ",
        ", ",
        "...",
        ".)",
        "\"",
        "(",
        "-",
        "。",
        "，",
        "「",
        "」",
        "\u{2028}",
        "\u{c}",
        "日本語",
        "漢",
        "カタカナ",
        "ひらがな",
        "한국어",
        "각",
        "ไทยกำลัง",
        "עברית",
        "العربية",
        "क्षत्रिय",
        "é",
        "e\u{301}",
        "\u{301}",
        "\u{323}\u{301}",
        "ﬁ",
        "İ",
        "ß",
        "👩‍👩‍👧‍👦",
        "👍🏽",
        "🇫🇷",
        "🇩",
        "🎉",
        "\u{200d}",
        "\u{200b}",
        "\0",
        "\u{7f}",
        "\u{fffd}",
        "\u{feff}",
        "\u{ad}",
        "\u{600}",
        "\u{e33}",
    ];
    let bit = prop_oneof![
        6 => prop::sample::select(BITS).prop_map(str::to_owned),
        1 => any::<char>().prop_map(String::from),
        1 => (prop::sample::select(BITS), 1..130usize).prop_map(|(bit, n)| bit.repeat(n)),
        1 => ("[a-z]{1,12}", 1..30usize).prop_map(|(word, n)| format!("{word} ").repeat(n)),
    ];
    prop::collection::vec(bit, 0..60).prop_map(|bits| bits.concat())
}

fn promises<'t>(
    split: impl Fn(&'t str, usize, usize) -> bge::Result<Vec<Chunk<'t>>>,
    count: impl Fn(&str) -> usize,
    (text, max, overlap): (&'t str, usize, usize),
) {
    let overlap = overlap % (max - SPECIALS);
    match split(text, max, overlap) {
        Ok(chunks) => {
            check(text, &chunks, max, overlap, count);
            assert_eq!(chunks, split(text, max, overlap).unwrap(), "the same again");
        }
        Err(error) => {
            // One character may be more than a tiny passage holds (a Hangul syllable is three).
            let most = text.chars().map(|c| count(&c.to_string())).max();
            assert!(most > Some(max), "{error}");
            assert!(error.message().contains("alone has"), "{error}");
        }
    }
}

fn promises_of(model: &Embedder, text: &str, max: usize, overlap: usize) {
    promises(
        |text, max, overlap| model.chunks(text, Some(max), overlap, &NeverStop),
        |text| count(model, text),
        (text, max, overlap),
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn any_text_keeps_the_promises(text in any_text(), max in 3..40usize, overlap in 0..40usize) {
        promises_of(&TINY, &text, max, overlap);
        promises_of(&REAL, &text, max, overlap);
    }

    #[test]
    fn any_text_keeps_the_promises_without_overlap(text in any_text(), max in 3..520usize) {
        promises_of(&REAL, &text, max.min(512), 0);
    }

    #[test]
    fn any_text_keeps_the_promises_with_other_tokenizers(
        text in any_text(), max in 3..40usize, overlap in 0..40usize,
    ) {
        promises(
            |text, max, overlap| split_with(&SENTENCEPIECE, text, max, overlap, &NeverStop),
            |text| SENTENCEPIECE.count(text, &NeverStop).unwrap(),
            (&text, max, overlap),
        );
    }
}

/// A tokenizer like bge-m3's: it reads white space as part of words, and a text only whole.
static SENTENCEPIECE: LazyLock<Tokenizer> = LazyLock::new(|| {
    let pieces = [
        "▁", "▁a", "▁and", "and", "▁wor", "d", "w", "o", "r", "▁the", "the", "e", "a", "n", "i",
        "in", "▁in", "s", "t", "▁over", "whelm", "ing", "ly", "N", "▁N", ".", ",", "日本", "語",
        "漢", "を",
    ];
    let mut vocab = vec![("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)];
    vocab.extend(
        pieces
            .iter()
            .map(|&piece| (piece, -3.0 / piece.len() as f64)),
    );
    let json = serde_json::json!({
        "version": "1.0",
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "NFKC"},
            {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "},
        ]},
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "</s>", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
            "special_tokens": {
                "<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
                "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]},
            },
        },
        "model": {"type": "Unigram", "unk_id": 3, "vocab": vocab, "byte_fallback": false},
    });
    let config = ModelConfig {
        dims: 8,
        vocab_size: vocab.len(),
        max_length: 8192,
        pooling: Pooling::Cls,
        query_instruction: String::new(),
    };
    let json = json.to_string();
    Tokenizer::from_json(json.as_bytes(), "tokenizer.json".as_ref(), &config).unwrap()
});

#[test]
fn a_tokenizer_that_reads_texts_whole_is_given_pieces() {
    let count = |text: &str| SENTENCEPIECE.count(text, &NeverStop).unwrap();
    let unit = "and the 日本語を wor overwhelmingly, in a\n";
    for text in [unit.repeat(3_000), "日本語漢を".repeat(8_000)] {
        for overlap in [0, 40] {
            let chunks = split_with(&SENTENCEPIECE, &text, 500, overlap, &NeverStop).unwrap();
            check(&text, &chunks, 500, overlap, count);
            let full = chunks.iter().filter(|chunk| chunk.tokens > 450).count();
            assert!(full + 1 >= chunks.len(), "{full} of {}", chunks.len());
        }
    }
    // In pieces it has a few more tokens than whole, yet it is not cut.
    let text = "日本語漢を".repeat(700);
    let tokens = count(&text);
    let chunks = split_with(&SENTENCEPIECE, &text, tokens, 0, &NeverStop).unwrap();
    assert_eq!(chunks.len(), 1);
    let chunks = split_with(&SENTENCEPIECE, &text, tokens - 1, 0, &NeverStop).unwrap();
    assert_eq!(chunks.len(), 2);
}

#[test]
fn empty_and_blank_texts_give_one_empty_passage() {
    for text in ["", " ", "\r\n \u{3000}\t\n\n"] {
        let empty = Chunk {
            start: 0,
            stop: 0,
            tokens: 2,
            text: "",
        };
        assert_eq!(split(&REAL, text, 512, 7), [empty]);
    }
    // Not white space, and no token either.
    assert_eq!(texts(&REAL, " \0\u{7f} ", 3, 0), ["\0\u{7f}"]);
}

#[test]
fn a_text_is_cut_when_it_is_more_than_full() {
    for model in [&*TINY, &*REAL] {
        let full = "a ".repeat(510);
        let chunks = model.chunks(&full, None, 0, &NeverStop).unwrap();
        assert_eq!(chunks.len(), 1);
        assert_eq!(
            (chunks[0].start, chunks[0].stop, chunks[0].tokens),
            (0, 1019, 512)
        );
        let more = "a ".repeat(511);
        let chunks = model.chunks(&more, None, 0, &NeverStop).unwrap();
        assert_eq!(
            chunks.iter().map(|c| c.tokens).collect::<Vec<_>>(),
            [512, 3]
        );
        assert_eq!((chunks[1].start, chunks[1].stop), (1020, 1021));
    }
}

#[test]
fn offsets_are_characters() {
    let text = "\u{feff} é 日本 👩‍👩‍👧‍👦 naïve  words";
    for chunk in split(&REAL, text, 4, 0) {
        let cut: String = text
            .chars()
            .skip(chunk.start)
            .take(chunk.stop - chunk.start)
            .collect();
        assert_eq!(cut, chunk.text);
    }
}

#[test]
fn the_strongest_border_of_the_second_half_wins() {
    // Ten words fit. Each text has its strong border behind the sixth and weaker ones later.
    let cut = |text: &str| texts(&REAL, text, 12, 0)[0].split_whitespace().count();
    assert_eq!(cut("a a a a a a\n\nA a. A a a a a a"), 6, "a paragraph");
    assert_eq!(
        cut("a a a a a a\r\n \t\r\nA a. A a a a a a"),
        6,
        "a blank line with spaces"
    );
    assert_eq!(
        cut("a a a a a. A a\na a a a a"),
        5,
        "a sentence before a line"
    );
    assert_eq!(cut("a a a a a a\na a a a a a"), 6, "a line before words");
    assert_eq!(cut("a a a a a a a a a a a a"), 10, "words");
    // In the first half a border counts for nothing.
    assert_eq!(cut("a a a a\n\na a a a a a a a"), 10);
    assert_eq!(
        cut("a a. A a a a a a a a a a"),
        9,
        "the full stop is a token"
    );
    // Of equals the last.
    assert_eq!(cut("a a a a a\n\na a a\n\na a a a a"), 8);
    // Lines are not sentences, and a full stop before a small letter ends none.
    assert_eq!(cut("A a a a\na a. A\na a a a a"), 6);
    assert_eq!(cut("A a a a a etc. a a a a a a"), 9);
    // Behind a full passage of whole words, the border is where the next word starts.
    assert_eq!(cut("a a a a a a a a a a\n\na a"), 10);
}

#[test]
fn punctuation_stays_with_its_word() {
    let text = "a a a a a a a a a a, a a a";
    assert_eq!(texts(&REAL, text, 12, 0)[0], "a a a a a a a a a");
    assert_eq!(
        texts(&REAL, "!".repeat(25).as_str(), 12, 0),
        ["!".repeat(10), "!".repeat(10), "!".repeat(5)]
    );
}

#[test]
fn words_stay_whole_and_longer_ones_are_cut() {
    let long = "xq".repeat(30);
    let tokens = count(&REAL, &long) - SPECIALS;
    assert!(tokens > 20, "{tokens}");
    // It fits alone, so it is not cut, whatever stands before it.
    let text = format!("one two {long} three");
    assert_eq!(
        texts(&REAL, &text, tokens + SPECIALS, 0),
        ["one two", &long, "three"]
    );
    // It does not fit.
    let parts = texts(&REAL, &long, 12, 0);
    assert_eq!(parts.concat(), long);
    assert!(parts.len() >= 3);
    assert!(
        parts[..parts.len() - 1]
            .iter()
            .all(|part| count(&REAL, part) >= 8)
    );
    // More than a hundred letters are one unknown token to WordPiece, but many when cut.
    let unknown = "xq".repeat(3_000);
    assert_eq!(texts(&REAL, &unknown, 3, 0).concat(), unknown);
    assert_eq!(split(&REAL, &"xq ".repeat(3_000), 12, 0).len(), 600);
}

#[test]
fn scripts_without_spaces_are_cut_between_characters() {
    let chinese = "机器学习是人工智能的一个分支".repeat(80);
    let parts = split(&REAL, &chinese, 102, 0);
    assert!(parts.iter().rev().skip(1).all(|chunk| chunk.tokens == 102));
    let sentences = "机器学习是人工智能的一个分支。".repeat(80);
    let parts = texts(&REAL, &sentences, 102, 0);
    assert!(parts.iter().all(|part| part.ends_with('。')), "{parts:?}");
    let thai = "ภาษาไทยกำลังเขียนโดยไม่มีช่องว่าง".repeat(20);
    assert_eq!(texts(&REAL, &thai, 20, 0).concat(), thai);
}

#[test]
fn what_readers_take_for_one_character_is_not_cut() {
    for unit in [
        "👩‍👩‍👧‍👦",
        "🇫🇷",
        "👍🏽",
        "e\u{301}\u{323}",
        "กำ",
        "क्षि",
        "각",
        "\r\n.",
        "日\u{fe00}",
    ] {
        let text = unit.repeat(2_000);
        let borders: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
        for max in [5, 6, 20, 512] {
            for part in split(&REAL, &text, max, 0) {
                let at = part.text.as_ptr().addr() - text.as_ptr().addr();
                // Of a line's end only the point behind it is kept.
                assert!(
                    borders.contains(&at) || unit == "\r\n.",
                    "{unit:?} {max} {at}"
                );
            }
        }
    }
    // One that does not fit must be.
    let text = "각\u{301}ᄀ\u{301}ᄀ".to_owned();
    assert!(split(&REAL, &text, 5, 0).len() > 1);
}

#[test]
fn a_character_may_be_too_much_for_a_tiny_passage() {
    let error = REAL.chunks("a é 각", Some(3), 0, &NeverStop).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert_eq!(
        error.message(),
        "max_tokens is 3, but the character '각' at 4 alone has 5 tokens; expected at least 5"
    );
}

#[test]
fn passages_repeat_the_end_of_the_one_before() {
    let words: Vec<String> = (0..40)
        .map(|n| format!("{}", char::from(b'a' + n % 26)))
        .collect();
    let text = words.join(" ");
    let parts = texts(&REAL, &text, 12, 3);
    assert_eq!(parts[..2], ["a b c d e f g h i j", "h i j k l m n o p q"]);
    // A sentence that is short enough is repeated whole, no more.
    let parts = texts(
        &REAL,
        "A a a a a a a a. B b. C c c c c c c c c c c c",
        14,
        6,
    );
    assert_eq!(
        parts[..2],
        ["A a a a a a a a. B b.", "B b. C c c c c c c c c"]
    );
    // Where the next word does not fit beside the repetition, nothing is repeated.
    let long = "xq".repeat(9);
    let tokens = count(&REAL, &long) - SPECIALS;
    let text = format!("{} {long} a a", "a ".repeat(tokens));
    let parts = texts(&REAL, text.trim(), tokens + SPECIALS, 1);
    assert_eq!(parts[1], long);
    // All but one token: each passage still adds something.
    assert_eq!(split(&REAL, &"a ".repeat(100), 12, 9).len(), 91);
}

#[test]
fn wrong_parameters_are_named() {
    let message = |max, overlap| {
        let error = TINY.chunks("a", max, overlap, &NeverStop).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        error.message().to_owned()
    };
    for max in [0, 2, 513, usize::MAX] {
        let expected =
            format!("max_tokens is {max}, expected 3 to 512 (the 2 special tokens count)");
        assert_eq!(message(Some(max), 0), expected);
    }
    for (max, overlap, most) in [(Some(3), 1, 0), (Some(12), 10, 9), (None, 510, 509)] {
        let expected = format!(
            "overlap is {overlap}, expected 0 to {most}: less than max_tokens without the 2 special tokens"
        );
        assert_eq!(message(max, overlap), expected);
    }
    let text = "x".repeat((32 << 20) + 1);
    assert_eq!(
        TINY.chunks(&text, None, 0, &NeverStop).unwrap_err().kind(),
        Kind::TooBig
    );
}

struct Watch {
    turns: Cell<usize>,
    stop_at: usize,
    last: Cell<Instant>,
    longest: Cell<Duration>,
}

impl Watch {
    fn stop_at(stop_at: usize) -> Self {
        let last = Cell::new(Instant::now());
        Watch {
            turns: Cell::default(),
            stop_at,
            last,
            longest: Cell::default(),
        }
    }
}

impl Stop for Watch {
    fn check(&self) -> bge::Result<()> {
        let now = Instant::now();
        self.longest
            .set(self.longest.get().max(now - self.last.replace(now)));
        self.turns.set(self.turns.get() + 1);
        if self.turns.get() == self.stop_at {
            return Err(Error::interrupted());
        }
        Ok(())
    }
}

#[test]
fn it_can_be_stopped_at_every_turn() {
    let text = "Some words, and more. ".repeat(2_000);
    let watch = Watch::stop_at(0);
    REAL.chunks(&text, None, 40, &watch).unwrap();
    let turns = watch.turns.get();
    assert!(turns > 60, "{turns}");
    for turn in (1..=turns).step_by(turns / 20) {
        let error = REAL
            .chunks(&text, None, 40, &Watch::stop_at(turn))
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Interrupted);
    }
}

/// Two megabytes of ordinary text, then 128 KB of each thing that a careless splitter
/// reads again and again. The limits are generous: only growth with the square would pass them.
#[test]
fn long_texts_take_time_by_their_length() {
    let rows = common::golden("reference/bge-small-en-v1.5.jsonl");
    let mut prose = String::new();
    while prose.len() < 2 << 20 {
        for row in &rows {
            prose.push_str(&row.text);
            prose.push_str(if row.id % 3 == 0 { "\n\n" } else { " " });
        }
    }
    let units = [
        "a",
        "a ",
        " ",
        ".)",
        ")",
        "a. ",
        ". ",
        "\n",
        "a\n\n",
        "\0",
        "\u{301}",
        "🇫🇷",
        "👩‍👩‍👧‍👦",
        "日",
        "각",
        "ก",
        "1",
        "!",
        "e\u{301}",
        "a'",
        "\u{200d}",
        "xq.",
        "A.",
        "क्",
        "\u{600}",
        "a\u{2029}",
        "0. ",
        "…",
    ];
    let mut texts = vec![("prose", prose)];
    for unit in units {
        let body = unit.repeat((128 << 10) / unit.len());
        texts.push((unit, format!("Start. A.{body} 1 z")));
    }
    for (name, text) in &texts {
        let begin = Instant::now();
        let tokens = count(&REAL, text);
        println!(
            "{name:?}: counting its {tokens} tokens takes {:?}",
            begin.elapsed()
        );
        for (max, overlap) in [(512, 0), (16, 4)] {
            let watch = Watch::stop_at(0);
            let begin = Instant::now();
            let chunks = REAL.chunks(text, Some(max), overlap, &watch).unwrap();
            let took = begin.elapsed();
            println!(
                "{name:?} {} bytes, {max}, {overlap}: {} passages in {took:?}, silent for {:?}",
                text.len(),
                chunks.len(),
                watch.longest.get()
            );
            assert!(took < Duration::from_secs(10), "{name:?} took {took:?}");
        }
    }
}
