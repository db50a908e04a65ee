//! The providers against a real socket: statuses, clocks, faults, and what goes over the wire.

use crate::domain::Dialect;
use crate::domain::{CallId, Operation, Secret};
use crate::providers::{
    ByteStream, Clock, Config, Deadlines, Error, ErrorKind, Outgoing, Preset, Providers, Reply,
    ReplyBody,
};
use bytes::Bytes;
use http::HeaderMap;
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                      transfer-encoding: chunked\r\n\r\n";

/// Starts a server that handles one connection, after the request has been read.
async fn serve<F, Fut, T>(handle: F) -> (String, JoinHandle<T>)
where
    F: FnOnce(TcpStream, String) -> Fut + Send + 'static,
    Fut: Future<Output = T> + Send,
    T: Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let task = TaskTracker::new().spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let request = read_request(&mut socket).await;
        handle(socket, request).await
    });
    (url, task)
}

/// Starts a server that answers one request with `answer` and closes.
async fn answering(answer: String) -> (String, JoinHandle<String>) {
    serve(|mut socket, request| async move {
        socket.write_all(answer.as_bytes()).await.unwrap();
        request
    })
    .await
}

async fn read_request(socket: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = socket.read(&mut buffer).await.unwrap();
        request.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&request);
        if count == 0 || (text.contains("\r\n\r\n") && text.ends_with('}')) {
            return text.into_owned();
        }
    }
}

fn config(url: &str) -> Config {
    let mut config = Config::new("p", Preset::OpenAi);
    config.base_url = Some(url.to_owned());
    config.api_key = Some(Secret::new("sk-canary"));
    config
}

pub(super) fn outgoing(stream: bool) -> Outgoing {
    Outgoing {
        operation: Operation::Chat,
        dialect: Dialect::Chat,
        headers: HeaderMap::new(),
        model: "m".to_owned(),
        body: Bytes::from_static(b"{\"model\":\"m\"}"),
        stream,
        call_id: CallId::fresh(),
        attempt: 0,
        trace: None,
        deadlines: None,
    }
}

async fn send(config: Config, stream: bool) -> Result<Reply, Error> {
    let providers = Providers::build(vec![config]).unwrap();
    providers.send("p", &outgoing(stream)).await
}

pub(super) fn whole(reply: Reply) -> Bytes {
    match reply.body {
        ReplyBody::Whole(bytes) => bytes,
        ReplyBody::Stream(_) => panic!("a stream"),
    }
}

pub(super) fn stream(reply: Reply) -> ByteStream {
    match reply.body {
        ReplyBody::Stream(stream) => stream,
        ReplyBody::Whole(bytes) => panic!("whole: {bytes:?}"),
    }
}

fn http(status: &str, headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

#[tokio::test]
async fn only_listed_headers_go_out_and_the_answer_comes_whole() {
    let headers = "content-type: application/json\r\nx-request-id: req-1\r\n\
                   x-ratelimit-remaining-requests: 7\r\nset-cookie: a=b\r\n";
    let (url, server) = answering(http("200 OK", headers, "{\"ok\":true}")).await;
    let mut config = config(&url);
    config.headers = vec![("OpenAI-Project".to_owned(), Secret::new("proj"))];
    let reply = send(config, false).await.unwrap();
    assert_eq!(reply.status, 200);
    assert_eq!(reply.content_type, "application/json");
    assert_eq!(reply.request_id.as_deref(), Some("req-1"));
    let limits: Vec<_> = reply
        .rate_limits
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(limits, ["x-ratelimit-remaining-requests"]);
    assert_eq!(whole(reply), "{\"ok\":true}");
    let request = server.await.unwrap();
    let mut lines: Vec<String> = request
        .lines()
        .take_while(|line| !line.is_empty())
        .map(str::to_lowercase)
        .filter(|line| !line.starts_with("host: 127.0.0.1:"))
        .filter(|line| !line.starts_with("x-request-id: "))
        .collect();
    lines.sort();
    let agent = concat!("user-agent: promptgate/", env!("CARGO_PKG_VERSION"));
    assert_eq!(
        lines,
        [
            "accept-encoding: identity",
            "accept: application/json, text/event-stream",
            "authorization: bearer sk-canary",
            "content-length: 13",
            "content-type: application/json",
            "openai-project: proj",
            "post /v1/chat/completions http/1.1",
            agent,
        ]
    );
}

#[tokio::test]
async fn a_refusal_holds_status_body_and_wait_but_no_key() {
    let body = r#"{"error":{"message":"slow down","code":"rate_limit_exceeded"}}"#;
    let headers = "content-type: application/json\r\nretry-after: 3\r\nrequest-id: r9\r\n";
    let (url, _server) = answering(http("429 Too Many Requests", headers, body)).await;
    let error = send(config(&url), true).await.unwrap_err();
    assert_eq!(error.error_kind(), ErrorKind::RateLimited);
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    assert_eq!(error.body().unwrap(), body);
    assert_eq!(error.request_id(), Some("r9"));
    let shown = format!("{error} {error:?} {:?}", config(&url));
    assert!(!shown.contains("canary"), "{shown}");
    assert!(
        !format!("{error} {error:?}").contains("127.0.0.1"),
        "{error:?}"
    );
}

#[tokio::test]
async fn answers_that_are_none_are_errors() {
    for (answer, kind) in [
        (
            http("302 Found", "location: http://127.0.0.1:1/\r\n", ""),
            ErrorKind::InvalidResponse,
        ),
        (
            http("200 OK", "content-type: text/html\r\n", "<html>"),
            ErrorKind::InvalidResponse,
        ),
        (http("200 OK", "", ""), ErrorKind::InvalidResponse),
        (
            http("200 OK", "content-encoding: gzip\r\n", "x"),
            ErrorKind::InvalidResponse,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\nx".to_owned(),
            ErrorKind::TooLarge,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx".to_owned(),
            ErrorKind::Reset,
        ),
        (
            format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(5000)),
            ErrorKind::TooLarge,
        ),
        ("HTTP/1.1 200 OK\r\ncont".to_owned(), ErrorKind::Reset),
        (String::new(), ErrorKind::Reset),
        (
            "SSH-2.0-OpenSSH_9.2\r\n".to_owned(),
            ErrorKind::InvalidResponse,
        ),
    ] {
        let (url, _server) = answering(answer.clone()).await;
        let mut config = config(&url);
        config.max_response_bytes = 1_000;
        let error = send(config, false).await.unwrap_err();
        assert_eq!(error.error_kind(), kind, "{answer:.40} {error}");
        assert!(error.was_sent(), "{answer:.40}");
    }
}

#[tokio::test]
async fn a_huge_error_body_is_cut_off() {
    let body = "x".repeat(300_000);
    let (url, _server) = serve(|mut socket, _| async move {
        // The client closes before all is written.
        let _ = socket
            .write_all(http("500 Oops", "", &body).as_bytes())
            .await;
    })
    .await;
    let error = send(config(&url), false).await.unwrap_err();
    assert_eq!(error.error_kind(), ErrorKind::ServerError);
    assert_eq!(error.body().unwrap().len(), 64 * 1024);
}

#[tokio::test]
async fn what_is_no_stream_comes_whole_even_when_one_was_asked_for() {
    let headers = "content-type: application/json\r\n";
    let (url, _server) = answering(http("200 OK", headers, "{}")).await;
    assert_eq!(whole(send(config(&url), true).await.unwrap()), "{}");
}

#[tokio::test]
async fn a_refused_connection_was_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = send(config(&url), false).await.unwrap_err();
    assert_eq!(error.error_kind(), ErrorKind::Connect);
    assert!(!error.was_sent());
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn what_is_not_tls_is_a_tls_error_and_never_plain() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = TaskTracker::new().spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut hello = [0; 1];
        socket.read_exact(&mut hello).await.unwrap();
        let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        hello[0]
    });
    let error = send(config(&url), false).await.unwrap_err();
    assert_eq!(error.error_kind(), ErrorKind::Tls, "{error}");
    assert!(!error.was_sent() && !error.is_retryable());
    assert_eq!(
        server.await.unwrap(),
        0x16,
        "the client greets with a TLS handshake"
    );
}

#[tokio::test(start_paused = true)]
async fn the_first_byte_has_a_clock() {
    for (deadlines, clock) in [
        (Deadlines::default(), Clock::FirstByte),
        (
            Deadlines {
                total: Duration::from_secs(60),
                ..Deadlines::default()
            },
            Clock::Total,
        ),
    ] {
        let (url, server) = serve(|mut socket, _| async move {
            // Ends when the client gives up and closes.
            socket.read(&mut [0; 1]).await.unwrap_or(0)
        })
        .await;
        let mut config = config(&url);
        config.deadlines = deadlines;
        let started = Instant::now();
        let error = send(config, true).await.unwrap_err();
        assert_eq!(error.error_kind(), ErrorKind::Timeout(clock));
        let limit = deadlines.first_byte.min(deadlines.total);
        assert!(limit <= started.elapsed() && started.elapsed() < limit * 2);
        assert_eq!(server.await.unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_stalls_is_ended_by_its_clock() {
    for (chunks, deadlines, clock) in [
        (0, Deadlines::default(), Clock::FirstByte),
        (2, Deadlines::default(), Clock::Idle),
        (
            2,
            Deadlines {
                total: Duration::from_secs(130),
                ..Deadlines::default()
            },
            Clock::Total,
        ),
        (
            1,
            Deadlines {
                idle: Duration::from_secs(7),
                ..Deadlines::default()
            },
            Clock::Idle,
        ),
    ] {
        let (url, server) = serve(move |mut socket, _| async move {
            socket.write_all(EVENTS.as_bytes()).await.unwrap();
            for _ in 0..chunks {
                tokio::time::sleep(Duration::from_secs(20)).await;
                socket.write_all(b"5\r\ndata:\r\n").await.unwrap();
            }
            socket.read(&mut [0; 1]).await.unwrap_or(0)
        })
        .await;
        let mut config = config(&url);
        config.deadlines = deadlines;
        let mut stream = stream(send(config, true).await.unwrap());
        for _ in 0..chunks {
            assert_eq!(stream.next_chunk().await.unwrap().unwrap(), "data:");
        }
        let error = stream.next_chunk().await.unwrap().unwrap_err();
        assert_eq!(
            error.error_kind(),
            ErrorKind::Timeout(clock),
            "{chunks} {error}"
        );
        assert!(stream.next_chunk().await.is_none());
        // The error alone closes the connection, while the stream still lives.
        assert_eq!(server.await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_an_error() {
    for (tail, is_whole) in [("5\r\ndata:\r\n0\r\n\r\n", true), ("5\r\ndata:\r\n", false)] {
        let (url, _server) = answering(format!("{EVENTS}{tail}")).await;
        let mut stream = stream(send(config(&url), true).await.unwrap());
        assert_eq!(stream.next_chunk().await.unwrap().unwrap(), "data:");
        match stream.next_chunk().await {
            None => assert!(is_whole),
            Some(end) => {
                assert_eq!(end.unwrap_err().error_kind(), ErrorKind::Reset);
                assert!(!is_whole);
            }
        }
        assert!(stream.next_chunk().await.is_none());
    }
}

#[tokio::test]
async fn an_endless_stream_is_cut_off() {
    let (url, server) = serve(|mut socket, _| async move {
        socket.write_all(EVENTS.as_bytes()).await.unwrap();
        while socket.write_all(b"5\r\ndata:\r\n").await.is_ok() {}
    })
    .await;
    let mut config = config(&url);
    config.max_response_bytes = 100_000;
    let mut stream = stream(send(config, true).await.unwrap());
    let error = loop {
        if let Err(error) = stream.next_chunk().await.unwrap() {
            break error;
        }
    };
    assert_eq!(error.error_kind(), ErrorKind::TooLarge);
    server.await.unwrap();
}

#[tokio::test]
async fn dropping_a_stream_or_a_send_closes_the_connection() {
    let (url, server) = serve(|mut socket, _| async move {
        socket.write_all(EVENTS.as_bytes()).await.unwrap();
        socket.write_all(b"5\r\ndata:\r\n").await.unwrap();
        socket.read(&mut [0; 1]).await.unwrap_or(0)
    })
    .await;
    let mut stream = stream(send(config(&url), true).await.unwrap());
    stream.next_chunk().await.unwrap().unwrap();
    drop(stream);
    assert_eq!(server.await.unwrap(), 0);

    let (told, is_read) = tokio::sync::oneshot::channel();
    let (url, server) = serve(|mut socket, _| async move {
        told.send(()).unwrap();
        socket.read(&mut [0; 1]).await.unwrap_or(0)
    })
    .await;
    let sending = send(config(&url), false);
    tokio::select! {
        _ = sending => panic!("nobody answers"),
        read = is_read => read.unwrap(),
    }
    assert_eq!(server.await.unwrap(), 0);
}

#[tokio::test]
async fn connections_are_kept_alive() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = TaskTracker::new().spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        for _ in 0..3 {
            read_request(&mut socket).await;
            let answer = http("200 OK", "", "{}");
            socket.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let providers = Providers::build(vec![config(&url)]).unwrap();
    for _ in 0..3 {
        providers.send("p", &outgoing(false)).await.unwrap();
    }
    server.await.unwrap();
}

#[tokio::test]
async fn an_unknown_provider_names_the_known_ones() {
    let providers = Providers::build(vec![config("http://127.0.0.1:1")]).unwrap();
    let error = providers.send("q", &outgoing(false)).await.unwrap_err();
    assert_eq!(error.error_kind(), ErrorKind::UnknownProvider);
    assert!(error.to_string().contains("`p`"), "{error}");
}

/// The exporter of spans has an HTTP client of its own, which works once TLS is installed here.
#[tokio::test(flavor = "multi_thread")]
async fn spans_are_sent_once_tls_is_installed() {
    crate::providers::install_tls();
    let (url, server) = serve_collector().await;
    let telemetry = crate::telemetry::Telemetry::new(&crate::telemetry::Config {
        log: "info".to_owned(),
        is_json: false,
        otlp_endpoint: Some(url),
        otlp_headers: vec![("x-team".to_owned(), Secret::new("a"))],
    });
    let telemetry = telemetry.unwrap();
    let (intent, outcome) = crate::telemetry::sample_call();
    telemetry.call_finished(&intent, &outcome);
    telemetry.flush(Duration::from_secs(10));
    let request = server.await.unwrap();
    assert!(
        request.starts_with("POST /v1/traces HTTP/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("x-team: a\r\n"), "{request}");
    assert!(request.contains("gen_ai.prompt.version"), "{request}");
}

/// Starts a collector that takes one request of a known length.
async fn serve_collector() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = TaskTracker::new().spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        loop {
            let mut buffer = [0; 4096];
            let count = socket.read(&mut buffer).await.unwrap();
            request.extend_from_slice(&buffer[..count]);
            let text = String::from_utf8_lossy(&request).into_owned();
            let length = text
                .split_once("content-length: ")
                .and_then(|(_, rest)| rest.split_once("\r\n"))
                .and_then(|(length, _)| length.parse::<usize>().ok());
            let head = memchr::memmem::find(&request, b"\r\n\r\n");
            if let (Some(length), Some(head)) = (length, head)
                && head + 4 + length <= request.len()
            {
                let answer = http("200 OK", "content-type: application/x-protobuf\r\n", "");
                socket.write_all(answer.as_bytes()).await.unwrap();
                return text;
            }
        }
    });
    (url, task)
}
