//! What a model can do, by the public table: a set that is as small in the file as in memory.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Something that a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// Calls functions.
    FunctionCalling,
    /// Calls several functions at once.
    ParallelFunctionCalling,
    /// Can be told which function to call.
    ToolChoice,
    /// Answers in the form of a JSON schema.
    ResponseSchema,
    /// Takes messages of the system.
    SystemMessages,
    /// Thinks before it answers.
    Reasoning,
    /// Reads input again that it has kept.
    PromptCaching,
    /// Searches the web.
    WebSearch,
    /// Uses a computer's screen.
    ComputerUse,
    /// Goes on with the beginning of an answer.
    AssistantPrefill,
    /// Sees images.
    Vision,
    /// Reads PDF files.
    PdfInput,
    /// Hears.
    AudioInput,
    /// Speaks.
    AudioOutput,
    /// Sees videos.
    VideoInput,
}

impl Capability {
    /// Every capability, in the order in which lists show them.
    pub const ALL: [Self; 15] = [
        Self::FunctionCalling,
        Self::ParallelFunctionCalling,
        Self::ToolChoice,
        Self::ResponseSchema,
        Self::SystemMessages,
        Self::Reasoning,
        Self::PromptCaching,
        Self::WebSearch,
        Self::ComputerUse,
        Self::AssistantPrefill,
        Self::Vision,
        Self::PdfInput,
        Self::AudioInput,
        Self::AudioOutput,
        Self::VideoInput,
    ];

    /// Returns the name in lists of models, the letter in `prices.json`, and what `LiteLLM`'s table calls it.
    const fn facts(self) -> (&'static str, char, &'static [&'static str]) {
        match self {
            Self::FunctionCalling => ("function_calling", 'f', &["supports_function_calling"]),
            Self::ParallelFunctionCalling => (
                "parallel_function_calling",
                'p',
                &["supports_parallel_function_calling"],
            ),
            Self::ToolChoice => ("tool_choice", 't', &["supports_tool_choice"]),
            Self::ResponseSchema => (
                "response_schema",
                's',
                &[
                    "supports_response_schema",
                    "supports_native_structured_output",
                ],
            ),
            Self::SystemMessages => ("system_messages", 'm', &["supports_system_messages"]),
            Self::Reasoning => ("reasoning", 'r', &["supports_reasoning"]),
            Self::PromptCaching => ("prompt_caching", 'c', &["supports_prompt_caching"]),
            Self::WebSearch => ("web_search", 'w', &["supports_web_search"]),
            Self::ComputerUse => ("computer_use", 'u', &["supports_computer_use"]),
            Self::AssistantPrefill => ("assistant_prefill", 'k', &["supports_assistant_prefill"]),
            Self::Vision => (
                "vision",
                'v',
                &[
                    "supports_vision",
                    "supports_image_input",
                    "supports_embedding_image_input",
                ],
            ),
            Self::PdfInput => ("pdf_input", 'd', &["supports_pdf_input"]),
            Self::AudioInput => ("audio_input", 'i', &["supports_audio_input"]),
            Self::AudioOutput => ("audio_output", 'o', &["supports_audio_output"]),
            Self::VideoInput => ("video_input", 'y', &["supports_video_input"]),
        }
    }

    /// Returns the name in lists of models: `function_calling`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().0
    }

    /// Returns what a field of `LiteLLM`'s table speaks of.
    pub(super) fn of_field(field: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|capability| capability.facts().2.contains(&field))
    }

    fn of_letter(letter: char) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|capability| capability.facts().1 == letter)
    }

    const fn bit(self) -> u16 {
        1 << self as u16
    }
}

/// What a model is known to be able to do. What is not in it is not known, which is not the same as no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capabilities(u16);

impl Capabilities {
    /// Adds one.
    pub const fn insert(&mut self, capability: Capability) {
        self.0 |= capability.bit();
    }

    /// Whether the model is known to be able to do it.
    #[must_use]
    pub const fn has(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Whether nothing is known.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns what is in the set, in the order of [`Capability::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        let all = Capability::ALL.into_iter();
        all.filter(move |capability| self.has(*capability))
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        let mut set = Self::default();
        for capability in capabilities {
            set.insert(capability);
        }
        set
    }
}

impl Serialize for Capabilities {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let letters: String = self.iter().map(|capability| capability.facts().1).collect();
        serializer.serialize_str(&letters)
    }
}

impl<'de> Deserialize<'de> for Capabilities {
    /// Letters that are not known are left out: a newer table may have them.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let letters = String::deserialize(deserializer)?;
        Ok(letters.chars().filter_map(Capability::of_letter).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Capabilities, Capability};
    use std::collections::BTreeSet;

    #[test]
    fn a_set_is_a_word() {
        let set: Capabilities = [Capability::Vision, Capability::FunctionCalling]
            .into_iter()
            .collect();
        assert_eq!(serde_json::to_string(&set).unwrap(), r#""fv""#);
        assert_eq!(
            serde_json::from_str::<Capabilities>(r#""v?f""#).unwrap(),
            set
        );
        assert!(set.has(Capability::Vision) && !set.has(Capability::Reasoning));
        assert_eq!(
            set.iter().map(Capability::as_str).collect::<Vec<_>>(),
            ["function_calling", "vision"]
        );
    }

    #[test]
    fn letters_and_names_are_told_apart() {
        let names: BTreeSet<_> = Capability::ALL.map(Capability::as_str).into();
        let letters: BTreeSet<_> = Capability::ALL.map(|it| it.facts().1).into();
        let bits = Capability::ALL.map(Capability::bit).into_iter();
        assert_eq!((names.len(), letters.len()), (15, 15));
        assert_eq!(bits.fold(0, |all, bit| all | bit).count_ones(), 15);
        for capability in Capability::ALL {
            for field in capability.facts().2 {
                assert_eq!(Capability::of_field(field), Some(capability));
            }
        }
    }

    #[test]
    fn the_script_writes_the_letters_that_are_read_here() {
        let script = include_str!("../../scripts/update-prices");
        for capability in Capability::ALL {
            let (name, letter, fields) = capability.facts();
            let start = format!("    \"{letter}\": (\"{}\",", fields[0]);
            let line = script.lines().find(|line| line.starts_with(&start));
            let line = line.unwrap_or_else(|| panic!("{name}: {start}"));
            assert!(fields.iter().all(|field| line.contains(field)), "{line}");
        }
    }
}
