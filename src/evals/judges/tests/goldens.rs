//! What promptfoo 0.121.20 made of the same answers of the same judge. Where we differ on purpose the row
//! says so, and what promptfoo says instead stands beside it.

use crate::evals::grade::Mark;
use crate::evals::judges::testing::{Desk, assertion};
use crate::evals::suite::Script;
use serde_json::{Value, json};

/// How a row compares with promptfoo's verdict.
enum Theirs {
    /// It is the same.
    Same,
    /// It was `(pass, score)`.
    Was(bool, f64),
}
use Theirs::{Same, Was};

/// Kind, value, threshold, what we say, what promptfoo said.
type Row = (&'static str, Value, Option<f64>, (Mark, f64), Theirs);

const PASS: Mark = Mark::Pass;
const FAIL: Mark = Mark::Fail;
const ERROR: (Mark, f64) = (Mark::Error, 0.0);

async fn hold(desk: &Desk, rows: Vec<Row>) {
    for (kind, value, threshold, (mark, score), theirs) in rows {
        let mut assertion = assertion(kind, value.clone());
        assertion.threshold = threshold;
        let grade = desk.decide(&assertion).await;
        let at = format!("{kind} {value} {threshold:?}: {grade:?}");
        assert_eq!(grade.mark, mark, "{at}");
        assert!((grade.score - score).abs() < 1e-6, "{at}");
        if let Was(pass, score) = theirs {
            let is_other = (mark == Mark::Pass) != pass
                || mark == Mark::Error
                || 1e-6 < (grade.score - score).abs();
            assert!(is_other, "the same as promptfoo's: {at}");
        }
    }
}

fn key(kind: &'static str, key: &str, ours: (Mark, f64), theirs: Theirs) -> Row {
    (
        kind,
        json!(format!("must be kind JUDGE:{key}")),
        None,
        ours,
        theirs,
    )
}

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
    let vars = json!({"name": "Ada", "key": "fail-plain"});
    hold(
        &Desk::with_vars("hello", vars),
        vec![
            (
                "llm-rubric",
                json!("must mention {{name}} JUDGE:{{key}}"),
                None,
                (FAIL, 0.0),
                Same,
            ),
            (
                "llm-rubric",
                json!({"criteria": "JUDGE:pass-plain"}),
                None,
                (PASS, 1.0),
                Same,
            ),
            (
                "llm-rubric",
                json!(["kind JUDGE:pass-plain", "short"]),
                None,
                (PASS, 1.0),
                Same,
            ),
        ],
    )
    .await;
    // The scripted judge reads the output too, which stands before the rubric.
    hold(
        &Desk::of("JUDGE:fail-plain says the answer"),
        vec![
            ("llm-rubric", json!("be kind"), None, (FAIL, 0.0), Same),
            (
                "llm-rubric",
                json!("JUDGE:pass-plain"),
                None,
                (FAIL, 0.0),
                Same,
            ),
        ],
    )
    .await;
    let mut desk = Desk::of("");
    hold(
        &desk,
        vec![
            (
                "llm-rubric",
                json!("JUDGE:pass-plain"),
                None,
                (PASS, 1.0),
                Same,
            ),
            (
                "llm-rubric",
                json!("JUDGE:fail-plain"),
                None,
                (FAIL, 0.0),
                Same,
            ),
        ],
    )
    .await;
    desk.answer.output = json!({"a": 1});
    hold(
        &desk,
        vec![(
            "llm-rubric",
            json!("JUDGE:pass-plain"),
            None,
            (PASS, 1.0),
            Same,
        )],
    )
    .await;
    desk.case.options.rubric_prompt = Some(json!("All by JUDGE:score-half {{output}} {{rubric}}"));
    hold(
        &desk,
        vec![
            ("llm-rubric", json!("x"), None, (PASS, 0.5), Same),
            (
                "llm-rubric",
                json!("JUDGE:fail-plain"),
                None,
                (PASS, 0.5),
                Same,
            ),
        ],
    )
    .await;
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
        &Desk::with_vars("Paris", json!({"c": "JUDGE:qa-n"})),
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
        &Desk::with_vars("Paris", vars),
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
        &Desk::with_vars("Paris", vars),
        vec![
            relevance(None, (PASS, 0.25)),
            relevance(Some(0.5), (FAIL, 0.25)),
            relevance(Some(0.9), (FAIL, 0.25)),
        ],
    )
    .await;
    let vars = json!({"query": "JUDGE:relevance-bad", "context": "Paris is big. It is old."});
    hold(
        &Desk::with_vars("Paris", vars),
        vec![
            relevance(None, (PASS, 0.0)),
            relevance(Some(0.1), (FAIL, 0.0)),
        ],
    )
    .await;
    let vars = json!({"query": "JUDGE:relevance-lines", "context": "Paris is big.\nIt is old.\nIt rains."});
    hold(
        &Desk::with_vars("Paris", vars),
        vec![relevance(None, (PASS, 2.0 / 3.0))],
    )
    .await;
}

#[tokio::test]
async fn answers_are_held_against_their_context_as_in_promptfoo() {
    let faithful = |threshold, ours| ("context-faithfulness", Value::Null, threshold, ours, Same);
    let vars = || json!({"query": "What?", "context": "Paris is big."});
    hold(
        &Desk::with_vars("Paris is big JUDGE:faith", vars()),
        vec![
            faithful(None, (PASS, 0.5)),
            faithful(Some(0.4), (PASS, 0.5)),
            faithful(Some(0.9), (FAIL, 0.5)),
        ],
    )
    .await;
    let desk = Desk::with_vars("Paris JUDGE:faith-all", vars());
    hold(&desk, vec![faithful(None, (PASS, 1.0))]).await;
}

#[tokio::test]
async fn a_context_may_be_made_and_must_be_there() {
    let vars = json!({"query": "x JUDGE:relevance-one", "docs": ["Paris is big.", "It is old."]});
    let desk = Desk::with_vars("Paris", vars);
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
        let desk = Desk::with_vars("Paris", vars);
        let grade = desk
            .decide(&assertion("context-relevance", Value::Null))
            .await;
        assert_eq!(grade.mark, Mark::Error);
        assert!(grade.reason.contains(missing), "{}", grade.reason);
    }
}

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

#[tokio::test]
async fn goals_are_judged_by_the_tools_that_were_called() {
    // promptfoo knows steps from traces alone, and is an error without them.
    let mut desk = Desk::of("hello");
    desk.tools = vec![crate::evals::grade::Step {
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
