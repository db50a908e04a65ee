//! Version numbers come from Git: the same on every clone, after every loss, and never another.

use crate::support::{FakeProvider, Setup, TestGateway, eventually, git, greet};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Writes the prompt `greet` and commits it; returns the commit.
fn commit(repository: &Path, text: &str) -> String {
    let path = repository.join("prompts/greet.prompt");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, greet(text)).unwrap();
    git(repository, &["add", "-A", "prompts"]);
    git(repository, &["commit", "-q", "-m", &format!("Say {text}")]);
    git(repository, &["rev-parse", "HEAD"])
}

/// A gateway that serves the branch `main` of `repository`.
async fn gateway(provider: &FakeProvider, repository: &Path) -> TestGateway {
    let config = format!(
        "[prompts]\ngit = \"{}\"\nreference = \"main\"\nsubpath = \"prompts\"\n",
        repository.display()
    );
    Setup::of(provider).config(&config).start().await
}

fn call(reference: &str) -> Value {
    json!({"model": format!("prompt:{reference}"), "prompt": {"variables": {"name": "Ada"}}})
}

/// Waits until `greet` is served as `version`, and returns its hash.
async fn until(gateway: &TestGateway, version: &str) -> String {
    eventually(&format!("greet as {version}"), async || {
        let response = gateway.client().chat(&call("greet")).await;
        assert_eq!(response.status, 200, "{}", response.text());
        let is_it = response.header("x-promptgate-version") == Some(version);
        is_it.then(|| response.header("x-promptgate-hash").unwrap().to_owned())
    })
    .await
}

/// `v2 current, v1` from the command line.
async fn log(gateway: &TestGateway) -> String {
    let log = gateway.run_json(&["prompts", "log", "greet"]).await;
    let entries = log["entries"].as_array().unwrap().iter();
    let shown = entries.map(|entry| {
        let mut text = entry["version"].as_str().unwrap().to_owned();
        for mark in ["current", "reverted_to", "lost"] {
            if entry[mark] == true {
                text = format!("{text} {mark}");
            }
        }
        text
    });
    shown.collect::<Vec<_>>().join(", ")
}

#[tokio::test]
async fn clones_agree_and_a_wiped_store_counts_the_same() {
    let provider = FakeProvider::start().await;
    let origin = tempfile::tempdir().unwrap();
    git(origin.path(), &["init", "-q"]);
    commit(origin.path(), "Hello");
    commit(origin.path(), "Hail");
    let clone = tempfile::tempdir().unwrap();
    let url = origin.path().to_str().unwrap();
    git(clone.path(), &["clone", "-q", url, "."]);
    // One sees the history grow, the other finds it whole.
    let mut first = gateway(&provider, origin.path()).await;
    let hail = until(&first, "v2").await;
    commit(origin.path(), "Howdy");
    let howdy = until(&first, "v3").await;
    git(origin.path(), &["revert", "--no-edit", "HEAD"]);
    assert_eq!(until(&first, "v2").await, hail, "a revert returns");
    git(clone.path(), &["pull", "-q", "--ff-only"]);
    let second = gateway(&provider, clone.path()).await;
    assert_eq!(until(&second, "v2").await, hail);
    let wanted = "v2 current reverted_to, v3, v2, v1";
    assert_eq!(log(&first).await, wanted);
    assert_eq!(log(&second).await, wanted);
    // Versions that this gateway never served are found by their numbers all the same.
    for (number, text) in [
        ("v1", "Hello"),
        ("v2", "Hail"),
        ("v3", "Howdy"),
        ("3", "Howdy"),
    ] {
        let response = second
            .client()
            .chat(&call(&format!("greet@{number}")))
            .await;
        assert_eq!(response.status, 200, "{number}: {}", response.text());
        let header = response.header("x-promptgate-version").unwrap();
        assert_eq!(
            header.trim_start_matches('v'),
            number.trim_start_matches('v')
        );
        let sent = provider.journal().last().unwrap().json();
        assert!(sent.to_string().contains(&format!("{text} Ada")), "{sent}");
        let record = second.record(response.call_id()).await;
        let recorded = &record["intent"]["prompt"]["number"];
        assert_eq!(format!("v{recorded}"), header);
    }
    let response = second.client().chat(&call("greet@v4")).await;
    assert_eq!(response.failure(), "404 prompt_version_not_found");
    assert!(
        response.text().contains("`v1` to `v3`"),
        "{}",
        response.text()
    );
    // A record of an old version can be read without any server.
    first.kill9().await;
    fs::remove_dir_all(first.data_dir()).unwrap();
    assert_eq!(log(&first).await, wanted);
    first.restart().await;
    assert_eq!(until(&first, "v2").await, hail);
    assert_eq!(log(&first).await, wanted);
    let shown = first.client().get("/v1/prompts/greet?sel=v3").await.json();
    assert_eq!(
        (&shown["hash"], &shown["version"]),
        (&howdy.into(), &"v3".into())
    );
}

#[tokio::test]
async fn a_forced_push_changes_no_number_and_alarms() {
    let provider = FakeProvider::start().await;
    let origin = tempfile::tempdir().unwrap();
    git(origin.path(), &["init", "-q"]);
    let first = commit(origin.path(), "Hello");
    commit(origin.path(), "Hail");
    let mut gateway = gateway(&provider, origin.path()).await;
    let hail = until(&gateway, "v2").await;
    assert!(!gateway.stderr().contains("was rewritten"));

    git(origin.path(), &["reset", "-q", "--hard", &first]);
    commit(origin.path(), "Howdy");
    until(&gateway, "v3").await;
    let alarm = "the history of `main` was rewritten";
    assert!(gateway.stderr().contains(alarm), "{}", gateway.stderr());
    let old = gateway.client().chat(&call("greet@v2")).await;
    assert_eq!(old.header("x-promptgate-hash"), Some(hail.as_str()));

    // Remembered over a start, and told by the admin plane and the command line.
    gateway.kill9().await;
    gateway.restart().await;
    until(&gateway, "v3").await;
    let told = gateway.admin().get("/api/prompts/log?prompt=greet").await;
    assert!(
        told.json()["alarms"][0]
            .as_str()
            .unwrap()
            .starts_with(alarm)
    );
    assert_eq!(
        log(&gateway).await,
        "v3 current, v1 reverted_to, v2 lost, v1"
    );
    let output = gateway.run(&["prompts", "log", "greet"]).await;
    assert!(String::from_utf8_lossy(&output.stderr).contains(alarm));
}

#[tokio::test]
async fn what_no_commit_holds_has_no_number() {
    let provider = FakeProvider::start().await;
    let mut gateway = Setup::of(&provider).prepare();
    git(gateway.path(), &["init", "-q"]);
    commit(gateway.path(), "Hello");
    gateway.restart().await;
    let hash = until(&gateway, "v1").await;
    let file = gateway.path().join("prompts/greet.prompt");
    fs::write(&file, greet("Draft")).unwrap();
    let edited = eventually("the edit", async || {
        let response = gateway.client().chat(&call("greet")).await;
        let hash_now = response.header("x-promptgate-hash").map(str::to_owned);
        (hash_now.as_ref() != Some(&hash)).then_some(response)
    })
    .await;
    let version = edited.header("x-promptgate-version").unwrap_or_default();
    assert!(!version.starts_with('v'), "{version}");
    assert!(gateway.record(edited.call_id()).await["intent"]["prompt"]["number"].is_null());
    let committed = gateway.client().chat(&call("greet@v1")).await;
    assert_eq!(committed.header("x-promptgate-hash"), Some(hash.as_str()));
    // Committed, it gets the next one; nobody else's line is blamed for it.
    commit(gateway.path(), "Draft");
    until(&gateway, "v2").await;
    let blame = gateway.run_json(&["prompts", "blame", "greet"]).await;
    let lines = blame["files"][0]["lines"].as_array().unwrap();
    let subjects: Vec<_> = lines
        .iter()
        .map(|line| line["subject"].as_str().unwrap())
        .collect();
    assert_eq!(
        subjects,
        ["Say Hello", "Say Hello", "Say Hello", "Say Draft"]
    );
    let told = gateway.admin().get("/api/prompts/blame?prompt=greet").await;
    assert_eq!(told.json(), blame);
    let missing = gateway.admin().get("/api/prompts/log?prompt=greeet").await;
    assert_eq!(missing.failure(), "404 prompt_not_found");
    assert!(missing.text().contains("`greet`"), "{}", missing.text());
}
