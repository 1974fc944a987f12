//! Cuts a text into passages that fit a model. Pure: asks [`Tokenizer`] for tokens, runs no model.
//!
//! From where a passage starts, [`Tokens`] says how far the model's tokens reach and [`Borders`]
//! where paragraphs, sentences and words meet in that stretch: the passage ends at the strongest
//! border of its second half. Tokens are read once for the whole text and are only an estimate (a
//! cut may lie inside what the tokenizer takes for one word), so every passage is counted again by
//! itself and made shorter where it has too many. All work goes in small pieces, each after a look
//! at [`Stop`], and reads every byte a fixed number of times, and again what is repeated.

use crate::engine::stop::Stop;
use crate::engine::text::borders::{Borders, skip_space};
use crate::engine::text::piece::piece;
use crate::engine::text::tokenizer::Tokenizer;
use crate::error::{Error, Result};
use crate::memory::reserve;
use std::collections::VecDeque;
use std::ops::Range;

/// A passage of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'t> {
    /// Its first character, counted from 0.
    pub start: usize,
    /// The character behind its last.
    pub stop: usize,
    /// Its tokens as [`Tokenizer::count`] counts them: specials included.
    pub tokens: usize,
    /// What it says: neither starts nor ends with white space.
    pub text: &'t str,
}

/// A [`Chunk`] without its text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Passage {
    pub start: usize,
    pub stop: usize,
    pub tokens: usize,
}

/// The passages of a text, one at a time: each has at most `max_tokens` (specials included) and
/// repeats at most the last `overlap` tokens of the one before. A blank text has one empty passage.
///
/// It keeps the text and where it is; the tokenizer is lent to each step.
pub struct Passages<T> {
    text: T,
    /// Its bytes without white space at its end.
    length: usize,
    room: usize,
    overlap: usize,
    tokens: Tokens,
    /// Where the next passage begins, in bytes and in characters.
    start: usize,
    chars: usize,
    /// What is left to say begins here; what lies between `start` and it is repeated.
    fresh: usize,
    done: bool,
}

impl<T: AsRef<str>> Passages<T> {
    /// # Errors
    /// `max_tokens` or `overlap` out of range.
    pub fn new(tokenizer: &Tokenizer, text: T, max_tokens: usize, overlap: usize) -> Result<Self> {
        let room = check(tokenizer, max_tokens, overlap)?;
        let trimmed = text.as_ref().trim_end();
        let start = skip_space(trimmed, 0);
        Ok(Passages {
            length: trimmed.len(),
            chars: trimmed[..start].chars().count(),
            text,
            room,
            overlap,
            tokens: Tokens::default(),
            start,
            fresh: start,
            done: false,
        })
    }

    /// The next passage: where it is in the text, in bytes, and what it is.
    ///
    /// # Errors
    /// A character that alone has more than `max_tokens`, an interruption, the tokenizer's own.
    pub fn next(
        &mut self,
        tokenizer: &Tokenizer,
        stop: &dyn Stop,
    ) -> Result<Option<(Range<usize>, Passage)>> {
        if self.done {
            return Ok(None);
        }
        let text = &self.text.as_ref()[..self.length];
        if text.is_empty() {
            self.done = true;
            let tokens = tokenizer.count(text, stop)?;
            return Ok(Some((
                0..0,
                Passage {
                    start: 0,
                    stop: 0,
                    tokens,
                },
            )));
        }
        let (room, overlap, tokens) = (self.room, self.overlap, &mut self.tokens);
        let mut splitter = Splitter {
            tokenizer,
            text,
            room,
            overlap,
            stop,
            tokens,
        };
        let end = loop {
            if let Some(end) = splitter.end(self.start, self.fresh, self.chars)? {
                break end;
            }
            // Beside what is repeated there is no room for the next word.
            self.chars += text[self.start..self.fresh].chars().count();
            self.start = self.fresh;
        };
        let range = self.start..end.stop;
        let passage = Passage {
            start: self.chars,
            stop: self.chars + text[range.clone()].chars().count(),
            tokens: end.tokens + tokenizer.specials(),
        };
        if end.cut == text.len() {
            self.done = true;
        } else {
            self.fresh = skip_space(text, end.cut);
            let next = splitter.repeat(self.start, &end)?.unwrap_or(self.fresh);
            self.chars += text[self.start..next].chars().count();
            self.start = next;
        }
        Ok(Some((range, passage)))
    }

    /// The text.
    pub fn text(&self) -> &str {
        self.text.as_ref()
    }
}

/// All passages of a text: see [`Passages`].
///
/// # Errors
/// As there.
pub fn split<'t>(
    tokenizer: &Tokenizer,
    text: &'t str,
    max_tokens: usize,
    overlap: usize,
    stop: &dyn Stop,
) -> Result<Vec<Chunk<'t>>> {
    let mut passages = Passages::new(tokenizer, text, max_tokens, overlap)?;
    let mut chunks = Vec::new();
    while let Some((range, passage)) = passages.next(tokenizer, stop)? {
        let Passage {
            start,
            stop,
            tokens,
        } = passage;
        reserve(&mut chunks, 1)?;
        chunks.push(Chunk {
            start,
            stop,
            tokens,
            text: &text[range],
        });
    }
    Ok(chunks)
}

/// The room for tokens without specials.
fn check(tokenizer: &Tokenizer, max_tokens: usize, overlap: usize) -> Result<usize> {
    let specials = tokenizer.specials();
    let longest = tokenizer.max_length();
    if !(specials + 1..=longest).contains(&max_tokens) {
        return Err(Error::invalid(format!(
            "max_tokens is {max_tokens}, expected {} to {longest} (the {specials} special tokens count)",
            specials + 1
        )));
    }
    let room = max_tokens - specials;
    if overlap >= room {
        return Err(Error::invalid(format!(
            "overlap is {overlap}, expected 0 to {}: less than max_tokens without the {specials} special tokens",
            room - 1
        )));
    }
    Ok(room)
}

struct Splitter<'a> {
    tokenizer: &'a Tokenizer,
    /// Without white space at its end.
    text: &'a str,
    /// Tokens of a passage without specials.
    room: usize,
    overlap: usize,
    stop: &'a dyn Stop,
    tokens: &'a mut Tokens,
}

/// Where a passage ends.
struct End {
    /// The border it was cut at.
    cut: usize,
    /// The end of its text: no white space before the cut.
    stop: usize,
    /// Its tokens without specials.
    tokens: usize,
    /// The borders inside it; none were looked for where it ends with the text.
    borders: Option<Borders>,
}

impl Splitter<'_> {
    /// Where a passage that starts at `start` ends, which must be behind `fresh`. `None`: only a
    /// passage without a repetition can end there. `chars` is the start in characters.
    fn end(&mut self, start: usize, fresh: usize, chars: usize) -> Result<Option<End>> {
        let (mut half, mut limit) = self.reach(start)?;
        let mut borders = None;
        let mut halve = false;
        loop {
            if borders.is_none() && limit < self.text.len() {
                borders = Some(Borders::find(self.text, start, limit, self.stop)?);
            }
            let cut = match &borders {
                None => Some(limit),
                Some(borders) => borders.best(fresh, half, limit).or_else(|| {
                    // A word is cut only where it is longer than a whole passage.
                    (fresh == start).then(|| borders.inside(self.text, limit))
                }),
            };
            let Some(cut) = cut else {
                return Ok(None);
            };
            let passage = self.text[start..cut].trim_end();
            let tokens = self.count(passage)?;
            if tokens <= self.room {
                return Ok(Some(End {
                    cut,
                    stop: start + passage.len(),
                    tokens,
                    borders,
                }));
            }
            if passage.chars().nth(1).is_none() {
                return Err(self.too_small(passage, chars, tokens));
            }
            let length = self.shorter(passage, halve)?;
            limit = self.text.floor_char_boundary(start + length);
            if limit <= half {
                half = start + (limit - start) / 2;
            }
            halve = true;
        }
    }

    /// A length for a passage that has too many tokens: read by itself it has others than inside
    /// the text. To end where its own are enough helps nearly always; to `halve` it ends the search.
    fn shorter(&self, passage: &str, halve: bool) -> Result<usize> {
        let most = if halve {
            passage.len() / 2
        } else {
            passage.len() - 1
        };
        let starts = self.tokenizer.starts(passage)?;
        Ok(starts.get(self.room).map_or(most, |&start| start.min(most)))
    }

    /// How far the room for tokens reaches from `start`: its middle, and the place that must not be
    /// passed. A rest that is hardly too long counts as fitting: pieces of a text may have a few
    /// tokens more than the whole, and the count tells.
    fn reach(&mut self, start: usize) -> Result<(usize, usize)> {
        let nearly = self.room + self.room / 16;
        self.tokens.drop_before(start);
        while self.tokens.starts.len() <= nearly && self.tokens.read < self.text.len() {
            self.stop.check()?;
            self.tokens.read_piece(self.text, self.tokenizer)?;
            self.tokens.drop_before(start);
        }
        let token = |n: usize| match self.tokens.starts.get(n) {
            // Some tokenizers count the space before a word to its first token.
            Some(&at) => skip_space(self.text, at),
            None => self.text.len(),
        };
        let fits = self.tokens.starts.len() <= nearly;
        let limit = if fits {
            self.text.len()
        } else {
            token(self.room)
        };
        Ok((token(self.room.div_ceil(2)), limit))
    }

    /// Where the next passage starts if it is to repeat the end of this one.
    fn repeat(&self, start: usize, end: &End) -> Result<Option<usize>> {
        let Some(borders) = end.borders.as_ref().filter(|_| self.overlap > 0) else {
            return Ok(None);
        };
        let starts = &self.tokens.starts;
        let tokens = starts.partition_point(|&at| at < end.stop);
        let first = starts.get(tokens.saturating_sub(self.overlap));
        let mut from = first.map_or(start + 1, |&first| first.max(start + 1));
        // The estimate is nearly always right; where it is not, the second or third is.
        for _ in 0..4 {
            let Some(at) = borders.first(from, end.stop) else {
                break;
            };
            let at = skip_space(self.text, at);
            let repeated = &self.text[at..end.stop];
            let tokens = self.count(repeated)?;
            if tokens <= self.overlap {
                return Ok(Some(at));
            }
            let starts = self.tokenizer.starts(repeated)?;
            let surplus = starts.get(tokens - self.overlap);
            from = at + surplus.map_or(1, |&start| start.max(1));
        }
        Ok(None)
    }

    /// Tokens without specials.
    fn count(&self, text: &str) -> Result<usize> {
        Ok(self.tokenizer.count(text, self.stop)? - self.tokenizer.specials())
    }

    fn too_small(&self, character: &str, at: usize, tokens: usize) -> Error {
        let specials = self.tokenizer.specials();
        let needed = tokens + specials;
        Error::invalid(format!(
            "max_tokens is {}, but the character '{character}' at {at} alone has {needed} tokens; \
             expected at least {needed}",
            self.room + specials,
        ))
    }
}

/// The tokens of the text, as far as they were read and are still needed.
#[derive(Default)]
struct Tokens {
    /// Where they begin, in bytes.
    starts: VecDeque<usize>,
    /// Bytes that were read.
    read: usize,
}

impl Tokens {
    fn read_piece(&mut self, text: &str, tokenizer: &Tokenizer) -> Result<()> {
        let piece = piece(text, self.read);
        self.read = piece.end;
        for at in tokenizer.starts(&text[piece.clone()])? {
            // Offsets go up; a normalizer that moves characters must not break the searches here.
            let least = self.starts.back().copied().unwrap_or(0);
            self.starts.push_back(least.max(piece.start + at));
        }
        Ok(())
    }

    fn drop_before(&mut self, at: usize) {
        let gone = self.starts.partition_point(|&start| start < at);
        self.starts.drain(..gone);
    }
}
