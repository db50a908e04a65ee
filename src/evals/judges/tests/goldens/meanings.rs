//! What embeddings decide.

use crate::evals::grade::Mark;
use crate::evals::judges::testing::Desk;
use crate::evals::judges::tests::goldens::Theirs::{Same, Was};
use crate::evals::judges::tests::goldens::{ERROR, FAIL, PASS, Row, hold};
use serde_json::{Value, json};

#[tokio::test]
async fn answers_are_close_to_questions_as_in_promptfoo() {
    let row = |threshold, ours| ("answer-relevance", Value::Null, threshold, ours, Same);
    let close = 0.801_783_725_7;
    hold(
        &Desk::of("What is the capital of France? JUDGE:rel-one"),
        vec![
            row(None, (PASS, close)),
            row(Some(0.5), (PASS, close)),
            row(Some(0.9), (FAIL, close)),
        ],
    )
    .await;
    hold(
        &Desk::of("Gouda JUDGE:rel-two"),
        vec![row(None, (PASS, 0.0)), row(Some(0.9), (FAIL, 0.0))],
    )
    .await;
}

/// A row about `the cat sat on the mat` by the forms of `similar`.
fn row(kind: &'static str, value: &str, threshold: Option<f64>, ours: (Mark, f64)) -> Row {
    (kind, json!(value), threshold, ours, Same)
}

const CAT: &str = "the cat sat on the mat";
const NEAR: f64 = 0.848_528_137_4;
const FAR: f64 = 0.366_025_403_8;

#[tokio::test]
async fn meanings_are_close_as_in_promptfoo() {
    let vars = json!({"ref": "the cat sat on a mat"});
    let rows = vec![
        row("similar", CAT, None, (PASS, 1.0)),
        row("similar", "the cat sat", None, (PASS, NEAR)),
        row("similar", "the cat sat", Some(0.5), (PASS, NEAR)),
        row("similar", "nothing in common here", Some(0.9), (FAIL, 0.0)),
        row("not-similar", CAT, None, (FAIL, 0.0)),
        row(
            "not-similar",
            "words of another kind",
            Some(0.9),
            (PASS, 1.0),
        ),
        row("similar", "{{ref}}", None, (PASS, 1.0)),
        row("similar", "THE CAT SAT ON THE MAT", None, (PASS, 1.0)),
        row("similar", "mat the on sat cat the", None, (PASS, 1.0)),
        ("similar", json!(["zebra", CAT]), None, (PASS, 1.0), Same),
        (
            "similar",
            json!(["zebra", "yak"]),
            Some(0.99),
            (FAIL, 0.632_455_532),
            Same,
        ),
        ("similar", Value::Null, None, ERROR, Was(false, 0.0)),
        ("similar", json!([]), None, ERROR, Was(false, 0.0)),
    ];
    hold(&Desk::with_vars(CAT, &vars), rows).await;
    let rows = vec![
        row("similar", "café naïve 日本", None, (PASS, 1.0)),
        row("similar", "cafe naive 日本", Some(0.5), (FAIL, 1.0 / 3.0)),
    ];
    hold(&Desk::of("café naïve 日本"), rows).await;
}

#[tokio::test]
async fn other_measures_are_those_of_promptfoo() {
    let rows = vec![
        row("similar:cosine", "the cat sat", Some(0.7), (PASS, NEAR)),
        row("similar:dot", "the cat sat", Some(3.0), (PASS, 6.0)),
        row("similar:dot", "the cat sat", Some(100.0), (FAIL, 6.0)),
        row("not-similar:dot", "the cat sat", Some(100.0), (PASS, -5.0)),
        row("similar:euclidean", "the cat sat", Some(0.3), (FAIL, FAR)),
        row("similar:euclidean", "the cat sat", Some(0.9), (FAIL, FAR)),
        row("similar:euclidean", CAT, None, (PASS, 1.0)),
        row(
            "not-similar:euclidean",
            "the cat sat",
            Some(0.9),
            (PASS, 1.0 - FAR),
        ),
    ];
    hold(&Desk::of(CAT), rows).await;
}
