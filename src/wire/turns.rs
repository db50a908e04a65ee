//! The turns of a conversation, for providers that want them to alternate: messages of one side that follow each
//! other are one turn, and in it what tools gave comes first.

use crate::wire::conversation::{Message, Part, Request, Role};

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The end user, with what tools gave.
    User,
    /// The model.
    Model,
    /// Whoever runs the application, in the middle of the conversation.
    System,
}

/// A part with its place among the client's messages.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    /// The message.
    pub(super) message: usize,
    /// The part of it.
    pub(super) part: usize,
    /// What it is.
    pub(super) content: &'a Part,
}

/// A turn.
#[derive(Debug, Clone)]
pub(super) struct Turn<'a> {
    /// Whose it is.
    pub(super) side: Side,
    /// The message in which it begins.
    pub(super) message: usize,
    /// What is said.
    pub(super) parts: Vec<Placed<'a>>,
    /// Whether it is one message whose content was a bare string.
    pub(super) is_plain: bool,
}

impl Turn<'_> {
    fn put_results_first(&mut self) {
        // The sort is stable.
        self.parts
            .sort_by_key(|placed| !matches!(placed.content, Part::ToolResult(_)));
    }
}

/// A conversation in turns.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns<'a> {
    /// What the application says before anybody else.
    pub(super) system: Vec<Placed<'a>>,
    /// Whether that is one message whose content was a bare string.
    pub(super) is_system_plain: bool,
    /// The rest.
    pub(super) turns: Vec<Turn<'a>>,
}

impl<'a> Turns<'a> {
    /// Returns the turns of `request`.
    pub(super) fn of(request: &'a Request) -> Self {
        let mut found = Self::default();
        let mut system_messages = 0;
        for (message, said) in request.messages.iter().enumerate() {
            let side = side_of(said.role);
            if side == Side::System && found.turns.is_empty() {
                system_messages += 1;
                found.is_system_plain = said.is_plain && system_messages == 1;
                found.system.extend(placed(message, said));
                continue;
            }
            match found.turns.last_mut().filter(|turn| turn.side == side) {
                Some(turn) => {
                    turn.parts.extend(placed(message, said));
                    turn.is_plain = false;
                }
                None => found.turns.push(Turn {
                    side,
                    message,
                    parts: placed(message, said).collect(),
                    is_plain: said.is_plain,
                }),
            }
        }
        for turn in &mut found.turns {
            turn.put_results_first();
        }
        found
    }

    /// Returns the turn, and the message, with which the application speaks elsewhere than behind a user's turn.
    pub(super) fn misplaced_system(&self) -> Option<(usize, usize)> {
        let mut before = None;
        for (place, turn) in self.turns.iter().enumerate() {
            if turn.side == Side::System && before != Some(Side::User) {
                return Some((place, turn.message));
            }
            before = Some(turn.side);
        }
        None
    }

    /// Moves what the application says at turn `place` to the beginning.
    pub(super) fn move_to_system(&mut self, place: usize) {
        if self.turns.len() <= place {
            return;
        }
        self.system.extend(self.turns.remove(place).parts);
        self.is_system_plain = false;
        let sides = |place: usize| self.turns.get(place).map(|turn| turn.side);
        let before = place.checked_sub(1);
        if before
            .and_then(sides)
            .is_some_and(|side| Some(side) == sides(place))
        {
            let parts = self.turns.remove(place).parts;
            if let Some(turn) = before.and_then(|before| self.turns.get_mut(before)) {
                turn.parts.extend(parts);
                turn.is_plain = false;
                turn.put_results_first();
            }
        }
    }

    /// Whether a tool was called, or gave something.
    pub(super) fn has_tools(&self) -> bool {
        let parts = self.turns.iter().flat_map(|turn| &turn.parts);
        parts
            .map(|placed| placed.content)
            .any(|part| matches!(part, Part::ToolCall(_) | Part::ToolResult(_)))
    }
}

const fn side_of(role: Role) -> Side {
    match role {
        Role::System | Role::Developer => Side::System,
        Role::User | Role::Tool => Side::User,
        Role::Assistant => Side::Model,
    }
}

fn placed(message: usize, said: &Message) -> impl Iterator<Item = Placed<'_>> {
    let parts = said.parts.iter().enumerate();
    parts.map(move |(part, content)| Placed {
        message,
        part,
        content,
    })
}

/// Returns an id of a tool call that every provider takes: letters, digits, `_` and `-`, at most 64. The result of a
/// call names it by the same id, so both are told by this.
pub(super) fn call_id(id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.len() <= 64 && !id.is_empty() && id.chars().all(is_plain) {
        return id.to_owned();
    }
    let kept: String = id
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .take(40)
        .collect();
    let hash = crate::domain::sha256_hex(id.as_bytes());
    format!("{kept}_{}", hash.get(..12).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::{Side, Turns, call_id};
    use crate::wire::conversation::{Message, Part, Request, Role, ToolKind, ToolResult};

    fn text(text: &str) -> Part {
        Part::Text {
            text: text.to_owned(),
            citations: Vec::new(),
            cache: None,
        }
    }

    fn result(id: &str) -> Part {
        Part::ToolResult(ToolResult {
            call_id: id.to_owned(),
            name: None,
            parts: Vec::new(),
            is_error: None,
            is_plain: true,
            kind: ToolKind::Function,
            cache: None,
        })
    }

    fn message(role: Role, parts: Vec<Part>) -> Message {
        Message {
            role,
            name: None,
            parts,
            is_plain: true,
        }
    }

    #[test]
    fn sides_alternate_and_results_come_first() {
        let request = Request {
            messages: vec![
                message(Role::System, vec![text("a")]),
                message(Role::Developer, vec![text("b")]),
                message(Role::User, vec![text("c")]),
                message(Role::Tool, vec![result("1")]),
                message(Role::Tool, vec![result("2")]),
                message(Role::System, vec![text("d")]),
                message(Role::Assistant, vec![text("e")]),
            ],
            ..Request::default()
        };
        let mut turns = Turns::of(&request);
        assert_eq!((turns.system.len(), turns.is_system_plain), (2, false));
        let sides: Vec<_> = turns.turns.iter().map(|turn| turn.side).collect();
        assert_eq!(sides, [Side::User, Side::System, Side::Model]);
        let places: Vec<_> = turns.turns[0].parts.iter().map(|p| p.message).collect();
        assert_eq!(places, [3, 4, 2]);
        assert!(turns.has_tools());
        turns.move_to_system(1);
        assert_eq!((turns.system.len(), turns.turns.len()), (3, 2));
    }

    #[test]
    fn ids_of_calls_are_taken_by_everybody() {
        assert_eq!(call_id("call_1-A"), "call_1-A");
        let odd = call_id("functions.get:0");
        assert!(odd.starts_with("functions_get_0_"), "{odd}");
        assert_ne!(call_id("a.b"), call_id("a:b"));
        assert!(call_id(&"x".repeat(200)).len() <= 64);
        assert!(call_id("").starts_with('_'));
    }
}
