//! `integrity-check`: whether the shadow tables agree with each other and with the content.

use super::code_store::{CHUNK, Chunk};
use super::content::Noting;
use super::store::{Settings, Store, corrupt};
use crate::error::{Error, Kind, Result};
use crate::sql::ffi::{Output, Row};
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
    /// What is wrong, with [`Kind::Host`] and SQLITE_CORRUPT_VTAB; what SQLite says.
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
        let mut read = self.sql("SELECT slot, vector FROM {passages}")?;
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
        if tail == 0 {
            return Ok(());
        }
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
            read.bind_output(1, &Output::Integer(number))?;
            if read.step()? == Row::Done {
                faults.add(format!("chunk {number} of the codes is missing"));
                continue;
            }
            let chunk = match Chunk::read(number, read.blob(0)?, read.blob(1)?, size) {
                Ok(chunk) => chunk,
                Err(e) => {
                    faults.add(e.message().to_owned());
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
        if self.get("free")? != Output::Integer(free) {
            faults.add(format!(
                "{free} slots are free, but not so many are counted"
            ));
        }
        Ok(())
    }

    fn vectors_from(&self, first: i64) -> Result<HashMap<i64, Vec<u8>>> {
        let mut read =
            self.sql("SELECT slot, vector FROM {passages} WHERE slot >= ?1 LIMIT 1024")?;
        read.bind_output(1, &Output::Integer(first))?;
        let mut vectors = HashMap::new();
        while read.step()? == Row::Ready {
            let stored = read.blob(1)?.unwrap_or_default().to_vec();
            vectors.insert(read.integer(0).unwrap_or(0), stored);
        }
        Ok(vectors)
    }

    /// Rows that are not pending must be as they were embedded.
    fn check_content(&self, faults: &mut Faults) -> Result<()> {
        let content = match self.content() {
            Ok(content) => content,
            Err(e) if e.kind() == Kind::Invalid => {
                return Err(Error::invalid(e.message()));
            }
            Err(e) => return Err(e),
        };
        if content.noting != Noting::On || self.settings()?.scanned != super::store::Scanned::All {
            return Ok(());
        }
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
            for present in self.fetch(&content, some)? {
                let Some(joined) = &present.joined else {
                    continue;
                };
                let indexed = self.row(present.id)?;
                if indexed.is_some_and(|row| row.hash != joined.hash()) {
                    faults.add(format!("row {} has changed without a note", present.id));
                }
            }
        }
        Ok(())
    }
}

fn shown(value: &Output) -> String {
    match value {
        Output::Integer(n) => n.to_string(),
        Output::Null => "NULL".to_owned(),
        _ => "(no integer)".to_owned(),
    }
}
