//! A chat completion, whole: what passes through, what is added, what fails and how.

use crate::support::{Answer, Ending, FakeProvider, Received, TestGateway, chat};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn an_answer_passes_through_byte_for_byte_and_is_recorded() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let body = "{\"id\": \"x\",  \"object\":\"chat.completion\",\"created\":1,\"model\":\"m-1\",\
                \"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"h\u{e9}\"},\
                \"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2,\
                \"total_tokens\":11},\"new_field\":{\"a\":1.50}}";
    provider.next(Answer::status(200, &[], body));

    let response = gateway.client().chat(&chat("plain")).await;

    assert_eq!((response.status, response.text().as_str()), (200, body));
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-promptgate-provider", "openai"),
        ("x-promptgate-model", "gpt-4o-mini"),
        ("x-promptgate-attempts", "1"),
        ("x-promptgate-durability", "os"),
    ] {
        assert_eq!(response.header(name), Some(value), "{name}");
    }
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["outcome"]["state"], "ok");
    assert_eq!(record["outcome"]["model_returned"], "m-1");
    assert_eq!(record["outcome"]["usage_reported"]["total_tokens"], 11);
    assert_eq!(
        record["output"],
        serde_json::from_str::<Value>(body).unwrap()
    );
    assert_eq!(record["request"], chat("plain"));
}

#[tokio::test]
async fn the_provider_gets_the_request_the_call_id_and_only_its_own_key() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let mut body = chat("upstream");
    body["logit_bias"] = json!({"50256": -100});
    body["unknown_to_us"] = json!({"deep": [1, {"a": null}]});
    let client = gateway
        .client()
        .bearer("client-token-of-no-concern-upstream")
        .header("cookie", "session=private");

    let response = client.chat(&body).await;

    assert_eq!(response.status, 200);
    let received = &provider.received("upstream")[0];
    assert_eq!(received.method, "POST");
    assert_eq!(received.path, "/v1/chat/completions");
    assert_eq!(received.json(), body);
    assert_eq!(received.call_id(), Some(response.call_id()));
    let sent: Vec<&str> = received
        .headers
        .iter()
        .map(|(_, value)| value.as_str())
        .collect();
    let key = format!("Bearer {}", crate::support::PROVIDER_KEY);
    assert_eq!(received.header("authorization"), Some(key.as_str()));
    assert!(
        !sent
            .iter()
            .any(|value| value.contains("client-token") || value.contains("private"))
    );
}

#[tokio::test]
async fn a_cost_is_evidence() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;

    let response = gateway.client().chat(&chat("priced")).await;
    let known = gateway.record(response.call_id()).await["outcome"]["cost"].clone();
    // gpt-4o-mini: 0.15 and 0.60 dollars per million tokens; 9 in, 2 out.
    assert_eq!(known["pico_usd"], 9 * 150_000 + 2 * 600_000);
    assert_eq!(known["quality"], "exact");
    assert_eq!(response.header("x-promptgate-cost-usd"), Some("0.00000255"));

    let reply = json!({"object": "chat.completion", "model": "a-model-without-a-price",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}});
    provider.next(Answer::json(&reply));
    let mut body = chat("unpriced");
    body["model"] = "openai/a-model-without-a-price".into();
    let response = gateway.client().chat(&body).await;
    let unknown = gateway.record(response.call_id()).await["outcome"]["cost"].clone();
    assert_eq!(unknown["pico_usd"], Value::Null);
    assert_eq!(unknown["quality"], "unknown");
    assert_eq!(response.header("x-promptgate-cost-usd"), None);
}

/// What the provider does, and what the client and the record say.
#[tokio::test]
async fn every_failure_has_its_status_and_its_record() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    provider.always(answer_by_tag);
    for (tag, status, state) in [
        ("fail-400", 400, "refused"),
        ("fail-404", 404, "refused"),
        ("fail-422", 422, "refused"),
        ("fail-401", 502, "upstream_error"),
        ("fail-429", 429, "upstream_error"),
        ("fail-500", 502, "upstream_error"),
        ("fail-503", 503, "upstream_error"),
        ("html", 502, "upstream_error"),
        ("not-json", 502, "upstream_error"),
        ("empty", 502, "upstream_error"),
        ("reset", 502, "upstream_error"),
        ("half", 502, "upstream_error"),
        ("hang", 504, "timeout"),
        ("stall", 504, "timeout"),
    ] {
        let response = gateway.client().chat(&chat(tag)).await;
        assert_eq!(response.status, status, "{tag}: {}", response.text());
        response.error();
        assert_eq!(response.header("x-should-retry"), Some("false"), "{tag}");
        let record = gateway.record(response.call_id()).await;
        assert_eq!(record["outcome"]["state"], state, "{tag}: {record}");
        let attempts = record["outcome"]["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), provider.received(tag).len(), "{tag}");
        assert!(
            attempts.iter().all(|attempt| attempt["error"].is_string()),
            "{tag}"
        );
    }
}

fn answer_by_tag(request: &Received) -> Answer {
    let error = json!({"error": {"message": "scripted", "type": "t", "param": null, "code": null}});
    match request.tag().as_str() {
        "html" => Answer::status(
            502,
            &[("content-type", "text/html")],
            "<html>bad gateway</html>",
        ),
        "not-json" => Answer::status(200, &[], "{\"choices\": [{\"index\": 0, \"mess"),
        "empty" => Answer::status(200, &[], ""),
        "reset" => Answer::reply("never").cut(0, Ending::Reset),
        "half" => Answer::reply("never").cut(200, Ending::Close),
        "hang" => Answer::hang(),
        "stall" => Answer::reply("never").stall_after(200),
        tag => {
            let status = tag.strip_prefix("fail-").unwrap();
            Answer::fail(status.parse().unwrap(), &error)
        }
    }
}

#[tokio::test]
async fn a_passing_fault_before_the_answer_is_invisible() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    provider.next(Answer::fail(
        503,
        &json!({"error": {"message": "overloaded"}}),
    ));

    let response = gateway.client().chat(&chat("second")).await;

    assert_eq!(
        (response.status, response.content().as_str()),
        (200, "hello")
    );
    assert_eq!(response.header("x-promptgate-attempts"), Some("2"));
    let asked = provider.received("second");
    assert_eq!(asked.len(), 2);
    assert!(
        asked
            .iter()
            .all(|request| request.call_id() == Some(response.call_id()))
    );
    assert_eq!(gateway.all_calls().await.len(), 1);
}

#[tokio::test]
async fn retry_after_is_obeyed_or_handed_on() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let limited = |wait| {
        Answer::status(
            429,
            &[("retry-after", wait)],
            "{\"error\":{\"message\":\"slow\"}}",
        )
    };

    provider.next(limited("1"));
    let response = gateway.client().chat(&chat("short")).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let asked = provider.received("short");
    let pause = asked[1].at.duration_since(asked[0].at);
    assert!(
        Duration::from_millis(990) <= pause,
        "asked again after {pause:?}"
    );

    provider.next(limited("3600"));
    let response = gateway.client().chat(&chat("long")).await;
    assert_eq!(
        (response.status, response.header("retry-after")),
        (429, Some("3600"))
    );
    assert_eq!(provider.received("long").len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_cost() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    provider.always(|_| Answer::hang());

    let connection = gateway.client().open_chat(&chat("left")).await;
    provider
        .wait_for("the request", |request| request.tag() == "left")
        .await;
    let left = tokio::time::Instant::now();
    drop(connection);

    let received = provider
        .wait_for("the end", |request| request.gone.is_some())
        .await;
    let took = received.gone.unwrap().duration_since(left);
    assert!(
        took <= Duration::from_millis(250),
        "cancelled after {took:?}"
    );
    let calls = gateway.ended_calls(1).await;
    assert_eq!(calls[0].state(), "client_gone");
    assert_eq!(provider.journal().len(), 1);
}

#[tokio::test]
async fn models_that_nobody_serves_are_named() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let mut body = chat("nowhere");
    body["model"] = "nobody/knows-this".into();

    let response = gateway.client().chat(&body).await;

    assert_eq!(response.failure(), "404 model_not_found");
    assert_eq!(response.error()["param"], "model");
    assert!(response.text().contains("nobody/knows-this"));
    assert_eq!(provider.journal().len(), 0);
}

#[tokio::test]
async fn embeddings_pass_through_and_are_recorded() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let body = json!({"model": "text-embedding-3-small", "input": ["a", "b"], "user": "embed"});

    let response = gateway.client().post("/v1/embeddings", &body).await;

    assert_eq!(response.status, 200, "{}", response.text());
    assert_eq!(response.json()["data"][0]["embedding"], json!([0.5, -0.5]));
    assert_eq!(provider.received("embed")[0].json(), body);
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["intent"]["operation"], "embeddings");
    assert_eq!(record["outcome"]["usage_reported"]["prompt_tokens"], 3);
    assert_eq!(record["output"], json!(null), "vectors are not kept");
}

#[tokio::test]
async fn one_connection_serves_many_calls() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let client = gateway.client();
    let mut connection = client.connect().await;
    for round in 0..20 {
        let body = chat(&format!("kept-{round}")).to_string();
        let request = client.request("POST", "/v1/chat/completions", body.as_bytes());
        connection.send(&request).await.unwrap();
        let response = connection.read_response().await.unwrap();
        assert_eq!(
            (response.status, response.complete),
            (200, true),
            "round {round}"
        );
    }
    assert_eq!(gateway.ended_calls(20).await.len(), 20);
}
