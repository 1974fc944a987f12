//! Bringing vectors in step with texts: [`Store::sync`].
//!
//! It works in slices. A slice reads notes and texts, lets go of all locks, embeds, and then, under
//! the write lock, takes each row's vectors only if the row still says what was embedded. It deletes
//! only notes that it has read, of rows that now equal the index. So it can be killed at any moment,
//! run twice at once, and run beside writers: nothing is lost or doubled.
//!
//! Rows that have no note (an index made over a full table, triggers that were lost) are first given
//! one, some thousands at a time, so that there is one way only. Slices begin at a random note: two
//! syncers then share the work.

use super::code_store::fresh_stamp;
use super::compare::{Collation, compare};
use super::content::{Content, Kind as ContentKind, Noting, Present};
use super::model::Made;
use super::store::{Scanned, Settings, Store};
use super::text::{Joined, Text};
use super::transaction::{Steps, steps};
use crate::engine::SharedEmbedder;
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Rows that are noted in one step of a scan.
const SCAN: i64 = 10_000;
/// Notes of the first slice, and of the largest.
const FIRST_SLICE: usize = 64;
const LARGEST_SLICE: usize = 1024;
/// Bytes of text in one slice, about.
const SLICE_BYTES: usize = 8 << 20;

/// A piece of work: some notes, and what their rows say.
struct Slice {
    settings: Settings,
    notes: Vec<(i64, i64)>,
    /// Rows that must be embedded.
    changed: Vec<Present>,
    /// What embedding gave, in the order of `changed`.
    made: Vec<Made>,
    model: Option<SharedEmbedder>,
}

/// What a slice did.
#[derive(Default)]
struct Done {
    /// Rows whose place in the index changed.
    rows: i64,
    /// Notes that are no longer needed.
    notes: usize,
}

impl Store<'_> {
    /// Works until nothing is pending, or for so long (at least one slice); the number of rows whose
    /// place in the index has changed.
    ///
    /// Its steps are committed one by one; inside a transaction, or a statement that writes, they are
    /// part of that.
    ///
    /// # Errors
    /// No model, an interruption, a lock that is not to be had, damage. Slices that were committed
    /// stay.
    pub fn sync(&self, limit: Option<Duration>) -> Result<i64> {
        let (started, steps) = (Instant::now(), steps(self)?);
        self.prepare_sync(steps)?;
        let (mut rows, mut size, mut idle) = (0, FIRST_SLICE, 0);
        loop {
            self.host.interrupts.check()?;
            let content = self.content()?;
            let Some(slice) = self.read_slice(&content, size)? else {
                if self.note_more(steps)? {
                    continue;
                }
                return Ok(rows);
            };
            let (few, notes) = (
                slice.changed.len() < slice.notes.len() / 2,
                slice.notes.len(),
            );
            let done = self.one_slice(steps, slice)?;
            rows += done.rows;
            idle = if done.notes == 0 { idle + notes } else { 0 };
            if idle > 0 && idle > 2 * self.notes()? {
                // Rows that say something else whenever they are read: they stay pending.
                return Ok(rows);
            }
            if limit.is_some_and(|limit| started.elapsed() >= limit) {
                return Ok(rows);
            }
            let largest = if few {
                8 * LARGEST_SLICE
            } else {
                LARGEST_SLICE
            };
            size = (size * 4).min(largest);
        }
    }

    fn notes(&self) -> Result<usize> {
        let count = self.sql("SELECT count(*) FROM {log}")?.integer_of_first()?;
        Ok(count.and_then(|n| usize::try_from(n).ok()).unwrap_or(0))
    }

    /// Repairs triggers, and notes what no trigger has noted.
    fn prepare_sync(&self, steps: Steps) -> Result<()> {
        let (settings, content) = (self.settings()?, self.content()?);
        if content.noting == Noting::Lost {
            steps.step(self, || {
                // Of the three, some may be left.
                self.drop_triggers()?;
                self.create_triggers(&content.named)?;
                self.remember_content(&content.named)?;
                self.set_scanned(Scanned::Nothing)
            })?;
        } else if content.noting == Noting::Off {
            steps.step(self, || self.set_scanned(Scanned::Nothing))?;
        } else if !self.keeps_text() && self.remembered().ok().as_ref() != Some(&content.named) {
            // Renamed, which only the triggers say; they may be lost one day.
            steps.step(self, || self.remember_content(&content.named))?;
        }
        let rescan = content.noting != Noting::On || settings.scanned == Scanned::Nothing;
        if rescan || self.can_be_displaced(&content)? {
            let displaced = self.displaced(&content)?;
            if !displaced.is_empty() {
                steps.step(self, || displaced.iter().try_for_each(|&id| self.note(id)))?;
            }
        }
        Ok(())
    }

    /// Rows of the index that are in the content no more.
    pub fn displaced(&self, content: &Content) -> Result<Vec<i64>> {
        if content.kind == ContentKind::Nothing {
            return Ok(Vec::new());
        }
        let (key, from) = self.source(content);
        let rows = self.index.names.table("rows");
        let mut read = self.plain_sql(&format!(
            "SELECT id FROM {rows} WHERE id NOT IN (SELECT {key} FROM {from} WHERE {key} IS NOT NULL)"
        ))?;
        let _reading = self.index.reading();
        let mut ids = Vec::new();
        while read.step()? == Row::Ready {
            ids.extend(read.integer(0));
        }
        Ok(ids)
    }

    /// Notes the next rows of a scan; `false` when it is at its end.
    fn note_more(&self, steps: Steps) -> Result<bool> {
        if self.settings()?.scanned == Scanned::All {
            return Ok(false);
        }
        steps.step(self, || {
            // Read again: another process may have gone on with the scan.
            let from = match self.settings()?.scanned {
                Scanned::All => return Ok(()),
                Scanned::Nothing => Some(i64::MIN),
                Scanned::To(key) => key.checked_add(1),
            };
            let content = self.content()?;
            // A view may have to be made as a whole for each step.
            let most = if content.kind == ContentKind::View {
                i64::MAX
            } else {
                SCAN
            };
            let keys = match from {
                Some(from) => self.keys_from(&content, from, most)?,
                None => Vec::new(),
            };
            for &key in &keys {
                self.note(key)?;
            }
            match keys.last() {
                Some(&last) if keys.len() as i64 == most => self.set_scanned(Scanned::To(last)),
                _ => self.set_scanned(Scanned::All),
            }
        })?;
        Ok(true)
    }

    fn keys_from(&self, content: &Content, from: i64, most: i64) -> Result<Vec<i64>> {
        let (key, from_where) = self.source(content);
        let _reading = self.index.reading();
        let mut read = self.plain_sql(&format!(
            "SELECT {key} FROM {from_where} WHERE {key} >= ?1 AND typeof({key}) = 'integer' \
             ORDER BY {key} LIMIT ?2"
        ))?;
        read.bind(1, &Value::Integer(from))?;
        read.bind(2, &Value::Integer(most))?;
        let mut keys = Vec::new();
        while read.step()? == Row::Ready {
            if keys.len() % 4096 == 0 {
                self.host.interrupts.check()?;
            }
            keys.extend(read.integer(0));
        }
        Ok(keys)
    }

    /// Notes from a random one on, and which of their rows must be embedded.
    fn read_slice(&self, content: &Content, size: usize) -> Result<Option<Slice>> {
        let settings = self.settings()?;
        let mut notes = self.some_notes(size)?;
        if notes.is_empty() {
            return Ok(None);
        }
        let mut ids: Vec<i64> = notes.iter().map(|note| note.1).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut changed = Vec::new();
        let (mut bytes, mut looked_at) = (0, 0);
        for some in ids.chunks(64) {
            for present in self.fetch(content, some)? {
                if let Some(joined) = present.joined.as_ref() {
                    let known = self
                        .row(present.id)?
                        .is_some_and(|row| row.hash == joined.hash());
                    if !known {
                        bytes += joined.text().map_or(0, |text| text.whole.len());
                        changed.push(present);
                    }
                }
            }
            looked_at += some.len();
            if bytes >= SLICE_BYTES || changed.len() >= LARGEST_SLICE {
                break;
            }
        }
        let last = ids[looked_at - 1];
        notes.retain(|note| note.1 <= last);
        Ok(Some(Slice {
            settings,
            notes,
            changed,
            made: Vec::new(),
            model: None,
        }))
    }

    fn some_notes(&self, size: usize) -> Result<Vec<(i64, i64)>> {
        let ends = self.sql("SELECT min(seq), max(seq) FROM {log}")?.first()?;
        let Some([Value::Integer(first), Value::Integer(last)]) = ends.as_deref() else {
            return Ok(Vec::new());
        };
        let (first, last) = (*first, *last);
        let window = i64::try_from(size).unwrap_or(i64::MAX);
        // Not so late that the slice would be short.
        let span = last.saturating_sub(first).saturating_sub(window).max(0);
        let offset = fresh_stamp()?.rem_euclid(span.saturating_add(1));
        let mut read =
            self.sql("SELECT seq, id FROM {log} WHERE seq >= ?1 ORDER BY seq LIMIT ?2")?;
        let mut notes = Vec::new();
        for from in [first.saturating_add(offset), first] {
            read.bind(1, &Value::Integer(from))?;
            read.bind(2, &Value::Integer(window))?;
            while read.step()? == Row::Ready {
                let seq = read.integer(0).unwrap_or(0);
                // A key that is no integer belongs to no row of ours.
                notes.push((seq, read.integer(1).unwrap_or(i64::MIN)));
            }
            read.reset();
            if !notes.is_empty() {
                break;
            }
        }
        Ok(notes)
    }

    fn one_slice(&self, steps: Steps, mut slice: Slice) -> Result<Done> {
        steps.claim(self)?;
        let texts: Vec<&Text> = slice.changed.iter().filter_map(text_of).collect();
        if !texts.is_empty() {
            let model = self.model(&slice.settings)?;
            slice.made = self.embed(&model, &texts)?;
            // Read once a process, and not under the lock.
            model.fingerprint()?;
            slice.model = Some(model);
        }
        steps.step(self, || self.apply(&slice))
    }

    /// Takes over what still holds, under the write lock; nothing, where the index was rebuilt or
    /// bound to another model meanwhile.
    fn apply(&self, slice: &Slice) -> Result<Done> {
        let settings = self.settings()?;
        if settings.generation != slice.settings.generation
            || (slice.settings.model.is_some() && settings.model != slice.settings.model)
        {
            return Ok(Done::default());
        }
        if let (Some(model), Some((_, bound))) = (&slice.model, &settings.model) {
            // Bound by somebody else while we embedded: it must be the same.
            if model.fingerprint()?[..] != bound[..] {
                return self.model(&settings).map(|_| Done::default());
            }
        }
        let content = self.content()?;
        let mut made = slice.made.iter();
        let mut embedded = HashMap::new();
        for present in &slice.changed {
            let of_text = text_of(present).and_then(|_| made.next());
            embedded.insert(present.id, (present.joined.as_ref(), of_text));
        }
        let mut ids: Vec<i64> = slice.notes.iter().map(|note| note.1).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut rows = 0;
        let mut finished = HashMap::new();
        for some in ids.chunks(64) {
            let mut now = self.fetch_by_key(&content, some)?;
            for &id in some {
                let (changed, in_step) = match now.remove(&id) {
                    None => (self.apply_gone(id)?, true),
                    Some(present) => {
                        self.apply_row(&content, &present, embedded.get(&id), slice)?
                    }
                };
                rows += i64::from(changed);
                finished.insert(id, in_step);
            }
        }
        let mut notes = 0;
        let delete = "DELETE FROM {log} WHERE seq = ?1";
        for (seq, id) in &slice.notes {
            if finished.get(id) == Some(&true) {
                self.sql(delete)?.with(&[Value::Integer(*seq)])?.run()?;
                notes += 1;
            }
        }
        Ok(Done { rows, notes })
    }

    fn apply_gone(&self, id: i64) -> Result<bool> {
        if self.row(id)?.is_none() {
            return Ok(false);
        }
        self.remove_row(id)?;
        Ok(true)
    }

    /// Whether the index has changed, and whether it now equals the row.
    fn apply_row(
        &self,
        content: &Content,
        present: &Present,
        embedded: Option<&(Option<&Joined>, Option<&Made>)>,
        slice: &Slice,
    ) -> Result<(bool, bool)> {
        let indexed = self.row(present.id)?;
        let others = self.others_of(&present.values);
        let Some(joined) = &present.joined else {
            return Ok((false, true));
        };
        let hash = joined.hash();
        if let Some(indexed) = indexed.filter(|row| row.hash == hash) {
            let changed = !same(&indexed.others, &others);
            if changed {
                self.refresh_others(present.id, &others)?;
            }
            return Ok((changed, true));
        }
        let Some((Some(was), made)) = embedded.filter(|(was, _)| *was == Some(joined)) else {
            return Ok((false, false));
        };
        let (passages, problem) = match (was, made) {
            (_, Some(Made::Passages(passages))) => (&passages[..], None),
            (_, Some(Made::Problem(problem))) | (Joined::Problem(problem), None) => {
                (&[][..], Some(problem.as_str()))
            }
            (_, None) => (&[][..], None),
        };
        if let (Some(model), false) = (&slice.model, passages.is_empty()) {
            self.bind_model(model)?;
        }
        // The hash last: what fails in between, in a transaction of the user's, leaves a row that is
        // still to be embedded.
        self.put_passages(present.id, passages)?;
        self.put_row(present.id, &hash, problem, &others)?;
        if content.kind == ContentKind::Nothing {
            let delete = self.sql("DELETE FROM {text} WHERE id = ?1")?;
            delete.with(&[Value::Integer(present.id)])?.run()?;
        }
        Ok((true, true))
    }
}

/// Whether UNINDEXED values are what is stored.
fn same(stored: &[Value], present: &[Value]) -> bool {
    let same = |(a, b): (&Value, &Value)| match compare(a, b, Collation::Binary) {
        Some(order) => order.is_eq(),
        None => *a == Value::Null && *b == Value::Null,
    };
    stored.len() == present.len() && stored.iter().zip(present).all(same)
}

fn text_of(present: &Present) -> Option<&Text> {
    present.joined.as_ref()?.text()
}
