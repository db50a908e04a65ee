//! A text as its words, by their hashes: enough to compare runs of words, and nothing to read back.

use std::ops::Range;

/// Words of a text, folded or not: runs of letters and digits.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) hashes: Vec<u64>,
    pub(super) spans: Vec<Range<usize>>,
}

impl Words {
    /// Returns the words of `text`.
    pub(super) fn of(text: &str) -> Self {
        let mut words = Self::default();
        let mut start = None;
        let mut hash = OFFSET;
        for (place, c) in text.char_indices() {
            if c.is_alphanumeric() {
                start.get_or_insert(place);
                hash = mix(hash, u64::from(u32::from(c)));
            } else if let Some(start) = start.take() {
                words.push(hash, start..place);
                hash = OFFSET;
            }
        }
        if let Some(start) = start {
            words.push(hash, start..text.len());
        }
        words
    }

    fn push(&mut self, hash: u64, span: Range<usize>) {
        self.hashes.push(hash);
        self.spans.push(span);
    }

    /// Returns one hash for every `count` words in a row.
    pub(super) fn runs(&self, count: usize) -> impl Iterator<Item = u64> {
        self.hashes
            .windows(count.max(1))
            .map(|run| run.iter().fold(OFFSET, |hash, word| mix(hash, *word)))
    }
}

/// The offset and the prime of FNV-1a.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;

const fn mix(hash: u64, value: u64) -> u64 {
    let mixed = (hash ^ value).wrapping_mul(PRIME);
    mixed ^ (mixed >> 29)
}
