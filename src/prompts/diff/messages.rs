//! What a sample's messages become: the roles and the texts that reach the model.

use crate::prompts::bundle::{Bundle, RenderedMessage};
use crate::prompts::diff::lines::{Hunk, SourceLine, hunks};
use crate::prompts::messages::Part;
use crate::prompts::samples::Sample;
use crate::prompts::trace::Span;
use serde::Serialize;
use serde_json::{Value, json};
use similar::{Algorithm, DiffOp, capture_diff_slices};

/// A message, as it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The role, or `client` and the message's place.
    pub(super) role: String,
    /// The text, media as their URLs.
    pub(super) text: String,
    /// Its lines and what made them.
    lines: Vec<SourceLine>,
    /// As the API has it, for counting.
    pub(super) json: Value,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageDiff {
    /// What became of it.
    pub change: MessageChange,
    /// The role it has in the head, else in the base.
    pub role: String,
    /// The role it had, when it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_role: Option<String>,
    /// Its place in the base, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_place: Option<usize>,
    /// Its place in the head, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_place: Option<usize>,
    /// The lines that differ, by the files that made them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hunks: Vec<Hunk>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageChange {
    /// Nothing.
    Unchanged,
    /// Its text is another one.
    Changed,
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It stands elsewhere, as it was.
    Moved,
    /// The same text has another role.
    RoleChanged,
}

/// Renders `bundle` with a sample. The error is in words.
pub(super) fn rendered(
    bundle: &Bundle,
    path: &str,
    sample: &Sample,
) -> Result<Vec<Message>, String> {
    let traced = bundle.trace(&sample.input());
    let traced = traced.map_err(|error| error.to_string())?;
    let messages = traced.rendered.messages.iter().zip(&traced.spans);
    let message = |(message, parts): (&RenderedMessage, &Vec<Vec<Span>>)| match message {
        RenderedMessage::Client(place) => Message {
            role: format!("client {place}"),
            text: String::new(),
            lines: Vec::new(),
            json: sample.messages.get(*place).cloned().unwrap_or_default(),
        },
        RenderedMessage::Prompt { role, content } => {
            let spans = parts.iter().flatten();
            Message {
                role: role.as_str().to_owned(),
                json: json!({"role": role.openai_name(), "content": content_of(content)}),
                text: spans.clone().map(|span| span.text.as_str()).collect(),
                lines: lines_of(spans, path),
            }
        }
    };
    Ok(messages.map(message).collect())
}

/// Returns the lines of a text; a line belongs to what made its first character.
fn lines_of<'a>(spans: impl Iterator<Item = &'a Span>, path: &str) -> Vec<SourceLine> {
    let mut lines: Vec<SourceLine> = Vec::new();
    let mut is_ended = true;
    for span in spans {
        for piece in span.text.split_inclusive('\n') {
            if is_ended {
                lines.push(SourceLine {
                    file: span.place.file(path),
                    line: span.place.line,
                    text: String::new(),
                });
            }
            is_ended = piece.ends_with('\n');
            if let Some(last) = lines.last_mut() {
                last.text.push_str(piece.trim_end_matches('\n'));
            }
        }
    }
    lines
}

fn content_of(content: &[Part]) -> Value {
    let part = |part: &Part| match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Media { url, .. } => json!({"type": "image_url", "image_url": {"url": url}}),
    };
    match content {
        [Part::Text(text)] => json!(text),
        parts => parts.iter().map(part).collect(),
    }
}

/// Compares two conversations.
pub(super) fn compare(base: &[Message], head: &[Message]) -> Vec<MessageDiff> {
    let keys = |messages: &[Message]| -> Vec<(String, String)> {
        let key = |message: &Message| (message.role.clone(), message.text.clone());
        messages.iter().map(key).collect()
    };
    let operations = capture_diff_slices(Algorithm::Myers, &keys(base), &keys(head));
    let mut found = Vec::new();
    for operation in operations {
        let (old, new) = (operation.old_range(), operation.new_range());
        if let DiffOp::Equal { .. } = operation {
            for (old, new) in old.zip(new) {
                found.extend(pair(MessageChange::Unchanged, (base, old), (head, new)));
            }
            continue;
        }
        found.extend(gap((base, old), (head, new)));
    }
    moved(&mut found, base, head);
    found
}

type Places = std::ops::Range<usize>;

/// Compares what lies between equal messages: in order, those of the same role are the same message.
fn gap((base, old): (&[Message], Places), (head, new): (&[Message], Places)) -> Vec<MessageDiff> {
    let roles = |messages: &[Message], places: &Places| -> Vec<String> {
        let messages = messages.get(places.clone()).unwrap_or_default();
        messages
            .iter()
            .map(|message| message.role.clone())
            .collect()
    };
    let (old_roles, new_roles) = (roles(base, &old), roles(head, &new));
    let mut found = Vec::new();
    for operation in capture_diff_slices(Algorithm::Myers, &old_roles, &new_roles) {
        let olds = operation.old_range().map(|index| old.start + index);
        let news = operation.new_range().map(|index| new.start + index);
        if let DiffOp::Equal { .. } = operation {
            for (old, new) in olds.zip(news) {
                found.extend(pair(MessageChange::Changed, (base, old), (head, new)));
            }
            continue;
        }
        found.extend(olds.filter_map(|old| alone(MessageChange::Removed, base, old)));
        found.extend(news.filter_map(|new| alone(MessageChange::Added, head, new)));
    }
    found
}

fn pair(
    change: MessageChange,
    (base, old): (&[Message], usize),
    (head, new): (&[Message], usize),
) -> Option<MessageDiff> {
    let (before, after) = (base.get(old)?, head.get(new)?);
    let hunks = match change {
        MessageChange::Changed => hunks(&before.lines, &after.lines),
        _ => Vec::new(),
    };
    Some(MessageDiff {
        change,
        role: after.role.clone(),
        base_role: (before.role != after.role).then(|| before.role.clone()),
        base_place: Some(old),
        head_place: Some(new),
        hunks,
    })
}

fn alone(change: MessageChange, messages: &[Message], place: usize) -> Option<MessageDiff> {
    let message = messages.get(place)?;
    let is_added = change == MessageChange::Added;
    let (old, new): (&[SourceLine], &[SourceLine]) = if is_added {
        (&[], &message.lines)
    } else {
        (&message.lines, &[])
    };
    Some(MessageDiff {
        change,
        role: message.role.clone(),
        base_role: None,
        base_place: (!is_added).then_some(place),
        head_place: is_added.then_some(place),
        hunks: hunks(old, new),
    })
}

/// What is gone here and new there with the same text was moved, or got another role.
fn moved(found: &mut Vec<MessageDiff>, base: &[Message], head: &[Message]) {
    let mut index = 0;
    while let Some(removed) = found.get(index) {
        let text = removed
            .base_place
            .and_then(|place| base.get(place))
            .map(|message| (&message.text, &message.role));
        let is_removed = removed.change == MessageChange::Removed;
        let twin = text.filter(|_| is_removed).and_then(|(text, role)| {
            let is_twin = |other: &MessageDiff| {
                let new = other.head_place.and_then(|place| head.get(place));
                let is_client = role.starts_with("client") || other.role.starts_with("client");
                other.change == MessageChange::Added
                    && new.is_some_and(|new| new.text == *text)
                    && (!is_client || other.role == *role)
            };
            found.iter().position(is_twin)
        });
        let Some(twin) = twin else {
            index += 1;
            continue;
        };
        let (old, new) = (
            removed.base_place,
            found.get(twin).and_then(|twin| twin.head_place),
        );
        let (Some(old), Some(new)) = (old, new) else {
            index += 1;
            continue;
        };
        let has_role = base.get(old).map(|old| &old.role) == head.get(new).map(|new| &new.role);
        let change = if has_role {
            MessageChange::Moved
        } else {
            MessageChange::RoleChanged
        };
        if let (Some(slot), Some(diff)) =
            (found.get_mut(twin), pair(change, (base, old), (head, new)))
        {
            *slot = diff;
        }
        found.remove(index);
    }
}

#[cfg(test)]
mod tests {
    use super::{compare, rendered};
    use crate::prompts::bundle::tests::bundle;
    use crate::prompts::samples::Sample;
    use serde_json::json;

    fn shown(base: &str, head: &str, history: usize) -> Vec<String> {
        let sample: Sample = serde_json::from_value(json!({"name": "s", "variables": {"v": "V"},
            "messages": vec![json!({"role": "user", "content": "hi"}); history]}))
        .unwrap();
        let render = |source: &str| rendered(&bundle(source), "p.prompt", &sample).unwrap();
        let diffs = compare(&render(base), &render(head));
        let show = |diff: &super::MessageDiff| {
            let role = match &diff.base_role {
                Some(base) => format!("{base}->{}", diff.role),
                None => diff.role.clone(),
            };
            let lines = diff.hunks.iter().flat_map(|hunk| {
                hunk.lines.iter().map(|line| {
                    format!(" {:?} {}:{} {}", line.kind, hunk.file, line.line, line.text)
                })
            });
            format!("{:?} {role}{}", diff.change, lines.collect::<String>())
        };
        diffs.iter().map(show).collect()
    }

    #[test]
    fn roles_and_texts_are_told_apart() {
        for (base, head, wanted) in [
            (
                "{{role \"system\"}}a {{v}}",
                "{{role \"system\"}}a {{v}}",
                vec!["Unchanged system"],
            ),
            (
                "{{role \"system\"}}a {{v}}",
                "{{role \"system\"}}b {{v}}",
                vec!["Changed system Removed p.prompt:1 a V Added p.prompt:1 b V"],
            ),
            (
                "{{role \"system\"}}a",
                "{{role \"user\"}}a",
                vec!["RoleChanged system->user"],
            ),
            (
                "{{role \"system\"}}a",
                "{{role \"system\"}}a{{role \"user\"}}x",
                vec!["Unchanged system", "Added user Added p.prompt:1 x"],
            ),
            (
                "{{role \"system\"}}a{{role \"user\"}}x",
                "{{role \"user\"}}x{{role \"system\"}}a",
                vec!["Moved user", "Unchanged system"],
            ),
        ] {
            assert_eq!(shown(base, head, 0), wanted, "{base} -> {head}");
        }
        let history = shown(
            "{{role \"system\"}}a{{history}}",
            "{{history}}{{role \"system\"}}a",
            1,
        );
        assert_eq!(history, ["Moved client 0", "Unchanged system"]);
    }
}
