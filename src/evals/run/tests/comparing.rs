//! Outputs that are compared with each other, and what is made of cases on the way to a question.

use super::{Bench, SECOND, Scripted, case, contains, plan, reply, said, subject};
use crate::evals::gateway::AskContent;
use crate::evals::grade::Mark;
use crate::evals::plan::RunPlan;
use crate::evals::row::Row;
use crate::evals::suite::{AssertNode, AssertionKind, Case, Script};
use serde_json::json;
use std::collections::BTreeMap;

/// A case whose best output is the one with `good` in it.
fn compared(id: &str) -> Case {
    let mut case = case(id, id);
    let AssertNode::One(mut best) = contains("x") else {
        panic!("a single assertion was made")
    };
    (best.kind, best.value) = (AssertionKind::MaxScore, None);
    case.asserts.insert(0, AssertNode::One(best));
    case
}

/// Two prompts, of which the first in the order of names is the second of the suite.
fn two(cases: Vec<Case>) -> RunPlan {
    let mut plan = plan(cases);
    plan.sides[0].subjects = vec![
        subject("[m] z", "first {{x}}"),
        subject("[m] a", "second {{x}}"),
    ];
    plan
}

fn marks(rows: &[Row]) -> BTreeMap<(String, String), Mark> {
    let marks = rows.iter().map(|row| {
        let cell = &row.cell;
        ((cell.case.0.clone(), cell.subject.clone()), row.grade.mark)
    });
    marks.collect()
}

fn key(case: &str, label: &str) -> (String, String) {
    (case.to_owned(), format!("[m] {label}"))
}

#[tokio::test(start_paused = true)]
async fn the_outputs_of_a_case_are_compared() {
    let bench = Bench::new();
    let mut plan = two(vec![compared("a"), compared("b"), case("c", "good")]);
    plan.settings.concurrency = 4;
    let gateway = Scripted::new(|ask, _| match said(ask).as_str() {
        "second a" => Ok(reply("good", 1)),
        "first b" | "second b" => Ok(reply("good too", 1)),
        other => Ok(reply(other, 1)),
    })
    .slow(SECOND);
    let (end, rows) = bench.run(&plan, &gateway).await;
    let marks = marks(&rows);
    assert_eq!((end.passed, end.failed, end.errors), (4, 2, 0), "{marks:?}");
    assert_eq!(marks[&key("a", "a")], Mark::Pass);
    assert_eq!(marks[&key("a", "z")], Mark::Fail);
    // Of equals the first in the suite.
    assert_eq!(marks[&key("b", "z")], Mark::Pass);
    assert_eq!(marks[&key("b", "a")], Mark::Fail);
    let first = rows.iter().find(|row| row.cell.case.0 == "a").unwrap();
    let paths = first.grade.assertions.iter().map(|one| one.path.as_str());
    assert_eq!(paths.collect::<Vec<_>>(), ["0", "1"]);

    // Nothing is asked again when the run goes on.
    let (end, again) = bench.run(&plan, &gateway).await;
    assert_eq!((end.spent.resumed, gateway.asked().len()), (6, 6));
    assert_eq!(again.len(), rows.len());
}

#[tokio::test(start_paused = true)]
async fn without_one_of_the_outputs_nobody_wins_until_it_is_there() {
    let mut bench = Bench::new();
    let plan = two(vec![compared("a")]);
    let broken = Scripted::new(|ask, _| match said(ask).as_str() {
        "first a" => Err(super::failure("refused", None)),
        _ => Ok(reply("good", 1)),
    });
    let (end, rows) = bench.run(&plan, &broken).await;
    assert_eq!((end.passed, end.failed, end.errors), (0, 0, 2));
    let waiting = rows.iter().find(|row| row.cell.subject == "[m] a").unwrap();
    assert_eq!(
        waiting.grade.reason,
        "`max-score`: `[m] z` gave no answer to compare with"
    );
    bench.retries_errors = true;
    let whole = Scripted::new(|_, _| Ok(reply("good", 1)));
    let (end, rows) = bench.run(&plan, &whole).await;
    assert_eq!((end.passed, end.failed, end.errors), (1, 1, 0));
    assert_eq!(marks(&rows)[&key("a", "z")], Mark::Pass);
}

#[tokio::test(start_paused = true)]
async fn what_a_case_says_wins_over_prompt_and_model() {
    let bench = Bench::new();
    let mut own = case("a", "good");
    own.options.other = json!({"temperature": 0.5}).as_object().unwrap().clone();
    own.options.transform_vars = Some(Script {
        code: "({y: vars.x + '!'})".to_owned(),
        function: None,
        file: None,
    });
    let mut plan = plan(vec![own]);
    let template = "[{\"role\": \"system\", \"content\": \"{{y}}\"}, {\"role\": \"user\", \"content\": \"{{x}}\"}]";
    plan.sides[0].subjects[0] = subject("[m] p", template);
    let parameters = json!({"temperature": 0.0, "seed": 1});
    plan.sides[0].subjects[0].parameters = parameters.as_object().unwrap().clone();
    let gateway = Scripted::parrot();
    bench.run(&plan, &gateway).await;
    let asked = gateway.asked.lock().unwrap();
    assert_eq!(
        json!(asked[0].parameters),
        json!({"temperature": 0.5, "seed": 1})
    );
    let AskContent::Messages(messages) = &asked[0].content else {
        panic!("a version was asked")
    };
    assert_eq!(
        json!(messages),
        json!([{"role": "system", "content": "good!"}, {"role": "user", "content": "good"}])
    );
}
