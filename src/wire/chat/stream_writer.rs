//! Streamed chat completions, written.

use crate::wire::chat::stop::{Said, written_stop};
use crate::wire::chat::write_message::{details_of, image, written_call};
use crate::wire::chat::write_reply::completion_id;
use crate::wire::conversation::{
    Delta, Dialect, Event, Fallback, Media, Part, StopReason, ToolCall, ToolKind,
};
use crate::wire::openai::shared::{Place, chat_usage, nested_citation, place_of, put, tier_of};
use crate::wire::openai::{ErrorEnvelope, ProviderFault};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Writer of a stream of chat completion chunks, as `OpenAI`'s SDKs read it.
///
/// The first delta of an answer has its role, calls are numbered by answer, usage comes in a chunk of its
/// own where it was asked for, `[DONE]` ends it; an error comes instead of `[DONE]`.
#[derive(Debug)]
pub struct StreamWriter {
    from: Dialect,
    includes_usage: bool,
    id: String,
    model: String,
    created: i64,
    usage: Option<Value>,
    /// Fields that every chunk has from now on.
    others: Map<String, Value>,
    choices: Vec<Choice>,
    has_ended: bool,
}

/// An answer so far.
#[derive(Debug, Default)]
struct Choice {
    index: usize,
    has_role: bool,
    has_stopped: bool,
    said: Said,
    calls: usize,
    parts: Vec<Open>,
}

/// A part that has begun and not ended.
#[derive(Debug)]
struct Open {
    part: usize,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Thoughts, kept until it is known whether a proof of them comes; and the number of the last text.
    Reasoning {
        thoughts: Part,
        text: usize,
    },
    /// A call: its number, its kind, and whether it has arguments.
    Call(usize, ToolKind, bool),
    Other,
}

impl StreamWriter {
    /// Returns a writer at the start of a stream; `from` is the dialect whose reader tells the events.
    #[must_use]
    pub fn new(from: Dialect, includes_usage: bool, fallback: &Fallback<'_>) -> Self {
        Self {
            from,
            includes_usage,
            id: completion_id("", fallback),
            model: String::new(),
            created: fallback.created,
            usage: None,
            others: Map::new(),
            choices: Vec::new(),
            has_ended: false,
        }
    }

    /// Writes `event` and appends what the client shall get to `out`. Nothing is written after the end
    /// or a fault.
    pub fn write(&mut self, event: &Event, out: &mut Vec<Bytes>) {
        if self.has_ended {
            return;
        }
        match event {
            Event::Start { id, model, created } => self.start(id, model, *created),
            Event::PartStart {
                choice,
                part,
                content,
            } => self.part_start(*choice, *part, content, out),
            Event::PartDelta {
                choice,
                part,
                delta,
            } => self.part_delta(*choice, *part, delta, out),
            Event::PartEnd { choice, part } => self.part_end(*choice, *part, out),
            Event::Usage { usage, reported } => {
                let is_own = self.from == Dialect::Chat;
                self.usage = Some(if is_own {
                    reported.clone()
                } else {
                    chat_usage(usage)
                });
            }
            Event::Stop { choice, reason } => self.stop(*choice, reason, out),
            Event::Ping => out.push(Bytes::from_static(b": ping\n\n")),
            Event::Foreign { name, value } => self.foreign(name, value, out),
            Event::Fault(fault) => {
                self.has_ended = true;
                out.push(fault_event(fault));
            }
            Event::End => self.end(out),
        }
    }

    fn start(&mut self, id: &str, model: &str, created: Option<i64>) {
        let fallback = Fallback {
            id: &self.id,
            created: self.created,
        };
        self.id = completion_id(id, &fallback);
        model.clone_into(&mut self.model);
        self.created = created.unwrap_or(self.created);
    }

    fn end(&mut self, out: &mut Vec<Bytes>) {
        if self.choices.is_empty() {
            self.choice(0);
        }
        let waiting = self.choices.iter().filter(|choice| !choice.has_stopped);
        let waiting: Vec<usize> = waiting.map(|choice| choice.index).collect();
        for index in waiting {
            let reason = self.choice(index).map(|choice| choice.said.finished());
            self.stop(index, &reason.unwrap_or(StopReason::EndTurn), out);
        }
        self.has_ended = true;
        if let Some(usage) = self.usage.take().filter(|_| self.includes_usage) {
            let mut chunk = self.chunk(Vec::new());
            chunk.insert("usage".to_owned(), usage);
            out.push(event_of(&Value::Object(chunk)));
        }
        out.push(Bytes::from_static(b"data: [DONE]\n\n"));
    }

    /// Returns the answer with this index, a new one if need be.
    fn choice(&mut self, index: usize) -> Option<&mut Choice> {
        let known = self.choices.iter().position(|choice| choice.index == index);
        let place = known.unwrap_or(self.choices.len());
        if known.is_none() {
            self.choices.push(Choice {
                index,
                ..Choice::default()
            });
        }
        self.choices.get_mut(place)
    }

    /// Returns the fields of a chunk.
    fn chunk(&self, choices: Vec<Value>) -> Map<String, Value> {
        let mut chunk = Map::new();
        chunk.insert("id".to_owned(), self.id.as_str().into());
        chunk.insert("object".to_owned(), "chat.completion.chunk".into());
        chunk.insert("created".to_owned(), self.created.into());
        chunk.insert("model".to_owned(), self.model.as_str().into());
        for (key, value) in &self.others {
            chunk.insert(key.clone(), value.clone());
        }
        chunk.insert("choices".to_owned(), choices.into());
        if self.includes_usage {
            chunk.insert("usage".to_owned(), Value::Null);
        }
        chunk
    }

    /// Writes a chunk of one answer; `more` are fields beside the delta.
    fn send(
        &mut self,
        index: usize,
        said: Map<String, Value>,
        more: Map<String, Value>,
        out: &mut Vec<Bytes>,
    ) {
        let is_first = self
            .choice(index)
            .is_some_and(|choice| !std::mem::replace(&mut choice.has_role, true));
        let mut delta = Map::new();
        if is_first {
            delta.insert("role".to_owned(), "assistant".into());
            let content = if said.contains_key("tool_calls") {
                Value::Null
            } else {
                "".into()
            };
            delta.insert("content".to_owned(), content);
        }
        delta.extend(said);
        let mut choice = Map::new();
        choice.insert("index".to_owned(), index.into());
        choice.insert("delta".to_owned(), Value::Object(delta));
        choice.insert("logprobs".to_owned(), Value::Null);
        choice.insert("finish_reason".to_owned(), Value::Null);
        choice.extend(more);
        let chunk = self.chunk(vec![Value::Object(choice)]);
        out.push(event_of(&Value::Object(chunk)));
    }

    /// Writes a delta of one field.
    fn say(&mut self, index: usize, key: &str, value: impl Into<Value>, out: &mut Vec<Bytes>) {
        self.send(index, field(key, value), Map::new(), out);
    }

    fn part_start(&mut self, index: usize, part: usize, content: &Part, out: &mut Vec<Bytes>) {
        let content = match content {
            Part::Reasoning { texts, .. } => {
                if !texts.is_empty() {
                    self.say(index, "reasoning_content", texts.join("\n\n"), out);
                }
                Content::Reasoning {
                    thoughts: content.clone(),
                    text: texts.len().saturating_sub(1),
                }
            }
            Part::ToolCall(call) => self.call(index, call, out),
            content => {
                self.plain_start(index, content, out);
                Content::Other
            }
        };
        if let Some(choice) = self.choice(index) {
            choice.parts.push(Open { part, content });
        }
    }

    /// Writes the beginning of a part of which nothing has to be remembered.
    fn plain_start(&mut self, index: usize, content: &Part, out: &mut Vec<Bytes>) {
        match content {
            Part::Text {
                text, citations, ..
            } => {
                let is_first = self.choice(index).is_some_and(|choice| !choice.has_role);
                if is_first || !text.is_empty() {
                    self.say(index, "content", text.as_str(), out);
                }
                for citation in citations {
                    self.cite(index, citation, out);
                }
            }
            Part::Refusal(text) => {
                if let Some(choice) = self.choice(index) {
                    choice.said.refuses = true;
                }
                if !text.is_empty() {
                    self.say(index, "refusal", text.as_str(), out);
                }
            }
            Part::Image { source, detail, .. } => {
                if let Some(image) = image(source, detail.as_ref()) {
                    self.say(index, "images", vec![image], out);
                }
            }
            Part::Audio {
                source,
                transcript,
                id,
                ..
            } => {
                let said = audio(source, transcript.as_deref(), id.as_deref());
                if !said.is_empty() {
                    self.say(index, "audio", said, out);
                }
            }
            Part::Foreign { name, value } => self.foreign(name, value, out),
            // They were told before, or no model says them.
            Part::Reasoning { .. }
            | Part::ToolCall(_)
            | Part::Document { .. }
            | Part::ToolResult(_) => {}
        }
    }

    fn call(&mut self, index: usize, call: &ToolCall, out: &mut Vec<Bytes>) -> Content {
        let number = match self.choice(index) {
            Some(choice) => {
                choice.said.calls = true;
                choice.calls += 1;
                choice.calls - 1
            }
            None => 0,
        };
        let mut written = field("index", number);
        written.extend(written_call(call));
        if call.arguments.is_empty() {
            let (kind, input) = names_of(call.kind);
            put(&mut written, kind, json!({input: ""}));
        }
        self.say(index, "tool_calls", vec![Value::Object(written)], out);
        Content::Call(number, call.kind, !call.arguments.is_empty())
    }

    fn part_delta(&mut self, index: usize, part: usize, delta: &Delta, out: &mut Vec<Bytes>) {
        match delta {
            Delta::Text(text) => self.say(index, "content", text.as_str(), out),
            Delta::Reasoning { text, added } => {
                let is_next = self.add_thought(index, part, *text, added);
                if is_next {
                    self.say(index, "reasoning_content", "\n\n", out);
                }
                self.say(index, "reasoning_content", added.as_str(), out);
            }
            Delta::Signature(proof) => self.sign(index, part, proof, out),
            Delta::Arguments(added) => {
                if let Some(Content::Call(number, kind, has_arguments)) = self.open(index, part) {
                    *has_arguments |= !added.is_empty();
                    let (number, (kind, input)) = (*number, names_of(*kind));
                    let call = json!({"index": number, kind: {input: added}});
                    self.say(index, "tool_calls", vec![call], out);
                }
            }
            Delta::Refusal(text) => {
                if let Some(choice) = self.choice(index) {
                    choice.said.refuses = true;
                }
                self.say(index, "refusal", text.as_str(), out);
            }
            Delta::Citation(citation) => self.cite(index, citation, out),
            Delta::Audio { data, transcript } => {
                let texts = [("data", data), ("transcript", transcript)];
                let said = texts.into_iter().filter(|(_, text)| !text.is_empty());
                let said = said.map(|(key, text)| (key.to_owned(), text.as_str().into()));
                self.say(index, "audio", said.collect::<Map<_, _>>(), out);
            }
            Delta::LogProbs(log_probs) => {
                self.send(index, Map::new(), field("logprobs", log_probs.clone()), out);
            }
        }
    }

    fn part_end(&mut self, index: usize, part: usize, out: &mut Vec<Bytes>) {
        let Some(choice) = self.choice(index) else {
            return;
        };
        let Some(place) = choice.parts.iter().position(|open| open.part == part) else {
            return;
        };
        match choice.parts.swap_remove(place).content {
            Content::Reasoning { thoughts, .. } => {
                let has_proof =
                    matches!(&thoughts, Part::Reasoning { signature, .. } if signature.is_some());
                if has_proof {
                    self.say(index, "reasoning_details", details_of(&thoughts, 0), out);
                }
            }
            Content::Call(number, ToolKind::Function, false) => {
                let call = json!({"index": number, "function": {"arguments": "{}"}});
                self.say(index, "tool_calls", vec![call], out);
            }
            Content::Call(..) | Content::Other => {}
        }
    }

    fn open(&mut self, index: usize, part: usize) -> Option<&mut Content> {
        let parts = &mut self.choice(index)?.parts;
        let open = parts.iter_mut().find(|open| open.part == part)?;
        Some(&mut open.content)
    }

    /// Keeps a piece of thought; returns whether it begins another text of the same thoughts.
    fn add_thought(&mut self, index: usize, part: usize, text: usize, added: &str) -> bool {
        let Some(Content::Reasoning {
            thoughts: Part::Reasoning { texts, .. },
            text: last,
        }) = self.open(index, part)
        else {
            return false;
        };
        let is_next = text != *last && !texts.is_empty();
        *last = text;
        match texts.last_mut().filter(|_| !is_next) {
            Some(open) => open.push_str(added),
            None => texts.push(added.to_owned()),
        }
        is_next
    }

    fn sign(&mut self, index: usize, part: usize, proof: &str, out: &mut Vec<Bytes>) {
        match self.open(index, part) {
            Some(Content::Reasoning {
                thoughts: Part::Reasoning { signature, .. },
                ..
            }) => signature.get_or_insert_default().push_str(proof),
            Some(Content::Call(number, ..)) => {
                let extra = json!({"google": {"thought_signature": proof}});
                let call = json!({"index": *number, "extra_content": extra});
                self.say(index, "tool_calls", vec![call], out);
            }
            _ => {}
        }
    }

    fn cite(&mut self, index: usize, citation: &Value, out: &mut Vec<Bytes>) {
        self.say(index, "annotations", vec![nested_citation(citation)], out);
    }

    fn stop(&mut self, index: usize, reason: &StopReason, out: &mut Vec<Bytes>) {
        let Some(choice) = self.choice(index) else {
            return;
        };
        if std::mem::replace(&mut choice.has_stopped, true) {
            return;
        }
        let (word, beside) = written_stop(reason, choice.said.refuses);
        let mut more = field("finish_reason", word);
        if let Some((key, text)) = beside {
            more.insert(key.to_owned(), text.into());
        }
        self.send(index, Map::new(), more, out);
    }

    fn foreign(&mut self, name: &str, value: &Value, out: &mut Vec<Bytes>) {
        let tier = value.as_str().filter(|_| name == "service_tier");
        if let Some(tier) = tier.and_then(|tier| tier_of(self.from, tier)) {
            self.others.insert(name.to_owned(), tier.into());
        }
        if self.from != Dialect::Chat {
            return;
        }
        let index = name
            .strip_prefix("choices[")
            .and_then(|name| name.split_once(']'));
        let index = index.and_then(|(digits, _)| digits.parse().ok());
        let Some(index) = index else {
            self.others.insert(name.to_owned(), value.clone());
            return;
        };
        match place_of(name) {
            Place::Field(key) => match key.split_once('.') {
                Some((outer, inner)) => self.say(index, outer, json!({inner: value}), out),
                None => self.say(index, key, value.clone(), out),
            },
            Place::Choice(key) => self.send(index, Map::new(), field(key, value.clone()), out),
            Place::Part => self.say(index, "content", vec![value.clone()], out),
            Place::ToolCall | Place::Whole => {}
        }
    }
}

fn field(key: &str, value: impl Into<Value>) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert(key.to_owned(), value.into());
    fields
}

/// Returns the field that a call of this kind is in, and that of its arguments.
const fn names_of(kind: ToolKind) -> (&'static str, &'static str) {
    match kind {
        ToolKind::Function => ("function", "arguments"),
        ToolKind::Custom => ("custom", "input"),
    }
}

fn audio(source: &Media, transcript: Option<&str>, id: Option<&str>) -> Map<String, Value> {
    let data = match source {
        Media::Inline { data, .. } => Some(data.as_str()),
        _ => None,
    };
    let texts = [("id", id), ("data", data), ("transcript", transcript)];
    let said = texts
        .into_iter()
        .filter_map(|(key, text)| Some((key, text?)));
    let said = said.filter(|(_, text)| !text.is_empty());
    said.map(|(key, text)| (key.to_owned(), text.into()))
        .collect()
}

fn event_of(chunk: &Value) -> Bytes {
    format!("data: {chunk}\n\n").into()
}

/// Returns the event of an error, as `OpenAI`'s SDKs raise it.
fn fault_event(fault: &ProviderFault) -> Bytes {
    ErrorEnvelope {
        message: &fault.message,
        kind: fault.kind.as_deref().unwrap_or("server_error"),
        param: fault.param.as_deref(),
        code: fault.code.as_deref(),
        inner: fault.inner.as_deref(),
        hint: None,
        request_id: None,
    }
    .to_event()
}
