//! One provider, prepared: its URLs and headers are made when the config is read, so that a call
//! only clones them.

use crate::domain::{self, CallId, Operation, TraceContext};
use crate::providers::client::{AnswerBody, Client, Clients, Settings};
use crate::providers::error::{Error, ErrorKind, MAX_ERROR_BODY_BYTES, request_id, text};
use crate::providers::preset::{AuthStyle, Facts, Preset};
use crate::providers::stream::{ByteStream, Clocks};
use crate::providers::{Config, Deadlines, Outgoing, Reply, ReplyBody, ReplyTimes, simulated};
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE,
    USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use tokio::time::{Instant, timeout_at};
use url::{Host, Url};

/// The version of Azure's API that is asked for when none is configured.
const AZURE_API_VERSION: &str = "2024-10-21";

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Headers that the HTTP client owns, or that would change where a request goes.
const FORBIDDEN_HEADERS: [&str; 8] = [
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
];

/// A provider that requests can be sent to.
#[derive(Debug)]
pub struct Endpoint {
    name: String,
    preset: Preset,
    deadlines: Deadlines,
    stream_usage: bool,
    max_response_bytes: u64,
    /// `None` for the provider in this process.
    target: Option<Target>,
}

/// Where an HTTP provider is, and what it is sent.
#[derive(Debug)]
struct Target {
    client: Client,
    urls: Urls,
    headers: HeaderMap,
}

#[derive(Debug)]
enum Urls {
    /// The model is in the body.
    Fixed { chat: Uri, embeddings: Uri },
    /// The model is a deployment in the path below this URL.
    Deployments(Url),
}

impl Endpoint {
    /// Prepares the provider that `config` describes.
    pub(super) fn build(config: Config, clients: &mut Clients) -> Result<Self, Error> {
        let target = match config.preset {
            Preset::Simulated => None,
            _ => Some(Target::build(&config, clients)?),
        };
        Ok(Self {
            stream_usage: config
                .stream_usage
                .unwrap_or(config.preset.facts().stream_usage),
            name: config.name,
            preset: config.preset,
            deadlines: config.deadlines,
            max_response_bytes: config.max_response_bytes,
            target,
        })
    }

    /// Returns the name in the config.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whose API it is.
    #[must_use]
    pub const fn preset(&self) -> Preset {
        self.preset
    }

    /// Returns what is known about the provider.
    #[must_use]
    pub const fn facts(&self) -> Facts {
        self.preset.facts()
    }

    /// Whether a stream may be asked to report its usage at the end
    /// (`stream_options.include_usage`).
    #[must_use]
    pub const fn takes_stream_options(&self) -> bool {
        self.stream_usage
    }

    /// Returns the clocks of its calls.
    #[must_use]
    pub const fn deadlines(&self) -> Deadlines {
        self.deadlines
    }

    /// Sends a request; see `Providers::send`.
    pub(super) async fn send(&self, outgoing: &Outgoing) -> Result<Reply, Error> {
        let clocks = Clocks {
            provider: self.name.as_str().into(),
            started: Instant::now(),
            deadlines: outgoing.deadlines.unwrap_or(self.deadlines),
            max_bytes: self.max_response_bytes,
        };
        match &self.target {
            None => simulated::send(outgoing, clocks).await,
            Some(target) => target.send(outgoing, clocks).await,
        }
    }
}

impl Target {
    fn build(config: &Config, clients: &mut Clients) -> Result<Self, Error> {
        let fail = |message: String| Error::unsent(ErrorKind::Config, &config.name, message);
        let facts = config.preset.facts();
        let text = config.base_url.as_deref().or(facts.base_url);
        let base = base_url(text, &facts).map_err(fail)?;
        let host = uri(&base).map_err(fail)?;
        let settings = Settings::new(&host, config.deadlines.connect, is_loopback(&base));
        Ok(Self {
            client: clients.get(settings, &config.name)?,
            headers: headers(config).map_err(fail)?,
            urls: Urls::build(config, &base).map_err(fail)?,
        })
    }

    async fn send(&self, outgoing: &Outgoing, clocks: Clocks) -> Result<Reply, Error> {
        let request = self.request(outgoing, &clocks)?;
        let (head_by, clock, limit) = clocks.head_deadline();
        let response = match timeout_at(head_by, self.client.send(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => {
                let limit = clocks.deadlines.connect;
                return Err(Error::from_transport(&clocks.provider, limit, error));
            }
            Err(_elapsed) => return Err(Error::timeout(clock, &clocks.provider, limit)),
        };
        receive(response, outgoing.stream, clocks).await
    }

    fn request(&self, outgoing: &Outgoing, clocks: &Clocks) -> Result<Request<Bytes>, Error> {
        let uri = self.urls.of(outgoing).ok_or_else(|| {
            let message = "has the model in the path, and the request names none";
            Error::unsent(ErrorKind::Rejected, &clocks.provider, message)
        })?;
        let mut request = Request::new(outgoing.body.clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        // The call's id at both ends: a provider's log can be held against ours.
        if let Ok(id) = HeaderValue::from_str(&outgoing.call_id.to_string()) {
            request.headers_mut().insert(REQUEST_ID, id);
        }
        if let Some(value) = outgoing
            .trace
            .as_ref()
            .and_then(|trace| traceparent(trace, outgoing.call_id))
        {
            request.headers_mut().insert(TRACEPARENT, value);
        }
        Ok(request)
    }
}

impl Urls {
    fn build(config: &Config, base: &Url) -> Result<Self, String> {
        let is_azure = config.preset == Preset::AzureOpenAi;
        // Azure's newer API has `/openai/v1` and the model in the body, like everybody's.
        let has_deployments = is_azure && !base.path().trim_end_matches('/').ends_with("/v1");
        if !has_deployments {
            return Ok(Self::Fixed {
                chat: uri(&below(base, &["chat", "completions"]))?,
                embeddings: uri(&below(base, &["embeddings"]))?,
            });
        }
        let is_complete = base.path().trim_end_matches('/').ends_with("/openai");
        let path: &[&str] = if is_complete {
            &["deployments"]
        } else {
            &["openai", "deployments"]
        };
        let mut url = below(base, path);
        let version = config.api_version.as_deref().unwrap_or(AZURE_API_VERSION);
        url.query_pairs_mut().append_pair("api-version", version);
        Ok(Self::Deployments(url))
    }

    /// Returns the URL for a request; `None` when the model cannot be a part of a path.
    fn of(&self, outgoing: &Outgoing) -> Option<Uri> {
        match (self, outgoing.operation) {
            (Self::Fixed { chat, .. }, Operation::Chat) => Some(chat.clone()),
            (Self::Fixed { embeddings, .. }, Operation::Embeddings) => Some(embeddings.clone()),
            (Self::Deployments(url), operation) => {
                let model = outgoing.model.as_str();
                if matches!(model, "" | "." | "..") {
                    return None;
                }
                let url = match operation {
                    Operation::Chat => below(url, &[model, "chat", "completions"]),
                    Operation::Embeddings => below(url, &[model, "embeddings"]),
                };
                uri(&url).ok()
            }
        }
    }
}

/// Turns an HTTP response into a reply, or into the error that its status means.
async fn receive(
    response: Response<AnswerBody>,
    wants_stream: bool,
    clocks: Clocks,
) -> Result<Reply, Error> {
    let head_time = clocks.started.elapsed();
    let (head, body) = response.into_parts();
    let provider = clocks.provider.clone();
    let length = text(&head.headers, CONTENT_LENGTH).and_then(|value| value.parse().ok());
    if !head.status.is_success() {
        let body = ByteStream::http(body, clocks)
            .up_to(MAX_ERROR_BODY_BYTES)
            .await;
        let now = domain::Clock::System.now();
        return Err(Error::from_answer(
            &provider,
            head.status,
            &head.headers,
            body,
            now,
        ));
    }
    check_encoding(&provider, &head.headers)?;
    let content_type = text(&head.headers, CONTENT_TYPE).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let is_events = media_type.eq_ignore_ascii_case("text/event-stream");
    let body = if wants_stream && is_events {
        ReplyBody::Stream(ByteStream::http(body, clocks))
    } else {
        let bytes = ByteStream::http(body, clocks).whole(length).await?;
        let problem = if bytes.is_empty() {
            Some("answered with an empty body")
        } else if media_type.eq_ignore_ascii_case("text/html") {
            Some("answered with an HTML page")
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Error::sent(ErrorKind::InvalidResponse, &provider, problem));
        }
        ReplyBody::Whole(bytes)
    };
    Ok(Reply {
        status: head.status.as_u16(),
        content_type: content_type.to_owned(),
        request_id: request_id(&head.headers),
        rate_limits: rate_limits(&head.headers),
        times: ReplyTimes { head: head_time },
        body,
    })
}

/// Refuses an encoding: none was asked for, and a decoder would be a way to blow up memory.
fn check_encoding(provider: &str, headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(CONTENT_ENCODING) {
        None => Ok(()),
        Some(encoding) if encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(_) => {
            let message = "answered with a `content-encoding` that was not asked for";
            Err(Error::sent(ErrorKind::InvalidResponse, provider, message))
        }
    }
}

fn rate_limits(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-ratelimit-"))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Returns the W3C header that makes the provider's spans children of this call's. The call's own
/// span has the low half of the call's id as its id.
fn traceparent(trace: &TraceContext, call: CallId) -> Option<HeaderValue> {
    let (_, span) = call.0.as_u64_pair();
    let flags = u8::from(trace.sampled);
    HeaderValue::try_from(format!("00-{}-{span:016x}-{flags:02x}", trace.trace_id)).ok()
}

fn base_url(text: Option<&str>, facts: &Facts) -> Result<Url, String> {
    let Some(text) = text else {
        return Err(match facts.base_url_variable {
            Some(variable) => format!("needs a `base_url` (or `{variable}`)"),
            None => "needs a `base_url`".to_owned(),
        });
    };
    let mut url =
        Url::parse(text).map_err(|error| format!("has a `base_url` that is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("has a `base_url` that is neither `http` nor `https`".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("has a user or a password in its `base_url`; use `api_key`".to_owned());
    }
    if url.host().is_none() {
        return Err("has a `base_url` without a host".to_owned());
    }
    url.set_fragment(None);
    if url.path() == "/" && !facts.default_path.is_empty() {
        url.set_path(facts.default_path);
    }
    Ok(url)
}

pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// Returns `url` as requests hold it.
fn uri(url: &Url) -> Result<Uri, String> {
    Uri::try_from(url.as_str()).map_err(|error| format!("has a URL that cannot be sent: {error}"))
}

/// Returns `base` with `segments` appended to its path; its query stays.
fn below(base: &Url, segments: &[&str]) -> Url {
    let mut url = base.clone();
    // An `http` URL always has a path that can be extended.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Makes the headers of every request: an allow-list, so that nothing of the client's gets out.
fn headers(config: &Config) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    let accept = HeaderValue::from_static("application/json, text/event-stream");
    let agent = HeaderValue::from_static(concat!("promptgate/", env!("CARGO_PKG_VERSION")));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, accept);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    headers.insert(USER_AGENT, agent);
    if let Some(key) = &config.api_key {
        let (name, value) = match config.preset.facts().auth {
            AuthStyle::Bearer => (AUTHORIZATION, format!("Bearer {}", key.reveal())),
            AuthStyle::ApiKeyHeader => {
                (HeaderName::from_static("api-key"), key.reveal().to_owned())
            }
        };
        headers.insert(
            name,
            secret_value(&value).ok_or("has a key that no header can hold")?,
        );
    }
    for (name, value) in &config.headers {
        let parsed = HeaderName::try_from(name.as_str())
            .map_err(|_| format!("has a header `{name}`, which is no header name"))?;
        if FORBIDDEN_HEADERS.contains(&parsed.as_str()) {
            return Err(format!("has a header `{name}`, which cannot be configured"));
        }
        let value = secret_value(value.reveal())
            .ok_or_else(|| format!("has a value of header `{name}` that no header can hold"))?;
        headers.insert(parsed, value);
    }
    Ok(headers)
}

fn secret_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::{Urls, base_url, traceparent};
    use crate::domain::{CallId, Operation, Secret, TraceContext};
    use crate::providers::{Config, Outgoing, Preset, Providers};
    use bytes::Bytes;

    fn url(preset: Preset, base: Option<&str>, operation: Operation) -> String {
        let config = Config::new("p", preset);
        let facts = preset.facts();
        let base = base_url(base.or(facts.base_url), &facts).unwrap();
        let outgoing = Outgoing {
            operation,
            model: "gpt 4o/mini".to_owned(),
            body: Bytes::new(),
            stream: false,
            call_id: CallId::fresh(),
            attempt: 0,
            trace: None,
            deadlines: None,
        };
        Urls::build(&config, &base)
            .unwrap()
            .of(&outgoing)
            .unwrap()
            .to_string()
    }

    #[test]
    fn urls_are_those_of_the_providers() {
        let (chat, embeddings) = (Operation::Chat, Operation::Embeddings);
        for (preset, base, operation, expected) in [
            (
                Preset::OpenAi,
                None,
                chat,
                "https://api.openai.com/v1/chat/completions",
            ),
            (
                Preset::OpenAi,
                None,
                embeddings,
                "https://api.openai.com/v1/embeddings",
            ),
            (
                Preset::OpenAi,
                Some("http://h:1/v1/?team=a"),
                chat,
                "http://h:1/v1/chat/completions?team=a",
            ),
            (
                Preset::OpenAi,
                Some("http://h:1"),
                chat,
                "http://h:1/chat/completions",
            ),
            (
                Preset::Ollama,
                Some("http://h:1"),
                chat,
                "http://h:1/v1/chat/completions",
            ),
            (
                Preset::Vllm,
                Some("http://h:1/v2"),
                chat,
                "http://h:1/v2/chat/completions",
            ),
            (
                Preset::Gemini,
                None,
                chat,
                "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
            ),
            (
                Preset::AzureOpenAi,
                Some("https://x.openai.azure.com/"),
                chat,
                "https://x.openai.azure.com/openai/deployments/gpt%204o%2Fmini/chat/completions\
                 ?api-version=2024-10-21",
            ),
            (
                Preset::AzureOpenAi,
                Some("https://x.openai.azure.com/openai/v1/"),
                chat,
                "https://x.openai.azure.com/openai/v1/chat/completions",
            ),
        ] {
            assert_eq!(url(preset, base, operation), expected);
        }
    }

    #[test]
    fn bad_configs_are_refused_without_showing_secrets() {
        let config = |edit: fn(&mut Config)| {
            let mut config = Config::new("p", Preset::OpenAi);
            config.base_url = Some("http://127.0.0.1:9/v1".to_owned());
            edit(&mut config);
            config
        };
        for (edit, part) in [
            (
                (|c| c.base_url = Some("ftp://h/".to_owned())) as fn(&mut Config),
                "neither `http` nor `https`",
            ),
            (
                |c| c.base_url = Some("http://u:canary@h/".to_owned()),
                "use `api_key`",
            ),
            (|c| c.base_url = Some("nonsense".to_owned()), "no URL"),
            (|c| c.preset = Preset::Simulated, ""),
            (
                |c| c.api_key = Some(Secret::new("canary\n")),
                "no header can hold",
            ),
            (
                |c| c.headers = vec![("x-y".to_owned(), Secret::new("canary\0"))],
                "value of header `x-y`",
            ),
            (
                |c| c.headers = vec![("Host".to_owned(), Secret::new("h"))],
                "cannot be configured",
            ),
        ] {
            match Providers::build(vec![config(edit)]) {
                Ok(_) => assert_eq!(part, "", "was accepted"),
                Err(error) => {
                    let shown = format!("{error} {error:?}");
                    assert!(shown.contains(part) && !part.is_empty(), "{shown}");
                    assert!(!shown.contains("canary"), "{shown}");
                }
            }
        }
        let azure = Providers::build(vec![Config::new("az", Preset::AzureOpenAi)]).unwrap_err();
        assert!(
            azure.to_string().contains("AZURE_OPENAI_ENDPOINT"),
            "{azure}"
        );
        let twice = Providers::build(vec![config(|_| ()), config(|_| ())]).unwrap_err();
        assert!(twice.to_string().contains("configured twice"), "{twice}");
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
