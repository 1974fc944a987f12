//! `integrity-check`: whether the shadow tables agree with each other and with the content.

use super::code_store::{CHUNK, Chunk, FIRST_CODES};
use super::compare::apply;
use super::content::{Content, Kind as ContentKind, Noting, Present};
use super::names::quoted;
use super::store::{Settings, Store, corrupt};
use super::text::Joined;
use crate::error::{Error, Result};
use crate::sql::ffi::{Row, Value};
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

impl Store<'_> {
    /// Looks at everything. Rows that are pending may differ from the content; all others may not.
    ///
    /// # Errors
    /// What is wrong, with [`crate::error::Kind::Host`] and SQLITE_CORRUPT_VTAB; what SQLite says.
    pub fn integrity_check(&self) -> Result<()> {
        let settings = self.settings()?;
        let mut faults = Faults::default();
        self.check_rows(&mut faults)?;
        self.check_passages(&settings, &mut faults)?;
        self.check_codes(&settings, &mut faults)?;
        self.check_content(&mut faults)?;
        faults.result()
    }

    fn check_rows(&self, faults: &mut Faults) -> Result<()> {
        let mut read = self.sql(
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
        let mut read = self.sql(
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
        let mut read = self.sql(orphans)?;
        while read.step()? == Row::Ready {
            faults.add(format!(
                "there are vectors of row {}, which is not indexed",
                shown(&read.column(0)?)
            ));
        }
        Ok(())
    }

    fn check_passages(&self, settings: &Settings, faults: &mut Faults) -> Result<()> {
        let mut read = self.sql("SELECT slot, vector, start, stop FROM {passages}")?;
        let mut count = 0usize;
        while read.step()? == Row::Ready {
            count += 1;
            if count.is_multiple_of(4096) {
                self.host.interrupts.check()?;
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
                    if let Err(e) = self.storage().decode(stored, dims) {
                        faults.add(format!("slot {slot}: {}", e.message()));
                    }
                }
            }
        }
        Ok(())
    }

    fn check_codes(&self, settings: &Settings, faults: &mut Faults) -> Result<()> {
        let tail = self.tail_start()?;
        let stray = self.sql("SELECT chunk FROM {codes} WHERE chunk < 0 LIMIT 1")?;
        if let Some(number) = stray.integer_of_first()? {
            faults.add(format!("there is no chunk {number} of codes"));
        }
        // A chunk is coded as soon as it is full.
        let last = self
            .sql("SELECT max(slot) FROM {passages}")?
            .integer_of_first()?;
        let most = if tail == 0 { FIRST_CODES } else { CHUNK as i64 };
        if last.is_some_and(|last| last.saturating_sub(tail) >= most) {
            faults.add(format!("the codes from slot {tail} on are missing"));
        }
        if tail == 0 {
            return Ok(());
        }
        self.check_code_settings(faults)?;
        let (Some(dims), Some(coder)) = (settings.dims, self.coder()?) else {
            faults.add("there are codes, but not their parameters".to_owned());
            return Ok(());
        };
        let size = coder.code_bytes();
        let (mut free, mut expected) = (0, vec![0; size]);
        for number in 0..tail / CHUNK as i64 {
            self.host.interrupts.check()?;
            let mut read =
                self.sql("SELECT live, codes, used, stamp FROM {codes} WHERE chunk = ?1")?;
            read.bind(1, &Value::Integer(number))?;
            if read.step()? == Row::Done {
                faults.add(format!("chunk {number} of the codes is missing"));
                continue;
            }
            let chunk = match Chunk::read(number, read.blob(0)?, read.blob(1)?, size) {
                Ok(chunk) => chunk,
                Err(e) => {
                    faults.add(words(&e));
                    continue;
                }
            };
            let live = (0..CHUNK).filter(|&place| chunk.is_live(place)).count() as i64;
            free += CHUNK as i64 - live;
            if read.integer(2) != Some(live) || read.integer(3).is_none() {
                faults.add(format!("chunk {number} of the codes counts wrongly"));
            }
            drop(read);
            let first = number * CHUNK as i64;
            let vectors = self.vectors_from(first)?;
            for place in 0..CHUNK {
                let slot = first + place as i64;
                match (vectors.get(&slot), chunk.is_live(place)) {
                    (None, false) => {}
                    (None, true) => faults.add(format!("slot {slot} has a code but no vector")),
                    (Some(_), false) => faults.add(format!("slot {slot} has a vector but no code")),
                    (Some(stored), true) => {
                        // What is no vector was named above.
                        let Ok(vector) = self.storage().decode(stored, dims) else {
                            continue;
                        };
                        coder.encode(&vector, &mut expected)?;
                        if chunk.codes[place * size..(place + 1) * size] != expected[..] {
                            faults
                                .add(format!("the code of slot {slot} is not that of its vector"));
                        }
                    }
                }
            }
        }
        if self.get("free")? != Value::Integer(free) {
            faults.add(format!(
                "{free} slots are free, but not so many are counted"
            ));
        }
        Ok(())
    }

    /// Stamps, by which codes are found in memory, and what their bounds are made with.
    fn check_code_settings(&self, faults: &mut Faults) -> Result<()> {
        if !matches!(self.get("stamp")?, Value::Integer(_)) {
            faults.add("the stamp of the codes is missing".to_owned());
        }
        let twice = "SELECT count(*) - count(DISTINCT stamp) FROM {codes} WHERE stamp IS NOT NULL";
        if self.sql(twice)?.integer_of_first()? != Some(0) {
            faults.add("two chunks of the codes have one stamp".to_owned());
        }
        if let Err(e) = self.z() {
            faults.add(words(&e));
        }
        Ok(())
    }

    fn vectors_from(&self, first: i64) -> Result<HashMap<i64, Vec<u8>>> {
        let mut read =
            self.sql("SELECT slot, vector FROM {passages} WHERE slot >= ?1 LIMIT 1024")?;
        read.bind(1, &Value::Integer(first))?;
        let mut vectors = HashMap::new();
        while read.step()? == Row::Ready {
            let stored = read.blob(1)?.unwrap_or_default().to_vec();
            vectors.insert(read.integer(0).unwrap_or(0), stored);
        }
        Ok(vectors)
    }

    /// Rows that are not pending must be as they were embedded.
    fn check_content(&self, faults: &mut Faults) -> Result<()> {
        let content = self.content()?;
        if content.noting != Noting::On || self.settings()?.scanned != super::store::Scanned::All {
            return Ok(());
        }
        self.check_missing(&content, faults)?;
        let mut read = self.sql(
            "SELECT id FROM {rows} WHERE id NOT IN (SELECT id FROM {log} WHERE id IS NOT NULL)",
        )?;
        let mut ids = Vec::new();
        while read.step()? == Row::Ready {
            ids.extend(read.integer(0));
        }
        drop(read);
        for some in ids.chunks(256) {
            self.host.interrupts.check()?;
            let mut now = self.fetch_by_key(&content, some)?;
            for &id in some {
                match now.remove(&id) {
                    Some(present) => self.check_row(&present, faults)?,
                    // In a table of the user's a row may be displaced without a note.
                    None if content.kind != ContentKind::Own => {}
                    None => faults.add(format!("the text of row {id} is gone")),
                }
            }
        }
        Ok(())
    }

    /// Rows of the content that are neither indexed nor noted, and would never be found.
    fn check_missing(&self, content: &Content, faults: &mut Faults) -> Result<()> {
        let names = &self.index.names;
        let (rows, log) = (names.table("rows"), names.table("log"));
        let (table, lost) = match content.kind {
            // The row is there from the first; a text that is kept waits to be embedded.
            ContentKind::Nothing => {
                let text = names.table("text");
                (rows, format!("r.{{key}} IN (SELECT id FROM {text})"))
            }
            _ => {
                let table = names.in_schema(&content.named.table);
                (table, format!("r.{{key}} NOT IN (SELECT id FROM {rows})"))
            }
        };
        let key = quoted(&content.named.key);
        let lost = lost.replace("{key}", &key);
        let mut read = self.plain_sql(&format!(
            "SELECT r.{key} FROM {table} AS r WHERE {lost} AND typeof(r.{key}) = 'integer' \
             AND r.{key} NOT IN (SELECT id FROM {log} WHERE id IS NOT NULL) LIMIT 1000"
        ))?;
        while read.step()? == Row::Ready {
            let id = read.integer(0).unwrap_or(0);
            faults.add(format!(
                "row {id} is not indexed, and no note says that it is to be"
            ));
        }
        Ok(())
    }

    fn check_row(&self, present: &Present, faults: &mut Faults) -> Result<()> {
        let Some(indexed) = self.row(present.id)? else {
            return Ok(());
        };
        let text = present.joined.as_ref();
        let others = self.others();
        let others = others.map(|(n, column)| apply(column.affinity, present.values[n].clone()));
        let differs = !indexed.others.iter().cloned().eq(others);
        if differs || text.is_some_and(|joined| indexed.hash != joined.hash()) {
            faults.add(format!("row {} has changed without a note", present.id));
        }
        Ok(())
    }
}

/// What an error about damage says, without what all of them say.
fn words(error: &Error) -> String {
    let message = error.message();
    let said = message.strip_prefix("the index is damaged: ");
    let said = said.and_then(|said| said.split("; INSERT INTO").next());
    said.unwrap_or(message).to_owned()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Integer(n) => n.to_string(),
        Value::Null => "NULL".to_owned(),
        _ => "(no integer)".to_owned(),
    }
}
