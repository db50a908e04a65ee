//! Where a request goes: what a provider is configured as, what it speaks and what is asked of which
//! model decide the path.
//!
//! Whole URLs are made once where the model stands in the body; where it stands in the path, its name is
//! encoded here and nowhere else.

use crate::domain::Dialect;
use crate::domain::Operation;
use crate::providers::preset::{Facts, Preset};
use crate::providers::{Config, Outgoing};
use http::Uri;
use std::fmt::Write as _;
use url::{Host, Url};

/// The version of Azure's API that is asked for when none is configured.
const AZURE_API_VERSION: &str = "2024-10-21";

/// The URLs of one provider.
#[derive(Debug)]
pub(super) struct Urls {
    preset: Preset,
    /// What raw paths are below.
    base: Url,
    layout: Layout,
}

/// How a provider arranges its paths.
#[derive(Debug)]
enum Layout {
    /// The model is in the body.
    Compatible(Box<Compatible>),
    /// Azure: the model is a deployment in the path below this URL, but for responses.
    Deployments { deployments: Url, responses: Uri },
    /// Models below this URL, the verb behind the model; and the compatible endpoint.
    Gemini {
        models: Url,
        compatible: Box<Compatible>,
    },
    /// Publishers with their models below this URL; and the compatible endpoint.
    Vertex { publishers: Url, chat: Uri },
    /// Models below this URL, the verb one level down; and the compatible endpoint.
    Bedrock { models: Url, chat: Uri },
}

/// The paths of `OpenAI`, and Anthropic's among them.
#[derive(Debug)]
struct Compatible {
    chat: Uri,
    responses: Uri,
    messages: Uri,
    count: Uri,
    embeddings: Uri,
}

impl Urls {
    /// Makes the URLs of the provider that `config` describes.
    ///
    /// # Errors
    ///
    /// What is missing or wrong, to be said after the provider's name.
    pub(super) fn build(config: &Config) -> Result<Self, String> {
        let base = base_url(config)?;
        let layout = match config.preset {
            Preset::AzureOpenAi => azure(config, &base)?,
            Preset::Gemini => {
                let (own, compatible) = gemini_bases(&base);
                Layout::Gemini {
                    models: below(&own, "models"),
                    compatible: Box::new(Compatible::below(&compatible)?),
                }
            }
            Preset::Vertex => vertex(config, &base)?,
            Preset::Bedrock => Layout::Bedrock {
                models: below(&base, "model"),
                chat: uri(&below(&base, "openai/v1/chat/completions"))?,
            },
            _ => Layout::Compatible(Box::new(Compatible::below(&base)?)),
        };
        Ok(Self {
            preset: config.preset,
            base,
            layout,
        })
    }

    /// Returns the URL that everything is below.
    pub(super) const fn base(&self) -> &Url {
        &self.base
    }

    /// Whether a raw path belongs to the `OpenAI`-compatible endpoint, and not to the provider's own API.
    pub(super) fn is_compatible(&self, path: &str) -> bool {
        match self.preset {
            Preset::Gemini | Preset::Bedrock => path.contains("/openai/"),
            Preset::Vertex => path.contains("/endpoints/openapi/"),
            Preset::Anthropic => path.ends_with("/chat/completions"),
            _ => !path.contains("/messages"),
        }
    }

    /// Returns the URL for a request.
    ///
    /// # Errors
    ///
    /// Why there is none: the model cannot stand in a path, or that dialect is not spoken there.
    pub(super) fn of(&self, outgoing: &Outgoing) -> Result<Uri, String> {
        let model = outgoing.model.as_str();
        match (&self.layout, outgoing.dialect, outgoing.operation) {
            (
                Layout::Compatible(urls),
                Dialect::Chat | Dialect::Responses | Dialect::Messages,
                _,
            ) => urls.of(outgoing),
            (Layout::Gemini { compatible, .. }, Dialect::Chat, _) => compatible.of(outgoing),
            (Layout::Gemini { models, .. }, Dialect::Gemini, operation) => {
                let model = model.strip_prefix("models/").unwrap_or(model);
                generate(models, &segment(model)?, operation, outgoing.stream)
            }
            (Layout::Deployments { responses, .. }, Dialect::Responses, Operation::Chat) => {
                Ok(responses.clone())
            }
            (Layout::Deployments { deployments, .. }, Dialect::Chat, operation) => {
                let verb = match operation {
                    Operation::Chat | Operation::Raw => "chat/completions",
                    Operation::Embeddings => "embeddings",
                    Operation::Count => return Err(not_spoken(outgoing.dialect, operation)),
                };
                uri(&below(deployments, &format!("{}/{verb}", segment(model)?)))
            }
            (
                Layout::Vertex { chat, .. } | Layout::Bedrock { chat, .. },
                Dialect::Chat,
                Operation::Chat,
            ) => Ok(chat.clone()),
            (Layout::Vertex { publishers, .. }, Dialect::Gemini, operation) => {
                let path = format!("google/models/{}", segment(model)?);
                match operation {
                    Operation::Chat | Operation::Raw | Operation::Count => {
                        generate(publishers, &path, operation, outgoing.stream)
                    }
                    Operation::Embeddings => uri(&below(publishers, &format!("{path}:predict"))),
                }
            }
            (Layout::Vertex { publishers, .. }, Dialect::Messages, Operation::Chat) => {
                let verb = if outgoing.stream {
                    "streamRawPredict"
                } else {
                    "rawPredict"
                };
                let path = format!("anthropic/models/{}:{verb}", segment(model)?);
                uri(&below(publishers, &path))
            }
            // The model is in the body.
            (Layout::Vertex { publishers, .. }, Dialect::Messages, Operation::Count) => uri(
                &below(publishers, "anthropic/models/count-tokens:rawPredict"),
            ),
            (Layout::Bedrock { models, .. }, Dialect::Converse, operation) => {
                let verb = match (operation, outgoing.stream) {
                    (Operation::Chat | Operation::Raw, false) => "converse",
                    (Operation::Chat | Operation::Raw, true) => "converse-stream",
                    (Operation::Embeddings, _) => "invoke",
                    (Operation::Count, _) => "count-tokens",
                };
                uri(&below(models, &format!("{}/{verb}", segment(model)?)))
            }
            (_, dialect, operation) => Err(not_spoken(dialect, operation)),
        }
    }

    /// Returns the URL of a raw path (with its query) below the provider's base URL. A version that both
    /// name (`/v1`) stands there once.
    ///
    /// # Errors
    ///
    /// Why it cannot be asked: it would leave the base URL.
    pub(super) fn raw(&self, path_and_query: &str) -> Result<Uri, String> {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        let is_odd = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '#' | '\\');
        let is_inside = path.starts_with('/')
            && !path.starts_with("//")
            && !path_and_query.contains(is_odd)
            && !path.split('/').any(is_dots);
        if !is_inside {
            return Err("was asked for a path that is none below its base URL".to_owned());
        }
        let path = self.without_repetition(path);
        let mut url = below(&self.base, path.trim_start_matches('/'));
        let key_free = query.map(|query| {
            // A key in the query would compete with ours.
            let pairs = query.split('&').filter(|pair| !pair.starts_with("key="));
            pairs.collect::<Vec<_>>().join("&")
        });
        if let Some(query) = key_free.filter(|query| !query.is_empty()) {
            let all = match self.base.query() {
                Some(own) => format!("{own}&{query}"),
                None => query,
            };
            url.set_query(Some(&all));
        }
        uri(&url)
    }

    /// Returns `path` without the version at its start that the base URL ends with.
    fn without_repetition<'a>(&self, path: &'a str) -> &'a str {
        let version = self
            .base
            .path()
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .filter(|last| {
                last.strip_prefix('v')
                    .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            });
        version
            .and_then(|version| path.strip_prefix('/')?.strip_prefix(version))
            .filter(|rest| rest.is_empty() || rest.starts_with('/'))
            .unwrap_or(path)
    }
}

impl Compatible {
    fn below(base: &Url) -> Result<Self, String> {
        Ok(Self {
            chat: uri(&below(base, "chat/completions"))?,
            responses: uri(&below(base, "responses"))?,
            messages: uri(&below(base, "messages"))?,
            count: uri(&below(base, "messages/count_tokens"))?,
            embeddings: uri(&below(base, "embeddings"))?,
        })
    }

    fn of(&self, outgoing: &Outgoing) -> Result<Uri, String> {
        match (outgoing.dialect, outgoing.operation) {
            (Dialect::Chat, Operation::Chat) => Ok(self.chat.clone()),
            (Dialect::Responses, Operation::Chat) => Ok(self.responses.clone()),
            (Dialect::Messages, Operation::Chat) => Ok(self.messages.clone()),
            (Dialect::Messages, Operation::Count) => Ok(self.count.clone()),
            (Dialect::Chat, Operation::Embeddings) => Ok(self.embeddings.clone()),
            (dialect, operation) => Err(not_spoken(dialect, operation)),
        }
    }
}

fn not_spoken(dialect: Dialect, operation: Operation) -> String {
    format!("does not take {operation:?} in the dialect {dialect:?}").to_lowercase()
}

fn azure(config: &Config, base: &Url) -> Result<Layout, String> {
    let path = base.path().trim_end_matches('/');
    // Azure's newer API has `/openai/v1` and the model in the body, like everybody's.
    if path.ends_with("/v1") {
        return Ok(Layout::Compatible(Box::new(Compatible::below(base)?)));
    }
    let prefix = if path.ends_with("/openai") {
        ""
    } else {
        "openai/"
    };
    let mut deployments = below(base, &format!("{prefix}deployments"));
    let version = config.api_version.as_deref().unwrap_or(AZURE_API_VERSION);
    deployments
        .query_pairs_mut()
        .append_pair("api-version", version);
    Ok(Layout::Deployments {
        deployments,
        responses: uri(&below(base, &format!("{prefix}v1/responses")))?,
    })
}

/// Returns the base of Gemini's own API and that of the compatible one, whichever of them is configured.
fn gemini_bases(base: &Url) -> (Url, Url) {
    let path = base.path().trim_end_matches('/').to_owned();
    match path.strip_suffix("/openai") {
        Some(own) => {
            let mut native = base.clone();
            native.set_path(own);
            (native, base.clone())
        }
        None => (base.clone(), below(base, "openai")),
    }
}

fn vertex(config: &Config, base: &Url) -> Result<Layout, String> {
    let project = config
        .project
        .as_deref()
        .ok_or("needs a `project` (or `GOOGLE_CLOUD_PROJECT`)")?;
    let location = location(config)?;
    let place = format!("projects/{}/locations/{location}", segment(project)?);
    Ok(Layout::Vertex {
        publishers: below(base, &format!("{place}/publishers")),
        chat: uri(&below(
            base,
            &format!("{place}/endpoints/openapi/chat/completions"),
        ))?,
    })
}

/// Returns the URL that asks a model of Gemini's API.
fn generate(
    models: &Url,
    model: &str,
    operation: Operation,
    is_stream: bool,
) -> Result<Uri, String> {
    let verb = match (operation, is_stream) {
        (Operation::Chat | Operation::Raw, false) => "generateContent",
        (Operation::Chat | Operation::Raw, true) => "streamGenerateContent",
        (Operation::Embeddings, _) => "batchEmbedContents",
        (Operation::Count, _) => "countTokens",
    };
    let mut url = below(models, &format!("{model}:{verb}"));
    if operation == Operation::Chat && is_stream {
        // Without it the stream is one JSON array.
        url.query_pairs_mut().append_pair("alt", "sse");
    }
    uri(&url)
}

/// Returns `text` as one segment of a path: whatever RFC 3986 does not call unreserved is encoded.
///
/// # Errors
///
/// Why it can be none.
pub(super) fn segment(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("has the model in the path, and the request names none".to_owned());
    }
    if is_dots(text) {
        return Err("has the model in the path, where the request's cannot stand".to_owned());
    }
    Ok(encoded(text.as_bytes()))
}

/// Returns `bytes` with whatever RFC 3986 does not call unreserved as `%XX`.
pub(super) fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 8);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Whether a segment means another directory, encoded or not.
fn is_dots(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    matches!(plain.as_str(), "." | "..")
}

/// Returns `base` with `path`, whose segments are encoded, appended to its own; its query stays.
fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let start = base.path().trim_end_matches('/');
    url.set_path(&format!("{start}/{path}"));
    url
}

/// Returns `url` as requests hold it.
pub(super) fn uri(url: &Url) -> Result<Uri, String> {
    Uri::try_from(url.as_str()).map_err(|error| format!("has a URL that cannot be sent: {error}"))
}

/// Returns the URL of a provider: the configured one, else where its preset lives.
fn base_url(config: &Config) -> Result<Url, String> {
    let facts = config.preset.facts();
    let home = match (&config.base_url, config.preset) {
        (Some(url), _) => Some(url.clone()),
        (None, Preset::Bedrock) => Some(bedrock_home(config)?),
        (None, Preset::Vertex) => Some(vertex_home(&location(config)?)),
        (None, _) => facts.base_url.map(str::to_owned),
    };
    checked(home.as_deref(), &facts)
}

fn bedrock_home(config: &Config) -> Result<String, String> {
    let region = region(config)?;
    // China's partition has a domain of its own.
    let domain = if region.starts_with("cn-") {
        "amazonaws.com.cn"
    } else {
        "amazonaws.com"
    };
    Ok(format!("https://bedrock-runtime.{region}.{domain}"))
}

fn vertex_home(location: &str) -> String {
    match location {
        "global" => "https://aiplatform.googleapis.com/v1".to_owned(),
        // Several regions of one continent behind one host.
        "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com/v1"),
        region => format!("https://{region}-aiplatform.googleapis.com/v1"),
    }
}

/// Returns the region of AWS.
pub(super) fn region(config: &Config) -> Result<String, String> {
    let region = config.region.as_deref();
    place(region.ok_or("needs a `region` (or `AWS_REGION`)")?)
}

fn location(config: &Config) -> Result<String, String> {
    let location = config.region.as_deref();
    place(location.ok_or("needs a `location` (or `GOOGLE_CLOUD_LOCATION`)")?)
}

/// A region becomes a part of a host's name: nothing else may get in there.
fn place(name: &str) -> Result<String, String> {
    let is_name = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if is_name {
        return Ok(name.to_owned());
    }
    Err(format!(
        "is in `{name}`, which is no region: lower case letters, digits and `-`"
    ))
}

fn checked(text: Option<&str>, facts: &Facts) -> Result<Url, String> {
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

/// Whether `url` is on this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::Urls;
    use crate::domain::Dialect;
    use crate::domain::Operation;
    use crate::providers::loopback_tests::outgoing;
    use crate::providers::{Config, Preset};

    fn urls(preset: Preset, base: &str) -> Result<Urls, String> {
        let mut config = Config::new("p", preset);
        config.base_url = (!base.is_empty()).then(|| base.to_owned());
        config.region = match preset {
            Preset::Bedrock => Some("eu-west-1".to_owned()),
            Preset::Vertex => Some("europe-west4".to_owned()),
            _ => None,
        };
        config.project = Some("my-project".to_owned());
        Urls::build(&config)
    }

    fn asked(
        dialect: Dialect,
        operation: Operation,
        model: &str,
        is_stream: bool,
    ) -> super::Outgoing {
        let mut outgoing = outgoing(is_stream);
        outgoing.dialect = dialect;
        outgoing.operation = operation;
        model.clone_into(&mut outgoing.model);
        outgoing
    }

    /// Every preset in every dialect it may speak, for everything it can be asked.
    #[test]
    fn every_url_of_every_preset() {
        let mut text = String::new();
        for preset in Preset::ALL {
            let base = match preset {
                Preset::Simulated => continue,
                Preset::AzureOpenAi => "https://x.openai.azure.com/",
                Preset::LlamaCpp => "http://127.0.0.1:8081",
                _ => "",
            };
            let urls = urls(preset, base).unwrap();
            let model = match preset {
                Preset::Bedrock => "anthropic.claude-sonnet-4-5-20250929-v1:0",
                Preset::AzureOpenAi => "gpt 4o/mini",
                _ => "a-model",
            };
            for &dialect in preset.may_speak() {
                for (operation, is_stream, what) in [
                    (Operation::Chat, false, "whole"),
                    (Operation::Chat, true, "stream"),
                    (Operation::Embeddings, false, "embeddings"),
                ] {
                    let outgoing = asked(dialect, operation, model, is_stream);
                    let uri = urls.of(&outgoing).map(|uri| uri.to_string());
                    let shown = uri.unwrap_or_else(|problem| format!("({problem})"));
                    text.push_str(&format!("{preset} {dialect} {what}: {shown}\n"));
                }
            }
        }
        insta::assert_snapshot!(text);
    }

    fn expect(cases: &[(Preset, &str, Dialect, &str)]) {
        for &(preset, base, dialect, expected) in cases {
            let urls = urls(preset, base).unwrap();
            let outgoing = asked(dialect, Operation::Chat, "m", false);
            assert_eq!(urls.of(&outgoing).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn compatible_bases_are_kept() {
        use Dialect::{Chat, Responses};
        use Preset::{AzureOpenAi, Ollama, OpenAi, Vllm};
        let azure = "https://x.openai.azure.com/openai";
        expect(&[
            (
                OpenAi,
                "http://h:1/v1/?t=a",
                Chat,
                "http://h:1/v1/chat/completions?t=a",
            ),
            (OpenAi, "http://h:1", Chat, "http://h:1/chat/completions"),
            (Ollama, "http://h:1", Chat, "http://h:1/v1/chat/completions"),
            (
                Vllm,
                "http://h:1/v2",
                Chat,
                "http://h:1/v2/chat/completions",
            ),
            (
                AzureOpenAi,
                &format!("{azure}/v1/"),
                Chat,
                &format!("{azure}/v1/chat/completions"),
            ),
            (
                AzureOpenAi,
                azure,
                Responses,
                &format!("{azure}/v1/responses"),
            ),
        ]);
    }

    #[test]
    fn bases_of_other_dialects_are_kept() {
        use Dialect::{Chat, Converse, Messages};
        use Preset::{Anthropic, Bedrock};
        let compatible = "http://h:1/v1beta/openai/";
        let (own, beside) = (
            "http://h:1/v1beta/models/m:generateContent",
            "http://h:1/v1beta/openai/chat/completions",
        );
        expect(&[
            (Anthropic, "http://h:1", Messages, "http://h:1/v1/messages"),
            (Preset::Gemini, "http://h:1", Dialect::Gemini, own),
            (Preset::Gemini, compatible, Dialect::Gemini, own),
            (Preset::Gemini, compatible, Chat, beside),
            (Preset::Gemini, "http://h:1", Chat, beside),
            (
                Bedrock,
                "http://h:1/x/",
                Converse,
                "http://h:1/x/model/m/converse",
            ),
        ]);
    }

    #[test]
    fn a_models_name_stays_one_segment() {
        for (preset, dialect, model, expected) in [
            (
                Preset::Gemini,
                Dialect::Gemini,
                "models/m",
                Some("/v1beta/models/m:generateContent"),
            ),
            (
                Preset::Gemini,
                Dialect::Gemini,
                "../../x?y#z",
                Some("/v1beta/models/..%2F..%2Fx%3Fy%23z:generateContent"),
            ),
            (Preset::Gemini, Dialect::Gemini, "..", None),
            (Preset::Bedrock, Dialect::Converse, ".", None),
            (Preset::Bedrock, Dialect::Converse, "%2e%2E", None),
            (Preset::Bedrock, Dialect::Converse, "", None),
            (
                Preset::Bedrock,
                Dialect::Converse,
                "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.x",
                Some(
                    "/model/arn%3Aaws%3Abedrock%3Aeu-west-1%3A1%3Ainference-profile%2Feu.x/converse",
                ),
            ),
        ] {
            let urls = urls(preset, "http://h:1").unwrap();
            let uri = urls.of(&asked(dialect, Operation::Chat, model, false)).ok();
            assert_eq!(uri.as_ref().map(http::Uri::path), expected, "{model}");
        }
    }

    #[test]
    fn who_counts_is_asked_where_it_counts() {
        for (preset, dialect, model, expected) in [
            (
                Preset::Anthropic,
                Dialect::Messages,
                "claude-opus-4-6",
                Some("/v1/messages/count_tokens"),
            ),
            (
                Preset::Gemini,
                Dialect::Gemini,
                "gemini-3-pro",
                Some("/v1beta/models/gemini-3-pro:countTokens"),
            ),
            (
                Preset::Vertex,
                Dialect::Gemini,
                "gemini-3-pro",
                Some(
                    "/v1/projects/my-project/locations/europe-west4/publishers/google/models/\
                     gemini-3-pro:countTokens",
                ),
            ),
            (
                Preset::Vertex,
                Dialect::Messages,
                "claude-opus-4-6",
                Some(
                    "/v1/projects/my-project/locations/europe-west4/publishers/anthropic/models/\
                     count-tokens:rawPredict",
                ),
            ),
            (
                Preset::Bedrock,
                Dialect::Converse,
                "anthropic.claude",
                Some("/model/anthropic.claude/count-tokens"),
            ),
            (Preset::OpenAi, Dialect::Chat, "gpt-5", None),
        ] {
            let urls = urls(preset, "").unwrap();
            let uri = urls
                .of(&asked(dialect, Operation::Count, model, false))
                .ok();
            assert_eq!(uri.as_ref().map(http::Uri::path), expected, "{model}");
        }
    }

    #[test]
    fn clouds_live_where_they_are_configured() {
        for (preset, region, expected) in [
            (
                Preset::Vertex,
                "global",
                "https://aiplatform.googleapis.com/v1",
            ),
            (
                Preset::Vertex,
                "eu",
                "https://aiplatform.eu.rep.googleapis.com/v1",
            ),
            (
                Preset::Vertex,
                "us-east5",
                "https://us-east5-aiplatform.googleapis.com/v1",
            ),
            (
                Preset::Bedrock,
                "us-east-1",
                "https://bedrock-runtime.us-east-1.amazonaws.com/",
            ),
            (
                Preset::Bedrock,
                "cn-north-1",
                "https://bedrock-runtime.cn-north-1.amazonaws.com.cn/",
            ),
        ] {
            let mut config = Config::new("p", preset);
            config.region = Some(region.to_owned());
            config.project = Some("p".to_owned());
            assert_eq!(Urls::build(&config).unwrap().base().as_str(), expected);
        }
        for (preset, region, project, part) in [
            (
                Preset::Bedrock,
                None,
                None,
                "needs a `region` (or `AWS_REGION`)",
            ),
            (
                Preset::Bedrock,
                Some("x.evil.test/"),
                None,
                "which is no region",
            ),
            (Preset::Vertex, None, Some("p"), "needs a `location`"),
            (Preset::Vertex, Some("global"), None, "needs a `project`"),
        ] {
            let mut config = Config::new("p", preset);
            config.region = region.map(str::to_owned);
            config.project = project.map(str::to_owned);
            let problem = Urls::build(&config).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn raw_paths_stay_below_the_base() {
        for (base, path, expected) in [
            ("http://h/v1", "/files", Some("http://h/v1/files")),
            (
                "http://h/v1",
                "/v1/files?limit=2",
                Some("http://h/v1/files?limit=2"),
            ),
            (
                "http://h/v1?team=a",
                "/files?x=1&key=K",
                Some("http://h/v1/files?team=a&x=1"),
            ),
            ("http://h/v1", "/v10/files", Some("http://h/v1/v10/files")),
            ("http://h", "/v1/a%2Fb", Some("http://h/v1/a%2Fb")),
            ("http://h/v1", "/v1", Some("http://h/v1/")),
            ("http://h/v1", "/../admin", None),
            ("http://h/v1", "/a/%2E%2e/b", None),
            ("http://h/v1", "//evil.test/", None),
            ("http://h/v1", "http://evil.test/", None),
            ("http://h/v1", "/a\\b", None),
            ("http://h/v1", "/a b", None),
        ] {
            let uri = urls(Preset::OpenAi, base).unwrap().raw(path).ok();
            let shown = uri.map(|uri| uri.to_string());
            assert_eq!(shown.as_deref(), expected, "{base} {path}");
        }
    }
}
