//! The whole encoder: tokens in, vectors or states out, by the kernels of this CPU.
//!
//! A text's vector depends on the text alone, whatever the batch and the threads: each sum is one sum in
//! one order, and scales belong to rows.

use crate::engine::encoder::cpu::Cpu;
use crate::engine::encoder::format::{Arithmetic, Bf16, Format, Fp32, Int8};
use crate::engine::encoder::forward::Forward;
use crate::engine::encoder::lanes::Lanes;
use crate::engine::encoder::network::Network;
use crate::engine::encoder::shape::Shape;
use crate::engine::encoder::sheet::Sheet;
use crate::engine::encoder::team::{Alone, Team};
use crate::engine::encoder::tokens::Tokens;
use crate::engine::process::lock::lock;
use crate::error::{Error, Result};
use std::sync::Mutex;

/// A BERT encoder on a CPU.
pub struct Encoder {
    /// What is run.
    pub network: Network,
    /// What runs it.
    pub cpu: Cpu,
}

impl Encoder {
    /// A network that was packed for this CPU.
    ///
    /// # Errors
    /// A CPU without the network's format.
    pub fn new(network: Network, cpu: Cpu) -> Result<Self> {
        if !cpu.has(network.format) {
            return Err(Error::invalid(format!(
                "this CPU's kernels ({}) have no bfloat16",
                cpu.name()
            )));
        }
        Ok(Encoder { network, cpu })
    }

    /// What the network gives for texts: `texts x hidden` into `out`.
    ///
    /// # Errors
    /// A text without tokens or with too many, a token that the vocabulary does not have, another number of
    /// types than tokens or a type that there is not, not enough memory.
    pub fn run(&self, team: &dyn Team, texts: &[Tokens<'_>], out: &mut [f32]) -> Result<()> {
        if texts.is_empty() {
            return Ok(());
        }
        texts.iter().try_for_each(|&text| self.check(text))?;
        let out = Sheet::new(out, self.network.shape.hidden);
        match (self.cpu, self.network.format) {
            #[cfg(target_arch = "x86_64")]
            (Cpu::Avx512Bf16(lanes), Format::Fp32) => self.on::<_, Fp32>(lanes, team, texts, out),
            #[cfg(target_arch = "x86_64")]
            (Cpu::Avx512Bf16(lanes), Format::Bf16) => self.on::<_, Bf16>(lanes, team, texts, out),
            #[cfg(target_arch = "x86_64")]
            (Cpu::Avx512Bf16(lanes), Format::Int8) => self.on::<_, Int8>(lanes, team, texts, out),
            #[cfg(target_arch = "x86_64")]
            (Cpu::Avx512(lanes), Format::Fp32) => self.on::<_, Fp32>(lanes, team, texts, out),
            #[cfg(target_arch = "x86_64")]
            (Cpu::Avx512(lanes), Format::Int8) => self.on::<_, Int8>(lanes, team, texts, out),
            #[cfg(target_arch = "x86_64")]
            (Cpu::AvxVnni(lanes), Format::Fp32) => self.on::<_, Fp32>(lanes, team, texts, out),
            #[cfg(target_arch = "x86_64")]
            (Cpu::AvxVnni(lanes), Format::Int8) => self.on::<_, Int8>(lanes, team, texts, out),
            #[cfg(target_arch = "x86_64")]
            (Cpu::Avx2(lanes), Format::Fp32) => self.on::<_, Fp32>(lanes, team, texts, out),
            #[cfg(target_arch = "x86_64")]
            (Cpu::Avx2(lanes), Format::Int8) => self.on::<_, Int8>(lanes, team, texts, out),
            _ => Err(Error::internal("kernels of another CPU")),
        }
    }

    fn check(&self, text: Tokens<'_>) -> Result<()> {
        let Shape {
            vocabulary,
            positions,
            token_types,
            ..
        } = self.network.shape;
        let Tokens { ids, types } = text;
        if ids.is_empty() || ids.len() > positions {
            return Err(Error::invalid(format!(
                "a text of {} tokens, expected 1 to {positions}",
                ids.len()
            )));
        }
        if !types.is_empty() && types.len() != ids.len() {
            return Err(Error::invalid(format!(
                "{} types for a text of {} tokens",
                types.len(),
                ids.len()
            )));
        }
        let below = |number: i64, limit: usize| usize::try_from(number).is_ok_and(|n| n < limit);
        if let Some(id) = ids.iter().find(|&&id| !below(id, vocabulary)) {
            return Err(Error::invalid(format!(
                "token {id} is not in the vocabulary of {vocabulary}"
            )));
        }
        match types.iter().find(|&&own| !below(own, token_types)) {
            None => Ok(()),
            Some(own) => Err(Error::invalid(format!(
                "a token of type {own}, there are {token_types}"
            ))),
        }
    }

    /// Texts by threads where that shares the work evenly; else all threads work on each product.
    fn on<L: Lanes, A: Arithmetic<L>>(
        &self,
        lanes: L,
        team: &dyn Team,
        texts: &[Tokens<'_>],
        out: Sheet<'_>,
    ) -> Result<()> {
        let forward = |team: &dyn Team, members: &[usize]| {
            Forward::<L, A>::new(&self.network, lanes, team, texts, members)?.run(out)
        };
        let groups = groups(texts, team.threads());
        if let [all] = groups.as_slice() {
            return forward(team, all);
        }
        let failed = Mutex::new(None);
        team.each(groups.len(), &|group| {
            if let Err(e) = forward(&Alone, &groups[group]) {
                *lock(&failed) = Some(e);
            }
        });
        lock(&failed).take().map_or(Ok(()), Err)
    }
}

/// Fewer tokens for a thread are not worth reading all weights for.
const LEAST: usize = 48;

/// Which texts a thread runs; one group where texts cannot be shared out evenly.
fn groups(texts: &[Tokens<'_>], threads: usize) -> Vec<Vec<usize>> {
    let all = || vec![(0..texts.len()).collect()];
    let tokens: usize = texts.iter().map(Tokens::count).sum();
    if threads < 2 || texts.len() < threads || tokens / threads < LEAST {
        return all();
    }
    // The longest first, each to whom has least.
    let mut order: Vec<usize> = (0..texts.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(texts[i].count()));
    let mut groups = vec![(0, Vec::new()); threads];
    for i in order {
        if let Some((load, group)) = groups.iter_mut().min_by_key(|(load, _)| *load) {
            *load += texts[i].count();
            group.push(i);
        }
    }
    let most = groups.iter().map(|(load, _)| *load).max().unwrap_or(0);
    if most * threads > tokens + tokens / 6 {
        return all();
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
