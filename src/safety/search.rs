//! Search for many needles at once that skips most of the text (the method of Wu and Manber).
//!
//! A table says, for every three bytes, how far the end of the nearest needle can still be. Text that
//! resembles no needle is crossed in steps of almost the shortest needle's length, however many
//! needles there are.

use std::collections::HashMap;
use std::ops::Range;

const BLOCK: usize = 3;
const SLOTS: usize = 1 << 14;
/// The most that is looked at of each needle to find candidates; bounds the steps.
const MAX_WINDOW: usize = 48;

/// A set of needles, each at least [`BLOCK`] bytes long.
#[derive(Clone)]
pub(super) struct Needles {
    /// The part of each needle that the table knows: its first `window` bytes.
    window: usize,
    shifts: Vec<u8>,
    /// The needles, by the slot of the block that ends their window; the longest first.
    by_slot: HashMap<usize, Vec<Vec<u8>>>,
}

impl Needles {
    /// Returns the set of `needles`; `None` when there are none. Needles shorter than a block are
    /// left out.
    pub(super) fn new(needles: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
        let needles: Vec<Vec<u8>> = needles.into_iter().filter(|n| BLOCK <= n.len()).collect();
        let shortest = needles.iter().map(Vec::len).min()?;
        let window = shortest.min(MAX_WINDOW);
        let longest_shift = u8::try_from(window - BLOCK + 1).ok()?;
        let mut shifts = vec![longest_shift; SLOTS];
        let mut by_slot: HashMap<usize, Vec<Vec<u8>>> = HashMap::new();
        for needle in needles {
            let head = needle.get(..window).unwrap_or_default();
            let blocks = head.windows(BLOCK).rev().zip(0_u8..);
            for (block, distance) in blocks {
                if let Some(shift) = shifts.get_mut(slot(block)) {
                    *shift = distance.min(*shift);
                }
            }
            let last = head.last_chunk::<BLOCK>().map_or(0, |block| slot(block));
            let same_slot = by_slot.entry(last).or_default();
            same_slot.push(needle);
            same_slot.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
            same_slot.dedup();
        }
        Some(Self {
            window,
            shifts,
            by_slot,
        })
    }

    /// Returns where the first needle at or after `from` stands in `text`.
    pub(super) fn find(&self, text: &[u8], from: usize) -> Option<Range<usize>> {
        let mut end = from + self.window;
        loop {
            let block = text.get(end.checked_sub(BLOCK)?..end)?;
            let slot = slot(block);
            let shift = self.shifts.get(slot).copied().unwrap_or(1);
            if 0 < shift {
                end += usize::from(shift);
                continue;
            }
            let start = end - self.window;
            let here = text.get(start..)?;
            let needle = self
                .by_slot
                .get(&slot)
                .and_then(|needles| needles.iter().find(|needle| here.starts_with(needle)));
            if let Some(needle) = needle {
                return Some(start..start + needle.len());
            }
            end += 1;
        }
    }
}

fn slot(block: &[u8]) -> usize {
    let &[a, b, c] = block else {
        return 0;
    };
    // Spreads letters, which differ in their low five bits, over the fourteen bits of a slot.
    (usize::from(a) ^ (usize::from(b) << 4) ^ (usize::from(c) << 8)) & (SLOTS - 1)
}

#[cfg(test)]
mod tests {
    use super::Needles;
    use proptest::prelude::{prop, proptest};

    fn needles(texts: &[&str]) -> Needles {
        Needles::new(texts.iter().map(|text| text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn needles_are_found_wherever_they_stand() {
        let set = needles(&["abcdef", "abcdefgh", "uvwxyz!"]);
        for (text, expected) in [
            ("abcdef", Some(0..6)),
            ("..abcdefgh", Some(2..10)),
            ("abcdeabcdefg", Some(5..11)),
            ("uvwxyz", None),
            ("uvwxyuvwxyz!", Some(5..12)),
            ("", None),
        ] {
            assert_eq!(set.find(text.as_bytes(), 0), expected, "{text}");
        }
        assert_eq!(set.find(b"abcdef abcdef", 1), Some(7..13));
        assert!(Needles::new([b"ab".to_vec()]).is_none());
    }

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(
            set in prop::collection::vec("[ab]{3,6}", 1..6),
            text in "[ab]{0,40}",
        ) {
            let found = needles(&set.iter().map(String::as_str).collect::<Vec<_>>());
            let first = set.iter().filter_map(|needle| text.find(needle.as_str())).min();
            assert_eq!(found.find(text.as_bytes(), 0).map(|range| range.start), first);
        }
    }
}
