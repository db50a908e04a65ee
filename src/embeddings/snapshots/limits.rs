//! What is known of models and providers that decides how they are asked: how long a text may be, and how
//! much one request takes.

use serde::{Deserialize, Serialize};

/// How much is asked at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most texts of a request.
    pub texts: usize,
    /// The most tokens of a request, all its texts together.
    pub tokens: u64,
    /// The most requests at once.
    pub concurrency: u32,
}

/// What somebody says of the limits; the rest is as the provider has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsWish {
    /// The most texts of a request.
    pub texts: Option<usize>,
    /// The most tokens of a request.
    pub tokens: Option<u64>,
    /// The most requests at once.
    pub concurrency: Option<u32>,
}

impl LimitsWish {
    /// Returns what is said, and where nothing is said what `other` says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            texts: self.texts.or(other.texts),
            tokens: self.tokens.or(other.tokens),
            concurrency: self.concurrency.or(other.concurrency),
        }
    }

    /// Returns the limits for a provider.
    ///
    /// `OpenAI` takes 2048 texts and 300 000 tokens a request; a smaller request loses less when it fails,
    /// and its tokens may be counted otherwise than here. Gemini takes 100 texts, Mistral 16 384 tokens.
    #[must_use]
    pub fn of(self, provider: &str) -> Limits {
        let (texts, tokens) = match provider {
            "openai" | "azure" | "azure_openai" => (512, 250_000),
            "gemini" => (100, 20_000),
            "mistral" => (128, 14_000),
            "cohere" => (96, 100_000),
            "simulated" => (512, 1_000_000),
            _ => (64, 100_000),
        };
        Limits {
            texts: self.texts.unwrap_or(texts).max(1),
            tokens: self.tokens.unwrap_or(tokens).max(1),
            concurrency: self.concurrency.unwrap_or(4).clamp(1, 256),
        }
    }
}

/// How long a text of a model may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LongestText {
    /// In tokens.
    pub(crate) tokens: u32,
    /// Whether a longer one is refused; else it is cut without a word.
    pub(crate) is_refused: bool,
}

/// Returns how long a text of a well-known model may be, as its owner documents it.
#[must_use]
pub(crate) fn longest_text(model: &str) -> Option<LongestText> {
    let name = model.rsplit('/').next().unwrap_or(model);
    let name = name.split([':', '?']).next().unwrap_or(name);
    let (tokens, is_refused) = match name {
        "text-embedding-3-small" | "text-embedding-3-large" | "text-embedding-ada-002" => {
            (8_191, true)
        }
        "mistral-embed" | "codestral-embed" => (8_192, true),
        "bge-m3" => (8_192, false),
        "gemini-embedding-001"
        | "text-embedding-004"
        | "text-embedding-005"
        | "nomic-embed-text"
        | "nomic-embed-text-v1.5" => (2_048, false),
        "embed-english-v3.0"
        | "embed-multilingual-v3.0"
        | "mxbai-embed-large"
        | "bge-large-en-v1.5"
        | "e5-large-v2"
        | "multilingual-e5-large" => (512, false),
        "all-minilm" | "all-MiniLM-L6-v2" => (256, false),
        _ => return None,
    };
    Some(LongestText { tokens, is_refused })
}

#[cfg(test)]
mod tests {
    use super::{LimitsWish, longest_text};

    #[test]
    fn well_known_models_have_their_limits_under_every_spelling() {
        for (model, tokens, is_refused) in [
            ("openai/text-embedding-3-small", 8_191, true),
            ("ollama/nomic-embed-text:latest", 2_048, false),
            ("bge-m3", 8_192, false),
        ] {
            let longest = longest_text(model).unwrap();
            assert_eq!((longest.tokens, longest.is_refused), (tokens, is_refused));
        }
        assert_eq!(longest_text("openai/nobody-knows"), None);
    }

    #[test]
    fn what_is_said_wins_over_what_the_provider_takes() {
        let said = LimitsWish {
            texts: Some(7),
            ..LimitsWish::default()
        };
        let config = LimitsWish {
            texts: Some(9),
            tokens: Some(11),
            concurrency: None,
        };
        let limits = said.or(config).of("openai");
        assert_eq!(
            (limits.texts, limits.tokens, limits.concurrency),
            (7, 11, 4)
        );
    }
}
