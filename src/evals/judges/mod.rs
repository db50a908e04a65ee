//! What asks a model to decide: rubrics, facts, context, similarity, and which of several outputs is best.
//!
//! ```text
//! choice        who judges
//! ready         the answer transformed, the value filled
//! instructions  what the judge is told; untrusted text between borders (fence)
//! session       asks, asks again when the answer is unusable, adds up what it took
//! rubric, plan, facts, grounding, vectors, conversation, moderation, webhook, best   the kinds
//! calibration   a judge held against people
//! ```
//!
//! **Rules**
//! - A judge that gives no usable answer is an error, never a fail; so is one that cannot be asked.
//! - What models, users and documents wrote is data: it stands between borders that it cannot draw.
//! - What a judgement took is in its grade, also when nothing came of it.

mod best;
pub mod calibration;
mod choice;
mod context;
mod conversation;
mod facts;
mod fence;
mod grounding;
mod instructions;
mod moderation;
mod panel;
mod plan;
mod reading;
mod ready;
mod rubric;
mod session;
mod vectors;
mod webhook;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use best::{Contender, compare};
pub use context::{JudgeContext, Steps};

use crate::evals::grade::{Grade, Graded, Judged};
use crate::evals::suite::{Assertion, AssertionKind, Decider};
use choice::{Bench, Judge};
use ready::Ready;
use serde_json::Value;
use session::Session;

/// Scores that differ by less are the same: what JavaScript's `Number.EPSILON` forgives.
const EPSILON: f64 = f64::EPSILON;

/// What a judge says, before `not-`.
#[derive(Debug, Clone, PartialEq)]
struct Verdict {
    is_pass: bool,
    score: f64,
    reason: String,
    /// What it returned, for the report.
    returned: Value,
}

/// Decides an assertion by asking. What cannot be judged is an error with the reason.
pub async fn decide(
    assertion: &Assertion,
    graded: &Graded<'_>,
    context: &JudgeContext<'_>,
) -> Grade {
    let kind = assertion.kind.as_str();
    if assertion.kind.decider() != Decider::Model {
        return Grade::error(format!("`{kind}` is not decided by a judge"));
    }
    let ready = match Ready::make(assertion, graded).await {
        Ok(ready) => ready,
        Err(reason) => return failed(assertion, &reason, None),
    };
    match assertion.kind {
        AssertionKind::Moderation => moderated(&ready, context).await,
        AssertionKind::Webhook => match webhook::decide(&ready, context).await {
            Ok(grade) => grade,
            Err(reason) => failed(assertion, &reason, None),
        },
        AssertionKind::Similar
        | AssertionKind::SimilarCosine
        | AssertionKind::SimilarDot
        | AssertionKind::SimilarEuclidean => similar(&ready, context).await,
        _ => match choice::bench(assertion, graded, context) {
            Ok(bench) => panel::decide(&ready, &bench, context).await,
            Err(reason) => failed(assertion, &reason, None),
        },
    }
}

async fn similar(ready: &Ready<'_>, context: &JudgeContext<'_>) -> Grade {
    let (assertion, graded) = (ready.assertion, ready.graded);
    let model = match choice::embedder(assertion, graded, context) {
        Ok(model) => model,
        Err(reason) => return failed(assertion, &reason, None),
    };
    let judge = Judge::named(model);
    let mut session = Session::new(context, graded, &judge);
    let grade = vectors::similar(ready, &mut session, &judge.model).await;
    ended(assertion, session, grade.map(|grade| (grade, Value::Null)))
}

async fn moderated(ready: &Ready<'_>, context: &JudgeContext<'_>) -> Grade {
    let (assertion, graded) = (ready.assertion, ready.graded);
    let model = match choice::moderator(assertion, graded) {
        Ok(model) => model,
        Err(reason) => return failed(assertion, &reason, None),
    };
    let judge = Judge::named(model);
    let mut session = Session::new(context, graded, &judge);
    let verdict = moderation::moderate(ready, &mut session, &judge.model).await;
    let grade = verdict.map(|verdict| (graded_as(assertion, &verdict), verdict.returned));
    ended(assertion, session, grade)
}

/// The grade of the one that was asked, with what it returned and what it took.
fn ended(
    assertion: &Assertion,
    session: Session<'_>,
    grade: Result<(Grade, Value), String>,
) -> Grade {
    match grade {
        Ok((grade, returned)) => Grade {
            judged: Some(session.end(returned)),
            ..grade
        },
        Err(reason) => failed(assertion, &reason, Some(session.end(Value::Null))),
    }
}

/// Asks one judge. What it took is told either way.
async fn ask_one(
    ready: &Ready<'_>,
    judge: &Judge,
    bench: &Bench,
    context: &JudgeContext<'_>,
) -> (Result<Verdict, String>, Judged) {
    use AssertionKind as Kind;
    let mut talk = Session::new(context, ready.graded, judge);
    let session = &mut talk;
    let verdict = match ready.assertion.kind {
        Kind::LlmRubric => rubric::rubric(ready, session, bench.rubric_prompt.as_ref()).await,
        Kind::TrajectoryGoalSuccess => rubric::goal(ready, session).await,
        Kind::GEval => plan::g_eval(ready, session).await,
        Kind::Factuality | Kind::ModelGradedFactuality => facts::factuality(ready, session).await,
        Kind::ModelGradedClosedqa => facts::closed_qa(ready, session).await,
        Kind::ContextRecall => grounding::recall(ready, session).await,
        Kind::ContextRelevance => grounding::relevance(ready, session).await,
        Kind::ContextFaithfulness => grounding::faithfulness(ready, session).await,
        Kind::ConversationRelevance => conversation::relevance(ready, session).await,
        Kind::AnswerRelevance => match choice::embedder(ready.assertion, ready.graded, context) {
            Ok(model) => vectors::answer_relevance(ready, session, &model).await,
            Err(reason) => Err(reason),
        },
        _ => Err("no judge decides it".to_owned()),
    };
    let returned = verdict
        .as_ref()
        .map_or(Value::Null, |verdict| verdict.returned.clone());
    (verdict, talk.end(returned))
}

/// The grade of a verdict; `not-` turns both mark and score around.
fn graded_as(assertion: &Assertion, verdict: &Verdict) -> Grade {
    let is_negated = assertion.is_negated;
    let score = if is_negated {
        (1.0 - verdict.score).clamp(0.0, 1.0)
    } else {
        verdict.score
    };
    Grade {
        score,
        ..Grade::plain(verdict.is_pass != is_negated, verdict.reason.as_str())
    }
}

/// The grade of what could not be judged.
fn failed(assertion: &Assertion, reason: &str, judged: Option<Judged>) -> Grade {
    let not = if assertion.is_negated { "not-" } else { "" };
    let kind = assertion.kind.as_str();
    Grade {
        judged: judged.filter(|judged| !judged.calls.is_empty() || judged.cost.pico_usd.is_some()),
        ..Grade::error(format!("`{not}{kind}`: {reason}"))
    }
}
