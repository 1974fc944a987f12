//! Text -> token ids, with the model's own `tokenizer.json`. The only file that names `tokenizers`.
//!
//! A BERT tokenizer looks at one word at a time, so a long text is read in *windows* cut where two
//! words meet: truncation stops as soon as the model is full, counting needs little memory, and
//! both can be interrupted. Other tokenizers (the SentencePiece one of bge-m3) read a text whole.
//! The special tokens are put around the ids here, as the tokenizer's own template would.

use crate::engine::models::config::ModelConfig;
use crate::engine::models::files::ModelFiles;
use crate::engine::stop::Stop;
use crate::engine::text::cuts::Cuts;
use crate::engine::text::long_word::{self, LongWord};
use crate::engine::text::piece::cut_anywhere;
use crate::error::{Error, Result};
use std::path::Path;
use tokenizers::{ModelWrapper, Tokenizer as HfTokenizer};

/// A model's tokenizer and the specials it puts around a text.
pub struct Tokenizer {
    inner: HfTokenizer,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    max_length: usize,
    /// Where a text may be cut; `None`: nowhere.
    cuts: Option<Cuts>,
    /// Whether a word that is longer than a window can be read in pieces.
    reads_long_words: bool,
}

/// Text read between two looks at the clock, in bytes: some five milliseconds of work.
const WINDOW: usize = 16 << 10;

/// A text up to so many bytes is read whole by a tokenizer that looks beyond words.
const WHOLE: usize = 256 << 10;

/// More than any text needs a token, blanks and runs of one letter aside.
const MOST_BYTES_A_TOKEN: usize = 64;

/// The longest word, in characters, that a model may want to have tokens: those of BGE have 100. The work
/// on a word grows with its third power.
const LONGEST_WORD: usize = 256;

impl Tokenizer {
    /// Loads the `tokenizer.json` of a model.
    ///
    /// # Errors
    /// A file that cannot be read, a vocabulary that is not the model's, a template that does more
    /// than put special tokens around the text.
    pub fn load(files: &ModelFiles, config: &ModelConfig) -> Result<Self> {
        Self::from_json(&files.tokenizer_json()?, files.tokenizer(), config)
    }

    /// Makes one of the JSON in a file of this name.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_json(json: &[u8], file: &Path, config: &ModelConfig) -> Result<Self> {
        let path = file.display();
        let mut inner = HfTokenizer::from_bytes(json)
            .map_err(|e| Error::invalid(format!("{path} cannot be read as a tokenizer: {e}")))?;
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| Error::invalid(format!("{path}: {e}")))?;
        check_vocabulary(&inner, config, file)?;
        check_longest_word(&inner).map_err(|e| e.at(&path))?;
        let (prefix, suffix) = specials(&inner).map_err(|e| e.at(&path))?;
        let cuts = Cuts::of(&inner);
        Ok(Tokenizer {
            reads_long_words: cuts
                .as_ref()
                .is_some_and(|cuts| long_word::can_be_read(&inner, |c| cuts.allow(c))),
            cuts,
            max_length: config.max_length,
            inner,
            prefix,
            suffix,
        })
    }

    /// Token ids as the model sees them: specials included, truncated to the model's limit.
    ///
    /// # Errors
    /// An interruption, or the tokenizer's own.
    pub fn encode(&self, text: &str, stop: &dyn Stop) -> Result<Vec<i64>> {
        let content = self.content(text, self.max_length - self.specials(), stop)?;
        Ok(self.with_specials(&content))
    }

    /// The first `room` token ids of a text, without specials.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub(super) fn content(&self, text: &str, room: usize, stop: &dyn Stop) -> Result<Vec<u32>> {
        let mut content = Vec::new();
        // Eight bytes a token are more than texts need: most long texts are cut in one window. What is read
        // whole is read a little further, for its first tokens to be right.
        let bytes_a_token = if self.cuts.is_some() {
            8
        } else {
            MOST_BYTES_A_TOKEN
        };
        self.read(text, room * bytes_a_token, stop, &mut |ids| {
            content.extend(ids.iter().take(room - content.len()));
            content.len() < room
        })?;
        Ok(content)
    }

    /// Two texts as the tokenizer's own template puts them together: ids with specials, and the type of
    /// each.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub(super) fn whole_pair(&self, first: &str, second: &str) -> Result<(Vec<u32>, Vec<u32>)> {
        let encoding = self
            .inner
            .encode_fast((first, second), true)
            .map_err(|e| Error::invalid(format!("the tokenizer failed: {e}")))?;
        Ok((
            encoding.get_ids().to_vec(),
            encoding.get_type_ids().to_vec(),
        ))
    }

    fn with_specials(&self, content: &[u32]) -> Vec<i64> {
        let ids = self.prefix.iter().chain(content).chain(&self.suffix);
        ids.map(|&id| i64::from(id)).collect()
    }

    /// The number of tokens without truncation, specials included.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn count(&self, text: &str, stop: &dyn Stop) -> Result<usize> {
        let mut tokens = self.specials();
        let window = if self.cuts.is_some() { WINDOW } else { WHOLE };
        self.read(text, window, stop, &mut |ids| {
            tokens += ids.len();
            true
        })?;
        Ok(tokens)
    }

    /// Where the tokens of a piece of text begin, in bytes; without specials. Reads it whole.
    ///
    /// # Errors
    /// The tokenizer's own.
    pub fn starts(&self, text: &str) -> Result<Vec<usize>> {
        // `encode_fast` keeps no offsets; those of `encode` are bytes of the text as it came.
        let encoding = self
            .inner
            .encode(text, false)
            .map_err(|e| Error::invalid(format!("the tokenizer failed: {e}")))?;
        let starts = encoding.get_offsets().iter().map(|&(start, _)| start);
        Ok(starts.collect())
    }

    /// The most tokens of one text, specials included.
    pub(crate) fn max_length(&self) -> usize {
        self.max_length
    }

    /// The special tokens around a text.
    pub(crate) fn specials(&self) -> usize {
        self.prefix.len() + self.suffix.len()
    }

    /// Reads a text in windows of about `size` bytes, and gives the ids of each, without specials, until
    /// told that there are enough.
    fn read(
        &self,
        text: &str,
        size: usize,
        stop: &dyn Stop,
        take: &mut dyn FnMut(&[u32]) -> bool,
    ) -> Result<()> {
        let mut at = 0;
        while at < text.len() {
            if at > 0 {
                stop.check()?;
            }
            let rest = &text[at..];
            let enough = match self.window(rest, size) {
                Some(end) => {
                    at += end;
                    !take(&self.ids(&rest[..end])?)
                }
                None => {
                    let (bytes, enough) = self.read_long_word(rest, stop, take)?;
                    at += bytes;
                    enough
                }
            };
            if enough {
                break;
            }
        }
        Ok(())
    }

    /// Where the window at the begin of a text ends. `None`: in the middle of a long word.
    fn window(&self, text: &str, size: usize) -> Option<usize> {
        let all = Some(text.len());
        if text.len() <= size {
            return all;
        }
        let ends_soon = text.len() <= size + WINDOW;
        let Some(cuts) = &self.cuts else {
            return if ends_soon {
                all
            } else {
                Some(cut_anywhere(text, size))
            };
        };
        match cuts.first(text, size, size + WINDOW) {
            None if ends_soon => all,
            None if self.reads_long_words => cuts.last(text, size),
            None => cuts
                .last(text, size)
                .or_else(|| Some(cut_anywhere(text, size))),
            place => place,
        }
    }

    /// Reads up to the first place where the text may be cut: the bytes that were read, and whether there
    /// are enough ids.
    fn read_long_word(
        &self,
        text: &str,
        stop: &dyn Stop,
        take: &mut dyn FnMut(&[u32]) -> bool,
    ) -> Result<(usize, bool)> {
        let mut word = LongWord::new(&self.inner);
        let (mut at, mut ids) = (0, Vec::new());
        if let Some((id, bytes)) = word.added_token(text) {
            ids.push(id);
            at = bytes;
        }
        let mut ended = false;
        while !ended && at < text.len() {
            stop.check()?;
            let end = text.floor_char_boundary(at + long_word::PIECE);
            let cut = self
                .cuts
                .as_ref()
                .and_then(|cuts| cuts.first(text, at, end));
            ended = cut.is_some();
            let end = cut.unwrap_or(end);
            word.read(&text[at..end], &mut ids)?;
            at = end;
            if !ids.is_empty() && !take(&std::mem::take(&mut ids)) {
                return Ok((at, true));
            }
        }
        word.end(&mut ids)?;
        Ok((at, !take(&ids)))
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|e| Error::invalid(format!("the tokenizer failed: {e}")))?;
        Ok(encoding.get_ids().to_vec())
    }
}

/// The ids before and after a text, seen by encoding a probe with and without them.
fn specials(tokenizer: &HfTokenizer) -> Result<(Vec<u32>, Vec<u32>)> {
    let ids = |special| {
        let encoding = tokenizer
            .encode_fast("a", special)
            .map_err(|e| Error::invalid(format!("the tokenizer failed on a probe: {e}")))?;
        Ok((
            encoding.get_ids().to_vec(),
            encoding.get_type_ids().to_vec(),
        ))
    };
    let (bare, _) = ids(false)?;
    let (full, types) = ids(true)?;
    let at = full.windows(bare.len().max(1)).position(|w| w == bare);
    match at {
        Some(at) if !bare.is_empty() && types.iter().all(|&t| t == 0) => {
            Ok((full[..at].to_vec(), full[at + bare.len()..].to_vec()))
        }
        _ => Err(Error::invalid(
            "its post-processor does more than put special tokens around one text; \
             expected a template like [CLS] $A [SEP]",
        )),
    }
}

/// What the file asks for must not make one word the work of minutes.
fn check_longest_word(tokenizer: &HfTokenizer) -> Result<()> {
    match tokenizer.get_model() {
        ModelWrapper::WordPiece(model) if model.max_input_chars_per_word > LONGEST_WORD => {
            Err(Error::invalid(format!(
                "max_input_chars_per_word is {}, expected at most {LONGEST_WORD}",
                model.max_input_chars_per_word
            )))
        }
        _ => Ok(()),
    }
}

/// Ids at or above `vocab_size` would be refused by the runtime at some later text, or worse; far
/// fewer ids mean another model's tokenizer. (Some models pad their table by up to some hundred.)
fn check_vocabulary(tokenizer: &HfTokenizer, config: &ModelConfig, file: &Path) -> Result<()> {
    let vocabulary = tokenizer.get_vocab(true);
    let ids = vocabulary.values().max().map_or(0, |&max| max as usize + 1);
    if ids <= config.vocab_size && ids + 1024 > config.vocab_size {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} has {ids} token ids, but config.json beside it says vocab_size {}; \
         the tokenizer belongs to another model: get both from the same folder",
        file.display(),
        config.vocab_size
    )))
}
