//! promptgate against a bare proxy, side by side in one run.
//!
//! One program starts everything: a mock provider (this program as a child), a bare axum + reqwest
//! pass-through (this program as a child), and the promptgate binary with a key, a prompt to
//! resolve, and records at `os`. It drives them in turns, measures CPU from `/proc/PID/task/*/schedstat`, and
//! prints a Markdown table of medians. Machines differ, and one machine differs from hour to hour:
//! read the ratios.
//!
//! `cargo bench --bench gateway -- [--quick] [cpu] [streams] [latency] [memory] [open] [start]`
//!
//! Without a part named, all but `open` (10,000 streams at once) run.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that cannot go on ends here, and prints what it found"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "figures for people: microseconds and counts far below any limit"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the load is tasks of this program, which ends with them"
)]

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Connections at once for CPU per call.
const CALLERS: usize = 16;
/// Streams at once.
const STREAMS: usize = 32;
/// Content chunks of a stream.
const CHUNKS: usize = 64;
/// Bytes of the mock's whole answer.
const ANSWER_BYTES: usize = 1_284;
/// Bytes of the two requests.
const SMALL_BYTES: usize = 479;
const LARGE_BYTES: usize = 33_000;
/// Rounds of which the median is taken; the targets take turns within each.
const ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let role = arguments.iter().position(|word| word == "--role");
    let threads = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    match role.map(|place| arguments[place + 1].as_str()) {
        Some("mock") => single().block_on(mock()),
        Some("bare") => {
            let upstream = arguments.last().unwrap().clone();
            threads.unwrap().block_on(bare(upstream));
        }
        Some(other) => panic!("there is no role `{other}`"),
        None if arguments.iter().any(|word| word == "--raised") => {
            single().block_on(measure(&Options::of(&arguments)));
        }
        None => raise_limit_of_files(&arguments),
    }
}

fn single() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// Runs the program again with as many open files as are allowed; children inherit it.
fn raise_limit_of_files(arguments: &[String]) {
    let status = Command::new("sh")
        .args([
            "-c",
            "ulimit -n $(ulimit -H -n) 2>/dev/null; exec \"$0\" --raised \"$@\"",
        ])
        .arg(std::env::current_exe().unwrap())
        .args(arguments)
        .status();
    assert!(status.unwrap().success(), "the measurement failed");
}

/// What to measure, and how long.
struct Options {
    quick: bool,
    parts: Vec<String>,
}

impl Options {
    fn of(arguments: &[String]) -> Self {
        let known = ["cpu", "streams", "latency", "memory", "open", "start"];
        let mut parts: Vec<String> = arguments
            .iter()
            .filter(|word| known.contains(&word.as_str()))
            .cloned()
            .collect();
        if parts.is_empty() {
            let all = known.iter().filter(|part| **part != "open");
            parts = all.map(|part| (*part).to_owned()).collect();
        }
        Self {
            quick: arguments.iter().any(|word| word == "--quick"),
            parts,
        }
    }

    fn has(&self, part: &str) -> bool {
        self.parts.iter().any(|candidate| candidate == part)
    }

    /// `full`, or a tenth of it in a quick run.
    const fn count(&self, full: usize) -> usize {
        if self.quick { full / 10 } else { full }
    }
}

// --- the mock provider -------------------------------------------------------------------------

async fn mock() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening data=http://{}", listener.local_addr().unwrap());
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(answer);
            let builder = auto::Builder::new(TokioExecutor::new());
            // A client that goes away is no event here.
            let _ = builder
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

type MockBody = UnsyncBoxBody<Bytes, Infallible>;

async fn answer(
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<MockBody>, Infallible> {
    let body = request
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    if memchr::memmem::find(&body, b"\"stream\":true").is_none() {
        let whole = Full::new(whole_answer()).boxed_unsync();
        return Ok(hyper::Response::builder()
            .header("content-type", "application/json")
            .body(whole)
            .unwrap());
    }
    let pause = memchr::memmem::find(&body, b"paced-").and_then(|start| {
        let digits: Vec<u8> = body[start + 6..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .copied()
            .collect();
        String::from_utf8(digits)
            .ok()?
            .parse()
            .ok()
            .map(Duration::from_millis)
    });
    let frames = futures_util::stream::iter(stream_events()).then(move |event| async move {
        if let Some(pause) = pause {
            tokio::time::sleep(pause).await;
        }
        Ok(Frame::data(event))
    });
    Ok(hyper::Response::builder()
        .header("content-type", "text/event-stream")
        .body(StreamBody::new(frames).boxed_unsync())
        .unwrap())
}

/// A whole answer of exactly [`ANSWER_BYTES`].
fn whole_answer() -> Bytes {
    let with_text = |length: usize| {
        json!({
            "id": "chatcmpl-bench", "object": "chat.completion", "created": 1_700_000_000,
            "model": "gpt-4o-mini-2024-07-18",
            "choices": [{"index": 0, "finish_reason": "stop",
                "message": {"role": "assistant", "content": "x".repeat(length)}}],
            "usage": {"prompt_tokens": 87, "completion_tokens": 220, "total_tokens": 307},
        })
        .to_string()
    };
    with_text(ANSWER_BYTES - with_text(0).len()).into()
}

fn stream_events() -> Vec<Bytes> {
    let event = |choices: Value, usage: Option<Value>| {
        let mut chunk = json!({"id": "chatcmpl-bench", "object": "chat.completion.chunk",
            "created": 1_700_000_000, "model": "gpt-4o-mini-2024-07-18", "choices": choices});
        if let Some(usage) = usage {
            chunk["usage"] = usage;
        }
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let content = |delta: Value| json!([{"index": 0, "delta": delta, "finish_reason": null}]);
    let mut events: Vec<Bytes> = (0..CHUNKS)
        .map(|_| event(content(json!({"content": "token "})), None))
        .collect();
    let usage =
        json!({"prompt_tokens": 87, "completion_tokens": CHUNKS, "total_tokens": 87 + CHUNKS});
    events.push(event(
        json!([{"index": 0, "delta": {}, "finish_reason": "stop"}]),
        None,
    ));
    events.push(event(json!([]), Some(usage)));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    events
}

// --- the bare proxy ----------------------------------------------------------------------------

#[derive(Clone)]
struct Bare {
    client: reqwest::Client,
    upstream: String,
}

/// axum in, reqwest out, nothing between.
async fn bare(upstream: String) {
    rustls::crypto::ring::default_provider()
        .install_default()
        .unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let app = Router::new()
        .fallback(pass_on)
        .with_state(Bare { client, upstream });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening data=http://{}", listener.local_addr().unwrap());
    let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
    axum::serve(listener, app).await.unwrap();
}

async fn pass_on(State(bare): State<Bare>, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let path = parts
        .uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let url = format!("{}{path}", bare.upstream);
    parts.headers.remove(http::header::HOST);
    let sent = bare
        .client
        .request(parts.method, url)
        .headers(parts.headers)
        .body(reqwest::Body::wrap_stream(body.into_data_stream()))
        .send()
        .await;
    let reply = sent.unwrap();
    let mut response = Response::new(axum::body::Body::empty());
    *response.status_mut() = reply.status();
    *response.headers_mut() = reply.headers().clone();
    *response.body_mut() = axum::body::Body::from_stream(reply.bytes_stream());
    response
}

// --- targets -----------------------------------------------------------------------------------

/// A process, killed at the end.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    /// Starts `command` and waits for its line with the address.
    fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .split(' ')
            .find_map(|word| word.trim().strip_prefix("data=http://")?.parse().ok())
            .unwrap_or_else(|| panic!("no address in {line:?}"));
        Self { child, address }
    }

    fn of_this_program(arguments: &[&str]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(arguments);
        Self::start(command)
    }

    /// CPU time of its threads so far, user and system, in microseconds.
    fn cpu_us(&self) -> f64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = tasks.map(|task| {
            // Nanoseconds on the processor stand first; a thread may end while it is looked at.
            let text = fs::read_to_string(task.unwrap().path().join("schedstat"));
            let text = text.unwrap_or_default();
            let first = text.split(' ').next().unwrap_or_default();
            first.parse::<f64>().unwrap_or_default()
        });
        nanoseconds.sum::<f64>() / 1e3
    }

    /// Resident memory in MiB.
    fn resident_mib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .unwrap();
        let kib: u32 = line.trim().trim_end_matches(" kB").parse().unwrap();
        f64::from(kib) / 1024.0
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Something to send load to.
struct Target {
    process: Option<Process>,
    address: SocketAddr,
    key: String,
    is_gateway: bool,
}

impl Target {
    /// The bytes of a request of `size`, as a stream when `extra` says so.
    fn request(&self, size: usize, extra: &Value) -> Bytes {
        let count = if size < 1_000 { 1 } else { 17 };
        let with_text = |length: usize| {
            let role = |place: usize| {
                if place.is_multiple_of(2) {
                    "user"
                } else {
                    "assistant"
                }
            };
            let text = "y".repeat(length / count);
            let last = "y".repeat(length - length / count * (count - 1));
            let mut messages: Vec<Value> = (0..count)
                .map(|place| {
                    let text = if place + 1 == count { &last } else { &text };
                    json!({"role": role(place), "content": text})
                })
                .collect();
            let mut body = if self.is_gateway {
                json!({"model": "prompt:bench", "messages": messages,
                    "prompt": {"variables": {"product": "lamps", "tone": "calm"}}})
            } else {
                let system = "You answer questions about lamps in a calm tone, in two sentences.";
                messages.insert(0, json!({"role": "system", "content": system}));
                json!({"model": "gpt-4o-mini", "messages": messages})
            };
            for (name, value) in extra.as_object().unwrap() {
                body[name] = value.clone();
            }
            body.to_string()
        };
        let body = with_text(size.saturating_sub(with_text(0).len()));
        format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             authorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.address,
            self.key,
            body.len()
        )
        .into()
    }

    fn process(&self) -> &Process {
        self.process.as_ref().unwrap()
    }
}

/// The mock, and the three ways to it.
struct House {
    _mock: Process,
    direct: Target,
    bare: Target,
    gateway: Target,
    dir: TempDir,
}

impl House {
    fn build(prompts: usize) -> Self {
        let mock = Process::of_this_program(&["--role", "mock"]);
        let upstream = format!("http://{}", mock.address);
        let bare = Process::of_this_program(&["--role", "bare", &upstream]);
        let dir = TempDir::new().unwrap();
        write_files(dir.path(), &upstream, prompts);
        let created = promptgate(dir.path(), &["keys", "create", "bench"])
            .output()
            .unwrap();
        assert!(created.status.success(), "{created:?}");
        let key = String::from_utf8(created.stdout).unwrap().trim().to_owned();
        let gateway = start_gateway(dir.path());
        let target = |process: Option<Process>, address, is_gateway| Target {
            process,
            address,
            key: key.clone(),
            is_gateway,
        };
        let (bare_address, gateway_address) = (bare.address, gateway.address);
        Self {
            direct: target(None, mock.address, false),
            bare: target(Some(bare), bare_address, false),
            gateway: target(Some(gateway), gateway_address, true),
            _mock: mock,
            dir,
        }
    }
}

fn write_files(dir: &Path, upstream: &str, prompts: usize) {
    let config = format!(
        "[providers.openai]\nbase_url = \"{upstream}/v1\"\napi_key = \"env:OPENAI_API_KEY\"\n"
    );
    fs::write(dir.join("promptgate.toml"), config).unwrap();
    fs::create_dir_all(dir.join("prompts/many")).unwrap();
    let prompt = "---\nmodel: openai/gpt-4o-mini\ninput:\n  schema:\n    product: string\n    tone: string\n\
                  ---\n{{role \"system\"}}You answer questions about {{product}} in a {{tone}} tone, in two \
                  sentences.\n{{history}}\n";
    fs::write(dir.join("prompts/bench.prompt"), prompt).unwrap();
    for number in 0..prompts {
        let file = dir.join(format!("prompts/many/p{number}.prompt"));
        fs::write(
            file,
            prompt.replace("sentences", &format!("sentences ({number})")),
        )
        .unwrap();
    }
}

fn promptgate(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_promptgate"));
    command
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("OPENAI_API_KEY", "sk-bench-0000000000000000")
        .args(arguments)
        .args(["--data-dir", "data", "--prompts", "prompts"]);
    command
}

fn start_gateway(dir: &Path) -> Process {
    let mut command = promptgate(dir, &["serve"]);
    command
        .args([
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
            "--durability",
            "os",
        ])
        .stderr(fs::File::create(dir.join("stderr")).unwrap());
    Process::start(command)
}

// --- load --------------------------------------------------------------------------------------

/// One kept-alive connection.
struct Caller {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Caller {
    async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::with_capacity(64 * 1024),
        }
    }

    /// Sends a request and reads its whole answer. Returns the time until the first byte of the
    /// body.
    async fn call(&mut self, request: &[u8]) -> Duration {
        let first = self.begin(request).await;
        while !is_whole(&self.buffer) {
            self.read().await;
        }
        first
    }

    /// Sends a request and reads until the first byte of the body.
    async fn begin(&mut self, request: &[u8]) -> Duration {
        self.buffer.clear();
        let start = Instant::now();
        self.stream.write_all(request).await.unwrap();
        while body_start(&self.buffer).is_none_or(|start| self.buffer.len() <= start) {
            self.read().await;
        }
        let first = start.elapsed();
        let is_ok = self.buffer.starts_with(b"HTTP/1.1 200");
        assert!(is_ok, "{}", String::from_utf8_lossy(&self.buffer));
        first
    }

    async fn read(&mut self) {
        let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
        assert!(
            0 < read,
            "closed after {}",
            String::from_utf8_lossy(&self.buffer)
        );
    }
}

fn body_start(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|place| place + 4)
}

/// Whether a response has come to its end, by length or by its last chunk.
fn is_whole(bytes: &[u8]) -> bool {
    let Some(start) = body_start(bytes) else {
        return false;
    };
    let head = &bytes[..start];
    let length = memchr::memmem::find(head, b"content-length: ").map(|place| {
        let digits = head[place + 16..]
            .split(|byte| *byte == b'\r')
            .next()
            .unwrap();
        std::str::from_utf8(digits)
            .unwrap()
            .parse::<usize>()
            .unwrap()
    });
    match length {
        Some(length) => start + length <= bytes.len(),
        None => bytes.ends_with(b"\r\n0\r\n\r\n"),
    }
}

/// Makes `count` calls over `callers` connections. Returns the times to the first byte.
async fn load(target: &Target, request: Bytes, count: usize, callers: usize) -> Vec<Duration> {
    let left = Arc::new(AtomicUsize::new(count));
    let mut tasks = JoinSet::new();
    for _ in 0..callers {
        let (left, request, address) = (Arc::clone(&left), request.clone(), target.address);
        tasks.spawn(async move {
            let mut caller = Caller::connect(address).await;
            let mut times = Vec::new();
            while left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok()
            {
                times.push(caller.call(&request).await);
            }
            times
        });
    }
    tasks.join_all().await.concat()
}

/// CPU microseconds of the target's process for each call.
async fn cpu_of(target: &Target, request: Bytes, count: usize, callers: usize) -> f64 {
    load(target, request.clone(), callers * 8, callers).await;
    let before = target.process().cpu_us();
    load(target, request, count, callers).await;
    (target.process().cpu_us() - before) / count as f64
}

/// Calls at a fixed rate, whether or not earlier ones have ended. Returns the latencies, which
/// count from the planned moment when no connection was free then.
async fn open_loop(
    target: &Target,
    request: Bytes,
    per_second: u32,
    count: usize,
) -> Vec<Duration> {
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now() + Duration::from_millis(50);
    let gap = Duration::from_secs(1) / per_second;
    let mut tasks = JoinSet::new();
    for _ in 0..128 {
        let (next, request, address) = (Arc::clone(&next), request.clone(), target.address);
        tasks.spawn(async move {
            let mut caller = Caller::connect(address).await;
            let mut times = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if count <= number {
                    return times;
                }
                let planned = start + gap * number as u32;
                // The timer's own slack is not the target's.
                let began = if Instant::now() < planned {
                    tokio::time::sleep_until(planned).await;
                    Instant::now()
                } else {
                    planned
                };
                caller.call(&request).await;
                times.push(began.elapsed());
            }
        });
    }
    tasks.join_all().await.concat()
}

// --- figures -----------------------------------------------------------------------------------

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// The share `part` (0.99) of `times` is below this, in milliseconds.
fn quantile_ms(times: &mut [Duration], part: f64) -> f64 {
    times.sort_unstable();
    let place = ((times.len() - 1) as f64 * part).round() as usize;
    times[place].as_secs_f64() * 1e3
}

async fn measure(options: &Options) {
    let house = House::build(if options.has("start") { 1_000 } else { 0 });
    let idle = house.gateway.process().resident_mib();
    println!("| what | bare axum + reqwest | promptgate | ratio or added | bar |");
    println!("|---|--:|--:|--:|--:|");
    if options.has("cpu") {
        cpu(&house, options).await;
    }
    if options.has("streams") {
        streams(&house, options).await;
    }
    if options.has("latency") {
        latency(&house, options).await;
    }
    if options.has("open") {
        open_streams(&house, options.count(10_000)).await;
    }
    if options.has("memory") {
        let count = options.count(100_000);
        load(
            &house.gateway,
            house.gateway.request(SMALL_BYTES, &json!({})),
            count,
            CALLERS,
        )
        .await;
        let after = house.gateway.process().resident_mib();
        println!("| RSS idle, MiB | | {idle:.1} | | 15 |");
        println!("| RSS after {count} more recorded calls, MiB | | {after:.1} | | 60 |");
    }
    if options.has("start") {
        start(house).await;
    }
}

async fn cpu(house: &House, options: &Options) {
    for (name, size, count, bar) in [
        ("479 B", SMALL_BYTES, options.count(20_000), 1.5),
        ("33 KB", LARGE_BYTES, options.count(10_000), 1.8),
    ] {
        let request = |target: &Target| target.request(size, &json!({}));
        let (mut bare, mut gateway) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(cpu_of(&house.bare, request(&house.bare), count, CALLERS).await);
            gateway.push(cpu_of(&house.gateway, request(&house.gateway), count, CALLERS).await);
        }
        row(&format!("CPU a call, {name}, µs"), &bare, &gateway, bar);
    }
}

async fn streams(house: &House, options: &Options) {
    for (name, extra, count, bar) in [
        (
            "without delay",
            json!({"stream": true}),
            options.count(5_000),
            0.4,
        ),
        (
            "10 ms apart",
            json!({"stream": true, "user": "paced-10"}),
            options.count(640).max(64),
            1.1,
        ),
    ] {
        let request = |target: &Target| target.request(SMALL_BYTES, &extra);
        let (mut bare, mut gateway) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            bare.push(cpu_of(&house.bare, request(&house.bare), count, STREAMS).await);
            gateway.push(cpu_of(&house.gateway, request(&house.gateway), count, STREAMS).await);
        }
        row(
            &format!("CPU a stream of {CHUNKS} chunks {name}, µs"),
            &bare,
            &gateway,
            bar,
        );
    }
    let extra = json!({"stream": true, "user": "paced-10"});
    let mut figures = Vec::new();
    for target in [&house.direct, &house.bare, &house.gateway] {
        let count = options.count(1_280).max(128);
        let mut times = load(target, target.request(SMALL_BYTES, &extra), count, STREAMS).await;
        figures.push([quantile_ms(&mut times, 0.5), quantile_ms(&mut times, 0.99)]);
    }
    for (place, (name, bar)) in [("p50", 0.5), ("p99", 2.0)].into_iter().enumerate() {
        let added = |target: usize| figures[target][place] - figures[0][place];
        let (bare, gateway) = (added(1), added(2));
        println!(
            "| first chunk over direct at {STREAMS} streams, {name}, ms | {bare:+.2} | {gateway:+.2} | {gateway:+.2} | {bar} |"
        );
    }
}

fn row(name: &str, bare: &[f64], gateway: &[f64], bar: f64) {
    let (bare, gateway) = (median(bare), median(gateway));
    println!(
        "| {name} | {bare:.1} | {gateway:.1} | {:.2} x | {bar} x |",
        gateway / bare
    );
}

async fn latency(house: &House, options: &Options) {
    let count = options.count(30_000);
    let parts = [
        ("p50", 0.5, 0.25),
        ("p99", 0.99, 1.0),
        ("p99.9", 0.999, 3.0),
    ];
    let mut rounds: Vec<Vec<Vec<f64>>> = Vec::new();
    for _ in 0..ROUNDS {
        let mut round = Vec::new();
        for target in [&house.direct, &house.bare, &house.gateway] {
            let request = target.request(SMALL_BYTES, &json!({}));
            let mut times = open_loop(target, request, 1_000, count / ROUNDS).await;
            round.push(
                parts
                    .map(|(_, part, _)| quantile_ms(&mut times, part))
                    .to_vec(),
            );
        }
        rounds.push(round);
    }
    for (place, (name, _, bar)) in parts.into_iter().enumerate() {
        let of = |target: usize| {
            median(
                &rounds
                    .iter()
                    .map(|round| round[target][place])
                    .collect::<Vec<_>>(),
            )
        };
        let (direct, bare, gateway) = (of(0), of(1), of(2));
        println!(
            "| latency over direct ({direct:.2}) at 1000/s, {name}, ms | {:+.2} | {:+.2} | {:+.2} | {bar} |",
            bare - direct,
            gateway - direct,
            gateway - direct
        );
    }
}

async fn open_streams(house: &House, count: usize) {
    let target = &house.gateway;
    let request = target.request(SMALL_BYTES, &json!({"stream": true, "user": "paced-1000"}));
    let before = target.process().resident_mib();
    let places = Arc::new(tokio::sync::Semaphore::new(256));
    let mut opening = JoinSet::new();
    for _ in 0..count {
        let (request, address, places) = (request.clone(), target.address, Arc::clone(&places));
        opening.spawn(async move {
            let place = places.acquire_owned().await.unwrap();
            let mut caller = Caller::connect(address).await;
            caller.buffer.shrink_to(0);
            caller.stream.write_all(&request).await.unwrap();
            drop(place);
            while memchr::memmem::find(&caller.buffer, b"data:").is_none() {
                caller.read().await;
            }
            caller
        });
    }
    let open = opening.join_all().await;
    let during = target.process().resident_mib();
    println!(
        "| RSS with {} open streams, MiB (before: {before:.1}) | | {during:.1} | | 250 |",
        open.len()
    );
}

/// Starts promptgate again on what the run has left: 1000 prompts and every recorded call.
async fn start(mut house: House) {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        drop(house.gateway.process.take());
        let begin = Instant::now();
        let process = start_gateway(house.dir.path());
        house.gateway.address = process.address;
        house.gateway.process = Some(process);
        let request = house.gateway.request(SMALL_BYTES, &json!({}));
        Caller::connect(house.gateway.address)
            .await
            .call(&request)
            .await;
        times.push(begin.elapsed().as_secs_f64() * 1e3);
    }
    let time = median(&times);
    println!("| start to the first answer with 1000 prompts, ms | | {time:.0} | | 100 |");
}
