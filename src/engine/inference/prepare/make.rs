//! Makes prepared graphs: applies the passes that fit, and loads the result once it was seen that they
//! do no harm.
//!
//! A prepared graph is compared with the file's own on two probe texts before it is used. The file's
//! graph is loaded for that with its weights mapped and nothing optimised, on another core, while the
//! prepared one is loaded in full: it costs little time and no memory that stays. A pass that changes
//! the vectors is dropped.

use crate::engine::graph::bound::Bound;
use crate::engine::graph::{Facts, edit};
use crate::engine::inference::loaded_graph::{Graph, Settings};
use crate::engine::inference::prepare::reports::{all_off, is_failed_precision, on, sort};
use crate::engine::inference::runner::Vectors;
use crate::engine::inference::session::Session;
use crate::engine::models::pass::{Pass, PassReport};
use crate::engine::onnx::graph::OnnxGraph;

/// Applies a pass; a parameter, so that tests can have wrong ones.
pub type Apply = fn(Pass, &OnnxGraph, &Facts<'_>) -> std::result::Result<OnnxGraph, String>;

/// A prepared graph, loaded.
pub struct Built {
    /// Runs it.
    pub session: Session,
    /// The graph.
    pub graph: OnnxGraph,
    /// What became of each pass.
    pub passes: Vec<PassReport>,
}

/// What makes them.
pub struct Maker<'a> {
    /// How they are loaded.
    pub settings: &'a Settings,
    /// Ids of the texts on which graphs are compared.
    pub probe: &'a [&'a [i64]],
    /// Applies one pass.
    pub apply: Apply,
}

impl Maker<'_> {
    /// The graph with every pass that fits and does no harm.
    ///
    /// # Errors
    /// What became of each pass, where none can be used or one that must be cannot.
    pub fn build(
        &self,
        source: &OnnxGraph,
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
            let session = Session::open(Graph::Prepared(&changed), self.settings);
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
                graph: changed,
                passes,
            }),
            Err(_) => self.build_carefully(source, facts, asked),
        }
    }

    /// One pass after the other, each compared, without those that do harm.
    fn build_carefully(
        &self,
        source: &OnnxGraph,
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
        let loaded = Session::open(Graph::Prepared(&changed), self.settings)
            .map_err(|e| format!("ONNX Runtime refused the prepared graph: {e}"))
            .and_then(|mut session| {
                self.check(&mut session, &changed, &reference, facts, &kept)?;
                Ok(session)
            });
        let session = loaded.map_err(|reason| all_off(&reason))?;
        passes.extend(dropped);
        Ok(Built {
            session,
            graph: changed,
            passes,
        })
    }

    /// The graph with every pass that fits, and what became of each.
    fn chain(
        &self,
        source: &OnnxGraph,
        facts: &Facts<'_>,
        asked: &[Pass],
    ) -> (OnnxGraph, Vec<PassReport>) {
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

    fn probe(&self, source: &OnnxGraph) -> std::result::Result<Vectors, String> {
        let session = Session::open(Graph::Probed(source), self.settings);
        let vectors = session.and_then(|mut session| session.probe(self.probe));
        vectors.map_err(|e| format!("the self-check failed: {e}"))
    }

    /// Compares what a prepared graph gives. A GPU rounds in its own way, so there the passes are
    /// compared on the CPU, and the GPU with the CPU afterwards.
    fn check(
        &self,
        session: &mut Session,
        changed: &OnnxGraph,
        reference: &Vectors,
        facts: &Facts<'_>,
        passes: &[Pass],
    ) -> std::result::Result<(), String> {
        let vectors = if self.settings.device.is_gpu() {
            self.probe(changed)?
        } else {
            session.probe(self.probe).map_err(|e| e.to_string())?
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
