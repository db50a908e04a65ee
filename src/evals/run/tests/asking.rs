//! What is asked, in which order, and when it is over.

use super::{Bench, SECOND, Scripted, case, cases, contains, plan, reply, said, side, subject};
use crate::domain::{PicoDollars, RunId};
use crate::evals::ledger::Stop;
use crate::evals::plan::{RunPlan, Side};
use crate::evals::run::{fresh_canary, plan_hash};
use crate::evals::suite::{AssertNode, AssertionKind, ModelSource, Stopping};
use serde_json::{Value, json};

#[tokio::test(start_paused = true)]
async fn what_a_case_stores_is_data_for_those_behind_it() {
    let bench = Bench::new();
    let mut first = case("a", "good");
    first.options.store_output_as = Some("stored".to_owned());
    let mut plan = plan(vec![first, case("b", "good <{{stored}}>")]);
    plan.settings.concurrency = 4;
    let gateway = Scripted::new(|ask, count| match count {
        0 => Ok(reply("{{x}} good {% if %}", 1)),
        _ => Ok(reply(&said(ask), 1)),
    })
    .slow(SECOND);
    let (_, rows) = bench.run(&plan, &gateway).await;
    let last = rows.last().unwrap().answer.clone().unwrap();
    assert_eq!(last.output, "say good <{{x}} good {% if %}>");
}

#[tokio::test(start_paused = true)]
async fn a_conversation_is_told_in_order() {
    let bench = Bench::new();
    let with = |id: &str, conversation: &str| {
        let mut case = case(id, &format!("good {id}"));
        case.metadata
            .insert("conversationId".to_owned(), conversation.into());
        case
    };
    let mut plan = plan(vec![with("a", "1"), with("b", "2"), with("c", "1")]);
    plan.sides[0].subjects[0] = subject(
        "[m] p",
        "{% for turn in _conversation %}{{turn.input}} -> {{turn.output}}; {% endfor %}{{x}}",
    );
    let gateway = Scripted::new(|ask, _| Ok(reply(&format!("good, {}", ask.case), 1))).slow(SECOND);
    let (_, rows) = bench.run(&plan, &gateway).await;
    let sent = |case: &str| {
        let asked = gateway.asked.lock().unwrap();
        said(asked.iter().find(|ask| ask.case == case).unwrap())
    };
    assert_eq!(sent("b"), "good b");
    assert_eq!(sent("c"), "good a -> good, a; good c");
    assert_eq!(rows.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn answers_are_kept_for_later_runs_by_repeat() {
    let mut bench = Bench::new();
    let mut plan = plan(cases(2));
    plan.settings.repeat = 2;
    let gateway = Scripted::parrot();
    let (end, _) = bench.run(&plan, &gateway).await;
    assert_eq!(
        (end.spent.cached, gateway.asked().len()),
        (0, 4),
        "repeats are asked"
    );

    bench.run = RunId::fresh();
    let (end, rows) = bench.run(&plan, &gateway).await;
    assert_eq!((end.spent.cached, gateway.asked().len()), (4, 4));
    assert_eq!(end.spent.cases, Some(PicoDollars(0)));
    assert!(
        rows.iter()
            .all(|row| row.answer.as_ref().unwrap().cached_from.is_some())
    );

    // One side from the cache and one asked now is said.
    bench.run = RunId::fresh();
    let mut other = plan.clone();
    other.sides.insert(0, side(Side::Base, cases(2)));
    other.sides[0].subjects[0] = subject("[m] p", "tell {{x}}");
    let (end, _) = bench.run(&other, &gateway).await;
    assert_eq!(gateway.asked().len(), 8);
    assert!(
        end.warnings[0].contains("not answered at the same time"),
        "{:?}",
        end.warnings
    );

    bench.run = RunId::fresh();
    plan.settings.is_cached = false;
    let (end, _) = bench.run(&plan, &gateway).await;
    assert_eq!((end.spent.cached, gateway.asked().len()), (0, 12));
}

#[tokio::test(start_paused = true)]
async fn what_is_timed_is_asked_anew() {
    let mut bench = Bench::new();
    let mut timed = case("a", "good");
    timed.asserts = vec![contains("good")];
    if let Some(AssertNode::One(assertion)) = timed.asserts.first_mut() {
        (assertion.kind, assertion.threshold) = (AssertionKind::Latency, Some(60_000.0));
    }
    let plan = plan(vec![timed, case("b", "good")]);
    let gateway = Scripted::parrot();
    bench.run(&plan, &gateway).await;
    bench.run = RunId::fresh();
    let (end, _) = bench.run(&plan, &gateway).await;
    assert_eq!((end.spent.cached, gateway.asked().len()), (1, 3));
    assert_eq!((end.passed, end.errors), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn echo_and_given_outputs_ask_nobody() {
    let bench = Bench::new();
    let mut given = case("given", "x");
    given.given_output = Some(json!("a good one"));
    let mut plan = plan(vec![given, case("echo", "good"), case("broken", "{{ y")]);
    plan.sides[0].subjects[0].model = ModelSource::Echo;
    plan.settings.concurrency = 1;
    let gateway = Scripted::parrot();
    let (end, rows) = bench.run(&plan, &gateway).await;
    assert!(gateway.asked().is_empty());
    assert_eq!((end.passed, end.errors), (2, 1));
    assert_eq!(rows[1].answer.as_ref().unwrap().output, "say good");
    assert_eq!(rows[2].error.as_ref().unwrap().code, "case_not_fillable");
}

#[tokio::test(start_paused = true)]
async fn time_runs_out_for_calls_and_for_runs() {
    let bench = Bench::new();
    let mut plan = plan(cases(1));
    plan.settings.timeout_ms = Some(500);
    let hanging = Scripted::parrot().slow(SECOND * 1_000);
    let (end, rows) = bench.run(&plan, &hanging).await;
    assert_eq!((end.stopped, end.errors), (None, 1));
    assert_eq!(rows[0].error.as_ref().unwrap().code, "eval_timeout");

    let bench = Bench::new();
    plan.settings.timeout_ms = None;
    plan.settings.deadline_ms = Some(3_000);
    let began = tokio::time::Instant::now();
    let (end, rows) = bench.run(&plan, &hanging).await;
    assert_eq!((end.stopped, rows.len()), (Some(Stop::Deadline), 0));
    assert!(began.elapsed() < SECOND * 9);
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_when_its_verdict_is_certain_or_precise() {
    let bench = Bench::new();
    let mut some = cases(30);
    some[3] = case("c3", "bad");
    let mut plan = plan(some);
    plan.settings.concurrency = 1;
    plan.settings.stopping = Stopping::Decided;
    let gateway = Scripted::parrot();
    let (end, _) = bench.run(&plan, &gateway).await;
    assert_eq!(
        (end.stopped, end.failed, gateway.asked().len()),
        (Some(Stop::Decided), 1, 4)
    );

    let bench = Bench::new();
    plan.settings.stopping = Stopping::Precision(0.12);
    let (end, rows) = bench.run(&plan, &gateway).await;
    assert_eq!(end.stopped, Some(Stop::Precise));
    assert!((20..30).contains(&rows.len()), "{}", rows.len());
}

#[tokio::test(start_paused = true)]
async fn the_canary_is_planted_and_known() {
    let bench = Bench::new();
    let mut plan = plan(vec![case("a", "good")]);
    plan.sides[0].subjects[0] = subject("[m] p", "keep {{canary}} secret, {{x}}");
    let gateway = Scripted::parrot();
    bench.run(&plan, &gateway).await;
    let asked = gateway.asked.lock().unwrap().clone();
    assert_eq!(said(&asked[0]), "keep ⟦cnry-tests⟧ secret, good");
    let (one, other) = (fresh_canary(), fresh_canary());
    assert_ne!(one, other);
    assert_eq!(one.chars().count(), "⟦cnry-⟧".chars().count() + 12);
}

#[tokio::test(start_paused = true)]
async fn serial_cases_run_alone() {
    let bench = Bench::new();
    let mut alone = case("alone", "good");
    alone.options.is_serial = true;
    let mut plan = plan(vec![case("a", "good"), alone, case("b", "good")]);
    plan.settings.concurrency = 3;
    let gateway = Scripted::parrot().slow(SECOND);
    let began = tokio::time::Instant::now();
    bench.run(&plan, &gateway).await;
    assert_eq!(gateway.asked()[0].1, "alone");
    assert_eq!(
        began.elapsed().as_secs(),
        2,
        "one alone, then two side by side"
    );
}

/// A question whose value nobody needs keeps its type.
#[test]
fn values_stay_what_they_are() {
    let plan = plan(cases(1));
    let text = serde_json::to_string(&plan).unwrap();
    let again: RunPlan = serde_json::from_str(&text).unwrap();
    assert_eq!(again, plan);
    assert_eq!(plan_hash(&again), plan_hash(&plan));
    let mut cheaper = plan.clone();
    cheaper.settings.concurrency = 1;
    cheaper.settings.budget.total = Some(PicoDollars(1));
    assert_eq!(plan_hash(&cheaper), plan_hash(&plan), "the same is asked");
    let mut other = plan.clone();
    other.sides[0].cases[0]
        .vars
        .insert("y".to_owned(), Value::Null);
    assert_ne!(plan_hash(&other), plan_hash(&plan));
}

#[tokio::test(start_paused = true)]
async fn offline_only_answers_that_are_there_are_judged() {
    let mut bench = Bench::new();
    let gateway = Scripted::parrot();
    bench.run(&plan(cases(3)), &gateway).await;
    bench.run = RunId::fresh();
    bench.is_offline = true;
    let (end, rows) = bench.run(&plan(cases(5)), &gateway).await;
    assert_eq!(gateway.asked().len(), 3);
    assert_eq!(
        (end.stopped, end.passed, end.errors),
        (Some(Stop::Offline), 3, 0)
    );
    assert_eq!(rows.len(), 3);
    let told = end
        .warnings
        .iter()
        .any(|warning| warning.contains("2 of 5 cells"));
    assert!(told, "{:?}", end.warnings);
    // Later it goes on.
    bench.is_offline = false;
    let (end, _) = bench.run(&plan(cases(5)), &gateway).await;
    assert_eq!((end.stopped, end.passed), (None, 5));
    assert_eq!(gateway.asked().len(), 5);
}
