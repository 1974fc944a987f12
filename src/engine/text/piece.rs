//! Pieces of a text for work that may cut it anywhere, and rather does so where nobody minds.

use std::ops::Range;
use unicode_segmentation::GraphemeCursor;

/// Bytes that are read between two looks at the clock: about a millisecond of tokenising.
const PIECE: usize = 4 << 10;

/// The piece that starts at `at`. It ends behind the last white space of its second half, so that
/// words stay whole, else at least between what readers take for characters.
pub fn piece(text: &str, at: usize) -> Range<usize> {
    at..at + cut_anywhere(&text[at..], PIECE)
}

/// The end of a piece of at most `size` bytes at the begin of a text: see [`piece`].
pub fn cut_anywhere(text: &str, size: usize) -> usize {
    if text.len() <= size {
        return text.len();
    }
    let middle = text.floor_char_boundary(size / 2);
    let end = text.floor_char_boundary(size);
    if let Some(space) = text[middle..end].rfind(char::is_whitespace) {
        return text.ceil_char_boundary(middle + space + 1);
    }
    let cut = GraphemeCursor::new(end, text.len(), true).prev_boundary(text, 0);
    let cut = cut.ok().flatten().filter(|&cut| cut > middle);
    cut.unwrap_or(end)
}
