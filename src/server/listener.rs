//! The accept loop: `axum::serve` installs no timer, so slow headers would hold a connection for
//! ever; here every connection has a clock, a cap on its headers, and a place in a bounded crowd.

use crate::server::stall::StallGuard;
use crate::server::workers::Workers;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::util::ServiceExt;

/// Limits of one listener.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once; a further one waits in the kernel's backlog.
    pub connections: usize,
    /// How long a client may take to send the head of a request.
    pub header_timeout: Duration,
    /// The largest head of a request, in bytes; so much of a body is read at once.
    pub header_bytes: usize,
    /// How long a write may make no progress before the connection is closed.
    pub write_stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            header_timeout: Duration::from_secs(10),
            header_bytes: 64 * 1024,
            write_stall: Duration::from_secs(60),
        }
    }
}

/// When a listener ends: first it stops accepting, later it cuts what is still open.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    /// No new connections; open ones finish what they carry.
    pub accepting: CancellationToken,
    /// Open connections are dropped.
    pub cut: CancellationToken,
}

/// Serves `router` on `listener` until `stop`; `workers` carry the connections. Returns when the last
/// one has ended.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    stop: Stop,
    workers: &Workers,
) {
    let crowd = Arc::new(Semaphore::new(limits.connections));
    let connections = TaskTracker::new();
    let builder = Arc::new(connection_builder(&limits));
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&crowd).acquire_owned() => permit,
            () = stop.accepting.cancelled() => break,
        };
        let Ok(permit) = permit else { break };
        let stream = tokio::select! {
            accepted = accept(&listener) => accepted,
            () = stop.accepting.cancelled() => break,
        };
        // A socket belongs to the runtime it was made on: the one that carries it takes it anew.
        let Ok(stream) = stream.into_std() else {
            continue;
        };
        let (router, builder, stop) = (router.clone(), Arc::clone(&builder), stop.clone());
        let write_stall = limits.write_stall;
        workers.carry(&connections, async move {
            if let Ok(stream) = TcpStream::from_std(stream) {
                drive(stream, router, builder, write_stall, stop).await;
            }
            drop(permit);
        });
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// HTTP/1.1 only: a client without TLS does not speak HTTP/2 to us, and telling the two apart would
/// need a wait for first bytes that no clock of hyper bounds.
fn connection_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes.max(8 * 1024));
    builder
}

/// Accepts the next connection. An error (out of file descriptors, say) is waited out.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _peer)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn drive(
    stream: TcpStream,
    router: Router,
    builder: Arc<http1::Builder>,
    write_stall: Duration,
    stop: Stop,
) {
    // Without it the second small write of an answer waits for the client's delayed ACK: 40 ms.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let io = TokioIo::new(StallGuard::new(stream, write_stall));
    let service = router.map_request(|request: http::Request<hyper::body::Incoming>| {
        request.map(axum::body::Body::new)
    });
    let connection = builder.serve_connection(io, TowerToHyperService::new(service));
    tokio::pin!(connection);
    let mut is_draining = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended early");
                }
                return;
            }
            () = stop.accepting.cancelled(), if !is_draining => {
                is_draining = true;
                connection.as_mut().graceful_shutdown();
            }
            () = stop.cut.cancelled() => return,
        }
    }
}
