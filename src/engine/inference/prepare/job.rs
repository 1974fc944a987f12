//! One load: asks which passes are wanted, takes the prepared graph from the folder of kept ones or has
//! it made, and loads the file as it is where no pass can be used.

use crate::engine::encoder::packed_file::Fingerprints;
use crate::engine::graph::int8::Range;
use crate::engine::graph::{self, Facts, edit, graph_cache};
use crate::engine::inference::loaded_graph::Graph;
use crate::engine::inference::prepare::make::{Apply, Built, Maker};
use crate::engine::inference::prepare::native::{self, NONE, Native, NativeSession, Plan};
use crate::engine::inference::prepare::reports::{NOT_ASKED, all_off, complete, sort};
use crate::engine::inference::prepare::rules;
use crate::engine::inference::prepare::target::Target;
use crate::engine::inference::runtime;
use crate::engine::inference::session::{OUTPUTS, Session};
use crate::engine::models::device::Device;
use crate::engine::models::pass::{Pass, PassReport};
use crate::engine::models::precision::Precision;
use crate::engine::onnx::graph::OnnxGraph;
use crate::error::Result;
use std::path::Path;

/// A session, and what was done for it.
pub struct Loaded {
    /// Runs batches.
    pub session: Session,
    /// What it computes in.
    pub precision: Precision,
    /// What became of each pass.
    pub passes: Vec<PassReport>,
    /// What the cache of graphs did; `None`: it is off.
    pub graph_cache: Option<String>,
    /// Where it runs.
    pub device: Device,
    /// Why `auto` did not get a GPU.
    pub device_reason: Option<String>,
    /// Our own encoder, or why the graph runs instead.
    pub native: std::result::Result<Native, String>,
}

impl Loaded {
    /// The fingerprint that a packed file remembers.
    pub fn remembered(&self) -> Option<&Fingerprints> {
        self.native.as_ref().ok()?.remembered.as_ref()
    }

    /// Keeps what was made, where a folder for it was named.
    pub fn keep(&mut self, identity: Option<String>, fingerprint: Fingerprints) {
        if let Ok(native) = &mut self.native
            && let Some(state) = native.keep(identity, fingerprint)
        {
            self.graph_cache = Some(state);
        }
    }
}

/// A load on one device.
pub struct Job<'a> {
    /// What is to be loaded.
    pub target: Target<'a>,
    /// Applies one pass; a parameter, so that tests can have wrong ones.
    pub apply: Apply,
    /// Why packed weights cannot be used, where that was found out before.
    pub unpacked: Option<String>,
}

impl Job<'_> {
    /// Loads it.
    ///
    /// # Errors
    /// A file that the runtime refuses, no text encoder, a precision that cannot be had.
    pub fn run(&self) -> Result<Loaded> {
        self.target.stop.check()?;
        runtime::get()?;
        let read = self
            .target
            .files
            .graph_source()
            .map_err(|e| e.message().to_owned());
        let known = read
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|source| Ok((source, hidden_states(source)?)));
        let native = known
            .clone()
            .and_then(|(source, hidden)| self.native(source, hidden));
        let reason = match native {
            Ok(loaded) => return Ok(loaded),
            Err(reason) => reason,
        };
        self.target.stop.check()?;
        let options = self.target.options;
        native::check_not_needed(options, self.target.files.graph(), &reason)?;
        let mut loaded = match known {
            Ok((source, hidden)) => self.graph(source, hidden),
            Err(reason) => self.as_it_is(None, all_off(&reason)),
        }?;
        loaded.native = Err(reason);
        Ok(loaded)
    }

    /// The graph, with the passes that fit.
    fn graph(&self, source: &OnnxGraph, hidden: &str) -> Result<Loaded> {
        let precision = graph::precision(&source.model, hidden);
        let facts = Facts {
            hidden,
            dims: self.target.settings.dims,
            pooling: self.target.settings.pooling,
            precision,
            range: Range::of_this_cpu(),
        };
        let making = rules::precision_pass(self.target.options, self.target.files, precision)?;
        if let Err(reason) = runtime::get()?.takes_graphs_in_memory() {
            return self.as_it_is(Some(precision), all_off(&reason));
        }
        let mut asked: Vec<Pass> = self.switched().into_iter().chain(making).collect();
        sort(&mut asked, |&pass| pass);
        if asked.is_empty() {
            return self.as_it_is(Some(precision), all_off(NOT_ASKED));
        }
        match self.through_cache(source, &facts, &asked) {
            Ok((built, state)) => Ok(self.loaded(built, precision, state)),
            Err(off) => self.as_it_is(Some(precision), off),
        }
    }

    /// Our own encoder with packed weights, before anything is hashed or read whole; what is wrong with them
    /// otherwise. `None`: it is not to be used, or there are none.
    ///
    /// # Errors
    /// No runtime.
    pub fn packed(&self) -> Result<std::result::Result<Loaded, Option<String>>> {
        runtime::get()?;
        let Ok(plan) = Plan::of(self.target.options, self.target.settings.device) else {
            return Ok(Err(None));
        };
        let Ok(source) = self.target.files.graph_source() else {
            return Ok(Err(None));
        };
        let found = plan.packed(&self.target, &source);
        Ok(found.map(|found| self.with_native(found)).map_err(Some))
    }

    /// Our own encoder.
    fn native(&self, source: &OnnxGraph, hidden: &str) -> std::result::Result<Loaded, String> {
        let plan = Plan::of(self.target.options, self.target.settings.device)?;
        let file = graph::precision(&source.model, hidden);
        if file != Precision::Fp32 {
            return Err(format!("the file computes in {}", file.name()));
        }
        let before = match &self.unpacked {
            Some(reason) => reason.clone(),
            None => match plan.packed(&self.target, source) {
                Ok(found) => return Ok(self.with_native(found)),
                Err(reason) => reason,
            },
        };
        self.target
            .stop
            .check()
            .map_err(|e| e.message().to_owned())?;
        let mut made = plan.of_graph(&self.target, source, hidden)?;
        made.native.before = Some(before).filter(|before| before != NONE);
        Ok(self.with_native(made))
    }

    fn with_native(&self, found: NativeSession) -> Loaded {
        let NativeSession {
            session,
            precision,
            native,
        } = found;
        Loaded {
            session,
            precision,
            passes: all_off("the native encoder runs"),
            graph_cache: native.cache(self.target.options.graph_cache.is_some()),
            device: self.target.settings.device,
            device_reason: None,
            native: Ok(native),
        }
    }

    /// A graph that was kept, or one that is made and kept; and what to say of it.
    fn through_cache(
        &self,
        source: &OnnxGraph,
        facts: &Facts<'_>,
        asked: &[Pass],
    ) -> std::result::Result<(Built, Option<String>), Vec<PassReport>> {
        let make = || self.maker().build(source, facts, asked);
        let Some(folder) = self.target.options.graph_cache.as_deref() else {
            return Ok((make()?, None));
        };
        let key = match self.key(asked) {
            Ok(key) => key,
            Err(reason) => return Ok((make()?, Some(format!("not used: {reason}")))),
        };
        let before = match self.kept(source, folder, &key) {
            Ok(built) => return Ok((built, Some("hit".to_owned()))),
            Err(reason) => reason,
        };
        let built = make()?;
        let entry = graph_cache::PreparedGraph {
            passes: built.passes.clone(),
            model: built.graph.model.clone(),
        };
        let state = match graph_cache::write(folder, &key, &entry) {
            Ok(()) if before == graph_cache::NONE => "written".to_owned(),
            Ok(()) => format!("written anew: {before}"),
            Err(reason) => format!("not written: {reason}"),
        };
        Ok((built, Some(state)))
    }

    fn loaded(&self, built: Built, file: Precision, graph_cache: Option<String>) -> Loaded {
        Loaded {
            session: built.session,
            precision: self.target.options.precision.unwrap_or(file),
            passes: complete(built.passes),
            graph_cache,
            device: self.target.settings.device,
            device_reason: None,
            native: Err(String::new()),
        }
    }

    fn maker(&self) -> Maker<'_> {
        Maker {
            settings: &self.target.settings,
            probe: &self.target.probe,
            apply: self.apply,
        }
    }

    fn switched(&self) -> Vec<Pass> {
        let chosen = self
            .target
            .options
            .passes
            .as_deref()
            .unwrap_or(&Pass::SWITCHED);
        let all = Pass::SWITCHED.into_iter();
        all.filter(|pass| chosen.contains(pass)).collect()
    }

    /// The file's own graph, without passes, for the reasons given.
    fn as_it_is(&self, precision: Option<Precision>, passes: Vec<PassReport>) -> Result<Loaded> {
        self.target.stop.check()?;
        let session = Session::open(Graph::File(self.target.files), &self.target.settings)?;
        let files = self.target.files;
        let precision =
            precision.unwrap_or_else(|| rules::precision_seen(files, session.gives_half()));
        if let Some(making) = rules::precision_pass(self.target.options, files, precision)? {
            let why = passes
                .iter()
                .find(|report| report.pass == making)
                .or(passes.first());
            let reason = why.and_then(|report| report.off.as_deref());
            return Err(rules::no_precision(
                making,
                files,
                reason.unwrap_or_default(),
            ));
        }
        Ok(Loaded {
            session,
            precision,
            passes: complete(passes),
            graph_cache: self
                .target
                .options
                .graph_cache
                .as_ref()
                .map(|_| "not used: no pass is on".into()),
            device: self.target.settings.device,
            device_reason: None,
            native: Err(String::new()),
        })
    }

    fn key(&self, asked: &[Pass]) -> std::result::Result<graph_cache::Key, String> {
        let files = self.target.files.hashes();
        Ok(graph_cache::Key {
            version: crate::VERSION.to_owned(),
            files: files.map_err(|e| e.message().to_owned())?,
            passes: asked.to_vec(),
            pooling: self.target.settings.pooling.name().to_owned(),
            runtime: runtime::get().map_err(|e| e.to_string())?.version.clone(),
            cpu: graph_cache::cpu(),
        })
    }

    fn kept(
        &self,
        source: &OnnxGraph,
        folder: &Path,
        key: &graph_cache::Key,
    ) -> std::result::Result<Built, String> {
        let entry = graph_cache::read(folder, key)?;
        let kept = OnnxGraph {
            model: entry.model,
            folder: source.folder.clone(),
        };
        let session = Session::open(Graph::Prepared(&kept), &self.target.settings);
        Ok(Built {
            session: session.map_err(|e| format!("what was kept cannot be loaded: {e}"))?,
            graph: kept,
            passes: entry.passes,
        })
    }
}

/// The name of the hidden states.
fn hidden_states(source: &OnnxGraph) -> std::result::Result<&str, String> {
    let hidden = edit::hidden_states(&source.model, &OUTPUTS);
    let hidden = hidden.ok_or("the graph has no output called last_hidden_state")?;
    Ok(hidden.name())
}
