//! The names of questions: one that finds the answer again in the same run, and one that finds it in
//! another.

use crate::evals::digest::digest;
use crate::evals::gateway::{Ask, AskContent};
use serde_json::{Value, json};

/// Returns the name of a question in its run: of the cell, what for, and everything that is sent.
pub(super) fn ask_key(ask: &Ask) -> String {
    digest(&json!([
        ask.cell,
        ask.purpose,
        content(ask),
        ask.model,
        ask.parameters,
        ask.judge_hash,
    ]))
}

/// Returns the name under which an answer is kept for later runs: the whole request with the prompt's hash
/// and the model, the judge's hash, and which repeat it is, so that repeats are answers of their own.
pub(super) fn cache_key(ask: &Ask) -> String {
    let repeat = ask.cell.as_ref().map_or(0, |cell| cell.repeat);
    digest(&json!([
        "chat/1",
        repeat,
        ask.purpose,
        content(ask),
        ask.model,
        ask.parameters,
        ask.judge_hash,
    ]))
}

/// Returns the name under which vectors are kept; with `run`, for this run alone.
pub(super) fn vectors_key(
    run: Option<crate::domain::RunId>,
    model: &str,
    texts: &[String],
) -> String {
    digest(&json!(["embeddings/1", run, model, texts]))
}

fn content(ask: &Ask) -> Value {
    match &ask.content {
        AskContent::Messages(messages) => json!({ "messages": messages }),
        AskContent::Version {
            key,
            hash,
            variables,
            messages,
        } => {
            let mut content = json!({"key": key, "hash": hash, "variables": variables});
            // Without messages the name is what it was before there were any.
            if let Some(content) = content.as_object_mut().filter(|_| !messages.is_empty()) {
                content.insert("messages".to_owned(), messages.clone().into());
            }
            content
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ask_key, cache_key};
    use crate::domain::{Purpose, RunId};
    use crate::evals::gateway::{Ask, AskContent};
    use crate::evals::plan::Side;
    use crate::evals::row::CellKey;
    use crate::evals::suite::CaseId;
    use serde_json::{Map, json};
    use std::time::Duration;

    fn ask() -> Ask {
        Ask {
            run: RunId::fresh(),
            purpose: Purpose::Case,
            case: "a".to_owned(),
            cell: Some(CellKey {
                side: Side::Head,
                subject: "s".to_owned(),
                case: CaseId("a".to_owned()),
                repeat: 0,
            }),
            judge_hash: None,
            content: AskContent::Messages(vec![json!({"role": "user", "content": "hi"})]),
            model: Some("m".to_owned()),
            parameters: Map::new(),
            timeout: Duration::from_secs(1),
            is_timed: false,
        }
    }

    #[test]
    fn keys_tell_apart_what_must_be_asked_apart() {
        let one = ask();
        assert_eq!(
            cache_key(&one),
            cache_key(&ask()),
            "another run, the same question"
        );
        let mut repeated = ask();
        repeated.cell.as_mut().unwrap().repeat = 1;
        let mut other_side = ask();
        other_side.cell.as_mut().unwrap().side = Side::Base;
        let mut hotter = ask();
        hotter.parameters.insert("temperature".to_owned(), 1.into());
        let mut judged = ask();
        judged.judge_hash = Some("x".to_owned());
        let mut other_model = ask();
        other_model.model = None;
        for other in [&repeated, &hotter, &judged, &other_model] {
            assert_ne!(cache_key(&one), cache_key(other));
            assert_ne!(ask_key(&one), ask_key(other));
        }
        // Both sides may share an answer, but in a run each is a question of its own.
        assert_eq!(cache_key(&one), cache_key(&other_side));
        assert_ne!(ask_key(&one), ask_key(&other_side));
    }
}
