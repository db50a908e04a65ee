//! Asks those who hand out credentials: one small request, one small answer.

use super::Fault;
use crate::providers::Deadlines;
use crate::providers::client::{Clients, Settings};
use crate::providers::error::Error;
use crate::providers::stream::{ByteStream, Clocks};
use crate::providers::upload::RequestBody;
use crate::providers::urls::{encoded, is_loopback};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use url::{Host, Url};

/// The largest answer, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Addresses at which a machine, and nobody else, is told who it is. They are asked without TLS.
const OF_THIS_MACHINE: [&str; 6] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "[fd00:ec2::254]",
    "[fd00:ec2::23]",
    "metadata.google.internal",
];

/// Somebody who hands out credentials.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    /// What it is called in errors.
    pub(super) name: &'a str,
    /// Where it is.
    pub(super) url: &'a str,
    /// How long an answer may take.
    pub(super) limit: Duration,
}

impl Source<'_> {
    /// Returns a fault of this source.
    pub(super) fn fault(&self, problem: impl std::fmt::Display, hint: &str) -> Fault {
        Fault::new(
            format!("gets no credentials from {}: {problem}", self.name),
            hint,
        )
    }

    /// Asks with a form, as OAuth and Amazon's older services want it.
    pub(super) async fn post_form(
        &self,
        pairs: &[(&str, &str)],
    ) -> Result<(StatusCode, Bytes), Fault> {
        self.send(form(self.uri()?, pairs)).await
    }

    /// Asks with headers and no body.
    pub(super) async fn get(
        &self,
        method: Method,
        headers: HeaderMap,
    ) -> Result<(StatusCode, Bytes), Fault> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = self.uri()?;
        *request.headers_mut() = headers;
        self.send(request).await
    }

    /// Sends a request that was made for this source, and takes all of the answer.
    pub(super) async fn send(
        &self,
        mut request: Request<Bytes>,
    ) -> Result<(StatusCode, Bytes), Fault> {
        let network = "check the network, and that the address is right";
        let failed = |error: &Error| self.fault(format!("it {}", error.message()), network);
        let agent = HeaderValue::from_static(concat!("promptgate/", env!("CARGO_PKG_VERSION")));
        request.headers_mut().insert(USER_AGENT, agent);
        let connect = self.limit.min(Duration::from_secs(5));
        let settings = Settings::new(request.uri(), connect, self.is_direct()?);
        let client = Clients::default()
            .get(settings, self.name)
            .map_err(|error| failed(&error))?;
        let clocks = Clocks {
            provider: self.name.into(),
            started: Instant::now(),
            deadlines: Deadlines {
                connect,
                first_byte: self.limit,
                idle: self.limit,
                total: self.limit,
            },
            max_bytes: MAX_ANSWER,
        };
        let answering = async {
            let response = client
                .send(request.map(RequestBody::whole))
                .await
                .map_err(|failure| failed(&Error::from_transport(self.name, connect, failure)))?;
            let (head, body) = response.into_parts();
            let body = ByteStream::http(body, clocks).whole(None).await;
            Ok((head.status, body.map_err(|error| failed(&error))?))
        };
        let late = |_| self.fault(format!("no answer within {:?}", self.limit), network);
        timeout(self.limit, answering).await.map_err(late)?
    }

    pub(super) fn uri(&self) -> Result<Uri, Fault> {
        self.is_direct()?;
        Uri::try_from(self.url).map_err(|error| self.fault(error, "check the URL"))
    }

    /// Whether no proxy stands between. Secrets go over TLS, or stay on this machine.
    fn is_direct(&self) -> Result<bool, Fault> {
        let wrong = "set a URL with `https`, or one of this machine";
        let url = Url::parse(self.url).map_err(|error| self.fault(error, wrong))?;
        let host = url.host_str().unwrap_or_default();
        let is_here = is_loopback(&url) || OF_THIS_MACHINE.contains(&host);
        if url.scheme() == "https" || (url.scheme() == "http" && is_here) {
            return Ok(is_here || matches!(url.host(), Some(Host::Ipv4(ip)) if ip.is_link_local()));
        }
        Err(self.fault("it would be asked without TLS", wrong))
    }
}

/// Returns a request that posts a form.
pub(super) fn form(uri: Uri, pairs: &[(&str, &str)]) -> Request<Bytes> {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value.as_bytes())))
        .collect();
    let mut request = Request::new(Bytes::from(pairs.join("&")));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    let media_type = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, media_type);
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    request
}
