//! Rules about the text of any file: credentials, and characters that do not show what they are.

use crate::prompts::lint::finding::{Edit, Finding, Fix, Sheet};
use crate::prompts::lint::rule::Rule;
use crate::prompts::lint::yaml::Node;
use crate::safety::find_key;
use std::ops::Range;

/// Keys whose values are credentials or endpoints, lower case, without `-` and `_`.
const CONNECTIONS: [&str; 17] = [
    "accesstoken",
    "apibase",
    "apikey",
    "apitoken",
    "authorization",
    "authtoken",
    "azureendpoint",
    "baseurl",
    "bearertoken",
    "clientsecret",
    "connection",
    "connectionstring",
    "endpoint",
    "password",
    "secret",
    "secretkey",
    "token",
];

/// Keys of a front matter below which names are variables, not settings.
const NAMES_OF_VARIABLES: [&str; 4] = ["input", "output", "toolDefs", "tools"];

/// References to the environment in other tools' files.
const ENVIRONMENT: [&str; 3] = ["${env:", "os.environ/", "{{env."];

/// Latin letters, each with the letters of other scripts that look like it.
const LOOKALIKES: [(char, &str); 44] = [
    ('a', "аα"),
    ('c', "сϲ"),
    ('d', "ԁ"),
    ('e', "еҽ"),
    ('g', "ɡ"),
    ('h', "һ"),
    ('i', "іι"),
    ('j', "јϳ"),
    ('k', "κ"),
    ('l', "ӏ"),
    ('n', "ո"),
    ('o', "оοօ"),
    ('p', "рρ"),
    ('q', "ԛ"),
    ('s', "ѕ"),
    ('u', "υս"),
    ('v', "ѵν"),
    ('w', "ԝ"),
    ('x', "х"),
    ('y', "у"),
    ('z', "ᴢ"),
    ('A', "АΑ"),
    ('B', "ВΒ"),
    ('C', "СϹ"),
    ('E', "ЕΕ"),
    ('H', "НΗ"),
    ('I', "ІΙ"),
    ('J', "Ј"),
    ('K', "КΚ"),
    ('M', "МΜ"),
    ('N', "Ν"),
    ('O', "ОΟ"),
    ('P', "РΡ"),
    ('S', "Ѕ"),
    ('T', "ТΤ"),
    ('X', "ХΧ"),
    ('Y', "ҮΥ"),
    ('Z', "Ζ"),
    ('b', "Ь"),
    ('r', "г"),
    ('m', "м"),
    ('t', "т"),
    ('f', "ғ"),
    ('G', "Ԍ"),
];

/// All rules of this file on one file. `settings` is its YAML where keys are settings.
pub(super) fn check(sheet: Sheet<'_>, settings: Option<&Node>, findings: &mut Vec<Finding>) {
    secrets(sheet, findings);
    if let Some(settings) = settings {
        connections(sheet, settings, findings);
    }
    hidden(sheet, findings);
    lookalikes(sheet, findings);
}

/// P012: credentials and references to the environment, anywhere.
fn secrets(sheet: Sheet<'_>, findings: &mut Vec<Finding>) {
    let mut from = 0;
    while let Some(range) = find_key(sheet.text, from) {
        let finding = sheet.finding(Rule::Secret, &range, "this looks like a credential");
        findings.push(finding.hint(
            "take it out, revoke it, and give it to the gateway as a reference in promptgate.toml",
        ));
        from = range.end;
    }
    for mark in ENVIRONMENT {
        for (start, _) in sheet.text.match_indices(mark) {
            let rest = sheet.text.get(start..).unwrap_or_default();
            let length = rest.find(|c: char| c.is_whitespace() || c == '"' || c == '}');
            let range = start
                ..start
                    + length.map_or(rest.len(), |length| {
                        length
                            + usize::from(
                                rest.get(length..).is_some_and(|rest| rest.starts_with('}')),
                            )
                    });
            let message = "a reference to the environment is not resolved in prompts";
            let finding = sheet.finding(Rule::Secret, &range, message);
            findings
                .push(finding.hint("make it a variable of the prompt, or write the text itself"));
        }
    }
}

/// P012: settings that belong into the gateway's config.
fn connections(sheet: Sheet<'_>, settings: &Node, findings: &mut Vec<Finding>) {
    for entry in settings.entries() {
        if NAMES_OF_VARIABLES.contains(&entry.key.as_str()) {
            continue;
        }
        let last = entry.key.rsplit('.').next().unwrap_or(&entry.key);
        let name: String = last
            .chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect();
        if CONNECTIONS.contains(&name.as_str()) && entry.value.scalar() != Some("") {
            let message = format!(
                "`{}` is for the gateway's config, not for a prompt",
                entry.key
            );
            let finding = sheet.finding(Rule::Secret, &entry.key_range, message);
            findings.push(finding.hint("set it under `[providers.NAME]` in promptgate.toml"));
        } else {
            connections(sheet, &entry.value, findings);
        }
    }
}

/// W110: characters without a shape, and those that turn the direction of reading.
fn hidden(sheet: Sheet<'_>, findings: &mut Vec<Finding>) {
    let mut runs: Vec<(Range<usize>, Vec<char>)> = Vec::new();
    for (start, c) in sheet.text.char_indices() {
        if !is_hidden(c) || is_joining(sheet.text, start, c) {
            continue;
        }
        let range = start..start + c.len_utf8();
        match runs.last_mut() {
            Some((last, characters)) if last.end == start => {
                last.end = range.end;
                characters.push(c);
            }
            _ => runs.push((range, vec![c])),
        }
    }
    for (range, characters) in runs {
        let first = characters.first().copied().unwrap_or_default();
        let more = match characters.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let what = if is_turning(first) {
            "turns the direction of reading"
        } else {
            "is invisible"
        };
        let message = format!("U+{:04X}{more} {what}", u32::from(first));
        let finding = sheet.finding(Rule::HiddenCharacter, &range, message);
        findings.push(
            finding
                .hint("remove it; a reviewer does not see it, the model reads it")
                .fix(Fix::replace("remove the invisible characters", &range, "")),
        );
    }
}

const fn is_turning(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_hidden(c: char) -> bool {
    is_turning(c)
        || matches!(
            c,
            '\u{00ad}'
                | '\u{034f}'
                | '\u{115f}' | '\u{1160}'
                | '\u{17b4}' | '\u{17b5}'
                | '\u{180b}'..='\u{180e}'
                | '\u{200b}'..='\u{200d}'
                | '\u{2028}' | '\u{2029}'
                | '\u{2060}'..='\u{2064}'
                | '\u{206a}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
        || (c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
}

/// Whether a joiner stands where writing needs it: inside an emoji, or between letters of a script
/// that joins.
fn is_joining(text: &str, start: usize, c: char) -> bool {
    if !matches!(c, '\u{200c}' | '\u{200d}') {
        return false;
    }
    let before = text.get(..start).and_then(|text| text.chars().next_back());
    let after = text.get(start + c.len_utf8()..);
    let after = after.and_then(|text| text.chars().next());
    let joins = |c: char| matches!(c, '\u{0600}'..='\u{0dff}' | '\u{1000}'..='\u{109f}' | '\u{2190}'..='\u{2bff}' | '\u{fe0f}' | '\u{1f000}'..='\u{1faff}');
    before.is_some_and(joins) && after.is_some_and(joins)
}

/// W110: words in which a letter of another script stands for a Latin one.
fn lookalikes(sheet: Sheet<'_>, findings: &mut Vec<Finding>) {
    if sheet.text.is_ascii() {
        return;
    }
    let mut start = 0;
    for word in sheet.text.split_inclusive(|c: char| !c.is_alphabetic()) {
        let letters = word.trim_end_matches(|c: char| !c.is_alphabetic());
        let place = start..start + letters.len();
        start += word.len();
        let Some(plain) = plain(letters) else {
            continue;
        };
        let strange = letters.chars().find(|c| !c.is_ascii()).unwrap_or_default();
        let message = format!(
            "`{letters}` is written with U+{:04X}, which looks like a Latin letter",
            u32::from(strange)
        );
        let finding = sheet.finding(Rule::HiddenCharacter, &place, message);
        let edit = Edit {
            start: place.start,
            end: place.end,
            text: plain.clone(),
        };
        findings.push(
            finding
                .hint(format!("write `{plain}` in Latin letters"))
                .fix(Fix {
                    title: format!("write `{plain}` in Latin letters"),
                    edits: vec![edit],
                }),
        );
    }
}

/// Returns `word` in Latin letters, when it is Latin but for letters that look Latin.
fn plain(word: &str) -> Option<String> {
    let has_latin = word.chars().any(|c| c.is_ascii_alphabetic());
    if word.is_ascii() || !has_latin {
        return None;
    }
    let latin = |c: char| {
        if c.is_ascii() {
            return Some(c);
        }
        let row = LOOKALIKES.iter().find(|(_, others)| others.contains(c));
        row.map(|(latin, _)| *latin)
    };
    word.chars().map(latin).collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::prompts::lint::finding::Sheet;

    #[test]
    fn what_does_not_show_is_found_and_what_writing_needs_is_not() {
        for (text, messages) in [
            ("plain\ttext\n", vec![]),
            ("a\u{200b}b", vec!["U+200B is invisible"]),
            ("a\u{200b}\u{2060}b", vec!["U+200B and 1 more is invisible"]),
            ("\u{202e}abc", vec!["U+202E turns the direction of reading"]),
            ("hi\u{e0041}", vec!["U+E0041 is invisible"]),
            ("a\u{7}", vec!["U+0007 is invisible"]),
            ("👩\u{200d}💻 نمی\u{200c}خواهم", vec![]),
            ("Москва, αβγ, naïve, Straße, 5 kΩ", vec![]),
            (
                "рaypal",
                vec!["`рaypal` is written with U+0440, which looks like a Latin letter"],
            ),
        ] {
            let mut findings = Vec::new();
            check(Sheet { path: "p", text }, None, &mut findings);
            let found: Vec<_> = findings
                .iter()
                .map(|finding| finding.problem.message.as_str())
                .collect();
            assert_eq!(found, messages, "{text:?}");
        }
    }
}
