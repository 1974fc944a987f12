//! Reading an index: a search, a scan, or one row.

use super::affinity::real_text;
use super::connected::Connected;
use super::content::{Located, Origin, Present};
use super::damage::corrupt;
use super::declare::{ColumnRole, Hidden};
use super::inputs::{self, Inputs};
use super::model;
use super::ordinary;
use super::overlay::{self, Overlay, unless_missing};
use super::parts::Parts;
use super::plan::{Access, Order, Recipe};
use super::search::{Found, OrderBy, Search, VectorAt};
use super::text::slice;
use crate::engine::{Role, SharedEmbedder};
use crate::error::{Error, Result};
use crate::sql::ffi::{Host, Row, RowCursor, Statement, Value, ValueRef};
use crate::vector::{Vector, blob};
use std::collections::VecDeque;

/// Rows that are looked up at once where one lookup is dear.
const BATCH: usize = 64;

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
    ready: VecDeque<(Present, Option<Found>)>,
    row: Option<(Present, Option<Found>)>,
}

#[derive(Default)]
enum Feed {
    #[default]
    Nothing,
    Search(Box<Search>),
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
                let search = start_search(parts, &located, recipe, inputs)?;
                self.feed = Feed::Search(Box::new(search));
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
            Feed::Search(_) => {
                while self.ready.is_empty() && self.left > 0 {
                    self.find_more(parts, &located)?;
                }
            }
        }
        self.located = Some(located);
        Ok(())
    }

    /// Looks up the next rows that were found: one that is gone, or no longer passes, is not found.
    fn find_more(&mut self, parts: Parts<'_>, located: &Located) -> Result<()> {
        let Feed::Search(search) = &mut self.feed else {
            return Ok(());
        };
        let batch = if located.origin == Origin::View {
            BATCH
        } else {
            1
        };
        let mut found = Vec::new();
        while found.len() < batch.min(self.left)
            && let Some(next) = search.next(parts)?
        {
            found.push(next);
        }
        if found.is_empty() {
            self.left = 0;
            return Ok(());
        }
        let ids: Vec<i64> = found.iter().map(|f| f.row).collect();
        let mut now = parts.content.fetch_by_key(located, &ids)?;
        for found in found {
            let Some(present) = now.remove(&found.row) else {
                continue;
            };
            let (filters, id) = (search.filters(), present.id);
            if !filters.takes_values(parts.shadow, id, &present.values)? {
                continue;
            }
            let is_certain = || filters.are_certain_values(parts.shadow, id, &present.values);
            if self.k.is_some() && !is_certain()? {
                return Err(uncountable(id));
            }
            self.left -= 1;
            self.ready.push_back((present, Some(found)));
        }
        Ok(())
    }

    fn hidden(&self, parts: Parts<'_>, hidden: Hidden) -> Result<Value> {
        let Some((present, found)) = &self.row else {
            return Ok(Value::Null);
        };
        let number =
            |of: fn(&Found) -> f64| found.as_ref().map_or(Value::Null, |f| Value::Real(of(f)));
        match hidden {
            Hidden::Query => Ok(self.query.clone().unwrap_or(Value::Null)),
            Hidden::K => Ok(Value::from(self.k.map(|k| k as i64))),
            Hidden::Distance => Ok(number(Found::distance)),
            Hidden::Score => Ok(number(|found| found.score)),
            Hidden::Passage => self.passage(parts, present, found.as_ref()),
            Hidden::Embedding => self.embedding(parts, present, found.as_ref()),
        }
    }

    fn fresh(&self, n: usize) -> Option<&overlay::Fresh> {
        match &self.feed {
            Feed::Search(search) => search.overlay().passages.get(n),
            _ => None,
        }
    }

    /// The best passage's text; NULL where the text has changed since, or is not kept.
    fn passage(&self, parts: Parts<'_>, present: &Present, found: Option<&Found>) -> Result<Value> {
        let Some(joined) = &present.joined else {
            return Ok(Value::Null);
        };
        let span = match found.map(|found| found.at) {
            None => None,
            Some(VectorAt::Fresh(n)) => self.fresh(n).map(|fresh| fresh.span),
            Some(VectorAt::Slot(slot)) => {
                if !parts.records.says(present.id, &joined.hash())? {
                    return Ok(Value::Null);
                }
                parts.vectors.passages.span(slot)?
            }
        };
        let text = joined.text().zip(span);
        let passage = text.and_then(|(text, (start, stop))| slice(&text.whole, start, stop));
        Ok(passage.map_or(Value::Null, Value::from))
    }

    /// The vector of the best passage; of the first one where nothing was searched for.
    fn embedding(
        &self,
        parts: Parts<'_>,
        present: &Present,
        found: Option<&Found>,
    ) -> Result<Value> {
        let slot = match found.map(|found| found.at) {
            Some(VectorAt::Fresh(n)) => {
                let fresh = self.fresh(n).map(|fresh| fresh.stored.clone());
                return fresh.map_or(Ok(Value::Null), |stored| as_f32(parts, &stored));
            }
            Some(VectorAt::Slot(slot)) => Some(slot),
            None => parts.vectors.passages.first_of(present.id)?,
        };
        let Some(slot) = slot else {
            return Ok(Value::Null);
        };
        match parts.vectors.passages.stored(slot)? {
            Some(stored) => as_f32(parts, &stored),
            None => Ok(Value::Null),
        }
    }
}

fn as_f32(parts: Parts<'_>, stored: &[u8]) -> Result<Value> {
    let dims = match parts.shadow.get("dims")? {
        Value::Integer(dims) => usize::try_from(dims).unwrap_or(0),
        // Nothing is stored yet: a vector that this query made.
        _ => parts.shadow.storage().dims(stored.len()),
    };
    let vector = parts
        .shadow
        .storage()
        .decode(stored, dims)
        .map_err(|e| corrupt(e.message()))?;
    Ok(Value::Blob(blob::from_f32(&vector)))
}

fn start_search(
    parts: Parts<'_>,
    located: &Located,
    recipe: &Recipe,
    inputs: Inputs,
) -> Result<Search> {
    let settings = parts.shadow.settings()?;
    // A vector needs no model, but for pending rows; those are left out where none can be had.
    let mut loaded: Option<SharedEmbedder> = None;
    let query = match &inputs.query {
        Value::Blob(bytes) => {
            let vector = Vector::parse(bytes).map_err(|e| e.at("MATCH"))?;
            vector.check_finite().map_err(|e| e.at("MATCH"))?;
            check_query_dims(settings.dims, vector)?;
            vector.to_f32()?
        }
        text => {
            let text = searched_text(text)?;
            let model = model::get(parts.shadow, &settings)?;
            let query = model.embed(&text, Role::Query, parts.shadow.host.interrupts)?;
            loaded = Some(model);
            query.to_vec()
        }
    };
    let mut pending_model = || -> Result<Option<SharedEmbedder>> {
        if loaded.is_none() {
            loaded = unless_missing(model::get(parts.shadow, &settings))?;
        }
        Ok(loaded.clone().filter(|model| model.dims() == query.len()))
    };
    let overlay: Overlay = overlay::look(
        parts,
        located,
        &settings,
        &inputs.filters,
        &mut pending_model,
    )?;
    let order = match recipe.order {
        Some(Order::Score) => OrderBy::Score,
        _ => OrderBy::Distance,
    };
    let exact = inputs.filters.has_distances() && inputs.k.is_none();
    Search::start(
        parts,
        &settings,
        &query,
        inputs.filters,
        overlay,
        order,
        exact,
    )
}

fn check_query_dims(dims: Option<usize>, vector: Vector<'_>) -> Result<()> {
    match dims {
        Some(dims) if dims != vector.dims() => Err(Error::invalid(format!(
            "MATCH: the vector has {} dimensions, those of this index have {dims}{}",
            vector.dims(),
            vector.question(dims)
        ))),
        _ => Ok(()),
    }
}

fn searched_text(query: &Value) -> Result<String> {
    let not_utf8 = || Error::invalid("MATCH: the text is not valid UTF-8");
    Ok(match query {
        Value::Text(bytes) => String::from_utf8(bytes.clone()).map_err(|_| not_utf8())?,
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => real_text(*x),
        Value::Null | Value::Blob(_) => return Err(Error::internal("no text to search for")),
    })
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

/// Counting the row would give too few rows, or too many.
fn uncountable(id: i64) -> Error {
    Error::invalid(format!(
        "k cannot be counted: whether row {id} passes is known to SQLite alone (a text compared with \
         a number, or <> and not by BINARY); write ORDER BY distance LIMIT instead of k"
    ))
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
