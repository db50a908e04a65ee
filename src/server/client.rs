//! How the command line speaks to the admin plane: over HTTP to a running server, or straight
//! through the same router when no server runs.

use crate::domain::Secret;
use crate::server::AdminState;
use crate::server::error::Cause;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::uri::Authority;
use http::{Method, Request, StatusCode, Uri, header};
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
    /// What is behind an error that tells clients no more than that it is ours; known in this process alone.
    pub cause: Option<String>,
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
        self.follow(method, path, body, None).await
    }

    /// Sends a request and hands each line of a good answer to `on_line` when it comes; what is returned
    /// has the body of an answer that is not good.
    ///
    /// # Errors
    ///
    /// When a running server cannot be reached, or the answer breaks off.
    pub async fn lines(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        on_line: &mut (dyn FnMut(&[u8]) + Send),
    ) -> Result<AdminReply, ClientError> {
        self.follow(method, path, body, Some(on_line)).await
    }

    async fn follow(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        on_line: Option<OnLine<'_>>,
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
            Self::Remote { address, .. } => {
                let stream = TcpStream::connect(*address).await;
                let sent = async {
                    let exchanged = exchange(stream?, request, on_line).await;
                    exchanged.map_err(io::Error::other)
                };
                sent.await.map_err(|error| self.error(&error))
            }
            Self::Local { router, .. } => {
                let answer = router
                    .as_ref()
                    .clone()
                    .oneshot(request.map(Body::new))
                    .await;
                let (parts, body) = answer.map_err(|error| self.error(&error))?.into_parts();
                let read = read(parts.status, body, on_line).await;
                let reply = read.map_err(|error| self.error(&error))?;
                let cause = parts.extensions.get::<Cause>();
                Ok(AdminReply {
                    cause: cause.map(|cause| cause.0.clone()),
                    ..reply
                })
            }
        }
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
        exchange(stream, request, None)
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

/// Who gets the lines of an answer.
type OnLine<'a> = &'a mut (dyn FnMut(&[u8]) + Send);

async fn exchange(
    stream: TcpStream,
    request: Request<Full<Bytes>>,
    on_line: Option<OnLine<'_>>,
) -> Result<AdminReply, hyper::Error> {
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let (parts, body) = sender.send_request(request).await?.into_parts();
        read(parts.status, body, on_line).await
    };
    // The connection is driven here, beside the exchange, and ends with it.
    let (answer, _) = futures_util::future::join(exchange, connection).await;
    answer
}

/// Reads an answer, line by line where it is good and somebody wants its lines.
async fn read<B>(
    status: StatusCode,
    body: B,
    on_line: Option<OnLine<'_>>,
) -> Result<AdminReply, B::Error>
where
    B: http_body::Body<Data = Bytes>,
{
    let (code, on_line) = (status.as_u16(), on_line.filter(|_| status.is_success()));
    let Some(on_line) = on_line else {
        let body = body.collect().await?.to_bytes();
        return Ok(AdminReply {
            status: code,
            body,
            cause: None,
        });
    };
    let mut body = std::pin::pin!(body);
    let mut rest = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        rest.extend_from_slice(&data);
        while let Some(end) = memchr::memchr(b'\n', &rest) {
            let line: Vec<u8> = rest.drain(..=end).collect();
            on_line(line.trim_ascii_end());
        }
    }
    Ok(AdminReply {
        status: code,
        body: rest.into(),
        cause: None,
    })
}

#[cfg(test)]
mod tests {
    use super::AdminClient;
    use crate::server::error::ApiError;
    use axum::Router;
    use axum::routing::get;
    use http::Method;

    #[tokio::test]
    async fn a_command_learns_what_a_client_must_not() {
        let failing = async || ApiError::internal(&"the disk is gone");
        let client = AdminClient::Local {
            router: Box::new(Router::new().route("/x", get(failing))),
            token: "none".to_owned(),
        };
        let reply = client.send(Method::GET, "/x", None).await.unwrap();
        assert_eq!(reply.status, 500);
        let body = std::str::from_utf8(&reply.body).unwrap();
        assert!(!body.contains("the disk is gone"), "{body}");
        assert_eq!(reply.cause.as_deref(), Some("the disk is gone"));
    }
}
