//! The provider of promptfoo's suites: it says what the prompt tells it to say.
//!
//! The same rules as tests/fixtures/promptfoo/provider.py, whose head explains them; promptfoo made its
//! verdicts with that one.

use crate::support::{Answer, Received};
use serde_json::{Map, Value, json};
use std::sync::LazyLock;
use std::time::Duration;

const DIMENSIONS: usize = 16;

static JUDGE: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../fixtures/promptfoo/judge.json")).unwrap()
});

/// The answer to a request; to be given to [`FakeProvider::always`](super::FakeProvider::always).
pub(crate) fn scripted(request: &Received) -> Answer {
    let (status, body, delay) = respond(&request.path, &request.json());
    let answer = Answer::status(status, &[], &body.to_string());
    if delay.is_zero() {
        answer
    } else {
        answer.delay(delay)
    }
}

/// The status and the body, and the wait before them.
pub(crate) fn respond(path: &str, body: &Value) -> (u16, Value, Duration) {
    if path.ends_with("/chat/completions") {
        let envelope = envelope(body);
        let number = |name: &str, otherwise: u64| envelope[name].as_u64().unwrap_or(otherwise);
        let delay = Duration::from_millis(number("delay_ms", 0));
        let status = u16::try_from(number("status", 200)).unwrap();
        if status == 200 {
            return (status, completion(body, &envelope), delay);
        }
        let error = json!({
            "message": envelope["error"], "type": "invalid_request_error", "code": envelope["code"],
        });
        return (status, json!({"error": error}), delay);
    }
    if path.ends_with("/embeddings") {
        return (200, embeddings(body), Duration::ZERO);
    }
    if path.ends_with("/moderations") {
        return (200, moderation(body), Duration::ZERO);
    }
    let message = format!("no such path: {path}");
    let error = json!({"message": message, "type": "invalid_request_error"});
    (404, json!({"error": error}), Duration::ZERO)
}

fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

/// What stands between `WORD[[` at the start and the last `]]`.
fn inside<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?.strip_prefix("[[")?;
    Some(&rest[..rest.rfind("]]")?])
}

/// The entry of the longest key that the text names; of several as long the first.
fn judged(text: &str) -> Option<String> {
    let is_of_key = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let mut longest: Option<&str> = None;
    for piece in text.split("JUDGE:").skip(1) {
        let end = piece.find(|c| !is_of_key(c)).unwrap_or(piece.len());
        let key = &piece[..end];
        if JUDGE.contains_key(key) && longest.is_none_or(|longest| longest.len() < key.len()) {
            longest = Some(key);
        }
    }
    Some(match &JUDGE[longest?] {
        Value::String(text) => text.clone(),
        entry => entry.to_string(),
    })
}

fn envelope(body: &Value) -> Value {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let last = messages.iter().rfind(|message| message["role"] == "user");
    let last = last.map(|message| text(&message["content"]));
    let last = last.unwrap_or_default();
    if let Some(said) = inside(&last, "SAY") {
        return json!({"content": said});
    }
    if let Some(played) = inside(&last, "PLAY") {
        return serde_json::from_str(played).unwrap_or_else(
            |error| json!({"status": 400, "error": format!("PLAY holds no JSON: {error}")}),
        );
    }
    if let Some(fields) = inside(&last, "SHOW") {
        let shown: Map<String, Value> = fields
            .split(',')
            .map(|name| (name.to_owned(), body[name].clone()))
            .collect();
        return json!({"content": Value::Object(shown).to_string()});
    }
    let texts: Vec<String> = messages
        .iter()
        .map(|message| text(&message["content"]))
        .collect();
    json!({"content": judged(&texts.join("\n")).unwrap_or(last)})
}

fn completion(body: &Value, envelope: &Value) -> Value {
    let mut message = json!({"role": "assistant", "content": envelope["content"]});
    for field in ["tool_calls", "function_call", "refusal"] {
        if let Some(value) = envelope.get(field) {
            message[field] = value.clone();
        }
    }
    let given = |name: &str, otherwise: Value| envelope.get(name).cloned().unwrap_or(otherwise);
    let mut choice = json!({
        "index": 0, "message": message, "finish_reason": given("finish_reason", json!("stop")),
    });
    if let Some(probabilities) = envelope["logprobs"].as_array() {
        let tokens = probabilities.iter().enumerate();
        let tokens: Vec<Value> = tokens
            .map(|(at, value)| json!({"token": at.to_string(), "logprob": value, "top_logprobs": []}))
            .collect();
        choice["logprobs"] = json!({"content": tokens});
    }
    json!({
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1,
        "model": given("model", body["model"].clone()),
        "choices": [choice],
        "usage": given("usage", json!({
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
        })),
    })
}

/// How often words fall on each of the dimensions, by their FNV-1a hash.
fn embedding(text: &str) -> [u64; DIMENSIONS] {
    let mut vector = [0; DIMENSIONS];
    for word in text.split_whitespace() {
        let bytes = word.bytes().map(|byte| byte.to_ascii_lowercase());
        let hash = bytes.fold(0x811C_9DC5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
        vector[usize::try_from(hash).unwrap() % DIMENSIONS] += 1;
    }
    vector
}

fn embeddings(body: &Value) -> Value {
    let input = &body["input"];
    let texts = input
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![input.clone()]);
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = embedding(text.as_str().unwrap());
            json!({"object": "embedding", "index": index, "embedding": vector})
        })
        .collect();
    json!({
        "object": "list", "model": body["model"], "data": data,
        "usage": {"prompt_tokens": 3, "total_tokens": 3},
    })
}

fn moderation(body: &Value) -> Value {
    let input = &body["input"];
    let text = input
        .as_str()
        .map_or_else(|| input.to_string(), str::to_owned);
    let (mut flags, mut scores) = (Map::new(), Map::new());
    for name in ["hate", "violence", "self-harm"] {
        let is_flagged = text.contains(&format!("FLAG:{name}"));
        flags.insert(name.to_owned(), is_flagged.into());
        scores.insert(name.to_owned(), if is_flagged { 0.9 } else { 0.1 }.into());
    }
    let is_flagged = flags.values().any(|flag| flag == true);
    let result = json!({"flagged": is_flagged, "categories": flags, "category_scores": scores});
    json!({"id": "modr-scripted", "model": body["model"], "results": [result]})
}

#[test]
fn the_two_providers_answer_alike() {
    let samples = include_str!("../../fixtures/promptfoo/provider-samples.jsonl");
    assert!(samples.lines().count() > 20);
    for line in samples.lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        let path = sample["path"].as_str().unwrap();
        let (status, body, delay) = respond(path, &sample["request"]);
        let ours = json!({"status": status, "body": body, "delay_ms": u64::try_from(delay.as_millis()).unwrap()});
        assert_eq!(ours, sample["response"], "{}", sample["request"]);
    }
}
