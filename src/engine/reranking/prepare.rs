//! From a reranker's files to the scorer that runs: on which device, with our own encoder or with which passes,
//! and whether they did no harm.
//!
//! Of the passes over graphs those fit that look at no vector: `attention`, and the one that makes a
//! precision that was asked for. A changed graph scores two probe pairs before it is used, and is compared
//! with the file's. What is kept of prepared graphs of embedding models, and joined passes after a fault,
//! are not repeated here: there is one switched pass, which is used or not.

use crate::engine::graph::int8::Range;
use crate::engine::graph::{self, Facts, edit};
use crate::engine::inference::loaded_graph::{Graph, Settings};
use crate::engine::inference::prepare::make::Apply;
use crate::engine::inference::prepare::native::{self, Native};
use crate::engine::inference::prepare::rules;
use crate::engine::inference::providers;
use crate::engine::inference::runtime;
use crate::engine::inference::scorer::{LOGITS, Scorer};
use crate::engine::models::config::ModelConfig;
use crate::engine::models::device::Device;
use crate::engine::models::files::ModelFiles;
use crate::engine::models::options::Options;
use crate::engine::models::pass::{Pass, PassReport};
use crate::engine::models::precision::Precision;
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::reranking::native_scorer::NativeScorer;
use crate::engine::stop::Stop;
use crate::engine::text::pairs::Pair;
use crate::error::{Error, Result};

/// A scorer, and what was done for it.
pub struct Prepared {
    /// Runs batches.
    pub scorer: Scorer,
    /// What it computes in.
    pub precision: Precision,
    /// What became of each pass.
    pub passes: Vec<PassReport>,
    /// Where it runs.
    pub device: Device,
    /// Why `auto` did not get a GPU.
    pub device_reason: Option<String>,
    /// Our own encoder, or why the graph runs whole.
    pub native: std::result::Result<Native, String>,
}

/// Why a graph or a device is not used.
type Reason = String;

/// What runs batches, what it computes in, and what became of each pass.
type Scoring = (Scorer, Precision, Vec<PassReport>);

/// Loads the graph of a reranker's folder. `auto` takes the CPU wherever a GPU cannot be had.
///
/// # Errors
/// No runtime, a graph that it refuses or that gives no score, a precision or a device that cannot be had.
pub fn load(
    files: &ModelFiles,
    config: &ModelConfig,
    options: &Options,
    threads: usize,
    probe: &[Pair],
    stop: &(dyn Stop + Sync),
) -> Result<Prepared> {
    // Its own trouble is no device's.
    runtime::get()?;
    let job = |device: Device| Job {
        files,
        options,
        settings: Settings {
            threads,
            dims: config.dims,
            pooling: config.pooling,
            device,
            gpu: options.gpu.clone(),
        },
        probe: probe.iter().collect(),
        apply: graph::apply,
        stop,
    };
    let (mut prepared, reason) = rules::on_device(
        options.device,
        |gpu| job(gpu).on_gpu(),
        || job(Device::Cpu).run(),
    )?;
    prepared.device_reason = reason;
    Ok(prepared)
}

/// One load on one device.
struct Job<'a> {
    files: &'a ModelFiles,
    options: &'a Options,
    settings: Settings,
    probe: Vec<&'a Pair>,
    /// Applies one pass; a parameter, so that tests can have wrong ones.
    apply: Apply,
    stop: &'a (dyn Stop + Sync),
}

impl Job<'_> {
    fn run(&self) -> Result<Prepared> {
        self.stop.check()?;
        let read = self.files.graph_source();
        let read = read.map_err(|e| e.message().to_owned());
        let native = read.as_ref().map_err(Clone::clone);
        let reason = match native.and_then(|source| self.native(source)) {
            Ok(prepared) => return Ok(prepared),
            Err(reason) => reason,
        };
        self.stop.check()?;
        native::check_not_needed(self.options, self.files.graph(), &reason)?;
        let usable = read.and_then(|source| {
            runtime::get()
                .map_err(|e| e.to_string())?
                .takes_graphs_in_memory()?;
            Ok(source)
        });
        let graph = match usable {
            Ok(source) => self.graph(source),
            Err(unusable) => self.as_it_is(None, Some(unusable)),
        };
        Ok(self.prepared(graph?, Err(reason)))
    }

    /// Our own encoder under the graph's head.
    fn native(&self, source: &OnnxGraph) -> std::result::Result<Prepared, Reason> {
        let scores = || self.probe(source);
        let (mut made, wanted) = NativeScorer::open(source, self.options, &self.settings, scores)?;
        let found = made.scorer.probe(&self.probe).map_err(|e| e.to_string())?;
        Tolerance::of_encoder(made.precision)
            .check(&wanted, &found)
            .map_err(|found| format!("its scores are not the graph's: {found}"))?;
        let passes = vec![report(Some("the native encoder runs".to_owned()))];
        let scoring = (made.scorer, made.precision, passes);
        Ok(self.prepared(scoring, Ok(made.native)))
    }

    /// The graph, with the passes that fit.
    fn graph(&self, source: OnnxGraph) -> Result<Scoring> {
        let precision = graph::precision(&source.model, LOGITS);
        let making = rules::precision_pass(self.options, self.files, precision)?;
        let facts = Facts {
            hidden: LOGITS,
            dims: self.settings.dims,
            pooling: self.settings.pooling,
            precision,
            range: Range::of_this_cpu(),
        };
        self.stop.check()?;
        let attention = self.attention(&source, &facts);
        let fused = attention.as_ref().unwrap_or(&source);
        let Some(making) = making else {
            return match &attention {
                Ok(fused) => match self.open(fused, &source, Tolerance::Rounding) {
                    Ok(scorer) => Ok((scorer, precision, vec![report(None)])),
                    Err(reason) => self.as_it_is(Some(precision), Some(reason)),
                },
                Err(reason) => self.as_it_is(Some(precision), Some(reason.clone())),
            };
        };
        self.stop.check()?;
        let tolerance = Tolerance::of_pass(making);
        let made = (self.apply)(making, fused, &facts).and_then(|mut made| {
            edit::prune(&mut made.model);
            self.open(&made, &source, tolerance)
        });
        let scorer = made.map_err(|reason| rules::no_precision(making, self.files, &reason))?;
        let mut passes = vec![report(attention.err())];
        passes.push(PassReport {
            pass: making,
            off: None,
        });
        let precision = self.options.precision.unwrap_or(precision);
        Ok((scorer, precision, passes))
    }

    /// As [`Self::run`], and sees to it that the GPU really is used and gives the CPU's scores.
    fn on_gpu(&self) -> Result<Prepared> {
        let Settings { device, gpu, .. } = &self.settings;
        if self.options.precision == Some(Precision::Int8) {
            return Err(Error::invalid("int8 is made for CPUs"));
        }
        providers::check(*device, gpu)?;
        let mut prepared = self.run()?;
        if prepared.precision == Precision::Int8 && self.options.device == Device::Auto {
            return Err(Error::invalid("int8 is made for CPUs"));
        }
        rules::check_nodes(*device, prepared.scorer.nodes())?;
        let scores = prepared.scorer.probe(&self.probe)?;
        let cpu = Settings {
            device: Device::Cpu,
            ..self.settings.clone()
        };
        let reference = Scorer::open(Graph::File(self.files), &cpu)?.probe(&self.probe)?;
        let rounds = gpu.tf32
            || matches!(device, Device::TensorRt(_))
            || prepared.precision != Precision::Fp32;
        let tolerance = if rounds {
            Tolerance::Half
        } else {
            Tolerance::Device
        };
        tolerance.check(&reference, &scores).map_err(|found| {
            Error::invalid(format!("its scores are not those of the CPU: {found}"))
        })?;
        Ok(prepared)
    }

    /// The graph with its attention fused.
    fn attention(
        &self,
        source: &OnnxGraph,
        facts: &Facts<'_>,
    ) -> std::result::Result<OnnxGraph, Reason> {
        let wanted = self.options.passes.as_ref();
        if wanted.is_some_and(|passes| !passes.contains(&Pass::Attention)) {
            return Err("not asked for".to_owned());
        }
        let mut fused = (self.apply)(Pass::Attention, source, facts)?;
        edit::prune(&mut fused.model);
        // The loose bounds of a precision must not hide that it does harm.
        if self.options.precision.is_some() {
            let scores = self.probe(&fused)?;
            Tolerance::Rounding.check(&self.probe(source)?, &scores)?;
        }
        Ok(fused)
    }

    /// A changed graph, loaded, if it scores the probe pairs as the file's does.
    fn open(
        &self,
        changed: &OnnxGraph,
        source: &OnnxGraph,
        tolerance: Tolerance,
    ) -> std::result::Result<Scorer, Reason> {
        let mut scorer = Scorer::open(Graph::Prepared(changed), &self.settings)
            .map_err(|e| format!("ONNX Runtime refused the prepared graph: {e}"))?;
        // A GPU rounds in its own way: there the graphs are compared on the CPU.
        let scores = if self.settings.device.is_gpu() {
            self.probe(changed)?
        } else {
            scorer.probe(&self.probe).map_err(|e| e.to_string())?
        };
        tolerance.check(&self.probe(source)?, &scores)?;
        Ok(scorer)
    }

    fn probe(&self, graph: &OnnxGraph) -> std::result::Result<Vec<f64>, Reason> {
        let scorer = Scorer::open(Graph::Probed(graph), &self.settings);
        let scores = scorer.and_then(|mut scorer| scorer.probe(&self.probe));
        scores.map_err(|e| format!("the self-check failed: {e}"))
    }

    /// The file's own graph; `reason`: why it is not a changed one.
    fn as_it_is(&self, precision: Option<Precision>, reason: Option<Reason>) -> Result<Scoring> {
        self.stop.check()?;
        let scorer = Scorer::open(Graph::File(self.files), &self.settings)?;
        let seen = || rules::precision_seen(self.files, scorer.gives_half());
        let precision = precision.unwrap_or_else(seen);
        if let Some(making) = rules::precision_pass(self.options, self.files, precision)? {
            return Err(rules::no_precision(
                making,
                self.files,
                reason.as_deref().unwrap_or_default(),
            ));
        }
        Ok((scorer, precision, vec![report(reason)]))
    }

    fn prepared(
        &self,
        (scorer, precision, passes): Scoring,
        native: std::result::Result<Native, Reason>,
    ) -> Prepared {
        Prepared {
            scorer,
            precision,
            passes,
            device: self.settings.device,
            device_reason: None,
            native,
        }
    }
}

fn report(off: Option<Reason>) -> PassReport {
    PassReport {
        pass: Pass::Attention,
        off,
    }
}

/// How far a score may move, in the logit: a guard against graphs that are wrong, no promise.
#[derive(Clone, Copy)]
enum Tolerance {
    /// Operators were fused.
    Rounding,
    /// Another device adds in another order.
    Device,
    /// Half precision.
    Half,
    /// bfloat16: three bits less than half precision.
    Bfloat16,
    /// Eight bits.
    Int8,
}

impl Tolerance {
    fn of_pass(pass: Pass) -> Self {
        match pass {
            Pass::Int8 => Tolerance::Int8,
            Pass::Fp16 => Tolerance::Half,
            _ => Tolerance::Rounding,
        }
    }

    /// What our own encoder may do to a graph in single precision.
    fn of_encoder(precision: Precision) -> Self {
        match precision {
            Precision::Fp32 => Tolerance::Rounding,
            Precision::Fp16 => Tolerance::Half,
            Precision::Bf16 => Tolerance::Bfloat16,
            Precision::Int8 => Tolerance::Int8,
        }
    }

    fn most(self) -> f64 {
        match self {
            Tolerance::Rounding => 1e-4,
            Tolerance::Device => 1e-2,
            Tolerance::Half => 0.1,
            Tolerance::Bfloat16 => 0.5,
            Tolerance::Int8 => 1.0,
        }
    }

    fn check(self, wanted: &[f64], scores: &[f64]) -> std::result::Result<(), Reason> {
        let pairs = wanted.iter().zip(scores);
        // A NaN must not get lost in a maximum.
        let fits = pairs.clone().all(|(a, b)| (a - b).abs() <= self.most());
        if fits && wanted.len() == scores.len() {
            return Ok(());
        }
        let worst = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        Err(format!(
            "it changes the score of a probe pair by {worst:.1e}, allowed are {:.0e}",
            self.most()
        ))
    }
}

#[cfg(test)]
mod tests;
