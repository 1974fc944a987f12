//! Text -> vectors. Knows [`crate::vector`] and nothing of SQLite.
//!
//! The life of one call, in the order of the files:
//!
//! 1. [`registry`] finds the [`embedder::Embedder`] of a model name, or loads it (once, however
//!    many threads ask): [`find`] says where models and the runtime may be, [`catalog`] what is
//!    known of the BGE family, [`config`] reads one model folder.
//! 2. [`embedder`] looks into its [`cache`], has [`tokenizer`] make ids, [`batch`] plan runs.
//! 3. [`session`] runs a batch in the one ONNX [`runtime`] and [`pooling`] makes vectors of it.
//!
//! [`process`] holds all process-wide state, so that a forked child never touches its parent's.
//! `native` has the few calls to the operating system. [`report`] is the doctor behind `bge_info`.

pub mod batch;
pub mod cache;
pub mod catalog;
pub mod config;
mod elf;
pub mod embedder;
pub mod find;
pub(crate) mod native;
pub mod options;
pub mod pooling;
pub(crate) mod process;
pub mod registry;
pub mod report;
pub mod runtime;
pub mod session;
pub mod stop;
pub mod tokenizer;

pub use cache::SharedVector;
pub use embedder::{Embedder, Role, SharedEmbedder};
pub use registry::{default_model_name, model};
pub use stop::{NeverStop, Stop};

use crate::error::{Error, Kind, Result};

/// The longest text that is taken, in bytes of UTF-8.
pub const MAX_TEXT_BYTES: usize = 32 << 20;

/// # Errors
/// [`Kind::TooBig`] for a text above [`MAX_TEXT_BYTES`].
pub fn check_text_size(bytes: usize) -> Result<()> {
    if bytes <= MAX_TEXT_BYTES {
        return Ok(());
    }
    Err(Error::new(
        Kind::TooBig,
        format!("the text has {bytes} bytes, the limit is {MAX_TEXT_BYTES}; split it first"),
    ))
}
