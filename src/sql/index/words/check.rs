//! Whether the index's own table of words is the texts of the content, and whether FTS5 finds it whole.

use super::super::content::{Located, Origin};
use super::super::names::WORDS;
use super::{Found, Words, triggers};
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use crate::sql::lexer::quote_name;

/// Rows that are looked for; what is wrong with more is wrong with these.
const MOST: i64 = 1000;

impl Words<'_> {
    /// What is wrong with the table, each as a sentence. `noted`: a SELECT of the rows that have notes, which may have
    /// been displaced; `None` where any row may have been.
    ///
    /// # Errors
    /// What SQLite says; an interruption.
    pub fn faults(self, located: &Located, noted: Option<&str>) -> Result<Vec<String>> {
        if !self.are_kept() {
            return Ok(Vec::new());
        }
        let name = self.table();
        if let Found::Nothing = self.look()? {
            return Ok(vec![format!("its table of words, '{name}', is missing")]);
        }
        let columns = self.columns(located);
        let mut faults = Vec::new();
        if located.origin == Origin::Table
            && !triggers::are_there(self.shadow, &located.named, &columns)?
        {
            faults.push(format!(
                "the triggers of the table of words, '{name}', are gone or have changed"
            ));
        }
        let compared = self.compare(located, &columns, noted);
        match self.told(compared) {
            Ok(found) => faults.extend(found),
            Err(e) if e.is_passing() => return Err(e),
            Err(e) => faults.push(e.message().to_owned()),
        }
        Ok(faults)
    }

    fn compare(
        self,
        located: &Located,
        columns: &[(String, String)],
        noted: Option<&str>,
    ) -> Result<Vec<String>> {
        let names = self.shadow.names();
        let (words, content) = (names.table(WORDS), names.in_schema(&located.named.table));
        let key = format!("c.{}", quote_name(&located.named.key));
        let differs: String = columns
            .iter()
            .map(|(ours, theirs)| {
                let theirs = quote_name(theirs);
                format!(" OR c.{theirs} COLLATE BINARY IS NOT w.{ours} OR typeof(c.{theirs}) <> typeof(w.{ours})")
            })
            .collect();
        let stale = format!(
            "SELECT {key} FROM {content} AS c LEFT JOIN {words} AS w ON w.rowid = {key} \
             WHERE typeof({key}) = 'integer' AND (w.rowid IS NULL{differs}) LIMIT ?1"
        );
        // A row that was displaced without a note goes with its vectors.
        let rows = names.table("rows");
        let displaced = self.displaced_sql(located);
        let strange = noted.map(|noted| {
            format!(
                "{displaced} AND id NOT IN (SELECT id FROM {rows}) AND id NOT IN ({noted}) LIMIT ?1"
            )
        });
        let mut faults = Vec::new();
        let _reading = self.shadow.index.reading_content();
        let looks = [
            (Some(stale), "the words of row {} are not those of its text"),
            (
                strange,
                "there are words of row {}, which is not in the content",
            ),
        ];
        for (sql, fault) in looks
            .into_iter()
            .filter_map(|(sql, fault)| Some((sql?, fault)))
        {
            let mut read = self.shadow.plain_sql(&sql)?;
            read.bind(1, &Value::Integer(MOST))?;
            while read.step()? == Row::Ready {
                let row = read.integer(0).unwrap_or(0).to_string();
                faults.push(fault.replace("{}", &row));
            }
        }
        Ok(faults)
    }

    /// Has FTS5 look at the table. It is a write to FTS5, though none to the file.
    ///
    /// # Errors
    /// What FTS5 finds, as damage; what SQLite says.
    pub fn ask_fts5(self) -> Result<()> {
        if !self.shadow.spec().has_words() {
            return Ok(());
        }
        let (from, name) = self.source();
        // With 1 an external content is compared too; SQLite before 3.44 looks at the index alone.
        let check = format!("INSERT INTO {from}({name}, rank) VALUES ('integrity-check', 1)");
        let _reading = self.shadow.index.reading_content();
        let looked = self.shadow.plain_sql(&check).and_then(|check| check.run());
        self.told(looked)
    }
}
