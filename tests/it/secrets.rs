//! Canaries: keys are planted wherever one may stand, and looked for wherever one must not.

use crate::architecture::files_below;
use crate::support::{
    Answer, Client, FakeProvider, PROVIDER_KEY, Response, Setup, TestGateway, chat, streamed_chat,
};
use serde_json::{Value, json};
use std::fs;

const CLIENT_HEADER: &str = "sk-canary-authorization-11d0c7aa52";
const IN_URL: &str = "sk-canary-url-5b1e77c09d3f";

#[tokio::test]
async fn no_key_is_ever_written_down() {
    let provider = FakeProvider::start().await;
    let gateway = Setup::of(&provider)
        .env("RUST_LOG", "trace")
        .env("PROMPTGATE_LOG", "trace")
        .start()
        .await;
    let created = gateway.run_json(&["keys", "create", "canary"]).await;
    let key = created["secret"].as_str().unwrap().to_owned();
    let client = gateway.client().bearer(&key);
    let said = provoke(&provider, &gateway, &client).await;
    // A client that pastes its own key, and the provider's, into the conversation.
    let mut body = chat("pasted");
    body["messages"][0]["content"] = format!("keys are {key} and {PROVIDER_KEY}, why?").into();
    let pasted = client.chat(&body).await;
    assert_eq!(pasted.status, 200, "{}", pasted.text());
    let record = gateway.record(pasted.call_id()).await;

    let places = everything_written(&gateway, pasted.call_id(), &record, said).await;
    assert!(
        !gateway.stderr().is_empty(),
        "the log was not written, so nothing is proven"
    );
    let secret_part = key.rsplit('_').next().unwrap().to_owned();
    for canary in [PROVIDER_KEY, CLIENT_HEADER, IN_URL, &key, &secret_part] {
        for (place, bytes) in &places {
            let is_there = memchr::memmem::find(bytes, canary.as_bytes()).is_some();
            assert!(!is_there, "`{canary}` is in {place}");
        }
    }
}

/// Calls that bring keys to where they do not belong. Returns what the clients got.
async fn provoke(provider: &FakeProvider, gateway: &TestGateway, client: &Client) -> Vec<Response> {
    // An upstream that repeats the key it was given, in its error and in its answer.
    let echo =
        format!("Incorrect API key provided: {PROVIDER_KEY}. Authorization: Bearer {PROVIDER_KEY}");
    let error = json!({"error": {"message": echo, "type": "invalid_request_error", "code": "x"}});
    let mut said = Vec::new();

    for status in [400, 401, 500] {
        provider.always({
            let error = error.clone();
            move |_| Answer::fail(status, &error)
        });
        let response = client.chat(&chat("echo")).await;
        assert!(400 <= response.status, "{status}");
        said.push(response);
        said.push(client.chat(&streamed_chat("echo")).await);
    }
    let event = format!("data: {error}\n\n");
    provider.always(move |_| Answer::events(&[&event]));
    said.push(client.chat(&streamed_chat("event")).await);
    provider.always(crate::support::default_answer);
    let strangers = gateway.client().bearer(CLIENT_HEADER);
    said.push(strangers.chat(&chat("stranger")).await);
    let path = format!("/v1/chat/completions?api_key={IN_URL}&key={IN_URL}");
    said.push(client.post(&path, &chat("url")).await);
    said.push(
        gateway
            .client()
            .get(&format!("/v1/nothing?api_key={IN_URL}"))
            .await,
    );
    said
}

/// Everything the gateway has written, sent or shown, with its place.
async fn everything_written(
    gateway: &TestGateway,
    id: &str,
    record: &Value,
    said: Vec<Response>,
) -> Vec<(String, Vec<u8>)> {
    let shown = gateway.run(&["calls", "show", id, "--json"]).await;
    let list = gateway.run(&["calls", "list", "--json"]).await;
    let keys = gateway.run(&["keys", "list", "--json"]).await;
    let metrics = gateway.admin().get("/metrics").await;
    let mut places = vec![
        ("the record".to_owned(), record.to_string().into_bytes()),
        (
            "calls show".to_owned(),
            [shown.stdout, shown.stderr].concat(),
        ),
        ("calls list".to_owned(), [list.stdout, list.stderr].concat()),
        ("keys list".to_owned(), [keys.stdout, keys.stderr].concat()),
        ("the metrics".to_owned(), metrics.body),
        ("stderr".to_owned(), gateway.stderr().into_bytes()),
    ];
    for response in said {
        let whole = format!("{:?}\n{}", response.headers, response.text());
        places.push((
            format!("a response with {}", response.status),
            whole.into_bytes(),
        ));
    }
    for file in files_below(&gateway.data_dir()) {
        places.push((file.display().to_string(), fs::read(&file).unwrap()));
    }
    places
}

/// A token that the machine hands out, which the provider repeats in an error and in an answer.
#[tokio::test]
async fn a_token_that_was_fetched_is_never_written_down() {
    let token = ["ya", "29.canary-of-this-machine-51d2e84b"].concat();
    let provider = FakeProvider::start().await;
    provider.always({
        let token = token.clone();
        move |request| {
            let shown = request.header("authorization").unwrap_or_default();
            if request.path.starts_with("/computeMetadata/") {
                return Answer::json(&json!({"access_token": token, "expires_in": 3_600}));
            }
            let echo = format!("the token `{}` may not", shown.replace("Bearer ", ""));
            if request.path.contains("gemini-good") {
                return Answer::json(&json!({
                    "candidates": [{"content": {"role": "model", "parts": [{"text": echo}]},
                        "finishReason": "STOP"}],
                    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2},
                }));
            }
            Answer::fail(
                403,
                &json!({"error": {"code": 403, "message": echo, "status": "X"}}),
            )
        }
    });
    let address = provider.address;
    let vertex = format!(
        "[providers.vertex]\npreset = \"vertex\"\nbase_url = \"http://{address}/v1\"\n\
         project = \"p\"\nregion = \"global\"\n"
    );
    let gateway = Setup::of(&provider)
        .config(&vertex)
        .env("GCE_METADATA_HOST", &address.to_string())
        .env("RUST_LOG", "debug")
        .start()
        .await;
    let client = gateway.client();
    let mut body = chat("token");
    body["model"] = "vertex/gemini-bad".into();
    let failed = client.chat(&body).await;
    assert_eq!(failed.status, 502, "{}", failed.text());
    assert!(failed.text().contains("[redacted]"), "{}", failed.text());
    body["model"] = "vertex/gemini-good".into();
    let good = client.chat(&body).await;
    assert!(good.content().contains(&token), "an answer is the client's");
    let record = gateway.record(good.call_id()).await;
    assert!(record.to_string().contains("[redacted]"), "{record}");
    for (id, said) in [
        (failed.call_id(), vec![failed.clone()]),
        (good.call_id(), vec![]),
    ] {
        let record = gateway.record(id).await;
        for (place, bytes) in everything_written(&gateway, id, &record, said).await {
            let is_there = memchr::memmem::find(&bytes, token.as_bytes()).is_some();
            assert!(!is_there, "the token is in {place}");
        }
    }
}

#[tokio::test]
async fn a_key_in_the_config_is_refused_without_repeating_it() {
    let provider = FakeProvider::start().await;
    let gateway = Setup::of(&provider)
        .replace("env:OPENAI_API_KEY", PROVIDER_KEY)
        .prepare();

    let output = gateway.run(&["check"]).await;

    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("providers.openai.api_key") && said.contains("hint:"),
        "{said}"
    );
    assert!(!said.contains(PROVIDER_KEY), "{said}");
}
