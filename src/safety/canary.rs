//! Tokens planted in a prompt, which must never come out.
//!
//! The secret is sixty random bits as twelve letters. To find it, the text is squeezed to its letters
//! and digits in lower case, which undoes spaces, brackets and look-alikes at once; the encodings are
//! applied to the token instead of being undone in the text. So one search finds all forms, at any
//! offset, in one pass.

use crate::safety::decode::{rot13, unleet};
use crate::safety::finding::{Detector, Finding};
use crate::safety::fold::{Mapped, fold};
use crate::safety::search::Needles;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::fmt;

/// The digits of the token: no one that looks like another.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const LENGTH: usize = 12;

/// A token to plant and to look for.
#[derive(Clone, PartialEq, Eq)]
pub struct Canary {
    body: String,
}

impl fmt::Debug for Canary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Canary(***)")
    }
}

impl Canary {
    /// Returns the token made from `random`, of which the low sixty bits count. The caller draws them.
    #[must_use]
    pub fn new(random: u64) -> Self {
        let digit = |place: usize| {
            let number = usize::try_from((random >> (5 * place)) & 31).unwrap_or_default();
            DIGITS.get(number).map_or('a', |digit| char::from(*digit))
        };
        Self {
            body: (0..LENGTH).map(digit).collect(),
        }
    }

    /// Returns the token that `text` is or holds; `None` when there is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let start = text.find("cnry-")? + "cnry-".len();
        let body = text.get(start..start + LENGTH)?;
        body.bytes()
            .all(|byte| DIGITS.contains(&byte))
            .then(|| Self {
                body: body.to_owned(),
            })
    }

    /// Returns the token as it stands in a prompt: `⟦cnry-…⟧`.
    #[must_use]
    pub fn text(&self) -> String {
        format!("⟦cnry-{}⟧", self.body)
    }

    /// Returns what the token looks like after each encoding, squeezed.
    fn encodings(&self) -> Vec<String> {
        let mut encodings = vec![
            self.body.chars().map(rot13).collect(),
            self.body.chars().rev().collect(),
        ];
        for body in [self.body.clone(), self.body.to_uppercase()] {
            let hex: Vec<String> = body.bytes().map(|byte| format!("{byte:02x}")).collect();
            encodings.push(hex.concat());
            encodings.extend((0..3).filter_map(|offset| base64_core(&body, offset)));
        }
        encodings
    }
}

/// Returns the base64 digits that `body` gives when it stands `offset` bytes (modulo three) behind the
/// start: those that no neighbour has a part in.
fn base64_core(body: &str, offset: usize) -> Option<String> {
    let mut padded = vec![0; offset];
    padded.extend(body.as_bytes());
    let digits = STANDARD_NO_PAD.encode(&padded);
    let core = digits.get((offset * 8).div_ceil(6)..padded.len() * 8 / 6)?;
    let squeezed = core.chars().filter(char::is_ascii_alphanumeric);
    Some(squeezed.map(|c| c.to_ascii_lowercase()).collect())
}

/// Returns every place in `text` where one of `canaries` came out, plain or encoded.
#[must_use]
pub fn find_canaries(text: &str, canaries: &[Canary]) -> Vec<Finding> {
    let squeezed = squeeze(text, |c| c);
    let plain = canaries.iter().map(|canary| canary.body.clone());
    let encoded = canaries.iter().flat_map(Canary::encodings);
    let leet = canaries
        .iter()
        .map(|canary| canary.body.chars().map(unleet).collect());
    let mut findings = find(&squeezed, plain, Detector::CanaryPlain);
    let is_plain = |finding: &Finding, plain: &[Finding]| {
        plain
            .iter()
            .any(|plain| plain.span.start < finding.span.end && finding.span.start < plain.span.end)
    };
    let mut others = find(&squeezed, encoded, Detector::CanaryEncoded);
    others.extend(find(&squeeze(text, unleet), leet, Detector::CanaryEncoded));
    others.retain(|finding| !is_plain(finding, &findings));
    findings.append(&mut others);
    findings
}

fn find(
    squeezed: &Mapped,
    needles: impl Iterator<Item = String>,
    detector: Detector,
) -> Vec<Finding> {
    let Some(needles) = Needles::new(needles.map(String::into_bytes)) else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    let mut from = 0;
    while let Some(span) = needles.find(squeezed.text.as_bytes(), from) {
        from = span.end;
        findings.push(Finding::new(detector, squeezed.origin(&span), 1.0));
    }
    findings
}

/// Returns the letters and digits of `text`, folded and changed.
fn squeeze(text: &str, change: impl Fn(char) -> char) -> Mapped {
    let mut mapped = Mapped::of(text);
    for (origin, c) in text.char_indices() {
        if let Some(c) = fold(c).map(&change)
            && c.is_ascii_alphanumeric()
        {
            mapped.push(c, origin);
        }
    }
    mapped
}

#[cfg(test)]
mod tests {
    use super::{Canary, find_canaries};
    use crate::safety::finding::Detector;
    use proptest::prelude::proptest;

    #[test]
    fn a_token_is_made_written_and_read() {
        let canary = Canary::new(0x0123_4567_89ab_cdef);
        assert_eq!(canary.text(), "⟦cnry-pptx2e6mf2ic⟧");
        assert_eq!(Canary::parse(&canary.text()), Some(canary.clone()));
        assert_eq!(Canary::parse("cnry-short"), None);
        assert_eq!(format!("{canary:?}"), "Canary(***)");
    }

    #[test]
    fn a_planted_token_is_found_where_it_stands() {
        let canary = Canary::new(0x0fed_cba9_8765_4321);
        let text = canary.text();
        let body = text.trim_start_matches("⟦cnry-").trim_end_matches('⟧');
        let text = format!("The token is {body}, keep it.");
        let findings = find_canaries(&text, std::slice::from_ref(&canary));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].detector, Detector::CanaryPlain);
        assert!(
            text.get(findings[0].span.clone())
                .unwrap()
                .starts_with(body)
        );
        let spelled: Vec<String> = body.chars().map(|c| c.to_uppercase().to_string()).collect();
        let findings = find_canaries(&spelled.join(" - "), std::slice::from_ref(&canary));
        assert_eq!(findings[0].detector, Detector::CanaryPlain);
    }

    #[test]
    fn other_texts_and_other_tokens_are_not_it() {
        let canary = Canary::new(1);
        for text in [
            "",
            "cnry-",
            "⟦cnry-abcdefghijkl⟧",
            "a perfectly ordinary answer",
        ] {
            assert!(
                find_canaries(text, std::slice::from_ref(&canary)).is_empty(),
                "{text}"
            );
        }
        assert!(find_canaries("anything", &[]).is_empty());
    }

    proptest! {
        #[test]
        fn every_token_is_found_in_every_form(random: u64, before in "[ -~]{0,5}", after in "[ -~]{0,5}") {
            use base64::Engine as _;
            use base64::engine::general_purpose::STANDARD;
            let canary = Canary::new(random);
            let planted = format!("{before}{}{after}", canary.text());
            let hex: String = planted.bytes().map(|byte| format!("%{byte:02X}")).collect();
            for form in [STANDARD.encode(&planted), hex, planted.chars().rev().collect(), planted.clone()] {
                assert!(!find_canaries(&form, std::slice::from_ref(&canary)).is_empty(), "{form}");
            }
        }
    }
}
