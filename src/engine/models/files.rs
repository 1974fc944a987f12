//! A model's files: the one place that knows which there are, how large they are and what their bytes
//! hash to.
//!
//! A model folder in the Hugging Face layout holds the graph, perhaps files with the graph's external
//! data under whatever names the graph gives them, the tokenizer, and some JSON. In the Hugging Face
//! cache all of them are links. [`super::config`] reads the JSON, [`super::fingerprint`] asks for the
//! hash, the inventory for the size, and `inference::prepare` for the graph.

use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::{Model, Tensor};
use crate::engine::onnx::tensors::byte_length;
use crate::engine::onnx::{external, skeleton};
use crate::error::{Error, Result};
use std::io::Read;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// What a folder must hold to be a model's, for messages.
pub const LAYOUT: &str = "a model folder holds config.json, tokenizer.json and onnx/model.onnx (the Hugging Face layout)";

/// Where a folder's graph may be, best first.
const GRAPHS: [&str; 2] = ["onnx/model.onnx", "model.onnx"];

/// The files of one model.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    folder: PathBuf,
    graph: PathBuf,
    tokenizer: PathBuf,
    /// The graph without its weights, or why there is none.
    skeleton: Result<Model>,
    /// External data: as the graph names it, in the order of those names.
    data: Vec<String>,
}

impl ModelFiles {
    /// Looks at a model folder, and reads its graph without the weights: the graph that was named, or
    /// the folder's usual one.
    ///
    /// # Errors
    /// No graph or no tokenizer. (A graph that cannot be read is told by [`Self::graph_source`].)
    pub fn of(folder: &Path, graph: Option<&Path>) -> Result<Self> {
        let graph = match graph {
            Some(named) => existing(named.to_path_buf())?,
            None => usual_graph(folder)?,
        };
        let tokenizer = existing(folder.join("tokenizer.json"))?;
        let skeleton = read_skeleton(&graph);
        let inside = own_name(&graph).ok();
        let named = skeleton
            .as_ref()
            .map(external::locations)
            .unwrap_or_default();
        let data = named
            .into_iter()
            .filter(|name| Some(name) != inside.as_ref());
        Ok(ModelFiles {
            data: data.collect(),
            folder: folder.to_path_buf(),
            graph,
            tokenizer,
            skeleton,
        })
    }

    /// The folder, absolute.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The graph's file.
    pub fn graph(&self) -> &Path {
        &self.graph
    }

    /// The tokenizer's file.
    pub fn tokenizer(&self) -> &Path {
        &self.tokenizer
    }

    /// The files with the weights: the graph's, and its external data.
    pub fn weights(&self) -> Vec<PathBuf> {
        let beside = self.graph.parent().unwrap_or(Path::new(""));
        let data = self.data.iter().map(|name| beside.join(name));
        std::iter::once(self.graph.clone()).chain(data).collect()
    }

    /// The size of the weights in bytes; `None`: a file that is not there.
    pub fn bytes(&self) -> Option<u64> {
        let size = |path: &PathBuf| std::fs::metadata(path).ok().map(|m| m.len());
        self.weights().iter().map(size).sum()
    }

    /// Adds the bytes of the weights and of the tokenizer to a hash, each file after its length. Reads
    /// all of them: about 50 ms for 130 MB.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn add_to(&self, hash: &mut Xxh3) -> Result<()> {
        for path in self.weights().iter().chain([&self.tokenizer]) {
            add_file(hash, path).map_err(|e| cannot_read(path, &e))?;
        }
        Ok(())
    }

    /// Each of the weights' files, by its real path, with the hash of its bytes in hexadecimal digits.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn hashes(&self) -> Result<Vec<(PathBuf, String)>> {
        let hashed = |path: &PathBuf| {
            let mut hash = Xxh3::new();
            let real = path.canonicalize().map_err(|e| cannot_read(path, &e))?;
            add_bytes(&mut hash, &real).map_err(|e| cannot_read(path, &e))?;
            Ok((real, format!("{:032x}", hash.digest128())))
        };
        self.weights().iter().map(hashed).collect()
    }

    /// The graph, with its tensors named as from the folder of the real files: the runtime takes names
    /// within one folder only, and in the Hugging Face cache that is another one.
    ///
    /// # Errors
    /// A file that is no ONNX graph, or one whose data is in other folders; the message is the reason
    /// why passes cannot be used.
    pub fn graph_source(&self) -> Result<OnnxGraph> {
        let mut model = self.skeleton.clone()?;
        let real = self
            .graph
            .canonicalize()
            .map_err(|e| cannot_read(&self.graph, &e))?;
        let folder = real.parent().unwrap_or(Path::new(""));
        let name = own_name(&self.graph)?;
        for tensor in &mut model.body_mut().initializer {
            self.follow(tensor, folder, &name)?;
        }
        Ok(OnnxGraph {
            folder: folder.to_path_buf(),
            model,
        })
    }

    /// Names a tensor's own external data as from the folder of the real file.
    fn follow(&self, tensor: &mut Tensor, folder: &Path, graph: &str) -> Result<()> {
        let Some(external) = tensor.external() else {
            return Ok(());
        };
        if external.location == graph {
            return Ok(());
        }
        let beside = self.graph.parent().unwrap_or(Path::new(""));
        let path = beside.join(external.location);
        let real = path.canonicalize().map_err(|e| cannot_read(&path, &e))?;
        let inside = real.parent() == Some(folder);
        let Some(name) = real.file_name().and_then(|n| n.to_str()).filter(|_| inside) else {
            return Err(Error::invalid(format!(
                "external data {} is not in the graph's folder",
                external.location
            )));
        };
        let length = external.length.unwrap_or(byte_length(tensor)?);
        let (name, offset) = (name.to_owned(), external.offset);
        tensor.set_external(&name, offset, length);
        Ok(())
    }
}

/// Whether a folder holds a graph.
pub fn has_graph(folder: &Path) -> bool {
    usual_graph(folder).is_ok()
}

/// Whether a folder looks like a model's.
pub fn is_model_folder(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// What the folder says of the model itself.
pub const CONFIG: &str = "config.json";
/// What it says of the tokenizer; may be missing.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// What it says of pooling; may be missing.
pub const POOLING_CONFIG: &str = "1_Pooling/config.json";
/// What the set-up leaves behind once all files are there.
const COMPLETE: &str = ".complete";

/// The revision that a folder was fetched at: the set-up leaves it behind in a file, and in the Hugging
/// Face cache it is the folder's name.
pub fn revision(folder: &Path) -> Option<String> {
    let text = std::fs::read_to_string(folder.join(COMPLETE)).ok();
    let marker: Option<serde_json::Value> = text.and_then(|text| serde_json::from_str(&text).ok());
    if let Some(revision) = marker.as_ref().and_then(|m| m["revision"].as_str()) {
        return Some(revision.to_owned());
    }
    let in_cache = folder.parent()?.file_name()? == "snapshots";
    in_cache.then(|| {
        folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    })
}

/// The path, if there is a file.
///
/// # Errors
/// There is none; says what a model folder holds.
pub fn existing(path: PathBuf) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path);
    }
    Err(Error::invalid(format!(
        "{} does not exist; {LAYOUT}",
        path.display()
    )))
}

fn usual_graph(folder: &Path) -> Result<PathBuf> {
    let places = GRAPHS.map(|graph| folder.join(graph));
    places
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| {
            Error::invalid(format!(
                "{} has neither {} nor {}; {LAYOUT}",
                folder.display(),
                GRAPHS[0],
                GRAPHS[1]
            ))
        })
}

fn read_skeleton(graph: &Path) -> Result<Model> {
    let real = graph.canonicalize().map_err(|e| cannot_read(graph, &e))?;
    skeleton::read(&real, &own_name(graph)?)
}

/// The name of the real file, which stands in the graph for tensors in that file.
fn own_name(graph: &Path) -> Result<String> {
    let real = graph.canonicalize().map_err(|e| cannot_read(graph, &e))?;
    let name = real.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .ok_or_else(|| Error::invalid("the file's name is not UTF-8"))
}

/// The file's length in bytes, then the bytes.
fn add_file(hash: &mut Xxh3, path: &Path) -> std::io::Result<()> {
    hash.update(&std::fs::metadata(path)?.len().to_le_bytes());
    add_bytes(hash, path)
}

fn add_bytes(hash: &mut Xxh3, path: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(()),
            n => hash.update(&block[..n]),
        }
    }
}

fn cannot_read(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid(format!("{} cannot be read: {error}", path.display()))
}
