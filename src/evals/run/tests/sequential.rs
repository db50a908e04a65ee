//! Runs that end because a test has decided.

use super::{Bench, Scripted, case, plan, reply, said, side};
use crate::evals::baseline::{Baseline, BaselineError};
use crate::evals::ledger::{RunEnd, Stop};
use crate::evals::plan::{RunPlan, Side};
use crate::evals::report::{RunReport, Verdict};
use crate::evals::suite::{Gate, GateKind, OnInconclusive, Place, Stopping};

/// `count` cases on both sides, of which the n-th asks for `good` or, from `kept` in ten on, may get worse.
fn compared(count: usize, margin: f64) -> RunPlan {
    let cases: Vec<_> = (0..count)
        .map(|n| case(&format!("c{n}"), &format!("{n}")))
        .collect();
    let mut plan = plan(cases.clone());
    plan.sides.insert(0, side(Side::Base, cases));
    plan.settings.stopping = Stopping::Decided;
    plan.settings.is_cached = false;
    plan.settings.gates = vec![Gate {
        metric: "pass".to_owned(),
        kind: GateKind::NonInferior {
            margin,
            alpha: 0.05,
        },
        on_inconclusive: OnInconclusive::Fail,
        place: Place::default(),
    }];
    plan
}

/// Base is always good; head is bad at numbers that end so.
fn bad_at(endings: &'static [&'static str]) -> Scripted {
    Scripted::new(move |ask, _| {
        let is_head = ask.cell.as_ref().unwrap().side == Side::Head;
        let is_bad = is_head && endings.iter().any(|end| said(ask).ends_with(end));
        Ok(reply(if is_bad { "no" } else { "good" }, 1))
    })
}

async fn run(plan: &RunPlan, gateway: &Scripted) -> (RunEnd, RunReport) {
    let (end, rows) = Bench::new().run(plan, gateway).await;
    let report = *end.report.clone().unwrap();
    let again = crate::evals::verdict::of_run(plan, rows, &end);
    assert_eq!(
        (again.verdict, &again.gates),
        (report.verdict, &report.gates)
    );
    (end, report)
}

#[tokio::test]
async fn a_head_that_is_as_good_passes_before_all_is_asked() {
    let plan = compared(400, 0.05);
    let (end, report) = run(&plan, &bad_at(&[])).await;
    assert_eq!(end.stopped, Some(Stop::Tested));
    assert_eq!(report.verdict, Verdict::Passed, "{}", report.summary);
    let stopped = report.spent.stopped.clone().unwrap();
    assert!(
        stopped.starts_with("an anytime-valid test has decided after "),
        "{stopped}"
    );
    assert!(stopped.ends_with(" of 400 cases"), "{stopped}");
    let line = &report.metrics[0];
    assert!((80..200).contains(&line.cases), "{}", line.cases);
    assert!(
        stopped.contains(&format!(" {} of", line.cases)),
        "{stopped}"
    );
    let delta = line.delta.unwrap();
    assert!(
        -0.1 < delta.low.unwrap() && delta.high.unwrap() < 0.1,
        "{delta:?}"
    );
    assert_eq!(line.p_value.as_ref().unwrap().0, "anytime-valid bets");
    let warned = report
        .warnings
        .iter()
        .any(|warning| warning.starts_with("stopped early: "));
    assert!(warned, "{:?}", report.warnings);
    assert!(end.passed < 500, "{}", end.passed);
    let refused = Baseline::of(&report).unwrap_err();
    assert!(
        matches!(refused, BaselineError::Stopped { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn a_real_drop_is_found_early_wherever_it_stands_in_the_suite() {
    let plan = compared(400, 0.05);
    let (end, report) = run(&plan, &bad_at(&["1", "2"])).await;
    assert_eq!(end.stopped, Some(Stop::Tested));
    assert_eq!(report.verdict, Verdict::Failed, "{}", report.summary);
    let reason = &report.gates[0].reason;
    assert!(reason.starts_with("worse than base after "), "{reason}");
    assert!(report.metrics[0].cases < 100, "{}", report.metrics[0].cases);
    let delta = report.metrics[0].delta.unwrap();
    assert!(delta.high.unwrap() < 0.0, "{delta:?}");
}

#[tokio::test]
async fn few_cases_decide_nothing_early_and_the_end_has_half_of_alpha() {
    let plan = compared(40, 0.05);
    let (end, report) = run(&plan, &bad_at(&["1"])).await;
    assert_eq!(end.stopped, None);
    assert_eq!(report.spent.stopped, None);
    assert_ne!(report.verdict, Verdict::Passed);
    let mut whole = plan.clone();
    whole.settings.stopping = Stopping::All;
    let (_, usual) = run(&whole, &bad_at(&["1"])).await;
    assert_ne!(
        report.gates[0].reason, usual.gates[0].reason,
        "the bound is further away"
    );
}

#[tokio::test]
async fn cases_that_hang_together_are_all_asked() {
    let mut plan = compared(300, 0.05);
    for side in &mut plan.sides {
        for case in &mut side.cases {
            case.cluster = Some("one".to_owned());
        }
    }
    let (end, _) = run(&plan, &bad_at(&[])).await;
    assert_eq!((end.stopped, end.passed), (None, 600));
}

#[tokio::test]
async fn without_gates_only_what_passed_on_base_is_missed() {
    let mut plan = compared(30, 0.05);
    plan.settings.gates.clear();
    plan.settings.concurrency = 1;
    let both_fail = Scripted::new(|_, _| Ok(reply("no", 1)));
    let (end, report) = run(&plan, &both_fail).await;
    assert_eq!((end.stopped, report.verdict), (None, Verdict::Passed));
    let (end, report) = run(&plan, &bad_at(&["3"])).await;
    assert_eq!(
        (end.stopped, report.verdict),
        (Some(Stop::Decided), Verdict::Failed)
    );
}
