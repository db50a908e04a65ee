//! The dialects: formats in which applications ask, and providers are asked.

use serde::{Deserialize, Serialize};

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
    /// Returns the name as in records and config files.
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
