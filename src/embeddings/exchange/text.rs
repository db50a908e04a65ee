//! Texts by their hashes, and what of them may leave the house.

use crate::embeddings::exchange::Record;
use crate::embeddings::space::TextHash;
use icu_normalizer::ComposingNormalizerBorrowed;
use std::borrow::Cow;

/// Whether a file carries the texts or only their hashes.
///
/// Vectors and metadata are written in both: a vector alone gives much of a short text away, so a file
/// without texts has to be kept like one with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Texts {
    /// The texts.
    #[default]
    WithTexts,
    /// Only their hashes.
    HashOnly,
}

impl Texts {
    /// Returns the text of a record that may be written.
    #[must_use]
    pub fn text_of(self, record: &Record) -> Option<&str> {
        match self {
            Self::WithTexts => record.text.as_deref(),
            Self::HashOnly => None,
        }
    }

    /// Returns the hash that is written: the record's own, or where the text stays behind, the text's.
    #[must_use]
    pub fn hash_of(self, record: &Record) -> Option<TextHash> {
        let of_text = || record.text.as_deref().map(TextHash::of);
        match self {
            Self::WithTexts => record.text_hash,
            Self::HashOnly => record.text_hash.or_else(of_text),
        }
    }
}

/// Returns the text with line ends as LF and letters composed (Unicode NFC): what texts that only look
/// alike have in common. For finding duplicates only; a model sees the difference.
#[must_use]
pub fn canonical_text(text: &str) -> Cow<'_, str> {
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(text);
    if composed.contains("\r\n") {
        return Cow::Owned(composed.replace("\r\n", "\n"));
    }
    composed
}

/// Returns the hash of the canonical text.
#[must_use]
pub fn canonical_hash(text: &str) -> TextHash {
    TextHash::of(&canonical_text(text))
}

/// Reads 64 hex digits.
pub(crate) fn parse_hash(hex: &str) -> Option<TextHash> {
    let digits = hex.as_bytes();
    if digits.len() != 64 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut hash = [0; 32];
    for (place, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *place = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(TextHash(hash))
}

#[cfg(test)]
mod tests {
    use super::{Texts, canonical_hash, canonical_text, parse_hash};
    use crate::embeddings::exchange::Record;
    use crate::embeddings::exchange::tests::reference;
    use crate::embeddings::space::TextHash;

    #[test]
    fn hashes_are_those_of_the_reference() {
        let reference = reference();
        let hashes = reference["hashes"].as_array().unwrap();
        assert_eq!(hashes.len(), 9);
        for case in hashes {
            let text = case["text"].as_str().unwrap();
            assert_eq!(
                TextHash::of(text).to_hex(),
                case["sha256_raw_utf8"],
                "{text}"
            );
            assert_eq!(
                canonical_text(text),
                case["canonical_nfc_lf"].as_str().unwrap()
            );
            assert_eq!(
                canonical_hash(text).to_hex(),
                case["sha256_canonical"],
                "{text}"
            );
        }
    }

    #[test]
    fn hashes_are_read_as_they_are_written() {
        let hash = TextHash::of("a text");
        assert_eq!(parse_hash(&hash.to_hex()), Some(hash));
        for wrong in ["", "ab", &"g".repeat(64), &"é".repeat(32), &"a".repeat(65)] {
            assert_eq!(parse_hash(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_text_stays_behind_and_its_hash_does_not() {
        let mut record = Record {
            text: Some("secret".to_owned()),
            ..Record::default()
        };
        assert_eq!(Texts::WithTexts.text_of(&record), Some("secret"));
        assert_eq!(Texts::WithTexts.hash_of(&record), None);
        assert_eq!(Texts::HashOnly.text_of(&record), None);
        assert_eq!(
            Texts::HashOnly.hash_of(&record),
            Some(TextHash::of("secret"))
        );
        record.text_hash = Some(TextHash::of("query: secret"));
        assert_eq!(Texts::HashOnly.hash_of(&record), record.text_hash);
    }
}
