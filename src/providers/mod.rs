//! The providers: bytes of a request go out, bytes of an answer come back, within four clocks.
//!
//! This room does not read the bodies it moves; it knows where a provider lives, how it wants to be
//! asked, and what its failures mean. An answer is an [`Error`] unless its status is 2xx. A
//! [`ByteStream`] closes its connection when it is dropped, which is how a call is cancelled.

mod causes;
mod client;
mod credentials;
mod endpoint;
mod error;
mod headers;
#[cfg(test)]
mod loopback_tests;
mod pass;
mod post;
mod preset;
mod receive;
mod refusal;
mod retry_after;
mod simulated;
mod stream;
#[cfg(test)]
mod testing;
mod upload;
mod urls;
mod webhook;

pub use client::install_tls;
pub use credentials::{AwsKeys, AwsSettings, GoogleSettings};
pub use endpoint::Endpoint;
pub use error::{Clock, Error, ErrorKind};
pub use pass::{Passed, PassedReply};
pub use post::post_json;
pub use preset::{AuthStyle, Cloud, Facts, Preset, UnknownPreset};
pub use stream::ByteStream;
pub use upload::{Upload, UploadFault, UploadStream};
pub use webhook::send_text;

use crate::domain::Dialect;
use crate::domain::{CallId, Operation, Secret, TraceContext};
use crate::safety::FetchedSecrets;
use bytes::Bytes;
use client::Clients;
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::BTreeMap;
use std::time::Duration;

/// The largest answer that is taken when nothing else is configured: 64 MiB.
pub const DEFAULT_MAX_RESPONSE_BYTES: u64 = 64 * 1024 * 1024;

/// How one provider is reached.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name that routes and records call it by.
    pub name: String,
    /// Whose API it is.
    pub preset: Preset,
    /// The URL that paths like `/chat/completions` are appended to; `None` for the preset's.
    pub base_url: Option<String>,
    /// The region (Bedrock) or location (Vertex AI); other presets have none.
    pub region: Option<String>,
    /// The project of Vertex AI; other presets have none.
    pub project: Option<String>,
    /// What it speaks in conversations, its best first; empty for the preset's.
    pub dialects: Vec<Dialect>,
    /// The key; `None` sends none, or what a cloud's credentials lead to.
    pub api_key: Option<Secret>,
    /// Where Bedrock's credentials come from when there is no key.
    pub aws: AwsSettings,
    /// Where Vertex AI's credentials come from when there is no key.
    pub google: GoogleSettings,
    /// Further headers of every request.
    pub headers: Vec<(String, Secret)>,
    /// How long to wait for what.
    pub deadlines: Deadlines,
    /// Azure's `api-version`; other presets have none.
    pub api_version: Option<String>,
    /// Whether `stream_options.include_usage` is understood, where the preset is wrong about it.
    pub stream_usage: Option<bool>,
    /// The largest answer that is taken, streams included.
    pub max_response_bytes: u64,
    /// Is told of the tokens that are fetched for it, so that they are written nowhere.
    pub fetched: FetchedSecrets,
}

impl Config {
    /// Returns the configuration of `preset` with its defaults, and no key.
    #[must_use]
    pub fn new(name: impl Into<String>, preset: Preset) -> Self {
        Self {
            name: name.into(),
            preset,
            base_url: None,
            region: None,
            project: None,
            dialects: Vec::new(),
            api_key: None,
            aws: AwsSettings::default(),
            google: GoogleSettings::default(),
            headers: Vec::new(),
            deadlines: Deadlines::default(),
            api_version: None,
            stream_usage: None,
            max_response_bytes: DEFAULT_MAX_RESPONSE_BYTES,
            fetched: FetchedSecrets::default(),
        }
    }
}

/// The four clocks of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// Until the connection stands, TLS included.
    pub connect: Duration,
    /// From the request until the first byte of the answer's body.
    pub first_byte: Duration,
    /// Between two pieces of the answer.
    pub idle: Duration,
    /// Over everything.
    pub total: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(120),
            idle: Duration::from_secs(120),
            total: Duration::from_secs(15 * 60),
        }
    }
}

/// A request as it goes to a provider.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// What kind of call. With the dialect, the model and whether it is a stream it decides the path.
    pub operation: Operation,
    /// What the body is written in: one of [`Endpoint::dialects`].
    pub dialect: Dialect,
    /// The model, where it belongs in the path (Azure, Gemini, Bedrock) or scripts the answer
    /// (`simulated`). The one in the body is the caller's business.
    pub model: String,
    /// What the client said in headers; what does not belong to the dialect stays behind.
    pub headers: HeaderMap,
    /// The body, JSON in the dialect.
    pub body: Bytes,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// The call.
    pub call_id: CallId,
    /// Which attempt of the call it is, from 0.
    pub attempt: u32,
    /// The trace the client is in; `None` sends no `traceparent`.
    pub trace: Option<TraceContext>,
    /// Clocks of this attempt, instead of the provider's. `connect` belongs to the connection
    /// pool and stays as configured.
    pub deadlines: Option<Deadlines>,
}

/// A successful answer (2xx).
#[derive(Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The media type, with its parameters.
    pub content_type: String,
    /// The provider's own request id.
    pub request_id: Option<String>,
    /// The provider's `x-ratelimit-*` and `anthropic-ratelimit-*` headers.
    pub rate_limits: Vec<(HeaderName, HeaderValue)>,
    /// How many tokens the request had, where the head says so: Bedrock's embedding models do not say
    /// it in the body.
    pub input_tokens: Option<u64>,
    /// Where the time went.
    pub times: ReplyTimes,
    /// The body.
    pub body: ReplyBody,
}

/// Where the time of an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReplyTimes {
    /// From the call of [`Providers::send`] to the head of the answer.
    pub head: Duration,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// All of it: no stream was asked for, or the provider did not send one.
    Whole(Bytes),
    /// Server-sent events, or Amazon's binary ones, as they come.
    Stream(ByteStream),
}

/// All configured providers.
#[derive(Debug)]
pub struct Providers {
    endpoints: BTreeMap<String, Endpoint>,
}

impl Providers {
    /// Prepares every provider; connects to none.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] names the first provider whose URL, key or headers cannot be used, or
    /// whose name occurs twice.
    pub fn build(configs: Vec<Config>) -> Result<Self, Error> {
        let mut clients = Clients::default();
        let mut endpoints = BTreeMap::new();
        for config in configs {
            let endpoint = Endpoint::build(config, &mut clients)?;
            let name = endpoint.name().to_owned();
            if endpoints.insert(name.clone(), endpoint).is_some() {
                return Err(Error::unsent(
                    ErrorKind::Config,
                    &name,
                    "is configured twice",
                ));
            }
        }
        Ok(Self { endpoints })
    }

    /// Returns the names of the providers, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.endpoints.keys().map(String::as_str)
    }

    /// Returns the provider called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Endpoint> {
        self.endpoints.get(name)
    }

    /// Sends a request, and returns when the head of the answer (of a stream) or all of it has
    /// come.
    ///
    /// # Errors
    ///
    /// Every [`ErrorKind`]; a status other than 2xx is an error that holds the provider's body.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection. The provider may have seen the request.
    pub async fn send(&self, provider: &str, outgoing: &Outgoing) -> Result<Reply, Error> {
        self.known(provider)?.send(outgoing).await
    }

    /// Sends a raw request with the provider's credentials, and returns when the head of the answer has
    /// come.
    ///
    /// # Errors
    ///
    /// As [`Providers::send`], but an answer is a success here whatever its status says, unless it leads
    /// elsewhere.
    ///
    /// # Cancel safety
    ///
    /// As [`Providers::send`].
    pub async fn pass(&self, provider: &str, passed: &Passed) -> Result<PassedReply, Error> {
        self.known(provider)?.pass(passed).await
    }

    fn known(&self, provider: &str) -> Result<&Endpoint, Error> {
        self.endpoints.get(provider).ok_or_else(|| {
            let names: Vec<String> = self.names().map(|name| format!("`{name}`")).collect();
            let message = format!("is not configured; there are {}", names.join(", "));
            Error::unsent(ErrorKind::UnknownProvider, provider, message)
        })
    }
}
