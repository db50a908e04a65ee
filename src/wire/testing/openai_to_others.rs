//! What clients of `OpenAI`'s dialect say, and what becomes of it with Anthropic, Google and AWS: it is sent, or it is
//! named.

use crate::wire::conversation::{ModelTraits, Request, Unsupported, Written};
use crate::wire::{chat, converse, gemini, messages};
use bytes::Bytes;
use serde_json::{Value, json};

fn request(fields: &Value) -> Request {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    for (key, value) in fields.as_object().unwrap() {
        body[key] = value.clone();
    }
    chat::read_request(&Bytes::from(body.to_string())).unwrap()
}

type Write = fn(&Request, &ModelTraits) -> Result<Written, Unsupported>;
const TARGETS: [(&str, Write, Write); 3] = [
    (
        "anthropic",
        messages::write_request,
        messages::write_request_dropping,
    ),
    (
        "gemini",
        gemini::write_request,
        gemini::write_request_dropping,
    ),
    (
        "bedrock",
        converse::write_request,
        converse::write_request_dropping,
    ),
];

/// What is expected of each of the targets.
#[derive(Debug)]
enum Expected {
    /// The value at this JSON pointer of the body.
    Sent(&'static str, Value),
    /// Nothing is sent and nothing is wrong.
    Silent,
    /// The field that is named.
    Named(&'static str),
}
use Expected::{Named, Sent, Silent};

fn assert_becomes(fields: &Value, expected: [Expected; 3]) {
    let request = request(fields);
    let plain = self::request(&json!({}));
    for ((name, write, write_dropping), expected) in TARGETS.into_iter().zip(expected) {
        let written = write(&request, &ModelTraits::default());
        let context = format!("{fields} for {name}");
        match expected {
            Sent(pointer, value) => {
                let written = written.unwrap_or_else(|error| panic!("{context}: {error}"));
                let body: Value = serde_json::from_slice(&written.body).unwrap();
                assert_eq!(body.pointer(pointer), Some(&value), "{context}: {body}");
            }
            Silent => {
                let written = written.unwrap_or_else(|error| panic!("{context}: {error}"));
                let bare = write(&plain, &ModelTraits::default()).unwrap();
                assert_eq!(written.body, bare.body, "{context}");
            }
            Named(field) => {
                let error = written.map(|written| written.body).unwrap_err();
                assert_eq!(error.field, field, "{context}: {error}");
                let dropped = write_dropping(&request, &ModelTraits::default()).unwrap();
                let is_told = dropped.warnings.iter().any(|told| told.contains(field));
                assert!(is_told, "{context}: {:?}", dropped.warnings);
            }
        }
    }
}

#[test]
fn sampling_is_sent_or_named() {
    assert_becomes(
        &json!({"temperature": 0.5}),
        [
            Sent("/temperature", json!(0.5)),
            Sent("/generationConfig/temperature", json!(0.5)),
            Sent("/inferenceConfig/temperature", json!(0.5)),
        ],
    );
    assert_becomes(
        &json!({"temperature": 1.5}),
        [
            Named("temperature"),
            Sent("/generationConfig/temperature", json!(1.5)),
            Named("temperature"),
        ],
    );
    assert_becomes(
        &json!({"seed": 7}),
        [
            Named("seed"),
            Sent("/generationConfig/seed", json!(7)),
            Named("seed"),
        ],
    );
    assert_becomes(
        &json!({"seed": 5_000_000_000_u64}),
        [Named("seed"), Named("seed"), Named("seed")],
    );
    assert_becomes(
        &json!({"frequency_penalty": 0.5}),
        [
            Named("frequency_penalty"),
            Sent("/generationConfig/frequencyPenalty", json!(0.5)),
            Named("frequency_penalty"),
        ],
    );
    assert_becomes(
        &json!({"frequency_penalty": 0, "presence_penalty": 0.0, "n": 1, "logprobs": false}),
        [Silent, Silent, Silent],
    );
}

#[test]
fn answers_are_counted_and_bounded_or_named() {
    assert_becomes(
        &json!({"n": 2}),
        [
            Named("n"),
            Sent("/generationConfig/candidateCount", json!(2)),
            Named("n"),
        ],
    );
    assert_becomes(
        &json!({"logprobs": true, "top_logprobs": 3}),
        [
            Named("logprobs"),
            Sent("/generationConfig/logprobs", json!(3)),
            Named("logprobs"),
        ],
    );
    assert_becomes(
        &json!({"stop": "END"}),
        [
            Sent("/stop_sequences", json!(["END"])),
            Sent("/generationConfig/stopSequences", json!(["END"])),
            Sent("/inferenceConfig/stopSequences", json!(["END"])),
        ],
    );
    assert_becomes(
        &json!({"max_completion_tokens": 9}),
        [
            Sent("/max_tokens", json!(9)),
            Sent("/generationConfig/maxOutputTokens", json!(9)),
            Sent("/inferenceConfig/maxTokens", json!(9)),
        ],
    );
    // Anthropic's is required: the model's limit stands in for it.
    assert_becomes(
        &json!({}),
        [Sent("/max_tokens", json!(4096)), Silent, Silent],
    );
}

#[test]
fn forms_and_efforts_are_sent_or_named() {
    assert_becomes(
        &json!({"response_format": {"type": "text"}}),
        [Silent, Silent, Silent],
    );
    assert_becomes(
        &json!({"response_format": {"type": "json_object"}}),
        [
            Named("response_format"),
            Sent(
                "/generationConfig/responseMimeType",
                json!("application/json"),
            ),
            Named("response_format"),
        ],
    );
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let described =
        json!({"type": "object", "properties": {"a": {"type": "string"}}, "description": "d"});
    assert_becomes(
        &json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "strict": true, "schema": schema}}}),
        [
            Sent("/output_config/format/schema", described.clone()),
            Sent("/generationConfig/responseJsonSchema", described),
            Sent(
                "/outputConfig/textFormat/structure/jsonSchema",
                json!({"schema": schema.to_string(), "name": "n", "description": "d"}),
            ),
        ],
    );
    assert_becomes(
        &json!({"reasoning_effort": "high"}),
        [
            Sent("/output_config/effort", json!("high")),
            Sent(
                "/generationConfig/thinkingConfig/thinkingLevel",
                json!("HIGH"),
            ),
            Sent("/outputConfig/effort", json!("high")),
        ],
    );
    assert_becomes(
        &json!({"reasoning_effort": "none"}),
        [
            Sent("/thinking/type", json!("disabled")),
            Sent("/generationConfig/thinkingConfig/thinkingBudget", json!(0)),
            Silent,
        ],
    );
    assert_becomes(
        &json!({"reasoning_effort": "minimal"}),
        [
            Named("reasoning_effort"),
            Sent(
                "/generationConfig/thinkingConfig/thinkingLevel",
                json!("MINIMAL"),
            ),
            Named("reasoning_effort"),
        ],
    );
}

#[test]
fn models_that_think_by_tokens_are_told_tokens() {
    let traits = ModelTraits {
        max_output_tokens: 10_000,
        thinks_by_budget: true,
        ..ModelTraits::default()
    };
    let request = request(&json!({"reasoning_effort": "medium"}));
    let body = |written: Result<Written, Unsupported>| -> Value {
        serde_json::from_slice(&written.unwrap().body).unwrap()
    };
    let anthropic = body(messages::write_request(&request, &traits));
    assert_eq!(
        anthropic["thinking"],
        json!({"type": "enabled", "budget_tokens": 5000})
    );
    assert_eq!(anthropic.get("output_config"), None);
    let gemini = body(gemini::write_request(&request, &traits));
    assert_eq!(
        gemini["generationConfig"]["thinkingConfig"],
        json!({"thinkingBudget": 5000})
    );
    let claude = Request {
        model: "us.anthropic.claude-3-7-sonnet-20250219-v1:0".to_owned(),
        ..request
    };
    let bedrock = body(converse::write_request(&claude, &traits));
    assert_eq!(
        bedrock["additionalModelRequestFields"]["thinking"],
        json!({"type": "enabled", "budget_tokens": 5000})
    );
}

#[test]
fn messages_are_sent_or_named() {
    let system = json!({"messages": [
        {"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hi"}]});
    assert_becomes(
        &system,
        [
            Sent("/system", json!("Be brief.")),
            Sent("/systemInstruction/parts", json!([{"text": "Be brief."}])),
            Sent("/system", json!([{"text": "Be brief."}])),
        ],
    );
    // Behind a user's turn it stays where it is; behind the model's it cannot.
    let middle = json!({"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes?"},
        {"role": "system", "content": "Rhyme."}, {"role": "user", "content": "Go"}]});
    assert_becomes(
        &middle,
        [
            Named("messages[2]"),
            Named("messages[2]"),
            Named("messages[2]"),
        ],
    );
    let sound = json!({"messages": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}]}]});
    let request = request(&sound);
    let written = messages::write_request(&request, &ModelTraits::default());
    assert_eq!(written.unwrap_err().field, "messages[0].content[0]");
    let written = gemini::write_request(&request, &ModelTraits::default()).unwrap();
    assert_eq!(
        written.body,
        r#"{"contents":[{"role":"user","parts":[{"inlineData":{"mimeType":"audio/wav","data":"AAAA"}}]}]}"#
    );
    let written = converse::write_request(&request, &ModelTraits::default()).unwrap();
    assert_eq!(
        written.body,
        r#"{"messages":[{"role":"user","content":[{"audio":{"format":"wav","source":{"bytes":"AAAA"}}}]}]}"#
    );
}

/// Three messages of one tool each are one turn, with their results in front: anything else is refused by all three.
#[test]
fn results_of_tools_are_one_turn() {
    let call = |id: &str, arguments: &str| json!({"id": id, "type": "function", "function": {"name": "get", "arguments": arguments}});
    let fields = json!({
        "tools": [{"type": "function", "function": {"name": "get", "strict": true, "parameters": {"type": "object"}}}],
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": null, "tool_calls": [call("call_1", "{\"a\": 1.10}"), call("call_2", "")]},
            {"role": "tool", "tool_call_id": "call_1", "content": "one"},
            {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "two"}]},
            {"role": "user", "content": "And?"},
        ],
    });
    assert_becomes(
        &fields,
        [
            Sent(
                "/messages/2/content",
                json!([
                    {"type": "tool_result", "tool_use_id": "call_1", "content": "one"},
                    {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "two"}]},
                    {"type": "text", "text": "And?"},
                ]),
            ),
            Sent(
                "/contents/2/parts",
                json!([
                    {"functionResponse": {"id": "call_1", "name": "get", "response": {"output": "one"}}},
                    {"functionResponse": {"id": "call_2", "name": "get", "response": {"output": "two"}}},
                    {"text": "And?"},
                ]),
            ),
            Sent(
                "/messages/2/content",
                json!([
                    {"toolResult": {"toolUseId": "call_1", "content": [{"text": "one"}]}},
                    {"toolResult": {"toolUseId": "call_2", "content": [{"text": "two"}]}},
                    {"text": "And?"},
                ]),
            ),
        ],
    );
    for (name, write, _) in TARGETS {
        let written = write(&request(&fields), &ModelTraits::default()).unwrap();
        let body = String::from_utf8(written.body.to_vec()).unwrap();
        assert!(body.contains("{\"a\": 1.10}"), "{name}: {body}");
    }
    // Without the tools, Bedrock refuses a conversation that used them.
    let mut without = fields;
    without["tools"] = Value::Null;
    let written = converse::write_request(&request(&without), &ModelTraits::default());
    assert_eq!(written.unwrap_err().field, "tools");
}

#[test]
fn tools_are_chosen_alike() {
    let tools = json!([{"type": "function", "function": {"name": "get", "description": "d"}}]);
    for (choice, anthropic, gemini, bedrock) in [
        (
            json!("auto"),
            json!({"type": "auto"}),
            json!({"mode": "AUTO"}),
            json!({"auto": {}}),
        ),
        (
            json!("required"),
            json!({"type": "any"}),
            json!({"mode": "ANY"}),
            json!({"any": {}}),
        ),
        (
            json!({"type": "function", "function": {"name": "get"}}),
            json!({"type": "tool", "name": "get"}),
            json!({"mode": "ANY", "allowedFunctionNames": ["get"]}),
            json!({"tool": {"name": "get"}}),
        ),
    ] {
        assert_becomes(
            &json!({"tools": tools, "tool_choice": choice}),
            [
                Sent("/tool_choice", anthropic),
                Sent("/toolConfig/functionCallingConfig", gemini),
                Sent("/toolConfig/toolChoice", bedrock),
            ],
        );
    }
    assert_becomes(
        &json!({"tools": tools, "tool_choice": "none"}),
        [
            Sent("/tool_choice", json!({"type": "none"})),
            Sent("/toolConfig/functionCallingConfig", json!({"mode": "NONE"})),
            Silent,
        ],
    );
    assert_becomes(
        &json!({"tools": tools, "parallel_tool_calls": false}),
        [
            Sent(
                "/tool_choice",
                json!({"type": "auto", "disable_parallel_tool_use": true}),
            ),
            Named("parallel_tool_calls"),
            Named("parallel_tool_calls"),
        ],
    );
    assert_becomes(
        &json!({"tools": [{"type": "custom", "custom": {"name": "code"}}]}),
        [Named("tools[0]"), Named("tools[0]"), Named("tools[0]")],
    );
}

#[test]
fn what_nobody_has_is_named_and_what_is_ours_is_not() {
    assert_becomes(
        &json!({"logit_bias": {"1": 2}}),
        [
            Named("logit_bias"),
            Named("logit_bias"),
            Named("logit_bias"),
        ],
    );
    assert_becomes(
        &json!({"metadata": {"a": "b"}}),
        [Silent, Silent, Sent("/requestMetadata", json!({"a": "b"}))],
    );
    assert_becomes(
        &json!({"user": "u"}),
        [Sent("/metadata/user_id", json!("u")), Silent, Silent],
    );
    assert_becomes(
        &json!({"service_tier": "flex"}),
        [
            Named("service_tier"),
            Sent("/serviceTier", json!("flex")),
            Sent("/serviceTier/type", json!("flex")),
        ],
    );
    let own = json!([{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]);
    assert_becomes(
        &json!({"safetySettings": own}),
        [
            Named("safetySettings"),
            Sent("/safetySettings", own),
            Named("safetySettings"),
        ],
    );
    assert_becomes(
        &json!({"guardrailConfig": {"guardrailIdentifier": "g"}}),
        [
            Named("guardrailConfig"),
            Named("guardrailConfig"),
            Sent("/guardrailConfig/guardrailIdentifier", json!("g")),
        ],
    );
}
