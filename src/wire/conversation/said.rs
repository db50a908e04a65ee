//! What an answer says, all in one text.

use crate::wire::conversation::part::{Media, Part};
use crate::wire::conversation::reply::Reply;

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
