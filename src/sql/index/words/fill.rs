//! Putting the words of a whole content into the index's own table, and taking out those of rows that vanished unseen.
//!
//! CREATE VIRTUAL TABLE and `rebuild` fill it in their own transaction. A sync that finds the table or its triggers lost
//! first makes both anew, empty, and fills the table in steps, by key: `words_from` in the settings says from where on
//! rows are still to come. From the first step on the triggers keep in step what is written; rows that they have put in
//! already are passed over.

use super::Words;
use super::table::SIZES;
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use crate::sql::index::content::Located;
use crate::sql::index::damage::corrupt;
use crate::sql::index::names::WORDS;
use crate::sql::lexer::quote_name;
use std::time::Instant;

/// The setting that says from which key on words are still to be filled.
const UNFILLED: &str = "words_from";
/// Rows that are read, and rows that are removed, by one statement.
const SLICE: i64 = 1000;

impl Words<'_> {
    /// The key from which on words are still to be filled, where they are being made again.
    ///
    /// # Errors
    /// What SQLite says; damage.
    pub(super) fn unfilled_from(self) -> Result<Option<i64>> {
        match self.shadow.get(UNFILLED)? {
            Value::Null => Ok(None),
            Value::Integer(key) => Ok(Some(key)),
            other => Err(corrupt(format_args!("setting {UNFILLED} is {other:?}"))),
        }
    }

    /// Whether a sync has begun to make words again, and not ended.
    ///
    /// # Errors
    /// As [`Self::unfilled_from`].
    pub fn are_unfilled(self) -> Result<bool> {
        Ok(self.are_kept() && self.unfilled_from()?.is_some())
    }

    fn set_unfilled(self, from: Option<i64>) -> Result<()> {
        let value = from.map_or(Value::Null, Value::Integer);
        self.shadow.set(UNFILLED, value)
    }

    /// Makes triggers and table anew, and fills it.
    ///
    /// # Errors
    /// A name is taken; what SQLite says.
    pub fn remake(self, located: &Located) -> Result<()> {
        if !self.are_kept() {
            return Ok(());
        }
        self.make_empty(located)?;
        self.fill(located, i64::MIN, None)?;
        self.set_unfilled(None)
    }

    /// Makes triggers and table anew, to be [filled](Self::fill_until) in steps.
    ///
    /// # Errors
    /// A name is taken; what SQLite says.
    pub fn begin_again(self, located: &Located) -> Result<()> {
        self.make_empty(located)?;
        self.set_unfilled(Some(i64::MIN))
    }

    /// Goes on filling until then, with one row at least.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn fill_until(self, located: &Located, until: Instant) -> Result<()> {
        let Some(from) = self.unfilled_from()? else {
            return Ok(());
        };
        let next = self.fill(located, from, Some(until))?;
        self.set_unfilled(next)
    }

    /// Puts in the texts of the content from this key on, until then or to the end: the key to go on from, where it
    /// is not at the end.
    pub(super) fn fill(
        self,
        located: &Located,
        from: i64,
        until: Option<Instant>,
    ) -> Result<Option<i64>> {
        let mut next = Some(from);
        while let Some(from) = next {
            self.shadow.host.interrupts.check()?;
            next = self.fill_slice(located, from, until)?;
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(next);
            }
        }
        Ok(None)
    }

    fn fill_slice(
        self,
        located: &Located,
        from: i64,
        until: Option<Instant>,
    ) -> Result<Option<i64>> {
        let (select, key) = self.select(located);
        let _reading = self.shadow.index.reading_content();
        let mut read = self.shadow.plain_sql(&format!(
            "{select} WHERE {key} >= ?1 AND typeof({key}) = 'integer' ORDER BY {key} LIMIT ?2"
        ))?;
        read.bind(1, &Value::Integer(from))?;
        read.bind(2, &Value::Integer(SLICE))?;
        let (mut count, mut last) = (0, None);
        while read.step()? == Row::Ready {
            let row = read.row()?;
            let add = self.shadow.kept("fill words", || self.adding_sql());
            self.told(add.and_then(|add| add.with(&row)?.run()))?;
            (count, last) = (count + 1, row.first().and_then(Value::as_integer));
            if until.is_some_and(|until| Instant::now() >= until) {
                return Ok(last.and_then(|last| last.checked_add(1)));
            }
        }
        Ok(last
            .filter(|_| count == SLICE)
            .and_then(|last| last.checked_add(1)))
    }

    /// An INSERT of one row, key and texts, that is not there.
    pub(super) fn adding_sql(self) -> String {
        let of = |suffix: &str| self.shadow.names().table(suffix);
        let (words, sizes, columns) = (of(WORDS), of(SIZES), self.own_columns());
        let places: String = (0..columns.matches(',').count())
            .map(|n| format!(", ?{}", n + 2))
            .collect();
        format!(
            "INSERT INTO {words}(rowid{columns}) SELECT ?1{places} \
             WHERE NOT EXISTS (SELECT 1 FROM {sizes} WHERE id = ?1)"
        )
    }

    /// A SELECT of the content's keys and texts, up to before WHERE; and the key.
    fn select(self, located: &Located) -> (String, String) {
        let key = format!("c.{}", quote_name(&located.named.key));
        let texts = self.columns(located).into_iter();
        let texts: String = texts
            .map(|(_, name)| format!(", c.{}", quote_name(&name)))
            .collect();
        let table = self.shadow.names().in_schema(&located.named.table);
        (format!("SELECT {key}{texts} FROM {table} AS c"), key)
    }

    /// Rows from this key on, some of them, that have words and are in the content no more: OR REPLACE displaces a row
    /// unseen, also one that was never embedded.
    ///
    /// # Errors
    /// What SQLite says; the table is damaged.
    pub fn displaced(self, located: &Located, from: i64) -> Result<Vec<i64>> {
        if !self.are_kept() {
            return Ok(Vec::new());
        }
        let select = self.displaced_sql(located);
        let mut read = self
            .shadow
            .plain_sql(&format!("{select} AND d.id >= ?1 ORDER BY d.id LIMIT ?2"))?;
        read.bind(1, &Value::Integer(from))?;
        read.bind(2, &Value::Integer(SLICE))?;
        let _reading = self.shadow.index.reading_content();
        let mut displaced = Vec::new();
        while read.step()? == Row::Ready {
            displaced.extend(read.integer(0));
        }
        Ok(displaced)
    }

    /// A SELECT of such rows, `d.id`, with a WHERE: from the sizes of all, which are read fastest. (`+` takes the affinity away: a
    /// key '7' that is a text is not row 7, and the content's index on its keys is used.)
    pub(super) fn displaced_sql(self, located: &Located) -> String {
        let (sizes, content) = (
            self.shadow.names().table(SIZES),
            self.shadow.names().in_schema(&located.named.table),
        );
        let key = format!("c.{}", quote_name(&located.named.key));
        format!(
            "SELECT d.id FROM {sizes} AS d WHERE NOT EXISTS (SELECT 1 FROM {content} AS c WHERE {key} = +d.id)"
        )
    }
}
