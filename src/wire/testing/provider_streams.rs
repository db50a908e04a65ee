//! What holds of every file of Anthropic, Google and AWS in the corpus: streams for clients are as SDKs want them, what is
//! written reads the same, cuts change nothing, and broken bytes break nothing.

use crate::wire::conversation::{Collector, Dialect, Event, Part, Reply};
use crate::wire::testing::anthropic_gemini_bedrock::{
    FALLBACK, REPLIES, STREAMS, TARGETS, events, files, read, traits, written,
};
use crate::wire::{converse, gemini, messages};
use bytes::Bytes;
use proptest::prelude::{any, prop, proptest};
use std::sync::LazyLock;

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
        let again = super::anthropic_gemini_bedrock::events(Dialect::Messages, [&*stream]);
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
        let _ = crate::wire::rpc_status::retry_delay(&body);
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
