//! Requests, answers and streams made at random, and whether they are the same after a way through Anthropic's dialect.

use crate::domain::TokenUsage;
use crate::wire::conversation::{
    Cache, Choice, Collector, Delta, Dialect, Event, Fallback, Form, Media, Message, ModelTraits,
    Part, Reasoning, Reply, Request, Role, Sampling, StopReason, Tool, ToolCall, ToolChoice,
    ToolKind, ToolResult,
};
use crate::wire::messages::{
    StreamReader, StreamWriter, read_reply, read_request, write_reply, write_request,
};
use bytes::Bytes;
use proptest::option::of;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};
use serde_json::json;

const FALLBACK: Fallback<'_> = Fallback {
    id: "fallback",
    created: 0,
};

fn text() -> impl Strategy<Value = String> {
    "[a-zü \n\"\\\\{}]{1,12}"
}

fn cache() -> impl Strategy<Value = Option<Cache>> {
    let ttl = of(prop_oneof![Just("5m".to_owned()), Just("1h".to_owned())]);
    of(ttl.prop_map(|ttl| Cache { ttl }))
}

fn text_part() -> impl Strategy<Value = Part> {
    (text(), cache()).prop_map(|(text, cache)| Part::Text {
        text,
        citations: Vec::new(),
        cache,
    })
}

fn image() -> impl Strategy<Value = Part> {
    let source = prop_oneof![
        Just(Media::Inline {
            media_type: "image/png".to_owned(),
            data: "AAAA".to_owned()
        }),
        Just(Media::Url {
            url: "https://example.com/a".to_owned(),
            media_type: None
        }),
        Just(Media::File("file_1".to_owned())),
    ];
    (source, cache()).prop_map(|(source, cache)| Part::Image {
        source,
        detail: None,
        cache,
    })
}

fn document() -> impl Strategy<Value = Part> {
    let source = prop_oneof![
        Just(Media::Inline {
            media_type: "application/pdf".to_owned(),
            data: "AAAA".to_owned()
        }),
        text().prop_map(Media::Text),
    ];
    let about = (of(text()), of(text()), of(any::<bool>()));
    (source, about, cache()).prop_map(|(source, (title, context, is_cited), cache)| {
        Part::Document {
            source,
            title,
            context,
            is_cited,
            cache,
        }
    })
}

fn result() -> impl Strategy<Value = Part> {
    let plain = text().prop_map(|text| {
        let part = Part::Text {
            text,
            citations: Vec::new(),
            cache: None,
        };
        (vec![part], true)
    });
    let parts = prop_oneof![text_part(), image(), document()];
    let parts = prop::collection::vec(parts, 0..3).prop_map(|parts| (parts, false));
    let content = prop_oneof![plain, parts];
    (0..9, content, of(Just(true)), cache()).prop_map(|(id, (parts, is_plain), is_error, cache)| {
        Part::ToolResult(ToolResult {
            call_id: format!("toolu_{id}"),
            name: None,
            parts,
            is_error,
            is_plain,
            kind: ToolKind::Function,
            cache,
        })
    })
}

fn arguments() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("{}".to_owned()),
        text().prop_map(|text| json!({"a": text, "b": [1, null]}).to_string()),
        Just("{\"n\": 123456789012345678901234567890}".to_owned()),
    ]
}

fn call() -> impl Strategy<Value = Part> {
    (0..9, arguments(), cache()).prop_map(|(id, arguments, cache)| {
        Part::ToolCall(ToolCall {
            id: format!("toolu_{id}"),
            item_id: None,
            name: "get".to_owned(),
            arguments,
            kind: ToolKind::Function,
            signature: None,
            cache,
        })
    })
}

fn thoughts() -> impl Strategy<Value = Part> {
    (text(), any::<bool>()).prop_map(|(text, is_redacted)| Part::Reasoning {
        id: None,
        texts: if is_redacted { Vec::new() } else { vec![text] },
        is_summary: false,
        signature: Some("c2ln".to_owned()),
        is_redacted,
    })
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message {
        role,
        name: None,
        parts,
        is_plain: false,
    }
}

/// Turns of both sides in turn; in the user's, what tools gave comes first, as it will be written.
fn messages() -> impl Strategy<Value = Vec<Message>> {
    let user = (
        prop::collection::vec(result(), 0..3),
        prop::collection::vec(prop_oneof![text_part(), image(), document()], 1..3),
    );
    let model = prop::collection::vec(prop_oneof![text_part(), call(), thoughts()], 1..4);
    let turn = (user, model).prop_map(|((mut results, parts), model)| {
        results.extend(parts);
        [
            message(Role::User, results),
            message(Role::Assistant, model),
        ]
    });
    let plain = text().prop_map(|text| {
        let part = Part::Text {
            text,
            citations: Vec::new(),
            cache: None,
        };
        let mut message = message(Role::System, vec![part]);
        message.is_plain = true;
        message
    });
    let blocks = prop::collection::vec(text_part(), 1..3);
    let system = prop_oneof![plain, blocks.prop_map(|parts| message(Role::System, parts))];
    (of(system), prop::collection::vec(turn, 1..3)).prop_map(|(system, turns)| {
        let turns = turns.into_iter().flatten();
        system.into_iter().chain(turns).collect()
    })
}

fn tool() -> impl Strategy<Value = Tool> {
    (of(text()), of(Just(true)), cache()).prop_map(|(description, strict, cache)| Tool::Function {
        name: "get".to_owned(),
        description,
        parameters: Some(json!({"type": "object", "properties": {"a": {"type": "string"}}})),
        strict,
        cache,
    })
}

fn sampling() -> impl Strategy<Value = Sampling> {
    let numbers = (of(0_u8..=4), of(1_u8..=4), of(1_u64..99), 1_u64..9999);
    (numbers, prop::collection::vec(text(), 0..3)).prop_map(
        |((temperature, top_p, top_k, limit), stop)| Sampling {
            temperature: temperature.map(|quarters| f64::from(quarters) / 4.0),
            top_p: top_p.map(|quarters| f64::from(quarters) / 4.0),
            top_k,
            stop,
            max_output_tokens: Some(limit),
            ..Sampling::default()
        },
    )
}

fn reasoning() -> impl Strategy<Value = Reasoning> {
    let effort = of(prop_oneof![Just("low".to_owned()), Just("max".to_owned())]);
    let amount = prop_oneof![
        Just((Some(0), false)),
        Just((Some(2048), false)),
        Just((None, true))
    ];
    (effort, amount, of(any::<bool>())).prop_map(|(effort, (budget_tokens, is_adaptive), shown)| {
        Reasoning {
            effort,
            budget_tokens,
            is_adaptive,
            is_shown: shown.filter(|_| budget_tokens != Some(0)),
            summary: None,
        }
    })
}

fn request() -> impl Strategy<Value = Request> {
    let choice = of((
        prop_oneof![
            Just(ToolChoice::Auto),
            Just(ToolChoice::Required),
            Just(ToolChoice::Named("get".to_owned(), ToolKind::Function))
        ],
        of(any::<bool>()),
    ));
    let form = of(Just(Form::JsonSchema {
        name: None,
        description: None,
        schema: json!({"type": "object"}),
        strict: None,
    }));
    let tools = (prop::collection::vec(tool(), 0..3), choice);
    let how = (sampling(), of(reasoning()), form, any::<bool>());
    let about = (of(text()), of(Just("auto".to_owned())));
    (messages(), tools, how, about).prop_map(
        |(messages, (tools, choice), (sampling, reasoning, form, stream), (user, service_tier))| {
            let (tool_choice, parallel_tool_calls) = match choice {
                Some((choice, parallel)) => (Some(choice), parallel),
                None => (None, None),
            };
            Request {
                dialect: Dialect::Messages,
                model: "claude".to_owned(),
                messages,
                tools,
                tool_choice,
                parallel_tool_calls,
                form,
                sampling,
                reasoning,
                stream,
                stream_usage: true,
                wants_signatures: true,
                user,
                service_tier,
                ..Request::default()
            }
        },
    )
}

fn reply() -> impl Strategy<Value = Reply> {
    let part = prop_oneof![text(), Just(String::new())].prop_map(|text| Part::Text {
        text,
        citations: vec![json!({"type": "char_location"})],
        cache: None,
    });
    let uncached = call().prop_map(|part| match part {
        Part::ToolCall(call) => Part::ToolCall(ToolCall {
            cache: None,
            ..call
        }),
        part => part,
    });
    let stop = prop_oneof![
        Just(StopReason::EndTurn),
        Just(StopReason::MaxTokens),
        Just(StopReason::ToolUse),
        Just(StopReason::Pause),
        Just(StopReason::Refusal),
        text().prop_map(|text| StopReason::StopSequence(Some(text))),
    ];
    let parts = prop::collection::vec(prop_oneof![part, uncached, thoughts()], 0..5);
    (parts, stop, 0_u64..99, 0_u64..99).prop_map(|(parts, stop, input, cached)| Reply {
        dialect: Dialect::Messages,
        id: "msg_1".to_owned(),
        // One that shows all it thinks, as the parts here are.
        model: "claude-3-7".to_owned(),
        choices: vec![Choice {
            parts,
            stop: Some(stop),
            log_probs: None,
        }],
        usage: Some(TokenUsage {
            input: input + cached,
            cached_input: cached,
            output: 7,
            ..TokenUsage::default()
        }),
        ..Reply::default()
    })
}

/// The events of a part: its beginning, what is added, its end.
fn events_of(part: usize, content: &Part) -> Vec<Event> {
    let mut beginning = content.clone();
    let mut deltas = Vec::new();
    let mut pieces = |text: &mut String, make: fn(String) -> Delta| {
        deltas.extend(text.drain(..).map(|c| make(c.to_string())));
    };
    match &mut beginning {
        Part::Text { text, .. } => pieces(text, Delta::Text),
        Part::ToolCall(call) => pieces(&mut call.arguments, Delta::Arguments),
        Part::Reasoning {
            texts, signature, ..
        } => {
            for mut text in texts.drain(..) {
                pieces(&mut text, |added| Delta::Reasoning { text: 0, added });
            }
            deltas.extend(signature.take().map(Delta::Signature));
        }
        _ => {}
    }
    let start = Event::PartStart {
        choice: 0,
        part,
        content: beginning,
    };
    let deltas = deltas.into_iter().map(|delta| Event::PartDelta {
        choice: 0,
        part,
        delta,
    });
    let end = Event::PartEnd { choice: 0, part };
    std::iter::once(start).chain(deltas).chain([end]).collect()
}

/// The events of all parts, interleaved by `picks`, each part beginning behind those before it.
fn interleaved(parts: &[Part], picks: &[prop::sample::Index]) -> Vec<Event> {
    let lists = parts.iter().enumerate();
    let mut lists: Vec<_> = lists
        .map(|(part, content)| events_of(part, content).into_iter().peekable())
        .collect();
    let mut begun = 0;
    let mut events = Vec::new();
    let mut picks = picks.iter().cycle();
    loop {
        let mut open: Vec<usize> = (0..begun)
            .filter(|list| lists[*list].peek().is_some())
            .collect();
        open.extend((begun < lists.len()).then_some(begun));
        if open.is_empty() {
            break;
        }
        let pick = open[picks.next().unwrap().index(open.len())];
        begun += usize::from(pick == begun);
        events.extend(lists[pick].next());
    }
    events
}

/// What an answer says, of each kind in one and, but for calls, in no order: texts that were told among other things
/// are cut.
#[derive(Debug, Default, PartialEq)]
struct Told {
    text: Vec<char>,
    thoughts: Vec<char>,
    proofs: Vec<String>,
    /// Ids and arguments.
    calls: Vec<(String, String)>,
}

fn told(parts: &[Part]) -> Told {
    let mut told = Told::default();
    for part in parts {
        match part {
            Part::Text { text, .. } => told.text.extend(text.chars()),
            Part::Reasoning {
                texts, signature, ..
            } => {
                told.thoughts.extend(texts.concat().chars());
                told.proofs.extend(signature.clone());
            }
            Part::ToolCall(call) => told.calls.push((call.id.clone(), call.arguments.clone())),
            _ => {}
        }
    }
    told.text.sort_unstable();
    told.thoughts.sort_unstable();
    told.proofs.sort();
    told
}

proptest! {
    #[test]
    fn requests_read_as_they_were_written(request in request()) {
        let written = write_request(&request, &ModelTraits::default()).unwrap();
        assert_eq!(written.warnings, Vec::<String>::new());
        let mut again = read_request(&written.body).unwrap();
        again.rest.clear();
        assert_eq!(again, request);
    }

    #[test]
    fn answers_read_as_they_were_written(reply in reply()) {
        let mut again = read_reply(&write_reply(&reply, &FALLBACK)).unwrap();
        again.usage_reported = None;
        assert_eq!(again, reply);
    }

    #[test]
    fn streams_read_as_they_were_written(reply in reply(), picks in prop::collection::vec(any::<prop::sample::Index>(), 1..20)) {
        let parts = &reply.choices[0].parts;
        let mut events = vec![Event::Start { id: "msg_1".to_owned(), model: "claude-3-7".to_owned(), created: None }];
        events.extend(interleaved(parts, &picks));
        events.push(Event::Stop { choice: 0, reason: reply.choices[0].stop.clone().unwrap() });
        events.push(Event::Usage { usage: reply.usage.unwrap(), reported: json!({}) });
        events.push(Event::End);
        // As from another provider, whose usage is told in our words.
        let mut writer = StreamWriter::new(Dialect::Chat, &FALLBACK);
        let mut chunks = Vec::new();
        for event in &events {
            writer.write(event, &mut chunks);
        }
        let stream = Bytes::from(chunks.concat());
        super::provider_streams::assert_valid(&stream, "generated");
        let mut reader = StreamReader::default();
        let mut again = Vec::new();
        reader.push(&stream, &mut again);
        reader.finish(&mut again);
        let mut collector = Collector::new(Dialect::Messages);
        for event in again {
            collector.take(event);
        }
        assert!(collector.is_complete());
        let again = collector.into_reply();
        assert_eq!(again.usage, reply.usage);
        let choice = again.choices.first().cloned().unwrap_or_default();
        assert_eq!(told(&choice.parts), told(parts));
        assert_eq!(choice.stop, reply.choices[0].stop);
    }
}
