//! A client that is in command of every byte: it sends what it likes, reads as far as it likes,
//! and leaves when it likes.

use crate::support::within;
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Talks to one address; every request opens a connection of its own unless told otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

impl Client {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            headers: Vec::new(),
        }
    }

    /// Sends `name: value` with every request.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends `key` as a bearer token with every request.
    pub(crate) fn bearer(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.ask("GET", path, b"").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Response {
        self.ask("POST", path, body.to_string().as_bytes()).await
    }

    /// The address it talks to.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) async fn put_bytes(&self, path: &str, body: &[u8]) -> Response {
        self.ask("PUT", path, body).await
    }

    pub(crate) async fn post_bytes(&self, path: &str, body: &[u8]) -> Response {
        self.ask("POST", path, body).await
    }

    /// Posts a chat completion.
    pub(crate) async fn chat(&self, body: &Value) -> Response {
        self.post("/v1/chat/completions", body).await
    }

    /// Posts a chat completion and reads nothing yet.
    pub(crate) async fn open_chat(&self, body: &Value) -> Connection {
        let mut connection = self.connect().await;
        let request = self.request("POST", "/v1/chat/completions", body.to_string().as_bytes());
        connection.send(&request).await.unwrap();
        connection
    }

    /// The same as [`Client::chat`], for a gateway that may die meanwhile.
    pub(crate) async fn try_chat(&self, body: &Value) -> Option<Response> {
        let mut connection = Connection::open(self.address).await.ok()?;
        let request = self.request("POST", "/v1/chat/completions", body.to_string().as_bytes());
        connection.send(&request).await.ok()?;
        within("the answer", connection.read_response()).await
    }

    /// The same as [`Client::get`], for a gateway that may not be there.
    pub(crate) async fn try_get(&self, path: &str) -> Option<Response> {
        let mut connection = Connection::open(self.address).await.ok()?;
        connection
            .send(&self.request("GET", path, b""))
            .await
            .ok()?;
        within(path, connection.read_response()).await
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address).await.unwrap()
    }

    /// The exact bytes of a request.
    pub(crate) fn request(&self, method: &str, path: &str, body: &[u8]) -> Vec<u8> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\n", self.address);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if matches!(method, "POST" | "PUT") {
            head.push_str(&format!(
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            ));
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }

    async fn ask(&self, method: &str, path: &str, body: &[u8]) -> Response {
        let mut connection = self.connect().await;
        // A server may answer and close before it has read a body it will not have.
        let _ = connection.send(&self.request(method, path, body)).await;
        within(path, connection.read_response())
            .await
            .unwrap_or_else(|| panic!("{method} {path}: no response"))
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Reads until `count` bytes have come in all.
    pub(crate) async fn read_exactly(&mut self, count: usize) {
        while self.buffer.len() < count {
            let mut piece = vec![0; count - self.buffer.len()];
            let read = within("bytes", self.stream.read(&mut piece)).await.unwrap();
            assert!(0 < read, "the connection ended after {}", self.buffer.len());
            self.buffer.extend_from_slice(&piece[..read]);
        }
    }

    /// Reads until `needle` has come, and returns how many bytes have come in all.
    pub(crate) async fn read_until(&mut self, needle: &str) -> usize {
        loop {
            if find(&self.buffer, needle.as_bytes()).is_some() {
                return self.buffer.len();
            }
            let more = within(needle, self.read_more()).await;
            assert!(more, "ended before {needle:?}: {}", self.text());
        }
    }

    /// Reads to the end of the response; `None` when the connection ends before its head.
    pub(crate) async fn read_response(&mut self) -> Option<Response> {
        loop {
            if let Some((response, used)) = Response::parse(&self.buffer, false) {
                self.buffer.drain(..used);
                return Some(response);
            }
            if !self.read_more().await {
                return Response::parse(&self.buffer, true).map(|(response, _)| response);
            }
        }
    }

    /// Reads until the other side closes, and returns everything that came.
    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        while within("the end of the connection", self.read_more()).await {}
        std::mem::take(&mut self.buffer)
    }

    /// Leaves without a goodbye: the other side sees a reset, not an end.
    pub(crate) fn reset(self) {
        self.stream.set_zero_linger().unwrap();
    }

    /// What has come, as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Whether more came; `false` at the end or on an error.
    async fn read_more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.buffer).await, Ok(read) if 0 < read)
    }
}

/// A response as it came.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body came to its end as HTTP defines it.
    pub(crate) complete: bool,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The id of the call.
    pub(crate) fn call_id(&self) -> &str {
        self.header("x-request-id")
            .unwrap_or_else(|| panic!("no x-request-id: {self:?}"))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The payloads of a stream's `data:` lines, whole events only.
    pub(crate) fn events(&self) -> Vec<String> {
        let text = self.text();
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
        whole
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| data.trim_start().to_owned())
            .collect()
    }

    /// The error object, after a check that it has the four keys every SDK reads.
    pub(crate) fn error(&self) -> Value {
        let error = self.json()["error"].clone();
        for key in ["message", "type", "param", "code"] {
            assert!(error.get(key).is_some(), "no `{key}` in {}", self.text());
        }
        error
    }

    /// The error's code, with the status before it: `404 prompt_not_found`.
    pub(crate) fn failure(&self) -> String {
        let error = self.error();
        let code = error["code"].as_str().unwrap_or("null");
        format!("{} {code}", self.status)
    }

    /// The answer's text.
    pub(crate) fn content(&self) -> String {
        let body = self.json();
        body["choices"][0]["message"]["content"]
            .as_str()
            .unwrap_or_else(|| panic!("no content: {body}"))
            .to_owned()
    }

    /// Parses a response and the number of its bytes; `None` when it has not all come.
    fn parse(bytes: &[u8], at_end: bool) -> Option<(Self, usize)> {
        let head_end = find(bytes, b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        if status == 100 {
            let (response, used) = Self::parse(&bytes[head_end..], at_end)?;
            return Some((response, used + head_end));
        }
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        let mut response = Self {
            status,
            headers,
            body: Vec::new(),
            complete: false,
        };
        let rest = &bytes[head_end..];
        let used = response.read_body(rest, at_end);
        (response.complete || at_end).then_some((response, head_end + used))
    }

    /// Takes the body from `rest` as far as it has come, and returns the bytes it took.
    fn read_body(&mut self, rest: &[u8], at_end: bool) -> usize {
        let length = self
            .header("content-length")
            .map(|length| length.parse::<usize>().unwrap());
        if self.header("transfer-encoding") == Some("chunked") {
            let mut used = 0;
            while let Some((chunk, size)) = next_chunk(&rest[used..]) {
                used += size;
                self.body.extend_from_slice(chunk);
                if chunk.is_empty() {
                    self.complete = true;
                    break;
                }
            }
            return used;
        }
        let size = length.unwrap_or(rest.len()).min(rest.len());
        self.body = rest[..size].to_vec();
        self.complete = length.map_or(at_end, |length| length == size);
        size
    }
}

/// The next whole chunk of a chunked body, and its size with its frame.
pub(super) fn next_chunk(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let line_end = find(bytes, b"\r\n")?;
    let line = std::str::from_utf8(&bytes[..line_end]).ok()?;
    let digits = line.split(';').next()?.trim();
    let size = usize::from_str_radix(digits, 16).ok()?;
    let start = line_end + 2;
    let chunk = bytes.get(start..start + size)?;
    bytes.get(start + size..start + size + 2)?;
    Some((chunk, start + size + 2))
}

/// Where `needle` starts in `bytes`.
pub(super) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}
