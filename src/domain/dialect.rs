//! The dialects: formats in which applications ask, and providers are asked.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A format of requests, answers, streams and errors.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `OpenAI`'s chat completions, which most providers speak; and the embeddings beside them.
    #[default]
    Chat,
    /// `OpenAI`'s responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// Gemini's `generateContent`, and `batchEmbedContents`.
    Gemini,
    /// Bedrock's `Converse`, and the bodies of its embedding models.
    Converse,
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 5] = [
        Self::Chat,
        Self::Responses,
        Self::Messages,
        Self::Gemini,
        Self::Converse,
    ];

    /// Returns the name in config files and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Gemini => "gemini",
            Self::Converse => "converse",
        }
    }

    /// Whether it is the one that most calls are held in, which records do not mention.
    #[must_use]
    pub fn is_chat(&self) -> bool {
        *self == Self::Chat
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A name that is no dialect's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no dialect; there are `chat`, `responses`, `messages`, `gemini`, `converse`")]
pub struct UnknownDialect(String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == text)
            .ok_or_else(|| UnknownDialect(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect;

    #[test]
    fn names_read_back_and_are_listed() {
        let error = "grpc".parse::<Dialect>().unwrap_err().to_string();
        for dialect in Dialect::ALL {
            assert_eq!(dialect.as_str().parse(), Ok(dialect));
            assert!(error.contains(&format!("`{dialect}`")), "{error}");
        }
    }
}
