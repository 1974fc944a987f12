//! Reading an index: a search, a scan, or one row.

use super::best::Best;
use super::connected::Connected;
use super::content::{Located, Present};
use super::declare::{ColumnRole, Hidden};
use super::inputs::{self, Inputs};
use super::ordinary;
use super::overlay;
use super::parts::Parts;
use super::plan::{Access, Order, Recipe};
use super::query::Query;
use super::ranking::answer::Answer;
use super::ranking::hit::Hit;
use super::ranking::run::{self, Asked};
use super::search::{Found, OrderBy, Search};
use crate::error::Result;
use crate::sql::ffi::{Host, Row, RowCursor, Statement, Value, ValueRef};
use std::collections::VecDeque;

/// See the module.
#[derive(Default)]
pub struct Cursor {
    feed: Feed,
    /// What was searched for, as it was given.
    query: Option<Value>,
    /// How many rows were asked for, and how many are still to come.
    k: Option<usize>,
    left: usize,
    located: Option<Located>,
    /// Rows that were found and are there.
    ready: VecDeque<(Present, Option<Hit>)>,
    row: Option<(Present, Option<Hit>)>,
}

#[derive(Default)]
enum Feed {
    #[default]
    Nothing,
    Answer(Box<Answer>),
    Scan(Statement<'static>),
}

impl Cursor {
    fn start(&mut self, parts: Parts<'_>, recipe: &Recipe, inputs: Inputs) -> Result<()> {
        let located = parts.content.locate()?;
        match recipe.access {
            Access::Refuse(refusal) => {
                return Err(inputs::refused(refusal, &parts.shadow.names().index));
            }
            Access::Lookup => {
                let id = inputs.rowids.first().and_then(|(_, value)| as_rowid(value));
                let ids: Vec<i64> = id.into_iter().collect();
                let found = parts.content.fetch(&located, &ids)?;
                self.ready = found.into_iter().map(|present| (present, None)).collect();
            }
            Access::Scan => {
                self.feed = Feed::Scan(scan(parts, &located, &inputs)?);
            }
            Access::Search => {
                if inputs.query == Value::Null {
                    return Ok(());
                }
                self.k = inputs.k;
                self.left = inputs.k.unwrap_or(usize::MAX);
                self.query = Some(inputs.query.clone());
                let answer = start_search(parts, &located, recipe, inputs)?;
                self.feed = Feed::Answer(Box::new(answer));
            }
        }
        self.located = Some(located);
        Ok(())
    }

    fn advance(&mut self, parts: Parts<'_>) -> Result<()> {
        self.row = None;
        if self.ready.is_empty() {
            self.fill(parts)?;
        }
        self.row = self.ready.pop_front();
        Ok(())
    }

    /// Has a row ready, or several, where there are more.
    fn fill(&mut self, parts: Parts<'_>) -> Result<()> {
        let Some(located) = self.located.take() else {
            return Ok(());
        };
        match &mut self.feed {
            Feed::Nothing => {}
            Feed::Scan(statement) => {
                let _reading = parts.shadow.index.reading_content();
                while self.ready.is_empty() && statement.step()? == Row::Ready {
                    let present = parts.content.present(&located, statement)?;
                    self.ready.extend(present.map(|present| (present, None)));
                }
                if self.ready.is_empty() {
                    self.feed = Feed::Nothing;
                }
            }
            Feed::Answer(_) => {
                while self.ready.is_empty() && self.left > 0 {
                    self.find_more(parts, &located)?;
                }
            }
        }
        self.located = Some(located);
        Ok(())
    }

    /// Has the next rows ready that were found and are there.
    fn find_more(&mut self, parts: Parts<'_>, located: &Located) -> Result<()> {
        let Feed::Answer(answer) = &mut self.feed else {
            return Ok(());
        };
        let more = answer.more(parts, located, self.left)?;
        if more.is_empty() {
            self.left = 0;
        }
        for (hit, present) in more {
            let (filters, id) = (answer.search().filters(), present.id);
            let is_certain = || filters.are_certain_values(parts.shadow, id, &present.values);
            if self.k.is_some() && !is_certain()? {
                return Err(inputs::uncountable(id));
            }
            self.left -= 1;
            self.ready.push_back((present, Some(hit)));
        }
        Ok(())
    }

    fn hidden(&self, parts: Parts<'_>, hidden: Hidden) -> Result<Value> {
        let Some((present, hit)) = &self.row else {
            return Ok(Value::Null);
        };
        let hit = hit.as_ref();
        let found = hit.and_then(|hit| hit.found.as_ref());
        let real = |value: Option<f64>| value.map_or(Value::Null, Value::Real);
        let place = |place: Option<usize>| Value::from(place.map(|place| place as i64));
        let overlay = match &self.feed {
            Feed::Answer(answer) => Some(answer.search().overlay()),
            Feed::Nothing | Feed::Scan(_) => None,
        };
        let best = Best {
            parts,
            overlay,
            present,
            found,
        };
        Ok(match hidden {
            Hidden::Query => self.query.clone().unwrap_or(Value::Null),
            Hidden::K => place(self.k),
            Hidden::Distance => real(found.map(Found::distance)),
            Hidden::Score => real(found.map(|found| found.score)),
            Hidden::Passage => best.text()?.map_or(Value::Null, Value::from),
            Hidden::Embedding => best.embedding()?,
            Hidden::Rank => real(hit.map(|hit| hit.rank)),
            Hidden::ByMeaning => place(hit.and_then(|hit| hit.by_meaning)),
            Hidden::ByWords => place(hit.and_then(|hit| hit.by_words)),
            Hidden::Bm25 => real(hit.and_then(|hit| hit.bm25)),
            Hidden::Rerank => real(hit.and_then(|hit| hit.rerank)),
            Hidden::Start => Value::from(best.span()?.map(|span| span.0)),
            Hidden::Stop => Value::from(best.span()?.map(|span| span.1)),
        })
    }
}

fn start_search(
    parts: Parts<'_>,
    located: &Located,
    recipe: &Recipe,
    inputs: Inputs,
) -> Result<Answer> {
    let settings = parts.shadow.settings()?;
    let mut query = Query::read(parts, &settings, &inputs.query)?;
    let overlay = overlay::look(parts, located, &settings, &inputs.filters, &mut || {
        query.model_of_passages(parts, &settings)
    })?;
    let by_distance = match recipe.order {
        Some(Order::Score) => Some(OrderBy::Score),
        Some(Order::Distance) => Some(OrderBy::Distance),
        _ => None,
    };
    let order = by_distance.unwrap_or(OrderBy::Distance);
    let exact = inputs.filters.has_distances() && inputs.k.is_none();
    let search = Search::start(
        parts,
        &settings,
        &query.vector,
        inputs.filters,
        overlay,
        order,
        exact,
    )?;
    let Some(chosen) = inputs.ranking else {
        return Ok(Answer::by_meaning(search));
    };
    let asked = Asked {
        question: query.text.as_deref(),
        k: inputs.k,
        by_distance,
    };
    run::answer(parts, located, search, &chosen, &asked)
}

/// The rowid that a value is equal to.
fn as_rowid(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(n) => Some(*n),
        Value::Real(x) if *x == (*x as i64) as f64 && x.abs() < 9e18 => Some(*x as i64),
        _ => None,
    }
}

/// The rows of the content by their keys, between the bounds that were asked for.
fn scan(parts: Parts<'_>, located: &Located, inputs: &Inputs) -> Result<Statement<'static>> {
    let (select, key) = parts.content.select(located);
    let bounds = inputs.rowids.iter().enumerate();
    let bounds: String = bounds
        .map(|(n, (operator, _))| format!(" AND {key} {} ?{}", operator.sql(), n + 1))
        .collect();
    let sql = format!("{select} WHERE typeof({key}) = 'integer'{bounds} ORDER BY {key}");
    let mut statement = parts.shadow.host.prepare_kept(&sql)?.0;
    for (n, (_, operand)) in inputs.rowids.iter().enumerate() {
        statement.bind(n + 1, operand)?;
    }
    Ok(statement)
}

impl RowCursor<Connected> for Cursor {
    fn filter(
        &mut self,
        table: &Connected,
        host: &Host<'_>,
        plan: &str,
        values: &[ValueRef<'_>],
    ) -> Result<()> {
        *self = Cursor::default();
        table.answer(host, |parts| {
            ordinary::verify(parts.shadow)?;
            let recipe: Recipe = plan.parse()?;
            let inputs = inputs::read(parts, &recipe, values)?;
            self.start(parts, &recipe, inputs)?;
            self.advance(parts)
        })
    }

    fn next(&mut self, table: &Connected, host: &Host<'_>) -> Result<()> {
        table.answer(host, |parts| self.advance(parts))
    }

    fn at_end(&self) -> bool {
        self.row.is_none()
    }

    fn rowid(&self) -> i64 {
        self.row.as_ref().map_or(0, |(present, _)| present.id)
    }

    fn column(
        &mut self,
        table: &Connected,
        host: &Host<'_>,
        n: usize,
        unchanged: bool,
    ) -> Result<Option<Value>> {
        if unchanged {
            return Ok(None);
        }
        let role = i32::try_from(n).ok().and_then(|n| table.index.spec.role(n));
        match role {
            Some(ColumnRole::OfUser(n)) => {
                let row = self.row.as_ref();
                row.map(|(present, _)| present.values[n].try_clone())
                    .transpose()
            }
            Some(ColumnRole::Hidden(hidden)) => {
                table.answer(host, |parts| self.hidden(parts, hidden).map(Some))
            }
            Some(ColumnRole::Rowid) | None => Ok(Some(Value::Null)),
        }
    }
}
