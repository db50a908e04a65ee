//! The items of a streamed response, read.

use crate::wire::chat::Said;
use crate::wire::conversation::{Delta, Event, Fields, Part, ToolCall, ToolKind};
use crate::wire::openai::ProviderFault;
use crate::wire::openai::frames::too_many;
use crate::wire::openai::shared::says_something;
use crate::wire::responses::item::{Item, read_item};
use crate::wire::responses::read_reply::generated_image;
use serde_json::{Value, json};

/// The most parts that one response may have.
const MAX_PARTS: usize = 4096;

/// What an open part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Refusal,
    Reasoning,
    Call,
}

/// A part that has begun.
#[derive(Debug)]
struct Slot {
    /// The item's place in the output.
    output: u64,
    /// The part's place in a message.
    content: u64,
    part: usize,
    kind: Kind,
    /// Whether anything of it has been told, so that its end must not tell it again.
    has_content: bool,
    is_open: bool,
}

/// The parts so far.
#[derive(Debug, Default)]
pub(super) struct Items {
    slots: Vec<Slot>,
    next: usize,
    /// What decides why the response ended.
    pub(super) said: Said,
}

type Done = Result<(), ProviderFault>;

impl Items {
    /// Reads the event `name` (`kind` with its prefix).
    ///
    /// # Errors
    ///
    /// When there are too many parts.
    pub(super) fn read(
        &mut self,
        name: &str,
        kind: &str,
        mut fields: Fields,
        out: &mut Vec<Event>,
    ) -> Done {
        let output = fields.peek("output_index").and_then(Value::as_u64);
        let content = fields.peek("content_index").and_then(Value::as_u64);
        let (output, content) = (output.unwrap_or(0), content.unwrap_or(0));
        let at = (output, content);
        match name {
            "output_item.added" => self.added(output, &mut fields, out),
            "output_item.done" => self.done(output, &mut fields, out),
            "content_part.added" => self.part_added(at, &fields, out),
            "content_part.done" => {
                self.part_done(at, &mut fields, out)?;
                self.close(at, out);
                Ok(())
            }
            "output_text.delta" => {
                self.tell(at, Kind::Text, fields.text("delta"), Delta::Text, out)?;
                self.log_probs(at, &mut fields, out)
            }
            "output_text.done" => self.late(at, Kind::Text, fields.text("text"), Delta::Text, out),
            "output_text.annotation.added" => {
                let Some(citation) = fields.take("annotation") else {
                    return Ok(());
                };
                let part = self.slot(at, Kind::Text, out)?.part;
                push_delta(part, Delta::Citation(citation), out);
                Ok(())
            }
            "refusal.delta" => {
                let text = fields.text("delta");
                self.tell(at, Kind::Refusal, text, Delta::Refusal, out)
            }
            "refusal.done" => {
                let text = fields.text("refusal");
                self.late(at, Kind::Refusal, text, Delta::Refusal, out)
            }
            "function_call_arguments.delta" | "custom_tool_call_input.delta" => {
                let added = fields.text("delta");
                self.tell((output, 0), Kind::Call, added, Delta::Arguments, out)
            }
            "function_call_arguments.done" | "custom_tool_call_input.done" => {
                let all = fields.text("arguments").or_else(|| fields.text("input"));
                self.late((output, 0), Kind::Call, all, Delta::Arguments, out)
            }
            _ => self.thoughts(name, kind, output, fields, out),
        }
    }

    /// Reads an event about thoughts, and keeps any other as it is.
    fn thoughts(
        &mut self,
        name: &str,
        kind: &str,
        output: u64,
        mut fields: Fields,
        out: &mut Vec<Event>,
    ) -> Done {
        let is_summary = name.starts_with("reasoning_summary");
        let index = if is_summary {
            "summary_index"
        } else {
            "content_index"
        };
        let place = fields.peek(index).and_then(Value::as_u64).unwrap_or(0);
        let text = usize::try_from(place).unwrap_or(usize::MAX);
        let delta = |added| Delta::Reasoning { text, added };
        let (added, is_late) = match name {
            "reasoning_summary_text.delta" | "reasoning_text.delta" => {
                (fields.text("delta"), false)
            }
            "reasoning_summary_text.done" | "reasoning_text.done" => (fields.text("text"), true),
            // Their texts say it all.
            "reasoning_summary_part.added" | "reasoning_summary_part.done" => return Ok(()),
            _ => {
                out.push(Event::Foreign {
                    name: kind.to_owned(),
                    value: Value::Object(fields.into_rest()),
                });
                return Ok(());
            }
        };
        let at = (output, 0);
        if self.find(at, Kind::Reasoning).is_none() {
            let thoughts = Part::Reasoning {
                id: fields.text("item_id"),
                texts: Vec::new(),
                is_summary,
                signature: None,
                is_redacted: false,
            };
            self.begin(at, Kind::Reasoning, thoughts, out)?;
        }
        if is_late {
            self.late(at, Kind::Reasoning, added, delta, out)
        } else {
            self.tell(at, Kind::Reasoning, added, delta, out)
        }
    }

    /// Reads the output of a whole response, where nothing of it came before, and ends every part.
    pub(super) fn finish(&mut self, output: Vec<Value>, out: &mut Vec<Event>) {
        if self.slots.is_empty() && self.next == 0 {
            for (place, item) in (0..).zip(output) {
                self.whole_item(place, item, out);
            }
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.is_open) {
            slot.is_open = false;
            out.push(Event::PartEnd {
                choice: 0,
                part: slot.part,
            });
        }
    }

    fn find(&mut self, at: (u64, u64), kind: Kind) -> Option<&mut Slot> {
        let fits = |slot: &&mut Slot| (slot.output, slot.content) == at && slot.kind == kind;
        self.slots.iter_mut().rev().find(fits)
    }

    fn begin(
        &mut self,
        (output, content): (u64, u64),
        kind: Kind,
        start: Part,
        out: &mut Vec<Event>,
    ) -> Done {
        if MAX_PARTS <= self.slots.len() {
            return Err(too_many("parts", MAX_PARTS));
        }
        self.said.calls |= kind == Kind::Call;
        self.said.refuses |= kind == Kind::Refusal;
        let part = self.next;
        self.next += 1;
        self.slots.push(Slot {
            output,
            content,
            part,
            kind,
            has_content: false,
            is_open: true,
        });
        out.push(Event::PartStart {
            choice: 0,
            part,
            content: start,
        });
        Ok(())
    }

    /// Returns the part of this kind, a new one if need be.
    fn slot(
        &mut self,
        at: (u64, u64),
        kind: Kind,
        out: &mut Vec<Event>,
    ) -> Result<&mut Slot, ProviderFault> {
        if self.find(at, kind).is_none() {
            self.begin(at, kind, empty(kind, at.0), out)?;
        }
        self.find(at, kind)
            .ok_or_else(|| too_many("parts", MAX_PARTS))
    }

    fn tell(
        &mut self,
        at: (u64, u64),
        kind: Kind,
        added: Option<String>,
        delta: impl FnOnce(String) -> Delta,
        out: &mut Vec<Event>,
    ) -> Done {
        let Some(added) = added.filter(|added| !added.is_empty()) else {
            return Ok(());
        };
        let slot = self.slot(at, kind, out)?;
        slot.has_content = true;
        push_delta(slot.part, delta(added), out);
        Ok(())
    }

    /// Tells what should have come in pieces and did not.
    fn late(
        &mut self,
        at: (u64, u64),
        kind: Kind,
        all: Option<String>,
        delta: impl FnOnce(String) -> Delta,
        out: &mut Vec<Event>,
    ) -> Done {
        if self.find(at, kind).is_some_and(|slot| slot.has_content) {
            return Ok(());
        }
        self.tell(at, kind, all, delta, out)
    }

    fn close(&mut self, at: (u64, u64), out: &mut Vec<Event>) {
        let fits = |slot: &&mut Slot| (slot.output, slot.content) == at && slot.is_open;
        for slot in self.slots.iter_mut().filter(fits) {
            slot.is_open = false;
            let part = slot.part;
            out.push(Event::PartEnd { choice: 0, part });
        }
    }

    fn added(&mut self, output: u64, fields: &mut Fields, out: &mut Vec<Event>) -> Done {
        let Some(item) = fields.take("item") else {
            return Ok(());
        };
        let path = format!("output[{output}]");
        if let Ok(Item::Part(Part::ToolCall(mut call))) = read_item(path, item) {
            call.arguments.clear();
            return self.begin((output, 0), Kind::Call, Part::ToolCall(call), out);
        }
        Ok(())
    }

    fn part_added(&mut self, at: (u64, u64), fields: &Fields, out: &mut Vec<Event>) -> Done {
        let kind = match part_type(fields) {
            Some("output_text") => Kind::Text,
            Some("refusal") => Kind::Refusal,
            _ => return Ok(()),
        };
        self.slot(at, kind, out).map(|_| ())
    }

    fn part_done(&mut self, at: (u64, u64), fields: &mut Fields, out: &mut Vec<Event>) -> Done {
        let kind = part_type(fields).map(str::to_owned);
        let Some(mut part) = fields.inner("part") else {
            return Ok(());
        };
        match kind.as_deref() {
            Some("output_text") => self.late(at, Kind::Text, part.text("text"), Delta::Text, out),
            Some("refusal") => {
                let text = part.text("refusal");
                self.late(at, Kind::Refusal, text, Delta::Refusal, out)
            }
            _ => Ok(()),
        }
    }

    fn log_probs(&mut self, at: (u64, u64), fields: &mut Fields, out: &mut Vec<Event>) -> Done {
        if let Some(tokens) = fields.take_if("logprobs", says_something) {
            let part = self.slot(at, Kind::Text, out)?.part;
            push_delta(part, Delta::LogProbs(json!({"content": tokens})), out);
        }
        Ok(())
    }

    fn done(&mut self, output: u64, fields: &mut Fields, out: &mut Vec<Event>) -> Done {
        let Some(item) = fields.take("item") else {
            return Ok(());
        };
        let slot = self.slots.iter().rev().find(|slot| slot.output == output);
        let Some(kind) = slot.map(|slot| slot.kind) else {
            self.whole_item(output, item, out);
            return Ok(());
        };
        if matches!(kind, Kind::Text | Kind::Refusal) {
            let of_item = |slot: &&Slot| slot.output == output && slot.is_open;
            let contents = self.slots.iter().filter(of_item).map(|slot| slot.content);
            for content in contents.collect::<Vec<u64>>() {
                self.close((output, content), out);
            }
            return Ok(());
        }
        let at = (output, 0);
        match read_item(format!("output[{output}]"), item) {
            Ok(Item::Part(Part::ToolCall(call))) => {
                let arguments = Some(call.arguments);
                self.late(at, kind, arguments, Delta::Arguments, out)?;
            }
            Ok(Item::Part(Part::Reasoning {
                texts, signature, ..
            })) => {
                if !self.find(at, kind).is_some_and(|slot| slot.has_content) {
                    for (text, added) in texts.into_iter().enumerate() {
                        let delta = |added| Delta::Reasoning { text, added };
                        self.tell(at, kind, Some(added), delta, out)?;
                    }
                }
                self.tell(at, kind, signature, Delta::Signature, out)?;
            }
            _ => {}
        }
        self.close(at, out);
        Ok(())
    }

    /// Tells an item that comes as a whole.
    fn whole_item(&mut self, output: u64, item: Value, out: &mut Vec<Event>) {
        let name = format!("output[{output}]");
        if let Some(image) = generated_image(&item) {
            return self.whole(image, out);
        }
        match read_item(name.clone(), item.clone()) {
            Ok(Item::Message { parts, .. }) => {
                for part in parts {
                    self.said.refuses |= matches!(part, Part::Refusal(_));
                    self.whole(part, out);
                }
            }
            Ok(Item::Part(part)) => {
                self.said.calls |= matches!(part, Part::ToolCall(_));
                self.whole(part, out);
            }
            Ok(Item::Foreign(_) | Item::Result(_)) | Err(_) => {
                self.whole(Part::Foreign { name, value: item }, out);
            }
        }
    }

    fn whole(&mut self, content: Part, out: &mut Vec<Event>) {
        let part = self.next;
        self.next += 1;
        let choice = 0;
        out.push(Event::PartStart {
            choice,
            part,
            content,
        });
        out.push(Event::PartEnd { choice, part });
    }
}

fn part_type(fields: &Fields) -> Option<&str> {
    fields.peek("part")?.get("type")?.as_str()
}

fn push_delta(part: usize, delta: Delta, out: &mut Vec<Event>) {
    out.push(Event::PartDelta {
        choice: 0,
        part,
        delta,
    });
}

/// Returns a part that says nothing yet, of an item whose beginning did not come.
fn empty(kind: Kind, output: u64) -> Part {
    match kind {
        Kind::Text => Part::plain(String::new()),
        Kind::Refusal => Part::Refusal(String::new()),
        Kind::Reasoning => Part::Reasoning {
            id: None,
            texts: Vec::new(),
            is_summary: false,
            signature: None,
            is_redacted: false,
        },
        Kind::Call => Part::ToolCall(ToolCall {
            id: format!("call_{output}"),
            item_id: None,
            name: String::new(),
            arguments: String::new(),
            kind: ToolKind::Function,
            signature: None,
            cache: None,
        }),
    }
}
