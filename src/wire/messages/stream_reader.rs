//! A stream as it comes.

use crate::wire::Error;
use crate::wire::conversation::{Delta, Event, Fields, Part, shows_summaries};
use crate::wire::json_events::{JsonEvent, JsonEvents, torn};
use crate::wire::messages::fault::read_fault;
use crate::wire::messages::read_block::part_of_reply;
use crate::wire::messages::reply::invalid;
use crate::wire::messages::stop::read_stop;
use crate::wire::messages::usage::{merge, read_usage};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The most blocks that an answer may have.
const MAX_BLOCKS: usize = 10_000;

/// Reads a stream from bytes as they come; any cut of them gives the same events.
#[derive(Debug, Default)]
pub struct StreamReader {
    events: JsonEvents,
    state: State,
}

impl StreamReader {
    /// Takes `chunk` in and adds what it tells to `out`. What cannot be read is a fault, after which nothing follows.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<Event>) {
        let state = &mut self.state;
        let pushed = self.events.push(chunk, |event| state.take(event, out));
        if let Err(error) = pushed {
            state.is_over = true;
            out.push(Event::Fault(error.into()));
        }
    }

    /// Ends the stream: a fault when it ended before it was complete.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        let state = &mut self.state;
        let finished = self.events.finish(|event| state.take(event, out));
        if state.is_over {
            return;
        }
        state.is_over = true;
        out.push(match finished {
            Ok(Some(fault)) => Event::Fault(fault),
            // Some who imitate the dialect leave the last event out.
            Ok(None) if state.has_stopped => Event::End,
            Ok(None) => Event::Fault(torn().into()),
            Err(error) => Event::Fault(error.into()),
        });
    }
}

#[derive(Debug, Default)]
struct State {
    /// The open blocks by the provider's index.
    open: HashMap<u64, Block>,
    /// How many parts have begun.
    parts: usize,
    usage: Map<String, Value>,
    /// Whether thoughts are summaries.
    is_summary: bool,
    has_stopped: bool,
    is_over: bool,
}

#[derive(Debug)]
struct Block {
    part: usize,
    /// Arguments that came with the block's beginning, as some who imitate the dialect send them; what follows
    /// takes their place.
    early: Option<String>,
}

impl State {
    fn take(&mut self, event: JsonEvent, out: &mut Vec<Event>) -> Result<(), Error> {
        if self.is_over {
            return Ok(());
        }
        let mut fields = Fields::new(String::new(), event.data);
        let Some(kind) = fields.text("type").or(event.name) else {
            if fields.peek("error").is_some() {
                self.fail(&fields.into_rest(), out);
                return Ok(());
            }
            return Err(invalid("has an event without a type".to_owned()));
        };
        match kind.as_str() {
            "message_start" => self.start(&mut fields, out),
            "content_block_start" => self.begin(&mut fields, out)?,
            "content_block_delta" => self.go_on(&mut fields, out),
            "content_block_stop" => self.end(&mut fields, out),
            "message_delta" => self.stop(&mut fields, out),
            "message_stop" => {
                self.is_over = true;
                out.push(Event::End);
            }
            "ping" => out.push(Event::Ping),
            "error" => self.fail(&fields.into_rest(), out),
            _ => out.push(Event::Foreign {
                name: kind,
                value: fields.into_rest().into(),
            }),
        }
        Ok(())
    }

    fn start(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        let mut message = match fields.inner("message") {
            Some(message) => message,
            None => Fields::new(String::new(), Map::new()),
        };
        let model = message.text("model").unwrap_or_default();
        self.is_summary = shows_summaries(&model);
        out.push(Event::Start {
            id: message.text("id").unwrap_or_default(),
            model,
            created: None,
        });
        if let Some(usage) = message.inner("usage") {
            self.count(usage.into_rest(), out);
        }
    }

    fn count(&mut self, usage: Map<String, Value>, out: &mut Vec<Event>) {
        merge(&mut self.usage, usage);
        if let Some(usage) = read_usage(&self.usage) {
            out.push(Event::Usage {
                usage,
                reported: Value::Object(self.usage.clone()),
            });
        }
    }

    fn begin(&mut self, fields: &mut Fields, out: &mut Vec<Event>) -> Result<(), Error> {
        let index = fields.count("index").unwrap_or_default();
        let block = fields.take("content_block").unwrap_or_default();
        let part = self.parts;
        self.parts += 1;
        if MAX_BLOCKS < self.parts {
            return Err(invalid(format!("has more than {MAX_BLOCKS} blocks")));
        }
        let mut content = part_of_reply(format!("content[{part}]"), block, None)
            .map_err(|error| invalid(format!("has an odd block: {error}")))?
            .summarized(self.is_summary);
        let mut early = None;
        match &mut content {
            Part::ToolCall(call) => {
                let arguments = std::mem::take(&mut call.arguments);
                early = (!matches!(arguments.as_str(), "{}" | "\"\"")).then_some(arguments);
            }
            // The text of thoughts may yet come.
            Part::Reasoning {
                texts,
                is_redacted: false,
                ..
            } => texts.retain(|text| !text.is_empty()),
            _ => {}
        }
        self.open.insert(index, Block { part, early });
        out.push(Event::PartStart {
            choice: 0,
            part,
            content,
        });
        Ok(())
    }

    fn go_on(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        let index = fields.count("index").unwrap_or_default();
        let delta = fields.take("delta").unwrap_or_default();
        let text = |key: &str| {
            let text = delta.get(key).and_then(Value::as_str);
            text.map(ToOwned::to_owned).filter(|text| !text.is_empty())
        };
        let kind = delta.get("type").and_then(Value::as_str);
        let read = match kind.unwrap_or_default() {
            "text_delta" => text("text").map(Delta::Text),
            "input_json_delta" => text("partial_json").map(Delta::Arguments),
            "thinking_delta" => text("thinking").map(|added| Delta::Reasoning { text: 0, added }),
            "signature_delta" => text("signature").map(Delta::Signature),
            "citations_delta" => delta.get("citation").cloned().map(Delta::Citation),
            other => {
                out.push(Event::Foreign {
                    name: other.to_owned(),
                    value: delta,
                });
                return;
            }
        };
        let (Some(read), Some(block)) = (read, self.open.get_mut(&index)) else {
            return;
        };
        if matches!(read, Delta::Arguments(_)) {
            block.early = None;
        }
        out.push(Event::PartDelta {
            choice: 0,
            part: block.part,
            delta: read,
        });
    }

    fn end(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        let index = fields.count("index").unwrap_or_default();
        if let Some(block) = self.open.remove(&index) {
            close(block, out);
        }
    }

    fn stop(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        if let Some(usage) = fields.inner("usage") {
            self.count(usage.into_rest(), out);
        }
        let Some(mut delta) = fields.inner("delta") else {
            return;
        };
        let sequence = delta.text("stop_sequence");
        let reason = delta.text("stop_reason");
        for (key, value) in delta.into_rest() {
            out.push(Event::Foreign {
                name: format!("message_delta.{key}"),
                value,
            });
        }
        let Some(reason) = reason.filter(|_| !self.has_stopped) else {
            return;
        };
        let mut open: Vec<Block> = self.open.drain().map(|(_, block)| block).collect();
        open.sort_by_key(|block| block.part);
        for block in open {
            close(block, out);
        }
        self.has_stopped = true;
        out.push(Event::Stop {
            choice: 0,
            reason: read_stop(&reason, sequence),
        });
    }

    fn fail(&mut self, rest: &Map<String, Value>, out: &mut Vec<Event>) {
        self.is_over = true;
        let text = serde_json::to_string(rest).unwrap_or_default();
        out.push(Event::Fault(read_fault(200, None, text.as_bytes())));
    }
}

fn close(block: Block, out: &mut Vec<Event>) {
    let part = block.part;
    if let Some(arguments) = block.early {
        out.push(Event::PartDelta {
            choice: 0,
            part,
            delta: Delta::Arguments(arguments),
        });
    }
    out.push(Event::PartEnd { choice: 0, part });
}
