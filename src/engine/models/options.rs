//! How a model is to be loaded: the JSON of `bge_load`, and the environment for the default model.
//!
//! Every field left at its default asks for the model's own value. Options that change vectors have
//! no environment variable: what a text's vector is must not depend on who starts the process.

use crate::engine::models::device::{self, ArenaExtend, Device, GpuOptions};
use crate::engine::models::pass::Pass;
use crate::engine::models::pooling::Pooling;
use crate::engine::models::precision::Precision;
use crate::error::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Options {
    /// Threads of one inference; default: the cores this process may use.
    pub threads: Option<usize>,
    /// How vectors are pooled; default: what the model's folder says.
    pub pooling: Option<Pooling>,
    /// The most tokens of one text, specials included; default: the model's limit.
    pub max_length: Option<usize>,
    /// Put in front of queries; default: the catalogue's, else none.
    pub query_instruction: Option<String>,
    /// What happens to a text that is too long.
    pub overflow: Overflow,
    /// The bound on the text -> vector cache; default 64; 0 turns it off.
    pub cache_mb: Option<u64>,
    /// Padded tokens in one run; default: chosen for the device.
    pub batch_tokens: Option<usize>,
    /// What the graph is to compute in; default: what its file does.
    pub precision: Option<Precision>,
    /// What is to run the model; default: our own encoder where it can.
    pub encoder: EncoderChoice,
    /// The graph passes that are to be used; default: all.
    pub passes: Option<Vec<Pass>>,
    /// A folder for prepared graphs; default: none are kept.
    pub graph_cache: Option<PathBuf>,
    /// The device asked for; default `auto`.
    pub device: Device,
    /// What a GPU is to be told.
    pub gpu: GpuOptions,
}

/// What happens to a text that is longer than the model reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It is cut at the limit.
    #[default]
    Truncate,
    /// It is refused.
    Error,
}

/// What runs a model's graph.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EncoderChoice {
    /// Our own encoder where it can, else the graph.
    #[default]
    Auto,
    /// Our own encoder, or an error.
    Native,
    /// The graph, in the runtime's operators.
    Graph,
}

impl EncoderChoice {
    /// As it is written in options.
    pub fn name(self) -> &'static str {
        match self {
            EncoderChoice::Auto => "auto",
            EncoderChoice::Native => "native",
            EncoderChoice::Graph => "graph",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Auto, Self::Native, Self::Graph]
            .into_iter()
            .find(|choice| choice.name() == text)
    }
}

/// Bounds that do not depend on the model. (`max_length` is checked again against the model.)
const THREADS: RangeInclusive<u64> = 1..=1024;
const MAX_LENGTH: RangeInclusive<u64> = 8..=1 << 20;
const CACHE_MB: RangeInclusive<u64> = 0..=65_536;
const BATCH_TOKENS: RangeInclusive<u64> = 16..=1 << 20;

const GPU_MEM_MB: RangeInclusive<u64> = 64..=1 << 20;

/// Every key, with what it takes.
fn known() -> String {
    format!(
        "device ({}), threads (1 to 1024), pooling ('cls' or 'mean'), \
         max_length (8 to the model's limit), query_instruction (text), \
         overflow ('truncate' or 'error'), cache_mb (0 to 65536), batch_tokens (16 to 1048576), \
         precision ('fp32', 'fp16', 'bf16' or 'int8'), encoder ('auto', 'native' or 'graph'), \
         passes ('all', 'none' or a list of 'attention', 'last_layer' and 'pool'), \
         graph_cache ('off' or an absolute folder); for GPUs gpu_mem_mb (64 to 1048576), \
         arena_extend ('power_of_two' or 'requested'), tf32 (true or false), cuda_graph (false), \
         trt_cache ('off' or an absolute folder)",
        device::KNOWN
    )
}

impl Options {
    /// Reads the JSON object of `bge_load`.
    ///
    /// # Errors
    /// Not a JSON object, an unknown key, a value of a wrong type or out of range.
    pub fn from_json(json: &str) -> Result<Self> {
        let object: Map<String, Value> = serde_json::from_str(json).map_err(|e| {
            Error::invalid(format!(
                "the options are not a JSON object ({e}); known are {}",
                known()
            ))
        })?;
        let mut options = Options::default();
        for (key, value) in &object {
            options.set(key, value)?;
        }
        options.check_gpu(&object)?;
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &Value) -> Result<()> {
        let taken = match key {
            "threads" => number(value, THREADS).map(|n| self.threads = Some(n as usize)),
            "max_length" => number(value, MAX_LENGTH).map(|n| self.max_length = Some(n as usize)),
            "cache_mb" => number(value, CACHE_MB).map(|n| self.cache_mb = Some(n)),
            "batch_tokens" => {
                number(value, BATCH_TOKENS).map(|n| self.batch_tokens = Some(n as usize))
            }
            "pooling" => Pooling::deserialize(value)
                .ok()
                .map(|p| self.pooling = Some(p)),
            "query_instruction" => value
                .as_str()
                .map(|s| self.query_instruction = Some(s.to_owned())),
            "overflow" => overflow(value).map(|o| self.overflow = o),
            "precision" => value
                .as_str()
                .and_then(Precision::parse)
                .map(|p| self.precision = Some(p)),
            "encoder" => value
                .as_str()
                .and_then(EncoderChoice::parse)
                .map(|e| self.encoder = e),
            "passes" => passes(value).map(|p| self.passes = Some(p)),
            "graph_cache" => folder(value).map(|c| self.graph_cache = c),
            "device" => value
                .as_str()
                .and_then(Device::parse)
                .map(|d| self.device = d),
            "gpu_mem_mb" => number(value, GPU_MEM_MB).map(|n| self.gpu.mem_mb = Some(n)),
            "arena_extend" => arena_extend(value).map(|a| self.gpu.arena_extend = a),
            "tf32" => value.as_bool().map(|on| self.gpu.tf32 = on),
            "cuda_graph" if value == &Value::Bool(true) => {
                return Err(Error::invalid(
                    "option cuda_graph is true; a CUDA graph replays one shape of batch at fixed addresses, \
                     and batches of texts have many: it is not supported, leave it out",
                ));
            }
            "cuda_graph" => value.as_bool().map(|_| ()),
            "trt_cache" => folder(value).map(|f| self.gpu.trt_cache = f),
            _ => {
                return Err(Error::invalid(format!(
                    "unknown option '{key}'; known are {}",
                    known()
                )));
            }
        };
        taken.ok_or_else(|| {
            Error::invalid(format!("option {key} is {value}; known are {}", known()))
        })
    }

    /// An option that can have no effect is a mistake: whoever wrote it believes that a GPU is used.
    fn check_gpu(&self, object: &Map<String, Value>) -> Result<()> {
        let given = |key: &&&str| object.contains_key(**key);
        let device = self.device.name();
        if let Some(key) = GPU_KEYS.iter().find(given)
            && self.device == Device::Cpu
        {
            return Err(Error::invalid(format!(
                "option {key} is for GPUs, and device is '{device}'; leave it out, or ask for device 'auto' or 'cuda'"
            )));
        }
        if self.gpu.trt_cache.is_some() && !matches!(self.device, Device::TensorRt(_)) {
            return Err(Error::invalid(format!(
                "option trt_cache is for device 'tensorrt', and device is '{device}'; leave it out"
            )));
        }
        if self.precision == Some(Precision::Int8) && self.device.is_gpu() {
            return Err(Error::invalid(format!(
                "precision 'int8' is made for CPUs, and device is '{device}'; take 'fp16', or device 'cpu'"
            )));
        }
        Ok(())
    }

    /// `BGE_DEVICE`, `BGE_THREADS` and `BGE_CACHE_MB`, for a model that was not given options.
    ///
    /// # Errors
    /// A value out of range, named with its variable.
    pub fn from_environment() -> Result<Self> {
        let mut options = Options::default();
        for (variable, key) in [
            ("BGE_DEVICE", "device"),
            ("BGE_THREADS", "threads"),
            ("BGE_CACHE_MB", "cache_mb"),
        ] {
            let Some(text) = std::env::var(variable).ok().filter(|text| !text.is_empty()) else {
                continue;
            };
            let value = match text.parse::<u64>() {
                Ok(n) if key != "device" => Value::from(n),
                _ => Value::from(text),
            };
            options
                .set(key, &value)
                .map_err(|e| e.at(format_args!("${variable}")))?;
        }
        Ok(options)
    }
}

fn number(value: &Value, range: RangeInclusive<u64>) -> Option<u64> {
    value.as_u64().filter(|n| range.contains(n))
}

fn overflow(value: &Value) -> Option<Overflow> {
    match value.as_str()? {
        "truncate" => Some(Overflow::Truncate),
        "error" => Some(Overflow::Error),
        _ => None,
    }
}

fn passes(value: &Value) -> Option<Vec<Pass>> {
    let known = |name: &str| Pass::SWITCHED.into_iter().find(|pass| pass.name() == name);
    match value {
        Value::String(all) if all == "all" => Some(Pass::SWITCHED.to_vec()),
        Value::String(none) if none == "none" => Some(Vec::new()),
        Value::Array(names) => names.iter().map(|name| known(name.as_str()?)).collect(),
        _ => None,
    }
}

const GPU_KEYS: [&str; 5] = [
    "gpu_mem_mb",
    "arena_extend",
    "tf32",
    "cuda_graph",
    "trt_cache",
];

fn arena_extend(value: &Value) -> Option<ArenaExtend> {
    match value.as_str()? {
        "power_of_two" => Some(ArenaExtend::PowerOfTwo),
        "requested" => Some(ArenaExtend::Requested),
        _ => None,
    }
}

/// A relative folder would depend on where the host happens to stand.
fn folder(value: &Value) -> Option<Option<PathBuf>> {
    match value.as_str()? {
        "off" => Some(None),
        folder if Path::new(folder).is_absolute() => Some(Some(PathBuf::from(folder))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_read() {
        let json = r#"{"threads": 3, "pooling": "mean", "max_length": 128, "query_instruction": "q: ",
                       "overflow": "error", "cache_mb": 0, "batch_tokens": 1024, "device": "cpu",
                       "precision": "int8", "encoder": "graph", "passes": ["pool"], "graph_cache": "/tmp/graphs"}"#;
        let options = Options::from_json(json).unwrap();
        assert_eq!(
            options,
            Options {
                threads: Some(3),
                pooling: Some(Pooling::Mean),
                max_length: Some(128),
                query_instruction: Some("q: ".into()),
                overflow: Overflow::Error,
                cache_mb: Some(0),
                batch_tokens: Some(1024),
                precision: Some(Precision::Int8),
                encoder: EncoderChoice::Graph,
                passes: Some(vec![Pass::Pool]),
                graph_cache: Some("/tmp/graphs".into()),
                device: Device::Cpu,
                gpu: GpuOptions::default(),
            }
        );
        assert_eq!(Options::from_json("{}").unwrap(), Options::default());
        let passes = |json| Options::from_json(json).unwrap().passes;
        assert_eq!(
            passes(r#"{"passes": "all"}"#),
            Some(Pass::SWITCHED.to_vec())
        );
        assert_eq!(passes(r#"{"passes": "none"}"#), Some(vec![]));
        let off = Options::from_json(r#"{"graph_cache": "off"}"#).unwrap();
        assert_eq!(off, Options::default());
    }

    #[test]
    fn options_of_gpus_are_read_and_kept_from_cpus() {
        let json = r#"{"device": "tensorrt:1", "gpu_mem_mb": 2048, "arena_extend": "requested", "tf32": true,
                       "cuda_graph": false, "trt_cache": "/tmp/engines"}"#;
        let options = Options::from_json(json).unwrap();
        assert_eq!(options.device, Device::TensorRt(Some(1)));
        let wanted = GpuOptions {
            mem_mb: Some(2048),
            arena_extend: ArenaExtend::Requested,
            tf32: true,
            trt_cache: Some("/tmp/engines".into()),
        };
        assert_eq!(options.gpu, wanted);
        // `auto` may get a GPU.
        Options::from_json(r#"{"tf32": true}"#).unwrap();
        let message = |json: &str| Options::from_json(json).unwrap_err().message().to_owned();
        for key in GPU_KEYS.iter().filter(|key| **key != "trt_cache") {
            let value = match *key {
                "gpu_mem_mb" => "64",
                "arena_extend" => "\"requested\"",
                _ => "false",
            };
            let json = format!("{{\"device\": \"cpu\", \"{key}\": {value}}}");
            assert!(
                message(&json).starts_with(&format!("option {key} is for GPUs")),
                "{json}"
            );
        }
        assert!(
            message(r#"{"trt_cache": "/x", "device": "cuda"}"#).contains("for device 'tensorrt'")
        );
        assert!(message(r#"{"cuda_graph": true}"#).contains("many: it is not supported"));
        assert!(message(r#"{"precision": "int8", "device": "cuda"}"#).contains("made for CPUs"));
    }

    #[test]
    fn what_is_wrong_is_named_and_what_is_known_listed() {
        for json in [
            r#"{"threads": 0}"#,
            r#"{"threads": 10000}"#,
            r#"{"threads": "2"}"#,
            r#"{"threads": 1.5}"#,
            r#"{"pooling": "max"}"#,
            r#"{"overflow": "ignore"}"#,
            r#"{"cache_mb": -1}"#,
            r#"{"batch_tokens": 15}"#,
            r#"{"max_length": 7}"#,
            r#"{"device": "gpu"}"#,
            r#"{"device": "cuda:x"}"#,
            r#"{"gpu_mem_mb": 63}"#,
            r#"{"arena_extend": "never"}"#,
            r#"{"tf32": 1}"#,
            r#"{"cuda_graph": "yes"}"#,
            r#"{"trt_cache": "engines"}"#,
            r#"{"precision": "fp64"}"#,
            r#"{"passes": "some"}"#,
            r#"{"passes": ["pool", "int8"]}"#,
            r#"{"passes": [1]}"#,
            r#"{"graph_cache": "graphs"}"#,
            r#"{"graph_cache": true}"#,
            r#"{"speed": 11}"#,
            "[]",
            "",
            "{",
        ] {
            let error = Options::from_json(json).unwrap_err();
            assert!(
                error.message().contains("known are device"),
                "{json}: {error}"
            );
        }
    }
}
