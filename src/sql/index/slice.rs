//! A slice of a sync: some notes, the rows that they name, and the vectors of those that have changed.
//!
//! It is read and embedded without any lock. Then, under the write lock, each row's vectors are taken only
//! if the row still says what was embedded, and only notes that were read are deleted, of rows that now
//! equal the index. So a sync can be killed at any moment, run twice at once, and run beside writers.
//!
//! A slice is sized by its tokens, which decide how long it takes. Texts are embedded in portions; where
//! the time is over between two of them, the rows that are complete are stored, and the vectors of the
//! others wait in [`super::unfinished`].

use super::content::{LOOKED_UP, Located, Origin, Present};
use super::model::{self, Cut};
use super::notes::Note;
use super::parts::Parts;
use super::random::random;
use super::shadow::Settings;
use super::text::{Joined, Text};
use super::unfinished::{self, Key};
use super::vectors::passages::Passage;
use crate::engine::{SharedEmbedder, SharedVector};
use crate::error::Result;
use crate::sql::ffi::Value;
use std::collections::HashMap;
use std::time::Instant;

/// The most notes of a slice whose rows change, and of one whose rows have not.
const CHANGED: usize = 1024;
const NOTES: usize = 8 * CHANGED;
/// The most bytes of text in a slice that is not a single text.
const BYTES: usize = 8 << 20;
/// What a token has of a text, at most as a rule: texts are read before they are cut.
const BYTES_A_TOKEN: usize = 8;
/// Tokens between two looks at the clock: some 0.6 seconds for a small model on two cores.
const PORTION: usize = 2048;

/// See the module.
pub struct Slice {
    settings: Settings,
    notes: Vec<Note>,
    changed: Vec<Changed>,
    model: Option<SharedEmbedder>,
    /// Tokens to embed.
    pub tokens: usize,
}

/// A row whose text is not what the index has of it.
struct Changed {
    present: Present,
    /// `None` until the text was looked at.
    made: Option<Made>,
}

/// What is known of a text's vectors.
enum Made {
    /// There are none: nothing to embed.
    Nothing,
    /// It cannot be embedded, and why.
    Problem(String),
    /// Passages, embedded or not yet.
    Passages(Vec<Piece>),
}

/// A passage of a text.
struct Piece {
    span: (i64, i64),
    ids: Vec<i64>,
    vector: Option<SharedVector>,
}

/// What storing a slice did.
#[derive(Default)]
pub struct Done {
    /// Rows whose place in the index changed.
    pub rows: i64,
    /// Notes that are no longer needed.
    pub notes: usize,
    /// Notes that were looked at.
    pub looked_at: usize,
}

impl Slice {
    /// Notes from a random one on (two syncers then share the work), and which of their rows must be
    /// embedded, about `tokens` tokens of them; `None` where there are no notes. To be called in one
    /// snapshot.
    ///
    /// # Errors
    /// What SQLite says; an interruption.
    pub fn read(parts: Parts<'_>, tokens: usize) -> Result<Option<Self>> {
        let located = parts.content.locate()?;
        let mut slice = Slice {
            settings: parts.shadow.settings()?,
            notes: some_notes(parts, NOTES)?,
            changed: Vec::new(),
            model: None,
            tokens: 0,
        };
        if slice.notes.is_empty() {
            return Ok(None);
        }
        let ids = rows_of(&slice.notes);
        // A view may have to be made as a whole for each lookup.
        let at_once = if located.origin == Origin::View {
            LOOKED_UP
        } else {
            1
        };
        let most = tokens.saturating_mul(BYTES_A_TOKEN).min(BYTES);
        let (mut bytes, mut looked_at) = (0, 0);
        for some in ids.chunks(at_once) {
            for present in parts.content.fetch(&located, some)? {
                let Some(joined) = present.joined.as_ref() else {
                    continue;
                };
                if !parts.records.says(present.id, &joined.hash())? {
                    bytes += joined.text().map_or(0, |text| text.whole.len());
                    slice.changed.push(Changed {
                        present,
                        made: None,
                    });
                }
            }
            looked_at += some.len();
            if bytes >= most || slice.changed.len() >= CHANGED {
                break;
            }
            if looked_at.is_multiple_of(256) {
                parts.shadow.host.interrupts.check()?;
            }
        }
        slice.end_behind(ids[looked_at - 1]);
        Ok(Some(slice))
    }

    /// Leaves what comes behind this row to another slice.
    fn end_behind(&mut self, row: i64) {
        self.notes.retain(|note| note.row <= row);
        self.changed.retain(|changed| changed.present.id <= row);
    }

    /// Cuts the texts into passages, in the order of their rows, until there are about `tokens` tokens:
    /// one text at least.
    ///
    /// # Errors
    /// No model; an interruption; passages that the model cannot have.
    pub fn cut(&mut self, parts: Parts<'_>, tokens: usize) -> Result<()> {
        self.changed
            .sort_unstable_by_key(|changed| changed.present.id);
        for n in 0..self.changed.len() {
            if n > 0 && self.tokens >= tokens {
                self.end_behind(self.changed[n - 1].present.id);
                return Ok(());
            }
            let joined = self.changed[n].present.joined.take();
            let made = match &joined {
                Some(Joined::Text(text)) => self.cut_text(parts, text),
                Some(Joined::Problem(problem)) => Ok(Made::Problem(problem.clone())),
                Some(Joined::Nothing) | None => Ok(Made::Nothing),
            };
            self.changed[n].present.joined = joined;
            self.changed[n].made = Some(made?);
        }
        Ok(())
    }

    fn cut_text(&mut self, parts: Parts<'_>, text: &Text) -> Result<Made> {
        let model = match &self.model {
            Some(model) => SharedEmbedder::clone(model),
            None => {
                let model = model::get(parts.shadow, &self.settings)?;
                // Read once a process, and not under the lock.
                model.fingerprint()?;
                self.model.insert(model).clone()
            }
        };
        let passages: Cut = model::cut(parts.shadow, &model, text)?;
        let passages = match passages {
            Ok(passages) => passages,
            Err(problem) => return Ok(Made::Problem(problem)),
        };
        let fingerprint = model.fingerprint()?;
        let mut pieces = Vec::with_capacity(passages.len());
        for (span, ids) in passages {
            let vector = unfinished::get(Key::new(&fingerprint, &ids));
            if vector.is_none() {
                self.tokens += ids.len();
            }
            pieces.push(Piece { span, ids, vector });
        }
        Ok(Made::Passages(pieces))
    }

    /// Embeds what must be, in portions, until the deadline; at least one portion.
    ///
    /// # Errors
    /// An interruption, a failure of the runtime: what was embedded is kept for the next call.
    pub fn embed(&mut self, parts: Parts<'_>, deadline: Option<Instant>) -> Result<()> {
        let Some(model) = self.model.clone() else {
            return Ok(());
        };
        let mut waiting: Vec<&mut Piece> = self.changed.iter_mut().flat_map(pieces_of).collect();
        waiting.retain(|piece| piece.vector.is_none());
        // Texts of like length make full batches.
        waiting.sort_by_key(|piece| piece.ids.len());
        let mut outcome = Ok(());
        for portion in portions(&mut waiting) {
            let ids = portion.iter().map(|piece| piece.ids.clone()).collect();
            match model.embed_encoded(ids, parts.shadow.host.interrupts) {
                Ok(vectors) => {
                    for (piece, vector) in portion.iter_mut().zip(vectors) {
                        piece.vector = Some(vector);
                    }
                }
                Err(e) => {
                    outcome = Err(e);
                    break;
                }
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                break;
            }
        }
        outcome
    }

    /// Keeps the vectors of rows that are not stored.
    fn keep_unfinished(&self, which: impl Fn(&Changed) -> bool) -> Result<()> {
        let Some(model) = &self.model else {
            return Ok(());
        };
        let fingerprint = model.fingerprint()?;
        let rows = self.changed.iter().filter(|changed| which(changed));
        let pieces = rows.flat_map(pieces_in);
        unfinished::keep(pieces.filter_map(|piece| {
            let vector = piece.vector.as_ref()?;
            Some((
                Key::new(&fingerprint, &piece.ids),
                SharedVector::clone(vector),
            ))
        }));
        Ok(())
    }

    /// Forgets the vectors that were kept and are stored now.
    fn forget_finished(&self) -> Result<()> {
        let Some(model) = &self.model else {
            return Ok(());
        };
        let fingerprint = model.fingerprint()?;
        let rows = self.changed.iter().filter(|changed| is_complete(changed));
        let pieces = rows.flat_map(pieces_in);
        unfinished::forget(pieces.map(|piece| Key::new(&fingerprint, &piece.ids)));
        Ok(())
    }

    /// Keeps all vectors for the next call: the slice could not be stored.
    pub fn keep_for_later(&self) {
        // Without a fingerprint there is nothing to find them by.
        let _ = self.keep_unfinished(|_| true);
    }

    /// Takes over what still holds, under the write lock; nothing, where the index was rebuilt or
    /// bound to another model meanwhile.
    ///
    /// # Errors
    /// What SQLite says; damage; another model.
    pub fn apply(&self, parts: Parts<'_>) -> Result<Done> {
        let mut done = Done {
            looked_at: self.notes.len(),
            ..Done::default()
        };
        if !self.still_holds(parts)? {
            return Ok(done);
        }
        let located = parts.content.locate()?;
        let changed: HashMap<i64, &Changed> =
            self.changed.iter().map(|c| (c.present.id, c)).collect();
        let mut finished = HashMap::new();
        for some in rows_of(&self.notes).chunks(LOOKED_UP) {
            let mut now = parts.content.fetch_by_key(&located, some)?;
            for &id in some {
                let (has_changed, in_step) = match now.remove(&id) {
                    None => (remove(parts, id)?, true),
                    Some(present) => {
                        parts.words.follow(&present)?;
                        self.apply_row(parts, &located, &present, changed.get(&id))?
                    }
                };
                done.rows += i64::from(has_changed);
                finished.insert(id, in_step);
            }
        }
        for note in &self.notes {
            if finished.get(&note.row) == Some(&true) {
                parts.notes.remove(*note)?;
                done.notes += 1;
            }
        }
        self.forget_finished()?;
        self.keep_unfinished(|changed| !is_complete(changed))?;
        Ok(done)
    }

    fn still_holds(&self, parts: Parts<'_>) -> Result<bool> {
        let settings = parts.shadow.settings()?;
        if settings.generation != self.settings.generation
            || (self.settings.model.is_some() && settings.model != self.settings.model)
        {
            return Ok(false);
        }
        let (Some(model), Some((_, bound))) = (&self.model, &settings.model) else {
            return Ok(true);
        };
        if model.has_fingerprint(bound)? {
            return Ok(true);
        }
        // Bound by somebody else while we embedded: the next slice begins with that model, or says
        // that it is not here.
        model::get(parts.shadow, &settings)?;
        Ok(false)
    }

    /// Whether the index has changed, and whether it now equals the row.
    fn apply_row(
        &self,
        parts: Parts<'_>,
        located: &Located,
        present: &Present,
        changed: Option<&&Changed>,
    ) -> Result<(bool, bool)> {
        let Some(joined) = &present.joined else {
            return Ok((false, true));
        };
        let (hash, others) = (joined.hash(), parts.content.others_of(&present.values));
        if let Some(record) = parts.records.of(present.id)?.filter(|r| r.hash == hash) {
            let differs = !same(&record.others, &others);
            if differs {
                parts.records.set_others(present.id, &others)?;
            }
            return Ok((differs, true));
        }
        let as_read = |c: &&&Changed| c.present.joined.as_ref() == Some(joined);
        let Some(changed) = changed.filter(as_read).filter(|c| is_complete(c)) else {
            return Ok((false, false));
        };
        let problem = match &changed.made {
            Some(Made::Problem(problem)) => Some(problem.as_str()),
            Some(Made::Nothing | Made::Passages(_)) | None => None,
        };
        let passages: Vec<Passage> = pieces_in(changed).iter().filter_map(passage).collect();
        if let (Some(model), false) = (&self.model, passages.is_empty()) {
            model::bind(parts.shadow, model)?;
        }
        // The hash last: what fails in between, in a transaction of the user's, leaves a row that is
        // still to be embedded.
        parts.vectors.put(present.id, &passages)?;
        parts.records.put(present.id, &hash, problem, &others)?;
        if located.origin == Origin::Contentless {
            parts.content.forget(present.id)?;
        }
        Ok((true, true))
    }
}

/// Removes a row that is in the content no more.
fn remove(parts: Parts<'_>, id: i64) -> Result<bool> {
    let was_there = parts.records.has(id)?;
    match was_there {
        true => parts.remove_row(id)?,
        // Displaced before it was ever embedded, it has words all the same.
        false => parts.words.remove(id)?,
    }
    Ok(was_there)
}

fn pieces_of(changed: &mut Changed) -> &mut [Piece] {
    match &mut changed.made {
        Some(Made::Passages(pieces)) => pieces,
        Some(Made::Nothing | Made::Problem(_)) | None => &mut [],
    }
}

fn pieces_in(changed: &Changed) -> &[Piece] {
    match &changed.made {
        Some(Made::Passages(pieces)) => pieces,
        Some(Made::Nothing | Made::Problem(_)) | None => &[],
    }
}

/// Whether all is known that is to be stored of a row.
fn is_complete(changed: &Changed) -> bool {
    let all = || {
        pieces_in(changed)
            .iter()
            .all(|piece| piece.vector.is_some())
    };
    changed.made.is_some() && all()
}

fn passage(piece: &Piece) -> Option<Passage> {
    Some(Passage {
        span: Some(piece.span),
        vector: piece.vector.as_ref()?.to_vec(),
    })
}

/// Pieces in groups of about [`PORTION`] tokens.
fn portions<'p, 'c>(pieces: &'p mut [&'c mut Piece]) -> Vec<&'p mut [&'c mut Piece]> {
    let (mut portions, mut rest) = (Vec::new(), pieces);
    while !rest.is_empty() {
        let mut tokens = 0;
        let fits = |piece: &&&mut Piece| {
            tokens += piece.ids.len();
            tokens <= PORTION
        };
        let count = rest.iter().take_while(fits).count().max(1);
        let (portion, others) = rest.split_at_mut(count);
        portions.push(portion);
        rest = others;
    }
    portions
}

/// The rows of notes, in their order, each once.
fn rows_of(notes: &[Note]) -> Vec<i64> {
    let mut rows: Vec<i64> = notes.iter().map(|note| note.row).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

fn some_notes(parts: Parts<'_>, most: usize) -> Result<Vec<Note>> {
    let Some((first, last)) = parts.notes.ends()? else {
        return Ok(Vec::new());
    };
    // Not so late that the slice would be one of a few texts.
    const FEW: i64 = 64;
    let span = last.saturating_sub(first).saturating_sub(FEW).max(0);
    let offset = random()?.rem_euclid(span.saturating_add(1));
    let notes = parts.notes.from(first.saturating_add(offset), most)?;
    match notes.is_empty() {
        true => parts.notes.from(first, most),
        false => Ok(notes),
    }
}

/// Whether UNINDEXED values are what is stored.
fn same(stored: &[Value], present: &[Value]) -> bool {
    let same = |(a, b): (&Value, &Value)| match (a, b) {
        (Value::Integer(n), Value::Real(x)) | (Value::Real(x), Value::Integer(n)) => {
            *n as f64 == *x
        }
        (a, b) => a == b,
    };
    stored.len() == present.len() && stored.iter().zip(present).all(same)
}
