//! What is known about a call: the intent before the provider is asked, the outcome at the end.
//!
//! These types are the record's own format, version 1: the journal stores them as JSON, and the
//! API and `--json` print them. A field may be added with a default; none changes its meaning.

use crate::domain::{
    BundleHash, Cost, Dialect, EmbeddingStamp, KeyId, PromptKey, ReleaseDecision, RunRef,
    Timestamp, TokenUsage,
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::fmt;
use uuid::Uuid;

/// The name of a call, sent to the client as `x-request-id`. A UUID version 7: its order is time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CallId(pub Uuid);

impl CallId {
    /// Returns a fresh id.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for CallId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Uuid::encode_buffer();
        formatter.write_str(self.0.hyphenated().encode_lower(&mut text))
    }
}

/// What kind of call it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A chat completion.
    Chat,
    /// Embedding of texts.
    Embeddings,
    /// A raw request: any path of a provider's API.
    Raw,
    /// How many tokens a request has, before an answer is asked for.
    Count,
}

/// How a call ended. Exactly one per call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// The answer is complete and was handed to the client.
    Ok,
    /// The client left before the end; what it got is recorded and priced.
    ClientGone,
    /// Every attempt failed, or the stream broke.
    UpstreamError,
    /// A deadline passed.
    Timeout,
    /// The provider or a rule refused the request (a 4xx of the provider, say).
    Refused,
    /// The process died during the call; closed at the next start.
    CrashRecovered,
}

/// What a record survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Handed to the operating system before the response ends: survives `kill -9`.
    #[default]
    Os,
    /// On the disk (fsync) before the response ends: survives power loss.
    Disk,
}

impl Durability {
    /// Returns the name as in headers and config.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Os => "os",
            Self::Disk => "disk",
        }
    }
}

/// Which prompt a call was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptStamp {
    /// Name and variant.
    pub key: PromptKey,
    /// The identity of the version.
    pub hash: BundleHash,
    /// The version's number in Git's history, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The label that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The commit the content was read at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether the content is in no commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
}

impl PromptStamp {
    /// Returns what people call the version: `v7`, else the short hash.
    #[must_use]
    pub fn version(&self) -> String {
        self.number
            .map_or_else(|| self.hash.short(), |number| format!("v{number}"))
    }
}

/// Ids of a distributed trace (W3C Trace Context), as hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace, 32 hex digits.
    pub trace_id: String,
    /// The client's span, 16 hex digits.
    pub parent_id: String,
    /// Whether the client samples the trace.
    #[serde(default)]
    pub sampled: bool,
}

/// What is known before a provider is asked. Written to the journal first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallIntent {
    /// The call.
    pub id: CallId,
    /// When the request had been read.
    pub started: Timestamp,
    /// What kind of call.
    pub operation: Operation,
    /// The dialect that the client asked in, and `request` is written in.
    #[serde(default, skip_serializing_if = "Dialect::is_chat")]
    pub dialect: Dialect,
    /// The method and the path of a raw request, without its query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The caller's key; `None` on an open loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// The caller's name.
    pub caller: String,
    /// The prompt, when one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptStamp>,
    /// How a label led to that version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseDecision>,
    /// The call in whose shadow this one ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow_of: Option<CallId>,
    /// The run of evals it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunRef>,
    /// The embedding version it was made under, when one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<EmbeddingStamp>,
    /// SHA-256 (64 hex digits) of the messages that the prompt was rendered to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rendered_hash: Option<String>,
    /// The `model` of the request, as the client wrote it.
    pub model_asked: String,
    /// The provider of the first attempt.
    pub provider: String,
    /// The model asked of that provider.
    pub model: String,
    /// Whether the client asked for a stream.
    #[serde(default)]
    pub stream: bool,
    /// The end user, from the request's `user` or `safety_identifier`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The session, from `x-promptgate-session` or `metadata.session_id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The trace the client is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceContext>,
    /// Tags, from `x-promptgate-tags: a,b`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The durability level the call is recorded at.
    #[serde(default)]
    pub durability: Durability,
    /// Microseconds from the read request to this intent: the gateway's own work.
    #[serde(default)]
    pub overhead_us: u64,
    /// Whether nothing that was said is written down, because who asked wished so: neither the request nor the
    /// answer, nor the provider's words on an error, which may repeat it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_text_dropped: bool,
    /// The request as the client sent it (JSON), variables and messages included; stored beside the entry, not in it.
    #[serde(skip)]
    pub request: Bytes,
}

/// One try at one provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The provider's name in the config.
    pub provider: String,
    /// The model asked of it.
    pub model: String,
    /// The HTTP status, when there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The kind of error; `None` when the attempt succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What went wrong, in words, free of secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How long the attempt took until it failed or its first byte came, in microseconds.
    pub duration_us: u64,
    /// The provider's own request id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_request_id: Option<String>,
}

/// Where the time of a call went, in microseconds since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CallTimes {
    /// Until the successful attempt was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_us: Option<u64>,
    /// Until the provider's response head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_us: Option<u64>,
    /// Until the first content of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_content_us: Option<u64>,
    /// Until the end.
    pub total_us: u64,
}

/// How a stored body is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyFormat {
    /// There is none.
    #[default]
    None,
    /// The response's JSON as it came.
    Json,
    /// A stream, put together into the JSON of a whole response.
    Assembled,
    /// Something that is not JSON (an upstream's HTML error page, say).
    Text,
}

/// The output of a call.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Body {
    /// How to read it.
    pub format: BodyFormat,
    /// The bytes.
    pub bytes: Bytes,
}

/// What is known of the body of a request that was handed on while it came, and of which the record keeps
/// nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedBody {
    /// How many bytes came.
    pub bytes: u64,
    /// SHA-256 of them, as hex.
    pub sha256: String,
    /// Whether they are all of it.
    pub is_whole: bool,
}

/// What is known at the end of a call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CallOutcome {
    /// The call.
    pub id: CallId,
    /// How it ended.
    pub state: CallState,
    /// When it ended.
    pub ended: Timestamp,
    /// The HTTP status the client got; `None` when it left before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The kind of the error, when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The error in words, free of secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The provider of the last attempt.
    pub provider: String,
    /// The model asked of it.
    pub model: String,
    /// The model the provider says it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_returned: Option<String>,
    /// Tokens, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<TokenUsage>,
    /// The provider's `usage` object, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_reported: Option<Box<RawValue>>,
    /// What it cost.
    #[serde(default)]
    pub cost: Cost,
    /// Why the model stopped (`stop`, `length`, `tool_calls`, ...), of the first choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Where the time went.
    pub times: CallTimes,
    /// Every try.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Bytes of the response's body that were handed to the client.
    #[serde(default)]
    pub bytes_sent: u64,
    /// Things that did not stop the call but should be known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The request's body, where it was handed on while it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_body: Option<PassedBody>,
    /// How the output is to be read.
    #[serde(default)]
    pub output_format: BodyFormat,
    /// The output, stored beside the entry, not in it.
    #[serde(skip)]
    pub output: Bytes,
}

impl CallOutcome {
    /// Returns output tokens per second, measured from the first content (or the head) to the end.
    #[must_use]
    pub fn tokens_per_second(&self) -> Option<f64> {
        let output = self.usage.filter(|usage| 0 < usage.output)?.output;
        let from = self
            .times
            .first_content_us
            .or(self.times.head_us)
            .unwrap_or(0);
        let elapsed = u32::try_from(self.times.total_us.checked_sub(from)?)
            .ok()
            .filter(|us| 0 < *us)?;
        Some(f64::from(u32::try_from(output).ok()?) * 1e6 / f64::from(elapsed))
    }
}

/// A call as it is read back: its intent, and its outcome once there is one.
#[derive(Debug, Clone)]
pub struct CallRecord {
    /// What was known before.
    pub intent: CallIntent,
    /// What is known since; `None` while the call is in flight.
    pub outcome: Option<CallOutcome>,
}
