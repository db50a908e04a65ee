//! Bad input costs no memory that stays: a storm of it leaves the process as large as a breeze did.

use crate::support::{
    Answer, Client, DEADLINE, FakeProvider, Setup, TestGateway, chat, own_memory_kib, streamed_chat,
};
use std::fs;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many requests of each kind the first round has, and how many the storm.
const BREEZE: usize = 200;
const STORM: usize = 2_000;
/// How many connections that go slow are open at once.
const SLOW_AT_ONCE: usize = 200;
/// How much larger the process may be after the storm than after the first round: two KiB for each
/// request of the storm, one in eight of which has a record that fills bounded caches.
const BOUND_KIB: u64 = 32 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_bad_input_leaves_memory_flat() {
    let provider = FakeProvider::start().await;
    provider.always(|_| Answer::stream(&["h", "i"]).gate_after(2));
    let gateway = Setup::of(&provider)
        .replace("header_timeout = \"1s\"", "header_timeout = \"300ms\"")
        .replace("body_timeout = \"1s\"", "body_timeout = \"300ms\"")
        .start()
        .await;

    blow(gateway.client(), BREEZE).await;
    gateway.ended_calls(BREEZE).await;
    let breeze = Size::of(&gateway);
    blow(gateway.client(), STORM).await;
    gateway.ended_calls(BREEZE + STORM).await;
    let storm = Size::of(&gateway);

    let again = settle(&gateway, &breeze).await;
    eprintln!(
        "{breeze:?} after {BREEZE} of each kind, {storm:?} after {STORM} more, then {again:?}"
    );
    assert_eq!(
        provider.journal().len(),
        BREEZE + STORM,
        "bad input went upstream"
    );
    provider.always(|_| Answer::reply("still here"));
    let response = gateway.client().chat(&chat("healthy")).await;
    assert_eq!(response.content(), "still here");
}

/// What a process takes.
#[derive(Debug)]
struct Size {
    own_kib: u64,
    open_files: usize,
    threads: usize,
}

impl Size {
    fn of(gateway: &TestGateway) -> Self {
        let count = |what: &str| {
            let path = format!("/proc/{}/{what}", gateway.pid());
            fs::read_dir(path).unwrap().count()
        };
        Self {
            own_kib: own_memory_kib(gateway.pid()),
            open_files: count("fd"),
            threads: count("task"),
        }
    }
}

/// Waits until the gateway is about as large as it was: an allocator gives memory back while it works.
async fn settle(gateway: &TestGateway, before: &Size) -> Size {
    let start = Instant::now();
    loop {
        let size = Size::of(gateway);
        let is_small = size.own_kib <= before.own_kib + BOUND_KIB
            && size.open_files <= before.open_files + 16
            && size.threads <= before.threads + 8;
        if is_small {
            return size;
        }
        assert!(start.elapsed() < DEADLINE, "from {before:?} to {size:?}");
        refused(gateway.client(), "{".to_owned(), "400 invalid_json", 1).await;
    }
}

/// Sends `count` requests of each kind, all kinds at once.
async fn blow(client: Client, count: usize) {
    let deep = format!("{{\"model\":\"m\",\"messages\":{}", "[".repeat(20_000));
    let twice = "{\"model\":\"gpt-4o\",\"model\":\"gpt-4\",\"messages\":[]}";
    let mut kinds = JoinSet::new();
    for (body, failure) in [
        (
            "{\"model\":\"gpt-4o\",\"messages\":[{\"role\":".to_owned(),
            "400 invalid_json",
        ),
        (deep, "400 json_too_deep"),
        (twice.to_owned(), "400 duplicate_key"),
    ] {
        kinds.spawn(refused(client.clone(), body, failure, count));
    }
    kinds.spawn(oversized(client.clone(), count));
    kinds.spawn(endless(client.clone(), count / 100));
    kinds.spawn(slow(client.clone(), count, |request| request.len().min(60)));
    kinds.spawn(slow(client.clone(), count, |request| request.len() - 10));
    kinds.spawn(abandoned(client, count));
    kinds.join_all().await;
}

/// Requests over one connection, each refused the same way.
async fn refused(client: Client, body: String, failure: &'static str, count: usize) {
    let request = client.request("POST", "/v1/chat/completions", body.as_bytes());
    let mut connection = client.connect().await;
    for _ in 0..count {
        connection.send(&request).await.unwrap();
        let response = connection.read_response().await.unwrap();
        assert_eq!(response.failure(), failure);
    }
}

/// Requests that announce more than may come.
async fn oversized(client: Client, count: usize) {
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 999999999\r\n\r\n";
    for _ in 0..count {
        let mut connection = client.connect().await;
        connection.send(head.as_bytes()).await.unwrap();
        let response = connection.read_response().await.unwrap();
        assert_eq!(response.failure(), "413 request_too_large");
    }
}

/// Requests whose chunks never end.
async fn endless(client: Client, count: usize) {
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..count {
        let mut connection = client.connect().await;
        let mut is_taken = connection.send(head.as_bytes()).await.is_ok();
        while is_taken {
            is_taken = connection.send(chunk.as_bytes()).await.is_ok();
        }
    }
}

/// Requests that stop after as many bytes as `length` says. Half of the clients leave, half wait to be
/// thrown out.
async fn slow(client: Client, count: usize, length: fn(&[u8]) -> usize) {
    let mut body = chat("slow");
    body["messages"][0]["content"] = "x".repeat(30_000).into();
    let request = client.request("POST", "/v1/chat/completions", body.to_string().as_bytes());
    let part = &request[..length(&request)];
    for _ in 0..count.div_ceil(SLOW_AT_ONCE) {
        let mut waiting = Vec::new();
        for place in 0..SLOW_AT_ONCE.min(count) {
            let mut connection = client.connect().await;
            connection.send(part).await.unwrap();
            if place.is_multiple_of(2) {
                waiting.push(connection);
            }
        }
        for mut connection in waiting {
            connection.read_to_end().await;
        }
    }
}

/// Streams that are left after their first content, in an orderly way and not.
async fn abandoned(client: Client, count: usize) {
    for place in 0..count {
        let mut connection = client.open_chat(&streamed_chat("abandoned")).await;
        connection.read_until("\"content\":\"h\"").await;
        if place.is_multiple_of(2) {
            connection.reset();
        }
    }
}
