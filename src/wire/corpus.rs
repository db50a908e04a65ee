//! The corpus of dialects: every request, answer and stream in `tests/fixtures/dialects`, translated, with
//! a snapshot of each translation beside it.

use crate::wire::conversation::{Dialect, Event, Fallback, Reply, Request, Unsupported, Written};
use crate::wire::{Error, chat, responses};
use bytes::Bytes;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const FALLBACK: Fallback<'_> = Fallback {
    id: "fallback",
    created: 1_750_000_000,
};

const MARKING: responses::Target = responses::Target {
    has_breakpoints: true,
};

/// A provider that takes everything.
const LENIENT: chat::Target = chat::Target {
    token_limit: "max_tokens",
    thoughts: chat::Thoughts::Details,
    has_developer_role: false,
    has_top_k: true,
    cache_marks: chat::CacheMarks::CacheControl,
    has_thought_signatures: true,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialects")
}

/// Returns every case that has the file `name`, with what is in it.
fn cases(name: &str) -> Vec<(String, Bytes)> {
    let mut cases: Vec<(String, Bytes)> = std::fs::read_dir(folder())
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let body = std::fs::read(path.join(name)).ok()?;
            let case = path.file_name()?.to_str()?.to_owned();
            Some((case, Bytes::from(body)))
        })
        .collect();
    cases.sort();
    assert!(10 < cases.len(), "{name}");
    cases
}

/// Compares `text` with the snapshot `name` of a case.
fn check(case: &str, name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder().join(case));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

fn pretty(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap();
    serde_json::to_string_pretty(&value).unwrap()
}

/// Returns a request as it was written, and what was lost; refused, also as it is with losses allowed.
fn written(strict: Result<Written, Unsupported>, dropping: Result<Written, Unsupported>) -> String {
    let (refused, written) = match strict {
        Ok(written) => (None, written),
        Err(unsupported) => (Some(unsupported), dropping.unwrap()),
    };
    let refused = refused.map(|refused| format!("refused: {refused}\n"));
    let warnings = written.warnings.iter();
    let warnings: String = warnings.map(|text| format!("warning: {text}\n")).collect();
    let body = pretty(&written.body);
    format!("{}{warnings}{body}", refused.unwrap_or_default())
}

fn to_chat(request: &Request, target: &chat::Target) -> String {
    written(
        chat::write_request(request, target),
        chat::write_request_dropping(request, target),
    )
}

fn to_responses(request: &Request) -> String {
    written(
        responses::write_request(request, &MARKING),
        responses::write_request_dropping(request, &MARKING),
    )
}

#[test]
fn requests_are_translated() {
    for (case, body) in cases("chat.request.json") {
        let request = chat::read_request(&body).unwrap();
        check(&case, "chat.request.to.responses", &to_responses(&request));
        check(&case, "chat.request.to.chat", &to_chat(&request, &LENIENT));
    }
    for (case, body) in cases("responses.request.json") {
        let request = responses::read_request(&body).unwrap();
        let openai = chat::Target::default();
        check(
            &case,
            "responses.request.to.chat",
            &to_chat(&request, &openai),
        );
        let same = to_responses(&request);
        check(&case, "responses.request.to.responses", &same);
    }
}

type ReadReply = fn(&Bytes) -> Result<Reply, Error>;

#[test]
fn answers_are_translated() {
    let read: [(&str, ReadReply); 2] = [
        ("chat", chat::read_reply),
        ("responses", responses::read_reply),
    ];
    for (from, read) in read {
        for (case, body) in cases(&format!("{from}.reply.json")) {
            let (chat, response) = match read(&body) {
                Ok(reply) => (
                    pretty(&chat::write_reply(&reply, &FALLBACK)),
                    pretty(&responses::write_reply(
                        &reply,
                        &responses::Echo::default(),
                        &FALLBACK,
                    )),
                ),
                Err(error) => (error.to_string(), error.to_string()),
            };
            check(&case, &format!("{from}.reply.to.chat"), &chat);
            check(&case, &format!("{from}.reply.to.responses"), &response);
        }
    }
}

/// Returns the events of a stream that is cut into pieces of `size`.
fn events(from: Dialect, stream: &Bytes, size: usize) -> Vec<Event> {
    let mut out = Vec::new();
    let pieces = stream.chunks(size).map(Bytes::copy_from_slice);
    if from == Dialect::Chat {
        let mut reader = chat::StreamReader::default();
        pieces.for_each(|piece| reader.push(piece, &mut out));
        reader.finish(&mut out);
    } else {
        let mut reader = responses::StreamReader::default();
        pieces.for_each(|piece| reader.push(piece, &mut out));
        reader.finish(&mut out);
    }
    out
}

fn stream_to_chat(from: Dialect, events: &[Event]) -> String {
    let mut writer = chat::StreamWriter::new(from, true, &FALLBACK);
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    String::from_utf8(out.concat()).unwrap()
}

fn stream_to_responses(from: Dialect, events: &[Event]) -> String {
    let echo = responses::Echo::default();
    let mut writer = responses::StreamWriter::new(from, echo, &FALLBACK);
    let mut out = Vec::new();
    for event in events {
        writer.write(event, &mut out);
    }
    let text = String::from_utf8(out.concat()).unwrap();
    shortened(&text)
}

/// Leaves out of a stream what its responses repeat of the request, so that a snapshot can be read.
fn shortened(stream: &str) -> String {
    let lines = stream.lines().map(|line| {
        let data = line.strip_prefix("data: ");
        let Some(mut event) = data.and_then(|data| serde_json::from_str::<Value>(data).ok()) else {
            return line.to_owned();
        };
        if let Some(response) = event.get_mut("response").and_then(Value::as_object_mut) {
            let said = [
                "id",
                "created_at",
                "status",
                "error",
                "incomplete_details",
                "model",
            ];
            let more = ["output", "usage", "service_tier"];
            response.retain(|key, _| said.contains(&key.as_str()) || more.contains(&key.as_str()));
        }
        format!("data: {event}")
    });
    let lines: Vec<String> = lines.collect();
    lines.join("\n")
}

#[test]
fn streams_are_translated() {
    for (name, from) in [("chat", Dialect::Chat), ("responses", Dialect::Responses)] {
        for (case, stream) in cases(&format!("{name}.stream.sse")) {
            let events = events(from, &stream, stream.len());
            let chat = stream_to_chat(from, &events);
            check(&case, &format!("{name}.stream.to.chat"), &chat);
            let response = stream_to_responses(from, &events);
            check(&case, &format!("{name}.stream.to.responses"), &response);
        }
    }
}

#[test]
fn cuts_change_nothing() {
    for (name, from) in [("chat", Dialect::Chat), ("responses", Dialect::Responses)] {
        for (case, stream) in cases(&format!("{name}.stream.sse")) {
            let whole = events(from, &stream, stream.len());
            for size in [1, 2, 3, 7, 64, 1000] {
                assert_eq!(events(from, &stream, size), whole, "{case} cut by {size}");
            }
        }
    }
}

#[test]
fn what_providers_stream_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/wire/openai");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|kind| kind != "sse") {
            continue;
        }
        count += 1;
        let stream = Bytes::from(std::fs::read(&path).unwrap());
        let whole = events(Dialect::Chat, &stream, stream.len());
        assert_eq!(events(Dialect::Chat, &stream, 1), whole, "{path:?}");
        let ends = |event: &&Event| matches!(event, Event::End | Event::Fault(_));
        assert_eq!(whole.iter().filter(ends).count(), 1, "{path:?}");
        assert!(ends(&whole.last().unwrap()), "{path:?}");
    }
    assert!(20 < count);
}

#[test]
fn a_response_repeats_its_request() {
    let body = std::fs::read(folder().join("echo/responses.request.json")).unwrap();
    let echo = responses::Echo::read(&Bytes::from(body)).unwrap();
    let reply = Reply {
        id: "1".to_owned(),
        model: "m".to_owned(),
        ..Reply::default()
    };
    let written = responses::write_reply(&reply, &echo, &FALLBACK);
    check("echo", "responses.reply", &pretty(&written));
    let value: Value = serde_json::from_slice(&written).unwrap();
    assert_eq!(value["store"], json!(false));
    assert_eq!(value["prompt"]["id"], "pmpt_1");
}
