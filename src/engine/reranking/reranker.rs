//! One loaded reranker: tokenizer and scorer behind "query and texts in, scores out".

use crate::engine::embedding::batch;
use crate::engine::embedding::embedder::Running;
use crate::engine::embedding::loading::{batch_tokens, load_whole};
use crate::engine::inference::scorer::Scorer;
use crate::engine::models::config::ModelConfig;
use crate::engine::models::device::is_out_of_memory;
use crate::engine::models::files::ModelFiles;
use crate::engine::models::find::ModelLocation;
use crate::engine::models::kind::check_reranker;
use crate::engine::models::options::{Options, Overflow};
use crate::engine::models::pass::PassReport;
use crate::engine::models::precision::Precision;
use crate::engine::reranking::prepare;
use crate::engine::reranking::turns::Turns;
use crate::engine::stop::{NeverStop, Stop};
use crate::engine::text::pairs::{Pair, PairEncoder, QueryIds, USUAL_LENGTH};
use crate::engine::text::size::check_text_size;
use crate::engine::text::tokenizer::Tokenizer;
use crate::error::{Error, Kind, Result};
use crate::memory::reserved;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// A reranker that is loaded. Shared by all threads; one batch runs at a time, on all its threads.
pub struct Reranker {
    name: String,
    folder: PathBuf,
    graph: PathBuf,
    weight_bytes: u64,
    overflow: Overflow,
    device: Running,
    threads: usize,
    precision: Precision,
    passes: Vec<PassReport>,
    native: std::result::Result<(&'static str, &'static str), String>,
    encoder: PairEncoder,
    scorer: Turns<Scorer>,
    budget: AtomicUsize,
    runs: Arc<AtomicU64>,
}

/// A loaded reranker, shared.
pub type SharedReranker = Arc<Reranker>;

/// Pairs on which a changed graph is compared with the file's: of two lengths.
const PROBES: [(&str, &str); 2] = [
    (
        "What does a pass change?",
        "Nothing that anybody could see in a score.",
    ),
    (
        "how long is a router reset",
        "Hold the small button for ten seconds, until the light goes out, to restore the settings.",
    ),
];

impl Reranker {
    /// Loads a reranker under a name. Asks `stop` between the steps.
    ///
    /// # Errors
    /// A folder or graph that is no cross-encoder's with one label, an option that is out of its range or
    /// for embedding models, no runtime, files that change while they are read, an interruption.
    pub fn load(
        name: &str,
        location: &ModelLocation,
        options: &Options,
        stop: &(dyn Stop + Sync),
    ) -> Result<Self> {
        let open = || {
            check_reranker(&location.folder)?;
            location.files()
        };
        let load = |files: &ModelFiles| Self::load_files(name, location, files, options, stop);
        load_whole(name, open, load)
    }

    fn load_files(
        name: &str,
        location: &ModelLocation,
        files: &ModelFiles,
        options: &Options,
        stop: &(dyn Stop + Sync),
    ) -> Result<Self> {
        check_options(options)?;
        let config = configure(location, options)?;
        let encoder = PairEncoder::new(Tokenizer::load(files, &config)?, &config)?;
        stop.check()?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = options.threads.unwrap_or_else(cores);
        let probe = PROBES.map(|(query, text)| encoder.encode(query, text, &NeverStop));
        let probe: Vec<Pair> = probe
            .into_iter()
            .map(|made| made.map(|(pair, _)| pair))
            .collect::<Result<_>>()?;
        let prepared = prepare::load(files, &config, options, threads, &probe, stop)?;
        let budget = options
            .batch_tokens
            .unwrap_or_else(|| batch_tokens(prepared.device, options, &config));
        Ok(Reranker {
            name: name.to_owned(),
            folder: files.folder().to_path_buf(),
            graph: files.graph().to_path_buf(),
            weight_bytes: files.bytes(),
            overflow: options.overflow,
            device: Running {
                asked: options.device,
                got: prepared.device,
                reason: prepared.device_reason,
                nodes: prepared.scorer.nodes().cloned(),
            },
            threads,
            precision: prepared.precision,
            passes: prepared.passes,
            native: prepared.native.map(|native| native.describe()),
            encoder,
            runs: prepared.scorer.runs(),
            scorer: Turns::new(prepared.scorer),
            budget: AtomicUsize::new(budget),
        })
    }

    /// The score of a text as an answer to a query: the logit of the model's one label, as the model gives
    /// it. Scores of one query can be compared; `1 / (1 + exp(-score))` is between 0 and 1.
    ///
    /// # Errors
    /// A text above the limit, one that would be cut where the options forbid it, an interruption, a failure
    /// of the runtime.
    pub fn score(&self, query: &str, text: &str, stop: &dyn Stop) -> Result<f64> {
        let pair = self.encode(&self.query(query, stop)?, text, stop)?;
        let scores = self.score_encoded(&[pair], stop)?;
        scores
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("a pair has no score"))
    }

    /// The scores of many texts against one query, in their order, by batches of like length.
    ///
    /// # Errors
    /// As [`Self::score`]; asks `stop` before each batch.
    pub fn score_many(&self, query: &str, texts: &[&str], stop: &dyn Stop) -> Result<Vec<f64>> {
        let query = self.query(query, stop)?;
        let mut pairs = reserved(texts.len())?;
        for text in texts {
            pairs.push(self.encode(&query, text, stop)?);
        }
        self.score_encoded(&pairs, stop)
    }

    /// The ids of a query, for [`Self::encode`].
    ///
    /// # Errors
    /// A text above the limit, an interruption.
    pub fn query(&self, query: &str, stop: &dyn Stop) -> Result<QueryIds> {
        check_text_size(query.len())?;
        self.encoder.query(query, stop)
    }

    /// A query and a text as the model sees them, for [`Self::score_encoded`].
    ///
    /// # Errors
    /// As [`Self::query`]; a pair that would be cut where the options forbid it.
    pub fn encode(&self, query: &QueryIds, text: &str, stop: &dyn Stop) -> Result<Pair> {
        check_text_size(text.len())?;
        let (pair, is_cut) = self.encoder.encode_with(query, text, stop)?;
        if is_cut && self.overflow == Overflow::Error {
            return Err(Error::invalid(format!(
                "query and text do not fit: model '{}' reads {} tokens of both together, and three quarters \
                 of them of the query; split the text with bge_chunks, or load the model with overflow \
                 'truncate'",
                self.name,
                self.max_length()
            )));
        }
        Ok(pair)
    }

    /// Runs what [`Self::encode`] gave.
    ///
    /// # Errors
    /// An interruption (asked for before each batch), a failure of the runtime.
    pub fn score_encoded(&self, pairs: &[Pair], stop: &dyn Stop) -> Result<Vec<f64>> {
        let lengths: Vec<usize> = pairs.iter().map(|pair| pair.ids.len()).collect();
        let plan = batch::plan(&lengths, self.batch_tokens());
        let mut scores = reserved(pairs.len())?;
        scores.resize(pairs.len(), 0.0);
        for range in plan.batches {
            let members = &plan.order[range];
            let batch: Vec<&Pair> = members.iter().map(|&i| &pairs[i]).collect();
            let run = |scorer: &mut Scorer| self.run_fitting(scorer, &batch);
            let found = self.scorer.take(stop, run).map_err(|e| self.say(e))?;
            for (&i, score) in members.iter().zip(found) {
                scores[i] = score;
            }
        }
        Ok(scores)
    }

    /// The scores of a batch, run in as many parts as its memory wants.
    fn run_fitting(&self, scorer: &mut Scorer, batch: &[&Pair]) -> Result<Vec<f64>> {
        let width = batch.iter().map(|pair| pair.ids.len()).max().unwrap_or(0);
        match scorer.score(batch) {
            Err(e) if is_out_of_memory(e.message()) && batch.len() > 1 => {
                let half = (width * batch.len() / 2).max(1);
                self.budget.fetch_min(half, Ordering::Relaxed);
                let (left, right) = batch.split_at(batch.len() / 2);
                let mut scores = self.run_fitting(scorer, left)?;
                scores.extend(self.run_fitting(scorer, right)?);
                Ok(scores)
            }
            outcome => outcome,
        }
    }

    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder it was loaded from.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The graph's file.
    pub fn graph(&self) -> &Path {
        &self.graph
    }

    /// The size of the files with its weights.
    pub fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    /// The most tokens of a query and a text together, special tokens included.
    pub fn max_length(&self) -> usize {
        self.encoder.max_length()
    }

    /// Threads of one run.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs of the graph so far.
    pub fn inferences(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// What the graph computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The kernels of our own encoder and where its weights are, or why the graph runs whole.
    ///
    /// # Errors
    /// That reason.
    pub fn native(&self) -> std::result::Result<(&'static str, &'static str), &str> {
        self.native.as_ref().copied().map_err(String::as_str)
    }

    /// What became of each graph pass.
    pub fn passes(&self) -> &[PassReport] {
        &self.passes
    }

    /// The device asked for, and the one it got.
    pub fn device(&self) -> &Running {
        &self.device
    }

    /// Padded tokens in one run: as loaded, less where memory ran out.
    pub fn batch_tokens(&self) -> usize {
        self.budget.load(Ordering::Relaxed)
    }

    /// What happens to a pair that is too long.
    pub fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// Says which model an error is about; an interruption is about none.
    fn say(&self, error: Error) -> Error {
        if error.kind() == Kind::Interrupted {
            error
        } else {
            error.at(format_args!("model '{}'", self.name))
        }
    }
}

/// # Errors
/// An option that has a meaning for embedding models alone.
fn check_options(options: &Options) -> Result<()> {
    let given = [
        ("pooling", options.pooling.is_some()),
        ("query_instruction", options.query_instruction.is_some()),
        ("cache_mb", options.cache_mb.is_some()),
        ("graph_cache", options.graph_cache.is_some()),
    ];
    if let Some((key, _)) = given.iter().find(|(_, given)| *given) {
        return Err(Error::invalid(format!(
            "option {key} is for embedding models, and this is a reranking model; leave it out"
        )));
    }
    Ok(())
}

/// What the folder says, changed by the options. A pair has at most [`USUAL_LENGTH`] tokens, unless more are
/// asked for and the model reads them.
fn configure(location: &ModelLocation, options: &Options) -> Result<ModelConfig> {
    let mut config = ModelConfig::read(&location.folder, &location.model)?;
    let wanted = options.max_length.unwrap_or(USUAL_LENGTH);
    if options.max_length.is_some() && wanted > config.max_length {
        return Err(Error::invalid(format!(
            "option max_length is {wanted}, the model reads at most {} tokens",
            config.max_length
        )));
    }
    config.max_length = config.max_length.min(wanted);
    Ok(config)
}
