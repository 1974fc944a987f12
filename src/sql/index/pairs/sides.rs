//! What is compared with what: the vectors of some rows, one after the other (the *seekers*), and the vectors
//! of others, in pieces of up to [`CHUNK`] with their codes. The seekers are the rows `a`, or the rows `b` where
//! those are fewer.
//!
//! Codes that the index stores are taken from the cache, chunk by chunk; those of the tail and of pending rows
//! are made here, as long as this is kept. An index without codes has none here either: then every pair is
//! compared as it is stored.

use super::between::Between;
use crate::engine::SharedEmbedder;
use crate::error::Result;
use crate::memory::{reserve, reserved};
use crate::sql::ffi::{Row, Value};
use crate::sql::index::content::Located;
use crate::sql::index::damage::corrupt;
use crate::sql::index::filter::Filters;
use crate::sql::index::overlay::{self, Overlay, unless_missing};
use crate::sql::index::parts::Parts;
use crate::sql::index::search::VectorAt;
use crate::sql::index::shadow::Settings;
use crate::sql::index::vectors::cache::List;
use crate::sql::index::vectors::chunk::CHUNK;
use crate::sql::index::{model, ordinary};
use std::sync::Arc;

/// Which rows are the seekers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seekers {
    /// The rows `a`, each compared with the rows behind it.
    A,
    /// The rows `b`, each compared with the rows before it.
    B,
}

impl Seekers {
    /// In the place of a row that is none or not asked for: no row behind another is the first of all, and none
    /// before another the last.
    fn no_row(self) -> i64 {
        match self {
            Seekers::A => i64::MIN,
            Seekers::B => i64::MAX,
        }
    }

    /// Whether a row is on the right side of a seeker.
    pub fn may_meet(self, seeker: i64, row: i64) -> bool {
        match self {
            Seekers::A => seeker < row,
            Seekers::B => row < seeker,
        }
    }
}

/// See the module.
pub struct Sides {
    /// Which rows seek.
    pub who: Seekers,
    /// Their vectors, in the order of rows.
    pub seekers: Vec<(i64, VectorAt)>,
    /// Those of the other rows.
    pub pieces: Vec<Piece>,
    /// The stored codes, and what codes are made with.
    pub list: Option<Arc<List>>,
    /// Where the texts are.
    pub located: Located,
    /// What is known of pending rows.
    overlay: Overlay,
    /// The index's stamp when this was made.
    stamp: Value,
    /// Of all vectors.
    dims: usize,
}

/// Vectors that are compared with one query after the other.
pub struct Piece {
    /// Their rows.
    pub rows: Vec<i64>,
    /// Of them the one that most seekers may meet.
    pub farthest: i64,
    /// Where the codes are.
    pub codes: PieceCodes,
    at: PieceAt,
}

/// Where the codes of a piece are.
pub enum PieceCodes {
    /// Those of a stored chunk, by its number and its stamp.
    Stored(usize, i64),
    /// Made for now.
    Made(Vec<u8>),
    /// Nowhere.
    Missing,
}

enum PieceAt {
    /// In the slots from this one on.
    From(i64),
    Each(Vec<VectorAt>),
}

impl Piece {
    /// Where one of its vectors is.
    pub fn at(&self, n: usize) -> VectorAt {
        match &self.at {
            PieceAt::From(first) => VectorAt::Slot(first + n as i64),
            PieceAt::Each(each) => each[n],
        }
    }

    fn put(&mut self, n: usize, row: i64, who: Seekers) {
        self.rows[n] = row;
        if who.may_meet(self.farthest, row) {
            self.farthest = row;
        }
    }
}

impl Sides {
    /// What the running statement sees of these rows. `None`: there are no vectors.
    ///
    /// # Errors
    /// What SQLite says; damage; an interruption; the content is gone; a failure of the model.
    pub fn of(
        parts: Parts<'_>,
        who: Seekers,
        seekers: Between,
        others: Between,
    ) -> Result<Option<Self>> {
        ordinary::verify(parts.shadow)?;
        let located = parts.content.locate()?;
        let settings = parts.shadow.settings()?;
        let overlay = pending(parts, &located, &settings)?;
        let fresh = overlay.passages.first();
        let fresh = fresh.map(|fresh| parts.shadow.storage().dims(fresh.stored.len()));
        let Some(dims) = settings.dims.or(fresh) else {
            return Ok(None);
        };
        let list = match settings.dims {
            Some(_) => parts.vectors.codes.list()?,
            None => None,
        };
        let mut sides = Sides {
            who,
            seekers: Vec::new(),
            pieces: stored_pieces(list.as_deref(), who.no_row())?,
            list,
            located,
            overlay,
            stamp: parts.shadow.get("stamp")?,
            dims,
        };
        sides.sort(parts, seekers, others)?;
        Ok(Some(sides))
    }

    /// Whether the index is as it was: this connection may write between two rows that it reads.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn are_still(&self, parts: Parts<'_>) -> Result<bool> {
        Ok(parts.shadow.get("stamp")? == self.stamp)
    }

    /// Shows the stored vector of a row to `look`; `None` where it is no longer there.
    ///
    /// # Errors
    /// What SQLite says; damage; those of `look`.
    pub fn look_at<R>(
        &self,
        parts: Parts<'_>,
        row: i64,
        at: VectorAt,
        look: impl FnOnce(&[u8]) -> Result<R>,
    ) -> Result<Option<R>> {
        let slot = match at {
            VectorAt::Fresh(n) => return look(&self.overlay.passages[n].stored).map(Some),
            VectorAt::Slot(slot) => slot,
        };
        let found = parts.vectors.passages.at(slot, |of, stored| {
            (of == row).then(|| look(stored)).transpose()
        })?;
        Ok(found.flatten())
    }

    /// A vector as numbers.
    ///
    /// # Errors
    /// As [`Self::look_at`].
    pub fn vector(&self, parts: Parts<'_>, row: i64, at: VectorAt) -> Result<Option<Vec<f32>>> {
        self.look_at(parts, row, at, |stored| {
            let vector = parts.shadow.storage().decode(stored, self.dims);
            vector.map_err(|e| corrupt(e.message()))
        })
    }

    /// Sorts the vectors of the rows asked for into both sides.
    fn sort(&mut self, parts: Parts<'_>, seekers: Between, others: Between) -> Result<()> {
        let mut rest = Vec::new();
        let from = seekers.from.min(others.from);
        let mut read = parts.shadow.sql(
            "SELECT row, slot FROM {passages} WHERE row BETWEEN ?1 AND ?2 ORDER BY row, slot",
        )?;
        read.bind(1, &Value::Integer(from))?;
        read.bind(2, &Value::Integer(seekers.to.max(others.to)))?;
        let mut count = 0_usize;
        while read.step()? == Row::Ready {
            count += 1;
            if count.is_multiple_of(4096) {
                parts.shadow.host.interrupts.check()?;
            }
            let (Some(row), Some(slot)) = (read.integer(0), read.integer(1)) else {
                return Err(corrupt("a vector without slot or row"));
            };
            let slot_from_0 = usize::try_from(slot);
            let place = slot_from_0.map_err(|_| corrupt(format_args!("there is a slot {slot}")))?;
            if self.overlay.replaced.contains(&row) {
                continue;
            }
            let at = VectorAt::Slot(slot);
            if seekers.has(row) {
                reserve(&mut self.seekers, 1)?;
                self.seekers.push((row, at));
            }
            match self.pieces.get_mut(place / CHUNK) {
                _ if !others.has(row) => {}
                Some(piece) => piece.put(place % CHUNK, row, self.who),
                None => {
                    reserve(&mut rest, 1)?;
                    rest.push((row, at));
                }
            }
        }
        drop(read);
        for (n, fresh) in self.overlay.passages.iter().enumerate() {
            let (row, at) = (fresh.row, VectorAt::Fresh(n));
            if seekers.has(row) {
                self.seekers.push((row, at));
            }
            if others.has(row) {
                rest.push((row, at));
            }
        }
        // Of one row there are stored vectors or fresh ones.
        self.seekers.sort_by_key(|&(row, _)| row);
        let no_row = self.who.no_row();
        self.pieces.retain(|piece| piece.farthest != no_row);
        for some in rest.chunks(CHUNK) {
            let piece = self.made_piece(parts, some)?;
            self.pieces.push(piece);
        }
        Ok(())
    }

    /// A piece of vectors that have no stored codes.
    fn made_piece(&self, parts: Parts<'_>, some: &[(i64, VectorAt)]) -> Result<Piece> {
        let codes = match &self.list {
            None => PieceCodes::Missing,
            Some(list) => {
                parts.shadow.host.interrupts.check()?;
                let mut codes = vec![0; some.len() * list.coder.code_bytes()];
                let each = codes.chunks_exact_mut(list.coder.code_bytes());
                for (&(row, at), code) in some.iter().zip(each) {
                    if let Some(vector) = self.vector(parts, row, at)? {
                        list.coder.encode(&vector, code)?;
                    }
                }
                PieceCodes::Made(codes)
            }
        };
        let mut piece = Piece {
            rows: vec![self.who.no_row(); some.len()],
            farthest: self.who.no_row(),
            codes,
            at: PieceAt::Each(some.iter().map(|&(_, at)| at).collect()),
        };
        for (n, &(row, _)) in some.iter().enumerate() {
            piece.put(n, row, self.who);
        }
        Ok(piece)
    }
}

/// How many vectors rows have.
///
/// # Errors
/// What SQLite says.
pub fn count(parts: Parts<'_>, rows: Between) -> Result<i64> {
    let count = parts
        .shadow
        .sql("SELECT count(*) FROM {passages} WHERE row BETWEEN ?1 AND ?2")?;
    let count = count.with(&[Value::Integer(rows.from), Value::Integer(rows.to)])?;
    Ok(count.integer_of_first()?.unwrap_or(0))
}

/// The pieces of the stored chunks, before anything is known of their rows.
fn stored_pieces(list: Option<&List>, no_row: i64) -> Result<Vec<Piece>> {
    let stamps = list.map_or(&[][..], |list| &list.stamps[..]);
    let mut pieces = reserved(stamps.len())?;
    for (number, &stamp) in stamps.iter().enumerate() {
        let mut rows = reserved(CHUNK)?;
        rows.resize(CHUNK, no_row);
        pieces.push(Piece {
            rows,
            farthest: no_row,
            codes: PieceCodes::Stored(number, stamp),
            at: PieceAt::From((number * CHUNK) as i64),
        });
    }
    Ok(pieces)
}

/// Pending rows as a search for a vector sees them: where no model can be had they are left out.
fn pending(parts: Parts<'_>, located: &Located, settings: &Settings) -> Result<Overlay> {
    let mut model = || -> Result<Option<SharedEmbedder>> {
        let model = unless_missing(model::get(parts.shadow, settings))?;
        let fits = |model: &SharedEmbedder| settings.dims.is_none_or(|dims| dims == model.dims());
        Ok(model.filter(fits))
    };
    overlay::look(parts, located, settings, &Filters::default(), &mut model)
}
