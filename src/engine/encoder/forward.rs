//! One pass of some texts through the encoder: which kernels run in which order, over which memory.
//!
//! Texts lie end to end, nothing is padded. With CLS pooling the last layer runs for the first tokens
//! alone, but for its keys and values. States stay in single precision; the format is what matrix products
//! are computed in.

#![allow(unsafe_code)]

use crate::engine::encoder::attention::{self, Head};
use crate::engine::encoder::format::{Arithmetic, RowScale};
use crate::engine::encoder::lanes::Lanes;
use crate::engine::encoder::line::Floats;
use crate::engine::encoder::matrix::{Matrix, PANEL, padded};
use crate::engine::encoder::network::{Network, Output};
use crate::engine::encoder::norm::Norm;
use crate::engine::encoder::product::{Activation, Product, Words};
use crate::engine::encoder::rows::RoundRows;
use crate::engine::encoder::sheet::Sheet;
use crate::engine::encoder::team::{Team, part};
use crate::engine::encoder::tokens::Tokens;
use crate::engine::models::pooling::SMALLEST_NORM;
use crate::error::Result;
use crate::memory::reserved;
use std::marker::PhantomData;
use std::ops::Range;

/// Some texts of a batch on their way.
pub struct Forward<'e, L, A> {
    network: &'e Network,
    lanes: L,
    team: &'e dyn Team,
    texts: Vec<Tokens<'e>>,
    /// Which texts of the batch they are.
    members: &'e [usize],
    /// Each text's rows.
    rows: Vec<Range<usize>>,
    arithmetic: PhantomData<A>,
}

/// The memory of a pass, all widths padded.
struct Memory {
    /// The state of each token, and the same rounded.
    states: Floats,
    words: Rounded,
    /// What is added to it.
    added: Floats,
    /// Queries, keys and values.
    qkv: Floats,
    /// What the attention gives.
    context: Floats,
    /// Between the two products of a feed-forward network, for a block of rows.
    inner: Floats,
    inner_words: Rounded,
    /// For attention, a row for each task.
    scratch: Floats,
}

/// Rows that were rounded.
struct Rounded {
    words: Vec<u32>,
    scales: Vec<RowScale>,
}

impl Rounded {
    fn new(rows: usize, words: usize) -> Result<Self> {
        let mut rounded = Rounded {
            words: reserved(rows * words)?,
            scales: reserved(rows)?,
        };
        rounded.words.resize(rows * words, 0);
        rounded.scales.resize(rows, [1.0, 0.0]);
        Ok(rounded)
    }
}

/// Rows of a block of the feed-forward network: what is between its products then stays in a core's cache.
const BLOCK: usize = 96;

/// Fewer rows are not worth waking a thread for, where a pass costs little for each.
const LEAST_ROWS: usize = 64;

/// Rows of a task of a product: enough that reading the weights does not matter.
const TASK_ROWS: usize = 48;

impl<'e, L: Lanes, A: Arithmetic<L>> Forward<'e, L, A> {
    /// The texts `members` of a batch.
    ///
    /// # Errors
    /// Not enough memory.
    pub fn new(
        network: &'e Network,
        lanes: L,
        team: &'e dyn Team,
        batch: &[Tokens<'e>],
        members: &'e [usize],
    ) -> Result<Self> {
        let mut texts = reserved(members.len())?;
        texts.extend(members.iter().map(|&i| batch[i]));
        let mut rows = reserved(texts.len())?;
        let mut from = 0;
        for text in &texts {
            rows.push(from..from + text.count());
            from += text.count();
        }
        Ok(Forward {
            network,
            lanes,
            team,
            texts,
            members,
            rows,
            arithmetic: PhantomData,
        })
    }

    /// Runs it; each vector goes to its text's row of the batch.
    ///
    /// # Errors
    /// Not enough memory.
    pub fn run(&self, out: Sheet<'_>) -> Result<()> {
        let tokens = self.rows.last().map_or(0, |rows| rows.end);
        let mut memory = self.memory(tokens)?;
        self.embed(&mut memory, tokens);
        let layers = self.network.shape.layers;
        let first_only = self.network.output.is_of_first_token();
        for layer in 0..layers {
            let last = layer + 1 == layers;
            self.layer(&mut memory, layer, tokens, last && first_only);
        }
        self.pool(&memory, out, first_only);
        Ok(())
    }

    fn memory(&self, tokens: usize) -> Result<Memory> {
        let shape = &self.network.shape;
        let (hidden, heads, inner) = self.widths();
        let block = self.block(tokens);
        let longest = self.texts.iter().map(Tokens::count).max().unwrap_or(0);
        let scratch = attention::scratch(longest, shape.padded_head());
        let in_word = A::FORMAT.in_word();
        Ok(Memory {
            states: Floats::zeros(tokens * hidden)?,
            words: Rounded::new(tokens, hidden.max(heads) / in_word)?,
            added: Floats::zeros(tokens * hidden)?,
            qkv: Floats::zeros(tokens * 3 * heads)?,
            context: Floats::zeros(tokens * heads)?,
            inner: Floats::zeros(block * inner)?,
            inner_words: Rounded::new(block, inner / in_word)?,
            scratch: Floats::zeros(self.team.threads() * scratch)?,
        })
    }

    /// The widths in memory of states, heads, and the middle of a feed-forward network.
    fn widths(&self) -> (usize, usize, usize) {
        let shape = &self.network.shape;
        (
            padded(shape.hidden),
            shape.heads_width(),
            padded(shape.inner),
        )
    }

    /// Rows of a block of the feed-forward network.
    fn block(&self, rows: usize) -> usize {
        rows.min(BLOCK * self.team.threads())
    }

    /// The embeddings: token, position and type, their norm.
    fn embed(&self, memory: &mut Memory, tokens: usize) {
        let (width, _, _) = self.widths();
        let hidden = self.network.shape.hidden;
        let layout = &self.network.layout;
        let states = memory.states.all_mut().chunks_exact_mut(width);
        let added = memory.added.all_mut().chunks_exact_mut(width);
        let positions = self.network.shape.positions;
        // `Encoder::run` has seen that there are such ids and types.
        let place = |number: i64| usize::try_from(number).unwrap_or(0);
        let each = self.texts.iter().flat_map(|text| {
            let types = text.types.iter().copied().chain(std::iter::repeat(0));
            text.ids.iter().zip(types).enumerate()
        });
        for ((state, added), (position, (&id, own))) in states.zip(added).zip(each) {
            let position = place(own) * positions + position;
            state[..hidden].copy_from_slice(self.network.state(&layout.words, place(id)));
            added[..hidden].copy_from_slice(self.network.state(&layout.positions, position));
        }
        self.norm(memory, tokens, self.network.first_norm());
    }

    fn layer(&self, memory: &mut Memory, layer: usize, tokens: usize, first_only: bool) {
        let lines = self.network.layer(layer);
        let place = &self.network.layout.layer;
        let (hidden, heads, inner) = self.widths();
        let panels = heads / PANEL;
        let qkv = place.qkv.of(lines);
        let rows = if first_only { self.texts.len() } else { tokens };
        if first_only {
            self.product(
                &memory.words,
                tokens,
                qkv,
                panels..3 * panels,
                Sheet::new(memory.qkv.all_mut(), 3 * heads),
            );
            self.move_first(memory);
            self.product(
                &memory.words,
                rows,
                qkv,
                0..panels,
                Sheet::new(memory.qkv.all_mut(), 3 * heads),
            );
        } else {
            self.product(
                &memory.words,
                rows,
                qkv,
                0..3 * panels,
                Sheet::new(memory.qkv.all_mut(), 3 * heads),
            );
        }
        self.attend(memory, first_only);
        let context = Sheet::new(memory.context.all_mut(), heads);
        self.round(0..rows, context, None, &mut memory.words, heads);
        let output = place.output.of(lines);
        self.product(
            &memory.words,
            rows,
            output,
            0..hidden / PANEL,
            Sheet::new(memory.added.all_mut(), hidden),
        );
        self.norm(memory, rows, self.network.norm(lines, &place.norm));
        self.feed_forward(
            memory,
            rows,
            place.up.of(lines),
            place.down.of(lines),
            inner,
        );
        self.norm(memory, rows, self.network.norm(lines, &place.last_norm));
    }

    /// The two products of a feed-forward network, block by block.
    fn feed_forward(
        &self,
        memory: &mut Memory,
        rows: usize,
        up: Matrix<'_>,
        down: Matrix<'_>,
        inner: usize,
    ) {
        let (hidden, _, _) = self.widths();
        let words = hidden / A::FORMAT.in_word();
        let block = self.block(rows);
        for from in (0..rows).step_by(block.max(1)) {
            let count = block.min(rows - from);
            let left = Words {
                words: &memory.words.words[from * words..],
                scales: &memory.words.scales[from..from + count],
            };
            let middle = Sheet::new(memory.inner.all_mut(), inner);
            self.split(left, up, 0..inner / PANEL, Activation::Gelu, middle);
            self.round(0..count, middle, None, &mut memory.inner_words, inner);
            let out = Sheet::new(memory.added.all_mut(), hidden).rows_from(from);
            self.product(&memory.inner_words, count, down, 0..hidden / PANEL, out);
        }
    }

    /// `states = norm(states + added)`, rounded too.
    fn norm(&self, memory: &mut Memory, rows: usize, norm: Norm<'_>) {
        let (hidden, _, _) = self.widths();
        let states = Sheet::new(memory.states.all_mut(), hidden);
        let added = Sheet::new(memory.added.all_mut(), hidden);
        self.round(
            0..rows,
            states,
            Some((added, norm)),
            &mut memory.words,
            hidden,
        );
    }

    /// Rounds rows of `width` numbers, perhaps after a norm.
    fn round(
        &self,
        rows: Range<usize>,
        numbers: Sheet<'_>,
        norm: Option<(Sheet<'_>, Norm<'_>)>,
        rounded: &mut Rounded,
        width: usize,
    ) {
        let words = Sheet::new(&mut rounded.words, width / A::FORMAT.in_word());
        let scales = Sheet::new(&mut rounded.scales, 1);
        let tasks = if rows.len() < LEAST_ROWS {
            1
        } else {
            self.team.threads()
        };
        self.team.each(tasks, &|task| {
            let own = part(rows.len(), task, tasks);
            self.lanes.run(RoundRows::<A> {
                rows: rows.start + own.start..rows.start + own.end,
                numbers,
                norm,
                words,
                scales,
                arithmetic: PhantomData,
            });
        });
    }

    /// A product of the first rows.
    fn product(
        &self,
        left: &Rounded,
        rows: usize,
        right: Matrix<'_>,
        panels: Range<usize>,
        out: Sheet<'_>,
    ) {
        let left = Words {
            words: &left.words,
            scales: &left.scales[..rows],
        };
        self.split(left, right, panels, Activation::None, out);
    }

    /// A product, shared out by panels, and by blocks of rows where there are many.
    fn split(
        &self,
        left: Words<'_>,
        right: Matrix<'_>,
        panels: Range<usize>,
        activation: Activation,
        out: Sheet<'_>,
    ) {
        let rows = left.scales.len();
        let run = |rows: Range<usize>, panels: Range<usize>| {
            self.lanes.run(Product::<A> {
                left: Words {
                    words: &left.words[rows.start * right.steps..],
                    scales: &left.scales[rows.clone()],
                },
                right,
                panels,
                activation,
                out: out.rows_from(rows.start),
                arithmetic: PhantomData,
            });
        };
        let threads = self.team.threads();
        if threads == 1 {
            return run(0..rows, panels);
        }
        let blocks = (rows / TASK_ROWS).max(1);
        let units = panels.len() * blocks;
        let tasks = threads.min(units);
        self.team.each(tasks, &|task| {
            for unit in part(units, task, tasks) {
                let panel = panels.start + unit / blocks;
                run(part(rows, unit % blocks, blocks), panel..panel + 1);
            }
        });
    }

    /// Moves the state of each text's first token to the text's own row.
    fn move_first(&self, memory: &mut Memory) {
        let (hidden, _, _) = self.widths();
        let words = hidden / A::FORMAT.in_word();
        for (text, rows) in self.rows.iter().enumerate() {
            let from = rows.start;
            memory
                .states
                .all_mut()
                .copy_within(from * hidden..(from + 1) * hidden, text * hidden);
            memory
                .words
                .words
                .copy_within(from * words..(from + 1) * words, text * words);
            memory.words.scales.copy_within(from..from + 1, text);
        }
    }

    /// Attention, shared out by texts and heads. With `first_only` the query of a text is in the text's own
    /// row, and so is what comes out.
    fn attend(&self, memory: &mut Memory, first_only: bool) {
        let shape = &self.network.shape;
        let (_, width, _) = self.widths();
        let (stride, size) = (3 * width, shape.padded_head());
        let tasks = self.team.threads();
        let scratch = memory.scratch.all().len() / tasks;
        let scratch = Sheet::new(memory.scratch.all_mut(), scratch);
        let out = Sheet::new(memory.context.all_mut(), width);
        let qkv = memory.qkv.all();
        let units = self.texts.len() * shape.heads;
        self.team.each(tasks, &|task| {
            // SAFETY: a task has its own row.
            let scratch = unsafe { scratch.row(task) };
            for unit in part(units, task, tasks) {
                let (text, column) = (unit / shape.heads, unit % shape.heads * size);
                let rows = &self.rows[text];
                let own = if first_only {
                    text..text + 1
                } else {
                    rows.clone()
                };
                let from = |row: usize, part: usize| &qkv[row * stride + part * width + column..];
                self.lanes.run(Head {
                    queries: from(own.start, 0),
                    query_stride: stride,
                    count: own.len(),
                    keys: from(rows.start, 1),
                    values: from(rows.start, 2),
                    stride,
                    tokens: rows.len(),
                    size,
                    out: out.rows_from(own.start),
                    column,
                    scratch: &mut *scratch,
                });
            }
        });
    }

    /// Pools and normalises, or gives the first states as they are.
    fn pool(&self, memory: &Memory, out: Sheet<'_>, first_only: bool) {
        let hidden = self.network.shape.hidden;
        let (width, _, _) = self.widths();
        for (text, (rows, &member)) in self.rows.iter().zip(self.members).enumerate() {
            // SAFETY: each text of the batch is in one group.
            let vector = unsafe { out.row(member) };
            let rows = if first_only {
                text..text + 1
            } else {
                rows.clone()
            };
            vector.fill(0.0);
            for row in rows {
                let state = &memory.states.all()[row * width..][..hidden];
                vector.iter_mut().zip(state).for_each(|(sum, x)| *sum += x);
            }
            if self.network.output == Output::FirstState {
                continue;
            }
            // The mean is not divided by the number of tokens: normalising undoes it.
            let squares: f64 = vector.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            let norm = squares.sqrt().max(f64::from(SMALLEST_NORM));
            for x in vector {
                *x = (f64::from(*x) / norm) as f32;
            }
        }
    }
}
