//! Streamed responses, written.

use crate::wire::conversation::{Delta, Dialect, Event, Fallback, Part, Reply, StopReason};
use crate::wire::openai::ProviderFault;
use crate::wire::openai::shared::{bare_id, responses_usage, tier_of};
use crate::wire::responses::echo::Echo;
use crate::wire::responses::read_reply::status_of;
use crate::wire::responses::write_reply::{Response, response_id, write_reply};
use crate::wire::responses::written_items::WrittenItems;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Writer of the events of a response, as `OpenAI`'s SDKs read them.
///
/// They are numbered, ids stay the same, every item and part is begun and ended, and the whole response
/// comes at the end. Keeps what it has written, as the last event says it all again.
#[derive(Debug)]
pub struct StreamWriter {
    from: Dialect,
    echo: Echo,
    id: String,
    model: String,
    created: i64,
    service_tier: Option<String>,
    usage: Option<Value>,
    stop: Option<StopReason>,
    /// Whether the model has refused in words.
    refuses: bool,
    has_begun: bool,
    has_ended: bool,
    items: WrittenItems,
    /// The number of the next event.
    number: u64,
}

/// Where events go, and the number of the next one.
#[derive(Debug)]
pub(super) struct Sink<'a> {
    number: &'a mut u64,
    out: &'a mut Vec<Bytes>,
}

impl Sink<'_> {
    /// Writes an event of this type.
    pub(super) fn send(&mut self, kind: &str, fields: Map<String, Value>) {
        let mut event = Map::new();
        event.insert("type".to_owned(), kind.into());
        event.insert("sequence_number".to_owned(), (*self.number).into());
        event.extend(fields);
        *self.number += 1;
        let event = Value::Object(event);
        self.out
            .push(format!("event: {kind}\ndata: {event}\n\n").into());
    }
}

impl StreamWriter {
    /// Returns a writer at the start of a stream; `from` is the dialect whose reader tells the events.
    #[must_use]
    pub fn new(from: Dialect, echo: Echo, fallback: &Fallback<'_>) -> Self {
        let id = response_id("", fallback);
        Self {
            from,
            echo,
            items: WrittenItems::new(from, bare_id(&id)),
            id,
            model: String::new(),
            created: fallback.created,
            service_tier: None,
            usage: None,
            stop: None,
            refuses: false,
            has_begun: false,
            has_ended: false,
            number: 0,
        }
    }

    /// Writes `event` and appends what the client shall get to `out`. Nothing is written after the end
    /// or a fault. A response has one answer: what comes of others has no place in it.
    pub fn write(&mut self, event: &Event, out: &mut Vec<Bytes>) {
        if self.has_ended {
            return;
        }
        match event {
            Event::Start { id, model, created } => self.start(id, model, *created, out),
            Event::PartStart {
                choice: 0,
                part,
                content,
            } => {
                self.begin(out);
                self.refuses |= matches!(content, Part::Refusal(_));
                let (items, mut sink) = self.parts(out);
                items.start(*part, content, &mut sink);
            }
            Event::PartDelta {
                choice: 0,
                part,
                delta,
            } => self.delta(*part, delta, out),
            Event::PartEnd { choice: 0, part } => {
                let (items, mut sink) = self.parts(out);
                items.end(*part, &mut sink);
            }
            Event::Usage { usage, reported } => {
                let is_own = self.from == Dialect::Responses;
                self.usage = Some(if is_own {
                    reported.clone()
                } else {
                    responses_usage(usage)
                });
            }
            Event::Stop { choice: 0, reason } => self.stop = Some(reason.clone()),
            Event::PartStart { .. }
            | Event::PartDelta { .. }
            | Event::PartEnd { .. }
            | Event::Stop { .. } => {}
            Event::Ping => out.push(Bytes::from_static(b": ping\n\n")),
            Event::Foreign { name, value } => self.foreign(name, value, out),
            Event::Fault(fault) => self.fail(fault, out),
            Event::End => self.end(out),
        }
    }

    const fn sink<'a>(&'a mut self, out: &'a mut Vec<Bytes>) -> Sink<'a> {
        let number = &mut self.number;
        Sink { number, out }
    }

    const fn parts<'a>(&'a mut self, out: &'a mut Vec<Bytes>) -> (&'a mut WrittenItems, Sink<'a>) {
        let number = &mut self.number;
        (&mut self.items, Sink { number, out })
    }

    fn start(&mut self, id: &str, model: &str, created: Option<i64>, out: &mut Vec<Bytes>) {
        let fallback = Fallback {
            id: &self.id,
            created: self.created,
        };
        self.id = response_id(id, &fallback);
        self.items = WrittenItems::new(self.from, bare_id(&self.id));
        model.clone_into(&mut self.model);
        self.created = created.unwrap_or(self.created);
        self.begin(out);
    }

    /// Tells that the response has begun, once.
    fn begin(&mut self, out: &mut Vec<Bytes>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            let response = self.response("in_progress", Value::Null, Value::Null, Vec::new());
            self.sink(out).send(kind, wrap(response));
        }
    }

    fn response(&self, status: &str, incomplete: Value, error: Value, output: Vec<Value>) -> Value {
        Response {
            id: &self.id,
            model: &self.model,
            created: self.created,
            status,
            incomplete,
            error,
            output,
            usage: self.usage.clone(),
            service_tier: self.service_tier.as_deref(),
        }
        .write(&self.echo)
    }

    fn delta(&mut self, part: usize, delta: &Delta, out: &mut Vec<Bytes>) {
        let (items, mut sink) = self.parts(out);
        let sink = &mut sink;
        match delta {
            Delta::Text(text) => items.text(part, text, sink),
            Delta::Refusal(text) => items.refusal(part, text, sink),
            Delta::Reasoning { text, added } => {
                items.thought(part, *text, added, sink);
            }
            Delta::Signature(proof) => items.sign(part, proof),
            Delta::Arguments(added) => items.arguments(part, added, sink),
            Delta::Citation(citation) => items.cite(part, citation, sink),
            Delta::Audio { data, transcript } => {
                items.audio(part, data, transcript, sink);
            }
            Delta::LogProbs(log_probs) => items.log_probs(part, log_probs, sink),
        }
    }

    fn foreign(&mut self, name: &str, value: &Value, out: &mut Vec<Bytes>) {
        if name == "service_tier" {
            let tier = value.as_str().and_then(|tier| tier_of(self.from, tier));
            self.service_tier = tier.map(str::to_owned);
        }
        if self.from != Dialect::Responses || !name.starts_with("response.") {
            return;
        }
        if let Value::Object(fields) = value {
            self.sink(out).send(name, fields.clone());
        }
    }

    fn end(&mut self, out: &mut Vec<Bytes>) {
        self.begin(out);
        self.has_ended = true;
        let stop = self.stop.take().unwrap_or(StopReason::EndTurn);
        let (status, incomplete) = status_of(&stop, self.refuses);
        let (items, mut sink) = self.parts(out);
        items.finish(status, &mut sink);
        let output = self.items.output();
        let response = self.response(status, incomplete, Value::Null, output);
        let kind = format!("response.{status}");
        self.sink(out).send(&kind, wrap(response));
    }

    /// Tells a fault as the official API does: as an error, and as a response that failed.
    fn fail(&mut self, fault: &ProviderFault, out: &mut Vec<Bytes>) {
        self.begin(out);
        self.has_ended = true;
        let code = fault.name().unwrap_or("server_error");
        let mut error = Map::new();
        error.insert("code".to_owned(), code.into());
        error.insert("message".to_owned(), fault.message.as_str().into());
        error.insert("param".to_owned(), json!(fault.param));
        self.sink(out).send("error", error);
        let error = failure(fault);
        let output = self.items.output();
        let response = self.response("failed", Value::Null, error, output);
        self.sink(out).send("response.failed", wrap(response));
    }
}

/// Returns the event by which a response has failed that had come as far as `reply`: the last one of a stream
/// that passed through as it was.
#[must_use]
pub fn failed_event(
    reply: &Reply,
    (echo, fallback): (&Echo, &Fallback<'_>),
    fault: &ProviderFault,
    number: u64,
) -> Bytes {
    let written = write_reply(reply, echo, fallback);
    let mut response: Map<String, Value> = serde_json::from_slice(&written).unwrap_or_default();
    response.insert("status".to_owned(), "failed".into());
    response.insert("incomplete_details".to_owned(), Value::Null);
    response.insert("error".to_owned(), failure(fault));
    let mut out = Vec::new();
    let mut number = number;
    let mut sink = Sink {
        number: &mut number,
        out: &mut out,
    };
    sink.send("response.failed", wrap(response.into()));
    out.concat().into()
}

/// Returns the `error` of a response that failed.
fn failure(fault: &ProviderFault) -> Value {
    let code = known_code(fault.name().unwrap_or("server_error"));
    json!({"code": code, "message": fault.message})
}

/// Returns the code of a failed response, of which there are few; the error before it has the provider's.
fn known_code(code: &str) -> &str {
    match code {
        "invalid_prompt"
        | "data_residency_mismatch"
        | "bio_policy"
        | "misalignment_policy_violation"
        | "vector_store_timeout"
        | "invalid_image"
        | "invalid_image_format"
        | "invalid_base64_image"
        | "invalid_image_url"
        | "image_too_large"
        | "image_too_small"
        | "image_parse_error"
        | "image_content_policy_violation"
        | "image_file_too_large"
        | "unsupported_image_media_type"
        | "empty_image_file"
        | "failed_to_download_image"
        | "image_file_not_found" => code,
        "429" | "RESOURCE_EXHAUSTED" | "ThrottlingException" => "rate_limit_exceeded",
        code if code.contains("rate_limit") => "rate_limit_exceeded",
        _ => "server_error",
    }
}

fn wrap(response: Value) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("response".to_owned(), response);
    fields
}

/// Returns what a part that comes as a whole says, as the deltas by which it would have come.
pub(super) fn deltas_of(part: &Part) -> Vec<Delta> {
    match part {
        Part::Text {
            text, citations, ..
        } => {
            let citations = citations.iter().cloned().map(Delta::Citation);
            let text = Some(text).filter(|text| !text.is_empty());
            let text = text.map(|text| Delta::Text(text.clone()));
            text.into_iter().chain(citations).collect()
        }
        Part::Reasoning { texts, .. } => {
            let texts = texts.iter().cloned().enumerate();
            texts
                .map(|(text, added)| Delta::Reasoning { text, added })
                .collect()
        }
        _ => Vec::new(),
    }
}
