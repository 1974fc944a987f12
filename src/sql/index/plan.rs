//! From the terms of a query to what a cursor is to do, and the text that goes between the two.
//!
//! SQLite asks for a plan, keeps its text, shows it in EXPLAIN QUERY PLAN, and hands it to the
//! cursor with the values. The text is words with a space between:
//!
//! ```text
//! plan     = search | lookup | scan | refusal
//! search   = "match"+ "k"* "rank"* ( filter | "uncut" )* null* [ "order=distance" | "order=score" | "order=rank" ]
//! lookup   = "lookup" filter                           one row at most
//! scan     = "scan" filter* [ "order=rowid" ]          by rowid, whatever is asked for
//! filter   = subject test [ "?" ]                      "?": the operand may come from another table
//! subject  = "rowid" | "distance" | "score" | "col" number [ ":" collation ]
//! test     = "=" | "<>" | "<" | "<=" | ">" | ">=" | "-is" | "-is-not" | "-like" | "-glob" | "-regexp"
//!          | "-in"                                     all values of an IN at once
//! null     = "col" number "-null" | "col" number "-not-null"
//! refusal  = "bad-k" | "k-alone" | "k-uncut" | "rank-alone" | "bad-rank" | "match-column" | "third-argument"
//! ```
//!
//! `match`, `k`, `rank`, `uncut` and each filter have one value, in their order; the other words have none.
//! All but `match`, `k` and `rank` are checked again by SQLite. `rank = '...'` says what `rank MATCH '...'`
//! says, as in FTS5.
//!
//! **What `k` means.** The `k` nearest rows of this MATCH and of this table's own constant filters. A
//! filter whose value comes from another table never takes part in the cut, whatever the order of a
//! join; it is applied by SQLite to the `k` rows. So `k` means the same in every plan that SQLite may
//! choose. A constant is a literal, an IN, IS NULL, or a parameter; of the last only the value itself
//! tells, so such filters have a `?` and the cursor looks. (Of an IN nothing tells. Where SQLite may choose
//! the order of a join, prices make it choose the plan in which an IN of another table comes later; behind
//! CROSS JOIN or LEFT JOIN it counts as a constant.) A constant filter that cannot be applied before
//! the cut is an error beside `k`. The candidates of a ranking are chosen by the same filters, so a place and a
//! `rank` mean the same in every plan too.
//!
//! `match` or `k` more than once: SQLite up to 3.40 repeats the arguments of a call where it goes
//! through the sides of an OR one by one. The cursor wants equal values.
//!
//! A refusal is no error yet: SQLite also plans parts of a query that it never runs (one side of
//! an OR). It is so dear that any other plan wins, and the cursor raises the error.

mod recipe;

use super::declare::{ColumnRole, Hidden, Spec};
pub use recipe::{Access, Filter, Input, Operator, Order, Recipe, Refusal, Subject, Test};

/// What a term does. SQLite numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// It compares the column with a value.
    Compare(Operator),
    /// MATCH.
    Match,
    /// IS NULL.
    IsNull,
    /// IS NOT NULL.
    NotNull,
    /// LIMIT or OFFSET, which are about no column.
    Limit,
    /// Anything else.
    Other(u8),
}

impl Op {
    /// By SQLite's number.
    pub fn from_code(code: u8) -> Self {
        match code {
            2 => Op::Compare(Operator::Eq),
            4 => Op::Compare(Operator::Gt),
            8 => Op::Compare(Operator::Le),
            16 => Op::Compare(Operator::Lt),
            32 => Op::Compare(Operator::Ge),
            64 => Op::Match,
            65 => Op::Compare(Operator::Like),
            66 => Op::Compare(Operator::Glob),
            67 => Op::Compare(Operator::Regexp),
            68 => Op::Compare(Operator::Ne),
            69 => Op::Compare(Operator::IsNot),
            70 => Op::NotNull,
            71 => Op::IsNull,
            72 => Op::Compare(Operator::Is),
            73 | 74 => Op::Limit,
            other => Op::Other(other),
        }
    }

    /// Whether it is `=`, which an IN arrives as too.
    pub fn is_equality(self) -> bool {
        self == Op::Compare(Operator::Eq)
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
    /// Whether its value is a literal of the query.
    pub is_literal: bool,
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
    /// The columns behind the user's.
    pub hidden: Vec<Hidden>,
}

impl Layout {
    /// Of an index.
    pub fn of(spec: &Spec) -> Self {
        Layout {
            indexed: spec.columns.iter().map(|column| column.indexed).collect(),
            hidden: spec.hidden.clone(),
        }
    }

    fn role(&self, column: i32) -> Option<ColumnRole> {
        ColumnRole::of(column, self.indexed.len(), &self.hidden)
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
    /// [`Self::recipe`] as text.
    pub text: String,
    /// What the cursor is to do.
    pub recipe: Recipe,
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
/// Beside `k`, a search whose plan has an IN: of what another table says, SQLite has a cheaper plan.
const LIST: f64 = 1e12;
const LOOKUP: f64 = 10.0;
const NEVER: f64 = 1e99;

/// Plans a query.
pub fn plan(layout: &Layout, terms: &[Term], order: &[OrderTerm]) -> Plan {
    let sorted = Sorted::new(layout, terms);
    let needed = || (sorted.queries.iter().chain(&sorted.ks)).chain(&sorted.rankings);
    if needed().any(|&n| !terms[n].usable) {
        return Plan::Impossible;
    }
    Plan::Possible(match sorted.refusal(layout, terms) {
        Some(refusal) => refuse(refusal),
        None if sorted.queries.is_empty() => by_rowid(layout, terms, order),
        None => search(layout, terms, order, &sorted),
    })
}

/// The terms, by what they are about; each by its number.
#[derive(Default)]
struct Sorted {
    queries: Vec<usize>,
    ks: Vec<usize>,
    rankings: Vec<usize>,
    others: Vec<usize>,
    match_elsewhere: bool,
    third_argument: bool,
}

impl Sorted {
    fn new(layout: &Layout, terms: &[Term]) -> Self {
        let mut sorted = Sorted::default();
        for (n, term) in terms.iter().enumerate() {
            let is_query = term.operator.is_equality() || term.operator == Op::Match;
            let list = match (term.operator, layout.role(term.column)) {
                // Hints; and about no column: theirs is any number.
                (Op::Limit, _) => continue,
                (_, Some(ColumnRole::Hidden(Hidden::Query))) if is_query => &mut sorted.queries,
                // Reading `k` is no limit: where none is given, `k` is NULL.
                (Op::IsNull | Op::NotNull, Some(ColumnRole::Hidden(Hidden::K))) => continue,
                (_, Some(ColumnRole::Hidden(Hidden::K))) => &mut sorted.ks,
                (_, Some(ColumnRole::Hidden(Hidden::Rank))) if is_query => &mut sorted.rankings,
                (Op::Match, _) if term.usable => {
                    sorted.match_elsewhere = true;
                    &mut sorted.others
                }
                (Op::Compare(Operator::Eq), Some(ColumnRole::Hidden(Hidden::Distance)))
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

    fn refusal(&self, layout: &Layout, terms: &[Term]) -> Option<Refusal> {
        // An IN arrives as `=`.
        let bad_k = |&n: &usize| !terms[n].operator.is_equality() || terms[n].can_take_all;
        let uncut = |&&n: &&usize| {
            let term = &terms[n];
            term.usable && is_constant(term) && !can_be_applied(layout, term)
        };
        let limited = !self.ks.is_empty();
        if self.ks.iter().any(bad_k) {
            Some(Refusal::BadK)
        } else if limited && self.queries.is_empty() {
            Some(Refusal::KAlone)
        } else if !self.rankings.is_empty() && self.queries.is_empty() {
            Some(Refusal::RankAlone)
        } else if self.rankings.iter().any(|&n| terms[n].can_take_all) {
            Some(Refusal::BadRank)
        } else if self.third_argument && !self.queries.is_empty() {
            Some(Refusal::ThirdArgument)
        } else if self.match_elsewhere {
            Some(Refusal::MatchColumn)
        } else {
            let uncut = limited && self.others.iter().any(|n| uncut(&n));
            uncut.then_some(Refusal::KUncut)
        }
    }
}

/// Whether the term is certain to ask the same of each row of the whole query.
fn is_constant(term: &Term) -> bool {
    let has_value = !matches!(term.operator, Op::IsNull | Op::NotNull);
    term.is_literal || term.can_take_all || !has_value
}

fn can_be_applied(layout: &Layout, term: &Term) -> bool {
    filter(layout, term).is_some() || null(layout, term).is_some()
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
    for &ranking in &sorted.rankings {
        draft.take(ranking, Input::Ranking, true, false);
    }
    let limited = !sorted.ks.is_empty();
    // A rowid makes a search no cheaper, see `SEARCH`.
    let mut helpful = 0;
    for &n in sorted.others.iter().filter(|&&n| terms[n].usable) {
        let term = &terms[n];
        if let Some(filter) = filter(layout, term) {
            let one_row = filter.subject == Subject::Rowid && term.operator.is_equality();
            let all = filter.test == Test::In;
            draft.take(n, Input::Filter(filter), false, all);
            helpful += usize::from(!one_row || term.can_take_all);
        } else if let Some(null) = null(layout, term) {
            draft.recipe.nulls.push(null);
            helpful += 1;
        } else if limited {
            draft.take(n, Input::Uncut, false, false);
        }
    }
    // Where SQLite searches once for each value of an IN, the whole has no order.
    if !sorted
        .queries
        .iter()
        .any(|&query| terms[query].can_take_all)
    {
        draft.recipe.order = ranking(layout, order);
    }
    // Whether an IN is a constant SQLite does not say. Where its members come from another table,
    // there is a plan without it, which wins: they are no part of what `k` counts.
    let has_list = |filter: &Input| matches!(filter, Input::Filter(f) if f.test == Test::In);
    let may_be_joined = limited && draft.recipe.inputs.iter().any(has_list);
    let least = if may_be_joined { LIST } else { SEARCH };
    let cost = least * (1.0 + 0.5 / (1 + helpful) as f64);
    draft.priced(cost, if limited { 10 } else { 1000 })
}

fn by_rowid(layout: &Layout, terms: &[Term], order: &[OrderTerm]) -> Chosen {
    let usable = || terms.iter().enumerate().filter(|(_, term)| term.usable);
    let on_rowid = |term: &Term, operator: Operator| {
        term.operator == Op::Compare(operator) && term.column == -1
    };
    let compare = |operator| {
        Input::Filter(Filter {
            subject: Subject::Rowid,
            test: Test::Compare(operator),
            collation: String::new(),
            is_constant: true,
        })
    };
    // SQLite goes through the values of an IN itself.
    if let Some((n, _)) = usable().find(|(_, term)| on_rowid(term, Operator::Eq)) {
        let mut draft = Draft::new(Access::Lookup);
        draft.take(n, compare(Operator::Eq), false, false);
        let mut chosen = draft.priced(LOOKUP, 1);
        chosen.unique = true;
        return chosen;
    }
    let mut draft = Draft::new(Access::Scan);
    for (n, term) in usable() {
        let bounds = [Operator::Gt, Operator::Ge, Operator::Lt, Operator::Le];
        if let Some(operator) = bounds.into_iter().find(|&bound| on_rowid(term, bound)) {
            draft.take(n, compare(operator), false, false);
        }
    }
    if let [only] = order
        && layout.role(only.column) == Some(ColumnRole::Rowid)
        && !only.descending
    {
        draft.recipe.order = Some(Order::Rowid);
    }
    let share = if draft.arguments.is_empty() { 1.0 } else { 0.5 };
    draft.priced(SCAN * share, (1e6 * share) as i64)
}

/// The term as one that can be applied before ranking, if it can.
fn filter(layout: &Layout, term: &Term) -> Option<Filter> {
    let Op::Compare(operator) = term.operator else {
        return None;
    };
    let (subject, collation) = match layout.role(term.column)? {
        ColumnRole::Rowid => (Subject::Rowid, ""),
        ColumnRole::OfUser(n) if !layout.indexed[n] => (Subject::Column(n), &*term.collation),
        ColumnRole::Hidden(Hidden::Distance) if operator.is_one_sided() => (Subject::Distance, ""),
        ColumnRole::Hidden(Hidden::Score) if operator.is_one_sided() => (Subject::Score, ""),
        ColumnRole::OfUser(_) | ColumnRole::Hidden(_) => return None,
    };
    let is_binary = collation.eq_ignore_ascii_case("BINARY");
    Some(Filter {
        subject,
        test: match operator {
            Operator::Eq if term.can_take_all => Test::In,
            _ => Test::Compare(operator),
        },
        collation: if is_binary { "" } else { collation }.to_owned(),
        is_constant: is_constant(term),
    })
}

/// The term as IS NULL or IS NOT NULL of a column that is not embedded.
fn null(layout: &Layout, term: &Term) -> Option<(usize, bool)> {
    let is_null = match term.operator {
        Op::IsNull => true,
        Op::NotNull => false,
        _ => return None,
    };
    match layout.role(term.column)? {
        ColumnRole::OfUser(n) if !layout.indexed[n] => Some((n, is_null)),
        _ => None,
    }
}

/// The order of a search, where exactly that is asked for; ties come by rowid.
fn ranking(layout: &Layout, order: &[OrderTerm]) -> Option<Order> {
    let (first, rest) = order.split_first()?;
    let by_rowid =
        |t: &OrderTerm| layout.role(t.column) == Some(ColumnRole::Rowid) && !t.descending;
    if rest.len() > 1 || !rest.iter().all(by_rowid) {
        return None;
    }
    match (layout.role(first.column)?, first.descending) {
        (ColumnRole::Hidden(Hidden::Distance), false) => Some(Order::Distance),
        (ColumnRole::Hidden(Hidden::Score), true) => Some(Order::Score),
        (ColumnRole::Hidden(Hidden::Rank), false) => Some(Order::Rank),
        _ => None,
    }
}

/// A plan in the making: inputs and arguments go together.
struct Draft {
    recipe: Recipe,
    arguments: Vec<Argument>,
}

impl Draft {
    fn new(access: Access) -> Self {
        Draft {
            recipe: Recipe {
                access,
                inputs: Vec::new(),
                nulls: Vec::new(),
                order: None,
            },
            arguments: Vec::new(),
        }
    }

    fn take(&mut self, term: usize, input: Input, omit: bool, all: bool) {
        self.recipe.inputs.push(input);
        self.arguments.push(Argument { term, omit, all });
    }

    fn priced(self, cost: f64, rows: i64) -> Chosen {
        Chosen {
            text: self.recipe.to_string(),
            order_consumed: self.recipe.order.is_some(),
            recipe: self.recipe,
            arguments: self.arguments,
            cost,
            rows,
            unique: false,
        }
    }
}

#[cfg(test)]
mod tests;
