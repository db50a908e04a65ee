//! What a provider says when it fails reaches the client as it was said, in whichever dialects the two speak,
//! before an answer has begun and inside of it.

use crate::support::{Answer, FakeProvider, Setup, TestGateway};
use serde_json::{Value, json};

/// A provider, as the config names it, and its dialect's way to begin an answer and to break it off.
struct Case {
    provider: &'static str,
    begun: Vec<String>,
    fault: Value,
    /// The name of the event that tells it.
    event: Option<&'static str>,
    /// The provider's code and type, and the kind that the record has.
    code: &'static str,
    class: &'static str,
    kind: &'static str,
}

const WORDS: &str = "the very words of the provider";

fn data(value: &Value) -> String {
    format!("data: {value}\n\n")
}

fn named(value: &Value) -> String {
    format!(
        "event: {}\ndata: {value}\n\n",
        value["type"].as_str().unwrap()
    )
}

fn cases() -> Vec<Case> {
    [of_openai(), of_others()].into_iter().flatten().collect()
}

fn of_openai() -> [Case; 2] {
    [
        Case {
            provider: "older/gpt-4o",
            begun: vec![data(&json!({"id": "c", "choices": [
                {"index": 0, "delta": {"role": "assistant", "content": "half"}}]}))],
            fault: json!({"error": {"message": WORDS, "type": "tokens", "param": null,
                "code": "rate_limit_exceeded"}}),
            event: None,
            code: "rate_limit_exceeded",
            class: "tokens",
            kind: "provider_rate_limited",
        },
        Case {
            provider: "native/gpt-5",
            begun: vec![
                named(
                    &json!({"type": "response.created", "sequence_number": 0, "response":
                    {"id": "resp_1", "model": "gpt-5", "created_at": 1, "status": "in_progress"}}),
                ),
                named(
                    &json!({"type": "response.output_text.delta", "sequence_number": 1,
                    "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": "half"}),
                ),
            ],
            fault: json!({"type": "response.failed", "sequence_number": 2, "response": {"id": "resp_1",
                "status": "failed", "error": {"code": "server_is_overloaded", "message": WORDS}}}),
            event: Some("response.failed"),
            code: "server_is_overloaded",
            class: "upstream_error",
            kind: "provider_overloaded",
        },
    ]
}

fn of_others() -> [Case; 2] {
    [
        Case {
            provider: "claude/claude-opus-4-6",
            begun: vec![
                named(
                    &json!({"type": "message_start", "message": {"id": "msg_1", "content": [],
                    "model": "claude-opus-4-6", "usage": {"input_tokens": 9, "output_tokens": 1}}}),
                ),
                named(&json!({"type": "content_block_start", "index": 0,
                    "content_block": {"type": "text", "text": ""}})),
                named(&json!({"type": "content_block_delta", "index": 0,
                    "delta": {"type": "text_delta", "text": "half"}})),
            ],
            fault: json!({"type": "error",
                "error": {"type": "overloaded_error", "message": WORDS}}),
            event: Some("error"),
            code: "overloaded_error",
            class: "overloaded_error",
            kind: "provider_overloaded",
        },
        Case {
            provider: "google/gemini-3-pro",
            begun: vec![data(&json!({"candidates": [{"index": 0,
                "content": {"role": "model", "parts": [{"text": "half"}]}}]}))],
            fault: json!({"error": {"code": 503, "message": WORDS, "status": "UNAVAILABLE"}}),
            event: None,
            code: "UNAVAILABLE",
            class: "UNAVAILABLE",
            kind: "provider_overloaded",
        },
    ]
}

async fn gateway(upstream: &FakeProvider) -> TestGateway {
    let address = upstream.address;
    let provider = |name: &str, preset: &str, path: &str, more: &str| {
        format!(
            "[providers.{name}]\npreset = \"{preset}\"\nbase_url = \"http://{address}/{path}\"\n\
             api_key = \"env:OPENAI_API_KEY\"\n{more}"
        )
    };
    Setup::of(upstream)
        .config(&provider(
            "older",
            "openai",
            "v1",
            "dialects = [\"chat\"]\n",
        ))
        .config(&provider(
            "native",
            "openai",
            "v1",
            "dialects = [\"responses\"]\n",
        ))
        .config(&provider("claude", "anthropic", "v1", ""))
        .config(&provider("google", "gemini", "v1beta", ""))
        .start()
        .await
}

fn asked(path: &str, model: &str) -> Value {
    let messages = json!([{"role": "user", "content": "hi"}]);
    match path {
        "/v1/responses" => json!({"model": model, "stream": true, "input": "hi"}),
        "/v1/messages" => {
            json!({"model": model, "stream": true, "max_tokens": 9, "messages": messages})
        }
        _ => json!({"model": model, "stream": true, "messages": messages}),
    }
}

fn parsed(event: &str) -> Value {
    serde_json::from_str(event).unwrap()
}

#[tokio::test]
async fn an_error_inside_a_stream_is_told_as_it_was_said() {
    let upstream = FakeProvider::start().await;
    let gateway = gateway(&upstream).await;
    for case in cases() {
        let name = case.event.map(|name| format!("event: {name}\n"));
        let fault = format!("{}data: {}\n\n", name.unwrap_or_default(), case.fault);
        for path in ["/v1/chat/completions", "/v1/responses", "/v1/messages"] {
            let named = format!("{} asked at {path}", case.provider);
            let mut all: Vec<&str> = case.begun.iter().map(String::as_str).collect();
            all.push(&fault);
            // Until something has reached the client, another attempt would be made.
            upstream.next(Answer::events(&all).gate_after(all.len()));
            let body = asked(path, case.provider).to_string();
            let client = gateway.client();
            let mut connection = client.connect().await;
            let request = client.request("POST", path, body.as_bytes());
            connection.send(&request).await.unwrap();
            connection.read_until("half").await;
            upstream.release();
            let response = connection.read_response().await.unwrap();
            let events = response.events();
            let last = parsed(events.last().unwrap());
            match path {
                "/v1/responses" => {
                    let error = parsed(&events[events.len() - 2]);
                    assert_eq!(error["type"], "error", "{named}: {events:?}");
                    assert_eq!(error["code"], case.code, "{named}: {error}");
                    assert_eq!(error["message"], WORDS, "{named}");
                    assert_eq!(last["type"], "response.failed", "{named}: {last}");
                    assert_eq!(last["response"]["error"]["message"], WORDS, "{named}");
                    let (one, other) = (&error["sequence_number"], &last["sequence_number"]);
                    assert_eq!(
                        one.as_u64().unwrap() + 1,
                        other.as_u64().unwrap(),
                        "{named}"
                    );
                }
                "/v1/messages" => {
                    let error = &last["error"];
                    let names = [error["type"].as_str(), error["code"].as_str()];
                    assert!(names.contains(&Some(case.code)), "{named}: {last}");
                    assert_eq!(error["message"], WORDS, "{named}");
                }
                _ => {
                    assert_eq!(
                        last["error"],
                        json!({"message": WORDS, "type": case.class, "param": null, "code": case.code}),
                        "{named}"
                    );
                }
            }
            let outcome = &gateway.record(response.call_id()).await["outcome"];
            assert_eq!(outcome["state"], "upstream_error", "{named}: {outcome}");
            assert_eq!(outcome["error"], case.kind, "{named}: {outcome}");
            let message = outcome["message"].as_str().unwrap();
            let provider = case.provider.split('/').next().unwrap();
            for part in [WORDS, case.code, provider] {
                assert!(message.contains(part), "{named}: {message}");
            }
        }
    }
}

#[tokio::test]
async fn an_error_that_a_stream_begins_with_is_the_same_as_one_before_it() {
    let upstream = FakeProvider::start().await;
    let gateway = gateway(&upstream).await;
    let event = |kind: &str| {
        let error = json!({"type": "error", "error": {"type": kind, "message": WORDS}});
        format!("event: error\ndata: {error}\n\n")
    };
    let body = asked("/v1/chat/completions", "claude/claude-opus-4-6");

    // A refusal of the request is one: nobody asks again, the client learns what was wrong.
    upstream.next(Answer::events(&[&event("invalid_request_error")]));
    let response = gateway.client().chat(&body).await;
    assert_eq!(response.failure(), "400 invalid_request_error");
    assert_eq!(response.error()["message"], WORDS);
    assert_eq!(response.header("x-promptgate-attempts"), Some("1"));
    let outcome = &gateway.record(response.call_id()).await["outcome"];
    assert_eq!(outcome["state"], "refused", "{outcome}");
    assert_eq!(outcome["attempts"][0]["status"], 200, "{outcome}");

    // What passes is tried again, and keeps its kind.
    for _ in 0..2 {
        upstream.next(Answer::events(&[&event("overloaded_error")]));
    }
    let response = gateway.client().chat(&body).await;
    assert_eq!(response.failure(), "503 provider_overloaded");
    assert_eq!(response.header("x-promptgate-attempts"), Some("2"));

    // So is an error in a whole answer with a good status.
    let mut whole = body.clone();
    whole["stream"] = false.into();
    upstream.next(Answer::json(&json!({"type": "error",
        "error": {"type": "not_found_error", "message": WORDS}})));
    let response = gateway.client().chat(&whole).await;
    assert_eq!(response.failure(), "404 not_found_error");
    assert_eq!(response.error()["message"], WORDS);
}

#[tokio::test]
async fn codes_are_the_providers_own_and_no_numbers() {
    let upstream = FakeProvider::start().await;
    let gateway = gateway(&upstream).await;
    let body = asked("/v1/chat/completions", "google/gemini-3-pro");
    let refused = |code: u16, status: &str, details: Value| {
        let error = json!({"code": code, "message": WORDS, "status": status, "details": details});
        Answer::fail(code, &json!({"error": error}))
    };
    let reason = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID"}]);
    let wait = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "77s"}]);
    for (answer, failure) in [
        (
            refused(400, "INVALID_ARGUMENT", json!([])),
            "400 INVALID_ARGUMENT",
        ),
        (
            refused(400, "INVALID_ARGUMENT", reason),
            "400 API_KEY_INVALID",
        ),
        (refused(404, "NOT_FOUND", json!([])), "404 NOT_FOUND"),
        (
            refused(429, "RESOURCE_EXHAUSTED", wait),
            "429 RESOURCE_EXHAUSTED",
        ),
    ] {
        upstream.next(answer);
        let response = gateway.client().chat(&body).await;
        assert_eq!(response.failure(), failure);
        if failure.starts_with("429") {
            assert_eq!(response.header("retry-after"), Some("77"));
        }
    }
    // What Azure says about a filter stands behind its code.
    let inner = json!({"code": "ResponsibleAIPolicyViolation",
        "content_filter_result": {"hate": {"filtered": true, "severity": "high"}}});
    upstream.next(Answer::fail(
        400,
        &json!({"error": {"message": WORDS, "type": null, "param": "prompt",
            "code": "content_filter", "status": 400, "innererror": inner}}),
    ));
    let response = gateway
        .client()
        .chat(&asked("/v1/chat/completions", "openai/gpt-4o"))
        .await;
    assert_eq!(response.failure(), "400 content_filter");
    assert_eq!(response.error()["innererror"], inner);
}

#[tokio::test]
async fn a_raw_stream_that_tells_an_error_is_recorded_as_one() {
    let upstream = FakeProvider::start().await;
    let gateway = gateway(&upstream).await;
    let case = cases().remove(2);
    let mut all: Vec<&str> = case.begun.iter().map(String::as_str).collect();
    let fault = format!("event: error\ndata: {}\n\n", case.fault);
    all.push(&fault);
    upstream.next(Answer::events(&all));
    let body = asked("/v1/messages", "claude-opus-4-6");
    let response = gateway
        .client()
        .post("/claude/v1/messages?beta=true", &body)
        .await;
    assert_eq!(response.text(), all.concat());
    let outcome = &gateway.record(response.call_id()).await["outcome"];
    assert_eq!(outcome["state"], "upstream_error", "{outcome}");
    assert_eq!(outcome["error"], "provider_overloaded", "{outcome}");
}

/// A gateway with prompts that set what not every version of Anthropic's API has, and a route that leaves such out.
async fn with_prompts(upstream: &FakeProvider) -> TestGateway {
    upstream.always(|_| {
        Answer::json(&json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6",
            "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 9, "output_tokens": 2},
        }))
    });
    let prompt = |setting: &str| {
        format!(
            "---\nmodel: claude/claude-opus-4-6\nconfig:\n  {setting}\n---\nBe warm.\n{{{{history}}}}\n"
        )
    };
    Setup::of(upstream)
        .config(&format!(
            "[providers.claude]\npreset = \"anthropic\"\nbase_url = \"http://{}/v1\"\n\
             api_key = \"env:OPENAI_API_KEY\"\n\
             [models]\n\"claude-haiku-*\" = {{ provider = \"claude\", drop_unsupported = true }}\n",
            upstream.address
        ))
        .prompt("warm.prompt", &prompt("temperature: 0.5"))
        .prompt("seeded.prompt", &prompt("seed: 7"))
        .start()
        .await
}

fn of_prompt(more: &Value) -> Value {
    let mut body = json!({"model": "prompt:warm", "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}]});
    let fields = body.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn what_a_prompt_sets_and_the_version_lacks_is_named_as_the_prompts() {
    let upstream = FakeProvider::start().await;
    let gateway = with_prompts(&upstream).await;
    let newer = gateway.client().header("anthropic-version", "2026-10-21");

    // The newer version has no temperature: it is the prompt that must change, not the client.
    let bare = of_prompt(&json!({}));
    let response = newer.post("/v1/messages", &bare).await;
    let error = response.json()["error"].clone();
    assert_eq!(response.status, 400, "{error}");
    assert_eq!(error["code"], "unsupported_parameter", "{error}");
    assert_eq!(error["param"], "prompt.temperature", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(
        message.contains("prompt `warm` sets `temperature`"),
        "{error}"
    );
    let hint = error["hint"].as_str().unwrap();
    assert!(hint.contains("the prompt's file"), "{error}");
    assert!(upstream.journal().is_empty(), "nobody was asked");

    // What the client says itself is the client's.
    let said = of_prompt(&json!({"temperature": 0.25}));
    let response = newer.post("/v1/messages", &said).await;
    assert_eq!(response.json()["error"]["param"], "temperature");

    // The older version takes it.
    let older = gateway.client().header("anthropic-version", "2023-06-01");
    let response = older.post("/v1/messages", &bare).await;
    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(upstream.journal().pop().unwrap().json()["temperature"], 0.5);

    // The same in chat completions, of a setting that no version has.
    let body = json!({"model": "prompt:seeded", "messages": [{"role": "user", "content": "hi"}]});
    let response = gateway.client().chat(&body).await;
    assert_eq!(response.failure(), "400 unsupported_parameter");
    assert_eq!(response.error()["param"], "prompt.seed");
}

#[tokio::test]
async fn a_route_may_say_that_what_cannot_be_said_is_left_out() {
    let upstream = FakeProvider::start().await;
    let gateway = with_prompts(&upstream).await;
    let newer = gateway.client().header("anthropic-version", "2026-10-21");
    for model in ["claude-haiku-4-5", "claude/claude-haiku-4-5"] {
        let body = of_prompt(&json!({"model": model, "prompt": {"id": "warm"}}));
        let response = newer.post("/v1/messages", &body).await;
        assert_eq!(response.status, 200, "{model}: {}", response.text());
        let sent = upstream.journal().pop().unwrap().json();
        assert_eq!(sent.get("temperature"), None, "{model}: {sent}");
        let warnings = response.header("x-promptgate-warnings").unwrap().to_owned();
        assert!(warnings.contains("`temperature`"), "{model}: {warnings}");
    }
}

#[tokio::test]
async fn tokens_that_a_provider_does_not_tell_are_estimated() {
    let upstream = FakeProvider::start().await;
    upstream.always(|_| Answer::json(&json!({"embeddings": [{"values": [1.0, 0.5]}]})));
    let gateway = gateway(&upstream).await;
    let body = json!({"model": "google/gemini-embedding-001", "input": ["a few words of a text"]});
    let response = gateway.client().post("/v1/embeddings", &body).await;
    let usage = &response.json()["usage"];
    let tokens = usage["prompt_tokens"].as_u64().unwrap();
    assert!((3..12).contains(&tokens), "{usage}");
    assert_eq!(usage["total_tokens"], tokens);
    let outcome = &gateway.record(response.call_id()).await["outcome"];
    assert_eq!(outcome["usage"]["input"], tokens, "{outcome}");
    assert_eq!(outcome["cost"]["quality"], "estimated", "{outcome}");
}
