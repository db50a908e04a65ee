//! `llm-rubric` and `trajectory:goal-success`: one object says whether the answer passes, with what score,
//! and why.
//!
//! As in promptfoo, a missing `pass` is true and a missing score is that of `pass`. An object with neither
//! is no verdict, and neither is a score outside 0 to 1: both are asked for again.

use crate::evals::gateway::Reply;
use crate::evals::judges::Verdict;
use crate::evals::judges::instructions::{Instructions, Part, Question};
use crate::evals::judges::reading::{number, object_with, without_thoughts};
use crate::evals::judges::ready::Ready;
use crate::evals::judges::session::Session;
use crate::evals::values;
use serde_json::{Map, Value, json};

const ANSWER: &str = "Answer with one JSON object and nothing else: {\"reason\": \"why, in one or two \
    sentences\", \"pass\": true or false, \"score\": a number from 0 (not at all) to 1 (fully)}";

pub(super) const RUBRIC: Instructions = Instructions {
    task: "You hold an output against a rubric, as a strict and fair examiner. Only the rubric counts: \
        length, style and politeness matter where it names them. Think about each of its points, then \
        decide. `pass` is true when the output meets the whole rubric, `score` says how much of it.",
    answer: ANSWER,
};

const GOAL: Instructions = Instructions {
    task: "You decide whether an assistant reached a goal, from the steps it took and its last answer. \
        What it says it did counts only as far as the steps show it. `pass` is true when the goal is \
        reached as a whole, `score` says how much of it.",
    answer: ANSWER,
};

/// `llm-rubric`.
pub(super) async fn rubric(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
    of_judge: Option<&Value>,
) -> Result<Verdict, String> {
    let custom = ready.rubric_prompt.or(of_judge);
    let rubric = match &ready.value {
        Some(value) => values::text_of(value),
        None if custom.is_some() => String::new(),
        None => return Err("it needs a `value`: what the answer must be like".to_owned()),
    };
    let question = Question {
        parts: vec![
            Part::data("Output", &["output"], ready.text.as_str()),
            Part::rule("Rubric", &["rubric", "criteria"], rubric),
        ],
        vars: ready.graded.vars,
        shows_vars: true,
    };
    let threshold = ready.assertion.threshold;
    session
        .ask(RUBRIC, custom, &question, |reply| verdict(reply, threshold))
        .await
}

/// `trajectory:goal-success`.
pub(super) async fn goal(ready: &Ready<'_>, session: &mut Session<'_>) -> Result<Verdict, String> {
    let goal = match &ready.value {
        Some(Value::String(goal)) => Some(goal.as_str()),
        Some(value) => value.get("goal").and_then(Value::as_str),
        None => None,
    };
    let goal = goal.map(str::trim).filter(|goal| !goal.is_empty());
    let goal = goal.ok_or("its `value` must be the goal, as text or as `{goal: TEXT}`")?;
    let question = Question {
        parts: vec![
            Part::data(
                "Steps",
                &["trajectory"],
                json!(ready.graded.steps?).to_string(),
            ),
            Part::data("Output", &["output"], ready.text.as_str()),
            Part::rule("Goal", &["goal"], goal),
        ],
        vars: ready.graded.vars,
        shows_vars: true,
    };
    let threshold = ready.assertion.threshold;
    session
        .ask(GOAL, ready.rubric_prompt, &question, |reply| {
            verdict(reply, threshold)
        })
        .await
}

fn verdict(reply: &Reply, threshold: Option<f64>) -> Result<Verdict, String> {
    if without_thoughts(&reply.text).trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    let object = object_with(&reply.text, &["pass", "score"]);
    let object = object.ok_or("there is no JSON object with `pass` and `score` in it")?;
    let says_pass = is_pass(object.get("pass"));
    let score = number(object.get("score")).unwrap_or_else(|| f64::from(u8::from(says_pass)));
    if !(0.0..=1.0).contains(&score) {
        return Err(format!("`score` is {score}, which is not between 0 and 1"));
    }
    let is_pass = says_pass && threshold.is_none_or(|threshold| threshold <= score);
    Ok(Verdict {
        is_pass,
        score,
        reason: reason(&object).unwrap_or_else(|| match threshold {
            Some(threshold) if says_pass && !is_pass => {
                format!("the score {score} is below {threshold}")
            }
            _ if is_pass => "the judge passes it without a reason".to_owned(),
            _ => "the judge fails it without a reason".to_owned(),
        }),
        returned: Value::Object(object),
    })
}

/// Returns what the judge gives as reason.
pub(super) fn reason(object: &Map<String, Value>) -> Option<String> {
    let reason = object.get("reason")?.as_str()?.trim();
    (!reason.is_empty()).then(|| reason.to_owned())
}

/// No `pass`, or none worth the name, is a pass; text passes when it says so.
fn is_pass(pass: Option<&Value>) -> bool {
    match pass {
        None | Some(Value::Null) => true,
        Some(Value::Bool(is_pass)) => *is_pass,
        Some(Value::String(text)) => {
            let text = text.to_ascii_lowercase();
            matches!(text.as_str(), "true" | "yes" | "pass" | "y")
        }
        Some(_) => false,
    }
}
