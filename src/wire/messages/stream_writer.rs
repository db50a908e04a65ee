//! A stream for a client. Anthropic's SDKs want one block after the other, numbered without gaps; where parts come
//! interleaved, the later one waits until the earlier one has ended.

use crate::domain::TokenUsage;
use crate::wire::conversation::{Delta, Dialect, Event, Fallback, Part, StopReason};
use crate::wire::messages::fault::{event, event_of_fault};
use crate::wire::messages::reply::{id_of, text_or_null};
use crate::wire::messages::stop::write_stop;
use crate::wire::messages::stream_blocks::Blocks;
use crate::wire::messages::usage::write_usage;
use crate::wire::openai::ProviderFault;
use crate::wire::tree::{Json, Object};
use bytes::Bytes;
use serde_json::{Map, Value};

/// The most bytes that wait.
const MAX_WAITING: usize = 8 * 1024 * 1024;

/// Writes a stream; only the first answer, as nobody can ask for more in this dialect.
#[derive(Debug)]
pub struct StreamWriter {
    source: Dialect,
    /// Whose answer it is, until it has been said.
    start: Option<(String, String)>,
    usage: TokenUsage,
    reported: Option<Value>,
    stop: Option<StopReason>,
    is_refused: bool,
    /// Fields of the last event that only this dialect has.
    last: Map<String, Value>,
    blocks: Blocks,
    is_over: bool,
}

impl StreamWriter {
    /// Returns a writer of events that were read from `source`; `fallback` gives the id where the provider gives none.
    #[must_use]
    pub fn new(source: Dialect, fallback: &Fallback<'_>) -> Self {
        Self {
            source,
            start: Some((id_of("", fallback), String::new())),
            usage: TokenUsage::default(),
            reported: None,
            stop: None,
            is_refused: false,
            last: Map::new(),
            blocks: Blocks::new(source),
            is_over: false,
        }
    }

    /// Adds what `event` becomes to `out`: whole events of the stream, each of them a chunk.
    pub fn write(&mut self, event: &Event, out: &mut Vec<Bytes>) {
        if self.is_over {
            return;
        }
        match event {
            Event::Start { id, model, .. } => {
                if let Some((said_id, said_model)) = &mut self.start {
                    if !id.is_empty() {
                        said_id.clone_from(id);
                    }
                    said_model.clone_from(model);
                }
            }
            Event::Usage { usage, reported } => {
                self.usage = *usage;
                self.reported = (self.source == Dialect::Messages).then(|| reported.clone());
            }
            Event::Ping => {
                if self.start.is_none() {
                    out.push(self::event("ping", &Object::of_type("ping")));
                }
            }
            Event::Foreign { name, value } => self.foreign(name, value, out),
            Event::Stop { choice: 0, reason } => {
                self.stop.get_or_insert_with(|| reason.clone());
            }
            Event::PartStart {
                choice: 0,
                part,
                content,
            } => {
                self.begin(out);
                self.is_refused |= matches!(content, Part::Refusal(_));
                self.blocks.start(*part, content, out);
            }
            Event::PartDelta {
                choice: 0,
                part,
                delta,
            } => {
                self.is_refused |= matches!(delta, Delta::Refusal(_));
                self.blocks.go_on(*part, delta, out);
            }
            Event::PartEnd { choice: 0, part } => self.blocks.end(*part, out),
            Event::Stop { .. }
            | Event::PartStart { .. }
            | Event::PartDelta { .. }
            | Event::PartEnd { .. } => {}
            Event::Fault(fault) => self.fail(fault, out),
            Event::End => self.end(out),
        }
        if MAX_WAITING < self.blocks.waiting_bytes {
            let message = "the provider's stream has too many parts at once";
            let fault = ProviderFault::found(message, "upstream_invalid");
            self.fail(&fault, out);
        }
    }

    /// Says whose answer it is, once and as late as can be: by then the tokens that went in may be known.
    fn begin(&mut self, out: &mut Vec<Bytes>) {
        let Some((id, model)) = self.start.take() else {
            return;
        };
        let message = Object::default()
            .with("id", id)
            .with("type", "message")
            .with("role", "assistant")
            .with("model", model)
            .with("content", Vec::<Json>::new())
            .with("stop_reason", text_or_null(None))
            .with("stop_sequence", text_or_null(None))
            .with("usage", self.usage());
        out.push(event(
            "message_start",
            &Object::of_type("message_start").with("message", message),
        ));
    }

    fn usage(&self) -> Json {
        match &self.reported {
            // SDKs count on this one; some who imitate the dialect leave it out, or write `12.0`.
            Some(Value::Object(reported)) => Object::default()
                .with_all(reported)
                .with("output_tokens", self.usage.output)
                .into(),
            _ => write_usage(&self.usage, None).into(),
        }
    }

    fn foreign(&mut self, name: &str, value: &Value, out: &mut Vec<Bytes>) {
        if self.source != Dialect::Messages {
            return;
        }
        if let Some(key) = name.strip_prefix("message_delta.") {
            self.last.insert(key.to_owned(), value.clone());
        } else if let Value::Object(fields) = value
            // A name with a line's end in it would be two lines.
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        {
            out.push(event(name, &Object::of_type(name).with_all(fields)));
        }
    }

    fn fail(&mut self, fault: &ProviderFault, out: &mut Vec<Bytes>) {
        self.is_over = true;
        out.push(event_of_fault(fault));
    }

    fn end(&mut self, out: &mut Vec<Bytes>) {
        self.is_over = true;
        self.begin(out);
        self.blocks.finish(out);
        let (reason, sequence) = match &self.stop {
            Some(StopReason::EndTurn) | None if self.is_refused => ("refusal", None),
            Some(stop) => write_stop(stop, self.source),
            None => ("end_turn", None),
        };
        let delta = Object::default()
            .with("stop_reason", reason)
            .with("stop_sequence", text_or_null(sequence))
            .with_all(&self.last);
        let last = Object::of_type("message_delta")
            .with("delta", delta)
            .with("usage", self.usage());
        out.push(event("message_delta", &last));
        out.push(event("message_stop", &Object::of_type("message_stop")));
    }
}
