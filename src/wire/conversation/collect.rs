//! The events of a stream put together to the answer that they tell.

use crate::wire::conversation::Dialect;
use crate::wire::conversation::event::{Delta, Event};
use crate::wire::conversation::part::Part;
use crate::wire::conversation::reply::{Choice, Reply};
use crate::wire::conversation::said::text_of;
use crate::wire::openai::ProviderFault;
use serde_json::Value;
use std::collections::HashMap;

/// The most answers and parts of one that are kept.
const MAX_PARTS: usize = 10_000;

/// Puts events together.
#[derive(Debug, Default)]
pub struct Collector {
    reply: Reply,
    /// Where the part of a choice is.
    places: HashMap<(usize, usize), usize>,
    fault: Option<ProviderFault>,
    is_complete: bool,
    has_content: bool,
}

impl Collector {
    /// Returns a collector of events that were read from `dialect`.
    #[must_use]
    pub fn new(dialect: Dialect) -> Self {
        Self {
            reply: Reply {
                dialect,
                ..Reply::default()
            },
            ..Self::default()
        }
    }

    /// Takes one event in.
    pub fn take(&mut self, event: Event) {
        self.has_content |= is_content(&event);
        match event {
            Event::Start { id, model, created } => {
                self.reply.id = id;
                self.reply.model = model;
                self.reply.created = created;
            }
            Event::PartStart {
                choice,
                part,
                content,
            } => self.begin(choice, part, content),
            Event::PartDelta {
                choice,
                part,
                delta,
            } => self.add(choice, part, delta),
            Event::Usage { usage, reported } => {
                self.reply.usage = Some(usage);
                self.reply.usage_reported = Some(reported);
            }
            Event::Stop { choice, reason } => {
                if let Some(choice) = self.choice(choice) {
                    choice.stop.get_or_insert(reason);
                }
            }
            Event::Foreign { name, value } => {
                self.reply.rest.insert(name, value);
            }
            Event::Fault(fault) => {
                self.fault.get_or_insert(fault);
            }
            Event::End => self.is_complete = true,
            Event::PartEnd { .. } | Event::Ping => {}
        }
    }

    /// Returns what went wrong, if something did.
    #[must_use]
    pub const fn fault(&self) -> Option<&ProviderFault> {
        self.fault.as_ref()
    }

    /// Whether the stream ended as it should.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Whether real content has come: text, thoughts, a refusal, a tool call, sound, or an end.
    #[must_use]
    pub const fn has_content(&self) -> bool {
        self.has_content
    }

    /// Whether an answer has said why it ended.
    #[must_use]
    pub fn saw_stop(&self) -> bool {
        let mut choices = self.reply.choices.iter();
        choices.any(|choice| choice.stop.is_some())
    }

    /// Returns the answer so far.
    #[must_use]
    pub const fn reply(&self) -> &Reply {
        &self.reply
    }

    /// Returns the answer.
    #[must_use]
    pub fn into_reply(self) -> Reply {
        self.reply
    }

    fn choice(&mut self, choice: usize) -> Option<&mut Choice> {
        if MAX_PARTS < choice {
            return None;
        }
        let choices = &mut self.reply.choices;
        while choices.len() <= choice {
            choices.push(Choice::default());
        }
        choices.get_mut(choice)
    }

    fn begin(&mut self, choice: usize, part: usize, content: Part) {
        if let Some(found) = self.choice(choice)
            && found.parts.len() < MAX_PARTS
        {
            let place = found.parts.len();
            found.parts.push(content);
            self.places.insert((choice, part), place);
        }
    }

    fn add(&mut self, choice: usize, part: usize, delta: Delta) {
        if let Delta::LogProbs(more) = delta {
            if let Some(choice) = self.choice(choice) {
                add_log_probs(&mut choice.log_probs, more);
            }
            return;
        }
        let place = self.places.get(&(choice, part)).copied();
        let parts = self.choice(choice).map(|choice| &mut choice.parts);
        if let (Some(place), Some(parts)) = (place, parts)
            && let Some(part) = parts.get_mut(place)
        {
            add_to(part, delta);
        }
    }
}

/// Whether a client waits for what an event brings; that the answer begins is nothing yet.
fn is_content(event: &Event) -> bool {
    match event {
        Event::Stop { .. } => true,
        Event::PartStart { content, .. } => match content {
            Part::ToolCall(_) | Part::Foreign { .. } => true,
            content => !text_of(content).is_empty(),
        },
        Event::PartDelta { delta, .. } => {
            !matches!(delta, Delta::Signature(_) | Delta::LogProbs(_))
        }
        _ => false,
    }
}

fn add_log_probs(sum: &mut Option<Value>, more: Value) {
    match (sum, more) {
        (Some(Value::Object(sum)), Value::Object(more)) => {
            for (key, value) in more {
                match (sum.get_mut(&key), value) {
                    (Some(Value::Array(sum)), Value::Array(more)) => sum.extend(more),
                    (_, value) => {
                        sum.insert(key, value);
                    }
                }
            }
        }
        (sum, more) => *sum = Some(more),
    }
}

fn add_to(part: &mut Part, delta: Delta) {
    match (part, delta) {
        (Part::Text { text, .. }, Delta::Text(added))
        | (Part::Refusal(text), Delta::Refusal(added)) => text.push_str(&added),
        (Part::Text { citations, .. }, Delta::Citation(citation)) => citations.push(citation),
        (Part::Reasoning { texts, .. }, Delta::Reasoning { text, added }) => {
            if text < MAX_PARTS {
                while texts.len() <= text {
                    texts.push(String::new());
                }
            }
            if let Some(text) = texts.get_mut(text) {
                text.push_str(&added);
            }
        }
        (Part::Reasoning { signature, .. }, Delta::Signature(added)) => {
            signature.get_or_insert_default().push_str(&added);
        }
        (Part::ToolCall(call), Delta::Signature(added)) => {
            call.signature.get_or_insert_default().push_str(&added);
        }
        (Part::ToolCall(call), Delta::Arguments(added)) => call.arguments.push_str(&added),
        (
            Part::Audio {
                source: crate::wire::conversation::Media::Inline { data: sum, .. },
                transcript: said,
                ..
            },
            Delta::Audio { data, transcript },
        ) => {
            sum.push_str(&data);
            if !transcript.is_empty() {
                said.get_or_insert_default().push_str(&transcript);
            }
        }
        _ => {}
    }
}
