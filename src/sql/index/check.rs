//! `integrity-check`: whether the shadow tables agree with each other and with the content.

use super::affinity::apply;
use super::content::{Located, Noting, Origin, Present};
use super::damage::corrupt;
use super::parts::Parts;
use super::ranking::run;
use super::shadow::{Scanned, Settings};
use super::text::Joined;
use super::vectors::chunk::{CHUNK, Chunk, FIRST_CODES};
use crate::error::{Kind, Result};
use crate::sql::ffi::{Row, Value};
use crate::sql::lexer::quote_name;
use crate::vector::codes::Coder;
use std::collections::HashMap;

/// Faults that are named; the rest is counted.
const NAMED: usize = 8;

#[derive(Default)]
struct Faults {
    named: Vec<String>,
    more: usize,
}

impl Faults {
    fn add(&mut self, fault: String) {
        if self.named.len() < NAMED {
            self.named.push(fault);
        } else {
            self.more += 1;
        }
    }

    fn result(self) -> Result<()> {
        if self.named.is_empty() {
            return Ok(());
        }
        let more = match self.more {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        Err(corrupt(format_args!("{}{more}", self.named.join("; "))))
    }
}

/// Looks at everything. Rows that are pending may differ from the content; all others may not.
///
/// # Errors
/// What is wrong, as [`Kind::Corrupt`]; what SQLite says.
pub fn integrity_check(parts: Parts<'_>) -> Result<()> {
    let settings = parts.shadow.settings()?;
    parts.shadow.passage_size()?;
    run::default_of(parts.shadow.spec(), &settings).map_err(|e| corrupt(e.message()))?;
    let mut faults = Faults::default();
    check_rows(parts, &mut faults)?;
    check_passages(parts, &settings, &mut faults)?;
    check_codes(parts, &settings, &mut faults)?;
    check_content(parts, &mut faults)?;
    check_words(parts, &mut faults)?;
    faults.result()?;
    parts.words.check_rows_of_named()
}

fn check_rows(parts: Parts<'_>, faults: &mut Faults) -> Result<()> {
    let mut read = parts.shadow.sql(
        "SELECT id, typeof(hash), length(hash), problem FROM {rows} \
         WHERE typeof(hash) <> 'blob' OR length(hash) NOT IN (0, 16) LIMIT 1000",
    )?;
    while read.step()? == Row::Ready {
        faults.add(format!(
            "row {:?} has no hash",
            read.integer(0).unwrap_or(0)
        ));
    }
    // What has no vector: rows without text, rows that cannot be embedded, and those to come.
    let mut read = parts.shadow.sql(
        "SELECT id FROM {rows} WHERE problem IS NULL AND length(hash) = 16 AND hash <> ?1 \
         AND id NOT IN (SELECT row FROM {passages} WHERE row IS NOT NULL) LIMIT 1000",
    )?;
    read.bind(1, &Value::Blob(Joined::Nothing.hash()))?;
    while read.step()? == Row::Ready {
        faults.add(format!(
            "row {} has no vector",
            read.integer(0).unwrap_or(0)
        ));
    }
    let orphans = "SELECT DISTINCT row FROM {passages} \
                   WHERE row IS NULL OR row NOT IN (SELECT id FROM {rows}) LIMIT 1000";
    let mut read = parts.shadow.sql(orphans)?;
    while read.step()? == Row::Ready {
        faults.add(format!(
            "there are vectors of row {}, which is not indexed",
            shown(&read.column(0)?)
        ));
    }
    Ok(())
}

fn check_passages(parts: Parts<'_>, settings: &Settings, faults: &mut Faults) -> Result<()> {
    let mut read = parts
        .shadow
        .sql("SELECT slot, vector, start, stop FROM {passages}")?;
    let mut count = 0usize;
    while read.step()? == Row::Ready {
        count += 1;
        if count.is_multiple_of(4096) {
            parts.shadow.host.interrupts.check()?;
        }
        let slot = read.integer(0).unwrap_or(0);
        let Some(dims) = settings.dims else {
            faults.add("there are vectors, but not their dims".to_owned());
            return Ok(());
        };
        let span = (read.column(2)?, read.column(3)?);
        let fits = match span {
            (Value::Integer(start), Value::Integer(stop)) => 0 <= start && start <= stop,
            span => span == (Value::Null, Value::Null),
        };
        if !fits {
            faults.add(format!("the place in the text of slot {slot} is no place"));
        }
        match read.blob(1)? {
            None => faults.add(format!("the vector of slot {slot} is no BLOB")),
            Some(stored) => {
                if let Err(e) = parts.shadow.storage().decode(stored, dims) {
                    faults.add(format!("slot {slot}: {}", e.message()));
                }
            }
        }
    }
    Ok(())
}

fn check_codes(parts: Parts<'_>, settings: &Settings, faults: &mut Faults) -> Result<()> {
    let (passages, codes) = (parts.vectors.passages, parts.vectors.codes);
    let numbers = codes.numbers()?;
    // Only what is there is counted: a number of the file says nothing of how many there are.
    let whole = numbers
        .iter()
        .zip(0..)
        .take_while(|(n, wanted)| *n == wanted);
    let chunks = whole.count();
    if let Some(number) = numbers.get(chunks) {
        let missing = if *number < 0 { *number } else { chunks as i64 };
        faults.add(match missing {
            ..0 => format!("there is no chunk {missing} of codes"),
            _ => format!("chunk {missing} of the codes is missing"),
        });
    }
    // A chunk is coded as soon as it is full.
    let tail = (chunks * CHUNK) as i64;
    let last = passages.last_slot()?;
    let most = if tail == 0 { FIRST_CODES } else { CHUNK as i64 };
    if last.is_some_and(|last| last.saturating_sub(tail) >= most) {
        faults.add(format!("the codes from slot {tail} on are missing"));
    }
    if numbers.is_empty() {
        return Ok(());
    }
    check_code_settings(parts, faults)?;
    let (Some(dims), Some(coder)) = (settings.dims, codes.coder()?) else {
        faults.add("there are codes, but not their parameters".to_owned());
        return Ok(());
    };
    let mut free = 0;
    for &number in &numbers[..chunks] {
        parts.shadow.host.interrupts.check()?;
        let chunk = match codes.read(number, coder.code_bytes()) {
            Ok(chunk) => chunk,
            Err(e) if e.kind() == Kind::Corrupt => {
                faults.add(e.message().to_owned());
                continue;
            }
            Err(e) => return Err(e),
        };
        free += CHUNK as i64 - chunk.used();
        check_counts(parts, number, &chunk, faults)?;
        check_chunk(parts, number, &chunk, dims, &coder, faults)?;
    }
    if codes.free()? != Value::Integer(free) {
        faults.add(format!(
            "{free} slots are free, but not so many are counted"
        ));
    }
    Ok(())
}

/// What stands beside a chunk's codes.
fn check_counts(parts: Parts<'_>, number: i64, chunk: &Chunk, faults: &mut Faults) -> Result<()> {
    let mut read = parts
        .shadow
        .sql("SELECT used, stamp FROM {codes} WHERE chunk = ?1")?;
    read.bind(1, &Value::Integer(number))?;
    read.step()?;
    if read.integer(0) != Some(chunk.used()) || read.integer(1).is_none() {
        faults.add(format!("chunk {number} of the codes counts wrongly"));
    }
    Ok(())
}

/// Every slot of a chunk, against the vectors.
fn check_chunk(
    parts: Parts<'_>,
    number: i64,
    chunk: &Chunk,
    dims: usize,
    coder: &Coder,
    faults: &mut Faults,
) -> Result<()> {
    let first = number * CHUNK as i64;
    let mut vectors = HashMap::new();
    let end = first + CHUNK as i64;
    parts
        .vectors
        .passages
        .each_between(first, end, |slot, _, stored| {
            vectors.insert(slot, stored.to_vec());
            Ok(())
        })?;
    let size = coder.code_bytes();
    let mut expected = vec![0; size];
    for place in 0..CHUNK {
        let slot = first + place as i64;
        match (vectors.get(&slot), chunk.is_live(place)) {
            (None, false) => {}
            (None, true) => faults.add(format!("slot {slot} has a code but no vector")),
            (Some(_), false) => faults.add(format!("slot {slot} has a vector but no code")),
            (Some(stored), true) => {
                // What is no vector was named by `check_passages`.
                let Ok(vector) = parts.shadow.storage().decode(stored, dims) else {
                    continue;
                };
                coder.encode(&vector, &mut expected)?;
                if chunk.codes[place * size..(place + 1) * size] != expected[..] {
                    faults.add(format!("the code of slot {slot} is not that of its vector"));
                }
            }
        }
    }
    Ok(())
}

/// Stamps, by which codes are found in memory, and what their bounds are made with.
fn check_code_settings(parts: Parts<'_>, faults: &mut Faults) -> Result<()> {
    if !matches!(parts.shadow.get("stamp")?, Value::Integer(_)) {
        faults.add("the stamp of the codes is missing".to_owned());
    }
    let twice = "SELECT count(*) - count(DISTINCT stamp) FROM {codes} WHERE stamp IS NOT NULL";
    if parts.shadow.sql(twice)?.integer_of_first()? != Some(0) {
        faults.add("two chunks of the codes have one stamp".to_owned());
    }
    match parts.vectors.codes.z() {
        Err(e) if e.kind() == Kind::Corrupt => faults.add(e.message().to_owned()),
        other => drop(other?),
    }
    Ok(())
}

/// Rows that are not pending must be as they were embedded.
fn check_content(parts: Parts<'_>, faults: &mut Faults) -> Result<()> {
    let content = parts.content.locate()?;
    let is_noted = matches!(content.noting, Noting::On | Noting::Lost);
    if content.origin == Origin::Table && is_noted && !parts.notes.are_kept()? {
        faults.add("the log is missing, and the triggers write to it".to_owned());
    }
    if content.noting != Noting::On || parts.shadow.settings()?.scanned != Scanned::All {
        return Ok(());
    }
    check_missing(parts, &content, faults)?;
    let (rows, notes) = (parts.shadow.names().table("rows"), parts.notes.rows_sql()?);
    let mut read = parts
        .shadow
        .plain_sql(&format!("SELECT id FROM {rows} WHERE id NOT IN ({notes})"))?;
    let mut ids = Vec::new();
    while read.step()? == Row::Ready {
        ids.extend(read.integer(0));
    }
    drop(read);
    for some in ids.chunks(256) {
        parts.shadow.host.interrupts.check()?;
        let mut now = parts.content.fetch_by_key(&content, some)?;
        for &id in some {
            match now.remove(&id) {
                Some(present) => check_row(parts, &present, faults)?,
                // In a table of the user's a row may be displaced without a note.
                None if content.origin != Origin::Own => {}
                None => faults.add(format!("the text of row {id} is gone")),
            }
        }
    }
    Ok(())
}

/// The words of every row must be those of its text, pending or not.
fn check_words(parts: Parts<'_>, faults: &mut Faults) -> Result<()> {
    if parts.words.are_kept() {
        let content = parts.content.locate()?;
        // Before the first scan a row may have been displaced that nothing knows of but the words.
        let all = parts.shadow.settings()?.scanned == Scanned::All;
        let known = all || !parts.content.can_be_displaced(&content)?;
        let noted = known.then(|| parts.notes.rows_sql()).transpose()?;
        let found = parts.words.faults(&content, noted.as_deref())?;
        found.into_iter().for_each(|fault| faults.add(fault));
    }
    Ok(())
}

/// Rows of the content that are neither indexed nor noted, and would never be found.
fn check_missing(parts: Parts<'_>, content: &Located, faults: &mut Faults) -> Result<()> {
    let names = &parts.shadow.names();
    let (rows, notes) = (names.table("rows"), parts.notes.rows_sql()?);
    let (table, lost) = match content.origin {
        // The row is there from the first; a text that is kept waits to be embedded.
        Origin::Contentless => {
            let text = names.table("text");
            (rows, format!("r.{{key}} IN (SELECT id FROM {text})"))
        }
        _ => {
            let table = names.in_schema(&content.named.table);
            (table, format!("r.{{key}} NOT IN (SELECT id FROM {rows})"))
        }
    };
    let key = quote_name(&content.named.key);
    let lost = lost.replace("{key}", &key);
    let mut read = parts.shadow.plain_sql(&format!(
        "SELECT r.{key} FROM {table} AS r WHERE {lost} AND typeof(r.{key}) = 'integer' \
         AND r.{key} NOT IN ({notes}) LIMIT 1000"
    ))?;
    while read.step()? == Row::Ready {
        let id = read.integer(0).unwrap_or(0);
        faults.add(format!(
            "row {id} is not indexed, and no note says that it is to be"
        ));
    }
    Ok(())
}

fn check_row(parts: Parts<'_>, present: &Present, faults: &mut Faults) -> Result<()> {
    let Some(indexed) = parts.records.of(present.id)? else {
        return Ok(());
    };
    let text = present.joined.as_ref();
    let others = parts.shadow.others();
    let others = others.map(|(n, column)| apply(column.affinity, present.values[n].clone()));
    let differs = !indexed.others.iter().cloned().eq(others);
    if differs || text.is_some_and(|joined| indexed.hash != joined.hash()) {
        faults.add(format!("row {} has changed without a note", present.id));
    }
    Ok(())
}
fn shown(value: &Value) -> String {
    match value {
        Value::Integer(n) => n.to_string(),
        Value::Null => "NULL".to_owned(),
        _ => "(no integer)".to_owned(),
    }
}
