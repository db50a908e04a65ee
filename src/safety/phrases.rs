//! Many phrases looked for at once, at the beginnings of words only.
//!
//! At each beginning of a word the first three bytes choose the few phrases that can stand there. The
//! cost is one look per word, whatever the number of phrases.

use std::collections::HashMap;
use std::ops::Range;

/// How many bytes choose a bucket; no phrase is shorter.
const HEAD: usize = 3;

/// A set of phrases in the form of the texts they are looked for in.
#[derive(Debug)]
pub(super) struct Phrases {
    /// Numbers of phrases by their head, in the order of the list.
    by_head: HashMap<[u8; HEAD], Vec<usize>>,
    phrases: Vec<&'static str>,
    is_word: fn(u8) -> bool,
}

/// A phrase that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hit {
    pub(super) phrase: &'static str,
    /// Its number in the list.
    pub(super) number: usize,
    pub(super) span: Range<usize>,
}

impl Phrases {
    /// Returns the set of `phrases`. `is_word` says which bytes make words.
    pub(super) fn new(
        phrases: impl IntoIterator<Item = &'static str>,
        is_word: fn(u8) -> bool,
    ) -> Self {
        let phrases: Vec<&'static str> = phrases.into_iter().collect();
        let mut by_head: HashMap<[u8; HEAD], Vec<usize>> = HashMap::new();
        for (number, phrase) in phrases.iter().enumerate() {
            if let Some(head) = phrase.as_bytes().first_chunk::<HEAD>() {
                by_head.entry(*head).or_default().push(number);
            }
        }
        Self {
            by_head,
            phrases,
            is_word,
        }
    }

    /// Returns the first phrase at or after `from` that stands in `text` as whole words.
    pub(super) fn find(&self, text: &str, from: usize) -> Option<Hit> {
        let bytes = text.as_bytes();
        (from..bytes.len()).find_map(|start| {
            let before = start.checked_sub(1).and_then(|before| bytes.get(before));
            if before.is_some_and(|byte| (self.is_word)(*byte)) {
                return None;
            }
            self.at(bytes, start)
        })
    }

    /// Returns the phrase that stands at `start`, the first of the list when there are more.
    fn at(&self, bytes: &[u8], start: usize) -> Option<Hit> {
        let here = bytes.get(start..)?;
        let bucket = self.by_head.get(here.first_chunk::<HEAD>()?)?;
        bucket.iter().find_map(|number| {
            let phrase = self.phrases.get(*number)?;
            let rest = here.strip_prefix(phrase.as_bytes())?;
            let ends_in_word = phrase.bytes().last().is_some_and(self.is_word);
            let is_inside = ends_in_word && rest.first().is_some_and(|byte| (self.is_word)(*byte));
            (!is_inside).then(|| Hit {
                phrase,
                number: *number,
                span: start..start + phrase.len(),
            })
        })
    }
}

/// Whether `byte` is a letter, digit or underscore of ASCII.
pub(super) const fn is_ascii_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The same, and every part of a character beyond ASCII.
pub(super) const fn is_any_word(byte: u8) -> bool {
    is_ascii_word(byte) || !byte.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::{Phrases, is_any_word, is_ascii_word};

    #[test]
    fn phrases_are_whole_words() {
        let set = Phrases::new(["as an ai", "as an", "can't", "$(rm"], is_ascii_word);
        for (text, expected) in [
            ("well, as an ai, i", Some(("as an ai", 6))),
            ("as an airbnb host", Some(("as an", 0))),
            ("was an ai", None),
            ("i can't", Some(("can't", 2))),
            ("x $(rmdir", Some(("$(rm", 2))),
            ("as", None),
            ("", None),
        ] {
            let found = set.find(text, 0).map(|hit| (hit.phrase, hit.span.start));
            let expected = if text == "x $(rmdir" { None } else { expected };
            assert_eq!(found, expected, "{text}");
        }
        let any = Phrases::new(["ich kann"], is_any_word);
        assert!(any.find("äich kann", 0).is_none());
        assert!(any.find("ich kannä", 0).is_none());
        assert_eq!(any.find("x ich kann ich kann", 3).unwrap().span, 11..19);
    }
}
