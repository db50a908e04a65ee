//! Answers that went wrong as text: the same words over and over, or another script than was asked for.
//!
//! The script is not the language: an English answer to a question for French is not seen. What is
//! seen needs no model and no dictionary, and is never a guess.

use crate::safety::finding::{Detector, Finding};
use crate::safety::fold::lowered;
use crate::safety::leak::ratio;
use crate::safety::words::Words;
use std::collections::HashMap;

/// Words in a phrase that may repeat.
const PHRASE: usize = 4;
/// Shorter texts repeat themselves by nature.
const FEWEST_WORDS: usize = 40;
/// The share of a text that one phrase may make up.
const MOST_REPEATED: f64 = 0.25;
/// Fewer letters have no script worth naming.
const FEWEST_LETTERS: usize = 20;
/// The share of letters that must be of the script that was asked for.
const LEAST_EXPECTED: f64 = 0.3;

/// A system of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Script {
    /// Latin.
    Latin,
    /// Cyrillic.
    Cyrillic,
    /// Greek.
    Greek,
    /// Hebrew.
    Hebrew,
    /// Arabic.
    Arabic,
    /// Devanagari.
    Devanagari,
    /// Thai.
    Thai,
    /// Chinese characters.
    Han,
    /// Japanese: kana, among Chinese characters.
    Japanese,
    /// Hangul.
    Hangul,
}

impl Script {
    /// Returns the script that the language `code` (ISO 639, perhaps with a country) is written in;
    /// `None` when it is not known here or has more than one.
    #[must_use]
    pub fn of_language(code: &str) -> Option<Self> {
        let language = code.split(['-', '_']).next().unwrap_or_default();
        Some(match language.to_ascii_lowercase().as_str() {
            "en" | "de" | "fr" | "es" | "it" | "pt" | "nl" | "sv" | "da" | "no" | "nb" | "fi"
            | "pl" | "cs" | "sk" | "hu" | "ro" | "tr" | "id" | "vi" | "hr" | "ca" => Self::Latin,
            "ru" | "uk" | "bg" | "be" | "mk" => Self::Cyrillic,
            "el" => Self::Greek,
            "he" | "yi" => Self::Hebrew,
            "ar" | "fa" | "ur" => Self::Arabic,
            "hi" | "mr" | "ne" => Self::Devanagari,
            "th" => Self::Thai,
            "zh" => Self::Han,
            "ja" => Self::Japanese,
            "ko" => Self::Hangul,
            _ => return None,
        })
    }

    const fn of_letter(c: char) -> Option<Self> {
        Some(match c {
            'A'..='Z' | 'a'..='z' | '\u{C0}'..='\u{24F}' | '\u{1E00}'..='\u{1EFF}' => Self::Latin,
            '\u{370}'..='\u{3FF}' => Self::Greek,
            '\u{400}'..='\u{52F}' => Self::Cyrillic,
            '\u{590}'..='\u{5FF}' => Self::Hebrew,
            '\u{600}'..='\u{6FF}' | '\u{750}'..='\u{77F}' => Self::Arabic,
            '\u{900}'..='\u{97F}' => Self::Devanagari,
            '\u{E00}'..='\u{E7F}' => Self::Thai,
            '\u{3040}'..='\u{30FF}' => Self::Japanese,
            '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}' => Self::Han,
            '\u{1100}'..='\u{11FF}' | '\u{AC00}'..='\u{D7AF}' => Self::Hangul,
            _ => return None,
        })
    }

    fn accepts(self, other: Self) -> bool {
        self == other || (self == Self::Japanese && other == Self::Han)
    }
}

/// Returns the share of the letters of `text` that are of `script`; `None` when there are too few
/// letters to say.
#[must_use]
pub fn script_share(text: &str, script: Script) -> Option<f64> {
    let (mut all, mut expected) = (0, 0);
    for letter in text.chars().filter_map(Script::of_letter) {
        all += 1;
        expected += usize::from(script.accepts(letter));
    }
    (FEWEST_LETTERS <= all).then(|| ratio(expected, all))
}

/// Returns the share of the words of `text` that belong to its most repeated phrase of four words: 0
/// when none comes twice, near 1 when there is nothing else.
#[must_use]
pub fn repetition(text: &str) -> f64 {
    repeated(&Words::of(&lowered(text).text))
}

fn repeated(words: &Words) -> f64 {
    let mut places: HashMap<u64, (usize, usize)> = HashMap::new();
    for (place, hash) in words.runs(PHRASE).enumerate() {
        let (count, next) = places.entry(hash).or_insert((0, 0));
        // Overlapping occurrences of `a a a a a` are counted once.
        if *next <= place {
            *count += 1;
            *next = place + PHRASE;
        }
    }
    let most = places.values().map(|(count, _)| *count).max().unwrap_or(0);
    if most < 2 {
        return 0.0;
    }
    ratio(most * PHRASE, words.hashes.len())
}

/// Returns the finding for a text that repeats itself.
pub(super) fn repetition_finding(text: &str) -> Option<Finding> {
    let words = Words::of(&lowered(text).text);
    let share = repeated(&words);
    (FEWEST_WORDS <= words.hashes.len() && MOST_REPEATED <= share)
        .then(|| Finding::new(Detector::Repetition, 0..text.len(), 0.5 + share / 2.0))
}

/// Returns the finding for a text in another script than `expected`.
pub(super) fn script_finding(text: &str, expected: Script) -> Option<Finding> {
    let share = script_share(text, expected).filter(|share| *share < LEAST_EXPECTED)?;
    Some(Finding::new(
        Detector::ScriptMismatch,
        0..text.len(),
        1.0 - share,
    ))
}

#[cfg(test)]
mod tests {
    use super::{Script, repetition, repetition_finding, script_finding};

    #[test]
    fn loops_are_told_from_prose() {
        let looped = "and then we go on ".repeat(20);
        assert!(0.7 < repetition(&looped), "{}", repetition(&looped));
        assert!(repetition_finding(&looped).is_some());
        assert!(repetition_finding(&"no ".repeat(100)).is_some());
        let prose = "The journal is written before anything depends on it. When the machine stops, \
            the last segment is read from its header, and a torn tail is cut off and kept beside. \
            Calls that were open get an outcome of their own, and the index catches up from the \
            position that it had stored when it was last written to disk.";
        assert!(repetition_finding(prose).is_none());
        assert!(repetition("one two three four five").abs() < f64::EPSILON);
        assert!(repetition("").abs() < f64::EPSILON);
        assert!(repetition_finding("go go go go go go go go").is_none());
    }

    #[test]
    fn the_script_is_held_against_what_was_asked() {
        let russian = "Это ответ на русском языке, а не на английском.";
        for (text, language, is_found) in [
            (russian, "en", true),
            (russian, "ru", false),
            ("An answer in plain English.", "fr-FR", false),
            (
                "これは日本語の答えです。とても短いですが十分です。",
                "ja",
                false,
            ),
            (
                "这是一个用中文写的回答，它的长度已经足够用来判断文字。",
                "ja",
                false,
            ),
            ("An answer in plain English.", "ja", true),
            ("ok", "ru", false),
        ] {
            let script = Script::of_language(language).unwrap();
            assert_eq!(
                script_finding(text, script).is_some(),
                is_found,
                "{text} {language}"
            );
        }
        assert_eq!(Script::of_language("sr"), None);
    }
}
