//! One judge, or several that vote: more than half decides whether the answer passes, the mean of their
//! scores is the score. Where neither side has more than half, it is not decided.

use crate::domain::TokenUsage;
use crate::evals::digest::digest;
use crate::evals::grade::{Grade, Judged};
use crate::evals::judges::choice::{Bench, Judge};
use crate::evals::judges::context::JudgeContext;
use crate::evals::judges::ready::Ready;
use crate::evals::judges::session::{add, sum};
use crate::evals::judges::{Verdict, ask_one, failed, graded_as};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// What one judge came to.
type Vote = (Result<Verdict, String>, Judged);

/// Asks the judges and counts their votes.
pub(super) async fn decide(ready: &Ready<'_>, bench: &Bench, context: &JudgeContext<'_>) -> Grade {
    let asked = bench
        .judges
        .iter()
        .map(|judge| ask_one(ready, judge, bench, context));
    let mut votes: Vec<Vote> = join_all(asked).await;
    let single = if votes.len() == 1 { votes.pop() } else { None };
    let mut grade = match single {
        Some((Ok(verdict), judged)) => Grade {
            judged: Some(judged),
            ..graded_as(ready.assertion, &verdict)
        },
        Some((Err(reason), judged)) => failed(ready.assertion, &reason, Some(judged)),
        None => count(ready, &votes),
    };
    note_self_judgement(&mut grade, &bench.judges);
    grade
}

fn note_self_judgement(grade: &mut Grade, judges: &[Judge]) {
    if let Some(judge) = judges.iter().find(|judge| judge.is_under_test) {
        let model = &judge.model;
        grade.reason.push_str(&format!(
            " (warning: judge `{model}` is the model under test, and models favour themselves)"
        ));
    }
}

fn count(ready: &Ready<'_>, votes: &[Vote]) -> Grade {
    let judged = together(votes);
    let verdicts: Vec<&Verdict> = votes
        .iter()
        .filter_map(|(verdict, _)| verdict.as_ref().ok())
        .collect();
    let passes = verdicts.iter().filter(|verdict| verdict.is_pass).count();
    let fails = verdicts.len() - passes;
    let told: Vec<String> = votes.iter().map(told).collect();
    let scores: Vec<f64> = verdicts.iter().map(|verdict| verdict.score).collect();
    let has_majority = |count: usize| votes.len() < 2 * count;
    let mean = crate::stats::mean(&scores);
    match mean.filter(|_| has_majority(passes) || has_majority(fails)) {
        Some(score) => {
            let verdict = Verdict {
                is_pass: has_majority(passes),
                score,
                reason: format!(
                    "{passes} of {} judges pass it: {}",
                    votes.len(),
                    told.join("; ")
                ),
                returned: Value::Null,
            };
            Grade {
                judged: Some(judged),
                ..graded_as(ready.assertion, &verdict)
            }
        }
        None => {
            let reason = format!("the judges have no majority: {}", told.join("; "));
            failed(ready.assertion, &reason, Some(judged))
        }
    }
}

fn told((verdict, judged): &Vote) -> String {
    let model = &judged.model;
    match verdict {
        Ok(Verdict {
            is_pass,
            score,
            reason,
            ..
        }) => {
            let mark = if *is_pass { "passes" } else { "fails" };
            format!("`{model}` {mark} it with {score} ({reason})")
        }
        Err(reason) => format!("`{model}` does not judge ({reason})"),
    }
}

/// The hash of judges that vote, from their own.
pub(super) fn hash_of(hashes: &[&str]) -> String {
    digest(&("panel/1", hashes))
}

/// The models that answered, by their own account.
fn returned<'a>(all: impl Iterator<Item = &'a Judged>) -> Option<String> {
    let models: Vec<&str> = all
        .filter_map(|judged| judged.model_returned.as_deref())
        .collect();
    (!models.is_empty()).then(|| models.join(", "))
}

/// What all judges took together.
fn together(votes: &[Vote]) -> Judged {
    let all = || votes.iter().map(|(_, judged)| judged);
    let mut usage = TokenUsage::default();
    all().for_each(|judged| add(&mut usage, judged.usage));
    let models: Vec<&str> = all().map(|judged| judged.model.as_str()).collect();
    let hashes: Vec<&str> = all().map(|judged| judged.judge_hash.as_str()).collect();
    let costs: Vec<_> = all().map(|judged| judged.cost.clone()).collect();
    let verdicts: Vec<Value> = votes
        .iter()
        .map(|(verdict, judged)| match verdict {
            Ok(verdict) => json!({
                "model": judged.model,
                "pass": verdict.is_pass,
                "score": verdict.score,
                "reason": verdict.reason,
                "verdict": judged.verdict,
            }),
            Err(reason) => json!({"model": judged.model, "error": reason}),
        })
        .collect();
    Judged {
        model: models.join(", "),
        judge_hash: hash_of(&hashes),
        model_returned: returned(all()),
        calls: all()
            .flat_map(|judged| judged.calls.iter().copied())
            .collect(),
        cost: sum(&costs),
        usage,
        is_cached: all().all(|judged| judged.is_cached),
        verdict: verdicts.into(),
    }
}
