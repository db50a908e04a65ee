//! Bodies that are handed on while they come: what is recorded of them, how far they go, and what happens when
//! either side ends them.

use crate::support::{
    Answer, Client, Connection, FakeProvider, Setup, TestGateway, own_memory_kib, within,
};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const FORM: &str = "multipart/form-data; boundary=x";

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A body of so many bytes, of which no two pieces are the same.
fn body(size: usize) -> Vec<u8> {
    let numbers = (0_u32..).flat_map(u32::to_le_bytes);
    numbers.take(size).collect()
}

async fn begun(gateway: &TestGateway, framing: &str) -> Connection {
    let head =
        format!("POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-type: {FORM}\r\n{framing}\r\n\r\n");
    let mut connection = gateway.client().connect().await;
    connection.send(head.as_bytes()).await.unwrap();
    connection
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

#[tokio::test]
async fn a_large_body_passes_through_and_its_sum_is_recorded() {
    let upstream = FakeProvider::start().await;
    upstream.always(|_| Answer::json(&json!({"id": "file-1"})));
    let gateway = TestGateway::start(&upstream).await;
    let body = body(3 << 20);
    let client = gateway.client().header("content-type", FORM);
    let answer = client.post_bytes("/v1/files", &body).await;
    assert_eq!(answer.json()["id"], "file-1");
    let asked = upstream.journal().remove(0);
    assert_eq!(asked.body.len(), body.len());
    assert!(asked.body == body, "the body came as it was");
    assert_eq!(asked.header("content-length"), Some("3145728"));
    assert_eq!(asked.header("content-type"), Some(FORM));
    let record = gateway.record(answer.call_id()).await;
    assert_eq!(record["request"]["content_type"], FORM, "{record}");
    assert_eq!(record["request"]["bytes"], body.len(), "{record}");
    assert_eq!(record["request"]["sha256"], sha256(&body));
    assert_eq!(record["outcome"]["request_body"]["is_whole"], true);
    assert_eq!(record["outcome"]["state"], "ok");
}

#[tokio::test]
async fn a_body_is_on_its_way_before_it_has_come() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = upstream.local_addr().unwrap();
    let gateway = before(address).await;
    let mut client = begun(&gateway, "transfer-encoding: chunked").await;
    client.send(&chunk(&body(1 << 20))).await.unwrap();
    // The provider gets the first part while the client still has the rest.
    let (mut stream, _) = within("the request", upstream.accept()).await.unwrap();
    let mut came = vec![0; 500_000];
    within("the first part", stream.read_exact(&mut came))
        .await
        .unwrap();
    client.send(&chunk(b"last")).await.unwrap();
    client.send(b"0\r\n\r\n").await.unwrap();
    let mut all = Vec::new();
    while !all.ends_with(b"0\r\n\r\n") {
        within("the rest", stream.read_buf(&mut all)).await.unwrap();
    }
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
    stream.write_all(answer).await.unwrap();
    assert_eq!(client.read_response().await.unwrap().status, 200);
}

/// A gateway whose provider is at `address`.
async fn before(address: std::net::SocketAddr) -> TestGateway {
    let unused = FakeProvider::start().await;
    let setup = Setup::of(&unused);
    let (from, to) = (unused.address.to_string(), address.to_string());
    setup.replace(&from, &to).start().await
}

#[tokio::test]
async fn a_provider_may_answer_before_it_has_read_all() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before(upstream.local_addr().unwrap()).await;
    let mut client = begun(&gateway, "content-length: 9000000").await;
    client.send(&body(1 << 20)).await.unwrap();
    let (mut stream, _) = within("the request", upstream.accept()).await.unwrap();
    let mut came = vec![0; 1000];
    within("the head", stream.read_exact(&mut came))
        .await
        .unwrap();
    let said = r#"{"error":{"message":"too large for us"}}"#;
    let answer = format!(
        "HTTP/1.1 413 Too Large\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{said}",
        said.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert!(answer.text().contains("too large for us"));
    let record = gateway.record(answer.call_id()).await;
    assert_eq!(record["outcome"]["state"], "refused", "{record}");
    assert_eq!(
        record["outcome"]["request_body"]["is_whole"], false,
        "{record}"
    );
    assert_eq!(record["outcome"]["attempts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_upload_and_is_recorded() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gateway = before(upstream.local_addr().unwrap()).await;
    let mut client = begun(&gateway, "content-length: 9000000").await;
    client.send(&body(1 << 20)).await.unwrap();
    let (mut stream, _) = within("the request", upstream.accept()).await.unwrap();
    let mut came = vec![0; 500_000];
    within("the first part", stream.read_exact(&mut came))
        .await
        .unwrap();
    client.reset();
    let mut rest = Vec::new();
    // However it ends: nothing is left open.
    let _ = within("the end", stream.read_to_end(&mut rest)).await;
    assert!(came.len() + rest.len() < 9_000_000);
    let calls = gateway.ended_calls(1).await;
    let record = gateway.record(calls[0].id()).await;
    assert_eq!(record["outcome"]["state"], "client_gone", "{record}");
    assert_eq!(record["outcome"]["request_body"]["is_whole"], false);
}

#[tokio::test]
async fn the_limit_holds_while_a_body_comes() {
    let upstream = FakeProvider::start().await;
    let gateway = TestGateway::start(&upstream).await;
    let mut client = begun(&gateway, "transfer-encoding: chunked").await;
    let piece = chunk(&body(1 << 20));
    for _ in 0..11 {
        // The gateway may close while we still send.
        if client.send(&piece).await.is_err() {
            break;
        }
    }
    if let Some(answer) = client.read_response().await {
        assert_eq!(answer.failure(), "413 request_too_large");
    }
    let calls = gateway.ended_calls(1).await;
    let record = gateway.record(calls[0].id()).await;
    assert_eq!(record["outcome"]["state"], "refused", "{record}");
    assert_eq!(record["outcome"]["error"], "request_too_large");
    assert!(upstream.journal().is_empty(), "no whole request came");
    // What is announced to be too large is asked of nobody.
    let mut client = begun(&gateway, "content-length: 10485761").await;
    let answer = client.read_response().await.unwrap();
    assert_eq!(answer.failure(), "413 request_too_large");
    assert_eq!(gateway.all_calls().await.len(), 1);
}

#[tokio::test]
async fn a_slow_client_is_cut_while_its_body_passes() {
    let upstream = FakeProvider::start().await;
    let gateway = TestGateway::start(&upstream).await;
    let mut client = begun(&gateway, "content-length: 9000000").await;
    client.send(&body(1 << 20)).await.unwrap();
    let answer = client.read_response().await.unwrap();
    assert_eq!(answer.failure(), "400 request_timeout");
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_tried_again_with_the_same_body() {
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = nobody.local_addr().unwrap();
    drop(nobody);
    let gateway = before(address).await;
    let client: Client = gateway.client().header("content-type", FORM);
    let answer = client.post_bytes("/v1/files", &body(1 << 20)).await;
    assert_eq!(
        answer.failure(),
        "502 provider_unreachable",
        "{}",
        answer.text()
    );
    let record = gateway.record(answer.call_id()).await;
    let attempts = record["outcome"]["attempts"].as_array().unwrap();
    assert_eq!(
        attempts.len(),
        2,
        "nothing was sent, so it was tried again: {record}"
    );
}

#[tokio::test]
async fn memory_does_not_grow_with_a_body() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let unused = FakeProvider::start().await;
    let (from, to) = (
        unused.address.to_string(),
        upstream.local_addr().unwrap().to_string(),
    );
    let gateway = Setup::of(&unused)
        .replace(&from, &to)
        .replace("[server]\n", "[server]\nmax_body = \"100MB\"\n")
        .replace("body_timeout = \"1s\"", "body_timeout = \"20s\"")
        .replace("total = \"10s\"", "total = \"60s\"")
        .start()
        .await;
    let size = 24 << 20;
    let before = own_memory_kib(gateway.pid());
    let mut client = begun(&gateway, &format!("content-length: {size}")).await;
    let piece = body(1 << 20);
    let sending = async {
        for _ in 0..24 {
            client.send(&piece).await.unwrap();
        }
    };
    let reading = async {
        let (mut stream, _) = upstream.accept().await.unwrap();
        let (mut came, mut most, mut buffer) = (0, 0, vec![0; 1 << 16]);
        while came < size {
            came += stream.read(&mut buffer).await.unwrap();
            most = most.max(own_memory_kib(gateway.pid()));
        }
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        stream.write_all(answer).await.unwrap();
        most
    };
    let (most, ()) = within("the upload", async { tokio::join!(reading, sending) }).await;
    assert_eq!(client.read_response().await.unwrap().status, 200);
    let grown = most.saturating_sub(before);
    assert!(
        grown < 10 * 1024,
        "{grown} KiB for a body of {} KiB",
        size >> 10
    );
}
