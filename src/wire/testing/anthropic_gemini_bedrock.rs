//! The corpus of requests, answers and streams of Anthropic, Google and AWS, each with what becomes of it beside it.

use crate::wire::conversation::{
    Dialect, Event, Fallback, ModelTraits, Reply, Request, Unsupported, Written,
};
use crate::wire::{Error, chat, converse, gemini, messages, responses};
use bytes::Bytes;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

pub(super) const FALLBACK: Fallback<'_> = Fallback {
    id: "fallback",
    created: 0,
};

/// Returns the files of the corpus whose name is `name`.
pub(super) fn files(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dialects");
    let cases = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = cases
        .map(|case| case.unwrap().path().join(name))
        .filter(|file| file.is_file())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{name}");
    files
}

pub(super) fn read(path: &Path) -> Bytes {
    std::fs::read(path).unwrap().into()
}

/// Compares `text` with the snapshot `name` beside `path`.
fn compare(path: &Path, name: &str, text: &str) {
    insta::with_settings!({snapshot_path => path.parent().unwrap(), prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_snapshot!(name, text);
    });
}

fn pretty(json: &[u8]) -> String {
    match serde_json::from_slice::<serde_json::Value>(json) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap(),
        Err(_) => String::from_utf8_lossy(json).into_owned(),
    }
}

type WriteRequest = fn(&Request, &ModelTraits) -> Result<Written, Unsupported>;

/// The providers: name, strict, dropping.
pub(super) const TARGETS: [(&str, WriteRequest, WriteRequest); 3] = [
    (
        "messages",
        messages::write_request,
        messages::write_request_dropping,
    ),
    (
        "gemini",
        gemini::write_request,
        gemini::write_request_dropping,
    ),
    (
        "converse",
        converse::write_request,
        converse::write_request_dropping,
    ),
];

pub(super) fn traits() -> ModelTraits {
    ModelTraits {
        max_output_tokens: 8192,
        thinks_by_budget: false,
        ..ModelTraits::default()
    }
}

fn told(out: &mut String, written: &Written) {
    for warning in &written.warnings {
        writeln!(out, "warning: {warning}").unwrap();
    }
    writeln!(out, "{}", pretty(&written.body)).unwrap();
}

type ReadRequest = fn(&Bytes) -> Result<Request, Error>;
const CLIENTS: [(&str, ReadRequest); 3] = [
    ("chat", chat::read_request),
    ("responses", responses::read_request),
    ("messages", messages::read_request),
];

/// Returns a request as it is sent; refused, also as it is without what cannot be sent.
fn sent(
    strict: Result<Written, Unsupported>,
    dropping: impl FnOnce() -> Result<Written, Unsupported>,
) -> String {
    let mut out = String::new();
    match strict {
        Ok(written) => told(&mut out, &written),
        Err(refused) => {
            writeln!(out, "refused: {refused}").unwrap();
            match dropping() {
                Ok(written) => told(&mut out, &written),
                Err(refused) => writeln!(out, "refused: {refused}").unwrap(),
            }
        }
    }
    out
}

#[test]
fn requests_become_those_of_every_provider() {
    for (from, read_request) in CLIENTS {
        for path in files(&format!("{from}.request.json")) {
            let mut request = read_request(&read(&path)).unwrap();
            for (to, write, write_dropping) in TARGETS {
                if to == "converse" {
                    request.model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0".to_owned();
                }
                let text = sent(write(&request, &traits()), || {
                    write_dropping(&request, &traits())
                });
                compare(&path, &format!("{from}.request.to.{to}"), &text);
            }
        }
    }
    for path in files("messages.request.json") {
        let request = messages::read_request(&read(&path)).unwrap();
        let target = chat::Target::default();
        let text = sent(chat::write_request(&request, &target), || {
            chat::write_request_dropping(&request, &target)
        });
        compare(&path, "messages.request.to.chat", &text);
        let target = responses::Target::default();
        let text = sent(responses::write_request(&request, &target), || {
            responses::write_request_dropping(&request, &target)
        });
        compare(&path, "messages.request.to.responses", &text);
    }
}

/// Whole answers: dialect, file, reader.
type ReadReply = fn(&Bytes) -> Result<Reply, Error>;
pub(super) const REPLIES: [(&str, ReadReply); 3] = [
    ("messages.reply.json", messages::read_reply),
    ("gemini.reply.json", gemini::read_reply),
    ("converse.reply.json", read_converse),
];

const ORIGIN: converse::Origin<'_> = converse::Origin {
    id: "request-1",
    model: "anthropic.claude",
};

fn read_converse(body: &Bytes) -> Result<Reply, Error> {
    converse::read_reply(body, &ORIGIN)
}

/// What is understood of an answer.
fn understood(reply: &Reply) -> String {
    let mut out = String::new();
    for choice in &reply.choices {
        writeln!(out, "stop: {:?}", choice.stop).unwrap();
        for part in &choice.parts {
            writeln!(out, "{part:?}").unwrap();
        }
        if let Some(log_probs) = &choice.log_probs {
            writeln!(out, "log probs: {log_probs}").unwrap();
        }
    }
    writeln!(out, "usage: {:?}", reply.usage).unwrap();
    let rest: Vec<&String> = reply.rest.keys().collect();
    writeln!(out, "rest: {rest:?}").unwrap();
    out
}

#[test]
fn answers_become_those_of_every_dialect() {
    for (name, read_reply) in REPLIES {
        let from = name.trim_end_matches(".json");
        for path in files(name) {
            let reply = read_reply(&read(&path)).unwrap();
            compare(&path, from, &understood(&reply));
            let body = messages::write_reply(&reply, &FALLBACK);
            compare(&path, &format!("{from}.to.messages"), &pretty(&body));
            let body = chat::write_reply(&reply, &FALLBACK);
            compare(&path, &format!("{from}.to.chat"), &pretty(&body));
            let body = responses::write_reply(&reply, &responses::Echo::default(), &FALLBACK);
            compare(&path, &format!("{from}.to.responses"), &pretty(&body));
        }
    }
    let read: [(&str, ReadReply); 2] = [
        ("chat.reply", chat::read_reply),
        ("responses.reply", responses::read_reply),
    ];
    for (from, read_reply) in read {
        for path in files(&format!("{from}.json")) {
            let text = match read_reply(&self::read(&path)) {
                Ok(reply) => pretty(&messages::write_reply(&reply, &FALLBACK)),
                Err(error) => error.to_string(),
            };
            compare(&path, &format!("{from}.to.messages"), &text);
        }
    }
}

/// A reader of one of the dialects.
enum Reader {
    Messages(messages::StreamReader),
    Gemini(gemini::StreamReader),
    Converse(Box<converse::StreamReader>),
}

pub(super) const STREAMS: [(&str, Dialect); 3] = [
    ("messages.stream.sse", Dialect::Messages),
    ("gemini.stream.sse", Dialect::Gemini),
    ("converse.stream.bin", Dialect::Converse),
];

impl Reader {
    fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Gemini => Self::Gemini(gemini::StreamReader::default()),
            Dialect::Converse => Self::Converse(Box::new(converse::StreamReader::new(&ORIGIN))),
            _ => Self::Messages(messages::StreamReader::default()),
        }
    }

    fn push(&mut self, chunk: &Bytes, out: &mut Vec<Event>) {
        match self {
            Self::Messages(reader) => reader.push(chunk, out),
            Self::Gemini(reader) => reader.push(chunk, out),
            Self::Converse(reader) => reader.push(chunk, out),
        }
    }

    fn finish(&mut self, out: &mut Vec<Event>) {
        match self {
            Self::Messages(reader) => reader.finish(out),
            Self::Gemini(reader) => reader.finish(out),
            Self::Converse(reader) => reader.finish(out),
        }
    }
}

pub(super) fn events<'a>(
    dialect: Dialect,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Event> {
    let mut reader = Reader::new(dialect);
    let mut out = Vec::new();
    for chunk in chunks {
        reader.push(&Bytes::copy_from_slice(chunk), &mut out);
    }
    reader.finish(&mut out);
    out
}

pub(super) fn written(dialect: Dialect, events: &[Event]) -> Vec<u8> {
    let mut writer = messages::StreamWriter::new(dialect, &FALLBACK);
    let mut chunks = Vec::new();
    for event in events {
        writer.write(event, &mut chunks);
    }
    chunks.concat()
}

#[test]
fn streams_become_those_of_every_dialect() {
    for (name, dialect) in STREAMS {
        let from = name.trim_end_matches(".sse").trim_end_matches(".bin");
        for path in files(name) {
            let events = events(dialect, [&*read(&path)]);
            let told: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
            compare(&path, from, &told.join("\n"));
            let stream = written(dialect, &events);
            compare(
                &path,
                &format!("{from}.to.messages"),
                &String::from_utf8_lossy(&stream),
            );
            let mut chunks = Vec::new();
            let mut writer = chat::StreamWriter::new(dialect, true, &FALLBACK);
            for event in &events {
                writer.write(event, &mut chunks);
            }
            let stream = chunks.concat();
            compare(
                &path,
                &format!("{from}.to.chat"),
                &String::from_utf8_lossy(&stream),
            );
            let mut chunks = Vec::new();
            let mut writer =
                responses::StreamWriter::new(dialect, responses::Echo::default(), &FALLBACK);
            for event in &events {
                writer.write(event, &mut chunks);
            }
            let stream = chunks.concat();
            compare(
                &path,
                &format!("{from}.to.responses"),
                &String::from_utf8_lossy(&stream),
            );
        }
    }
    for from in ["chat", "responses"] {
        for path in files(&format!("{from}.stream.sse")) {
            let (dialect, events) = openai_events(from, &read(&path));
            let stream = written(dialect, &events);
            super::provider_streams::assert_valid(&stream, &path.display().to_string());
            compare(
                &path,
                &format!("{from}.stream.to.messages"),
                &String::from_utf8_lossy(&stream),
            );
        }
    }
}

/// The events of a stream in one of `OpenAI`'s dialects.
fn openai_events(from: &str, stream: &Bytes) -> (Dialect, Vec<Event>) {
    let mut out = Vec::new();
    if from == "chat" {
        let mut reader = chat::StreamReader::default();
        reader.push(stream.clone(), &mut out);
        reader.finish(&mut out);
        return (Dialect::Chat, out);
    }
    let mut reader = responses::StreamReader::default();
    reader.push(stream.clone(), &mut out);
    reader.finish(&mut out);
    (Dialect::Responses, out)
}
