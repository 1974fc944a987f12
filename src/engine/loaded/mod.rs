//! Models by name, of every kind: which are loaded, and how they are.
//!
//! [`model`] is one of them; [`registry`] finds the one of a name, or has it loaded, once however many ask.
//! [`inventory`] lists what can be used and is in use, [`report`] says how it is.

pub mod inventory;
pub mod model;
pub mod registry;
pub mod report;
