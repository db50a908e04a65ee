//! The corpus of requests, answers and streams of Anthropic, Google and AWS, each with what becomes of it beside it.

use crate::wire::conversation::{
    Collector, Dialect, Event, Fallback, ModelTraits, Part, Reply, Request, Unsupported, Written,
};
use crate::wire::{converse, gemini, messages};
use bytes::Bytes;
use proptest::prelude::{any, prop, proptest};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const FALLBACK: Fallback<'_> = Fallback {
    id: "fallback",
    created: 0,
};

/// Returns the files of the corpus whose name is `name`.
fn files(name: &str) -> Vec<PathBuf> {
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

fn read(path: &Path) -> Bytes {
    std::fs::read(path).unwrap().into()
}

/// Compares `text` with the snapshot beside `path`.
fn compare(path: &Path, text: &str) {
    let name = path.file_name().unwrap().to_str().unwrap();
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
const TARGETS: [(&str, WriteRequest, WriteRequest); 3] = [
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

fn traits() -> ModelTraits {
    ModelTraits {
        max_output_tokens: 8192,
        thinks_by_budget: false,
    }
}

fn told(out: &mut String, written: &Written) {
    for warning in &written.warnings {
        writeln!(out, "warning: {warning}").unwrap();
    }
    writeln!(out, "{}\n", pretty(&written.body)).unwrap();
}

#[test]
fn requests_become_those_of_every_provider() {
    for path in files("messages.request.json") {
        let mut request = messages::read_request(&read(&path)).unwrap();
        let mut out = String::new();
        for (name, write, write_dropping) in TARGETS {
            if name == "converse" {
                request.model = "eu.anthropic.claude-sonnet-4-5-20250929-v1:0".to_owned();
            }
            writeln!(out, "== {name}").unwrap();
            match write(&request, &traits()) {
                Ok(written) => told(&mut out, &written),
                Err(unsupported) => {
                    writeln!(out, "refused: {unsupported}\n-- without").unwrap();
                    told(&mut out, &write_dropping(&request, &traits()).unwrap());
                }
            }
        }
        compare(&path, &out);
    }
}

/// Whole answers: dialect, file, reader.
type ReadReply = fn(&Bytes) -> Result<Reply, crate::wire::Error>;
const REPLIES: [(&str, ReadReply); 3] = [
    ("messages.reply.json", messages::read_reply),
    ("gemini.reply.json", gemini::read_reply),
    ("converse.reply.json", read_converse),
];

const ORIGIN: converse::Origin<'_> = converse::Origin {
    id: "request-1",
    model: "anthropic.claude",
};

fn read_converse(body: &Bytes) -> Result<Reply, crate::wire::Error> {
    converse::read_reply(body, &ORIGIN)
}

#[test]
fn answers_become_anthropics() {
    for (name, read_reply) in REPLIES {
        for path in files(name) {
            let reply = read_reply(&read(&path)).unwrap();
            let mut out = String::new();
            writeln!(out, "stop: {:?}", reply.choices[0].stop).unwrap();
            writeln!(out, "usage: {:?}", reply.usage).unwrap();
            writeln!(out, "rest: {:?}", reply.rest.keys().collect::<Vec<_>>()).unwrap();
            for part in &reply.choices[0].parts {
                writeln!(out, "{part:?}").unwrap();
            }
            if let Some(log_probs) = &reply.choices[0].log_probs {
                writeln!(out, "log probs: {log_probs}").unwrap();
            }
            writeln!(out, "\n== messages").unwrap();
            let body = messages::write_reply(&reply, &FALLBACK);
            writeln!(out, "{}", pretty(&body)).unwrap();
            compare(&path, &out);
        }
    }
}

/// A reader of one of the dialects.
enum Reader {
    Messages(messages::StreamReader),
    Gemini(gemini::StreamReader),
    Converse(Box<converse::StreamReader>),
}

const STREAMS: [(&str, Dialect); 3] = [
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

fn events<'a>(dialect: Dialect, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let mut reader = Reader::new(dialect);
    let mut out = Vec::new();
    for chunk in chunks {
        reader.push(&Bytes::copy_from_slice(chunk), &mut out);
    }
    reader.finish(&mut out);
    out
}

fn written(dialect: Dialect, events: &[Event]) -> Vec<u8> {
    let mut writer = messages::StreamWriter::new(dialect, &FALLBACK);
    let mut chunks = Vec::new();
    for event in events {
        writer.write(event, &mut chunks);
    }
    chunks.concat()
}

#[test]
fn streams_become_anthropics() {
    for (name, dialect) in STREAMS {
        for path in files(name) {
            let events = events(dialect, [&*read(&path)]);
            let mut out = String::new();
            for event in &events {
                writeln!(out, "{event:?}").unwrap();
            }
            let stream = written(dialect, &events);
            writeln!(out, "\n== messages\n{}", String::from_utf8_lossy(&stream)).unwrap();
            compare(&path, &out);
        }
    }
}

/// What the official SDKs take for granted: one block after the other, numbered without gaps, and every event in its
/// place.
pub(super) fn assert_valid(stream: &[u8], context: &str) {
    let text = std::str::from_utf8(stream).unwrap();
    let mut open: Option<u64> = None;
    let mut next = 0;
    let mut seen = Vec::new();
    for event in text.split_terminator("\n\n") {
        let (name, data) = event.split_once('\n').unwrap();
        let name = name.strip_prefix("event: ").unwrap();
        let data: serde_json::Value =
            serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["type"], name, "{context}");
        match name {
            "content_block_start" => {
                assert_eq!(open, None, "{context}");
                assert_eq!(data["index"], next, "{context}");
                open = Some(next);
                next += 1;
            }
            "content_block_delta" => assert_eq!(data["index"].as_u64(), open, "{context}"),
            "content_block_stop" => {
                assert_eq!(data["index"].as_u64(), open, "{context}");
                open = None;
            }
            "message_delta" => {
                assert_eq!(open, None, "{context}");
                assert!(data["usage"]["output_tokens"].is_u64(), "{context}");
                assert!(data["delta"]["stop_reason"].is_string(), "{context}");
            }
            _ => {}
        }
        let is_framing = ["message_start", "message_delta", "message_stop", "error"];
        if is_framing.contains(&name) {
            seen.push(name.to_owned());
        }
    }
    let whole = ["message_start", "message_delta", "message_stop"];
    let is_whole = seen == whole;
    let is_fault = seen.last().is_some_and(|last| last == "error");
    assert!(is_whole || is_fault, "{context}: {seen:?}");
}

#[test]
fn streams_for_clients_are_what_sdks_want() {
    for (name, dialect) in STREAMS {
        for path in files(name) {
            let events = events(dialect, [&*read(&path)]);
            let stream = written(dialect, &events);
            assert_valid(&stream, &path.display().to_string());
        }
    }
}

fn collected(dialect: Dialect, events: Vec<Event>) -> Reply {
    let mut collector = Collector::new(dialect);
    for event in events {
        collector.take(event);
    }
    collector.into_reply()
}

/// The parts with texts of one kind in one, so that a text that was cut is whole again.
fn joined(parts: &[Part]) -> Vec<Part> {
    let mut all: Vec<Part> = Vec::new();
    for part in parts {
        match (all.last_mut(), part) {
            (Some(Part::Text { text, .. }), Part::Text { text: more, .. }) => text.push_str(more),
            _ => all.push(part.clone()),
        }
    }
    all
}

#[test]
fn what_is_written_reads_the_same() {
    for path in files("messages.stream.sse") {
        let events = events(Dialect::Messages, [&*read(&path)]);
        let stream = written(Dialect::Messages, &events);
        let again = self::events(Dialect::Messages, [&*stream]);
        let (before, after) = (
            collected(Dialect::Messages, events),
            collected(Dialect::Messages, again),
        );
        let context = path.display();
        assert_eq!(
            before.choices.first().map(|choice| joined(&choice.parts)),
            after.choices.first().map(|choice| joined(&choice.parts)),
            "{context}"
        );
        let stops = |reply: &Reply| reply.choices.first().and_then(|choice| choice.stop.clone());
        assert_eq!(stops(&before), stops(&after), "{context}");
    }
    for path in files("messages.request.json") {
        let request = messages::read_request(&read(&path)).unwrap();
        let Ok(written) = messages::write_request(&request, &traits()) else {
            // Nobody but Gemini is asked with Gemini's proofs.
            assert!(path.to_string_lossy().contains("reasoning-of-gemini"));
            continue;
        };
        let again = messages::read_request(&written.body).unwrap();
        let twice = messages::write_request(&again, &traits()).unwrap();
        assert_eq!(written.body, twice.body, "{}", path.display());
        assert_eq!(again.tools, request.tools);
        assert_eq!(again.reasoning, request.reasoning);
        assert_eq!(again.sampling, request.sampling);
        assert_eq!(again.rest, request.rest);
        assert_eq!(again.form, request.form);
    }
    for path in files("messages.reply.json") {
        let reply = messages::read_reply(&read(&path)).unwrap();
        let body = messages::write_reply(&reply, &FALLBACK);
        assert_eq!(
            messages::read_reply(&body).unwrap(),
            reply,
            "{}",
            path.display()
        );
    }
}

#[test]
fn one_cut_anywhere_changes_nothing() {
    for (name, dialect) in STREAMS {
        for path in files(name) {
            let stream = read(&path);
            let whole = events(dialect, [&*stream]);
            for cut in (0..stream.len()).step_by(13) {
                let (head, tail) = stream.split_at(cut);
                let found = events(dialect, [head, tail]);
                assert_eq!(found, whole, "{} cut at {cut}", path.display());
            }
            assert_eq!(events(dialect, stream.chunks(1)), whole);
        }
    }
}

type Corpus = LazyLock<Vec<(&'static str, Bytes)>>;

static REQUEST_BODIES: Corpus = LazyLock::new(|| bodies(&["messages.request.json"]));
static REPLY_BODIES: Corpus = LazyLock::new(|| bodies(&REPLIES.map(|(name, _)| name)));
static STREAM_BODIES: Corpus = LazyLock::new(|| bodies(&STREAMS.map(|(name, _)| name)));

fn bodies(names: &[&'static str]) -> Vec<(&'static str, Bytes)> {
    let all = names.iter().flat_map(|name| {
        let files = files(name).into_iter();
        files.map(|file| (*name, read(&file)))
    });
    all.collect()
}

fn one_of(corpus: &Corpus, which: prop::sample::Index) -> (&'static str, &Bytes) {
    let (name, body) = &corpus[which.index(corpus.len())];
    (name, body)
}

fn mutated(bytes: &Bytes, changes: &[(prop::sample::Index, u8)]) -> Bytes {
    let mut bytes = bytes.to_vec();
    for (place, byte) in changes {
        let place = place.index(bytes.len());
        if byte % 5 == 0 {
            bytes.remove(place);
            if bytes.is_empty() {
                break;
            }
        } else {
            bytes[place] = *byte;
        }
    }
    bytes.into()
}

proptest! {
    #[test]
    fn no_request_panics(which in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
        let (_, body) = one_of(&REQUEST_BODIES, which);
        if let Ok(request) = messages::read_request(&mutated(body, &changes)) {
            for (_, write, write_dropping) in TARGETS {
                let _ = write(&request, &traits());
                let _ = write_dropping(&request, &traits());
            }
        }
    }

    #[test]
    fn no_answer_panics(which in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6)) {
        let (_, body) = one_of(&REPLY_BODIES, which);
        let body = mutated(body, &changes);
        for (_, read_reply) in REPLIES {
            if let Ok(reply) = read_reply(&body) {
                let _ = messages::write_reply(&reply, &FALLBACK);
            }
        }
        let _ = messages::read_fault(500, None, &body);
        let _ = gemini::read_fault(500, None, &body);
        let _ = gemini::retry_delay(&body);
        let _ = converse::read_fault(500, None, None, &body);
    }

    #[test]
    fn no_stream_panics(which in any::<prop::sample::Index>(), changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6), size in 1_usize..50) {
        let (name, stream) = one_of(&STREAM_BODIES, which);
        let dialect = STREAMS.iter().find(|(file, _)| *file == name).unwrap().1;
        let stream = mutated(stream, &changes);
        let events = events(dialect, stream.chunks(size));
        assert_valid(&written(dialect, &events), name);
    }
}
