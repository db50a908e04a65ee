//! Gemini's answers: a whole one has the form of each chunk of a stream, so both are read alike.

use crate::wire::Error;
use crate::wire::conversation::{
    Collector, Delta, Dialect, Event, Fields, Part, Reply, StopReason,
};
use crate::wire::gemini::log_probs;
use crate::wire::gemini::part::{CallPlace, ReadPart, Said, read};
use crate::wire::gemini::usage::read_usage;
use crate::wire::json_events::{JsonEvents, torn};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The most answers of one request.
const MAX_CHOICES: usize = 128;

/// The most parts of an answer.
const MAX_PARTS: usize = 100_000;

/// Reads an answer.
///
/// # Errors
///
/// `upstream_invalid` when it is none, or an error in spite of its good status.
pub fn read_reply(body: &Bytes) -> Result<Reply, Error> {
    let parsed: Result<Map<String, Value>, _> = serde_json::from_slice(body);
    let chunk = parsed.map_err(|error| Error::reply(&error))?;
    if !["candidates", "promptFeedback", "error"]
        .iter()
        .any(|key| chunk.contains_key(*key))
    {
        return Err(invalid("has no `candidates`"));
    }
    let mut state = State::default();
    let mut events = Vec::new();
    state.take(chunk, &mut events)?;
    state.close_all(&mut events);
    let mut collector = Collector::new(Dialect::Gemini);
    for event in events {
        collector.take(event);
    }
    if let Some(fault) = collector.fault() {
        let problem = format!("is an error: {}", fault.message);
        return Err(Error::InvalidReply { problem });
    }
    Ok(collector.into_reply())
}

fn invalid(problem: &str) -> Error {
    Error::InvalidReply {
        problem: problem.to_owned(),
    }
}

/// Reads a stream (`alt=sse`) from bytes as they come; any cut of them gives the same events.
#[derive(Debug, Default)]
pub struct StreamReader {
    events: JsonEvents,
    state: State,
}

impl StreamReader {
    /// Takes `chunk` in and adds what it tells to `out`. What cannot be read is a fault, after which nothing follows.
    pub fn push(&mut self, chunk: &Bytes, out: &mut Vec<Event>) {
        let state = &mut self.state;
        let pushed = self.events.push(chunk, |event| state.take(event.data, out));
        if let Err(error) = pushed {
            state.is_over = true;
            out.push(Event::Fault(error.into()));
        }
    }

    /// Ends the stream. Gemini's have no event for their end: it is reached when every answer has a reason to end, and
    /// anything else is a fault.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        let state = &mut self.state;
        let finished = self.events.finish(|event| state.take(event.data, out));
        if state.is_over {
            return;
        }
        state.is_over = true;
        let stopped = state.choices.values().all(|choice| choice.has_stopped);
        let is_complete = state.is_blocked || (stopped && !state.choices.is_empty());
        out.push(match finished {
            Ok(Some(fault)) => Event::Fault(fault),
            Ok(None) if is_complete => Event::End,
            Ok(None) => Event::Fault(torn().into()),
            Err(error) => Event::Fault(error.into()),
        });
    }
}

#[derive(Debug, Default)]
struct State {
    id: Option<String>,
    choices: BTreeMap<usize, ChoiceState>,
    usage: Option<Value>,
    is_blocked: bool,
    is_over: bool,
}

#[derive(Debug, Default)]
struct ChoiceState {
    /// The open part, and whether it is thoughts.
    open: Option<(usize, bool)>,
    parts: usize,
    calls: usize,
    has_stopped: bool,
}

impl State {
    fn take(&mut self, chunk: Map<String, Value>, out: &mut Vec<Event>) -> Result<(), Error> {
        if self.is_over {
            return Ok(());
        }
        let mut fields = Fields::new(String::new(), chunk);
        if fields.peek("error").is_some() {
            self.is_over = true;
            let text = Value::Object(fields.into_rest()).to_string();
            let fault = super::read_fault(200, None, text.as_bytes());
            out.push(Event::Fault(fault));
            return Ok(());
        }
        self.start(&mut fields, out);
        // Before what was said, so that the tokens that went in are known when the answer begins.
        if let Some(reported) = fields.take("usageMetadata")
            && self.usage.as_ref() != Some(&reported)
            && let Some(usage) = read_usage(&reported)
        {
            self.usage = Some(reported.clone());
            out.push(Event::Usage { usage, reported });
        }
        let candidates = fields.elements("candidates");
        let is_without = candidates.is_empty();
        for (place, candidate) in candidates.into_iter().enumerate() {
            if let Value::Object(map) = candidate {
                self.candidate(place, map, out)?;
            }
        }
        if let Some(feedback) = fields.take("promptFeedback") {
            self.is_blocked |= is_without && feedback.get("blockReason").is_some();
            out.push(Event::Foreign {
                name: "promptFeedback".to_owned(),
                value: feedback,
            });
            if self.is_blocked && self.choices.is_empty() {
                out.push(Event::Stop {
                    choice: 0,
                    reason: StopReason::ContentFilter,
                });
            }
        }
        for (name, value) in fields.into_rest() {
            out.push(Event::Foreign { name, value });
        }
        Ok(())
    }

    fn start(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        let id = fields.text("responseId");
        let model = fields.text("modelVersion");
        let created = fields.text("createTime");
        if self.id.is_some() {
            return;
        }
        let created = created.and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let id = id.unwrap_or_default();
        out.push(Event::Start {
            id: id.clone(),
            model: model.unwrap_or_default(),
            created: created.map(jiff::Timestamp::as_second),
        });
        self.id = Some(id);
    }

    fn candidate(
        &mut self,
        place: usize,
        candidate: Map<String, Value>,
        out: &mut Vec<Event>,
    ) -> Result<(), Error> {
        let mut fields = Fields::new(format!("candidates[{place}]"), candidate);
        let index = fields.count("index");
        let choice = index.map_or(Ok(place), usize::try_from);
        let choice = choice.ok().filter(|choice| *choice < MAX_CHOICES);
        let choice = choice.ok_or_else(|| invalid("has too many candidates"))?;
        let reply = self.id.clone().unwrap_or_default();
        let state = self.choices.entry(choice).or_default();
        let parts = fields
            .inner("content")
            .map(|mut content| content.elements("parts"));
        for (part, value) in parts.unwrap_or_default().into_iter().enumerate() {
            if MAX_PARTS < state.parts {
                return Err(invalid("has too many parts"));
            }
            let name = format!("{}.content.parts[{part}]", fields.here());
            let place = CallPlace {
                reply: &reply,
                choice,
                calls: state.calls,
            };
            state.say(choice, read(&name, value, place), out);
        }
        if let Some(result) = fields.take("logprobsResult")
            && let Some(log_probs) = log_probs::read(&result)
        {
            out.push(Event::PartDelta {
                choice,
                part: state.parts.saturating_sub(1),
                delta: Delta::LogProbs(log_probs),
            });
        }
        if let Some(reason) = fields.text("finishReason") {
            state.stop(choice, &reason, out);
        }
        for (key, value) in fields.into_rest() {
            let name = match choice {
                0 => key,
                choice => format!("candidates[{choice}].{key}"),
            };
            out.push(Event::Foreign { name, value });
        }
        Ok(())
    }

    fn close_all(&mut self, out: &mut Vec<Event>) {
        for (choice, state) in &mut self.choices {
            state.close(*choice, out);
        }
    }
}

impl ChoiceState {
    fn say(&mut self, choice: usize, part: ReadPart, out: &mut Vec<Event>) {
        match part.said {
            Said::Text(text) => {
                if !text.is_empty() {
                    let delta = Delta::Text(text);
                    self.go_on(choice, false, delta, out);
                }
                // The text itself has no place for it: it stands behind it, as hidden thoughts.
                if part.signature.is_some() {
                    self.whole(choice, thoughts(part.signature, true), out);
                }
            }
            Said::Thoughts(added) => {
                if !added.is_empty() {
                    let delta = Delta::Reasoning { text: 0, added };
                    self.go_on(choice, true, delta, out);
                }
                match (part.signature, self.open) {
                    (Some(proof), Some((_, true))) => {
                        self.go_on(choice, true, Delta::Signature(proof), out);
                        self.close(choice, out);
                    }
                    (Some(proof), _) => self.whole(choice, thoughts(Some(proof), true), out),
                    (None, _) => {}
                }
            }
            Said::Whole(content) => {
                self.calls += usize::from(matches!(content, Part::ToolCall(_)));
                self.whole(choice, content, out);
                if part.signature.is_some() {
                    self.whole(choice, thoughts(part.signature, true), out);
                }
            }
        }
    }

    fn go_on(&mut self, choice: usize, is_thought: bool, delta: Delta, out: &mut Vec<Event>) {
        let part = match self.open {
            Some((part, is_open_thought)) if is_open_thought == is_thought => part,
            _ => {
                let content = match is_thought {
                    true => thoughts(None, false),
                    false => Part::plain(String::new()),
                };
                let part = self.begin(choice, content, out);
                self.open = Some((part, is_thought));
                part
            }
        };
        out.push(Event::PartDelta {
            choice,
            part,
            delta,
        });
    }

    fn begin(&mut self, choice: usize, content: Part, out: &mut Vec<Event>) -> usize {
        self.close(choice, out);
        let part = self.parts;
        self.parts += 1;
        out.push(Event::PartStart {
            choice,
            part,
            content,
        });
        part
    }

    fn whole(&mut self, choice: usize, content: Part, out: &mut Vec<Event>) {
        let part = self.begin(choice, content, out);
        out.push(Event::PartEnd { choice, part });
    }

    fn close(&mut self, choice: usize, out: &mut Vec<Event>) {
        if let Some((part, _)) = self.open.take() {
            out.push(Event::PartEnd { choice, part });
        }
    }

    fn stop(&mut self, choice: usize, reason: &str, out: &mut Vec<Event>) {
        self.close(choice, out);
        if self.has_stopped {
            return;
        }
        self.has_stopped = true;
        let reason = match reason {
            "STOP" if 0 < self.calls => StopReason::ToolUse,
            "STOP" => StopReason::EndTurn,
            "MAX_TOKENS" => StopReason::MaxTokens,
            "SAFETY"
            | "RECITATION"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "MODEL_ARMOR"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION" => StopReason::ContentFilter,
            other => StopReason::Other(other.to_owned()),
        };
        out.push(Event::Stop { choice, reason });
    }
}

/// Returns thoughts that are yet to come, or hidden ones.
const fn thoughts(signature: Option<String>, is_redacted: bool) -> Part {
    Part::Reasoning {
        id: None,
        texts: Vec::new(),
        is_summary: !is_redacted,
        signature,
        is_redacted,
    }
}
