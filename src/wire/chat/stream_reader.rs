//! Streamed chat completions, read.

use crate::wire::chat::stream_choice::Choice;
use crate::wire::conversation::{Event, Fields};
use crate::wire::openai::frames::{Frame, Frames, too_many, torn};
use crate::wire::openai::read_usage;
use bytes::Bytes;
use serde_json::{Map, Value};

/// The most answers that one stream may have.
const MAX_CHOICES: usize = 128;

/// The most fields of whole chunks that are remembered so that they are told once.
const MAX_NOTED: usize = 32;

/// Reader of a stream of chat completion chunks. Holds no text: what came is told at once, but for the
/// name of a tool until its first argument comes.
#[derive(Debug, Default)]
pub struct StreamReader {
    frames: Frames,
    reader: Reader,
}

impl StreamReader {
    /// Reads `chunk` and appends what it says to `out`. Nothing is read after the end or a fault.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "every dialect's reader is given its chunks"
    )]
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Event>) {
        if self.reader.has_ended {
            return;
        }
        let reader = &mut self.reader;
        self.frames.push(&chunk, |frame| reader.read(frame, out));
    }

    /// Reads what is left when the provider has closed the stream. A stream whose answers have all
    /// ended ends as it should, also without `[DONE]`; any other is torn.
    pub fn finish(&mut self, out: &mut Vec<Event>) {
        let reader = &mut self.reader;
        self.frames.finish(|frame| reader.read(frame, out));
        if reader.has_ended {
            return;
        }
        let has_answers = !reader.choices.is_empty();
        if has_answers && reader.choices.iter().all(|choice| choice.has_stopped) {
            reader.end(out);
        } else {
            reader.has_ended = true;
            out.push(Event::Fault(torn()));
        }
    }

    /// Returns how many events could not be read, and were left out.
    #[must_use]
    pub const fn malformed_events(&self) -> u64 {
        self.reader.malformed
    }
}

#[derive(Debug, Default)]
struct Reader {
    id: String,
    model: String,
    has_started: bool,
    has_ended: bool,
    choices: Vec<Choice>,
    has_final_usage: bool,
    /// Fields of whole chunks that have been told, with their last value.
    noted: Vec<(String, Value)>,
    malformed: u64,
}

impl Reader {
    fn read(&mut self, frame: Frame, out: &mut Vec<Event>) {
        if self.has_ended {
            return;
        }
        match frame {
            Frame::Ping => out.push(Event::Ping),
            Frame::Malformed => self.malformed += 1,
            Frame::Object(chunk) => self.chunk(chunk, out),
            Frame::Done => self.end(out),
            Frame::Fault(fault) => {
                self.has_ended = true;
                out.push(Event::Fault(fault));
            }
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        self.has_ended = true;
        for choice in &mut self.choices {
            if !choice.has_stopped {
                let reason = choice.said.finished();
                choice.stop(&self.id, reason, out);
            }
        }
        out.push(Event::End);
    }

    fn chunk(&mut self, chunk: Map<String, Value>, out: &mut Vec<Event>) {
        let mut fields = Fields::new(String::new(), chunk);
        for (key, known) in [("id", &mut self.id), ("model", &mut self.model)] {
            let text = fields.text(key).unwrap_or_default();
            if known.is_empty() {
                *known = text;
            }
        }
        let created = fields.count("created").filter(|at| 0 < *at);
        let choices = fields.elements("choices");
        let usage = fields.take_if("usage", Value::is_object);
        // Azure's first chunk is about the request, and has neither id nor model.
        if !self.has_started && (!choices.is_empty() || usage.is_some()) {
            self.has_started = true;
            out.push(Event::Start {
                id: self.id.clone(),
                model: self.model.clone(),
                created: created.and_then(|at| i64::try_from(at).ok()),
            });
        }
        let is_usage_only = choices.is_empty();
        for choice in choices {
            self.choice(choice, out);
            if self.has_ended {
                return;
            }
        }
        if let Some(usage) = usage {
            self.usage(usage, is_usage_only, out);
        }
        self.others(fields, out);
    }

    /// Some providers report running totals in every chunk, of which the last counts; of several
    /// chunks of usage alone the first does.
    fn usage(&mut self, reported: Value, is_final: bool, out: &mut Vec<Event>) {
        if self.has_final_usage {
            return;
        }
        if let Some(usage) = read_usage(&reported.to_string()) {
            self.has_final_usage = is_final;
            out.push(Event::Usage { usage, reported });
        }
    }

    /// Tells the fields of a chunk that have no place, each value once.
    fn others(&mut self, mut fields: Fields, out: &mut Vec<Event>) {
        for ignored in ["object", "obfuscation"] {
            fields.take(ignored);
        }
        for (name, value) in fields.into_rest() {
            // Groq reports usage in a field of its own.
            if let Some(usage) = value.get("usage").filter(|_| name == "x_groq") {
                self.usage(usage.clone(), false, out);
            }
            if self.note(&name, &value) {
                out.push(Event::Foreign { name, value });
            }
        }
    }

    /// Remembers a field of a chunk; returns whether its value is new.
    fn note(&mut self, name: &str, value: &Value) -> bool {
        let is_full = MAX_NOTED <= self.noted.len();
        match self.noted.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) if old == value => return false,
            Some((_, old)) => *old = value.clone(),
            None if is_full => {}
            None => self.noted.push((name.to_owned(), value.clone())),
        }
        true
    }

    fn choice(&mut self, choice: Value, out: &mut Vec<Event>) {
        let Value::Object(map) = choice else {
            self.malformed += 1;
            return;
        };
        let mut fields = Fields::new(String::new(), map);
        let index = fields.count("index").unwrap_or(0);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let known = self.choices.iter().position(|known| known.index == index);
        let place = known.unwrap_or(self.choices.len());
        if MAX_CHOICES <= place {
            self.has_ended = true;
            out.push(Event::Fault(too_many("answers", MAX_CHOICES)));
            return;
        }
        if known.is_none() {
            self.choices.push(Choice::new(index));
        }
        let Some(choice) = self.choices.get_mut(place) else {
            return;
        };
        if let Err(fault) = choice.add(&self.id, fields, out) {
            self.has_ended = true;
            out.push(Event::Fault(fault));
        }
    }
}
