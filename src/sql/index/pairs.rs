//! Pairs of rows that are near each other: the verb of `bge_pairs`.
//!
//! Rows `a` are taken in blocks, in their order; the vectors of a block are queries over the codes of all rows
//! `b` behind them, a chunk of codes at a time, so that the codes stay in the CPU's cache while all queries of
//! the block pass over them. (Where few rows `b` are asked for it is the other way round.) Where the bound of a pair
//! is near enough, the stored vectors decide. What a block finds is sorted and given out before the next block is
//! begun: so pairs come in the order of `a` and `b` unless rows `b` seek, and memory is bounded by what a block may
//! find ([`MOST`]; a block that finds more is begun again with fewer rows) or by the rows that one row is near to.
//!
//! A pair's score is the best cosine between a passage of the one and a passage of the other.

mod between;
mod sides;

use super::content::Origin;
use super::damage::corrupt;
use super::handle::Index;
use super::ordinary;
use super::parts::{Parts, answer};
use super::search::VectorAt;
use super::vectors::cache;
use crate::error::Result;
use crate::sql::ffi::Host;
use crate::vector::codes::{Near, Queries};
use crate::vector::storage::Rescorer;
pub use between::Between;
use sides::{Piece, PieceCodes, Seekers, Sides};
use std::collections::{HashMap, HashSet, VecDeque};

/// Queries over a chunk at a time, and rows in a block at most.
const TOGETHER: usize = 256;
/// Rows in the first block, so that the first pairs come soon.
const AT_FIRST: usize = 16;
/// Pairs, of 24 bytes, that a block of several rows may hold.
const MOST: usize = 1 << 19;
/// Comparisons of codes between two questions whether to stop: some milliseconds.
const BETWEEN_STOPS: usize = 1 << 20;
/// What comparing stored vectors costs, in comparisons of codes.
const COST_OF_EXACT: usize = 64;
/// Rows of the content that are looked up at once.
const LOOKED_UP: usize = 256;

/// Two rows that are near each other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The smaller id.
    pub a: i64,
    /// The greater one.
    pub b: i64,
    /// The best cosine between a passage of the one and one of the other.
    pub score: f64,
}

/// See the module.
pub struct Pairs {
    index: Index,
    walk: Walk,
}

/// How far it has come.
struct Walk {
    least: f64,
    /// Whose turn it is to seek, and the rows that are still to come.
    who: Seekers,
    seekers: Between,
    /// The rows that they are compared with.
    others: Between,
    sides: Option<Sides>,
    /// The vectors of seekers that were dealt with.
    done: usize,
    /// Rows in a block.
    at_once: usize,
    ready: VecDeque<Pair>,
    /// Whether rows that were found are there.
    present: HashMap<i64, bool>,
    /// Comparisons since it was last asked whether to stop.
    compared: usize,
}

/// A seeker's vector, as it is compared.
struct Seeker {
    row: i64,
    exact: Rescorer,
}

/// How a block ended.
enum Block {
    Found(Vec<Pair>),
    /// It would find too many pairs.
    TooMany,
}

impl Pairs {
    /// Pairs with a score of `least` or more, of rows `a` and `b` that are asked for. They come in the order of
    /// `a` and `b` where all rows `b` are.
    ///
    /// # Errors
    /// As [`Sides::of`].
    pub fn start(
        host: &Host<'_>,
        index: Index,
        least: f64,
        a: Between,
        b: Between,
    ) -> Result<Self> {
        let in_order = b == Between::ALL;
        let (to, from) = (b.to.saturating_sub(1), a.from.saturating_add(1));
        let walk = Walk {
            least,
            who: Seekers::A,
            seekers: a.and(Between { to, ..Between::ALL }),
            others: b.and(Between {
                from,
                ..Between::ALL
            }),
            sides: None,
            done: 0,
            at_once: AT_FIRST,
            ready: VecDeque::new(),
            present: HashMap::new(),
            compared: 0,
        };
        let mut pairs = Pairs { index, walk };
        answer(host, &pairs.index, |parts| {
            ordinary::verify(parts.shadow)?;
            if !in_order {
                pairs.walk.choose(parts)?;
            }
            pairs.walk.look(parts)
        })?;
        Ok(pairs)
    }

    /// The next pair.
    ///
    /// # Errors
    /// What SQLite says; damage; an interruption.
    pub fn next(&mut self, host: &Host<'_>) -> Result<Option<Pair>> {
        if self.walk.ready.is_empty() {
            answer(host, &self.index, |parts| self.walk.fill(parts))?;
        }
        Ok(self.walk.ready.pop_front())
    }
}

impl Walk {
    /// Has the fewer rows seek.
    fn choose(&mut self, parts: Parts<'_>) -> Result<()> {
        if sides::count(parts, self.others)? < sides::count(parts, self.seekers)? {
            self.who = Seekers::B;
            std::mem::swap(&mut self.seekers, &mut self.others);
        }
        Ok(())
    }

    /// Looks at what there is of the rows that are still to come.
    fn look(&mut self, parts: Parts<'_>) -> Result<()> {
        self.done = 0;
        self.present.clear();
        self.sides = match self.seekers.is_empty() || self.others.is_empty() {
            true => None,
            false => Sides::of(parts, self.who, self.seekers, self.others)?,
        };
        Ok(())
    }

    /// Has a pair ready, or more, where there are more.
    fn fill(&mut self, parts: Parts<'_>) -> Result<()> {
        while self.ready.is_empty() {
            match &self.sides {
                None => return Ok(()),
                Some(sides) if sides.are_still(parts)? => {}
                // Written by this connection: what was found stays, the rest is found in what there is now.
                Some(_) => self.look(parts)?,
            }
            let Some(sides) = self.sides.take() else {
                return Ok(());
            };
            let block = block(&sides.seekers[self.done..], self.at_once);
            let Some(&(last, _)) = block.last() else {
                return Ok(());
            };
            let outcome = self.compare(parts, &sides, block);
            let taken = block.len();
            match outcome? {
                Block::TooMany => self.at_once = (self.at_once / 4).max(1),
                Block::Found(pairs) => {
                    if pairs.len() < MOST / 8 {
                        self.at_once = (2 * self.at_once).min(TOGETHER);
                    }
                    self.give(parts, &sides, pairs)?;
                    self.done += taken;
                    self.seekers.from = last.saturating_add(1);
                }
            }
            self.sides = Some(sides);
        }
        Ok(())
    }

    /// The pairs of a block, in their order.
    fn compare(
        &mut self,
        parts: Parts<'_>,
        sides: &Sides,
        block: &[(i64, VectorAt)],
    ) -> Result<Block> {
        let several = block.first().map(|first| first.0) != block.last().map(|last| last.0);
        let mut found = Vec::new();
        let mut limit = MOST;
        for some in block.chunks(TOGETHER) {
            let (mut seekers, mut queries) = seekers(parts, sides, some)?;
            // Of all of them the one that may meet most rows.
            let widest = match sides.who {
                Seekers::A => seekers.first(),
                Seekers::B => seekers.last(),
            };
            let Some(widest) = widest.map(|seeker| seeker.row) else {
                continue;
            };
            let meets = |piece: &&Piece| sides.who.may_meet(widest, piece.farthest);
            for piece in sides.pieces.iter().filter(meets) {
                self.pause(parts, seekers.len() * piece.rows.len())?;
                let near = self.near(parts, sides, piece, &seekers, &mut queries)?;
                self.pause(parts, near.len() * COST_OF_EXACT)?;
                rescore(
                    parts,
                    sides,
                    piece,
                    &near,
                    &mut seekers,
                    self.least,
                    &mut found,
                )?;
                if found.len() > limit {
                    keep_the_best(&mut found);
                    if several && found.len() > MOST / 2 {
                        return Ok(Block::TooMany);
                    }
                    limit = MOST.max(2 * found.len());
                }
            }
        }
        keep_the_best(&mut found);
        Ok(Block::Found(found))
    }

    /// The pairs of a piece that may be near enough, by their places in it.
    fn near(
        &self,
        parts: Parts<'_>,
        sides: &Sides,
        piece: &Piece,
        seekers: &[Seeker],
        queries: &mut Queries,
    ) -> Result<Vec<Near>> {
        // 1 - score may be rounded.
        const ROUNDING: f64 = 1e-9;
        let most = 1.0 - self.least + ROUNDING;
        let mut near = Vec::new();
        match (&piece.codes, &sides.list) {
            (PieceCodes::Stored(number, stamp), Some(list)) => {
                let bytes = list.coder.code_bytes();
                let read = || parts.vectors.codes.read(*number as i64, bytes);
                let chunk = cache::chunk(list.owner, *stamp, bytes, read)?;
                queries.near(&chunk.codes, list.z, most, &mut near)?;
            }
            (PieceCodes::Made(codes), Some(list)) => {
                queries.near(codes, list.z, most, &mut near)?
            }
            _ => {
                let all = |code| (0..seekers.len() as u32).map(move |query| Near { code, query });
                near.extend((0..piece.rows.len() as u32).flat_map(all));
            }
        }
        near.retain(|pair| {
            let seeker = seekers[pair.query as usize].row;
            sides.who.may_meet(seeker, piece.rows[pair.code as usize])
        });
        near.sort_unstable();
        Ok(near)
    }

    /// Asks whether to stop, where enough was compared since.
    fn pause(&mut self, parts: Parts<'_>, comparisons: usize) -> Result<()> {
        self.compared += comparisons;
        if self.compared < BETWEEN_STOPS {
            return Ok(());
        }
        self.compared = 0;
        parts.shadow.host.interrupts.check()
    }

    /// Gives out the pairs of rows that are both there, as a search gives out rows.
    fn give(&mut self, parts: Parts<'_>, sides: &Sides, pairs: Vec<Pair>) -> Result<()> {
        let rows = pairs.iter().flat_map(|pair| [pair.a, pair.b]);
        let unknown: HashSet<i64> = rows.filter(|row| !self.present.contains_key(row)).collect();
        let mut unknown: Vec<i64> = unknown.into_iter().collect();
        unknown.sort_unstable();
        // A view is made as a whole for each question.
        let at_once = match sides.located.origin {
            Origin::View => unknown.len().max(1),
            _ => LOOKED_UP,
        };
        for some in unknown.chunks(at_once) {
            parts.shadow.host.interrupts.check()?;
            let there = parts.content.present_among(&sides.located, some)?;
            self.present
                .extend(some.iter().map(|&row| (row, there.contains(&row))));
        }
        let is_there = |row: i64| self.present.get(&row) == Some(&true);
        let both = |pair: &Pair| is_there(pair.a) && is_there(pair.b);
        self.ready.extend(pairs.into_iter().filter(both));
        Ok(())
    }
}

impl Drop for Pairs {
    fn drop(&mut self) {
        cache::leave(&self.index);
    }
}

/// The vectors of the first rows, all of each row: of one row, or of as many as are wanted at once.
fn block(seekers: &[(i64, VectorAt)], rows: usize) -> &[(i64, VectorAt)] {
    let mut end = 0;
    for of_row in seekers.chunk_by(|one, other| one.0 == other.0).take(rows) {
        if end > 0 && end + of_row.len() > TOGETHER {
            break;
        }
        end += of_row.len();
    }
    &seekers[..end]
}

/// Vectors of seekers, ready to be compared. One that is gone is left out.
fn seekers(
    parts: Parts<'_>,
    sides: &Sides,
    some: &[(i64, VectorAt)],
) -> Result<(Vec<Seeker>, Queries)> {
    let (mut seekers, mut queries) = (Vec::new(), Vec::new());
    for &(row, at) in some {
        let Some(vector) = sides.vector(parts, row, at)? else {
            continue;
        };
        if let Some(list) = &sides.list {
            queries.push(list.coder.query(&vector)?);
        }
        let exact = Rescorer::new(parts.shadow.storage(), &vector)?;
        seekers.push(Seeker { row, exact });
    }
    Ok((seekers, Queries::new(queries)))
}

/// Compares stored vectors. `near` is in the order of the piece, so that each vector is read once.
fn rescore(
    parts: Parts<'_>,
    sides: &Sides,
    piece: &Piece,
    near: &[Near],
    seekers: &mut [Seeker],
    least: f64,
    found: &mut Vec<Pair>,
) -> Result<()> {
    for of_one in near.chunk_by(|one, other| one.code == other.code) {
        let place = of_one[0].code as usize;
        let row = piece.rows[place];
        sides.look_at(parts, row, piece.at(place), |stored| {
            for pair in of_one {
                let seeker = &mut seekers[pair.query as usize];
                let score = seeker.exact.cosine(stored);
                let score = score.map_err(|e| corrupt(e.message()))?;
                if score >= least {
                    let (a, b) = (row.min(seeker.row), row.max(seeker.row));
                    found.push(Pair { a, b, score });
                }
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Puts pairs in order, and keeps of those of the same rows the one with the best score.
fn keep_the_best(pairs: &mut Vec<Pair>) {
    pairs.sort_unstable_by(|x, y| {
        let rows = (x.a, x.b).cmp(&(y.a, y.b));
        rows.then(y.score.total_cmp(&x.score))
    });
    pairs.dedup_by(|next, best| (next.a, next.b) == (best.a, best.b));
}
