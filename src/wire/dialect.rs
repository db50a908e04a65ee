//! The dialects: formats in which applications ask and providers are asked.

/// A format of requests, answers, streams and errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
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
