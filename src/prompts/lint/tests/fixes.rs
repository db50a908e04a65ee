//! Fixes end what they are for, and change nothing else.

use super::{facts, material};
use crate::prompts::lint::{Lint, Rule};

/// What a file is, and what it is to be; the same where there is no fix.
#[rustfmt::skip]
const CASES: [(Rule, &str, &str); 9] = [
    (Rule::BrokenFile, "\u{feff}---\r\nmodel: x\r\n---\r\nhello", "---\r\nmodel: x\r\n---\r\nhello"),
    (Rule::BrokenFile, "---\nmodel: x\n---", "---\nmodel: x\n---\n"),
    (Rule::UnknownKey, "---\nmodle: x\n---\nhello", "---\nmodel: x\n---\nhello"),
    (Rule::RawValue, "---\ninput: {schema: {a(array): string}}\n---\n{{a}} {{ a }} {{{a}}}",
        "---\ninput: {schema: {a(array): string}}\n---\n{{json a}} {{ json a }} {{{json a}}}"),
    (Rule::TwoSpellings, "---\nconfig:\n  topP: 1\n  top_p: 1\n---\nhello", "---\nconfig:\n  topP: 1\n---\nhello"),
    (Rule::TwoSpellings, "---\nconfig: {topP: 1, top_p: 1}\n---\nhello", "---\nconfig: {topP: 1, top_p: 1}\n---\nhello"),
    (Rule::TwoSpellings, "---\nconfig:\n  topP: 1\n  top_p: 2\n---\nhello", "---\nconfig:\n  topP: 1\n  top_p: 2\n---\nhello"),
    (Rule::TwoSpellings, "---\nconfig:\n  stop: x\n  stopSequences: |-\n    x\n---\nhello", "---\nconfig:\n  stop: x\n  stopSequences: |-\n    x\n---\nhello"),
    (Rule::HiddenCharacter, "a\u{200b}b \u{440}aypal", "ab paypal"),
];

#[test]
fn fixes_end_what_they_are_for_and_nothing_else_changes() {
    for (rule, source, wanted) in CASES {
        let lint = || Lint::of(material(&[("p.prompt", source)]), facts());
        let is_found = |lint: &Lint| {
            let mut codes = lint.findings.iter().map(|finding| finding.problem.code);
            codes.any(|code| code == rule)
        };
        assert!(is_found(&lint()), "{source:?}");
        let untouched = lint().fixed(facts(), |_| false);
        assert_eq!((untouched.files.len(), untouched.count), (0, 0));
        let fixed = lint().fixed(facts(), |path| path == "p.prompt");
        let new = fixed.files.first().map(|(_, _, new)| new.as_slice());
        let text = std::str::from_utf8(new.unwrap_or(source.as_bytes())).unwrap();
        assert_eq!(text, wanted);
        let mut left = fixed.lint.findings.iter();
        assert!(left.all(|finding| finding.fix.is_none()), "{source:?}");
        assert_eq!(is_found(&fixed.lint), source == wanted, "{source:?}");
    }
}
