//! The embedding itself, on top of the rooms before: texts in, vectors out.
//!
//! The [`embedder`] of a model looks into its [`vector_cache`] and puts ids into the [`queue`], where callers
//! are joined. [`bulk`] is for many texts, and [`batch`] plans their runs. [`highlight`] finds the
//! sentences of a text that are nearest to a query. [`loading`] is the part of a load that needs no loaded
//! model.

pub mod batch;
pub mod bulk;
pub mod embedder;
pub mod highlight;
pub mod loading;
pub mod queue;
pub mod vector_cache;
