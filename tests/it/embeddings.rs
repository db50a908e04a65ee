//! Snapshots of embeddings: nothing is paid twice, spaces are never mixed, and every vector says where it
//! is from.

use crate::support::{Answer, FakeProvider, Received, Setup, TestGateway, eventually, within};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::process::Output;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) const MODEL: &str = "openai/text-embedding-3-small";

pub(crate) fn inputs(request: &Received) -> Vec<String> {
    let body = request.json();
    let one = body["input"].as_str().map(|text| vec![text.to_owned()]);
    one.unwrap_or_else(|| {
        let texts = body["input"].as_array().unwrap();
        let texts = texts.iter().map(|text| text.as_str().unwrap_or_default());
        texts.map(str::to_owned).collect()
    })
}

/// Words fall on dimensions by their letters; the model turns the wheel, so that another one is another space.
fn vector(text: &str, model: &str, dimensions: usize) -> Vec<f32> {
    let mut vector = vec![0.0; dimensions];
    for word in text.split_whitespace() {
        let sum: usize = word.bytes().map(usize::from).sum();
        vector[(sum + model.len()) % dimensions] += 1.0;
    }
    vector
}

/// Embeds like a provider: in the encoding and of the length that is asked for, a token a word.
pub(crate) fn embedder(request: &Received) -> Answer {
    let body = request.json();
    let model = body["model"].as_str().unwrap().to_owned();
    let dimensions = body["dimensions"].as_u64().unwrap_or(8);
    let dimensions = usize::try_from(dimensions).unwrap();
    let texts = inputs(request);
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, &model, dimensions);
            let embedding = if body["encoding_format"] == "base64" {
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                json!(STANDARD.encode(bytes))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let tokens: usize = texts
        .iter()
        .map(|text| text.split_whitespace().count())
        .sum();
    Answer::json(&json!({
        "object": "list", "model": model, "data": data,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }))
}

/// How often each text was embedded: only what was answered is paid.
pub(crate) fn paid(provider: &FakeProvider) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in provider.journal().iter().filter(|request| request.answered) {
        for text in inputs(request) {
            *counts.entry(text).or_default() += 1;
        }
    }
    counts
}

fn is_paid_once(provider: &FakeProvider, texts: usize) {
    let paid = paid(provider);
    let twice: Vec<_> = paid.iter().filter(|(_, count)| **count != 1).collect();
    assert_eq!(twice, [], "these were paid more than once");
    assert_eq!(paid.len(), texts);
}

/// A corpus of `count` different texts, of which each in `changed` is another than it was.
pub(crate) fn corpus(gateway: &TestGateway, count: usize, changed: &[usize]) {
    let mut text = String::new();
    for n in 0..count {
        let word = if changed.contains(&n) {
            "changed"
        } else {
            "text"
        };
        let source =
            json!({"id": format!("d{n}"), "text": format!("{word} number {n}"), "lang": "en"});
        writeln!(text, "{source}").unwrap();
    }
    fs::write(gateway.path().join("corpus.jsonl"), text).unwrap();
}

const CREATE: [&str; 7] = [
    "embeddings",
    "snapshot",
    "create",
    "docs",
    "--from",
    "corpus.jsonl",
    "--model",
];

pub(crate) fn create<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&CREATE[..], &[MODEL], more].concat()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) async fn started(setup: impl FnOnce(Setup) -> Setup) -> (FakeProvider, TestGateway) {
    let provider = FakeProvider::start().await;
    provider.always(embedder);
    let gateway = setup(Setup::of(&provider)).start().await;
    (provider, gateway)
}

/// Lets the label `production` of `docs` lead to a snapshot.
pub(crate) async fn declare(gateway: &TestGateway, number: u32) {
    let text = format!("[collections.docs]\nlabels.production = {number}\n");
    fs::write(gateway.path().join("embeddings.toml"), text).unwrap();
    gateway.hang_up();
    eventually("the declaration", async || {
        let declared = gateway.admin().get("/api/embeddings/declared").await.json();
        let found = &declared["collections"]["docs"]["labels"]["production"]["number"];
        (*found == number).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_corpus_becomes_a_snapshot_and_each_request_is_a_record() {
    let (provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 25, &[]);
    let planned = gateway.run(&create(&["--dry-run"])).await;
    assert!(
        stderr(&planned).contains("25 texts: 0 embedded already, 25 to embed"),
        "{planned:?}"
    );
    assert_eq!(provider.journal().len(), 0, "a plan costs nothing");
    let list = gateway.run(&["embeddings", "snapshot", "list"]).await;
    assert_eq!(
        stderr(&list),
        "there are no snapshots\n",
        "and leaves nothing"
    );

    let made = gateway.run_json(&create(&["--batch-texts", "10"])).await;
    let snapshot = &made["snapshot"];
    assert_eq!(
        (&snapshot["collection"], &snapshot["number"]),
        (&json!("docs"), &json!(1))
    );
    assert_eq!(
        (&snapshot["items"], &snapshot["dimensions"]),
        (&json!(25), &json!(8))
    );
    // 75 words of a provider that counts words, at 20 000 pico-dollars each.
    assert_eq!(
        snapshot["spent"],
        json!({"requests": 3, "tokens": 75, "cost": 1_500_000})
    );
    assert_eq!(provider.journal()[0].json()["encoding_format"], "base64");
    is_paid_once(&provider, 25);

    for call in gateway.ended_calls(3).await {
        let record = gateway.record(call.id()).await;
        let intent = &record["intent"];
        assert_eq!(intent["tags"], json!(["embeddings"]));
        assert_eq!(intent["embedding"]["space"], snapshot["space_id"]);
        let name = intent["embedding"]["name"].as_str().unwrap();
        assert!(name.starts_with("docs@draft-"), "{name}");
        assert_eq!(
            record["output"],
            json!(null),
            "vectors are not kept in records"
        );
    }
    let again = gateway.run(&create(&[])).await;
    assert!(
        stderr(&again).contains("nothing has changed: this is docs@1"),
        "{again:?}"
    );

    let found = gateway
        .run_json(&["embeddings", "search", "docs@1", "text number 7", "-k", "1"])
        .await;
    assert_eq!(found[0]["results"][0]["id"], "d7");
    let verified = gateway
        .run_json(&["embeddings", "snapshot", "verify"])
        .await;
    assert_eq!(
        (&verified["ok"], &verified["vectors"]),
        (&json!(true), &json!(25))
    );
}

#[tokio::test]
async fn only_what_changed_is_embedded_again() {
    let (provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 200, &[]);
    gateway.run_json(&create(&[])).await;
    corpus(&gateway, 200, &[3, 77]);
    // Nothing is said of the model: it is that of the snapshot before.
    let made = gateway.run_json(&CREATE[..6]).await;
    assert_eq!(
        (&made["plan"]["cached"], &made["plan"]["to_send"]),
        (&json!(198), &json!(2))
    );
    is_paid_once(&provider, 202);
    let diff = gateway
        .run_json(&["embeddings", "snapshot", "diff", "docs@1", "docs@2"])
        .await;
    assert_eq!(diff["changed_text"], json!(["d3", "d77"]));
    assert_eq!(diff["unchanged"], 198);
}

/// Answers the first `answers` requests and leaves the others without an answer.
pub(crate) fn answer_first(provider: &FakeProvider, answers: usize) {
    let asked = AtomicUsize::new(0);
    provider.always(move |request| {
        if asked.fetch_add(1, Ordering::SeqCst) < answers {
            embedder(request)
        } else {
            Answer::hang()
        }
    });
}

#[tokio::test]
async fn after_a_kill_of_the_server_no_text_is_paid_twice() {
    let (provider, mut gateway) = started(|setup| setup).await;
    corpus(&gateway, 50, &[]);
    answer_first(&provider, 2);
    let arguments = create(&["--batch-texts", "10", "-j", "1"]);
    let command = gateway.spawn(&arguments);
    provider.wait_for_requests(3).await;
    gateway.kill9().await;
    let ended = tokio::task::spawn_blocking(move || command.wait_with_output().unwrap());
    let ended = within("the end of the command", ended).await.unwrap();
    assert_eq!(ended.status.code(), Some(1), "{ended:?}");
    assert_eq!(paid(&provider).len(), 20);

    provider.always(embedder);
    gateway.restart().await;
    let list = gateway.run(&["embeddings", "snapshot", "list"]).await;
    assert!(
        stderr(&list).contains("`snapshot create docs --resume=draft-"),
        "{list:?}"
    );
    let made = gateway.run_json(&arguments).await;
    assert_eq!(
        (&made["plan"]["cached"], &made["plan"]["to_send"]),
        (&json!(20), &json!(30))
    );
    is_paid_once(&provider, 50);
}

#[tokio::test]
async fn a_draft_goes_on_without_its_corpus() {
    let (provider, mut gateway) = started(|setup| setup).await;
    corpus(&gateway, 30, &[]);
    answer_first(&provider, 1);
    let command = gateway.spawn(&create(&["--batch-texts", "10", "-j", "1"]));
    provider.wait_for_requests(2).await;
    gateway.kill9().await;
    drop(command);
    provider.always(embedder);
    gateway.restart().await;
    fs::remove_file(gateway.path().join("corpus.jsonl")).unwrap();
    let resume = ["embeddings", "snapshot", "create", "docs", "--resume"];
    let made = gateway.run_json(&resume).await;
    assert_eq!(made["snapshot"]["items"], 30);
    is_paid_once(&provider, 30);
    let nothing = gateway.run(&resume).await;
    assert!(
        stderr(&nothing).contains("`docs` has no draft to go on with"),
        "{nothing:?}"
    );
}

#[tokio::test]
async fn a_command_that_is_killed_leaves_its_snapshot_to_the_server() {
    let (provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 30, &[]);
    let asked = AtomicUsize::new(0);
    provider.always(move |request| {
        let answer = embedder(request);
        if asked.fetch_add(1, Ordering::SeqCst) == 1 {
            answer.gate_after(0)
        } else {
            answer
        }
    });
    let arguments = create(&["--batch-texts", "10", "-j", "1"]);
    let mut command = gateway.spawn(&arguments);
    provider.wait_for_requests(2).await;
    command.kill().unwrap();
    command.wait().unwrap();
    provider.release();
    eventually("the snapshot", async || {
        let list = gateway
            .admin()
            .get("/api/embeddings/snapshots")
            .await
            .json();
        (list["data"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    let again = gateway.run(&arguments).await;
    assert!(stderr(&again).contains("this is docs@1"), "{again:?}");
    is_paid_once(&provider, 30);
}

#[tokio::test]
async fn a_busy_provider_is_asked_again_and_a_text_only_once() {
    let (provider, gateway) = started(|setup| setup).await;
    let mut text = String::new();
    for n in 0..40 {
        writeln!(text, "the text {}", n % 20).unwrap();
    }
    fs::write(gateway.path().join("corpus.jsonl"), text).unwrap();
    let busy = || {
        let body = json!({"error": {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}});
        Answer::status(429, &[("retry-after-ms", "5")], &body.to_string())
    };
    for _ in 0..3 {
        provider.next(busy());
    }
    let arguments = create(&["--format", "lines", "--batch-texts", "8"]);
    let made = gateway.run_json(&arguments).await;
    assert_eq!(
        (&made["plan"]["texts"], &made["plan"]["unique"]),
        (&json!(40), &json!(20))
    );
    assert_eq!(made["snapshot"]["counts"]["duplicate"], 20);
    let refused = provider.journal().len() - 3;
    assert_eq!(
        refused, 3,
        "three requests were answered, and three refused"
    );
    let mut sent: Vec<String> = provider.journal()[3..].iter().flat_map(inputs).collect();
    sent.sort();
    sent.dedup();
    assert_eq!(sent.len(), 20);
}

/// A provider that answers for at most so many texts, and for more not in time.
fn slow_above(provider: &FakeProvider, most: usize) {
    provider.always(move |request| match inputs(request).len() {
        texts if texts <= most => embedder(request),
        _ => Answer::hang(),
    });
}

#[tokio::test]
async fn a_batch_that_is_too_slow_is_asked_again_in_halves() {
    let (provider, gateway) =
        started(|setup| setup.replace("first_byte = \"2s\"", "first_byte = \"300ms\"")).await;
    slow_above(&provider, 4);
    let texts: Vec<String> = (0..7).map(|n| format!("text {n}")).collect();
    let body = json!({"model": MODEL, "input": texts});
    let answer = gateway.client().post("/v1/embeddings", &body).await;
    let data = answer.json()["data"].as_array().unwrap().len();
    assert_eq!(data, 7, "{}", answer.text());
    let sizes: Vec<usize> = provider
        .journal()
        .iter()
        .map(|it| inputs(it).len())
        .collect();
    assert_eq!(sizes[0], 7);
    assert_eq!(sizes[1..].iter().sum::<usize>(), 7, "{sizes:?}");
    let warning = answer.header("x-promptgate-warnings").unwrap();
    assert!(warning.contains("too slow"), "{warning}");
    let record = gateway.record(answer.call_id()).await;
    assert_eq!(record["outcome"]["usage"]["input"], 14, "{record}");
    assert_eq!(record["outcome"]["attempts"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_snapshot_finds_how_many_texts_a_slow_provider_bears() {
    let (provider, gateway) =
        started(|setup| setup.replace("first_byte = \"2s\"", "first_byte = \"300ms\"")).await;
    corpus(&gateway, 16, &[]);
    slow_above(&provider, 2);
    let arguments = create(&["--batch-texts", "16", "-j", "1"]);
    let made = gateway.run_json(&arguments).await;
    assert_eq!(made["snapshot"]["items"], 16, "{made}");
    is_paid_once(&provider, 16);
    let unanswered = provider.journal().iter().filter(|it| !it.answered).count();
    // Eight at once hang twice in the first try, and each four once.
    assert!(unanswered <= 7, "{unanswered} requests were for nothing");
}

#[tokio::test]
async fn a_provider_that_is_too_slow_for_one_text_is_given_up_with_a_hint() {
    let (provider, gateway) =
        started(|setup| setup.replace("first_byte = \"2s\"", "first_byte = \"300ms\"")).await;
    corpus(&gateway, 8, &[]);
    slow_above(&provider, 0);
    let failed = gateway
        .run(&create(&["--batch-texts", "8", "-j", "1"]))
        .await;
    assert_eq!(failed.status.code(), Some(1));
    let told = stderr(&failed);
    assert!(told.contains("with one text alone"), "{told}");
    assert!(told.contains("first_byte"), "{told}");
    let asked = provider.journal().len();
    assert!(asked <= 12, "{asked} requests");
}

#[tokio::test]
async fn a_limit_of_cost_stops_and_what_is_paid_stays() {
    let (provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 40, &[]);
    // A text has three words: ten of them cost 0.0000006, as the provider counts.
    let limit = ["--batch-texts", "10", "-j", "1", "--max-cost", "0.0000013"];
    let stopped = gateway.run(&create(&limit)).await;
    assert_eq!(stopped.status.code(), Some(1));
    insta::assert_snapshot!(stderr(&stopped));
    let before = paid(&provider).len();
    assert!((10..=20).contains(&before), "{before}");
    let made = gateway.run_json(&create(&["--batch-texts", "10"])).await;
    assert_eq!(made["plan"]["cached"], before);
    is_paid_once(&provider, 40);
}

#[tokio::test]
async fn chunks_are_found_by_their_place_in_the_source() {
    let (_provider, gateway) = started(|setup| setup).await;
    let path = gateway.path().join("book");
    fs::create_dir(&path).unwrap();
    fs::write(
        path.join("one.md"),
        "First words here.\n\nThen something else entirely.\n",
    )
    .unwrap();
    fs::write(path.join("two.md"), "Another file.").unwrap();
    let arguments = [
        "embeddings",
        "snapshot",
        "create",
        "book",
        "--from",
        "book",
        "--model",
        MODEL,
        "--chunker",
        "paragraphs",
        "--normalise",
        "--precision",
        "f32",
    ];
    let made = gateway.run_json(&arguments).await;
    assert_eq!(made["snapshot"]["items"], 3);
    assert_eq!(made["snapshot"]["counts"]["not_unit"], 0);
    let search = [
        "embeddings",
        "search",
        "book",
        "something else entirely",
        "-k",
        "2",
    ];
    let found = gateway.run(&search).await;
    insta::assert_snapshot!(String::from_utf8_lossy(&found.stdout));
}

const DECLARED: &str = r#"
[spaces.sided]
model = "openai/text-embedding-3-small"
dimensions = 16
truncate = 8
normalise = true
query.prefix = "query: "
document.prefix = "passage: "

[collections.docs]
space = "sided"
labels.production = 1
"#;

/// A gateway that has a snapshot under [`DECLARED`], and what was said of it.
async fn declared() -> (FakeProvider, TestGateway, Value) {
    let (provider, gateway) = started(|setup| setup).await;
    fs::write(gateway.path().join("embeddings.toml"), DECLARED).unwrap();
    gateway.hang_up();
    eventually("the declaration", async || {
        let declared = gateway.admin().get("/api/embeddings/declared").await.json();
        (!declared["spaces"]["sided"].is_null()).then_some(())
    })
    .await;
    corpus(&gateway, 5, &[]);
    let made = gateway.run_json(&CREATE[..6]).await;
    (provider, gateway, made)
}

/// A question under the declared name, with `more` laid over it.
fn named(more: &Value) -> Value {
    let mut body =
        json!({"model": "embed:docs@production", "input": "refund", "input_type": "query"});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

#[tokio::test]
async fn a_name_decides_how_texts_are_embedded_and_the_record_says_which_version() {
    let (provider, gateway, made) = declared().await;
    assert_eq!(
        provider.journal()[0].json()["input"][0],
        "passage: text number 0"
    );
    assert_eq!(made["snapshot"]["dimensions"], 8);

    let client = gateway.client();
    let answer = client
        .post("/v1/embeddings", &named(&json!({"user": "named"})))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let space = made["snapshot"]["space_id"].as_str();
    assert_eq!(answer.header("x-promptgate-embedding"), Some("docs@1"));
    assert_eq!(answer.header("x-promptgate-space"), space);
    assert_eq!(answer.header("x-promptgate-label"), Some("production"));
    let sent = provider.received("named")[0].json();
    assert_eq!(
        (&sent["input"], &sent["dimensions"]),
        (&json!("query: refund"), &json!(16))
    );
    assert_eq!(sent.get("input_type"), None);
    let vector = answer.json()["data"][0]["embedding"].clone();
    let vector: Vec<f64> = serde_json::from_value(vector).unwrap();
    let length = vector.iter().map(|x| x * x).sum::<f64>();
    assert_eq!(vector.len(), 8);
    assert!((length - 1.0).abs() < 1e-6 || length == 0.0, "{vector:?}");
    let record = gateway.record(answer.call_id()).await;
    assert_eq!(
        record["intent"]["embedding"],
        json!({"name": "docs@1", "label": "production", "space": space, "side": "query"})
    );
    assert_eq!(record["intent"]["model_asked"], "embed:docs@production");
    let base64 = named(&json!({"encoding_format": "base64", "model": "embed/docs"}));
    let answer = client.post("/v1/embeddings", &base64).await.json();
    let bytes = STANDARD.decode(answer["data"][0]["embedding"].as_str().unwrap());
    assert_eq!(bytes.unwrap().len(), 32);
}

#[tokio::test]
async fn what_a_name_forbids_is_refused_with_the_reason() {
    let (_provider, gateway, _) = declared().await;
    let client = gateway.client();
    let mut told = String::new();
    for wrong in [
        json!({"input_type": null}),
        json!({"input_type": "both"}),
        json!({"dimensions": 16}),
        json!({"input": [1, 2, 3]}),
        json!({"model": "embed:docs@7"}),
        json!({"model": "embed:docs@stagging"}),
    ] {
        let answer = client.post("/v1/embeddings", &named(&wrong)).await;
        let error = answer.error();
        let line = format!(
            "{wrong}\n  {} {}: {}\n  hint: {}",
            answer.status, error["code"], error["message"], error["hint"]
        );
        writeln!(told, "{line}").unwrap();
    }
    insta::assert_snapshot!(told);
    let models = client.get("/v1/models").await.text();
    assert!(models.contains("embed:docs@production"), "{models}");
}

#[tokio::test]
async fn keys_are_bound_to_names_of_embeddings() {
    let (_provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 2, &[]);
    gateway.run_json(&create(&[])).await;
    let key = async |glob: &str| {
        let made = gateway
            .run_json(&["keys", "create", glob, "--model", glob])
            .await;
        made["secret"].as_str().unwrap().to_owned()
    };
    let body = json!({"model": "embed:docs", "input": "x"});
    let ours = gateway.client().bearer(&key("embed:docs*").await);
    let answer = ours.post("/v1/embeddings", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let direct = json!({"model": MODEL, "input": "x"});
    assert_eq!(ours.post("/v1/embeddings", &direct).await.status, 403);
    let other = gateway.client().bearer(&key("openai/*").await);
    let answer = other.post("/v1/embeddings", &body).await;
    assert_eq!(answer.failure(), "403 model_forbidden");
}

#[tokio::test]
async fn spaces_are_never_mixed() {
    let (_provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 5, &[]);
    gateway.run_json(&create(&[])).await;
    gateway.run_json(&create(&["--dimensions", "4"])).await;
    let both = [
        "embeddings",
        "search",
        "docs@1,docs@2",
        "text number 3",
        "-k",
        "1",
    ];
    let found = gateway.run_json(&both).await;
    assert_ne!(
        found[0]["space"], found[1]["space"],
        "each is searched in its own space"
    );

    let body = json!({"snapshots": ["docs@2"], "vector": [1, 0, 0, 0], "space": "docs@1"});
    let refused = gateway.admin().post("/api/embeddings/search", &body).await;
    assert_eq!(refused.failure(), "409 embedding_space_mismatch");
    insta::assert_snapshot!(refused.error()["message"].as_str().unwrap());
    let own = json!({"snapshots": ["docs@2"], "vector": [1, 0, 0, 0], "space": "docs@2", "k": 1});
    let found = gateway.admin().post("/api/embeddings/search", &own).await;
    assert_eq!(found.status, 200, "{}", found.text());

    let onto = gateway
        .run(&create(&["--dimensions", "4", "--onto", "docs@1"]))
        .await;
    assert_eq!(onto.status.code(), Some(1));
    assert!(
        stderr(&onto).contains("are in different embedding spaces"),
        "{onto:?}"
    );
    fs::write(
        gateway.path().join("corpus.jsonl"),
        "{\"id\":\"d0\",\"text\":\"new text\"}\n{\"id\":\"more\",\"text\":\"one more\"}\n",
    )
    .unwrap();
    let added = gateway.run_json(&create(&["--onto", "docs@1"])).await;
    assert_eq!(
        (&added["snapshot"]["items"], &added["plan"]["to_send"]),
        (&json!(6), &json!(2))
    );
}

#[tokio::test]
async fn a_broken_declaration_leaves_the_last_good_one() {
    let (_provider, gateway) = started(|setup| setup).await;
    let path = gateway.path().join("embeddings.toml");
    fs::write(&path, DECLARED).unwrap();
    gateway.hang_up();
    let declared = async || gateway.admin().get("/api/embeddings/declared").await.json();
    eventually("the declaration", async || {
        (!declared().await["spaces"]["sided"].is_null()).then_some(())
    })
    .await;
    fs::write(
        &path,
        "[spaces.sided]\nmodell = \"x\"\n[collections.docs]\nspace = \"side\"\n",
    )
    .unwrap();
    gateway.hang_up();
    eventually("the refusal", async || {
        gateway
            .stderr()
            .contains("embeddings.toml is refused")
            .then_some(())
    })
    .await;
    assert_eq!(declared().await["spaces"]["sided"]["dimensions"], 16);
    let checked = gateway.run(&["check"]).await;
    assert_eq!(checked.status.code(), Some(2));
    insta::assert_snapshot!(stderr(&checked));
}

/// Writes `embeddings.toml` with the label `production` of `docs` leading to a snapshot.
fn lead(gateway: &TestGateway, number: u32) {
    let text = DECLARED.replace("production = 1", &format!("production = {number}"));
    fs::write(gateway.path().join("embeddings.toml"), text).unwrap();
    gateway.hang_up();
}

async fn said(gateway: &TestGateway, what: &str) {
    eventually(what, async || gateway.stderr().contains(what).then_some(())).await;
}

async fn leads_to(gateway: &TestGateway, number: u32) {
    eventually("the label", async || {
        let declared = gateway.admin().get("/api/embeddings/declared").await.json();
        let found = &declared["collections"]["docs"]["labels"]["production"]["number"];
        (*found == number).then_some(())
    })
    .await;
}

async fn served(gateway: &TestGateway, model: &str) -> String {
    let body = named(&json!({"model": model}));
    let answer = gateway.client().post("/v1/embeddings", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-promptgate-embedding").unwrap().to_owned()
}

#[tokio::test]
async fn a_label_that_leads_nowhere_is_not_put_in_force() {
    let (_provider, gateway, _) = declared().await;
    lead(&gateway, 9);
    said(&gateway, "embeddings.toml is refused").await;
    assert_eq!(served(&gateway, "embed:docs@production").await, "docs@1");
    let checked = gateway.run(&["check"]).await;
    assert_eq!(checked.status.code(), Some(2));
    let told = stderr(&checked);
    assert!(
        told.contains(
            "`collections.docs.labels.production` leads to `docs@9`, and there is no such snapshot\n  \
             hint: there are `docs@1`"
        ),
        "{told}"
    );
    let listed = gateway.run(&["embeddings", "snapshot", "list"]).await;
    let told = stderr(&listed);
    assert!(told.contains("embeddings.toml is refused"), "{told}");

    // One that is gone is missed: a label must not become the newest without a word.
    fs::remove_file(gateway.path().join("embeddings.toml")).unwrap();
    gateway.hang_up();
    said(&gateway, "it was there and is gone").await;
    assert_eq!(served(&gateway, "embed:docs").await, "docs@1");

    // What is refused for a snapshot that is missing is taken when that comes.
    lead(&gateway, 2);
    said(&gateway, "leads to `docs@2`").await;
    corpus(&gateway, 5, &[1]);
    let made = gateway.run_json(&CREATE[..6]).await;
    assert_eq!(made["snapshot"]["number"], 2);
    leads_to(&gateway, 2).await;
    assert_eq!(served(&gateway, "embed:docs").await, "docs@2");

    moves_and_deletions_are_audited(&gateway).await;
}

async fn moves_and_deletions_are_audited(gateway: &TestGateway) {
    let list = async |kind: &str| {
        let list = ["audit", "list", "--kind", kind];
        gateway.run_json(&list).await
    };
    let moved = list("embedding_label_moved").await;
    let moves: Vec<(&Value, &Value)> = moved
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (&event["from"], &event["to"]))
        .collect();
    assert_eq!(
        moves,
        [
            (&Value::Null, &json!("docs@1")),
            (&json!("docs@1"), &json!("docs@2"))
        ]
    );
    let delete = ["embeddings", "snapshot", "delete-item", "docs", "d3"];
    gateway.run_json(&delete).await;
    let deleted = list("embedding_item_deleted").await;
    assert_eq!(
        deleted[0]["snapshots"],
        json!(["docs@1", "docs@2"]),
        "{deleted}"
    );
    assert_eq!(deleted[0]["item"].as_str().map(str::len), Some(64));
    let output = gateway.run(&["audit", "list"]).await;
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("docs@production: docs@1 -> docs@2"), "{told}");
}

#[tokio::test]
async fn a_damaged_manifest_is_told_and_no_older_one_takes_its_place() {
    let (_provider, gateway, _) = declared().await;
    corpus(&gateway, 5, &[1]);
    gateway.run_json(&CREATE[..6]).await;
    let path = gateway.data_dir().join("embeddings/snapshots/docs/2.json");
    let whole = fs::read_to_string(&path).unwrap();
    fs::write(&path, whole.replace("\"items\": 5", "\"items\": 4")).unwrap();
    let body = named(&json!({"model": "embed:docs@latest"}));
    let answer = gateway.client().post("/v1/embeddings", &body).await;
    assert_eq!(answer.failure(), "500 embeddings_damaged");
    let told = answer.text();
    assert!(
        !told.contains("2.json") && told.contains("snapshot verify"),
        "{told}"
    );
    assert_eq!(served(&gateway, "embed:docs@production").await, "docs@1");
    let list = ["embeddings", "snapshot", "list"];
    let listed = gateway.run_json(&list).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{listed}");
    assert_eq!(listed["damaged"][0]["number"], 2, "{listed}");
    let listed = gateway.run(&list).await;
    let rows = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(rows.contains("docs@2    damaged"), "{rows}");
    for command in [
        &["embeddings", "search", "docs@latest", "text"][..],
        &["embeddings", "snapshot", "show", "docs@latest"],
        &["embeddings", "snapshot", "gc"],
        &CREATE[..6],
    ] {
        let refused = gateway.run(command).await;
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let told = stderr(&refused);
        assert!(
            told.contains("docs/2.json` is damaged as a manifest"),
            "{told}"
        );
        assert!(
            told.contains("hint: run `promptgate embeddings snapshot verify`"),
            "{told}"
        );
    }
}

#[tokio::test]
async fn a_file_of_declarations_that_was_named_must_be_there() {
    let (_provider, gateway) = started(|setup| setup).await;
    let missing = [
        "--embeddings",
        "missing.toml",
        "embeddings",
        "snapshot",
        "list",
    ];
    let refused = gateway.run(&missing).await;
    let told = stderr(&refused);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(
        told.contains("`missing.toml`, which declares embeddings, cannot be read"),
        "{told}"
    );
    assert!(
        told.contains("--embeddings") && !told.contains("--config"),
        "{told}"
    );
}
