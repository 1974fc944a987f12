//! What a row says: its text columns joined, and the hash that tells whether it has changed.

use crate::engine::check_text_size;
use crate::sql::ffi::Value;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// What of a row is embedded.
#[derive(Clone, Debug, PartialEq)]
pub enum Joined {
    /// Every text column is NULL: no vector.
    Nothing,
    /// The text.
    Text(Text),
    /// It cannot be embedded, and why.
    Problem(String),
}

/// A joined text.
#[derive(Clone, Debug, PartialEq)]
pub struct Text {
    /// All of it.
    pub whole: String,
    /// Bytes of the first column that is not NULL, where another one follows: a title, perhaps.
    pub title: usize,
}

impl Text {
    /// The first column, and what follows it.
    pub fn parts(&self) -> (&str, &str) {
        match self.title {
            0 => ("", &self.whole),
            title => (&self.whole[..title], &self.whole[title + 1..]),
        }
    }
}

/// Joins text columns with newlines, NULL left out. A number counts as its text.
pub fn join<'v>(columns: impl Iterator<Item = (&'v str, &'v Value)>) -> Joined {
    let mut joined: Option<String> = None;
    let mut title = None;
    for (name, value) in columns {
        let part = match value {
            Value::Null => continue,
            Value::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => std::borrow::Cow::Borrowed(text),
                Err(e) => {
                    let at = e.valid_up_to();
                    return Joined::Problem(format!("column {name} is not UTF-8 at byte {at}"));
                }
            },
            Value::Integer(n) => n.to_string().into(),
            Value::Real(x) => super::affinity::real_text(*x).into(),
            Value::Blob(_) => return Joined::Problem(format!("column {name} is a BLOB")),
        };
        match &mut joined {
            None => joined = Some(part.into_owned()),
            Some(joined) => {
                title.get_or_insert(joined.len());
                joined.push('\n');
                joined.push_str(&part);
            }
        }
    }
    match joined {
        None => Joined::Nothing,
        Some(whole) => match check_text_size(whole.len()) {
            Ok(()) => Joined::Text(Text {
                whole,
                title: title.unwrap_or(0),
            }),
            Err(e) => Joined::Problem(e.message().to_owned()),
        },
    }
}

impl Joined {
    /// 16 bytes that are equal for rows that are embedded alike (xxh3, 128 bits; the seed says of
    /// what, and where a title ends).
    pub fn hash(&self) -> Vec<u8> {
        let (bytes, seed) = match self {
            Joined::Text(text) => (text.whole.as_bytes(), (text.title as u64) << 2),
            Joined::Nothing => (&[][..], 1),
            Joined::Problem(problem) => (problem.as_bytes(), 2),
        };
        xxh3_128_with_seed(bytes, seed).to_le_bytes().to_vec()
    }

    /// The text, if there is one.
    pub fn text(&self) -> Option<&Text> {
        match self {
            Joined::Text(text) => Some(text),
            Joined::Nothing | Joined::Problem(_) => None,
        }
    }
}

/// Characters `start..stop` of a text, where it has them.
pub fn slice(text: &str, start: i64, stop: i64) -> Option<&str> {
    let (start, stop) = (usize::try_from(start).ok()?, usize::try_from(stop).ok()?);
    let place = |n: usize| {
        let places = text.char_indices().map(|(at, _)| at).chain([text.len()]);
        places.into_iter().nth(n)
    };
    text.get(place(start)?..place(stop)?)
}

/// The whole text as a span of characters.
pub fn span(text: &str) -> (i64, i64) {
    (0, text.chars().count() as i64)
}
