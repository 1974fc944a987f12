//! Commands: `INSERT INTO t(t) VALUES ('rebuild')` and the like.
//!
//! They run inside the statement that gives them, and so in one transaction. `sync` is there for
//! hosts that want statements; `bge_sync` works in committed steps. `optimize` is one transaction too: inside
//! of a statement nothing can be committed.

use super::check::integrity_check;
use super::content::{Located, Noting, triggers};
use super::declare::ContentMode;
use super::parts::Parts;
use super::random::random;
use super::ranking::run;
use super::shadow::FORMAT;
use super::sync::sync;
use super::text::Joined;
use crate::error::{Error, Result, if_there};
use crate::sql::ffi::Value;

const KNOWN: &str = "rebuild, sync, optimize, integrity-check, rank";

/// Runs a command; `rank` is what was given in that hidden column, where the index has it.
///
/// # Errors
/// An unknown command; whatever goes wrong in it; what `integrity-check` finds.
pub fn run(parts: Parts<'_>, command: &Value, rank: Option<&Value>) -> Result<()> {
    let name = command.as_str();
    if name != Some(run::SETTING) && rank.is_some_and(|rank| !rank.is_null()) {
        return Err(Error::invalid(
            "a ranking is given with the command 'rank' alone: VALUES ('rank', 'hybrid')",
        ));
    }
    match name {
        Some(run::SETTING) => run::set_default(parts, rank),
        Some("rebuild") => rebuild(parts),
        Some("sync") => {
            refuse_taken_names(parts, if_there(parts.content.locate())?.as_ref())?;
            sync(parts, None).map(drop)
        }
        Some("optimize") => optimize(parts),
        Some("integrity-check") => {
            integrity_check(parts)?;
            parts.words.ask_fts5()
        }
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
fn rebuild(parts: Parts<'_>) -> Result<()> {
    refuse_without_texts(parts)?;
    refuse_newer_format(parts)?;
    let generation = match if_there(parts.shadow.get("generation"))? {
        Some(Value::Integer(n)) => n.wrapping_add(1),
        _ => random()?.wrapping_abs() / 2,
    };
    let wanted = if_there(parts.shadow.get("triggers"))?.unwrap_or(Value::Null);
    let rank = if_there(parts.shadow.get(run::SETTING))?.unwrap_or(Value::Null);
    let rank = run::kept_default(parts.shadow.spec(), rank);
    let content = parts.content.locate();
    if let Err(e) = &content
        && e.is_passing()
    {
        return Err(e.clone());
    }
    refuse_taken_names(parts, content.as_ref().ok())?;
    parts.words.check_names()?;
    triggers::drop_all(parts.shadow)?;
    if content.is_err() && parts.shadow.has_table("config")? {
        // Tried first: what cannot be declared again must not cost the vectors.
        parts.content.declare()?;
        triggers::drop_all(parts.shadow)?;
    }
    parts.shadow.empty_tables()?;
    parts.shadow.set("generation", Value::Integer(generation))?;
    if !rank.is_null() {
        parts.shadow.set(run::SETTING, rank)?;
    }
    if !parts.shadow.keeps_text() {
        declare_again(parts, content, wanted)?;
    }
    match parts.words.are_kept() {
        true => parts.words.remake(&parts.content.locate()?),
        false => Ok(()),
    }
}

/// Notes the content's names and makes its triggers, as they were.
fn declare_again(parts: Parts<'_>, content: Result<Located>, wanted: Value) -> Result<()> {
    match content {
        Ok(content) => {
            parts.shadow.set("triggers", wanted)?;
            parts.content.remember(&content.named)?;
            if content.noting != Noting::Off {
                parts.shadow.set("triggers", Value::Integer(1))?;
                triggers::create(parts.shadow, &content.named)?;
            }
            Ok(())
        }
        // What the content was called is lost, or the content is gone: as it was declared.
        Err(_) => parts.content.declare(),
    }
}

/// Triggers that must be made again, and cannot be, are found out before anything is dropped.
fn refuse_taken_names(parts: Parts<'_>, content: Option<&Located>) -> Result<()> {
    match content {
        Some(content) if matches!(content.noting, Noting::Due | Noting::Lost) => {
            triggers::check_names(parts.shadow)
        }
        _ => Ok(()),
    }
}

/// A newer version's tables are not ours to fill; damage is.
fn refuse_newer_format(parts: Parts<'_>) -> Result<()> {
    match if_there(parts.shadow.get("format"))? {
        Some(Value::Integer(format)) if format > FORMAT => parts.shadow.check_format(),
        _ => Ok(()),
    }
}

fn refuse_without_texts(parts: Parts<'_>) -> Result<()> {
    let (lost, way_out) = match &parts.shadow.spec().content {
        ContentMode::External { name, .. } => (
            given_without_text(parts),
            format!("delete them in '{name}' or give them a text there, and sync"),
        ),
        ContentMode::Contentless => {
            return Err(Error::invalid(
                "this index keeps no texts (content=''), so it cannot be rebuilt: the vectors \
                 would be lost; drop it and make it again",
            ));
        }
        ContentMode::Own => (rows_with_vector_alone(parts), "delete them".to_owned()),
    };
    // Damaged tables have nothing to lose.
    let lost = if_there(lost)?.flatten().unwrap_or(0);
    if lost == 0 {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "{lost} rows of this index have a vector and no text, and could not be embedded again; \
         {way_out} first, or drop the index"
    )))
}

/// Rows of the content that had no text to embed when they were given a vector.
fn given_without_text(parts: Parts<'_>) -> Result<Option<i64>> {
    parts
        .shadow
        .sql("SELECT count(*) FROM {rows} WHERE hash = ?1 AND id IN (SELECT row FROM {passages})")?
        .with(&[Value::Blob(Joined::Nothing.hash())])?
        .integer_of_first()
}

fn rows_with_vector_alone(parts: Parts<'_>) -> Result<Option<i64>> {
    let texts = parts
        .shadow
        .spec()
        .columns
        .iter()
        .enumerate()
        .filter(|(_, c)| c.indexed);
    let all_null: Vec<String> = texts.map(|(n, _)| format!("c{n} IS NULL")).collect();
    parts
        .shadow
        .sql(&format!(
            "SELECT count(*) FROM {{text}} WHERE {} AND id IN (SELECT row FROM {{passages}})",
            all_null.join(" AND ")
        ))?
        .integer_of_first()
}

/// Makes the index as if it were new: slots without holes, codes fitted to its vectors.
fn optimize(parts: Parts<'_>) -> Result<()> {
    parts.shadow.check_format()?;
    parts.vectors.optimize()
}
