//! From a text to a pipeline: stages with blanks, commas or `|` between them.

use super::arguments::Arguments;
use super::known::{Known, Part, listed, unknown};
use super::pipeline::{First, Pipeline, Stage};
use crate::error::{Error, Result};
use crate::sql::lexer::{Token, Tokens, shown};

/// Stages of one pipeline: more are a mistake, and each costs time.
const MOST_STAGES: usize = 100;

impl Pipeline {
    /// The pipeline that a text says. Without one of `meaning`, `words`, `hybrid` it begins with `meaning`.
    ///
    /// # Errors
    /// It says none. The message names what came and where, and lists what is known.
    pub fn parse(text: &str) -> Result<Self> {
        let mut tokens = Tokens::new(text);
        let mut first: Option<First> = None;
        let mut stages: Vec<Stage> = Vec::new();
        loop {
            let separator = separate(&mut tokens);
            let at = text[..text.len() - tokens.rest().len()].chars().count() + 1;
            let is_start = first.is_none() && stages.is_empty();
            let read = next(&mut tokens, is_start, separator);
            match read.map_err(|e| told(&e, text, at))? {
                Some(Part::First(found)) => first = Some(found),
                Some(Part::Stage(stage)) if stages.len() < MOST_STAGES => stages.push(stage),
                Some(Part::Stage(_)) => {
                    let message = format!("more than {MOST_STAGES} stages");
                    return Err(told(&Error::invalid(message), text, at));
                }
                None => break,
            }
        }
        let first = first.unwrap_or(First::Meaning { depth: None });
        Ok(Pipeline { first, stages })
    }
}

fn told(error: &Error, text: &str, at: usize) -> Error {
    let (text, what, known) = (shown(text), error.message(), listed());
    Error::new(
        error.kind(),
        format!("rank '{text}', character {at}: {what}; {known}"),
    )
}

/// Passes over what may stand between two stages; the sign among it.
fn separate(tokens: &mut Tokens<'_>) -> Option<char> {
    let mut sign = None;
    loop {
        let before = *tokens;
        match tokens.next() {
            Some(Token::Blank) => {}
            Some(Token::Sign(found @ (',' | '|'))) if sign.is_none() => sign = Some(found),
            _ => {
                *tokens = before;
                return sign;
            }
        }
    }
}

/// The next stage; `None` at the end. `separator`: the sign that stood before it.
fn next(tokens: &mut Tokens<'_>, is_start: bool, separator: Option<char>) -> Result<Option<Part>> {
    let start = tokens.rest();
    let word = match tokens.next() {
        None if is_start && separator.is_none() => {
            return Err(Error::invalid("no stage in it"));
        }
        None if separator.is_none() => return Ok(None),
        Some(Token::Name(word)) if !(is_start && separator.is_some()) => word,
        found => {
            let found = found.and_then(|_| start.chars().next());
            let found = found.map_or("the end".to_owned(), |c| shown(&c.to_string()));
            return Err(Error::invalid(format!("{found} where a stage was wanted")));
        }
    };
    let known = Known::find(word).ok_or_else(|| unknown(word))?;
    let within = |e: Error| e.at(known.name);
    let arguments = given(tokens, known).map_err(within)?;
    if known.gathers && !is_start {
        let message = "it says where rows come from, so it stands first or nowhere";
        return Err(within(Error::invalid(message)));
    }
    (known.make)(&arguments).map(Some).map_err(within)
}

/// The arguments that follow the name of a stage, if any.
fn given(tokens: &mut Tokens<'_>, known: &Known) -> Result<Arguments> {
    let before = *tokens;
    let next = tokens.find(|token| *token != Token::Blank);
    if next == Some(Token::Sign('(')) {
        return Arguments::read(tokens, known.arguments);
    }
    *tokens = before;
    Ok(Arguments::none(known.arguments))
}
