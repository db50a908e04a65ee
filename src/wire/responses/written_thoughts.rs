//! Thoughts of a streamed response, written: a summary in parts, or their own texts.

use crate::wire::responses::stream_writer::Sink;
use crate::wire::responses::written_items::{Kind, WrittenItems};
use serde_json::{Map, Value, json};

impl WrittenItems {
    /// Adds to thoughts.
    pub(super) fn thought(&mut self, part: usize, text: usize, added: &str, sink: &mut Sink<'_>) {
        let Some((item, Kind::Reasoning(last, is_summary))) = self.find(part) else {
            return;
        };
        if last != Some(text) {
            self.finish_thought(item, is_summary, sink);
            self.start_thought(item, is_summary, sink);
            if let Some(open) = self.open.iter_mut().find(|open| open.part == part) {
                open.kind = Kind::Reasoning(Some(text), is_summary);
            }
        }
        let (list, kind) = if is_summary {
            ("summary", "response.reasoning_summary_text.delta")
        } else {
            ("content", "response.reasoning_text.delta")
        };
        let Some(mut event) = self.place_of_thought(item, is_summary) else {
            return;
        };
        let texts = self.list(item, list).and_then(|texts| texts.last_mut());
        if let Some(Value::String(text)) = texts.and_then(|text| text.get_mut("text")) {
            text.push_str(added);
        }
        event.insert("delta".to_owned(), added.into());
        sink.send(kind, event);
    }

    /// Returns the fields that tell the place of the last text of thoughts; `None` when there is none.
    fn place_of_thought(&mut self, item: usize, is_summary: bool) -> Option<Map<String, Value>> {
        let (list, key) = if is_summary {
            ("summary", "summary_index")
        } else {
            ("content", "content_index")
        };
        let last = self.list(item, list)?.len().checked_sub(1)?;
        let mut event = self.place(item, None);
        event.insert(key.to_owned(), last.into());
        Some(event)
    }

    fn start_thought(&mut self, item: usize, is_summary: bool, sink: &mut Sink<'_>) {
        let (list, kind, event) = if is_summary {
            (
                "summary",
                "summary_text",
                "response.reasoning_summary_part.added",
            )
        } else {
            ("content", "reasoning_text", "response.content_part.added")
        };
        let empty = json!({"type": kind, "text": ""});
        if let Some(item) = self.items.get_mut(item) {
            let texts = item.fields.entry(list).or_insert_with(|| json!([]));
            if let Some(texts) = texts.as_array_mut() {
                texts.push(empty.clone());
            }
        }
        if let Some(mut place) = self.place_of_thought(item, is_summary) {
            place.insert("part".to_owned(), empty);
            sink.send(event, place);
        }
    }

    /// Ends the last text of thoughts, if there is one.
    pub(super) fn finish_thought(&mut self, item: usize, is_summary: bool, sink: &mut Sink<'_>) {
        let (list, said, done) = if is_summary {
            (
                "summary",
                "response.reasoning_summary_text.done",
                "response.reasoning_summary_part.done",
            )
        } else {
            (
                "content",
                "response.reasoning_text.done",
                "response.content_part.done",
            )
        };
        let last = self
            .list(item, list)
            .and_then(|texts| texts.last().cloned());
        let (Some(part), Some(place)) = (last, self.place_of_thought(item, is_summary)) else {
            return;
        };
        let mut event = place.clone();
        event.insert("text".to_owned(), part.get("text").cloned().into());
        sink.send(said, event);
        let mut event = place;
        event.insert("part".to_owned(), part);
        sink.send(done, event);
    }
}
