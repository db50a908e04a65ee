//! The HTTP clients: pools of connections, one on every thread that asks, so that the thread that
//! serves a call also drives its connection.
//!
//! Where the system's settings put a proxy before a provider, `reqwest` asks in our place: it knows
//! the ways of proxies, at a price that a direct call need not pay.

use crate::providers::error::{Error, ErrorKind};
use crate::providers::upload::RequestBody;
use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tower_service::Service;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Pool = legacy::Client<Dial, RequestBody>;

/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(90);
/// How long a connection may be silent before the kernel asks whether the other end is there.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// What a client depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Settings {
    /// How long a connection may take, TLS included.
    pub(super) connect_timeout: Duration,
    /// Whether any URL is `https`. Without, the system's root certificates are not loaded, which
    /// takes tens of milliseconds.
    pub(super) needs_tls: bool,
    /// Whether a proxy stands between.
    is_proxied: bool,
}

impl Settings {
    /// Returns the settings of a client for the host of `url`. `is_loopback`: no proxy reaches it.
    pub(super) fn new(url: &Uri, connect_timeout: Duration, is_loopback: bool) -> Self {
        Self {
            connect_timeout,
            needs_tls: url.scheme() == Some(&http::uri::Scheme::HTTPS),
            is_proxied: !is_loopback && Matcher::from_system().intercept(url).is_some(),
        }
    }
}

/// The clients made so far.
#[derive(Debug, Default)]
pub(super) struct Clients {
    made: HashMap<Settings, Client>,
}

impl Clients {
    /// Returns the client for `settings`, making it when there is none.
    pub(super) fn get(&mut self, settings: Settings, provider: &str) -> Result<Client, Error> {
        if let Some(client) = self.made.get(&settings) {
            return Ok(client.clone());
        }
        let client = Client::build(settings).map_err(|problem| {
            let message = format!("cannot have an HTTP client: {problem}");
            Error::unsent(ErrorKind::Config, provider, message)
        })?;
        self.made.insert(settings, client.clone());
        Ok(client)
    }
}

/// Installs the cryptography of TLS for the whole process, once. [`crate::providers::Providers`]
/// does it too; whatever else builds an HTTP client before (the exporter of spans) needs it.
pub fn install_tls() {
    // Fails when one is installed already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Sends requests. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) enum Client {
    /// Over connections of our own, made as the dial says.
    Direct(Arc<Dial>),
    /// Through a proxy.
    Proxied(reqwest::Client),
}

impl Client {
    fn build(settings: Settings) -> Result<Self, BoxError> {
        install_tls();
        if settings.is_proxied {
            return Ok(Self::Proxied(proxied(settings)?));
        }
        Ok(Self::Direct(Arc::new(Dial::build(settings)?)))
    }

    /// Sends `request`; returns when the head of the answer is here.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
    ) -> Result<Response<AnswerBody>, Failure> {
        match self {
            Self::Direct(dial) => {
                // The borrow of the thread's pools must end before the wait begins.
                let answering = with_pool(dial, |pool| pool.request(request));
                let answer = answering.await.map_err(Failure::Direct)?;
                Ok(answer.map(AnswerBody::Direct))
            }
            Self::Proxied(client) => {
                let request = request.map(|body| match body {
                    RequestBody::Whole(bytes) => bytes.unwrap_or_default().into(),
                    upload @ RequestBody::Upload { .. } => reqwest::Body::wrap(upload),
                });
                let request = request.try_into().map_err(Failure::Proxied)?;
                let answer = client.execute(request).await.map_err(Failure::Proxied)?;
                Ok(Response::<reqwest::Body>::from(answer).map(AnswerBody::Proxied))
            }
        }
    }
}

fn proxied(settings: Settings) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .connect_timeout(settings.connect_timeout)
        // A redirect could lead the key to another host.
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .tcp_nodelay(true)
        .tcp_keepalive(KEEPALIVE)
        .pool_idle_timeout(IDLE)
        // Retries are the caller's business, who records every attempt.
        .retry(reqwest::retry::never())
        .build()
}

thread_local! {
    /// The pools of this thread. A config that is read again makes new ones; the old go with the last
    /// call that uses them.
    static POOLS: RefCell<Vec<(Weak<Dial>, Pool)>> = const { RefCell::new(Vec::new()) };
}

/// Runs `use_pool` with this thread's connections of `dial`.
fn with_pool<T>(dial: &Arc<Dial>, use_pool: impl FnOnce(&Pool) -> T) -> T {
    POOLS.with_borrow_mut(|pools| {
        let known = pools
            .iter()
            .position(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(dial)));
        if let Some((_, pool)) = known.and_then(|place| pools.get(place)) {
            return use_pool(pool);
        }
        pools.retain(|(known, _)| 0 < known.strong_count());
        let pool = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(Dial::clone(dial));
        let result = use_pool(&pool);
        pools.push((Arc::downgrade(dial), pool));
        result
    })
}

/// Makes connections, within a limit.
#[derive(Clone)]
pub(super) struct Dial {
    connector: HttpsConnector<HttpConnector>,
    limit: Duration,
}

impl Dial {
    fn build(settings: Settings) -> Result<Self, BoxError> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.enforce_http(false);
        let config = rustls::ClientConfig::builder();
        let config = if settings.needs_tls {
            config.try_with_platform_verifier()?
        } else {
            config.with_root_certificates(rustls::RootCertStore::empty())
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config.with_no_client_auth())
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(tcp);
        Ok(Self {
            connector,
            limit: settings.connect_timeout,
        })
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Dial")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl Service<Uri> for Dial {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(context)
    }

    fn call(&mut self, host: Uri) -> Self::Future {
        let limit = self.limit;
        let dialling = self.connector.call(host);
        Box::pin(async move {
            let dialled = tokio::time::timeout(limit, dialling).await;
            dialled.map_err(|_elapsed| BoxError::from(DialTimeout))?
        })
    }
}

/// A connection did not stand in time.
#[derive(Debug, thiserror::Error)]
#[error("the connection did not stand in time")]
pub(super) struct DialTimeout;

/// Why a request or an answer broke off.
#[derive(Debug)]
pub(super) enum Failure {
    /// Without an answer.
    Direct(legacy::Error),
    /// Within the answer's body.
    Body(hyper::Error),
    /// Behind a proxy.
    Proxied(reqwest::Error),
}

/// The body of an answer.
#[derive(Debug)]
pub(super) enum AnswerBody {
    /// From a connection of our own.
    Direct(Incoming),
    /// Through a proxy.
    Proxied(reqwest::Body),
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        match self.get_mut() {
            Self::Direct(body) => Pin::new(body)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(Failure::Body))),
            Self::Proxied(body) => Pin::new(body)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(Failure::Proxied))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Direct(body) => body.is_end_stream(),
            Self::Proxied(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Direct(body) => body.size_hint(),
            Self::Proxied(body) => body.size_hint(),
        }
    }
}
