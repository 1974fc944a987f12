//! Many bounds in ascending order, of which usually only the first few are asked for.
//!
//! Sorting 200,000 numbers costs more than computing them. Here they are counted into buckets once,
//! and then gathered and sorted some buckets at a time, as far as the caller goes.

const BUCKETS: usize = 4096;
/// The first bucket takes everything below, the last everything above.
const LOWEST: f32 = -0.5;
const PER_UNIT: f32 = 1024.0;
/// Numbers in the first portion; each later one has four times as many.
const FIRST_PORTION: usize = 256;

/// See the module.
#[derive(Clone, Debug)]
pub struct Ascending {
    bounds: Vec<f32>,
    counts: Vec<u32>,
    /// Buckets from here on have not been gathered.
    next_bucket: usize,
    portion: usize,
    /// What was gathered, the smallest last.
    ready: Vec<(f32, u32)>,
}

fn bucket(bound: f32) -> usize {
    // NaN and everything below the first bucket become 0; +infinity is left out by its value.
    (((bound - LOWEST) * PER_UNIT) as usize).min(BUCKETS - 1)
}

impl Ascending {
    /// Bounds, each with its place in the vector; +infinity stands for none.
    pub fn new(bounds: Vec<f32>) -> Self {
        let mut counts = vec![0; BUCKETS];
        for &bound in &bounds {
            counts[bucket(bound)] += u32::from(bound != f32::INFINITY);
        }
        Ascending {
            bounds,
            counts,
            next_bucket: 0,
            portion: FIRST_PORTION,
            ready: Vec::new(),
        }
    }

    /// The smallest bound that has not been taken.
    pub fn peek(&mut self) -> Option<f32> {
        self.gather();
        self.ready.last().map(|&(bound, _)| bound)
    }

    /// Takes it; the place that it had.
    pub fn take(&mut self) -> Option<usize> {
        self.gather();
        self.ready.pop().map(|(_, place)| place as usize)
    }

    fn gather(&mut self) {
        while self.ready.is_empty() && self.next_bucket < BUCKETS {
            let (first, mut count) = (self.next_bucket, 0);
            while self.next_bucket < BUCKETS && count < self.portion {
                count += self.counts[self.next_bucket] as usize;
                self.next_bucket += 1;
            }
            self.portion *= 4;
            if count == 0 {
                continue;
            }
            self.ready.reserve(count);
            for (place, &bound) in self.bounds.iter().enumerate() {
                let of_portion = (first..self.next_bucket).contains(&bucket(bound));
                if of_portion && bound != f32::INFINITY {
                    self.ready.push((bound, place as u32));
                }
            }
            self.ready
                .sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_sort(
            bounds in proptest::collection::vec(
                prop_oneof![-1.0f32..5.0, 0.3f32..0.301, Just(f32::NEG_INFINITY), Just(f32::INFINITY)],
                0..3000,
            )
        ) {
            let mut sorted: Vec<f32> = bounds.iter().copied().filter(|b| *b != f32::INFINITY).collect();
            sorted.sort_unstable_by(f32::total_cmp);
            let mut ascending = Ascending::new(bounds.clone());
            let mut seen = vec![false; bounds.len()];
            for want in sorted {
                prop_assert_eq!(ascending.peek(), Some(want));
                let place = ascending.take().unwrap();
                prop_assert_eq!(bounds[place], want);
                prop_assert!(!std::mem::replace(&mut seen[place], true));
            }
            prop_assert_eq!(ascending.peek(), None);
            prop_assert_eq!(ascending.take(), None);
        }
    }
}
