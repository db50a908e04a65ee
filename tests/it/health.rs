//! The probes, and the first line on stdout.

use crate::support::{FakeProvider, Setup, TestGateway};

#[tokio::test]
async fn probes_answer_on_both_planes() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    for client in [gateway.client(), gateway.anonymous_admin()] {
        for path in ["/health/live", "/healthz", "/health/ready", "/readyz"] {
            let response = client.get(path).await;
            assert_eq!(response.status, 200, "{path}: {}", response.text());
            assert!(response.header("x-request-id").is_some(), "{path}");
        }
    }
    assert_eq!(provider.journal().len(), 0);
}

#[tokio::test]
async fn probes_need_no_key_and_the_admin_plane_needs_its_token() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let created = gateway.run_json(&["keys", "create", "app"]).await;
    assert!(created["secret"].is_string());

    assert_eq!(gateway.client().get("/health/ready").await.status, 200);
    for path in ["/api/calls", "/api/keys", "/api/calls/stats"] {
        assert_eq!(
            gateway.anonymous_admin().get(path).await.status,
            401,
            "{path}"
        );
        assert_eq!(gateway.admin().get(path).await.status, 200, "{path}");
        assert_eq!(gateway.client().get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_named() {
    let gateway = Setup::simulated().start().await;
    let client = gateway.client();

    let response = client.get("/v2/nothing").await;
    assert_eq!(response.failure(), "404 not_found");
    assert!(response.text().contains("/v2/nothing"));
    assert_eq!(
        client.get("/v1/chat/completions").await.failure(),
        "405 method_not_allowed"
    );
}

#[tokio::test]
async fn models_are_listed_and_shown() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;

    let list = gateway.client().get("/v1/models").await.json();

    assert_eq!(list["object"], "list");
    let ids: Vec<&str> = list["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|model| model["id"].as_str().unwrap())
        .collect();
    assert!(ids.contains(&"prompt:greet"), "{ids:?}");
    let shown = gateway.client().get("/v1/models/prompt:greet").await.json();
    assert_eq!(
        (&shown["id"], &shown["object"]),
        (&"prompt:greet".into(), &"model".into())
    );
    let unknown = gateway.client().get("/v1/models/prompt:nothing").await;
    assert_eq!(unknown.status, 404);
}
