//! Readings of a text: what it says when somebody hid it.
//!
//! A model that must not say something can be asked to say it backwards, letter by letter, or in
//! base64. Each reading undoes one of these for the whole text, or for the runs of it that can be
//! undone, and costs one pass.

use crate::safety::fold::{Mapped, fold, folded};
use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use std::ops::Range;

/// Shorter runs are words, not encodings.
const SHORTEST_RUN: usize = 16;

/// How a text is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    Plain,
    Rot13,
    Reversed,
    Leetspeak,
    SpacedLetters,
    Base64,
    Hex,
    Percent,
}

impl Reading {
    pub(super) const ALL: [Self; 8] = [
        Self::Plain,
        Self::Rot13,
        Self::Reversed,
        Self::Leetspeak,
        Self::SpacedLetters,
        Self::Base64,
        Self::Hex,
        Self::Percent,
    ];

    /// Returns `text` read this way and folded; `None` when there is nothing to undo in it.
    pub(super) fn of(self, text: &str) -> Option<Mapped> {
        match self {
            Self::Plain => Some(folded(text)),
            Self::Rot13 => Some(each(text, rot13)),
            Self::Reversed => Some(reversed(text)),
            Self::Leetspeak => Some(each(text, unleet)),
            Self::SpacedLetters => Some(joined_letters(text)),
            Self::Base64 => decoded_runs(text, is_base64, decode_base64),
            Self::Hex => decoded_runs(text, |byte| byte.is_ascii_hexdigit(), decode_hex),
            Self::Percent => percent_decoded(text),
        }
    }
}

/// Returns the letter that stands for `c` thirteen places on.
pub(super) fn rot13(c: char) -> char {
    let turned = |c: char, first: char| {
        let place = (u32::from(c) - u32::from(first) + 13) % 26;
        char::from_u32(u32::from(first) + place).unwrap_or(c)
    };
    match c {
        'a'..='z' => turned(c, 'a'),
        'A'..='Z' => turned(c, 'A'),
        _ => c,
    }
}

/// Returns the letter that the digit or sign `c` is written for.
pub(super) const fn unleet(c: char) -> char {
    match c {
        '4' | '@' => 'a',
        '3' => 'e',
        '1' | '!' => 'i',
        '0' => 'o',
        '5' | '$' => 's',
        '7' => 't',
        _ => c,
    }
}

fn each(text: &str, change: impl Fn(char) -> char) -> Mapped {
    let mut mapped = Mapped::of(text);
    for (origin, c) in text.char_indices() {
        if let Some(c) = fold(c) {
            mapped.push(change(c), origin);
        }
    }
    mapped
}

/// The places of a reversed text run backwards, so a span of it comes back as the ends of its letters.
fn reversed(text: &str) -> Mapped {
    let mut mapped = Mapped::of(text);
    for (origin, c) in text.char_indices().rev() {
        if let Some(c) = fold(c) {
            mapped.push(c, origin);
        }
    }
    mapped
}

/// Letters that stand alone with one space between them are one word: `h e l l o   y o u`.
fn joined_letters(text: &str) -> Mapped {
    let mut mapped = Mapped::of(text);
    let folded: Vec<(usize, char)> = text
        .char_indices()
        .filter_map(|(origin, c)| Some((origin, fold(c)?)))
        .collect();
    let at = |place: Option<usize>| place.and_then(|place| folded.get(place)).map(|(_, c)| *c);
    let is_alone = |place: usize| {
        let is_letter = |place| at(place).is_some_and(char::is_alphanumeric);
        is_letter(Some(place)) && !is_letter(place.checked_sub(1)) && !is_letter(Some(place + 1))
    };
    for (place, (origin, c)) in folded.iter().enumerate() {
        let joins = matches!(c, ' ' | '-' | '.' | '_' | '\t')
            && place.checked_sub(1).is_some_and(is_alone)
            && is_alone(place + 1);
        if !joins {
            mapped.push(*c, *origin);
        }
    }
    mapped
}

/// Returns what the runs of `text` made of `is_part` decode to, one line each; `None` when none does.
fn decoded_runs(
    text: &str,
    is_part: fn(u8) -> bool,
    decode: fn(&str) -> Option<Vec<u8>>,
) -> Option<Mapped> {
    let mut mapped = Mapped::of(text);
    for run in runs(text.as_bytes(), is_part) {
        let decoded = text
            .get(run.clone())
            .and_then(decode)
            .filter(|bytes| is_mostly_text(bytes));
        let Some(decoded) = decoded else { continue };
        let width = run.len();
        for (offset, c) in String::from_utf8_lossy(&decoded).char_indices() {
            if let Some(c) = fold(c) {
                // In proportion: the digits of an encoding are all of one width.
                let inside = (offset * width / decoded.len()).min(width);
                mapped.push(c, run.start + inside);
            }
        }
        mapped.push('\n', run.end);
    }
    (!mapped.text.is_empty()).then_some(mapped)
}

fn runs(bytes: &[u8], is_part: fn(u8) -> bool) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut start = 0;
    for end in 0..=bytes.len() {
        if bytes.get(end).is_some_and(|byte| is_part(*byte)) {
            continue;
        }
        if SHORTEST_RUN <= end - start {
            runs.push(start..end);
        }
        start = end + 1;
    }
    runs
}

const fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

fn decode_base64(run: &str) -> Option<Vec<u8>> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let digits = run.trim_end_matches('=');
    // Four digits are three bytes; one left over says nothing.
    let whole = digits.get(..digits.len() - usize::from(digits.len() % 4 == 1))?;
    [STANDARD, URL_SAFE]
        .iter()
        .find_map(|alphabet| GeneralPurpose::new(alphabet, config).decode(whole).ok())
}

fn decode_hex(run: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    let (pairs, _) = run.as_bytes().as_chunks::<2>();
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? * 16 + digit(*low)?))
        .collect()
}

/// Whether bytes are text rather than the noise that a word gives when it is decoded.
fn is_mostly_text(bytes: &[u8]) -> bool {
    let readable = bytes
        .iter()
        .filter(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
        .count();
    bytes.len() <= readable + readable / 4
}

fn percent_decoded(text: &str) -> Option<Mapped> {
    memchr::memchr(b'%', text.as_bytes())?;
    let mut bytes: Vec<u8> = Vec::with_capacity(text.len());
    let mut origins: Vec<usize> = Vec::with_capacity(text.len());
    let source = text.as_bytes();
    let mut place = 0;
    while let Some(byte) = source.get(place) {
        origins.push(place);
        let escaped = text
            .get(place + 1..place + 3)
            .filter(|_| *byte == b'%')
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(escaped.unwrap_or(*byte));
        place += if escaped.is_some() { 3 } else { 1 };
    }
    let mut mapped = Mapped::of(text);
    let mut from = 0;
    for chunk in bytes.utf8_chunks() {
        for (offset, c) in chunk.valid().char_indices() {
            let origin = origins.get(from + offset).copied().unwrap_or_default();
            let c = if c == '+' { ' ' } else { c };
            if let Some(c) = fold(c) {
                mapped.push(c, origin);
            }
        }
        from += chunk.valid().len() + chunk.invalid().len();
    }
    Some(mapped)
}

#[cfg(test)]
mod tests {
    use super::Reading;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn each_reading_undoes_its_encoding() {
        let base64 = STANDARD.encode("attack at dawn, bring tea");
        let base64 = format!("here: {base64}");
        for (reading, text, expected) in [
            (Reading::Plain, "Attack", "attack"),
            (Reading::Rot13, "Nggnpx ng qnja", "attack at dawn"),
            (Reading::Reversed, "nwad ta kcatta", "attack at dawn"),
            (Reading::Leetspeak, "4774ck @7 d4wn", "attack at dawn"),
            (
                Reading::SpacedLetters,
                "say: a t t a c k   a t   d a w n",
                "say: attack   at   dawn",
            ),
            (Reading::SpacedLetters, "I have a plan", "i have a plan"),
            (Reading::Base64, &base64, "attack at dawn, bring tea\n"),
            (
                Reading::Hex,
                "x 61747461636b206174206461776e",
                "attack at dawn\n",
            ),
            (Reading::Percent, "a%74tack+at%20dawn%", "attack at dawn%"),
        ] {
            assert_eq!(reading.of(text).unwrap().text, expected, "{reading:?}");
        }
    }

    #[test]
    fn words_are_not_encodings() {
        for text in [
            "internationalization of counterrevolutionaries",
            "550e8400e29b41d4a716446655440000",
            "",
        ] {
            assert!(Reading::Base64.of(text).is_none(), "{text}");
            assert!(Reading::Hex.of(text).is_none(), "{text}");
            assert!(Reading::Percent.of(text).is_none(), "{text}");
        }
    }
}
