//! SQLite: functions and tables over the engine. Knows everything below it.
//!
//! - [`ffi`]: the only files that touch the C API; everything above is safe Rust.
//! - [`functions`]: scalar functions: decode, one call below, encode.
//! - [`tables`]: table functions.
//! - [`index`]: the semantic index, a virtual table that keeps data.
//! - [`lexer`]: the one lexer for SQL.
//! - [`arguments`]: decoding for both, with messages that say what came and what was wanted.
//! - [`models`]: which models a connection may have.
//! - [`statement`]: what the calls of one statement share.
//! - [`registration`]: what is registered on a connection, in one list.

mod arguments;
pub mod ffi;
mod functions;
mod index;
mod lexer;
mod models;
mod registration;
mod statement;
mod tables;
