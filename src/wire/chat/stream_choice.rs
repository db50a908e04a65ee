//! One answer of a streamed chat completion, read.

use crate::wire::chat::part::{UNKNOWN_AUDIO, read_part, reasoning};
use crate::wire::chat::stop::{Said, read_stop};
use crate::wire::chat::stream_calls::Calls;
use crate::wire::conversation::{Delta, Event, Fields, Media, Part, StopReason};
use crate::wire::openai::ProviderFault;
use crate::wire::openai::shared::says_something;
use serde_json::Value;

/// Which part is being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Refusal,
    Audio,
}

/// An answer so far.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) index: usize,
    /// The number of the next part.
    next: usize,
    open: Option<(Kind, usize)>,
    calls: Calls,
    pub(super) said: Said,
    /// Whether the open thoughts came as plain text, so that details of them only add their proof.
    has_plain_thoughts: bool,
    pub(super) has_stopped: bool,
}

impl Choice {
    /// Returns an answer that says nothing yet.
    pub(super) fn new(index: usize) -> Self {
        Self {
            index,
            ..Self::default()
        }
    }

    /// Reads what a chunk says of this answer.
    ///
    /// # Errors
    ///
    /// When there are too many calls of tools.
    pub(super) fn add(
        &mut self,
        reply: &str,
        mut fields: Fields,
        out: &mut Vec<Event>,
    ) -> Result<(), ProviderFault> {
        if self.has_stopped {
            return Ok(());
        }
        let delta = fields.inner("delta").or_else(|| fields.inner("message"));
        if let Some(delta) = delta {
            self.delta(reply, delta, out)?;
        }
        if let Some(log_probs) = fields.take("logprobs") {
            self.log_probs(log_probs, out);
        }
        let matched = fields.take("stop_reason");
        let native = fields.text("native_finish_reason");
        let reason = fields.text("finish_reason");
        self.foreign("", fields, out);
        if let Some(reason) = reason.filter(|reason| !reason.is_empty()) {
            let reason = read_stop(&reason, matched.as_ref(), native.as_deref(), self.said);
            self.stop(reply, reason, out);
        }
        Ok(())
    }

    /// Tells fields that have no place.
    fn foreign(&self, inside: &str, fields: Fields, out: &mut Vec<Event>) {
        for (key, value) in fields.into_rest() {
            if says_something(&value) {
                let name = format!("choices[{}].{inside}{key}", self.index);
                out.push(Event::Foreign { name, value });
            }
        }
    }

    /// Ends all parts and the answer.
    pub(super) fn stop(&mut self, reply: &str, reason: StopReason, out: &mut Vec<Event>) {
        self.has_stopped = true;
        self.close(out);
        self.calls.finish(reply, self.index, &mut self.next, out);
        out.push(Event::Stop {
            choice: self.index,
            reason,
        });
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        self.has_plain_thoughts = false;
        if let Some((_, part)) = self.open.take() {
            out.push(Event::PartEnd {
                choice: self.index,
                part,
            });
        }
    }

    /// Begins a part, and returns its number.
    fn begin(&mut self, content: Part, out: &mut Vec<Event>) -> usize {
        self.close(out);
        let part = self.next;
        self.next += 1;
        out.push(Event::PartStart {
            choice: self.index,
            part,
            content,
        });
        part
    }

    /// Adds to the part of this kind that is being told, or to a new one.
    fn tell(&mut self, kind: Kind, delta: Delta, out: &mut Vec<Event>) {
        let open = self.open.filter(|(open, _)| *open == kind);
        let part = match open {
            Some((_, part)) => part,
            None => {
                let part = self.begin(empty(kind), out);
                self.open = Some((kind, part));
                part
            }
        };
        out.push(Event::PartDelta {
            choice: self.index,
            part,
            delta,
        });
    }

    /// Tells a part that came as a whole.
    fn whole(&mut self, content: Part, out: &mut Vec<Event>) {
        let part = self.begin(content, out);
        out.push(Event::PartEnd {
            choice: self.index,
            part,
        });
    }

    fn delta(
        &mut self,
        reply: &str,
        mut fields: Fields,
        out: &mut Vec<Event>,
    ) -> Result<(), ProviderFault> {
        fields.take("role");
        self.thoughts(&mut fields, out);
        self.content(&mut fields, out);
        if let Some(text) = fields.text("refusal").filter(|text| !text.is_empty()) {
            self.said.refuses = true;
            self.tell(Kind::Refusal, Delta::Refusal(text), out);
        }
        for citation in fields.elements("annotations") {
            self.tell(Kind::Text, Delta::Citation(citation), out);
        }
        for image in fields.elements("images") {
            let path = format!("choices[{}].message.images", self.index);
            if let Ok(image @ Part::Image { .. }) = read_part(path.clone(), image.clone()) {
                self.whole(image, out);
            } else {
                out.push(Event::Foreign {
                    name: path,
                    value: image,
                });
            }
        }
        if let Some(audio) = fields.inner("audio") {
            self.audio(audio, out);
        }
        let mut calls = fields.elements("tool_calls");
        if let Some(function) = fields.take_if("function_call", Value::is_object) {
            calls.push(serde_json::json!({"index": 0, "function": function}));
        }
        for call in calls {
            self.close(out);
            self.said.calls = true;
            self.calls
                .add(reply, self.index, &mut self.next, call, out)?;
        }
        self.foreign("message.", fields, out);
        Ok(())
    }

    fn content(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        let parts = match fields.take("content") {
            Some(Value::String(text)) if !text.is_empty() => {
                return self.tell(Kind::Text, Delta::Text(text), out);
            }
            Some(Value::Array(parts)) => parts,
            _ => return,
        };
        for (place, part) in parts.into_iter().enumerate() {
            let path = format!("choices[{}].message.content[{place}]", self.index);
            match read_part(path.clone(), part.clone()) {
                Ok(Part::Text { text, .. }) => self.tell(Kind::Text, Delta::Text(text), out),
                Ok(Part::Reasoning { texts, .. }) => {
                    for added in texts {
                        let delta = Delta::Reasoning { text: 0, added };
                        self.tell(Kind::Reasoning, delta, out);
                    }
                }
                Ok(Part::Foreign { name, value }) => out.push(Event::Foreign { name, value }),
                Ok(part) => self.whole(part, out),
                Err(_) => out.push(Event::Foreign {
                    name: path,
                    value: part,
                }),
            }
        }
    }

    fn thoughts(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        let details = match fields.take_if("reasoning_details", Value::is_array) {
            Some(Value::Array(details)) => details,
            _ => Vec::new(),
        };
        let plain = ["reasoning_content", "reasoning"].map(|name| {
            let text = fields.take_if(name, Value::is_string)?;
            text.as_str().map(str::to_owned)
        });
        let has_details = !details.is_empty();
        for detail in details {
            self.detail(&detail, out);
        }
        let plain = plain.into_iter().flatten().find(|text| !text.is_empty());
        if let Some(added) = plain.filter(|_| !has_details) {
            let delta = Delta::Reasoning { text: 0, added };
            self.tell(Kind::Reasoning, delta, out);
            self.has_plain_thoughts = true;
        }
    }

    /// Reads a piece of OpenRouter's `reasoning_details`.
    fn detail(&mut self, detail: &Value, out: &mut Vec<Event>) {
        let text = |key: &str| {
            let text = detail.get(key).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        if let Some(data) = text("data") {
            return self.whole(
                Part::Reasoning {
                    id: text("id"),
                    texts: Vec::new(),
                    is_summary: false,
                    signature: Some(data),
                    is_redacted: true,
                },
                out,
            );
        }
        let is_summary = text("summary").is_some();
        let is_open = self.open.is_some_and(|(kind, _)| kind == Kind::Reasoning);
        if is_summary && !is_open {
            let part = self.begin(reasoning(Vec::new(), true, None, false), out);
            self.open = Some((Kind::Reasoning, part));
        }
        let added = text("text").or_else(|| text("summary"));
        if let Some(added) = added.filter(|_| !self.has_plain_thoughts) {
            let delta = Delta::Reasoning { text: 0, added };
            self.tell(Kind::Reasoning, delta, out);
        }
        if let Some(signature) = text("signature") {
            self.tell(Kind::Reasoning, Delta::Signature(signature), out);
        }
    }

    fn audio(&mut self, mut fields: Fields, out: &mut Vec<Event>) {
        let id = fields.text("id");
        let data = fields.text("data").unwrap_or_default();
        let transcript = fields.text("transcript").unwrap_or_default();
        if let Some(id) = id.filter(|_| self.open.is_none_or(|(kind, _)| kind != Kind::Audio)) {
            let mut audio = empty(Kind::Audio);
            if let Part::Audio { id: place, .. } = &mut audio {
                *place = Some(id);
            }
            let part = self.begin(audio, out);
            self.open = Some((Kind::Audio, part));
        }
        if !data.is_empty() || !transcript.is_empty() {
            self.tell(Kind::Audio, Delta::Audio { data, transcript }, out);
        }
        self.foreign("message.audio.", fields, out);
    }

    fn log_probs(&mut self, log_probs: Value, out: &mut Vec<Event>) {
        let lists = log_probs.as_object().map(|lists| lists.values());
        if !lists.is_some_and(|mut lists| lists.any(says_something)) {
            return;
        }
        let kind = match self.open {
            Some((Kind::Refusal, _)) => Kind::Refusal,
            _ => Kind::Text,
        };
        self.tell(kind, Delta::LogProbs(log_probs), out);
    }
}

/// Returns a part of this kind that says nothing yet.
fn empty(kind: Kind) -> Part {
    match kind {
        Kind::Text => Part::plain(String::new()),
        Kind::Reasoning => reasoning(Vec::new(), false, None, false),
        Kind::Refusal => Part::Refusal(String::new()),
        Kind::Audio => Part::Audio {
            source: Media::Inline {
                media_type: UNKNOWN_AUDIO.to_owned(),
                data: String::new(),
            },
            format: String::new(),
            transcript: None,
            id: None,
        },
    }
}
