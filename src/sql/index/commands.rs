//! Commands: `INSERT INTO t(t) VALUES ('rebuild')` and the like.
//!
//! They run inside the statement that gives them, and so in one transaction. `sync` is there for
//! hosts that want statements; `bge_sync` works in committed steps.

use super::code_store::{FIRST_CODES, fresh_stamp};
use super::content::{Content, Noting};
use super::declare::Content as Declared;
use super::names::text;
use super::store::{FORMAT, Store};
use super::text::Joined;
use crate::error::{Error, Result};
use crate::sql::ffi::Value;

const KNOWN: &str = "rebuild, sync, optimize, integrity-check";

impl Store<'_> {
    /// Runs a command.
    ///
    /// # Errors
    /// An unknown command; whatever goes wrong in it; what `integrity-check` finds.
    pub fn command(&self, command: &Value) -> Result<()> {
        let name = text(command);
        match name.as_deref() {
            Some("rebuild") => self.rebuild(),
            Some("sync") => {
                self.refuse_taken_names(self.content().ok().as_ref())?;
                self.sync(None).map(drop)
            }
            Some("optimize") => self.optimize(),
            Some("integrity-check") => self.integrity_check(),
            Some(other) => Err(Error::invalid(format!(
                "unknown command '{other}'; known: {KNOWN}"
            ))),
            None => Err(Error::invalid(format!(
                "a command is a text; known: {KNOWN}"
            ))),
        }
    }

    /// Discards all vectors and what they were made with, and marks every row as pending. Works
    /// also where shadow tables are damaged or gone.
    fn rebuild(&self) -> Result<()> {
        self.refuse_without_texts()?;
        self.refuse_newer_format()?;
        let generation = match self.get("generation") {
            Ok(Value::Integer(n)) => n.wrapping_add(1),
            _ => fresh_stamp()?.abs() / 2,
        };
        let remembered = ["content", "key", "columns", "triggers"];
        let remembered = remembered.map(|key| (key, self.get(key).unwrap_or(Value::Null)));
        let content = self.content();
        self.refuse_taken_names(content.as_ref().ok())?;
        self.drop_triggers()?;
        if content.is_err() && self.has_table("config")? {
            // Tried first: what cannot be declared again must not cost the vectors.
            self.declare_content()?;
            self.drop_triggers()?;
        }
        self.empty_tables()?;
        self.set("generation", Value::Integer(generation))?;
        if self.keeps_text() {
            return Ok(());
        }
        match content {
            Ok(content) => {
                self.set("triggers", remembered[3].1.clone())?;
                self.remember_content(&content.named)?;
                if content.noting != Noting::Off {
                    self.set("triggers", Value::Integer(1))?;
                    self.create_triggers(&content.named)?;
                }
                Ok(())
            }
            // What the content was called is lost, or the content is gone: as it was declared.
            Err(_) => self.declare_content(),
        }
    }

    /// Triggers that must be made again, and cannot be, are found out before anything is dropped.
    fn refuse_taken_names(&self, content: Option<&Content>) -> Result<()> {
        match content {
            Some(content) if content.noting == Noting::Lost => self.check_trigger_names(),
            _ => Ok(()),
        }
    }

    /// A newer version's tables are not ours to fill; damage is.
    fn refuse_newer_format(&self) -> Result<()> {
        match self.get("format") {
            Ok(Value::Integer(format)) if format > FORMAT => self.check_format(),
            _ => Ok(()),
        }
    }

    fn refuse_without_texts(&self) -> Result<()> {
        let (lost, way_out) = match &self.index.spec.content {
            Declared::Table { name, .. } => (
                self.given_without_text(),
                format!("delete them in '{name}' or give them a text there, and sync"),
            ),
            Declared::Nothing => {
                return Err(Error::invalid(
                    "this index keeps no texts (content=''), so it cannot be rebuilt: the vectors \
                     would be lost; drop it and make it again",
                ));
            }
            Declared::Own => (self.rows_with_vector_alone(), "delete them".to_owned()),
        };
        // Damaged tables have nothing to lose.
        let lost = lost.ok().flatten().unwrap_or(0);
        if lost == 0 {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "{lost} rows of this index have a vector and no text, and could not be embedded again; \
             {way_out} first, or drop the index"
        )))
    }

    /// Rows of the content that had no text to embed when they were given a vector.
    fn given_without_text(&self) -> Result<Option<i64>> {
        self.sql(
            "SELECT count(*) FROM {rows} WHERE hash = ?1 AND id IN (SELECT row FROM {passages})",
        )?
        .with(&[Value::Blob(Joined::Nothing.hash())])?
        .integer_of_first()
    }

    fn rows_with_vector_alone(&self) -> Result<Option<i64>> {
        let texts = self
            .index
            .spec
            .columns
            .iter()
            .enumerate()
            .filter(|(_, c)| c.indexed);
        let all_null: Vec<String> = texts.map(|(n, _)| format!("c{n} IS NULL")).collect();
        self.sql(&format!(
            "SELECT count(*) FROM {{text}} WHERE {} AND id IN (SELECT row FROM {{passages}})",
            all_null.join(" AND ")
        ))?
        .integer_of_first()
    }

    /// Makes the index as if it were new: slots without holes, codes fitted to its vectors.
    fn optimize(&self) -> Result<()> {
        self.check_format()?;
        self.close_holes()?;
        let count = self
            .sql("SELECT count(*) FROM {passages}")?
            .integer_of_first()?;
        if count.unwrap_or(0) >= FIRST_CODES {
            self.fit()?;
        }
        Ok(())
    }
}
