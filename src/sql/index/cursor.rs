//! Reading an index: a search, a scan, or one row.

use super::content::{Content, Kind, Present};
use super::declare::{Hidden, Place as Column};
use super::filter::Filters;
use super::overlay::{Overlay, unless_missing};
use super::plan::{Access, Input, Order, Refusal, Steps, Subject, Test};
use super::search::{Found, OrderBy, Place, Search};
use super::store::{Store, corrupt};
use super::table::Table;
use super::text::slice;
use crate::engine::{Role, SharedEmbedder};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::sql::ffi::{Host, Row, RowCursor, Statement, Value, ValueRef};
use crate::vector::{Vector, blob};
use std::collections::VecDeque;

/// Rows that are looked up at once where one lookup is dear.
const BATCH: usize = 64;

/// See the module.
#[derive(Default)]
pub struct Cursor {
    source: Source,
    /// What was searched for, as it was given.
    query: Option<Value>,
    /// How many rows were asked for, and how many are still to come.
    k: Option<usize>,
    left: usize,
    content: Option<Content>,
    /// Rows that were found and are there.
    ready: VecDeque<(Present, Option<Found>)>,
    row: Option<(Present, Option<Found>)>,
}

#[derive(Default)]
enum Source {
    #[default]
    Nothing,
    Search(Box<Search>),
    Scan(Statement<'static>, Filters),
}

/// The values of a plan, sorted.
struct Inputs {
    query: Value,
    k: Option<usize>,
    filters: Filters,
}

impl Cursor {
    fn start(&mut self, store: &Store<'_>, steps: &Steps, inputs: Inputs) -> Result<()> {
        let content = store.content()?;
        match steps.access {
            Access::Refuse(refusal) => return Err(refused(refusal, &store.index.names.index)),
            Access::Lookup => {
                let ids = inputs.filters.rowids().unwrap_or_default();
                let found = store.fetch(&content, &ids)?;
                self.ready = found.into_iter().map(|present| (present, None)).collect();
            }
            Access::Scan => {
                let (select, key) = store.select(&content);
                let sql = format!("{select} WHERE typeof({key}) = 'integer' ORDER BY {key}");
                let statement = store.host.prepare_kept(&sql)?.0;
                self.source = Source::Scan(statement, inputs.filters);
            }
            Access::Search => {
                if inputs.query == Value::Null {
                    return Ok(());
                }
                self.k = inputs.k;
                self.left = inputs.k.unwrap_or(usize::MAX);
                self.query = Some(inputs.query.clone());
                let search = start_search(store, &content, steps, inputs)?;
                self.source = Source::Search(Box::new(search));
            }
        }
        self.content = Some(content);
        Ok(())
    }

    fn advance(&mut self, store: &Store<'_>) -> Result<()> {
        self.row = None;
        if self.ready.is_empty() {
            self.fill(store)?;
        }
        self.row = self.ready.pop_front();
        Ok(())
    }

    fn fill(&mut self, store: &Store<'_>) -> Result<()> {
        let Some(content) = &self.content else {
            return Ok(());
        };
        match &mut self.source {
            Source::Nothing => {}
            Source::Scan(statement, filters) => {
                let _reading = store.index.reading();
                while statement.step()? == Row::Ready {
                    if let Some(present) = store.present(content, statement)?
                        && filters.takes_rowid(present.id)
                    {
                        self.ready.push_back((present, None));
                        return Ok(());
                    }
                }
                self.source = Source::Nothing;
            }
            Source::Search(search) => {
                let batch = if content.kind == Kind::View { BATCH } else { 1 };
                while self.ready.is_empty() && self.left > 0 {
                    let mut found = Vec::new();
                    while found.len() < batch.min(self.left) {
                        let Some(next) = search.next(store)? else {
                            break;
                        };
                        found.push(next);
                    }
                    if found.is_empty() {
                        self.left = 0;
                        break;
                    }
                    // A row that is gone, or no longer passes, is not found.
                    let ids: Vec<i64> = found.iter().map(|f| f.row).collect();
                    let mut now = store.fetch_by_key(content, &ids)?;
                    for found in found {
                        let Some(present) = now.remove(&found.row) else {
                            continue;
                        };
                        let filters = search.filters();
                        if filters.takes_values(present.id, &present.values) {
                            if self.k.is_some() && !filters.are_certain(&present.values) {
                                return Err(uncountable(present.id));
                            }
                            self.left -= 1;
                            self.ready.push_back((present, Some(found)));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn hidden(&self, store: &Store<'_>, hidden: Hidden) -> Result<Value> {
        let Some((present, found)) = &self.row else {
            return Ok(Value::Null);
        };
        let number =
            |of: fn(&Found) -> f64| found.as_ref().map_or(Value::Null, |f| Value::Real(of(f)));
        match hidden {
            Hidden::Query => Ok(self.query.clone().unwrap_or(Value::Null)),
            Hidden::K => match (self.k, found) {
                (Some(k), _) => Ok(Value::Integer(k as i64)),
                (None, None) => Ok(Value::Null),
                (None, Some(_)) => Err(Error::invalid(
                    "k is read, but was not given in a way that the index can use; write k = a \
                     number, or LIMIT",
                )),
            },
            Hidden::Distance => Ok(number(Found::distance)),
            Hidden::Score => Ok(number(|found| found.score)),
            Hidden::Passage => self.passage(store, present, found.as_ref()),
            Hidden::Embedding => self.embedding(store, present, found.as_ref()),
        }
    }

    fn fresh(&self, n: usize) -> Option<&super::overlay::Fresh> {
        match &self.source {
            Source::Search(search) => search.overlay().passages.get(n),
            _ => None,
        }
    }

    /// The best passage's text; NULL where the text has changed since, or is not kept.
    fn passage(
        &self,
        store: &Store<'_>,
        present: &Present,
        found: Option<&Found>,
    ) -> Result<Value> {
        let Some(joined) = &present.joined else {
            return Ok(Value::Null);
        };
        let span = match found.map(|found| found.place) {
            None => None,
            Some(Place::Fresh(n)) => self.fresh(n).map(|fresh| fresh.span),
            Some(Place::Slot(slot)) => {
                if store
                    .row(present.id)?
                    .is_none_or(|row| row.hash != joined.hash())
                {
                    return Ok(Value::Null);
                }
                let mut read = store.sql("SELECT start, stop FROM {passages} WHERE slot = ?1")?;
                read.bind(1, &Value::Integer(slot))?;
                match read.step()? {
                    Row::Ready => read.integer(0).zip(read.integer(1)),
                    Row::Done => None,
                }
            }
        };
        let text = joined.text().zip(span);
        let passage = text.and_then(|(text, (start, stop))| slice(&text.whole, start, stop));
        Ok(passage.map_or(Value::Null, Value::from))
    }

    /// The vector of the best passage; of the first one where nothing was searched for.
    fn embedding(
        &self,
        store: &Store<'_>,
        present: &Present,
        found: Option<&Found>,
    ) -> Result<Value> {
        let slot = match found.map(|found| found.place) {
            Some(Place::Fresh(n)) => {
                let fresh = self.fresh(n).map(|fresh| fresh.stored.clone());
                return fresh.map_or(Ok(Value::Null), |stored| as_f32(store, &stored));
            }
            Some(Place::Slot(slot)) => Some(slot),
            None => store.slots(present.id)?.first().copied(),
        };
        let Some(slot) = slot else {
            return Ok(Value::Null);
        };
        let mut read = store.sql("SELECT vector FROM {passages} WHERE slot = ?1")?;
        read.bind(1, &Value::Integer(slot))?;
        match read.step()? {
            Row::Ready => as_f32(store, read.blob(0)?.unwrap_or_default()),
            Row::Done => Ok(Value::Null),
        }
    }
}

fn as_f32(store: &Store<'_>, stored: &[u8]) -> Result<Value> {
    let dims = match store.get("dims")? {
        Value::Integer(dims) => usize::try_from(dims).unwrap_or(0),
        // Nothing is stored yet: a vector that this query made.
        _ => store.storage().dims(stored.len()),
    };
    let vector = store
        .storage()
        .decode(stored, dims)
        .map_err(|e| corrupt(e.message()))?;
    Ok(Value::Blob(blob::from_f32(&vector)))
}

fn start_search(
    store: &Store<'_>,
    content: &Content,
    steps: &Steps,
    inputs: Inputs,
) -> Result<Search> {
    let settings = store.settings()?;
    // A vector needs no model, but for pending rows; those are left out where none can be had.
    let mut loaded: Option<SharedEmbedder> = None;
    let query = match &inputs.query {
        Value::Blob(bytes) => {
            let vector = Vector::parse(bytes).map_err(|e| e.at("MATCH"))?;
            vector.check_finite().map_err(|e| e.at("MATCH"))?;
            check_query_dims(settings.dims, vector.dims())?;
            vector.to_f32()?
        }
        text => {
            let text = searched_text(text)?;
            let model = store.model(&settings)?;
            let query = model.embed(&text, Role::Query, store.host.interrupts)?;
            loaded = Some(model);
            query.to_vec()
        }
    };
    let mut model = || -> Result<Option<SharedEmbedder>> {
        if loaded.is_none() {
            loaded = unless_missing(store.model(&settings))?;
        }
        Ok(loaded.clone().filter(|model| model.dims() == query.len()))
    };
    let overlay: Overlay = store.overlay(content, &settings, &inputs.filters, &mut model)?;
    let order = match steps.order {
        Some(Order::Score) => OrderBy::Score,
        _ => OrderBy::Distance,
    };
    let exact = inputs.filters.has_distances() && inputs.k.is_none();
    Search::start(
        store,
        &settings,
        &query,
        inputs.filters,
        overlay,
        order,
        exact,
    )
}

fn check_query_dims(dims: Option<usize>, given: usize) -> Result<()> {
    match dims {
        Some(dims) if dims != given => Err(Error::invalid(format!(
            "MATCH: the vector has {given} dimensions, those of this index have {dims}"
        ))),
        _ => Ok(()),
    }
}

fn searched_text(query: &Value) -> Result<String> {
    let not_utf8 = || Error::invalid("MATCH: the text is not valid UTF-8");
    Ok(match query {
        Value::Text(bytes) => String::from_utf8(bytes.clone()).map_err(|_| not_utf8())?,
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => super::compare::real_text(*x),
        Value::Null | Value::Blob(_) => return Err(Error::internal("no text to search for")),
    })
}

fn refused(refusal: Refusal, index: &str) -> Error {
    Error::invalid(match refusal {
        Refusal::BadK => {
            "k can only be given as k = a whole number, once; for another limit write LIMIT"
                .to_owned()
        }
        Refusal::KAlone => {
            format!("k is given, but nothing to search for: WHERE {index} MATCH '...'")
        }
        Refusal::MatchColumn => {
            format!("MATCH searches the whole index, not a column: WHERE {index} MATCH '...'")
        }
        Refusal::ThirdArgument => format!(
            "a call takes what to search for and k, as in {index}('...', 10), and nothing else; \
             distance is compared with < or >, with = only as +distance = ..."
        ),
    })
}

/// The values of a plan.
fn read_inputs(store: &Store<'_>, steps: &Steps, values: &[ValueRef<'_>]) -> Result<Inputs> {
    let mut inputs = Inputs {
        query: Value::Null,
        k: None,
        filters: Filters::default(),
    };
    let mut searched = None;
    for (input, value) in steps.inputs.iter().zip(values) {
        match input {
            Input::Query => {
                let query = value.to_value()?;
                if searched.replace(query.clone()).is_some_and(|q| q != query) {
                    return Err(Error::invalid(
                        "there are two things to search for, expected one MATCH",
                    ));
                }
                inputs.query = query;
            }
            Input::K => {
                let k = k_of(value.to_value()?)?;
                if inputs.k.replace(k).is_some_and(|other| other != k) {
                    return Err(Error::invalid("k is given twice"));
                }
            }
            Input::Limit | Input::Offset => {}
            Input::Filter(filter) => {
                let filters = &mut inputs.filters;
                match (filter.subject, filter.test) {
                    (Subject::Rowid, Test::In) => filters.add_rowids(value.members()?),
                    (Subject::Rowid, Test::Compare(op)) => filters.add_rowid(op, value.to_value()?),
                    (Subject::Column(n), test) => {
                        let (op, members) = match test {
                            Test::In => (super::compare::Operator::Eq, value.members()?),
                            Test::Compare(op) => (op, vec![value.to_value()?]),
                        };
                        filters.add_column(&store.index.spec, n, op, members, filter.collation);
                    }
                    (of @ (Subject::Distance | Subject::Score), Test::Compare(op)) => {
                        filters.add_distance(of == Subject::Score, op, value.to_value()?);
                    }
                    (Subject::Distance | Subject::Score, Test::In) => {}
                }
            }
        }
    }
    for &(column, is_null) in &steps.nulls {
        inputs.filters.add_null(&store.index.spec, column, is_null);
    }
    Ok(inputs)
}

/// Counting the row would give too few rows, or too many.
fn uncountable(id: i64) -> Error {
    Error::invalid(format!(
        "k cannot be counted: whether row {id} passes is known to SQLite alone (a text compared with \
         a number, or <> and not by BINARY); write ORDER BY distance LIMIT instead of k"
    ))
}

fn k_of(value: Value) -> Result<usize> {
    use super::compare::{Affinity, apply};
    let given = apply(Affinity::Integer, value);
    let shown = match &given {
        Value::Integer(n @ 1..) => return Ok(usize::try_from(*n).unwrap_or(usize::MAX)),
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Null => "NULL".to_owned(),
        _ => "no number".to_owned(),
    };
    Err(Error::new(
        ErrorKind::Invalid,
        format!("k is {shown}, expected a whole number of at least 1"),
    ))
}

impl RowCursor<Table> for Cursor {
    fn filter(
        &mut self,
        table: &Table,
        host: &Host<'_>,
        plan: &str,
        values: &[ValueRef<'_>],
    ) -> Result<()> {
        *self = Cursor::default();
        let store = table.store(host);
        let mut start = || -> Result<()> {
            if store.index.is_reading.get() {
                return Err(Error::invalid(
                    "the content of this index reads the index itself",
                ));
            }
            let steps: Steps = plan.parse()?;
            let inputs = read_inputs(&store, &steps, values)?;
            self.start(&store, &steps, inputs)?;
            self.advance(&store)
        };
        table.name(start())
    }

    fn next(&mut self, table: &Table, host: &Host<'_>) -> Result<()> {
        table.name(self.advance(&table.store(host)))
    }

    fn at_end(&self) -> bool {
        self.row.is_none()
    }

    fn rowid(&self) -> i64 {
        self.row.as_ref().map_or(0, |(present, _)| present.id)
    }

    fn column(
        &mut self,
        table: &Table,
        host: &Host<'_>,
        n: usize,
        unchanged: bool,
    ) -> Result<Option<Value>> {
        if unchanged {
            return Ok(None);
        }
        let store = table.store(host);
        let place = i32::try_from(n)
            .ok()
            .and_then(|n| store.index.spec.place(n));
        match place {
            Some(Column::Column(n)) => {
                let value = self
                    .row
                    .as_ref()
                    .map(|(present, _)| present.values[n].clone());
                Ok(value)
            }
            Some(Column::Hidden(hidden)) => table.name(self.hidden(&store, hidden).map(Some)),
            Some(Column::Rowid) | None => Ok(Some(Value::Null)),
        }
    }
}
