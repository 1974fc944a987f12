//! Rows that several threads write at once, each in columns or rows of its own.

#![allow(unsafe_code)]

use crate::engine::encoder::lanes::LANES;
use std::marker::PhantomData;

/// `rows x width` numbers. A copy writes into the same memory.
pub struct Sheet<'a, T = f32> {
    first: *mut T,
    rows: usize,
    width: usize,
    memory: PhantomData<&'a mut [T]>,
}

impl<T> Clone for Sheet<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Sheet<'_, T> {}

// SAFETY: a sheet is written through its unsafe methods alone, whose callers answer for it that no two
// threads have the same numbers.
unsafe impl<T: Send> Send for Sheet<'_, T> {}
// SAFETY: as for `Send`.
unsafe impl<T: Send> Sync for Sheet<'_, T> {}

impl<'a, T> Sheet<'a, T> {
    /// Over memory that nobody else sees meanwhile.
    pub fn new(memory: &'a mut [T], width: usize) -> Self {
        Sheet {
            rows: memory.len() / width,
            first: memory.as_mut_ptr(),
            width,
            memory: PhantomData,
        }
    }

    /// The rows from `from` on.
    ///
    /// # Panics
    /// Where there are fewer.
    pub fn rows_from(self, from: usize) -> Self {
        assert!(from <= self.rows);
        Sheet {
            // SAFETY: `from` rows are there.
            first: unsafe { self.first.add(from * self.width) },
            rows: self.rows - from,
            ..self
        }
    }

    /// A row.
    ///
    /// # Safety
    /// Nobody else has any of its numbers while the reference lives.
    ///
    /// # Panics
    /// Where the row is not there.
    #[inline(always)]
    pub unsafe fn row(&self, row: usize) -> &'a mut [T] {
        assert!(row < self.rows);
        // SAFETY: the row is within the memory, and the caller has it alone.
        unsafe { std::slice::from_raw_parts_mut(self.first.add(row * self.width), self.width) }
    }
}

impl<'a> Sheet<'a> {
    /// Sixteen numbers of a row.
    ///
    /// # Safety
    /// As for [`Self::row`].
    ///
    /// # Panics
    /// Where the row or the columns are not there.
    #[inline(always)]
    pub unsafe fn sixteen(&self, row: usize, column: usize) -> &'a mut [f32; LANES] {
        assert!(row < self.rows && column + LANES <= self.width);
        // SAFETY: the numbers are within the memory, and the caller has them alone.
        unsafe { &mut *self.first.add(row * self.width + column).cast() }
    }
}
