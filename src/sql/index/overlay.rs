//! Rows that have changed since they were embedded, as a query sees them.
//!
//! Reading never writes, so what a query embeds it does not keep, except in the text -> vector cache.
//! It looks at the newest notes first; rows whose text is as it was keep their vectors; of the others
//! it embeds at most `catchup` rows and [`TOKENS`] tokens, whole documents only. What is left out keeps its
//! old vector, or is not found yet. The bounds are never of time, since answers would depend on the load of
//! the machine. Vectors made here pass through the storage's codec: distances do not jump at the next sync.

use super::content::{LOOKED_UP, Located, Origin, Present};
use super::filter::Filters;
use super::model;
use super::parts::Parts;
use super::shadow::{Scanned, Settings};
use super::text::{Joined, Text};
use crate::engine::{SharedEmbedder, SharedVector};
use crate::error::{Result, if_there};
use crate::sql::ffi::{Row, Value};
use std::collections::HashSet;

/// The most notes that a query looks at.
const NOTES: usize = 4096;
/// The most tokens that a query embeds: some 0.35 s on two cores for a small model.
const TOKENS: usize = 1024;
/// Texts over what is left of [`TOKENS`] after which no more are embedded.
const REFUSALS: usize = 8;
/// A token has rarely more.
const BYTES_A_TOKEN: usize = 8;

/// What changed rows are to a query.
#[derive(Default)]
pub struct Overlay {
    /// Rows whose stored vectors do not count.
    pub replaced: HashSet<i64>,
    /// Rows that pass the query's filters with their present values.
    pub passing: HashSet<i64>,
    /// Vectors in the place of stored ones, as the storage would keep them.
    pub passages: Vec<Fresh>,
}

/// A vector that is not stored.
pub struct Fresh {
    /// Its row.
    pub row: i64,
    /// Its characters in the row's joined text.
    pub span: (i64, i64),
    /// The vector, in the storage's format.
    pub stored: Vec<u8>,
}

/// A changed row, cut and looked up in the cache, not yet embedded.
struct Waiting {
    row: i64,
    spans: Vec<(i64, i64)>,
    ids: Vec<Vec<i64>>,
    text: Text,
}

/// Looks at the pending rows that pass the filters.
///
/// # Errors
/// An interruption, the content is gone, a failure of the model.
pub fn look(
    parts: Parts<'_>,
    content: &Located,
    settings: &Settings,
    filters: &Filters,
    loaded: &mut dyn FnMut() -> Result<Option<SharedEmbedder>>,
) -> Result<Overlay> {
    let mut overlay = Overlay::default();
    let ids = newest_pending(parts, content, settings)?;
    let (mut waiting, mut rows, mut tokens, mut refused) = (Vec::new(), 0, 0, 0);
    let at_once = if content.origin == Origin::View {
        NOTES
    } else {
        LOOKED_UP
    };
    for some in ids.chunks(at_once) {
        parts.shadow.host.interrupts.check()?;
        let mut now = parts.content.fetch_by_key(content, some)?;
        for &id in some {
            let Some(text) = changed_text(parts, now.remove(&id), id, filters, &mut overlay)?
            else {
                continue;
            };
            // Rows further on may need no embedding: it is their values that have changed.
            let catchup = parts.shadow.spec().catchup;
            if catchup == 0 {
                continue;
            }
            let Some(model) = loaded()? else { continue };
            let cached = model.cache().get(&text.whole);
            if rows >= catchup && cached.is_none() {
                continue;
            }
            // Cutting costs too: what cannot fit is not cut.
            let too_long = text.whole.len() > BYTES_A_TOKEN * (TOKENS - tokens);
            if cached.is_none() && too_long {
                refused += 1;
                rows = if refused > REFUSALS { catchup } else { rows };
                continue;
            }
            let Ok(cut) = model::cut(parts.shadow, &model, &text)? else {
                overlay.replaced.insert(id);
                continue;
            };
            let (spans, encoded): (Vec<_>, Vec<Vec<i64>>) = cut.into_iter().unzip();
            // Only a text of one passage is in the cache as a whole.
            if let [span] = spans[..]
                && let Some(vector) = &cached
            {
                take(parts, &mut overlay, id, span, vector)?;
                continue;
            }
            if rows >= catchup {
                continue;
            }
            let cost: usize = encoded.iter().map(Vec::len).sum();
            if tokens + cost > TOKENS {
                // Smaller ones may fit, but not all the rest is worth being tokenised.
                refused += 1;
                rows = if refused > REFUSALS { catchup } else { rows };
                continue;
            }
            tokens += cost;
            rows += 1;
            waiting.push(Waiting {
                row: id,
                spans,
                ids: encoded,
                text,
            });
        }
    }
    if !waiting.is_empty()
        && let Some(model) = loaded()?
    {
        embed_waiting(parts, &model, waiting, &mut overlay)?;
    }
    Ok(overlay)
}

/// The text of a row that must be embedded; what is known of others goes into the overlay.
fn changed_text(
    parts: Parts<'_>,
    present: Option<Present>,
    id: i64,
    filters: &Filters,
    overlay: &mut Overlay,
) -> Result<Option<Text>> {
    let passing = match present {
        Some(present) if filters.takes_values(parts.shadow, id, &present.values)? => Some(present),
        _ => None,
    };
    let Some(present) = passing else {
        overlay.replaced.insert(id);
        return Ok(None);
    };
    overlay.passing.insert(id);
    let Some(joined) = present.joined else {
        return Ok(None);
    };
    if parts.records.says(id, &joined.hash())? {
        return Ok(None);
    }
    match joined {
        Joined::Text(text) => Ok(Some(text)),
        Joined::Nothing | Joined::Problem(_) => {
            overlay.replaced.insert(id);
            Ok(None)
        }
    }
}

fn embed_waiting(
    parts: Parts<'_>,
    model: &SharedEmbedder,
    waiting: Vec<Waiting>,
    overlay: &mut Overlay,
) -> Result<()> {
    let mut ids = Vec::new();
    let mut places = Vec::new();
    for row in waiting {
        places.push((row.row, row.spans, row.text));
        ids.extend(row.ids);
    }
    let mut vectors = model
        .embed_encoded(ids, parts.shadow.host.interrupts)?
        .into_iter();
    for (row, spans, text) in places {
        let of_row: Vec<SharedVector> = vectors.by_ref().take(spans.len()).collect();
        if let [vector] = &of_row[..] {
            model.cache().put(&text.whole, vector);
        }
        for (span, vector) in spans.into_iter().zip(&of_row) {
            take(parts, overlay, row, span, vector)?;
        }
    }
    Ok(())
}

fn take(
    parts: Parts<'_>,
    overlay: &mut Overlay,
    row: i64,
    span: (i64, i64),
    vector: &SharedVector,
) -> Result<()> {
    overlay.replaced.insert(row);
    overlay.passages.push(Fresh {
        row,
        span,
        stored: parts.shadow.storage().encode(vector)?,
    });
    Ok(())
}

/// Pending rows, the newest first: those noted, and those that no scan has reached.
fn newest_pending(parts: Parts<'_>, content: &Located, settings: &Settings) -> Result<Vec<i64>> {
    let mut seen = HashSet::new();
    let noted = parts.notes.newest(NOTES)?;
    let notes = noted.len();
    let mut ids: Vec<i64> = noted.into_iter().filter(|id| seen.insert(*id)).collect();
    let from = match settings.scanned {
        Scanned::All => return Ok(ids),
        Scanned::Nothing => i64::MIN,
        Scanned::To(key) => key.saturating_add(1),
    };
    // A view would have to be made as a whole.
    if content.origin == Origin::View {
        return Ok(ids);
    }
    let (key, from_where) = parts.content.source(content);
    let _reading = parts.shadow.index.reading_content();
    let mut read = parts.shadow.plain_sql(&format!(
        "SELECT {key} FROM {from_where} WHERE {key} >= ?1 ORDER BY {key} DESC LIMIT ?2"
    ))?;
    read.bind(1, &Value::Integer(from))?;
    read.bind(2, &Value::Integer((NOTES - notes) as i64))?;
    while read.step()? == Row::Ready {
        ids.extend(read.integer(0).filter(|id| seen.insert(*id)));
    }
    Ok(ids)
}
/// A model that cannot be had leaves pending rows out; an interruption ends the query.
pub fn unless_missing(model: Result<SharedEmbedder>) -> Result<Option<SharedEmbedder>> {
    if_there(model)
}
