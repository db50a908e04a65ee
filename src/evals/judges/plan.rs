//! `g-eval`: the judge first plans the steps by which it will judge, once for a criterion and run, then
//! follows them and gives 0 to 10.
//!
//! The score is asked for with the probabilities of its tokens (`logprobs` with `top_logprobs`). Where they
//! come, it is the mean of the scores weighted by them, as its authors do: a judge that wavers between 6
//! and 7 says so (Liu et al., 2023). A model that refuses them is asked without, once for all in a run.

use crate::evals::gateway::Reply;
use crate::evals::judges::instructions::{Instructions, Part, Question};
use crate::evals::judges::reading::{number, object_with};
use crate::evals::judges::ready::Ready;
use crate::evals::judges::rubric::reason;
use crate::evals::judges::session::Session;
use crate::evals::judges::{EPSILON, Verdict};
use serde_json::{Map, Value, json};

/// The highest score.
const MAX_SCORE: f64 = 10.0;
/// What passes when nothing else is said.
const THRESHOLD: f64 = 0.7;
/// Tokens that stand to choose at a place: the most that the chat API tells.
const TOP_LOG_PROBS: u32 = 20;
/// What counts as probability: less is noise of rounding.
const LEAST_WEIGHT: f64 = 1e-9;

const PLAN: Instructions = Instructions {
    task: "You prepare the examination of texts by one criterion. Write three or four short steps that an \
        examiner takes with any text to find out how far it meets the criterion. Do not judge yet.",
    answer: "Answer with one JSON object and nothing else: {\"steps\": [\"first step\", \"second step\"]}",
};

const FOLLOW: Instructions = Instructions {
    task: "You examine a reply by one criterion. Take the steps in their order, name in the reason what you \
        found in the reply, then give the score: 0 when the criterion is not met at all, 10 when it is met \
        fully.",
    answer: "Answer with one JSON object and nothing else: {\"reason\": \"what you found, in one or two \
        sentences\", \"score\": a whole number from 0 to 10}",
};

/// `g-eval`: the mean over its criteria.
pub(super) async fn g_eval(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
) -> Result<Verdict, String> {
    let criteria = ready.needed_texts()?;
    let mut scores = Vec::with_capacity(criteria.len());
    let mut reasons = Vec::with_capacity(criteria.len());
    let mut returned = Vec::with_capacity(criteria.len());
    for criterion in &criteria {
        let steps = steps(ready, session, criterion).await?;
        let found = follow(ready, session, criterion, &steps).await?;
        scores.push(found.score);
        reasons.push(found.reason);
        returned.push(json!({"steps": steps, "verdict": found.returned, "score": found.score}));
    }
    let score = crate::stats::mean(&scores).ok_or("it needs a criterion")?;
    let threshold = ready.assertion.threshold.unwrap_or(THRESHOLD);
    Ok(Verdict {
        is_pass: threshold - EPSILON <= score,
        score,
        reason: reasons.join("\n\n"),
        returned: returned.into(),
    })
}

/// Returns the steps for a criterion: planned before in this run, or planned now.
async fn steps(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
    criterion: &str,
) -> Result<Vec<String>, String> {
    let custom = ready.phase("steps", 0);
    session.tell(PLAN, custom);
    let key = format!("{} {criterion}", session.hash());
    let plan = session.context().steps.of(key);
    let none = Map::new();
    let question = Question {
        parts: vec![Part::rule("Criterion", &["criteria"], criterion)],
        vars: &none,
        shows_vars: false,
    };
    let planning = plan.get_or_try_init(|| session.ask(PLAN, custom, &question, read_steps));
    Ok(planning.await?.clone())
}

fn read_steps(reply: &Reply) -> Result<Vec<String>, String> {
    let object = object_with(&reply.text, &["steps"]);
    let object = object.ok_or("there is no JSON object with `steps` in it")?;
    let steps = object.get("steps").and_then(Value::as_array);
    let text = |step: &Value| step.as_str().map(|step| step.trim().to_owned());
    let steps: Option<Vec<String>> = steps.into_iter().flatten().map(text).collect();
    let steps =
        steps.filter(|steps| !steps.is_empty() && steps.iter().all(|step| !step.is_empty()));
    steps.ok_or_else(|| "`steps` is no list of texts".to_owned())
}

async fn follow(
    ready: &Ready<'_>,
    session: &mut Session<'_>,
    criterion: &str,
    steps: &[String],
) -> Result<Verdict, String> {
    let question = Question {
        parts: vec![
            Part::data("Prompt", &["input"], ready.graded.prompt),
            Part::data("Reply", &["output"], ready.text.as_str()),
            Part::rule("Criterion", &["criteria"], criterion),
            Part::rule("Steps", &["steps"], format!("- {}", steps.join("\n- "))),
            Part::rule("Highest score", &["maxScore"], "10"),
        ],
        vars: ready.graded.vars,
        shows_vars: true,
    };
    session
        .with_log_probs(TOP_LOG_PROBS)
        .ask(FOLLOW, ready.phase("evaluate", 1), &question, read_score)
        .await
}

fn read_score(reply: &Reply) -> Result<Verdict, String> {
    let object = object_with(&reply.text, &["score"]);
    let object = object.ok_or("there is no JSON object with `score` in it")?;
    let said = number(object.get("score")).ok_or("`score` is no number")?;
    if !(0.0..=MAX_SCORE).contains(&said) {
        return Err(format!("`score` is {said}, which is not between 0 and 10"));
    }
    let score = weighted(&reply.tokens, said).unwrap_or(said);
    let reason = reason(&object).unwrap_or_else(|| format!("the judge gives {said} of 10"));
    Ok(Verdict {
        is_pass: true,
        score: score / MAX_SCORE,
        reason,
        returned: Value::Object(object),
    })
}

/// Returns `Σ p(s)·s` over the scores that stood to choose where the answer says `said`; `None` when the
/// answer does not tell.
fn weighted(tokens: &Value, said: f64) -> Option<f64> {
    let tokens = tokens.as_array()?;
    let mut text = String::new();
    let mut found = None;
    for token in tokens {
        let written = token.get("token")?.as_str()?;
        let is_behind_key = text
            .trim_end()
            .trim_end_matches('"')
            .trim_end()
            .ends_with(':')
            && text.rfind("\"score\"").is_some_and(|key| {
                text.get(key..)
                    .is_some_and(|rest| !rest.contains([',', '}']))
            });
        if is_behind_key && score_of(written) == Some(said) {
            found = Some(token);
        }
        text.push_str(written);
    }
    let choices = found?.get("top_logprobs")?.as_array()?;
    let (mut sum, mut weight) = (0.0, 0.0);
    for choice in choices {
        let score = choice
            .get("token")
            .and_then(Value::as_str)
            .and_then(score_of);
        let chance = choice.get("logprob").and_then(Value::as_f64).map(f64::exp);
        if let (Some(score), Some(chance)) = (score, chance) {
            sum += score * chance;
            weight += chance;
        }
    }
    (LEAST_WEIGHT < weight).then(|| sum / weight)
}

/// The whole score that a token says.
fn score_of(token: &str) -> Option<f64> {
    let score: u8 = token.trim().parse().ok()?;
    let score = f64::from(score);
    (score <= MAX_SCORE).then_some(score)
}

#[cfg(test)]
mod tests {
    use super::weighted;
    use crate::stats::mean;
    use serde_json::{Value, json};

    fn token(text: &str, choices: &[(&str, f64)]) -> Value {
        let choices: Vec<Value> = choices
            .iter()
            .map(|(token, chance)| json!({"token": token, "logprob": chance.ln()}))
            .collect();
        json!({"token": text, "logprob": -0.1, "top_logprobs": choices})
    }

    #[test]
    fn a_judge_that_wavers_is_heard() {
        let tokens = [
            token("{\"reason\":\"7 of", &[]),
            token("7", &[("7", 1.0)]),
            token("\",\"score\":", &[]),
            token(" 7", &[(" 7", 0.6), (" 6", 0.2), ("8", 0.1), ("x", 0.1)]),
            token("}", &[]),
        ];
        // (0.6 * 7 + 0.2 * 6 + 0.1 * 8) / 0.9
        let found = weighted(&json!(tokens), 7.0).unwrap();
        assert!((found - 6.2 / 0.9).abs() < 1e-9, "{found}");
        assert_eq!(weighted(&json!(tokens), 8.0), None);
        assert_eq!(weighted(&json!(tokens[..3]), 7.0), None);
        assert_eq!(weighted(&Value::Null, 7.0), None);
        assert_eq!(mean(&[1.0, 0.6]), Some(0.8));
    }
}
