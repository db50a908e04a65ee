//! A server for tests: it answers every request by a function, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// A server on this machine.
#[derive(Debug)]
pub(super) struct Server {
    /// `http://127.0.0.1:PORT`.
    pub(super) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) method: String,
    /// The path and the query.
    pub(super) target: String,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Asked {
    /// Returns a header, empty when there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }
}

impl Server {
    /// Starts a server whose answers are what `answer` makes of requests, as bytes of HTTP.
    pub(super) async fn start(answer: impl Fn(&Asked) -> String + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, seen) = (Arc::new(answer), Arc::clone(&asked));
        let tracker = TaskTracker::new();
        let connections = tracker.clone();
        tracker.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                connections.spawn(talk(socket, Arc::clone(&answer), Arc::clone(&seen)));
            }
        });
        Self { url, asked }
    }

    /// Returns the requests so far whose path begins with `path`.
    pub(super) fn asked(&self, path: &str) -> Vec<Asked> {
        let asked = self.asked.lock().unwrap();
        let ours = asked.iter().filter(|asked| asked.target.starts_with(path));
        ours.cloned().collect()
    }
}

/// Answers what comes over one connection, until it is closed.
async fn talk(
    mut socket: TcpStream,
    answer: Arc<impl Fn(&Asked) -> String>,
    seen: Arc<Mutex<Vec<Asked>>>,
) {
    while let Some(request) = read(&mut socket).await {
        let bytes = answer(&request);
        seen.lock().unwrap().push(request);
        if socket.write_all(bytes.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Returns an answer as bytes of HTTP.
pub(super) fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

/// Reads one request; `None` when there is none any more.
async fn read(socket: &mut TcpStream) -> Option<Asked> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = memchr::memmem::find(&bytes, b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            let mut first = lines.next().unwrap().split(' ');
            let headers: Vec<(String, String)> = lines
                .map(|line| line.split_once(':').unwrap())
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect();
            let mut request = Asked {
                method: first.next().unwrap().to_owned(),
                target: first.next().unwrap().to_owned(),
                headers,
                body: String::new(),
            };
            let length: usize = request.header("content-length").parse().unwrap_or(0);
            if end + 4 + length <= bytes.len() {
                request.body = String::from_utf8(bytes[end + 4..].to_vec()).unwrap();
                return Some(request);
            }
        }
        let mut buffer = [0; 4096];
        match socket.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}
