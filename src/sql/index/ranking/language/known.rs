//! The stages that there are: the one list that a ranking is read by, and that error messages show.

use super::arguments::{Arguments, Given, number, unfit};
use super::limits;
use super::pipeline::{First, Stage};
use super::time;
use crate::error::{Error, Result};
use crate::sql::ffi::Value;
use crate::sql::lexer::shown;

/// What a word of a ranking makes.
#[derive(Debug)]
pub enum Part {
    /// Where candidates come from.
    First(First),
    /// What is done with them.
    Stage(Stage),
}

/// A stage, by its name.
pub struct Known {
    /// In small letters.
    pub name: &'static str,
    /// Whether it says where candidates come from.
    pub gathers: bool,
    /// Its arguments, in their order.
    pub arguments: &'static [&'static str],
    /// What it makes of them.
    pub make: fn(&Arguments) -> Result<Part>,
}

/// Every stage.
pub const KNOWN: [Known; 6] = [
    Known {
        name: "meaning",
        gathers: true,
        arguments: &["depth"],
        make: |given| {
            let depth = given.depth(limits::MOST)?;
            Ok(Part::First(First::Meaning { depth }))
        },
    },
    Known {
        name: "words",
        gathers: true,
        arguments: &["depth"],
        make: |given| {
            let depth = given.depth(limits::MOST)?;
            Ok(Part::First(First::Words { depth }))
        },
    },
    Known {
        name: "hybrid",
        gathers: true,
        arguments: &["weight", "depth"],
        make: |given| {
            let weight = given.number("weight", 0.0..=1.0)?;
            let depth = given.depth(limits::MOST)?;
            Ok(Part::First(First::Hybrid { weight, depth }))
        },
    },
    Known {
        name: "rerank",
        gathers: false,
        arguments: &["model", "depth"],
        make: |given| {
            let model = given.text(
                "model",
                "a reranker's name, as in rerank('bge-reranker-base', 20)",
            )?;
            let depth = given
                .depth(limits::MOST_RERANKED)?
                .unwrap_or(limits::RERANK);
            Ok(Part::Stage(Stage::Rerank { model, depth }))
        },
    },
    Known {
        name: "mmr",
        gathers: false,
        arguments: &["lambda", "depth"],
        make: |given| {
            let lambda = given.number("lambda", 0.0..=1.0)?.unwrap_or(0.7);
            let depth = given.depth(limits::MOST_SPREAD)?.unwrap_or(limits::MMR);
            Ok(Part::Stage(Stage::Mmr { lambda, depth }))
        },
    },
    Known {
        name: "decay",
        gathers: false,
        arguments: &["column", "half_life", "now"],
        make: decay,
    },
];

impl Known {
    /// The one of that name, in any case.
    pub fn find(name: &str) -> Option<&'static Known> {
        const ALL: &[Known] = &KNOWN;
        ALL.iter()
            .find(|known| known.name.eq_ignore_ascii_case(name))
    }
}

/// `name(argument, ...)` of each, as an error lists them.
pub fn listed() -> String {
    let with = |is_start: bool| {
        let known = KNOWN.iter().filter(|known| known.gathers == is_start);
        let shapes = known.map(|known| format!("{}({})", known.name, known.arguments.join(", ")));
        shapes.collect::<Vec<String>>().join(", ")
    };
    let (first, then) = (with(true), with(false));
    format!("a ranking is one of {first} and then any of {then}")
}

fn decay(given: &Arguments) -> Result<Part> {
    let column = given.text("column", "a column's name, as in decay(created, '30 days')")?;
    let missing = |name: &str| {
        let example = "as in decay(created, '30 days')";
        Error::invalid(format!("{name} is missing, {example}"))
    };
    Ok(Part::Stage(Stage::Decay {
        column: column.ok_or_else(|| missing("column"))?,
        half_life: half_life(given)?.ok_or_else(|| missing("half_life"))?,
        now: now(given)?,
    }))
}

/// In seconds. A year is that of the Julian calendar, 365.25 days; a month has no length.
const UNITS: [(&str, f64); 6] = [
    ("second", 1.0),
    ("minute", 60.0),
    ("hour", 3_600.0),
    ("day", 86_400.0),
    ("week", 7.0 * 86_400.0),
    ("year", 365.25 * 86_400.0),
];

fn half_life(given: &Arguments) -> Result<Option<f64>> {
    let Some(value) = given.value("half_life") else {
        return Ok(None);
    };
    let seconds = match value {
        Given::Number(days) => Some(days * 86_400.0),
        Given::Text(text) => duration(text),
    };
    let fits = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    let units = UNITS.map(|(name, _)| format!("{name}s")).join(", ");
    let wanted =
        format!("more than 0, and finite: a number of days, or a text with a unit ({units})");
    fits.map(Some)
        .ok_or_else(|| unfit("half_life", value, &wanted))
}

/// `12 hours` in seconds; without a unit, days.
fn duration(text: &str) -> Option<f64> {
    let text = text.trim();
    let unit_at = text
        .rfind(|c: char| !c.is_ascii_alphabetic())
        .map_or(0, |at| {
            at + text[at..].chars().next().map_or(0, char::len_utf8)
        });
    let (count, unit) = text.split_at(unit_at);
    let unit = unit.to_ascii_lowercase();
    let found = UNITS.iter().find(|(name, _)| {
        unit.is_empty() && *name == "day" || unit == *name || unit.strip_suffix('s') == Some(name)
    });
    Some(number(count.trim_end())? * found?.1)
}

fn now(given: &Arguments) -> Result<Option<f64>> {
    let Some(value) = given.value("now") else {
        return Ok(None);
    };
    let seconds = match value {
        Given::Number(seconds) => Some(*seconds),
        Given::Text(text) => time::unix_seconds(&Value::from(text.as_str())),
    };
    let wanted = "a Unix time, or a date as in '2026-01-31' or '2026-01-31T12:00:00Z'";
    seconds.map(Some).ok_or_else(|| unfit("now", value, wanted))
}

/// What was written where no stage is known.
pub fn unknown(word: &str) -> Error {
    Error::invalid(format!("no stage '{}'", shown(word)))
}
