//! The options of an index: `content = 'notes'`, `storage = f16` and the like.

use super::spec::{Column, ContentMode, Spec, WordsMode};
use crate::engine::check_name;
use crate::error::{Error, Result};
use crate::sql::lexer::{Word, Words, is_name, shown};
use crate::vector::storage::Storage;
use std::ops::RangeInclusive;

/// The tokenizer of words where none is asked for: `doors` is found by `door`, and words that are not English stay
/// as FTS5's default tokenizer has them, but for such endings. Measured: docs/BENCHMARKS.md.
macro_rules! tokenize {
    () => {
        "porter unicode61"
    };
}

/// Every option, with what it takes.
pub const KNOWN: &str = concat!(
    "content (the name of a table or view, or ''), content_rowid (a column of it), \
                     model (a model's name), triggers ('on' or 'off'), catchup (0 to 100000), \
                     chunk_tokens (8 to 1000000), overlap (0 or more, less than chunk_tokens), \
                     storage ('f32', 'f16' or 'int8'), words ('on', 'off' or the name of an FTS5 table), \
                     words_tokenize (what FTS5 takes as tokenize, '",
    tokenize!(),
    "' unless given)"
);

const CATCHUP: RangeInclusive<usize> = 0..=100_000;
/// What `chunk_tokens` may be.
pub const CHUNK_TOKENS: RangeInclusive<usize> = 8..=1_000_000;
/// What `overlap` may be.
pub const OVERLAP: RangeInclusive<usize> = 0..=999_999;
const DEFAULT_CATCHUP: usize = 64;

/// The options that were given.
#[derive(Default)]
pub(super) struct Options {
    given: Vec<String>,
    content: Option<String>,
    content_rowid: Option<String>,
    model: Option<String>,
    triggers: Option<bool>,
    catchup: Option<usize>,
    chunk_tokens: Option<usize>,
    overlap: Option<usize>,
    storage: Option<Storage>,
    words: Option<String>,
    words_tokenize: Option<String>,
}

impl Options {
    /// One option; `words` stand behind its `=`.
    pub(super) fn set(&mut self, name: &str, words: Words<'_>) -> Result<()> {
        let key = name.to_ascii_lowercase();
        if self.given.contains(&key) {
            return Err(Error::invalid(format!("option {key} is given twice")));
        }
        let value = value(words).map_err(|e| e.at(format_args!("option {key}")))?;
        let number = |range: RangeInclusive<usize>| {
            let plain = value.bytes().all(|b| b.is_ascii_digit());
            let number = value.parse().ok().filter(|_| plain);
            number.filter(|n| range.contains(n))
        };
        let text = || (!value.is_empty()).then(|| value.clone());
        let taken = match key.as_str() {
            "content" => Some(value.clone()).map(|v| self.content = Some(v)),
            "content_rowid" => text().map(|v| self.content_rowid = Some(v)),
            "model" => Some(checked_model(&value)?).map(|v| self.model = Some(v)),
            "triggers" => switch(&value).map(|v| self.triggers = Some(v)),
            "catchup" => number(CATCHUP).map(|v| self.catchup = Some(v)),
            "chunk_tokens" => number(CHUNK_TOKENS).map(|v| self.chunk_tokens = Some(v)),
            "overlap" => number(OVERLAP).map(|v| self.overlap = Some(v)),
            "storage" => Storage::parse(&value.to_ascii_lowercase())
                .ok()
                .map(|v| self.storage = Some(v)),
            "words" => text().map(|v| self.words = Some(v)),
            "words_tokenize" => text().map(|v| self.words_tokenize = Some(v)),
            _ => {
                return Err(Error::invalid(format!(
                    "unknown option '{}'; known: {KNOWN}",
                    shown(name)
                )));
            }
        };
        taken.ok_or_else(|| {
            let value = shown(&value);
            Error::invalid(format!("option {key} is '{value}'; known: {KNOWN}"))
        })?;
        self.given.push(key);
        Ok(())
    }

    /// All of it, where it fits together.
    pub(super) fn with(self, columns: Vec<Column>) -> Result<Spec> {
        let content = match self.content {
            Some(name) if !name.is_empty() => ContentMode::External {
                name,
                key: self.content_rowid,
            },
            other => {
                let without = [
                    ("content_rowid", self.content_rowid.is_some()),
                    ("triggers", self.triggers.is_some()),
                ];
                if let Some((option, _)) = without.iter().find(|(_, given)| *given) {
                    return Err(Error::invalid(format!(
                        "option {option} is about the content table, and there is none; add content = 'the table' or leave {option} out"
                    )));
                }
                other.map_or(ContentMode::Own, |_| ContentMode::Contentless)
            }
        };
        let words = words(self.words, self.words_tokenize, &content, self.triggers)?;
        let most = self.chunk_tokens.unwrap_or(usize::MAX);
        if let Some(overlap) = self.overlap.filter(|overlap| *overlap >= most) {
            return Err(Error::invalid(format!(
                "option overlap is {overlap} and chunk_tokens {most}; known: {KNOWN}"
            )));
        }
        Ok(Spec {
            columns,
            content,
            model: self.model,
            triggers: self.triggers,
            catchup: self.catchup.unwrap_or(DEFAULT_CATCHUP),
            chunk_tokens: self.chunk_tokens,
            overlap: self.overlap,
            storage: self.storage.unwrap_or_default(),
            hidden: Vec::new(),
            words,
        })
    }
}

/// What `words` and `words_tokenize` mean beside the other options.
fn words(
    words: Option<String>,
    tokenize: Option<String>,
    content: &ContentMode,
    triggers: Option<bool>,
) -> Result<WordsMode> {
    let refused = |why: &str| Err(Error::invalid(why));
    let wanted = words.as_deref().map_or(Some(false), switch);
    if tokenize.is_some() && wanted != Some(true) {
        return refused(
            "option words_tokenize is about the FTS5 table that words=on makes; add words=on, or leave \
             words_tokenize out (an FTS5 table that words names has its own tokenizer)",
        );
    }
    match (wanted, words) {
        (None, Some(name)) => Ok(WordsMode::Named(name)),
        (Some(true), _) if *content == ContentMode::Contentless => refused(
            "option words is on, and an index without texts (content='') has no words to keep; leave one of \
             the two out, or make an FTS5 table with the same rowids and name it: words='its name'",
        ),
        (Some(true), _) if triggers == Some(false) => refused(
            "option words is on, and words are kept in step by triggers, which triggers=off rules out; leave \
             one of the two out, or keep an FTS5 table in step yourself and name it: words='its name'",
        ),
        (Some(true), _) => Ok(WordsMode::Kept {
            tokenize: tokenize.unwrap_or_else(|| tokenize!().to_owned()),
        }),
        _ => Ok(WordsMode::Off),
    }
}

/// A value, bare or in quotes, with nothing behind it.
fn value(mut words: Words<'_>) -> Result<String> {
    words.skip_blanks()?;
    let bare = words.take_while(|c| is_name(c) || matches!(c, '.' | '-' | '+'));
    let value = match bare {
        "" => match words.next()? {
            Some(Word::Quoted(value)) => Some(value),
            _ => None,
        },
        bare => Some(bare.to_owned()),
    };
    let alone = words.next()?.is_none();
    value.filter(|_| alone).ok_or_else(|| {
        Error::invalid(format!(
            "expected one value behind =, bare or in quotes; known: {KNOWN}"
        ))
    })
}

fn switch(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "on" | "1" | "true" => Some(true),
        "off" | "0" | "false" => Some(false),
        _ => None,
    }
}

fn checked_model(name: &str) -> Result<String> {
    check_name(name).map_err(|e| Error::invalid(format!("{e}; known: {KNOWN}")))?;
    Ok(name.to_owned())
}
