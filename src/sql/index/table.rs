//! The virtual table: making, connecting, dropping and renaming an index, and planning its queries.
//!
//! Connecting looks at the declaration only, so it works whatever is missing or damaged; what is
//! wrong is said by the first query, and DROP, RENAME and `rebuild` work.

use super::connected::Connected;
use super::content::{Located, triggers};
use super::cursor::Cursor;
use super::declare::{self, ColumnRole, Hidden};
use super::handle::Index;
use super::names::{Names, PROTECTED};
use super::parts::Parts;
use super::plan::{Layout, Op, OrderTerm, Plan, Term, plan};
use super::{check, commands, ordinary, write};
use crate::error::{Error, Result, if_there};
use crate::sql::ffi::{Host, IndexInfo, NewTable, StoredTable, Value, Write};
use crate::sql::lexer::quote_name;

/// An index as its CREATE VIRTUAL TABLE says.
///
/// # Errors
/// Of the declaration.
pub fn declared(schema: &str, name: &str, arguments: &[&str]) -> Result<Index> {
    let names = Names {
        schema: schema.to_owned(),
        index: name.to_owned(),
    };
    Ok(Index::new(names, declare::parse(name, arguments)?))
}

fn connected(new: &NewTable<'_>) -> Result<(Connected, String)> {
    let index = declared(new.schema, new.name, &new.arguments)?;
    let columns = index.spec.create_table(new.name);
    let layout = Layout::of(&index.spec);
    Ok((Connected { index, layout }, columns))
}

impl StoredTable for Connected {
    const NAME: &'static str = "bge";
    const SHADOWS: &'static [&'static str] = &PROTECTED;
    type Cursor = Cursor;

    fn create(host: &Host<'_>, new: &NewTable<'_>) -> Result<(Self, String)> {
        if new.schema.eq_ignore_ascii_case("temp") {
            return Err(Error::invalid(
                "an index cannot be temporary: make it in the schema of its content",
            ));
        }
        let (table, columns) = connected(new)?;
        let parts = Parts::new(host, &table.index);
        parts.words.check_can_be_made()?;
        parts.shadow.create_tables()?;
        ordinary::verify(parts.shadow)?;
        parts.content.declare()?;
        parts.words.declare(&parts.content.locate()?)?;
        Ok((table, columns))
    }

    fn connect(_: &Host<'_>, new: &NewTable<'_>) -> Result<(Self, String)> {
        connected(new)
    }

    fn destroy(&self, host: &Host<'_>) -> Result<()> {
        self.answer(host, |parts| {
            triggers::drop_all(parts.shadow)?;
            parts.words.drop()?;
            let present = ordinary::present(parts.shadow)?;
            parts.shadow.drop_tables(&present)
        })
    }

    fn plan(&self, info: &mut IndexInfo<'_>) -> Result<bool> {
        let terms = self.terms(info);
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
        self.answer(host, |parts| {
            if let Write::Insert(_, columns) = &write {
                let command = columns.get(self.index.spec.query_column());
                if !command.is_null() {
                    // What is returned becomes last_insert_rowid().
                    let last = host.db.last_insert_rowid();
                    ordinary::verify(parts.shadow)?;
                    let rank = self.index.spec.number_of(Hidden::Rank);
                    let rank = rank.map(|rank| columns.get(rank).to_value()).transpose()?;
                    commands::run(parts, &command.to_value()?, rank.as_ref())?;
                    return Ok(last);
                }
            }
            ordinary::verify_once(parts.shadow)?;
            write::write(parts, write)
        })
    }

    fn rename(&self, host: &Host<'_>, to: &str) -> Result<()> {
        self.index.spec.check_index_name(to)?;
        self.answer(host, |parts| rename(parts, to))
    }

    fn integrity(&self, host: &Host<'_>, quick: bool) -> Result<Option<String>> {
        if quick {
            return Ok(None);
        }
        self.answer(host, |parts| {
            ordinary::verify(parts.shadow)?;
            check::integrity_check(parts).map(|()| None)
        })
    }
}

impl Connected {
    fn terms(&self, info: &mut IndexInfo<'_>) -> Vec<Term> {
        let mut terms = Vec::new();
        for (n, term) in info.terms().into_iter().enumerate() {
            let operator = Op::from_code(term.operator);
            let role = self.index.spec.role(term.column);
            let of_user = operator != Op::Limit && matches!(role, Some(ColumnRole::OfUser(_)));
            terms.push(Term {
                column: term.column,
                operator,
                usable: term.usable,
                can_take_all: operator.is_equality() && info.can_take_all(n),
                collation: match of_user {
                    true => info.collation(n),
                    false => "BINARY".to_owned(),
                },
                is_literal: operator != Op::Limit && info.rhs_is_literal(n),
            });
        }
        terms
    }
}

/// Gives the shadow tables and triggers the names that go with another name of the index.
fn rename(parts: Parts<'_>, to: &str) -> Result<()> {
    let shadow = parts.shadow;
    let content = triggers::read(shadow)?;
    let names = Names {
        index: to.to_owned(),
        ..shadow.names().clone()
    };
    let renamed = Index::new(names.clone(), shadow.spec().clone());
    let renamed = Parts::new(shadow.host, &renamed);
    if !shadow.keeps_text() && shadow.get("triggers")? != Value::Integer(0) {
        // Made now or by the next sync, they must find their names free.
        triggers::check_names(renamed.shadow)?;
    }
    renamed.words.check_all_names()?;
    let words_in = content_of_words(parts)?;
    // The triggers name the log: at no moment may they name one that is not there.
    triggers::drop_all(shadow)?;
    parts.words.rename(&names)?;
    let present = ordinary::present(shadow)?;
    shadow.index.statements.clear();
    for suffix in present {
        let (old, new) = (
            shadow.names().table(suffix),
            quote_name(&names.bare(suffix)),
        );
        let rename = format!("ALTER TABLE {old} RENAME TO {new}");
        shadow.host.db.execute(&rename)?;
    }
    shadow.index.statements.clear();
    if let Some(content) = content {
        triggers::create(renamed.shadow, &content)?;
    }
    words_in.map_or(Ok(()), |located| renamed.words.renamed(&located))
}

/// The content whose words are in step with it; `None` where it is gone or they are lost: what they missed meanwhile, the
/// next sync finds out by triggers that are not there.
fn content_of_words(parts: Parts<'_>) -> Result<Option<Located>> {
    if !parts.words.are_kept() {
        return Ok(None);
    }
    let Some(located) = if_there(parts.content.locate())? else {
        return Ok(None);
    };
    let lost = if_there(parts.words.are_lost(&located))?.unwrap_or(true);
    Ok((!lost).then_some(located))
}
