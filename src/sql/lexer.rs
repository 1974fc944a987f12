//! The one lexer for SQL: names, quotes, comments and signs, as SQLite's tokenizer reads them.
//!
//! [`Tokens`] cuts a text into raw pieces and loses nothing; [`Words`] reads those pieces as names,
//! values and signs; [`arguments`] and [`skip_blanks`] are built on the same pieces. So a quote that is
//! closed, or a comment that is not, means the same wherever SQL is looked at.

use crate::error::{Error, Result};

/// A piece of SQL as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Token<'a> {
    /// White space, a byte order mark or a comment.
    Blank,
    /// Letters, digits, `_`, `$`: a name or a number.
    Name(&'a str),
    /// A quoted name or text, with its quotes; `closed` unless the text ends before the quote does.
    Quoted {
        /// As written.
        raw: &'a str,
        /// Whether the closing quote is there.
        closed: bool,
    },
    /// Any other character.
    Sign(char),
}

/// A text as raw pieces, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    /// The pieces of `text`.
    pub fn new(text: &'a str) -> Self {
        Tokens { rest: text }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        self.rest
    }

    fn cut(&mut self, length: usize) -> &'a str {
        let rest: &'a str = self.rest;
        let (taken, rest) = rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn quoted(&mut self, close: char) -> Token<'a> {
        let mut at = 1;
        loop {
            let Some(found) = self.rest[at..].find(close) else {
                let raw = self.cut(self.rest.len());
                return Token::Quoted { raw, closed: false };
            };
            at += found + 1;
            // A doubled quote stands for itself; `]` cannot be doubled.
            if close == ']' || !self.rest[at..].starts_with(close) {
                let raw = self.cut(at);
                return Token::Quoted { raw, closed: true };
            }
            at += 1;
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let rest = self.rest;
        let first = rest.chars().next()?;
        if let Some(comment) = rest.strip_prefix("--") {
            self.cut(comment.find('\n').map_or(rest.len(), |end| end + 2));
            return Some(Token::Blank);
        }
        if let Some(comment) = rest.strip_prefix("/*") {
            self.cut(comment.find("*/").map_or(rest.len(), |end| end + 4));
            return Some(Token::Blank);
        }
        let run = |fits: fn(char) -> bool| rest.find(|c| !fits(c)).unwrap_or(rest.len());
        Some(match first {
            '"' | '`' | '\'' => self.quoted(first),
            '[' => self.quoted(']'),
            _ if is_blank(first) => {
                self.cut(run(is_blank));
                Token::Blank
            }
            _ if is_name(first) => Token::Name(self.cut(run(is_name))),
            sign => {
                self.cut(sign.len_utf8());
                Token::Sign(sign)
            }
        })
    }
}

/// What stands between the quotes of a closed [`Token::Quoted`].
pub fn unquoted(raw: &str) -> String {
    let mut chars = raw.chars();
    let (open, close) = (chars.next(), chars.next_back());
    let inside = chars.as_str();
    match (open, close) {
        (Some('['), _) | (None, _) | (_, None) => inside.to_owned(),
        (Some(quote), _) => inside.replace(&format!("{quote}{quote}"), &quote.to_string()),
    }
}

/// The text from its first word on: without white space, byte order marks, comments (also an unclosed
/// one) and empty statements.
pub fn skip_blanks(sql: &str) -> &str {
    let mut tokens = Tokens::new(sql);
    loop {
        let rest = tokens.rest();
        match tokens.next() {
            Some(Token::Blank | Token::Sign(';')) => {}
            _ => return rest,
        }
    }
}

/// The arguments that a text holds up to the parenthesis which closes them: cut at commas outside of
/// quotes and parentheses, a comment as a blank, otherwise as written.
pub fn arguments(inside: &str) -> Vec<String> {
    let (mut arguments, mut argument, mut depth) = (Vec::new(), String::new(), 0usize);
    for token in Tokens::new(inside) {
        match token {
            Token::Blank => argument.push(' '),
            Token::Name(raw) | Token::Quoted { raw, .. } => argument.push_str(raw),
            Token::Sign(')') if depth == 0 => break,
            Token::Sign(',') if depth == 0 => {
                arguments.push(std::mem::take(&mut argument).trim().to_owned());
            }
            Token::Sign(sign) => {
                match sign {
                    '(' => depth += 1,
                    ')' => depth -= 1,
                    _ => {}
                }
                argument.push(sign);
            }
        }
    }
    arguments.push(argument.trim().to_owned());
    arguments
}

/// One word.
#[derive(Clone, Debug, PartialEq)]
pub enum Word {
    /// Letters, digits, `_`, `$`: a name or a number.
    Bare(String),
    /// What stood in quotes, without them.
    Quoted(String),
    /// What stood between parentheses that hold neither quotes nor parentheses.
    Group(String),
    /// Any other character.
    Sign(char),
}

/// A text as words, one after the other; blanks and comments are passed over.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    tokens: Tokens<'a>,
}

impl<'a> Words<'a> {
    /// The words of `text`.
    pub fn new(text: &'a str) -> Self {
        Words {
            tokens: Tokens::new(text),
        }
    }

    /// The next word; `None` at the end.
    ///
    /// # Errors
    /// A quote or parenthesis that is not closed; a NUL.
    pub fn next(&mut self) -> Result<Option<Word>> {
        self.skip_blanks()?;
        let Some(token) = self.tokens.next() else {
            return Ok(None);
        };
        Ok(Some(match token {
            Token::Name(name) => Word::Bare(name.to_owned()),
            Token::Quoted { raw, .. } if raw.contains('\0') => return Err(nul()),
            Token::Quoted { raw, closed: true } => Word::Quoted(unquoted(raw)),
            Token::Quoted { raw, closed: false } => {
                let close = if raw.starts_with('[') { "]" } else { &raw[..1] };
                let message = format!("a {close} is missing at the end");
                return Err(Error::invalid(message));
            }
            Token::Sign('(') => self.group()?,
            Token::Sign(sign) => Word::Sign(sign),
            Token::Blank => return Err(Error::internal("a blank is no word")),
        }))
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        self.tokens.rest()
    }

    /// Takes `sign` if it is what comes next.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub fn take_sign(&mut self, sign: char) -> Result<bool> {
        let before = *self;
        let found = self.next()? == Some(Word::Sign(sign));
        if !found {
            *self = before;
        }
        Ok(found)
    }

    /// The longest run of characters that `fits`, from here on.
    pub fn take_while(&mut self, fits: impl Fn(char) -> bool) -> &'a str {
        let rest = self.tokens.rest();
        let end = rest.find(|c| !fits(c)).unwrap_or(rest.len());
        self.tokens.cut(end)
    }

    /// Goes to the next word, past comments.
    ///
    /// # Errors
    /// A NUL.
    pub fn skip_blanks(&mut self) -> Result<()> {
        loop {
            let before = self.tokens;
            match self.tokens.next() {
                Some(Token::Blank) => {}
                Some(Token::Sign('\0')) => return Err(nul()),
                _ => {
                    self.tokens = before;
                    return Ok(());
                }
            }
        }
    }

    /// What stands behind an opening parenthesis, up to the closing one.
    fn group(&mut self) -> Result<Word> {
        let inside = self.tokens.rest();
        match inside.find(['(', ')', '"', '\'', '`', '[']) {
            Some(end) if inside[end..].starts_with(')') => {
                self.tokens.cut(end + 1);
                Ok(Word::Group(inside[..end].to_owned()))
            }
            _ => Err(Error::invalid(
                "parentheses hold only numbers here, as in VARCHAR(10)",
            )),
        }
    }
}

fn nul() -> Error {
    Error::invalid("a NUL character is nowhere part of a name or value")
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0c' | '\r' | '\u{feff}')
}

/// Whether SQLite takes the character as part of a bare name or number.
pub fn is_name(c: char) -> bool {
    !c.is_ascii() || c.is_ascii_alphanumeric() || c == '_' || c == '$'
}

/// Whether `word` can be a name as it is, without quotes.
pub fn is_bare_name(word: &str) -> bool {
    let starts = word.starts_with(|c: char| is_name(c) && !c.is_ascii_digit() && c != '$');
    starts && word.chars().all(is_name)
}

/// A name as it can stand in any SQL.
pub fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as it can stand in a message: not too long, nothing invisible.
pub fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut chars = text.chars();
    let start: String = chars.by_ref().take(LONGEST).collect();
    let more = if chars.next().is_some() { "..." } else { "" };
    // Quotes stay as they are: they are what the reader wrote.
    let start: String = start
        .chars()
        .flat_map(|c| {
            let as_is = matches!(c, '"' | '\'' | '\\').then_some(c);
            let escaped = as_is.is_none().then(|| c.escape_debug());
            as_is.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect();
    start + more
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Result<Vec<Word>> {
        let mut words = Words::new(text);
        let mut found = Vec::new();
        while let Some(word) = words.next()? {
            found.push(word);
        }
        Ok(found)
    }

    #[test]
    fn words_are_read_as_sqlite_does() {
        use Word::{Bare, Group, Quoted, Sign};
        let bare = |s: &str| Bare(s.into());
        let quoted = |s: &str| Quoted(s.into());
        for (text, expected) in [
            ("", vec![]),
            (" a\tb$_9 ", vec![bare("a"), bare("b$_9")]),
            ("größe 東京", vec![bare("größe"), bare("東京")]),
            (
                "\"a\"\"b\" 'it''s' `x``y` [q]",
                ["a\"b", "it's", "x`y", "q"].map(quoted).to_vec(),
            ),
            ("''", vec![quoted("")]),
            ("a=1", vec![bare("a"), Sign('='), bare("1")]),
            (
                "VARCHAR (10, 2)x",
                vec![bare("VARCHAR"), Group("10, 2".into()), bare("x")],
            ),
            ("a -- b ' \n /* c ' */ d /* e", vec![bare("a"), bare("d")]),
            ("a-1", vec![bare("a"), Sign('-'), bare("1")]),
        ] {
            assert_eq!(all(text).unwrap(), expected, "{text}");
        }
        for wrong in [
            "'a", "\"a\"\"", "[a", "(a", "((1))", "a\0b", "'a\0b'", "('x')",
        ] {
            assert!(all(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_quoted_and_shown() {
        assert_eq!(quote_name("a \"b\""), "\"a \"\"b\"\"\"");
        assert_eq!(shown("it's\n"), "it's\\n");
        assert_eq!(shown(&"x".repeat(61)), "x".repeat(60) + "...");
        assert!(is_bare_name("é1$") && !is_bare_name("1é") && !is_bare_name("$a"));
        assert!(!is_bare_name("") && !is_bare_name("a b"));
    }
}
