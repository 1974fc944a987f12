//! Pairs of texts to token ids, as a cross-encoder reads them: a query and a passage in one row.
//!
//! As FlagEmbedding's `FlagReranker` does it: each text becomes ids by itself, the query is cut at three
//! quarters of the limit, and of the pair with its special tokens the passage alone is cut, so that the
//! whole fits. Which special tokens stand where, and which part has which type, comes from the
//! tokenizer's own template for two texts.

use crate::engine::models::config::ModelConfig;
use crate::engine::stop::{NeverStop, Stop};
use crate::engine::text::tokenizer::Tokenizer;
use crate::error::{Error, Result};

/// One row of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Token ids, special tokens included.
    pub ids: Vec<i64>,
    /// How many of them, from the first on, have the type of the query; all others that of the passage.
    pub query: usize,
}

/// A tokenizer with its template for two texts.
pub struct PairEncoder {
    tokenizer: Tokenizer,
    max_length: usize,
    before: Vec<u32>,
    between: Vec<u32>,
    behind: Vec<u32>,
    /// How many of the ids `between` have the type of the query. `None`: all parts have one type.
    types: Option<usize>,
}

/// The most tokens of a pair, where nobody asks for more: what `FlagReranker` takes.
pub const USUAL_LENGTH: usize = 512;

/// Texts whose ids the template is seen around: each of one word, and not the same.
const PROBES: [&str; 2] = ["a", "b"];

impl PairEncoder {
    /// Pairs of at most `config.max_length` tokens.
    ///
    /// # Errors
    /// A template that does more than put special tokens around two texts; a limit that leaves no room for a
    /// passage beside a long query.
    pub fn new(tokenizer: Tokenizer, config: &ModelConfig) -> Result<Self> {
        let content = |text| tokenizer.content(text, usize::from(u16::MAX), &NeverStop);
        let (first, second) = (content(PROBES[0])?, content(PROBES[1])?);
        let (ids, types) = tokenizer.whole_pair(PROBES[0], PROBES[1])?;
        let place = |part: &[u32], from: usize| {
            let windows = ids.get(from..)?.windows(part.len().max(1));
            let at = windows.into_iter().position(|ids| ids == part)?;
            Some(from + at)
        };
        let found = place(&first, 0)
            .and_then(|at| Some((at, place(&second, at + first.len())?)))
            .filter(|_| !first.is_empty() && !second.is_empty());
        let (at, next) = found.ok_or_else(no_template)?;
        let (first_end, second_end) = (at + first.len(), next + second.len());
        let query = types.iter().take_while(|&&t| t == types[0]).count();
        let in_two = query < ids.len();
        let known = types[0] == 0
            && types[query..].iter().all(|&t| t == 1)
            && (!in_two || (first_end..=next).contains(&query));
        if !known {
            return Err(no_template());
        }
        let encoder = PairEncoder {
            max_length: config.max_length,
            before: ids[..at].to_vec(),
            between: ids[first_end..next].to_vec(),
            behind: ids[second_end..].to_vec(),
            types: in_two.then(|| query - first_end),
            tokenizer,
        };
        encoder.check_length()?;
        Ok(encoder)
    }

    fn check_length(&self) -> Result<()> {
        let least = |specials: usize| (1..).find(|&n| n > query_limit(n) + specials);
        let least = least(self.specials()).unwrap_or(usize::MAX);
        if self.max_length >= least {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "pairs may have {} tokens, expected at least {least}: beside {} special tokens and a query of up \
             to three quarters of them no passage fits; raise max_length",
            self.max_length,
            self.specials()
        )))
    }

    /// The row of a pair, and whether one of its texts was cut.
    ///
    /// # Errors
    /// An interruption, or the tokenizer's own.
    pub fn encode(&self, query: &str, passage: &str, stop: &dyn Stop) -> Result<(Pair, bool)> {
        self.encode_with(&self.query(query, stop)?, passage, stop)
    }

    /// The ids of a query, for [`Self::encode_with`]: many passages are paired with one.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn query(&self, query: &str, stop: &dyn Stop) -> Result<QueryIds> {
        let limit = query_limit(self.max_length);
        // One more shows whether it is cut.
        let mut ids = self.tokenizer.content(query, limit + 1, stop)?;
        let cut = ids.len() > limit;
        ids.truncate(limit);
        Ok(QueryIds { ids, cut })
    }

    /// As [`Self::encode`].
    ///
    /// # Errors
    /// As there.
    pub fn encode_with(
        &self,
        query: &QueryIds,
        passage: &str,
        stop: &dyn Stop,
    ) -> Result<(Pair, bool)> {
        let room = self.max_length - self.specials() - query.ids.len();
        let mut content = self.tokenizer.content(passage, room + 1, stop)?;
        let cut = query.cut || content.len() > room;
        content.truncate(room);
        let parts = [
            &self.before,
            &query.ids,
            &self.between,
            &content,
            &self.behind,
        ];
        let ids: Vec<i64> = parts
            .into_iter()
            .flatten()
            .map(|&id| i64::from(id))
            .collect();
        let query = match self.types {
            Some(between) => self.before.len() + query.ids.len() + between,
            None => ids.len(),
        };
        Ok((Pair { ids, query }, cut))
    }

    /// The most tokens of a pair, special tokens included.
    pub fn max_length(&self) -> usize {
        self.max_length
    }

    fn specials(&self) -> usize {
        self.before.len() + self.between.len() + self.behind.len()
    }
}

/// The ids of a query.
pub struct QueryIds {
    ids: Vec<u32>,
    cut: bool,
}

/// The most tokens of a query in a pair of so many.
fn query_limit(max_length: usize) -> usize {
    max_length * 3 / 4
}

fn no_template() -> Error {
    Error::invalid(
        "the tokenizer's post-processor does more than put special tokens around two texts; expected a \
         template for pairs like [CLS] $A [SEP] $B [SEP]",
    )
}
