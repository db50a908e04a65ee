//! How the command line speaks to the admin plane: over HTTP to a running server, or straight
//! through the same router when no server runs.

use crate::domain::Secret;
use crate::server::AdminState;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::uri::Authority;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use tower::util::ServiceExt;

/// A way to the admin plane.
#[derive(Debug)]
pub enum AdminClient {
    /// A server that runs in another process.
    Remote {
        /// Where its admin plane listens.
        address: SocketAddr,
        /// The admin token.
        token: String,
    },
    /// The router of this process.
    Local {
        /// The admin plane.
        router: Box<Router>,
        /// The admin token.
        token: String,
    },
}

impl AdminClient {
    /// Returns the way to the admin plane of this process.
    #[must_use]
    pub fn local(state: AdminState, token: &Secret) -> Self {
        let router = Box::new(crate::server::admin(state));
        Self::Local {
            router,
            token: token.reveal().to_owned(),
        }
    }

    /// Returns the way to a server in another process.
    #[must_use]
    pub fn remote(address: SocketAddr, token: &Secret) -> Self {
        Self::Remote {
            address,
            token: token.reveal().to_owned(),
        }
    }
}

/// An answer of the admin plane.
#[derive(Debug)]
pub struct AdminReply {
    /// The HTTP status.
    pub status: u16,
    /// The body, JSON.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("the server at {address} cannot be reached: {problem}")]
pub struct ClientError {
    address: String,
    problem: String,
}

impl AdminClient {
    /// Sends a request and returns the answer, whatever its status.
    ///
    /// # Errors
    ///
    /// When a running server cannot be reached.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<AdminReply, ClientError> {
        let token = match self {
            Self::Remote { token, .. } | Self::Local { token, .. } => token,
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "promptgate")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.unwrap_or_default()))
            .map_err(|error| self.error(&error))?;
        match self {
            Self::Remote { address, .. } => self.send_remote(*address, request).await,
            Self::Local { router, .. } => {
                let answer = router
                    .as_ref()
                    .clone()
                    .oneshot(request.map(Body::new))
                    .await;
                let (parts, body) = answer.map_err(|error| self.error(&error))?.into_parts();
                let body = body.collect().await.map_err(|error| self.error(&error))?;
                Ok(AdminReply {
                    status: parts.status.as_u16(),
                    body: body.to_bytes(),
                })
            }
        }
    }

    async fn send_remote(
        &self,
        address: SocketAddr,
        request: Request<Full<Bytes>>,
    ) -> Result<AdminReply, ClientError> {
        let stream = TcpStream::connect(address).await;
        let sent = async { exchange(stream?, request).await.map_err(io::Error::other) };
        sent.await.map_err(|error| self.error(&error))
    }

    /// Puts a body to `path` of a server that need not be on this machine, without a token.
    ///
    /// # Errors
    ///
    /// When it cannot be reached.
    pub async fn put(
        path: &str,
        server: &Uri,
        headers: &[(&str, String)],
        body: Bytes,
    ) -> Result<AdminReply, ClientError> {
        let error = |problem: &dyn std::fmt::Display| ClientError {
            address: server.to_string(),
            problem: problem.to_string(),
        };
        if server.scheme_str() != Some("http") {
            return Err(error(
                &"only `http://` is spoken here; push a file with curl instead",
            ));
        }
        let host = server.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let mut request = Request::builder().method(Method::PUT).uri(path);
        request = request.header(
            header::HOST,
            server.authority().map_or("", Authority::as_str),
        );
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request
            .body(Full::new(body))
            .map_err(|problem| error(&problem))?;
        let stream = TcpStream::connect((host, server.port_u16().unwrap_or(80))).await;
        let stream = stream.map_err(|problem| error(&problem))?;
        exchange(stream, request)
            .await
            .map_err(|problem| error(&problem))
    }

    fn error(&self, problem: &dyn std::fmt::Display) -> ClientError {
        let address = match self {
            Self::Remote { address, .. } => address.to_string(),
            Self::Local { .. } => "this process".to_owned(),
        };
        ClientError {
            address,
            problem: problem.to_string(),
        }
    }
}

async fn exchange(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
) -> Result<AdminReply, hyper::Error> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        Ok::<_, hyper::Error>((parts.status.as_u16(), body.collect().await?.to_bytes()))
    };
    // The connection is driven here, beside the exchange, and ends with it.
    let (answer, _) = futures_util::future::join(exchange, connection).await;
    let (status, body) = answer?;
    Ok(AdminReply { status, body })
}
