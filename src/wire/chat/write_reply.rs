//! Chat completions, written.

use crate::wire::chat::stop::{Said, written_stop};
use crate::wire::chat::write_message::{details_of, image, written_call};
use crate::wire::conversation::{Choice, Dialect, Fallback, Media, Part, Reply};
use crate::wire::openai::shared::{
    Place, bare_id, chat_usage, nested_citation, place_of, put, tier_of,
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Writes an answer as a chat completion.
///
/// Thoughts are in `reasoning_content`, and with what proves them in `reasoning_details`: both are read
/// when they are sent back. Pictures are in `images`. Foreign parts are written when they came from chat
/// completions.
#[must_use]
pub fn write_reply(reply: &Reply, fallback: &Fallback<'_>) -> Bytes {
    let mut body = Map::new();
    let mut set = |key: &str, value: Value| {
        body.insert(key.to_owned(), value);
    };
    set("id", completion_id(&reply.id, fallback).into());
    set("object", "chat.completion".into());
    set("created", reply.created.unwrap_or(fallback.created).into());
    set("model", reply.model.as_str().into());
    let choices = reply.choices.iter().enumerate();
    let choices = choices.map(|(place, choice)| written_choice(reply.dialect, place, choice));
    set("choices", choices.collect::<Vec<Value>>().into());
    let own_usage = reply
        .usage_reported
        .as_ref()
        .filter(|_| reply.dialect == Dialect::Chat);
    let usage = match own_usage {
        Some(usage) => Some(usage.clone()),
        None => reply.usage.as_ref().map(chat_usage),
    };
    if let Some(usage) = usage {
        set("usage", usage);
    }
    let tier = reply.service_tier.as_deref();
    if let Some(tier) = tier.and_then(|tier| tier_of(reply.dialect, tier)) {
        set("service_tier", tier.into());
    }
    if reply.dialect == Dialect::Chat {
        for (key, value) in &reply.rest {
            put(&mut body, key, value.clone());
        }
    }
    Value::Object(body).to_string().into()
}

/// Returns the id of a completion: that of the answer, as chat completions begin theirs.
pub(super) fn completion_id(id: &str, fallback: &Fallback<'_>) -> String {
    let id = if id.is_empty() { fallback.id } else { id };
    if id.starts_with("chatcmpl") || id.starts_with("gen-") {
        return id.to_owned();
    }
    format!("chatcmpl-{}", bare_id(id))
}

fn written_choice(from: Dialect, place: usize, choice: &Choice) -> Value {
    let mut written = Map::new();
    written.insert("index".to_owned(), place.into());
    let (message, foreign) = written_message(from, &choice.parts);
    written.insert("message".to_owned(), message);
    let log_probs = choice.log_probs.clone().unwrap_or(Value::Null);
    written.insert("logprobs".to_owned(), log_probs);
    let said = Said::of(&choice.parts);
    let finished = said.finished();
    let stop = choice.stop.as_ref().unwrap_or(&finished);
    let (reason, more) = written_stop(stop, said.refuses);
    written.insert("finish_reason".to_owned(), reason.into());
    if let Some((key, text)) = more {
        written.insert(key.to_owned(), text.into());
    }
    for (key, value) in foreign {
        put(&mut written, &key, value);
    }
    Value::Object(written)
}

/// Writes what the model says, and returns foreign fields that belong beside it.
fn written_message(from: Dialect, parts: &[Part]) -> (Value, Map<String, Value>) {
    let mut message = Message::default();
    for part in parts {
        message.add(from, part);
    }
    let beside = std::mem::take(&mut message.beside);
    (message.finish(), beside)
}

#[derive(Default)]
struct Message {
    text: Option<String>,
    refusal: Option<String>,
    thoughts: Vec<String>,
    /// Thoughts with what proves them.
    details: Vec<Value>,
    has_proof: bool,
    citations: Vec<Value>,
    calls: Vec<Value>,
    images: Vec<Value>,
    others: Map<String, Value>,
    beside: Map<String, Value>,
}

impl Message {
    fn add(&mut self, from: Dialect, part: &Part) {
        match part {
            Part::Text {
                text, citations, ..
            } => {
                self.text.get_or_insert_default().push_str(text);
                self.citations.extend(citations.iter().map(nested_citation));
            }
            Part::Refusal(text) => self.refusal.get_or_insert_default().push_str(text),
            Part::Reasoning {
                texts, signature, ..
            } => {
                self.thoughts.extend(texts.iter().cloned());
                self.has_proof |= signature.is_some();
                let details = details_of(part, self.details.len());
                self.details.extend(details);
            }
            Part::ToolCall(call) => self.calls.push(Value::Object(written_call(call))),
            Part::Image { source, detail, .. } => {
                self.images.extend(image(source, detail.as_ref()));
            }
            Part::Audio {
                source,
                transcript,
                id,
                ..
            } => self.audio(source, transcript.as_deref(), id.as_deref()),
            Part::Foreign { name, value } if from == Dialect::Chat => self.foreign(name, value),
            // What only another dialect can say, and what no model says.
            Part::Foreign { .. } | Part::Document { .. } | Part::ToolResult(_) => {}
        }
    }

    fn audio(&mut self, source: &Media, transcript: Option<&str>, id: Option<&str>) {
        let data = match source {
            Media::Inline { data, .. } => data.as_str(),
            _ => "",
        };
        let audio = json!({
            "id": id.unwrap_or_default(),
            "data": data,
            "transcript": transcript.unwrap_or_default(),
        });
        put(&mut self.others, "audio", audio);
    }

    fn foreign(&mut self, name: &str, value: &Value) {
        match place_of(name) {
            Place::Field(key) if key.starts_with("images[") => self.images.push(value.clone()),
            Place::Field(key) => put(&mut self.others, key, value.clone()),
            Place::Choice(key) => put(&mut self.beside, key, value.clone()),
            Place::ToolCall => self.calls.push(value.clone()),
            // A part of a content, which is a text here.
            Place::Part | Place::Whole => {
                let text = value.get("text").and_then(Value::as_str);
                let text = text.map_or_else(|| value.to_string(), str::to_owned);
                self.text.get_or_insert_default().push_str(&text);
            }
        }
    }

    fn finish(self) -> Value {
        let mut written = Map::new();
        let mut set = |key: &str, value: Value| {
            written.insert(key.to_owned(), value);
        };
        set("role", "assistant".into());
        set("content", self.text.into());
        set("refusal", self.refusal.into());
        if !self.thoughts.is_empty() {
            set("reasoning_content", self.thoughts.join("\n\n").into());
        }
        if self.has_proof {
            set("reasoning_details", self.details.into());
        }
        if !self.citations.is_empty() {
            set("annotations", self.citations.into());
        }
        if !self.images.is_empty() {
            set("images", self.images.into());
        }
        if !self.calls.is_empty() {
            set("tool_calls", self.calls.into());
        }
        for (key, value) in self.others {
            put(&mut written, &key, value);
        }
        Value::Object(written)
    }
}
