//! A stream on its way from a provider to a client: passed on as it came where both speak the same
//! dialect, translated event by event where they do not. Either way, what it means is read along.

use crate::domain::Dialect;
use crate::wire::conversation::{Collector, Event, Reply, StopReason, said_in};
use crate::wire::openai::{ChatStream, ErrorEnvelope, ProviderFault, ReplyFacts};
use crate::wire::sse;
use crate::wire::translate::{self, Client, EventReader, EventWriter, Origin};
use bytes::Bytes;
use serde_json::value::to_raw_value;

/// Reader of a stream of any dialect, for a client of any other.
///
/// The end of the stream is held back for [`Self::take_done`], so that the record can be written before
/// it; an error event is held back and told by [`Self::fault`]; everything after either is dropped.
#[derive(Debug)]
pub enum AnswerStream {
    /// Chat completions for a client of chat completions: its own bytes.
    Chat(Box<ChatStream>),
    /// Anything else.
    Other(Box<OtherStream>),
}

/// A stream in which another dialect takes part than chat completions.
#[derive(Debug)]
pub struct OtherStream {
    reader: EventReader,
    /// The client, and what it is written.
    client: Client,
    output: Output,
    collector: Collector,
    events: Vec<Event>,
    /// How many events the client got.
    passed: u64,
    done: Option<Bytes>,
}

/// How the client gets what came.
#[derive(Debug)]
enum Output {
    /// By its own bytes, event by event.
    Same(sse::Decoder),
    /// Written anew.
    Other(Box<EventWriter>),
}

impl AnswerStream {
    /// Returns a reader of chat completions for a client of chat completions; `strips_usage` when usage was
    /// asked of the provider and not by the client.
    #[must_use]
    pub fn of_chat(strips_usage: bool) -> Self {
        Self::Chat(Box::new(ChatStream::new(strips_usage)))
    }

    /// Returns a reader at the start of a stream in `dialect` for `client`, who speaks another, or one that
    /// is not that of chat completions.
    #[must_use]
    pub fn new((dialect, origin): (Dialect, &Origin<'_>), client: Client) -> Self {
        let output = if dialect == client.dialect {
            Output::Same(sse::Decoder::default())
        } else {
            Output::Other(Box::new(EventWriter::new(dialect, &client)))
        };
        Self::Other(Box::new(OtherStream {
            reader: EventReader::new(dialect, origin),
            client,
            output,
            collector: Collector::new(dialect),
            events: Vec::new(),
            passed: 0,
            done: None,
        }))
    }

    /// Reads `chunk` and appends to `out` what the client shall get of it.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) {
        match self {
            Self::Chat(stream) => stream.push(chunk, out),
            Self::Other(stream) => stream.push(&chunk, out),
        }
    }

    /// Reads what is left when the provider has closed the stream.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) {
        match self {
            Self::Chat(stream) => stream.finish(out),
            Self::Other(stream) => stream.finish(out),
        }
    }

    /// Whether real content has come: text, thoughts, a refusal, a tool call, sound, or an end.
    #[must_use]
    pub const fn has_content(&self) -> bool {
        match self {
            Self::Chat(stream) => stream.has_content(),
            Self::Other(stream) => stream.collector.has_content(),
        }
    }

    /// Whether the stream has ended as it should.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        match self {
            Self::Chat(stream) => stream.is_done(),
            Self::Other(stream) => stream.collector.is_complete(),
        }
    }

    /// Whether the answer has said why it ended.
    #[must_use]
    pub fn saw_finish(&self) -> bool {
        match self {
            Self::Chat(stream) => stream.saw_finish(),
            Self::Other(stream) => stream.collector.saw_stop(),
        }
    }

    /// Returns the bytes that end the stream, once.
    pub fn take_done(&mut self) -> Option<Bytes> {
        match self {
            Self::Chat(stream) => stream.take_done(),
            Self::Other(stream) => stream.done.take(),
        }
    }

    /// Returns the error that ended the stream.
    #[must_use]
    pub const fn fault(&self) -> Option<&ProviderFault> {
        match self {
            Self::Chat(stream) => stream.fault(),
            Self::Other(stream) => stream.collector.fault(),
        }
    }

    /// Returns how many events could not be read.
    #[must_use]
    pub const fn malformed_events(&self) -> u64 {
        match self {
            Self::Chat(stream) => stream.malformed_events(),
            Self::Other(stream) => stream.reader.malformed_events(),
        }
    }

    /// Returns the text that came so far, thoughts and tool calls included, for counting tokens.
    #[must_use]
    pub fn output_text(&self) -> String {
        match self {
            Self::Chat(stream) => stream.output_text(),
            Self::Other(stream) => said_in(stream.collector.reply()),
        }
    }

    /// Returns what is recorded beside the bytes.
    #[must_use]
    pub fn facts(&self) -> ReplyFacts {
        match self {
            Self::Chat(stream) => stream.facts(),
            Self::Other(stream) => ReplyFacts {
                fault: stream.collector.fault().cloned(),
                ..facts_of(stream.collector.reply())
            },
        }
    }

    /// Returns the stream so far as the JSON of one whole answer, in the client's dialect.
    #[must_use]
    pub fn assembled(&self) -> Bytes {
        match self {
            Self::Chat(stream) => stream.assembled(),
            Self::Other(stream) => translate::write_reply(stream.collector.reply(), &stream.client),
        }
    }

    /// Returns what ends a broken stream, in the client's dialect: an error event, and for a client of
    /// responses the response that failed.
    #[must_use]
    pub fn error_event(&mut self, error: &ErrorEnvelope<'_>) -> Bytes {
        match self {
            Self::Chat(_) => error.to_event(),
            Self::Other(stream) => stream.error_event(error),
        }
    }

    /// Returns the dialect that the provider speaks.
    #[must_use]
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Chat(_) => Dialect::Chat,
            Self::Other(stream) => stream.reader.dialect(),
        }
    }
}

impl OtherStream {
    fn error_event(&mut self, error: &ErrorEnvelope<'_>) -> Bytes {
        let (client, passed) = (&self.client, self.passed);
        if client.dialect != Dialect::Responses {
            return translate::error_event(client.dialect, error, passed);
        }
        let fault = ProviderFault::from(error);
        match &mut self.output {
            Output::Same(_) => {
                let failed = client.failed(self.collector.reply(), &fault, passed + 1);
                let event = translate::error_event(client.dialect, error, passed);
                Bytes::from([event, failed].concat())
            }
            Output::Other(writer) => {
                let mut last = Vec::new();
                writer.write(&Event::Fault(fault), &mut last);
                Bytes::from(last.concat())
            }
        }
    }

    const fn has_ended(&self) -> bool {
        self.collector.is_complete() || self.collector.fault().is_some()
    }

    fn push(&mut self, chunk: &Bytes, out: &mut Vec<Bytes>) {
        if self.has_ended() {
            return;
        }
        if let Output::Same(decoder) = &mut self.output {
            let mut raw = Vec::new();
            let pushed = decoder.push(chunk, |event| raw.push(event.raw));
            for event in raw {
                self.pass(event, out);
            }
            if let Err(error) = pushed {
                self.collector.take(Event::Fault(error.into()));
            }
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        self.reader.push(chunk, &mut events);
        self.write(&mut events, out);
        self.events = events;
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) {
        if self.has_ended() {
            return;
        }
        if let Output::Same(decoder) = &mut self.output
            && let Some(event) = decoder.finish()
        {
            let mut whole = event.raw.trim_ascii_end().to_vec();
            whole.extend_from_slice(b"\n\n");
            self.pass(Bytes::from(whole), out);
        }
        let mut events = std::mem::take(&mut self.events);
        self.reader.finish(&mut events);
        match &self.output {
            Output::Same(_) => self.note(&mut events),
            Output::Other(_) => self.write(&mut events, out),
        }
    }

    /// Passes one event of the client's own dialect on; its end, or an error, is held back.
    fn pass(&mut self, raw: Bytes, out: &mut Vec<Bytes>) {
        if self.has_ended() {
            return;
        }
        let mut events = std::mem::take(&mut self.events);
        self.reader.push(&raw, &mut events);
        self.note(&mut events);
        self.events = events;
        if self.collector.is_complete() {
            self.done = Some(raw);
        } else if self.collector.fault().is_none() {
            self.passed += 1;
            out.push(raw);
        }
    }

    /// Notes what events mean.
    fn note(&mut self, events: &mut Vec<Event>) {
        for event in events.drain(..) {
            self.collector.take(event);
        }
    }

    /// Writes events anew; the end is held back, an error is told by whoever ends the stream.
    fn write(&mut self, events: &mut Vec<Event>, out: &mut Vec<Bytes>) {
        let Output::Other(writer) = &mut self.output else {
            return;
        };
        for event in events.drain(..) {
            if self.collector.is_complete() || self.collector.fault().is_some() {
                return;
            }
            let from = out.len();
            match &event {
                Event::Fault(_) => {}
                Event::End => {
                    let mut last = Vec::new();
                    writer.write(&event, &mut last);
                    self.done = Some(Bytes::from(last.concat()));
                }
                event => writer.write(event, out),
            }
            self.passed += u64::try_from(out.len() - from).unwrap_or(0);
            self.collector.take(event);
        }
    }
}

/// Returns what is recorded of an answer beside its bytes.
#[must_use]
pub fn facts_of(reply: &Reply) -> ReplyFacts {
    let some = |text: &String| (!text.is_empty()).then(|| text.clone());
    let reported = reply.usage_reported.as_ref();
    ReplyFacts {
        id: some(&reply.id),
        model: some(&reply.model),
        usage: reply.usage,
        is_estimated: false,
        usage_reported: reported.and_then(|usage| to_raw_value(usage).ok()),
        finish_reason: reply
            .choices
            .first()
            .and_then(|choice| choice.stop.as_ref())
            .map(|stop| word_of(stop).to_owned()),
        fault: None,
    }
}

/// Returns why an answer ended in `OpenAI`'s words, which records use whatever the dialect was.
fn word_of(stop: &StopReason) -> &str {
    match stop {
        StopReason::EndTurn | StopReason::StopSequence(_) => "stop",
        StopReason::MaxTokens => "length",
        StopReason::ToolUse => "tool_calls",
        StopReason::ContentFilter => "content_filter",
        StopReason::Refusal => "refusal",
        StopReason::Pause => "pause",
        StopReason::Other(word) => word,
    }
}
