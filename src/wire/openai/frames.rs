//! Server-sent events of the two dialects as what they hold.

use crate::wire::openai::ProviderFault;
use crate::wire::openai::fault::is_truthy;
use crate::wire::sse::{Decoder, Event};
use bytes::Bytes;
use serde_json::{Map, Value};

/// What an event holds.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::wire) enum Frame {
    /// A comment: the connection lives.
    Ping,
    /// `[DONE]`.
    Done,
    /// An object.
    Object(Map<String, Value>),
    /// An error, in any of the ways in which providers put it into a stream.
    Fault(ProviderFault),
    /// Something that cannot be read.
    Malformed,
}

/// The longest event that is read for a translation: it may hold a picture, or a whole response with the
/// instructions it repeats.
const MAX_FRAME: usize = 16 * 1024 * 1024;

/// Takes a stream apart.
#[derive(Debug)]
pub(in crate::wire) struct Frames {
    decoder: Decoder,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            decoder: Decoder::with_limit(MAX_FRAME),
        }
    }
}

impl Frames {
    /// Takes `chunk` in and gives everything that it completes to `take`.
    pub(in crate::wire) fn push(&mut self, chunk: &Bytes, mut take: impl FnMut(Frame)) {
        let pushed = self.decoder.push(chunk, |event| {
            if let Some(frame) = frame_of(&event) {
                take(frame);
            }
        });
        if let Err(error) = pushed {
            take(Frame::Fault(error.into()));
        }
    }

    /// Gives what is left at the end of the stream to `take`: an event without its blank line.
    pub(in crate::wire) fn finish(&mut self, mut take: impl FnMut(Frame)) {
        let left = self.decoder.finish();
        if let Some(frame) = left.as_ref().and_then(frame_of) {
            take(frame);
        }
    }
}

/// Returns what an event holds; `None` for a blank line.
fn frame_of(event: &Event) -> Option<Frame> {
    let Some(data) = &event.data else {
        return frame_without_data(&event.raw);
    };
    if data.starts_with(b"[DONE]") {
        return Some(Frame::Done);
    }
    if event.name.as_deref() == Some(b"error") {
        let mut fault = ProviderFault::read(200, None, data);
        // The type of the event, not of the error.
        fault.kind = fault.kind.filter(|kind| kind != "error");
        return Some(Frame::Fault(fault));
    }
    let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(data);
    let Ok(object) = parsed else {
        let is_empty = data.trim_ascii().is_empty();
        return Some(if is_empty {
            Frame::Ping
        } else {
            Frame::Malformed
        });
    };
    let error = object.get("error").map(Value::to_string);
    Some(match error.filter(|error| is_truthy(error)) {
        Some(error) => Frame::Fault(ProviderFault::from_error(&error)),
        None => Frame::Object(object),
    })
}

/// Some providers answer a request for a stream with a plain JSON error, and proxies with a page.
fn frame_without_data(raw: &[u8]) -> Option<Frame> {
    let text = std::str::from_utf8(raw).unwrap_or_default().trim();
    if text.starts_with(':') {
        return Some(Frame::Ping);
    }
    if text.starts_with('<') {
        let fault = ProviderFault::read(200, Some("text/html"), raw);
        return Some(Frame::Fault(fault));
    }
    let is_object = text.starts_with('{');
    let fault = is_object.then(|| ProviderFault::from_json(text)).flatten();
    fault.map(Frame::Fault)
}

/// Returns the fault of a stream that ended before its answer did.
pub(in crate::wire) fn torn() -> ProviderFault {
    ProviderFault::found(
        "the stream ended before the answer did",
        "upstream_incomplete",
    )
}

/// Returns the fault of a stream that begins more than anybody can have asked for.
pub(in crate::wire) fn too_many(what: &str, limit: usize) -> ProviderFault {
    let message = format!("the stream has more than {limit} {what}");
    ProviderFault::found(message, "upstream_invalid")
}

#[cfg(test)]
mod tests {
    use super::{Frame, Frames, MAX_FRAME};
    use bytes::Bytes;

    fn frames(stream: &str) -> Vec<Frame> {
        let mut frames = Frames::default();
        let mut found = Vec::new();
        frames.push(&Bytes::copy_from_slice(stream.as_bytes()), |frame| {
            found.push(frame);
        });
        frames.finish(|frame| found.push(frame));
        found
    }

    #[test]
    fn events_are_what_they_hold() {
        let fault = |text: &str, expected: &str| {
            let found = frames(text);
            let [Frame::Fault(fault)] = found.as_slice() else {
                panic!("{found:?}");
            };
            assert_eq!(fault.message, expected);
        };
        assert_eq!(frames(": ping\n\n"), [Frame::Ping]);
        assert_eq!(frames("data:\n\n"), [Frame::Ping]);
        assert_eq!(frames("data: [DONE]\n\n"), [Frame::Done]);
        assert_eq!(frames("data: [1]\n\n"), [Frame::Malformed]);
        assert_eq!(frames("\n\n"), []);
        assert!(matches!(
            frames("data: {\"error\":null}\n\n").as_slice(),
            [Frame::Object(_)]
        ));
        fault("data: {\"error\":\"no\"}\n\n", "no");
        fault("event: error\ndata: {\"message\":\"no\"}\n\n", "no");
        fault("{\"error\":{\"message\":\"no\"}}", "no");
        fault(
            "<html><title>x</title></html>",
            "status 200 with an HTML page: x",
        );
    }

    #[test]
    fn endless_events_are_a_fault() {
        let mut frames = Frames::default();
        let chunk = Bytes::from(vec![b'x'; 1024 * 1024]);
        let mut found = Vec::new();
        for _ in 0..=MAX_FRAME / chunk.len() {
            frames.push(&chunk, |frame| found.push(frame));
        }
        assert!(matches!(found.as_slice(), [Frame::Fault(_)]));
    }
}
