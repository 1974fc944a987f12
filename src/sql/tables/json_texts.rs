//! The texts of a JSON array that a table function is called with, one at a time.

use crate::engine::Row;
use crate::error::{Error, Result};
use crate::json::{Element, Elements, Problem, check_array};
use crate::memory::copy_text;
use crate::sql::arguments::{position, text_of};
use crate::sql::ffi::Call;

/// The array and the place in it.
pub struct JsonTexts {
    json: String,
    elements: Elements,
    next: usize,
    argument: usize,
}

const WANTED: &str = "expected a JSON array of strings such as [\"one\", \"two\"]";

impl JsonTexts {
    /// The array that argument `n` is; NULL is one without elements.
    ///
    /// # Errors
    /// What is no JSON array is an error before the first row.
    pub fn of_call(call: &Call<'_>, n: usize) -> Result<Self> {
        let json = call
            .argument(n)
            .map_or(Ok(None), |value| text_of(value, n))?;
        let json = match json {
            None => "[]".to_owned(),
            Some(json) => copy_text(json)?,
        };
        check_array(&json).map_err(|problem| wrong(&problem, n))?;
        Ok(JsonTexts {
            json,
            elements: Elements::default(),
            next: 0,
            argument: n,
        })
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        Elements::default().next(&self.json) == Ok(None)
    }

    /// The next element, with its index as the key.
    ///
    /// # Errors
    /// An element that is neither a string nor a number nor null.
    pub fn next(&mut self) -> Result<Option<Row<usize>>> {
        let element = self.elements.next(&self.json);
        let Some(element) = element.map_err(|problem| wrong(&problem, self.argument))? else {
            return Ok(None);
        };
        let key = self.next;
        self.next += 1;
        let text = text(key, element)?;
        let bytes = text.as_ref().map_or(0, String::len);
        Ok(Some(Row { key, text, bytes }))
    }
}

/// An element as it is called in errors.
pub fn name(index: &usize) -> String {
    format!("element {index}")
}

fn wrong(problem: &Problem, n: usize) -> Error {
    let place = position(n);
    Error::invalid(match problem {
        Problem::NoArray(_) => format!("{place} is JSON, but no array; {WANTED}"),
        Problem::Syntax(e) => format!("{place} is not valid JSON ({e}); {WANTED}"),
    })
}

fn text(index: usize, element: Element) -> Result<Option<String>> {
    match element {
        Element::Null => Ok(None),
        Element::Text(text) => Ok(Some(text)),
        Element::Number(number) => Ok(Some(number.to_string())),
        other => Err(Error::invalid(format!(
            "element {index} is {}, expected a string, a number or null",
            other.name()
        ))),
    }
}
