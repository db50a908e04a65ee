//! What a model answers.

use crate::domain::TokenUsage;
use crate::wire::conversation::Dialect;
use crate::wire::conversation::part::Part;
use serde_json::{Map, Value};

/// Why an answer ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// It was finished.
    EndTurn,
    /// It became too long: of what was asked for, or of the context.
    MaxTokens,
    /// One of the stop texts came; which one, where that is known.
    StopSequence(Option<String>),
    /// Tools are to be called.
    ToolUse,
    /// What the provider will not let through.
    ContentFilter,
    /// The model refused.
    Refusal,
    /// The provider paused a long turn; it goes on when it is sent back.
    Pause,
    /// Anything else, as the provider wrote it.
    Other(String),
}

/// One of the answers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Choice {
    /// What it says.
    pub parts: Vec<Part>,
    /// Why it ended; `None` while it has not.
    pub stop: Option<StopReason>,
    /// Log probabilities of its tokens, in `OpenAI`'s form (`{"content": […]}`).
    pub log_probs: Option<Value>,
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reply {
    /// The dialect it was read from.
    pub dialect: Dialect,
    /// The provider's id of it.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// When, in Unix seconds, where it was said.
    pub created: Option<i64>,
    /// The answers; one unless more were asked for.
    pub choices: Vec<Choice>,
    /// The tokens.
    pub usage: Option<TokenUsage>,
    /// The usage as it came.
    pub usage_reported: Option<Value>,
    /// The tier that served it.
    pub service_tier: Option<String>,
    /// Fields that have no place above.
    pub rest: Map<String, Value>,
}

/// What an answer must say where its provider said nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback<'a> {
    /// An id that no other answer has.
    pub id: &'a str,
    /// When, in Unix seconds.
    pub created: i64,
}
