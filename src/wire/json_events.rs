//! Events whose data is JSON, and bodies that should have been a stream of them and are something else.

use crate::wire::Error;
use crate::wire::openai::ProviderFault;
use crate::wire::sse::{self, Decoder};
use bytes::Bytes;
use serde_json::{Map, Value};

/// How much is kept of a body that is no stream of events, to say what it is.
const MAX_STRAY: usize = 16 * 1024;

/// What came.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonEvent {
    /// The event's type, in its line of its own.
    pub(super) name: Option<String>,
    /// Its data.
    pub(super) data: Map<String, Value>,
}

/// The longest event that is read for a translation: it may hold a picture.
const MAX_JSON_EVENT: usize = 16 * 1024 * 1024;

/// Reads events from bytes as they come.
#[derive(Debug)]
pub(super) struct JsonEvents {
    decoder: Decoder,
    /// What came outside of events while there was none.
    stray: Vec<u8>,
    has_events: bool,
    /// Whether something went wrong: nothing that follows is to be trusted.
    is_broken: bool,
}

impl Default for JsonEvents {
    fn default() -> Self {
        Self {
            decoder: Decoder::with_limit(MAX_JSON_EVENT),
            stray: Vec::new(),
            has_events: false,
            is_broken: false,
        }
    }
}

impl JsonEvents {
    /// Takes `chunk` in and gives every event that it completes to `take`.
    pub(super) fn push(
        &mut self,
        chunk: &Bytes,
        mut take: impl FnMut(JsonEvent) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.is_broken {
            return Ok(());
        }
        let mut events = Vec::new();
        let pushed = self.decoder.push(chunk, |event| events.push(event));
        let taken = events
            .into_iter()
            .try_for_each(|event| self.event(&event, &mut take));
        let result = taken.and(pushed);
        self.is_broken = result.is_err();
        result
    }

    /// Gives the event that had no end to `take`, and returns what went wrong where the body was no stream of events.
    pub(super) fn finish(
        &mut self,
        mut take: impl FnMut(JsonEvent) -> Result<(), Error>,
    ) -> Result<Option<ProviderFault>, Error> {
        if self.is_broken {
            return Ok(None);
        }
        if let Some(event) = self.decoder.finish() {
            self.event(&event, &mut take)?;
        }
        let is_stray = !self.has_events && !self.stray.trim_ascii().is_empty();
        Ok(is_stray.then(|| ProviderFault::read(200, None, &self.stray)))
    }

    fn event(
        &mut self,
        event: &sse::Event,
        take: &mut impl FnMut(JsonEvent) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Some(data) = &event.data else {
            if !self.has_events && self.stray.len() < MAX_STRAY && !event.raw.starts_with(b":") {
                self.stray.extend_from_slice(&event.raw);
            }
            return Ok(());
        };
        self.has_events = true;
        let data = data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            return Ok(());
        }
        let data = serde_json::from_slice(data).map_err(|error| Error::InvalidReply {
            problem: format!("has an event that is not JSON: {error}"),
        })?;
        let name = event.name.as_ref();
        take(JsonEvent {
            name: name.map(|name| String::from_utf8_lossy(name).into_owned()),
            data,
        })
    }
}

/// Returns the error that a stream ended in the middle.
pub(super) fn torn() -> Error {
    Error::InvalidReply {
        problem: "ended before it was complete".to_owned(),
    }
}

impl From<Error> for ProviderFault {
    fn from(error: Error) -> Self {
        Self::found(error.to_string(), error.kind())
    }
}

#[cfg(test)]
mod tests {
    use super::JsonEvents;
    use bytes::Bytes;

    fn read(body: &'static str) -> (Vec<String>, Option<String>, bool) {
        let mut events = JsonEvents::default();
        let mut found = Vec::new();
        let pushed = events.push(&Bytes::from_static(body.as_bytes()), |event| {
            found.push(serde_json::to_string(&event.data).unwrap());
            Ok(())
        });
        let fault = events.finish(|event| {
            found.push(serde_json::to_string(&event.data).unwrap());
            Ok(())
        });
        let is_broken = pushed.is_err() || fault.is_err();
        let fault = fault.ok().flatten().map(|fault| fault.message);
        (found, fault, is_broken)
    }

    #[test]
    fn events_are_read_and_other_bodies_are_faults() {
        for (body, events, fault) in [
            ("data: {\"a\":1}\n\ndata: {\"b\":2}", 2, None),
            (": ping\n\ndata: {}\n\ndata: [DONE]\n\n", 1, None),
            ("", 0, None),
            ("{\"error\":{\"message\":\"no\"}}", 0, Some("no")),
            (
                "<html><title>502</title></html>",
                0,
                Some("status 200 with an HTML page: 502"),
            ),
        ] {
            let (found, said, is_broken) = read(body);
            assert_eq!(found.len(), events, "{body}");
            assert_eq!(said.as_deref(), fault, "{body}");
            assert!(!is_broken);
        }
        assert!(read("data: {\n\n").2);
        assert!(read("data: [1]\n\n").2);
    }
}
