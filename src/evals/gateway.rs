//! The way to models: everything that an eval asks goes through here, and is a record.
//!
//! Two things are behind it: the gateway itself, and in tests a script.

pub use crate::domain::Purpose;

use crate::domain::{BundleHash, CallId, Cost, PromptKey, RunId, Timestamp, TokenUsage};
use crate::evals::row::CellKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// What is asked of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    /// For which run.
    pub run: RunId,
    /// What for: `case`, `judge`, `embedding`; becomes a tag of the record.
    pub purpose: Purpose,
    /// The case it is for.
    pub case: String,
    /// The cell it is for; another repeat is another cell. `None` outside of a plan.
    pub cell: Option<CellKey>,
    /// SHA-256 of the judge's instructions, model and parameters, for a judgement: a part of the key
    /// under which the answer is kept.
    pub judge_hash: Option<String>,
    /// What is sent.
    pub content: AskContent,
    /// The model as the gateway routes it; `None` for the one that the prompt names.
    pub model: Option<String>,
    /// Request parameters, as the chat API names them.
    pub parameters: Map<String, Value>,
    /// How long it may take.
    pub timeout: Duration,
    /// Whether its latency is asserted: an answer that was kept has none, so it is asked anew.
    pub is_timed: bool,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq)]
pub enum AskContent {
    /// Chat messages as they are.
    Messages(Vec<Value>),
    /// A version of a prompt of the registry, which the gateway renders.
    Version {
        /// Its name.
        key: PromptKey,
        /// Its identity; the archive has it.
        hash: BundleHash,
        /// Its variables.
        variables: Map<String, Value>,
        /// What a client says beside them.
        messages: Vec<Value>,
    },
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The record of the call.
    pub call: Option<CallId>,
    /// What was said, without tool calls.
    pub text: String,
    /// The answer's message as it came: tool calls, refusal, reasoning.
    pub message: Value,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// Log probabilities of the tokens, when asked for and given.
    pub log_probs: Option<Vec<f64>>,
    /// The same as they came, with what else stood to choose at each token; null without.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub tokens: Value,
    /// The model that answered, by its own account.
    pub model_returned: Option<String>,
    /// Tokens.
    pub usage: Option<TokenUsage>,
    /// Money.
    pub cost: Cost,
    /// From the question to the last byte, in microseconds.
    pub latency_us: u64,
    /// The messages that the model got, for reports and judges; text only.
    pub sent: Vec<Value>,
    /// When it was really asked, if the answer was kept from then; such a latency is no measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_from: Option<Timestamp>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskError {
    /// The stable code.
    pub code: String,
    /// In words, free of secrets.
    pub message: String,
    /// The record of the call, when it got that far.
    pub call: Option<CallId>,
    /// Whether asking again later may help.
    pub is_retryable: bool,
    /// How long to wait before asking again, when the provider says so, in milliseconds.
    pub retry_after_ms: Option<u64>,
}

impl fmt::Display for AskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.message, self.code)
    }
}

/// What embeds: the vectors of texts in their order, what they cost, and the record.
#[derive(Debug, Clone, PartialEq)]
pub struct Embedded {
    /// One vector for each text.
    pub vectors: Vec<Vec<f32>>,
    /// Money.
    pub cost: Cost,
    /// Tokens.
    pub usage: Option<TokenUsage>,
    /// The record of the call.
    pub call: Option<CallId>,
}

impl Embedded {
    /// Whether the vectors were kept from before: nobody was asked, and nothing paid.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.call.is_none() && self.usage.is_none()
    }
}

/// What a provider's moderation says of a text.
#[derive(Debug, Clone, PartialEq)]
pub struct Moderated {
    /// The categories that are flagged, by their names at the provider; empty where nothing is.
    pub flagged: Vec<String>,
    /// What was returned, for the report.
    pub returned: Value,
    /// The model that answered, by its own account.
    pub model_returned: Option<String>,
    /// Money.
    pub cost: Cost,
    /// Tokens, where they are told.
    pub usage: Option<TokenUsage>,
    /// The record of the call.
    pub call: Option<CallId>,
}

/// A text that is to be moderated.
#[derive(Debug, Clone, Copy)]
pub struct ModerationAsk<'a> {
    /// For which run.
    pub run: RunId,
    /// The case it is for.
    pub case: &'a str,
    /// The model, as the gateway routes it.
    pub model: &'a str,
    /// The text.
    pub text: &'a str,
    /// How long it may take.
    pub timeout: Duration,
}

/// A future that may go to another thread.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who is asked.
pub trait Gateway: Send + Sync + fmt::Debug {
    /// Asks a model. Dropping the future cancels the call.
    fn ask<'a>(&'a self, ask: &'a Ask) -> Pending<'a, Result<Reply, AskError>>;

    /// Embeds texts with `model`.
    fn embed<'a>(
        &'a self,
        run: RunId,
        model: &'a str,
        texts: &'a [String],
    ) -> Pending<'a, Result<Embedded, AskError>>;

    /// Lets a provider's moderation judge a text.
    fn moderate<'a>(&'a self, ask: ModerationAsk<'a>) -> Pending<'a, Result<Moderated, AskError>>;

    /// Whether nobody is asked, so that services beside the gateway are not either.
    fn is_offline(&self) -> bool {
        false
    }
}

/// What is said where nobody was asked; a row with it lacks an answer, and is none.
pub const OFFLINE: &str = "not asked: the run is offline, and no answer is given or kept";
