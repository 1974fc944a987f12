//! One loaded model: tokenizer, queue and cache behind "text in, vector out".

use crate::engine::embedding::batch;
use crate::engine::embedding::loading::{batch_tokens, configure, load_and_know, load_whole};
use crate::engine::embedding::queue::Queue;
use crate::engine::embedding::vector_cache::VectorCache;
use crate::engine::encoder::packed_file::Fingerprints;
use crate::engine::inference::assignment::Nodes;
use crate::engine::inference::prepare::Wanted;
use crate::engine::inference::runner::SharedVector;
use crate::engine::inference::runtime;
use crate::engine::inference::session::Session;
use crate::engine::models::config::ModelConfig;
use crate::engine::models::device::Device;
use crate::engine::models::files::ModelFiles;
use crate::engine::models::find::ModelLocation;
use crate::engine::models::fingerprint::{self, Fingerprint};
use crate::engine::models::options::{Options, Overflow};
use crate::engine::models::pass::PassReport;
use crate::engine::models::precision::Precision;
use crate::engine::stop::{NeverStop, Stop};
use crate::engine::text::chunks::{self, Chunk, Passages};
use crate::engine::text::size::check_text_size;
use crate::engine::text::tokenizer::Tokenizer;
use crate::error::{Error, Kind, Result};
use crate::memory::{reserved, reserved_text};
use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a text is to retrieval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Something that is searched: embedded as it is.
    Passage,
    /// Something to search with: the model's query instruction goes in front.
    Query,
}

/// A model that is loaded. Shared by all threads; one inference runs at a time, on all its threads.
pub struct Embedder {
    name: String,
    folder: PathBuf,
    graph: PathBuf,
    weight_bytes: u64,
    config: ModelConfig,
    overflow: Overflow,
    device: Running,
    threads: usize,
    precision: Precision,
    passes: Vec<PassReport>,
    graph_cache: Option<String>,
    tokenizer: Tokenizer,
    queue: Queue<Session>,
    cache: VectorCache,
    runs: Arc<AtomicU64>,
    fingerprint: Fingerprint,
    runner: std::result::Result<(&'static str, &'static str), String>,
}

/// Where a model runs.
pub struct Running {
    /// What was asked for.
    pub asked: Device,
    /// What it got.
    pub got: Device,
    /// Why `auto` did not get a GPU, in the runtime's words.
    pub reason: Option<String>,
    /// How many nodes which provider runs; `None`: not told by this runtime.
    pub nodes: Option<Nodes>,
}

const CACHE_MB: u64 = 64;

/// Texts on which a prepared graph is compared with the file's: short, and of two lengths.
const PROBES: [&str; 2] = [
    "What does a pass over the graph change?",
    "Nothing that anybody could see in the vector of a text, be it short or a little longer.",
];

impl Embedder {
    /// Loads a model under a name. Asks `stop` between the steps; one step takes some tenths of a second
    /// for a small model.
    ///
    /// # Errors
    /// A folder or graph that is not a text encoder's, an option out of the model's range, no
    /// runtime, files that change while they are read, an interruption.
    pub fn load(
        name: &str,
        location: &ModelLocation,
        options: &Options,
        stop: &(dyn Stop + Sync),
    ) -> Result<Self> {
        let load = |files: &ModelFiles| Self::load_files(name, location, files, options, stop);
        load_whole(name, || location.files(), load)
    }

    fn load_files(
        name: &str,
        location: &ModelLocation,
        files: &ModelFiles,
        options: &Options,
        stop: &(dyn Stop + Sync),
    ) -> Result<Self> {
        let config = configure(location, options)?;
        let tokenizer = std::thread::scope(|scope| {
            // The runtime takes as long to start as the tokenizer to read; whoever needs it says what is wrong.
            let starting = std::thread::Builder::new().spawn_scoped(scope, runtime::get);
            let tokenizer = Tokenizer::load(files, &config);
            drop(starting);
            tokenizer
        })?;
        stop.check()?;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = options.threads.unwrap_or_else(cores);
        let probe = PROBES.map(|text| tokenizer.encode(text, &NeverStop));
        let probe = probe.into_iter().collect::<Result<Vec<_>>>()?;
        let wanted = Wanted {
            files,
            config: &config,
            options,
            threads,
            probe: &probe,
            stop,
        };
        let (mut loaded, fingerprint) = load_and_know(&wanted)?;
        let (precision, runs) = (loaded.precision, loaded.session.runs());
        let native = loaded.native.is_ok();
        if native {
            let rest = fingerprint::rest(&config, precision, native);
            let kinds = fingerprint.kinds();
            loaded.keep(files.identity(), Fingerprints { rest, kinds });
        }
        let batch_tokens = options
            .batch_tokens
            .unwrap_or_else(|| batch_tokens(loaded.device, options, &config));
        let device = Running {
            asked: options.device,
            got: loaded.device,
            reason: loaded.device_reason,
            nodes: loaded.session.nodes().cloned(),
        };
        Ok(Embedder {
            name: name.to_owned(),
            folder: files.folder().to_path_buf(),
            graph: files.graph().to_path_buf(),
            weight_bytes: files.bytes(),
            config,
            overflow: options.overflow,
            device,
            threads,
            precision,
            passes: loaded.passes,
            graph_cache: loaded.graph_cache,
            tokenizer,
            // In a graph of the runtime's int8 vectors depend on their neighbours.
            queue: Queue::new(
                loaded.session,
                batch_tokens,
                native || precision != Precision::Int8,
            ),
            runner: loaded.native.map(|native| native.describe()),
            cache: VectorCache::new(options.cache_mb.unwrap_or(CACHE_MB) << 20),
            runs,
            fingerprint,
        })
    }

    /// One vector of [`Self::dims`] values, L2-normalised; from the cache where it is there, else
    /// perhaps in one batch with the texts of other threads.
    ///
    /// # Errors
    /// A text above the limit, an interruption, a failure of the runtime.
    pub fn embed(&self, text: &str, role: Role, stop: &dyn Stop) -> Result<SharedVector> {
        check_text_size(text.len())?;
        let text = self.with_instruction(text, role)?;
        if let Some(vector) = self.cache.get(&text) {
            return Ok(vector);
        }
        let ids = self.encode(&text, stop)?;
        let vector = self.queue.one(ids, stop).map_err(|e| self.say(e))?;
        self.cache.put(&text, &vector);
        Ok(vector)
    }

    /// The vectors of many texts, in their order, by batches of like length. Leaves the cache
    /// alone: a bulk run would only push queries out of it.
    ///
    /// # Errors
    /// As [`Self::embed`]; asks `stop` before each batch.
    pub fn embed_many(
        &self,
        texts: &[&str],
        role: Role,
        stop: &dyn Stop,
    ) -> Result<Vec<SharedVector>> {
        let mut ids = reserved(texts.len())?;
        for text in texts {
            ids.push(self.encode_as(text, role, stop)?);
        }
        self.embed_encoded(ids, stop)
    }

    /// The ids of a text in its role, for [`Self::embed_encoded`].
    ///
    /// # Errors
    /// A text above the limit, or one that would be cut where the options forbid it.
    pub fn encode_as(&self, text: &str, role: Role, stop: &dyn Stop) -> Result<Vec<i64>> {
        check_text_size(text.len())?;
        self.encode(&self.with_instruction(text, role)?, stop)
    }

    /// The second half of [`Self::embed_many`]: runs what [`Self::encode_as`] gave.
    ///
    /// # Errors
    /// An interruption (asked for before each batch), a failure of the runtime.
    pub fn embed_encoded(
        &self,
        mut ids: Vec<Vec<i64>>,
        stop: &dyn Stop,
    ) -> Result<Vec<SharedVector>> {
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        let plan = batch::plan(&lengths, self.queue.budget());
        let mut vectors: Vec<Option<SharedVector>> = reserved(ids.len())?;
        vectors.resize(ids.len(), None);
        for range in plan.batches {
            stop.check()?;
            let members = &plan.order[range];
            let batch = members
                .iter()
                .map(|&i| std::mem::take(&mut ids[i]))
                .collect();
            let rows = self.queue.batch(batch, stop).map_err(|e| self.say(e))?;
            for (&i, row) in members.iter().zip(rows) {
                vectors[i] = Some(row);
            }
        }
        let missing = || Error::internal("a text was in no batch");
        vectors.into_iter().map(|v| v.ok_or_else(missing)).collect()
    }

    /// Ids as the model sees them, or an error where they would be cut and the options forbid it.
    fn encode(&self, text: &str, stop: &dyn Stop) -> Result<Vec<i64>> {
        let ids = self.tokenizer.encode(text, stop)?;
        if self.overflow == Overflow::Error && ids.len() == self.config.max_length {
            let tokens = self.tokenizer.count(text, stop)?;
            if tokens > ids.len() {
                return Err(Error::invalid(format!(
                    "the text has {tokens} tokens, model '{}' reads {}; split it with bge_chunks, \
                     or load the model with overflow 'truncate'",
                    self.name,
                    ids.len()
                )));
            }
        }
        Ok(ids)
    }

    /// The number of tokens of a text, specials included, not truncated.
    ///
    /// # Errors
    /// A text above the limit, an interruption.
    pub fn count_tokens(&self, text: &str, stop: &dyn Stop) -> Result<usize> {
        check_text_size(text.len())?;
        self.tokenizer.count(text, stop)
    }

    /// The token ids of a text as the model sees them: specials included, truncated.
    ///
    /// # Errors
    /// A text above the limit, an interruption.
    pub fn tokenize(&self, text: &str, stop: &dyn Stop) -> Result<Vec<i64>> {
        check_text_size(text.len())?;
        self.tokenizer.encode(text, stop)
    }

    /// Passages of at most `max_tokens` (`None`: the model's limit), each of which repeats at most
    /// the last `overlap` tokens of the one before.
    ///
    /// # Errors
    /// A text above the limit, and those of [`chunks::split`].
    pub fn chunks<'t>(
        &self,
        text: &'t str,
        max_tokens: Option<usize>,
        overlap: usize,
        stop: &dyn Stop,
    ) -> Result<Vec<Chunk<'t>>> {
        check_text_size(text.len())?;
        let max_tokens = max_tokens.unwrap_or(self.config.max_length);
        chunks::split(&self.tokenizer, text, max_tokens, overlap, stop)
    }

    /// [`Self::chunks`] one at a time, of a text that it keeps: see [`Passages::next`].
    ///
    /// # Errors
    /// As there.
    pub fn passages(
        &self,
        text: String,
        max_tokens: Option<usize>,
        overlap: usize,
    ) -> Result<Passages<String>> {
        check_text_size(text.len())?;
        let max_tokens = max_tokens.unwrap_or(self.config.max_length);
        Passages::new(&self.tokenizer, text, max_tokens, overlap)
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Dimensions of its vectors.
    pub fn dims(&self) -> usize {
        self.config.dims
    }

    /// What its vectors depend on, as an index remembers it: of the bytes that were loaded, whatever
    /// became of the files.
    ///
    /// # Errors
    /// None today; callers need not know that it is at hand.
    pub fn fingerprint(&self) -> Result<[u8; 16]> {
        Ok(self.fingerprint.bytes())
    }

    /// Whether its vectors are those that an index remembers by this fingerprint, of today's kind or of an
    /// older one.
    ///
    /// # Errors
    /// As [`Self::fingerprint`].
    pub fn has_fingerprint(&self, remembered: &[u8]) -> Result<bool> {
        Ok(self.fingerprint.is(remembered))
    }

    /// Whether its vectors would be those that an index remembers, if the graph ran in the runtime's int8.
    pub fn has_graph_int8_fingerprint(&self, remembered: &[u8]) -> bool {
        self.fingerprint.is_graph_int8(remembered)
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

    /// What its folder says.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Threads of one inference.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Its cache.
    pub fn cache(&self) -> &VectorCache {
        &self.cache
    }

    /// Runs of the graph so far.
    pub fn inferences(&self) -> u64 {
        self.runs.load(Ordering::Relaxed)
    }

    /// What the graph computes in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The kernels of our own encoder and where its weights are, or why the graph runs instead.
    ///
    /// # Errors
    /// That reason.
    pub fn native(&self) -> std::result::Result<(&'static str, &'static str), &str> {
        self.runner.as_ref().copied().map_err(String::as_str)
    }

    /// What became of each graph pass.
    pub fn passes(&self) -> &[PassReport] {
        &self.passes
    }

    /// What the cache of prepared graphs did; `None`: it is off.
    pub fn graph_cache(&self) -> Option<&str> {
        self.graph_cache.as_deref()
    }

    /// The device asked for, and the one it got.
    pub fn device(&self) -> &Running {
        &self.device
    }

    /// Padded tokens in one run: as loaded, less where memory ran out.
    pub fn batch_tokens(&self) -> usize {
        self.queue.budget()
    }

    /// What happens to a text that is too long.
    pub fn overflow(&self) -> Overflow {
        self.overflow
    }

    fn with_instruction<'t>(&self, text: &'t str, role: Role) -> Result<Cow<'t, str>> {
        match (role, self.config.query_instruction.as_str()) {
            (Role::Passage, _) | (Role::Query, "") => Ok(Cow::Borrowed(text)),
            (Role::Query, instruction) => {
                let mut whole = reserved_text(instruction.len() + text.len())?;
                whole.push_str(instruction);
                whole.push_str(text);
                Ok(Cow::Owned(whole))
            }
        }
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

/// A loaded model, shared.
pub type SharedEmbedder = Arc<Embedder>;
