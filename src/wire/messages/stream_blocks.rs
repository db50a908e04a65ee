//! The blocks of a stream for a client, one after the other: a part that comes while another is being told waits until
//! that one has ended, or follows a text that is cut for it.

use crate::wire::conversation::{Delta, Dialect, Part, ToolKind};
use crate::wire::messages::block::{thoughts, tool_use};
use crate::wire::messages::fault::event;
use crate::wire::messages::reply::{block_of, citation_of, proof_of};
use crate::wire::tree::{Json, Object};
use bytes::Bytes;
use std::collections::{BTreeMap, VecDeque};

/// The blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    source: Dialect,
    open: Option<Open>,
    /// In the order in which they began.
    waiting: VecDeque<Waiting>,
    /// How many bytes wait.
    pub(super) waiting_bytes: usize,
    /// Texts and thoughts that were ended for another part and may go on in a block of their own.
    cut: BTreeMap<usize, Kind>,
    next_index: u64,
}

#[derive(Debug)]
struct Open {
    part: usize,
    index: u64,
    kind: Kind,
    /// What is said at the end, and at once: the proof of thoughts, the text of a call.
    said: String,
    /// Which text of the thoughts is being said, once one is.
    text: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thoughts,
    /// Hidden thoughts: all of them is the proof.
    Hidden,
    Tool,
    /// A call with a bare text, which becomes JSON when it is whole.
    TextTool,
    /// A block that came whole, or what only this dialect has.
    Other,
}

#[derive(Debug)]
struct Waiting {
    part: usize,
    content: Part,
    deltas: Vec<Delta>,
    is_ended: bool,
}

impl Blocks {
    /// Returns no blocks yet, of an answer that is read from `source`.
    pub(super) const fn new(source: Dialect) -> Self {
        Self {
            source,
            open: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            cut: BTreeMap::new(),
            next_index: 0,
        }
    }

    /// Begins a part.
    pub(super) fn start(&mut self, part: usize, content: &Part, out: &mut Vec<Bytes>) {
        self.cut_short(kind_of(content), out);
        if self.open.is_none() && self.waiting.is_empty() {
            self.open(part, content, out);
            return;
        }
        self.waiting_bytes += 256 + size_of(content);
        self.waiting.push_back(Waiting {
            part,
            content: content.clone(),
            deltas: Vec::new(),
            is_ended: false,
        });
        self.let_in(out);
    }

    /// Goes on with a part.
    pub(super) fn go_on(&mut self, part: usize, delta: &Delta, out: &mut Vec<Bytes>) {
        if self.open.as_ref().is_some_and(|open| open.part == part) {
            self.add(delta, out);
            return;
        }
        if !self.waiting.iter().any(|waiting| waiting.part == part) {
            let Some(kind) = self.cut.remove(&part) else {
                return;
            };
            self.start(part, &beginning_of(kind), out);
            if self.open.as_ref().is_some_and(|open| open.part == part) {
                self.add(delta, out);
                return;
            }
        }
        let found = self.waiting.iter_mut().find(|waiting| waiting.part == part);
        if let Some(waiting) = found {
            self.waiting_bytes += 64 + size_of_delta(delta);
            waiting.deltas.push(delta.clone());
        }
    }

    /// Ends a part.
    pub(super) fn end(&mut self, part: usize, out: &mut Vec<Bytes>) {
        self.cut.remove(&part);
        if self.open.as_ref().is_some_and(|open| open.part == part) {
            self.close(out);
            self.let_in(out);
        } else if let Some(waiting) = self.waiting.iter_mut().find(|w| w.part == part) {
            waiting.is_ended = true;
        }
    }

    /// Ends all parts.
    pub(super) fn finish(&mut self, out: &mut Vec<Bytes>) {
        self.close(out);
        for waiting in &mut self.waiting {
            waiting.is_ended = true;
        }
        self.let_in(out);
    }

    /// Ends an open text, or thoughts, for a part of another kind: what may yet come of them can stand in a block of its
    /// own. The arguments of a tool cannot, and two texts at once would be one in disorder.
    fn cut_short(&mut self, next: Kind, out: &mut Vec<Bytes>) {
        if let Some(Open { part, kind, .. }) = self.open
            && matches!(kind, Kind::Text | Kind::Thoughts)
            && kind != next
        {
            self.cut.insert(part, kind);
            self.close(out);
        }
    }

    /// Lets in what waits until one of them has not ended.
    fn let_in(&mut self, out: &mut Vec<Bytes>) {
        while self.open.is_none() {
            let Some(waiting) = self.waiting.pop_front() else {
                self.waiting_bytes = 0;
                return;
            };
            self.open(waiting.part, &waiting.content, out);
            for delta in &waiting.deltas {
                self.add(delta, out);
            }
            if waiting.is_ended {
                self.close(out);
            } else if let Some(next) = self.waiting.front() {
                self.cut_short(kind_of(&next.content), out);
            }
        }
    }

    fn open(&mut self, part: usize, content: &Part, out: &mut Vec<Bytes>) {
        if let Some(proof) = proof_of(content) {
            self.whole(&proof, out);
        }
        let kind = kind_of(content);
        let index = self.next_index;
        if kind != Kind::Hidden {
            let Some(beginning) = self.beginning(content) else {
                return;
            };
            self.next_index += 1;
            out.push(block_start(index, beginning));
        }
        self.open = Some(Open {
            part,
            index,
            kind,
            said: String::new(),
            text: None,
        });
        for delta in deltas_of(content) {
            self.add(&delta, out);
        }
    }

    /// Returns the block that a part begins with; `None` when this dialect has no word for it.
    fn beginning(&self, content: &Part) -> Option<Json> {
        let block = match content {
            Part::ToolCall(call) => tool_use(&call.id, &call.name, Json::Object(Object::default())),
            Part::Reasoning { .. } => thoughts(&[], "", false),
            Part::Text { .. } | Part::Refusal(_) | Part::Audio { .. } => {
                Object::of_type("text").with("text", "")
            }
            other => return block_of(other, self.source),
        };
        Some(block.into())
    }

    /// Says a block that is whole.
    fn whole(&mut self, block: &Json, out: &mut Vec<Bytes>) {
        let index = self.next_index;
        self.next_index += 1;
        out.push(block_start(index, block.clone()));
        out.push(block_stop(index));
    }

    fn close(&mut self, out: &mut Vec<Bytes>) {
        let Some(open) = self.open.take() else {
            return;
        };
        if open.kind == Kind::Hidden {
            let block = thoughts(&[], &open.said, true);
            self.whole(&block.into(), out);
            return;
        }
        if open.kind == Kind::TextTool {
            let input = Json::arguments_or_text(&open.said).to_text();
            let delta = Object::of_type("input_json_delta").with("partial_json", input);
            out.push(block_delta(open.index, delta));
        }
        if open.kind == Kind::Thoughts && !open.said.is_empty() {
            let delta = Object::of_type("signature_delta").with("signature", open.said);
            out.push(block_delta(open.index, delta));
        }
        out.push(block_stop(open.index));
    }

    fn add(&mut self, delta: &Delta, out: &mut Vec<Bytes>) {
        let source = self.source;
        let Some(open) = &mut self.open else {
            return;
        };
        let text = |text: &str| Object::of_type("text_delta").with("text", text);
        let delta = match (delta, open.kind) {
            (Delta::Text(added) | Delta::Refusal(added), Kind::Text) => text(added),
            (Delta::Audio { transcript, .. }, Kind::Text) if !transcript.is_empty() => {
                text(transcript)
            }
            (Delta::Citation(citation), Kind::Text) => {
                let Some(citation) = citation_of(citation, source) else {
                    return;
                };
                Object::of_type("citations_delta").with("citation", citation)
            }
            (Delta::Reasoning { text, added }, Kind::Thoughts) => {
                let is_next = open.text.is_some_and(|said| said < *text);
                open.text = Some(*text);
                let gap = if is_next { "\n\n" } else { "" };
                Object::of_type("thinking_delta").with("thinking", format!("{gap}{added}"))
            }
            (Delta::Signature(added), Kind::Thoughts | Kind::Hidden)
            | (Delta::Arguments(added), Kind::TextTool) => {
                open.said.push_str(added);
                return;
            }
            (Delta::Arguments(added), Kind::Tool | Kind::Other) => {
                Object::of_type("input_json_delta").with("partial_json", added)
            }
            _ => return,
        };
        out.push(block_delta(open.index, delta));
    }
}

const fn kind_of(content: &Part) -> Kind {
    match content {
        Part::Text { .. } | Part::Refusal(_) | Part::Audio { .. } => Kind::Text,
        Part::Reasoning {
            is_redacted: true, ..
        } => Kind::Hidden,
        Part::Reasoning { .. } => Kind::Thoughts,
        Part::ToolCall(call) => match call.kind {
            ToolKind::Function => Kind::Tool,
            ToolKind::Custom => Kind::TextTool,
        },
        _ => Kind::Other,
    }
}

/// Returns an empty part of `kind`.
const fn beginning_of(kind: Kind) -> Part {
    match kind {
        Kind::Thoughts => Part::Reasoning {
            id: None,
            texts: Vec::new(),
            is_summary: false,
            signature: None,
            is_redacted: false,
        },
        _ => Part::Refusal(String::new()),
    }
}

/// Returns what a part holds as it begins, as additions to it.
fn deltas_of(content: &Part) -> Vec<Delta> {
    let full = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    match content {
        Part::Text {
            text, citations, ..
        } => {
            let text = full(text).map(Delta::Text).into_iter();
            let citations = citations.iter().cloned().map(Delta::Citation);
            text.chain(citations).collect()
        }
        Part::Refusal(text) => full(text).map(Delta::Refusal).into_iter().collect(),
        Part::Audio { transcript, .. } => {
            let text = transcript.as_deref().and_then(full);
            text.map(Delta::Text).into_iter().collect()
        }
        Part::Reasoning {
            texts, signature, ..
        } => {
            let texts = texts.iter().enumerate();
            let texts = texts.map(|(text, added)| Delta::Reasoning {
                text,
                added: added.clone(),
            });
            let proof = signature.iter().cloned().map(Delta::Signature);
            texts.chain(proof).collect()
        }
        Part::ToolCall(call) => full(&call.arguments)
            .map(Delta::Arguments)
            .into_iter()
            .collect(),
        _ => Vec::new(),
    }
}

fn size_of(content: &Part) -> usize {
    deltas_of(content).iter().map(size_of_delta).sum()
}

fn size_of_delta(delta: &Delta) -> usize {
    match delta {
        Delta::Text(text)
        | Delta::Signature(text)
        | Delta::Arguments(text)
        | Delta::Refusal(text) => text.len(),
        Delta::Reasoning { added, .. } => added.len(),
        Delta::Audio { data, transcript } => data.len() + transcript.len(),
        Delta::Citation(value) | Delta::LogProbs(value) => value.to_string().len(),
    }
}

fn block_start(index: u64, block: Json) -> Bytes {
    let data = Object::of_type("content_block_start")
        .with("index", index)
        .with("content_block", block);
    event("content_block_start", &data)
}

fn block_delta(index: u64, delta: Object) -> Bytes {
    let data = Object::of_type("content_block_delta")
        .with("index", index)
        .with("delta", delta);
    event("content_block_delta", &data)
}

fn block_stop(index: u64) -> Bytes {
    let data = Object::of_type("content_block_stop").with("index", index);
    event("content_block_stop", &data)
}
