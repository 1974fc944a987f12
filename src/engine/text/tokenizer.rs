//! Text -> token ids, with the model's own `tokenizer.json`. The only file that names `tokenizers`.
//!
//! A BERT tokenizer looks at one word at a time, so a long text is read in *windows* cut where two
//! words meet: truncation stops as soon as the model is full, counting needs little memory, and
//! both can be interrupted. Other tokenizers (the SentencePiece one of bge-m3) read a text whole.
//! The special tokens are put around the ids here, as the tokenizer's own template would.

use crate::engine::models::config::ModelConfig;
use crate::engine::stop::Stop;
use crate::error::{Error, Result};
use std::path::Path;
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, Tokenizer as HfTokenizer};

/// A model's tokenizer and the specials it puts around a text.
pub struct Tokenizer {
    inner: HfTokenizer,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    max_length: usize,
    /// Where a text may be cut; `None`: nowhere.
    cuts: Option<Cuts>,
}

/// Text read between two looks at the clock, in bytes.
const COUNT_WINDOW: usize = 64 << 10;

/// More than any text needs a token, blanks and runs of one letter aside (those are read whole).
const MOST_BYTES_A_TOKEN: usize = 64;

impl Tokenizer {
    /// Loads a `tokenizer.json`.
    ///
    /// # Errors
    /// A file that cannot be read, a vocabulary that is not the model's, a template that does more
    /// than put special tokens around the text.
    pub fn load(file: &Path, config: &ModelConfig) -> Result<Self> {
        let path = file.display();
        let mut inner = HfTokenizer::from_file(file)
            .map_err(|e| Error::invalid(format!("{path} cannot be read as a tokenizer: {e}")))?;
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| Error::invalid(format!("{path}: {e}")))?;
        check_vocabulary(&inner, config, file)?;
        let (prefix, suffix) = specials(&inner).map_err(|e| e.at(path))?;
        Ok(Tokenizer {
            cuts: Cuts::of(&inner),
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
        let room = self.max_length - self.specials();
        if self.cuts.is_none() && text.len() > room * MOST_BYTES_A_TOKEN {
            // Read whole, a text of megabytes would cost seconds and gigabytes for its first tokens.
            let end = text.floor_char_boundary(room * MOST_BYTES_A_TOKEN);
            let end = text[..end].rfind(char::is_whitespace).unwrap_or(end);
            let ids = self.ids(&text[..end])?;
            if ids.len() > room {
                return Ok(self.with_specials(&ids[..room]));
            }
        }
        // Eight bytes a token are more than texts need: most long texts are cut in one window.
        let content = self.content(text, room, room * 8, stop)?;
        Ok(self.with_specials(&content))
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
        for (i, window) in windows(text, COUNT_WINDOW, self.cuts.as_ref()).enumerate() {
            if i > 0 {
                stop.check()?;
            }
            tokens += self.ids(window)?.len();
        }
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

    /// The first `room` ids of the text, without specials.
    fn content(&self, text: &str, room: usize, window: usize, stop: &dyn Stop) -> Result<Vec<u32>> {
        let mut content = Vec::new();
        for (i, window) in windows(text, window, self.cuts.as_ref()).enumerate() {
            if i > 0 {
                stop.check()?;
            }
            content.extend(self.ids(window)?);
            if content.len() >= room {
                content.truncate(room);
                break;
            }
        }
        Ok(content)
    }

    fn ids(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|e| Error::invalid(format!("the tokenizer failed: {e}")))?;
        Ok(encoding.get_ids().to_vec())
    }
}

/// Cuts a text into pieces of at least `size` bytes (and one), each cut before a character that allows it.
fn windows<'a>(
    text: &'a str,
    size: usize,
    cuts: Option<&'a Cuts>,
) -> impl Iterator<Item = &'a str> {
    let size = size.max(1);
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let from = text.ceil_char_boundary(size);
        let cut = cuts.and_then(|cuts| text[from..].find(|c| cuts.allow(c)));
        let (window, after) = cut.map_or((text, None), |at| {
            (&text[..from + at], Some(&text[from + at..]))
        });
        rest = after;
        Some(window)
    })
}

/// Where a BERT tokenizer's words end for sure: before white space, before punctuation that is part
/// of no added token (`[MASK]` must stay whole), and before an ideograph.
///
/// Cutting *before* the character keeps combining marks with what they follow.
struct Cuts {
    ascii: [bool; 128],
    ideographs: bool,
}

impl Cuts {
    /// `None` for a tokenizer that looks beyond words, or whose added tokens depend on their
    /// neighbours.
    fn of(tokenizer: &HfTokenizer) -> Option<Self> {
        let ideographs = match tokenizer.get_normalizer() {
            None => false,
            Some(NormalizerWrapper::BertNormalizer(bert)) => bert.handle_chinese_chars,
            Some(_) => return None,
        };
        let by_words = matches!(
            tokenizer.get_pre_tokenizer(),
            Some(PreTokenizerWrapper::BertPreTokenizer(_))
        );
        let added: Vec<AddedToken> = tokenizer.get_added_tokens_decoder().into_values().collect();
        let fragile = |t: &AddedToken| {
            t.single_word || !t.content.is_ascii() || t.content.contains(char::is_whitespace)
        };
        if !by_words || added.iter().any(fragile) {
            return None;
        }
        let mut ascii = [false; 128];
        for byte in 0..128u8 {
            let whole = added.iter().all(|t| !t.content.as_bytes().contains(&byte));
            let ends_word =
                matches!(byte, b' ' | b'\n' | b'\r' | b'\t') || byte.is_ascii_punctuation();
            ascii[usize::from(byte)] = whole && ends_word;
        }
        Some(Cuts { ascii, ideographs })
    }

    fn allow(&self, c: char) -> bool {
        match c as u32 {
            ascii @ 0..=127 => self.ascii[ascii as usize],
            // CJK Unified Ideographs and extension A, which the normalizer puts spaces around.
            0x3400..=0x4dbf | 0x4e00..=0x9fff => self.ideographs,
            // IDEOGRAPHIC SPACE
            0x3000 => true,
            _ => false,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lose_nothing_and_cut_only_where_allowed() {
        let mut ascii = [false; 128];
        ascii[usize::from(b' ')] = true;
        let cuts = Cuts {
            ascii,
            ideographs: true,
        };
        let text = "äö üß abc def é".repeat(20);
        for size in [0, 1, 2, 3, 10, 1000] {
            let parts: Vec<&str> = windows(&text, size, Some(&cuts)).collect();
            assert_eq!(parts.concat(), text);
            assert!(parts[1..].iter().all(|p| p.starts_with(' ')));
            assert!(
                parts[..parts.len() - 1]
                    .iter()
                    .all(|p| p.len() >= size.max(1))
            );
        }
        assert_eq!(windows(&text, 1, None).count(), 1);
        assert_eq!(windows("", 5, Some(&cuts)).collect::<Vec<_>>(), [""]);
        let chinese = "我喜欢机器学习".repeat(100);
        assert_eq!(windows(&chinese, 30, Some(&cuts)).count(), 70);
    }
}
