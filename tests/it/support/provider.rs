//! A provider that does as it is told: it answers by script, byte for byte, and keeps a journal of
//! what it was asked and of the moment its client went away.
//!
//! It stands on plain sockets with a small HTTP/1.1 parser of its own, since no HTTP library
//! would let it break a response at an exact byte.

use crate::support::client::find;
use crate::support::within;
use bytes::Bytes;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How the provider breaks a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// An orderly end (FIN).
    Close,
    /// A reset (RST).
    Reset,
}

#[derive(Debug, Clone)]
enum Step {
    Write(Bytes),
    Wait(Duration),
    /// Nothing more until [`FakeProvider::release`].
    Gate,
    /// Nothing more, ever.
    Stall,
    End(Ending),
}

/// What the provider does with one request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    steps: Vec<Step>,
}

impl Answer {
    /// A whole chat completion with `text`, and usage of 9 and 2 tokens.
    pub(crate) fn reply(text: &str) -> Self {
        Self::json(&json!({
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }],
            "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11},
        }))
    }

    /// A 200 with a JSON body.
    pub(crate) fn json(body: &Value) -> Self {
        Self::status(200, &[], &body.to_string())
    }

    /// A failure with a JSON body.
    pub(crate) fn fail(status: u16, body: &Value) -> Self {
        Self::status(status, &[], &body.to_string())
    }

    /// A response with a status, more headers, and a body.
    pub(crate) fn status(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let more: String = headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        Self::raw(format!(
            "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\n{more}\
             content-length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// A streamed chat completion with one content event for each piece, a finish reason, usage,
    /// and `[DONE]`.
    pub(crate) fn stream(pieces: &[&str]) -> Self {
        let events = chat_events(pieces);
        Self::events(&events.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// A stream of exactly these events, each in an HTTP chunk of its own.
    pub(crate) fn events(events: &[&str]) -> Self {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        let mut steps = vec![Step::Write(head.into())];
        steps.extend(
            events
                .iter()
                .map(|event| Step::Write(format!("{:x}\r\n{event}\r\n", event.len()).into())),
        );
        steps.push(Step::Write("0\r\n\r\n".into()));
        Self { steps }
    }

    /// Exactly these bytes, head included.
    pub(crate) fn raw(bytes: impl Into<Bytes>) -> Self {
        Self {
            steps: vec![Step::Write(bytes.into())],
        }
    }

    /// No answer at all.
    pub(crate) fn hang() -> Self {
        Self {
            steps: vec![Step::Stall],
        }
    }

    /// Waits before the first byte.
    pub(crate) fn delay(mut self, delay: Duration) -> Self {
        self.steps.insert(0, Step::Wait(delay));
        self
    }

    /// Waits between the pieces.
    pub(crate) fn pace(self, pause: Duration) -> Self {
        let steps = self.steps.into_iter();
        Self {
            steps: steps.flat_map(|step| [step, Step::Wait(pause)]).collect(),
        }
    }

    /// Breaks the connection after `offset` bytes.
    pub(crate) fn cut(self, offset: usize, ending: Ending) -> Self {
        self.stop(offset, Step::End(ending))
    }

    /// Falls silent after `offset` bytes, with the connection open.
    pub(crate) fn stall_after(self, offset: usize) -> Self {
        self.stop(offset, Step::Stall)
    }

    /// Holds everything after the first `writes` pieces (the head is the first piece of a stream)
    /// until [`FakeProvider::release`].
    pub(crate) fn gate_after(mut self, writes: usize) -> Self {
        self.steps.insert(writes, Step::Gate);
        self
    }

    /// How many bytes the answer has.
    pub(crate) fn len(&self) -> usize {
        let sizes = self.steps.iter().map(|step| match step {
            Step::Write(bytes) => bytes.len(),
            Step::Wait(_) | Step::Gate | Step::Stall | Step::End(_) => 0,
        });
        sizes.sum()
    }

    fn stop(self, offset: usize, last: Step) -> Self {
        let (mut steps, mut left) = (Vec::new(), offset);
        for step in self.steps {
            if let Step::Write(bytes) = &step {
                if left < bytes.len() {
                    steps.push(Step::Write(bytes.slice(..left)));
                    break;
                }
                left -= bytes.len();
            }
            steps.push(step);
        }
        steps.push(last);
        Self { steps }
    }
}

/// The events of a streamed chat completion as OpenAI sends them with `include_usage`.
pub(crate) fn chat_events(pieces: &[&str]) -> Vec<String> {
    let event = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": choices,
        });
        if !usage.is_null() {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, reason: Value| json!([{"index": 0, "delta": delta, "finish_reason": reason}]);
    let mut events: Vec<String> = pieces
        .iter()
        .map(|piece| event(choice(json!({"content": piece}), Value::Null), Value::Null))
        .collect();
    events.push(event(choice(json!({}), json!("stop")), Value::Null));
    events.push(event(
        json!([]),
        json!({"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}),
    ));
    events.push("data: [DONE]\n\n".to_owned());
    events
}

/// One request in the provider's journal.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    /// When it had come.
    pub(crate) at: Instant,
    /// When its client went away before the script was through.
    pub(crate) gone: Option<Instant>,
    /// Whether the script was carried out to its end.
    pub(crate) answered: bool,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(candidate, _)| candidate.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The request's `user`, by which tests mark their requests.
    pub(crate) fn tag(&self) -> String {
        self.json()["user"].as_str().unwrap_or_default().to_owned()
    }

    /// The gateway's id of the call.
    pub(crate) fn call_id(&self) -> Option<&str> {
        self.header("x-request-id")
    }
}

type Rule = Box<dyn Fn(&Received) -> Answer + Send + Sync>;

struct Shared {
    script: Mutex<VecDeque<Answer>>,
    rule: Mutex<Rule>,
    journal: Mutex<Vec<Received>>,
    /// Counts the changes of the journal, so that nobody has to poll it.
    changes: watch::Sender<u64>,
    gate: watch::Sender<u64>,
}

/// The provider. Requests take the scripted answers in order; without one, the rule decides.
pub(crate) struct FakeProvider {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl FakeProvider {
    /// Starts a provider that answers everything with `hello`, as a stream where one is asked for.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            script: Mutex::default(),
            rule: Mutex::new(Box::new(default_answer)),
            journal: Mutex::default(),
            changes: watch::Sender::new(0),
            gate: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Scripts the answer to the next request that has none yet.
    pub(crate) fn next(&self, answer: Answer) {
        self.shared.script.lock().unwrap().push_back(answer);
    }

    /// Answers every request without a script by `rule`.
    pub(crate) fn always(&self, rule: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        *self.shared.rule.lock().unwrap() = Box::new(rule);
    }

    /// Opens the gates that answers are waiting at now.
    pub(crate) fn release(&self) {
        self.shared.gate.send_modify(|count| *count += 1);
    }

    /// Everything that was asked so far.
    pub(crate) fn journal(&self) -> Vec<Received> {
        self.shared.journal.lock().unwrap().clone()
    }

    /// The requests whose `user` is `tag`.
    pub(crate) fn received(&self, tag: &str) -> Vec<Received> {
        let mut journal = self.journal();
        journal.retain(|request| request.tag() == tag);
        journal
    }

    /// Waits until a request in the journal is as wanted, and returns it.
    pub(crate) async fn wait_for(
        &self,
        what: &str,
        wanted: impl Fn(&Received) -> bool,
    ) -> Received {
        let find = || {
            let journal = self.shared.journal.lock().unwrap();
            journal.iter().find(|request| wanted(request)).cloned()
        };
        self.wait(what, find).await
    }

    /// Waits until the journal has `count` requests.
    pub(crate) async fn wait_for_requests(&self, count: usize) {
        let enough = || (count <= self.shared.journal.lock().unwrap().len()).then_some(());
        self.wait(&format!("{count} requests"), enough).await;
    }

    async fn wait<T>(&self, what: &str, find: impl Fn() -> Option<T>) -> T {
        let mut changes = self.shared.changes.subscribe();
        within(what, async {
            loop {
                changes.borrow_and_update();
                if let Some(found) = find() {
                    return found;
                }
                changes.changed().await.unwrap();
            }
        })
        .await
    }
}

impl Drop for FakeProvider {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What the provider says when nobody told it otherwise.
pub(crate) fn default_answer(request: &Received) -> Answer {
    let body = request.json();
    if request.path.ends_with("/embeddings") {
        return Answer::json(&json!({
            "object": "list",
            "model": "text-embedding-3-small",
            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}],
            "usage": {"prompt_tokens": 3, "total_tokens": 3},
        }));
    }
    if request.path.ends_with("/models") {
        return Answer::json(&json!({"object": "list", "data": []}));
    }
    if body["stream"] == true {
        return Answer::stream(&["hel", "lo"]);
    }
    Answer::reply("hello")
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(converse(stream, Arc::clone(&shared)));
    }
}

/// Serves one connection until either side ends it.
async fn converse(mut stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let mut buffer = Vec::new();
    while let Some(request) = read_request(&mut stream, &mut buffer).await? {
        let answer = shared.script.lock().unwrap().pop_front();
        let answer = answer.unwrap_or_else(|| (shared.rule.lock().unwrap())(&request));
        let place = {
            let mut journal = shared.journal.lock().unwrap();
            journal.push(request);
            journal.len() - 1
        };
        shared.changes.send_modify(|count| *count += 1);
        let played = play(&mut stream, &mut buffer, &answer, &shared).await;
        {
            let mut journal = shared.journal.lock().unwrap();
            let entry = &mut journal[place];
            entry.answered = matches!(played, Ok(None | Some(Ending::Close | Ending::Reset)));
            entry.gone = (!entry.answered).then(Instant::now);
        }
        shared.changes.send_modify(|count| *count += 1);
        match played? {
            None => {}
            Some(Ending::Close) => return stream.shutdown().await,
            Some(Ending::Reset) => return stream.set_zero_linger(),
        }
    }
    Ok(())
}

/// Carries out the steps; an error when the client goes away before the last.
async fn play(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    answer: &Answer,
    shared: &Shared,
) -> io::Result<Option<Ending>> {
    let mut gate = shared.gate.subscribe();
    gate.borrow_and_update();
    for step in &answer.steps {
        match step {
            Step::Write(bytes) => stream.write_all(bytes).await?,
            Step::Wait(pause) => unless_gone(stream, buffer, tokio::time::sleep(*pause)).await?,
            Step::Gate => {
                let opened = async { drop(gate.changed().await) };
                unless_gone(stream, buffer, opened).await?;
            }
            Step::Stall => unless_gone(stream, buffer, std::future::pending()).await?,
            Step::End(ending) => return Ok(Some(*ending)),
        }
    }
    Ok(None)
}

/// Waits for `event`; an error when the client goes away before it.
async fn unless_gone(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    event: impl Future<Output = ()>,
) -> io::Result<()> {
    tokio::pin!(event);
    loop {
        tokio::select! {
            () = &mut event => return Ok(()),
            read = stream.read_buf(buffer) => {
                if read? == 0 {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
        }
    }
}

/// Reads the next request; `None` when the client has closed between two.
async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> io::Result<Option<Received>> {
    loop {
        if let Some((request, used)) = parse_request(buffer) {
            buffer.drain(..used);
            return Ok(Some(request));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

fn parse_request(bytes: &[u8]) -> Option<(Received, usize)> {
    let head_end = find(bytes, b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&bytes[..head_end]).ok()?;
    let mut lines = head.lines();
    let mut words = lines.next()?.split(' ');
    let mut request = Received {
        method: words.next()?.to_owned(),
        path: words.next()?.to_owned(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        body: Bytes::new(),
        at: Instant::now(),
        gone: None,
        answered: false,
    };
    let rest = &bytes[head_end..];
    if request.header("transfer-encoding") == Some("chunked") {
        let (body, used) = unchunk(rest)?;
        request.body = body.into();
        return Some((request, head_end + used));
    }
    let length = request
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    request.body = Bytes::copy_from_slice(rest.get(..length)?);
    Some((request, head_end + length))
}

/// A whole chunked body and its size with its frames.
fn unchunk(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut used) = (Vec::new(), 0);
    loop {
        let (chunk, size) = super::client::next_chunk(&bytes[used..])?;
        used += size;
        if chunk.is_empty() {
            return Some((body, used));
        }
        body.extend_from_slice(chunk);
    }
}
