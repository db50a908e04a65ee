//! The config is read again while calls are served: checked whole, swapped in, or refused.

use crate::support::{Answer, FakeProvider, TestGateway, chat, eventually, streamed_chat};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write as _;

const SECOND_KEY: &str = "sk-canary-second-2b9d41f07c3e5a68";

/// Adds to the config file of a running gateway.
fn add_to_config(gateway: &TestGateway, text: &str) {
    let path = gateway.path().join("promptgate.toml");
    let mut file = OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

fn second_provider(provider: &FakeProvider, key: &str) -> String {
    let address = provider.address;
    format!(
        "\n[providers.second]\npreset = \"openai\"\nbase_url = \"http://{address}/v1\"\n\
         api_key = \"{key}\"\n"
    )
}

#[tokio::test]
async fn sighup_brings_a_provider_and_its_key_stays_secret() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    let gateway = TestGateway::start(&first).await;
    let key_file = gateway.path().join("second.key");
    fs::write(&key_file, SECOND_KEY).unwrap();
    let body = json!({"model": "second/m", "messages": [{"role": "user", "content": SECOND_KEY}]});
    let before = gateway.client().chat(&body).await;
    assert_eq!(before.failure(), "404 model_not_found");

    let key = format!("file:{}", key_file.display());
    add_to_config(&gateway, &second_provider(&second, &key));
    gateway.hang_up();
    let answer = eventually("an answer of the new provider", async || {
        let answer = gateway.client().chat(&body).await;
        (answer.status == 200).then_some(answer)
    })
    .await;

    assert_eq!(answer.header("x-promptgate-provider"), Some("second"));
    assert_eq!(
        second.journal()[0].header("authorization"),
        Some(&*format!("Bearer {SECOND_KEY}"))
    );
    let record = gateway.record(answer.call_id()).await.to_string();
    assert!(!record.contains(SECOND_KEY), "{record}");
    assert_eq!(gateway.client().chat(&chat("first")).await.status, 200);
}

#[tokio::test]
async fn a_changed_file_is_read_without_being_told() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    let gateway = TestGateway::start(&first).await;
    add_to_config(&gateway, &second_provider(&second, "env:OPENAI_API_KEY"));

    eventually("the new provider", async || {
        let body = json!({"model": "second/m", "messages": [{"role": "user", "content": "x"}]});
        (gateway.client().chat(&body).await.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_config_with_a_mistake_is_refused_and_the_old_one_serves() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    add_to_config(&gateway, "\n[provider.typo]\npreset = \"openai\"\n");
    gateway.hang_up();

    eventually("the refusal in the log", async || {
        gateway
            .stderr()
            .contains("the config is refused")
            .then_some(())
    })
    .await;

    assert!(gateway.stderr().contains("did you mean `providers`?"));
    assert_eq!(gateway.client().chat(&chat("still")).await.status, 200);
}

#[tokio::test]
async fn an_open_stream_keeps_the_config_it_began_with() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    provider.next(Answer::stream(&["one ", "two ", "three"]).gate_after(2));
    let mut stream = gateway.client().open_chat(&streamed_chat("s")).await;
    stream.read_until("one ").await;

    let path = gateway.path().join("promptgate.toml");
    fs::write(path, "[server]\ndrain_delay = \"2s\"\n").unwrap();
    gateway.hang_up();
    eventually("the reload", async || {
        gateway.stderr().contains("config reloaded").then_some(())
    })
    .await;
    provider.release();

    let rest = String::from_utf8(stream.read_to_end().await).unwrap();
    assert!(rest.contains("three") && rest.contains("[DONE]"), "{rest}");
    assert!(gateway.stderr().contains("wait for a restart"));
}
