//! What is found and configured: which models there are, what their folders hold and say, and how the
//! user wants one loaded. Opens no weights but to read their graph's outline and to hash them; runs nothing.
//!
//! [`find`] says where models may be, by [`searched_path`]s, and [`name`] what they may be called;
//! [`catalog`] is what is known of the BGE family, and
//! [`install`] how to get one of it. [`files`] owns the question which files a model has, each an [`open_file`],
//! [`config`] reads what they say and [`kind`] what the model is for, [`fingerprint`] is what an index remembers of them. [`options`] is what
//! the user asks for, in the words of [`device`], [`precision`], [`pooling`] and [`pass`].

pub mod catalog;
pub mod config;
pub mod device;
pub mod files;
pub mod find;
pub mod fingerprint;
pub mod install;
pub mod kind;
pub mod name;
pub mod open_file;
pub mod options;
pub mod pass;
pub mod pooling;
pub mod precision;
pub mod searched_path;
