//! Streamed responses, read.

use crate::wire::conversation::{Event, Fields};
use crate::wire::openai::frames::{Frame, Frames, torn};
use crate::wire::openai::{ProviderFault, read_usage};
use crate::wire::responses::read_reply::stop_of;
use crate::wire::responses::stream_items::Items;
use bytes::Bytes;
use serde_json::{Map, Value};

/// Reader of the events of a response. Holds no text: what came is told at once, but for items that only
/// responses have, which are told when they are complete.
#[derive(Debug, Default)]
pub struct StreamReader {
    frames: Frames,
    reader: Reader,
}

impl StreamReader {
    /// Reads `chunk` and appends what it says to `out`. Nothing is read after the end or a fault.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "every dialect's reader is given its chunks"
    )]
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Event>) {
        if self.reader.has_ended {
            return;
        }
        let reader = &mut self.reader;
        self.frames.push(&chunk, |frame| reader.read(frame, out));
    }

    /// Reads what is left when the provider has closed the stream; one that was not completed is torn.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        let reader = &mut self.reader;
        self.frames.finish(|frame| reader.read(frame, out));
        if !reader.has_ended {
            reader.fail(torn(), out);
        }
    }

    /// Returns how many events could not be read, and were left out.
    #[must_use]
    pub const fn malformed_events(&self) -> u64 {
        self.reader.malformed
    }
}

#[derive(Debug, Default)]
struct Reader {
    has_started: bool,
    has_ended: bool,
    items: Items,
    malformed: u64,
}

impl Reader {
    fn read(&mut self, frame: Frame, out: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        match frame {
            Frame::Ping => out.push(Event::Ping),
            Frame::Malformed => self.malformed += 1,
            Frame::Object(event) => self.event(event, out),
            Frame::Fault(fault) => self.fail(fault, out),
            // Responses end by an event; what some send behind it says nothing.
            Frame::Done => {}
        }
    }

    fn fail(&mut self, fault: ProviderFault, out: &mut Vec<Event>) {
        self.has_ended = true;
        out.push(Event::Fault(fault));
    }

    fn event(&mut self, event: Map<String, Value>, out: &mut Vec<Event>) {
        let mut fields = Fields::new(String::new(), event);
        let Some(kind) = fields.text("type") else {
            self.malformed += 1;
            return;
        };
        fields.take("sequence_number");
        match kind.strip_prefix("response.").unwrap_or(&kind) {
            "created" | "in_progress" | "queued" => self.start(&mut fields, out),
            "completed" | "incomplete" => self.complete(&kind, &mut fields, out),
            "failed" | "cancelled" => {
                let response = fields.inner("response");
                let error = response.and_then(|mut response| response.take("error"));
                let fault = error.map(|error| ProviderFault::from_error(&error.to_string()));
                self.fail(fault.unwrap_or_else(|| unsaid(&kind)), out);
            }
            "error" => {
                // The reference has its fields in the event; the API also sends them in an `error` of their own.
                let own = fields.take_if("error", Value::is_object);
                let error = own.unwrap_or_else(|| Value::Object(fields.into_rest()));
                self.fail(ProviderFault::from_error(&error.to_string()), out);
            }
            // Padding against eavesdroppers says nothing.
            "keepalive" => out.push(Event::Ping),
            name => {
                if let Err(fault) = self.items.read(name, &kind, fields, out) {
                    self.fail(fault, out);
                }
            }
        }
    }

    fn start(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        let Some(mut response) = fields.inner("response") else {
            return;
        };
        self.begin(&mut response, out);
    }

    fn begin(&mut self, response: &mut Fields, out: &mut Vec<Event>) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let created = response.count("created_at");
        out.push(Event::Start {
            id: response.text("id").unwrap_or_default(),
            model: response.text("model").unwrap_or_default(),
            created: created.and_then(|at| i64::try_from(at).ok()),
        });
    }

    fn complete(&mut self, kind: &str, fields: &mut Fields, out: &mut Vec<Event>) {
        let empty = || Fields::new(String::new(), Map::new());
        let mut response = fields.inner("response").unwrap_or_else(empty);
        self.begin(&mut response, out);
        self.items.finish(response.elements("output"), out);
        if let Some(value) = response.take("service_tier") {
            let name = "service_tier".to_owned();
            out.push(Event::Foreign { name, value });
        }
        let reported = response.take("usage");
        let usage = reported
            .as_ref()
            .and_then(|reported| read_usage(&reported.to_string()));
        if let (Some(usage), Some(reported)) = (usage, reported) {
            out.push(Event::Usage { usage, reported });
        }
        let status = kind.strip_prefix("response.");
        let details = response.take("incomplete_details");
        out.push(Event::Stop {
            choice: 0,
            reason: stop_of(status, details.as_ref(), self.items.said),
        });
        out.push(Event::End);
        self.has_ended = true;
    }
}

/// Returns the fault of a response that failed without saying why.
fn unsaid(kind: &str) -> ProviderFault {
    ProviderFault {
        message: format!("the stream ended by `{kind}` without a reason"),
        ..ProviderFault::default()
    }
}
