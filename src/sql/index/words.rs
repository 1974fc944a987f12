//! Words of SQL: names bare and quoted, blanks, comments and single signs, as SQLite reads them.

use crate::error::{Error, Result};

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

/// A text as words, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    /// The words of `text`.
    pub fn new(text: &'a str) -> Self {
        Words { rest: text }
    }

    /// The next word; `None` at the end.
    ///
    /// # Errors
    /// A quote or parenthesis that is not closed; a NUL.
    pub fn next(&mut self) -> Result<Option<Word>> {
        self.skip_blanks()?;
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        let close = match first {
            '"' | '`' | '\'' => Some(first),
            '[' => Some(']'),
            _ => None,
        };
        if let Some(close) = close {
            return self.quoted(close).map(|text| Some(Word::Quoted(text)));
        }
        let bare = self.take_while(is_name);
        Ok(Some(match first {
            _ if !bare.is_empty() => Word::Bare(bare.to_owned()),
            '(' => self.group()?,
            _ => {
                self.rest = &self.rest[first.len_utf8()..];
                Word::Sign(first)
            }
        }))
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a str {
        self.rest
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
        let end = self.rest.find(|c| !fits(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// Goes to the next word, past comments.
    ///
    /// # Errors
    /// A NUL.
    pub fn skip_blanks(&mut self) -> Result<()> {
        loop {
            self.take_while(is_blank);
            if let Some(comment) = self.rest.strip_prefix("--") {
                self.rest = comment.find('\n').map_or("", |end| &comment[end..]);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
            } else if self.rest.starts_with('\0') {
                return Err(nul());
            } else {
                return Ok(());
            }
        }
    }

    /// From an opening quote to the closing one, which stands for itself where it is doubled (`]`
    /// cannot be).
    fn quoted(&mut self, close: char) -> Result<String> {
        let mut text = String::new();
        let inside = &self.rest[1..];
        let mut chars = inside.char_indices();
        while let Some((at, c)) = chars.next() {
            if c == '\0' {
                return Err(nul());
            }
            if c == close {
                let doubled = close != ']' && inside[at + 1..].starts_with(close);
                if !doubled {
                    self.rest = &inside[at + 1..];
                    return Ok(text);
                }
                chars.next();
            }
            text.push(c);
        }
        Err(Error::invalid(format!("a {close} is missing at the end")))
    }

    fn group(&mut self) -> Result<Word> {
        let inside = &self.rest[1..];
        match inside.find(['(', ')', '"', '\'', '`', '[']) {
            Some(end) if inside[end..].starts_with(')') => {
                self.rest = &inside[end + 1..];
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
    matches!(c, ' ' | '\t' | '\n' | '\x0c' | '\r')
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
