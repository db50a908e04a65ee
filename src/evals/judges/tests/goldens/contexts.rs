//! Contexts and conversations.

use crate::evals::grade::Mark;
use crate::evals::judges::testing::{Desk, assertion};
use crate::evals::judges::tests::goldens::Theirs::{Same, Was};
use crate::evals::judges::tests::goldens::{ERROR, FAIL, PASS, hold};
use crate::evals::suite::Script;
use serde_json::{Value, json};

#[tokio::test]
async fn context_counts_as_in_promptfoo() {
    let recall = |key: &str, threshold, ours, theirs| {
        (
            "context-recall",
            json!(format!("JUDGE:{key}")),
            threshold,
            ours,
            theirs,
        )
    };
    let vars = json!({"query": "What?", "context": "Paris is big and old."});
    hold(
        &Desk::with_vars("Paris", &vars),
        vec![
            recall("recall-all", None, (PASS, 1.0), Same),
            recall("recall-half", None, (PASS, 0.5), Same),
            recall("recall-half", Some(0.6), (FAIL, 0.5), Same),
            recall("recall-half", Some(0.5), (PASS, 0.5), Same),
            recall("recall-none", None, (PASS, 0.0), Same),
            recall("recall-odd", None, ERROR, Was(true, 0.0)),
            (
                "not-context-recall",
                json!("JUDGE:recall-all"),
                None,
                (FAIL, 0.0),
                Was(true, 1.0),
            ),
            ("context-recall", Value::Null, None, ERROR, Was(false, 0.0)),
        ],
    )
    .await;
    let relevance = |threshold, ours| ("context-relevance", Value::Null, threshold, ours, Same);
    let vars = json!({
        "query": "What is it? JUDGE:relevance-one",
        "context": "Paris is big. It is old. It rains. We dance.",
    });
    hold(
        &Desk::with_vars("Paris", &vars),
        vec![
            relevance(None, (PASS, 0.25)),
            relevance(Some(0.5), (FAIL, 0.25)),
            relevance(Some(0.9), (FAIL, 0.25)),
        ],
    )
    .await;
    let vars = json!({"query": "JUDGE:relevance-bad", "context": "Paris is big. It is old."});
    hold(
        &Desk::with_vars("Paris", &vars),
        vec![
            relevance(None, (PASS, 0.0)),
            relevance(Some(0.1), (FAIL, 0.0)),
        ],
    )
    .await;
    let vars = json!({"query": "JUDGE:relevance-lines", "context": "Paris is big.\nIt is old.\nIt rains."});
    hold(
        &Desk::with_vars("Paris", &vars),
        vec![relevance(None, (PASS, 2.0 / 3.0))],
    )
    .await;
}

#[tokio::test]
async fn answers_are_held_against_their_context_as_in_promptfoo() {
    let faithful = |threshold, ours| ("context-faithfulness", Value::Null, threshold, ours, Same);
    let vars = || json!({"query": "What?", "context": "Paris is big."});
    hold(
        &Desk::with_vars("Paris is big JUDGE:faith", &vars()),
        vec![
            faithful(None, (PASS, 0.5)),
            faithful(Some(0.4), (PASS, 0.5)),
            faithful(Some(0.9), (FAIL, 0.5)),
        ],
    )
    .await;
    let desk = Desk::with_vars("Paris JUDGE:faith-all", &vars());
    hold(&desk, vec![faithful(None, (PASS, 1.0))]).await;
}

#[tokio::test]
async fn a_context_may_be_made_and_must_be_there() {
    let vars = json!({"query": "x JUDGE:relevance-one", "docs": ["Paris is big.", "It is old."]});
    let desk = Desk::with_vars("Paris", &vars);
    let mut made = assertion("context-relevance", Value::Null);
    made.context_transform = Some(Script {
        code: "context.vars.docs.join(\"\\n\")".to_owned(),
        function: None,
        file: None,
    });
    let grade = desk.decide(&made).await;
    assert_eq!((grade.mark, grade.score), (PASS, 0.5), "{grade:?}");
    for (vars, missing) in [
        (json!({"query": "no context"}), "a variable `context`"),
        (json!({"context": "no query"}), "a variable `query`"),
        (
            json!({"query": "x", "context": [1]}),
            "a variable `context`",
        ),
    ] {
        let desk = Desk::with_vars("Paris", &vars);
        let grade = desk
            .decide(&assertion("context-relevance", Value::Null))
            .await;
        assert_eq!(grade.mark, Mark::Error);
        assert!(grade.reason.contains(missing), "{}", grade.reason);
    }
}

#[tokio::test]
async fn talks_are_judged_as_in_promptfoo() {
    let row = |threshold, ours| ("conversation-relevance", Value::Null, threshold, ours, Same);
    hold(
        &Desk::of("fine JUDGE:turn-yes"),
        vec![row(None, (PASS, 1.0)), row(Some(0.9), (PASS, 1.0))],
    )
    .await;
    hold(&Desk::of("off JUDGE:turn-no"), vec![row(None, (FAIL, 0.0))]).await;
}
