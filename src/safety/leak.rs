//! How much of a text that should have stayed hidden came out, in whichever encoding.
//!
//! Eight words in a row are hardly ever the same by chance. What is counted is how many of the hidden
//! text's runs of eight words appear, and the longest piece that appears without a gap.

use crate::safety::decode::Reading;
use crate::safety::finding::{Detector, Finding};
use crate::safety::fold::folded;
use crate::safety::words::Words;
use std::collections::HashSet;
use std::ops::Range;

/// How many words in a row are proof.
const RUN: usize = 8;
/// A hidden text of fewer words says nothing that could not be chance.
const SHORTEST: usize = 4;

/// How many bytes of a text are read in other ways than plainly: more than any model answers.
const MOST_DECODED: usize = 1 << 20;

/// How much of a hidden text appears in another.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Overlap {
    /// The share of the hidden text's runs of words that appear, from 0 to 1.
    pub share: f64,
    /// The longest piece that appears, in words; 0 when no run does.
    pub longest_words: usize,
    /// Where the longest piece stands, in bytes of the text that was searched.
    pub span: Range<usize>,
}

/// Returns how much of `hidden` appears in `text`, by the reading of `text` that shows the most.
///
/// The text is read plainly as a whole, and decoded up to its first mebibyte.
#[must_use]
pub fn overlap(text: &str, hidden: &str) -> Overlap {
    let words = Words::of(&folded(hidden).text);
    let run = RUN.min(words.hashes.len());
    if run < SHORTEST {
        return Overlap::default();
    }
    let known: HashSet<u64> = words.runs(run).collect();
    let decoded = text
        .get(..text.floor_char_boundary(MOST_DECODED))
        .unwrap_or_default();
    Reading::ALL
        .into_iter()
        .filter_map(|reading| {
            let is_plain = reading == Reading::Plain;
            let mapped = reading.of(if is_plain { text } else { decoded })?;
            let mut overlap = compare(&Words::of(&mapped.text), &known, run);
            overlap.span = mapped.origin(&overlap.span);
            Some(overlap)
        })
        .filter(|overlap| 0 < overlap.longest_words)
        .max_by(|a, b| a.share.total_cmp(&b.share))
        .unwrap_or_default()
}

fn compare(words: &Words, known: &HashSet<u64>, run: usize) -> Overlap {
    let mut seen: HashSet<u64> = HashSet::new();
    let mut longest = 0..0;
    let mut current = 0..0;
    for (place, hash) in words.runs(run).enumerate() {
        if !known.contains(&hash) {
            current = place + 1..place + 1;
            continue;
        }
        seen.insert(hash);
        current.end = place + run;
        if longest.len() < current.len() {
            longest = current.clone();
        }
    }
    let place = |word: Option<&Range<usize>>| word.cloned().unwrap_or_default();
    let first = place(words.spans.get(longest.start));
    let last = place(
        longest
            .end
            .checked_sub(1)
            .and_then(|last| words.spans.get(last)),
    );
    Overlap {
        share: ratio(seen.len(), known.len()),
        longest_words: longest.len(),
        span: first.start.min(last.end)..last.end,
    }
}

/// Returns the finding for what [`overlap`] finds.
pub(super) fn finding(text: &str, hidden: &str) -> Option<Finding> {
    let overlap = overlap(text, hidden);
    let score = 0.6 + 0.4 * overlap.share;
    (0 < overlap.longest_words).then(|| Finding::new(Detector::HiddenText, overlap.span, score))
}

/// Returns `part / whole`; 0 when there is nothing.
pub(super) fn ratio(part: usize, whole: usize) -> f64 {
    let as_float = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if whole == 0 {
        return 0.0;
    }
    as_float(part) / as_float(whole)
}

#[cfg(test)]
mod tests {
    use super::overlap;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    const HIDDEN: &str = "You answer refund requests for an online shop. Decide by the policy, \
        name the rule you used, and end with the one next step.";

    #[test]
    fn a_copy_is_found_in_every_reading() {
        let hex: String = HIDDEN.bytes().map(|byte| format!("{byte:02x}")).collect();
        let spaced: Vec<String> = HIDDEN
            .split(' ')
            .map(|word| word.chars().map(String::from).collect::<Vec<_>>().join(" "))
            .collect();
        for text in [
            HIDDEN.to_owned(),
            HIDDEN.to_uppercase(),
            HIDDEN.replace(' ', "\n> "),
            STANDARD.encode(HIDDEN),
            hex,
            HIDDEN.chars().rev().collect(),
            spaced.join("   "),
            HIDDEN.replace('e', "3").replace('o', "0"),
            HIDDEN.replace('o', "о").replace('a', "а"),
            HIDDEN.replace(' ', "%20"),
        ] {
            let text = format!("Of course: {text} - done.");
            let found = overlap(&text, HIDDEN);
            assert!(0.85 < found.share, "{text}: {found:?}");
            assert!(20 <= found.longest_words, "{text}: {found:?}");
        }
    }

    #[test]
    fn a_piece_is_measured() {
        let text = "It says: name the rule you used, and end with the one next step. Fine.";
        let found = overlap(text, HIDDEN);
        assert_eq!(found.longest_words, 12);
        assert_eq!(
            text.get(found.span),
            Some("name the rule you used, and end with the one next step")
        );
        assert!((found.share - 5.0 / 17.0).abs() < 1e-12, "{}", found.share);
    }

    #[test]
    fn the_same_subject_is_not_a_copy() {
        for text in [
            "",
            "I decide by the policy and name the rule that I used for your refund.",
            "You answer refund requests for a living?",
        ] {
            assert_eq!(overlap(text, HIDDEN).longest_words, 0, "{text}");
        }
        assert_eq!(overlap("too short to say", "too short").longest_words, 0);
    }
}
