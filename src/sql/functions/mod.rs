//! Scalar functions. Each body is: decode the arguments, call one function below, encode.
//!
//! - [`vectors`]: maths on vector blobs.
//! - [`embed`]: text -> vectors and tokens.
//! - [`models`]: what can be used and what is in use.
//! - [`index`]: syncing a semantic index, and how it stands.

mod embed;
mod index;
mod models;
mod vectors;

use super::ffi::Function;

/// Every scalar function, one entry for each number of arguments; `bge_version` is the last.
pub fn all() -> impl Iterator<Item = Function> {
    let groups = [
        vectors::FUNCTIONS,
        embed::FUNCTIONS,
        index::FUNCTIONS,
        models::FUNCTIONS,
    ];
    groups.into_iter().flatten().copied()
}
