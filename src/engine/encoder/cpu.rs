//! Which kernels this CPU runs: found out once, or named by `BGE_KERNELS` (for tests).

use crate::engine::encoder::format::Format;
#[cfg(target_arch = "x86_64")]
use crate::engine::encoder::lanes::{Lanes, avx2, avx512};

/// The kernels of one kind of CPU, with the proof that they can be run.
#[derive(Clone, Copy, Debug)]
pub enum Cpu {
    /// AVX-512 with VNNI and bfloat16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16(avx512::Avx512Bf16),
    /// AVX-512 with VNNI.
    #[cfg(target_arch = "x86_64")]
    Avx512(avx512::Avx512),
    /// AVX2 with AVX-VNNI.
    #[cfg(target_arch = "x86_64")]
    AvxVnni(avx2::AvxVnni),
    /// AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2(avx2::Avx2),
}

/// The environment variable that names kernels.
const VARIABLE: &str = "BGE_KERNELS";

/// All names, best first.
const NAMES: [&str; 4] = ["avx512_bf16", "avx512", "avx_vnni", "avx2"];

impl Cpu {
    /// The best kernels that this CPU runs, or those that `BGE_KERNELS` names.
    ///
    /// # Errors
    /// Why there are none: a CPU without AVX2, kernels that it cannot run, `BGE_KERNELS` `none`.
    pub fn of_this_machine() -> Result<Self, String> {
        match std::env::var(VARIABLE).ok().filter(|name| !name.is_empty()) {
            None => NAMES
                .into_iter()
                .find_map(Cpu::named)
                .ok_or_else(|| "this CPU has no AVX2".to_owned()),
            Some(none) if none == "none" => Err(format!("{VARIABLE} is 'none'")),
            Some(name) if NAMES.contains(&name.as_str()) => Cpu::named(&name)
                .ok_or_else(|| format!("{VARIABLE} is '{name}', which this CPU cannot run")),
            Some(name) => Err(format!(
                "{VARIABLE} is '{name}', expected one of {} or 'none'",
                NAMES.join(", ")
            )),
        }
    }

    #[cfg(target_arch = "x86_64")]
    fn named(name: &str) -> Option<Self> {
        match name {
            "avx512_bf16" => avx512::Avx512Bf16::detect().map(Cpu::Avx512Bf16),
            "avx512" => avx512::Avx512::detect().map(Cpu::Avx512),
            "avx_vnni" => avx2::AvxVnni::detect().map(Cpu::AvxVnni),
            "avx2" => avx2::Avx2::detect().map(Cpu::Avx2),
            _ => None,
        }
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn named(_: &str) -> Option<Self> {
        None
    }

    /// As `BGE_KERNELS` and `bge_info` have it.
    #[cfg(target_arch = "x86_64")]
    pub fn name(self) -> &'static str {
        match self {
            Cpu::Avx512Bf16(_) => NAMES[0],
            Cpu::Avx512(_) => NAMES[1],
            Cpu::AvxVnni(_) => NAMES[2],
            Cpu::Avx2(_) => NAMES[3],
        }
    }

    /// See the other one.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn name(self) -> &'static str {
        match self {}
    }

    /// Whether it computes in a format.
    pub fn has(self, format: Format) -> bool {
        format != Format::Bf16 || self.name() == NAMES[0]
    }

    /// The largest magnitude of a weight in 8 bits.
    #[cfg(target_arch = "x86_64")]
    pub fn most(self) -> i8 {
        match self {
            Cpu::Avx512Bf16(_) | Cpu::Avx512(_) => avx512::Avx512::WEIGHTS,
            Cpu::AvxVnni(_) => avx2::AvxVnni::WEIGHTS,
            Cpu::Avx2(_) => avx2::Avx2::WEIGHTS,
        }
    }

    /// See the other one.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn most(self) -> i8 {
        match self {}
    }
}
