//! From the terms of a query to what a cursor is to do, and the text that goes between the two.
//!
//! SQLite asks for a plan, keeps its text, shows it in EXPLAIN QUERY PLAN, and hands it to the
//! cursor with the values. The text is words with a space between:
//!
//! ```text
//! plan    = search | lookup | scan | refusal
//! search  = "match"+ "k"* filter* ["limit"] ["offset"] null* ["order=distance" | "order=score"] ["no-cut"]
//! lookup  = "lookup" "rowid="                          one row at most
//! scan    = "scan" filter* ["order=rowid"]             by rowid, whatever is asked for
//! filter  = subject operator | subject "-in"           "-in": all values of an IN at once
//! subject = "rowid" | "distance" | "score" | "col" number [":nocase" | ":rtrim"]
//! operator = "=" | "<>" | "<" | "<=" | ">" | ">="
//! null    = "col" number "-null" | "col" number "-not-null"
//! refusal = "bad-k" | "k-alone" | "match-column" | "third-argument"
//! ```
//!
//! `match`, `k`, each filter, `limit` and `offset` have one value, in their order; the other words
//! have none. All but `match` and `k` are checked again by SQLite; `limit` and `offset` are hints.
//! `no-cut`: there are terms that only SQLite checks, so `k` rows of ours may be fewer of its own.
//!
//! `match` or `k` more than once: SQLite up to 3.40 repeats the arguments of a call where it goes
//! through the sides of an OR one by one. The cursor wants equal values.
//!
//! A refusal is no error yet: SQLite also plans parts of a query that it never runs (one side of
//! an OR). It is so dear that any other plan wins, and the cursor raises the error.

mod steps;

use super::compare::{Collation, Operator};
use super::declare::{Hidden, Place, Spec};
pub use steps::{Access, Filter, Input, Order, Refusal, Steps, Subject, Test};

/// What a term does. SQLite numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Op {
    Eq,
    Ne,
    Gt,
    Le,
    Lt,
    Ge,
    Match,
    IsNull,
    NotNull,
    Limit,
    Offset,
    /// Anything else: LIKE, IS, a function.
    Other(u8),
}

impl Op {
    /// By SQLite's number.
    pub fn from_code(code: u8) -> Self {
        match code {
            2 => Op::Eq,
            4 => Op::Gt,
            8 => Op::Le,
            16 => Op::Lt,
            32 => Op::Ge,
            64 => Op::Match,
            68 => Op::Ne,
            70 => Op::NotNull,
            71 => Op::IsNull,
            73 => Op::Limit,
            74 => Op::Offset,
            other => Op::Other(other),
        }
    }

    fn comparison(self) -> Option<Operator> {
        match self {
            Op::Eq => Some(Operator::Eq),
            Op::Ne => Some(Operator::Ne),
            Op::Gt => Some(Operator::Gt),
            Op::Le => Some(Operator::Le),
            Op::Lt => Some(Operator::Lt),
            Op::Ge => Some(Operator::Ge),
            _ => None,
        }
    }
}

/// A term of WHERE, as SQLite offers it.
#[derive(Clone, Debug, PartialEq)]
pub struct Term {
    /// -1 is the rowid.
    pub column: i32,
    /// What is asked of the column.
    pub operator: Op,
    /// Whether its value is known before this table is read.
    pub usable: bool,
    /// Whether it is an IN whose values can be had all at once.
    pub can_take_all: bool,
    /// The collation it compares with.
    pub collation: String,
}

/// A term of ORDER BY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderTerm {
    /// -1 is the rowid.
    pub column: i32,
    /// The greatest first.
    pub descending: bool,
}

/// What planning has to know of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// For each column of the user's whether it is text that is embedded.
    pub indexed: Vec<bool>,
}

impl Layout {
    /// Of an index.
    pub fn of(spec: &Spec) -> Self {
        Layout {
            indexed: spec.columns.iter().map(|column| column.indexed).collect(),
        }
    }

    fn place(&self, column: i32) -> Option<Place> {
        Place::of(column, self.indexed.len())
    }
}

/// An answer for SQLite.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// The query or `k` comes from a table that is read later: the planner must reorder.
    Impossible,
    /// See there.
    Possible(Chosen),
}

/// A plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// [`Self::steps`] as text.
    pub text: String,
    /// What the cursor is to do.
    pub steps: Steps,
    /// The terms whose values the cursor gets, in this order.
    pub arguments: Vec<Argument>,
    /// What it costs.
    pub cost: f64,
    /// How many rows may come.
    pub rows: i64,
    /// Whether they come in the order asked for.
    pub order_consumed: bool,
    /// Whether there is one at most.
    pub unique: bool,
}

/// A value that the cursor wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Which term's.
    pub term: usize,
    /// SQLite need not check the term again.
    pub omit: bool,
    /// All values of an IN at once.
    pub all: bool,
}

/// A search is never cheaper, so that no join reads it once for each of its rows.
const SEARCH: f64 = 1e6;
/// Dearer than any search: planning the sides of an OR, SQLite leaves MATCH out of them.
const SCAN: f64 = 1e9;
const LOOKUP: f64 = 10.0;
const NEVER: f64 = 1e99;

/// Plans a query.
pub fn plan(layout: &Layout, terms: &[Term], order: &[OrderTerm]) -> Plan {
    let sorted = Sorted::new(layout, terms);
    let needed = || sorted.queries.iter().chain(&sorted.ks);
    if needed().any(|&n| !terms[n].usable) {
        return Plan::Impossible;
    }
    Plan::Possible(match sorted.refusal(terms) {
        Some(refusal) => refuse(refusal),
        None if sorted.queries.is_empty() => by_rowid(layout, terms, order),
        None => search(layout, terms, order, &sorted),
    })
}

/// The terms, by what they are about; each by its number.
struct Sorted {
    queries: Vec<usize>,
    ks: Vec<usize>,
    limits: Vec<usize>,
    others: Vec<usize>,
    match_elsewhere: bool,
    third_argument: bool,
}

impl Sorted {
    fn new(layout: &Layout, terms: &[Term]) -> Self {
        let mut sorted = Sorted {
            queries: Vec::new(),
            ks: Vec::new(),
            limits: Vec::new(),
            others: Vec::new(),
            match_elsewhere: false,
            third_argument: false,
        };
        for (n, term) in terms.iter().enumerate() {
            // LIMIT and OFFSET are about no column: theirs is any number.
            let list = match (term.operator, layout.place(term.column)) {
                (Op::Limit | Op::Offset, _) => &mut sorted.limits,
                (Op::Eq | Op::Match, Some(Place::Hidden(Hidden::Query))) => &mut sorted.queries,
                (_, Some(Place::Hidden(Hidden::K))) => &mut sorted.ks,
                (Op::Match, _) if term.usable => {
                    sorted.match_elsewhere = true;
                    &mut sorted.others
                }
                (Op::Eq, Some(Place::Hidden(Hidden::Distance)))
                    if term.usable && !term.can_take_all =>
                {
                    sorted.third_argument = true;
                    &mut sorted.others
                }
                _ => &mut sorted.others,
            };
            list.push(n);
        }
        sorted
    }

    fn refusal(&self, terms: &[Term]) -> Option<Refusal> {
        // An IN arrives as `=`.
        let bad_k = |&n: &usize| terms[n].operator != Op::Eq || terms[n].can_take_all;
        if self.ks.iter().any(bad_k) {
            Some(Refusal::BadK)
        } else if !self.ks.is_empty() && self.queries.is_empty() {
            Some(Refusal::KAlone)
        } else if self.third_argument && !self.queries.is_empty() {
            Some(Refusal::ThirdArgument)
        } else {
            self.match_elsewhere.then_some(Refusal::MatchColumn)
        }
    }
}

fn refuse(refusal: Refusal) -> Chosen {
    Draft::new(Access::Refuse(refusal)).priced(NEVER, i64::MAX)
}

fn search(layout: &Layout, terms: &[Term], order: &[OrderTerm], sorted: &Sorted) -> Chosen {
    let mut draft = Draft::new(Access::Search);
    for &query in &sorted.queries {
        draft.take(query, Input::Query, true, false);
    }
    for &k in &sorted.ks {
        draft.take(k, Input::K, true, false);
    }
    // A rowid makes a search no cheaper, see `SEARCH`.
    let mut helpful = 0;
    for &n in sorted.others.iter().filter(|&&n| terms[n].usable) {
        let term = &terms[n];
        if let Some(filter) = filter(layout, term) {
            draft.take(n, Input::Filter(filter), false, filter.test == Test::In);
            let one_row = filter.subject == Subject::Rowid && term.operator == Op::Eq;
            helpful += usize::from(!one_row || term.can_take_all);
        } else if let Some(null) = null(layout, term) {
            draft.steps.nulls.push(null);
            helpful += 1;
        } else {
            draft.steps.no_cut = true;
        }
    }
    for (operator, input) in [(Op::Limit, Input::Limit), (Op::Offset, Input::Offset)] {
        let is_it = |&&n: &&usize| terms[n].usable && terms[n].operator == operator;
        if let Some(&n) = sorted.limits.iter().find(is_it) {
            draft.take(n, input, false, false);
        }
    }
    // Where SQLite searches once for each value of an IN, the whole has no order.
    if !sorted
        .queries
        .iter()
        .any(|&query| terms[query].can_take_all)
    {
        draft.steps.order = ranking(layout, order);
    }
    let limited = !sorted.ks.is_empty();
    let cost = SEARCH * (1.0 + 0.5 / (1 + helpful) as f64);
    match (limited, draft.steps.no_cut) {
        // `k` would count rows that SQLite then drops: any plan where those terms come later is as good.
        (true, true) => draft.priced(NEVER, i64::MAX),
        (true, false) => draft.priced(cost, 10),
        (false, _) => draft.priced(cost, 1000),
    }
}

fn by_rowid(layout: &Layout, terms: &[Term], order: &[OrderTerm]) -> Chosen {
    let usable = || terms.iter().enumerate().filter(|(_, term)| term.usable);
    let on_rowid = |term: &Term, operator: Op| {
        let about = !matches!(operator, Op::Limit | Op::Offset) && term.column == -1;
        about && term.operator == operator
    };
    let compare = |operator| {
        Input::Filter(Filter {
            subject: Subject::Rowid,
            test: Test::Compare(operator),
            collation: Collation::Binary,
        })
    };
    // SQLite goes through the values of an IN itself.
    if let Some((n, _)) = usable().find(|(_, term)| on_rowid(term, Op::Eq)) {
        let mut draft = Draft::new(Access::Lookup);
        draft.take(n, compare(Operator::Eq), false, false);
        let mut chosen = draft.priced(LOOKUP, 1);
        chosen.unique = true;
        return chosen;
    }
    let mut draft = Draft::new(Access::Scan);
    for (n, term) in usable() {
        let bound = [Op::Gt, Op::Ge, Op::Lt, Op::Le]
            .into_iter()
            .find(|operator| on_rowid(term, *operator))
            .and_then(Op::comparison);
        if let Some(operator) = bound {
            draft.take(n, compare(operator), false, false);
        }
    }
    if let [only] = order
        && layout.place(only.column) == Some(Place::Rowid)
        && !only.descending
    {
        draft.steps.order = Some(Order::Rowid);
    }
    let share = if draft.arguments.is_empty() { 1.0 } else { 0.5 };
    draft.priced(SCAN * share, (1e6 * share) as i64)
}

/// The term as one that the cursor applies, if it can.
fn filter(layout: &Layout, term: &Term) -> Option<Filter> {
    let operator = term.operator.comparison()?;
    let test = match operator {
        Operator::Eq if term.can_take_all => Test::In,
        _ => Test::Compare(operator),
    };
    let one_sided = !matches!(operator, Operator::Eq | Operator::Ne);
    let (subject, collation) = match layout.place(term.column)? {
        Place::Rowid => (Subject::Rowid, Collation::Binary),
        Place::Column(n) if !layout.indexed[n] => {
            (Subject::Column(n), Collation::parse(&term.collation)?)
        }
        Place::Hidden(Hidden::Distance) if one_sided => (Subject::Distance, Collation::Binary),
        Place::Hidden(Hidden::Score) if one_sided => (Subject::Score, Collation::Binary),
        Place::Column(_) | Place::Hidden(_) => return None,
    };
    Some(Filter {
        subject,
        test,
        collation,
    })
}

/// The term as IS NULL or IS NOT NULL of a column that is not embedded.
fn null(layout: &Layout, term: &Term) -> Option<(usize, bool)> {
    let is_null = match term.operator {
        Op::IsNull => true,
        Op::NotNull => false,
        _ => return None,
    };
    match layout.place(term.column)? {
        Place::Column(n) if !layout.indexed[n] => Some((n, is_null)),
        _ => None,
    }
}

/// The order of a search, where exactly that is asked for; ties come by rowid.
fn ranking(layout: &Layout, order: &[OrderTerm]) -> Option<Order> {
    let (first, rest) = order.split_first()?;
    let by_rowid = |t: &OrderTerm| layout.place(t.column) == Some(Place::Rowid) && !t.descending;
    if rest.len() > 1 || !rest.iter().all(by_rowid) {
        return None;
    }
    match (layout.place(first.column)?, first.descending) {
        (Place::Hidden(Hidden::Distance), false) => Some(Order::Distance),
        (Place::Hidden(Hidden::Score), true) => Some(Order::Score),
        _ => None,
    }
}

/// A plan in the making: inputs and arguments go together.
struct Draft {
    steps: Steps,
    arguments: Vec<Argument>,
}

impl Draft {
    fn new(access: Access) -> Self {
        Draft {
            steps: Steps {
                access,
                inputs: Vec::new(),
                nulls: Vec::new(),
                order: None,
                no_cut: false,
            },
            arguments: Vec::new(),
        }
    }

    fn take(&mut self, term: usize, input: Input, omit: bool, all: bool) {
        self.steps.inputs.push(input);
        self.arguments.push(Argument { term, omit, all });
    }

    fn priced(self, cost: f64, rows: i64) -> Chosen {
        Chosen {
            text: self.steps.to_string(),
            order_consumed: self.steps.order.is_some(),
            steps: self.steps,
            arguments: self.arguments,
            cost,
            rows,
            unique: false,
        }
    }
}

#[cfg(test)]
mod tests;
