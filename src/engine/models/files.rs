//! A model's files: the one place that knows which there are, how large they are and what their bytes
//! hash to.
//!
//! A model folder in the Hugging Face layout holds the graph, perhaps files with the graph's external
//! data under whatever names the graph gives them, the tokenizer, and some JSON. In the Hugging Face
//! cache all of them are links. [`super::config`] reads the JSON, [`super::fingerprint`] asks for the
//! hash, the inventory for the size, and `inference::prepare` for the graph.
//!
//! All are opened at once and stay open while a model is loaded. What is read and hashed here comes from
//! those handles; the runtime opens weights by their names, so whoever loads asks
//! [`ModelFiles::are_as_opened`] afterwards: then it has read the same bytes.

use crate::engine::models::open_file::{OpenFile, cannot_read};
use crate::engine::onnx::graph::OnnxGraph;
use crate::engine::onnx::protobuf::{Model, Tensor};
use crate::engine::onnx::tensors::byte_length;
use crate::engine::onnx::{external, skeleton};
use crate::engine::stop::Stop;
use crate::error::{Error, Kind, Result};
use std::path::{Component, Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// What a folder must hold to be a model's, for messages.
pub const LAYOUT: &str = "a model folder holds config.json, tokenizer.json and onnx/model.onnx (the Hugging Face layout)";

/// Where a folder's graph may be, best first.
const GRAPHS: [&str; 2] = ["onnx/model.onnx", "model.onnx"];

/// The most bytes of a `tokenizer.json`: that of bge-m3 has 17 million.
const LARGEST_TOKENIZER: u64 = 128 << 20;

/// The most bytes of other JSON.
const LARGEST_JSON: u64 = 16 << 20;

/// The most files of external data.
const MOST_DATA_FILES: usize = 1 << 10;

/// The files of one model, open.
#[derive(Debug)]
pub struct ModelFiles {
    folder: PathBuf,
    graph: OpenFile,
    tokenizer: OpenFile,
    /// The graph without its weights, or why there is none.
    skeleton: Result<Model>,
    /// External data, with the names that the graph gives, in the order of those.
    data: Vec<(String, OpenFile)>,
}

/// Hashes (xxh3) of a model's files, each file after its length.
#[derive(Clone)]
pub struct FileHashes {
    /// Of the weights and the tokenizer.
    pub all: Xxh3,
    /// As versions before 0.2 chose the files: external data was what lay beside the graph under the
    /// graph's own name with an ending in `data`. `None`: those are the same files.
    pub by_old_rule: Option<Xxh3>,
}

impl FileHashes {
    /// The hash of the files, and of what else vectors depend on.
    pub fn with(&self, rest: &str) -> [u8; 16] {
        finish(&self.all, rest)
    }

    /// The same by the old rule, where it differs.
    pub fn old_with(&self, rest: &str) -> Option<[u8; 16]> {
        self.by_old_rule.as_ref().map(|hash| finish(hash, rest))
    }
}

fn finish(hash: &Xxh3, rest: &str) -> [u8; 16] {
    let mut hash = hash.clone();
    hash.update(rest.as_bytes());
    hash.digest128().to_le_bytes()
}

impl ModelFiles {
    /// Opens the files of a model folder, and reads its graph without the weights: the graph that was
    /// named, or the folder's usual one.
    ///
    /// # Errors
    /// A file that is missing, no regular one, or outside the folder; a graph that is too large. (A graph
    /// that cannot be understood is told by [`Self::graph_source`].)
    pub fn of(folder: &Path, graph: Option<&Path>) -> Result<Self> {
        let graph = match graph {
            Some(named) => open(named)?,
            None => open(&usual_graph(folder)?)?,
        };
        let tokenizer = open(&folder.join(TOKENIZER))?;
        let own_name = own_name(graph.path());
        let skeleton = own_name
            .clone()
            .and_then(|name| skeleton::read(graph.reader(), graph.bytes(), &name));
        if let Err(e) = &skeleton
            && e.kind() == Kind::TooBig
        {
            return Err(e.clone().at(graph.path().display()));
        }
        let mut names = skeleton
            .as_ref()
            .map(external::locations)
            .unwrap_or_default();
        if let Ok(own) = &own_name {
            names.remove(own);
        }
        if names.len() > MOST_DATA_FILES {
            return Err(Error::invalid(format!(
                "{} names {} files of external data, expected at most {MOST_DATA_FILES}",
                graph.path().display(),
                names.len()
            )));
        }
        let data = names.into_iter().map(|name| {
            let file = open_data(folder, graph.path(), &name)?;
            Ok((name, file))
        });
        Ok(ModelFiles {
            data: data.collect::<Result<_>>()?,
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
        self.graph.path()
    }

    /// The tokenizer's file.
    pub fn tokenizer(&self) -> &Path {
        self.tokenizer.path()
    }

    /// What is in the tokenizer's file.
    ///
    /// # Errors
    /// A file that cannot be read or is too large.
    pub fn tokenizer_json(&self) -> Result<Vec<u8>> {
        self.tokenizer.read(LARGEST_TOKENIZER)
    }

    /// The files with the weights: the graph's, and its external data.
    pub fn weights(&self) -> Vec<&Path> {
        self.weight_files().map(OpenFile::path).collect()
    }

    fn weight_files(&self) -> impl Iterator<Item = &OpenFile> {
        std::iter::once(&self.graph).chain(self.data.iter().map(|(_, file)| file))
    }

    /// The size of the weights in bytes.
    pub fn bytes(&self) -> u64 {
        self.weight_files().map(OpenFile::bytes).sum()
    }

    /// Whether all names still stand for the files that were opened, and nobody has written into them.
    pub fn are_as_opened(&self) -> bool {
        let files = self.weight_files().chain([&self.tokenizer]);
        files.into_iter().all(OpenFile::is_as_opened)
    }

    /// Whether the files are [as they were opened](Self::are_as_opened), as an outcome.
    ///
    /// # Errors
    /// Somebody has written into one, or put another one in its place.
    pub fn check_as_opened(&self) -> Result<()> {
        match self.are_as_opened() {
            true => Ok(()),
            false => Err(Error::invalid(format!(
                "files in {} were changed while they were read; load the model again once they are complete",
                self.folder().display()
            ))),
        }
    }

    /// Which files these are, as long as nobody touches them: of two equal ones the bytes are equal. A file
    /// that was changed just now has none that lasts: the next change might have the same time.
    pub fn identity(&self) -> Option<String> {
        let mut all = Xxh3::new();
        for file in self.weight_files().chain([&self.tokenizer]) {
            all.update(file.identity()?.as_bytes());
        }
        Some(format!("{:032x}", all.digest128()))
    }

    /// Hashes all weights and the tokenizer: about 50 ms for 130 MB.
    ///
    /// # Errors
    /// A file that cannot be read, an interruption.
    pub fn hash(&self, stop: &dyn Stop) -> Result<FileHashes> {
        let mut all = Xxh3::new();
        add(&mut all, &self.graph, stop)?;
        let old = self.data_by_old_rule()?;
        let mut by_old_rule = old.is_some().then(|| all.clone());
        for (_, file) in &self.data {
            add(&mut all, file, stop)?;
        }
        add(&mut all, &self.tokenizer, stop)?;
        if let (Some(hash), Some(files)) = (&mut by_old_rule, &old) {
            for file in files.iter().chain([&self.tokenizer]) {
                add(hash, file, stop)?;
            }
        }
        Ok(FileHashes { all, by_old_rule })
    }

    /// See [`FileHashes::by_old_rule`].
    fn data_by_old_rule(&self) -> Result<Option<Vec<OpenFile>>> {
        let graph = self.graph.path();
        let name = graph.file_name().unwrap_or_default().to_string_lossy();
        let folder = graph.parent().unwrap_or(Path::new(""));
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|e| cannot_read(folder, &e))? {
            let path = entry.map_err(|e| cannot_read(folder, &e))?.path();
            let other = path.file_name().unwrap_or_default().to_string_lossy();
            let rest = other.strip_prefix(&*name);
            if rest.is_some_and(|rest| rest.ends_with("data")) {
                paths.push(path);
            }
        }
        paths.sort();
        if paths
            .iter()
            .eq(self.data.iter().map(|(_, file)| file.path()))
        {
            return Ok(None);
        }
        // Folders and pipes of such names were an error then, so no index was made beside them.
        let files = paths.iter().map(|path| OpenFile::open(path).ok());
        Ok(Some(files.flatten().collect()))
    }

    /// Each of the weights' files, by its real path, with the hash of its bytes in hexadecimal digits.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn hashes(&self) -> Result<Vec<(PathBuf, String)>> {
        let hashed = |file: &OpenFile| {
            let mut hash = Xxh3::new();
            file.pieces(|piece| {
                hash.update(piece);
                Ok(())
            })?;
            let real = file.path().canonicalize();
            let real = real.map_err(|e| cannot_read(file.path(), &e))?;
            Ok((real, format!("{:032x}", hash.digest128())))
        };
        self.weight_files().map(hashed).collect()
    }

    /// The graph, with its tensors named as from the folder of the real files: the runtime takes names
    /// within one folder only, and in the Hugging Face cache that is another one.
    ///
    /// # Errors
    /// A file that is no ONNX graph, or one whose data is in other folders; the message is the reason
    /// why passes cannot be used.
    pub fn graph_source(&self) -> Result<OnnxGraph> {
        let mut model = self.skeleton.clone()?;
        let graph = self.graph.path();
        let real = graph.canonicalize().map_err(|e| cannot_read(graph, &e))?;
        let folder = real.parent().unwrap_or(Path::new(""));
        let name = own_name(graph)?;
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
        let opened = self.data.iter().find(|(name, _)| name == external.location);
        let path = opened.map(|(_, file)| file.path()).unwrap_or(Path::new(""));
        let real = path.canonicalize().map_err(|e| cannot_read(path, &e))?;
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

/// What a folder lacks to be a model's, if anything.
pub fn lacking(folder: &Path) -> Option<String> {
    let lacks = |file: &str| !folder.join(file).is_file();
    if GRAPHS.iter().all(|graph| lacks(graph)) {
        return Some(GRAPHS.join(" and no "));
    }
    [CONFIG, TOKENIZER]
        .into_iter()
        .find(|file| lacks(file))
        .map(str::to_owned)
}

/// Whether a folder looks like a model's.
pub fn is_model_folder(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// What the folder says of the model itself.
pub const CONFIG: &str = "config.json";
/// The tokenizer.
const TOKENIZER: &str = "tokenizer.json";
/// What it says of the tokenizer; may be missing.
pub const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// What it says of pooling; may be missing.
pub const POOLING_CONFIG: &str = "1_Pooling/config.json";
/// What the set-up leaves behind once all files are there.
const COMPLETE: &str = ".complete";

/// The revision that a folder was fetched at: the set-up leaves it behind in a file, and in the Hugging
/// Face cache it is the folder's name.
pub fn revision(folder: &Path) -> Option<String> {
    let marker = read_json(&folder.join(COMPLETE)).ok();
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

/// A JSON file of a model folder.
///
/// # Errors
/// No such file, one that is too large, no JSON.
pub fn read_json(path: &Path) -> Result<serde_json::Value> {
    let bytes = open(path)?.read(LARGEST_JSON)?;
    serde_json::from_slice(&bytes)
        .map_err(|e| Error::invalid(format!("{} is not valid JSON: {e}", path.display())))
}

/// Opens a file that every model folder has; says so where it is not there.
fn open(path: &Path) -> Result<OpenFile> {
    if path.exists() {
        return OpenFile::open(path);
    }
    Err(Error::invalid(format!(
        "{} does not exist; {LAYOUT}",
        path.display()
    )))
}

/// Opens external data by the name that the graph gives it: a path from the graph's own folder, which may
/// not lead out of the model's, not even through a link. The links of the Hugging Face cache do, and so
/// may those that lead to where the graph's own link leads.
fn open_data(folder: &Path, graph: &Path, name: &str) -> Result<OpenFile> {
    let refused = |why: &str| {
        let shown: String = name.chars().take(200).collect();
        Error::invalid(format!(
            "{} has its weights in '{}', which {why}; expected a file in the model's folder",
            graph.display(),
            shown.escape_debug()
        ))
    };
    let plain = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    if name.is_empty() || name.contains('\0') || !Path::new(name).components().all(plain) {
        return Err(refused("is no path within a folder"));
    }
    let path = graph.parent().unwrap_or(Path::new("")).join(name);
    if !path.exists() {
        return Err(refused("does not exist"));
    }
    let file = OpenFile::open(&path)?;
    let real = |path: &Path| path.canonicalize().map_err(|e| cannot_read(path, &e));
    let (real_data, real_graph) = (real(&path)?, real(graph)?);
    let beside_graph = real_data.parent() == real_graph.parent();
    if beside_graph || real_data.starts_with(real(folder)?) {
        return Ok(file);
    }
    Err(refused("is a link out of the model's folder"))
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

/// The name of the real file, which stands in the graph for tensors in that file.
fn own_name(graph: &Path) -> Result<String> {
    let real = graph.canonicalize().map_err(|e| cannot_read(graph, &e))?;
    let name = real.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned)
        .ok_or_else(|| Error::invalid("the file's name is not UTF-8"))
}

/// The file's length in bytes, then the bytes.
fn add(hash: &mut Xxh3, file: &OpenFile, stop: &dyn Stop) -> Result<()> {
    hash.update(&file.bytes().to_le_bytes());
    file.pieces(|piece| {
        hash.update(piece);
        stop.check()
    })
}
