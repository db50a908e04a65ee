//! The provider in this process, asked as every other.

use crate::domain::{CallId, Operation};
use crate::providers::loopback_tests::{outgoing, stream, whole};
use crate::providers::{Clock, Config, Error, ErrorKind, Outgoing, Preset, Providers, Reply};
use base64::Engine as _;
use bytes::Bytes;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// A request to the provider in this process, its answer as JSON.
async fn simulate(model: &str, body: Value) -> Result<Value, Error> {
    let reply = simulate_reply(model, body, false).await?;
    Ok(serde_json::from_slice(&whole(reply)).unwrap())
}

async fn simulate_reply(model: &str, body: Value, stream: bool) -> Result<Reply, Error> {
    let providers = Providers::build(vec![Config::new("simulated", Preset::Simulated)]).unwrap();
    let is_embedding = body.get("input").is_some();
    let outgoing = Outgoing {
        operation: if is_embedding {
            Operation::Embeddings
        } else {
            Operation::Chat
        },
        model: model.to_owned(),
        body: Bytes::from(body.to_string()),
        ..outgoing(stream)
    };
    providers.send("simulated", &outgoing).await
}

fn chat(question: &str) -> Value {
    json!({"model": "m", "messages": [
        {"role": "system", "content": "Be kind.\nAnd short."},
        {"role": "user", "content": question},
    ]})
}

/// Reads a stream to its end: its events, and the error that broke it.
async fn events(model: &str, body: Value) -> (Vec<String>, Option<ErrorKind>) {
    let mut stream = stream(simulate_reply(model, body, true).await.unwrap());
    let mut text = String::new();
    let mut broke = None;
    while let Some(chunk) = stream.next_chunk().await {
        match chunk {
            Ok(bytes) => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Err(error) => broke = Some(error.error_kind()),
        }
    }
    let events = text.split_terminator("\n\n");
    let data = events.map(|event| event.strip_prefix("data: ").unwrap().to_owned());
    (data.collect(), broke)
}

fn parse(event: &str) -> Value {
    serde_json::from_str(event).unwrap()
}

fn joined(events: &[String], pointer: &str) -> String {
    let parsed = events
        .iter()
        .filter(|event| *event != "[DONE]")
        .map(|e| parse(e));
    let texts = parsed.filter_map(|chunk| Some(chunk.pointer(pointer)?.as_str()?.to_owned()));
    texts.collect()
}

#[tokio::test]
async fn the_same_request_gets_the_same_readable_answer() {
    let answer = simulate("simulated/m", chat("Where is it?")).await.unwrap();
    let again = simulate("simulated/m", chat("Where is it?")).await.unwrap();
    let other = simulate("simulated/n", chat("Where is it?")).await.unwrap();
    let text = |answer: &Value| answer["choices"][0]["message"]["content"].clone();
    assert_eq!(text(&answer), text(&again));
    assert_ne!(text(&answer), text(&other));
    let shown = text(&answer).as_str().unwrap().to_owned();
    assert!(
        shown.starts_with("Simulated answer to “Where is it?”. In line with “Be kind.”."),
        "{shown}"
    );
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let words = u64::try_from(shown.split_whitespace().count()).unwrap();
    assert_eq!(answer["usage"]["completion_tokens"], words);
    assert_eq!(answer["usage"]["prompt_tokens"], 4 + 4 + 4 + 3);
}

#[tokio::test]
async fn a_stream_says_what_the_whole_answer_says() {
    let mut body = chat("Where is it?");
    let expected = simulate("m", body.clone()).await.unwrap();
    let (plain, broke) = events("m", body.clone()).await;
    assert_eq!(broke, None);
    assert_eq!(plain.last().unwrap(), "[DONE]");
    let first = parse(&plain[0]);
    assert_eq!(first["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(first["object"], "chat.completion.chunk");
    let content = &expected["choices"][0]["message"]["content"];
    assert_eq!(
        &Value::from(joined(&plain, "/choices/0/delta/content")),
        content
    );
    assert!(plain.iter().all(|event| !event.contains("\"usage\"")));

    body["stream_options"] = json!({"include_usage": true});
    let (with_usage, _) = events("m", body.clone()).await;
    let last = parse(&with_usage[with_usage.len() - 2]);
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"], expected["usage"]);
    assert_eq!(parse(&with_usage[0])["usage"], Value::Null);
    let (hidden, _) = events("m?usage=none", body).await;
    assert!(hidden.iter().all(|event| !event.contains("\"usage\"")));
}

#[tokio::test]
async fn length_is_counted_in_chunks_and_cut_by_max_tokens() {
    let (events, _) = events("m?chunks=20", chat("q")).await;
    assert_eq!(events.len(), 1 + 20 + 1 + 1);
    let mut body = chat("q");
    body["max_tokens"] = json!(3);
    body["n"] = json!(2);
    let answer = simulate("m?chunks=20&cached=2&reasoning=5", body)
        .await
        .unwrap();
    assert_eq!(answer["choices"].as_array().unwrap().len(), 2);
    assert_eq!(answer["choices"][1]["finish_reason"], "length");
    assert_eq!(answer["usage"]["completion_tokens"], 3 + 3 + 5);
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 2);
}

#[tokio::test]
async fn tools_are_called_when_asked() {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Oslo", "Paris"]}},
            "required": ["city"],
        }}})
    };
    let mut body = chat("Please call weather for Paris");
    body["tools"] = json!([tool("time"), tool("weather")]);
    let answer = simulate("m", body.clone()).await.unwrap();
    let choice = &answer["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["function"]["name"], "weather");
    assert_eq!(calls[0]["function"]["arguments"], "{\"city\":\"Paris\"}");

    let (events, _) = events("simulated/tools", body.clone()).await;
    let arguments = "/choices/0/delta/tool_calls/0/function/arguments";
    assert_eq!(joined(&events, arguments), "{\"city\":\"Paris\"}".repeat(2));
    assert_eq!(
        joined(&events, "/choices/0/delta/tool_calls/0/function/name"),
        "timeweather"
    );

    body["tool_choice"] = json!({"type": "function", "function": {"name": "none_such"}});
    let error = simulate("m", body.clone()).await.unwrap_err();
    assert_eq!(error.status(), Some(400));
    body["tool_choice"] = json!("auto");
    let messages = body["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "tool_calls": []}));
    messages.push(json!({"role": "tool", "tool_call_id": "x", "content": "17 degrees"}));
    let answer = simulate("m", body).await.unwrap();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("“17 degrees”"), "{text}");
}

#[tokio::test]
async fn json_is_answered_when_json_is_asked_for() {
    let mut body = chat("I am angry");
    body["response_format"] = json!({"type": "json_object"});
    let answer = simulate("m", body.clone()).await.unwrap();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(
        parse(text)["answer"]
            .as_str()
            .unwrap()
            .contains("I am angry")
    );
    body["response_format"] = json!({"type": "json_schema", "json_schema": {"schema": {
        "type": "object",
        "properties": {"mood": {"enum": ["calm", "angry"]}},
        "required": ["mood"],
    }}});
    let answer = simulate("m", body).await.unwrap();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(parse(text), json!({"mood": "angry"}));
}

#[tokio::test]
async fn an_echo_shows_what_the_model_sees() {
    for model in ["simulated/echo", "m?echo=messages"] {
        let answer = simulate(model, chat("q")).await.unwrap();
        let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
        assert_eq!(parse(text), chat("q")["messages"]);
    }
    let answer = simulate("m?echo=request", chat("q")).await.unwrap();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert_eq!(parse(text), chat("q"));
}

#[tokio::test]
async fn failures_come_as_scripted() {
    for (query, kind, status, sent) in [
        ("fail=503", ErrorKind::Overloaded, Some(503), true),
        (
            "fail=429&retry_after=2",
            ErrorKind::RateLimited,
            Some(429),
            true,
        ),
        ("fail=401", ErrorKind::Rejected, Some(401), true),
        ("fail=connect", ErrorKind::Connect, None, false),
        ("fail=reset", ErrorKind::Reset, None, true),
        ("fail=html", ErrorKind::InvalidResponse, None, true),
        ("nonsense=1", ErrorKind::Rejected, Some(400), true),
    ] {
        for stream in [false, true] {
            let model = format!("m?{query}");
            let error = simulate_reply(&model, chat("q"), stream).await.unwrap_err();
            assert_eq!(error.error_kind(), kind, "{query}");
            assert_eq!(error.status(), status, "{query}");
            assert_eq!(error.was_sent(), sent, "{query}");
            let wait = query
                .contains("retry_after")
                .then_some(Duration::from_secs(2));
            assert_eq!(error.retry_after(), wait, "{query}");
        }
    }
    let mut body = chat("q");
    body["metadata"] = json!({"simulated.fail": "500", "other": "x"});
    let error = simulate("m", body).await.unwrap_err();
    assert_eq!(error.status(), Some(500));
    let message = parse(std::str::from_utf8(error.body().unwrap()).unwrap());
    assert_eq!(message["error"]["message"], "simulated failure 500");
}

#[tokio::test]
async fn answers_that_are_none_come_with_status_200() {
    for (query, start) in [
        ("fail=event", "{\"error\":{"),
        ("fail=malformed", "{\"choices\": ["),
        ("fail=cut", "{\"id\":\"chatcmpl-"),
    ] {
        let reply = simulate_reply(&format!("m?{query}"), chat("q"), false)
            .await
            .unwrap();
        let body = whole(reply);
        assert!(body.starts_with(start.as_bytes()), "{query}: {body:?}");
        let is_json = serde_json::from_slice::<Value>(&body).is_ok();
        assert_eq!(is_json, query == "fail=event", "{query}");
    }
}

#[tokio::test]
async fn streams_break_as_scripted() {
    for (query, broke, count, is_done, last) in [
        (
            "fail=reset&after=3",
            Some(ErrorKind::Reset),
            4,
            false,
            "content",
        ),
        ("fail=503&after=2", None, 4, false, "\"error\""),
        ("fail=event", None, 2, false, "\"error\""),
        ("fail=cut&after=2", None, 3, false, "content"),
        ("fail=malformed&after=2", None, 9, true, "[DONE]"),
        (
            "fail=reset&after=99",
            Some(ErrorKind::Reset),
            6,
            false,
            "content",
        ),
    ] {
        let (events, error) = events(&format!("m?chunks=5&{query}"), chat("q")).await;
        assert_eq!(error, broke, "{query}");
        assert_eq!(events.len(), count, "{query}: {events:#?}");
        assert_eq!(
            events.iter().any(|event| event == "[DONE]"),
            is_done,
            "{query}"
        );
        assert!(events.last().unwrap().contains(last), "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn waits_and_stalls_are_kept_and_meet_the_clocks() {
    let started = Instant::now();
    let query = "m?latency=1s&first=2s&chunk=100ms&chunks=11";
    let (events_seen, _) = events(query, chat("q")).await;
    assert_eq!(events_seen.last().unwrap(), "[DONE]");
    assert_eq!(started.elapsed().as_millis(), 1_000 + 2_000 + 10 * 100);

    let (partial, broke) = events("m?stall=after2", chat("q")).await;
    assert_eq!(broke, Some(ErrorKind::Timeout(Clock::Idle)));
    assert_eq!(partial.len(), 3);
    let error = simulate("m?stall=head", chat("q")).await.unwrap_err();
    assert_eq!(error.error_kind(), ErrorKind::Timeout(Clock::FirstByte));
}

#[tokio::test]
async fn a_failure_can_pass_or_strike_a_share_of_calls() {
    let providers = Providers::build(vec![Config::new("s", Preset::Simulated)]).unwrap();
    let ask = async |model: &str, attempt, call_id| {
        let outgoing = Outgoing {
            model: model.to_owned(),
            body: Bytes::from(chat("q").to_string()),
            attempt,
            call_id,
            ..outgoing(false)
        };
        providers.send("s", &outgoing).await.is_ok()
    };
    let call = CallId::fresh();
    for (attempt, is_ok) in [(0, false), (1, false), (2, true)] {
        assert_eq!(ask("m?fail=503&times=2", attempt, call).await, is_ok);
    }
    let mut failed = 0;
    for number in 0..400_u128 {
        let call = CallId(uuid::Uuid::from_u128(number));
        failed += u32::from(!ask("m?fail=503&rate=0.25", 0, call).await);
    }
    assert!((60..140).contains(&failed), "{failed}");
}

#[tokio::test]
async fn embeddings_come_as_floats_and_as_base64() {
    let body = |format: &str| json!({"model": "e", "input": ["a cat", "a dog"], "dimensions": 8, "encoding_format": format});
    let floats = simulate("e", body("float")).await.unwrap();
    let packed = simulate("e", body("base64")).await.unwrap();
    assert_eq!(floats["usage"]["prompt_tokens"], 4);
    for index in 0..2 {
        let text = packed["data"][index]["embedding"].as_str().unwrap();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap();
        let decoded: Vec<Value> = bytes
            .chunks(4)
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()).into())
            .collect();
        assert_eq!(floats["data"][index]["embedding"], Value::from(decoded));
    }
    let plain = simulate("e", json!({"input": [1, 2, 3]})).await.unwrap();
    assert_eq!(plain["data"][0]["embedding"].as_array().unwrap().len(), 256);
    for bad in [json!([]), json!(""), json!([{}]), json!(3)] {
        let error = simulate("e", json!({"input": bad})).await.unwrap_err();
        assert_eq!(error.status(), Some(400), "{bad}");
    }
}
