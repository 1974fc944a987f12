//! A ranking at work: which one a query has, and the answer that comes of it.

use super::answer::Answer;
use super::language::pipeline::{First, Pipeline, Stage};
use super::language::{known, limits};
use super::pool::Gathering;
use super::stages::{Stages, decaying};
use crate::error::{Error, Result};
use crate::sql::ffi::Value;
use crate::sql::index::content::Located;
use crate::sql::index::declare::Spec;
use crate::sql::index::parts::Parts;
use crate::sql::index::search::{OrderBy, Search};
use crate::sql::index::shadow::Settings;
use crate::sql::lexer::shown;

/// The key of the default ranking among the settings.
pub const SETTING: &str = "rank";

/// The ranking of a query: what `rank MATCH` says, else the index's default, else none, which is by meaning.
///
/// # Errors
/// A ranking that cannot be read, or that this index cannot have.
pub fn chosen(spec: &Spec, given: &Value, settings: &Settings) -> Result<Option<Pipeline>> {
    let pipeline = match (given, &settings.rank) {
        (Value::Null, None) => return Ok(None),
        (Value::Null, Some(text)) => read(spec, text).map_err(|e| {
            e.at("the default ranking of this index, which INSERT INTO the_index(the_index, rank) VALUES \
                  ('rank', NULL) takes away")
        })?,
        (given, _) => read(spec, text_of(given)?)?,
    };
    Ok(Some(pipeline).filter(|pipeline| !pipeline.is_plain_meaning()))
}

/// What the command `rank` writes as the default; NULL takes it away.
///
/// # Errors
/// As [`chosen`].
pub fn set_default(parts: Parts<'_>, given: &Value) -> Result<()> {
    parts.shadow.check_format()?;
    let text = match given {
        Value::Null => None,
        given => Some(text_of(given)?).filter(|text| !text.trim().is_empty()),
    };
    let pipeline = text
        .map(|text| read(parts.shadow.spec(), text))
        .transpose()?;
    let value = pipeline.map_or(Value::Null, |pipeline| Value::from(pipeline.to_string()));
    parts.shadow.set(SETTING, value)
}

fn text_of(given: &Value) -> Result<&str> {
    given.as_str().ok_or_else(|| {
        Error::invalid(format!(
            "a ranking is a text, as in rank MATCH 'hybrid'; {}",
            known::listed()
        ))
    })
}

/// A ranking that this index can have.
fn read(spec: &Spec, text: &str) -> Result<Pipeline> {
    let at = |e: Error| e.at(format_args!("ranking '{}'", shown(text)));
    let pipeline = Pipeline::parse(text)?;
    if pipeline.needs_words() && !spec.has_words() {
        return Err(at(Error::invalid(
            "this index has no words; make it with words = on, or with words = 'an FTS5 table' over the same \
             rows",
        )));
    }
    for stage in &pipeline.stages {
        if let Stage::Decay { column, .. } = stage {
            decaying(spec, column).map_err(at)?;
        }
    }
    Ok(pipeline)
}

/// What is asked, and how the answer is to come.
pub struct Asked<'a> {
    /// The words of the question; none for one that is a vector.
    pub question: Option<&'a str>,
    /// How many rows are wanted.
    pub k: Option<usize>,
    /// The order that SQLite relies on, where it is not the ranking's.
    pub by_distance: Option<OrderBy>,
}

/// The answer by a ranking.
///
/// # Errors
/// Those of its stages; what SQLite says; damage; an interruption.
pub fn answer(
    parts: Parts<'_>,
    located: &Located,
    mut search: Search,
    pipeline: &Pipeline,
    asked: &Asked<'_>,
) -> Result<Answer> {
    let question = asked.question;
    if question.is_none() && matches!(pipeline.first, First::Words { .. }) {
        return Err(Error::invalid(
            "the ranking 'words' needs the text of a question: MATCH was given a vector",
        ));
    }
    // A list of words is looked up as far as its rows are asked for, where nothing reorders it.
    let as_asked = pipeline.stages.is_empty() && asked.by_distance.is_none();
    let depth = match pipeline.depth() {
        None if as_asked => limits::WORDS.max(asked.k.unwrap_or(0)),
        None => usize::MAX,
        Some(depth) => depth.max(asked.k.unwrap_or(0)),
    };
    let gathering = Gathering {
        parts,
        located,
        search: &mut search,
        question,
        depth,
    };
    let mut candidates = gathering.run(&pipeline.first)?;
    let stages = Stages {
        parts,
        located,
        overlay: search.overlay(),
        question,
    };
    for stage in &pipeline.stages {
        stages.run(stage, &mut candidates)?;
    }
    Ok(Answer::ranked(
        search,
        candidates.ranked(),
        asked.by_distance,
        asked.k,
    ))
}
