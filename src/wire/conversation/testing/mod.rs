//! Requests and answers for tests, as they could be.

mod streams;

pub(crate) use streams::{assembled, events_of};

use crate::domain::TokenUsage;
use crate::wire::conversation::{
    Choice, Dialect, Form, Media, Message, Part, Reasoning, Reply, Request, Role, Sampling,
    StopReason, Tool, ToolCall, ToolChoice, ToolKind, ToolResult,
};
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop, prop_oneof};
use serde_json::json;
use std::collections::BTreeMap;

/// Texts that are not empty, with letters that JSON and streams find hard.
pub(crate) fn texts() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-z ]{1,12}",
        "[\"\\\\\n\r\t{}:,]{1,6}",
        "[äß漢😀\u{2028}\u{7f}]{1,5}",
    ]
    .prop_filter("says something", |text: &String| !text.trim().is_empty())
    .boxed()
}

fn names() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_]{0,8}"
}

/// Base64 of any bytes.
fn data() -> impl Strategy<Value = String> {
    "([A-Za-z0-9+/]{4}){1,4}"
}

pub(crate) fn text(text: &str) -> Part {
    Part::Text {
        text: text.to_owned(),
        citations: Vec::new(),
        cache: None,
    }
}

fn images() -> impl Strategy<Value = Part> {
    let url = "https://example\\.com/[a-z]{1,5}\\.png".prop_map(|url| Media::Url {
        url,
        media_type: None,
    });
    let inline = data().prop_map(|data| Media::Inline {
        media_type: "image/png".to_owned(),
        data,
    });
    let detail = prop::option::of(Just("high".to_owned()));
    (prop_oneof![url, inline], detail).prop_map(|(source, detail)| Part::Image {
        source,
        detail,
        cache: None,
    })
}

fn documents() -> impl Strategy<Value = Part> {
    let inline = data().prop_map(|data| Media::Inline {
        media_type: "application/pdf".to_owned(),
        data,
    });
    let file = "file-[a-z]{4}".prop_map(Media::File);
    (prop_oneof![inline, file], names()).prop_map(|(source, title)| Part::Document {
        title: (!matches!(source, Media::File(_))).then(|| format!("{title}.pdf")),
        source,
        context: None,
        is_cited: None,
        cache: None,
    })
}

fn sounds() -> impl Strategy<Value = Part> {
    data().prop_map(|data| Part::Audio {
        source: Media::Inline {
            media_type: "audio/wav".to_owned(),
            data,
        },
        format: "wav".to_owned(),
        transcript: None,
        id: None,
    })
}

/// Thoughts with what proves them.
pub(crate) fn thoughts() -> BoxedStrategy<Part> {
    let open = (
        prop::option::of("rs_[a-z]{4}"),
        prop::collection::vec(texts(), 1..3),
        any::<bool>(),
        data(),
    )
        .prop_map(|(id, mut texts, is_summary, signature)| {
            // Only thoughts with an id have several texts.
            texts.truncate(if id.is_some() { 2 } else { 1 });
            Part::Reasoning {
                id,
                texts,
                is_summary,
                signature: Some(signature),
                is_redacted: false,
            }
        });
    let hidden = data().prop_map(|signature| Part::Reasoning {
        id: None,
        texts: Vec::new(),
        is_summary: false,
        signature: Some(signature),
        is_redacted: true,
    });
    prop_oneof![open, hidden].boxed()
}

fn arguments() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        (names(), texts()).prop_map(|(key, text)| json!({key: text}).to_string()),
        Just("{\"n\": 12345678901234567890.10}".to_owned()),
    ]
}

/// A call without an id; whoever uses it gives one.
fn calls() -> impl Strategy<Value = ToolCall> {
    let function = (names(), arguments()).prop_map(|given| (ToolKind::Function, given));
    let custom = (names(), texts()).prop_map(|given| (ToolKind::Custom, given));
    prop_oneof![3 => function, 1 => custom].prop_map(|(kind, (name, arguments))| ToolCall {
        id: String::new(),
        item_id: None,
        name,
        arguments,
        kind,
        signature: None,
        cache: None,
    })
}

/// What the model says in one turn, its thoughts first and its calls last; its calls are numbered from
/// `first`.
fn answers() -> impl Strategy<Value = Vec<Part>> {
    (
        prop::option::of(thoughts()),
        prop::option::weighted(0.8, texts()),
        prop::collection::vec(calls(), 0..3),
    )
        .prop_map(|(thoughts, said, calls)| {
            let mut parts: Vec<Part> = thoughts.into_iter().collect();
            let said = said.or_else(|| calls.is_empty().then(|| "x".to_owned()));
            parts.extend(said.map(|said| text(&said)));
            parts.extend(calls.into_iter().map(Part::ToolCall));
            parts
        })
}

#[derive(Debug, Clone)]
enum Turn {
    Said(Role, Vec<Part>),
    /// What the model said, and what each of its tools gave.
    Answer(Vec<Part>, Vec<Vec<Part>>),
}

fn turns() -> impl Strategy<Value = Turn> {
    let role = prop_oneof![Just(Role::System), Just(Role::Developer)];
    let rules = (role, prop::collection::vec(texts(), 1..3))
        .prop_map(|(role, texts)| Turn::Said(role, texts.iter().map(|t| text(t)).collect()));
    let part = prop_oneof![
        4 => texts().prop_map(|said| text(&said)),
        1 => images(),
        1 => documents(),
        1 => sounds(),
    ];
    let user = prop::collection::vec(part, 1..4).prop_map(|parts| Turn::Said(Role::User, parts));
    let given = prop_oneof![4 => texts().prop_map(|said| text(&said)), 1 => images()];
    let results = prop::collection::vec(prop::collection::vec(given, 1..3), 3..4);
    let answer = (answers(), results).prop_map(|(said, results)| Turn::Answer(said, results));
    prop_oneof![1 => rules, 3 => user, 3 => answer]
}

/// Whether a content is what would be written as a bare string.
pub(crate) fn is_plain(parts: &[Part]) -> bool {
    let bare = |part: &Part| matches!(part, Part::Text { citations, cache: None, .. } if citations.is_empty());
    let mut said = parts.iter().filter(|part| {
        !matches!(
            part,
            Part::Reasoning { .. } | Part::ToolCall(_) | Part::Foreign { .. }
        )
    });
    said.next().is_some_and(bare) && said.next().is_none()
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        name: None,
        is_plain: is_plain(&parts),
        parts,
    }
}

fn messages_of(turns: Vec<Turn>) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    let mut number = 0;
    for turn in turns {
        let (mut said, results) = match turn {
            Turn::Said(role, parts) => {
                messages.push(message(role, parts));
                continue;
            }
            Turn::Answer(said, results) => (said, results),
        };
        // Nobody answers twice without being asked.
        if messages
            .last()
            .is_some_and(|last| last.role == Role::Assistant)
        {
            messages.push(message(Role::User, vec![text("go on")]));
        }
        let mut answered = Vec::new();
        for part in &mut said {
            let Part::ToolCall(call) = part else {
                continue;
            };
            number += 1;
            call.id = format!("call_{number}");
            let parts = results.get(answered.len()).cloned().unwrap_or_default();
            answered.push(Part::ToolResult(ToolResult {
                call_id: call.id.clone(),
                name: Some(call.name.clone()),
                is_plain: is_plain(&parts),
                parts,
                is_error: None,
                kind: call.kind,
                cache: None,
            }));
        }
        messages.push(Message {
            is_plain: is_plain(&said) && said.len() == 1,
            ..message(Role::Assistant, said)
        });
        let results = answered.into_iter();
        messages.extend(results.map(|result| Message {
            is_plain: false,
            ..message(Role::Tool, vec![result])
        }));
    }
    messages
}

fn tools() -> impl Strategy<Value = Vec<Tool>> {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}});
    let function = (
        names(),
        prop::option::of(texts()),
        prop::option::of(Just(schema)),
        any::<bool>(),
    )
        .prop_map(|(name, description, parameters, strict)| Tool::Function {
            name,
            description,
            parameters,
            strict: Some(strict),
            cache: None,
        });
    let format = json!({"type": "grammar", "syntax": "regex", "definition": "a+"});
    let custom =
        (names(), prop::option::of(Just(format))).prop_map(|(name, format)| Tool::Custom {
            name,
            description: None,
            format,
        });
    prop::collection::vec(prop_oneof![3 => function, 1 => custom], 0..3)
}

fn choices_of_tools() -> impl Strategy<Value = Option<ToolChoice>> {
    prop::option::of(prop_oneof![
        Just(ToolChoice::Auto),
        Just(ToolChoice::None),
        Just(ToolChoice::Required),
        names().prop_map(|name| ToolChoice::Named(name, ToolKind::Function)),
        names().prop_map(|name| ToolChoice::Named(name, ToolKind::Custom)),
    ])
}

fn forms() -> impl Strategy<Value = Option<Form>> {
    let schema = (
        names(),
        prop::option::of(texts()),
        prop::option::of(any::<bool>()),
    )
        .prop_map(|(name, description, strict)| Form::JsonSchema {
            name: Some(name),
            description,
            schema: json!({"type": "object", "required": ["b", "a"]}),
            strict,
        });
    prop::option::of(prop_oneof![
        Just(Form::Text),
        Just(Form::JsonObject),
        schema
    ])
}

/// Numbers as people write them: the parser may miss the last bit of longer ones.
fn hundredths(most: u32) -> impl Strategy<Value = f64> {
    (1..=most).prop_map(|count| f64::from(count) / 100.0)
}

/// Sampling that most providers know, and now and then what few do.
fn sampling() -> impl Strategy<Value = Sampling> {
    let common = (
        prop::option::of(hundredths(200)),
        prop::option::of(hundredths(100)),
        prop::option::of(1..100_000_u64),
        prop::option::of(1..20_u64),
    );
    let rare = (
        prop::option::weighted(0.05, 1..100_u64),
        prop::option::weighted(0.05, hundredths(200)),
        prop::option::weighted(0.05, hundredths(200)),
        prop::option::weighted(0.05, any::<i64>()),
        prop::collection::vec(texts(), 0..2),
        any::<bool>(),
    );
    (common, rare).prop_map(|((temperature, top_p, limit, top), rare)| {
        let (top_k, frequency_penalty, presence_penalty, seed, stop, has_stop) = rare;
        Sampling {
            temperature,
            top_p,
            top_k,
            frequency_penalty,
            presence_penalty,
            seed,
            stop: if has_stop { Vec::new() } else { stop },
            max_output_tokens: limit,
            log_probs: top.map(|_| true),
            top_log_probs: top,
            choices: None,
        }
    })
}

/// Requests read from `dialect`, of what most dialects can say and some that few can.
pub(crate) fn requests(dialect: Dialect) -> BoxedStrategy<Request> {
    let effort = prop::option::of(prop::sample::select(vec!["low", "high"]));
    let about = (
        effort,
        any::<bool>(),
        prop::option::of(names()),
        prop::option::of(Just("flex".to_owned())),
        prop::option::of(any::<bool>()),
        prop::collection::btree_map(names(), texts(), 0..3),
    );
    let asked = (
        prop::collection::vec(turns(), 1..6),
        tools(),
        choices_of_tools(),
        forms(),
        sampling(),
    );
    (asked, about)
        .prop_map(
            move |((turns, tools, tool_choice, form, sampling), about)| {
                let (effort, stream, user, service_tier, parallel_tool_calls, metadata) = about;
                let metadata: BTreeMap<String, String> = metadata;
                Request {
                    dialect,
                    model: "m".to_owned(),
                    messages: messages_of(turns),
                    tools,
                    tool_choice,
                    parallel_tool_calls,
                    form,
                    sampling,
                    reasoning: effort.map(|effort| Reasoning {
                        effort: Some(effort.to_owned()),
                        ..Reasoning::default()
                    }),
                    stream,
                    stream_usage: stream,
                    user,
                    service_tier,
                    metadata,
                    ..Request::default()
                }
            },
        )
        .boxed()
}

fn usages() -> impl Strategy<Value = TokenUsage> {
    (0..1000_u64, 0..1000_u64, 0..1000_u64).prop_map(|(cached, other, reasoning)| TokenUsage {
        input: cached + other,
        output: reasoning + other,
        cached_input: cached,
        reasoning,
        ..TokenUsage::default()
    })
}

/// Answers of one choice read from `dialect`.
pub(crate) fn replies(dialect: Dialect) -> BoxedStrategy<Reply> {
    let refusal = texts().prop_map(|text| vec![Part::Refusal(text)]);
    let parts = prop_oneof![5 => answers(), 1 => refusal];
    let early = prop::option::weighted(
        0.3,
        prop_oneof![Just(StopReason::MaxTokens), Just(StopReason::ContentFilter)],
    );
    (parts, early, prop::option::of(usages()), any::<bool>())
        .prop_map(move |(mut parts, early, usage, has_log_probs)| {
            for (number, part) in parts.iter_mut().enumerate() {
                if let Part::ToolCall(call) = part {
                    call.id = format!("call_{number}");
                }
            }
            let says = |wanted: fn(&Part) -> bool| parts.iter().any(wanted);
            let finished = if says(|part| matches!(part, Part::ToolCall(_))) {
                StopReason::ToolUse
            } else if says(|part| matches!(part, Part::Refusal(_))) {
                StopReason::Refusal
            } else {
                StopReason::EndTurn
            };
            let refuses = finished == StopReason::Refusal;
            let is_text = says(|part| matches!(part, Part::Text { .. }));
            let tokens =
                json!([{"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}]);
            Reply {
                dialect,
                id: "1".to_owned(),
                model: "m".to_owned(),
                created: Some(1_760_000_000),
                choices: vec![Choice {
                    parts,
                    stop: Some(early.filter(|_| !refuses).unwrap_or(finished)),
                    log_probs: (has_log_probs && is_text).then(|| json!({"content": tokens})),
                }],
                usage,
                ..Reply::default()
            }
        })
        .boxed()
}
