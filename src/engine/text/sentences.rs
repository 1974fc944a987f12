//! The sentences of a text, by the borders at which long texts are cut. Knows nothing of tokens.

use crate::engine::stop::Stop;
use crate::engine::text::borders::{Borders, skip_space};
use crate::error::Result;
use std::collections::VecDeque;
use std::ops::Range;

/// Bytes in which borders are looked for at once. A longer sentence is cut there; no model reads that much.
const STRETCH: usize = 64 << 10;

/// The sentences of a text, one at a time. A blank line ends a sentence too; a line's end does not, since
/// texts are wrapped inside sentences.
pub struct Sentences<'t> {
    text: &'t str,
    /// Where the next sentence begins, in bytes.
    at: usize,
    /// Ends that were found already.
    ends: VecDeque<usize>,
}

impl<'t> Sentences<'t> {
    /// From the begin of a text on.
    pub fn new(text: &'t str) -> Self {
        Sentences {
            text,
            at: 0,
            ends: VecDeque::new(),
        }
    }

    /// The next sentence, in bytes: neither empty nor with white space at its ends.
    ///
    /// # Errors
    /// An interruption; no memory.
    pub fn next(&mut self, stop: &dyn Stop) -> Result<Option<Range<usize>>> {
        let length = self.text.trim_end().len();
        loop {
            self.at = skip_space(self.text, self.at);
            if self.at >= length {
                return Ok(None);
            }
            if self.ends.is_empty() {
                self.find_ends(length, stop)?;
            }
            let end = self.ends.pop_front().unwrap_or(length);
            let sentence = self.text[self.at..end].trim_end();
            let range = self.at..self.at + sentence.len();
            self.at = end;
            if !range.is_empty() {
                return Ok(Some(range));
            }
        }
    }

    fn find_ends(&mut self, length: usize, stop: &dyn Stop) -> Result<()> {
        let limit = self.text.floor_char_boundary(length.min(self.at + STRETCH));
        let borders = Borders::find(self.text, self.at, limit, stop)?;
        self.ends.extend(borders.sentence_ends());
        // What follows the last of them may go on behind the limit, and is looked at again from there.
        if self.ends.is_empty() || limit == length {
            self.ends.push_back(limit);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::stop::NeverStop;
    use proptest::prelude::*;

    fn ranges(text: &str) -> Vec<Range<usize>> {
        let mut sentences = Sentences::new(text);
        let mut found = Vec::new();
        while let Some(range) = sentences.next(&NeverStop).unwrap() {
            found.push(range);
        }
        found
    }

    fn sentences(text: &str) -> Vec<&str> {
        ranges(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn sentences_end_at_full_stops_and_blank_lines() {
        assert_eq!(sentences(""), [""; 0]);
        assert_eq!(sentences(" \n\t "), [""; 0]);
        assert_eq!(sentences(" one "), ["one"]);
        assert_eq!(
            sentences("Hold it.  Wait for\nten seconds! Is it out? Let go"),
            ["Hold it.", "Wait for\nten seconds!", "Is it out?", "Let go"]
        );
        assert_eq!(
            sentences("A heading\n\nThe text. \r\n\r\n\r\n- last"),
            ["A heading", "The text.", "- last"]
        );
        assert_eq!(sentences("按住按钮。等十秒。"), ["按住按钮。", "等十秒。"]);
        assert_eq!(
            sentences("It has 3.5 GB of memory."),
            ["It has 3.5 GB of memory."]
        );
    }

    #[test]
    fn a_text_of_many_stretches_has_the_same_sentences() {
        let text = "This is one of the sentences. ".repeat(20_000);
        assert!(text.len() > 4 * STRETCH);
        let found = sentences(&text);
        assert_eq!(found.len(), 20_000);
        assert!(found.iter().all(|s| *s == "This is one of the sentences."));
        let endless = "word ".repeat(60_000);
        let found = ranges(&endless);
        assert_eq!(found.len(), endless.len().div_ceil(STRETCH));
    }

    proptest! {
        #[test]
        fn nothing_but_white_space_is_between_them(
            text in proptest::collection::vec(
                proptest::sample::select(vec!["a", "B", ". ", ".", "! ", "\n", "\n\n", " ", "é", "。", "👍", "\u{301}"]),
                0..60,
            )
        ) {
            let text = text.concat();
            let mut at = 0;
            for range in ranges(&text) {
                prop_assert!(text[at..range.start].trim().is_empty());
                prop_assert_eq!(text[range.clone()].trim(), &text[range.clone()]);
                prop_assert!(!range.is_empty());
                at = range.end;
            }
            prop_assert!(text[at..].trim().is_empty());
        }
    }
}
