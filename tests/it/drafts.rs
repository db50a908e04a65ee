//! Drafts: two corpora that come at once never meet, what was paid is counted and kept, and what was said to be
//! dropped is nowhere.

use crate::embeddings::{
    MODEL, answer_first, corpus, create, embedder, inputs, paid, started, stderr,
};
use crate::support::{Answer, FakeProvider, TestGateway, eventually, within};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const CORPUS: [&str; 3] = ["--model", MODEL, "--from"];

/// Writes a corpus of so many texts that begin with `word`.
fn write(gateway: &TestGateway, word: &str, count: usize) {
    let mut text = String::new();
    for n in 0..count {
        let source = json!({"id": format!("{word}{n}"), "text": format!("{word} number {n}")});
        writeln!(text, "{source}").unwrap();
    }
    fs::write(gateway.path().join(format!("{word}.jsonl")), text).unwrap();
}

fn create_from<'a>(collection: &'a str, file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let begin = ["embeddings", "snapshot", "create", collection];
    [&begin[..], &CORPUS, &[file], more].concat()
}

/// Begins a draft of `docs` through the API and returns its id.
async fn begin(gateway: &TestGateway) -> String {
    let wish = json!({"collection": "docs", "space": {"model": MODEL}});
    let begun = gateway.admin().post("/api/embeddings/drafts", &wish).await;
    begun.json()["head"]["id"].as_str().unwrap().to_owned()
}

async fn append(gateway: &TestGateway, draft: &str, offset: usize, ids: &[&str]) {
    let items: Vec<Value> = ids
        .iter()
        .map(|id| json!({"id": id, "text": format!("text of {id}")}))
        .collect();
    let path = format!("/api/embeddings/drafts/{draft}/items");
    let part = json!({"offset": offset, "items": items});
    let taken = gateway.admin().post(&path, &part).await;
    assert_eq!(
        taken.json()["sources"],
        offset + ids.len(),
        "{}",
        taken.text()
    );
}

/// Makes a snapshot of a draft and returns the last line.
async fn run(gateway: &TestGateway, draft: &str, options: &Value) -> Value {
    let path = format!("/api/embeddings/drafts/{draft}/run");
    let answer = gateway.admin().post(&path, options).await.text();
    serde_json::from_str(answer.lines().last().unwrap()).unwrap()
}

async fn ids(gateway: &TestGateway, snapshot: &str) -> Vec<String> {
    let export = [
        "embeddings",
        "snapshot",
        "export",
        snapshot,
        "--to",
        "out.jsonl",
    ];
    let export = gateway.run(&export).await;
    assert!(export.status.success(), "{}", stderr(&export));
    let path = gateway.path().join("out.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    fs::remove_file(path).unwrap();
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].clone();
    text.lines()
        .map(|line| id(line).as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn two_corpora_that_are_sent_at_once_become_two_snapshots() {
    let (_provider, gateway) = started(|setup| setup).await;
    let (a, b) = (begin(&gateway).await, begin(&gateway).await);
    append(&gateway, &a, 0, &["a1", "a2"]).await;
    append(&gateway, &b, 0, &["b1", "b2"]).await;
    append(&gateway, &a, 2, &["a3"]).await;
    append(&gateway, &b, 2, &["b3"]).await;
    for (draft, number) in [(a, 1), (b, 2)] {
        let last = run(&gateway, &draft, &json!({})).await;
        assert_eq!(last["made"]["snapshot"]["number"], number, "{last}");
    }
    assert_eq!(ids(&gateway, "docs@1").await, ["a1", "a2", "a3"]);
    assert_eq!(ids(&gateway, "docs@2").await, ["b1", "b2", "b3"]);
}

#[tokio::test]
async fn commands_that_begin_at_one_moment_all_make_what_they_were_given() {
    let (provider, gateway) = started(|setup| setup).await;
    for word in ["red", "blue"] {
        write(&gateway, word, 40);
    }
    let commands = ["red.jsonl", "blue.jsonl", "red.jsonl"].map(|file| {
        let command = gateway.spawn(&create_from("docs", file, &["--batch-texts", "10"]));
        tokio::task::spawn_blocking(move || command.wait_with_output().unwrap())
    });
    for ended in commands {
        let ended = within("the end of a command", ended).await.unwrap();
        assert!(ended.status.success(), "{}", stderr(&ended));
    }
    let list = gateway.run_json(&["embeddings", "snapshot", "list"]).await;
    let made = list["data"].as_array().unwrap();
    assert_eq!(
        (made.len(), list["drafts"].as_array().unwrap().len()),
        (2, 0)
    );
    assert!(
        paid(&provider).values().all(|count| *count == 1),
        "the same corpus is paid once"
    );
}

#[tokio::test]
async fn another_corpus_is_made_while_one_is_embedded_and_the_same_one_joins() {
    let (provider, gateway) = started(|setup| setup).await;
    for word in ["red", "blue"] {
        write(&gateway, word, 4);
    }
    provider.always(|request| {
        let answer = embedder(request);
        if inputs(request)[0].starts_with("red") {
            answer.gate_after(0)
        } else {
            answer
        }
    });
    let spawn = || {
        let command = gateway.spawn(&create_from("docs", "red.jsonl", &[]));
        tokio::task::spawn_blocking(move || command.wait_with_output().unwrap())
    };
    let first = spawn();
    provider.wait_for_requests(1).await;
    let made = gateway
        .run_json(&create_from("docs", "blue.jsonl", &[]))
        .await;
    assert_eq!(made["snapshot"]["items"], 4);
    assert_eq!(ids(&gateway, "docs@1").await[0], "blue0");

    // What is planned meanwhile is planned, and stops nobody.
    let planned = gateway
        .run(&create_from("docs", "red.jsonl", &["--dry-run"]))
        .await;
    assert!(stderr(&planned).contains("4 to embed"), "{planned:?}");
    let draft = begin(&gateway).await;
    let text = fs::read_to_string(gateway.path().join("red.jsonl")).unwrap();
    let items: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let path = format!("/api/embeddings/drafts/{draft}");
    let part = json!({"offset": 0, "items": items});
    gateway.admin().post(&format!("{path}/items"), &part).await;
    let admin = gateway.admin();
    let join = async {
        let joined = admin.post(&format!("{path}/run"), &json!({})).await;
        joined
            .text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect::<Vec<Value>>()
    };
    let (lines, ended) = tokio::join!(join, async {
        // The draft of who joins goes, as it is the other's.
        eventually("the join", async || {
            let list = gateway.run_json(&["embeddings", "snapshot", "list"]).await;
            (list["drafts"].as_array().unwrap().len() == 1).then_some(())
        })
        .await;
        provider.release();
        within("the end of the first", first).await.unwrap()
    });
    assert!(ended.status.success(), "{}", stderr(&ended));
    assert_eq!(lines[0]["type"], "joined");
    let last = lines.last().unwrap();
    assert_eq!(last["made"]["snapshot"]["number"], 2, "{last}");
    assert_eq!(ids(&gateway, "docs@2").await[0], "red0");
    assert!(paid(&provider).values().all(|count| *count == 1));
}

/// Embeds a part of 30 texts and is killed: 10 are paid, and 10 more asked for.
async fn killed(gateway: &mut TestGateway, provider: &FakeProvider) {
    corpus(gateway, 30, &[]);
    answer_first(provider, 1);
    let command = gateway.spawn(&create(&["--batch-texts", "10", "-j", "1"]));
    provider.wait_for_requests(2).await;
    gateway.kill9().await;
    drop(command);
    provider.always(embedder);
    gateway.restart().await;
}

#[tokio::test]
async fn a_plan_leaves_an_unfinished_draft_and_what_it_paid() {
    let (provider, mut gateway) = started(|setup| setup).await;
    killed(&mut gateway, &provider).await;
    let resume = ["embeddings", "snapshot", "create", "docs", "--resume"];
    let plans = [
        create(&["--dry-run"]),
        [&resume[..], &["--dry-run"]].concat(),
    ];
    for plan in plans {
        let planned = gateway.run(&plan).await;
        assert!(
            stderr(&planned).contains("10 embedded already, 20 to embed"),
            "{planned:?}"
        );
    }
    let swept = gateway.run_json(&["embeddings", "snapshot", "gc"]).await;
    assert_eq!(swept["removed"], 0, "{swept}");
    let made = gateway.run_json(&resume).await;
    assert_eq!(made["plan"]["to_send"], 20);
    assert!(paid(&provider).values().all(|count| *count == 1));
}

#[tokio::test]
async fn a_snapshot_says_what_all_its_tries_took() {
    let (provider, mut gateway) = started(|setup| setup).await;
    killed(&mut gateway, &provider).await;
    let made = gateway.run_json(&create(&["--batch-texts", "10"])).await;
    // 90 words at 20 000 pico-dollars each; the request that the kill cut off may have been paid.
    let spent = json!({"requests": 3, "tokens": 90, "cost": 1_800_000, "cut_off": 1});
    assert_eq!(made["snapshot"]["spent"], spent);
    let shown = gateway
        .run(&["embeddings", "snapshot", "show", "docs"])
        .await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("3 requests, 90 tokens, $0.0000018"),
        "{shown}"
    );
    assert!(shown.contains("1 more were cut off"), "{shown}");
}

#[tokio::test]
async fn one_of_several_drafts_is_named_and_another_is_given_up() {
    let (provider, mut gateway) = started(|setup| setup).await;
    killed(&mut gateway, &provider).await;
    provider.always(|_| Answer::fail(400, &json!({"error": {"message": "no"}})));
    write(&gateway, "blue", 3);
    let failed = gateway.run(&create_from("docs", "blue.jsonl", &[])).await;
    assert_eq!(failed.status.code(), Some(1));
    provider.always(embedder);
    let resume = ["embeddings", "snapshot", "create", "docs", "--resume"];
    let told = gateway.run(&resume).await;
    let told = stderr(&told);
    assert!(told.contains("(30 items of corpus.jsonl)"), "{told}");
    assert!(told.contains("(3 items of blue.jsonl)"), "{told}");
    let list = gateway.run_json(&["embeddings", "snapshot", "list"]).await;
    let drafts = list["drafts"].as_array().unwrap().iter();
    let drafts: Vec<&str> = drafts.map(|draft| draft["id"].as_str().unwrap()).collect();
    let named = format!("--resume={}", drafts[1]);
    let made = gateway.run(&[&resume[..4], &[&named]].concat()).await;
    assert!(stderr(&made).contains("3 items of blue.jsonl"), "{made:?}");
    assert_eq!(ids(&gateway, "docs@1").await.len(), 3);
    let discard = ["embeddings", "snapshot", "discard", drafts[0]];
    let discarded = gateway.run(&discard).await;
    assert!(discarded.status.success(), "{}", stderr(&discarded));
    let nothing = gateway.run(&resume).await;
    assert!(
        stderr(&nothing).contains("has no draft to go on with"),
        "{nothing:?}"
    );
}

#[tokio::test]
async fn an_empty_corpus_is_refused_and_leaves_nothing() {
    let (_provider, gateway) = started(|setup| setup).await;
    fs::write(gateway.path().join("empty.jsonl"), "").unwrap();
    for more in [&[][..], &["--dry-run"]] {
        let failed = gateway.run(&create_from("docs", "empty.jsonl", more)).await;
        assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    }
    let list = gateway.run_json(&["embeddings", "snapshot", "list"]).await;
    assert_eq!(list["drafts"], json!([]));
}

#[tokio::test]
async fn vectors_of_another_length_are_paid_once_and_counted() {
    let (provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 40, &[]);
    // It gives 8 dimensions, whatever is wanted.
    let failed = gateway
        .run(&create(&[
            "--truncate",
            "500",
            "--batch-texts",
            "10",
            "-j",
            "1",
            "--max-cost",
            "0.000001",
        ]))
        .await;
    let told = stderr(&failed);
    assert!(
        told.contains("has 8 dimensions and is to be cut to 500"),
        "{told}"
    );
    assert_eq!(
        provider.journal().len(),
        1,
        "another try would be no better"
    );

    // An answer that cannot be read is asked for once more, as far as the money goes: a try costs 600 000.
    provider.always(|_| {
        Answer::json(&json!({
            "object": "list", "model": "m", "usage": {"prompt_tokens": 30, "total_tokens": 30},
            "data": [{"object": "embedding", "index": 0, "embedding": ["x"]}],
        }))
    });
    for (limit, asked, word) in [("0.000001", 1, "limit"), ("1", 2, "cannot be used")] {
        let before = provider.journal().len();
        let failed = gateway
            .run(&create(&[
                "--batch-texts",
                "10",
                "-j",
                "1",
                "--max-cost",
                limit,
            ]))
            .await;
        let told = stderr(&failed);
        assert!(told.contains(word), "{told}");
        assert_eq!(provider.journal().len() - before, asked, "{told}");
    }
}

/// Whether a text is in any file below a directory.
fn is_anywhere(dir: &Path, text: &str) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return is_anywhere(&path, text);
        }
        let bytes = fs::read(&path).unwrap();
        bytes
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    })
}

#[tokio::test]
async fn of_a_text_of_which_only_the_hash_is_kept_nothing_else_is() {
    let (provider, mut gateway) = started(|setup| setup).await;
    corpus(&gateway, 3, &[1]);
    // A provider may repeat what it was sent.
    provider.next(Answer::status(
        429,
        &[("retry-after-ms", "5")],
        &json!({"error": {"message": "not now: changed number 1"}}).to_string(),
    ));
    let made = gateway.run_json(&create(&["--hash-only"])).await;
    assert_eq!(made["snapshot"]["items"], 3);
    for call in gateway.ended_calls(1).await {
        let record = gateway.record(call.id()).await;
        assert_eq!(record["intent"]["is_text_dropped"], true, "{record}");
        assert_eq!(record["request"], Value::Null, "{record}");
        assert!(!record.to_string().contains("changed number"), "{record}");
    }
    gateway.kill9().await;
    assert!(!is_anywhere(&gateway.data_dir(), "changed number"));
}

#[tokio::test]
async fn the_pieces_of_a_source_go_with_it_and_the_snapshot_says_so() {
    let (_provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 3, &[]);
    gateway.run_json(&create(&[])).await;
    gateway
        .run_json(&create(&["--chunker", "words", "--size", "2"]))
        .await;
    let delete = ["embeddings", "snapshot", "delete-item", "docs", "d1"];
    let deleted = gateway.run_json(&delete).await;
    assert_eq!(deleted["snapshots"], json!(["docs@1", "docs@2"]));
    assert_eq!(deleted["items"], 3, "the whole, and two pieces");
    assert_eq!(
        ids(&gateway, "docs@2").await,
        ["d0#0", "d0#1", "d2#0", "d2#1"]
    );
    let shown = gateway
        .run(&["embeddings", "snapshot", "show", "docs@2"])
        .await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("4 items, 2 deleted since it was made"),
        "{shown}"
    );
}
