//! Every way of naming a prompt, from every client, leads to the same call.

use crate::support::{Answer, FakeProvider, Received, Setup, TestGateway};
use serde_json::{Value, json};

const REFUND: &str = "---\nmodel: openai/gpt-4o-mini\ninput:\n  schema:\n    order_id: string\n---\n\
    {{role \"system\"}}You handle refunds.\n{{role \"user\"}}Order {{order_id}}.\n";

async fn gateway(provider: &FakeProvider) -> TestGateway {
    Setup::of(provider)
        .prompt("support/refund.prompt", REFUND)
        .prompt("releases.yaml", "labels:\n  production: {\"*\": latest}\n  staging: {\"*\": latest}\naliases: {pmpt_abc123: support/refund}\n")
        .start()
        .await
}

/// Base64 of `{"order_id":"A1"}`.
const VARIABLES: &str = "eyJvcmRlcl9pZCI6IkExIn0=";

/// A path, headers, and a body.
type Asking = (&'static str, &'static [(&'static str, &'static str)], Value);

fn requests() -> Vec<Asking> {
    let variables = json!({"order_id": "A1"});
    let chat = "/v1/chat/completions";
    vec![
        (
            chat,
            &[],
            json!({"model": "prompt:support/refund@staging", "prompt": {"variables": variables}}),
        ),
        (
            chat,
            &[],
            json!({"prompt": {"id": "support/refund", "version": "staging", "variables": variables}}),
        ),
        (
            chat,
            &[],
            json!({"prompt": {"id": "pmpt_abc123", "version": "staging", "variables": {"order_id": {"type": "input_text", "text": "A1"}}}}),
        ),
        (
            chat,
            &[
                ("x-promptgate-prompt", "support/refund@staging"),
                ("x-promptgate-variables", VARIABLES),
            ],
            json!({}),
        ),
        (
            chat,
            &[("x-promptgate-variables", VARIABLES)],
            json!({"model": "prompt:support/refund@staging"}),
        ),
        (
            chat,
            &[],
            json!({"prompt_id": "support/refund", "prompt_label": "staging", "prompt_variables": variables}),
        ),
        (
            chat,
            &[],
            json!({"prompt_id": "support/refund", "prompt_version": "staging", "prompt_variables": variables}),
        ),
        (
            chat,
            &[],
            json!({"prompt_id": "pmpt_abc123", "environment": "staging", "inputs": variables}),
        ),
        (
            "/v1/prompts/support/refund@staging/completions",
            &[],
            json!({"variables": variables}),
        ),
    ]
}

#[tokio::test]
async fn every_dialect_reaches_the_model_alike_and_leaves_no_trace_there() {
    let provider = FakeProvider::start().await;
    let gateway = gateway(&provider).await;
    let requests = requests();
    for (path, headers, request) in &requests {
        let mut client = gateway.client();
        for (name, value) in *headers {
            client = client.header(name, value);
        }
        let response = client.post(path, request).await;
        assert_eq!(response.status, 200, "{request}: {}", response.text());
        assert_eq!(
            response.header("x-promptgate-prompt"),
            Some("support/refund")
        );
        assert_eq!(
            response.header("x-promptgate-label"),
            Some("staging"),
            "{request}"
        );
        // The record alone is enough to make the request anew.
        let record = gateway.record(response.call_id()).await;
        let sent = provider.journal().last().unwrap().json();
        assert_eq!(
            record["sent"]["messages"], sent["messages"],
            "{request}: {record}"
        );
    }
    let bodies: Vec<Value> = provider.journal().iter().map(Received::json).collect();
    for (body, (_, _, request)) in bodies.iter().zip(&requests) {
        assert_eq!(*body, bodies[0], "{request}");
    }
    let fields: Vec<&String> = bodies[0].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["model", "messages"]);
}

#[tokio::test]
async fn a_model_beside_a_prompt_overrides_its_own() {
    let provider = FakeProvider::start().await;
    let gateway = gateway(&provider).await;
    let request = json!({"model": "openai/gpt-4.1", "prompt_id": "support/refund", "prompt_variables": {"order_id": "A1"}});
    assert_eq!(gateway.client().chat(&request).await.status, 200);
    assert_eq!(provider.journal()[0].json()["model"], "gpt-4.1");
}

#[tokio::test]
async fn ways_that_disagree_reach_no_provider() {
    let provider = FakeProvider::start().await;
    let gateway = gateway(&provider).await;
    let client = gateway.client().header("x-promptgate-prompt", "greet");
    let request = json!({"model": "prompt:support/refund", "prompt": {"variables": {}}});
    let response = client.chat(&request).await;
    assert_eq!(response.failure(), "400 prompt_reference_conflict");
    let message = response.error()["message"].to_string();
    for name in [
        "`support/refund` (`model`)",
        "`greet` (header `x-promptgate-prompt`)",
    ] {
        assert!(message.contains(name), "{message}");
    }
    let path = "/v1/prompts/greet/completions";
    let response = gateway.client().post(path, &request).await;
    assert_eq!(response.failure(), "400 prompt_reference_conflict");
    let response = gateway
        .client()
        .post("/v1/prompts/greet/render", &request)
        .await;
    assert_eq!(response.failure(), "400 prompt_reference_conflict");
    assert_eq!(provider.journal().len(), 0);
}

#[tokio::test]
async fn portkeys_render_answers_where_its_clients_look() {
    let provider = FakeProvider::start().await;
    let gateway = gateway(&provider).await;
    let path = "/v1/prompts/support/refund@staging/render";
    let body = json!({"variables": {"order_id": "A1"}, "temperature": 0.5});
    let response = gateway.client().post(path, &body).await.json();
    assert_eq!(response["success"], true);
    assert_eq!(response["data"]["temperature"], 0.5);
    assert_eq!(response["data"]["messages"][1]["content"], "Order A1.");
    assert_eq!(response["data"], response["request"]);
}

#[tokio::test]
async fn a_stream_of_a_named_path_is_a_stream() {
    let provider = FakeProvider::start().await;
    let gateway = gateway(&provider).await;
    let path = "/v1/prompts/pmpt_abc123/completions";
    let body = json!({"variables": {"order_id": "A1"}, "stream": true});
    let response = gateway.client().post(path, &body).await;
    assert_eq!(response.header("content-type"), Some("text/event-stream"));
    assert_eq!(response.events().last().unwrap(), "[DONE]");
}

#[tokio::test]
async fn models_list_the_prompts_a_key_may_use() {
    let provider = FakeProvider::start().await;
    let gateway = gateway(&provider).await;
    let created = gateway
        .run_json(&["keys", "create", "app", "--prompt", "support/*"])
        .await;
    let client = gateway.client().bearer(created["secret"].as_str().unwrap());
    let list = client.get("/v1/models").await.json();
    let ids = list["data"].as_array().unwrap().iter();
    let ids: Vec<&str> = ids.filter_map(|model| model["id"].as_str()).collect();
    let prompts: Vec<&&str> = ids.iter().filter(|id| id.starts_with("prompt:")).collect();
    assert_eq!(prompts, [&"prompt:support/refund"]);
}

const PHOTO: &str =
    "---\nmodel: openai/gpt-4o-mini\n---\n{{role \"user\"}}What is this? {{media url=photo}}\n";

#[tokio::test]
async fn images_reach_the_template_as_media() {
    let provider = FakeProvider::start().await;
    let gateway = Setup::of(&provider)
        .prompt("photo.prompt", PHOTO)
        .start()
        .await;
    let image = |url: &str| json!({"prompt": {"id": "photo", "variables": {"photo": {"type": "input_image", "image_url": url}}}});
    let url = "data:image/png;base64,iVBORw0KGgo=";
    let response = gateway.client().chat(&image(url)).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let content = provider.journal()[0].json()["messages"][0]["content"].clone();
    assert_eq!(
        content[1],
        json!({"type": "image_url", "image_url": {"url": url}})
    );
    let response = gateway.client().chat(&image("/etc/passwd")).await;
    assert_eq!(response.failure(), "400 prompt_media_invalid");
    let large = format!("data:image/png;base64,{}", "A".repeat(9 << 20));
    let response = gateway.client().chat(&image(&large)).await;
    assert_eq!(response.failure(), "413 prompt_media_too_large");
}

const TRIAGE: &str = "---\nmodel: openai/gpt-4o-mini\noutput: {schema: {kind(enum): [refund, other]}}\n---\n\
    {{role \"user\"}}Which kind?\n";

#[tokio::test]
async fn an_answer_without_its_form_is_said_or_refused() {
    let provider = FakeProvider::start().await;
    let gateway = Setup::of(&provider)
        .prompt("triage.prompt", TRIAGE)
        .prompt(
            "strict.prompt",
            &TRIAGE.replace("output:", "promptgate.enforce_output: true\noutput:"),
        )
        .start()
        .await;
    let ask = |name: &str| json!({"model": format!("prompt:{name}")});
    for name in ["triage", "strict"] {
        provider.next(Answer::reply(r#"{"kind":"refund"}"#));
        let response = gateway.client().chat(&ask(name)).await;
        assert_eq!(response.status, 200, "{}", response.text());
        assert_eq!(response.header("x-promptgate-warnings"), None);
    }
    provider.next(Answer::reply(r#"{"kind":"refnud"}"#));
    let response = gateway.client().chat(&ask("triage")).await;
    assert_eq!(response.status, 200);
    let warning = response.header("x-promptgate-warnings").unwrap();
    assert!(
        warning.contains("does not have its form: at `/kind`"),
        "{warning}"
    );
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["outcome"]["warnings"][0], warning);

    provider.next(Answer::reply("no JSON"));
    let response = gateway.client().chat(&ask("strict")).await;
    assert_eq!(response.failure(), "502 prompt_output_invalid");
    assert_eq!(response.header("x-should-retry"), Some("false"));
    let record = gateway.record(response.call_id()).await;
    let outcome = &record["outcome"];
    assert_eq!(
        (&outcome["state"], &outcome["status"]),
        (&json!("upstream_error"), &json!(502))
    );
    assert!(
        outcome["cost"]["pico_usd"].as_u64().is_some(),
        "it was paid for: {outcome}"
    );
    assert!(
        record["output"].to_string().contains("no JSON"),
        "and it is kept"
    );
}

const ASK: &str = "---\nmodel: openai/gpt-4o-mini\ninput:\n  schema:\n    question: string\n    topic: string\n\
    promptgate.bind.question: last_user_message\npromptgate.bind.topic: last_user_message\n---\n\
    {{role \"system\"}}Answer about {{topic}}.\n{{role \"user\"}}Q: {{question}}\n";

#[tokio::test]
async fn a_chat_application_changes_its_model_and_nothing_else() {
    let provider = FakeProvider::start().await;
    let gateway = Setup::of(&provider)
        .prompt("ask.prompt", ASK)
        .prompt(
            "only.prompt",
            &ASK.replace("---\n{{role", "promptgate.messages: forbid\n---\n{{role"),
        )
        .start()
        .await;
    let messages = json!([
        {"role": "user", "content": "earlier"},
        {"role": "assistant", "content": "answer"},
        {"role": "user", "content": [{"type": "text", "text": "Where is"}, {"type": "text", "text": "my money?"}]},
    ]);
    let request = json!({"model": "prompt:ask", "messages": messages});
    let response = gateway.client().chat(&request).await;
    assert_eq!(response.status, 200, "{}", response.text());
    let sent = provider.journal()[0].json()["messages"].clone();
    let told: Vec<String> = sent
        .as_array()
        .unwrap()
        .iter()
        .map(|it| format!("{}: {}", it["role"], it["content"]))
        .collect();
    let wanted = [
        "\"system\": \"Answer about Where is\\nmy money?.\\n\"",
        "\"user\": \"earlier\"",
        "\"assistant\": \"answer\"",
        "\"user\": \"Q: Where is\\nmy money?\"",
    ];
    assert_eq!(told, wanted);
    // What is bound is not a message any more; what is left over is refused, not dropped.
    let one = json!({"model": "prompt:only", "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.client().chat(&one).await.status, 200);
    let more = json!({"model": "prompt:only", "messages": messages});
    let refused = gateway.client().chat(&more).await;
    assert_eq!(refused.failure(), "400 prompt_messages_not_allowed");
}
