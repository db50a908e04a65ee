//! Suites that run by themselves, and runs that a change of files asks for.

use crate::support::{Answer, FakeProvider, Received, Setup, TestGateway, eventually, git};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;
use tokio::time::Instant;

const CASES: usize = 6;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn write(gateway: &TestGateway, path: &str, content: &str) {
    let path = gateway.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn question(request: &Received) -> String {
    let body = request.json();
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let last = messages.last().cloned().unwrap_or_default();
    last["content"].as_str().unwrap_or_default().to_owned()
}

/// A suite that is due every minute.
fn every_minute() -> String {
    let case =
        |n| format!("  - {{vars: {{x: good {n}}}, assert: [{{type: contains, value: good}}]}}\n");
    let cases: String = (0..CASES).map(case).collect();
    format!(
        "prompts: [\"say {{{{x}}}}\"]\nproviders: [gateway:openai/gpt-4o-mini]\ntests:\n{cases}\
         metadata:\n  promptgate:\n    concurrency: 1\n    schedule:\n      cron: \"* * * * *\"\n      \
         alerts: [{{webhook: \"env:HOOK\", on: [passed, failed, invalid]}}]\n"
    )
}

async fn schedule(gateway: &TestGateway) -> Value {
    let response = gateway.admin().get("/api/evals/schedules").await;
    assert_eq!(response.status, 200, "{}", response.text());
    response.json()["data"][0].clone()
}

/// Waits for what happens when a minute begins.
async fn within_a_minute<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(70), "no {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Two gateways with data of their own that claim in one directory.
async fn pair(
    provider: &FakeProvider,
    hook: &FakeProvider,
    claims: &Path,
    secret: &str,
) -> Vec<TestGateway> {
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let more = format!("[evals]\nclaims_dir = \"{}\"\n", claims.display());
        let url = format!("http://{}/services/{secret}", hook.address);
        let mut gateway = Setup::of(provider)
            .config(&more)
            .env("HOOK", &url)
            .prepare();
        write(&gateway, "evals/night.yaml", &every_minute());
        gateway.restart().await;
        gateways.push(gateway);
    }
    gateways
}

/// The schedule's state once its run has a verdict.
async fn ended(gateway: &TestGateway) -> Value {
    let began = Instant::now();
    loop {
        let state = schedule(gateway).await;
        if state["verdict"].is_string() {
            return state;
        }
        assert!(began.elapsed() < Duration::from_secs(70), "{state}");
    }
}

#[tokio::test]
async fn of_gateways_that_share_claims_one_runs_and_goes_on_after_a_kill() {
    let (provider, hook) = (FakeProvider::start().await, FakeProvider::start().await);
    provider.always(|request| Answer::reply(&question(request)).delay(Duration::from_millis(500)));
    hook.always(|_| Answer::json(&json!({"ok": true})));
    let claims = tempfile::tempdir().unwrap();
    let secret = ["hook", "canary", "4f1d"].concat();
    let mut gateways = pair(&provider, &hook, claims.path(), &secret).await;
    let asked = || (2 <= provider.journal().len()).then_some(());
    within_a_minute("run begins", asked).await;
    let (winner, run) = eventually("who won", async || {
        for (index, gateway) in gateways.iter().enumerate() {
            let run = schedule(gateway).await["run"].clone();
            if run.is_string() {
                return Some((index, run));
            }
        }
        None
    })
    .await;
    let other = 1 - winner;
    gateways[winner].kill9().await;
    gateways[winner].restart().await;

    let state = ended(&gateways[winner]).await;
    assert_eq!((&state["verdict"], &state["run"]), (&json!("passed"), &run));
    assert_eq!(state["error"], Value::Null);
    let told = eventually("the alert", async || hook.journal().first().cloned()).await;
    let message = told.json()["text"].as_str().unwrap().to_owned();
    let run = run.as_str().unwrap();
    assert!(message.contains("suite `night`: passed"), "{message}");
    assert!(message.contains(run), "{message}");
    assert_eq!(hook.journal().len(), 1);

    let elsewhere = schedule(&gateways[other]).await;
    assert!(elsewhere["claimed_elsewhere"].is_i64(), "{elsewhere}");
    assert_eq!(
        (&elsewhere["run"], &elsewhere["verdict"]),
        (&Value::Null, &Value::Null)
    );
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for request in provider.journal() {
        *counts.entry(question(&request)).or_default() += 1;
    }
    assert_eq!(counts.len(), CASES);
    // What was under way when the process died is asked twice, and nothing else.
    assert!(counts.values().sum::<usize>() <= CASES + 1, "{counts:?}");

    let shown = gateways[winner].run_json(&["evals", "schedules"]).await;
    assert_eq!(shown["data"][0]["verdict"], "passed");
    let page = gateways[winner]
        .anonymous_admin()
        .get("/metrics")
        .await
        .text();
    assert!(
        page.contains("promptgate_eval_schedule_ok{suite=\"night\"} 1"),
        "{page}"
    );
    for gateway in &gateways {
        assert!(!gateway.stderr().contains(&secret), "the URL is in the log");
    }
}

#[tokio::test]
async fn schedules_are_shown_without_a_server_and_begin_nothing() {
    let gateway = Setup::simulated().prepare();
    write(&gateway, "evals/night.yaml", &every_minute());
    let shown = gateway.run_json(&["evals", "schedules"]).await;
    assert_eq!(shown["is_firing"], false);
    let schedule = &shown["data"][0];
    assert_eq!(
        (&schedule["suite"], &schedule["cron"]),
        (&json!("night"), &json!("* * * * *"))
    );
    assert!(
        schedule["next_due"].is_i64() && schedule["verdict"].is_null(),
        "{schedule}"
    );
    assert_eq!(gateway.run_json(&["evals", "list"]).await, json!([]));
}

async fn run(gateway: &TestGateway, arguments: &[&str]) -> Output {
    gateway.run(&[&["evals", "run"], arguments].concat()).await
}

/// A repository with three suites: of a prompt, of a text in a file, of nothing else.
fn repository() -> TestGateway {
    let gateway = Setup::simulated()
        .prompt("bye.prompt", "---\nmodel: simulated/a\n---\nbye {{> end}}")
        .prompt("_end.prompt", "now {{name}}")
        .prepare();
    let echo = "providers: [echo]\ntests: [{vars: {x: a}}]\n";
    let of_prompt =
        "prompts: [prompt://bye]\nproviders: [gateway:default]\ntests: [{vars: {name: a}}]\n";
    write(&gateway, "evals/bye.yaml", of_prompt);
    write(
        &gateway,
        "evals/file.yaml",
        &format!("prompts: [file://texts/x.txt]\n{echo}"),
    );
    write(&gateway, "evals/texts/x.txt", "say {{x}}");
    write(
        &gateway,
        "evals/plain.yaml",
        &format!("prompts: [\"say {{{{x}}}}\"]\n{echo}"),
    );
    let root = gateway.path();
    git(root, &["init", "-q", "-b", "main"]);
    git(root, &["add", "evals", "prompts"]);
    git(root, &["commit", "-q", "-m", "first"]);
    gateway
}

#[tokio::test]
async fn of_all_suites_those_are_run_that_a_change_touches() {
    let gateway = repository();
    let output = run(&gateway, &["--base", "main"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stderr);
    assert_eq!(said.matches("left out").count(), 3, "{said}");
    assert_eq!(gateway.run_json(&["evals", "list"]).await, json!([]));

    write(&gateway, "prompts/_end.prompt", "soon {{name}}");
    write(&gateway, "evals/texts/x.txt", "tell {{x}}");
    write(
        &gateway,
        "evals/new.yaml",
        "prompts: [a]\nproviders: [echo]\ntests: [{vars: {x: a}}]\n",
    );
    let output = run(&gateway, &["--base", "main"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = text(&output.stderr);
    for line in [
        "evals/bye.yaml: run, other than at `main`: prompts/_end.prompt (prompt `bye`)",
        "evals/file.yaml: run, other than at `main`: evals/texts/x.txt",
        "evals/new.yaml: run, it is not at `main`",
        "evals/plain.yaml: left out",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let runs = gateway.run_json(&["evals", "list"]).await;
    assert_eq!(runs.as_array().unwrap().len(), 3);

    let output = run(&gateway, &[]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let runs = gateway.run_json(&["evals", "list"]).await;
    assert_eq!(runs.as_array().unwrap().len(), 7);
}

#[tokio::test]
async fn offline_nobody_is_asked_and_what_is_left_out_is_told() {
    let provider = FakeProvider::start().await;
    provider.always(|request| Answer::reply(&question(request)));
    let gateway = Setup::of(&provider).prepare();
    let given = "prompts: [\"say {{x}}\"]\nproviders: [gateway:openai/gpt-4o-mini]\ntests:\n  \
         - {vars: {x: a}, providerOutput: good, assert: [{type: contains, value: good}]}\n";
    write(&gateway, "evals/given.yaml", given);
    let asked = format!(
        "{given}  - {{vars: {{x: good}}, assert: [{{type: contains, value: good}}]}}\n  \
         - {{vars: {{x: b}}, providerOutput: good, assert: [{{type: llm-rubric, value: is good, provider: \"gateway:openai/gpt-4o\"}}]}}\n"
    );
    write(&gateway, "evals/asked.yaml", &asked);
    let output = run(&gateway, &["given", "--offline"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = run(&gateway, &["asked", "--offline"]).await;
    assert_eq!(output.status.code(), Some(101), "{output:?}");
    let shown = text(&output.stdout);
    assert!(shown.contains("2 of 3 cells were not asked"), "{shown}");
    assert!(provider.journal().is_empty());
    // Online it goes on with what was left out.
    let output = run(&gateway, &["asked"]).await;
    assert!(text(&output.stderr).contains("goes on"), "{output:?}");
    let asked = provider
        .journal()
        .iter()
        .filter(|request| question(request) == "say good")
        .count();
    assert_eq!(asked, 1);
    assert_eq!(provider.journal().len(), 2);
}
