//! Whether the table of words is that of the content, and whether FTS5 finds it whole: of the index's own each text is
//! compared, of one of the user's, whose columns may be any, the rowids.

use super::{Found, Words, errors, triggers};
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use crate::sql::index::content::{Content, Located, Origin};
use crate::sql::index::names::WORDS;
use crate::sql::index::text::Joined;
use crate::sql::lexer::quote_name;

/// The most faults of a kind that are looked for: `integrity-check` names some and counts the rest.
const MOST: i64 = 1000;
/// The most rows of a table of the user's that are named, of those that are missing and of those that are too many.
const NAMED: i64 = 4;

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
            return Ok(vec![errors::missing(&name)]);
        }
        if self.unfilled_from()?.is_some() {
            return Ok(vec![format!(
                "its table of words, '{name}': {}",
                errors::UNFILLED
            )]);
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
        // Those of a row that has a note may be out of step, as its vectors may.
        let unnoted = match (located.origin, noted) {
            (Origin::Table, Some(noted)) => format!(" AND {key} NOT IN ({noted})"),
            _ => String::new(),
        };
        let stale = format!(
            "SELECT {key} FROM {content} AS c LEFT JOIN {words} AS w ON w.rowid = {key} \
             WHERE typeof({key}) = 'integer' AND (w.rowid IS NULL{differs}){unnoted} LIMIT ?1"
        );
        // A row that was displaced without a note goes with its vectors.
        let rows = names.table("rows");
        let displaced = self.displaced_sql(located);
        let strange = noted.map(|noted| {
            format!(
                "{displaced} AND d.id NOT IN (SELECT id FROM {rows}) AND d.id NOT IN ({noted}) LIMIT ?1"
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

    /// Whether a table of the user's is there, and has the rows of the content and no others. Rows without a text need
    /// have no words.
    ///
    /// # Errors
    /// It is not; what SQLite says; an interruption.
    pub fn check_rows_of_named(self) -> Result<()> {
        if self.are_kept() || !self.shadow.spec().has_words() {
            return Ok(());
        }
        self.check_named()?;
        let Some(rows) = self.rows_of_named()? else {
            // An FTS5 table that keeps neither sizes nor texts does not tell which rows it has.
            return Ok(());
        };
        let content = Content::new(self.shadow);
        let located = content.locate()?;
        let (key, from) = content.source(&located);
        let has_text = match located.origin {
            Origin::Contentless => "length(r.hash) > 0 AND r.hash <> ?2".to_owned(),
            Origin::Table | Origin::View | Origin::Own => {
                let texts = self.columns(&located).into_iter();
                let texts: Vec<String> = texts
                    .map(|(_, theirs)| format!("c.{} <> ''", quote_name(&theirs)))
                    .collect();
                format!("({}) AND ?2 IS NOT NULL", texts.join(" OR "))
            }
        };
        let is_key = format!("typeof({key}) = 'integer'");
        let missing = format!(
            "SELECT {key} FROM {from} \
             WHERE {is_key} AND {has_text} AND {key} NOT IN (SELECT id FROM {rows}) LIMIT ?1"
        );
        let strange = format!(
            "SELECT id FROM {rows} \
             WHERE id NOT IN (SELECT {key} FROM {from} WHERE {is_key}) AND ?2 IS NOT NULL LIMIT ?1"
        );
        let mut faults = Vec::new();
        let _reading = self.shadow.index.reading_content();
        for (sql, fault) in [
            (missing, "row {} of the content is not in it"),
            (strange, "row {} of it is not in the content"),
        ] {
            let mut read = self.shadow.plain_sql(&sql)?;
            read.bind(1, &Value::Integer(NAMED))?;
            read.bind(2, &Value::Blob(Joined::Nothing.hash()))?;
            while read.step()? == Row::Ready {
                let row = read.integer(0).unwrap_or(0).to_string();
                faults.push(fault.replace("{}", &row));
            }
        }
        match faults.is_empty() {
            true => Ok(()),
            false => Err(errors::out_of_step(&self.table(), &faults)),
        }
    }

    /// The table in which FTS5 has a row for each row of a table of the user's, for use in SQL. (With an external content,
    /// the FTS5 table itself gives that content's rows.)
    fn rows_of_named(self) -> Result<Option<String>> {
        for behind in ["docsize", "content"] {
            let name = format!("{}_{behind}", self.table());
            let mut find = self.shadow.kept("ordinary table", || {
                // A view in its place would have SQL of somebody else's run.
                format!(
                    "SELECT 1 FROM {} WHERE type = 'table' AND lower(substr(sql, 1, 12)) = 'create table' AND name = ?1 COLLATE NOCASE",
                    self.shadow.names().schema_table()
                )
            })?;
            find.bind(1, &Value::from(name.as_str()))?;
            if find.step()? == Row::Ready {
                return Ok(Some(self.shadow.names().in_schema(&name)));
            }
        }
        Ok(None)
    }

    /// Has FTS5 look at the table. It is a write to FTS5, though none to the file. (PRAGMA integrity_check asks each
    /// virtual table by itself, and so FTS5's too.)
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
