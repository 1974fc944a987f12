//! The elements of a JSON array, one at a time: however long the text is, no more than one of them is
//! held, and what lies inside an element that nobody wants is only passed over.

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;
use std::fmt;

/// An element, as far as anybody here wants to know it.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Element {
    Null,
    Bool,
    Number(Number),
    Text(String),
    Array,
    Object,
}

impl Element {
    /// As it reads in an error message: "element 1 is ...".
    pub fn name(&self) -> &'static str {
        match self {
            Element::Null => "null",
            Element::Bool => "a boolean",
            Element::Number(_) => "a number",
            Element::Text(_) => "a string",
            Element::Array => "an array",
            Element::Object => "an object",
        }
    }
}

/// Why there are no elements, or no more.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// The text is not JSON, in the parser's words.
    Syntax(String),
    /// It is something else than an array, by [`Element::name`].
    NoArray(&'static str),
}

/// The place in an array. The text is given again for every step, so that its owner can keep both.
#[derive(Debug, Default)]
pub struct Elements {
    at: usize,
    is_begun: bool,
}

impl Elements {
    /// The next element; `None` at the end of the array, after which nothing but white space follows.
    ///
    /// # Errors
    /// A text that is no JSON array; it is read no further than it has to be.
    pub fn next(&mut self, json: &str) -> Result<Option<Element>, Problem> {
        let has_next = if self.is_begun {
            self.separator(json)?
        } else {
            self.begin(json)?
        };
        if !has_next {
            return Ok(None);
        }
        let rest = &json[self.at..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Element>();
        match values.next() {
            Some(Ok(element)) => {
                self.at += values.byte_offset();
                Ok(Some(element))
            }
            Some(Err(e)) => Err(syntax(json, &e.to_string())),
            None => Err(syntax(json, "the array has no end")),
        }
    }

    /// Passes the opening bracket; whether an element follows.
    fn begin(&mut self, json: &str) -> Result<bool, Problem> {
        self.pass_blanks(json);
        if !json[self.at..].starts_with('[') {
            let whole = serde_json::from_str::<Element>(json);
            return Err(match whole {
                Ok(element) => Problem::NoArray(element.name()),
                Err(e) => Problem::Syntax(e.to_string()),
            });
        }
        self.is_begun = true;
        self.at += 1;
        self.pass_blanks(json);
        if !json[self.at..].starts_with(']') {
            return Ok(true);
        }
        self.separator(json)
    }

    /// Passes what is behind an element; whether another one follows.
    fn separator(&mut self, json: &str) -> Result<bool, Problem> {
        self.pass_blanks(json);
        match json.as_bytes().get(self.at) {
            Some(b',') => {
                self.at += 1;
                Ok(true)
            }
            Some(b']') => {
                let end = self.at;
                self.at += 1;
                self.pass_blanks(json);
                let is_last = self.at == json.len();
                // Asked again, it is at its end again.
                self.at = end;
                if is_last {
                    Ok(false)
                } else {
                    Err(syntax(json, "characters behind the array"))
                }
            }
            _ => Err(syntax(json, "the array has no end")),
        }
    }

    fn pass_blanks(&mut self, json: &str) {
        let rest = &json[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }
}

/// Whether a text is a JSON array, whatever its elements are. Takes no memory.
///
/// # Errors
/// It is not.
#[cfg(feature = "sql")]
pub fn check_array(json: &str) -> Result<(), Problem> {
    let parsed: Result<IgnoredAny, _> = serde_json::from_str(json);
    parsed.map_err(|e| Problem::Syntax(e.to_string()))?;
    Elements::default().begin(json).map(drop)
}

/// The parser's own words about the whole text, which say line and column; ours, where it finds no
/// fault as long as it need not keep anything (a number that is too large).
fn syntax(json: &str, otherwise: &str) -> Problem {
    let whole: Result<IgnoredAny, _> = serde_json::from_str(json);
    Problem::Syntax(whole.map_or_else(|e| e.to_string(), |_| otherwise.to_owned()))
}

impl<'de> Deserialize<'de> for Element {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ElementVisitor)
    }
}

struct ElementVisitor;

impl<'de> Visitor<'de> for ElementVisitor {
    type Value = Element;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Element, E> {
        Ok(Element::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Element, E> {
        Ok(Element::Bool)
    }

    fn visit_i64<E>(self, n: i64) -> Result<Element, E> {
        Ok(Element::Number(n.into()))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Element, E> {
        Ok(Element::Number(n.into()))
    }

    fn visit_f64<E>(self, x: f64) -> Result<Element, E> {
        // JSON has no numbers that are not finite.
        Ok(Number::from_f64(x).map_or(Element::Null, Element::Number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Element, E> {
        Ok(Element::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Element, E> {
        Ok(Element::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Element, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Element::Array)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> Result<Element, A::Error> {
        while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Element::Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(json: &str) -> Result<Vec<String>, Problem> {
        let mut elements = Elements::default();
        let mut found = Vec::new();
        while let Some(element) = elements.next(json)? {
            found.push(match element {
                Element::Number(n) => n.to_string(),
                Element::Text(text) => text,
                other => other.name().to_owned(),
            });
        }
        assert_eq!(elements.next(json), Ok(None));
        Ok(found)
    }

    #[test]
    fn elements_come_one_by_one() {
        assert_eq!(all(" [ ] ").unwrap(), Vec::<String>::new());
        assert_eq!(
            all("[1,-2 , 1.5e3,\"a\\n,]\",null, true,[1,[2]],{\"a\":[]}]\n").unwrap(),
            [
                "1",
                "-2",
                "1500.0",
                "a\n,]",
                "null",
                "a boolean",
                "an array",
                "an object"
            ]
        );
    }

    #[test]
    fn what_the_parser_refuses_is_refused() {
        for json in [
            "",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1] 2",
            "[1]]",
            "[01]",
            "[\"a]",
            "[nul]",
            "[1e999]",
            "[\"\\ud800\"]",
            "[1,,2]",
            "]",
            "[1}",
            "[tru",
            "[\"\u{1}\"]",
        ] {
            let parsed: Result<serde_json::Value, _> = serde_json::from_str(json);
            assert!(parsed.is_err(), "{json}");
            assert!(matches!(all(json), Err(Problem::Syntax(_))), "{json}");
        }
        assert_eq!(all("{}"), Err(Problem::NoArray("an object")));
        assert_eq!(check_array(" 7 "), Err(Problem::NoArray("a number")));
        assert_eq!(check_array("[1, \"x\", {}]"), Ok(()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn it_agrees_with_the_parser_on_what_an_array_is(
            inside in proptest::collection::vec(proptest::sample::select(b"[]{},: 12\"nul\\-.".to_vec()), 0..9),
            end in proptest::sample::select(vec!["]", "]", "] ", "", "]]", "],"]),
        ) {
            let json = format!("[{}{end}", String::from_utf8(inside).unwrap());
            let parsed: Result<Vec<serde_json::Value>, _> = serde_json::from_str(&json);
            let count = parsed.as_ref().ok().map(Vec::len);
            prop_assert_eq!(all(&json).ok().map(|found| found.len()), count);
            prop_assert_eq!(check_array(&json).is_ok(), count.is_some());
        }
    }
}
