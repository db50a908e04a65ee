//! Clients in three dialects, providers in their own: what goes over the wire on both sides, and what is
//! recorded.

use crate::support::{Answer, Ending, FakeProvider, PROVIDER_KEY, Setup, TestGateway};
use serde_json::{Value, json};

/// A gateway before one upstream that is configured as providers of several kinds.
async fn gateway(upstream: &FakeProvider) -> TestGateway {
    setup(upstream).start().await
}

fn setup(upstream: &FakeProvider) -> Setup {
    let address = upstream.address;
    let provider = |name: &str, preset: &str, more: &str| {
        format!(
            "[providers.{name}]\npreset = \"{preset}\"\nbase_url = \"http://{address}/v1\"\n\
             api_key = \"env:OPENAI_API_KEY\"\n{more}"
        )
    };
    Setup::of(upstream)
        .config(&provider("claude", "anthropic", ""))
        .config(&provider(
            "lenient",
            "anthropic",
            "drop_unsupported = true\n",
        ))
        .config(&provider("google", "gemini", "").replace("/v1\"", "/v1beta\""))
}

fn message(text: &str) -> Answer {
    Answer::json(&json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": {"input_tokens": 9, "output_tokens": 2, "cache_read_input_tokens": 100},
    }))
}

/// The events of a stream of Anthropic's, with `text` in it, up to the end of the block.
fn begun(text: &str) -> Vec<String> {
    let event = |value: Value| {
        let name = value["type"].as_str().unwrap().to_owned();
        format!("event: {name}\ndata: {value}\n\n")
    };
    vec![
        event(json!({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6",
            "content": [], "stop_reason": null, "usage": {"input_tokens": 9, "output_tokens": 1},
        }})),
        event(json!({"type": "content_block_start", "index": 0,
            "content_block": {"type": "text", "text": ""}})),
        event(json!({"type": "content_block_delta", "index": 0,
            "delta": {"type": "text_delta", "text": text}})),
        event(json!({"type": "content_block_stop", "index": 0})),
    ]
}

fn events(all: &[String]) -> Answer {
    Answer::events(&all.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test]
async fn a_chat_with_tools_reaches_anthropic_in_its_own_words() {
    let upstream = FakeProvider::start().await;
    upstream.always(|_| {
        Answer::json(&json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-opus-4-6",
            "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 9, "output_tokens": 2},
        }))
    });
    let gateway = gateway(&upstream).await;
    let call = |id: &str, arguments: &str| {
        json!({"id": id, "type": "function",
            "function": {"name": "weather", "arguments": arguments}})
    };
    let body = json!({
        "model": "claude/claude-opus-4-6",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": null,
                "tool_calls": [call("a", "{\"city\":\"Bern\"}"), call("b", "")]},
            {"role": "tool", "tool_call_id": "a", "content": "sun"},
            {"role": "tool", "tool_call_id": "b", "content": "rain"},
        ],
        "tools": [{"type": "function", "function": {"name": "weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}}],
    });
    let response = gateway.client().chat(&body).await;
    let asked = upstream.journal().remove(0);
    assert_eq!(asked.path, "/v1/messages");
    assert_eq!(asked.header("x-api-key"), Some(PROVIDER_KEY));
    assert_eq!(asked.header("anthropic-version"), Some("2023-06-01"));
    let sent = asked.json();
    assert_eq!(sent["system"], "be brief");
    let results = sent["messages"][2]["content"].as_array().unwrap();
    let names: Vec<_> = results
        .iter()
        .map(|result| result["tool_use_id"].clone())
        .collect();
    assert_eq!(
        names,
        ["a", "b"],
        "both results are in one turn of the user: {sent}"
    );
    assert_eq!(sent["messages"][1]["content"][1]["input"], json!({}));

    let choice = &response.json()["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let function = &choice["message"]["tool_calls"][0]["function"];
    assert_eq!(function, &json!({"name": "weather", "arguments": "{}"}));
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["outcome"]["usage"]["input"], 9, "{record}");
    assert_eq!(record["outcome"]["state"], "ok");
}

#[tokio::test]
async fn messages_that_stay_in_their_dialect_pass_byte_for_byte() {
    let upstream = FakeProvider::start().await;
    let whole = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-opus-4-6","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":9,"output_tokens":2,"new_field":[1.50]},"more":1.0}"#;
    upstream.always(move |_| Answer::status(200, &[("request-id", "req_1")], whole));
    let gateway = gateway(&upstream).await;
    let body = r#"{"model":"claude/claude-opus-4-6", "max_tokens":64,"temperature": 1.0,"messages":[{"role":"user","content":"hi"}],"unheard_of":{"a" : 1}}"#;
    let client = gateway.client().header("anthropic-beta", "new-2026-01-01");
    let response = client.post_bytes("/v1/messages", body.as_bytes()).await;
    assert_eq!(response.text(), whole);
    let asked = upstream.journal().remove(0);
    let wanted = body.replace("\"claude/claude-opus-4-6\", ", "\"claude-opus-4-6\",");
    let wanted = wanted.replace("\"temperature\": 1.0", "\"temperature\":1.0");
    assert_eq!(std::str::from_utf8(&asked.body).unwrap(), wanted);
    assert_eq!(asked.header("anthropic-beta"), Some("new-2026-01-01"));
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["intent"]["dialect"], "messages", "{record}");
    assert_eq!(record["outcome"]["usage"]["output"], 2);
}

#[tokio::test]
async fn messages_reach_a_provider_of_chat_completions() {
    let upstream = FakeProvider::start().await;
    let gateway = gateway(&upstream).await;
    let body = json!({
        "model": "gpt-4o", "max_tokens": 64, "system": "be brief",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    });
    let response = gateway.client().post("/v1/messages", &body).await;
    let answer = response.json();
    assert_eq!(answer["type"], "message", "{answer}");
    assert_eq!(
        answer["content"],
        json!([{"type": "text", "text": "hello"}])
    );
    assert_eq!(answer["stop_reason"], "end_turn");
    let sent = upstream.journal().remove(0).json();
    assert_eq!(
        sent["messages"][0],
        json!({"role": "system", "content": "be brief"})
    );
    assert_eq!(sent["max_completion_tokens"], 64, "{sent}");

    let mut streamed = body.clone();
    streamed["stream"] = true.into();
    let response = gateway.client().post("/v1/messages", &streamed).await;
    let text = response.text();
    for event in [
        "message_start",
        "content_block_delta",
        "message_delta",
        "message_stop",
    ] {
        assert!(
            text.contains(&format!("event: {event}\n")),
            "{event}: {text}"
        );
    }
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["output"]["content"][0]["text"], "hello", "{record}");
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_by_its_name_and_nobody_is_asked() {
    let upstream = FakeProvider::start().await;
    upstream.always(|_| message("ok"));
    let gateway = gateway(&upstream).await;
    let body = |provider: &str| {
        json!({
            "model": format!("{provider}/claude-opus-4-6"), "seed": 7,
            "messages": [{"role": "user", "content": "hi"}],
        })
    };
    let response = gateway.client().chat(&body("claude")).await;
    assert_eq!(response.failure(), "400 unsupported_parameter");
    let error = response.error();
    assert_eq!(error["param"], "seed");
    assert!(
        error["hint"].as_str().unwrap().contains("drop_unsupported"),
        "{error}"
    );
    assert!(upstream.journal().is_empty(), "nothing was asked");
    let record = gateway.record(response.call_id()).await;
    assert_eq!(
        (&record["outcome"]["state"], &record["outcome"]["error"]),
        (&"refused".into(), &"unsupported_parameter".into())
    );

    let response = gateway.client().chat(&body("lenient")).await;
    assert_eq!(response.content(), "ok");
    let warning = response.header("x-promptgate-warnings").unwrap().to_owned();
    assert!(warning.contains("`seed`"), "{warning}");
    assert_eq!(upstream.journal().remove(0).json().get("seed"), None);
    let record = gateway.record(response.call_id()).await;
    assert!(
        record["outcome"]["warnings"][0]
            .as_str()
            .unwrap()
            .contains("`seed`"),
        "{record}"
    );
}

#[tokio::test]
async fn a_stream_that_breaks_in_another_dialect_ends_with_an_error_and_a_record() {
    let upstream = FakeProvider::start().await;
    let gateway = gateway(&upstream).await;
    let body = json!({
        "model": "claude/claude-opus-4-6", "stream": true,
        "messages": [{"role": "user", "content": "hi"}],
    });
    let mut all = begun("half of it");
    all.push("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n".to_owned());
    upstream.next(events(&all));
    let response = gateway.client().chat(&body).await;
    let text = response.text();
    assert!(
        text.contains("half of it") && text.contains("busy"),
        "{text}"
    );
    assert!(!text.contains("[DONE]"), "{text}");
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["outcome"]["state"], "upstream_error", "{record}");
    assert_eq!(record["outcome"]["usage"]["input"], 9, "{record}");

    upstream.next(events(&begun("and torn")).cut(usize::MAX, Ending::Close));
    let response = gateway.client().chat(&body).await;
    assert!(!response.text().contains("[DONE]"), "{}", response.text());
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["outcome"]["state"], "upstream_error", "{record}");

    // Before any content another attempt is made; nobody sees it.
    let fault = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"busy\"}}\n\n";
    let start = begun("x").remove(0);
    upstream.next(Answer::events(&[&start, fault]));
    let mut good = begun("all of it");
    good.push("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n".to_owned());
    good.push("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".to_owned());
    upstream.next(events(&good));
    let response = gateway.client().chat(&body).await;
    let text = response.text();
    assert!(
        text.contains("all of it") && text.ends_with("data: [DONE]\n\n"),
        "{text}"
    );
    assert_eq!(response.header("x-promptgate-attempts"), Some("2"));
}

#[tokio::test]
async fn a_conversation_goes_on_from_what_was_recorded() {
    let upstream = FakeProvider::start().await;
    upstream.always(|request| {
        let sent = request.json();
        let texts: Vec<&str> = sent["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|message| {
                let content = &message["content"];
                content.as_str().or_else(|| content[0]["text"].as_str())
            })
            .collect();
        message(&texts.join("|"))
    });
    let mut gateway = gateway(&upstream).await;
    let ask = |input: &str, previous: Option<&str>| {
        json!({"model": "claude/claude-opus-4-6", "input": input, "instructions": "brief",
            "previous_response_id": previous})
    };
    let first = gateway
        .client()
        .post("/v1/responses", &ask("one", None))
        .await
        .json();
    let id = first["id"].as_str().unwrap().to_owned();
    let second = gateway
        .client()
        .post("/v1/responses", &ask("two", Some(&id)))
        .await
        .json();
    gateway.kill9().await;
    gateway.restart().await;
    let id = second["id"].as_str().unwrap().to_owned();
    let third = gateway
        .client()
        .post("/v1/responses", &ask("three", Some(&id)))
        .await
        .json();
    let text = &third["output"][0]["content"][0]["text"];
    assert_eq!(text, "one|one|two|one|one|two|three", "{third}");
    assert_eq!(third["previous_response_id"], id.as_str());
    let shown = gateway
        .client()
        .get(&format!("/v1/responses/{id}"))
        .await
        .json();
    assert_eq!(shown, second);

    let mut unkept = ask("secret", None);
    unkept["store"] = false.into();
    let unkept = gateway.client().post("/v1/responses", &unkept).await.json();
    assert_eq!(unkept["store"], false);
    let id = unkept["id"].as_str().unwrap();
    let response = gateway
        .client()
        .post("/v1/responses", &ask("four", Some(id)))
        .await;
    assert_eq!(response.failure(), "404 previous_response_not_found");
    assert_eq!(response.error()["param"], "previous_response_id");
}

#[tokio::test]
async fn another_key_cannot_go_on_from_an_answer() {
    let upstream = FakeProvider::start().await;
    upstream.always(|_| message("ok"));
    let gateway = gateway(&upstream).await;
    let key = async |name: &str| {
        let made = gateway.run_json(&["keys", "create", name]).await;
        made["secret"].as_str().unwrap().to_owned()
    };
    let (one, other) = (key("one").await, key("other").await);
    let ask = json!({"model": "claude/claude-opus-4-6", "input": "hi"});
    let first = gateway
        .client()
        .bearer(&one)
        .post("/v1/responses", &ask)
        .await
        .json();
    let id = first["id"].as_str().unwrap();
    let go_on =
        json!({"model": "claude/claude-opus-4-6", "input": "and?", "previous_response_id": id});
    let path = format!("/v1/responses/{id}");
    let client = gateway.client().bearer(&other);
    assert_eq!(
        client.post("/v1/responses", &go_on).await.failure(),
        "404 previous_response_not_found"
    );
    assert_eq!(
        client.get(&path).await.failure(),
        "404 previous_response_not_found"
    );
    let client = gateway.client().bearer(&one);
    assert_eq!(client.get(&path).await.json()["id"], id);

    // Without a key, Anthropic's clients hear of it as they expect.
    let refused = gateway.client().post("/v1/messages", &ask).await;
    assert!(
        refused
            .text()
            .starts_with("{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\""),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn prompts_are_served_in_every_dialect_and_their_calls_made_anew() {
    let upstream = FakeProvider::start().await;
    upstream.always(|_| message("ok"));
    let file = "---\nmodel: claude/claude-opus-4-6\nconfig:\n  temperature: 0.5\ninput:\n  schema:\n    name: string\n---\n\
                {{role \"system\"}}\nGreet {{name}}.\n{{history}}\n{{role \"user\"}}\nNow.\n";
    let gateway = setup(&upstream).prompt("hello.prompt", file).start().await;
    let prompt = json!({"id": "hello", "variables": {"name": "Ann"}});
    let response = json!({"prompt": prompt, "input": "I am here", "temperature": 0.25});
    let messages = json!({"model": "prompt:hello", "prompt": {"variables": {"name": "Ann"}}, "max_tokens": 9,
        "messages": [{"role": "user", "content": "I am here"}]});
    for (path, body, temperature, limit) in [
        ("/v1/responses", &response, 0.25, None),
        ("/v1/messages", &messages, 0.5, Some(9)),
    ] {
        let response = gateway.client().post(path, body).await;
        assert_eq!(
            response.header("x-promptgate-prompt"),
            Some("hello"),
            "{}",
            response.text()
        );
        let sent = upstream.journal().pop().unwrap().json();
        assert_eq!(
            sent["system"].as_str().map(str::trim),
            Some("Greet Ann."),
            "{sent}"
        );
        let said = sent["messages"].to_string();
        assert!(
            said.contains("I am here") && said.contains("Now."),
            "{said}"
        );
        assert_eq!(sent["temperature"], temperature, "{sent}");
        if let Some(limit) = limit {
            assert_eq!(sent["max_tokens"], limit);
        }
        assert_eq!(sent.get("prompt"), None);
        let record = gateway.record(response.call_id()).await;
        assert_eq!(record["intent"]["prompt"]["key"], "hello", "{record}");
        assert!(
            record["sent"].to_string().contains("Greet Ann."),
            "{record}"
        );
    }
}

#[tokio::test]
async fn raw_requests_pass_with_the_providers_key_and_a_record() {
    let upstream = FakeProvider::start().await;
    upstream.always(|_| Answer::json(&json!({"id": "file-1", "object": "file"})));
    let gateway = gateway(&upstream).await;
    let client = gateway
        .client()
        .header("content-type", "multipart/form-data; boundary=x");
    let form = b"--x\r\ncontent-disposition: form-data; name=\"file\"\r\n\r\n\0\x01\r\n--x--\r\n";
    let response = client.post_bytes("/v1/files?purpose=a", form).await;
    assert_eq!(response.json()["id"], "file-1");
    let response_of = |id: &str| format!("/claude/v1/models?limit=1&x={id}");
    let listed = gateway.client().get(&response_of("1")).await;
    assert_eq!(listed.json()["id"], "file-1");
    let asked = upstream.journal();
    assert_eq!(asked[0].path, "/v1/files?purpose=a");
    assert_eq!(asked[0].body.as_ref(), form);
    let bearer = format!("Bearer {PROVIDER_KEY}");
    assert_eq!(asked[0].header("authorization"), Some(bearer.as_str()));
    assert_eq!(asked[1].header("x-api-key"), Some(PROVIDER_KEY));
    let record = gateway.record(response.call_id()).await;
    assert_eq!(record["intent"]["operation"], "raw", "{record}");
    assert_eq!(record["intent"]["path"], "POST /files", "{record}");
    assert_eq!(record["request"]["bytes"], form.len(), "{record}");
    assert_eq!(record["outcome"]["state"], "ok");

    let made = ["keys", "create", "narrow", "--model", "gpt-4o"];
    let made = gateway.run_json(&made).await;
    let key = made["secret"].as_str().unwrap();
    let client = gateway.client().bearer(key);
    assert_eq!(
        client.get("/v1/files").await.failure(),
        "403 model_forbidden"
    );
    let other = json!({"model": "gpt-5", "input": "x"});
    assert_eq!(
        client.post("/v1/moderations", &other).await.failure(),
        "403 model_forbidden"
    );
    let own = json!({"model": "gpt-4o", "prompt": "x"});
    assert_eq!(
        client.post("/v1/completions", &own).await.json()["id"],
        "file-1"
    );
}

#[tokio::test]
async fn texts_are_embedded_by_gemini_in_as_many_requests_as_it_takes() {
    let upstream = FakeProvider::start().await;
    upstream.always(|request| {
        let sent = request.json();
        let vectors: Vec<Value> = sent["requests"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                let text = one["content"]["parts"][0]["text"].as_str().unwrap();
                let number: f64 = text.parse().unwrap();
                json!({"values": [number, 1.0]})
            })
            .collect();
        Answer::json(&json!({"embeddings": vectors}))
    });
    let gateway = gateway(&upstream).await;
    let texts: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let body = json!({"model": "google/gemini-embedding-001", "input": texts});
    let response = gateway.client().post("/v1/embeddings", &body).await;
    let answer = response.json();
    let first = |index: usize| answer["data"][index]["embedding"][0].clone();
    assert_eq!(
        (first(0), first(99), first(100)),
        (0.0.into(), 99.0.into(), 100.0.into())
    );
    let asked = upstream.journal();
    assert_eq!(asked.len(), 2);
    assert_eq!(
        asked[0].path,
        "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    );
    assert_eq!(asked[0].header("x-goog-api-key"), Some(PROVIDER_KEY));
}

/// A request to count tokens, for a model of `provider`.
fn to_count(model: &str) -> Value {
    json!({
        "model": model, "system": "be brief",
        "messages": [{"role": "user", "content": "hello there"}],
    })
}

#[tokio::test]
async fn a_provider_that_counts_is_asked_and_the_call_is_free() {
    let upstream = FakeProvider::start().await;
    upstream.always(|request| match request.path.as_str() {
        "/v1/messages/count_tokens" => Answer::json(&json!({"input_tokens": 1414})),
        path if path.ends_with(":countTokens") => Answer::json(&json!({"totalTokens": 77})),
        _ => Answer::fail(404, &json!({"error": {"message": "no such path"}})),
    });
    let gateway = gateway(&upstream).await;
    let client = gateway.client().header("anthropic-beta", "new-2026-01-01");
    let path = "/v1/messages/count_tokens";
    let counted = client.post(path, &to_count("claude/claude-opus-4-6")).await;
    assert_eq!(counted.json(), json!({"input_tokens": 1414}));
    assert_eq!(counted.header("x-promptgate-tokens-quality"), Some("exact"));
    let asked = upstream.journal().remove(0);
    assert_eq!(asked.header("anthropic-beta"), Some("new-2026-01-01"));
    assert_eq!(asked.json()["model"], "claude-opus-4-6");
    let record = gateway.record(counted.call_id()).await;
    assert_eq!(record["intent"]["operation"], "count", "{record}");
    assert_eq!(record["outcome"]["cost"]["pico_usd"], 0, "{record}");
    assert_eq!(record["outcome"]["state"], "ok");
    assert_eq!(record["output"]["input_tokens"], 1414);

    let counted = client.post(path, &to_count("google/gemini-3-pro")).await;
    assert_eq!(counted.json(), json!({"input_tokens": 77}));
    let asked = upstream.journal().pop().unwrap();
    assert_eq!(asked.path, "/v1beta/models/gemini-3-pro:countTokens");
    let inner = &asked.json()["generateContentRequest"];
    assert_eq!(
        inner["systemInstruction"]["parts"][0]["text"], "be brief",
        "{inner}"
    );
}

#[tokio::test]
async fn where_nobody_counts_an_estimate_says_that_it_is_one() {
    let upstream = FakeProvider::start().await;
    upstream.always(|_| Answer::fail(404, &json!({"error": {"message": "counts nothing"}})));
    let gateway = gateway(&upstream).await;
    let client = gateway.client();
    let path = "/v1/messages/count_tokens";
    let counted = client.post(path, &to_count("gpt-4o-mini")).await;
    let header = "x-promptgate-tokens-quality";
    assert_eq!(counted.header(header), Some("estimated"));
    assert!(upstream.journal().is_empty(), "nobody counts for it");
    let failed = client.post(path, &to_count("claude/claude-opus-4-6")).await;
    assert_eq!(failed.json(), counted.json());
    assert_eq!(failed.header(header), Some("estimated"));
    let warning = failed.header("x-promptgate-warnings").unwrap();
    assert!(warning.contains("counts nothing"), "{warning}");
    let record = gateway.record(failed.call_id()).await;
    assert_eq!(record["outcome"]["state"], "refused", "{record}");
}

#[tokio::test]
async fn a_prompt_is_laid_under_before_its_tokens_are_counted() {
    let upstream = FakeProvider::start().await;
    upstream.always(|_| Answer::json(&json!({"input_tokens": 3})));
    let gateway = setup(&upstream)
        .prompt(
            "counted.prompt",
            "---\nmodel: claude/claude-opus-4-6\ninput:\n  schema:\n    name: string\n---\n\
             Greet {{name}} politely.\n",
        )
        .start()
        .await;
    let body = json!({
        "model": "prompt:counted", "prompt": {"variables": {"name": "Ada"}},
        "messages": [{"role": "user", "content": "more"}],
    });
    let path = "/v1/messages/count_tokens";
    let counted = gateway.client().post(path, &body).await;
    assert_eq!(counted.json()["input_tokens"], 3, "{}", counted.text());
    assert_eq!(counted.header("x-promptgate-prompt"), Some("counted"));
    let sent = upstream.journal().remove(0).json();
    assert!(sent.to_string().contains("Greet Ada politely."), "{sent}");
    assert!(
        sent.get("prompt").is_none() && sent.get("max_tokens").is_none(),
        "{sent}"
    );
}
