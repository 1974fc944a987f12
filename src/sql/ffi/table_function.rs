//! Table functions: eponymous virtual tables that are called with arguments, `f(a, b)`.
//!
//! Whoever writes one implements [`TableFunction`] and [`Cursor`], in safe Rust. This file makes a
//! [`Table`] of it. The plan is the same for all: every argument is a hidden column that must be given
//! by `=` (which is what `f(a, b)` means); the plan's text is a number with one bit for each argument
//! that is there, and then a word such as `a>=` for each bound of a column that the function wants to know.

use super::access::Access;
use super::api::{Connection, sqlite};
use super::callbacks::{Callbacks, connect, register};
use super::function::name_it;
use super::host::Host;
use super::plan::{IndexInfo, Term};
use super::table::{RowCursor, Table};
use super::value::Value;
use super::value_ref::ValueRef;
use crate::error::{Error, Result};
use sqlite_loadable::ext::{sqlite3, sqlite3_module, sqlite3_vtab};
use std::ffi::{c_char, c_int, c_void};
use std::marker::PhantomData;

/// A table function.
pub trait TableFunction: 'static {
    /// Its name in SQL.
    const NAME: &'static str;
    /// Columns that it gives, as in CREATE TABLE.
    const COLUMNS: &'static [&'static str];
    /// Arguments that it takes, in their order.
    const ARGUMENTS: &'static [&'static str];
    /// How many of them must be given.
    const REQUIRED: usize;
    /// Whether it may be used only by the application itself, never by a view or trigger.
    const DIRECT_ONLY: bool;
    /// What a connection must be allowed to do to have it.
    const NEEDS: Access;
    /// Of the first columns, how many it wants to know the bounds of ([`Call::bounds`]).
    const BOUNDED: usize = 0;
    /// Of the first columns, how many its rows are in the ascending order of, as long as none but the first has
    /// bounds.
    const ORDERED: usize = 0;
    /// What the calls of one statement share: it lives as long as the statement.
    type Shared: Default + Send + 'static;
    /// Rows of one call.
    type Cursor: Cursor;

    /// Starts a call. Absent optional arguments are `None`; NULL is a value.
    ///
    /// # Errors
    /// Of the arguments.
    fn call(call: &Call<'_>, shared: &mut Self::Shared) -> Result<Self::Cursor>;
}

/// The rows of one call, one at a time.
pub trait Cursor: Send + 'static {
    /// Goes to the next row (the first, at the first call); `false` at the end.
    ///
    /// # Errors
    /// Whatever goes wrong on the way.
    fn advance(&mut self, host: &Host<'_>) -> Result<bool>;

    /// A column of the present row, by its place in [`TableFunction::COLUMNS`].
    ///
    /// # Errors
    /// Of the conversion.
    fn column(&self, n: usize) -> Result<Value>;
}

/// The arguments of a call.
pub struct Call<'c> {
    /// See [`Host`].
    pub host: Host<'c>,
    arguments: Vec<Option<ValueRef<'c>>>,
    bounds: Vec<Bound<'c>>,
}

/// A comparison of a column with a value. SQLite compares again, so that rows which it would drop may be left
/// out or not.
#[derive(Clone, Copy)]
pub struct Bound<'c> {
    /// Its place in [`TableFunction::COLUMNS`].
    pub column: usize,
    /// The column stands on its left.
    pub comparison: Comparison,
    /// What stands on its right.
    pub value: ValueRef<'c>,
}

/// How a bound compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Comparison {
    Equal,
    Greater,
    AtMost,
    Less,
    AtLeast,
}

impl Comparison {
    /// With SQLite's number, and as in SQL.
    const ALL: [(Comparison, u8, &'static str); 5] = [
        (Comparison::Equal, 2, "="),
        (Comparison::Greater, 4, ">"),
        (Comparison::AtMost, 8, "<="),
        (Comparison::Less, 16, "<"),
        (Comparison::AtLeast, 32, ">="),
    ];
}

impl<'c> Call<'c> {
    /// The `n`th argument, if it was given.
    pub fn argument(&self, n: usize) -> Option<ValueRef<'c>> {
        self.arguments[n]
    }

    /// The bounds of the columns that the function wants to know of.
    pub fn bounds(&self) -> &[Bound<'c>] {
        &self.bounds
    }
}

impl Connection<'_> {
    /// Registers a table function, if a connection that may do this much is to have it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn define_table<T: TableFunction>(&self, access: Access) -> Result<()> {
        if access < T::NEEDS {
            return Ok(());
        }
        // SAFETY: the module is static.
        unsafe { register(self, access, T::NAME, Called::<T>::MODULE) }
    }
}

/// A table function as a table.
struct Called<T>(PhantomData<T>);

/// The calls that a scan makes, one after the other.
struct Calls<T: TableFunction> {
    shared: T::Shared,
    arguments: Vec<Option<Value>>,
    cursor: Option<T::Cursor>,
    rowid: i64,
    at_end: bool,
}

impl<T: TableFunction> Called<T> {
    const MODULE: &'static sqlite3_module = &sqlite3_module {
        xConnect: Some(Self::connect),
        ..Callbacks::<Self>::READING
    };

    unsafe extern "C" fn connect(
        db: *mut sqlite3,
        data: *mut c_void,
        _count: c_int,
        _arguments: *const *const c_char,
        table: *mut *mut sqlite3_vtab,
        message: *mut *mut c_char,
    ) -> c_int {
        let make = |_: &Host<'_>| Ok((Called::<T>(PhantomData), columns::<T>()));
        let configure = |db: &Connection<'_>| {
            if T::DIRECT_ONLY {
                refuse_schemas(db);
            }
        };
        // SAFETY: as SQLite calls xConnect.
        unsafe { connect(db, data, table, message, make, configure) }
    }
}

fn columns<T: TableFunction>() -> String {
    let arguments = T::ARGUMENTS.iter().map(|name| format!("{name} HIDDEN"));
    let columns = T::COLUMNS.iter().map(ToString::to_string);
    let all: Vec<String> = columns.chain(arguments).collect();
    format!("CREATE TABLE x({})", all.join(", "))
}

/// The table is for the application's own SQL, never for a view's or a trigger's.
fn refuse_schemas(db: &Connection<'_>) {
    const DIRECTONLY: c_int = 3;
    // SAFETY: called inside xConnect, as SQLite wants.
    unsafe { sqlite!(db.api(), vtab_config(db.raw(), DIRECTONLY)) };
}

impl<T: TableFunction> Table for Called<T> {
    type Cursor = Calls<T>;

    /// Impossible where an argument comes from a table that this plan reads later: the planner must
    /// reorder.
    fn plan(&self, info: &mut IndexInfo<'_>) -> Result<bool> {
        const EQ: u8 = 2;
        let terms = info.terms();
        let (mut given, mut values) = (0_u32, 0);
        for argument in 0..T::ARGUMENTS.len() {
            let column = (T::COLUMNS.len() + argument) as i32;
            let ours = |n: &usize| terms[*n].column == column && terms[*n].operator == EQ;
            let mut ours = (0..terms.len()).filter(ours).peekable();
            if ours.peek().is_none() {
                continue;
            }
            let Some(usable) = ours.find(|n| terms[*n].usable) else {
                return Ok(false);
            };
            info.take(usable, values, true, false);
            values += 1;
            given |= 1 << argument;
        }
        let mut plan = given.to_string();
        let (mut cost, mut other_bounds) = (1e9, false);
        for (n, term) in terms.iter().enumerate().filter(|(_, term)| term.usable) {
            if let Some(word) = bound_word::<T>(term) {
                info.take(n, values, false, false);
                values += 1;
                plan = format!("{plan} {word}");
                other_bounds |= term.column > 0;
                cost /= 2.0;
            }
        }
        // So dear that a join makes it the outer loop: it is scanned once. SQLite also plans parts
        // of a query that lack the argument (one side of an OR): not impossible, but never worth it.
        let complete = missing::<T>(given).is_ok();
        let cost = if complete { cost } else { 1e99 };
        let rows = if complete { 1000 } else { i64::MAX };
        let ordered = !other_bounds && is_in_order::<T>(&info.order());
        info.answer(&plan, cost, rows, ordered, false);
        Ok(true)
    }

    fn open(&self) -> Calls<T> {
        Calls {
            shared: T::Shared::default(),
            arguments: Vec::new(),
            cursor: None,
            rowid: 0,
            at_end: true,
        }
    }
}

/// The name of a column, which is all that its definition begins with.
fn name_of<T: TableFunction>(column: usize) -> &'static str {
    let definition = T::COLUMNS[column];
    definition.split(' ').next().unwrap_or(definition)
}

/// A term as a word of the plan, where the function wants to know of it.
fn bound_word<T: TableFunction>(term: &Term) -> Option<String> {
    let column = usize::try_from(term.column).ok()?;
    let known = Comparison::ALL
        .iter()
        .find(|(_, code, _)| *code == term.operator)?;
    (column < T::BOUNDED).then(|| format!("{}{}", name_of::<T>(column), known.2))
}

/// Back from [`bound_word`].
fn bound<'c, T: TableFunction>(word: &str, value: ValueRef<'c>) -> Option<Bound<'c>> {
    let find = |column: usize| {
        let sign = word.strip_prefix(name_of::<T>(column))?;
        let known = Comparison::ALL.iter().find(|known| known.2 == sign)?;
        Some(Bound {
            column,
            comparison: known.0,
            value,
        })
    };
    (0..T::BOUNDED).find_map(find)
}

/// Whether rows come in this order by themselves.
fn is_in_order<T: TableFunction>(order: &[(i32, bool)]) -> bool {
    let in_place = |(n, &(column, descends)): (usize, &(i32, bool))| {
        n < T::ORDERED && usize::try_from(column) == Ok(n) && !descends
    };
    !order.is_empty() && order.iter().enumerate().all(in_place)
}

fn missing<T: TableFunction>(given: u32) -> Result<()> {
    match (0..T::REQUIRED).find(|n| given & (1 << n) == 0) {
        None => Ok(()),
        Some(n) => {
            let call = format!("{}({})", T::NAME, T::ARGUMENTS.join(", "));
            Err(Error::invalid(format!(
                "argument {} is missing; it is called as {call}",
                n + 1
            )))
        }
    }
}

impl<T: TableFunction> Calls<T> {
    fn start(&mut self, host: &Host<'_>, plan: &str, values: &[ValueRef<'_>]) -> Result<()> {
        let not_ours = || Error::internal("the plan of this call is none of ours");
        let mut words = plan.split(' ');
        let given = words.next().and_then(|given| given.parse().ok());
        let given: u32 = given.ok_or_else(not_ours)?;
        missing::<T>(given)?;
        let mut values = values.iter().copied();
        let take = |n: usize| (given & (1 << n) != 0).then(|| values.next()).flatten();
        let arguments: Vec<Option<ValueRef<'_>>> = (0..T::ARGUMENTS.len()).map(take).collect();
        let copies = arguments
            .iter()
            .map(|v| v.map(ValueRef::to_value).transpose());
        self.arguments = copies.collect::<Result<_>>()?;
        let bounds = words
            .zip(values)
            .map(|(word, value)| bound::<T>(word, value).ok_or_else(not_ours));
        let call = Call {
            host: *host,
            arguments,
            bounds: bounds.collect::<Result<_>>()?,
        };
        self.cursor = Some(T::call(&call, &mut self.shared)?);
        Ok(())
    }

    fn step(&mut self, host: &Host<'_>) -> Result<()> {
        self.rowid += 1;
        // Also where it fails.
        self.at_end = true;
        if let Some(cursor) = &mut self.cursor {
            self.at_end = !cursor.advance(host)?;
        }
        Ok(())
    }
}

impl<T: TableFunction> RowCursor<Called<T>> for Calls<T> {
    fn filter(
        &mut self,
        _: &Called<T>,
        host: &Host<'_>,
        plan: &str,
        values: &[ValueRef<'_>],
    ) -> Result<()> {
        self.cursor = None;
        self.rowid = 0;
        self.at_end = true;
        self.start(host, plan, values)
            .and_then(|()| self.step(host))
            .map_err(|e| name_it(e, T::NAME))
    }

    fn next(&mut self, _: &Called<T>, host: &Host<'_>) -> Result<()> {
        self.step(host).map_err(|e| name_it(e, T::NAME))
    }

    fn at_end(&self) -> bool {
        self.at_end
    }

    fn rowid(&self) -> i64 {
        self.rowid
    }

    fn column(
        &mut self,
        _: &Called<T>,
        _: &Host<'_>,
        n: usize,
        _unchanged: bool,
    ) -> Result<Option<Value>> {
        let value = match (&self.cursor, n.checked_sub(T::COLUMNS.len())) {
            (Some(cursor), None) => cursor.column(n),
            // SQLite may compare a hidden column again with what was given for it.
            (Some(_), Some(argument)) => match self.arguments.get(argument) {
                Some(Some(given)) => given.try_clone(),
                _ => Ok(Value::Null),
            },
            (None, _) => Ok(Value::Null),
        };
        value.map(Some).map_err(|e| name_it(e, T::NAME))
    }
}
