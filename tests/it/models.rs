//! The catalogue of models in both forms, what calls to clouds cost, and what is told of models that are turned off.

use crate::support::{Answer, Client, FakeProvider, Setup, TestGateway, chat, eventually};
use jiff::civil::Date;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// One day for all of a run, also past midnight.
static TODAY: LazyLock<Date> = LazyLock::new(|| {
    let now = jiff::Timestamp::now();
    now.to_zoned(jiff::tz::TimeZone::UTC).date()
});

const SONNET: &str = "anthropic.claude-sonnet-4-5-20250929-v1:0";

/// The day so many days from today, and the same as a header says it.
fn day(ahead: i64) -> (String, String) {
    let day = *TODAY + jiff::Span::new().days(ahead);
    let header = day.strftime("%a, %d %b %Y 00:00:00 GMT").to_string();
    (day.to_string(), header)
}

/// Three models of `openai`: one that is turned off in a month, one that was, one that will be in a long time.
fn retiring(provider: &FakeProvider) -> Setup {
    let models = [("near", 30), ("past", -10), ("far", 90)];
    models.iter().fold(Setup::of(provider), |setup, (model, ahead)| {
        setup.config(&format!(
            "[[prices.override]]\nprovider = \"openai\"\nmodel = \"{model}\"\ninput = \"1\"\noutput = \"2\"\n\
             shutdown_date = \"{}\"\n",
            day(*ahead).0
        ))
    })
}

fn asked(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

fn ids(list: &Value) -> Vec<String> {
    let models = list["data"].as_array().unwrap().iter();
    models
        .map(|model| model["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_model_is_shown_with_its_size_its_abilities_and_its_price() {
    let provider = FakeProvider::start().await;
    let gateway = TestGateway::start(&provider).await;
    let client = gateway.client();
    let mut shown = client.get("/v1/models/openai/gpt-4o").await.json();
    let row = shown["pricing"]["row"].take();
    assert!(row.as_str().unwrap().starts_with("openai/gpt-4o@"), "{row}");
    assert!(shown["created"].take().is_i64());
    assert_eq!(
        shown,
        json!({
            "id": "openai/gpt-4o",
            "object": "model",
            "created": null,
            "owned_by": "openai",
            "shutdown_date": null,
            "mode": "chat",
            "context_window": 128_000,
            "context_length": 128_000,
            "max_output_tokens": 16_384,
            "architecture": {"input_modalities": ["text", "image", "file"], "output_modalities": ["text"]},
            "capabilities": {
                "function_calling": true, "parallel_function_calling": true, "tool_choice": true,
                "response_schema": true, "system_messages": true, "prompt_caching": true, "vision": true,
                "pdf_input": true,
            },
            "supported_parameters": [
                "tools", "parallel_tool_calls", "tool_choice", "response_format", "structured_outputs",
            ],
            "pricing": {
                "input": "2.5", "output": "10", "cached_input": "1.25", "batch_input": "1.25",
                "batch_output": "5", "currency": "USD", "unit": "1M tokens", "row": null,
            },
        })
    );
    let embedding = client.get("/v1/models/openai/text-embedding-3-small").await;
    let embedding = embedding.json();
    assert_eq!(embedding["dimensions"], 1536);
    assert_eq!(embedding["pricing"]["input"], "0.02");

    // Under every name that a call would find it by, and as it stands in the list.
    let list = client.get("/v1/models").await.json();
    let listed = list["data"].as_array().unwrap().iter();
    let listed: Vec<&Value> = listed.filter(|it| it["id"] == "openai/gpt-4o").collect();
    assert_eq!(listed.len(), 1);
    for id in ["openai/gpt-4o", "openai%2Fgpt-4o", "gpt-4o"] {
        let shown = client.get(&format!("/v1/models/{id}")).await.json();
        assert_eq!(&shown, listed[0], "{id}");
    }
    for id in [
        "openai/gpt-4o-nothing",
        "anthropic/claude-opus-5",
        "nothing",
    ] {
        let failure = client.get(&format!("/v1/models/{id}")).await.failure();
        assert_eq!(failure, "404 model_not_found", "{id}");
    }
}

#[tokio::test]
async fn a_prompt_is_shown_with_the_model_it_is_pinned_to() {
    let provider = FakeProvider::start().await;
    let gateway = retiring(&provider)
        .prompt("old.prompt", "---\nmodel: openai/near\n---\nHello.\n")
        .start()
        .await;
    let client = gateway.client();
    let list = client.get("/v1/models").await.json();
    let listed = list["data"].as_array().unwrap().iter();
    let old = listed.clone().find(|it| it["id"] == "prompt:old").unwrap();
    assert_eq!(
        (&old["model"], &old["owned_by"]),
        (&json!("openai/near"), &json!("promptgate"))
    );
    assert_eq!(old["shutdown_date"], day(30).0);
    assert_eq!(old["pricing"]["input"], "1");
    let hash = old["hash"].as_str().unwrap();
    assert!(
        old["version"]
            .as_str()
            .is_some_and(|version| hash.starts_with(version)),
        "{old}"
    );
    let greet = listed
        .clone()
        .find(|it| it["id"] == "prompt:greet")
        .unwrap();
    assert_eq!(
        (&greet["shutdown_date"], &greet["context_window"]),
        (&json!(null), &json!(128_000))
    );
    let shown = client
        .get(&format!("/v1/models/prompt:old@{hash}"))
        .await
        .json();
    assert_eq!(
        (&shown["hash"], &shown["model"]),
        (&json!(hash), &json!("openai/near"))
    );
    assert_eq!(
        client.get("/v1/models/prompt:nothing").await.failure(),
        "404 prompt_not_found"
    );
}

#[tokio::test]
async fn anthropics_clients_get_pages_in_their_own_form() {
    let provider = FakeProvider::start().await;
    let (gateway, client) = anthropic(&provider).await;
    let all = ids(&gateway.client().get("/v1/models").await.json());

    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = client
            .get(&format!("/v1/models?limit=50{after}"))
            .await
            .json();
        let page_ids = ids(&page);
        assert_eq!(
            page["first_id"].as_str(),
            page_ids.first().map(String::as_str)
        );
        assert_eq!(
            page["last_id"].as_str(),
            page_ids.last().map(String::as_str)
        );
        after = format!("&after_id={}", page["last_id"].as_str().unwrap());
        seen.extend(page_ids);
        if page["has_more"] == false {
            break;
        }
    }
    assert_eq!(seen, all);
    assert_eq!(ids(&client.get("/v1/models").await.json()), all[..20]);
    let before = format!("/v1/models?limit=2&before_id={}", all[5]);
    let page = client.get(&before).await.json();
    assert_eq!(
        (ids(&page), &page["has_more"]),
        (all[3..5].to_vec(), &json!(true))
    );
    let page = client
        .get(&format!("/v1/models?before_id={}", all[1]))
        .await
        .json();
    assert_eq!(
        (ids(&page), &page["has_more"]),
        (all[..1].to_vec(), &json!(false))
    );
}

/// A client as Anthropic's are.
async fn anthropic(provider: &FakeProvider) -> (TestGateway, Client) {
    let gateway = retiring(provider).start().await;
    let client = gateway.client().header("anthropic-version", "2023-06-01");
    (gateway, client)
}

#[tokio::test]
async fn a_model_in_anthropics_form_says_how_long_it_lives() {
    let provider = FakeProvider::start().await;
    let (_gateway, client) = anthropic(&provider).await;
    let model = client.get("/v1/models/openai/near").await.json();
    assert_eq!(
        (
            &model["type"],
            &model["display_name"],
            &model["lifecycle"],
            &model["retires_at"]
        ),
        (
            &json!("model"),
            &json!("near"),
            &json!("deprecated"),
            &json!(format!("{}T00:00:00Z", day(30).0))
        )
    );
    let model = client.get("/v1/models/gpt-4o").await.json();
    assert_eq!(
        (
            &model["max_input_tokens"],
            &model["max_tokens"],
            &model["lifecycle"],
            &model["retires_at"]
        ),
        (
            &json!(128_000),
            &json!(16_384),
            &json!("active"),
            &json!(null)
        )
    );
}

#[tokio::test]
async fn anthropics_clients_hear_of_errors_in_their_own_form() {
    let provider = FakeProvider::start().await;
    let (_gateway, client) = anthropic(&provider).await;
    for (path, status, kind) in [
        ("/v1/models/nothing", 404, "not_found_error"),
        ("/v1/models?limit=0", 400, "invalid_request_error"),
        ("/v1/models?limit=1001", 400, "invalid_request_error"),
        ("/v1/models?after_id=nothing", 400, "invalid_request_error"),
        (
            "/v1/models?after_id=a&before_id=b",
            400,
            "invalid_request_error",
        ),
    ] {
        let response = client.get(path).await;
        let body = response.json();
        assert_eq!(
            (response.status, &body["type"]),
            (status, &json!("error")),
            "{path}: {body}"
        );
        assert_eq!(body["error"]["type"], kind, "{path}");
        assert!(response.header("request-id").is_some(), "{path}");
    }
}

/// What a provider says that used 1000 tokens of input and 100 of output, in its own dialect.
fn thousand(path: &str) -> Answer {
    Answer::json(&if path.contains("/converse") {
        json!({
            "output": {"message": {"role": "assistant", "content": [{"text": "hi"}]}},
            "stopReason": "end_turn", "metrics": {"latencyMs": 5},
            "usage": {"inputTokens": 1000, "outputTokens": 100, "totalTokens": 1100},
        })
    } else if path.contains("anthropic") {
        json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5-20250929",
            "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 1000, "output_tokens": 100},
        })
    } else if path.contains("google") {
        json!({
            "candidates": [{"content": {"role": "model", "parts": [{"text": "hi"}]}, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100},
            "modelVersion": "gemini-2.5-pro",
        })
    } else {
        json!({
            "id": "c", "object": "chat.completion", "created": 1, "model": "accounts/fireworks/models/deepseek-v3",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
        })
    })
}

#[tokio::test]
async fn calls_to_clouds_cost_what_their_region_charges() {
    let provider = FakeProvider::start().await;
    provider.always(|request| thousand(&request.path));
    let address = provider.address;
    let cloud = |name: &str, preset: &str, more: &str| {
        format!(
            "[providers.{name}]\npreset = \"{preset}\"\nbase_url = \"http://{address}\"\n\
             api_key = \"env:OPENAI_API_KEY\"\n{more}\n"
        )
    };
    let gateway = Setup::of(&provider)
        .config(&cloud("bedrock", "bedrock", "region = \"eu-west-1\""))
        .config(&cloud("gov", "bedrock", "region = \"us-gov-west-1\""))
        .config(&cloud(
            "vertex",
            "vertex",
            "region = \"europe-west1\"\nproject = \"p\"",
        ))
        .config(&cloud(
            "world",
            "vertex",
            "region = \"global\"\nproject = \"p\"",
        ))
        .config(&cloud("fireworks", "fireworks", ""))
        .start()
        .await;
    let profile = format!("eu.{SONNET}");
    for (model, pico) in [
        // 1000 x 3.00 + 100 x 15.00 dollars per million.
        (format!("bedrock/{SONNET}"), Some(4_500_000_000_u64)),
        // 1000 x 3.30 + 100 x 16.50
        (format!("bedrock/{profile}"), Some(4_950_000_000)),
        (
            format!("bedrock/arn:aws:bedrock:eu-west-1:1:inference-profile/{profile}"),
            Some(4_950_000_000),
        ),
        // 1000 x 0.06 + 100 x 0.24, and a fifth more in the regions of the government.
        ("bedrock/amazon.nova-lite-v1:0".to_owned(), Some(84_000_000)),
        ("gov/amazon.nova-lite-v1:0".to_owned(), Some(100_800_000)),
        ("bedrock/anthropic.claude-unheard-of-v1:0".to_owned(), None),
        // A tenth more at every endpoint but the global one; the model's own name comes back with a dash.
        (
            "vertex/claude-sonnet-4-5@20250929".to_owned(),
            Some(4_950_000_000),
        ),
        (
            "world/claude-sonnet-4-5@20250929".to_owned(),
            Some(4_500_000_000),
        ),
        // 1000 x 1.25 + 100 x 10.00
        ("vertex/gemini-2.5-pro".to_owned(), Some(2_250_000_000)),
        // 1100 x 0.90
        (
            "fireworks/accounts/fireworks/models/deepseek-v3".to_owned(),
            Some(990_000_000),
        ),
    ] {
        let response = gateway.client().chat(&asked(&model)).await;
        assert_eq!(response.status, 200, "{model}: {}", response.text());
        let record = gateway.record(response.call_id()).await;
        let cost = &record["outcome"]["cost"];
        assert_eq!(cost["pico_usd"].as_u64(), pico, "{model}: {cost}");
    }
}

/// Asks, and checks the header, and how the warning in the answer and in the record begins.
async fn told(gateway: &TestGateway, body: &Value, expected: Option<(&str, &str)>) {
    let response = gateway.client().chat(body).await;
    let (sunset, warning) = expected.unzip();
    assert_eq!(response.header("sunset"), sunset, "{body}: {response:?}");
    assert_eq!(response.header("deprecation"), None);
    let header = response.header("x-promptgate-warnings");
    assert_eq!(header.is_some(), warning.is_some(), "{body}: {header:?}");
    let is_told = header
        .zip(warning)
        .is_none_or(|(all, start)| all.starts_with(start));
    assert!(is_told, "{body}: {header:?}");
    let record = gateway.record(response.call_id()).await;
    let recorded = record["outcome"]["warnings"].as_array().cloned();
    let warnings: Vec<Value> = header.into_iter().map(Value::from).collect();
    assert_eq!(recorded.unwrap_or_default(), warnings, "{body}");
}

#[tokio::test]
async fn answers_of_a_model_that_is_turned_off_say_when() {
    let provider = FakeProvider::start().await;
    let gateway = retiring(&provider)
        .prompt("old.prompt", "---\nmodel: openai/near\n---\nHello.\n")
        .start()
        .await;
    let ((near, near_header), (past, past_header)) = (day(30), day(-10));
    // The days that are left are one fewer past midnight.
    let soon = format!("will be shut down on {near}, in ");
    let direct = format!("the model `openai/near` {soon}");
    told(
        &gateway,
        &asked("openai/near"),
        Some((&near_header, &direct)),
    )
    .await;
    let fault = json!({"error": {"message": "no", "type": "invalid_request_error", "param": null, "code": "x"}});
    provider.next(Answer::fail(400, &fault));
    told(
        &gateway,
        &asked("openai/near"),
        Some((&near_header, &direct)),
    )
    .await;
    let mut stream = asked("openai/past");
    stream["stream"] = json!(true);
    let gone = format!("the model `openai/past` was shut down on {past}, 1");
    told(&gateway, &stream, Some((&past_header, &gone))).await;
    let pinned = format!("the model `openai/near` of the prompt `old` {soon}");
    told(
        &gateway,
        &json!({"model": "prompt:old"}),
        Some((&near_header, &pinned)),
    )
    .await;
    told(&gateway, &asked("openai/far"), None).await;
    told(&gateway, &chat("plain"), None).await;
    // Calls that are only passed on are no different.
    let raw = gateway
        .client()
        .post("/openai/v1/chat/completions", &asked("near"))
        .await;
    assert_eq!(raw.header("sunset"), Some(near_header.as_str()), "{raw:?}");

    // Each is counted; the log has a line for each prompt and model.
    let counted = "promptgate_retiring_model_calls_total 5";
    let page = gateway.admin().get("/metrics").await.text();
    assert!(page.lines().any(|line| line == counted), "{page}");
    eventually("three lines in the log", async || {
        let lines = gateway.stderr().matches("choose another one").count();
        assert!(lines <= 3, "{}", gateway.stderr());
        (lines == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn check_and_lint_name_prompt_model_day_and_days() {
    let provider = FakeProvider::start().await;
    let gateway = retiring(&provider)
        .prompt("old.prompt", "---\nmodel: openai/near\n---\nHello.\n")
        .prepare();
    let wanted = format!(
        "the model `openai/near` of `old` will be shut down on {}, in ",
        day(30).0
    );
    for command in [&["prompts", "lint"][..], &["check"]] {
        let output = gateway.run(command).await;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(text.contains(&wanted), "{command:?}: {text}");
        assert_eq!(output.status.code(), Some(0), "{command:?}: {text}");
    }
}

#[tokio::test]
async fn a_day_that_is_none_is_refused() {
    let provider = FakeProvider::start().await;
    let gateway = retiring(&provider).replace(&day(30).0, "soon").prepare();
    let output = gateway.run(&["check"]).await;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        text.contains("`prices.override.shutdown_date`: `soon` is no date"),
        "{text}"
    );
}
