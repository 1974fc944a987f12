//! Relevance that falls with age.
//!
//! With each half-life a row loses half of what is left of its relevance, as with the `exp` decay of other
//! search engines. A relevance below 0 falls by the same amount, so that age never makes a row better. A row
//! without a time does not decay, and what lies in the future is new.

/// The relevance at its age. `time` and `now` in Unix seconds, `half_life` in seconds and above 0.
pub fn decayed(relevance: f64, time: Option<f64>, now: f64, half_life: f64) -> f64 {
    let Some(time) = time else {
        return relevance;
    };
    let age = (now - time).max(0.0);
    let left = 0.5_f64.powf(age / half_life);
    relevance - relevance.abs() * (1.0 - left)
}
