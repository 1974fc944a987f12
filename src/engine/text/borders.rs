//! Where a stretch of text may be cut: the borders of paragraphs, sentences, lines and words in it, by
//! the rules of Unicode (UAX 29). Pure; knows nothing of tokens.

use crate::engine::stop::Stop;
use crate::engine::text::piece::piece;
use crate::error::Result;
use crate::memory::{reserved, reserved_text};
use std::ops::Range;
use unicode_segmentation::UnicodeSegmentation;

/// The first place from `at` on that is not white space.
pub fn skip_space(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

/// Bytes behind a place that may decide whether a sentence ends there.
const AHEAD: usize = 64;

/// Bytes in which sentences are looked for at once: the search for the letter that follows a full
/// stop makes `unicode-segmentation` quadratic on texts like `.))))))`.
const SENTENCES: usize = 1 << 10;

/// How good a place is for a cut.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Border {
    /// Inside what readers take for one character, or inside a character.
    None,
    /// Inside a word.
    Character,
    /// Between a word and the punctuation behind it.
    Punctuation,
    Word,
    /// A line's end. Not a sentence's: texts are wrapped inside sentences.
    Line,
    Sentence,
    /// A blank line.
    Paragraph,
}

/// The borders of a stretch of text.
pub struct Borders {
    start: usize,
    /// One for each byte of the stretch, and the one behind it.
    ranks: Vec<Border>,
}

impl Borders {
    pub fn find(text: &str, start: usize, limit: usize, stop: &dyn Stop) -> Result<Self> {
        let mut ranks = reserved(limit - start + 1)?;
        ranks.resize(limit - start + 1, Border::None);
        let mut borders = Borders { start, ranks };
        let seen = &text[..text.ceil_char_boundary(limit + AHEAD)];
        let mut at = start;
        while at < limit {
            stop.check()?;
            let piece = piece(seen, at);
            at = piece.end;
            borders.words(seen, piece);
        }
        borders.sentences(&seen[start..], stop)?;
        borders.lines(&text[start..text.ceil_char_boundary(limit + 1)]);
        Ok(borders)
    }

    fn rank(&self, at: usize) -> Border {
        self.ranks
            .get(at - self.start)
            .copied()
            .unwrap_or(Border::None)
    }

    /// Only places between whole characters are raised: segmenters differ on a few.
    fn raise(&mut self, at: usize, border: Border) {
        match self.ranks.get_mut(at - self.start) {
            Some(rank) if *rank >= Border::Character => *rank = border.max(*rank),
            _ => {}
        }
    }

    fn words(&mut self, text: &str, piece: Range<usize>) {
        let part = &text[piece.clone()];
        for (i, _) in part.grapheme_indices(true) {
            if let Some(rank) = self.ranks.get_mut(piece.start + i - self.start) {
                *rank = Border::Character;
            }
        }
        for (i, word) in part.split_word_bound_indices() {
            let at = piece.start + i;
            let before = text[..at].chars().next_back();
            let border = if before.is_some_and(char::is_whitespace) {
                Border::Word
            } else if i == 0 {
                // A piece may start inside a word.
                Border::Character
            } else if word.starts_with(is_punctuation) {
                Border::Punctuation
            } else {
                Border::Word
            };
            self.raise(at, border);
        }
    }

    /// Sentences of `text`, which is the stretch and a little more.
    fn sentences(&mut self, text: &str, stop: &dyn Stop) -> Result<()> {
        // To the segmenter each line is a sentence.
        let mut flat = reserved_text(text.len())?;
        for c in text.chars() {
            if breaks_line(c) {
                flat.extend(std::iter::repeat_n(' ', c.len_utf8()));
            } else {
                flat.push(c);
            }
        }
        let mut at = 0;
        while at < flat.len() {
            stop.check()?;
            let end = flat.floor_char_boundary(at + SENTENCES);
            // Borders near the end may look otherwise with what follows: they are for next time.
            let sure = if end == flat.len() {
                end
            } else {
                flat.floor_char_boundary(end - AHEAD)
            };
            let mut next = sure;
            for (i, sentence) in flat[at..end].split_sentence_bound_indices() {
                let border = at + i + sentence.len();
                if border > sure {
                    break;
                }
                self.raise(self.start + border, Border::Sentence);
                next = border;
            }
            at = if end == flat.len() { end } else { next };
        }
        Ok(())
    }

    fn lines(&mut self, text: &str) {
        let mut breaks = 0;
        let mut before = ' ';
        for (i, c) in text.char_indices() {
            if breaks_line(c) {
                breaks += usize::from((before, c) != ('\r', '\n'));
            } else if !c.is_whitespace() {
                match std::mem::take(&mut breaks) {
                    0 => {}
                    1 => self.raise(self.start + i, Border::Line),
                    _ => self.raise(self.start + i, Border::Paragraph),
                }
            }
            before = c;
        }
    }

    /// Where sentences and paragraphs end, in order.
    pub fn sentence_ends(&self) -> impl Iterator<Item = usize> {
        let places = (self.start..).zip(&self.ranks).skip(1);
        places.filter_map(|(at, &rank)| (rank >= Border::Sentence).then_some(at))
    }

    /// The strongest border from `half` to `limit`, of these the last; else the last before it
    /// that is behind `after`.
    pub fn best(&self, after: usize, half: usize, limit: usize) -> Option<usize> {
        let places = |range: Range<usize>| range.filter(|&at| self.rank(at) >= Border::Punctuation);
        places(half.max(after + 1)..limit + 1)
            .max_by_key(|&at| (self.rank(at), at))
            .or_else(|| places(after + 1..half.min(limit + 1)).next_back())
    }

    /// The last place up to `limit` where a long word may be cut: between whole characters as
    /// readers see them, else inside one, but never before the first `char`.
    pub fn inside(&self, text: &str, limit: usize) -> usize {
        let whole = (self.start + 1..=limit)
            .rev()
            .find(|&at| self.rank(at) > Border::None);
        whole.unwrap_or_else(|| {
            let first = text.ceil_char_boundary(self.start + 1);
            text.floor_char_boundary(limit).max(first)
        })
    }

    /// The first place in `from..to` where a repetition may begin: a sentence if there is one.
    pub fn first(&self, from: usize, to: usize) -> Option<usize> {
        [Border::Sentence, Border::Line, Border::Word]
            .into_iter()
            .find_map(|least| (from..to).find(|&at| self.rank(at) >= least))
    }
}

fn breaks_line(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Punctuation of the scripts where words and their punctuation touch; need not be complete.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '\u{2010}'..='\u{205e}' | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{301f}')
        || matches!(c, '\u{ff01}'..='\u{ff0f}' | '\u{ff1a}'..='\u{ff20}' | '\u{ff3b}'..='\u{ff40}')
        || matches!(c, '\u{ff5b}'..='\u{ff65}')
}
