//! `conversation-relevance`: whether each answer of a talk belongs to what was said before it, seen through
//! a window that slides over the talk. The score is the share of windows.

use crate::evals::gateway::Reply;
use crate::evals::judges::instructions::{Instructions, Part, Question};
use crate::evals::judges::reading::object_with;
use crate::evals::judges::ready::Ready;
use crate::evals::judges::rubric::reason;
use crate::evals::judges::session::Session;
use crate::evals::judges::{EPSILON, Verdict};
use crate::evals::values;
use serde_json::{Value, json};

/// Turns that a window holds when nothing else is said.
const WINDOW: usize = 5;
/// What passes when nothing else is said.
const THRESHOLD: f64 = 0.5;

const TALK: Instructions = Instructions {
    task: "You decide whether the last answer of an assistant in a talk belongs there: whether it takes up \
        what the user said, with what was said before in mind. A short or incomplete answer belongs; one \
        to another question, or to nobody's, does not. Only the last answer is judged.",
    answer: "Answer with one JSON object and nothing else: {\"reason\": \"why not, in one sentence; may be \
        left out for yes\", \"verdict\": \"yes\" or \"no\"}",
};

/// `conversation-relevance`.
pub(super) async fn relevance(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
) -> Result<Verdict, String> {
    let turns = turns(ready);
    let window = ready
        .assertion
        .config
        .get("windowSize")
        .and_then(Value::as_u64);
    let window = window
        .map_or(WINDOW, |window| usize::try_from(window).unwrap_or(WINDOW))
        .max(1);
    let mut verdicts = Vec::with_capacity(turns.len());
    let mut reasons = Vec::new();
    for end in 1..=turns.len() {
        let seen = turns
            .get(end.saturating_sub(window)..end)
            .unwrap_or_default();
        let (belongs, reason) = judge(ready, session, seen).await?;
        if !belongs {
            reasons.push(format!(
                "turn {end}: {}",
                reason.as_deref().unwrap_or("does not belong")
            ));
        }
        verdicts.push(json!({"belongs": belongs, "reason": reason}));
    }
    let (good, all) = (turns.len() - reasons.len(), turns.len());
    let share: Vec<f64> = (0..all)
        .map(|place| f64::from(u8::from(place < good)))
        .collect();
    let score = crate::stats::mean(&share).ok_or("there is no answer in the talk")?;
    let threshold = ready.assertion.threshold.unwrap_or(THRESHOLD);
    let mut told = format!("{good} of {all} answers belong to the talk");
    if !reasons.is_empty() {
        told = format!("{told}: {}", reasons.join("; "));
    }
    Ok(Verdict {
        is_pass: threshold - EPSILON <= score,
        score,
        reason: told,
        returned: verdicts.into(),
    })
}

/// The turns of the talk, this answer's the last.
fn turns(ready: &Ready<'_>) -> Vec<Value> {
    let before = ready
        .graded
        .vars
        .get("_conversation")
        .and_then(Value::as_array);
    let mut turns = before.cloned().unwrap_or_default();
    let is_in = turns
        .last()
        .is_some_and(|last| last.get("output") == Some(&ready.output));
    if !is_in {
        turns.push(json!({"input": ready.graded.prompt, "output": ready.text}));
    }
    turns
}

async fn judge(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
    turns: &[Value],
) -> Result<(bool, Option<String>), String> {
    let said = |turn: &Value, who: &str| turn.get(who).map(values::text_of).unwrap_or_default();
    let told: Vec<Value> = turns
        .iter()
        .flat_map(|turn| {
            [
                json!({"role": "user", "content": said(turn, "input")}),
                json!({"role": "assistant", "content": said(turn, "output")}),
            ]
        })
        .collect();
    let question = Question {
        parts: vec![Part::data(
            "Talk",
            &["messages"],
            Value::Array(told).to_string(),
        )],
        vars: ready.graded.vars,
        shows_vars: false,
    };
    let read = |reply: &Reply| {
        let wrong = "there is no JSON object with `verdict` yes or no in it";
        let object = object_with(&reply.text, &["verdict"]).ok_or(wrong)?;
        let verdict = object
            .get("verdict")
            .and_then(Value::as_str)
            .unwrap_or_default();
        match verdict.trim().to_ascii_lowercase().as_str() {
            "yes" => Ok((true, reason(&object))),
            "no" => Ok((false, reason(&object))),
            _ => Err(wrong.to_owned()),
        }
    };
    session
        .ask(TALK, ready.rubric_prompt, &question, read)
        .await
}
