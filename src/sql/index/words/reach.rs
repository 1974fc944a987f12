//! How many rows a question may find by words, before FTS5 is asked for its rarest runs in its place.

use super::Words;
use crate::error::Result;
use crate::sql::ffi::Value;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// A question that finds no more rows than this is asked as it is. Of one that finds more, the runs that find more
    /// than this alone are common, and left out.
    pub(super) common: i64,
    /// How many rows the runs that are asked for in its place find together at most, a row counted once for each run.
    pub(super) together: i64,
}

/// The most rows of a question in a fusion.
const FUSED: i64 = 5_000;
/// What is never too many for a fusion, however small the index.
const LEAST: i64 = 1_000;
/// In a fusion, a run is common that more than one row in so many has: nDCG@10 is the same, within .002, without such runs
/// (docs/BENCHMARKS.md).
const ONE_IN: i64 = 5;

impl Reach {
    /// For a ranking by words alone.
    pub const WORDS: Reach = Reach {
        common: 20_000,
        together: 20_000,
    };

    /// For a fusion with meaning, over so many rows.
    fn fused(rows: i64) -> Reach {
        Reach {
            common: (rows / ONE_IN).clamp(LEAST, FUSED),
            together: FUSED,
        }
    }
}

impl Words<'_> {
    /// The reach of a fusion with meaning over this index. Rows are counted as far as it matters.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn reach_of_fusion(self) -> Result<Reach> {
        let count = self
            .shadow
            .sql("SELECT count(*) FROM (SELECT 1 FROM {rows} LIMIT ?1)")?;
        let count = count.with(&[Value::Integer(FUSED * ONE_IN)])?;
        Ok(Reach::fused(count.integer_of_first()?.unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_rows_within_bounds() {
        for (rows, common) in [
            (0, 1000),
            (5_004, 1000),
            (5_005, 1001),
            (24_999, 4_999),
            (25_000, 5_000),
            (i64::MAX, 5_000),
        ] {
            let together = 5_000;
            assert_eq!(Reach::fused(rows), Reach { common, together }, "{rows}");
        }
    }
}
