//! What a cursor is to do, and that as text and back; the grammar stands in the module above.

use crate::error::{Error, Result};
use crate::sql::index::compare::{Collation, Operator};
use std::fmt;
use std::str::FromStr;

/// What a cursor is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Steps {
    /// How rows are found.
    pub access: Access,
    /// What the values are, one for each.
    pub inputs: Vec<Input>,
    /// Columns of the user's that are NULL (`true`) or are not.
    pub nulls: Vec<(usize, bool)>,
    /// The order that SQLite relies on.
    pub order: Option<Order>,
    /// There are terms that only SQLite checks.
    pub no_cut: bool,
}

/// How rows are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// By meaning.
    Search,
    /// By one rowid.
    Lookup,
    /// All of them, by rowid.
    Scan,
    /// Not at all: this is an error.
    Refuse(Refusal),
}

/// A query that cannot be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// `k` otherwise than by `=` one number.
    BadK,
    /// `k`, and nothing to search for.
    KAlone,
    /// MATCH on another column than the one called like the index.
    MatchColumn,
    /// `distance =`, which is what the third argument of a call arrives as.
    ThirdArgument,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// What is searched for.
    Query,
    /// How many rows are wanted.
    K,
    /// The operand of a filter.
    Filter(Filter),
    /// LIMIT, a hint.
    Limit,
    /// OFFSET, a hint.
    Offset,
}

/// A term that the cursor may apply itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What is compared.
    pub subject: Subject,
    /// With what result.
    pub test: Test,
    /// Of the comparison; BINARY for all but columns of the user's.
    pub collation: Collation,
}

/// What a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Subject {
    Rowid,
    Column(usize),
    Distance,
    Score,
}

/// How a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// With one value.
    Compare(Operator),
    /// With many: one must be equal.
    In,
}

/// An order in which rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Order {
    Distance,
    Score,
    Rowid,
}

const REFUSALS: [(Refusal, &str); 4] = [
    (Refusal::BadK, "bad-k"),
    (Refusal::KAlone, "k-alone"),
    (Refusal::MatchColumn, "match-column"),
    (Refusal::ThirdArgument, "third-argument"),
];

const ORDERS: [(Order, &str); 3] = [
    (Order::Distance, "order=distance"),
    (Order::Score, "order=score"),
    (Order::Rowid, "order=rowid"),
];

const COLLATIONS: [(Collation, &str); 3] = [
    (Collation::NoCase, ":nocase"),
    (Collation::RTrim, ":rtrim"),
    (Collation::Binary, ""),
];

fn word_of<T: PartialEq>(words: &[(T, &'static str)], wanted: &T) -> &'static str {
    let found = words.iter().find(|(thing, _)| thing == wanted);
    found.map_or("", |(_, word)| word)
}

fn named<T: Copy>(words: &[(T, &str)], wanted: &str) -> Option<T> {
    let found = words.iter().find(|(_, word)| *word == wanted);
    found.map(|(thing, _)| *thing)
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<String> = Vec::new();
        match self.access {
            Access::Search => {} // its first input says so
            Access::Lookup => words.push("lookup".into()),
            Access::Scan => words.push("scan".into()),
            Access::Refuse(refusal) => words.push(word_of(&REFUSALS, &refusal).into()),
        }
        words.extend(self.inputs.iter().map(ToString::to_string));
        for (column, is_null) in &self.nulls {
            let not = if *is_null { "" } else { "-not" };
            words.push(format!("col{column}{not}-null"));
        }
        words.extend(self.order.map(|order| word_of(&ORDERS, &order).into()));
        words.extend(self.no_cut.then(|| "no-cut".into()));
        f.write_str(&words.join(" "))
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Query => f.write_str("match"),
            Input::K => f.write_str("k"),
            Input::Filter(filter) => filter.fmt(f),
            Input::Limit => f.write_str("limit"),
            Input::Offset => f.write_str("offset"),
        }
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject {
            Subject::Rowid => f.write_str("rowid"),
            Subject::Column(n) => write!(f, "col{n}"),
            Subject::Distance => f.write_str("distance"),
            Subject::Score => f.write_str("score"),
        }?;
        f.write_str(word_of(&COLLATIONS, &self.collation))?;
        f.write_str(match &self.test {
            Test::In => "-in",
            Test::Compare(operator) => word_of(&Operator::ALL, operator),
        })
    }
}

impl FromStr for Steps {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::internal(format!("the plan '{text}' is none of ours"));
        let mut words = text.split(' ');
        let first = words.next().ok_or_else(unknown)?;
        let mut steps = Steps {
            access: match first {
                "match" => Access::Search,
                "lookup" => Access::Lookup,
                "scan" => Access::Scan,
                word => Access::Refuse(named(&REFUSALS, word).ok_or_else(unknown)?),
            },
            inputs: Vec::new(),
            nulls: Vec::new(),
            order: None,
            no_cut: false,
        };
        if steps.access == Access::Search {
            steps.inputs.push(Input::Query);
        }
        for word in words {
            match word {
                "match" => steps.inputs.push(Input::Query),
                "k" => steps.inputs.push(Input::K),
                "limit" => steps.inputs.push(Input::Limit),
                "offset" => steps.inputs.push(Input::Offset),
                "no-cut" => steps.no_cut = true,
                _ => {
                    if let Some(order) = named(&ORDERS, word) {
                        steps.order = Some(order);
                    } else if let Some(null) = null(word) {
                        steps.nulls.push(null);
                    } else {
                        let filter = filter(word).ok_or_else(unknown)?;
                        steps.inputs.push(Input::Filter(filter));
                    }
                }
            }
        }
        Ok(steps)
    }
}

fn null(word: &str) -> Option<(usize, bool)> {
    let column = word.strip_prefix("col")?.strip_suffix("-null")?;
    match column.strip_suffix("-not") {
        Some(column) => Some((column.parse().ok()?, false)),
        None => Some((column.parse().ok()?, true)),
    }
}

fn filter(word: &str) -> Option<Filter> {
    let end = word.find([':', '-', '=', '<', '>'])?;
    let (subject, rest) = word.split_at(end);
    let subject = match subject {
        "rowid" => Subject::Rowid,
        "distance" => Subject::Distance,
        "score" => Subject::Score,
        column => Subject::Column(column.strip_prefix("col")?.parse().ok()?),
    };
    let (collation, rest) = COLLATIONS
        .into_iter()
        .find_map(|(collation, word)| Some((collation, rest.strip_prefix(word)?)))?;
    let test = match rest {
        "-in" => Test::In,
        operator => Test::Compare(named(&Operator::ALL, operator)?),
    };
    Some(Filter {
        subject,
        test,
        collation,
    })
}
