//! Personal data that its form or its check digits give away. Names and postal addresses are not found:
//! that takes a model.
//!
//! One pass looks at each beginning of a word. A score says how much the form alone proves; a word near
//! by that names the thing raises it. What a case itself brought along is not a finding.

mod checksum;
mod numbers;
mod phone;
mod tokens;

use crate::safety::finding::{Detector, Finding};
use numbers::Run;
use std::collections::HashSet;
use std::ops::Range;

/// Findings with a lower score are not worth a report.
pub const MIN_SCORE: f64 = 0.5;

/// How far before and behind a value a word can stand that says what it is, in bytes.
const CONTEXT_BEFORE: usize = 48;
const CONTEXT_AFTER: usize = 24;
/// How much such a word adds to a score.
const CONTEXT_SCORE: f64 = 0.45;

/// Values that may appear: those the case itself holds. Spaces, hyphens and case do not matter.
#[derive(Debug, Clone, Default)]
pub struct AllowedValues(HashSet<String>);

impl AllowedValues {
    /// Returns the set of `values`.
    #[must_use]
    pub fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        Self(values.into_iter().map(compact).collect())
    }

    fn allows(&self, value: &str) -> bool {
        !self.0.is_empty() && self.0.contains(&compact(value))
    }
}

fn compact(value: &str) -> String {
    value
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '(' | ')' | '/'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// Returns the personal data in `text` that is not `allowed`, with a score of [`MIN_SCORE`] at least,
/// in the order of the text.
#[must_use]
pub fn find_pii(text: &str, allowed: &AllowedValues) -> Vec<Finding> {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        allowed,
        findings: Vec::new(),
    };
    let mut from = 0;
    while from < scanner.bytes.len() {
        from = scanner.step(from).max(from + 1);
    }
    scanner.findings.sort_by_key(|finding| finding.span.start);
    scanner.findings
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    allowed: &'a AllowedValues,
    findings: Vec<Finding>,
}

impl Scanner<'_> {
    /// Looks at the byte at `start`, and returns where to look next.
    fn step(&mut self, start: usize) -> usize {
        let Some(byte) = self.bytes.get(start) else {
            return start;
        };
        match byte {
            b'@' => {
                let found = tokens::email(self.bytes, start);
                self.keep(found).unwrap_or(start)
            }
            b'+' | b'(' => self.phone(start),
            b'0'..=b'9' if self.begins_number(start) => self.number(start),
            b'A'..=b'Z' | b'a'..=b'f' | b':' if self.begins_word(start) => self.word(start),
            _ => start,
        }
    }

    fn word(&mut self, start: usize) -> usize {
        let found = tokens::mixed(self.bytes, start).or_else(|| tokens::ipv6(self.bytes, start));
        self.keep(found).unwrap_or(start)
    }

    fn number(&mut self, start: usize) -> usize {
        let found = tokens::ipv4(self.bytes, start)
            .or_else(|| tokens::ipv6(self.bytes, start))
            .or_else(|| tokens::mixed(self.bytes, start));
        if let Some(end) = self.keep(found) {
            return end;
        }
        let run = Run::read(self.bytes, start);
        let is_bounded = tokens::ends_word(self.bytes, run.end());
        let mut best: Option<(Finding, bool)> = None;
        for candidate in numbers::candidates(self.bytes, &run) {
            if candidate.span.end == run.end() && !is_bounded {
                continue;
            }
            let has_context = self.has_context(&candidate.span, candidate.context);
            let bonus = if has_context { CONTEXT_SCORE } else { 0.0 };
            let finding = Finding::new(candidate.detector, candidate.span, candidate.score + bonus);
            if let Some((last, _)) = &best
                && last.span.end <= finding.span.start
            {
                self.push(best.take().map(|(finding, _)| finding));
            }
            let is_better = best.as_ref().is_none_or(|(last, had_context)| {
                (has_context, finding.score) > (*had_context, last.score)
            });
            if is_better {
                best = Some((finding, has_context));
            }
        }
        let has_number = self.push(best.map(|(finding, _)| finding));
        let last = if has_number {
            run.end()
        } else {
            self.phone(start)
        };
        last.max(run.end())
    }

    fn phone(&mut self, start: usize) -> usize {
        let Some(phone) = phone::at(self.bytes, start) else {
            return start;
        };
        let has_context = self.has_context(&phone.span, phone::CONTEXT);
        let bonus = if has_context { CONTEXT_SCORE } else { 0.0 };
        let end = phone.span.end;
        self.push(Some(Finding::new(
            Detector::Phone,
            phone.span,
            phone.score + bonus,
        )));
        end
    }

    /// Keeps what was recognised, and returns where it ends.
    fn keep(&mut self, found: Option<tokens::Recognised>) -> Option<usize> {
        let (detector, span, score) = found?;
        let has_context = 0.2 < score && self.has_context(&span, context_of(detector));
        let bonus = if has_context { CONTEXT_SCORE } else { 0.0 };
        let end = span.end;
        self.push(Some(Finding::new(detector, span, score + bonus)));
        Some(end)
    }

    /// Adds `finding` unless it is weak or allowed, and returns whether it was strong.
    fn push(&mut self, finding: Option<Finding>) -> bool {
        let Some(finding) = finding.filter(|finding| MIN_SCORE <= finding.score) else {
            return false;
        };
        let value = self.text.get(finding.span.clone()).unwrap_or_default();
        if !self.allowed.allows(value) {
            self.findings.push(finding);
        }
        true
    }

    /// Whether one of `words` stands near `span` as the beginning of a word.
    fn has_context(&self, span: &Range<usize>, words: &[&str]) -> bool {
        let before = span.start.saturating_sub(CONTEXT_BEFORE)..span.start;
        let after = span.end..self.bytes.len().min(span.end + CONTEXT_AFTER);
        [before, after].into_iter().any(|window| {
            let near = self
                .bytes
                .get(window)
                .unwrap_or_default()
                .to_ascii_lowercase();
            words
                .iter()
                .any(|word| begins_a_word(&near, word.as_bytes()))
        })
    }

    fn begins_word(&self, start: usize) -> bool {
        let before = start
            .checked_sub(1)
            .and_then(|before| self.bytes.get(before));
        before.is_none_or(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && byte.is_ascii())
    }

    /// A number begins behind no letter, and not inside a fraction, an id, or a path.
    fn begins_number(&self, start: usize) -> bool {
        let before = |distance| {
            start
                .checked_sub(distance)
                .and_then(|before| self.bytes.get(before))
        };
        let is_joined = matches!(before(1), Some(b'-' | b'.' | b',' | b'/' | b'='))
            && before(2).is_some_and(u8::is_ascii_alphanumeric)
            && !matches!(before(1), Some(b'='));
        self.begins_word(start) && !is_joined
    }
}

/// Returns the words that name what `detector` recognises.
const fn context_of(detector: Detector) -> &'static [&'static str] {
    match detector {
        Detector::Email => &["mail"],
        Detector::Ipv4 | Detector::Ipv6 => &["ip", "address", "host", "adresse"],
        Detector::Iban => &["iban", "account", "konto"],
        Detector::UkNino => &["national insurance", "nino", "ni number"],
        Detector::EsNif | Detector::EsNie => &["dni", "nif", "nie", "documento"],
        _ => &[],
    }
}

/// Whether `word` stands in `near` where a word begins, and ends one when it is short.
fn begins_a_word(near: &[u8], word: &[u8]) -> bool {
    memchr::memmem::find_iter(near, word).any(|start| {
        let is_start = start
            .checked_sub(1)
            .and_then(|before| near.get(before))
            .is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let after = near.get(start + word.len());
        is_start && (3 < word.len() || after.is_none_or(|byte| !byte.is_ascii_alphabetic()))
    })
}

#[cfg(test)]
mod tests {
    use super::{AllowedValues, find_pii};
    use crate::safety::finding::Detector;

    fn found(text: &str) -> Vec<(Detector, &str)> {
        find_pii(text, &AllowedValues::default())
            .into_iter()
            .map(|finding| (finding.detector, text.get(finding.span).unwrap()))
            .collect()
    }

    #[test]
    fn personal_data_is_found() {
        use Detector as D;
        for (text, detector, value) in [
            (
                "Write to jo.smith+x@mail.acme.co.uk.",
                D::Email,
                "jo.smith+x@mail.acme.co.uk",
            ),
            ("<mailto:a@b.org>", D::Email, "a@b.org"),
            ("Call +49 30 901820 now", D::Phone, "+49 30 901820"),
            ("tel: +1-202-555-0143", D::Phone, "+1-202-555-0143"),
            ("my phone is (202) 555-0143", D::Phone, "(202) 555-0143"),
            ("Phone 202-555-0143", D::Phone, "202-555-0143"),
            ("Handy: 0171 2345678", D::Phone, "0171 2345678"),
            ("4111 1111 1111 1111", D::PaymentCard, "4111 1111 1111 1111"),
            ("card 4111111111111111.", D::PaymentCard, "4111111111111111"),
            ("3782 822463 10005", D::PaymentCard, "3782 822463 10005"),
            (
                "no 7 5500 0000 0000 0004 12/27",
                D::PaymentCard,
                "5500 0000 0000 0004",
            ),
            (
                "IBAN DE89 3704 0044 0532 0130 00",
                D::Iban,
                "DE89 3704 0044 0532 0130 00",
            ),
            ("GB82WEST12345698765432,", D::Iban, "GB82WEST12345698765432"),
            ("from 81.2.69.142 at noon", D::Ipv4, "81.2.69.142"),
            (
                "2a02:2e0:3fe:1001:302::",
                D::Ipv6,
                "2a02:2e0:3fe:1001:302::",
            ),
            ("SSN 536-90-4399", D::UsSsn, "536-90-4399"),
            ("social security number: 536904399", D::UsSsn, "536904399"),
            ("ITIN 912-70-1234", D::UsItin, "912-70-1234"),
            ("routing number 021000021", D::UsAba, "021000021"),
            ("NHS number 943 476 5919", D::UkNhs, "943 476 5919"),
            ("AB 12 34 56 C", D::UkNino, "AB 12 34 56 C"),
            ("AB123456C", D::UkNino, "AB123456C"),
            ("2341 2341 2346", D::InAadhaar, "2341 2341 2346"),
            ("PESEL 44051401359", D::PlPesel, "44051401359"),
            ("SIN 130 692 544", D::CaSin, "130 692 544"),
            ("Steuer-ID 86 095 742 719", D::DeTaxId, "86 095 742 719"),
            ("DNI 12345678Z", D::EsNif, "12345678Z"),
            ("X1234567L", D::EsNie, "X1234567L"),
        ] {
            assert_eq!(found(text), [(detector, value)], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_it_is_not() {
        for text in [
            "",
            "user@localhost, a@b, @handle, x@y.1, me@example.com",
            "version 1.2.3.4-rc1, 10.0.0.1, 127.0.0.1, 192.168.1.7, 1.2.3.4.5",
            "std::vec::Vec, a::b, dead::beef, 12:34:56, aa:bb:cc:dd:ee:ff, 2001:db8::1:2",
            "4111 1111 1111 1112 and 1234567812345678",
            "GB82 WEST 1234 5698 7654 33",
            "000-12-3456, 666-12-3456, 123-00-4567, 123-45-6789",
            "order 536904399, invoice 130692544, part 021000021",
            "the year 2024-11-05, 3.14159265358979, 1,000,000.00",
            "550e8400-e29b-41d4-a716-446655440000",
            "page 202 555 0143",
            "1 234 567 890 people",
            "QQ123456C and BG123456A and AB123456E",
            "12345678A, X1234567A",
            "1730000000 1730000000000",
            "sha 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
            "+1 and +2, C++11, +100000000000000000",
            "isbn 978-3-16-148410-0",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn the_values_of_the_case_are_allowed() {
        let allowed = AllowedValues::new(["Jo@Acme.org", "4111111111111111"]);
        let text = "jo@acme.org paid with 4111-1111-1111-1111, not mo@acme.org";
        let findings = find_pii(text, &allowed);
        assert_eq!(findings.len(), 1);
        assert_eq!(text.get(findings[0].span.clone()), Some("mo@acme.org"));
    }

    #[test]
    fn context_raises_the_score() {
        let score = |text| find_pii(text, &AllowedValues::default())[0].score;
        assert!(score("536-90-4399") < score("ssn 536-90-4399"));
        assert!(score("81.2.69.142") < score("IP address 81.2.69.142"));
    }
}
