//! Where something of a request stood in the body that the client sent, so that an error can name it.

use crate::wire::conversation::Dialect;
use crate::wire::conversation::part::Part;
use crate::wire::conversation::request::{Message, Request, Role};

/// A place in a request. Its name is made only where it is told, as that takes as long as the request
/// is.
#[derive(Debug, Clone, Copy)]
pub struct Spot<'a> {
    request: &'a Request,
    message: usize,
    part: usize,
    inner: Option<usize>,
    field: Option<&'static str>,
}

impl<'a> Spot<'a> {
    /// Returns the place of the part number `part` of the message number `message`.
    #[must_use]
    pub const fn new(request: &'a Request, message: usize, part: usize) -> Self {
        Self {
            request,
            message,
            part,
            inner: None,
            field: None,
        }
    }

    /// Returns the place of the part number `inner` of the tool's result that is here.
    #[must_use]
    pub const fn inner(mut self, inner: usize) -> Self {
        self.inner = Some(inner);
        self
    }

    /// Returns the place of the field `name` of what is here.
    #[must_use]
    pub const fn field(mut self, name: &'static str) -> Self {
        self.field = Some(name);
        self
    }

    /// Returns the name: `messages[2].content[0].context`, `input[3].output[1]`.
    #[must_use]
    pub fn name(self) -> String {
        let mut name = path_of_part(self.request, self.message, self.part);
        if let Some(inner) = self.inner {
            let list = match self.request.dialect {
                Dialect::Responses => "output",
                _ => "content",
            };
            name.push_str(&format!(".{list}[{inner}]"));
        }
        if let Some(field) = self.field {
            name.push_str(&format!(".{field}"));
        }
        name
    }
}

/// Returns where the part number `part` of the message number `message` stood: `messages[2].content[0]`,
/// `input[3]`. Exact where the client wrote what a dialect's own tools write.
#[must_use]
pub fn path_of_part(request: &Request, message: usize, part: usize) -> String {
    let parts = request.messages.get(message).map(|found| &found.parts);
    let parts = parts.map(Vec::as_slice).unwrap_or_default();
    let before = parts.get(..part).unwrap_or_default();
    let here = path_of_message(request, message);
    if request.dialect == Dialect::Responses {
        let first = items_before(request, message);
        let (items, inside) = place_in_items(before, parts.get(part));
        let item = format!("input[{}]", first + items);
        return match inside {
            Some(inside) => format!("{item}.content[{inside}]"),
            None => item,
        };
    }
    let is_beside = |part: &Part| matches!(part, Part::ToolCall(_) | Part::Reasoning { .. });
    match (request.dialect, parts.get(part)) {
        (Dialect::Chat, Some(Part::ToolCall(_))) => {
            let calls = before
                .iter()
                .filter(|part| matches!(part, Part::ToolCall(_)));
            format!("{here}.tool_calls[{}]", calls.count())
        }
        (Dialect::Chat, Some(Part::Reasoning { .. })) => format!("{here}.reasoning_content"),
        (Dialect::Chat, Some(Part::ToolResult(_))) => here,
        (Dialect::Chat, _) => {
            let contents = before.iter().filter(|part| !is_beside(part));
            format!("{here}.content[{}]", contents.count())
        }
        _ => format!("{here}.content[{part}]"),
    }
}

/// Returns where the message number `message` stood: `messages[2]`, `input[3]`, `system`.
#[must_use]
pub fn path_of_message(request: &Request, message: usize) -> String {
    let is_first_apart = request
        .messages
        .first()
        .is_some_and(|first| first.role == Role::System);
    match request.dialect {
        Dialect::Responses if message == 0 && is_instructions(request) => "instructions".to_owned(),
        Dialect::Responses => format!("input[{}]", items_before(request, message)),
        Dialect::Messages if is_first_apart && message == 0 => "system".to_owned(),
        Dialect::Messages if is_first_apart => format!("messages[{}]", message.saturating_sub(1)),
        _ => format!("messages[{message}]"),
    }
}

/// Whether the first message is what responses call instructions.
fn is_instructions(request: &Request) -> bool {
    let first = request.messages.first();
    first.is_some_and(|first| first.role == Role::System && first.is_plain)
}

/// Returns how many items of a response's input the messages before `message` are.
fn items_before(request: &Request, message: usize) -> usize {
    let skipped = usize::from(is_instructions(request));
    let before = request.messages.get(skipped..message).unwrap_or_default();
    before.iter().map(items_of).sum()
}

fn items_of(message: &Message) -> usize {
    place_in_items(&message.parts, None).0.max(1)
}

/// Returns how many items are complete before `next`, and where in its own item it stands, when it is
/// a part of a content.
fn place_in_items(before: &[Part], next: Option<&Part>) -> (usize, Option<usize>) {
    let mut items = 0;
    let mut inside = 0;
    for part in before {
        if is_item(part) {
            items += usize::from(0 < inside) + 1;
            inside = 0;
        } else {
            inside += 1;
        }
    }
    match next {
        Some(next) if !is_item(next) => (items, Some(inside)),
        _ => (items + usize::from(0 < inside), None),
    }
}

const fn is_item(part: &Part) -> bool {
    matches!(
        part,
        Part::ToolCall(_) | Part::ToolResult(_) | Part::Reasoning { .. } | Part::Foreign { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::{Spot, path_of_message, path_of_part};
    use crate::wire::conversation::{Dialect, Message, Part, Request, Role, ToolCall, ToolKind};

    fn text() -> Part {
        Part::Text {
            text: "x".to_owned(),
            citations: Vec::new(),
            cache: None,
        }
    }

    fn call() -> Part {
        Part::ToolCall(ToolCall {
            id: "c".to_owned(),
            item_id: None,
            name: "f".to_owned(),
            arguments: String::new(),
            kind: ToolKind::Function,
            signature: None,
            cache: None,
        })
    }

    fn request(dialect: Dialect) -> Request {
        let message = |role, parts: Vec<Part>, is_plain| Message {
            role,
            name: None,
            parts,
            is_plain,
        };
        Request {
            dialect,
            messages: vec![
                message(Role::System, vec![text()], true),
                message(Role::User, vec![text(), text()], false),
                message(Role::Assistant, vec![text(), text(), call(), call()], false),
                message(Role::User, vec![text()], false),
            ],
            ..Request::default()
        }
    }

    #[test]
    fn parts_are_named_as_the_client_wrote_them() {
        for (dialect, message, part, expected) in [
            (Dialect::Chat, 1, 1, "messages[1].content[1]"),
            (Dialect::Chat, 2, 3, "messages[2].tool_calls[1]"),
            (Dialect::Messages, 2, 3, "messages[1].content[3]"),
            (Dialect::Messages, 0, 0, "system.content[0]"),
            (Dialect::Responses, 1, 1, "input[0].content[1]"),
            (Dialect::Responses, 2, 1, "input[1].content[1]"),
            (Dialect::Responses, 2, 2, "input[2]"),
            (Dialect::Responses, 2, 3, "input[3]"),
            (Dialect::Responses, 3, 0, "input[4].content[0]"),
        ] {
            let request = request(dialect);
            assert_eq!(
                path_of_part(&request, message, part),
                expected,
                "{dialect:?}"
            );
        }
        let responses = request(Dialect::Responses);
        let spot = Spot::new(&responses, 2, 2).inner(1).field("detail");
        assert_eq!(spot.name(), "input[2].output[1].detail");
        assert_eq!(
            path_of_message(&request(Dialect::Responses), 0),
            "instructions"
        );
        assert_eq!(path_of_message(&request(Dialect::Responses), 3), "input[4]");
        assert_eq!(path_of_message(&request(Dialect::Messages), 0), "system");
    }
}
