//! Many queries over the same codes: which pairs of them may be near.
//!
//! A pair is *near* where its lower bound ([`Query::scan`]) is at most a given distance. Which pairs these are
//! depends on no CPU; how fast they are found does ([`super::tiles`]).

use crate::error::Result;
use crate::vector::codes::query::{Near, Query};
#[cfg(target_arch = "x86_64")]
use crate::vector::codes::tiles::{Avx512Vnni, Tiles};

/// Queries that codes are compared with together.
pub struct Queries {
    queries: Vec<Query>,
    /// Bounds of one query, kept from one to the next.
    bounds: Vec<f32>,
    #[cfg(target_arch = "x86_64")]
    tiles: Option<Tiles>,
}

impl Queries {
    /// Queries of one coder.
    pub fn new(queries: Vec<Query>) -> Self {
        Queries {
            #[cfg(target_arch = "x86_64")]
            tiles: Avx512Vnni::detect().map(|cpu| Tiles::new(cpu, &queries)),
            queries,
            bounds: Vec::new(),
        }
    }

    /// Appends every pair whose lower bound, at `z` standard errors, is `most` or less, in no order.
    ///
    /// # Errors
    /// `codes` is no whole number of codes; nothing is appended.
    pub fn near(&mut self, codes: &[u8], z: f32, most: f64, near: &mut Vec<Near>) -> Result<()> {
        #[cfg(target_arch = "x86_64")]
        if let Some(tiles) = &mut self.tiles {
            if let Some(query) = self.queries.first() {
                query.check(codes)?;
            }
            tiles.near(&self.queries, codes, z, most, near);
            return Ok(());
        }
        self.near_one_by_one(codes, z, most, near)
    }

    fn near_one_by_one(
        &mut self,
        codes: &[u8],
        z: f32,
        most: f64,
        near: &mut Vec<Near>,
    ) -> Result<()> {
        for (query, scan) in self.queries.iter().enumerate() {
            self.bounds.clear();
            scan.scan(codes, z, &mut self.bounds)?;
            for (code, &bound) in self.bounds.iter().enumerate() {
                if f64::from(bound) <= most {
                    near.push(Near {
                        code: code as u32,
                        query: query as u32,
                    });
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vector::codes::rotation::SplitMix64;
    use crate::vector::codes::{Coder, DEFAULT_Z};
    use proptest::prelude::*;

    fn vectors(count: usize, dims: usize, random: &mut SplitMix64) -> Vec<Vec<f32>> {
        let mut next = || (random.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
        let mut one = |kind: usize| match kind % 5 {
            0 => vec![0.0; dims],
            1 => (0..dims).map(|_| next().signum()).collect(),
            _ => (0..dims).map(|i| next() + (i % 3) as f32 / 2.0).collect(),
        };
        (0..count).map(&mut one).collect()
    }

    /// The pairs of both ways, sorted.
    fn both(queries: Vec<Query>, codes: &[u8], z: f32, most: f64) -> (Vec<Near>, Vec<Near>) {
        let mut queries = Queries::new(queries);
        let (mut fast, mut plain) = (Vec::new(), Vec::new());
        queries.near(codes, z, most, &mut fast).unwrap();
        queries.near_one_by_one(codes, z, most, &mut plain).unwrap();
        fast.sort_unstable();
        plain.sort_unstable();
        (fast, plain)
    }

    proptest! {
        #[test]
        fn every_version_finds_the_same_pairs(
            dims in prop_oneof![1usize..70, Just(384), Just(511), Just(768)],
            (rows, asked) in (0usize..70, 0usize..20),
            most in prop_oneof![-0.1f64..2.1, Just(0.0), Just(2.0)],
            z in prop_oneof![Just(DEFAULT_Z), 5.0f32..90.0],
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            seed in any::<u64>(),
        ) {
            let mut random = SplitMix64(seed);
            let coder = Coder::new(dims, vec![0.3 / (dims as f32).sqrt(); dims], seed).unwrap();
            let mut codes = vec![0; rows * coder.code_bytes()];
            coder.encode_all(&vectors(rows, dims, &mut random).concat(), &mut codes).unwrap();
            for (place, byte) in damage {
                if !codes.is_empty() {
                    let place = place.index(codes.len());
                    codes[place] = byte;
                }
            }
            let queries = vectors(asked, dims, &mut random);
            let queries = queries.iter().map(|q| coder.query(q).unwrap()).collect();
            let (fast, plain) = both(queries, &codes, z, most);
            prop_assert_eq!(fast, plain);
        }
    }

    #[test]
    fn codes_without_meaning_are_near_and_parts_of_codes_refused() {
        let coder = Coder::new(40, vec![0.01; 40], 5).unwrap();
        let mut code = vec![0; coder.code_bytes()];
        coder.encode(&[0.5; 40], &mut code).unwrap();
        for figure in 0..3 {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut code = code.clone();
                code[10 + 4 * figure..][..4].copy_from_slice(&bad.to_le_bytes());
                let query = coder.query(&[-1.0; 40]).unwrap();
                let (fast, plain) = both(vec![query], &code, DEFAULT_Z, 0.1);
                assert_eq!((fast.len(), plain.len()), (1, 1), "{figure} {bad}");
            }
        }
        let mut queries = Queries::new(vec![coder.query(&[1.0; 40]).unwrap()]);
        assert!(queries.near(&code[1..], 5.0, 1.0, &mut Vec::new()).is_err());
    }

    /// `cargo test --release --lib pairs_speed -- --ignored --nocapture`
    #[test]
    #[ignore = "a measurement"]
    fn pairs_speed() {
        let (dims, rows, asked) = (384, 1024, 256);
        let mut random = SplitMix64(1);
        let coder = Coder::new(dims, vec![0.0; dims], 1).unwrap();
        let mut codes = vec![0; rows * coder.code_bytes()];
        coder
            .encode_all(&vectors(rows, dims, &mut random).concat(), &mut codes)
            .unwrap();
        let queries = vectors(asked, dims, &mut random);
        let queries = queries.iter().map(|q| coder.query(q).unwrap()).collect();
        let mut queries = Queries::new(queries);
        let mut near = Vec::new();
        let mut best = [f64::INFINITY; 2];
        for _ in 0..20 {
            let start = std::time::Instant::now();
            queries.near(&codes, 5.0, 0.05, &mut near).unwrap();
            best[0] = best[0].min(start.elapsed().as_secs_f64());
            let start = std::time::Instant::now();
            queries
                .near_one_by_one(&codes, 5.0, 0.05, &mut near)
                .unwrap();
            best[1] = best[1].min(start.elapsed().as_secs_f64());
            near.clear();
        }
        let pairs = (rows * asked) as f64;
        println!(
            "{:.2} ns a pair together, {:.2} one by one",
            1e9 * best[0] / pairs,
            1e9 * best[1] / pairs
        );
    }
}
