//! How the command line speaks to the admin plane: over HTTP to a running server, or straight
//! through the same router when no server runs.

use crate::domain::Secret;
use crate::server::AdminState;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
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
#[error("the running server at {address} cannot be reached: {problem}")]
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
        let stream = TcpStream::connect(address)
            .await
            .map_err(|error| self.error(&error))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.error(&error))?;
        let exchange = async move {
            let (parts, body) = sender.send_request(request).await?.into_parts();
            Ok::<_, hyper::Error>((parts.status.as_u16(), body.collect().await?.to_bytes()))
        };
        // The connection is driven here, beside the exchange, and ends with it.
        let (answer, _) = futures_util::future::join(exchange, connection).await;
        let (status, body) = answer.map_err(|error| self.error(&error))?;
        Ok(AdminReply { status, body })
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
