//! A collection goes to another embedding version: what is served is never mixed, and no text is paid twice.

use crate::embeddings::{answer_first, corpus, create, declare, embedder, inputs, started, stderr};
use crate::support::{Answer, FakeProvider, TestGateway, eventually, within};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Output;

const NEW: &str = "openai/text-embedding-3-large";

const START: [&str; 9] = [
    "embeddings",
    "migrate",
    "start",
    "docs",
    "--to-model",
    NEW,
    "--sample",
    "0",
    "--by",
];

fn start<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&START[..], &["ada"], more].concat()
}

fn verb<'a>(verb: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["embeddings", "migrate", verb, "docs"], more].concat()
}

async fn status(gateway: &TestGateway) -> Value {
    gateway.run_json(&verb("status", &[])).await
}

async fn search(gateway: &TestGateway, text: &str) -> Value {
    let found = gateway
        .run_json(&["embeddings", "search", "docs", text, "-k", "3"])
        .await;
    found[0].clone()
}

/// How often each text was embedded by the new model, queries of `asked` left out.
fn paid_anew(provider: &FakeProvider, asked: &[&str]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let answered = provider.journal();
    let answered = answered.iter().filter(|request| request.answered);
    for request in answered.filter(|request| request.json()["model"] == "text-embedding-3-large") {
        for text in inputs(request) {
            if !asked.contains(&text.as_str()) {
                *counts.entry(text).or_default() += 1;
            }
        }
    }
    counts
}

fn is_once(paid: &BTreeMap<String, usize>) -> bool {
    paid.values().all(|count| *count == 1)
}

async fn space_of(gateway: &TestGateway, name: &str) -> String {
    let body = json!({"model": name, "input": "refund"});
    let answer = gateway.client().post("/v1/embeddings", &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-promptgate-embedding").unwrap().to_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

/// What every search of the scenario looks for; as a query it is asked each time.
const ASKED: &str = "text number 7";

/// A gate that fails: neither version changes an answer here.
const FAILING: [&str; 2] = ["--gate", "overlap@10 > 0.5"];

#[tokio::test]
async fn a_collection_is_migrated_while_it_is_searched_and_back() {
    let (provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 30, &[]);
    gateway.run_json(&create(&[])).await;
    the_old_version_serves_alone(&gateway).await;
    assert_eq!(paid_anew(&provider, &[]).len(), 0);
    gateway.run_json(&verb("advance", &[])).await;
    a_cascade_embeds_only_candidates(&gateway, &provider).await;
    the_rest_is_filled_and_gates_are_looked_at(&gateway).await;
    assert_eq!(paid_anew(&provider, &[ASKED]).len() + 1, 30);
    assert!(is_once(&paid_anew(&provider, &[ASKED])));
    the_new_version_serves_and_the_old_one_again(&gateway).await;
    every_step_is_in_the_audit_log(&gateway).await;
}

async fn the_old_version_serves_alone(gateway: &TestGateway) {
    let begun = gateway
        .run_json(&start(&["--candidates", "5", "--max-cost", "1"]))
        .await;
    assert_eq!(
        (
            &begun["state"],
            &begun["serving"],
            &begun["outlook"]["missing"]
        ),
        (&json!("shadow"), &json!("docs@1"), &json!(30))
    );
    assert!(begun["planned"].as_u64().is_some(), "{begun}");
    let again = gateway.run_json(&start(&[])).await;
    assert_eq!(again["id"], begun["id"], "the same again goes on");

    let found = search(gateway, ASKED).await;
    assert_eq!(found["way"]["kind"], "recall");
    assert_eq!(
        gateway.run_json(&verb("advance", &[])).await["state"],
        "recall"
    );
    let refused = gateway.run(&verb("cutover", &[])).await;
    assert!(
        stderr(&refused).contains("does not lead on from `recall`"),
        "{refused:?}"
    );
}

async fn a_cascade_embeds_only_candidates(gateway: &TestGateway, provider: &FakeProvider) {
    let found = search(gateway, ASKED).await;
    assert_eq!(
        (
            &found["way"]["kind"],
            &found["way"]["candidates"],
            &found["way"]["embedded"]
        ),
        (&json!("cascade"), &json!(5), &json!(5))
    );
    assert_eq!(
        (&found["model"], &found["results"][0]["id"]),
        (&json!(NEW), &json!("d7"))
    );
    assert!(found["way"]["pico_usd"].as_u64().unwrap() > 0);
    assert_eq!(paid_anew(provider, &[]).len(), 5);
    let found = search(gateway, ASKED).await;
    assert_eq!(
        (&found["way"]["kind"], &found["way"]["embedded"]),
        (&json!("cascade"), &json!(0))
    );
    // Three words of a query, at 130 000 pico-dollars each.
    assert_eq!(found["way"]["pico_usd"], 390_000);
    let meter = &status(gateway).await["meter"];
    assert_eq!(
        (&meter["queries"], &meter["query_pico_usd"]),
        (&json!(2), &json!(780_000))
    );
    assert_eq!(meter["pico_usd"], 780_000 + 5 * 390_000);
    let direct = gateway
        .run_json(&["embeddings", "search", "docs@1", ASKED])
        .await;
    assert!(direct[0]["way"].is_null(), "who names a snapshot means it");
    assert_eq!(space_of(gateway, "embed:docs@production").await, "docs@1");
    gateway.run_json(&["embeddings", "snapshot", "gc"]).await;
    assert_eq!(
        status(gateway).await["outlook"]["missing"],
        25,
        "they are not garbage"
    );
}

async fn the_rest_is_filled_and_gates_are_looked_at(gateway: &TestGateway) {
    let refused = gateway.run(&verb("cutover", &["--force"])).await;
    assert!(
        stderr(&refused).contains("25 of the 30 texts of `docs@1` have no vector"),
        "{refused:?}"
    );
    let filled = gateway.run_json(&verb("backfill", &[])).await;
    assert_eq!(
        (
            &filled["state"],
            &filled["outlook"]["missing"],
            &filled["meter"]["texts"]
        ),
        (&json!("backfill"), &json!(0), &json!(30))
    );
    let refused = gateway.run(&verb("cutover", &FAILING)).await;
    assert!(
        stderr(&refused).contains("the gates of `docs@2` are not met"),
        "{refused:?}"
    );
    assert_eq!(
        space_of(gateway, "embed:docs").await,
        "docs@1",
        "it is made, and not served"
    );
}

async fn the_new_version_serves_and_the_old_one_again(gateway: &TestGateway) {
    let forced = [&FAILING[..], &["--force", "--by", "ada"]].concat();
    let cut = gateway.run_json(&verb("cutover", &forced)).await;
    assert_eq!(
        (&cut["state"], &cut["serving"]),
        (&json!("cutover"), &json!("docs@2"))
    );
    let found = search(gateway, ASKED).await;
    assert_eq!(
        (&found["snapshot"], &found["model"]),
        (&json!("docs@2"), &json!(NEW))
    );
    assert!(found["way"].is_null());
    assert_eq!(space_of(gateway, "embed:docs").await, "docs@2");

    let back = gateway.run_json(&verb("rollback", &["--by", "bo"])).await;
    assert_eq!(
        (&back["state"], &back["serving"]),
        (&json!("rolled_back"), &json!("docs@1"))
    );
    assert_eq!(space_of(gateway, "embed:docs").await, "docs@1");
    assert_eq!(
        gateway.run_json(&verb("rollback", &[])).await["state"],
        "rolled_back"
    );
}

async fn every_step_is_in_the_audit_log(gateway: &TestGateway) {
    let events = gateway
        .run_json(&["audit", "list", "--kind", "migration_moved"])
        .await;
    let told: Vec<String> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| {
            format!(
                "{} {} {} {}",
                event["to"], event["serving"], event["by"], event["forced"]
            )
        })
        .collect();
    assert_eq!(told.len(), 6, "each step once: {told:?}");
    assert_eq!(told[0], r#""shadow" "docs@1" "ada" null"#);
    assert_eq!(told[4], r#""cutover" "docs@2" "ada" true"#);
    assert_eq!(told[5], r#""rolled_back" "docs@1" "bo" null"#);
}

#[tokio::test]
async fn after_a_kill_the_back_fill_goes_on_without_asking_twice() {
    let (provider, mut gateway) = started(|setup| setup).await;
    corpus(&gateway, 50, &[]);
    gateway.run_json(&create(&[])).await;
    gateway
        .run_json(&start(&["--batch-texts", "10", "-j", "1"]))
        .await;
    for _ in 0..2 {
        gateway.run_json(&verb("advance", &[])).await;
    }
    let before = provider.journal().len();
    answer_first(&provider, 2);
    let command = gateway.spawn(&verb("backfill", &[]));
    provider.wait_for_requests(before + 3).await;
    gateway.kill9().await;
    let ended = tokio::task::spawn_blocking(move || command.wait_with_output().unwrap());
    let ended = within("the end of the command", ended).await.unwrap();
    assert_eq!(code(&ended), Some(1), "{ended:?}");
    assert_eq!(paid_anew(&provider, &["migration"]).len(), 20);

    provider.always(embedder);
    gateway.restart().await;
    let found = all_is_made(&gateway).await;
    assert_eq!(found["state"], "backfill", "a server goes on by itself");
    // What was under way counts as spent: ten texts more than were kept.
    assert_eq!(found["meter"]["in_flight"], 0);
    assert_eq!(found["meter"]["texts"], 50);
    let spent = found["meter"]["pico_usd"].as_u64().unwrap();
    assert!(spent > 50 * 3 * 130_000, "{found}");
    let paid = paid_anew(&provider, &[]);
    assert!(is_once(&paid), "{paid:?}");
    assert_eq!(paid.len(), 50);
    let cut = gateway.run_json(&verb("cutover", &[])).await;
    assert_eq!(cut["serving"], "docs@2");
    gateway.kill9().await;
    gateway.restart().await;
    assert_eq!(status(&gateway).await["serving"], "docs@2");
}

#[tokio::test]
async fn what_is_added_meanwhile_is_served_and_made_before_the_cut_over() {
    let (provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 10, &[]);
    gateway.run_json(&create(&[])).await;
    let begun = gateway.run_json(&start(&[])).await;
    assert_eq!(
        begun["held"]["serving"], "docs@1",
        "a bare name is held to the old version"
    );
    for _ in 0..3 {
        gateway.run_json(&verb("advance", &["--detach"])).await;
    }
    all_is_made(&gateway).await;
    gateway.run_json(&verb("pause", &["--by", "ada"])).await;
    corpus(&gateway, 12, &[3]);
    let made = gateway.run_json(&create(&[])).await;
    let told = made["migration"].as_str().unwrap();
    assert!(
        told.contains(
            "3 texts of `docs@2` have no vector of that yet, which `migrate resume` makes"
        ),
        "{told}"
    );
    assert_eq!(space_of(&gateway, "embed:docs").await, "docs@2");
    let refused = gateway.run(&verb("cutover", &[])).await;
    assert!(
        stderr(&refused).contains("3 of the 12 texts of `docs@2`"),
        "{refused:?}"
    );
    gateway.run_json(&verb("resume", &["--by", "bo"])).await;
    let events = gateway
        .run_json(&["audit", "list", "--kind", "migration_moved"])
        .await;
    let paused = events.as_array().unwrap().iter();
    let paused = paused.filter(|event| !event["paused"].is_null());
    let paused: Vec<String> = paused
        .map(|event| format!("{} {}", event["paused"], event["by"]))
        .collect();
    assert_eq!(paused, [r#"true "ada""#, r#"false "bo""#]);
    let cut = gateway.run_json(&verb("cutover", &[])).await;
    assert_eq!(cut["serving"], "docs@3");
    assert!(is_once(&paid_anew(&provider, &[])));
}

/// Waits until the background has nothing more to do.
async fn all_is_made(gateway: &TestGateway) -> Value {
    eventually("the end of the back-fill", async || {
        let found = status(gateway).await;
        let is_done = found["outlook"]["missing"] == 0 && found["is_running"] == false;
        is_done.then_some(found)
    })
    .await
}

/// Makes a snapshot of the corpus by the new model.
async fn create_anew(gateway: &TestGateway) -> Value {
    let arguments = [
        "embeddings",
        "snapshot",
        "create",
        "docs",
        "--from",
        "corpus.jsonl",
        "--model",
        NEW,
    ];
    gateway.run_json(&arguments).await
}

async fn cut_over(gateway: &TestGateway, more: &[&str]) -> Value {
    corpus(gateway, 10, &[]);
    gateway.run_json(&create(&[])).await;
    gateway.run_json(&start(&[])).await;
    for _ in 0..3 {
        gateway.run_json(&verb("advance", &[])).await;
    }
    gateway.run_json(&verb("cutover", more)).await
}

#[tokio::test]
async fn while_both_versions_are_written_the_way_back_loses_nothing() {
    let (_provider, gateway) = started(|setup| setup).await;
    let cut = cut_over(&gateway, &["--dual-write"]).await;
    assert_eq!(
        (&cut["serving"], &cut["is_dual"]),
        (&json!("docs@2"), &json!(true))
    );
    assert_eq!(cut["next"], json!(["backfill", "pause", "rollback"]));
    all_is_made(&gateway).await;
    corpus(&gateway, 12, &[3]);
    let made = create_anew(&gateway).await;
    let told = made["migration"].as_str().unwrap();
    assert!(told.contains("is kept in"), "{told}");
    assert_eq!(made["snapshot"]["number"], 3);
    let found = all_is_made(&gateway).await;
    assert_eq!(
        (&found["serving"], &found["back"]),
        (
            &json!("docs@3"),
            &json!({"to": "docs@4", "of": "docs@3", "without": 0})
        )
    );
    assert_eq!(
        space_of(&gateway, "embed:docs").await,
        "docs@3",
        "the newest is of the old version, and is not served"
    );
    let spent = async |name: &str| {
        let shown = ["embeddings", "snapshot", "show", name];
        gateway.run_json(&shown).await["spent"].clone()
    };
    // Each has what its own texts took: ten of three words, and the three that came after.
    assert_eq!(spent("docs@2").await["tokens"], 30);
    assert_eq!(spent("docs@4").await["tokens"], 9);
    let limited = json!({"collection": "docs", "verb": "rollback", "with": {"max_cost": 1}});
    let path = "/api/embeddings/migrations/steps";
    let refused = gateway.admin().post(path, &limited).await;
    assert!(
        refused.text().contains("asks for nothing"),
        "{}",
        refused.text()
    );
    let back = gateway.run_json(&verb("rollback", &[])).await;
    assert_eq!(
        (&back["serving"], &back["back"]["without"]),
        (&json!("docs@4"), &json!(0))
    );
    let found = search(&gateway, "changed number 3").await;
    assert_eq!(found["results"][0]["id"], "d3");
}

#[tokio::test]
async fn a_way_back_says_what_is_lost_and_names_follow_the_old_version_again() {
    let (_provider, gateway) = started(|setup| setup).await;
    cut_over(&gateway, &[]).await;
    let refused = gateway.run(&verb("backfill", &[])).await;
    assert!(
        stderr(&refused).contains("does not lead on from `cutover`"),
        "{refused:?}"
    );
    corpus(&gateway, 12, &[3]);
    let made = create_anew(&gateway).await;
    assert!(made["migration"].is_null(), "{made}");
    assert_eq!(space_of(&gateway, "embed:docs").await, "docs@3");
    let lost = json!({"to": "docs@1", "of": "docs@3", "without": 3});
    assert_eq!(status(&gateway).await["back"], lost);
    let back = gateway.run_json(&verb("rollback", &[])).await;
    assert_eq!((&back["serving"], &back["back"]), (&json!("docs@1"), &lost));
    gateway.run_json(&create(&[])).await;
    assert_eq!(
        space_of(&gateway, "embed:docs").await,
        "docs@4",
        "made of the old version after the way back, it is the newest and served"
    );
    let found = status(&gateway).await;
    assert!(found["held"].is_null(), "{found}");
}

#[tokio::test]
async fn a_snapshot_of_the_other_version_is_not_served_and_the_file_may_decide() {
    let (_provider, gateway) = started(|setup| setup).await;
    cut_over(&gateway, &[]).await;
    corpus(&gateway, 11, &[]);
    let made = gateway.run_json(&create(&[])).await;
    assert_eq!(made["snapshot"]["number"], 3);
    let told = made["migration"].as_str().unwrap();
    assert!(told.contains("and `docs@2` is served"), "{told}");
    assert_eq!(space_of(&gateway, "embed:docs").await, "docs@2");
    let next = [
        "embeddings",
        "snapshot",
        "create",
        "docs",
        "--from",
        "corpus.jsonl",
    ];
    let next = gateway.run_json(&next).await;
    assert_eq!(
        next["snapshot"]["space"]["model"], NEW,
        "the next one is like the one that is served"
    );
    assert_eq!(space_of(&gateway, "embed:docs").await, "docs@4");
    declare(&gateway, 3).await;
    // What the file names after the cut-over was decided later; it is read before labels are let go.
    eventually("that the file decides", async || {
        (space_of(&gateway, "embed:docs").await == "docs@3").then_some(())
    })
    .await;
    assert!(status(&gateway).await["held"].is_null());
}

#[tokio::test]
async fn what_must_not_be_so_may_be_said_at_the_beginning() {
    let (_provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 30, &[]);
    gateway.run_json(&create(&[])).await;
    let refused = gateway.run(&start(&["--gate", "overlap@10 < much"])).await;
    assert_eq!(code(&refused), Some(1));
    assert!(stderr(&refused).contains("much"), "{refused:?}");
    gateway.run_json(&start(&FAILING)).await;
    for _ in 0..3 {
        gateway.run_json(&verb("advance", &[])).await;
    }
    let refused = gateway.run(&verb("cutover", &[])).await;
    assert!(
        stderr(&refused).contains("the gates of `docs@2` are not met"),
        "{refused:?}"
    );
    let begun = gateway
        .run_json(&start(&["--gate", "overlap@10 < 0.5"]))
        .await;
    assert_eq!(begun["gates"], json!(["overlap@10 < 0.5"]));
    let cut = gateway.run_json(&verb("cutover", &[])).await;
    assert_eq!(cut["serving"], "docs@2");
}

#[tokio::test]
async fn the_file_has_the_last_word_once_it_says_the_same() {
    let (_provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 5, &[]);
    gateway.run_json(&create(&[])).await;
    declare(&gateway, 1).await;
    gateway.run_json(&start(&[])).await;
    for _ in 0..3 {
        gateway.run_json(&verb("advance", &[])).await;
    }
    let cut = gateway.run_json(&verb("cutover", &[])).await;
    assert_eq!(
        (&cut["held"]["serving"], &cut["held"]["file"]),
        (&json!("docs@2"), &json!("docs@1"))
    );
    assert_eq!(space_of(&gateway, "embed:docs@production").await, "docs@2");
    declare(&gateway, 2).await;
    assert!(status(&gateway).await["held"].is_null());
    declare(&gateway, 1).await;
    assert_eq!(space_of(&gateway, "embed:docs@production").await, "docs@1");
}

#[tokio::test]
async fn a_retired_model_a_small_budget_and_a_silent_new_model_are_told() {
    let (provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 20, &[]);
    gateway.run_json(&create(&[])).await;
    let gone = json!({"error": {"message": "the model does not exist", "code": "model_not_found"}});
    provider.next(Answer::status(404, &[], &gone.to_string()));
    let refused = gateway.run(&start(&[])).await;
    assert_eq!(code(&refused), Some(1));
    let told = stderr(&refused);
    assert!(
        told.contains("cannot be asked") && told.contains("embeddings adapter fit"),
        "{told}"
    );
    let same = gateway
        .run(&[
            "embeddings",
            "migrate",
            "start",
            "docs",
            "--to-model",
            crate::embeddings::MODEL,
        ])
        .await;
    assert!(stderr(&same).contains("already"), "{same:?}");

    // Twenty texts of three words cost 0.0000078 as the provider counts; ten may be paid.
    gateway
        .run_json(&start(&[
            "--max-cost",
            "0.0000045",
            "--batch-texts",
            "5",
            "-j",
            "1",
        ]))
        .await;
    for _ in 0..2 {
        gateway.run_json(&verb("advance", &[])).await;
    }
    let stopped = gateway.run(&verb("backfill", &[])).await;
    assert_eq!(code(&stopped), Some(1));
    assert!(stderr(&stopped).contains("the limit of"), "{stopped:?}");
    let held = 20
        - status(&gateway).await["outlook"]["missing"]
            .as_u64()
            .unwrap();
    assert!((5..20).contains(&held), "{held}");
    let found = search(&gateway, "text number 3").await;
    assert_eq!(found["way"]["kind"], "recall");
    assert_eq!(found["way"]["problem"]["code"], "budget_exceeded");
    assert_eq!(found["results"][0]["id"], "d3", "the old version answers");
    let paused = gateway.run_json(&verb("pause", &[])).await;
    assert_eq!(paused["is_paused"], true);
    let resumed = gateway
        .run_json(&verb("resume", &["--max-cost", "1"]))
        .await;
    assert_eq!(resumed["outlook"]["missing"], 0);
    assert!(is_once(&paid_anew(&provider, &[])));
}

#[tokio::test]
async fn a_new_model_that_cannot_answer_is_told_with_its_own_reason() {
    let (provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 10, &[]);
    gateway.run_json(&create(&[])).await;
    let refused = gateway.run(&start(&["--texts-per-minute", "0"])).await;
    assert!(stderr(&refused).contains("migrate pause"), "{refused:?}");
    gateway.run_json(&start(&[])).await;
    for _ in 0..2 {
        gateway.run_json(&verb("advance", &[])).await;
    }
    provider.always(|request| {
        if request.json()["model"] == "text-embedding-3-large" {
            return Answer::status(500, &[], r#"{"error":{"message":"the fans stand still"}}"#);
        }
        embedder(request)
    });
    let asked = || {
        let all = provider.journal().into_iter();
        all.filter(|request| request.json()["model"] == "text-embedding-3-large")
            .count()
    };
    let found = search(&gateway, ASKED).await;
    assert_eq!(found["way"]["kind"], "recall");
    let problem = &found["way"]["problem"];
    assert!(
        problem["message"]
            .as_str()
            .unwrap()
            .contains("the fans stand still"),
        "{problem}"
    );
    assert_eq!(found["results"][0]["id"], "d7");
    assert!(asked() <= 2, "nobody waits for a background's patience");

    // The background has patience, and a search does not wait for it.
    let before = provider.journal().len();
    gateway.run_json(&verb("backfill", &["--detach"])).await;
    provider.wait_for_requests(before + 1).await;
    let found = search(&gateway, ASKED).await;
    assert_eq!(found["way"]["problem"]["code"], "texts_awaited", "{found}");
    assert_eq!(found["results"][0]["id"], "d7");
}

#[tokio::test]
async fn a_sample_shows_what_would_change_before_anybody_is_served() {
    let (provider, gateway) = started(|setup| setup).await;
    corpus(&gateway, 30, &[]);
    gateway.run_json(&create(&[])).await;
    let arguments = [
        "embeddings",
        "migrate",
        "start",
        "docs",
        "--to-model",
        NEW,
        "--candidates",
        "12",
        "--sample",
        "6",
    ];
    let begun = gateway.run_json(&arguments).await;
    let shadow = &begun["shadow"];
    assert_eq!(
        (&shadow["queries"], &shadow["queries_from"]),
        (&json!(6), &json!("items"))
    );
    let embedded = shadow["texts"].as_u64().unwrap();
    assert_eq!(begun["outlook"]["missing"], 30 - embedded);
    assert!((12..=30).contains(&embedded), "{shadow}");
    let share = shadow["overlap"]["value"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&share), "{shadow}");
    let requests = provider.journal().len();
    gateway.run_json(&arguments).await;
    assert_eq!(
        provider.journal().len(),
        requests,
        "what is known is not asked again"
    );
    let told = gateway.run(&verb("status", &[])).await;
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("6 queries: "), "{told}");
}
