//! The command line: stdout is data, stderr is everything else, errors end with a hint.

use crate::support::{FakeProvider, Setup, TestGateway, chat};
use std::process::Output;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn failed(output: &Output, code: i32, names: &[&str]) {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(
        output.stdout.is_empty(),
        "stdout is data: {}",
        text(&output.stdout)
    );
    for name in names {
        assert!(said.contains(name), "no {name:?} in {said}");
    }
}

#[tokio::test]
async fn check_names_what_is_wrong_and_what_to_do() {
    let output = Setup::simulated().prepare().run(&["check"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));

    let typo = Setup::simulated()
        .config("[server]\nlisten_on = \"127.0.0.1:1\"\n")
        .prepare();
    failed(
        &typo.run(&["check"]).await,
        2,
        &["listen_on", "hint:", "listen"],
    );
    let unset = Setup::simulated()
        .config("[providers.openai]\napi_key = \"env:NOT_SET_ANYWHERE\"\n")
        .prepare();
    failed(
        &unset.run(&["check"]).await,
        2,
        &["NOT_SET_ANYWHERE", "providers.openai.api_key"],
    );
    let broken = Setup::simulated()
        .prompt("bad.prompt", "---\nmodel: m\n---\n{{#if x}}\n")
        .prepare();
    failed(&broken.run(&["check"]).await, 1, &["bad.prompt"]);
}

#[tokio::test]
async fn prompts_that_are_not_there_are_named_and_where_to_say_so() {
    let gateway = Setup::simulated().prepare();
    std::fs::remove_dir_all(gateway.path().join("prompts")).unwrap();
    let output = gateway.run(&["serve"]).await;
    failed(&output, 1, &["`prompts`", "hint:", "--prompts"]);
}

#[tokio::test]
async fn a_command_without_a_server_says_what_failed() {
    let gateway = Setup::simulated().prepare();
    let shelf = gateway.path().join("data/embeddings/adapters");
    std::fs::create_dir_all(shelf.parent().unwrap()).unwrap();
    std::fs::write(&shelf, "no directory").unwrap();
    let output = gateway.run(&["embeddings", "adapter", "list"]).await;
    failed(&output, 1, &["data/embeddings/adapters", "Not a directory"]);
    assert!(!text(&output.stderr).contains("log"), "there is none");
}

#[tokio::test]
async fn usage_errors_exit_with_2_and_help_with_0() {
    let gateway = Setup::simulated().prepare();
    failed(&gateway.run(&["sevre"]).await, 2, &["sevre", "serve"]);
    let help = gateway.run(&["--help"]).await;
    assert_eq!(help.status.code(), Some(0));
    for command in ["serve", "check", "calls", "keys", "prompts"] {
        assert!(text(&help.stdout).contains(command), "{command}");
    }
    let version = gateway.run(&["--version"]).await;
    assert!(
        text(&version.stdout).starts_with("promptgate "),
        "{version:?}"
    );
}

#[tokio::test]
async fn records_read_the_same_with_and_without_a_server() {
    let provider = FakeProvider::start().await;
    let mut gateway = TestGateway::start(&provider).await;
    for tag in ["a", "b", "c"] {
        assert_eq!(gateway.client().chat(&chat(tag)).await.status, 200);
    }
    let calls = gateway.ended_calls(3).await;
    let id = calls[0].id().to_owned();
    let commands: [&[&str]; 4] = [
        &["calls", "list"],
        &["calls", "show", &id],
        &["calls", "stats", "--by", "model"],
        &["keys", "list"],
    ];
    let mut with_server = Vec::new();
    for command in commands {
        with_server.push(gateway.run_json(command).await);
    }
    gateway.terminate();
    assert_eq!(gateway.exited().await.code(), Some(0));
    for (command, before) in commands.into_iter().zip(with_server) {
        assert_eq!(gateway.run_json(command).await, before, "{command:?}");
    }
    let users: Vec<&str> = calls.iter().map(crate::support::Call::user).collect();
    assert_eq!(users, ["c", "b", "a"], "newest first");
    failed(
        &gateway.run(&["calls", "show", "no-such-call"]).await,
        1,
        &["no-such-call", "hint:"],
    );
}

#[tokio::test]
async fn the_index_can_be_rebuilt_from_the_journal() {
    let provider = FakeProvider::start().await;
    let mut gateway = TestGateway::start(&provider).await;
    for _ in 0..30 {
        gateway.client().chat(&chat("rebuilt")).await;
    }
    gateway.ended_calls(30).await;
    gateway.kill9().await;
    let before = gateway
        .run_json(&["calls", "list", "--limit", "1000"])
        .await;

    gateway.run_json(&["store", "rebuild"]).await;

    assert_eq!(before.as_array().unwrap().len(), 30);
    assert_eq!(
        gateway
            .run_json(&["calls", "list", "--limit", "1000"])
            .await,
        before
    );
}

#[tokio::test]
async fn prompts_render_without_a_server() {
    let gateway = Setup::simulated().prepare();
    let list = gateway.run_json(&["prompts", "list"]).await;
    assert_eq!(list[0]["name"], "greet");
    let arguments = [
        "prompts",
        "render",
        "greet",
        "--variables",
        "{\"name\": \"Ada\"}",
    ];
    let output = gateway.run(&arguments).await;
    assert!(
        text(&output.stdout).contains("Greet Ada politely."),
        "{output:?}"
    );
    failed(
        &gateway.run(&["prompts", "render", "greet"]).await,
        1,
        &["name"],
    );
    failed(
        &gateway.run(&["prompts", "render", "gret"]).await,
        1,
        &["greet"],
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let taken = provider.address.to_string();
    let second = Setup::simulated().prepare();

    let output = second
        .run(&["serve", "--listen", &taken, "--admin-listen", "127.0.0.1:0"])
        .await;
    failed(&output, 1, &[&taken]);
    // The data of a running gateway is not opened twice.
    let arguments = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    failed(&gateway.run(&arguments).await, 1, &["data"]);
}
