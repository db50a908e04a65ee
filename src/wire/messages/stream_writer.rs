//! A stream for a client. Anthropic's SDKs want one block after the other, numbered without gaps; where parts come
//! interleaved, the later one waits until the earlier one has ended.

use crate::domain::TokenUsage;
use crate::wire::conversation::{Delta, Dialect, Event, Fallback, Part, StopReason};
use crate::wire::messages::block::{thoughts, tool_use};
use crate::wire::messages::fault::{event, event_of_fault};
use crate::wire::messages::reply::{block_of, citation_of, id_of, proof_of, text_or_null};
use crate::wire::messages::stop::write_stop;
use crate::wire::messages::usage::write_usage;
use crate::wire::openai::ProviderFault;
use crate::wire::tree::{Json, Object};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, VecDeque};

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
            let fault = ProviderFault {
                message: "the provider's stream has too many parts at once".to_owned(),
                ..ProviderFault::default()
            };
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

/// The blocks, one after the other.
#[derive(Debug)]
struct Blocks {
    source: Dialect,
    open: Option<Open>,
    /// In the order in which they began.
    waiting: VecDeque<Waiting>,
    waiting_bytes: usize,
    /// Texts and thoughts that were ended for another part and may go on in a block of their own.
    cut: BTreeMap<usize, Kind>,
    next_index: u64,
}

#[derive(Debug)]
struct Open {
    part: usize,
    index: u64,
    kind: Kind,
    /// The proof so far: it is said at the end, and at once.
    signature: String,
    /// Which text of the thoughts is being said, once one is.
    text: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thoughts,
    /// Hidden thoughts: all of them is the proof.
    Hidden,
    Tool,
    /// A block that came whole, or what only this dialect has.
    Other,
}

#[derive(Debug)]
struct Waiting {
    part: usize,
    content: Part,
    deltas: Vec<Delta>,
    is_ended: bool,
}

impl Blocks {
    const fn new(source: Dialect) -> Self {
        Self {
            source,
            open: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            cut: BTreeMap::new(),
            next_index: 0,
        }
    }

    fn start(&mut self, part: usize, content: &Part, out: &mut Vec<Bytes>) {
        self.cut_short(kind_of(content), out);
        if self.open.is_none() && self.waiting.is_empty() {
            self.open(part, content, out);
            return;
        }
        self.waiting_bytes += 256 + size_of(content);
        self.waiting.push_back(Waiting {
            part,
            content: content.clone(),
            deltas: Vec::new(),
            is_ended: false,
        });
        self.let_in(out);
    }

    fn go_on(&mut self, part: usize, delta: &Delta, out: &mut Vec<Bytes>) {
        if self.open.as_ref().is_some_and(|open| open.part == part) {
            self.add(delta, out);
            return;
        }
        if !self.waiting.iter().any(|waiting| waiting.part == part) {
            let Some(kind) = self.cut.remove(&part) else {
                return;
            };
            self.start(part, &beginning_of(kind), out);
            if self.open.as_ref().is_some_and(|open| open.part == part) {
                self.add(delta, out);
                return;
            }
        }
        let found = self.waiting.iter_mut().find(|waiting| waiting.part == part);
        if let Some(waiting) = found {
            self.waiting_bytes += 64 + size_of_delta(delta);
            waiting.deltas.push(delta.clone());
        }
    }

    fn end(&mut self, part: usize, out: &mut Vec<Bytes>) {
        self.cut.remove(&part);
        if self.open.as_ref().is_some_and(|open| open.part == part) {
            self.close(out);
            self.let_in(out);
        } else if let Some(waiting) = self.waiting.iter_mut().find(|w| w.part == part) {
            waiting.is_ended = true;
        }
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) {
        self.close(out);
        for waiting in &mut self.waiting {
            waiting.is_ended = true;
        }
        self.let_in(out);
    }

    /// Ends an open text, or thoughts, for a part of another kind: what may yet come of them can stand in a block of its
    /// own. The arguments of a tool cannot, and two texts at once would be one in disorder.
    fn cut_short(&mut self, next: Kind, out: &mut Vec<Bytes>) {
        if let Some(Open { part, kind, .. }) = self.open
            && matches!(kind, Kind::Text | Kind::Thoughts)
            && kind != next
        {
            self.cut.insert(part, kind);
            self.close(out);
        }
    }

    /// Lets in what waits until one of them has not ended.
    fn let_in(&mut self, out: &mut Vec<Bytes>) {
        while self.open.is_none() {
            let Some(waiting) = self.waiting.pop_front() else {
                self.waiting_bytes = 0;
                return;
            };
            self.open(waiting.part, &waiting.content, out);
            for delta in &waiting.deltas {
                self.add(delta, out);
            }
            if waiting.is_ended {
                self.close(out);
            } else if let Some(next) = self.waiting.front() {
                self.cut_short(kind_of(&next.content), out);
            }
        }
    }

    fn open(&mut self, part: usize, content: &Part, out: &mut Vec<Bytes>) {
        if let Some(proof) = proof_of(content) {
            self.whole(&proof, out);
        }
        let kind = kind_of(content);
        let index = self.next_index;
        if kind != Kind::Hidden {
            let Some(beginning) = self.beginning(content) else {
                return;
            };
            self.next_index += 1;
            out.push(block_start(index, beginning));
        }
        self.open = Some(Open {
            part,
            index,
            kind,
            signature: String::new(),
            text: None,
        });
        for delta in deltas_of(content) {
            self.add(&delta, out);
        }
    }

    /// Returns the block that a part begins with; `None` when this dialect has no word for it.
    fn beginning(&self, content: &Part) -> Option<Json> {
        let block = match content {
            Part::ToolCall(call) => tool_use(&call.id, &call.name, Json::Object(Object::default())),
            Part::Reasoning { .. } => thoughts(&[], "", false),
            Part::Text { .. } | Part::Refusal(_) | Part::Audio { .. } => {
                Object::of_type("text").with("text", "")
            }
            other => return block_of(other, self.source),
        };
        Some(block.into())
    }

    /// Says a block that is whole.
    fn whole(&mut self, block: &Json, out: &mut Vec<Bytes>) {
        let index = self.next_index;
        self.next_index += 1;
        out.push(block_start(index, block.clone()));
        out.push(block_stop(index));
    }

    fn close(&mut self, out: &mut Vec<Bytes>) {
        let Some(open) = self.open.take() else {
            return;
        };
        if open.kind == Kind::Hidden {
            let block = thoughts(&[], &open.signature, true);
            self.whole(&block.into(), out);
            return;
        }
        if open.kind == Kind::Thoughts && !open.signature.is_empty() {
            let delta = Object::of_type("signature_delta").with("signature", open.signature);
            out.push(block_delta(open.index, delta));
        }
        out.push(block_stop(open.index));
    }

    fn add(&mut self, delta: &Delta, out: &mut Vec<Bytes>) {
        let source = self.source;
        let Some(open) = &mut self.open else {
            return;
        };
        let text = |text: &str| Object::of_type("text_delta").with("text", text);
        let delta = match (delta, open.kind) {
            (Delta::Text(added) | Delta::Refusal(added), Kind::Text) => text(added),
            (Delta::Audio { transcript, .. }, Kind::Text) if !transcript.is_empty() => {
                text(transcript)
            }
            (Delta::Citation(citation), Kind::Text) => {
                let Some(citation) = citation_of(citation, source) else {
                    return;
                };
                Object::of_type("citations_delta").with("citation", citation)
            }
            (Delta::Reasoning { text, added }, Kind::Thoughts) => {
                let is_next = open.text.is_some_and(|said| said < *text);
                open.text = Some(*text);
                let gap = if is_next { "\n\n" } else { "" };
                Object::of_type("thinking_delta").with("thinking", format!("{gap}{added}"))
            }
            (Delta::Signature(added), Kind::Thoughts | Kind::Hidden) => {
                open.signature.push_str(added);
                return;
            }
            (Delta::Arguments(added), Kind::Tool | Kind::Other) => {
                Object::of_type("input_json_delta").with("partial_json", added)
            }
            _ => return,
        };
        out.push(block_delta(open.index, delta));
    }
}

const fn kind_of(content: &Part) -> Kind {
    match content {
        Part::Text { .. } | Part::Refusal(_) | Part::Audio { .. } => Kind::Text,
        Part::Reasoning {
            is_redacted: true, ..
        } => Kind::Hidden,
        Part::Reasoning { .. } => Kind::Thoughts,
        Part::ToolCall(_) => Kind::Tool,
        _ => Kind::Other,
    }
}

/// Returns an empty part of `kind`.
const fn beginning_of(kind: Kind) -> Part {
    match kind {
        Kind::Thoughts => Part::Reasoning {
            id: None,
            texts: Vec::new(),
            is_summary: false,
            signature: None,
            is_redacted: false,
        },
        _ => Part::Refusal(String::new()),
    }
}

/// Returns what a part holds as it begins, as additions to it.
fn deltas_of(content: &Part) -> Vec<Delta> {
    let full = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match content {
        Part::Text {
            text, citations, ..
        } => {
            let text = full(text).map(Delta::Text).into_iter();
            let citations = citations.iter().cloned().map(Delta::Citation);
            text.chain(citations).collect()
        }
        Part::Refusal(text) => full(text).map(Delta::Refusal).into_iter().collect(),
        Part::Audio { transcript, .. } => {
            let text = transcript.as_deref().and_then(full);
            text.map(Delta::Text).into_iter().collect()
        }
        Part::Reasoning {
            texts, signature, ..
        } => {
            let texts = texts.iter().enumerate();
            let texts = texts.map(|(text, added)| Delta::Reasoning {
                text,
                added: added.clone(),
            });
            let proof = signature.iter().cloned().map(Delta::Signature);
            texts.chain(proof).collect()
        }
        Part::ToolCall(call) => full(&call.arguments)
            .map(Delta::Arguments)
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

fn size_of(content: &Part) -> usize {
    deltas_of(content).iter().map(size_of_delta).sum()
}

fn size_of_delta(delta: &Delta) -> usize {
    match delta {
        Delta::Text(text)
        | Delta::Signature(text)
        | Delta::Arguments(text)
        | Delta::Refusal(text) => text.len(),
        Delta::Reasoning { added, .. } => added.len(),
        Delta::Audio { data, transcript } => data.len() + transcript.len(),
        Delta::Citation(value) | Delta::LogProbs(value) => value.to_string().len(),
    }
}

fn block_start(index: u64, block: Json) -> Bytes {
    let data = Object::of_type("content_block_start")
        .with("index", index)
        .with("content_block", block);
    event("content_block_start", &data)
}

fn block_delta(index: u64, delta: Object) -> Bytes {
    let data = Object::of_type("content_block_delta")
        .with("index", index)
        .with("delta", delta);
    event("content_block_delta", &data)
}

fn block_stop(index: u64) -> Bytes {
    let data = Object::of_type("content_block_stop").with("index", index);
    event("content_block_stop", &data)
}
