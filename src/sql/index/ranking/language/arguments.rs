//! What stands between the parentheses of a stage: `0.7, depth = 200`.
//!
//! A value is a number; a text in quotes; or bare, which is a text too: `bge-reranker-base`, `2024-05-01`,
//! `30 days`. A value is given by its place, or by its name; behind a name, all have names.

use crate::error::{Error, Result};
use crate::sql::lexer::{Token, Tokens, is_bare_name, shown, unquoted};
use std::ops::RangeInclusive;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Given {
    /// A bare number, finite.
    Number(f64),
    /// Any other text.
    Text(String),
}

/// What was given to a stage, by the names that it knows.
pub struct Arguments {
    names: &'static [&'static str],
    given: Vec<Option<Given>>,
}

impl Arguments {
    /// None given.
    pub fn none(names: &'static [&'static str]) -> Self {
        let given = vec![None; names.len()];
        Arguments { names, given }
    }

    /// Reads those behind an opening parenthesis, and the closing one.
    ///
    /// # Errors
    /// Too many, one twice, one that there is none of, an empty one; a parenthesis or quote is not closed.
    pub fn read(tokens: &mut Tokens<'_>, names: &'static [&'static str]) -> Result<Self> {
        let mut arguments = Arguments::none(names);
        let mut piece = Piece::default();
        let (mut count, mut is_named) = (0, false);
        loop {
            let token = tokens.next();
            match token {
                Some(Token::Sign(sign @ (',' | ')'))) => {
                    // `mmr()` is `mmr`.
                    if sign == ')' && count == 0 && piece.is_empty() {
                        return Ok(arguments);
                    }
                    let at = match piece.name.take() {
                        Some(name) => arguments.named(&name)?,
                        None if is_named => {
                            let message = "behind an argument with a name, all have names";
                            return Err(Error::invalid(message));
                        }
                        None => arguments.placed(count)?,
                    };
                    is_named |= piece.was_named;
                    arguments.set(at, std::mem::take(&mut piece))?;
                    count += 1;
                    if sign == ')' {
                        return Ok(arguments);
                    }
                }
                Some(token) => piece.push(token)?,
                None => return Err(Error::invalid("a ) is missing at the end")),
            }
        }
    }

    fn named(&self, name: &str) -> Result<usize> {
        let found = self.names.iter().position(|n| n.eq_ignore_ascii_case(name));
        found.ok_or_else(|| Error::invalid(format!("no argument '{}'", shown(name))))
    }

    fn placed(&self, count: usize) -> Result<usize> {
        if count < self.names.len() {
            return Ok(count);
        }
        let most = self.names.len();
        let message = format!("{} arguments or more, expected {most} at most", count + 1);
        Err(Error::invalid(message))
    }

    fn set(&mut self, at: usize, piece: Piece) -> Result<()> {
        let name = self.names[at];
        if self.given[at].is_some() {
            return Err(Error::invalid(format!("{name} is given twice")));
        }
        self.given[at] = Some(piece.value().map_err(|e| e.at(name))?);
        Ok(())
    }

    /// What was given.
    pub fn value(&self, name: &str) -> Option<&Given> {
        let at = self.names.iter().position(|n| *n == name)?;
        self.given[at].as_ref()
    }

    /// A text that is not empty.
    ///
    /// # Errors
    /// A number, an empty text; the message says that `what` was wanted.
    pub fn text(&self, name: &str, what: &str) -> Result<Option<String>> {
        match self.value(name) {
            None => Ok(None),
            Some(Given::Text(text)) if !text.trim().is_empty() => Ok(Some(text.clone())),
            Some(given) => Err(unfit(name, given, what)),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// A text, a number out of the range.
    pub fn number(&self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>> {
        match self.value(name) {
            None => Ok(None),
            Some(Given::Number(number)) if range.contains(number) => Ok(Some(*number)),
            Some(given) => {
                let what = format!("a number from {} to {}", range.start(), range.end());
                Err(unfit(name, given, &what))
            }
        }
    }

    /// A number of candidates, called `depth`.
    ///
    /// # Errors
    /// It is no whole number from 1 to `most`.
    pub fn depth(&self, most: usize) -> Result<Option<usize>> {
        const NAME: &str = "depth";
        let Some(given) = self.value(NAME) else {
            return Ok(None);
        };
        let depth = match given {
            Given::Number(number) => (1..=most).find(|depth| *depth as f64 == *number),
            Given::Text(_) => None,
        };
        let what = format!("a whole number of candidates from 1 to {most}");
        depth.map(Some).ok_or_else(|| unfit(NAME, given, &what))
    }
}

/// The error of a value that is not what was wanted.
pub fn unfit(name: &str, given: &Given, wanted: &str) -> Error {
    let came = match given {
        // Not in 300 digits.
        Given::Number(number) if number.abs() >= 1e15 => format!("{number:e}"),
        Given::Number(number) => number.to_string(),
        Given::Text(text) => format!("'{}'", shown(text)),
    };
    Error::invalid(format!("{name} is {came}, expected {wanted}"))
}

/// An argument in the making.
#[derive(Default)]
struct Piece {
    name: Option<String>,
    was_named: bool,
    quoted: Option<String>,
    bare: String,
}

impl Piece {
    fn is_empty(&self) -> bool {
        self.name.is_none() && self.quoted.is_none() && self.bare.trim().is_empty()
    }

    fn push(&mut self, token: Token<'_>) -> Result<()> {
        match token {
            Token::Sign('=') => return self.take_name(),
            Token::Sign(sign @ ('(' | '\0' | '|' | ';')) => {
                let sign = shown(&sign.to_string());
                return Err(Error::invalid(format!("a {sign} among the arguments")));
            }
            Token::Quoted { raw, .. } if raw.contains('\0') => {
                return Err(Error::invalid("a NUL character among the arguments"));
            }
            Token::Quoted { raw, closed: false } => {
                let close = if raw.starts_with('[') { "]" } else { &raw[..1] };
                return Err(Error::invalid(format!("a {close} is missing at the end")));
            }
            Token::Quoted { raw, closed: true } => {
                if self.quoted.is_some() || !self.bare.trim().is_empty() {
                    return Err(beside(raw));
                }
                self.quoted = Some(unquoted(raw));
            }
            Token::Blank => self.bare.push(' '),
            Token::Name(raw) => self.bare_piece(raw)?,
            Token::Sign(sign) => self.bare_piece(sign.encode_utf8(&mut [0; 4]))?,
        }
        Ok(())
    }

    fn bare_piece(&mut self, raw: &str) -> Result<()> {
        if self.quoted.is_some() {
            return Err(beside(raw));
        }
        self.bare.push_str(raw);
        Ok(())
    }

    fn take_name(&mut self) -> Result<()> {
        let name = std::mem::take(&mut self.bare).trim().to_owned();
        if self.was_named || self.quoted.is_some() || !is_bare_name(&name) {
            let message = "an = that does not follow an argument's name";
            return Err(Error::invalid(message));
        }
        self.name = Some(name);
        self.was_named = true;
        Ok(())
    }

    fn value(self) -> Result<Given> {
        if let Some(text) = self.quoted {
            return Ok(Given::Text(text));
        }
        let bare: Vec<&str> = self.bare.split_whitespace().collect();
        let bare = bare.join(" ");
        if bare.is_empty() {
            return Err(Error::invalid("nothing is given"));
        }
        Ok(number(&bare).map_or(Given::Text(bare), Given::Number))
    }
}

fn beside(raw: &str) -> Error {
    let raw = shown(raw);
    Error::invalid(format!("{raw} beside another value, without a comma"))
}

/// A finite number in digits, as in `-1.5e3`.
pub fn number(text: &str) -> Option<f64> {
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E');
    let number: Option<f64> = text.parse().ok().filter(|_| text.chars().all(is_plain));
    number.filter(|number| number.is_finite())
}
