//! Characters that a reader does not see, or that act on whoever shows the text.

use crate::safety::finding::{Detector, Finding};
use std::ops::Range;

/// The flag that is written with tag characters: a black flag, some of them, and an end.
const FLAG: char = '\u{1F3F4}';
const LONGEST_FLAG: usize = 7;

/// Returns the runs of hidden, turning, or steering characters in `text`.
///
/// Not reported are tag characters of a flag, a byte-order mark at the beginning, joiners in scripts
/// and emoji that need them, and one variation selector behind a character.
#[must_use]
pub fn find_unicode(text: &str) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut before: Option<char> = None;
    let mut characters = text.char_indices().peekable();
    while let Some((start, c)) = characters.next() {
        let Some(detector) = kind(c) else {
            before = Some(c);
            continue;
        };
        let mut run = start..start + c.len_utf8();
        let mut count = 1;
        let mut last = c;
        while let Some((next, c)) = characters.next_if(|(_, c)| kind(*c) == Some(detector)) {
            run.end = next + c.len_utf8();
            count += 1;
            last = c;
        }
        let around = Around {
            before,
            after: characters.peek().map(|(_, c)| *c),
        };
        if let Some(score) = score(detector, &run, count, last, &around) {
            findings.push(Finding::new(detector, run, score));
        }
        before = Some(last);
    }
    findings
}

/// What stands beside a run.
struct Around {
    before: Option<char>,
    after: Option<char>,
}

impl Around {
    fn is_inside_latin(&self) -> bool {
        let is_latin = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        is_latin(self.before) && is_latin(self.after)
    }
}

const fn kind(c: char) -> Option<Detector> {
    match c {
        '\u{E0000}'..='\u{E007F}' | '\u{E0100}'..='\u{E01EF}' | '\u{FE00}'..='\u{FE0F}' => {
            Some(Detector::SmuggledText)
        }
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => Some(Detector::BidiControl),
        '\u{200B}'..='\u{200D}' | '\u{2060}'..='\u{2064}' | '\u{FEFF}' | '\u{180E}' => {
            Some(Detector::ZeroWidth)
        }
        '\u{1B}' | '\u{9B}' => Some(Detector::TerminalEscape),
        _ => None,
    }
}

fn score(
    detector: Detector,
    run: &Range<usize>,
    count: usize,
    last: char,
    around: &Around,
) -> Option<f64> {
    match detector {
        Detector::SmuggledText => {
            let is_flag =
                around.before == Some(FLAG) && last == '\u{E007F}' && count <= LONGEST_FLAG;
            (!is_flag && 1 < count).then_some(if count < 4 { 0.7 } else { 1.0 })
        }
        Detector::BidiControl => Some(0.9),
        Detector::ZeroWidth if run.start == 0 && count == 1 => None,
        // Two in a row carry bits; one inside a Latin word breaks it for whoever searches.
        Detector::ZeroWidth => {
            (1 < count || around.is_inside_latin()).then_some(if count < 4 { 0.7 } else { 0.95 })
        }
        Detector::TerminalEscape => {
            let is_sequence = last == '\u{9B}'
                || matches!(
                    around.after,
                    Some('[' | ']' | '(' | ')' | 'P' | 'c' | '_' | '^')
                );
            is_sequence.then_some(0.95)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::find_unicode;
    use crate::safety::finding::Detector;

    #[test]
    fn hidden_characters_are_found() {
        for (text, expected, span) in [
            (
                "hi\u{E0041}\u{E0042}\u{E0043}\u{E0044}",
                Detector::SmuggledText,
                2..18,
            ),
            ("x\u{FE00}\u{FE01}\u{FE02}", Detector::SmuggledText, 1..10),
            ("if (\u{202E}admin", Detector::BidiControl, 4..7),
            ("pass\u{200B}word", Detector::ZeroWidth, 4..7),
            ("a \u{200B}\u{200C}\u{200B} b", Detector::ZeroWidth, 2..11),
            ("\u{1B}[31mred", Detector::TerminalEscape, 0..1),
            ("\u{1B}]8;;http://x\u{7}", Detector::TerminalEscape, 0..1),
        ] {
            let findings = find_unicode(text);
            assert_eq!(findings.len(), 1, "{text:?}");
            assert_eq!(findings[0].detector, expected, "{text:?}");
            assert_eq!(findings[0].span, span, "{text:?}");
        }
    }

    #[test]
    fn ordinary_text_of_the_world_is_clean() {
        for text in [
            "plain",
            "\u{FEFF}a byte-order mark",
            "family \u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}",
            "می\u{200C}خواهم",
            "heart \u{2764}\u{FE0F}",
            "flag \u{1F3F4}\u{E0067}\u{E0062}\u{E0065}\u{E006E}\u{E0067}\u{E007F}",
            "שלום עולם",
            "escape \u{1B} alone",
        ] {
            assert!(find_unicode(text).is_empty(), "{text:?}");
        }
    }
}
