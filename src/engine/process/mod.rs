//! What belongs to the process rather than to a model: leaves, which import nothing of the engine.
//!
//! [`per_process`] is the cell in which the models in use ([`crate::engine::embedding::registry`]) and
//! the start of the runtime ([`crate::engine::inference::runtime`]) keep their state, each in its own
//! static, so that a forked child never touches its parent's; [`lock`] takes a mutex of ours.
//! [`own_library`] is the file that this code was loaded from, [`environment`] writes an environment variable
//! and says who the user is, [`whole_file`] writes files that nobody reads half of,
//! [`ending`] has the end of the process wait for a load.

pub mod ending;
pub mod environment;
pub mod lock;
pub mod own_library;
pub mod per_process;
pub mod whole_file;
