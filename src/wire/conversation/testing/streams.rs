//! Answers as streams, and back.

use crate::wire::conversation::{Choice, Delta, Dialect, Event, Part, Reply, ToolCall};
use crate::wire::openai::shared::{chat_usage, responses_usage};
use serde_json::{Value, json};

/// Returns the events of a stream that says what `reply` does.
pub(crate) fn events_of(reply: &Reply) -> Vec<Event> {
    let mut events = vec![Event::Start {
        id: reply.id.clone(),
        model: reply.model.clone(),
        created: reply.created,
    }];
    for (choice, answer) in reply.choices.iter().enumerate() {
        for (part, content) in answer.parts.iter().enumerate() {
            let (content, mut deltas) = started(content);
            let is_text = matches!(content, Part::Text { .. });
            let log_probs = answer.log_probs.clone().filter(|_| is_text);
            deltas.extend(log_probs.map(Delta::LogProbs));
            events.push(Event::PartStart {
                choice,
                part,
                content,
            });
            events.extend(deltas.into_iter().map(|delta| Event::PartDelta {
                choice,
                part,
                delta,
            }));
            events.push(Event::PartEnd { choice, part });
        }
        events.extend(
            answer
                .stop
                .clone()
                .map(|reason| Event::Stop { choice, reason }),
        );
    }
    events.extend(reply.usage.map(|usage| Event::Usage {
        usage,
        reported: match reply.dialect {
            Dialect::Responses => responses_usage(&usage),
            _ => chat_usage(&usage),
        },
    }));
    events.push(Event::End);
    events
}

/// Returns the beginning of a part, and what comes of it.
fn started(part: &Part) -> (Part, Vec<Delta>) {
    let mut start = part.clone();
    let mut deltas = Vec::new();
    match &mut start {
        Part::Text { text, .. } => {
            let pieces = text.split_inclusive(' ').map(str::to_owned);
            deltas.extend(pieces.map(Delta::Text));
            text.clear();
        }
        Part::Refusal(text) => deltas.push(Delta::Refusal(std::mem::take(text))),
        Part::ToolCall(call) => {
            let arguments = std::mem::take(&mut call.arguments);
            let pieces = arguments.split_inclusive(':').map(str::to_owned);
            deltas.extend(pieces.map(Delta::Arguments));
        }
        Part::Reasoning {
            texts,
            signature,
            is_redacted: false,
            ..
        } => {
            let texts = std::mem::take(texts).into_iter().enumerate();
            deltas.extend(texts.map(|(text, added)| Delta::Reasoning { text, added }));
            deltas.extend(signature.take().map(Delta::Signature));
        }
        _ => {}
    }
    (start, deltas)
}

/// Returns the answer that events of one choice tell.
pub(crate) fn assembled(events: &[Event]) -> Reply {
    let mut reply = Reply::default();
    let mut answer = Choice::default();
    let mut tokens: Vec<Value> = Vec::new();
    for event in events {
        match event {
            Event::Start { id, model, created } => {
                reply.id.clone_from(id);
                reply.model.clone_from(model);
                reply.created = *created;
            }
            Event::PartStart { content, .. } => answer.parts.push(content.clone()),
            Event::PartDelta { part, delta, .. } => {
                if let Delta::LogProbs(more) = delta {
                    tokens.extend(more["content"].as_array().unwrap().clone());
                }
                add(&mut answer.parts[*part], delta);
            }
            Event::Usage { usage, .. } => reply.usage = Some(*usage),
            Event::Stop { reason, .. } => answer.stop = Some(reason.clone()),
            Event::Fault(fault) => panic!("{fault:?}"),
            Event::PartEnd { .. } | Event::Ping | Event::Foreign { .. } | Event::End => {}
        }
    }
    assert_eq!(events.last(), Some(&Event::End));
    answer.log_probs = (!tokens.is_empty()).then(|| json!({"content": tokens}));
    reply.choices.push(answer);
    reply
}

fn add(part: &mut Part, delta: &Delta) {
    match (part, delta) {
        (Part::Text { text, .. }, Delta::Text(added))
        | (Part::Refusal(text), Delta::Refusal(added))
        | (
            Part::ToolCall(ToolCall {
                arguments: text, ..
            }),
            Delta::Arguments(added),
        ) => text.push_str(added),
        (Part::Text { citations, .. }, Delta::Citation(citation)) => {
            citations.push(citation.clone());
        }
        (Part::Reasoning { texts, .. }, Delta::Reasoning { text, added }) => {
            if texts.len() <= *text {
                texts.push(String::new());
            }
            texts.last_mut().unwrap().push_str(added);
        }
        (Part::Reasoning { signature, .. }, Delta::Signature(added)) => {
            signature.get_or_insert_default().push_str(added);
        }
        (_, Delta::LogProbs(_)) => {}
        (part, delta) => panic!("{delta:?} in {part:?}"),
    }
}
