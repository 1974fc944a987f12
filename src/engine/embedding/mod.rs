//! The embedding itself, on top of the other rooms: models by name, texts in, vectors out.
//!
//! [`registry`] finds the [`embedder`] of a name, or has it loaded; that looks into its [`vector_cache`] and
//! puts ids into the [`queue`], where callers are joined. Many texts come through [`bulk`], and [`batch`]
//! plans their runs. [`loading`] is the part of a load that needs no loaded model, [`inventory`] lists what can be used and is in use, [`report`] says how it is.

pub mod batch;
pub mod bulk;
pub mod embedder;
pub mod inventory;
pub mod loading;
pub mod queue;
pub mod registry;
pub mod report;
pub mod vector_cache;
