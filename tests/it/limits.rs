//! Bad input is answered clearly, and costs nobody else anything.

use crate::support::{Client, Connection, FakeProvider, TestGateway, chat};
use serde_json::json;

async fn open(client: &Client, bytes: &[u8]) -> Connection {
    let mut connection = client.connect().await;
    connection.send(bytes).await.unwrap();
    connection
}

#[tokio::test]
async fn bodies_that_are_no_request_are_named() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let deep = format!(
        "{{\"model\":\"m\",\"messages\":{}{}}}",
        "[".repeat(5000),
        "]".repeat(5000)
    );
    let wide = format!(
        "{{\"model\":\"m\",\"messages\":[{}]}}",
        vec!["{}"; 200_000].join(",")
    );
    for (body, failure) in [
        ("", "400 invalid_json"),
        ("{", "400 invalid_json"),
        ("[]", "400 invalid_json"),
        (
            "{\"model\":\"m\",\"messages\":[]} trailing",
            "400 invalid_json",
        ),
        (
            "{\"model\":\"gpt-4o\",\"model\":\"gpt-4\",\"messages\":[]}",
            "400 duplicate_key",
        ),
        ("{\"model\":7,\"messages\":[]}", "400 invalid_type"),
        ("{\"model\":\"gpt-4o\"}", "400 missing_required_parameter"),
        (deep.as_str(), "400 json_too_deep"),
        (wide.as_str(), "400 too_many_messages"),
    ] {
        let response = gateway
            .client()
            .post_bytes("/v1/chat/completions", body.as_bytes())
            .await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(response.failure(), failure, "{shown}: {}", response.text());
    }
    let not_utf8 = b"{\"model\":\"\xff\xfe\",\"messages\":[]}";
    let response = gateway
        .client()
        .post_bytes("/v1/chat/completions", not_utf8)
        .await;
    assert_eq!(response.failure(), "400 invalid_json");
    assert_eq!(provider.journal().len(), 0);
    assert_eq!(gateway.client().chat(&chat("healthy")).await.status, 200);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let client = gateway.client();

    // Announced: the answer comes before the body.
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
                content-length: 10485761\r\n\r\n";
    let response = open(&client, head.as_bytes())
        .await
        .read_response()
        .await
        .unwrap();
    assert_eq!(response.failure(), "413 request_too_large");

    // Not announced: chunks that never end.
    let head =
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut connection = open(&client, head.as_bytes()).await;
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    for _ in 0..200 {
        // The gateway may close while we still send.
        if connection.send(chunk.as_bytes()).await.is_err() {
            break;
        }
    }
    if let Some(response) = connection.read_response().await {
        assert_eq!(response.failure(), "413 request_too_large");
    }

    // The largest that is allowed.
    let mut body = chat("largest");
    body["messages"][0]["content"] = "x".repeat(10 * 1024 * 1024 - 200).into();
    let response = client.chat(&body).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(provider.journal().len(), 1);
}

#[tokio::test]
async fn slow_heads_and_bodies_are_cut() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let client = gateway.client();

    let mut silent = client.connect().await;
    let mut head = open(
        &client,
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: ",
    )
    .await;
    let whole = client.request(
        "POST",
        "/v1/chat/completions",
        chat("slow").to_string().as_bytes(),
    );
    let mut body = open(&client, &whole[..whole.len() - 10]).await;

    // Each ends by itself, with an error or without a word.
    assert_eq!(silent.read_to_end().await, b"");
    let said = head.read_to_end().await;
    assert!(
        said.is_empty() || said.starts_with(b"HTTP/1.1 408"),
        "{said:?}"
    );
    let said = body.read_response().await.unwrap();
    assert!([400, 408].contains(&said.status), "{}", said.text());
    said.error();
    assert_eq!(provider.journal().len(), 0);
    assert_eq!(client.chat(&chat("healthy")).await.status, 200);
}

#[tokio::test]
async fn heads_that_are_too_large_or_no_http_are_refused() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let client = gateway.client();
    let fat = client.clone().header("x-fat", &"x".repeat(128 * 1024));
    let request = fat.request("GET", "/v1/models", b"");
    let mut connection = client.connect().await;
    let _ = connection.send(&request).await;
    if let Some(response) = connection.read_response().await {
        assert_eq!(response.status, 431);
    }
    for noise in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
        b"GET\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
    ] {
        let mut connection = open(&client, noise).await;
        let said = connection.read_to_end().await;
        assert!(
            said.is_empty() || said.starts_with(b"HTTP/1.1 4"),
            "{said:?}"
        );
    }
    let two_lengths = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\
                        content-length: 3\r\n\r\n{}x";
    let said = open(&client, two_lengths).await.read_response().await;
    assert!(said.is_none_or(|response| response.status == 400));
    assert_eq!(client.chat(&chat("healthy")).await.status, 200);
    assert_eq!(provider.journal().len(), 1);
}

#[tokio::test]
async fn hostile_names_and_headers_are_only_text() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let client = gateway
        .client()
        .header("x-request-id", "../../etc/passwd")
        .header("traceparent", "00-zz-zz-zz")
        .header("x-promptgate-tags", &",".repeat(4000));
    let mut body = chat("hostile\u{0}\u{1b}[31m\r\nx-injected: 1");
    body["model"] = json!("gpt-4o-mini\r\nx-injected: 1");

    let response = client.chat(&body).await;

    assert!(response.status < 500, "{}", response.text());
    assert_eq!(response.header("x-injected"), None);
    assert_ne!(response.call_id(), "../../etc/passwd");
    assert_eq!(
        client
            .get("/v1/prompts/..%2f..%2fetc%2fpasswd")
            .await
            .status
            / 100,
        4
    );
}
