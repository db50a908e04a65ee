//! Keys: who may come in, what they may use, and how soon a revoked one is out.

use crate::support::{FakeProvider, Setup, TestGateway, chat};
use serde_json::json;

#[tokio::test]
async fn the_first_key_closes_the_loopback() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let client = gateway.client();
    assert_eq!(client.chat(&chat("open")).await.status, 200);

    let created = gateway.run_json(&["keys", "create", "app"]).await;
    let key = created["secret"].as_str().unwrap();
    assert!(key.starts_with("pgate_"), "{key}");

    let without = client.chat(&chat("closed")).await;
    assert_eq!(without.status, 401);
    assert_eq!(without.header("x-should-retry"), Some("false"));
    without.error();
    for wrong in [
        "pgate_0000_0000",
        "sk-other",
        "",
        &format!("{key}x"),
        &key[..key.len() - 1],
    ] {
        let response = client.clone().bearer(wrong).chat(&chat("closed")).await;
        assert_eq!(response.status, 401, "`{wrong}`");
    }
    for name in ["x-api-key", "api-key"] {
        let response = client.clone().header(name, key).chat(&chat("header")).await;
        assert_eq!(response.status, 200, "{name}");
    }
    let response = client.clone().bearer(key).chat(&chat("keyed")).await;
    assert_eq!(response.status, 200);
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["intent"]["key"], created["id"]);
    assert_eq!(record["intent"]["caller"], "app");
    assert_eq!(provider.received("closed").len(), 0);
}

#[tokio::test]
async fn a_key_outlives_a_restart_and_its_secret_is_shown_once() {
    let provider = FakeProvider::start().await;
    let mut gateway = TestGateway::start(&provider).await;
    let created = gateway.run_json(&["keys", "create", "app"]).await;
    let key = created["secret"].as_str().unwrap();
    gateway.kill9().await;
    gateway.restart().await;

    assert_eq!(gateway.client().chat(&chat("after")).await.status, 401);
    assert_eq!(
        gateway
            .client()
            .bearer(key)
            .chat(&chat("after"))
            .await
            .status,
        200
    );
    let list = gateway.run_json(&["keys", "list"]).await;
    assert_eq!(list[0]["id"], created["id"]);
    assert!(!list.to_string().contains(key));
}

#[tokio::test]
async fn a_revoked_key_is_out_at_once() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let created = gateway.run_json(&["keys", "create", "app"]).await;
    let client = gateway.client().bearer(created["secret"].as_str().unwrap());
    assert_eq!(client.chat(&chat("before")).await.status, 200);

    gateway
        .run_json(&["keys", "revoke", created["id"].as_str().unwrap()])
        .await;

    assert_eq!(client.chat(&chat("after")).await.status, 401);
    // The last key being gone does not open the door again.
    assert_eq!(gateway.client().chat(&chat("after")).await.status, 401);
}

#[tokio::test]
async fn a_key_uses_only_what_it_may() {
    let provider = FakeProvider::start().await;
    let gateway = Setup::of(&provider)
        .prompt(
            "private/plan.prompt",
            "---\nmodel: openai/gpt-4o-mini\n---\nSecret plan.\n",
        )
        .start()
        .await;
    let arguments = [
        "keys",
        "create",
        "narrow",
        "--prompt",
        "greet",
        "--model",
        "gpt-4o-mini",
    ];
    let created = gateway.run_json(&arguments).await;
    let client = gateway.client().bearer(created["secret"].as_str().unwrap());
    let greet = json!({"model": "prompt:greet", "prompt": {"variables": {"name": "Ada"}}});

    assert_eq!(client.chat(&chat("model")).await.status, 200);
    assert_eq!(client.chat(&greet).await.status, 200);
    let mut other = chat("other");
    other["model"] = "gpt-4o".into();
    assert_eq!(client.chat(&other).await.failure(), "403 model_forbidden");
    // What a key may not use looks to it as if it were not there.
    let hidden = client.chat(&json!({"model": "prompt:private/plan"})).await;
    assert!([403, 404].contains(&hidden.status), "{}", hidden.text());
    assert!(!client.get("/v1/prompts").await.text().contains("private"));
    assert!(!client.get("/v1/models").await.text().contains("private"));
    assert_eq!(provider.journal().len(), 2);
}

#[tokio::test]
async fn an_open_door_to_the_world_refuses_to_start() {
    let gateway = Setup::simulated().prepare();
    let arguments = [
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];

    let output = gateway.run(&arguments).await;

    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{said}");
    assert!(
        said.contains("hint:") && said.contains("keys create"),
        "{said}"
    );
    assert!(output.stdout.is_empty(), "nothing was served");
}
