//! A stretch of text without a place to cut it, read piece by piece: megabytes of letters, of combining
//! marks, of emoji.
//!
//! BERT's normalizer and pre-tokenizer look at one character at a time (the order of combining marks aside,
//! which only moves those that are removed, or make a word unknown). So a piece can be cut anywhere, if
//! the word at its end goes on in the next one. WordPiece takes a word above `max_input_chars_per_word` for
//! `[UNK]` whatever it says: of such a word only so many characters and one more are kept.

use crate::error::{Error, Result};
use tokenizers::{
    AddedToken, Model, ModelWrapper, NormalizedString, Normalizer, OffsetReferential, OffsetType,
    PreTokenizedString, PreTokenizer, Tokenizer,
};

/// Bytes read at a time.
pub const PIECE: usize = 8 << 10;

/// Whether a tokenizer's added tokens can begin only where a text may be cut, and its words are
/// WordPiece's: then [`LongWord`] gives the tokens that it would give itself.
pub fn can_be_read(tokenizer: &Tokenizer, may_be_cut: impl Fn(char) -> bool) -> bool {
    let plain = |t: &AddedToken| !t.normalized && t.content.chars().next().is_some_and(&may_be_cut);
    let added = tokenizer.get_added_tokens_decoder();
    matches!(tokenizer.get_model(), ModelWrapper::WordPiece(_)) && added.values().all(plain)
}

/// See the module.
pub struct LongWord<'t> {
    tokenizer: &'t Tokenizer,
    /// The most characters of a word that has tokens of its own.
    longest: usize,
    /// The beginning of the word that is not ended yet, in `longest + 1` characters at most.
    word: String,
    chars: usize,
    /// Its last character so far.
    last: Option<char>,
}

impl<'t> LongWord<'t> {
    /// At the begin of a stretch.
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        let longest = match tokenizer.get_model() {
            ModelWrapper::WordPiece(model) => model.max_input_chars_per_word,
            _ => usize::MAX,
        };
        LongWord {
            tokenizer,
            longest,
            word: String::new(),
            chars: 0,
            last: None,
        }
    }

    /// The added token that the stretch begins with, if it does: its id and its bytes.
    pub fn added_token(&self, stretch: &str) -> Option<(u32, usize)> {
        let added = self.tokenizer.get_added_tokens_decoder().into_iter();
        let begins = added.filter(|(_, token)| stretch.starts_with(&token.content));
        let longest = begins.max_by_key(|(_, token)| token.content.len());
        longest.map(|(id, token)| (id, token.content.len()))
    }

    /// Reads the next piece; gives the ids of the words that have ended.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn read(&mut self, piece: &str, ids: &mut Vec<u32>) -> Result<()> {
        let mut normalized = NormalizedString::from(piece);
        if let Some(normalizer) = self.tokenizer.get_normalizer() {
            normalizer.normalize(&mut normalized).map_err(failed)?;
        }
        let blank_before = normalized.get().starts_with(char::is_whitespace);
        let blank_behind = normalized.get().ends_with(char::is_whitespace);
        let mut words = PreTokenizedString::from(normalized);
        self.split(&mut words)?;
        let words = words.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
        for (n, (word, ..)) in words.into_iter().enumerate() {
            // Only the first word can be the rest of the one before.
            if n > 0 || blank_before || !self.goes_on(word)? {
                self.end(ids)?;
            }
            self.add(word);
        }
        if blank_behind {
            self.end(ids)?;
        }
        Ok(())
    }

    /// Ends the stretch: gives the ids of its last word.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn end(&mut self, ids: &mut Vec<u32>) -> Result<()> {
        if !self.word.is_empty() {
            let tokens = self.tokenizer.get_model().tokenize(&self.word);
            ids.extend(tokens.map_err(failed)?.iter().map(|token| token.id));
        }
        self.word.clear();
        (self.chars, self.last) = (0, None);
        Ok(())
    }

    /// Whether the word that is open and the first one of a piece are one.
    fn goes_on(&self, word: &str) -> Result<bool> {
        let (Some(last), Some(next)) = (self.last, word.chars().next()) else {
            return Ok(false);
        };
        let mut both = PreTokenizedString::from(String::from_iter([last, next]));
        self.split(&mut both)?;
        let parts = both.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
        Ok(parts.len() == 1)
    }

    fn split(&self, words: &mut PreTokenizedString) -> Result<()> {
        match self.tokenizer.get_pre_tokenizer() {
            Some(pre_tokenizer) => pre_tokenizer.pre_tokenize(words).map_err(failed),
            None => Ok(()),
        }
    }

    fn add(&mut self, word: &str) {
        self.last = word.chars().next_back().or(self.last);
        for c in word.chars() {
            if self.chars > self.longest {
                break;
            }
            self.word.push(c);
            self.chars += 1;
        }
    }
}

fn failed(error: tokenizers::Error) -> Error {
    Error::invalid(format!("the tokenizer failed: {error}"))
}
