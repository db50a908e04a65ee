//! Calls of tools in a stream: put together by index, by id, or by their order, as providers tell them.

use crate::wire::chat::part::{arguments, thought_signature};
use crate::wire::conversation::{Delta, Event, Fields, Part, ToolCall, ToolKind};
use crate::wire::openai::ProviderFault;
use crate::wire::openai::frames::too_many;
use crate::wire::openai::shared::made_up_call_id;
use serde_json::{Map, Value};

/// The most calls that one answer may have.
const MAX_CALLS: usize = 1024;

/// The longest name of a tool that is read, in bytes.
const MAX_NAME: usize = 4096;

/// The calls of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    index: Option<u64>,
    id: String,
    name: String,
    kind: ToolKind,
    signature: Option<String>,
    /// Its part, once it has begun.
    part: Option<usize>,
}

/// A piece of a call.
struct Piece {
    index: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    kind: ToolKind,
    signature: Option<String>,
}

impl Calls {
    /// Adds a piece of a call to the answer number `choice` of `reply`; `next` is the number of the next
    /// part.
    ///
    /// # Errors
    ///
    /// When there are too many calls.
    pub(super) fn add(
        &mut self,
        reply: &str,
        choice: usize,
        next: &mut usize,
        piece: Value,
        out: &mut Vec<Event>,
    ) -> Result<(), ProviderFault> {
        let Value::Object(piece) = piece else {
            return Ok(());
        };
        let piece = read_piece(piece);
        let place = match self.find(&piece) {
            Some(place) => place,
            None if self.calls.len() < MAX_CALLS => {
                self.calls.push(Call {
                    index: piece.index,
                    id: String::new(),
                    name: String::new(),
                    kind: piece.kind,
                    signature: None,
                    part: None,
                });
                self.calls.len() - 1
            }
            None => return Err(too_many("calls of tools", MAX_CALLS)),
        };
        let Some(call) = self.calls.get_mut(place) else {
            return Ok(());
        };
        let signature = call.take_in(piece.id, &piece.name, piece.signature);
        if !piece.arguments.is_empty() {
            self.begin(place, reply, choice, next, out);
        }
        let part = self.calls.get(place).and_then(|call| call.part);
        let arguments = Some(piece.arguments).filter(|text| !text.is_empty());
        let deltas = [
            signature.map(Delta::Signature),
            arguments.map(Delta::Arguments),
        ];
        if let Some(part) = part {
            out.extend(deltas.into_iter().flatten().map(|delta| Event::PartDelta {
                choice,
                part,
                delta,
            }));
        }
        Ok(())
    }

    /// Begins what has not begun and ends everything.
    pub(super) fn finish(
        &mut self,
        reply: &str,
        choice: usize,
        next: &mut usize,
        out: &mut Vec<Event>,
    ) {
        if let Some(last) = self.calls.len().checked_sub(1) {
            self.begin(last, reply, choice, next, out);
        }
        let parts = self.calls.drain(..).filter_map(|call| call.part);
        out.extend(parts.map(|part| Event::PartEnd { choice, part }));
    }

    /// Returns the call that a piece belongs to; `None` when it begins a new one.
    fn find(&self, piece: &Piece) -> Option<usize> {
        let same_id = |call: &Call| !piece.id.is_empty() && call.id == piece.id;
        let Some(index) = piece.index else {
            let by_id = self.calls.iter().rposition(same_id);
            // Without an index, an id or a name begins a call.
            let begins = !piece.id.is_empty()
                || (!piece.name.is_empty() && self.calls.last().is_some_and(|c| c.part.is_some()));
            return match by_id {
                Some(place) => Some(place),
                None if begins => None,
                None => self.calls.len().checked_sub(1),
            };
        };
        let place = self.calls.iter().rposition(|c| c.index == Some(index))?;
        let call = self.calls.get(place)?;
        // Some number all calls 0: another id with a name of its own is another call.
        let is_other = !piece.id.is_empty()
            && !call.id.is_empty()
            && call.id != piece.id
            && !piece.name.is_empty();
        if is_other {
            return self.calls.iter().rposition(same_id);
        }
        Some(place)
    }

    /// Begins the call at `last` and all before it, in their order.
    fn begin(
        &mut self,
        last: usize,
        reply: &str,
        choice: usize,
        next: &mut usize,
        out: &mut Vec<Event>,
    ) {
        let waiting = self.calls.iter_mut().enumerate().take(last + 1);
        for (place, call) in waiting.filter(|(_, call)| call.part.is_none()) {
            let part = *next;
            *next += 1;
            call.part = Some(part);
            if call.id.is_empty() {
                call.id = made_up_call_id(reply, choice, place);
            }
            let content = Part::ToolCall(ToolCall {
                id: call.id.clone(),
                item_id: None,
                name: call.name.clone(),
                arguments: String::new(),
                kind: call.kind,
                signature: call.signature.take(),
                cache: None,
            });
            out.push(Event::PartStart {
                choice,
                part,
                content,
            });
        }
    }
}

impl Call {
    /// Takes in what names the call, and returns a signature that came too late to begin with.
    fn take_in(&mut self, id: String, name: &str, signature: Option<String>) -> Option<String> {
        if self.id.is_empty() {
            self.id = id;
        }
        if self.part.is_some() {
            return signature;
        }
        // Names come in pieces, or whole again and again.
        if self.name != name && self.name.len() + name.len() <= MAX_NAME {
            self.name.push_str(name);
        }
        self.signature = signature.or(self.signature.take());
        None
    }
}

fn read_piece(piece: Map<String, Value>) -> Piece {
    let mut fields = Fields::new(String::new(), piece);
    let index = fields.count("index");
    let is_custom = fields.peek("custom").is_some();
    let (kind, key, input) = if is_custom {
        (ToolKind::Custom, "custom", "input")
    } else {
        (ToolKind::Function, "function", "arguments")
    };
    let inner = fields.inner(key);
    let mut inner = inner.unwrap_or_else(|| Fields::new(String::new(), Map::new()));
    let extra = fields.take("extra_content");
    Piece {
        index,
        id: fields.text("id").unwrap_or_default(),
        name: inner.text("name").unwrap_or_default(),
        arguments: arguments(inner.take(input).as_ref()),
        kind,
        signature: extra.as_ref().and_then(thought_signature),
    }
}
