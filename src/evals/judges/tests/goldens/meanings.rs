//! What embeddings decide.

use crate::evals::judges::testing::Desk;
use crate::evals::judges::tests::goldens::Theirs::{Same, Was};
use crate::evals::judges::tests::goldens::{ERROR, FAIL, PASS, hold};
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

#[tokio::test]
async fn meanings_are_close_as_in_promptfoo() {
    let row = |kind, value: Value, threshold, ours| (kind, value, threshold, ours, Same);
    let vars = json!({"ref": "the cat sat on a mat"});
    let near = 0.848_528_137_4;
    hold(
        &Desk::with_vars("the cat sat on the mat", vars),
        vec![
            row(
                "similar",
                json!("the cat sat on the mat"),
                None,
                (PASS, 1.0),
            ),
            row("similar", json!("the cat sat"), None, (PASS, near)),
            row("similar", json!("the cat sat"), Some(0.5), (PASS, near)),
            row(
                "similar",
                json!("nothing in common here"),
                Some(0.9),
                (FAIL, 0.0),
            ),
            row(
                "not-similar",
                json!("the cat sat on the mat"),
                None,
                (FAIL, 0.0),
            ),
            row(
                "not-similar",
                json!("words of another kind"),
                Some(0.9),
                (PASS, 1.0),
            ),
            row(
                "similar",
                json!(["zebra", "the cat sat on the mat"]),
                None,
                (PASS, 1.0),
            ),
            row(
                "similar",
                json!(["zebra", "yak"]),
                Some(0.99),
                (FAIL, 0.632_455_532),
            ),
            row(
                "similar:cosine",
                json!("the cat sat"),
                Some(0.7),
                (PASS, near),
            ),
            row("similar:dot", json!("the cat sat"), Some(3.0), (PASS, 6.0)),
            row(
                "similar:dot",
                json!("the cat sat"),
                Some(100.0),
                (FAIL, 6.0),
            ),
            row(
                "similar:euclidean",
                json!("the cat sat"),
                Some(0.3),
                (FAIL, 0.366_025_403_8),
            ),
            row(
                "similar:euclidean",
                json!("the cat sat"),
                Some(0.9),
                (FAIL, 0.366_025_403_8),
            ),
            row(
                "similar:euclidean",
                json!("the cat sat on the mat"),
                None,
                (PASS, 1.0),
            ),
            row("similar", json!("{{ref}}"), None, (PASS, 1.0)),
            row(
                "not-similar:dot",
                json!("the cat sat"),
                Some(100.0),
                (PASS, -5.0),
            ),
            row(
                "not-similar:euclidean",
                json!("the cat sat"),
                Some(0.9),
                (PASS, 0.633_974_596_2),
            ),
            row(
                "similar",
                json!("THE CAT SAT ON THE MAT"),
                None,
                (PASS, 1.0),
            ),
            row(
                "similar",
                json!("mat the on sat cat the"),
                None,
                (PASS, 1.0),
            ),
            ("similar", Value::Null, None, ERROR, Was(false, 0.0)),
            ("similar", json!([]), None, ERROR, Was(false, 0.0)),
        ],
    )
    .await;
    hold(
        &Desk::of("café naïve 日本"),
        vec![
            row("similar", json!("café naïve 日本"), None, (PASS, 1.0)),
            row(
                "similar",
                json!("cafe naive 日本"),
                Some(0.5),
                (FAIL, 1.0 / 3.0),
            ),
        ],
    )
    .await;
}
