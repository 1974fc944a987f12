//! What a cursor is to do, and that as text and back; the grammar stands in the module above.

use crate::error::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// What a cursor is to do.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// How rows are found.
    pub access: Access,
    /// What the values are, one for each.
    pub inputs: Vec<Input>,
    /// Columns of the user's that are NULL (`true`) or are not.
    pub nulls: Vec<(usize, bool)>,
    /// The order that SQLite relies on.
    pub order: Option<Order>,
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
    /// `k`, and a filter that only SQLite can apply, behind the cut.
    KUncut,
    /// A ranking, and nothing to search for.
    RankAlone,
    /// Several rankings, by IN.
    BadRank,
    /// MATCH on another column than the one called like the index.
    MatchColumn,
    /// `distance =`, which is what the third argument of a call arrives as.
    ThirdArgument,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// What is searched for.
    Query,
    /// How many rows are wanted.
    K,
    /// How rows are ranked.
    Ranking,
    /// The operand of a filter.
    Filter(Filter),
    /// The operand of a filter that only SQLite can apply; looked at beside `k` alone.
    Uncut,
}

/// A term that can be applied before ranking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What is compared.
    pub subject: Subject,
    /// With what result.
    pub test: Test,
    /// The name of the collation; empty for BINARY, and for all but columns of the user's.
    pub collation: String,
    /// Whether the operand is certain to be the same for the whole query: a literal, or an IN. Where it
    /// is not, the operand is a parameter, or comes from another table.
    pub is_constant: bool,
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

/// An operator between a column and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operator {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    Is,
    IsNot,
    Like,
    Glob,
    Regexp,
}

impl Operator {
    /// All of them: as in SQL, and as a word of a plan.
    const ALL: [(Operator, &'static str, &'static str); 11] = [
        (Operator::Eq, "=", "="),
        (Operator::Ne, "<>", "<>"),
        (Operator::Lt, "<", "<"),
        (Operator::Le, "<=", "<="),
        (Operator::Gt, ">", ">"),
        (Operator::Ge, ">=", ">="),
        (Operator::Is, "IS", "-is"),
        (Operator::IsNot, "IS NOT", "-is-not"),
        (Operator::Like, "LIKE", "-like"),
        (Operator::Glob, "GLOB", "-glob"),
        (Operator::Regexp, "REGEXP", "-regexp"),
    ];

    /// As in SQL.
    pub fn sql(self) -> &'static str {
        let found = Self::ALL
            .into_iter()
            .find(|(operator, ..)| *operator == self);
        found.map_or("", |(_, sql, _)| sql)
    }

    fn word(self) -> &'static str {
        let found = Self::ALL
            .into_iter()
            .find(|(operator, ..)| *operator == self);
        found.map_or("", |(.., word)| word)
    }

    fn of_word(wanted: &str) -> Option<Self> {
        let found = Self::ALL.into_iter().find(|(.., word)| *word == wanted);
        found.map(|(operator, ..)| operator)
    }

    /// Whether a greater value may fail, or a smaller one, and no other.
    pub fn is_one_sided(self) -> bool {
        use Operator::{Ge, Gt, Le, Lt};
        matches!(self, Lt | Le | Gt | Ge)
    }
}

/// An order in which rows come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Order {
    Distance,
    Score,
    Rank,
    Rowid,
}

const REFUSALS: [(Refusal, &str); 7] = [
    (Refusal::BadK, "bad-k"),
    (Refusal::KAlone, "k-alone"),
    (Refusal::KUncut, "k-uncut"),
    (Refusal::RankAlone, "rank-alone"),
    (Refusal::BadRank, "bad-rank"),
    (Refusal::MatchColumn, "match-column"),
    (Refusal::ThirdArgument, "third-argument"),
];

const ORDERS: [(Order, &str); 4] = [
    (Order::Distance, "order=distance"),
    (Order::Score, "order=score"),
    (Order::Rank, "order=rank"),
    (Order::Rowid, "order=rowid"),
];

fn word_of<T: PartialEq>(words: &[(T, &'static str)], wanted: &T) -> &'static str {
    let found = words.iter().find(|(thing, _)| thing == wanted);
    found.map_or("", |(_, word)| word)
}

fn named<T: Copy>(words: &[(T, &str)], wanted: &str) -> Option<T> {
    let found = words.iter().find(|(_, word)| *word == wanted);
    found.map(|(thing, _)| *thing)
}

impl fmt::Display for Recipe {
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
        f.write_str(&words.join(" "))
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Input::Query => f.write_str("match"),
            Input::K => f.write_str("k"),
            Input::Ranking => f.write_str("rank"),
            Input::Filter(filter) => filter.fmt(f),
            Input::Uncut => f.write_str("uncut"),
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
        if !self.collation.is_empty() {
            write!(f, ":{}", escaped(&self.collation))?;
        }
        f.write_str(match self.test {
            Test::In => "-in",
            Test::Compare(operator) => operator.word(),
        })?;
        f.write_str(if self.is_constant { "" } else { "?" })
    }
}

/// A collation's name without what ends a word or a name in a plan: any other character is written as
/// `%` and its bytes.
fn escaped(name: &str) -> String {
    let mut escaped = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' => escaped.push(char::from(byte)),
            _ => escaped.push_str(&format!("%{byte:02x}")),
        }
    }
    escaped
}

fn unescaped(name: &str) -> Option<String> {
    let (mut bytes, mut rest) = (Vec::new(), name.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        bytes.push(if first == b'%' {
            let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
            rest = &rest[2..];
            u8::from_str_radix(digits, 16).ok()?
        } else {
            first
        });
    }
    String::from_utf8(bytes).ok()
}

impl FromStr for Recipe {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let unknown = || Error::internal(format!("the plan '{text}' is none of ours"));
        let mut words = text.split(' ');
        let first = words.next().ok_or_else(unknown)?;
        let mut recipe = Recipe {
            access: match first {
                "match" => Access::Search,
                "lookup" => Access::Lookup,
                "scan" => Access::Scan,
                word => Access::Refuse(named(&REFUSALS, word).ok_or_else(unknown)?),
            },
            inputs: Vec::new(),
            nulls: Vec::new(),
            order: None,
        };
        if recipe.access == Access::Search {
            recipe.inputs.push(Input::Query);
        }
        for word in words {
            match word {
                "match" => recipe.inputs.push(Input::Query),
                "k" => recipe.inputs.push(Input::K),
                "rank" => recipe.inputs.push(Input::Ranking),
                "uncut" => recipe.inputs.push(Input::Uncut),
                _ => {
                    if let Some(order) = named(&ORDERS, word) {
                        recipe.order = Some(order);
                    } else if let Some(null) = null(word) {
                        recipe.nulls.push(null);
                    } else {
                        let filter = filter(word).ok_or_else(unknown)?;
                        recipe.inputs.push(Input::Filter(filter));
                    }
                }
            }
        }
        Ok(recipe)
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
    let (word, is_constant) = match word.strip_suffix('?') {
        Some(word) => (word, false),
        None => (word, true),
    };
    let end = word.find([':', '-', '=', '<', '>'])?;
    let (subject, rest) = word.split_at(end);
    let subject = match subject {
        "rowid" => Subject::Rowid,
        "distance" => Subject::Distance,
        "score" => Subject::Score,
        column => Subject::Column(column.strip_prefix("col")?.parse().ok()?),
    };
    let (collation, rest) = match rest.strip_prefix(':') {
        Some(rest) => rest.split_at(rest.find(['-', '=', '<', '>'])?),
        None => ("", rest),
    };
    Some(Filter {
        subject,
        test: match rest {
            "-in" => Test::In,
            operator => Test::Compare(Operator::of_word(operator)?),
        },
        collation: unescaped(collation)?,
        is_constant,
    })
}
