//! `bge_status`: what an index is, how far it is in step, and what is wrong with it. It never fails
//! for what is wrong: it says so.

use super::content::{Noting, Origin};
use super::declare::ContentMode;
use super::model;
use super::ordinary;
use super::parts::Parts;
use super::passage_size::PassageSize;
use super::ranking::run;
use super::shadow::Scanned;
use super::vectors::cache::bytes_held;
use crate::error::{Error, Result, if_there};
use crate::sql::ffi::{Row, Value};
use serde_json::{Map, Value as Json, json};

/// Rows whose problem is shown.
const SHOWN: i64 = 10;

/// A JSON object.
///
/// # Errors
/// Those that are passing: an interruption, no memory, a lock.
pub fn status(parts: Parts<'_>) -> Result<Json> {
    let mut report = Report::default();
    report.put("index", Ok(json!(parts.shadow.names().index)));
    report.put("schema", Ok(json!(parts.shadow.names().schema)));
    match ordinary::verify(parts.shadow) {
        // Nothing of what stands for a shadow table is read.
        Err(e) if !e.is_passing() => report.wrong.push(e.message().to_owned()),
        verified => {
            verified?;
            let unfit = if_there(unfit_keys(parts))?;
            declaration(parts, &mut report);
            contents(parts, unfit.as_ref(), &mut report);
            report.wrong.extend(what_is_lost(parts)?);
            report.wrong.extend(unfit.iter().flat_map(|keys| {
                let told = keys.told.iter();
                told.map(|(key, why)| {
                    format!("content '{}': key {}: {why}", keys.table, shown(key))
                })
            }));
        }
    }
    report.into_json()
}

/// What is said of an index, in the making.
#[derive(Default)]
struct Report {
    said: Map<String, Json>,
    wrong: Vec<String>,
    passing: Option<Error>,
}

impl Report {
    /// Says a value; what could not be read is null, and wrong.
    fn put(&mut self, key: &str, value: Result<Json>) {
        let value = value.unwrap_or_else(|e| {
            match e.is_passing() {
                true => self.passing = Some(e),
                false => self.wrong.push(format!("{key}: {}", e.message())),
            }
            Json::Null
        });
        self.said.insert(key.into(), value);
    }

    fn into_json(mut self) -> Result<Json> {
        self.said.insert("wrong".into(), json!(self.wrong));
        match self.passing {
            Some(e) => Err(e),
            None => Ok(Json::Object(self.said)),
        }
    }
}

/// What the index was made with.
fn declaration(parts: Parts<'_>, report: &mut Report) {
    let shadow = parts.shadow;
    let size = |say: fn(PassageSize) -> Json| shadow.passage_size().map(say);
    let format = count(parts, "SELECT v FROM {config} WHERE k = 'format'");
    report.put("format", format);
    report.put("model", model_status(parts));
    report.put("storage", Ok(json!(shadow.storage().name())));
    // Null where passages have the model's limit.
    report.put("chunk_tokens", size(|size| json!(size.chunk_tokens())));
    report.put(
        "overlap",
        size(|size| json!(size.overlap(size.chunk_tokens().unwrap_or(usize::MAX)))),
    );
    report.put("content", content_status(parts));
    report.put("triggers", trigger_status(parts));
    report.put("words", Ok(json!(parts.words.name())));
    let rank = shadow.settings().and_then(|settings| {
        run::default_of(shadow.spec(), &settings)?;
        Ok(json!(settings.rank))
    });
    report.put("rank", rank);
}

/// What is in it.
fn contents(parts: Parts<'_>, unfit: Option<&UnfitKeys>, report: &mut Report) {
    let rows = "SELECT count(*) FROM {rows} WHERE length(hash) > 0";
    report.put("rows", count(parts, rows));
    let passages = "SELECT count(*) FROM {passages}";
    report.put("passages", count(parts, passages));
    report.put("pending", pending(parts));
    let unfit_rows = unfit.map_or(0, |keys| keys.rows);
    let problems = problem_count(parts).map(|rows| json!(rows + unfit_rows));
    report.put("problems", problems);
    report.put("problem_rows", problem_rows(parts, unfit));
    report.put("codes", code_status(parts));
}

/// What the next sync makes again.
fn what_is_lost(parts: Parts<'_>) -> Result<Vec<String>> {
    let mut lost = Vec::new();
    if let Some(Noting::Lost) = if_there(noting(parts))? {
        lost.push(
            "triggers: those of the content are gone, so its changes are not being noted; \
             bge_sync makes them again and compares all rows"
                .to_owned(),
        );
    }
    let words = if_there(parts.words.wrong())?.flatten();
    lost.extend(words.map(|why| format!("words: {why}")));
    Ok(lost)
}

fn noting(parts: Parts<'_>) -> Result<Noting> {
    Ok(parts.content.locate()?.noting)
}

fn count(parts: Parts<'_>, sql: &str) -> Result<Json> {
    Ok(json!(
        parts.shadow.sql(sql)?.integer_of_first()?.unwrap_or(0)
    ))
}

/// Rows that have notes, rows that no scan has reached, and rows whose words are still to be made again.
fn pending(parts: Parts<'_>) -> Result<Json> {
    // A row of the index itself is deleted at once; its notes stay until a sync passes them.
    let names = parts.shadow.names();
    let there = match parts.shadow.keeps_text() {
        true => {
            names.expand("WHERE id IN (SELECT id FROM {rows}) OR id IN (SELECT id FROM {text})")
        }
        false => String::new(),
    };
    let notes = parts.notes.rows_sql()?;
    let noted = parts
        .shadow
        .plain_sql(&format!("SELECT count(DISTINCT id) FROM ({notes}) {there}"))?
        .integer_of_first()?
        .unwrap_or(0);
    let located = parts.content.locate()?;
    let unscanned = match parts.shadow.settings()?.scanned {
        // Nobody notes what changes: any row may be pending.
        _ if located.noting == Noting::Lost => Some(i64::MIN),
        Scanned::All => None,
        Scanned::Nothing => Some(i64::MIN),
        Scanned::To(key) => Some(key.saturating_add(1)),
    };
    let wordless = parts.words.missing_from(&located)?;
    let Some(from) = unscanned.into_iter().chain(wordless).min() else {
        return Ok(json!(noted));
    };
    let (key, from_where) = parts.content.source(&located);
    let _reading = parts.shadow.index.reading_content();
    let mut count = parts.shadow.plain_sql(&format!(
        "SELECT count(*) FROM {from_where} WHERE {key} >= ?1 AND {key} NOT IN ({notes})"
    ))?;
    count.bind(1, &Value::Integer(from))?;
    Ok(json!(noted + count.integer_of_first()?.unwrap_or(0)))
}

fn model_status(parts: Parts<'_>) -> Result<Json> {
    let settings = parts.shadow.settings()?;
    let print = settings.model.as_ref().map(|(_, print)| {
        print
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    });
    Ok(json!({
        "name": model::name(parts.shadow, &settings),
        "bound": settings.model.is_some(),
        "fingerprint": print,
        "dims": settings.dims,
    }))
}

fn content_status(parts: Parts<'_>) -> Result<Json> {
    Ok(match &parts.shadow.spec().content {
        ContentMode::Own => json!("own"),
        ContentMode::Contentless => json!(""),
        ContentMode::External { .. } => json!(parts.content.locate()?.named.table),
    })
}

fn trigger_status(parts: Parts<'_>) -> Result<Json> {
    let content = parts.content.locate()?;
    Ok(json!(match (content.origin, content.noting) {
        (Origin::Own | Origin::Contentless, _) => "none",
        (_, Noting::On) => "on",
        (_, Noting::Off) => "off",
        (_, Noting::Due) => "due",
        (_, Noting::Lost) => "lost",
    }))
}

/// Rows of the content that cannot all be indexed, since their keys do not tell them apart.
struct UnfitKeys {
    table: String,
    rows: i64,
    /// Some of them: the key, and what is wrong with it.
    told: Vec<(Value, String)>,
}

fn unfit_keys(parts: Parts<'_>) -> Result<UnfitKeys> {
    let located = parts.content.locate()?;
    let (rows, told) = parts.content.unfit_keys(&located, SHOWN)?;
    Ok(UnfitKeys {
        table: located.named.table,
        rows,
        told,
    })
}

fn shown(key: &Value) -> String {
    match key {
        Value::Null => "NULL".to_owned(),
        Value::Integer(n) => n.to_string(),
        Value::Real(x) => x.to_string(),
        Value::Text(bytes) => format!("'{}'", String::from_utf8_lossy(bytes)),
        Value::Blob(_) => "(a BLOB)".to_owned(),
    }
}

/// Rows that cannot be embedded.
fn problem_count(parts: Parts<'_>) -> Result<i64> {
    let count = parts
        .shadow
        .sql("SELECT count(*) FROM {rows} WHERE problem IS NOT NULL")?;
    Ok(count.integer_of_first()?.unwrap_or(0))
}

/// The first rows that cannot be found, with why: they cannot be embedded, or their keys are not fit.
fn problem_rows(parts: Parts<'_>, unfit: Option<&UnfitKeys>) -> Result<Json> {
    let mut read = parts
        .shadow
        .sql("SELECT id, problem FROM {rows} WHERE problem IS NOT NULL ORDER BY id LIMIT ?1")?;
    read.bind(1, &Value::Integer(SHOWN))?;
    let mut rows = Vec::new();
    while read.step()? == Row::Ready {
        rows.push(json!({"rowid": read.integer(0), "problem": read.text(1)?}));
    }
    for (key, why) in unfit.iter().flat_map(|keys| &keys.told) {
        let problem = format!("key {}: {why}", shown(key));
        rows.push(json!({"rowid": key.as_integer(), "problem": problem}));
    }
    rows.truncate(SHOWN as usize);
    Ok(Json::Array(rows))
}

fn code_status(parts: Parts<'_>) -> Result<Json> {
    let bytes = parts.vectors.codes.coder()?.map(|coder| coder.code_bytes());
    let chunks = parts
        .shadow
        .sql("SELECT count(*) FROM {codes}")?
        .integer_of_first()?;
    let free = match parts.shadow.get("free")? {
        Value::Integer(free) => free,
        _ => 0,
    };
    Ok(json!({
        "chunks": chunks,
        "bytes_a_vector": bytes,
        "free_slots": free,
        "sigmas": bytes.map(|_| parts.vectors.codes.z()).transpose()?,
        "bytes_in_memory": bytes_held(),
    }))
}
