//! What chat completions and responses have in common, said once: places of foreign fields, usage,
//! citations, formats, ids.

use crate::domain::{Dialect, TokenUsage};
use crate::wire::Error;
use crate::wire::conversation::{
    Cache, Fields, Losses, Media, Message, Part, ToolKind, media_of_url,
};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The field of a mark in `OpenAI`'s own form.
pub(in crate::wire) const BREAKPOINT: &str = "prompt_cache_breakpoint";

/// Request fields that both dialects have under the same name and that no other has.
pub(in crate::wire) const SHARED_FIELDS: [&str; 4] = [
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
];

/// Where a foreign value stood, as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::wire) enum Place<'a> {
    /// It is a whole message or item: `messages[2]`.
    Whole,
    /// It is a part of a content: `messages[2].content[0]`.
    Part,
    /// It is a tool call: `messages[2].tool_calls[0]`.
    ToolCall,
    /// It is a field of a message: `messages[2].audio`, `choices[0].message.audio`.
    Field(&'a str),
    /// It is a field of an answer: `choices[0].content_filter_results`.
    Choice(&'a str),
}

/// Returns where the value called `name` stood.
pub(in crate::wire) fn place_of(name: &str) -> Place<'_> {
    let Some((list, behind)) = name.split_once(']') else {
        return Place::Whole;
    };
    let is_choice = list.starts_with("choices[");
    let message = behind.strip_prefix(".message").filter(|_| is_choice);
    let is_of_choice = is_choice && message.is_none();
    let Some(field) = message.unwrap_or(behind).strip_prefix('.') else {
        return Place::Whole;
    };
    match field {
        _ if field.starts_with("content[") => Place::Part,
        _ if field.starts_with("tool_calls[") => Place::ToolCall,
        _ if is_of_choice => Place::Choice(field),
        _ => Place::Field(field),
    }
}

/// Whether a value says anything, so that it is worth keeping.
pub(in crate::wire) fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => !elements.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Tells results what their calls said: the tool's name, and which kind of tool it is. Neither dialect
/// has both in a result.
pub(in crate::wire) fn tell_results(messages: &mut [Message]) {
    let calls = messages.iter().flat_map(|message| &message.parts);
    let calls: HashMap<String, (String, ToolKind)> = calls
        .filter_map(|part| match part {
            Part::ToolCall(call) => Some((call.id.clone(), (call.name.clone(), call.kind))),
            _ => None,
        })
        .collect();
    for part in messages.iter_mut().flat_map(|message| &mut message.parts) {
        if let Part::ToolResult(result) = part
            && let Some((name, kind)) = calls.get(&result.call_id)
        {
            result.kind = *kind;
            result.name.get_or_insert_with(|| name.clone());
        }
    }
}

/// Puts `value` at `key`; two objects become one.
pub(in crate::wire) fn put(fields: &mut Map<String, Value>, key: &str, value: Value) {
    match (fields.get_mut(key), value) {
        (Some(Value::Object(old)), Value::Object(new)) => {
            for (key, value) in new {
                put(old, &key, value);
            }
        }
        (_, value) => {
            fields.insert(key.to_owned(), value);
        }
    }
}

/// Whether an object has no fields but those of `known`.
pub(in crate::wire) fn has_only(fields: &Map<String, Value>, known: &[&str]) -> bool {
    fields
        .iter()
        .all(|(key, value)| value.is_null() || known.contains(&key.as_str()))
}

/// Returns the mark of a cache in the form that OpenRouter and others have for it.
pub(in crate::wire) fn cache_of(value: &Value) -> Option<Cache> {
    let fields = value.as_object()?;
    let is_known = has_only(fields, &["type", "ttl"])
        && fields.get("type").and_then(Value::as_str) == Some("ephemeral");
    let ttl = match fields.get("ttl") {
        None | Some(Value::Null) => None,
        Some(Value::String(ttl)) => Some(ttl.clone()),
        Some(_) => return None,
    };
    is_known.then_some(Cache { ttl })
}

/// Returns a mark in that form.
pub(in crate::wire) fn cache_to(cache: &Cache) -> Value {
    match &cache.ttl {
        None => json!({"type": "ephemeral"}),
        Some(ttl) => json!({"type": "ephemeral", "ttl": ttl}),
    }
}

/// Returns the mark of a cache in `OpenAI`'s own form.
pub(in crate::wire) fn breakpoint_of(value: &Value) -> Option<Cache> {
    let fields = value.as_object()?;
    let is_known = has_only(fields, &["mode", "ttl"])
        && fields.get("mode").and_then(Value::as_str) == Some("explicit");
    let ttl = match fields.get("ttl") {
        None | Some(Value::Null) => None,
        Some(Value::String(ttl)) => Some(ttl.clone()),
        Some(_) => return None,
    };
    is_known.then_some(Cache { ttl })
}

/// Returns a mark in that form, which knows two times only: the next longer one, where another was
/// asked for, and a warning of it.
pub(in crate::wire) fn breakpoint_to(cache: &Cache, losses: &mut Losses) -> Value {
    let Some(ttl) = cache.ttl.as_deref() else {
        return json!({"mode": "explicit"});
    };
    let known = match ttl {
        "30m" | "5m" => "30m",
        _ => "12h",
    };
    if known != ttl {
        losses.warn(format!("a cache mark of `{ttl}` is sent as `{known}`"));
    }
    json!({"mode": "explicit", "ttl": known})
}

/// Takes the mark of a part in either form.
pub(in crate::wire) fn take_mark(fields: &mut Fields) -> Option<Cache> {
    let own = fields.take(BREAKPOINT).as_ref().and_then(breakpoint_of);
    let other = fields.take("cache_control").as_ref().and_then(cache_of);
    own.or(other)
}

/// Whether the marks of a part are known here.
pub(in crate::wire) fn has_known_marks(fields: &Map<String, Value>) -> bool {
    let said = |key: &str| fields.get(key).filter(|mark| !mark.is_null());
    said(BREAKPOINT).is_none_or(|mark| breakpoint_of(mark).is_some())
        && said("cache_control").is_none_or(|mark| cache_of(mark).is_some())
}

/// Returns the media type of a sound in `format`.
pub(in crate::wire) fn audio_type(format: &str) -> String {
    match format {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{other}"),
    }
}

/// Takes a sound.
pub(in crate::wire) fn read_audio(fields: &mut Fields) -> Result<Part, Error> {
    let audio = fields.object("input_audio")?;
    let mut audio = audio.ok_or_else(|| Error::missing(fields.path("input_audio")))?;
    let format = audio.required_string("format")?;
    Ok(Part::Audio {
        source: Media::Inline {
            media_type: audio_type(&format),
            data: audio.required_string("data")?,
        },
        format,
        transcript: None,
        id: None,
    })
}

/// Returns the source of a file: the bytes where they are a `data:` URL or bare base64, which some send.
pub(in crate::wire) fn file_media(data: String, title: Option<&str>) -> Media {
    match media_of_url(data) {
        Media::Url { url, .. } => Media::Inline {
            media_type: type_of_name(title).to_owned(),
            data: url,
        },
        media => media,
    }
}

/// Returns the media type that a file's name tells.
fn type_of_name(name: Option<&str>) -> &'static str {
    let ending = name.and_then(|name| name.rsplit_once('.'));
    match ending
        .map(|(_, ending)| ending.to_ascii_lowercase())
        .as_deref()
    {
        Some("txt") => "text/plain",
        Some("md") => "text/markdown",
        Some("csv") => "text/csv",
        Some("json") => "application/json",
        Some("html") => "text/html",
        _ => "application/pdf",
    }
}

/// Returns the `usage` of a chat completion. [`super::read_usage`] reads the same tokens from it.
pub(in crate::wire) fn chat_usage(usage: &TokenUsage) -> Value {
    let mut written = json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": {
            "cached_tokens": usage.cached_input,
            "audio_tokens": usage.audio_input,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio_output,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    });
    add_cache_writes(&mut written, "prompt_tokens_details", usage);
    written
}

/// Returns the `usage` of a response. [`super::read_usage`] reads the same tokens from it.
pub(in crate::wire) fn responses_usage(usage: &TokenUsage) -> Value {
    let mut written = json!({
        "input_tokens": usage.input,
        // The official types have both, always.
        "input_tokens_details": {"cached_tokens": usage.cached_input, "cache_write_tokens": 0},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input.saturating_add(usage.output),
    });
    for (details, tokens) in [
        ("input_tokens_details", usage.audio_input),
        ("output_tokens_details", usage.audio_output),
    ] {
        if let (1.., Some(details)) = (tokens, object_at(&mut written, details)) {
            details.insert("audio_tokens".to_owned(), tokens.into());
        }
    }
    add_cache_writes(&mut written, "input_tokens_details", usage);
    written
}

/// Returns the service tier of an answer by `OpenAI`'s name for it; `None` where it has none.
pub(in crate::wire) fn tier_of(from: Dialect, tier: &str) -> Option<&str> {
    match (from, tier) {
        (Dialect::Chat | Dialect::Responses, tier) => Some(tier),
        (_, "standard") => Some("default"),
        (_, "default" | "flex" | "priority") => Some(tier),
        _ => None,
    }
}

fn object_at<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    value.get_mut(key)?.as_object_mut()
}

/// Tokens written to a cache for an hour have no place of their own with `OpenAI`; Anthropic's names are the
/// ones that are read.
fn add_cache_writes(usage: &mut Value, details: &str, tokens: &TokenUsage) {
    let (short, long) = (tokens.cache_write_5m, tokens.cache_write_1h);
    if let Some(details) = object_at(usage, details) {
        details.insert(
            "cache_write_tokens".to_owned(),
            short.saturating_add(long).into(),
        );
    }
    if let (1.., Some(usage)) = (long, usage.as_object_mut()) {
        let creation =
            json!({"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long});
        usage.insert("cache_creation".to_owned(), creation);
    }
}

/// Returns a citation in the form of responses, which have its fields beside its type.
pub(in crate::wire) fn flat_citation(citation: &Value) -> Value {
    flattened(citation, "url_citation")
}

/// Returns a citation in the form of chat completions, which have its fields in an object of their own.
pub(in crate::wire) fn nested_citation(citation: &Value) -> Value {
    nested(citation, "url_citation")
}

/// Returns the format of a custom tool's input in the form of responses, the one that is kept.
pub(in crate::wire) fn flat_format(format: &Value) -> Value {
    flattened(format, "grammar")
}

/// Returns the format of a custom tool's input in the form of chat completions.
pub(in crate::wire) fn nested_format(format: &Value) -> Value {
    nested(format, "grammar")
}

/// Turns `{"type": kind, kind: {…}}` into `{"type": kind, …}`.
fn flattened(value: &Value, kind: &str) -> Value {
    let inner = value.get(kind).and_then(Value::as_object);
    let is_kind = value.get("type").and_then(Value::as_str) == Some(kind);
    let Some(inner) = inner.filter(|_| is_kind) else {
        return value.clone();
    };
    let mut flat = Map::new();
    flat.insert("type".to_owned(), kind.into());
    flat.extend(inner.clone());
    Value::Object(flat)
}

/// Turns `{"type": kind, …}` into `{"type": kind, kind: {…}}`.
fn nested(value: &Value, kind: &str) -> Value {
    let is_kind = value.get("type").and_then(Value::as_str) == Some(kind);
    let fields = value.as_object().filter(|_| is_kind);
    let Some(fields) = fields.filter(|fields| !fields.contains_key(kind)) else {
        return value.clone();
    };
    let mut inner = fields.clone();
    inner.shift_remove("type");
    json!({"type": kind, kind: inner})
}

/// Returns an answer's id without the word by which its dialect begins it.
pub(in crate::wire) fn bare_id(id: &str) -> &str {
    let prefixes = ["chatcmpl-", "chatcmpl_", "resp_", "msg_", "gen-"];
    let bare = prefixes.iter().find_map(|prefix| id.strip_prefix(prefix));
    bare.unwrap_or(id)
}

/// Returns an id for the call of a tool whose provider gave none: the same for the same answer and place,
/// another for every other answer.
pub(in crate::wire) fn made_up_call_id(reply: &str, choice: usize, place: usize) -> String {
    let allowed = |letter: &char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let reply: String = bare_id(reply).chars().filter(allowed).take(40).collect();
    format!("call_{reply}_{choice}_{place}")
}

/// Returns the effort that comes near a budget of thought in tokens: `OpenAI`'s models take no number.
pub(in crate::wire) const fn effort_of_budget(tokens: u64) -> &'static str {
    match tokens {
        0 => "none",
        1..=2048 => "low",
        2049..=12_288 => "medium",
        _ => "high",
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Place, bare_id, cache_of, cache_to, chat_usage, flat_format, made_up_call_id,
        nested_format, place_of, put, responses_usage, tier_of,
    };
    use crate::domain::{Dialect, TokenUsage};
    use crate::wire::openai::read_usage;
    use proptest::prelude::{Strategy, proptest};
    use serde_json::{Map, Value, json};

    #[test]
    fn answers_hold_what_the_official_types_want() {
        let usage = responses_usage(&TokenUsage::default());
        let details = json!({"cached_tokens": 0, "cache_write_tokens": 0});
        assert_eq!(usage["input_tokens_details"], details);
        for (from, tier, expected) in [
            (Dialect::Messages, "standard", Some("default")),
            (Dialect::Messages, "batch", None),
            (Dialect::Converse, "reserved", None),
            (Dialect::Converse, "flex", Some("flex")),
            (Dialect::Gemini, "priority", Some("priority")),
            (Dialect::Chat, "scale", Some("scale")),
        ] {
            assert_eq!(tier_of(from, tier), expected, "{tier}");
        }
    }

    #[test]
    fn names_tell_places() {
        for (name, place) in [
            ("messages[2]", Place::Whole),
            ("input[0]", Place::Whole),
            ("messages[2].content[0]", Place::Part),
            ("output[1].content[0]", Place::Part),
            ("messages[2].tool_calls[1]", Place::ToolCall),
            ("choices[0].message.tool_calls[1]", Place::ToolCall),
            ("messages[2].audio", Place::Field("audio")),
            ("choices[0].message.a.b", Place::Field("a.b")),
            ("choices[0].message", Place::Whole),
            ("choices[0].stop_reason", Place::Choice("stop_reason")),
            ("odd", Place::Whole),
        ] {
            assert_eq!(place_of(name), place, "{name}");
        }
    }

    #[test]
    fn forms_of_the_two_dialects_become_each_other() {
        let flat = json!({"type":"grammar","syntax":"lark","definition":"start: \"a\""});
        let nested =
            json!({"type":"grammar","grammar":{"syntax":"lark","definition":"start: \"a\""}});
        assert_eq!(nested_format(&flat), nested);
        assert_eq!(flat_format(&nested), flat);
        for same in [json!({"type":"text"}), json!(null), json!("x")] {
            assert_eq!(
                (nested_format(&same), flat_format(&same)),
                (same.clone(), same)
            );
        }
    }

    #[test]
    fn small_things() {
        assert_eq!(bare_id("chatcmpl-1"), "1");
        assert_eq!(
            made_up_call_id("gen-a:b/1", 0, 2),
            made_up_call_id("ab1", 0, 2)
        );
        for value in [
            json!({"type":"ephemeral"}),
            json!({"type":"ephemeral","ttl":"1h"}),
        ] {
            assert_eq!(cache_to(&cache_of(&value).unwrap()), value);
        }
        for odd in [
            json!({"type":"ephemeral","x":1}),
            json!("ephemeral"),
            json!({}),
        ] {
            assert_eq!(cache_of(&odd), None);
        }
        let mut fields: Map<String, Value> = Map::new();
        put(&mut fields, "a", json!({"b":1}));
        put(&mut fields, "a", json!({"c":2}));
        put(&mut fields, "d", json!(1));
        put(&mut fields, "d", json!({"e":1}));
        assert_eq!(json!(fields), json!({"a":{"b":1,"c":2},"d":{"e":1}}));
    }

    fn usages() -> impl Strategy<Value = TokenUsage> {
        (
            (0..1000_u64, 0..1000_u64, 0..1000_u64),
            (0..1000_u64, 0..500_u64, 0..500_u64),
        )
            .prop_map(
                |((cached, short, long), (other, reasoning, audio))| TokenUsage {
                    input: cached + short + long + other,
                    output: reasoning + audio + other,
                    cached_input: cached,
                    cache_write_5m: short,
                    cache_write_1h: long,
                    reasoning,
                    audio_input: other.min(audio),
                    audio_output: audio,
                },
            )
    }

    proptest! {
        #[test]
        fn usage_is_read_as_it_was_written(usage in usages()) {
            for written in [chat_usage(&usage), responses_usage(&usage)] {
                assert_eq!(read_usage(&written.to_string()), Some(usage), "{written}");
            }
        }
    }
}
