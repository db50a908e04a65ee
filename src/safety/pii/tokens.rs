//! Personal data that is not only digits: mail, accounts, addresses of machines, mixed identity numbers.

use crate::safety::finding::Detector;
use crate::safety::pii::checksum::iban;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

/// The most bytes of the part before the at sign (RFC 5321, 4.5.3.1.1) and of a domain.
const LONGEST_LOCAL: usize = 64;
const LONGEST_DOMAIN: usize = 253;
/// The longest account number (34) with a space behind every fourth character.
const LONGEST_IBAN: usize = 42;
const LONGEST_ADDRESS: usize = 45;

/// Countries with account numbers of this form, and how long they are (SWIFT's registry).
const IBAN_LENGTHS: [(&[u8; 2], usize); 60] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BR", 29),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MT", 31),
    (b"NL", 18),
    (b"NO", 15),
    (b"PK", 24),
    (b"PL", 28),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"SA", 24),
    (b"SE", 24),
    (b"SI", 19),
    (b"TR", 26),
];

/// The check letters of Spanish identity numbers, by the number mod 23.
const SPANISH_LETTERS: &[u8; 23] = b"TRWAGMYFPDXBNJZSQVHLCKE";

/// Something that was recognised, with its score before any context.
pub(super) type Recognised = (Detector, Range<usize>, f64);

/// Returns the address of mail around the at sign at `at`.
pub(super) fn email(bytes: &[u8], at: usize) -> Option<Recognised> {
    let before = bytes.get(at.saturating_sub(LONGEST_LOCAL + 1)..at)?;
    let local = count(before.iter().rev(), |byte| {
        byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte)
    });
    let written = before.get(before.len() - local..)?;
    // Quotes and dots around an address are not of it.
    let skipped = count(written.iter(), |byte| b".'`*_-=/|{!?&".contains(&byte));
    let start = at - local + skipped;
    let after = bytes.get(at + 1..)?;
    let after = after.get(..after.len().min(LONGEST_DOMAIN + 1))?;
    let length = count(after.iter(), |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
    });
    let domain = after.get(..length)?.trim_ascii_end();
    let tail = count(domain.iter().rev(), |byte| matches!(byte, b'.' | b'-'));
    let domain = domain.get(..domain.len() - tail)?;
    let labels: Vec<&[u8]> = domain.split(|byte| *byte == b'.').collect();
    let top = labels.last()?;
    let is_domain = 2 <= labels.len()
        && labels
            .iter()
            .all(|label| !label.is_empty() && label.len() <= 63)
        && 2 <= top.len()
        && top.iter().all(u8::is_ascii_alphabetic);
    let is_local = local <= LONGEST_LOCAL && start < at;
    // Kept for examples by RFC 2606: nobody lives there.
    let is_example = domain.starts_with(b"example.")
        || labels
            .iter()
            .rev()
            .nth(1)
            .is_some_and(|label| *label == b"example")
        || matches!(*top, b"example" | b"invalid" | b"test" | b"localhost");
    let score = if is_example { 0.1 } else { 0.95 };
    (is_domain && is_local).then_some((Detector::Email, start..at + 1 + domain.len(), score))
}

/// Returns the account number, national insurance number or Spanish number that begins at `start`, at
/// the beginning of a word.
pub(super) fn mixed(bytes: &[u8], start: usize) -> Option<Recognised> {
    iban_at(bytes, start)
        .or_else(|| nino(bytes, start))
        .or_else(|| spanish(bytes, start))
}

fn iban_at(bytes: &[u8], start: usize) -> Option<Recognised> {
    let here = bytes.get(start..)?;
    let [a, b, c, d] = *here.first_chunk::<4>()?;
    if !(c.is_ascii_digit() && d.is_ascii_digit()) {
        return None;
    }
    let country = [a, b];
    let (_, length) = IBAN_LENGTHS.iter().find(|(code, _)| **code == country)?;
    let mut compact = Vec::with_capacity(*length);
    let mut was_space = false;
    for (place, byte) in here.iter().take(LONGEST_IBAN).enumerate() {
        let is_space = *byte == b' ' && !was_space;
        was_space = is_space;
        if is_space {
            continue;
        }
        if !(byte.is_ascii_uppercase() || byte.is_ascii_digit()) {
            return None;
        }
        compact.push(*byte);
        if compact.len() == *length {
            let end = start + place + 1;
            let is_valid = ends_word(bytes, end) && iban(&compact);
            return is_valid.then_some((Detector::Iban, start..end, 0.95));
        }
    }
    None
}

/// Two letters, six digits, a letter from A to D; groups of two may be spaced.
fn nino(bytes: &[u8], start: usize) -> Option<Recognised> {
    let here = bytes.get(start..)?;
    let is_spaced = here.get(2) == Some(&b' ');
    let length = if is_spaced { 13 } else { 9 };
    let written = here.get(..length)?;
    let compact: Vec<u8> = if is_spaced {
        let has_spaces = [2, 5, 8, 11]
            .iter()
            .all(|place| written.get(*place) == Some(&b' '));
        let rest = written.iter().filter(|byte| **byte != b' ');
        has_spaces.then(|| rest.copied().collect())?
    } else {
        written.to_vec()
    };
    let [first, second, digits @ .., suffix] = compact.as_slice() else {
        return None;
    };
    let is_prefix = first.is_ascii_uppercase()
        && second.is_ascii_uppercase()
        && !b"DFIQUV".contains(first)
        && !b"DFIOQUV".contains(second)
        && ![b"BG", b"GB", b"KN", b"NK", b"NT", b"TN", b"ZZ"].contains(&&[*first, *second]);
    let is_valid = is_prefix
        && digits.len() == 6
        && digits.iter().all(u8::is_ascii_digit)
        && matches!(suffix, b'A'..=b'D')
        && ends_word(bytes, start + length);
    let score = if is_spaced { 0.8 } else { 0.55 };
    is_valid.then_some((Detector::UkNino, start..start + length, score))
}

/// Eight digits and a letter, or X, Y, Z, seven digits and a letter; a hyphen may stand before the letter.
fn spanish(bytes: &[u8], start: usize) -> Option<Recognised> {
    let here = bytes.get(start..)?;
    let (detector, lead) = match here.first()? {
        b'X' => (Detector::EsNie, Some(0)),
        b'Y' => (Detector::EsNie, Some(1)),
        b'Z' => (Detector::EsNie, Some(2)),
        b'0'..=b'9' => (Detector::EsNif, None),
        _ => return None,
    };
    let from = usize::from(lead.is_some());
    let mut place = from + usize::from(lead.is_some() && here.get(from) == Some(&b'-'));
    let mut number: usize = lead.unwrap_or(0);
    for _ in from..8 {
        let digit = here.get(place).filter(|byte| byte.is_ascii_digit())?;
        number = number * 10 + usize::from(digit - b'0');
        place += 1;
    }
    place += usize::from(here.get(place) == Some(&b'-'));
    let is_valid =
        here.get(place) == SPANISH_LETTERS.get(number % 23) && ends_word(bytes, start + place + 1);
    is_valid.then_some((detector, start..start + place + 1, 0.7))
}

/// Returns the IPv4 address that begins at `start`, where a digit stands.
pub(super) fn ipv4(bytes: &[u8], start: usize) -> Option<Recognised> {
    let here = bytes.get(start..)?;
    let length = count(here.iter().take(16), |byte| {
        byte.is_ascii_digit() || byte == b'.'
    });
    let written = here.get(..length)?;
    let dots = count(written.iter().rev(), |byte| byte == b'.');
    let written = written.get(..length - dots)?;
    let address: Ipv4Addr = std::str::from_utf8(written).ok()?.parse().ok()?;
    let end = start + written.len();
    let is_prefix_of_more = bytes.get(end) == Some(&b'-')
        || (bytes.get(end) == Some(&b'.')
            && bytes.get(end + 1).is_some_and(u8::is_ascii_alphanumeric));
    let is_of_nobody = address.is_private()
        || address.is_loopback()
        || address.is_unspecified()
        || address.is_link_local()
        || address.is_documentation()
        || address.is_broadcast()
        || address.is_multicast();
    let score = if is_of_nobody { 0.1 } else { 0.6 };
    (ends_word(bytes, end) && !is_prefix_of_more).then_some((Detector::Ipv4, start..end, score))
}

/// Returns the IPv6 address that begins at `start`, where a hexadecimal digit or a colon stands.
pub(super) fn ipv6(bytes: &[u8], start: usize) -> Option<Recognised> {
    let here = bytes.get(start..)?;
    let length = count(here.iter().take(LONGEST_ADDRESS + 1), |byte| {
        byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')
    });
    let written = here.get(..length)?;
    let tail = count(written.iter().rev(), |byte| byte == b'.');
    let written = written.get(..length - tail)?;
    let groups = written
        .split(|byte| *byte == b':')
        .filter(|group| !group.is_empty())
        .count();
    // Paths of programming languages are written with two colons too: `a::b`.
    let has_digit = written.iter().any(u8::is_ascii_digit);
    if groups < 3 || !has_digit || LONGEST_ADDRESS < written.len() {
        return None;
    }
    let address: Ipv6Addr = std::str::from_utf8(written).ok()?.parse().ok()?;
    let end = start + written.len();
    let is_of_nobody = address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || address.segments().starts_with(&[0x2001, 0xdb8]);
    let score = if is_of_nobody { 0.1 } else { 0.7 };
    ends_word(bytes, end).then_some((Detector::Ipv6, start..end, score))
}

/// Whether nothing that belongs to a word stands at `end`.
pub(super) fn ends_word(bytes: &[u8], end: usize) -> bool {
    bytes
        .get(end)
        .is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && byte.is_ascii())
}

fn count<'a>(bytes: impl Iterator<Item = &'a u8>, is_part: impl Fn(u8) -> bool) -> usize {
    bytes.take_while(|byte| is_part(**byte)).count()
}
