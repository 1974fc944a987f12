//! How long the passages of an index are: what its declaration says, else what was the default when it was
//! made. The defaults are here alone; `docs/decisions/23-passage-sizes.md` says why they are what they are.
//!
//! A default that changes must not change an index that exists: its new passages would be cut unlike its
//! old ones. So a new index keeps the defaults that it was made with in `_config`, through `rebuild` too.
//! An index that was made before these settings has none, and goes on as was the rule then: passages of
//! the model's limit, [`EARLIER_OVERLAP`].

use super::damage::corrupt;
use super::declare::{CHUNK_TOKENS, OVERLAP, Spec};
use crate::error::Result;
use crate::sql::ffi::Value;
use std::ops::RangeInclusive;

/// The most tokens of a passage, where nothing is declared.
const DEFAULT_CHUNK_TOKENS: usize = 256;
/// The most tokens that a passage repeats of the one before, where nothing is declared.
const DEFAULT_OVERLAP: usize = 32;
/// The same of an index without the setting.
const EARLIER_OVERLAP: usize = 32;

/// How a long text is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassageSize {
    declared: Option<usize>,
    default: Option<usize>,
    overlap: usize,
}

/// What `_config` says: the defaults of the day the index was made, of the options that it did not declare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptDefaults {
    chunk_tokens: Option<usize>,
    overlap: Option<usize>,
}

impl KeptDefaults {
    /// Those of an index that is made now.
    pub fn of_today(spec: &Spec) -> Self {
        let where_not = |declared: Option<usize>, default| declared.is_none().then_some(default);
        KeptDefaults {
            chunk_tokens: where_not(spec.chunk_tokens, DEFAULT_CHUNK_TOKENS),
            overlap: where_not(spec.overlap, DEFAULT_OVERLAP),
        }
    }

    /// Those of an index that exists, by its settings.
    ///
    /// # Errors
    /// Those of `get`; a setting that no index can have.
    pub fn of_settings(get: impl Fn(&str) -> Result<Value>) -> Result<Self> {
        let number = |key, range| number(key, &get(key)?, range);
        Ok(KeptDefaults {
            chunk_tokens: number("chunk_tokens", CHUNK_TOKENS)?,
            overlap: number("overlap", OVERLAP)?,
        })
    }

    /// The settings that say them.
    pub fn settings(self) -> impl Iterator<Item = (&'static str, Value)> {
        let settings = [
            ("chunk_tokens", self.chunk_tokens),
            ("overlap", self.overlap),
        ];
        let given = settings.into_iter();
        given.filter_map(|(key, number)| Some((key, Value::Integer(number? as i64))))
    }
}

impl PassageSize {
    /// The most tokens of a passage with a model that takes up to `limit`. A default gives way to a
    /// smaller limit; what was declared does not, and is refused by whoever cuts.
    pub fn tokens(self, limit: usize) -> usize {
        let default = self.default.map_or(limit, |default| default.min(limit));
        self.declared.unwrap_or(default)
    }

    /// The most tokens of a passage; `None`: as many as the model takes.
    pub fn chunk_tokens(self) -> Option<usize> {
        self.declared.or(self.default)
    }

    /// The most tokens that a passage of up to `tokens` repeats of the one before: half of them at most, so that each
    /// says something new.
    pub fn overlap(self, tokens: usize) -> usize {
        self.overlap.min(tokens / 2)
    }

    /// Of an index.
    pub fn of(spec: &Spec, kept: KeptDefaults) -> Self {
        PassageSize {
            declared: spec.chunk_tokens,
            default: kept.chunk_tokens,
            overlap: spec.overlap.or(kept.overlap).unwrap_or(EARLIER_OVERLAP),
        }
    }
}

fn number(key: &str, value: &Value, range: RangeInclusive<usize>) -> Result<Option<usize>> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::Integer(number) => usize::try_from(*number).ok().filter(|n| range.contains(n)),
        _ => None,
    };
    let (least, most) = range.into_inner();
    let wrong = || {
        corrupt(format_args!(
            "{key} is no number of tokens from {least} to {most}"
        ))
    };
    number.map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::super::declare::parse;
    use super::*;

    fn size_of(arguments: &[&str], kept: impl Fn(&Spec) -> KeptDefaults) -> (Option<usize>, usize) {
        let spec = parse("t", arguments).unwrap();
        let size = PassageSize::of(&spec, kept(&spec));
        (size.chunk_tokens(), size.overlap)
    }

    #[test]
    fn a_declaration_goes_before_what_was_the_default() {
        let now = |arguments: &[&str]| size_of(arguments, KeptDefaults::of_today);
        assert_eq!(now(&["a"]), (Some(DEFAULT_CHUNK_TOKENS), DEFAULT_OVERLAP));
        assert_eq!(
            now(&["a", "chunk_tokens=100"]),
            (Some(100), DEFAULT_OVERLAP)
        );
        assert_eq!(now(&["a", "overlap=0"]), (Some(DEFAULT_CHUNK_TOKENS), 0));
        assert_eq!(now(&["a", "overlap=9", "chunk_tokens=10"]), (Some(10), 9));
    }

    #[test]
    fn an_overlap_leaves_room_for_something_new() {
        let overlap = |argument| {
            let spec = parse("t", &["a", argument]).unwrap();
            let size = PassageSize::of(&spec, KeptDefaults::of_today(&spec));
            size.overlap(size.tokens(512))
        };
        let given = ["chunk_tokens=8", "chunk_tokens=64", "chunk_tokens=512"];
        assert_eq!(given.map(overlap), [4, 32, 32]);
    }

    #[test]
    fn a_default_gives_way_to_the_model() {
        let tokens = |arguments: &[&str], limit| {
            let spec = parse("t", arguments).unwrap();
            PassageSize::of(&spec, KeptDefaults::of_today(&spec)).tokens(limit)
        };
        assert_eq!(tokens(&["a"], 8192), DEFAULT_CHUNK_TOKENS);
        assert_eq!(tokens(&["a"], 64), 64);
        assert_eq!(tokens(&["a", "chunk_tokens=900"], 64), 900);
    }

    #[test]
    fn an_index_without_the_settings_is_cut_as_before() {
        let none = KeptDefaults {
            chunk_tokens: None,
            overlap: None,
        };
        let earlier = |arguments: &[&str]| size_of(arguments, |_| none);
        assert_eq!(earlier(&["a"]), (None, 32));
        assert_eq!(earlier(&["a", "chunk_tokens=100"]), (Some(100), 32));
        assert_eq!(earlier(&["a", "overlap=0"]), (None, 0));
    }
}
