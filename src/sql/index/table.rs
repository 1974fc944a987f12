//! The virtual table: making, connecting, dropping and renaming an index, and planning its queries.
//!
//! Connecting looks at the declaration only, so it works whatever is missing or damaged; what is
//! wrong is said by the first query, and DROP, RENAME and `rebuild` work.

use super::cursor::Cursor;
use super::declare::{self, Place};
use super::names::{Names, SHADOWS, quoted};
use super::plan::{Layout, Op, OrderTerm, Plan, Term, plan};
use super::statements::Statements;
use super::store::{Index, Store};
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::{Host, IndexInfo, NewTable, StoredTable, Value, Write};
use std::cell::Cell;

/// A connected index.
pub struct Table {
    index: Index,
    layout: Layout,
}

impl Table {
    fn new(new: &NewTable<'_>) -> Result<(Self, String)> {
        let index = Index::declared(new.schema, new.name, &new.arguments)?;
        let columns = index.spec.create_table(new.name);
        let layout = Layout::of(&index.spec);
        Ok((Table { index, layout }, columns))
    }

    /// The index, in use by a statement of this connection.
    pub fn store<'a>(&'a self, host: &'a Host<'a>) -> Store<'a> {
        Store {
            host,
            index: &self.index,
        }
    }

    /// Says in errors which index they are about.
    pub fn name<T>(&self, outcome: Result<T>) -> Result<T> {
        outcome.map_err(|e| match e.kind() {
            Kind::Interrupted => e,
            // SQLite's own words, which tests and people know.
            Kind::Host(rc) if rc & 0xff == 19 => e,
            _ => e.at(&self.index.names.index),
        })
    }
}

impl Index {
    /// An index as its CREATE VIRTUAL TABLE says.
    ///
    /// # Errors
    /// Of the declaration.
    pub fn declared(schema: &str, name: &str, arguments: &[&str]) -> Result<Self> {
        Ok(Index {
            names: Names {
                schema: schema.to_owned(),
                index: name.to_owned(),
            },
            spec: declare::parse(name, arguments)?,
            statements: Statements::default(),
            is_reading: Cell::new(false),
        })
    }
}

impl StoredTable for Table {
    const NAME: &'static str = "bge";
    const SHADOWS: &'static [&'static str] = SHADOWS;
    type Cursor = Cursor;

    fn create(host: &Host<'_>, new: &NewTable<'_>) -> Result<(Self, String)> {
        if new.schema.eq_ignore_ascii_case("temp") {
            return Err(Error::invalid(
                "an index cannot be temporary: make it in the schema of its content",
            ));
        }
        let (table, columns) = Self::new(new)?;
        let store = table.store(host);
        store.create_tables()?;
        store.declare_content()?;
        Ok((table, columns))
    }

    fn connect(_: &Host<'_>, new: &NewTable<'_>) -> Result<(Self, String)> {
        Self::new(new)
    }

    fn destroy(&self, host: &Host<'_>) -> Result<()> {
        let store = self.store(host);
        store.drop_triggers()?;
        store.drop_tables()
    }

    fn plan(&self, info: &mut IndexInfo<'_>) -> Result<bool> {
        let mut terms = Vec::new();
        for (n, term) in info.terms().into_iter().enumerate() {
            let operator = Op::from_code(term.operator);
            let about_a_column = !matches!(operator, Op::Limit | Op::Offset);
            let of_user = matches!(self.index.spec.place(term.column), Some(Place::Column(_)));
            terms.push(Term {
                column: term.column,
                operator,
                usable: term.usable,
                can_take_all: operator == Op::Eq && info.can_take_all(n),
                collation: match about_a_column && of_user {
                    true => info.collation(n),
                    false => "BINARY".to_owned(),
                },
            });
        }
        let order = info.order().into_iter();
        let order: Vec<OrderTerm> = order
            .map(|(column, descending)| OrderTerm { column, descending })
            .collect();
        let Plan::Possible(chosen) = plan(&self.layout, &terms, &order) else {
            return Ok(false);
        };
        for (n, argument) in chosen.arguments.iter().enumerate() {
            info.take(argument.term, n, argument.omit, argument.all);
        }
        let (rows, ordered) = (chosen.rows, chosen.order_consumed);
        info.answer(&chosen.text, chosen.cost, rows, ordered, chosen.unique);
        Ok(true)
    }

    fn open(&self) -> Cursor {
        Cursor::default()
    }

    fn write(&self, host: &Host<'_>, write: Write<'_>) -> Result<i64> {
        self.name(self.store(host).write(write))
    }

    fn rename(&self, host: &Host<'_>, to: &str) -> Result<()> {
        self.index.spec.check_index_name(to)?;
        let store = self.store(host);
        let content = store.read_triggers()?;
        // The triggers name the log: at no moment may they name one that is not there.
        store.drop_triggers()?;
        let renamed = Index {
            names: Names {
                index: to.to_owned(),
                ..self.index.names.clone()
            },
            spec: self.index.spec.clone(),
            statements: Statements::default(),
            is_reading: Cell::new(false),
        };
        self.index.statements.clear();
        for suffix in SHADOWS.iter().chain(&["log"]) {
            if store.has_table(suffix)? {
                let (old, new) = (&self.index.names, &renamed.names);
                let new = quoted(&new.bare(suffix));
                host.db.execute(&format!(
                    "ALTER TABLE {} RENAME TO {new}",
                    old.table(suffix)
                ))?;
            }
        }
        self.index.statements.clear();
        if let Some(content) = content {
            let renamed = Store {
                host,
                index: &renamed,
            };
            renamed.create_triggers(&content)?;
        }
        Ok(())
    }

    fn integrity(&self, host: &Host<'_>, quick: bool) -> Result<Option<String>> {
        if quick {
            return Ok(None);
        }
        self.name(self.store(host).integrity_check().map(|()| None))
    }
}

impl Store<'_> {
    /// Whether a shadow table is there.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn has_table(&self, suffix: &str) -> Result<bool> {
        let list = self.index.names.schema_table();
        let mut find = self.plain_sql(&format!(
            "SELECT 1 FROM {list} WHERE type = 'table' AND name = ?1"
        ))?;
        find.bind(1, &Value::from(self.index.names.bare(suffix)))?;
        Ok(find.integer_of_first()?.is_some())
    }
}
