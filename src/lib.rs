//! # sqlite-bge
//!
//! Embeds text with BGE models inside SQL, and as a plain Rust library.
//!
//! Three layers, imported in one direction only (`vector <- engine <- sql`; `tests/structure.rs`
//! checks it):
//!
//! - [`vector`]: maths on vectors as they are stored.
//! - [`engine`]: text -> vectors, with ONNX Runtime and the model's own tokenizer. Knows nothing
//!   of SQLite; `--no-default-features` builds just this much.
//! - `sql` (feature `sql`): the loadable extension. Entry point `sqlite3_bge_init`; with feature
//!   `loadable` also `sqlite3_extension_init`.
//!
//! ```no_run
//! use bge::engine::{self, Role};
//!
//! let model = engine::model("bge-small-en-v1.5")?;
//! let vector = model.embed("I love machine learning", Role::Passage, &engine::NeverStop)?;
//! assert_eq!(vector.len(), model.dims());
//! # Ok::<(), bge::Error>(())
//! ```

mod error;
mod json;
mod memory;

pub mod engine;
#[cfg(feature = "sql")]
pub mod sql;
pub mod vector;

pub use error::{Error, Kind, Result};

/// The version of this crate.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, where the build said so (`make build` does).
pub const COMMIT: Option<&str> = option_env!("BGE_COMMIT");

// A panic must reach `catch_unwind` at the SQLite border; aborting would take the host down.
#[cfg(not(panic = "unwind"))]
compile_error!("sqlite-bge must be built with panic = \"unwind\"");
