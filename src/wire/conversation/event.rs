//! An answer as it comes, in no provider's words.

use crate::domain::TokenUsage;
use crate::wire::conversation::part::Part;
use crate::wire::conversation::reply::StopReason;
use crate::wire::openai::ProviderFault;
use serde_json::Value;

/// What is added to a part.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// Text.
    Text(String),
    /// Thoughts; a new summary part begins where the number is higher.
    Reasoning {
        /// Which of the texts.
        text: usize,
        /// What is added.
        added: String,
    },
    /// The proof of thoughts or of a tool call.
    Signature(String),
    /// A piece of a tool call's arguments.
    Arguments(String),
    /// A refusal.
    Refusal(String),
    /// A citation, as the provider wrote it.
    Citation(Value),
    /// A piece of sound (base64), and of what is said.
    Audio {
        /// Base64.
        data: String,
        /// Text.
        transcript: String,
    },
    /// Log probabilities of the tokens that came, in `OpenAI`'s form.
    LogProbs(Value),
}

/// A step of a stream. Parts are numbered by choice in the order in which they begin.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The answer begins.
    Start {
        /// The provider's id of it.
        id: String,
        /// The model.
        model: String,
        /// When, in Unix seconds.
        created: Option<i64>,
    },
    /// A part begins; what it holds already came with it.
    PartStart {
        /// The answer.
        choice: usize,
        /// The part.
        part: usize,
        /// Its beginning.
        content: Part,
    },
    /// A part goes on.
    PartDelta {
        /// The answer.
        choice: usize,
        /// The part.
        part: usize,
        /// What is added.
        delta: Delta,
    },
    /// A part is complete.
    PartEnd {
        /// The answer.
        choice: usize,
        /// The part.
        part: usize,
    },
    /// The tokens so far, or at the end; the last one counts.
    Usage {
        /// The tokens.
        usage: TokenUsage,
        /// As it came.
        reported: Value,
    },
    /// An answer has ended.
    Stop {
        /// The answer.
        choice: usize,
        /// Why.
        reason: StopReason,
    },
    /// The connection lives.
    Ping,
    /// What only its own dialect can say.
    Foreign {
        /// The event's type.
        name: String,
        /// As it came.
        value: Value,
    },
    /// The provider failed in the middle.
    Fault(ProviderFault),
    /// The whole stream has ended as it should.
    End,
}
