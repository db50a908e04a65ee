//! Responses, written.

use crate::wire::chat::Said;
use crate::wire::conversation::{Choice, Dialect, Fallback, Media, Part, Reply, StopReason};
use crate::wire::openai::shared::{Place, bare_id, place_of, put, responses_usage, tier_of};
use crate::wire::responses::echo::Echo;
use crate::wire::responses::item::proof_id;
use crate::wire::responses::read_reply::status_of;
use crate::wire::responses::write_item::{call, fields, output_text, reasoning};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Writes an answer as a response, with what `echo` repeats of the request. It has one answer; what a
/// provider answered besides has no place in it.
///
/// The proof of a call stands in thoughts of its own before it; it is read when it is sent back.
#[must_use]
pub fn write_reply(reply: &Reply, echo: &Echo, fallback: &Fallback<'_>) -> Bytes {
    let id = response_id(&reply.id, fallback);
    let none = Choice::default();
    let choice = reply.choices.first().unwrap_or(&none);
    let stop = choice.stop.as_ref().unwrap_or(&StopReason::EndTurn);
    let mut items = Items::new(reply.dialect, bare_id(&id));
    for part in &choice.parts {
        items.add(part);
    }
    let log_probs = choice.log_probs.as_ref();
    let own_usage = reply.usage_reported.as_ref();
    let own_usage = own_usage.filter(|_| reply.dialect == Dialect::Responses);
    let usage = own_usage
        .cloned()
        .or_else(|| reply.usage.as_ref().map(responses_usage));
    let (status, incomplete) = status_of(stop, Said::of(&choice.parts).refuses);
    let tier = reply.service_tier.as_deref();
    let response = Response {
        id: &id,
        model: &reply.model,
        created: reply.created.unwrap_or(fallback.created),
        status,
        incomplete,
        error: Value::Null,
        output: items.finish(status, log_probs),
        usage,
        service_tier: tier.and_then(|tier| tier_of(reply.dialect, tier)),
    };
    response.write(echo).to_string().into()
}

/// Returns the id of a response: that of the answer, as responses begin theirs.
pub(super) fn response_id(id: &str, fallback: &Fallback<'_>) -> String {
    let id = if id.is_empty() { fallback.id } else { id };
    format!("resp_{}", bare_id(id))
}

/// What a response says of itself.
pub(super) struct Response<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    pub(super) created: i64,
    pub(super) status: &'a str,
    pub(super) incomplete: Value,
    pub(super) error: Value,
    pub(super) output: Vec<Value>,
    pub(super) usage: Option<Value>,
    pub(super) service_tier: Option<&'a str>,
}

impl Response<'_> {
    /// Writes the object, its fields in the order of the official API.
    pub(super) fn write(self, echo: &Echo) -> Value {
        let mut output = Some(self.output);
        let mut body = Map::new();
        let mut set = |key: &str, value: Value| {
            body.insert(key.to_owned(), value);
        };
        set("id", self.id.into());
        set("object", "response".into());
        set("created_at", self.created.into());
        set("status", self.status.into());
        set("error", self.error);
        set("incomplete_details", self.incomplete);
        for (key, value) in echo.iter() {
            if key == "parallel_tool_calls" {
                set("model", self.model.into());
                set("output", output.take().unwrap_or_default().into());
            }
            if key == "temperature" {
                set("store", echo.is_stored.into());
            }
            set(key, value.clone());
        }
        if let Some(tier) = self.service_tier {
            set("service_tier", tier.into());
        }
        set("usage", self.usage.unwrap_or(Value::Null));
        Value::Object(body)
    }
}

/// The items of an output, as they come to be.
pub(super) struct Items<'a> {
    from: Dialect,
    /// What all ids of items have in common.
    id: &'a str,
    items: Vec<Map<String, Value>>,
    /// Fields of the next message.
    others: Map<String, Value>,
}

impl<'a> Items<'a> {
    /// Returns no items yet, of an answer read from the dialect `from`.
    pub(super) fn new(from: Dialect, id: &'a str) -> Self {
        Self {
            from,
            id,
            items: Vec::new(),
            others: Map::new(),
        }
    }

    fn add(&mut self, part: &Part) {
        match part {
            Part::Text {
                text, citations, ..
            } => self.say(output_text(text, citations)),
            Part::Refusal(text) => self.say(json!({"type": "refusal", "refusal": text})),
            Part::Audio {
                source: Media::Inline { data, .. },
                transcript,
                ..
            } => {
                let transcript = transcript.as_deref().unwrap_or_default();
                self.say(json!({"type": "output_audio", "data": data, "transcript": transcript}));
            }
            Part::Reasoning { .. } => self.items.push(reasoning(part)),
            Part::ToolCall(found) => {
                if let Some(proof) = &found.signature {
                    self.items.push(proof_item(&found.id, proof));
                }
                self.items.push(call(found));
            }
            Part::Image { source, .. } => self.items.extend(image_item(source)),
            Part::Foreign { name, value } if self.from == Dialect::Responses => {
                self.foreign(name, value);
            }
            // What only another dialect can say, and what no model says.
            Part::Foreign { .. }
            | Part::Audio { .. }
            | Part::Document { .. }
            | Part::ToolResult(_) => {}
        }
    }

    fn foreign(&mut self, name: &str, value: &Value) {
        match (place_of(name), value) {
            (Place::Part, value) => self.say(value.clone()),
            (Place::Field(key) | Place::Choice(key), value) => {
                put(&mut self.others, key, value.clone());
            }
            (_, Value::Object(item)) => self.items.push(item.clone()),
            _ => {}
        }
    }

    /// Adds a part to the message that is the last item, or to a new one.
    fn say(&mut self, content: Value) {
        let last = self.items.last_mut().filter(|_| self.others.is_empty());
        let last = last.filter(|last| last.get("type").is_some_and(|kind| kind == "message"));
        if let Some(Value::Array(contents)) = last.and_then(|last| last.get_mut("content")) {
            contents.push(content);
            return;
        }
        let mut item = fields("message");
        item.insert("role".to_owned(), "assistant".into());
        item.insert("content".to_owned(), vec![content].into());
        item.extend(std::mem::take(&mut self.others));
        self.items.push(item);
    }

    /// Returns the items with ids and statuses; the log probabilities are those of the first text.
    fn finish(self, status: &str, log_probs: Option<&Value>) -> Vec<Value> {
        let mut log_probs = log_probs.and_then(|log_probs| log_probs.get("content"));
        let last = self.items.len().saturating_sub(1);
        let mut items = Vec::with_capacity(self.items.len());
        for (place, mut item) in self.items.into_iter().enumerate() {
            let status = if place == last { status } else { "completed" };
            complete(&mut item, self.id, place, status);
            let contents = item.get_mut("content").and_then(Value::as_array_mut);
            for content in contents.into_iter().flatten() {
                let is_text = content
                    .get("type")
                    .is_some_and(|kind| kind == "output_text");
                if let Some(content) = content.as_object_mut().filter(|_| is_text) {
                    let tokens = log_probs.take().cloned().unwrap_or_else(|| json!([]));
                    content.insert("logprobs".to_owned(), tokens);
                }
            }
            items.push(Value::Object(item));
        }
        items
    }
}

/// Gives an item the id and the status that it must have.
pub(super) fn complete(item: &mut Map<String, Value>, answer: &str, place: usize, status: &str) {
    let prefix = match item.get("type").and_then(Value::as_str) {
        Some("message") => "msg",
        Some("reasoning") => "rs",
        Some("function_call") => "fc",
        Some("custom_tool_call") => "ctc",
        Some("image_generation_call") => "ig",
        // Another's items are as they came.
        _ => return,
    };
    if !item.contains_key("id") {
        let id = format!("{prefix}_{answer}_{place}");
        // Behind the type, as the official API has it.
        item.shift_insert(0, "id".to_owned(), id.into());
    }
    let has_status = matches!(prefix, "msg" | "fc");
    if has_status && !item.contains_key("status") {
        item.insert("status".to_owned(), status.into());
    }
}

/// Returns thoughts that hold the proof of a call and nothing else.
pub(super) fn proof_item(call: &str, proof: &str) -> Map<String, Value> {
    let mut item = fields("reasoning");
    item.insert("id".to_owned(), proof_id(call).into());
    item.insert("summary".to_owned(), json!([]));
    item.insert("encrypted_content".to_owned(), proof.into());
    item
}

/// Returns a picture that the model made as the item of the tool that makes pictures.
pub(super) fn image_item(source: &Media) -> Option<Map<String, Value>> {
    let Media::Inline { media_type, data } = source else {
        return None;
    };
    let format = media_type.strip_prefix("image/").unwrap_or("png");
    let mut item = fields("image_generation_call");
    item.insert("status".to_owned(), "completed".into());
    item.insert("output_format".to_owned(), format.into());
    item.insert("result".to_owned(), data.as_str().into());
    Some(item)
}
