//! Bringing vectors in step with texts: [`sync`].
//!
//! It works in slices ([`super::slice`]), each stored in a step of its own ([`super::transaction`]). Rows that
//! have no note (an index made over a full table, triggers that were lost) are first given one, some
//! thousands at a time, so that there is one way only.
//!
//! A step takes about a second. The first one embeds a single text: however little time a call is given,
//! it gets on if one text gets through.

use super::content::{Located, Noting, Origin, triggers};
use super::declared::Declared;
use super::ordinary;
use super::parts::Parts;
use super::shadow::{Scanned, Shadow};
use super::slice::{Done, Slice};
use super::transaction::{Committer, committer};
use crate::error::Result;
use crate::sql::ffi::{Row, Value};
use std::time::{Duration, Instant};

/// Rows that are noted in one step of a scan.
const SCAN: i64 = 10_000;
/// How long a step is to take.
const STEP: Duration = Duration::from_millis(1500);
/// How long words are filled in a step at least: so many rows, and not one, are a call's progress that has no time.
const LEAST_STEP: Duration = Duration::from_millis(25);
/// The fewest tokens of a step after the first: one batch.
const FEWEST: usize = 512;
/// The most tokens of a step, on however fast a device.
const MOST: usize = 1 << 18;

/// How many tokens the next step embeds.
struct Pace {
    deadline: Option<Instant>,
    tokens: usize,
}

impl Pace {
    fn new(limit: Option<Duration>) -> Self {
        Pace {
            deadline: limit.and_then(|limit| Instant::now().checked_add(limit)),
            tokens: 1,
        }
    }

    fn is_over(&self) -> bool {
        self.deadline
            .is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// When a step that begins now and embeds nothing is to end.
    fn step_end(&self) -> Instant {
        let now = Instant::now();
        let end = now + STEP;
        let end = self.deadline.map_or(end, |deadline| end.min(deadline));
        end.max(now + LEAST_STEP)
    }

    /// Learns from a step that embedded so many tokens since `began`.
    fn learn(&mut self, tokens: usize, began: Instant) {
        let left = self
            .deadline
            .map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let wanted = left.map_or(STEP, |left| left.min(STEP));
        let taken = began.elapsed().as_secs_f64().max(1e-6);
        let possible = tokens as f64 / taken * wanted.as_secs_f64();
        // A first step says little of the speed: it may have loaded the model.
        let possible = (possible as usize).clamp(FEWEST, MOST);
        self.tokens = possible.min(self.tokens.saturating_mul(4).max(FEWEST));
    }
}

/// Works until nothing is pending, or for so long; the number of rows whose place in the index has
/// changed.
///
/// Its steps are committed one by one; inside a transaction, or a statement that writes, they are
/// part of that.
///
/// # Errors
/// No model, an interruption, a lock that is not to be had, damage. Steps that were committed stay, and
/// vectors that were not stored are kept for the next call.
pub fn sync(parts: Parts<'_>, limit: Option<Duration>) -> Result<i64> {
    let declared = Declared::of(parts.shadow)?;
    let work = || {
        ordinary::verify(parts.shadow)?;
        let steps = Steps {
            committer: committer(parts.shadow)?,
            declared: &declared,
            shadow: parts.shadow,
        };
        let pace = Pace::new(limit);
        match prepare_sync(parts, &steps, &pace)? {
            true => sync_slices(parts, &steps, pace),
            false => Ok(0),
        }
    };
    work().map_err(|e| declared.explain(parts.shadow, e))
}

/// The steps of a sync: each looks first whether the index is still the one that it began with.
struct Steps<'s> {
    committer: Committer,
    declared: &'s Declared,
    shadow: Shadow<'s>,
}

impl Steps<'_> {
    fn step<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.committer.step(self.shadow, || {
            self.declared.check(self.shadow)?;
            work()
        })
    }

    fn read<R>(&self, work: impl FnOnce() -> Result<R>) -> Result<R> {
        self.committer.read(self.shadow, || {
            self.declared.check(self.shadow)?;
            work()
        })
    }
}

fn sync_slices(parts: Parts<'_>, steps: &Steps<'_>, mut pace: Pace) -> Result<i64> {
    let (mut rows, mut idle) = (0, 0);
    loop {
        parts.shadow.host.interrupts.check()?;
        let began = Instant::now();
        let Some(mut slice) = steps.read(|| Slice::read(parts, pace.tokens))? else {
            if note_more(parts, steps)? {
                continue;
            }
            return Ok(rows);
        };
        if let Err(e) = slice.cut(parts, pace.tokens) {
            slice.keep_for_later();
            return Err(e);
        }
        let tokens = slice.tokens;
        let done = store(parts, steps, slice, pace.deadline)?;
        rows += done.rows;
        idle = if done.notes == 0 {
            idle + done.looked_at
        } else {
            0
        };
        let stays_pending = idle > 0 && idle > 2 * parts.notes.count()?;
        if stays_pending || pace.is_over() {
            // The former: rows that say something else whenever they are read.
            return Ok(rows);
        }
        if tokens > 0 {
            pace.learn(tokens, began);
        }
    }
}

fn store(
    parts: Parts<'_>,
    steps: &Steps<'_>,
    mut slice: Slice,
    deadline: Option<Instant>,
) -> Result<Done> {
    let stored = steps
        .committer
        .claim(parts.shadow)
        .and_then(|()| slice.embed(parts, deadline))
        .and_then(|()| steps.step(|| slice.apply(parts)));
    stored.inspect_err(|_| slice.keep_for_later())
}

/// Repairs triggers and words, and notes what no trigger has noted; `false` where the time was over before that.
fn prepare_sync(parts: Parts<'_>, steps: &Steps<'_>, pace: &Pace) -> Result<bool> {
    let (settings, content) =
        steps.read(|| Ok((parts.shadow.settings()?, parts.content.locate()?)))?;
    if matches!(content.noting, Noting::Due | Noting::Lost) {
        steps.step(|| {
            // Of the three, some may be left.
            triggers::drop_all(parts.shadow)?;
            triggers::create(parts.shadow, &content.named)?;
            parts.content.remember(&content.named)?;
            parts.shadow.set_scanned(Scanned::Nothing)
        })?;
    } else if content.noting == Noting::Off {
        steps.step(|| parts.shadow.set_scanned(Scanned::Nothing))?;
    } else if !parts.shadow.keeps_text()
        && parts.content.remembered().ok().as_ref() != Some(&content.named)
    {
        // Renamed, which only the triggers say; they may be lost one day.
        steps.step(|| parts.content.remember(&content.named))?;
    }
    if !repair_words(parts, steps, pace)? {
        return Ok(false);
    }
    let rescan = content.noting != Noting::On || settings.scanned == Scanned::Nothing;
    if rescan || steps.read(|| parts.content.can_be_displaced(&content))? {
        let displaced = steps.read(|| displaced(parts, &parts.content.locate()?))?;
        if !displaced.is_empty() {
            steps.step(|| displaced.iter().try_for_each(|&id| parts.notes.add(id)))?;
        }
        remove_displaced_words(parts, steps, pace)?;
    }
    Ok(true)
}

/// Makes words that were lost again; `false` where the time was over before they were complete. The next sync goes on.
fn repair_words(parts: Parts<'_>, steps: &Steps<'_>, pace: &Pace) -> Result<bool> {
    let words = parts.words;
    let are_lost = || words.are_lost(&parts.content.locate()?);
    if steps.read(are_lost)? {
        steps.step(|| match are_lost()? {
            true => words.begin_again(&parts.content.locate()?),
            // Another process was first.
            false => Ok(()),
        })?;
    }
    while steps.read(|| words.are_unfilled())? {
        parts.shadow.host.interrupts.check()?;
        let complete = steps.step(|| {
            words.fill_until(&parts.content.locate()?, pace.step_end())?;
            words.are_unfilled().map(|unfilled| !unfilled)
        })?;
        if !complete && pace.is_over() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Takes out the words of rows that were displaced. What a call has no time for, the next one finds again.
fn remove_displaced_words(parts: Parts<'_>, steps: &Steps<'_>, pace: &Pace) -> Result<()> {
    let displaced = |from| parts.words.displaced(&parts.content.locate()?, from);
    let mut from = i64::MIN;
    while !steps.read(|| displaced(from))?.is_empty() {
        let last = steps.step(|| {
            let rows = displaced(from)?;
            rows.iter().try_for_each(|&row| parts.words.remove(row))?;
            Ok(rows.last().copied())
        })?;
        match last.and_then(|last: i64| last.checked_add(1)) {
            Some(next) if !pace.is_over() => from = next,
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// Rows of the index that are in the content no more.
pub fn displaced(parts: Parts<'_>, content: &Located) -> Result<Vec<i64>> {
    if content.origin == Origin::Contentless {
        return Ok(Vec::new());
    }
    let (key, from) = parts.content.source(content);
    let rows = parts.shadow.names().table("rows");
    let mut read = parts.shadow.plain_sql(&format!(
        "SELECT id FROM {rows} WHERE id NOT IN (SELECT {key} FROM {from} WHERE {key} IS NOT NULL)"
    ))?;
    let _reading = parts.shadow.index.reading_content();
    let mut ids = Vec::new();
    while read.step()? == Row::Ready {
        ids.extend(read.integer(0));
    }
    Ok(ids)
}

/// Notes the next rows of a scan; `false` when it is at its end.
fn note_more(parts: Parts<'_>, steps: &Steps<'_>) -> Result<bool> {
    if parts.shadow.settings()?.scanned == Scanned::All {
        return Ok(false);
    }
    steps.step(|| {
        // Read again: another process may have gone on with the scan.
        let from = match parts.shadow.settings()?.scanned {
            Scanned::All => return Ok(()),
            Scanned::Nothing => Some(i64::MIN),
            Scanned::To(key) => key.checked_add(1),
        };
        let content = parts.content.locate()?;
        // A view may have to be made as a whole for each step.
        let most = if content.origin == Origin::View {
            i64::MAX
        } else {
            SCAN
        };
        let keys = match from {
            Some(from) => keys_from(parts, &content, from, most)?,
            None => Vec::new(),
        };
        for &key in &keys {
            parts.notes.add(key)?;
        }
        match keys.last() {
            Some(&last) if keys.len() as i64 == most => parts.shadow.set_scanned(Scanned::To(last)),
            _ => parts.shadow.set_scanned(Scanned::All),
        }
    })?;
    Ok(true)
}

fn keys_from(parts: Parts<'_>, content: &Located, from: i64, most: i64) -> Result<Vec<i64>> {
    let (key, from_where) = parts.content.source(content);
    let _reading = parts.shadow.index.reading_content();
    let mut read = parts.shadow.plain_sql(&format!(
        "SELECT {key} FROM {from_where} WHERE {key} >= ?1 AND typeof({key}) = 'integer' \
         ORDER BY {key} LIMIT ?2"
    ))?;
    read.bind(1, &Value::Integer(from))?;
    read.bind(2, &Value::Integer(most))?;
    let mut keys = Vec::new();
    while read.step()? == Row::Ready {
        if keys.len() % 4096 == 0 {
            parts.shadow.host.interrupts.check()?;
        }
        keys.extend(read.integer(0));
    }
    Ok(keys)
}
