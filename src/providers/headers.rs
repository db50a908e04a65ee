//! The headers of requests: an allow-list, so that nothing of the client's gets out that is not meant for
//! the provider.

use crate::domain::Dialect;
use crate::domain::{CallId, TraceContext};
use crate::providers::Config;
use crate::providers::preset::{AuthStyle, Preset};
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, RANGE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::civil::{Date, date};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// The version of Anthropic's API that the bodies are written for.
const ANTHROPIC_API: HeaderValue = HeaderValue::from_static("2023-06-01");

/// A version of Anthropic's API: the day from which it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AnthropicVersion(Date);

impl AnthropicVersion {
    /// The version that takes neither `temperature` nor `top_p` nor `top_k`.
    const WITHOUT_SAMPLING: Self = Self(date(2026, 10, 21));

    fn parse(value: &HeaderValue) -> Option<Self> {
        value.to_str().ok()?.trim().parse().ok().map(Self)
    }

    /// Whether the choice of tokens can be steered.
    pub(super) fn takes_sampling(self) -> bool {
        self < Self::WITHOUT_SAMPLING
    }
}

/// Headers that the HTTP client owns, or that would change where a request goes.
const FORBIDDEN: [&str; 8] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
];

/// What a client may say to a provider in headers: what belongs to the dialect, never who it is.
const OF_A_DIALECT: [HeaderName; 3] = [
    ANTHROPIC_BETA,
    ANTHROPIC_VERSION,
    HeaderName::from_static("openai-beta"),
];

/// What a raw request may say beside that.
const OF_RAW_REQUESTS: [HeaderName; 4] = [
    ACCEPT,
    CONTENT_TYPE,
    RANGE,
    HeaderName::from_static("idempotency-key"),
];

/// The headers of every request of one provider, made when the config is read.
#[derive(Debug)]
pub(super) struct Heads {
    /// In the provider's own dialect.
    own: HeaderMap,
    /// In `OpenAI`'s, where the key may be shown otherwise.
    compatible: HeaderMap,
}

impl Heads {
    /// Makes the headers that `config` asks for.
    ///
    /// # Errors
    ///
    /// Which key or header cannot be sent, to be said after the provider's name.
    pub(super) fn build(config: &Config) -> Result<Self, String> {
        Ok(Self {
            own: headers(config, true)?,
            compatible: headers(config, false)?,
        })
    }

    /// Returns the headers of a request in `dialect`, with what the client said in its own.
    pub(super) fn of(&self, dialect: Dialect, said: &HeaderMap) -> HeaderMap {
        let mut headers = match dialect {
            Dialect::Chat | Dialect::Responses => self.compatible.clone(),
            Dialect::Messages | Dialect::Gemini | Dialect::Converse => self.own.clone(),
        };
        lay_over(&mut headers, said, &OF_A_DIALECT);
        headers
    }

    /// Returns the version of Anthropic's API that is asked for, where one is.
    pub(super) fn anthropic_version(&self, said: &HeaderMap) -> Option<AnthropicVersion> {
        let version = said.get(ANTHROPIC_VERSION);
        let version = version.or_else(|| self.own.get(ANTHROPIC_VERSION))?;
        AnthropicVersion::parse(version)
    }

    /// Returns the headers of a raw request: the client's content type, and none where it has no body.
    pub(super) fn raw(&self, is_compatible: bool, said: &HeaderMap) -> HeaderMap {
        let mut headers = if is_compatible {
            self.compatible.clone()
        } else {
            self.own.clone()
        };
        headers.remove(CONTENT_TYPE);
        lay_over(&mut headers, said, &OF_A_DIALECT);
        lay_over(&mut headers, said, &OF_RAW_REQUESTS);
        headers
    }
}

/// Lays what is `allowed` of `said` over `headers`. What the config turned on stays on.
fn lay_over(headers: &mut HeaderMap, said: &HeaderMap, allowed: &[HeaderName]) {
    for name in allowed {
        let mut values = said.get_all(name).iter();
        let Some(first) = values.next() else { continue };
        if *name != ANTHROPIC_BETA {
            headers.insert(name, first.clone());
            continue;
        }
        let configured = headers.remove(name);
        for value in configured.iter().chain([first]).chain(values) {
            headers.append(name, value.clone());
        }
    }
}

/// Names a request in the provider's log and in the client's trace.
pub(super) fn mark(headers: &mut HeaderMap, call: CallId, trace: Option<&TraceContext>) {
    // The call's id at both ends: a provider's log can be held against ours.
    if let Ok(id) = HeaderValue::from_str(&call.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
    if let Some(value) = trace.and_then(|trace| traceparent(trace, call)) {
        headers.insert(TRACEPARENT, value);
    }
}

/// Returns the W3C header that makes the provider's spans children of this call's. The call's own
/// span has the low half of the call's id as its id.
fn traceparent(trace: &TraceContext, call: CallId) -> Option<HeaderValue> {
    let (_, span) = call.0.as_u64_pair();
    let flags = u8::from(trace.sampled);
    HeaderValue::try_from(format!("00-{}-{span:016x}-{flags:02x}", trace.trace_id)).ok()
}

fn headers(config: &Config, is_own: bool) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let accept = if is_own && config.preset == Preset::Bedrock {
        "application/json, application/vnd.amazon.eventstream"
    } else {
        "application/json, text/event-stream"
    };
    let agent = HeaderValue::from_static(concat!("promptgate/", env!("CARGO_PKG_VERSION")));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, agent);
    // On Google's cloud the version is in the body.
    if is_own
        && config.preset.may_speak().contains(&Dialect::Messages)
        && config.preset != Preset::Vertex
    {
        headers.insert(ANTHROPIC_VERSION, ANTHROPIC_API);
    }
    if let Some(key) = &config.api_key {
        let (name, value) = match (config.preset.facts().auth, is_own) {
            (AuthStyle::ApiKeyHeader, _) => {
                (HeaderName::from_static("api-key"), key.reveal().to_owned())
            }
            (AuthStyle::Anthropic, true) => {
                let name = HeaderName::from_static("x-api-key");
                (name, key.reveal().to_owned())
            }
            (AuthStyle::Google, true) => {
                let name = HeaderName::from_static("x-goog-api-key");
                (name, key.reveal().to_owned())
            }
            (AuthStyle::Bearer | AuthStyle::Anthropic | AuthStyle::Google, _) => {
                (AUTHORIZATION, format!("Bearer {}", key.reveal()))
            }
        };
        let value = secret_value(&value).ok_or("has a key that no header can hold")?;
        headers.insert(name, value);
    }
    for (name, value) in &config.headers {
        let parsed = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("has a header `{name}`, which is no header name"))?;
        if FORBIDDEN.contains(&parsed.as_str()) {
            return Err(format!("has a header `{name}`, which cannot be configured"));
        }
        let value = secret_value(value.reveal())
            .ok_or_else(|| format!("has a value of header `{name}` that no header can hold"))?;
        headers.insert(parsed, value);
    }
    Ok(headers)
}

/// Returns a header's value that nothing prints; `None` when no header can hold it.
pub(super) fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::{Heads, traceparent};
    use crate::domain::Dialect;
    use crate::domain::{CallId, Secret, TraceContext};
    use crate::providers::{Config, Preset};
    use http::{HeaderMap, HeaderValue};

    fn shown(headers: &HeaderMap) -> String {
        let usual = ["content-type", "accept-encoding", "user-agent"];
        let mut lines: Vec<String> = headers
            .iter()
            .filter(|(name, _)| !usual.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        lines.sort();
        lines.join("; ")
    }

    /// How the key, the version and what is accepted are said, for each preset and dialect.
    #[test]
    fn every_head_of_every_preset() {
        let mut text = String::new();
        for preset in Preset::ALL {
            let mut config = Config::new("p", preset);
            config.api_key = Some(Secret::new("KEY"));
            let heads = Heads::build(&config).unwrap();
            for &dialect in preset.may_speak() {
                let headers = shown(&heads.of(dialect, &HeaderMap::new()));
                text.push_str(&format!("{preset} {dialect:?}: {headers}\n"));
            }
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn clients_say_what_belongs_to_the_dialect_and_nothing_else() {
        let mut config = Config::new("p", Preset::Anthropic);
        config.api_key = Some(Secret::new("KEY"));
        config.headers = vec![("anthropic-beta".to_owned(), Secret::new("one"))];
        let heads = Heads::build(&config).unwrap();
        let mut said = HeaderMap::new();
        for (name, value) in [
            ("anthropic-beta", "two"),
            ("anthropic-beta", "three"),
            ("anthropic-version", "2024-01-01"),
            ("authorization", "Bearer client"),
            ("x-api-key", "client"),
            ("cookie", "a=b"),
            ("content-type", "multipart/form-data; boundary=x"),
            ("range", "bytes=0-9"),
        ] {
            said.append(name, HeaderValue::from_static(value));
        }
        let expected = "accept=application/json, text/event-stream; anthropic-beta=one; \
                        anthropic-beta=three; anthropic-beta=two; anthropic-version=2024-01-01";
        let headers = heads.of(Dialect::Messages, &said);
        assert_eq!(shown(&headers), format!("{expected}; x-api-key=KEY"));
        assert_eq!(headers["content-type"], "application/json");
        let raw = heads.raw(false, &said);
        let expected = format!("{expected}; range=bytes=0-9; x-api-key=KEY");
        assert_eq!(shown(&raw), expected);
        assert_eq!(raw["content-type"], "multipart/form-data; boundary=x");
        assert!(
            heads
                .raw(true, &HeaderMap::new())
                .get("content-type")
                .is_none()
        );
    }

    #[test]
    fn the_call_is_the_parent_of_the_providers_spans() {
        let call = CallId("01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap());
        let trace = TraceContext {
            trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            parent_id: "00f067aa0ba902b7".to_owned(),
            sampled: true,
        };
        assert_eq!(
            traceparent(&trace, call).unwrap(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-bcceb302099a8057-01"
        );
    }
}
