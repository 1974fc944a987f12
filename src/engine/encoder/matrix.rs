//! A matrix of weights, packed for products: panels of 64 columns.
//!
//! A panel holds its rows from first to last; a step is as many rows as a word has numbers, in four
//! lines of sixteen columns. Rows and columns that the matrix does not have, up to multiples of 64, are
//! zeros. Behind the panels stand the bias, and for bytes the scales and totals of the columns.

use crate::engine::encoder::format::{self, Columns, Format};
use crate::engine::encoder::lanes::LANES;
use crate::engine::encoder::line::{Line, floats};
use std::ops::Range;

/// Columns of a panel, and what widths of activations are rounded up to.
pub const PANEL: usize = 64;

/// Lines of a step of a panel.
pub const STEP: usize = PANEL / LANES;

/// The width of activations in memory.
pub const fn padded(width: usize) -> usize {
    width.next_multiple_of(PANEL)
}

/// Where a matrix is in a store of lines.
#[derive(Clone, Debug, PartialEq)]
pub struct MatrixPlace {
    /// Its numbers.
    pub format: Format,
    /// Rows: numbers of an activation row, padded.
    pub rows: usize,
    /// Columns, padded.
    pub columns: usize,
    panels: Range<usize>,
    bias: Range<usize>,
    scales: Range<usize>,
    totals: Range<usize>,
}

impl MatrixPlace {
    /// A matrix of so many rows and columns, from line `at` of the store on; and the line behind.
    pub fn at(at: usize, format: Format, rows: usize, columns: usize) -> (Self, usize) {
        let (rows, columns) = (padded(rows), padded(columns));
        let panels = at..at + rows / format.in_word() * columns / LANES;
        let column_lines = columns / LANES;
        let bias = panels.end..panels.end + column_lines;
        let of_bytes = if format == Format::Int8 {
            column_lines
        } else {
            0
        };
        let scales = bias.end..bias.end + of_bytes;
        let totals = scales.end..scales.end + of_bytes;
        let end = totals.end;
        let place = MatrixPlace {
            format,
            rows,
            columns,
            panels,
            bias,
            scales,
            totals,
        };
        (place, end)
    }

    /// The matrix in a store.
    pub fn of<'s>(&self, store: &'s [Line]) -> Matrix<'s> {
        let of_bytes = self.format == Format::Int8;
        let bias = floats(&store[self.bias.clone()]);
        Matrix {
            steps: self.rows / self.format.in_word(),
            columns: self.columns,
            lines: &store[self.panels.clone()],
            bias,
            // Formats without scales read something that is there, and use it for nothing.
            scales: if of_bytes {
                floats(&store[self.scales.clone()])
            } else {
                bias
            },
            totals: if of_bytes {
                floats(&store[self.totals.clone()])
            } else {
                bias
            },
        }
    }

    /// Packs weights into a store: `rows x columns` numbers, row by row, and the bias of each column. `most` is
    /// the largest magnitude of a byte.
    pub fn pack(&self, store: &mut [Line], most: i8, weights: &[f32], bias: &[f32]) {
        let steps = self.rows / self.format.in_word();
        let (weights, _) = weights.as_chunks::<PANEL>();
        let panels = self.columns / PANEL;
        for panel in 0..panels {
            let rows: Vec<&[f32; PANEL]> = weights.iter().skip(panel).step_by(panels).collect();
            let scales = scales(&rows, most);
            let lines = &mut store[self.panels.clone()][panel * steps * STEP..][..steps * STEP];
            let totals = pack_panel(self.format, &rows, &scales, lines);
            if self.format == Format::Int8 {
                put(&mut store[self.scales.clone()][panel * STEP..], &scales);
                put(&mut store[self.totals.clone()][panel * STEP..], &totals);
            }
        }
        put(&mut store[self.bias.clone()], bias);
    }
}

/// A scale for each column, so that its largest weight becomes the largest byte.
fn scales(rows: &[&[f32; PANEL]], most: i8) -> [f32; PANEL] {
    let mut largest = [0f32; PANEL];
    for row in rows {
        for (largest, x) in largest.iter_mut().zip(*row) {
            *largest = largest.max(x.abs());
        }
    }
    // A column of zeros has a scale too.
    largest.map(|x| (x / f32::from(most)).max(f32::MIN_POSITIVE))
}

/// Packs one panel, and gives the scaled totals of its bytes.
fn pack_panel(
    format: Format,
    rows: &[&[f32; PANEL]],
    scales: &[f32; PANEL],
    lines: &mut [Line],
) -> [f32; PANEL] {
    let (steps, _) = lines.as_chunks_mut::<STEP>();
    let mut totals = [0i32; PANEL];
    for (step, rows) in steps.iter_mut().zip(rows.chunks(format.in_word())) {
        for (j, line) in step.iter_mut().enumerate() {
            let sixteen = |row: &[f32; PANEL]| row.as_chunks::<LANES>().0[j];
            let mut columns = [[0f32; LANES]; 4];
            for (to, row) in columns.iter_mut().zip(rows) {
                *to = sixteen(row);
            }
            *line = format::line(format, &columns, &scales.as_chunks().0[j]);
            if format == Format::Int8 {
                for (i, &byte) in line.0.iter().enumerate() {
                    totals[j * LANES + i / 4] += i32::from(byte as i8);
                }
            }
        }
    }
    std::array::from_fn(|i| scales[i] * totals[i] as f32)
}

/// Writes floats into lines.
pub fn put(lines: &mut [Line], numbers: &[f32]) {
    bytemuck::cast_slice_mut::<Line, f32>(lines)[..numbers.len()].copy_from_slice(numbers);
}

/// A packed matrix.
#[derive(Clone, Copy)]
pub struct Matrix<'s> {
    /// Steps of a panel.
    pub steps: usize,
    /// Columns, padded.
    pub columns: usize,
    /// Panel by panel.
    pub lines: &'s [Line],
    /// What is added to each column.
    pub bias: &'s [f32],
    scales: &'s [f32],
    totals: &'s [f32],
}

impl Matrix<'_> {
    /// The lines of a panel.
    #[inline(always)]
    pub fn panel(&self, panel: usize) -> &[Line] {
        &self.lines[panel * self.steps * STEP..][..self.steps * STEP]
    }

    /// What sixteen columns need.
    #[inline(always)]
    pub fn columns_at(&self, sixteen: usize) -> Columns<'_> {
        Columns {
            scales: &self.scales.as_chunks().0[sixteen],
            totals: &self.totals.as_chunks().0[sixteen],
        }
    }

    /// The bias of sixteen columns.
    #[inline(always)]
    pub fn bias_at(&self, sixteen: usize) -> &[f32; LANES] {
        &self.bias.as_chunks().0[sixteen]
    }
}
