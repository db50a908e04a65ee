//! Numbers of people, cards and banks: how they are written, and what proves them.
//!
//! A run is digits in groups with one and the same separator. Each rule names the group lengths it is
//! written in, so most runs are told apart before a digit is added.

use crate::safety::finding::Detector;
use crate::safety::pii::checksum::{iso_7064_mod_11_10, luhn, verhoeff, weighted};
use std::ops::Range;

/// Most groups that any number here has; a longer run is looked at from each of its groups.
const MOST_GROUPS: usize = 5;
const MOST_DIGITS: usize = 19;

/// Digits in groups.
#[derive(Debug, Clone)]
pub(super) struct Run {
    groups: Vec<Range<usize>>,
}

impl Run {
    /// Returns the run that begins at `start` in `bytes`, where a digit stands.
    pub(super) fn read(bytes: &[u8], start: usize) -> Self {
        let mut groups = Vec::new();
        let mut separator = None;
        let mut from = start;
        loop {
            let length = bytes
                .get(from..)
                .unwrap_or_default()
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            groups.push(from..from + length);
            let (Some(next), Some(after)) =
                (bytes.get(from + length), bytes.get(from + length + 1))
            else {
                break;
            };
            let joins = matches!(next, b' ' | b'-' | b'.') && after.is_ascii_digit();
            if !joins || separator.is_some_and(|separator| separator != *next) {
                break;
            }
            separator = Some(*next);
            from += length + 1;
        }
        Self { groups }
    }

    pub(super) fn end(&self) -> usize {
        self.groups.last().map_or(0, |group| group.end)
    }
}

/// How a number of `detector` is written and proven.
struct Rule {
    detector: Detector,
    /// The lengths of its groups in every way of writing, and the score of each without context.
    shapes: &'static [(&'static [usize], f64)],
    /// May stand inside a longer run.
    is_found_inside: bool,
    is_valid: fn(&[u8]) -> bool,
    context: &'static [&'static str],
}

/// A number that passed its rule.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) detector: Detector,
    pub(super) span: Range<usize>,
    /// The score without context.
    pub(super) score: f64,
    pub(super) context: &'static [&'static str],
}

const RULES: [Rule; 9] = [
    Rule {
        detector: Detector::PaymentCard,
        shapes: &[
            (&[4, 4, 4, 4], 0.85),
            (&[4, 6, 5], 0.8),
            (&[4, 6, 4], 0.8),
            (&[4, 4, 4, 4, 3], 0.8),
            (&[16], 0.7),
            (&[15], 0.6),
            (&[14], 0.4),
            (&[13], 0.4),
            (&[19], 0.5),
        ],
        is_found_inside: true,
        is_valid: is_card,
        context: &[
            "card",
            "visa",
            "mastercard",
            "amex",
            "credit",
            "debit",
            "karte",
            "carte",
            "tarjeta",
        ],
    },
    Rule {
        detector: Detector::UsSsn,
        shapes: &[(&[3, 2, 4], 0.65), (&[9], 0.1)],
        is_found_inside: false,
        is_valid: is_ssn,
        context: &["ssn", "social security", "soc sec"],
    },
    Rule {
        detector: Detector::UsItin,
        shapes: &[(&[3, 2, 4], 0.65), (&[9], 0.1)],
        is_found_inside: false,
        is_valid: is_itin,
        context: &["itin", "taxpayer", "tax id"],
    },
    Rule {
        detector: Detector::UsAba,
        shapes: &[(&[9], 0.1), (&[4, 4, 1], 0.3)],
        is_found_inside: false,
        is_valid: is_aba,
        context: &["aba", "routing"],
    },
    Rule {
        detector: Detector::UkNhs,
        shapes: &[(&[3, 3, 4], 0.3), (&[10], 0.1)],
        is_found_inside: false,
        is_valid: is_nhs,
        context: &["nhs", "national health"],
    },
    Rule {
        detector: Detector::InAadhaar,
        shapes: &[(&[4, 4, 4], 0.6), (&[12], 0.2)],
        is_found_inside: false,
        is_valid: is_aadhaar,
        context: &["aadhaar", "aadhar", "uidai"],
    },
    Rule {
        detector: Detector::PlPesel,
        shapes: &[(&[11], 0.4)],
        is_found_inside: false,
        is_valid: is_pesel,
        context: &["pesel"],
    },
    Rule {
        detector: Detector::CaSin,
        shapes: &[(&[3, 3, 3], 0.4), (&[9], 0.1)],
        is_found_inside: false,
        is_valid: is_sin,
        context: &["sin", "social insurance", "assurance sociale", "nas"],
    },
    Rule {
        detector: Detector::DeTaxId,
        shapes: &[(&[2, 3, 3, 3], 0.6), (&[11], 0.35)],
        is_found_inside: false,
        is_valid: is_german_tax_id,
        context: &["steuer", "tax id", "idnr", "identifikationsnummer", "tin"],
    },
];

/// Returns the numbers in `run`, the likeliest rules first; they do not overlap for one rule.
pub(super) fn candidates(bytes: &[u8], run: &Run) -> Vec<Candidate> {
    let mut found = Vec::new();
    let mut first = 0;
    while first < run.groups.len() {
        let groups = run.groups.get(first..).unwrap_or_default();
        let near = groups
            .get(..groups.len().min(MOST_GROUPS))
            .unwrap_or_default();
        let here: Vec<Candidate> = RULES
            .iter()
            .filter(|rule| rule.is_found_inside || first == 0)
            .filter_map(|rule| rule.candidate(bytes, near, groups.len()))
            .collect();
        let taken = here
            .iter()
            .map(|candidate| candidate.span.end)
            .max()
            .unwrap_or_default();
        found.extend(here);
        first += groups
            .iter()
            .take_while(|group| group.end <= taken)
            .count()
            .max(1);
    }
    found
}

impl Rule {
    fn candidate(&self, bytes: &[u8], near: &[Range<usize>], groups: usize) -> Option<Candidate> {
        self.shapes.iter().find_map(|(shape, score)| {
            let is_whole = groups == shape.len();
            let mine = near.get(..shape.len())?;
            let fits = (is_whole || self.is_found_inside)
                && mine.iter().map(Range::len).eq(shape.iter().copied());
            if !fits {
                return None;
            }
            let digits = digits(bytes, mine);
            let span = mine.first()?.start..mine.last()?.end;
            (self.is_valid)(&digits).then_some(Candidate {
                detector: self.detector,
                span,
                score: *score,
                context: self.context,
            })
        })
    }
}

/// Returns the values of the digits in `groups`, at most as many as the longest number has.
pub(super) fn digits(bytes: &[u8], groups: &[Range<usize>]) -> Vec<u8> {
    groups
        .iter()
        .flat_map(|group| bytes.get(group.clone()).unwrap_or_default())
        .take(MOST_DIGITS + 1)
        .map(|byte| byte.wrapping_sub(b'0'))
        .collect()
}

/// Returns the number that the first `count` digits write.
fn head(digits: &[u8], count: usize) -> u32 {
    digits
        .iter()
        .take(count)
        .fold(0, |number, digit| number * 10 + u32::from(*digit))
}

fn number(digits: &[u8], places: Range<usize>) -> u32 {
    let length = places.len();
    head(digits.get(places).unwrap_or_default(), length)
}

/// The beginnings that are given out, with their lengths (ISO/IEC 7812), and Luhn.
fn is_card(digits: &[u8]) -> bool {
    let (two, three, four) = (head(digits, 2), head(digits, 3), head(digits, 4));
    let is_issued = match digits.len() {
        13 => head(digits, 1) == 4,
        14 => matches!(three, 300..=305) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37),
        16 => {
            head(digits, 1) == 4
                || matches!(two, 51..=55 | 62 | 65 | 35)
                || matches!(three, 644..=649)
                || matches!(four, 2221..=2720 | 6011)
        }
        19 => head(digits, 1) == 4 || matches!(two, 62 | 65),
        _ => false,
    };
    is_issued && luhn(digits)
}

fn is_ssn(digits: &[u8]) -> bool {
    let (area, group, serial) = (head(digits, 3), number(digits, 3..5), number(digits, 5..9));
    // Two that were printed in advertisements, and the one that everybody types.
    let is_famous = matches!(
        (area, group, serial),
        (78, 5, 1120) | (219, 9, 9999) | (123, 45, 6789)
    );
    let is_given_out = area != 0 && area != 666 && area < 900 && group != 0 && serial != 0;
    is_given_out && !is_famous
}

fn is_itin(digits: &[u8]) -> bool {
    let group = number(digits, 3..5);
    digits.first() == Some(&9) && matches!(group, 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

fn is_aba(digits: &[u8]) -> bool {
    let district = head(digits, 2);
    matches!(district, 1..=12 | 21..=32 | 61..=72 | 80)
        && weighted(digits, &[3, 7, 1, 3, 7, 1, 3, 7, 1]).is_multiple_of(10)
}

fn is_nhs(digits: &[u8]) -> bool {
    let check = 11 - weighted(digits, &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    !is_one_digit(digits)
        && digits
            .last()
            .is_some_and(|last| u32::from(*last) == check % 11)
}

fn is_aadhaar(digits: &[u8]) -> bool {
    digits.first().is_some_and(|first| 2 <= *first) && !is_one_digit(digits) && verhoeff(digits)
}

/// Weights, and a month that carries the century: 80 for 1800, 20, 40 and 60 for what comes after 1900.
fn is_pesel(digits: &[u8]) -> bool {
    let (month, day) = (number(digits, 2..4) % 20, number(digits, 4..6));
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    sum.is_multiple_of(10) && matches!(month, 1..=12) && matches!(day, 1..=31)
}

fn is_sin(digits: &[u8]) -> bool {
    !matches!(digits.first(), Some(0 | 8) | None) && !is_one_digit(digits) && luhn(digits)
}

/// Of the first ten digits one stands there twice or three times, all others at most once.
fn is_german_tax_id(digits: &[u8]) -> bool {
    let mut counts = [0_u8; 10];
    for digit in digits.iter().take(10) {
        if let Some(count) = counts.get_mut(usize::from(*digit)) {
            *count += 1;
        }
    }
    let repeated: Vec<u8> = counts.into_iter().filter(|count| 1 < *count).collect();
    digits.first().is_some_and(|first| *first != 0)
        && matches!(repeated.as_slice(), [2 | 3])
        && iso_7064_mod_11_10(digits)
}

fn is_one_digit(digits: &[u8]) -> bool {
    digits.windows(2).all(|pair| pair.first() == pair.last())
}
