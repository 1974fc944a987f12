//! Where a text may be cut so that its pieces have, together, the tokens of the whole.
//!
//! A BERT tokenizer looks at one word at a time, so that is before a character that begins or ends a word
//! for sure: white space, punctuation, an ideograph. Cutting *before* the character keeps combining marks
//! with what they follow. No cut may lie inside an added token such as `[MASK]`, which is looked for in the
//! whole text.

use tokenizers::{AddedToken, NormalizerWrapper, PreTokenizerWrapper, Tokenizer};

/// The characters before which a text may be cut.
pub struct Cuts {
    ascii: [bool; 128],
    ideographs: bool,
}

impl Cuts {
    /// `None` for a tokenizer that looks beyond words, or whose added tokens depend on their
    /// neighbours.
    pub fn of(tokenizer: &Tokenizer) -> Option<Self> {
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
            let inside = |t: &AddedToken| t.content.bytes().skip(1).any(|b| b == byte);
            let ends_word =
                matches!(byte, b' ' | b'\n' | b'\r' | b'\t') || byte.is_ascii_punctuation();
            ascii[usize::from(byte)] = ends_word && !added.iter().any(inside);
        }
        Some(Cuts { ascii, ideographs })
    }

    /// Whether a text may be cut before this character. Knows the usual ones, not all.
    pub fn allow(&self, c: char) -> bool {
        match c as u32 {
            ascii @ 0..=127 => self.ascii[ascii as usize],
            // CJK Unified Ideographs and extension A, which the normalizer puts spaces around.
            0x3400..=0x4dbf | 0x4e00..=0x9fff => self.ideographs,
            // Spaces; not those that are control characters as well, which the normalizer removes.
            0xa0 | 0x2000..=0x200a | 0x2028 | 0x2029 | 0x202f | 0x205f | 0x3000 => true,
            // General punctuation without the mathematical signs in it.
            0x2010..=0x2027 | 0x2030..=0x2043 | 0x2045..=0x2051 | 0x2053..=0x205e => true,
            // Punctuation of East Asian texts.
            0x3001..=0x3003 | 0x3008..=0x3011 | 0x3014..=0x301f => true,
            0xff01..=0xff03 | 0xff05..=0xff0a | 0xff0c..=0xff0f | 0xff1a | 0xff1b | 0xff1f => true,
            0xff20 | 0xff3b..=0xff3d | 0xff3f | 0xff5b | 0xff5d | 0xff5f..=0xff65 => true,
            _ => false,
        }
    }

    /// The first place behind `from` and up to `to`, in bytes, where `text` may be cut.
    pub fn first(&self, text: &str, from: usize, to: usize) -> Option<usize> {
        let (from, to) = (text.ceil_char_boundary(from), text.ceil_char_boundary(to));
        let mut chars = text.get(from..to)?.char_indices();
        chars
            .find(|&(at, c)| from + at > 0 && self.allow(c))
            .map(|(at, _)| from + at)
    }

    /// The last place before `to`, in bytes, where `text` may be cut.
    pub fn last(&self, text: &str, to: usize) -> Option<usize> {
        let mut chars = text[..text.floor_char_boundary(to)].char_indices();
        chars
            .rfind(|&(at, c)| at > 0 && self.allow(c))
            .map(|(at, _)| at)
    }
}
