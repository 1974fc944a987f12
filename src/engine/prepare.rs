//! From a model's file to the session that runs: which graph passes are used, whether they did no
//! harm, and what is loaded where they cannot be used.
//!
//! A prepared graph is compared with the file's own on two probe texts before it is used. The file's
//! graph is loaded for that with its weights mapped and nothing optimised, on another core, while the
//! prepared one is loaded in full: it costs little time and no memory that stays. A pass that changes
//! the vectors is dropped. A graph from the cache was compared when it was made.

use super::config::ModelConfig;
use super::device::Device;
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

mod on_gpu;

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
}

/// Applies a pass; a parameter, so that tests can have wrong ones.
type Apply = fn(Pass, &Source, &Facts<'_>) -> std::result::Result<Source, String>;

/// Loads the graph of a model folder. `probe` are the ids of some texts.
///
/// `auto` takes the CPU wherever a GPU cannot be had, and keeps the reason.
///
/// # Errors
/// No runtime, a file that it refuses, no text encoder, a precision or a device that cannot be had.
pub fn load(
    config: &ModelConfig,
    options: &Options,
    threads: usize,
    probe: &[Vec<i64>],
) -> Result<Loaded> {
    // Its own trouble is no device's.
    runtime::get()?;
    let job = |device: Device| Job {
        path: &config.onnx,
        options,
        settings: Settings {
            threads,
            dims: config.dims,
            pooling: config.pooling,
            device,
            gpu: options.gpu.clone(),
        },
        probe: probe.iter().map(Vec::as_slice).collect(),
        apply: graph::apply,
    };
    let reason = match options.device {
        Device::Cpu => None,
        Device::Auto => match Device::tried_first().map(|gpu| job(gpu).on_gpu()) {
            Some(Ok(loaded)) => return Ok(loaded),
            Some(Err(e)) => Some(e.message().to_owned()),
            None => None,
        },
        gpu => {
            return job(gpu.numbered()).on_gpu().map_err(|e| {
                Error::invalid(format!(
                    "device '{}' cannot be had: {} (see docs/GPU.md, or ask for 'auto' or 'cpu')",
                    gpu.name(),
                    e.message()
                ))
            });
        }
    };
    let mut loaded = job(Device::Cpu).run()?;
    loaded.device_reason = reason;
    Ok(loaded)
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
        let runtime = runtime::get()?;
        let read = Source::read(self.path).map_err(|e| e.message().to_owned());
        let known = read.as_ref().map_err(Clone::clone).and_then(|source| {
            let hidden = edit::hidden_states(&source.model, &OUTPUTS);
            let hidden = hidden.ok_or("the graph has no output called last_hidden_state")?;
            Ok((source, hidden.name()))
        });
        let (source, hidden) = match known {
            Ok(known) => known,
            Err(reason) => return self.as_it_is(None, all_off(&reason)),
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
        if let Err(reason) = runtime.takes_graphs_in_memory() {
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

    /// A graph that was kept, or one that is made and kept; and what to say of it.
    fn through_cache(
        &self,
        source: &Source,
        facts: &Facts<'_>,
        asked: &[Pass],
    ) -> std::result::Result<(Built, Option<String>), Vec<PassReport>> {
        let make = || self.build(source, facts, asked);
        let Some(folder) = self.options.graph_cache.as_deref() else {
            return Ok((make()?, None));
        };
        let key = match self.key(source, asked) {
            Ok(key) => key,
            Err(reason) => return Ok((make()?, Some(format!("not used: {reason}")))),
        };
        let before = match self.kept(source, folder, &key) {
            Ok(built) => return Ok((built, Some("hit".to_owned()))),
            Err(reason) => reason,
        };
        let built = make()?;
        let entry = cache::Entry {
            passes: built.passes.clone(),
            model: built.source.model.clone(),
        };
        let state = match cache::write(folder, &key, &entry) {
            Ok(()) if before == cache::NONE => "written".to_owned(),
            Ok(()) => format!("written anew: {before}"),
            Err(reason) => format!("not written: {reason}"),
        };
        Ok((built, Some(state)))
    }

    fn loaded(&self, built: Built, file: Precision, graph_cache: Option<String>) -> Loaded {
        Loaded {
            session: built.session,
            precision: self.options.precision.unwrap_or(file),
            passes: complete(built.passes),
            graph_cache,
            device: self.settings.device,
            device_reason: None,
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

    /// The file's own graph, without passes, for the reasons given.
    fn as_it_is(&self, precision: Option<Precision>, passes: Vec<PassReport>) -> Result<Loaded> {
        let session = Session::open(Graph::File(self.path), &self.settings)?;
        let seen = || match (is_quantised(self.path), session.gives_half()) {
            (true, _) => Precision::Int8,
            (false, true) => Precision::Fp16,
            (false, false) => Precision::Fp32,
        };
        let precision = precision.unwrap_or_else(seen);
        if let Some(making) = self.precision_pass(precision)? {
            let why = passes
                .iter()
                .find(|report| report.pass == making)
                .or(passes.first());
            let reason = why
                .and_then(|report| report.off.as_deref())
                .unwrap_or_default();
            return Err(Error::invalid(format!(
                "option precision is '{}', which cannot be made of {}: {reason}",
                making.name(),
                self.path.display()
            )));
        }
        Ok(Loaded {
            session,
            precision,
            passes: complete(passes),
            graph_cache: self
                .options
                .graph_cache
                .as_ref()
                .map(|_| "not used: no pass is on".into()),
            device: self.settings.device,
            device_reason: None,
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
            cpu: cache::cpu(),
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
    ) -> std::result::Result<Built, Vec<PassReport>> {
        let (changed, passes) = self.chain(source, facts, asked);
        let on = on(&passes);
        if on.is_empty() || passes.iter().any(is_failed_precision) {
            return Err(passes);
        }
        let switched: Vec<Pass> = on
            .iter()
            .copied()
            .filter(|p| Pass::SWITCHED.contains(p))
            .collect();
        // Loose bounds for a precision must not hide a switched pass that does harm.
        let between = if switched.len() < on.len() && !switched.is_empty() {
            Some(self.chain(source, facts, &switched).0)
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
        let reference = reference.unwrap_or_else(|_| Err("a panic in the self-check".to_owned()));
        let session = session.map_err(|e| format!("ONNX Runtime refused the prepared graph: {e}"));
        let checked = reference.and_then(|reference| {
            let mut session = session?;
            self.check(&mut session, &changed, &reference, facts, &on)?;
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
    ) -> std::result::Result<Built, Vec<PassReport>> {
        let reference = self.probe(source).map_err(|reason| all_off(&reason))?;
        let (mut kept, mut dropped) = (Vec::new(), Vec::new());
        // `pool` first: `last_layer` works with it only.
        let (first, rest): (Vec<Pass>, Vec<Pass>) = asked.iter().partition(|p| **p == Pass::Pool);
        for pass in first.into_iter().chain(rest) {
            let mut tried = kept.clone();
            tried.push(pass);
            sort(&mut tried, |&pass| pass);
            let (changed, passes) = self.chain(source, facts, &tried);
            let off = match passes
                .into_iter()
                .find(|r| r.pass == pass)
                .and_then(|r| r.off)
            {
                Some(reason) => Some(reason),
                None => {
                    let vectors = self.probe(&changed);
                    vectors
                        .and_then(|v| self.compare(&reference, &v, facts, &tried))
                        .err()
                }
            };
            match off {
                None => kept = tried,
                off => dropped.push(PassReport { pass, off }),
            }
        }
        if kept.is_empty() || dropped.iter().any(is_failed_precision) {
            return Err(dropped);
        }
        let (changed, mut passes) = self.chain(source, facts, &kept);
        let loaded = Session::open(Graph::Prepared(&changed), &self.settings)
            .map_err(|e| format!("ONNX Runtime refused the prepared graph: {e}"))
            .and_then(|mut session| {
                self.check(&mut session, &changed, &reference, facts, &kept)?;
                Ok(session)
            });
        let session = loaded.map_err(|reason| all_off(&reason))?;
        passes.extend(dropped);
        Ok(Built {
            session,
            source: changed,
            passes,
        })
    }

    /// The graph with every pass that fits, and what became of each.
    fn chain(
        &self,
        source: &Source,
        facts: &Facts<'_>,
        asked: &[Pass],
    ) -> (Source, Vec<PassReport>) {
        let mut changed = source.clone();
        let mut passes = Vec::new();
        for &pass in asked {
            let off = match (self.apply)(pass, &changed, facts) {
                Ok(next) => {
                    changed = next;
                    None
                }
                Err(reason) => Some(reason),
            };
            passes.push(PassReport { pass, off });
        }
        let on = on(&passes);
        if on.contains(&Pass::LastLayer) && !on.contains(&Pass::Pool) {
            let mut rest = asked.to_vec();
            rest.retain(|&pass| pass != Pass::LastLayer);
            let (changed, mut passes) = self.chain(source, facts, &rest);
            let off = Some("it needs pass pool".to_owned());
            passes.push(PassReport {
                pass: Pass::LastLayer,
                off,
            });
            return (changed, passes);
        }
        edit::prune(&mut changed.model);
        (changed, passes)
    }

    fn probe(&self, source: &Source) -> std::result::Result<Vectors, String> {
        let session = Session::open(Graph::Probed(source), &self.settings);
        let vectors = session.and_then(|mut session| session.probe(&self.probe));
        vectors.map_err(|e| format!("the self-check failed: {e}"))
    }

    /// Compares what a prepared graph gives. A GPU rounds in its own way, so there the passes are
    /// compared on the CPU, and the GPU with the CPU afterwards.
    fn check(
        &self,
        session: &mut Session,
        changed: &Source,
        reference: &Vectors,
        facts: &Facts<'_>,
        passes: &[Pass],
    ) -> std::result::Result<(), String> {
        let vectors = if self.settings.device.is_gpu() {
            self.probe(changed)?
        } else {
            session.probe(&self.probe).map_err(|e| e.to_string())?
        };
        self.compare(reference, &vectors, facts, passes)
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

/// Into the order in which passes are applied.
fn sort<T>(items: &mut [T], pass: impl Fn(&T) -> Pass) {
    items.sort_by_key(|item| Pass::ORDER.iter().position(|p| *p == pass(item)));
}

/// The same reason for every pass that can be switched.
fn all_off(reason: &str) -> Vec<PassReport> {
    let off = |pass| PassReport {
        pass,
        off: Some(reason.to_owned()),
    };
    Pass::SWITCHED.map(off).to_vec()
}

/// With those that were not asked for, in order.
fn complete(mut passes: Vec<PassReport>) -> Vec<PassReport> {
    for report in all_off(NOT_ASKED) {
        if passes.iter().all(|other| other.pass != report.pass) {
            passes.push(report);
        }
    }
    sort(&mut passes, |report| report.pass);
    passes
}

/// A precision cannot be left out as other passes can: it was asked for by name.
fn is_failed_precision(report: &PassReport) -> bool {
    report.off.is_some() && !Pass::SWITCHED.contains(&report.pass)
}

fn on(passes: &[PassReport]) -> Vec<Pass> {
    let on = passes.iter().filter(|report| report.off.is_none());
    on.map(|report| report.pass).collect()
}

#[cfg(test)]
mod tests;
