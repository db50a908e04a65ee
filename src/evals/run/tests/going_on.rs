//! Runs that are stopped, go on, and meet limits.

use super::{Bench, SECOND, Scripted, case, cases, contains, failure, plan, reply, said, side};
use crate::domain::{PicoDollars, RunId};
use crate::evals::grade::Mark;
use crate::evals::ledger::Stop;
use crate::evals::plan::Side;
use crate::evals::run::Control;
use crate::evals::run::asks::ask_key;
use serde_json::json;

#[tokio::test(start_paused = true)]
async fn base_and_head_of_a_case_are_asked_one_after_the_other() {
    let bench = Bench::new();
    let mut plan = plan(vec![case("a", "good"), case("b", "bad")]);
    plan.sides.insert(
        0,
        side(Side::Base, vec![case("b", "good"), case("old", "good")]),
    );
    plan.settings.repeat = 2;
    plan.settings.concurrency = 1;
    let gateway = Scripted::parrot();
    let (end, rows) = bench.run(&plan, &gateway).await;
    let asked = gateway.asked();
    let cell = |side, case: &str, repeat| (side, case.to_owned(), repeat);
    let (base, head) = (Side::Base, Side::Head);
    assert_eq!(
        asked,
        [
            cell(head, "a", 0),
            cell(head, "a", 1),
            // Neither side always goes first.
            cell(base, "b", 0),
            cell(head, "b", 0),
            cell(head, "b", 1),
            cell(base, "b", 1),
            cell(base, "old", 0),
            cell(base, "old", 1),
        ]
    );
    assert_eq!(
        (end.cells, end.passed, end.failed, end.errors),
        (8, 6, 2, 0)
    );
    assert_eq!(end.stopped, None);
    assert_eq!(end.spent.case_calls, 8);
    assert_eq!(end.spent.cases, Some(PicoDollars(80)));
    assert_eq!(rows.len(), 8);
    let failed = rows
        .iter()
        .find(|row| row.grade.mark == Mark::Fail)
        .unwrap();
    assert_eq!(failed.vars["x"], "bad");
    assert_eq!(failed.answer.as_ref().unwrap().output, "say bad");
}

// On the real clock: what is under way waits for the real disk, and a paused one would not.
#[tokio::test]
async fn a_stopped_run_goes_on_and_asks_nothing_twice() {
    let mut bench = Bench::new();
    let plan = plan(cases(24));
    let cancel = bench.control.cancel.clone();
    let stopping = Scripted::new(move |ask, count| {
        if count == 5 {
            cancel.cancel();
        }
        Ok(reply(&said(ask), 10))
    })
    .slow(SECOND / 20);
    let (end, rows) = bench.run(&plan, &stopping).await;
    assert_eq!(end.stopped, Some(Stop::Cancelled));
    // What was under way came in.
    assert_eq!(rows.len(), stopping.asked().len());
    // Those that were ready together may have let as many more begin.
    assert!((6..24).contains(&rows.len()), "{}", rows.len());

    bench.control = Control::default();
    let rest = Scripted::parrot();
    let (end, rows) = bench.run(&plan, &rest).await;
    assert_eq!(rows.len(), 24);
    assert_eq!(end.stopped, None);
    let first = u64::try_from(stopping.asked().len()).unwrap();
    assert_eq!(
        (end.spent.resumed, end.spent.case_calls),
        (first, 24 - first)
    );
    assert_eq!(end.spent.cases, Some(PicoDollars(240)));
    let (mut once, again) = (stopping.asked(), rest.asked());
    assert!(again.iter().all(|cell| !once.contains(cell)));
    once.extend(again);
    assert_eq!(once.len(), 24);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_paid_is_taken_instead_of_asking() {
    let mut bench = Bench::new();
    let plan = plan(cases(2));
    // The questions of a run that was killed before their rows were written.
    let gateway = Scripted::parrot();
    bench.run(&plan, &gateway).await;
    let asked = gateway.asked.lock().unwrap().clone();
    bench.run = RunId::fresh();
    for ask in &asked[..1] {
        let key = ask_key(ask);
        bench
            .paid
            .entry(key)
            .or_default()
            .push_back(reply("good, and paid", 7));
    }
    let mut plan = plan;
    plan.settings.is_cached = false;
    let again = Scripted::parrot();
    let (_, rows) = bench.run(&plan, &again).await;
    assert_eq!(again.asked().len(), 1);
    let outputs: Vec<_> = rows
        .iter()
        .map(|row| row.answer.clone().unwrap().output)
        .collect();
    assert!(outputs.contains(&json!("good, and paid")), "{outputs:?}");
}

#[tokio::test(start_paused = true)]
async fn a_changed_case_is_asked_again_and_errors_are_when_that_is_wanted() {
    let mut bench = Bench::new();
    let before = plan(vec![
        case("a", "good"),
        case("b", "good"),
        case("c", "good"),
    ]);
    let failing = Scripted::new(|ask, _| match ask.case.as_str() {
        "c" => Err(failure("provider_error", None)),
        _ => Ok(reply(&said(ask), 10)),
    });
    let (end, _) = bench.run(&before, &failing).await;
    assert_eq!((end.passed, end.errors), (2, 1));

    let mut after = before.clone();
    after.sides[0].cases[1].asserts.push(contains("more"));
    after.settings.is_cached = false;
    let gateway = Scripted::parrot();
    let (end, rows) = bench.run(&after, &gateway).await;
    assert_eq!(gateway.asked(), [(Side::Head, "b".to_owned(), 0)]);
    assert_eq!((end.passed, end.failed, end.errors), (1, 1, 1));
    assert_eq!(rows.len(), 3, "the new row takes the place of the old one");

    bench.retries_errors = true;
    let gateway = Scripted::parrot();
    let (end, _) = bench.run(&after, &gateway).await;
    assert_eq!(gateway.asked(), [(Side::Head, "c".to_owned(), 0)]);
    assert_eq!((end.passed, end.failed, end.errors), (2, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_budget_stops_a_run_before_it_is_overspent() {
    let bench = Bench::new();
    let mut plan = plan(cases(50));
    plan.settings.concurrency = 8;
    plan.settings.budget.total = Some(PicoDollars(105));
    let gateway = Scripted::parrot().slow(SECOND);
    let (end, rows) = bench.run(&plan, &gateway).await;
    assert_eq!(end.stopped, Some(Stop::Budget));
    assert_eq!(end.spent.cases, Some(PicoDollars(100)));
    assert_eq!((rows.len(), gateway.asked().len()), (10, 10));

    plan.settings.budget.total = Some(PicoDollars(205));
    let (end, rows) = bench.run(&plan, &gateway).await;
    assert_eq!(
        (end.stopped, rows.len()),
        (Some(Stop::Budget), 20),
        "what was spent counts"
    );
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_is_weathered() {
    let bench = Bench::new();
    let mut plan = plan(cases(20));
    plan.settings.concurrency = 8;
    let gateway = Scripted::new(|ask, count| match count {
        0..8 => Err(failure("provider_rate_limited", Some(2_000))),
        8..10 => Err(failure("provider_overloaded", None)),
        _ => Ok(reply(&said(ask), 1)),
    });
    let began = tokio::time::Instant::now();
    let (end, _) = bench.run(&plan, &gateway).await;
    assert_eq!((end.passed, end.errors), (20, 0));
    assert_eq!(gateway.asked().len(), 30);
    assert!(SECOND * 2 <= began.elapsed(), "the pause was not kept");

    // A provider that never has time is an error in the end.
    let bench = Bench::new();
    let never = Scripted::new(|_, _| Err(failure("provider_rate_limited", Some(10))));
    let (end, rows) = bench.run(&super::plan(cases(1)), &never).await;
    assert_eq!((end.errors, never.asked().len()), (1, 20));
    assert_eq!(
        rows[0].error.as_ref().unwrap().code,
        "provider_rate_limited"
    );
}
