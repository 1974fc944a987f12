//! Text -> vectors. Knows [`crate::vector`] and nothing of SQLite.
//!
//! The life of one call, in the order of the files:
//!
//! 1. [`registry`] finds the [`embedder::Embedder`] of a model name, or loads it (once, however
//!    many threads ask): [`find`] says where models and the runtime may be, [`catalog`] what is
//!    known of the BGE family, [`config`] reads one model folder, [`options`] what the user wants
//!    otherwise, `elf` and [`precision`] look at files before and after they are opened.
//! 2. [`embedder`] looks into its [`cache`], has [`tokenizer`] make ids, and puts them into the
//!    [`queue`], where callers are joined. Many texts come through [`bulk`], and [`batch`] plans
//!    their runs.
//! 3. [`session`] runs a batch in the one ONNX [`runtime`] and [`pooling`] makes vectors of it, where
//!    the graph does not: [`prepare`] loads it, changed by the passes in [`graph`].
//!    [`device`] is where it may run, [`providers`] how the runtime calls that, `assignment` what it really does.
//!
//! [`chunks`] cuts a text that is too long into passages, at `borders`. [`stop`] is how long work asks
//! whether to go on. [`process`] holds all process-wide state, so that a forked child never touches
//! its parent's. `native` has the few calls to the operating system. [`report`] is the doctor behind
//! `bge_info`, [`inventory`] the list behind `bge_models`, `fingerprint` what an index remembers of a
//! model.

mod assignment;
pub mod batch;
mod borders;
pub mod bulk;
pub mod cache;
pub mod catalog;
pub mod chunks;
pub mod config;
pub mod device;
mod elf;
pub mod embedder;
pub mod find;
mod fingerprint;
pub mod graph;
pub mod inventory;
pub(crate) mod native;
pub mod options;
pub mod pooling;
pub mod precision;
pub mod prepare;
pub(crate) mod process;
pub mod providers;
pub mod queue;
pub mod registry;
pub mod report;
pub mod runtime;
pub mod session;
pub mod stop;
pub mod tokenizer;

pub use cache::SharedVector;
pub use embedder::{Embedder, Role, SharedEmbedder};
pub use registry::{default_model_name, load, model, model_unless, unload};
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
