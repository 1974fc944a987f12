//! Text -> token ids, with the model's own `tokenizer.json`. The only file that names `tokenizers`.
//!
//! A BERT tokenizer looks at one word at a time, so a long text is read in *windows* cut where two
//! words meet: truncation stops as soon as the model is full, counting needs little memory, and
//! both can be interrupted. Other tokenizers (the SentencePiece one of bge-m3) read a text whole.
//! The special tokens are put around the ids here, as the tokenizer's own template would.

use super::config::ModelConfig;
use super::stop::Stop;
use crate::error::{Error, Result};
use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, Tokenizer as HfTokenizer};

/// A model's tokenizer and the specials it puts around a text.
pub struct Tokenizer {
    inner: HfTokenizer,
    prefix: Vec<u32>,
    suffix: Vec<u32>,
    max_length: usize,
    /// The bytes before which a text may be cut; `None`: never.
    cuts: Option<[bool; 128]>,
}

/// Text read between two looks at the clock, in bytes.
const COUNT_WINDOW: usize = 64 << 10;

impl Tokenizer {
    /// Loads `tokenizer.json` of a model folder.
    ///
    /// # Errors
    /// A file that cannot be read, a vocabulary that is not the model's, a template that does more
    /// than put special tokens around the text.
    pub fn load(config: &ModelConfig) -> Result<Self> {
        let path = config.tokenizer.display();
        let mut inner = HfTokenizer::from_file(&config.tokenizer)
            .map_err(|e| Error::invalid(format!("{path} cannot be read as a tokenizer: {e}")))?;
        inner.with_padding(None);
        inner
            .with_truncation(None)
            .map_err(|e| Error::invalid(format!("{path}: {e}")))?;
        check_vocabulary(&inner, config)?;
        let (prefix, suffix) = specials(&inner).map_err(|e| e.at(path))?;
        Ok(Tokenizer {
            cuts: safe_cuts(&inner),
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
        // Eight bytes a token are more than texts need: most long texts are cut in one window.
        let content = self.content(text, room, room * 8, stop)?;
        let ids = self.prefix.iter().chain(&content).chain(&self.suffix);
        Ok(ids.map(|&id| i64::from(id)).collect())
    }

    /// The number of tokens without truncation, specials included.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn count(&self, text: &str, stop: &dyn Stop) -> Result<usize> {
        let mut tokens = self.specials();
        for window in windows(text, COUNT_WINDOW, self.cuts.as_ref()) {
            stop.check()?;
            tokens += self.ids(window)?.len();
        }
        Ok(tokens)
    }

    fn specials(&self) -> usize {
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

/// Cuts a text into pieces of at least `size` bytes (and one), each cut before a byte that allows it.
fn windows<'a>(
    text: &'a str,
    size: usize,
    cuts: Option<&'a [bool; 128]>,
) -> impl Iterator<Item = &'a str> {
    let size = size.max(1);
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let may_cut = |b: &u8| cuts.is_some_and(|cuts| b.is_ascii() && cuts[usize::from(*b)]);
        let cut = text
            .as_bytes()
            .iter()
            .skip(size)
            .position(may_cut)
            .map(|at| at + size);
        // A cut is before an ASCII byte, so it is a character's border.
        let (window, after) = cut.map_or((text, None), |at| (&text[..at], Some(&text[at..])));
        rest = after;
        Some(window)
    })
}

/// Where a BERT tokenizer's words end for sure: before white space, and before punctuation that is
/// part of no added token (`[MASK]` must stay whole).
///
/// Cutting *before* the byte keeps combining marks with what they follow. Added tokens that depend
/// on their neighbours rule cutting out.
fn safe_cuts(tokenizer: &HfTokenizer) -> Option<[bool; 128]> {
    let bert = matches!(
        tokenizer.get_pre_tokenizer(),
        Some(PreTokenizerWrapper::BertPreTokenizer(_))
    ) && matches!(
        tokenizer.get_normalizer(),
        None | Some(NormalizerWrapper::BertNormalizer(_))
    );
    let added: Vec<AddedToken> = tokenizer.get_added_tokens_decoder().into_values().collect();
    let fragile = |t: &AddedToken| t.single_word || t.content.contains(char::is_whitespace);
    if !bert || added.iter().any(fragile) {
        return None;
    }
    let mut cuts = [false; 128];
    for byte in 0..128u8 {
        let whole = added.iter().all(|t| !t.content.as_bytes().contains(&byte));
        let ends_word = matches!(byte, b' ' | b'\n' | b'\r' | b'\t') || byte.is_ascii_punctuation();
        cuts[usize::from(byte)] = whole && ends_word;
    }
    Some(cuts)
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
fn check_vocabulary(tokenizer: &HfTokenizer, config: &ModelConfig) -> Result<()> {
    let vocabulary = tokenizer.get_vocab(true);
    let ids = vocabulary.values().max().map_or(0, |&max| max as usize + 1);
    if ids <= config.vocab_size && ids + 1024 > config.vocab_size {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{} has {ids} token ids, but config.json beside it says vocab_size {}; \
         the tokenizer belongs to another model: get both from the same folder",
        config.tokenizer.display(),
        config.vocab_size
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_lose_nothing_and_cut_only_where_allowed() {
        let mut cuts = [false; 128];
        cuts[usize::from(b' ')] = true;
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
    }
}
