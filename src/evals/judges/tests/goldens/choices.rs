//! `factuality` and `model-graded-closedqa`.

use crate::evals::judges::testing::Desk;
use crate::evals::judges::tests::goldens::Theirs::{Same, Was};
use crate::evals::judges::tests::goldens::{ERROR, FAIL, PASS, hold};
use serde_json::{Value, json};

#[tokio::test]
async fn facts_are_compared_as_in_promptfoo() {
    let row = |kind, key: &str, ours, theirs| {
        (
            kind,
            json!(format!("the reference JUDGE:{key}")),
            None,
            ours,
            theirs,
        )
    };
    let mut desk = Desk::of("Paris");
    hold(
        &desk,
        vec![
            row("factuality", "fact-a", (PASS, 1.0), Same),
            row("factuality", "fact-b", (PASS, 1.0), Same),
            row("factuality", "fact-c", (PASS, 1.0), Same),
            row("factuality", "fact-d", (FAIL, 0.0), Same),
            row("factuality", "fact-e", (PASS, 1.0), Same),
            row("model-graded-factuality", "fact-c", (PASS, 1.0), Same),
            row("model-graded-factuality", "fact-d", (FAIL, 0.0), Same),
            row("factuality", "fact-legacy", (PASS, 1.0), Same),
            row("factuality", "fact-lower", (PASS, 1.0), Same),
            row("factuality", "fact-prose", (PASS, 1.0), Same),
            row("factuality", "fact-fenced", (FAIL, 0.0), Same),
            row("factuality", "fact-no-reason", (PASS, 1.0), Same),
            // promptfoo does not turn around what `not-` asks to turn around.
            row("not-factuality", "fact-d", (PASS, 1.0), Was(false, 0.0)),
            row("not-factuality", "fact-c", (FAIL, 0.0), Was(true, 1.0)),
            // The letter alone is an answer.
            row("factuality", "fact-letter", (PASS, 1.0), Was(false, 0.0)),
            row("factuality", "fact-odd", ERROR, Was(false, 0.0)),
            row("factuality", "fact-none", ERROR, Was(false, 0.0)),
            ("factuality", Value::Null, None, ERROR, Was(false, 0.0)),
        ],
    )
    .await;
    desk.case.options.factuality = Some(json!({
        "subset": 0.5, "superset": 0, "differButFactual": 0.25, "disagree": 0.1, "agree": 1,
    }));
    hold(
        &desk,
        vec![
            row("factuality", "fact-a", (PASS, 0.5), Same),
            row("factuality", "fact-b", (FAIL, 0.0), Same),
            row("factuality", "fact-e", (PASS, 0.25), Same),
            row("factuality", "fact-d", (PASS, 0.1), Same),
        ],
    )
    .await;
}

#[tokio::test]
async fn criteria_are_met_or_not_as_in_promptfoo() {
    let row = |key: &str, ours, theirs| {
        (
            "model-graded-closedqa",
            json!(format!("is a city JUDGE:{key}")),
            None,
            ours,
            theirs,
        )
    };
    hold(
        &Desk::with_vars("Paris", &json!({"c": "JUDGE:qa-n"})),
        vec![
            row("qa-y", (PASS, 1.0), Same),
            row("qa-n", (FAIL, 0.0), Same),
            row("qa-long", (PASS, 1.0), Same),
            row("qa-long-n", (FAIL, 0.0), Same),
            row("qa-space", (PASS, 1.0), Same),
            row("qa-both", (PASS, 1.0), Same),
            (
                "model-graded-closedqa",
                json!("{{c}}"),
                None,
                (FAIL, 0.0),
                Same,
            ),
            row("qa-no", (FAIL, 0.0), Same),
            // What says yes clearly is no malformed answer.
            row("qa-yes", (PASS, 1.0), Was(false, 0.0)),
            row("qa-lower", (PASS, 1.0), Was(false, 0.0)),
            row("qa-dot", (PASS, 1.0), Was(false, 0.0)),
            row("qa-may", ERROR, Was(false, 0.0)),
            row("qa-empty", ERROR, Was(false, 0.0)),
            (
                "not-model-graded-closedqa",
                json!("JUDGE:qa-y"),
                None,
                (FAIL, 0.0),
                Was(true, 1.0),
            ),
            (
                "not-model-graded-closedqa",
                json!("JUDGE:qa-n"),
                None,
                (PASS, 1.0),
                Was(false, 0.0),
            ),
        ],
    )
    .await;
}
