//! `bge_status`: what an index is, how far it is in step, and what is wrong with it. It never fails
//! for what is wrong: it says so.

use super::codes_cache::bytes_held;
use super::content::{Kind, Noting};
use super::declare::Content;
use super::names::text;
use super::store::{Scanned, Store};
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use serde_json::{Map, Value as Json, json};

/// Rows whose problem is shown.
const SHOWN: i64 = 10;

impl Store<'_> {
    /// A JSON object.
    ///
    /// # Errors
    /// An interruption.
    pub fn status(&self) -> Result<Json> {
        let mut wrong: Vec<String> = Vec::new();
        let mut status = Map::new();
        let names = &self.index.names;
        status.insert("index".into(), json!(names.index));
        status.insert("schema".into(), json!(names.schema));
        let mut put = |key: &str, value: Result<Json>| match value {
            Ok(value) => {
                status.insert(key.into(), value);
            }
            Err(e) => {
                status.insert(key.into(), Json::Null);
                wrong.push(format!("{key}: {}", e.message()));
            }
        };
        put(
            "format",
            self.count("SELECT v FROM {config} WHERE k = 'format'"),
        );
        put(
            "rows",
            self.count("SELECT count(*) FROM {rows} WHERE length(hash) > 0"),
        );
        put("passages", self.count("SELECT count(*) FROM {passages}"));
        put("pending", self.pending());
        put("model", self.model_status());
        put("storage", Ok(json!(self.storage().name())));
        put("content", self.content_status());
        put("triggers", self.trigger_status());
        put(
            "problems",
            self.count("SELECT count(*) FROM {rows} WHERE problem IS NOT NULL"),
        );
        put("problem_rows", self.problem_rows());
        put("codes", self.code_status());
        status.insert("wrong".into(), json!(wrong));
        Ok(Json::Object(status))
    }

    fn count(&self, sql: &str) -> Result<Json> {
        Ok(json!(self.sql(sql)?.integer_of_first()?.unwrap_or(0)))
    }

    /// Rows that have notes, and rows that no scan has reached.
    fn pending(&self) -> Result<Json> {
        // A row of the index itself is deleted at once; its notes stay until a sync passes them.
        let there = match self.keeps_text() {
            true => "WHERE id IN (SELECT id FROM {rows}) OR id IN (SELECT id FROM {text})",
            false => "",
        };
        let noted = self
            .sql(&format!("SELECT count(DISTINCT id) FROM {{log}} {there}"))?
            .integer_of_first()?
            .unwrap_or(0);
        let from = match self.settings()?.scanned {
            Scanned::All => return Ok(json!(noted)),
            Scanned::Nothing => i64::MIN,
            Scanned::To(key) => key.saturating_add(1),
        };
        let content = self.content()?;
        let (key, from_where) = self.source(&content);
        let _reading = self.index.reading();
        let log = self.index.names.table("log");
        let mut count = self.plain_sql(&format!(
            "SELECT count(*) FROM {from_where} WHERE {key} >= ?1 AND {key} NOT IN \
             (SELECT id FROM {log} WHERE id IS NOT NULL)"
        ))?;
        count.bind(1, &Value::Integer(from))?;
        Ok(json!(noted + count.integer_of_first()?.unwrap_or(0)))
    }

    fn model_status(&self) -> Result<Json> {
        let settings = self.settings()?;
        let print = settings.model.as_ref().map(|(_, print)| {
            print
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>()
        });
        Ok(json!({
            "name": self.model_name(&settings),
            "bound": settings.model.is_some(),
            "fingerprint": print,
            "dims": settings.dims,
        }))
    }

    fn content_status(&self) -> Result<Json> {
        Ok(match &self.index.spec.content {
            Content::Own => json!("own"),
            Content::Nothing => json!(""),
            Content::Table { .. } => json!(self.content()?.named.table),
        })
    }

    fn trigger_status(&self) -> Result<Json> {
        let content = self.content()?;
        Ok(json!(match (content.kind, content.noting) {
            (Kind::Own | Kind::Nothing, _) => "none",
            (_, Noting::On) => "on",
            (_, Noting::Off) => "off",
            (_, Noting::Lost) => "lost",
        }))
    }

    fn problem_rows(&self) -> Result<Json> {
        let mut read = self
            .sql("SELECT id, problem FROM {rows} WHERE problem IS NOT NULL ORDER BY id LIMIT ?1")?;
        read.bind(1, &Value::Integer(SHOWN))?;
        let mut rows = Vec::new();
        while read.step()? == Row::Ready {
            rows.push(json!({"rowid": read.integer(0), "problem": text(&read.column(1)?)}));
        }
        Ok(Json::Array(rows))
    }

    fn code_status(&self) -> Result<Json> {
        let bytes = self.coder()?.map(|coder| coder.code_bytes());
        let chunks = self
            .sql("SELECT count(*) FROM {codes}")?
            .integer_of_first()?;
        let free = match self.get("free")? {
            Value::Integer(free) => free,
            _ => 0,
        };
        Ok(json!({
            "chunks": chunks,
            "bytes_a_vector": bytes,
            "free_slots": free,
            "sigmas": bytes.map(|_| self.z()).transpose()?,
            "bytes_in_memory": bytes_held(),
        }))
    }
}
