//! Upstreams that answer, but not as one should: the client gets a clear error, the record says what
//! happened, once, and nothing of it is believed.

use crate::support::{
    Answer, Ending, FakeProvider, PROVIDER_KEY, Received, Response, TestGateway, chat,
    default_answer, streamed_chat,
};
use serde_json::Value;

/// What the upstreams do, and what the client gets.
const CASES: [(&str, u16, &str); 8] = [
    ("redirect-302", 502, "provider_invalid_response"),
    ("redirect-307", 502, "provider_invalid_response"),
    ("redirect-308", 502, "provider_invalid_response"),
    ("html", 502, "provider_invalid_response"),
    ("gzip", 502, "provider_invalid_response"),
    ("endless-header", 502, "provider_invalid_response"),
    ("half-a-head", 502, "provider_reset"),
    ("no-http", 502, "provider_invalid_response"),
];

#[tokio::test]
async fn an_odd_upstream_is_one_clear_error_and_one_record() {
    let elsewhere = FakeProvider::start().await;
    let provider = FakeProvider::start().await;
    let target = format!("http://{}/v1/chat/completions", elsewhere.address);
    provider.always(move |request| odd_answer(request, &target));
    let gateway = TestGateway::start(&provider).await;

    for (tag, status, code) in CASES {
        for body in [chat(tag), streamed_chat(tag)] {
            let response = gateway.client().chat(&body).await;
            let named = format!("{tag}, stream {}", body["stream"]);
            assert_eq!(
                response.failure(),
                format!("{status} {code}"),
                "{named}: {}",
                response.text()
            );
            check_error(&named, &response);
            let record = gateway.record(response.call_id()).await;
            check_record(&named, &record, code);
        }
    }

    assert_eq!(elsewhere.journal().len(), 0, "a redirect was followed");
    let calls = gateway.ended_calls(CASES.len() * 2).await;
    for request in provider.journal() {
        let records = calls
            .iter()
            .filter(|call| request.call_id() == Some(call.id()));
        assert_eq!(records.count(), 1, "{request:?}");
    }
    let response = gateway.client().chat(&chat("healthy")).await;
    assert_eq!(response.content(), "hello");
}

/// The error says what to do, and nothing of what the upstream sent.
fn check_error(named: &str, response: &Response) {
    assert_eq!(response.header("x-should-retry"), Some("false"), "{named}");
    let text = response.text();
    if response.failure().ends_with("invalid_response") {
        let hint = response.error()["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains("base_url"), "{named}: {hint}");
    }
    let message = response.error()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("openai"),
        "{named}: whose fault is it? {text}"
    );
    for noise in ["<html", "aaaaaaaa", "location", PROVIDER_KEY] {
        assert!(!text.contains(noise), "{named}: {text}");
    }
}

fn check_record(named: &str, record: &Value, code: &str) {
    let outcome = &record["outcome"];
    assert_eq!(outcome["state"], "upstream_error", "{named}: {outcome}");
    assert_eq!(outcome["error"], code, "{named}: {outcome}");
    let attempts = outcome["attempts"].as_array().unwrap();
    assert!(!attempts.is_empty(), "{named}: {outcome}");
    for attempt in attempts {
        assert!(attempt["error"].is_string(), "{named}: {attempt}");
    }
}

fn odd_answer(request: &Received, target: &str) -> Answer {
    let tag = request.tag();
    let page = "<html><body>Sign in to continue</body></html>";
    match tag.as_str() {
        "html" => Answer::raw(whole(
            "200 OK",
            "content-type: text/html\r\n",
            page.as_bytes(),
        )),
        "gzip" => {
            let reply = "{\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":\
                         {\"role\":\"assistant\",\"content\":\"hidden\"}}]}";
            let headers = "content-type: application/json\r\ncontent-encoding: gzip\r\n";
            Answer::raw(whole("200 OK", headers, &gzip(reply.as_bytes())))
        }
        "endless-header" => {
            let start = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-more: ";
            let noise = "a".repeat(4 << 20);
            let answer = Answer::raw(format!("{start}{noise}"));
            let sent = answer.len();
            answer.stall_after(sent)
        }
        "half-a-head" => Answer::reply("never").cut(30, Ending::Close),
        "no-http" => Answer::raw("SSH-2.0-OpenSSH_9.9\r\n\r\n").cut(23, Ending::Close),
        _ => match tag.strip_prefix("redirect-") {
            Some(status) => {
                let status = format!("{status} Elsewhere");
                Answer::raw(whole(&status, &format!("location: {target}\r\n"), b""))
            }
            None => default_answer(request),
        },
    }
}

/// A whole response.
fn whole(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// `bytes` as gzip, in one block that is stored as it is.
fn gzip(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).unwrap();
    let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    [
        head.as_slice(),
        &length.to_le_bytes(),
        &(!length).to_le_bytes(),
        bytes,
        &crc32fast::hash(bytes).to_le_bytes(),
        &u32::from(length).to_le_bytes(),
    ]
    .concat()
}
