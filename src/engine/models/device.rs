//! Devices by name, the options that only a GPU has, and what follows from a GPU's memory. Pure: what
//! is really there only the runtime can tell.

use std::path::PathBuf;

/// Where a model runs, as it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// An NVIDIA GPU where the runtime can have one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// An NVIDIA GPU; its number, as CUDA counts.
    Cuda(Option<u32>),
    /// The same through TensorRT; what that does not take goes to CUDA.
    TensorRt(Option<u32>),
    /// Apple's. Never tested.
    #[cfg(target_vendor = "apple")]
    CoreMl,
    /// The CPU's provider where a GPU's would be: all that a GPU's way through the code shows without one.
    #[cfg(test)]
    StandIn(&'static str),
    /// DirectX 12 on Windows. Never tested.
    #[cfg(windows)]
    DirectMl(Option<u32>),
}

/// What can be asked for on this platform.
pub const KNOWN: &str = if cfg!(target_vendor = "apple") {
    "'auto', 'cpu' or 'coreml'"
} else if cfg!(windows) {
    "'auto', 'cpu', 'cuda', 'tensorrt' or 'directml', the last three also with a number as in 'cuda:1'"
} else {
    "'auto', 'cpu', 'cuda' or 'tensorrt', the last two also with a number as in 'cuda:1'"
};

/// CUDA has no more devices than this in any machine.
const LARGEST: u32 = 255;

impl Device {
    /// # Errors
    /// `None`: no device of this platform.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, number) = match text.split_once(':') {
            Some((kind, number)) => (kind, Some(ordinal(number)?)),
            None => (text, None),
        };
        match (kind, number) {
            ("auto", None) => Some(Device::Auto),
            ("cpu", None) => Some(Device::Cpu),
            #[cfg(not(target_vendor = "apple"))]
            ("cuda", number) => Some(Device::Cuda(number)),
            #[cfg(not(target_vendor = "apple"))]
            ("tensorrt", number) => Some(Device::TensorRt(number)),
            #[cfg(target_vendor = "apple")]
            ("coreml", None) => Some(Device::CoreMl),
            #[cfg(windows)]
            ("directml", number) => Some(Device::DirectMl(number)),
            _ => None,
        }
    }

    /// As it is written in options.
    pub fn name(self) -> String {
        let (kind, number) = match self {
            Device::Auto => ("auto", None),
            Device::Cpu => ("cpu", None),
            Device::Cuda(number) => ("cuda", number),
            Device::TensorRt(number) => ("tensorrt", number),
            #[cfg(target_vendor = "apple")]
            Device::CoreMl => ("coreml", None),
            #[cfg(test)]
            Device::StandIn(_) => ("stand-in", None),
            #[cfg(windows)]
            Device::DirectMl(number) => ("directml", number),
        };
        number.map_or(kind.to_owned(), |n| format!("{kind}:{n}"))
    }

    /// With its number, where it has one: what was got.
    #[must_use]
    pub fn numbered(self) -> Self {
        match self {
            Device::Cuda(number) => Device::Cuda(Some(number.unwrap_or(0))),
            Device::TensorRt(number) => Device::TensorRt(Some(number.unwrap_or(0))),
            #[cfg(windows)]
            Device::DirectMl(number) => Device::DirectMl(Some(number.unwrap_or(0))),
            other => other,
        }
    }

    /// Its number.
    pub fn number(self) -> u32 {
        match self {
            Device::Cuda(number) | Device::TensorRt(number) => number.unwrap_or(0),
            #[cfg(windows)]
            Device::DirectMl(number) => number.unwrap_or(0),
            _ => 0,
        }
    }

    /// Whether it is no CPU.
    pub fn is_gpu(self) -> bool {
        !matches!(self, Device::Auto | Device::Cpu)
    }

    /// What `auto` tries before the CPU.
    pub fn tried_first() -> Option<Self> {
        cfg!(not(target_vendor = "apple")).then_some(Device::Cuda(Some(0)))
    }
}

/// Digits only: `+1` and `01` are no numbers of a device.
fn ordinal(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|n| plain && *n <= LARGEST)
}

/// Options that only a GPU's provider has. The defaults are the runtime's own, but for TF32.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GpuOptions {
    /// The most that the provider's arena may take; default: all there is.
    pub mem_mb: Option<u64>,
    /// How the arena grows.
    pub arena_extend: ArenaExtend,
    /// Whether fp32 products may be rounded to TF32: faster, and vectors move by about 1e-3.
    pub tf32: bool,
    /// A folder where TensorRT keeps its engines; default: none are kept.
    pub trt_cache: Option<PathBuf>,
}

/// How a GPU's arena grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArenaExtend {
    /// By powers of two.
    #[default]
    PowerOfTwo,
    /// By what was asked for.
    Requested,
}

/// Tokens a batch on a GPU whose memory is not known.
const GPU_BATCH_TOKENS: usize = 8192;

/// Padded tokens of one run that fit a GPU: a quarter of its memory, which leaves room for weights and
/// for an arena that grows by powers of two, and not more than keeps a large card busy.
///
/// A token needs about 20 buffers of `dims` floats while a layer is computed (four of them the inner
/// layer's), and two rows of attention scores of `max_length` floats for each of at most `dims / 32`
/// heads.
pub fn gpu_batch_tokens(memory: Option<u64>, dims: usize, max_length: usize) -> usize {
    let Some(memory) = memory else {
        return GPU_BATCH_TOKENS;
    };
    let token = 4 * (20 * dims + 2 * dims.div_ceil(32) * max_length) as u64;
    let fit = memory / 4 / token.max(1);
    (fit as usize).clamp(512, 2 * GPU_BATCH_TOKENS)
}

/// Whether these words of the runtime say that memory ran out.
pub fn is_out_of_memory(message: &str) -> bool {
    const WORDS: [&str; 7] = [
        "out of memory",
        "out_of_memory",
        "failed to allocate memory",
        "is smaller than requested bytes",
        "alloc_failed",
        "bad_alloc",
        "bad allocation",
    ];
    let message = message.to_lowercase();
    WORDS.iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in [
            "auto",
            "cpu",
            "cuda",
            "cuda:0",
            "cuda:7",
            "tensorrt",
            "tensorrt:255",
        ] {
            assert_eq!(Device::parse(name).unwrap().name(), name);
        }
        for name in [
            "",
            "gpu",
            "CUDA",
            "cuda:",
            "cuda:-1",
            "cuda:+1",
            "cuda:01",
            "cuda:256",
            "cpu:0",
            "auto:0",
            "cuda:0:0",
            "cuda: 0",
            "cuda:99999999999",
        ] {
            assert_eq!(Device::parse(name), None, "{name}");
        }
        assert_eq!(Device::parse("cuda").unwrap().numbered().name(), "cuda:0");
        assert_eq!(Device::Cpu.numbered(), Device::Cpu);
        assert!(!Device::Auto.is_gpu() && Device::TensorRt(None).is_gpu());
    }

    #[test]
    fn the_budget_follows_the_memory() {
        let gib = |n: u64| Some(n << 30);
        assert_eq!(gpu_batch_tokens(None, 384, 512), 8192);
        // A large card is not given more than keeps it busy, a small one what fits.
        assert_eq!(gpu_batch_tokens(gib(80), 1024, 512), 16384);
        let small = gpu_batch_tokens(gib(2), 1024, 512);
        assert!((1024..4096).contains(&small), "{small}");
        assert_eq!(gpu_batch_tokens(Some(0), 1024, 512), 512);
        assert!(gpu_batch_tokens(gib(8), 1024, 8192) < gpu_batch_tokens(gib(8), 1024, 512));
    }

    #[test]
    fn the_runtimes_words_for_no_memory() {
        for words in [
            "Non-zero status code returned while running MatMul node. Status Message: bfc_arena.cc:376 \
             Failed to allocate memory for requested buffer of size 67108864",
            "CUDA failure 2: out of memory ; GPU=0 ; hostname=x",
            "Available memory of 0 is smaller than requested bytes of 1024",
            "CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED",
            "CUDA_ERROR_OUT_OF_MEMORY",
            "std::bad_alloc",
        ] {
            assert!(is_out_of_memory(words), "{words}");
        }
        for words in [
            "CUDA failure 101: invalid device ordinal",
            "indices out of bounds",
            "",
        ] {
            assert!(!is_out_of_memory(words), "{words}");
        }
    }
}
