//! The items of a streamed response, written: what has begun, and all that was said of it.

use crate::wire::conversation::{Delta, Dialect, Media, Part, ToolKind};
use crate::wire::openai::shared::flat_citation;
use crate::wire::responses::stream_writer::{Sink, deltas_of};
use crate::wire::responses::write_item::{call, fields, names_of, reasoning};
use crate::wire::responses::write_reply::{complete, image_item, proof_item};
use serde_json::{Map, Value, json};

/// The items so far.
#[derive(Debug)]
pub(super) struct WrittenItems {
    from: Dialect,
    /// What all ids of items have in common.
    id: String,
    pub(super) items: Vec<Item>,
    pub(super) open: Vec<Open>,
    /// The message that the next text belongs to.
    message: Option<usize>,
}

/// An item, as the last event will say it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) fields: Map<String, Value>,
    /// The proof of a call, for which its item has no place: it gets one of its own when the call ends.
    proof: Option<String>,
    is_done: bool,
}

/// A part that has begun and not ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) part: usize,
    pub(super) item: usize,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A part of a message: its place, and the field that holds its text.
    Content(usize, &'static str),
    /// Thoughts: which of their texts is open, and whether they are a summary.
    Reasoning(Option<usize>, bool),
    Call(ToolKind),
}

impl WrittenItems {
    /// Returns no items yet.
    pub(super) fn new(from: Dialect, id: &str) -> Self {
        Self {
            from,
            id: id.to_owned(),
            items: Vec::new(),
            open: Vec::new(),
            message: None,
        }
    }

    /// Returns the items that are done, and what is there of the others.
    pub(super) fn output(&self) -> Vec<Value> {
        let items = self.items.iter().map(|item| {
            let mut fields = item.fields.clone();
            if let Some(status) = fields.get_mut("status").filter(|_| !item.is_done) {
                *status = "incomplete".into();
            }
            Value::Object(fields)
        });
        items.collect()
    }

    /// Begins a part.
    pub(super) fn start(&mut self, part: usize, content: &Part, sink: &mut Sink<'_>) {
        match content {
            Part::Text { .. } => {
                let empty = json!({"type": "output_text", "text": "", "annotations": [],
                                   "logprobs": []});
                self.start_content(part, empty, "text", sink);
            }
            Part::Refusal(text) => {
                let empty = json!({"type": "refusal", "refusal": ""});
                self.start_content(part, empty, "refusal", sink);
                self.refusal(part, text, sink);
            }
            Part::Audio {
                source, transcript, ..
            } => {
                let empty = json!({"type": "output_audio", "data": "", "transcript": ""});
                self.start_content(part, empty, "data", sink);
                let data = match source {
                    Media::Inline { data, .. } => data,
                    _ => "",
                };
                let transcript = transcript.as_deref().unwrap_or_default();
                self.audio(part, data, transcript, sink);
            }
            Part::Reasoning { is_summary, .. } => {
                self.start_thoughts(part, content, *is_summary, sink);
            }
            Part::ToolCall(found) => {
                if let Some(proof) = &found.signature {
                    self.whole(proof_item(&found.id, proof), sink);
                }
                let mut empty = found.clone();
                empty.arguments = "-".to_owned();
                let (_, key) = names_of(found.kind);
                let mut item = call(&empty);
                item.insert(key.to_owned(), "".into());
                let item = self.begin(item, sink);
                let kind = Kind::Call(found.kind);
                self.open.push(Open { part, item, kind });
                self.arguments(part, &found.arguments, sink);
            }
            Part::Image { source, .. } => {
                if let Some(item) = image_item(source) {
                    self.whole(item, sink);
                }
            }
            Part::Foreign {
                value: Value::Object(item),
                ..
            } if self.from == Dialect::Responses => self.whole(item.clone(), sink),
            // What only another dialect can say, and what no model says.
            Part::Foreign { .. } | Part::Document { .. } | Part::ToolResult(_) => {}
        }
        for delta in deltas_of(content) {
            match delta {
                Delta::Text(text) => self.text(part, &text, sink),
                Delta::Citation(citation) => self.cite(part, &citation, sink),
                Delta::Reasoning { text, added } => self.thought(part, text, &added, sink),
                _ => {}
            }
        }
    }

    fn start_thoughts(
        &mut self,
        part: usize,
        content: &Part,
        is_summary: bool,
        sink: &mut Sink<'_>,
    ) {
        let mut item = reasoning(content);
        item.insert("summary".to_owned(), json!([]));
        item.shift_remove("content");
        let item = self.begin(item, sink);
        let kind = Kind::Reasoning(None, is_summary);
        self.open.push(Open { part, item, kind });
    }

    /// Begins an item, and returns its place.
    fn begin(&mut self, mut item: Map<String, Value>, sink: &mut Sink<'_>) -> usize {
        if let Some(message) = self.message.take() {
            self.finish_message(message, sink);
        }
        let place = self.items.len();
        complete(&mut item, &self.id, place, "in_progress");
        let mut event = Map::new();
        event.insert("output_index".to_owned(), place.into());
        event.insert("item".to_owned(), Value::Object(item.clone()));
        sink.send("response.output_item.added", event);
        self.items.push(Item {
            fields: item,
            proof: None,
            is_done: false,
        });
        place
    }

    fn whole(&mut self, item: Map<String, Value>, sink: &mut Sink<'_>) {
        let item = self.begin(item, sink);
        self.finish_item(item, "completed", sink);
    }

    fn start_content(
        &mut self,
        part: usize,
        empty: Value,
        text: &'static str,
        sink: &mut Sink<'_>,
    ) {
        let item = match self.message {
            Some(item) => item,
            None => {
                let mut message = fields("message");
                message.insert("role".to_owned(), "assistant".into());
                message.insert("content".to_owned(), json!([]));
                self.begin(message, sink)
            }
        };
        self.message = Some(item);
        let Some(contents) = self.list(item, "content") else {
            return;
        };
        contents.push(empty.clone());
        let content = contents.len() - 1;
        let kind = Kind::Content(content, text);
        self.open.push(Open { part, item, kind });
        let mut event = self.place(item, Some(content));
        event.insert("part".to_owned(), empty);
        sink.send("response.content_part.added", event);
    }

    /// Returns the fields that tell an event's place.
    pub(super) fn place(&self, item: usize, content: Option<usize>) -> Map<String, Value> {
        let id = self.items.get(item).and_then(|item| item.fields.get("id"));
        let mut event = Map::new();
        event.insert("item_id".to_owned(), id.cloned().unwrap_or(Value::Null));
        event.insert("output_index".to_owned(), item.into());
        if let Some(content) = content {
            event.insert("content_index".to_owned(), content.into());
        }
        event
    }

    pub(super) fn list(&mut self, item: usize, key: &str) -> Option<&mut Vec<Value>> {
        self.items
            .get_mut(item)?
            .fields
            .get_mut(key)?
            .as_array_mut()
    }

    pub(super) fn find(&self, part: usize) -> Option<(usize, Kind)> {
        let open = self.open.iter().find(|open| open.part == part)?;
        Some((open.item, open.kind))
    }

    /// Adds to a text of a message, and returns where.
    fn add(&mut self, part: usize, key: &str, added: &str) -> Option<(usize, usize)> {
        let (item, Kind::Content(content, _)) = self.find(part)? else {
            return None;
        };
        let contents = self.list(item, "content")?;
        match contents.get_mut(content)?.get_mut(key)? {
            Value::String(text) => text.push_str(added),
            _ => return None,
        }
        Some((item, content))
    }

    /// Adds to a text.
    pub(super) fn text(&mut self, part: usize, added: &str, sink: &mut Sink<'_>) {
        if let Some((item, content)) = self.add(part, "text", added) {
            let mut event = self.place(item, Some(content));
            event.insert("delta".to_owned(), added.into());
            event.insert("logprobs".to_owned(), json!([]));
            sink.send("response.output_text.delta", event);
        }
    }

    /// Adds to a refusal.
    pub(super) fn refusal(&mut self, part: usize, added: &str, sink: &mut Sink<'_>) {
        if added.is_empty() {
            return;
        }
        if let Some((item, content)) = self.add(part, "refusal", added) {
            let mut event = self.place(item, Some(content));
            event.insert("delta".to_owned(), added.into());
            sink.send("response.refusal.delta", event);
        }
    }

    /// Adds to a sound.
    pub(super) fn audio(&mut self, part: usize, data: &str, transcript: &str, sink: &mut Sink<'_>) {
        for (key, added, kind) in [
            ("data", data, "response.audio.delta"),
            ("transcript", transcript, "response.audio.transcript.delta"),
        ] {
            if added.is_empty() {
                continue;
            }
            if let Some((item, content)) = self.add(part, key, added) {
                let mut event = self.place(item, Some(content));
                event.insert("delta".to_owned(), added.into());
                sink.send(kind, event);
            }
        }
    }

    /// Adds a citation to a text.
    pub(super) fn cite(&mut self, part: usize, citation: &Value, sink: &mut Sink<'_>) {
        let Some((item, Kind::Content(content, _))) = self.find(part) else {
            return;
        };
        let citation = flat_citation(citation);
        let Some(place) = self.push(item, content, "annotations", vec![citation.clone()]) else {
            return;
        };
        let mut event = self.place(item, Some(content));
        event.insert("annotation_index".to_owned(), place.into());
        event.insert("annotation".to_owned(), citation);
        sink.send("response.output_text.annotation.added", event);
    }

    /// Adds log probabilities of tokens that came to a text.
    pub(super) fn log_probs(&mut self, part: usize, log_probs: &Value, sink: &mut Sink<'_>) {
        let tokens = log_probs.get("content").and_then(Value::as_array);
        let (Some((item, Kind::Content(content, _))), Some(tokens)) = (self.find(part), tokens)
        else {
            return;
        };
        if self
            .push(item, content, "logprobs", tokens.clone())
            .is_none()
        {
            return;
        }
        let mut event = self.place(item, Some(content));
        event.insert("delta".to_owned(), "".into());
        event.insert("logprobs".to_owned(), tokens.clone().into());
        sink.send("response.output_text.delta", event);
    }

    /// Adds to a list of a message's part, and returns how long it was.
    fn push(&mut self, item: usize, content: usize, key: &str, more: Vec<Value>) -> Option<usize> {
        let contents = self.list(item, "content")?;
        let list = contents.get_mut(content)?.get_mut(key)?.as_array_mut()?;
        let place = list.len();
        list.extend(more);
        Some(place)
    }

    /// Adds to the arguments of a call.
    pub(super) fn arguments(&mut self, part: usize, added: &str, sink: &mut Sink<'_>) {
        let Some((item, Kind::Call(kind))) = self.find(part).filter(|_| !added.is_empty()) else {
            return;
        };
        let (_, key) = names_of(kind);
        let known = self.items.get_mut(item).and_then(|i| i.fields.get_mut(key));
        if let Some(Value::String(arguments)) = known {
            arguments.push_str(added);
        }
        let mut event = self.place(item, None);
        event.insert("delta".to_owned(), added.into());
        let kind = match kind {
            ToolKind::Function => "response.function_call_arguments.delta",
            ToolKind::Custom => "response.custom_tool_call_input.delta",
        };
        sink.send(kind, event);
    }

    /// Keeps the proof of thoughts or of a call.
    pub(super) fn sign(&mut self, part: usize, proof: &str) {
        let Some((place, kind)) = self.find(part) else {
            return;
        };
        let Some(item) = self.items.get_mut(place) else {
            return;
        };
        if let Kind::Reasoning(..) = kind {
            let known = item.fields.get("encrypted_content");
            let known = known.and_then(Value::as_str).unwrap_or_default();
            let whole = format!("{known}{proof}");
            item.fields
                .insert("encrypted_content".to_owned(), whole.into());
        } else {
            item.proof.get_or_insert_default().push_str(proof);
        }
    }

    /// Ends a part.
    pub(super) fn end(&mut self, part: usize, sink: &mut Sink<'_>) {
        let Some(place) = self.open.iter().position(|open| open.part == part) else {
            return;
        };
        if let Some((_, Kind::Call(ToolKind::Function))) = self.find(part)
            && !self.has_arguments(part)
        {
            self.arguments(part, "{}", sink);
        }
        let Open { item, kind, .. } = self.open.remove(place);
        match kind {
            Kind::Content(content, text) => self.finish_content(item, content, text, sink),
            Kind::Reasoning(_, is_summary) => {
                self.finish_thought(item, is_summary, sink);
                self.finish_item(item, "completed", sink);
            }
            Kind::Call(kind) => self.finish_call(item, kind, sink),
        }
    }

    fn has_arguments(&self, part: usize) -> bool {
        let item = self.find(part).and_then(|(item, _)| self.items.get(item));
        let arguments = item.and_then(|item| item.fields.get("arguments"));
        arguments.is_some_and(|arguments| *arguments != "")
    }

    /// Ends everything; `status` is that of the last item.
    pub(super) fn finish(&mut self, status: &str, sink: &mut Sink<'_>) {
        let open: Vec<usize> = self.open.iter().map(|open| open.part).collect();
        for part in open {
            self.end(part, sink);
        }
        self.message = None;
        for item in 0..self.items.len() {
            self.finish_item(item, status, sink);
        }
    }

    fn finish_content(
        &mut self,
        item: usize,
        content: usize,
        text: &'static str,
        sink: &mut Sink<'_>,
    ) {
        let part = self.list(item, "content");
        let part = part.and_then(|contents| contents.get(content).cloned());
        let part = part.unwrap_or(Value::Null);
        let place = self.place(item, Some(content));
        let kind = match text {
            "text" => Some("response.output_text.done"),
            "refusal" => Some("response.refusal.done"),
            _ => None,
        };
        if let Some(kind) = kind {
            let mut event = place.clone();
            for key in [text, "logprobs"] {
                if let Some(value) = part.get(key) {
                    event.insert(key.to_owned(), value.clone());
                }
            }
            sink.send(kind, event);
        }
        let mut event = place;
        event.insert("part".to_owned(), part);
        sink.send("response.content_part.done", event);
        if self.message != Some(item) {
            self.finish_message(item, sink);
        }
    }

    /// Ends a message unless a part of it is open.
    fn finish_message(&mut self, item: usize, sink: &mut Sink<'_>) {
        if !self.open.iter().any(|open| open.item == item) {
            self.finish_item(item, "completed", sink);
        }
    }

    fn finish_call(&mut self, item: usize, kind: ToolKind, sink: &mut Sink<'_>) {
        let mut event = self.place(item, None);
        let (done, key) = match kind {
            ToolKind::Function => ("response.function_call_arguments.done", "arguments"),
            ToolKind::Custom => ("response.custom_tool_call_input.done", "input"),
        };
        let mut proof = None;
        if let Some(item) = self.items.get_mut(item) {
            proof = item.proof.take();
            let all = item.fields.get(key).cloned().unwrap_or(Value::Null);
            event.insert(key.to_owned(), all);
            if let (ToolKind::Function, Some(name)) = (kind, item.fields.get("name")) {
                event.insert("name".to_owned(), name.clone());
            }
        }
        sink.send(done, event);
        self.finish_item(item, "completed", sink);
        let id = self.items.get(item).and_then(|i| i.fields.get("call_id"));
        let id = id.and_then(Value::as_str).unwrap_or_default();
        if let Some(proof) = proof {
            self.whole(proof_item(id, &proof), sink);
        }
    }

    /// Ends an item, once.
    fn finish_item(&mut self, place: usize, status: &str, sink: &mut Sink<'_>) {
        let Some(item) = self.items.get_mut(place) else {
            return;
        };
        if std::mem::replace(&mut item.is_done, true) {
            return;
        }
        if item
            .fields
            .get("status")
            .is_some_and(|old| old == "in_progress")
        {
            item.fields.insert("status".to_owned(), status.into());
        }
        let mut event = Map::new();
        event.insert("output_index".to_owned(), place.into());
        event.insert("item".to_owned(), Value::Object(item.fields.clone()));
        sink.send("response.output_item.done", event);
    }
}
