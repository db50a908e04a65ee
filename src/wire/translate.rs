//! From one dialect to another: which reader, and which writer.

use crate::domain::Dialect;
use crate::wire::conversation::{
    Event, Fallback, ModelTraits, Reply, Request, Unsupported, Written,
};
use crate::wire::json::RawObject;
use crate::wire::openai::{ErrorEnvelope, ProviderFault, is_truthy};
use crate::wire::{Error, chat, converse, gemini, messages, responses};
use bytes::Bytes;
use serde_json::{Map, Value, json};

pub use crate::wire::converse::Origin;

/// Whom an answer is for.
#[derive(Debug, Clone)]
pub struct Client {
    /// The dialect it asked in.
    pub dialect: Dialect,
    /// Its request as it came, parts of which some answers repeat.
    pub request: Bytes,
    /// The id of the call.
    pub id: String,
    /// When it was asked, in Unix seconds.
    pub created: i64,
    /// Whether it asked for the usage of a stream.
    pub wants_usage: bool,
}

/// What a request is written for.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The provider's dialect.
    pub dialect: Dialect,
    /// In what it differs from others that speak chat completions.
    pub chat: chat::Target,
    /// In what it differs from others that speak responses.
    pub responses: responses::Target,
    /// What is known of the model.
    pub traits: ModelTraits,
    /// Whether what cannot be said is left out with a warning.
    pub is_dropping: bool,
}

impl Target {
    /// Returns the target that takes everything that can be said in `dialect`.
    #[must_use]
    pub fn all_of(dialect: Dialect) -> Self {
        Self {
            dialect,
            chat: chat::Target::default(),
            responses: responses::Target::default(),
            traits: ModelTraits::default(),
            is_dropping: true,
        }
    }
}

/// Reads the request of a client.
///
/// # Errors
///
/// When it is none; and for a dialect in which no client asks.
pub fn read_request(dialect: Dialect, body: &Bytes) -> Result<Request, Error> {
    match dialect {
        Dialect::Chat => chat::read_request(body),
        Dialect::Responses => responses::read_request(body),
        Dialect::Messages => messages::read_request(body),
        Dialect::Gemini | Dialect::Converse => Err(Error::InvalidJson {
            problem: format!("no client asks in dialect `{}`", dialect.as_str()),
        }),
    }
}

/// Writes a request for a provider.
///
/// # Errors
///
/// When a part of it cannot be said to the target, and may not be left out.
pub fn write_request(request: &Request, target: &Target) -> Result<Written, Unsupported> {
    let traits = &target.traits;
    match (target.dialect, target.is_dropping) {
        (Dialect::Chat, false) => chat::write_request(request, &target.chat),
        (Dialect::Chat, true) => chat::write_request_dropping(request, &target.chat),
        (Dialect::Responses, false) => responses::write_request(request, &target.responses),
        (Dialect::Responses, true) => responses::write_request_dropping(request, &target.responses),
        (Dialect::Messages, false) => messages::write_request(request, traits),
        (Dialect::Messages, true) => messages::write_request_dropping(request, traits),
        (Dialect::Gemini, false) => gemini::write_request(request, traits),
        (Dialect::Gemini, true) => gemini::write_request_dropping(request, traits),
        (Dialect::Converse, false) => converse::write_request(request, traits),
        (Dialect::Converse, true) => converse::write_request_dropping(request, traits),
    }
}

/// Reads a provider's whole answer.
///
/// # Errors
///
/// `upstream_invalid` when it is none.
pub fn read_answer(dialect: Dialect, body: &Bytes, origin: &Origin<'_>) -> Result<Reply, Error> {
    match dialect {
        Dialect::Chat => chat::read_reply(body),
        Dialect::Responses => responses::read_reply(body),
        Dialect::Messages => messages::read_reply(body),
        Dialect::Gemini => gemini::read_reply(body),
        Dialect::Converse => converse::read_reply(body, origin),
    }
}

/// Reads a whole answer that says itself whose it is, as all do that clients get.
///
/// # Errors
///
/// `upstream_invalid` when it is none.
pub fn read_reply(dialect: Dialect, body: &Bytes) -> Result<Reply, Error> {
    read_answer(dialect, body, &Origin::default())
}

/// Writes a whole answer for a client.
#[must_use]
pub fn write_reply(reply: &Reply, client: &Client) -> Bytes {
    let fallback = client.fallback();
    match client.dialect {
        Dialect::Responses => {
            let echo = client.echo();
            if reply.dialect == Dialect::Responses {
                return responses::write_reply(reply, &echo, &fallback);
            }
            // Its id names our record, so that a conversation can go on from it.
            let reply = Reply {
                id: String::new(),
                ..reply.clone()
            };
            responses::write_reply(&reply, &echo, &fallback)
        }
        Dialect::Messages => messages::write_reply(reply, &fallback),
        Dialect::Chat | Dialect::Gemini | Dialect::Converse => chat::write_reply(reply, &fallback),
    }
}

/// The head of an answer that tells an error.
#[derive(Debug, Clone, Copy)]
pub struct FaultHead<'a> {
    /// Its status.
    pub status: u16,
    /// The media type of its body.
    pub content_type: &'a str,
    /// The name of the error, where the head has one (`x-amzn-errortype`).
    pub error_type: Option<&'a str>,
}

/// Reads an answer that tells an error.
#[must_use]
pub fn read_fault(dialect: Dialect, head: &FaultHead<'_>, body: &[u8]) -> ProviderFault {
    let FaultHead {
        status,
        content_type,
        error_type,
    } = *head;
    match dialect {
        Dialect::Chat | Dialect::Responses => ProviderFault::read(status, Some(content_type), body),
        Dialect::Messages => messages::read_fault(status, Some(content_type), body),
        Dialect::Gemini => gemini::read_fault(status, Some(content_type), body),
        Dialect::Converse => converse::read_fault(status, error_type, Some(content_type), body),
    }
}

/// Returns the error that a body with a good status tells in place of an answer; `None` when it tells none.
#[must_use]
pub fn fault_in(dialect: Dialect, body: &[u8]) -> Option<ProviderFault> {
    let head = FaultHead {
        status: 200,
        content_type: "application/json",
        error_type: None,
    };
    let parsed: Map<String, Value> = serde_json::from_slice(body).ok()?;
    let error = parsed.get("error").map(Value::to_string);
    let tells_one = error.is_some_and(|error| is_truthy(&error))
        || parsed.get("type").is_some_and(|kind| kind == "error")
        || parsed.contains_key("__type");
    tells_one.then(|| read_fault(dialect, &head, body))
}

/// Writes the body of an error for a client.
#[must_use]
pub fn write_fault(dialect: Dialect, status: u16, error: &ErrorEnvelope<'_>) -> Bytes {
    match dialect {
        Dialect::Messages => messages::write_fault(status, error),
        Dialect::Chat | Dialect::Responses | Dialect::Gemini | Dialect::Converse => error.to_body(),
    }
}

/// Writes the event that ends a broken stream, after `passed` other events.
#[must_use]
pub fn error_event(dialect: Dialect, error: &ErrorEnvelope<'_>, passed: u64) -> Bytes {
    match dialect {
        Dialect::Messages => messages::event_of_fault(&error.into()),
        Dialect::Responses => {
            let event = json!({
                "type": "error",
                "code": error.code,
                "message": error.message,
                "param": error.param,
                "sequence_number": passed,
            });
            Bytes::from(format!("event: error\ndata: {event}\n\n"))
        }
        Dialect::Chat | Dialect::Gemini | Dialect::Converse => error.to_event(),
    }
}

impl Client {
    /// What a response repeats of its request. It is kept unless the client said otherwise.
    fn echo(&self) -> responses::Echo {
        let mut echo = responses::Echo::read(&self.request).unwrap_or_default();
        let store = RawObject::parse(&self.request).ok();
        echo.is_stored = store.and_then(|it| it.get_bool("store")) != Some(false);
        echo
    }

    /// The event by which a response has failed that had come as far as `reply`.
    pub(super) fn failed(&self, reply: &Reply, fault: &ProviderFault, number: u64) -> Bytes {
        responses::failed_event(reply, (&self.echo(), &self.fallback()), fault, number)
    }

    fn fallback(&self) -> Fallback<'_> {
        Fallback {
            id: &self.id,
            created: self.created,
        }
    }
}

/// Reader of a stream, by dialect.
#[derive(Debug)]
pub enum EventReader {
    /// Chat completions.
    Chat(Box<chat::StreamReader>),
    /// Responses.
    Responses(Box<responses::StreamReader>),
    /// Anthropic's messages.
    Messages(Box<messages::StreamReader>),
    /// Gemini.
    Gemini(Box<gemini::StreamReader>),
    /// Bedrock's binary events.
    Converse(Box<converse::StreamReader>),
}

impl EventReader {
    /// Returns a reader at the start of a stream.
    #[must_use]
    pub fn new(dialect: Dialect, origin: &Origin<'_>) -> Self {
        match dialect {
            Dialect::Chat => Self::Chat(Box::default()),
            Dialect::Responses => Self::Responses(Box::default()),
            Dialect::Messages => Self::Messages(Box::default()),
            Dialect::Gemini => Self::Gemini(Box::default()),
            Dialect::Converse => Self::Converse(Box::new(converse::StreamReader::new(origin))),
        }
    }

    /// Returns the dialect it reads.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Chat(_) => Dialect::Chat,
            Self::Responses(_) => Dialect::Responses,
            Self::Messages(_) => Dialect::Messages,
            Self::Gemini(_) => Dialect::Gemini,
            Self::Converse(_) => Dialect::Converse,
        }
    }

    /// Reads `chunk` and appends what it says to `out`.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<Event>) {
        match self {
            Self::Chat(reader) => reader.push(chunk.clone(), out),
            Self::Responses(reader) => reader.push(chunk.clone(), out),
            Self::Messages(reader) => reader.push(chunk, out),
            Self::Gemini(reader) => reader.push(chunk, out),
            Self::Converse(reader) => reader.push(chunk, out),
        }
    }

    /// Reads what is left when the provider has closed the stream.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        match self {
            Self::Chat(reader) => reader.finish(out),
            Self::Responses(reader) => reader.finish(out),
            Self::Messages(reader) => reader.finish(out),
            Self::Gemini(reader) => reader.finish(out),
            Self::Converse(reader) => reader.finish(out),
        }
    }

    /// Returns how many events could not be read, and were left out.
    #[must_use]
    pub const fn malformed_events(&self) -> u64 {
        match self {
            Self::Chat(reader) => reader.malformed_events(),
            Self::Responses(reader) => reader.malformed_events(),
            Self::Messages(_) | Self::Gemini(_) | Self::Converse(_) => 0,
        }
    }
}

/// Writer of a stream, by dialect.
#[derive(Debug)]
pub enum EventWriter {
    /// Chat completions.
    Chat(Box<chat::StreamWriter>),
    /// Responses.
    Responses(Box<responses::StreamWriter>),
    /// Anthropic's messages.
    Messages(Box<messages::StreamWriter>),
}

impl EventWriter {
    /// Returns a writer at the start of a stream that is read in dialect `from`.
    #[must_use]
    pub fn new(from: Dialect, client: &Client) -> Self {
        let fallback = client.fallback();
        match client.dialect {
            Dialect::Responses => {
                let writer = responses::StreamWriter::new(from, client.echo(), &fallback);
                Self::Responses(Box::new(writer))
            }
            Dialect::Messages => {
                Self::Messages(Box::new(messages::StreamWriter::new(from, &fallback)))
            }
            Dialect::Chat | Dialect::Gemini | Dialect::Converse => Self::Chat(Box::new(
                chat::StreamWriter::new(from, client.wants_usage, &fallback),
            )),
        }
    }

    /// Writes `event` and appends what the client shall get to `out`.
    pub fn write(&mut self, event: &Event, out: &mut Vec<Bytes>) {
        match (self, event) {
            (Self::Chat(writer), event) => writer.write(event, out),
            (Self::Messages(writer), event) => writer.write(event, out),
            // Its id names our record, so that a conversation can go on from it.
            (Self::Responses(writer), Event::Start { model, created, .. }) => {
                let start = Event::Start {
                    id: String::new(),
                    model: model.clone(),
                    created: *created,
                };
                writer.write(&start, out);
            }
            (Self::Responses(writer), event) => writer.write(event, out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Client, read_reply, write_reply};
    use crate::domain::Dialect;
    use bytes::Bytes;

    #[test]
    fn a_response_names_the_one_before_it() {
        let client = Client {
            dialect: Dialect::Responses,
            request: Bytes::from_static(br#"{"previous_response_id":"resp_1","input":"new"}"#),
            id: "2".to_owned(),
            created: 0,
            wants_usage: true,
        };
        let reply = br#"{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}"#;
        let reply = read_reply(Dialect::Chat, &Bytes::from_static(reply)).unwrap();
        let written: serde_json::Value =
            serde_json::from_slice(&write_reply(&reply, &client)).unwrap();
        assert_eq!(written["previous_response_id"], "resp_1");
    }
}
