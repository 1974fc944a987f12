//! From a model's file to the session that runs: which graph passes are used, whether they did no
//! harm, and what is loaded where they cannot be used.
//!
//! A prepared graph is compared with the file's own on two probe texts before it is used. The file's
//! graph is loaded for that with its weights mapped and nothing optimised, on another core, while the
//! prepared one is loaded in full: it costs little time and no memory that stays. A pass that changes
//! the vectors is dropped. A graph from the cache was compared when it was made.

use super::config::ModelConfig;
use super::graph::bound::Bound;
use super::graph::file::Source;
use super::graph::int8::Range;
use super::graph::{self, Facts, Pass, PassReport, cache, edit};
use super::options::Options;
use super::precision::{Precision, is_quantised};
use super::queue::Vectors;
use super::runtime;
use super::session::{Graph, OUTPUTS, Session, Settings};
use crate::error::{Error, Result};
use serde_json::{Value, json};
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
}

/// Applies a pass; a parameter, so that tests can have wrong ones.
type Apply = fn(Pass, &Source, &Facts<'_>) -> std::result::Result<Source, String>;

/// Loads the graph of a model folder. `probe` are the ids of some texts.
///
/// # Errors
/// No runtime, a file that it refuses, no text encoder, a precision that cannot be had.
pub fn load(
    config: &ModelConfig,
    options: &Options,
    threads: usize,
    probe: &[Vec<i64>],
) -> Result<Loaded> {
    let settings = Settings {
        threads,
        dims: config.dims,
        pooling: config.pooling,
    };
    let job = Job {
        path: &config.onnx,
        options,
        settings,
        probe: probe.iter().map(Vec::as_slice).collect(),
        apply: graph::apply,
    };
    job.run()
}

/// What `bge_info` says of passes.
pub fn describe(passes: &[PassReport]) -> Value {
    let one = |report: &PassReport| {
        json!({
            "name": report.pass.name(),
            "on": report.off.is_none(),
            "reason": report.off,
        })
    };
    passes.iter().map(one).collect()
}

const NOT_ASKED: &str = "not asked for";

struct Job<'a> {
    path: &'a Path,
    options: &'a Options,
    settings: Settings,
    probe: Vec<&'a [i64]>,
    apply: Apply,
}

/// A prepared graph, loaded.
struct Built {
    session: Session,
    source: Source,
    passes: Vec<PassReport>,
}

impl Job<'_> {
    fn run(&self) -> Result<Loaded> {
        // The runtime's own trouble is no pass's.
        runtime::get()?;
        let read = Source::read(self.path).map_err(|e| e.message().to_owned());
        let known = read.as_ref().map_err(Clone::clone).and_then(|source| {
            let hidden = edit::hidden_states(&source.model, &OUTPUTS);
            let hidden = hidden.ok_or("the graph has no output called last_hidden_state")?;
            Ok((source, hidden.name()))
        });
        let (source, hidden) = match known {
            Ok(known) => known,
            Err(reason) => return self.as_it_is(None, &reason),
        };
        let precision = graph::precision(&source.model, hidden);
        let facts = Facts {
            hidden,
            dims: self.settings.dims,
            pooling: self.settings.pooling,
            precision,
            range: Range::of_this_cpu(),
        };
        let making = self.precision_pass(precision)?;
        let mut asked: Vec<Pass> = self.switched().into_iter().chain(making).collect();
        asked.sort_by_key(|pass| Pass::ORDER.iter().position(|p| p == pass));
        if asked.is_empty() {
            return self.as_it_is(Some(precision), NOT_ASKED);
        }
        let key = self.options.graph_cache.as_deref().map(|folder| {
            let key = self.key(source, &asked);
            key.map(|key| (folder, key))
        });
        let mut state = None;
        let mut place = None;
        match key {
            None => {}
            Some(Err(reason)) => state = Some(format!("not used: {reason}")),
            Some(Ok((folder, key))) => {
                match self.kept(source, folder, &key) {
                    Ok(built) => {
                        return Ok(self.loaded(built, &asked, precision, Some("hit".into())));
                    }
                    Err(reason) => state = Some(reason),
                }
                place = Some((folder, key));
            }
        }
        let built = match self.build(source, &facts, &asked) {
            Ok(built) => built,
            Err(reason) if making.is_some() => {
                return Err(self.no_precision(&reason));
            }
            Err(reason) => return self.as_it_is(Some(precision), &reason),
        };
        if let Some((folder, key)) = place {
            let entry = cache::Entry {
                passes: built.passes.clone(),
                model: built.source.model.clone(),
            };
            let before = state.filter(|reason| reason != cache::NONE);
            state = Some(match (cache::write(folder, &key, &entry), before) {
                (Ok(()), None) => "written".to_owned(),
                (Ok(()), Some(reason)) => format!("written anew: {reason}"),
                (Err(reason), _) => format!("not written: {reason}"),
            });
        }
        Ok(self.loaded(built, &asked, precision, state))
    }

    fn loaded(
        &self,
        built: Built,
        asked: &[Pass],
        file: Precision,
        graph_cache: Option<String>,
    ) -> Loaded {
        let mut passes = built.passes;
        for pass in Pass::SWITCHED {
            if !asked.contains(&pass) {
                let off = Some(NOT_ASKED.to_owned());
                passes.push(PassReport { pass, off });
            }
        }
        Loaded {
            session: built.session,
            precision: self.options.precision.unwrap_or(file),
            passes,
            graph_cache,
        }
    }

    fn switched(&self) -> Vec<Pass> {
        let chosen = self.options.passes.as_deref().unwrap_or(&Pass::SWITCHED);
        let all = Pass::SWITCHED.into_iter();
        all.filter(|pass| chosen.contains(pass)).collect()
    }

    /// The pass that makes the precision that was asked for.
    fn precision_pass(&self, file: Precision) -> Result<Option<Pass>> {
        match (self.options.precision, file) {
            (None, _) => Ok(None),
            (Some(wanted), file) if wanted == file => Ok(None),
            (Some(Precision::Int8), Precision::Fp32) => Ok(Some(Pass::Int8)),
            (Some(Precision::Fp16), Precision::Fp32) => Ok(Some(Pass::Fp16)),
            (Some(wanted), file) => Err(Error::invalid(format!(
                "option precision is '{}', but {} computes in {}, and no pass makes one of the other; \
                 leave the option out, or take another file",
                wanted.name(),
                self.path.display(),
                file.name()
            ))),
        }
    }

    fn no_precision(&self, reason: &str) -> Error {
        let wanted = self.options.precision.map_or("", Precision::name);
        Error::invalid(format!(
            "option precision is '{wanted}', which cannot be made of {}: {reason}",
            self.path.display()
        ))
    }

    /// The file's own graph, without passes.
    fn as_it_is(&self, precision: Option<Precision>, reason: &str) -> Result<Loaded> {
        let session = Session::open(Graph::File(self.path), &self.settings)?;
        let precision =
            precision.unwrap_or_else(|| match (is_quantised(self.path), session.gives_half()) {
                (true, _) => Precision::Int8,
                (false, true) => Precision::Fp16,
                (false, false) => Precision::Fp32,
            });
        if self.precision_pass(precision)?.is_some() {
            return Err(self.no_precision(reason));
        }
        let off = |pass| PassReport {
            pass,
            off: Some(reason.to_owned()),
        };
        Ok(Loaded {
            session,
            precision,
            passes: Pass::SWITCHED.map(off).to_vec(),
            graph_cache: self
                .options
                .graph_cache
                .as_ref()
                .map(|_| "not used: no pass is on".into()),
        })
    }

    fn key(&self, source: &Source, asked: &[Pass]) -> std::result::Result<cache::Key, String> {
        let files = source.files(self.path).into_iter().map(|file| {
            let hash = cache::hash(&file).map_err(|e| format!("{}: {e}", file.display()))?;
            Ok((file, hash))
        });
        Ok(cache::Key {
            version: crate::VERSION.to_owned(),
            files: files.collect::<std::result::Result<_, String>>()?,
            passes: asked.to_vec(),
            pooling: self.settings.pooling.name().to_owned(),
            runtime: runtime::get().map_err(|e| e.to_string())?.version.clone(),
            cpu: cpu(),
        })
    }

    fn kept(
        &self,
        source: &Source,
        folder: &Path,
        key: &cache::Key,
    ) -> std::result::Result<Built, String> {
        let entry = cache::read(folder, key)?;
        let kept = Source {
            model: entry.model,
            folder: source.folder.clone(),
        };
        let session = Session::open(Graph::Prepared(&kept), &self.settings);
        Ok(Built {
            session: session.map_err(|e| format!("what was kept cannot be loaded: {e}"))?,
            source: kept,
            passes: entry.passes,
        })
    }

    /// The graph with every pass that fits and does no harm.
    fn build(
        &self,
        source: &Source,
        facts: &Facts<'_>,
        asked: &[Pass],
    ) -> std::result::Result<Built, String> {
        let (changed, passes) = self.chain(source, facts, asked)?;
        let on = on(&passes);
        let switched: Vec<Pass> = on
            .iter()
            .copied()
            .filter(|p| Pass::SWITCHED.contains(p))
            .collect();
        // Loose bounds for a precision must not hide a switched pass that does harm.
        let between = if switched.len() < on.len() && !switched.is_empty() {
            Some(self.chain(source, facts, &switched)?.0)
        } else {
            None
        };
        let reference = || -> std::result::Result<Vectors, String> {
            let vectors = self.probe(source)?;
            if let Some(between) = &between {
                self.compare(&vectors, &self.probe(between)?, facts, &switched)?;
            }
            Ok(vectors)
        };
        let (reference, session) = std::thread::scope(|scope| {
            let reference = scope.spawn(reference);
            let session = Session::open(Graph::Prepared(&changed), &self.settings);
            (reference.join(), session)
        });
        let reference = reference.map_err(|_| "a panic in the self-check".to_owned())?;
        let session = session.map_err(|e| format!("ONNX Runtime refused the prepared graph: {e}"));
        let checked = reference.and_then(|reference| {
            let mut session = session?;
            let vectors = session.probe(&self.probe).map_err(|e| e.to_string())?;
            self.compare(&reference, &vectors, facts, &on)?;
            Ok(session)
        });
        match checked {
            Ok(session) => Ok(Built {
                session,
                source: changed,
                passes,
            }),
            Err(_) => self.build_carefully(source, facts, asked),
        }
    }

    /// One pass after the other, each compared, without those that do harm.
    fn build_carefully(
        &self,
        source: &Source,
        facts: &Facts<'_>,
        asked: &[Pass],
    ) -> std::result::Result<Built, String> {
        let reference = self.probe(source)?;
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        let first = |pass: &&Pass| **pass == Pass::Pool;
        let rest = asked.iter().filter(|pass| **pass != Pass::Pool);
        // `pool` first: `last_layer` works with it only.
        for &pass in asked.iter().filter(first).chain(rest) {
            let mut tried = kept.clone();
            tried.push(pass);
            tried.sort_by_key(|pass| Pass::ORDER.iter().position(|p| p == pass));
            let outcome = self
                .chain(source, facts, &tried)
                .and_then(|(changed, passes)| {
                    let off = passes
                        .into_iter()
                        .find(|r| r.pass == pass)
                        .and_then(|r| r.off);
                    if let Some(reason) = off {
                        return Err(reason);
                    }
                    self.compare(&reference, &self.probe(&changed)?, facts, &tried)
                });
            match outcome {
                Ok(()) => kept = tried,
                Err(reason) if Pass::SWITCHED.contains(&pass) => {
                    dropped.push(PassReport {
                        pass,
                        off: Some(reason),
                    });
                }
                Err(reason) => return Err(reason),
            }
        }
        if kept.is_empty() {
            let reasons = dropped
                .into_iter()
                .filter_map(|r| Some(format!("{}: {}", r.pass.name(), r.off?)));
            return Err(reasons.collect::<Vec<_>>().join("; "));
        }
        let (changed, mut passes) = self.chain(source, facts, &kept)?;
        let mut session = Session::open(Graph::Prepared(&changed), &self.settings)
            .map_err(|e| format!("ONNX Runtime refused the prepared graph: {e}"))?;
        let vectors = session.probe(&self.probe).map_err(|e| e.to_string())?;
        self.compare(&reference, &vectors, facts, &kept)?;
        passes.extend(dropped);
        Ok(Built {
            session,
            source: changed,
            passes,
        })
    }

    /// The graph with every pass that fits; fails where none does.
    fn chain(
        &self,
        source: &Source,
        facts: &Facts<'_>,
        asked: &[Pass],
    ) -> std::result::Result<(Source, Vec<PassReport>), String> {
        let mut changed = source.clone();
        let mut passes = Vec::new();
        for &pass in asked {
            let off = match (self.apply)(pass, &changed, facts) {
                Ok(next) => {
                    changed = next;
                    None
                }
                Err(reason) if Pass::SWITCHED.contains(&pass) => Some(reason),
                Err(reason) => return Err(reason),
            };
            passes.push(PassReport { pass, off });
        }
        let on = on(&passes);
        if on.contains(&Pass::LastLayer) && !on.contains(&Pass::Pool) {
            let rest: Vec<Pass> = asked
                .iter()
                .copied()
                .filter(|&p| p != Pass::LastLayer)
                .collect();
            let (changed, mut passes) = self.chain(source, facts, &rest)?;
            passes.push(PassReport {
                pass: Pass::LastLayer,
                off: Some("it needs pass pool".to_owned()),
            });
            return Ok((changed, passes));
        }
        if on.is_empty() {
            let reasons = passes
                .iter()
                .filter_map(|r| Some(format!("{}: {}", r.pass.name(), r.off.as_ref()?)));
            return Err(reasons.collect::<Vec<_>>().join("; "));
        }
        edit::prune(&mut changed.model);
        Ok((changed, passes))
    }

    fn probe(&self, source: &Source) -> std::result::Result<Vectors, String> {
        let session = Session::open(Graph::Probed(source), &self.settings);
        let vectors = session.and_then(|mut session| session.probe(&self.probe));
        vectors.map_err(|e| format!("the self-check failed: {e}"))
    }

    /// Whether vectors are those of the file's graph, as close as the passes allow.
    fn compare(
        &self,
        reference: &Vectors,
        vectors: &Vectors,
        facts: &Facts<'_>,
        passes: &[Pass],
    ) -> std::result::Result<(), String> {
        let bound = Bound::of(passes, facts.precision);
        if reference.len() != vectors.len() {
            return Err("it changes the number of vectors".to_owned());
        }
        let mut pairs = reference.iter().zip(vectors);
        pairs.try_for_each(|(a, b)| bound.check(a, b))
    }
}

fn on(passes: &[PassReport]) -> Vec<Pass> {
    let on = passes.iter().filter(|report| report.off.is_none());
    on.map(|report| report.pass).collect()
}

/// What matters of this CPU to a prepared graph: its kind, and the instructions for small integers.
fn cpu() -> String {
    #[cfg(target_arch = "x86_64")]
    {
        let has = [
            ("avx2", is_x86_feature_detected!("avx2")),
            ("avx512f", is_x86_feature_detected!("avx512f")),
            ("avxvnni", is_x86_feature_detected!("avxvnni")),
            ("avx512vnni", is_x86_feature_detected!("avx512vnni")),
        ];
        let names = has.iter().filter(|(_, is)| *is).map(|(name, _)| *name);
        ["x86_64"]
            .into_iter()
            .chain(names)
            .collect::<Vec<_>>()
            .join(" ")
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        std::env::consts::ARCH.to_owned()
    }
}
