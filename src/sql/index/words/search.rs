//! Asking the FTS5 table for the rows that hold a word of a question, with their bm25.
//!
//! FTS5 computes bm25 for every row that holds one of the words (what that costs: docs/BENCHMARKS.md), and words such as
//! "the" or "of" are in very many rows while they say nothing. So where the whole question finds more rows than its
//! [`Reach`] takes, it is asked with its rarest runs only, and at least with one. Counting costs far less. Where it
//! finds no more, and so in every small index, the answer is what FTS5 gives for the whole question.

use super::question::{any_of, names, runs, words_of};
use super::{Reach, Words};
use crate::error::{Kind, Result};
use crate::sql::ffi::{Row, Value};
use crate::sql::lexer::quote_name;

/// The rows of a question's runs that are counted, a row once for each run: a tenth of a second.
const COUNTED: i64 = 5_000_000;
/// The most runs that FTS5 is asked for at once: it looks for all of them in every row that it finds.
const AT_ONCE: usize = 256;

/// A row that holds a word of the question.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hit {
    /// Its rowid, which need not be that of a row of the index.
    pub row: i64,
    /// FTS5's: the lower, the better.
    pub bm25: f64,
}

/// The lists of a question that a fusion takes.
#[derive(Debug)]
pub struct Lists {
    /// The rows that hold a word of the question, the best first.
    pub all: Vec<Hit>,
    /// Those that hold what it names; none where that is all of it, and so the same rows.
    pub names: Option<Vec<Hit>>,
    /// The share of what it names in the question, 0 to 1.
    pub share: f64,
}

impl Words<'_> {
    /// The rows that hold a word of the question, the best first, ties by rowid. No text is an error; one without
    /// a letter or a digit finds nothing.
    ///
    /// # Errors
    /// The table is missing or damaged; an interruption.
    pub fn list(self, question: &str, reach: Reach) -> Result<Vec<Hit>> {
        self.list_checked(runs(question), reach)
    }

    /// [`Self::list`], and the same for what the question names, see [`super::question::names`].
    ///
    /// # Errors
    /// As there.
    pub fn lists(self, question: &str, reach: Reach) -> Result<Lists> {
        let runs = runs(question);
        let (names, share) = names(&runs);
        let names = match names.len() == runs.len() {
            true => None,
            false => Some(self.list_checked(names, reach)?),
        };
        Ok(Lists {
            all: self.list_checked(runs, reach)?,
            names,
            share,
        })
    }

    fn list_checked(self, runs: Vec<&str>, reach: Reach) -> Result<Vec<Hit>> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        self.check_ready()?;
        self.told(self.list_of(runs, reach))
    }

    fn list_of(self, runs: Vec<&str>, reach: Reach) -> Result<Vec<Hit>> {
        // A table of the user's may have a content that reads the index.
        let _reading = self.shadow.index.reading_content();
        if runs.len() <= AT_ONCE
            && let Some(hits) = self.list_at_once(&runs, reach)?
        {
            return Ok(hits);
        }
        let runs = self.understood(runs)?;
        match runs.len() {
            ..=AT_ONCE => Ok(self.list_at_once(&runs, reach)?.unwrap_or_default()),
            _ => self.ask(&self.rarest(&runs, reach)?),
        }
    }

    /// The list for so many runs; `None` where FTS5 refuses one of them.
    fn list_at_once(self, runs: &[&str], reach: Reach) -> Result<Option<Vec<Hit>>> {
        Ok(match self.count(runs, reach.common)? {
            None => None,
            Some(found) if found <= reach.common => Some(self.ask(runs)?),
            Some(_) => Some(self.ask(&self.rarest(runs, reach)?)?),
        })
    }

    /// How many rows hold one of the runs, counted up to one more than `most`; `None` where FTS5 refuses the query, as
    /// tables without places refuse phrases.
    fn count(self, runs: &[&str], most: i64) -> Result<Option<i64>> {
        if runs.is_empty() {
            return Ok(Some(0));
        }
        let mut count = self.shadow.kept("count words", || {
            let (from, name) = self.source();
            format!("SELECT count(*) FROM (SELECT 1 FROM {from} WHERE {name} MATCH ?1 LIMIT ?2)")
        })?;
        count.bind(1, &Value::from(any_of(runs)))?;
        count.bind(2, &Value::Integer(most.saturating_add(1)))?;
        match count.step() {
            Ok(_) => Ok(Some(count.integer(0).unwrap_or(0))),
            Err(e) if e.kind() == Kind::Invalid => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// The runs that FTS5 takes, or their words where it refuses a run; those that are in no row are left out.
    fn understood(self, runs: Vec<&str>) -> Result<Vec<&str>> {
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for run in runs {
            match self.count(&[run], 0)? {
                Some(0) => {}
                Some(_) => taken.push(run),
                None => refused.push(run),
            }
        }
        let mut refused_words = Vec::new();
        for word in words_of(&refused) {
            match self.count(&[word], 0)? {
                Some(0) => {}
                Some(_) if taken.contains(&word) => {}
                Some(_) => taken.push(word),
                None => refused_words.push(word),
            }
        }
        match refused_words.first() {
            // What FTS5 says of it: a `trigram` table without places, say, takes no word of more than three letters.
            Some(word) if taken.is_empty() => self.ask(&[word]).map(|_| taken),
            _ => Ok(taken),
        }
    }

    /// The rarest runs: those that are not common, as many as find no more rows together than the reach takes, and at least
    /// one, however common. They are counted round by round: rare ones need not be counted far. What is still to be
    /// counted after [`COUNTED`] rows passes for common.
    fn rarest<'q>(self, runs: &[&'q str], reach: Reach) -> Result<Vec<&'q str>> {
        let (mut counted, mut common, mut rows_left) = (Vec::new(), runs.to_vec(), COUNTED);
        for most in [reach.common / 40, reach.common / 4, reach.common] {
            let rows: i64 = counted.iter().map(|(rows, _)| rows).sum();
            if rows > reach.together {
                break;
            }
            let mut more = Vec::new();
            for run in common {
                if rows_left <= 0 {
                    more.push(run);
                    continue;
                }
                let rows = self.count(&[run], most)?.unwrap_or(0);
                rows_left -= rows;
                match rows {
                    0 => {}
                    rows if rows <= most => counted.push((rows, run)),
                    _ => more.push(run),
                }
            }
            common = more;
        }
        if counted.is_empty() {
            counted.extend(self.rarest_of_common(&common)?);
        }
        counted.sort_by_key(|(rows, _)| *rows);
        let mut sum = 0;
        let fits = |(rows, _): &(i64, &str)| {
            let is_first = sum == 0;
            sum += rows;
            is_first || sum <= reach.together
        };
        let rarest = counted.into_iter().take_while(fits).take(AT_ONCE);
        Ok(rarest.map(|(_, run)| run).collect())
    }

    /// Of runs that very many rows have the rarest one, and in how many rows it is; of some of them, as many as stand
    /// in a long sentence.
    fn rarest_of_common<'q>(self, runs: &[&'q str]) -> Result<Option<(i64, &'q str)>> {
        const SOME: usize = 64;
        let mut rarest: Option<(i64, &str)> = None;
        for run in runs.iter().take(SOME) {
            // No farther than to know that another one is rarer.
            let most = rarest.map_or(i64::MAX, |(rows, _)| rows);
            let rows = self.count(&[run], most)?.unwrap_or(0);
            if rows > 0 && rows <= most {
                rarest = Some((rows, run));
            }
        }
        Ok(rarest)
    }

    fn ask(self, runs: &[&str]) -> Result<Vec<Hit>> {
        if runs.is_empty() {
            return Ok(Vec::new());
        }
        let mut read = self.shadow.kept("ask for words", || {
            let (from, name) = self.source();
            format!("SELECT rowid, bm25({name}) FROM {from} WHERE {name} MATCH ?1")
        })?;
        read.bind(1, &Value::from(any_of(runs)))?;
        let mut hits = Vec::new();
        while read.step()? == Row::Ready {
            if hits.len() % 4096 == 0 {
                self.shadow.host.interrupts.check()?;
            }
            let bm25 = match read.column(1)? {
                Value::Real(bm25) => bm25,
                _ => 0.0,
            };
            let row = read.integer(0).unwrap_or(0);
            hits.push(Hit { row, bm25 });
        }
        hits.sort_unstable_by(|a, b| a.bm25.total_cmp(&b.bm25).then(a.row.cmp(&b.row)));
        Ok(hits)
    }

    /// The table as it stands behind FROM, and before MATCH.
    pub(super) fn source(self) -> (String, String) {
        let table = self.table();
        (self.shadow.names().in_schema(&table), quote_name(&table))
    }
}
