//! Text to token ids, and long texts into passages: asks a model's tokenizer, runs no model.
//!
//! [`tokenizer`] makes ids, of windows between [`cuts`] and of what is a [`long_word`]; [`chunks`] cuts a text that is too long into passages, at [`borders`], reading it in [`piece`]s; [`sentences`] are between
//! borders of one kind;
//! [`pairs`] makes ids of two texts at once; [`size`] says how long a text may be at all.

pub mod borders;
pub mod chunks;
pub mod cuts;
pub mod long_word;
pub mod pairs;
pub mod piece;
pub mod sentences;
pub mod size;
pub mod tokenizer;
