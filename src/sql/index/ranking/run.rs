//! A ranking at work: which one a query has, and the answer that comes of it.

use super::answer::Answer;
use super::language::pipeline::{First, Pipeline, Stage};
use super::language::{known, limits};
use super::pool::Gathering;
use super::stages::{Stages, decaying};
use crate::error::{Error, Result};
use crate::sql::ffi::Value;
use crate::sql::index::content::Located;
use crate::sql::index::declare::{ContentMode, Spec};
use crate::sql::index::parts::Parts;
use crate::sql::index::search::{OrderBy, Search};
use crate::sql::index::shadow::Settings;
use crate::sql::lexer::shown;

/// The key of the default ranking among the settings.
pub const SETTING: &str = "rank";

/// The ranking of a query.
pub struct Chosen {
    pipeline: Pipeline,
    /// The index's own: what goes wrong with it is no fault of the query.
    is_default: bool,
}

/// The ranking of a query: what `rank MATCH` says, else the index's default, else none, which is by meaning.
/// `is_text`: what is searched for is no vector. Of the default, stages that need a text are left out then.
///
/// # Errors
/// A ranking that cannot be read, or that this index cannot have.
pub fn chosen(
    spec: &Spec,
    given: &Value,
    settings: &Settings,
    is_text: bool,
) -> Result<Option<Chosen>> {
    let is_default = given.is_null();
    let pipeline = match is_default {
        false => read(spec, text_of(given)?)?,
        true => match default_of(spec, settings)? {
            Some(pipeline) if is_text => pipeline,
            Some(pipeline) => pipeline.without_text(),
            None => return Ok(None),
        },
    };
    let chosen = Chosen {
        pipeline,
        is_default,
    };
    Ok(Some(chosen).filter(|chosen| !chosen.pipeline.is_plain_meaning()))
}

/// The default ranking of an index, if it has one.
///
/// # Errors
/// It cannot be read, or this index cannot have it.
pub fn default_of(spec: &Spec, settings: &Settings) -> Result<Option<Pipeline>> {
    let read = |text: &String| read(spec, text).map_err(of_default);
    settings.rank.as_ref().map(read).transpose()
}

/// What a rebuild keeps of the default ranking: nothing of one that cannot be read.
pub fn kept_default(spec: &Spec, found: Value) -> Value {
    let is_read = found.as_str().is_some_and(|text| read(spec, text).is_ok());
    match is_read {
        true => found,
        false => Value::Null,
    }
}

/// What the command `rank` writes as the default; NULL takes it away.
///
/// # Errors
/// As [`chosen`]; this index has a column of the user's by that name.
pub fn set_default(parts: Parts<'_>, given: Option<&Value>) -> Result<()> {
    parts.shadow.check_format()?;
    let spec = parts.shadow.spec();
    let given = given.ok_or_else(|| {
        Error::invalid(
            "this index has a column 'rank' of its own, so that no ranking can be given in it; make the index \
             over a view that calls the column something else",
        )
    })?;
    let value = match given {
        Value::Null => Value::Null,
        given => Value::from(read(spec, text_of(given)?)?.to_string()),
    };
    parts.shadow.set(SETTING, value)
}

fn of_default(e: Error) -> Error {
    match e.is_passing() {
        true => e,
        false => e.at(
            "the default ranking of this index (rank MATCH 'meaning' goes without it; INSERT INTO \
             the_index(the_index, rank) VALUES ('rank', NULL), with the index's name, takes it away)",
        ),
    }
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
    let reads_texts = |stage: &Stage| matches!(stage, Stage::Rerank { .. });
    if spec.content == ContentMode::Contentless && pipeline.stages.iter().any(reads_texts) {
        return Err(at(Error::invalid(
            "rerank reads the texts of rows, and this index keeps none (content='')",
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
    search: Search,
    chosen: &Chosen,
    asked: &Asked<'_>,
) -> Result<Answer> {
    let answer = by_pipeline(parts, located, search, &chosen.pipeline, asked);
    match chosen.is_default {
        true => answer.map_err(of_default),
        false => answer,
    }
}

fn by_pipeline(
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
