//! Two snapshots side by side, from the command line: what changes, what labels say of it, and which exit
//! code a pipeline gets. Queries are paid once.

use crate::support::{Answer, FakeProvider, Received, Setup, TestGateway};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

const OLD: &str = "openai/text-embedding-3-small";
const NEW: &str = "openai/text-embedding-3-large";

/// Answers chats. A good model has a direction for each word; the old one hears only the first letters.
fn embedder(request: &Received) -> Answer {
    if !request.path.ends_with("/embeddings") {
        return Answer::reply("certainly");
    }
    let body = request.json();
    let is_good = body["model"] == "text-embedding-3-large";
    let input = &body["input"];
    let texts = input
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![input.clone()]);
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let mut vector = vec![0.05_f32; if is_good { 32 } else { 16 }];
            for word in text.as_str().unwrap().split_whitespace() {
                let letters = if is_good { word.len() } else { 1 };
                let hash = word.bytes().take(letters).fold(7_usize, |hash, byte| {
                    (hash * 31 + usize::from(byte)) % 1_009
                });
                let places = vector.len();
                vector[hash % places] += 1.0;
            }
            json!({"object": "embedding", "index": index, "embedding": vector})
        })
        .collect();
    Answer::json(&json!({
        "object": "list", "model": body["model"], "data": data,
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }))
}

const THINGS: [&str; 12] = [
    "refund",
    "receipt",
    "return",
    "password",
    "profile",
    "phone",
    "delivery",
    "discount",
    "damage",
    "invoice",
    "insurance",
    "import",
];
const DOINGS: [&str; 4] = ["ask", "change", "cancel", "track"];

/// A text for each thing and doing, and a query for each with its answer.
fn corpus(gateway: &TestGateway) {
    let (mut items, mut queries) = (String::new(), String::new());
    for thing in THINGS {
        for doing in DOINGS {
            let id = format!("{thing}-{doing}");
            let item = json!({"id": id, "text": format!("how to {doing} about a {thing} here")});
            writeln!(items, "{item}").unwrap();
            let query = json!({"id": format!("q-{id}"), "text": format!("{doing} {thing}"), "relevant": [id]});
            writeln!(queries, "{query}").unwrap();
        }
    }
    fs::write(gateway.path().join("corpus.jsonl"), items).unwrap();
    fs::write(gateway.path().join("queries.jsonl"), queries).unwrap();
}

async fn started() -> (FakeProvider, TestGateway) {
    let provider = FakeProvider::start().await;
    provider.always(embedder);
    let gateway = Setup::of(&provider).start().await;
    corpus(&gateway);
    for model in [OLD, NEW] {
        let create = [
            "embeddings",
            "snapshot",
            "create",
            "docs",
            "--from",
            "corpus.jsonl",
        ];
        gateway
            .run_json(&[&create[..], &["--model", model]].concat())
            .await;
    }
    (provider, gateway)
}

fn compare<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["embeddings", "compare", "docs@1", "docs@2"][..], more].concat()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn labels_decide_and_queries_are_paid_once() {
    let (provider, gateway) = started().await;
    let before = provider.journal().len();
    let arguments = compare(&[
        "--queries",
        "queries.jsonl",
        "-k",
        "3",
        "--html",
        "report.html",
    ]);
    let report = gateway.run_json(&arguments).await;
    assert_eq!(report["verdict"]["kind"], "better", "{}", report["verdict"]);
    assert_eq!(report["alignment"]["compared"], 48);
    assert_eq!(report["method"]["labelled"], 48);
    let settings = report["settings"].as_array().unwrap();
    assert!(settings.iter().any(|change| change["setting"] == "model"));
    let gained = report["queries"].as_array().unwrap();
    let gained = gained
        .iter()
        .find(|query| query["fate"] == "gained")
        .unwrap();
    assert!(
        gained["b"]
            .as_array()
            .unwrap()
            .iter()
            .any(|hit| hit["relevance"] == 1.0)
    );
    let html = fs::read_to_string(gateway.path().join("report.html")).unwrap();
    assert!(html.starts_with("<!") && html.contains("docs@2"));

    let paid = provider.journal().len();
    assert!(before < paid);
    let again = gateway.run_json(&arguments).await;
    assert_eq!(provider.journal().len(), paid, "queries are kept");
    assert_eq!(again, report, "the same comparison is the same report");
}

#[tokio::test]
async fn gates_give_the_exit_code() {
    let (_provider, gateway) = started().await;
    for (gates, code) in [
        (&["overlap@3 < 0.01"][..], 0),
        (&["overlap@3 < 0.99", "overlap@3 < 0.01"], 1),
        (&["recall@7 drop > 0.01"], 2),
        (&["space-mismatch"], 1),
    ] {
        let mut arguments = compare(&[
            "--queries",
            "queries.jsonl",
            "-k",
            "3",
            "--junit",
            "gates.xml",
        ]);
        for gate in gates {
            arguments.extend(["--fail-if", gate]);
        }
        let output = gateway.run(&arguments).await;
        assert_eq!(output.status.code(), Some(code), "{gates:?} {output:?}");
        let junit = fs::read_to_string(gateway.path().join("gates.xml")).unwrap();
        assert!(junit.contains("<testsuite"), "{junit}");
    }
    let wrong = gateway
        .run(&compare(&["--fail-if", "overlpa@3 < 0.9"]))
        .await;
    assert_eq!(
        wrong.status.code(),
        Some(2),
        "no gate failed: there is none"
    );
    assert!(
        stderr(&wrong).contains("there is no figure `overlpa@3`"),
        "{wrong:?}"
    );
    assert!(
        stderr(&wrong).contains("did you mean `overlap@10`?"),
        "{wrong:?}"
    );
}

#[tokio::test]
async fn without_labels_nobody_says_better_and_a_judge_set_is_written() {
    let (_provider, gateway) = started().await;
    let arguments = compare(&[
        "--queries-from",
        "items",
        "-k",
        "3",
        "--judge-set",
        "judge.jsonl",
    ]);
    let report = gateway.run_json(&arguments).await;
    assert_eq!(report["verdict"]["kind"], "unknown_direction");
    assert_eq!(report["method"]["queries_from"], "items");
    let judged = fs::read_to_string(gateway.path().join("judge.jsonl")).unwrap();
    let first: Value = serde_json::from_str(judged.lines().next().unwrap()).unwrap();
    assert!(
        first["grade"].is_null() && first["text"].is_string(),
        "{first}"
    );
    assert_ne!(
        first["query"], first["item"],
        "an item does not answer itself"
    );

    // What comes back, graded, labels the queries that the same seed draws again.
    let graded = judged.replace("\"grade\":null", "\"grade\":1");
    fs::write(gateway.path().join("graded.jsonl"), graded).unwrap();
    let from_items = compare(&["--queries-from", "items", "-k", "3"]);
    let graded = ["--qrels", "graded.jsonl"];
    let report = gateway.run_json(&[&from_items[..], &graded].concat()).await;
    let labelled = report["method"]["labelled"].as_u64().unwrap();
    assert!(0 < labelled, "{}", report["method"]);
    assert_ne!(report["verdict"]["kind"], "unknown_direction");
    fs::write(gateway.path().join("other.jsonl"), "q1 0 d1 1\n").unwrap();
    let other = [&from_items[..], &["--qrels", "other.jsonl"]].concat();
    let other = gateway.run(&other).await;
    assert_eq!(other.status.code(), Some(1));
    assert!(
        stderr(&other).contains("with the same source, `--seed`"),
        "{other:?}"
    );
    let nothing = gateway.run(&compare(&["--qrels", "other.jsonl"])).await;
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");

    let missing = gateway
        .run(&["embeddings", "compare", "docs@1", "docs@9"])
        .await;
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("docs@9"), "{missing:?}");
}

/// Asks for vectors of a text, or of several.
/// Who waits is told why.
#[tokio::test]
async fn a_provider_that_does_not_answer_is_told_of_while_it_is_waited_for() {
    let (provider, gateway) = started().await;
    let refused = AtomicUsize::new(0);
    provider.always(move |request| {
        let is_old = request.json()["model"] == "text-embedding-3-small";
        if is_old && refused.fetch_add(1, Ordering::SeqCst) < 4 {
            return Answer::status(503, &[], "busy");
        }
        embedder(request)
    });
    let queries = fs::read_to_string(gateway.path().join("queries.jsonl")).unwrap();
    let wish = json!({"a": "docs@1", "b": "docs@2", "queries": queries, "k": 3});
    let answer = gateway.admin().post("/api/embeddings/compare", &wish).await;
    let lines: Vec<Value> = answer
        .text()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let is_waiting = |line: &&Value| line["progress"]["stage"] == "waiting";
    let waiting = lines.iter().find(is_waiting).unwrap();
    assert_eq!(waiting["progress"]["total"], 8, "{waiting}");
    assert!(lines.last().unwrap()["report"].is_object());
}

#[tokio::test]
async fn a_file_that_is_no_text_is_named_with_its_line() {
    let (_provider, gateway) = started().await;
    let bytes = b"{\"text\": \"a\"}\n{\"text\": \"caf\xe9\"}\n";
    fs::write(gateway.path().join("latin.jsonl"), bytes).unwrap();
    let output = gateway.run(&compare(&["--queries", "latin.jsonl"])).await;
    assert!(
        stderr(&output).contains("`latin.jsonl`: line 2 is not UTF-8"),
        "{output:?}"
    );
}

async fn embed(gateway: &TestGateway, model: &str, input: Value) {
    let body = json!({"model": model, "input": input});
    let answer = gateway.client().post("/v1/embeddings", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn queries_are_drawn_from_recorded_calls() {
    let (_provider, gateway) = started().await;
    let from_calls = compare(&["--queries-from", "calls", "-k", "3"]);
    let nothing = gateway.run(&from_calls).await;
    assert_eq!(nothing.status.code(), Some(1), "{nothing:?}");
    let said = "finds no recorded call of `/v1/embeddings` in the last 30 days";
    assert!(stderr(&nothing).contains(said), "{nothing:?}");
    assert!(stderr(&nothing).contains("--queries FILE"), "{nothing:?}");

    for thing in THINGS {
        embed(&gateway, OLD, json!(format!("where is my {thing}"))).await;
    }
    // Asked twice, by its name, and what are no queries: an item, an index being filled, another model.
    embed(&gateway, OLD, json!("where is my refund")).await;
    embed(&gateway, "embed:docs", json!(["change my phone"])).await;
    embed(&gateway, OLD, json!("how to ask about a refund here")).await;
    embed(&gateway, OLD, json!(["one text", "and another"])).await;
    embed(&gateway, "openai/other", json!("of another index")).await;

    let report = gateway.run_json(&from_calls).await;
    assert_eq!(report["method"]["queries_from"], "calls");
    assert_eq!(report["method"]["queries"], 13);
    let notes = report["method"]["notes"].to_string();
    let told = "queries: 13 texts drawn from 17 recorded calls of `/v1/embeddings`, asked from 20";
    assert!(notes.contains(told), "{notes}");
    let texts = report["queries"].to_string();
    assert!(texts.contains("change my phone"), "{texts}");
    for no_query in ["how to ask", "one text", "of another index"] {
        assert!(
            !texts.contains(&format!("\"text\":\"{no_query}")),
            "{texts}"
        );
    }

    let few =
        |seed: &'static str| [&from_calls[..], &["--sample-queries", "5", "--seed", seed]].concat();
    let [one, again, other] = [
        gateway.run_json(&few("1")).await,
        gateway.run_json(&few("1")).await,
        gateway.run_json(&few("2")).await,
    ];
    assert_eq!(one["method"]["queries"], 5);
    assert_eq!(one["queries"], again["queries"], "the seed decides");
    let ids = |report: &Value| {
        let queries = report["queries"].as_array().unwrap().iter();
        let mut ids: Vec<String> = queries.map(|query| query["id"].to_string()).collect();
        ids.sort();
        ids
    };
    assert_ne!(ids(&one), ids(&other));

    let alone = gateway
        .run(&compare(&["--queries-from", "items", "--days", "3"]))
        .await;
    assert!(stderr(&alone).contains("--queries-from calls"), "{alone:?}");
}

#[tokio::test]
async fn queries_are_drawn_from_a_prompts_requests() {
    let (_provider, gateway) = started().await;
    for thing in THINGS {
        let body = json!({"model": "prompt:greet", "prompt": {"variables": {"name": format!("my {thing}")}}});
        let answer = gateway.client().chat(&body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let arguments = compare(&[
        "--queries-from",
        "calls",
        "--prompt",
        "greet",
        "--variable",
        "name",
        "-k",
        "3",
    ]);
    let report = gateway.run_json(&arguments).await;
    assert_eq!(report["method"]["queries"], 12);
    let notes = report["method"]["notes"].to_string();
    assert!(
        notes.contains("12 recorded calls of prompt `greet`"),
        "{notes}"
    );
    let unknown = [&arguments[..8], &["--variable", "other"]].concat();
    let nothing = gateway.run(&unknown).await;
    assert!(
        stderr(&nothing).contains("none of which asks a query"),
        "{nothing:?}"
    );
}
