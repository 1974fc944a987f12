//! One loaded model: tokenizer, session and cache behind "text in, vector out".

use super::batch::{self, CPU_BATCH_TOKENS};
use super::cache::{Cache, SharedVector};
use super::config::ModelConfig;
use super::options::Options;
use super::process::lock;
use super::runtime::SettingUp;
use super::session::Session;
use super::stop::Stop;
use super::tokenizer::Tokenizer;
use super::{check_text_size, find};
use crate::error::{Error, Result};
use std::borrow::Cow;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

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
    config: ModelConfig,
    threads: usize,
    tokenizer: Tokenizer,
    session: Mutex<Session>,
    cache: Cache,
    inferences: AtomicU64,
}

const CACHE_BYTES: u64 = 64 << 20;

impl Embedder {
    /// Finds and loads the model of this name.
    ///
    /// # Errors
    /// A bad name, no such model, a folder or graph that is not a text encoder's, no runtime.
    pub fn load(name: &str) -> Result<Self> {
        Self::load_folder(name, &find::model(name)?, &Options::default())
    }

    /// Loads a model folder under a name (which decides only what the catalogue adds).
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_folder(name: &str, folder: &Path, options: &Options) -> Result<Self> {
        let load = || -> Result<Self> {
            let _setting_up = SettingUp::enter()?;
            let mut config = ModelConfig::read(name, folder)?;
            config.pooling = options.pooling.unwrap_or(config.pooling);
            let cores = || std::thread::available_parallelism().map_or(1, usize::from);
            let threads = options.threads.unwrap_or_else(cores);
            let tokenizer = Tokenizer::load(&config)?;
            let session = Mutex::new(Session::load(&config, threads)?);
            Ok(Embedder {
                name: name.to_owned(),
                config,
                threads,
                tokenizer,
                session,
                cache: Cache::new(CACHE_BYTES),
                inferences: AtomicU64::new(0),
            })
        };
        load().map_err(|e| e.at(format_args!("model '{name}'")))
    }

    /// One vector of [`Self::dims`] values, L2-normalised; from the cache where it is there.
    ///
    /// # Errors
    /// A text above the limit, an interruption, a failure of the runtime.
    pub fn embed(&self, text: &str, role: Role, stop: &dyn Stop) -> Result<SharedVector> {
        check_text_size(text.len())?;
        let text = self.with_instruction(text, role);
        if let Some(vector) = self.cache.get(&text) {
            return Ok(vector);
        }
        let ids = self.tokenizer.encode(&text, stop)?;
        let rows = self.run(&[&ids])?;
        let vector: SharedVector = rows.row(0).to_vec().into();
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
        let mut ids = Vec::with_capacity(texts.len());
        for text in texts {
            check_text_size(text.len())?;
            ids.push(
                self.tokenizer
                    .encode(&self.with_instruction(text, role), stop)?,
            );
        }
        let lengths: Vec<usize> = ids.iter().map(Vec::len).collect();
        let plan = batch::plan(&lengths, CPU_BATCH_TOKENS);
        let mut vectors: Vec<Option<SharedVector>> = vec![None; texts.len()];
        for range in plan.batches {
            stop.check()?;
            let members = &plan.order[range];
            let batch: Vec<&[i64]> = members.iter().map(|&i| ids[i].as_slice()).collect();
            let rows = self.run(&batch)?;
            for (&i, row) in members.iter().zip(rows.rows()) {
                vectors[i] = Some(row.to_vec().into());
            }
        }
        let missing = || Error::internal("a text was in no batch");
        vectors.into_iter().map(|v| v.ok_or_else(missing)).collect()
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

    /// The name it was loaded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Dimensions of its vectors.
    pub fn dims(&self) -> usize {
        self.config.dims
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
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// Runs of the graph so far.
    pub fn inferences(&self) -> u64 {
        self.inferences.load(Ordering::Relaxed)
    }

    fn with_instruction<'t>(&self, text: &'t str, role: Role) -> Cow<'t, str> {
        match (role, self.config.query_instruction.as_str()) {
            (Role::Passage, _) | (Role::Query, "") => Cow::Borrowed(text),
            (Role::Query, instruction) => Cow::Owned(format!("{instruction}{text}")),
        }
    }

    fn run(&self, batch: &[&[i64]]) -> Result<ndarray::Array2<f32>> {
        self.inferences.fetch_add(1, Ordering::Relaxed);
        let rows = lock(&self.session).run(batch, self.config.pooling);
        rows.map_err(|e| e.at(format_args!("model '{}'", self.name)))
    }
}

/// A loaded model, shared.
pub type SharedEmbedder = Arc<Embedder>;
