//! One provider, prepared: its URLs and headers are made when the config is read, so that a call
//! only clones them.

use crate::domain::Dialect;
use crate::domain::Operation;
use crate::providers::client::{AnswerBody, Client, Clients, Settings};
use crate::providers::credentials::Credentials;
use crate::providers::error::{Clock, Error, ErrorKind};
use crate::providers::headers::{AnthropicVersion, Heads, mark};
use crate::providers::preset::{Facts, Preset};
use crate::providers::receive::{pass, receive};
use crate::providers::stream::Clocks;
use crate::providers::upload::RequestBody;
use crate::providers::urls::{Urls, is_loopback, uri};
use crate::providers::{
    Config, Deadlines, Outgoing, Passed, PassedReply, Reply, Upload, simulated,
};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use std::future::Future;
use tokio::time::{Instant, sleep_until, timeout_at};

/// A provider that requests can be sent to.
#[derive(Debug)]
pub struct Endpoint {
    name: String,
    preset: Preset,
    deadlines: Deadlines,
    stream_usage: bool,
    /// What the config says that it speaks; empty for what the preset says.
    dialects: Vec<Dialect>,
    max_response_bytes: u64,
    /// `None` for the provider in this process.
    target: Option<Target>,
}

/// Where an HTTP provider is, and what it is sent.
#[derive(Debug)]
struct Target {
    client: Client,
    urls: Urls,
    heads: Heads,
    credentials: Credentials,
}

impl Endpoint {
    /// Prepares the provider that `config` describes.
    pub(super) fn build(config: Config, clients: &mut Clients) -> Result<Self, Error> {
        let target = match config.preset {
            Preset::Simulated => None,
            _ => Some(Target::build(&config, clients)?),
        };
        for dialect in &config.dialects {
            if !config.preset.may_speak().contains(dialect) {
                let message = format!("cannot be asked in the dialect `{dialect}`");
                return Err(Error::unsent(ErrorKind::Config, &config.name, message));
            }
        }
        Ok(Self {
            stream_usage: config
                .stream_usage
                .unwrap_or(config.preset.facts().stream_usage),
            name: config.name,
            preset: config.preset,
            deadlines: config.deadlines,
            dialects: config.dialects,
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

    /// Returns the dialects in which `model` can be asked for `operation`, its best first; none when it
    /// cannot be asked at all.
    #[must_use]
    pub fn dialects(&self, operation: Operation, model: &str) -> &[Dialect] {
        if operation == Operation::Chat && !self.dialects.is_empty() {
            return &self.dialects;
        }
        match (self.preset, operation) {
            // Each publisher has its own.
            (Preset::Vertex, Operation::Chat) if model.starts_with("claude") => {
                &[Dialect::Messages]
            }
            (Preset::Vertex, Operation::Chat) => &[Dialect::Gemini],
            _ => self.preset.facts().dialects(operation),
        }
    }

    /// Returns the dialect in which it says how many tokens a request to `model` has; `None` where it does not.
    #[must_use]
    pub fn counts_in(&self, model: &str) -> Option<Dialect> {
        let dialect = match self.preset {
            Preset::Anthropic => Dialect::Messages,
            Preset::Vertex if model.starts_with("claude") => Dialect::Messages,
            Preset::Vertex | Preset::Gemini => Dialect::Gemini,
            Preset::Bedrock => Dialect::Converse,
            _ => return None,
        };
        let is_spoken = self.dialects.is_empty() || self.dialects.contains(&dialect);
        is_spoken.then_some(dialect)
    }

    /// Returns the `anthropic_version` that a body in the dialect of messages must hold here, in place of
    /// `model`, which is in the path; `None` where the body is Anthropic's own.
    #[must_use]
    pub const fn anthropic_version(&self) -> Option<&'static str> {
        match self.preset {
            Preset::Vertex => Some("vertex-2023-10-16"),
            _ => None,
        }
    }

    /// Whether a request in `dialect`, with what the client `said` in headers, may steer the choice of tokens
    /// (`temperature`, `top_p`, `top_k`). Newer versions of Anthropic's API refuse that; at Vertex AI the version is an
    /// older one.
    #[must_use]
    pub fn takes_sampling(&self, dialect: Dialect, said: &HeaderMap) -> bool {
        if dialect != Dialect::Messages || self.anthropic_version().is_some() {
            return true;
        }
        let target = self.target.as_ref();
        let version = target.and_then(|target| target.heads.anthropic_version(said));
        version.is_none_or(AnthropicVersion::takes_sampling)
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

    /// Whether it can be sent a body that is still coming. Amazon's signature is over all of it.
    #[must_use]
    pub fn takes_uploads(&self) -> bool {
        let target = self.target.as_ref();
        target.is_some_and(|target| target.credentials.take_uploads())
    }

    /// Sends a request; see `Providers::send`.
    pub(super) async fn send(&self, outgoing: &Outgoing) -> Result<Reply, Error> {
        let clocks = self.clocks(outgoing.deadlines);
        match &self.target {
            None => simulated::send(outgoing, clocks).await,
            Some(target) => target.send(outgoing, clocks).await,
        }
    }

    /// Sends a raw request; see `Providers::pass`.
    pub(super) async fn pass(&self, passed: &Passed) -> Result<PassedReply, Error> {
        let clocks = self.clocks(passed.deadlines);
        match &self.target {
            None => {
                let message = "is in this process and takes no raw requests";
                Err(Error::unsent(ErrorKind::Rejected, &self.name, message))
            }
            Some(target) => target.pass(passed, clocks).await,
        }
    }

    fn clocks(&self, deadlines: Option<Deadlines>) -> Clocks {
        Clocks {
            provider: self.name.as_str().into(),
            started: Instant::now(),
            deadlines: deadlines.unwrap_or(self.deadlines),
            max_bytes: self.max_response_bytes,
        }
    }
}

impl Target {
    fn build(config: &Config, clients: &mut Clients) -> Result<Self, Error> {
        let fail = |message: String| Error::unsent(ErrorKind::Config, &config.name, message);
        let urls = Urls::build(config).map_err(fail)?;
        let host = uri(urls.base()).map_err(fail)?;
        let connect = config.deadlines.connect;
        let settings = Settings::new(&host, connect, is_loopback(urls.base()));
        Ok(Self {
            client: clients.get(settings, &config.name)?,
            heads: Heads::build(config).map_err(fail)?,
            credentials: Credentials::build(config).map_err(fail)?,
            urls,
        })
    }

    async fn send(&self, outgoing: &Outgoing, clocks: Clocks) -> Result<Reply, Error> {
        let unsent = |problem| Error::unsent(ErrorKind::Rejected, &clocks.provider, problem);
        let mut request = Request::new(outgoing.body.clone());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.urls.of(outgoing).map_err(unsent)?;
        *request.headers_mut() = self.heads.of(outgoing.dialect, &outgoing.headers);
        mark(
            request.headers_mut(),
            outgoing.call_id,
            outgoing.trace.as_ref(),
        );
        let response = self.exchange(request, None, &clocks).await?;
        receive(response, outgoing.dialect, outgoing.stream, clocks).await
    }

    async fn pass(&self, passed: &Passed, clocks: Clocks) -> Result<PassedReply, Error> {
        let unsent = |problem| Error::unsent(ErrorKind::Rejected, &clocks.provider, problem);
        let path = passed.path_and_query.as_str();
        let mut request = Request::new(passed.body.clone());
        *request.method_mut() = passed.method.clone();
        *request.uri_mut() = self.urls.raw(path).map_err(unsent)?;
        let is_compatible = self.urls.is_compatible(request.uri().path());
        *request.headers_mut() = self.heads.raw(is_compatible, &passed.headers);
        mark(request.headers_mut(), passed.call_id, passed.trace.as_ref());
        let upload = passed.upload.as_ref();
        let response = self.exchange(request, upload, &clocks).await?;
        let clocks = match upload {
            Some(_) => clocks.sent_by_now(),
            None => clocks,
        };
        pass(response, clocks)
    }

    /// Sends a request and returns the head of the answer, within the clocks.
    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        upload: Option<&Upload>,
        clocks: &Clocks,
    ) -> Result<Response<AnswerBody>, Error> {
        let (head_by, clock, limit) = clocks.head_deadline();
        let late = || Error::timeout(clock, &clocks.provider, limit);
        timeout_at(head_by, self.credentials.authorize(&mut request))
            .await
            // Nothing has been sent so far, but it was the same clock.
            .map_err(|_elapsed| late())?
            .map_err(|fault| Error::credentials(&clocks.provider, fault))?;
        let body = |bytes| upload.map_or_else(|| RequestBody::whole(bytes), RequestBody::upload);
        let answering = self.client.send(request.map(body));
        let answer = match upload {
            None => timeout_at(head_by, answering)
                .await
                .map_err(|_elapsed| late())?,
            Some(upload) => while_sending(upload, clocks, answering).await?,
        };
        match answer {
            Ok(response) => {
                if matches!(response.status().as_u16(), 401 | 403) {
                    self.credentials.refused();
                }
                Ok(response)
            }
            Err(error) => {
                let limit = clocks.deadlines.connect;
                Err(Error::from_transport(&clocks.provider, limit, error))
            }
        }
    }
}

/// Waits for the head of an answer to a request whose body is still coming: the first byte is late only
/// when the body was sent.
async fn while_sending<T>(
    upload: &Upload,
    clocks: &Clocks,
    answering: impl Future<Output = T>,
) -> Result<T, Error> {
    let Deadlines {
        first_byte, total, ..
    } = clocks.deadlines;
    let late = |clock, limit| Error::timeout(clock, &clocks.provider, limit);
    let end = clocks.after(total);
    tokio::pin!(answering);
    tokio::select! {
        biased;
        answer = &mut answering => return Ok(answer),
        () = sleep_until(end) => return Err(late(Clock::Total, total)),
        () = upload.ended() => {}
    }
    let by = Instant::now() + first_byte;
    let answer = timeout_at(by.min(end), answering).await;
    answer.map_err(|_elapsed| {
        if end < by {
            late(Clock::Total, total)
        } else {
            late(Clock::FirstByte, first_byte)
        }
    })
}

#[cfg(test)]
mod tests {
    use crate::domain::Dialect;
    use crate::domain::{Operation, Secret};
    use crate::providers::{Config, Preset, Providers};

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
            (
                |c| c.dialects = vec![Dialect::Gemini],
                "cannot be asked in the dialect `gemini`",
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
    fn a_provider_says_what_it_speaks() {
        let (chat, embeddings) = (Operation::Chat, Operation::Embeddings);
        let mut local = Config::new("local", Preset::Vllm);
        local.dialects = vec![Dialect::Responses, Dialect::Chat];
        let mut vertex = Config::new("vertex", Preset::Vertex);
        vertex.project = Some("p".to_owned());
        vertex.region = Some("global".to_owned());
        let configs = vec![
            local,
            vertex,
            Config::new("openai", Preset::OpenAi),
            Config::new("anthropic", Preset::Anthropic),
            Config::new("gemini", Preset::Gemini),
        ];
        let providers = Providers::build(configs).unwrap();
        for (provider, operation, model, expected) in [
            ("local", chat, "m", &[Dialect::Responses, Dialect::Chat][..]),
            ("local", embeddings, "m", &[Dialect::Chat]),
            ("openai", chat, "m", &[Dialect::Chat, Dialect::Responses]),
            ("anthropic", chat, "m", &[Dialect::Messages, Dialect::Chat]),
            ("anthropic", embeddings, "m", &[]),
            ("gemini", embeddings, "m", &[Dialect::Gemini, Dialect::Chat]),
            ("vertex", chat, "claude-opus-4-1", &[Dialect::Messages]),
            ("vertex", chat, "gemini-2.5-pro", &[Dialect::Gemini]),
        ] {
            let endpoint = providers.get(provider).unwrap();
            assert_eq!(endpoint.dialects(operation, model), expected, "{provider}");
        }
    }
}
