//! Our own encoder in the place of a graph: whether it may and can run a model, its weights from a packed
//! file or from the graph, and whether it gives the graph's vectors.

use crate::engine::encoder::cpu::Cpu;
use crate::engine::encoder::encoder::Encoder;
use crate::engine::encoder::format::Format;
use crate::engine::encoder::network::{Network, Output};
use crate::engine::encoder::packed_file::{self, Fingerprints, Header};
use crate::engine::encoder::shape::Shape;
use crate::engine::encoder::store::Store;
use crate::engine::encoder::weights;
use crate::engine::graph::bert::{self, Bert, GraphWeights};
use crate::engine::graph::bound::Bound;
use crate::engine::inference::loaded_graph::Graph;
use crate::engine::inference::operator;
use crate::engine::inference::prepare::target::Target;
use crate::engine::inference::runner::{SharedVector, Vectors};
use crate::engine::inference::session::Session;
use crate::engine::models::device::Device;
use crate::engine::models::options::{EncoderChoice, Options};
use crate::engine::models::precision::Precision;
use crate::engine::onnx::graph::OnnxGraph;
use crate::error::{Error, Result as Fallible};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A session with our encoder.
pub struct NativeSession {
    /// Runs it.
    pub session: Session,
    /// What it computes in.
    pub precision: Precision,
    /// The encoder, and what became of its weights.
    pub native: Native,
}

/// An encoder that runs.
pub struct Native {
    encoder: Arc<Encoder>,
    /// From a packed file: the fingerprint that it remembers.
    pub remembered: Option<Fingerprints>,
    /// What was wrong with a packed file that was there.
    pub before: Option<String>,
    /// Where the packed weights are to be kept, and the probe texts' vectors to keep with them.
    keep: Option<(PathBuf, Vec<Vec<f32>>)>,
}

/// What is decided before anything is read.
pub struct Plan {
    cpu: Cpu,
    format: Format,
}

impl Plan {
    /// Whether options, device and CPU allow our encoder.
    ///
    /// # Errors
    /// Why they do not.
    pub fn of(options: &Options, device: Device) -> Result<Self, String> {
        if device.is_gpu() {
            return Err("it runs on CPUs".into());
        }
        match (options.encoder, &options.passes) {
            (EncoderChoice::Graph, _) => return Err("option encoder is 'graph'".into()),
            (EncoderChoice::Auto, Some(_)) => return Err("option passes is for the graph".into()),
            _ => {}
        }
        let format = match options.precision {
            None | Some(Precision::Fp32) => Format::Fp32,
            Some(Precision::Bf16) => Format::Bf16,
            Some(Precision::Int8) => Format::Int8,
            Some(Precision::Fp16) => return Err("precision 'fp16' is for the graph".into()),
        };
        let cpu = Cpu::of_this_machine()?;
        if !cpu.has(format) {
            return Err(format!(
                "this CPU's kernels ({}) have no bfloat16",
                cpu.name()
            ));
        }
        Ok(Plan { cpu, format })
    }

    /// What it computes in.
    pub fn precision(&self) -> Precision {
        match self.format {
            Format::Fp32 => Precision::Fp32,
            Format::Bf16 => Precision::Bf16,
            Format::Int8 => Precision::Int8,
        }
    }

    /// Packed files for this model, with who may have made them: the folder that was named, and the
    /// model's own.
    fn places(&self, target: &Target<'_>) -> Vec<PathBuf> {
        let own = target.files.folder();
        let named = target.options.graph_cache.as_deref();
        let folders = named.into_iter().chain([own]);
        let place = |folder: &Path| {
            let stem = stem(folder, target);
            packed_file::place(folder, &stem, self.format, self.cpu.most())
        };
        let mut places: Vec<PathBuf> = folders.map(place).collect();
        places.dedup();
        places
    }

    /// The encoder from a packed file; what is wrong with the files there are.
    ///
    /// # Errors
    /// Why none can be used, `none was kept` where there is none.
    pub fn packed(&self, target: &Target<'_>, source: &OnnxGraph) -> Result<NativeSession, String> {
        let mut reason = NONE.to_owned();
        for place in self.places(target) {
            match self.read(target, source, &place) {
                Ok(found) => return Ok(found),
                Err(wrong) if wrong == NONE => {}
                Err(wrong) => reason = format!("{}: {wrong}", place.display()),
            }
        }
        Err(reason)
    }

    fn read(
        &self,
        target: &Target<'_>,
        source: &OnnxGraph,
        place: &Path,
    ) -> Result<NativeSession, String> {
        let mut file = match std::fs::File::open(place) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(NONE.into()),
            Err(e) => return Err(format!("it cannot be read: {e}")),
        };
        let header = packed_file::header(&mut file)?;
        if header.format != self.format || header.most != self.cpu.most() {
            return Err("it was packed for other kernels".into());
        }
        if header.identity.is_none() || header.identity != target.files.identity() {
            let hashes = target
                .files
                .hash(target.stop)
                .map_err(|e| e.message().to_owned())?;
            if hashes.with(&header.fingerprint.rest) != header.fingerprint.kinds.0 {
                return Err("it was packed from another model".into());
            }
        }
        if header.shape.hidden != target.settings.dims {
            return Err("it is of another size than config.json says".into());
        }
        let store = packed_file::store(file, &header)?;
        let output = Output::Vector(target.settings.pooling);
        let encoder = self.over(header.shape.clone(), output, store)?;
        let mut made = self.session(target, source, encoder)?;
        let probe = made
            .session
            .probe(&target.probe)
            .map_err(|e| e.message().to_owned())?;
        let same = |(a, b): (&Vec<f32>, &SharedVector)| Bound::SAME.near(a, b).is_ok();
        if probe.len() != header.probe.len() || !header.probe.iter().zip(&probe).all(same) {
            return Err("it gives other vectors than when it was packed".into());
        }
        made.native.remembered = Some(header.fingerprint);
        Ok(made)
    }

    /// The encoder with weights of the graph, compared with the graph on the probe texts.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn of_graph(
        &self,
        target: &Target<'_>,
        source: &OnnxGraph,
        hidden: &str,
    ) -> Result<NativeSession, String> {
        let bert = bert::recognise(&source.model, hidden)?;
        if bert.shape.hidden != target.settings.dims {
            return Err(format!(
                "its states have {} numbers, config.json says {}",
                bert.shape.hidden, target.settings.dims
            ));
        }
        let output = Output::Vector(target.settings.pooling);
        let make = || {
            let encoder = self.encoder(source, bert, output, target.settings.threads)?;
            self.session(target, source, encoder)
        };
        let probe = || -> Result<Vectors, String> {
            let session = Session::open(Graph::Probed(source), &target.settings);
            let vectors = session.and_then(|mut session| session.probe(&target.probe));
            vectors.map_err(|e| format!("the self-check failed: {e}"))
        };
        let (reference, mut made) = beside(probe, make)?;
        let vectors = made
            .session
            .probe(&target.probe)
            .map_err(|e| e.message().to_owned())?;
        let bound = Bound::of_encoder(self.precision());
        for (graph, own) in reference.iter().zip(&vectors) {
            bound
                .near(graph, own)
                .map_err(|found| format!("its vectors are not the graph's: {found}"))?;
        }
        if let Some(folder) = &target.options.graph_cache {
            let place =
                packed_file::place(folder, &stem(folder, target), self.format, self.cpu.most());
            made.native.keep = Some((place, vectors.iter().map(|v| v.to_vec()).collect()));
        }
        Ok(made)
    }

    /// A recognised encoder with weights of the graph.
    ///
    /// # Errors
    /// Weights that cannot be read or packed.
    pub fn encoder(
        &self,
        source: &OnnxGraph,
        bert: Bert<'_>,
        output: Output,
        threads: usize,
    ) -> Result<Arc<Encoder>, String> {
        let shape = bert.shape.clone();
        let weights = GraphWeights { source, bert };
        let store = weights::pack(&shape, self.format, self.cpu.most(), &weights, threads);
        let store = store.map_err(|e| e.message().to_owned())?;
        self.over(shape, output, Store::Own(store))
    }

    /// An encoder over packed weights.
    fn over(&self, shape: Shape, output: Output, store: Store) -> Result<Arc<Encoder>, String> {
        let network = Network::new(shape, self.format, output, store);
        let encoder = network.and_then(|network| Encoder::new(network, self.cpu));
        encoder.map(Arc::new).map_err(|e| e.message().to_owned())
    }

    fn session(
        &self,
        target: &Target<'_>,
        source: &OnnxGraph,
        encoder: Arc<Encoder>,
    ) -> Result<NativeSession, String> {
        let graph = operator::graph(&source.model, &encoder);
        let session = Session::open(Graph::Encoder(&graph, &encoder), &target.settings);
        Ok(NativeSession {
            session: session.map_err(refused)?,
            precision: self.precision(),
            native: Native::of(encoder),
        })
    }
}

/// Says that the runtime does not take the encoder.
pub fn refused(error: Error) -> String {
    format!("ONNX Runtime refused the encoder: {error}")
}

/// Makes something while another thread runs what it is to be compared with.
///
/// # Errors
/// Of what is made, else of the other.
pub fn beside<R: Send, M>(
    reference: impl FnOnce() -> Result<R, String> + Send,
    make: impl FnOnce() -> Result<M, String>,
) -> Result<(R, M), String> {
    let (reference, made) = std::thread::scope(|scope| {
        let reference = std::thread::Builder::new().spawn_scoped(scope, reference);
        let made = make();
        let reference = match reference {
            Ok(thread) => {
                (thread.join()).unwrap_or_else(|_| Err("a panic in the self-check".to_owned()))
            }
            Err(e) => Err(format!("no thread for the self-check: {e}")),
        };
        (reference, made)
    });
    let made = made?;
    Ok((reference?, made))
}

/// Ends a load that asks by name for what only our own encoder has, where it cannot run this graph for this reason.
///
/// # Errors
/// The load asks for it.
pub fn check_not_needed(options: &Options, graph: &Path, reason: &str) -> Fallible<()> {
    let asked = match (options.encoder, options.precision) {
        (EncoderChoice::Native, _) => "option encoder is 'native'",
        (_, Some(Precision::Bf16)) => {
            "option precision is 'bf16', which the native encoder alone has"
        }
        _ => return Ok(()),
    };
    Err(Error::invalid(format!(
        "{asked}, and {} cannot be run by the native encoder: {reason}; leave the option out",
        graph.display()
    )))
}

/// Where there is no packed file.
pub const NONE: &str = "none was kept";

impl Native {
    /// An encoder whose weights were packed just now.
    pub fn of(encoder: Arc<Encoder>) -> Self {
        Native {
            encoder,
            remembered: None,
            before: None,
            keep: None,
        }
    }

    /// Keeps the packed weights, where a folder for them was named; says what became of it.
    pub fn keep(&mut self, identity: Option<String>, fingerprint: Fingerprints) -> Option<String> {
        let (place, probe) = self.keep.take()?;
        let header = Header {
            shape: self.encoder.network.shape.clone(),
            format: self.encoder.network.format,
            most: self.encoder.cpu.most(),
            identity,
            fingerprint,
            probe,
        };
        let written = packed_file::write(&place, &header, self.encoder.network.store());
        Some(match (written, &self.before) {
            (Ok(()), None) => "written".to_owned(),
            (Ok(()), Some(before)) => format!("written anew: {before}"),
            (Err(reason), _) => format!("not written: {reason}"),
        })
    }

    /// What to say of the folder of kept graphs, as long as nothing was written.
    pub fn cache(&self, named: bool) -> Option<String> {
        let state = if self.remembered.is_some() {
            "hit"
        } else {
            "not written yet"
        };
        named.then(|| state.to_owned())
    }

    /// Which kernels run, and where the weights are.
    pub fn describe(&self) -> (&'static str, &'static str) {
        let mapped = self.encoder.network.store().is_mapped();
        let weights = match (mapped, &self.remembered) {
            (true, _) => "a mapped file",
            (false, Some(_)) => "a copy of a packed file",
            (false, None) => "packed when the model was loaded",
        };
        (self.encoder.cpu.name(), weights)
    }
}

/// In a model's own folder its name says nothing; elsewhere it tells models apart.
fn stem(folder: &Path, target: &Target<'_>) -> String {
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    if real(folder) == real(target.files.folder()) {
        return "encoder".to_owned();
    }
    let graph = real(target.files.graph());
    let hash = xxhash_rust::xxh3::xxh3_64(graph.as_os_str().as_encoded_bytes());
    format!("encoder-{hash:016x}")
}
