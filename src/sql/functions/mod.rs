//! Scalar functions. Each body is: decode the arguments, call one function below, encode.
//!
//! - [`vectors`]: maths on vector blobs.
//! - [`embed`]: text -> vectors and tokens.
//! - [`highlight`]: the sentences of a text that answer a query, marked.
//! - [`rerank`]: pairs of texts -> scores.
//! - [`models`]: what can be used and what is in use.
//! - [`index`]: syncing a semantic index, and how it stands.

mod embed;
mod highlight;
mod index;
mod models;
mod rerank;
mod vectors;

use super::ffi::Function;

pub use models::VERSION;

/// Every scalar function but [`VERSION`], one entry for each number of arguments. Those that write come
/// first.
pub fn all() -> impl Iterator<Item = Function> {
    let groups = [
        models::FUNCTIONS,
        index::FUNCTIONS,
        embed::FUNCTIONS,
        highlight::FUNCTIONS,
        rerank::FUNCTIONS,
        vectors::FUNCTIONS,
    ];
    groups.into_iter().flatten().copied()
}
