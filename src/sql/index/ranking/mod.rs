//! How rows are ranked, where not by their distance alone.
//!
//! A ranking is a *pipeline*: a first stage gathers candidates from the lists by meaning and by words, and each
//! further stage puts them in a new order. Two folders are pure: [`language`], what a user writes, and [`maths`],
//! what the stages compute.
//!
//! At work:
//! - [`run`]: which ranking a query has, and the answer that comes of it.
//! - [`pool`] gathers the candidates of the first stage, [`stages`] puts them in a new order.
//! - [`answer`]: the rows one after the other, those of the pool and those behind it; [`hit`] is one.

pub mod answer;
pub mod hit;
pub mod language;
mod maths;
mod pool;
pub mod run;
mod stages;
