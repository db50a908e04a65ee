//! `llm-rubric`, `g-eval` and `trajectory:goal-success`.

use crate::evals::judges::testing::Desk;
use crate::evals::judges::tests::goldens::Theirs::{Same, Was};
use crate::evals::judges::tests::goldens::{ERROR, FAIL, PASS, hold, key};
use serde_json::{Value, json};

#[tokio::test]
async fn rubrics_are_read_as_promptfoo_does() {
    let at = |kind, key: &str, threshold, ours| {
        (kind, json!(format!("JUDGE:{key}")), threshold, ours, Same)
    };
    hold(
        &Desk::of("hello"),
        vec![
            at("llm-rubric", "pass-plain", None, (PASS, 1.0)),
            at("llm-rubric", "fail-plain", None, (FAIL, 0.0)),
            at("llm-rubric", "score-half", None, (PASS, 0.5)),
            at("llm-rubric", "score-half", Some(0.5), (PASS, 0.5)),
            at("llm-rubric", "score-half", Some(0.6), (FAIL, 0.5)),
            at("not-llm-rubric", "pass-plain", None, (FAIL, 0.0)),
            at("not-llm-rubric", "fail-plain", None, (PASS, 1.0)),
            at("not-llm-rubric", "score-half", Some(0.6), (PASS, 0.5)),
            at("llm-rubric", "fail-one-thr", Some(0.5), (FAIL, 1.0)),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_a_verdict_leaves_out_means_what_it_means_there() {
    let row = |name: &str, ours, theirs| key("llm-rubric", name, ours, theirs);
    hold(
        &Desk::of("hello"),
        vec![
            row("no-pass", (PASS, 0.4), Same),
            row("no-pass-zero", (PASS, 0.0), Same),
            row("no-score", (PASS, 1.0), Same),
            row("no-score-fail", (FAIL, 0.0), Same),
            row("pass-yes", (PASS, 1.0), Same),
            row("pass-true-text", (PASS, 1.0), Same),
            row("pass-no-text", (FAIL, 1.0), Same),
            row("pass-passed", (PASS, 1.0), Same),
            row("pass-number", (FAIL, 1.0), Same),
            row("pass-null", (PASS, 1.0), Same),
            row("score-text", (PASS, 0.7), Same),
            row("score-text-bad", (PASS, 1.0), Same),
            row("no-reason", (PASS, 1.0), Same),
            row("pass-zero", (PASS, 0.0), Same),
            row("fail-one", (FAIL, 1.0), Same),
            row("extra", (PASS, 1.0), Same),
            // A score that is none of ours would weigh more than everything else.
            row("score-ten", ERROR, Was(true, 8.0)),
            row("score-minus", ERROR, Was(true, -1.0)),
            // An object that decides nothing does not pass.
            row("empty", ERROR, Was(true, 1.0)),
        ],
    )
    .await;
}

#[tokio::test]
async fn verdicts_are_found_in_what_models_write() {
    let row = |name: &str, ours, theirs| key("llm-rubric", name, ours, theirs);
    hold(
        &Desk::of("hello"),
        vec![
            row("fenced", (PASS, 0.8), Same),
            row("prose", (PASS, 0.7), Same),
            row("two-objects", (PASS, 1.0), Same),
            row("trailing-comma", (PASS, 1.0), Same),
            row("single-quotes", (PASS, 0.9), Same),
            row("truncated", (PASS, 0.6), Same),
            row("array", (PASS, 1.0), Same),
            row("newlines", (PASS, 0.25), Same),
            row("unicode", (PASS, 1.0), Same),
            row("python", (PASS, 1.0), Same),
            // What the model thought is not its verdict.
            row("thinking", (PASS, 1.0), Was(false, 0.0)),
            // The judge said fail; promptfoo does not know keys in capitals and passes.
            row("capital", (FAIL, 0.0), Was(true, 1.0)),
            // The judge said fail; promptfoo takes `{not json}` for the verdict and passes.
            row("braces-before", (FAIL, 0.1), Was(true, 1.0)),
            // No verdict is an error.
            row("no-json", ERROR, Was(false, 0.0)),
            row("true-text", ERROR, Was(false, 0.0)),
            row("empty-text", ERROR, Was(false, 0.0)),
            key("not-llm-rubric", "no-json", ERROR, Was(false, 0.0)),
        ],
    )
    .await;
}

#[tokio::test]
async fn rubrics_may_be_templates_objects_and_lists() {
    let rubric = |value: Value, ours| ("llm-rubric", value, None, ours, Same);
    let vars = json!({"name": "Ada", "key": "fail-plain"});
    let rows = vec![
        rubric(json!("must mention {{name}} JUDGE:{{key}}"), (FAIL, 0.0)),
        rubric(json!({"criteria": "JUDGE:pass-plain"}), (PASS, 1.0)),
        rubric(json!(["kind JUDGE:pass-plain", "short"]), (PASS, 1.0)),
    ];
    hold(&Desk::with_vars("hello", &vars), rows).await;
    // The scripted judge reads the output too, which stands before the rubric.
    let rows = vec![
        rubric(json!("be kind"), (FAIL, 0.0)),
        rubric(json!("JUDGE:pass-plain"), (FAIL, 0.0)),
    ];
    hold(&Desk::of("JUDGE:fail-plain says the answer"), rows).await;
    let both = || {
        vec![
            rubric(json!("JUDGE:pass-plain"), (PASS, 1.0)),
            rubric(json!("JUDGE:fail-plain"), (FAIL, 0.0)),
        ]
    };
    let mut desk = Desk::of("");
    hold(&desk, both()).await;
    desk.answer.output = json!({"a": 1});
    hold(&desk, both()).await;
    desk.case.options.rubric_prompt = Some(json!("All by JUDGE:score-half {{output}} {{rubric}}"));
    let rows = vec![
        rubric(json!("x"), (PASS, 0.5)),
        rubric(json!("JUDGE:fail-plain"), (PASS, 0.5)),
    ];
    hold(&desk, rows).await;
}

#[tokio::test]
async fn plans_are_followed_as_in_promptfoo() {
    let row = |value: &str, threshold, ours, theirs| {
        (
            "g-eval",
            json!(format!("Coherent? JUDGE:{value}")),
            threshold,
            ours,
            theirs,
        )
    };
    let list = |one: &str, other: &str, threshold, ours| {
        let value = json!([format!("one JUDGE:{one}"), format!("two JUDGE:{other}")]);
        ("g-eval", value, threshold, ours, Same)
    };
    hold(
        &Desk::of("text"),
        vec![
            row("ge-ten", None, (PASS, 1.0), Same),
            row("ge-seven", None, (PASS, 0.7), Same),
            row("ge-six", None, (FAIL, 0.6), Same),
            row("ge-zero", None, (FAIL, 0.0), Same),
            row("ge-eight", Some(0.9), (FAIL, 0.8), Same),
            row("ge-five", Some(0.5), (PASS, 0.5), Same),
            row("ge-float", None, (PASS, 0.75), Same),
            row("ge-text", None, (PASS, 0.9), Same),
            row("ge-prose", None, (PASS, 0.9), Same),
            row("ge-fenced", None, (PASS, 0.8), Same),
            ("not-g-eval", json!("JUDGE:ge-ten"), None, (FAIL, 0.0), Same),
            (
                "not-g-eval",
                json!("JUDGE:ge-zero"),
                None,
                (PASS, 1.0),
                Same,
            ),
            list("ge-ten", "ge-six", None, (PASS, 0.8)),
            list("ge-ten", "ge-zero", Some(0.5), (PASS, 0.5)),
            list("ge-zero", "ge-five", None, (FAIL, 0.25)),
            row("ge-none", None, ERROR, Was(false, 0.0)),
            row("ge-over", None, ERROR, Was(false, 0.0)),
        ],
    )
    .await;
}

#[tokio::test]
async fn goals_are_judged_by_the_tools_that_were_called() {
    // promptfoo knows steps from traces alone, and is an error without them.
    let mut desk = Desk::of("hello");
    desk.tools = vec![crate::evals::grade::Step {
        result: None,
        name: "search".to_owned(),
        arguments: json!({"q": "x"}),
    }];
    hold(
        &desk,
        vec![
            (
                "trajectory:goal-success",
                json!("done JUDGE:pass-plain"),
                None,
                (PASS, 1.0),
                Same,
            ),
            (
                "trajectory:goal-success",
                json!({"goal": "JUDGE:fail-plain"}),
                None,
                (FAIL, 0.0),
                Same,
            ),
            (
                "not-trajectory:goal-success",
                json!("JUDGE:fail-plain"),
                None,
                (PASS, 1.0),
                Same,
            ),
            (
                "trajectory:goal-success",
                json!({"goal": " "}),
                None,
                ERROR,
                Same,
            ),
        ],
    )
    .await;
    let asked = desk.gateway.text(0);
    assert!(
        asked.contains(r#"[{"name":"search","arguments":{"q":"x"}}]"#),
        "{asked}"
    );
}
