//! From rendered pieces to messages, by Dotprompt's rules.

use crate::prompts::evaluate::Piece;
use crate::prompts::syntax::Role;

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text.
    Text(String),
    /// An image, a sound, a file.
    Media {
        /// Where it is; `data:` URLs included.
        url: String,
        /// Its media type, when the template names it.
        content_type: Option<String>,
    },
}

/// A part as Dotprompt knows it; sections mark places and carry nothing to a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RawPart {
    Part(Part),
    Section(String),
}

/// A place in the conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RawMessage {
    Prompt {
        role: Role,
        content: Vec<RawPart>,
    },
    /// All messages of the client, in their order.
    Client,
}

/// Where the messages of the client go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MessagesMode {
    /// Where `{{history}}` stands; without it before the last user message, else at the end.
    #[default]
    History,
    /// Where `{{history}}` stands, else at the end.
    Append,
    /// Nowhere: a call that has some is refused.
    Forbid,
}

/// Puts pieces together to messages.
pub(super) fn assemble(pieces: Vec<Piece>) -> Vec<RawMessage> {
    let mut builder = Builder {
        messages: Vec::new(),
        role: Role::User,
        content: Vec::new(),
        segment: Vec::new(),
    };
    for piece in pieces {
        match piece {
            Piece::Role(role) => {
                builder.end_segment();
                builder.end_message();
                builder.role = role;
            }
            Piece::History => {
                builder.end_segment();
                builder.end_message();
                builder.messages.push(RawMessage::Client);
                builder.role = Role::Model;
            }
            Piece::Text(text) => builder.segment.push(RawPart::Part(Part::Text(text))),
            Piece::Section(name) => builder.segment.push(RawPart::Section(name)),
            Piece::Media { url, content_type } => builder
                .segment
                .push(RawPart::Part(Part::Media { url, content_type })),
        }
    }
    builder.end_segment();
    builder.end_message();
    builder.messages
}

struct Builder {
    messages: Vec<RawMessage>,
    role: Role,
    content: Vec<RawPart>,
    /// What came since the last mark of a role or the history.
    segment: Vec<RawPart>,
}

fn is_blank(part: &RawPart) -> bool {
    matches!(part, RawPart::Part(Part::Text(text)) if text.trim().is_empty())
}

impl Builder {
    fn end_segment(&mut self) {
        // Blank text between marks is layout of the template, not of the message.
        let segment = self.segment.drain(..).filter(|part| !is_blank(part));
        self.content.extend(segment);
    }

    fn end_message(&mut self) {
        if !self.content.is_empty() {
            self.messages.push(RawMessage::Prompt {
                role: self.role,
                content: std::mem::take(&mut self.content),
            });
        }
    }
}

/// Gives the client's messages a place when `{{history}}` does not.
pub(super) fn place_history(messages: &mut Vec<RawMessage>, mode: MessagesMode) {
    if messages.contains(&RawMessage::Client) {
        return;
    }
    let ends_with_user = matches!(
        messages.last(),
        Some(RawMessage::Prompt {
            role: Role::User,
            ..
        })
    );
    let place = match mode {
        MessagesMode::History if ends_with_user => messages.len().saturating_sub(1),
        MessagesMode::History | MessagesMode::Append | MessagesMode::Forbid => messages.len(),
    };
    messages.insert(place, RawMessage::Client);
}
