//! The maths of the stages. Pure: no SQL, no model, no clock.
//!
//! A row has a *relevance*, a number that is higher for a better row; [`scale`] says what kind of number.
//! - [`fusion`]: one relevance of meaning and words.
//! - [`mmr`] and [`decay`]: what a stage makes of the relevances.
//! - [`ranks`]: the column `rank`, which falls from no row to the next.

pub mod decay;
pub mod fusion;
pub mod mmr;
pub mod ranks;
pub mod scale;

#[cfg(test)]
mod tests;
