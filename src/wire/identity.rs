//! What is written in a dialect and read again is what it was, as far as the dialect can say it; and no
//! bytes make a reader fail in any other way than by an error.

use crate::wire::conversation::testing::{assembled, events_of, replies, requests};
use crate::wire::conversation::{
    Dialect, Event, Fallback, Message, Part, Reply, Request, Role, ToolKind,
};
use crate::wire::{chat, responses};
use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::Value;
use std::path::Path;
use std::sync::LazyLock;

const FALLBACK: Fallback<'_> = Fallback {
    id: "1",
    created: 1_760_000_000,
};

const MARKING: responses::Target = responses::Target {
    has_breakpoints: true,
};

/// A provider that takes everything that chat completions can say.
const TARGET: chat::Target = chat::Target {
    token_limit: "max_completion_tokens",
    thoughts: chat::Thoughts::Details,
    has_developer_role: true,
    has_top_k: true,
    cache_marks: chat::CacheMarks::CacheControl,
    has_thought_signatures: true,
};

fn dialects() -> impl Strategy<Value = Dialect> {
    prop_oneof![Just(Dialect::Chat), Just(Dialect::Responses)]
}

/// Returns a part as any dialect tells it.
fn usual(part: &mut Part, from: Dialect, to: Dialect) {
    match part {
        Part::ToolCall(call) => {
            if call.kind == ToolKind::Function && call.arguments.is_empty() {
                call.arguments = "{}".to_owned();
            }
            call.item_id = call.item_id.take().filter(|_| from == to);
        }
        Part::Reasoning { id, is_summary, .. }
            if to == Dialect::Responses && from != Dialect::Responses =>
        {
            *id = None;
            *is_summary = true;
        }
        _ => {}
    }
    // Hidden thoughts have no form.
    if let Part::Reasoning {
        is_redacted: true,
        is_summary,
        ..
    } = part
    {
        *is_summary = false;
    }
}

/// Returns what of a request the dialect `to` tells.
fn expected(request: &Request, to: Dialect) -> Request {
    let mut expected = request.clone();
    expected.dialect = to;
    for message in &mut expected.messages {
        for part in &mut message.parts {
            usual(part, request.dialect, to);
        }
    }
    if to == Dialect::Chat && request.dialect != Dialect::Chat {
        expected.metadata.clear();
    }
    expected.wants_signatures = false;
    expected
}

/// Writes a request in the dialect `to` and reads it again; `None` where it cannot be said.
fn again(request: &Request, to: Dialect) -> Option<Request> {
    let written = match to {
        Dialect::Chat => chat::write_request(request, &TARGET),
        _ => responses::write_request(request, &MARKING),
    };
    let body = written.ok()?.body;
    let mut read = match to {
        Dialect::Chat => chat::read_request(&body).unwrap(),
        _ => responses::read_request(&body).unwrap(),
    };
    read.wants_signatures = false;
    Some(read)
}

/// Brings the messages into the form that responses give them: what the model does without anybody
/// between is one message, unless it says something twice.
fn merged(messages: &[Message]) -> Vec<Message> {
    let mut merged: Vec<Message> = Vec::new();
    for message in messages {
        match merged.last_mut() {
            Some(last) if last.role == Role::Assistant && message.role == Role::Assistant => {
                last.parts.extend(message.parts.clone());
            }
            _ => merged.push(message.clone()),
        }
    }
    // What the model said stands beside other items, or alone: its form tells nothing.
    let said = merged.iter_mut();
    for message in said.filter(|message| message.role == Role::Assistant) {
        message.is_plain = false;
    }
    merged
}

fn answer_of(reply: &Reply, to: Dialect, is_stream: bool) -> Value {
    let choice = &reply.choices[0];
    let parts = choice.parts.iter().map(|part| {
        let mut part = part.clone();
        usual(&mut part, to, to);
        match &mut part {
            Part::ToolCall(call) => call.item_id = None,
            // Ids of items are made anew, and chat completions stream thoughts as one text.
            Part::Reasoning {
                id,
                texts,
                is_summary,
                ..
            } => {
                *id = None;
                if to == Dialect::Chat && is_stream {
                    *is_summary = false;
                    *texts = Vec::from_iter((!texts.is_empty()).then(|| texts.join("\n\n")));
                }
            }
            _ => {}
        }
        format!("{part:?}")
    });
    serde_json::json!({
        "parts": parts.collect::<Vec<_>>(),
        "stop": format!("{:?}", choice.stop),
        "log_probs": choice.log_probs,
        "usage": reply.usage,
        "model": reply.model,
        "created": reply.created,
    })
}

/// Every request, answer and stream of the corpus.
static CORPUS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(corpus);

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialects");
    let mut corpus = Vec::new();
    for case in std::fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        if !case.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(case).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            if !name.ends_with(".snap") {
                corpus.push((name, std::fs::read(&file).unwrap()));
            }
        }
    }
    corpus.sort();
    corpus
}

/// Reads bytes as everything that they could be, and writes what was read as everything.
fn read_all(bytes: &Bytes) {
    let requests = [chat::read_request(bytes), responses::read_request(bytes)];
    for request in requests.into_iter().flatten() {
        let _ = chat::write_request(&request, &TARGET);
        chat::write_request_dropping(&request, &chat::Target::default()).unwrap();
        responses::write_request_dropping(&request, &MARKING).unwrap();
    }
    let echo = responses::Echo::read(bytes).unwrap_or_default();
    let replies = [chat::read_reply(bytes), responses::read_reply(bytes)];
    for reply in replies.into_iter().flatten() {
        let _ = chat::write_reply(&reply, &FALLBACK);
        let _ = responses::write_reply(&reply, &echo, &FALLBACK);
    }
    let mut events = Vec::new();
    let mut reader = chat::StreamReader::default();
    reader.push(bytes.clone(), &mut events);
    reader.finish(&mut events);
    write_all(Dialect::Chat, &events);
    events.clear();
    let mut reader = responses::StreamReader::default();
    reader.push(bytes.clone(), &mut events);
    reader.finish(&mut events);
    write_all(Dialect::Responses, &events);
}

fn write_all(from: Dialect, events: &[Event]) {
    let ends = |event: &&Event| matches!(event, Event::End | Event::Fault(_));
    assert_eq!(events.iter().filter(ends).count(), 1);
    let echo = responses::Echo::default();
    let mut chat = chat::StreamWriter::new(from, true, &FALLBACK);
    let mut response = responses::StreamWriter::new(from, echo, &FALLBACK);
    let mut out = Vec::new();
    for event in events {
        chat.write(event, &mut out);
        response.write(event, &mut out);
    }
    assert!(!out.is_empty());
}

proptest! {
    #[test]
    fn requests_are_read_as_they_were_written(
        request in dialects().prop_flat_map(requests),
        to in dialects(),
    ) {
        let Some(read) = again(&request, to) else {
            return Ok(());
        };
        let mut expected = expected(&request, to);
        let mut read = read;
        expected.messages = merged(&expected.messages);
        read.messages = merged(&read.messages);
        assert_eq!(read, expected);
    }

    #[test]
    fn answers_are_read_as_they_were_written(
        reply in dialects().prop_flat_map(replies),
        to in dialects(),
    ) {
        let read = match to {
            Dialect::Chat => chat::read_reply(&chat::write_reply(&reply, &FALLBACK)),
            _ => {
                let echo = responses::Echo::default();
                responses::read_reply(&responses::write_reply(&reply, &echo, &FALLBACK))
            }
        };
        assert_eq!(
            answer_of(&read.unwrap(), to, false),
            answer_of(&reply, to, false)
        );
    }

    #[test]
    fn streams_are_read_as_they_were_written(
        reply in dialects().prop_flat_map(replies),
        to in dialects(),
        size in 1..200_usize,
    ) {
        let mut out = Vec::new();
        let mut events = Vec::new();
        if to == Dialect::Chat {
            let mut writer = chat::StreamWriter::new(reply.dialect, true, &FALLBACK);
            for event in events_of(&reply) {
                writer.write(&event, &mut out);
            }
            let mut reader = chat::StreamReader::default();
            for piece in out.concat().chunks(size) {
                reader.push(Bytes::copy_from_slice(piece), &mut events);
            }
            reader.finish(&mut events);
        } else {
            let echo = responses::Echo::default();
            let mut writer = responses::StreamWriter::new(reply.dialect, echo, &FALLBACK);
            for event in events_of(&reply) {
                writer.write(&event, &mut out);
            }
            let mut reader = responses::StreamReader::default();
            for piece in out.concat().chunks(size) {
                reader.push(Bytes::copy_from_slice(piece), &mut events);
            }
            reader.finish(&mut events);
        }
        assert_eq!(
            answer_of(&assembled(&events), to, true),
            answer_of(&reply, to, true)
        );
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::weighted(0.3, any::<prop::sample::Index>()),
    ) {
        let (_, mut bytes) = CORPUS[which.index(CORPUS.len())].clone();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        read_all(&bytes.into());
    }

    #[test]
    fn no_json_makes_a_reader_panic(
        which in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        other in prop::sample::select(vec!["null", "0", "-1", "\"x\"", "[]", "{}", "[null]", "true", "1e300"]),
    ) {
        let (_, bytes) = &CORPUS[which.index(CORPUS.len())];
        let Ok(mut value) = serde_json::from_slice::<Value>(bytes) else {
            return Ok(());
        };
        let count = count_of(&value);
        replace(&mut value, &mut place.index(count), &serde_json::from_str(other).unwrap());
        read_all(&value.to_string().into());
    }
}

/// Returns how many values there are in a value.
fn count_of(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(count_of).sum::<usize>(),
        Value::Object(fields) => 1 + fields.values().map(count_of).sum::<usize>(),
        _ => 1,
    }
}

/// Puts `other` in the place of the value with this number.
fn replace(value: &mut Value, number: &mut usize, other: &Value) {
    if *number == 0 {
        value.clone_from(other);
    }
    *number = number.wrapping_sub(1);
    if *number == usize::MAX {
        return;
    }
    let inner: Vec<&mut Value> = match value {
        Value::Array(values) => values.iter_mut().collect(),
        Value::Object(fields) => fields.values_mut().collect(),
        _ => return,
    };
    for value in inner {
        replace(value, number, other);
        if usize::MAX / 2 < *number {
            return;
        }
    }
}

#[test]
fn most_requests_can_be_said() {
    let mut runner = TestRunner::deterministic();
    let strategy = (dialects().prop_flat_map(requests), dialects());
    let said = (0..200).filter(|_| {
        let (request, to) = strategy.new_tree(&mut runner).unwrap().current();
        again(&request, to).is_some()
    });
    assert!(100 < said.count());
}

#[test]
fn what_is_foreign_stays_in_its_dialect() {
    for (name, body) in CORPUS.iter() {
        let body = Bytes::from(body.clone());
        let read: fn(&Bytes) -> _ = match name.as_str() {
            "chat.request.json" => chat::read_request,
            "responses.request.json" => responses::read_request,
            _ => continue,
        };
        let request = read(&body).unwrap();
        let written = match request.dialect {
            Dialect::Chat => chat::write_request(&request, &TARGET),
            _ => responses::write_request(&request, &MARKING),
        };
        let mut again = read(&written.unwrap().body).unwrap();
        let mut expected = expected(&request, request.dialect);
        for (again, expected) in again.messages.iter_mut().zip(&mut expected.messages) {
            for message in [again, expected] {
                unname(message);
            }
        }
        again.wants_signatures = false;
        // Chat completions may ask to be kept, which is said in so many words.
        again.rest.shift_remove("store");
        expected.rest.shift_remove("store");
        assert_eq!(again, expected, "{name}: {body:?}");
    }
}

/// Forgets where foreign parts stood and how contents were written.
fn unname(message: &mut Message) {
    message.is_plain = false;
    for part in &mut message.parts {
        match part {
            Part::Foreign { name, .. } => name.clear(),
            Part::ToolResult(result) => result.is_plain = false,
            _ => {}
        }
    }
}
