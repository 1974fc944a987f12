//! Text to token ids, and long texts into passages: asks a model's tokenizer, runs no model.
//!
//! [`tokenizer`] makes ids; [`chunks`] cuts a text that is too long into passages, at [`borders`];
//! [`size`] says how long a text may be at all.

pub mod borders;
pub mod chunks;
pub mod size;
pub mod tokenizer;
