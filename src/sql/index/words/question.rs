//! A question in plain text as what FTS5 can be asked for. Pure, and there is no text that it fails for.
//!
//! A *run* is what stands between blanks. FTS5 is asked for each as a phrase, so `bm25.rs` or `3.40.1` must
//! stand in a row's text as they are written, whatever they are cut into by the tokenizer of the table; nothing in a
//! question is an operator.

use std::collections::HashSet;

/// What a sentence puts around its words; no tokenizer takes it for a part of one.
const AROUND: &[char] = &[
    '.', ',', ';', ':', '!', '?', '(', ')', '"', '\'', '…', '“', '”', '‘', '’', '„', '«', '»',
];
/// The most runs of a question that are looked at.
const MOST_RUNS: usize = 10_000;
/// The most characters of a run that is looked for as a whole. No word of a language is so long, and a hash is
/// not either.
const LONGEST_RUN: usize = 128;
/// The most words in a run that is looked for as a whole.
const MOST_WORDS: usize = 16;

/// The runs of a question, each once whatever its case, in their order. Those that FTS5 could only cut into very
/// many tokens are cut into their words here.
pub fn runs(question: &str) -> Vec<&str> {
    let between = |c: char| c.is_whitespace() || c.is_control();
    let runs = question.split(between).flat_map(|run| {
        let long = run.chars().nth(LONGEST_RUN).is_some() || words(run).nth(MOST_WORDS).is_some();
        let (whole, cut) = if long {
            (None, Some(run))
        } else {
            (Some(run), None)
        };
        whole.into_iter().chain(cut.into_iter().flat_map(words))
    });
    distinct(runs)
}

/// The runs that name something rather than say it, and their share of the question's characters, 0 to 1. A name
/// shows in how it is written: with a digit, with `_`, with a mark between two letters (`a.b`, `x/y`, `n:m`), or alone.
/// A hyphen is no sign: it joins ordinary words as well; nor are the digits of an amount.
pub fn names<'q>(runs: &[&'q str]) -> (Vec<&'q str>, f64) {
    let alone = runs.len() == 1;
    let names: Vec<&str> = (runs.iter().copied())
        .filter(|run| alone || is_name(run))
        .collect();
    let characters =
        |runs: &[&str]| runs.iter().map(|run| run.chars().count()).sum::<usize>() as f64;
    let share = characters(&names) / characters(runs).max(1.0);
    (names, share)
}

fn is_name(run: &str) -> bool {
    let inner = run.trim_matches(|c: char| !c.is_alphanumeric());
    let mut between = inner.split(char::is_alphanumeric);
    let is_marked =
        |marks: &str| !marks.is_empty() && marks.chars().all(|c| "./:+@#\\".contains(c));
    let is_written_so =
        run.contains(|c: char| c.is_numeric() || c == '_') || between.any(is_marked);
    is_written_so && !is_amount(run, inner)
}

/// `$10`, `5%`, `10,000`, and one or two digits alone.
fn is_amount(run: &str, inner: &str) -> bool {
    let is_digit = |c: char| c.is_numeric();
    let groups: Vec<&str> = inner.split(',').collect();
    let is_grouped = groups.windows(2).any(|two| {
        let (before, behind) = (two[0], two[1]);
        let digits = behind.chars().take_while(|c| is_digit(*c)).count();
        before.ends_with(is_digit) && digits >= 3
    });
    let is_short = inner.chars().count() <= 2 && !inner.is_empty() && inner.chars().all(is_digit);
    is_grouped || is_short || run.contains(['$', '€', '£', '¥', '%'])
}

/// The words of a run: what stands between characters that are neither letters nor digits.
fn words(run: &str) -> impl Iterator<Item = &str> {
    run.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// The words of runs, each once: for a table that knows no phrases.
pub fn words_of<'q>(runs: &[&'q str]) -> Vec<&'q str> {
    distinct(runs.iter().flat_map(|run| words(run)))
}

/// Those that hold a letter or a digit and are not too long, each once, up to the most.
fn distinct<'q>(runs: impl Iterator<Item = &'q str>) -> Vec<&'q str> {
    let mut seen = HashSet::new();
    let says = |run: &&str| run.chars().any(char::is_alphanumeric);
    let fits = |run: &&str| run.chars().nth(LONGEST_RUN).is_none();
    runs.filter(says)
        .filter(fits)
        .filter(|run| seen.insert(run.trim_matches(AROUND).to_lowercase()))
        .take(MOST_RUNS)
        .collect()
}

/// An FTS5 query for the rows that hold one of these.
pub fn any_of(runs: &[&str]) -> String {
    let phrases: Vec<String> = runs.iter().map(|run| phrase(run)).collect();
    phrases.join(" OR ")
}

/// A run in quotes, in which FTS5 knows no operators.
fn phrase(run: &str) -> String {
    format!("\"{}\"", run.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_question_is_cut_at_blanks() {
        let cases: [(&str, &[&str]); 9] = [
            ("", &[]),
            (" \n\t ?! -- * \"", &[]),
            ("How to  reset?", &["How", "to", "reset?"]),
            ("the The THE (the)... .NET", &["the", ".NET"]),
            ("a\0b\u{1}c", &["a", "b", "c"]),
            (
                "AND OR NOT NEAR(a b)",
                &["AND", "OR", "NOT", "NEAR(a", "b)"],
            ),
            ("say \"x\" ^y* {z}:w", &["say", "\"x\"", "^y*", "{z}:w"]),
            ("größe 東京 ١٢", &["größe", "東京", "١٢"]),
            ("3.40.1 libfoo-dev", &["3.40.1", "libfoo-dev"]),
        ];
        for (question, expected) in cases {
            assert_eq!(runs(question), expected, "{question:?}");
        }
    }

    #[test]
    fn names_show_in_how_they_are_written() {
        let of = |question: &str| {
            let runs = runs(question);
            let (names, share) = names(&runs);
            (names.join(" "), share)
        };
        assert_eq!(of("why ORA-12154"), ("ORA-12154".to_owned(), 9.0 / 12.0));
        assert_eq!(of("zathura?"), ("zathura?".to_owned(), 1.0));
        assert_eq!(of("boundary-layer flow, etc."), (String::new(), 0.0));
        for name in ["a_b", "std::fs", "x/y", "user@host", "a\\b", "libfoo2"] {
            assert_eq!(of(&format!("open {name}")).0, name);
        }
        for amount in ["$10", "5%", "10,000", "12", "(7)", "£3.50"] {
            assert_eq!(of(&format!("costs {amount}")).0, "", "{amount}");
        }
        assert_eq!(of("in 2021").0, "2021");
        assert_eq!(of("a . b"), (String::new(), 0.0));
        assert_eq!(of(""), (String::new(), 0.0));
    }

    #[test]
    fn a_run_stands_in_quotes() {
        assert_eq!(any_of(&[]), "");
        assert_eq!(any_of(&["a\"b", "OR"]), "\"a\"\"b\" OR \"OR\"");
        assert_eq!(words_of(&["a-b", "B.c", "--"]), ["a", "b", "c"]);
    }

    #[test]
    fn what_is_long_is_cut() {
        let many: String = (0..MOST_RUNS + 1).map(|n| format!("w{n} ")).collect();
        assert_eq!(runs(&many).len(), MOST_RUNS);
        let dotted: String = (0..MOST_WORDS + 1).map(|n| format!("w{n}.")).collect();
        assert_eq!(runs(&dotted).len(), MOST_WORDS + 1);
        let one = "w".repeat(LONGEST_RUN);
        assert_eq!(runs(&one), [one.as_str()]);
        let (longer, long) = (format!("{one}w"), format!("{one},x"));
        assert!(runs(&longer).is_empty());
        assert_eq!(runs(&long), [one.as_str(), "x"]);
    }

    proptest! {
        #[test]
        fn any_text_is_a_list_of_phrases(question in "\\PC{0,64}|[\"' \0a*OR()-]{0,64}") {
            let runs = runs(&question);
            for run in runs.iter().chain(&words_of(&runs)) {
                prop_assert!(question.contains(run));
                prop_assert!(run.chars().any(char::is_alphanumeric) && !run.contains('\0'));
            }
            // Quotes open and close: outside of them there is OR and nothing else.
            let outside: Vec<String> = any_of(&runs).split('"').step_by(2).map(str::to_owned).collect();
            prop_assert!(outside.iter().all(|text| matches!(text.as_str(), "" | " OR ")), "{:?}", outside);
        }
    }
}
