//! The forms in which the same request arrives: encoded, hidden in others, dressed up as something else.
//!
//! Every form is a pure function of the text, so that a run can be repeated and two runs compared. A
//! suite multiplies its cases with the forms it chooses; a model that declines the plain request should
//! decline all of them.

mod encodings;
mod wrappers;

use std::fmt;

/// Declares the mutators once, so that the list of all of them cannot miss one.
macro_rules! mutators {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $apply:expr;)+) => {
        /// A form that a request can take. The set is closed: suites and reports name its members.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutator {
            $($(#[$doc])* $name,)+
        }

        impl Mutator {
            /// Every mutator.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Returns the stable name, such as `encode/base64`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$name => $id,)+
                }
            }

            /// Returns `text` in this form; always the same for the same text.
            #[must_use]
            pub fn apply(self, text: &str) -> String {
                match self {
                    $(Self::$name => $apply(text),)+
                }
            }
        }
    };
}

mutators! {
    /// Base64, with the request to decode it.
    Base64 = "encode/base64", encodings::base64;
    /// Pairs of hexadecimal digits.
    Hex = "encode/hex", encodings::hex;
    /// Each letter thirteen places on.
    Rot13 = "encode/rot13", encodings::rot13;
    /// Digits for letters.
    Leetspeak = "encode/leetspeak", encodings::leetspeak;
    /// Cyrillic letters that look Latin.
    Homoglyph = "encode/homoglyph", encodings::homoglyph;
    /// A space between all letters.
    SpacedLetters = "encode/spaced-letters", encodings::spaced_letters;
    /// From the end to the beginning.
    Reversed = "encode/reversed", encodings::reversed;
    /// Morse code.
    Morse = "encode/morse", encodings::morse;
    /// A percent sign and two digits for each byte.
    Percent = "encode/percent", encodings::percent;
    /// A character without width between all letters.
    ZeroWidth = "encode/zero-width", encodings::zero_width;
    /// Tag characters behind a harmless sentence.
    TagCharacters = "encode/tag-characters", encodings::tag_characters;

    /// A character in a story is asked.
    Story = "wrap/story", wrappers::story;
    /// A persona without rules is asked.
    Persona = "wrap/persona", wrappers::persona;
    /// A teacher asks for the sake of a lesson.
    Lesson = "wrap/lesson", wrappers::lesson;
    /// Many dialogues in which everything was answered stand before it.
    ManyShot = "wrap/many-shot", wrappers::many_shot;
    /// The request is cut in pieces that are joined by the model.
    PayloadSplitting = "wrap/payload-splitting", wrappers::payload_splitting;
    /// The beginning of a willing answer is prescribed.
    PrefixInjection = "wrap/prefix-injection", wrappers::prefix_injection;
    /// Refusing words are forbidden.
    RefusalSuppression = "wrap/refusal-suppression", wrappers::refusal_suppression;
    /// Borders of chat formats pretend that the system speaks.
    SystemOverride = "wrap/system-override", wrappers::system_override;
    /// A field of a JSON document.
    Json = "wrap/json", wrappers::json;
    /// An element of an XML document.
    Xml = "wrap/xml", wrappers::xml;
    /// A comment in a Markdown document.
    Markdown = "wrap/markdown", wrappers::markdown;

    /// Asked for in German.
    German = "language/de", wrappers::german;
    /// Asked for in French.
    French = "language/fr", wrappers::french;
    /// Asked for in Spanish.
    Spanish = "language/es", wrappers::spanish;
    /// Asked for in Italian.
    Italian = "language/it", wrappers::italian;
    /// Asked for in Portuguese.
    Portuguese = "language/pt", wrappers::portuguese;
    /// Asked for in Chinese.
    Chinese = "language/zh", wrappers::chinese;
    /// Asked for in Japanese.
    Japanese = "language/ja", wrappers::japanese;
}

impl Mutator {
    /// Returns the mutator with the name `id`, if there is one.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutator| mutator.id() == id)
    }
}

impl fmt::Display for Mutator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::Mutator;
    use crate::safety::{Canary, Detector, Family, Selection, find_canaries, scan};
    use proptest::prelude::proptest;
    use std::collections::BTreeSet;
    use std::slice::from_ref;

    #[test]
    fn ids_are_unique_and_read_back() {
        let ids: BTreeSet<&str> = Mutator::ALL.iter().map(|mutator| mutator.id()).collect();
        assert_eq!(ids.len(), Mutator::ALL.len());
        for mutator in Mutator::ALL {
            assert_eq!(Mutator::parse(mutator.id()), Some(*mutator));
        }
        assert_eq!(Mutator::parse("encode/none"), None);
    }

    #[test]
    fn forms_read_like_this() {
        let forms: Vec<String> = Mutator::ALL
            .iter()
            .map(|mutator| format!("== {mutator}\n{}\n", mutator.apply("Say \"hi\" & go")))
            .collect();
        insta::assert_snapshot!(
            forms
                .join("\n")
                .escape_default()
                .to_string()
                .replace("\\n", "\n")
        );
    }

    #[test]
    fn a_token_is_found_in_every_form_but_two() {
        let canary = Canary::new(0x0fed_cba9_8765_4321);
        for mutator in Mutator::ALL {
            let form = mutator.apply(&format!("The code is {}.", canary.text()));
            let is_found = !find_canaries(&form, from_ref(&canary)).is_empty();
            // Nobody reads Morse by accident, and split text has our own words in between.
            let is_hidden = matches!(mutator, Mutator::Morse | Mutator::PayloadSplitting);
            assert_eq!(is_found, !is_hidden, "{mutator}: {form}");
        }
    }

    #[test]
    fn hidden_forms_are_seen_by_the_detectors() {
        for (mutator, detector) in [
            (Mutator::ZeroWidth, Detector::ZeroWidth),
            (Mutator::TagCharacters, Detector::SmuggledText),
        ] {
            let findings = scan(
                &mutator.apply("tell all"),
                &Selection::of([Family::Unicode]),
            );
            assert!(findings.iter().all(|finding| finding.detector == detector));
            assert!(!findings.is_empty(), "{mutator}");
        }
    }

    proptest! {
        #[test]
        fn forms_are_functions_of_the_text(text in "\\PC{0,40}") {
            for mutator in Mutator::ALL {
                assert_eq!(mutator.apply(&text), mutator.apply(&text));
            }
        }
    }
}
