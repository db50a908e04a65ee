//! A stream as it comes.

use crate::wire::Error;
use crate::wire::conversation::{Delta, Event, Fields, Media, Part, shows_summaries};
use crate::wire::converse::frame::{Frame, Frames};
use crate::wire::converse::read_block::{part_of, text, thoughts, tool_call};
use crate::wire::converse::reply::{Origin, read_stop};
use crate::wire::converse::usage::read_usage;
use crate::wire::json_events::torn;
use crate::wire::openai::ProviderFault;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The most blocks that an answer may have.
const MAX_BLOCKS: usize = 10_000;

/// Reads a stream from bytes as they come; any cut of them gives the same events.
#[derive(Debug)]
pub struct StreamReader {
    frames: Frames,
    state: State,
}

impl StreamReader {
    /// Returns a reader of the answer that is `origin`'s.
    #[must_use]
    pub fn new(origin: &Origin<'_>) -> Self {
        Self {
            frames: Frames::default(),
            state: State {
                id: origin.id.to_owned(),
                model: origin.model.to_owned(),
                ..State::default()
            },
        }
    }

    /// Takes `chunk` in and adds what it tells to `out`. A frame that is not what its checksums say is a fault, after
    /// which nothing follows.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<Event>) {
        let state = &mut self.state;
        if state.is_over {
            return;
        }
        let pushed = self.frames.push(chunk, |frame| state.take(&frame, out));
        if let Err(error) = pushed {
            state.is_over = true;
            out.push(Event::Fault(error.into()));
        }
    }

    /// Ends the stream: a fault when it ended before it was complete.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        if self.state.is_over {
            return;
        }
        self.state.is_over = true;
        out.push(match self.frames.finish() {
            Ok(Some(stray)) => Event::Fault(super::read_fault(200, None, None, &stray)),
            // The tokens are told last, and are not the answer.
            Ok(None) if self.state.has_stopped => Event::End,
            Ok(None) => Event::Fault(torn().into()),
            Err(error) => Event::Fault(error.into()),
        });
    }
}

#[derive(Debug, Default)]
struct State {
    id: String,
    model: String,
    /// The parts of open blocks by the provider's index.
    open: BTreeMap<u64, usize>,
    parts: usize,
    has_stopped: bool,
    is_over: bool,
}

impl State {
    fn take(&mut self, frame: &Frame, out: &mut Vec<Event>) -> Result<(), Error> {
        if self.is_over {
            return Ok(());
        }
        if frame.message_type != "event" {
            self.is_over = true;
            out.push(Event::Fault(fault_of(frame)));
            return Ok(());
        }
        let payload: Map<String, Value> =
            serde_json::from_slice(&frame.payload).map_err(|error| Error::InvalidReply {
                problem: format!("has an event that is not JSON: {error}"),
            })?;
        let mut fields = Fields::new(String::new(), payload);
        // Bytes that hide how long the others are.
        fields.take("p");
        match frame.kind.as_str() {
            "messageStart" => out.push(Event::Start {
                id: self.id.clone(),
                model: self.model.clone(),
                created: None,
            }),
            "contentBlockStart" => self.begin(&mut fields, out)?,
            "contentBlockDelta" => self.go_on(&mut fields, out)?,
            "contentBlockStop" => {
                let index = fields.count("contentBlockIndex").unwrap_or_default();
                if let Some(part) = self.open.remove(&index) {
                    out.push(Event::PartEnd { choice: 0, part });
                }
            }
            "messageStop" => self.stop(&mut fields, out),
            "metadata" => self.end(&mut fields, out),
            other => out.push(Event::Foreign {
                name: other.to_owned(),
                value: fields.into_rest().into(),
            }),
        }
        Ok(())
    }

    fn open(&mut self, index: u64, content: Part, out: &mut Vec<Event>) -> Result<usize, Error> {
        let part = self.parts;
        self.parts += 1;
        if MAX_BLOCKS < self.parts {
            return Err(Error::InvalidReply {
                problem: format!("has more than {MAX_BLOCKS} blocks"),
            });
        }
        let content = content.summarized(shows_summaries(&self.model));
        self.open.insert(index, part);
        out.push(Event::PartStart {
            choice: 0,
            part,
            content,
        });
        Ok(part)
    }

    fn begin(&mut self, fields: &mut Fields, out: &mut Vec<Event>) -> Result<(), Error> {
        let index = fields.count("contentBlockIndex").unwrap_or_default();
        let start = fields.take("start").unwrap_or_default();
        let call = start.get("toolUse").and_then(Value::as_object);
        let content = match call.and_then(tool_call) {
            Some(call) => call,
            // A picture begins with its first bytes.
            None if start.get("image").is_some() => return Ok(()),
            None if start.as_object().is_none_or(Map::is_empty) => return Ok(()),
            None => part_of("contentBlockStart", start),
        };
        self.open(index, content, out)?;
        Ok(())
    }

    fn go_on(&mut self, fields: &mut Fields, out: &mut Vec<Event>) -> Result<(), Error> {
        let index = fields.count("contentBlockIndex").unwrap_or_default();
        let Some(Value::Object(delta)) = fields.take("delta") else {
            return Ok(());
        };
        for (key, value) in delta {
            let (beginning, deltas) = match read_delta(&key, &value) {
                Some(read) => read,
                None => {
                    let value = json!({ key.as_str(): value });
                    (part_of("contentBlockDelta", value), Vec::new())
                }
            };
            let part = match self.open.get(&index) {
                Some(part) => *part,
                None => self.open(index, beginning, out)?,
            };
            out.extend(deltas.into_iter().map(|delta| Event::PartDelta {
                choice: 0,
                part,
                delta,
            }));
        }
        Ok(())
    }

    fn stop(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        for part in std::mem::take(&mut self.open).into_values() {
            out.push(Event::PartEnd { choice: 0, part });
        }
        let more = fields.take("additionalModelResponseFields");
        if let Some(reason) = fields.text("stopReason").filter(|_| !self.has_stopped) {
            self.has_stopped = true;
            let reason = read_stop(&reason, more.as_ref());
            out.push(Event::Stop { choice: 0, reason });
        }
        if let Some(value) = more {
            out.push(Event::Foreign {
                name: "additionalModelResponseFields".to_owned(),
                value,
            });
        }
    }

    fn end(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        if let Some(reported) = fields.take("usage")
            && let Some(usage) = read_usage(&reported)
        {
            out.push(Event::Usage { usage, reported });
        }
        let rest = std::mem::replace(fields, Fields::new(String::new(), Map::new()));
        for (name, value) in rest.into_rest() {
            out.push(Event::Foreign { name, value });
        }
        if self.has_stopped {
            self.is_over = true;
            out.push(Event::End);
        }
    }
}

/// Returns with what a block begins when this is the first that is heard of it, and what is added.
fn read_delta(key: &str, value: &Value) -> Option<(Part, Vec<Delta>)> {
    let full = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let nothing = || text(String::new(), Vec::new());
    match key {
        "text" => {
            let added = full(value.as_str()?).map(Delta::Text);
            Some((nothing(), added.into_iter().collect()))
        }
        "citation" => Some((nothing(), vec![Delta::Citation(value.clone())])),
        "toolUse" => {
            let added = full(value.get("input")?.as_str()?).map(Delta::Arguments);
            // Arguments of no call: there is nothing that they could be added to.
            let beginning = Part::Foreign {
                name: "contentBlockDelta.toolUse".to_owned(),
                value: Value::Null,
            };
            Some((beginning, added.into_iter().collect()))
        }
        "reasoningContent" => {
            let get = |key: &str| value.get(key).and_then(Value::as_str);
            if let Some(hidden) = get("redactedContent") {
                let beginning = thoughts(Vec::new(), None, true);
                return Some((beginning, vec![Delta::Signature(hidden.to_owned())]));
            }
            let said = get("text").and_then(full);
            let said = said.map(|added| Delta::Reasoning { text: 0, added });
            let proof = get("signature").and_then(full).map(Delta::Signature);
            let deltas = said.into_iter().chain(proof).collect();
            Some((thoughts(Vec::new(), None, false), deltas))
        }
        "image" => {
            let data = value.get("source")?.get("bytes")?.as_str()?;
            let source = Media::Inline {
                media_type: "image/png".to_owned(),
                data: data.to_owned(),
            };
            let beginning = Part::Image {
                source,
                detail: None,
                cache: None,
            };
            Some((beginning, Vec::new()))
        }
        _ => None,
    }
}

fn fault_of(frame: &Frame) -> ProviderFault {
    // `throttlingException` in a stream is `ThrottlingException` in a header.
    let mut name = frame.kind.clone();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let mut fault = super::read_fault(200, Some(&name), None, &frame.payload);
    if let Some(message) = &frame.error_message {
        fault.message.clone_from(message);
    } else if frame.payload.is_empty() {
        fault.message = format!("the stream ended with `{}`", frame.kind);
    }
    fault
}
