//! The answer that a stream of events amounts to so far.

use crate::wire::conversation::event::{Delta, Event};
use crate::wire::conversation::part::{Media, Part};
use crate::wire::conversation::reply::{Choice, Reply};
use serde_json::{Map, Value};

/// The most answers, and the most parts of one, that are put together; what is beyond is not kept.
const MOST: usize = 4096;

/// Puts the events of a stream together to the answer they tell.
#[derive(Debug, Default)]
pub struct Assembly {
    reply: Reply,
    has_content: bool,
    text_bytes: usize,
}

impl Assembly {
    /// Takes in an event.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Start { id, model, created } => {
                self.reply.id.clone_from(id);
                self.reply.model.clone_from(model);
                self.reply.created = *created;
            }
            Event::PartStart {
                choice,
                part,
                content,
            } => {
                self.has_content |= is_content(content);
                self.text_bytes += text_of(content).len();
                if let Some(place) = self.place(*choice, *part) {
                    *place = content.clone();
                }
            }
            Event::PartDelta {
                choice,
                part,
                delta,
            } => self.add_delta(*choice, *part, delta),
            Event::Usage { usage, reported } => {
                self.reply.usage = Some(*usage);
                self.reply.usage_reported = Some(reported.clone());
            }
            Event::Stop { choice, reason } => {
                self.has_content = true;
                if let Some(choice) = self.choice(*choice) {
                    choice.stop = Some(reason.clone());
                }
            }
            Event::PartEnd { .. }
            | Event::Ping
            | Event::Foreign { .. }
            | Event::Fault(_)
            | Event::End => {}
        }
    }

    /// Returns the answer so far.
    #[must_use]
    pub const fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Whether real content has come: text, thoughts, a refusal, a tool call, sound, or an end.
    #[must_use]
    pub const fn has_content(&self) -> bool {
        self.has_content
    }

    /// Whether an answer has said why it ended.
    #[must_use]
    pub fn saw_stop(&self) -> bool {
        self.reply
            .choices
            .iter()
            .any(|choice| choice.stop.is_some())
    }

    /// Returns how many bytes of text came so far.
    #[must_use]
    pub const fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    fn choice(&mut self, choice: usize) -> Option<&mut Choice> {
        let choices = &mut self.reply.choices;
        if choices.len() <= choice && choice < MOST {
            choices.resize_with(choice + 1, Choice::default);
        }
        choices.get_mut(choice)
    }

    fn place(&mut self, choice: usize, part: usize) -> Option<&mut Part> {
        let parts = &mut self.choice(choice)?.parts;
        if parts.len() <= part && part < MOST {
            parts.resize_with(part + 1, || text(String::new()));
        }
        parts.get_mut(part)
    }

    fn add_delta(&mut self, choice: usize, part: usize, delta: &Delta) {
        if let Delta::LogProbs(log_probs) = delta {
            if let Some(choice) = self.choice(choice) {
                add_log_probs(&mut choice.log_probs, log_probs);
            }
            return;
        }
        self.has_content |= !matches!(delta, Delta::Signature(_));
        self.text_bytes += match delta {
            Delta::Text(added)
            | Delta::Reasoning { added, .. }
            | Delta::Arguments(added)
            | Delta::Refusal(added)
            | Delta::Signature(added) => added.len(),
            Delta::Audio { transcript, .. } => transcript.len(),
            Delta::Citation(_) | Delta::LogProbs(_) => 0,
        };
        if let Some(place) = self.place(choice, part) {
            extend(place, delta);
        }
    }
}

/// Adds `delta` to `part`; one that does not fit its part is not kept.
fn extend(part: &mut Part, delta: &Delta) {
    match (part, delta) {
        (Part::Text { text, .. }, Delta::Text(added)) => text.push_str(added),
        (Part::Text { citations, .. }, Delta::Citation(citation)) => {
            citations.push(citation.clone());
        }
        (Part::Refusal(text), Delta::Refusal(added)) => text.push_str(added),
        (Part::Reasoning { texts, .. }, Delta::Reasoning { text, added }) => {
            if texts.len() <= *text && *text < MOST {
                texts.resize_with(text + 1, String::new);
            }
            if let Some(text) = texts.get_mut(*text) {
                text.push_str(added);
            }
        }
        (Part::Reasoning { signature, .. }, Delta::Signature(added)) => {
            signature.get_or_insert_default().push_str(added);
        }
        (Part::ToolCall(call), Delta::Signature(added)) => {
            call.signature.get_or_insert_default().push_str(added);
        }
        (Part::ToolCall(call), Delta::Arguments(added)) => call.arguments.push_str(added),
        (
            Part::Audio {
                source, transcript, ..
            },
            Delta::Audio {
                data,
                transcript: said,
            },
        ) => {
            if let Media::Inline { data: kept, .. } = source {
                kept.push_str(data);
            }
            if !said.is_empty() {
                transcript.get_or_insert_default().push_str(said);
            }
        }
        _ => {}
    }
}

/// Joins the lists of two objects of log probabilities.
fn add_log_probs(kept: &mut Option<Value>, added: &Value) {
    let Some(Value::Object(kept)) = kept else {
        *kept = Some(added.clone());
        return;
    };
    for (key, value) in added.as_object().into_iter().flat_map(Map::iter) {
        match (kept.get_mut(key), value) {
            (Some(Value::Array(kept)), Value::Array(added)) => kept.extend(added.iter().cloned()),
            (_, value) => {
                kept.insert(key.clone(), value.clone());
            }
        }
    }
}

const fn text(text: String) -> Part {
    Part::Text {
        text,
        citations: Vec::new(),
        cache: None,
    }
}

/// Whether the beginning of a part is something the client waits for.
fn is_content(part: &Part) -> bool {
    match part {
        Part::ToolCall(_) | Part::Foreign { .. } => true,
        part => !text_of(part).is_empty(),
    }
}

/// Returns everything that a part says: text, thoughts, arguments. For counting tokens.
#[must_use]
pub fn text_of(part: &Part) -> String {
    match part {
        Part::Text { text, .. } | Part::Refusal(text) => text.clone(),
        Part::Reasoning { texts, .. } => texts.concat(),
        Part::ToolCall(call) => format!("{}{}", call.name, call.arguments),
        Part::ToolResult(result) => result.parts.iter().map(text_of).collect(),
        Part::Audio { transcript, .. } => transcript.clone().unwrap_or_default(),
        Part::Document {
            source: Media::Text(text),
            ..
        } => text.clone(),
        Part::Image { .. } | Part::Document { .. } | Part::Foreign { .. } => String::new(),
    }
}

/// Returns everything that an answer says, for counting tokens.
#[must_use]
pub fn said_in(reply: &Reply) -> String {
    let parts = reply.choices.iter().flat_map(|choice| &choice.parts);
    parts.map(text_of).collect()
}

#[cfg(test)]
mod tests {
    use super::{Assembly, said_in};
    use crate::wire::conversation::{Delta, Event, Part, StopReason, ToolCall, ToolKind};

    fn tool(id: &str) -> Part {
        Part::ToolCall(ToolCall {
            id: id.to_owned(),
            item_id: None,
            name: "f".to_owned(),
            arguments: String::new(),
            kind: ToolKind::Function,
            signature: None,
            cache: None,
        })
    }

    #[test]
    fn parts_that_come_in_turns_are_put_together() {
        let mut assembly = Assembly::default();
        let start = |part, content| Event::PartStart {
            choice: 0,
            part,
            content,
        };
        let delta = |part, text: &str| Event::PartDelta {
            choice: 0,
            part,
            delta: Delta::Arguments(text.to_owned()),
        };
        for event in [
            start(0, tool("a")),
            delta(0, "{\"x\""),
            start(1, tool("b")),
            delta(1, "{}"),
            delta(0, ":1}"),
        ] {
            assembly.add(&event);
        }
        assert!(assembly.has_content() && !assembly.saw_stop());
        assembly.add(&Event::Stop {
            choice: 0,
            reason: StopReason::ToolUse,
        });
        assert!(assembly.saw_stop());
        assert_eq!(said_in(assembly.reply()), "f{\"x\":1}f{}");
    }

    #[test]
    fn a_place_far_away_takes_no_memory() {
        let mut assembly = Assembly::default();
        assembly.add(&Event::PartStart {
            choice: usize::MAX,
            part: usize::MAX,
            content: tool("a"),
        });
        assert!(assembly.reply().choices.is_empty());
    }
}
