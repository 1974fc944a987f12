//! A pipeline: the lists that candidates are taken from, and the stages that they then go through.
//!
//! [`super::parse`] makes one from a text. [`fmt::Display`] writes the canonical text, which parses to the same.

use super::limits;
use std::fmt;

/// How to rank.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Where candidates come from.
    pub first: First,
    /// What is then done with them, in this order.
    pub stages: Vec<Stage>,
}

/// Where candidates come from. A depth is a number of candidates of each list.
#[derive(Clone, Debug, PartialEq)]
pub enum First {
    /// Rows by their distance.
    Meaning {
        /// None: [`Pipeline::depth`].
        depth: Option<usize>,
    },
    /// Rows that have a word of the question, by bm25.
    Words {
        /// None: [`Pipeline::depth`].
        depth: Option<usize>,
    },
    /// Both lists, united.
    Hybrid {
        /// The share of words, 0 to 1. None: that of `maths::fusion`.
        weight: Option<f64>,
        /// None: [`Pipeline::depth`].
        depth: Option<usize>,
    },
}

/// What is done with candidates.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// The first `depth` are sorted by a reranker's logits.
    Rerank {
        /// Its name. None: the default reranker.
        model: Option<String>,
        /// A number of candidates.
        depth: usize,
    },
    /// The first `depth` are spread, see `maths::mmr`.
    Mmr {
        /// The share of relevance, 0 to 1.
        lambda: f64,
        /// A number of candidates.
        depth: usize,
    },
    /// All lose relevance with age, see `maths::decay`.
    Decay {
        /// A column of times, as the user wrote its name.
        column: String,
        /// In seconds, above 0.
        half_life: f64,
        /// What age is counted from, in Unix seconds. None: the present moment.
        now: Option<f64>,
    },
}

impl Pipeline {
    /// Rows by distance and nothing else. A depth changes nothing then: the other rows follow by distance too.
    pub fn is_plain_meaning(&self) -> bool {
        matches!(self.first, First::Meaning { .. }) && self.stages.is_empty()
    }

    /// Whether candidates are also found by words.
    pub fn needs_words(&self) -> bool {
        matches!(self.first, First::Words { .. } | First::Hybrid { .. })
    }

    /// Candidates to take of each list; the `k` of a query raises it. Where none is given, as many as the stages look
    /// at, of a fusion [`limits::HYBRID`] at least. None: of `words` alone, which rows of no other list follow, all.
    pub fn depth(&self) -> Option<usize> {
        let looked_at = self.stages.iter().map(Stage::depth).fold(0, usize::max);
        match self.first {
            First::Meaning { depth } => Some(depth.unwrap_or(looked_at)),
            First::Words { depth } => depth,
            First::Hybrid { depth, .. } => Some(depth.unwrap_or(looked_at.max(limits::HYBRID))),
        }
    }

    /// What is left of it where a vector is asked for, and no text: no words to look for, nothing that a reranker could
    /// read.
    pub fn without_text(mut self) -> Self {
        if let First::Words { depth } = self.first {
            self.first = First::Meaning { depth };
        }
        (self.stages).retain(|stage| !matches!(stage, Stage::Rerank { .. }));
        self
    }
}

impl Stage {
    /// The candidates that it looks at.
    fn depth(&self) -> usize {
        match self {
            Stage::Rerank { depth, .. } | Stage::Mmr { depth, .. } => *depth,
            Stage::Decay { .. } => limits::DECAY,
        }
    }
}

impl fmt::Display for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        self.stages
            .iter()
            .try_for_each(|stage| write!(f, ", {stage}"))
    }
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, weight, depth) = match self {
            First::Meaning { depth } => ("meaning", None, depth),
            First::Words { depth } => ("words", None, depth),
            First::Hybrid { weight, depth } => ("hybrid", *weight, depth),
        };
        let weight = weight.map(|weight| format!("weight = {weight}"));
        let depth = depth.map(|depth| format!("depth = {depth}"));
        let given: Vec<String> = [weight, depth].into_iter().flatten().collect();
        match given.as_slice() {
            [] => f.write_str(name),
            given => write!(f, "{name}({})", given.join(", ")),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Rerank { model: None, depth } => write!(f, "rerank(depth = {depth})"),
            Stage::Rerank {
                model: Some(model),
                depth,
            } => write!(f, "rerank({}, {depth})", quoted(model)),
            Stage::Mmr { lambda, depth } => write!(f, "mmr({lambda}, {depth})"),
            Stage::Decay {
                column,
                half_life,
                now,
            } => {
                write!(f, "decay({}, '{half_life} seconds'", quoted(column))?;
                now.iter().try_for_each(|now| write!(f, ", {now}"))?;
                f.write_str(")")
            }
        }
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests;
