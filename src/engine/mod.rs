//! Text -> vectors. Knows [`crate::vector`] and nothing of SQLite.
//!
//! The rooms, each of which uses those before it:
//!
//! 1. `process`: what belongs to the process: state that survives `fork()`, the library's own file.
//! 2. `onnx`: the file format of graphs.
//! 3. `models`: what is found and configured.
//! 4. `text`: token ids and passages.
//! 5. `encoder`: our own kernels for BERT.
//! 6. `graph`: passes over a model's graph.
//! 7. `inference`: running a graph in the one ONNX Runtime.
//! 8. `embedding`: a text to its vector; callers joined.
//! 9. `reranking`: a pair of texts to its score.
//! 10. `loaded`: models of both kinds by name.
//!
//! [`bulk`] has many texts go through a model of either kind. [`Stop`] is how long work asks whether to go on; `memory`
//! is asked for what an input decides the size of. What a Rust program needs is named here; everything else is the
//! crate's own.

pub(crate) mod bulk;
pub(crate) mod embedding;
pub(crate) mod encoder;
pub(crate) mod graph;
pub(crate) mod inference;
pub(crate) mod loaded;
pub(crate) mod models;
pub(crate) mod onnx;
pub(crate) mod process;
pub(crate) mod reranking;
pub(crate) mod stop;
pub(crate) mod text;

pub use bulk::{Bulk, Finished, NextRow, Row, Work};
pub use embedding::bulk::EmbedPassages;
pub use embedding::embedder::{Embedder, Role, Running, SharedEmbedder};
pub use embedding::highlight::best_run;
pub use embedding::vector_cache::{Counters, VectorCache};
pub use inference::runner::SharedVector;
pub use loaded::inventory::{ListedModel, models};
pub use loaded::model::LoadedModel;
pub use loaded::registry::{
    default_model_name, default_reranker_name, load, load_unless, loaded, loaded_model, model,
    model_unless, reranker_unless, unload,
};
pub use loaded::report::report;
pub use models::config::ModelConfig;
pub use models::device::{ArenaExtend, Device, GpuOptions};
pub use models::files::ModelFiles;
pub use models::find::ModelLocation;
pub use models::kind::ModelKind;
pub use models::name::check_name;
pub use models::options::{EncoderChoice, Options, Overflow};
pub use models::pass::{Pass, PassReport};
pub use models::pooling::Pooling;
pub use models::precision::Precision;
pub use reranking::each::ScoreAgainst;
pub use reranking::reranker::{Reranker, SharedReranker};
pub use stop::{NeverStop, Stop};
pub use text::chunks::{Chunk, Passage, Passages};
pub use text::pairs::{Pair, PairEncoder, QueryIds};
pub use text::size::{MAX_TEXT_BYTES, check_text_size};
pub use text::tokenizer::Tokenizer;

/// What the crate's own test programs look into. No promise is made for it.
#[doc(hidden)]
pub mod internals {
    pub use super::graph::int8::Range;
    pub use super::graph::{Facts, apply, edit, precision, resident};
    pub use super::inference::loaded_graph::{Graph, Settings};
    pub use super::inference::session::Session;
    pub use super::onnx::graph::OnnxGraph;
    pub use super::onnx::{protobuf, tensors};
    pub use super::text::chunks::split;
    pub use super::text::cuts::may_cut_before;
}
