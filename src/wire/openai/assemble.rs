//! A stream put together into the whole completion that it stands for.

use crate::wire::openai::chunk::{Chunk, ChunkChoice};
use crate::wire::openai::merge::{merge, merge_objects};
use crate::wire::text::string_of;
use bytes::Bytes;
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The completion so far.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    pub(super) id: String,
    pub(super) model: String,
    /// The last `usage` that was reported, or that of the first usage-only chunk.
    pub(super) usage: Option<Box<RawValue>>,
    has_final_usage: bool,
    /// Top-level fields that are not known here, the last value of each.
    others: Vec<(String, Box<RawValue>)>,
    /// In the order they first came.
    choices: Vec<Choice>,
    /// Bytes of text in the deltas so far.
    pub(super) text_bytes: usize,
    pub(super) has_content: bool,
    pub(super) saw_finish: bool,
}

/// One choice so far. Text and role, which nearly every chunk is about, stand apart from the rest.
#[derive(Debug, Default)]
struct Choice {
    index: u64,
    role: String,
    text: Option<String>,
    /// Every other field of the deltas; a `content` that is no string is among them.
    message: Map<String, Value>,
    finish_reason: Option<String>,
    /// The choice's own fields: `logprobs`, content filter results, ...
    others: Map<String, Value>,
}

impl Assembly {
    /// Adds what `chunk` says.
    pub(super) fn add(&mut self, chunk: Chunk<'_>) {
        if let (true, Some(id)) = (self.id.is_empty(), &chunk.id) {
            self.id.push_str(&id.0);
        }
        if let (true, Some(model)) = (self.model.is_empty(), &chunk.model) {
            self.model.push_str(&model.0);
        }
        for (key, raw) in chunk.others.0 {
            self.add_other(&key, raw);
        }
        let choices = chunk.choices.unwrap_or_default();
        if let Some(usage) = chunk.usage.filter(|usage| *usage != "null") {
            self.add_usage(usage, choices.is_empty());
        }
        for choice in choices {
            self.saw_finish |= choice.finish_reason.is_some();
            self.has_content |= choice.finish_reason.is_some() || has_content(&choice);
            let place = self.choice(choice.index);
            if let Some(whole) = self.choices.get_mut(place) {
                self.text_bytes += whole.add(choice);
            }
        }
    }

    /// Adds a text to the choice with `index`, as a chunk that says nothing else would.
    pub(super) fn add_text(&mut self, index: u64, text: &str) {
        self.has_content |= !text.is_empty();
        self.text_bytes += text.len();
        let place = self.choice(index);
        if let Some(choice) = self.choices.get_mut(place) {
            choice.text.get_or_insert_default().push_str(text);
        }
    }

    /// Returns why the first choice ended.
    pub(super) fn finish_reason(&self) -> Option<&str> {
        let first = self.choices.iter().min_by_key(|choice| choice.index)?;
        first.finish_reason.as_deref()
    }

    /// Returns the text that the model wrote: thoughts, answers and tool calls.
    pub(super) fn output_text(&self) -> String {
        let mut text = String::with_capacity(self.text_bytes);
        for choice in &self.choices {
            choice.push_text(&mut text);
        }
        text
    }

    /// Returns the completion as JSON.
    pub(super) fn to_bytes(&self) -> Bytes {
        // Maps with string keys always serialise.
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Returns the place of the choice with `index`, a new one if need be.
    fn choice(&mut self, index: u64) -> usize {
        let place = self.choices.iter().position(|choice| choice.index == index);
        place.unwrap_or_else(|| {
            // There is one, nearly always.
            self.choices.reserve_exact(1);
            self.choices.push(Choice {
                index,
                ..Choice::default()
            });
            self.choices.len() - 1
        })
    }

    /// Some providers report running totals in every chunk, of which the last counts; of several
    /// usage-only chunks the first does.
    fn add_usage(&mut self, usage: &str, is_usage_only: bool) {
        if self.has_final_usage {
            return;
        }
        self.has_final_usage = is_usage_only;
        self.usage = RawValue::from_string(usage.to_owned()).ok();
    }

    fn add_other(&mut self, key: &str, raw: &str) {
        if key == "x_groq" && self.usage.is_none() {
            self.add_groq_usage(raw);
        }
        match self.others.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) if old.get() == raw || raw == "null" => {}
            Some((_, old)) => set_raw(old, raw),
            None => {
                if let Ok(value) = RawValue::from_string(raw.to_owned()) {
                    self.others.push((key.to_owned(), value));
                }
            }
        }
    }

    /// Groq reports usage in a field of its own, in the last chunk.
    fn add_groq_usage(&mut self, raw: &str) {
        let groq: Option<Value> = serde_json::from_str(raw).ok();
        let usage = groq.as_ref().and_then(|groq| groq.get("usage"));
        if let Some(usage @ Value::Object(_)) = usage {
            self.usage = RawValue::from_string(usage.to_string()).ok();
        }
    }
}

fn set_raw(old: &mut Box<RawValue>, raw: &str) {
    if let Ok(value) = RawValue::from_string(raw.to_owned()) {
        *old = value;
    }
}

/// Whether the delta has anything that a reader of the answer would notice.
fn has_content(choice: &ChunkChoice<'_>) -> bool {
    choice.delta.0.iter().any(|(key, raw)| {
        let is_output = matches!(
            key.as_ref(),
            "content" | "tool_calls" | "function_call" | "refusal" | "audio" | "images"
        ) || key.starts_with("reasoning")
            || key.starts_with("thinking");
        is_output && raw.starts_with(['"', '[', '{']) && !is_empty(raw)
    })
}

/// Whether a JSON value says nothing.
fn is_empty(raw: &str) -> bool {
    matches!(raw, "null" | "\"\"" | "[]" | "{}")
}

impl Choice {
    /// Adds a delta and returns how many bytes of text it has.
    fn add(&mut self, chunk: ChunkChoice<'_>) -> usize {
        let mut bytes = 0;
        for (key, raw) in chunk.delta.0 {
            bytes += match (key.as_ref(), string_of(raw)) {
                ("role", Some(role)) => {
                    if self.role.is_empty() {
                        self.role.push_str(&role);
                    }
                    0
                }
                ("content", Some(text)) => {
                    self.text.get_or_insert_default().push_str(&text);
                    text.len()
                }
                ("content", None) if raw == "null" => 0,
                (key, Some(text)) if matches!(self.message.get(key), Some(Value::String(_))) => {
                    if let Some(Value::String(whole)) = self.message.get_mut(key) {
                        whole.push_str(&text);
                    }
                    text.len()
                }
                (key, _) => add_field(&mut self.message, key, raw),
            };
        }
        for (key, raw) in chunk.others.0 {
            if key == "logprobs" {
                add_field(&mut self.others, &key, raw);
            } else if !is_empty(raw) || !self.others.contains_key(key.as_ref()) {
                let value = serde_json::from_str(raw).unwrap_or_default();
                self.others.insert(key.into_owned(), value);
            }
        }
        if let Some(reason) = chunk.finish_reason {
            self.finish_reason = Some(reason.0.into_owned());
        }
        bytes
    }

    /// Appends what the model wrote, in the order in which models write it.
    fn push_text(&self, text: &mut String) {
        let string = |value: &Value, key: &str| value.get(key)?.as_str().map(str::to_owned);
        let of = |key: &str| self.message.get(key).and_then(Value::as_str);
        text.push_str(
            of("reasoning_content")
                .or_else(|| of("reasoning"))
                .unwrap_or_default(),
        );
        if let Some(parts) = self.message.get("content") {
            push_strings(parts, text);
        }
        text.push_str(self.text.as_deref().unwrap_or_default());
        text.push_str(of("refusal").unwrap_or_default());
        let calls = self.message.get("tool_calls").and_then(Value::as_array);
        let functions = calls
            .into_iter()
            .flatten()
            .filter_map(|call| call.get("function"));
        for function in functions.chain(self.message.get("function_call")) {
            text.push_str(&string(function, "name").unwrap_or_default());
            text.push_str(&string(function, "arguments").unwrap_or_default());
        }
        if let Some(audio) = self.message.get("audio") {
            text.push_str(&string(audio, "transcript").unwrap_or_default());
        }
    }

    /// Returns `content` as it stands in a whole message: text, parts, or `null`.
    fn content(&self) -> Value {
        match (self.message.get("content"), &self.text) {
            (Some(Value::Array(parts)), Some(text)) if !text.is_empty() => {
                let mut parts = parts.clone();
                parts.push(serde_json::json!({"type": "text", "text": text}));
                Value::Array(parts)
            }
            (Some(parts), _) => parts.clone(),
            (None, Some(text)) => Value::String(text.clone()),
            (None, None) => Value::Null,
        }
    }
}

fn add_field(fields: &mut Map<String, Value>, key: &str, raw: &str) -> usize {
    // In most chunks most fields are null.
    if raw == "null" && fields.contains_key(key) {
        return 0;
    }
    let Ok(piece) = serde_json::from_str(raw) else {
        return 0;
    };
    match fields.get_mut(key) {
        Some(whole) => merge(whole, piece),
        None => merge_objects(fields, Map::from_iter([(key.to_owned(), piece)])),
    }
}

/// Appends the texts of content parts: the strings that are no `type`, `id` or other name.
fn push_strings(value: &Value, text: &mut String) {
    match value {
        Value::Array(parts) => parts.iter().for_each(|part| push_strings(part, text)),
        Value::Object(part) => {
            for key in ["thinking", "text"] {
                if let Some(inner) = part.get(key) {
                    push_strings(inner, text);
                }
            }
        }
        Value::String(inner) => text.push_str(inner),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

impl Serialize for Assembly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("object", "chat.completion")?;
        map.serialize_entry("model", &self.model)?;
        for (key, value) in &self.others {
            map.serialize_entry(key, value)?;
        }
        let mut choices: Vec<&Choice> = self.choices.iter().collect();
        choices.sort_by_key(|choice| choice.index);
        map.serialize_entry("choices", &choices)?;
        if let Some(usage) = &self.usage {
            map.serialize_entry("usage", usage)?;
        }
        map.end()
    }
}

impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("index", &self.index)?;
        map.serialize_entry("message", &Message(self))?;
        map.serialize_entry("finish_reason", &self.finish_reason)?;
        for (key, value) in &self.others {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// The message of a choice.
struct Message<'a>(&'a Choice);

impl Serialize for Message<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let choice = self.0;
        let role = match choice.role.as_str() {
            "" => "assistant",
            role => role,
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("role", role)?;
        map.serialize_entry("content", &choice.content())?;
        for (key, value) in choice.message.iter().filter(|(key, _)| *key != "content") {
            if key == "tool_calls" {
                map.serialize_entry(key, &without_index(value))?;
            } else {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}

/// Returns tool calls without the `index` that only streams have.
fn without_index(calls: &Value) -> Value {
    let mut calls = calls.clone();
    for call in calls.as_array_mut().into_iter().flatten() {
        if let Some(call) = call.as_object_mut() {
            call.shift_remove("index");
        }
    }
    calls
}
