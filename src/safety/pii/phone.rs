//! Telephone numbers: with a country code by their form, national ones with a word beside them.

use std::ops::Range;

/// Words that say a number is one to call.
pub(super) const CONTEXT: &[&str] = &[
    "phone",
    "tel",
    "call",
    "mobile",
    "cell",
    "fax",
    "whatsapp",
    "handy",
    "telefon",
    "rufnummer",
    "anruf",
    "t\u{e9}l\u{e9}phone",
    "portable",
    "m\u{f3}vil",
    "tel\u{e9}fono",
    "llama",
    "cellulare",
    "telefono",
    "telem\u{f3}vel",
    "celular",
    "sms",
    "text me",
    "dial",
];

/// The most bytes a number is written with.
const LONGEST: usize = 26;

/// A telephone number and its score without context.
#[derive(Debug)]
pub(super) struct Phone {
    pub(super) span: Range<usize>,
    pub(super) score: f64,
}

/// Returns the number that begins at `start`, where a plus, an opening bracket or a digit stands.
pub(super) fn at(bytes: &[u8], start: usize) -> Option<Phone> {
    let here = bytes.get(start..)?;
    let written = here.get(..extent(here))?;
    let end = start + written.len();
    let digits: Vec<u8> = written.iter().copied().filter(u8::is_ascii_digit).collect();
    let before = start.checked_sub(1).and_then(|before| bytes.get(before));
    let is_inside = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'+')
        || bytes.get(end).is_some_and(u8::is_ascii_alphanumeric);
    if is_inside {
        return None;
    }
    let score = match written.first()? {
        b'+' => international(written, &digits)?,
        _ => national(written, &digits)?,
    };
    Some(Phone {
        span: start..end,
        score,
    })
}

/// Returns how many bytes of `here` are digits with single separators.
fn extent(here: &[u8]) -> usize {
    let mut end = 0;
    let mut gap = 0;
    for (place, byte) in here.iter().take(LONGEST).enumerate() {
        match byte {
            b'0'..=b'9' => {
                end = place + 1;
                gap = 0;
            }
            b'+' if place == 0 => {}
            b' ' | b'-' | b'.' | b'(' | b')' | b'/' if gap < 2 => gap += 1,
            _ => break,
        }
    }
    end
}

/// A plus and 8 to 15 digits that do not begin with zero (ITU-T E.164).
fn international(written: &[u8], digits: &[u8]) -> Option<f64> {
    let is_number = matches!(digits.len(), 8..=15)
        && digits.first() != Some(&b'0')
        && written.get(1).is_some_and(u8::is_ascii_digit);
    let is_north_american = digits.first() == Some(&b'1');
    (is_number && (!is_north_american || digits.len() == 11)).then_some(0.75)
}

/// A number as it is dialled within a country; only a word beside it makes it one.
fn national(written: &[u8], digits: &[u8]) -> Option<f64> {
    let has_brackets = written.first() == Some(&b'(') && written.get(4) == Some(&b')');
    let is_north_american = digits.len() == 10
        && digits.first().is_some_and(|digit| b'2' <= *digit)
        && digits.get(3).is_some_and(|digit| b'2' <= *digit);
    match digits.len() {
        10 if is_north_american && has_brackets => Some(0.6),
        9..=12 if digits.first() == Some(&b'0') => Some(0.2),
        10 if is_north_american => Some(0.2),
        9 | 10 => Some(0.1),
        _ => None,
    }
}
