//! Prompts come as signed bundles, where nothing may be fetched: the newest is served, an old one never again.

use crate::support::{FakeProvider, GitServer, Response, Setup, TestGateway, eventually, greet};
use serde_json::{Value, json};
use std::fs;
use std::process::Output;

const SECRET: &str = "canary-push-secret-5d81e0a4";

/// A gateway that is pushed to.
fn pushed_to(provider: &FakeProvider) -> Setup {
    Setup::of(provider)
        .config("[prompts]\npushed = true\npush_secret = \"env:PUSH_SECRET\"\n")
        .env("PUSH_SECRET", SECRET)
}

async fn ask(gateway: &TestGateway, reference: &str) -> Response {
    let variables = json!({"variables": {"name": "Ada"}});
    let body = json!({"model": format!("prompt:{reference}"), "prompt": variables});
    gateway.client().chat(&body).await
}

async fn push(gateway: &TestGateway, origin: &GitServer, more: &[&str]) -> Output {
    let to = format!("http://{}", gateway.anonymous_admin().address());
    let work = origin.work().display().to_string();
    let mut arguments = vec![
        "prompts",
        "push",
        "--to",
        &to,
        "--secret",
        "env:PUSH_SECRET",
    ];
    arguments.extend(["--repository", &work]);
    arguments.extend(more);
    gateway.run(&arguments).await
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

#[tokio::test]
async fn what_is_pushed_is_served_and_survives() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let mut gateway = pushed_to(&provider).start().await;
    let waiting = gateway.client().get("/health/ready").await;
    assert_eq!(waiting.status, 503);
    assert_eq!(
        waiting.json()["reasons"][0],
        "no prompts have been pushed yet"
    );
    assert_eq!(
        ask(&gateway, "greet").await.failure(),
        "503 prompt_registry_unavailable"
    );

    origin.greet("Hello");
    let first = origin.greet("Hail");
    let output = push(&gateway, &origin, &[]).await;
    assert_eq!(
        said(&output),
        format!("applied: commit {first}, 1 prompts\n")
    );
    // Its history is numbered in the background, if that takes longer.
    let response = eventually("the second version", async || {
        let response = ask(&gateway, "greet").await;
        (response.header("x-promptgate-version") == Some("v2")).then_some(response)
    })
    .await;
    assert_eq!(response.header("x-promptgate-commit"), Some(first.as_str()));
    assert_eq!(
        ask(&gateway, "greet@v1").await.status,
        200,
        "history came with it"
    );
    assert_eq!(gateway.client().get("/health/ready").await.status, 200);

    gateway.kill9().await;
    gateway.restart().await;
    let response = ask(&gateway, "greet").await;
    assert_eq!(response.header("x-promptgate-commit"), Some(first.as_str()));
    let second = origin.greet("Howdy");
    assert!(push(&gateway, &origin, &[]).await.status.success());
    let response = ask(&gateway, "greet").await;
    assert_eq!(
        response.header("x-promptgate-commit"),
        Some(second.as_str())
    );
    let shown = said(&gateway.run(&["prompts", "sync"]).await);
    assert!(
        shown.contains("signed bundles in prompts at HEAD (pushed)"),
        "{shown}"
    );
    assert!(!gateway.stderr().contains(SECRET));
}

#[tokio::test]
async fn a_bundle_with_problems_is_refused_and_they_are_told() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let good = origin.greet("Hello");
    let gateway = pushed_to(&provider).start().await;
    assert!(push(&gateway, &origin, &[]).await.status.success());
    origin.write("broken.prompt", "---\nmodel: [\n---\nx\n");
    origin.write("other.prompt", "{{#if}}");
    origin.commit("Break");
    let output = push(&gateway, &origin, &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let text = said(&output);
    assert!(
        text.contains("broken.prompt") && text.contains("other.prompt"),
        "{text}"
    );
    let response = ask(&gateway, "greet").await;
    assert_eq!(response.header("x-promptgate-commit"), Some(good.as_str()));
}

#[tokio::test]
async fn only_the_secret_opens_and_nothing_old_comes_back() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    let gateway = pushed_to(&provider).start().await;
    let old = origin.greet("Hello");
    let file = origin.work().join(".git/old.bundle");
    let path = file.display().to_string();
    let work = origin.work().display().to_string();
    let arguments = ["prompts", "push", "--output", &path, "--sequence", "7"];
    let arguments = [
        &arguments[..],
        &["--secret", "env:PUSH_SECRET", "--repository", &work],
    ]
    .concat();
    let command = said(&gateway.run(&arguments).await);
    assert!(command.starts_with("curl --fail-with-body -X PUT -H 'x-promptgate-sequence: 7'"));
    let signature = command
        .split('\'')
        .find(|word| word.starts_with("x-promptgate-signature"));
    let signature = signature.unwrap().split_once(": ").unwrap().1.to_owned();
    let bundle = fs::read(file).unwrap();
    let put = async |sequence: &str, signature: &str, bytes: &[u8]| {
        let client = gateway.anonymous_admin();
        let client = client.header("x-promptgate-sequence", sequence);
        let client = client.header("x-promptgate-signature", signature);
        client.put_bytes("/api/prompts/bundle", bytes).await
    };
    // A signature is good for one number and these bytes only.
    let mut changed = bundle.clone();
    changed[40] ^= 1;
    for (sequence, signature, bytes) in [
        ("8", signature.as_str(), &bundle),
        ("7", signature.as_str(), &changed),
        ("7", "sha256=00", &bundle),
        ("x", signature.as_str(), &bundle),
    ] {
        let response = put(sequence, signature, bytes).await;
        assert_eq!(
            response.failure(),
            "401 signature_invalid",
            "{sequence} {signature}"
        );
    }
    assert_eq!(
        ask(&gateway, "greet").await.status,
        503,
        "nothing was taken"
    );
    assert_eq!(put("7", &signature, &bundle).await.status, 200);
    assert_eq!(
        put("7", &signature, &bundle).await.failure(),
        "409 prompt_bundle_replayed"
    );
    let new = origin.greet("Hail");
    assert!(push(&gateway, &origin, &[]).await.status.success());
    let replayed = put("7", &signature, &bundle).await;
    assert_eq!(replayed.failure(), "409 prompt_bundle_replayed");
    let response = ask(&gateway, "greet").await;
    assert_eq!(response.header("x-promptgate-commit"), Some(new.as_str()));
    assert_ne!(old, new);
}

#[tokio::test]
async fn signed_rubbish_is_the_pushers_mistake_and_takes_no_number() {
    let provider = FakeProvider::start().await;
    let origin = GitServer::open().await;
    origin.greet("Hello");
    let gateway = pushed_to(&provider).start().await;
    let secret = promptgate::domain::Secret::new(SECRET);
    let preamble = promptgate::server::bundle_preamble(u64::MAX);
    let signature = promptgate::access::sign(&secret, &[preamble.as_bytes(), b"rubbish"]);
    let client = gateway
        .anonymous_admin()
        .header("x-promptgate-sequence", &u64::MAX.to_string())
        .header("x-promptgate-signature", &format!("sha256={signature}"));
    let response = client.put_bytes("/api/prompts/bundle", b"rubbish").await;
    assert_eq!(response.failure(), "400 git_bundle_invalid");
    assert!(push(&gateway, &origin, &[]).await.status.success());
}

#[tokio::test]
async fn who_is_not_pushed_to_takes_nothing() {
    let provider = FakeProvider::start().await;
    let gateway = Setup::of(&provider)
        .prompt("a.prompt", &greet("A"))
        .start()
        .await;
    let client = gateway.anonymous_admin();
    let refused = client.put_bytes("/api/prompts/bundle", b"x").await;
    assert_eq!(refused.failure(), "400 prompt_push_not_expected");
    let told: Value = gateway.admin().get("/api/prompts/sync").await.json();
    assert_eq!(told["kind"], "directory");
}
