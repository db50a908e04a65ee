//! Chat completions, read.

use crate::wire::Error;
use crate::wire::chat::part::{
    UNKNOWN_AUDIO, arguments, read_part, read_tool_call, take_reasoning, thought_signature,
};
use crate::wire::chat::read_message::{cite, foreign_fields};
use crate::wire::chat::stop::{Said, read_stop};
use crate::wire::conversation::{
    Choice, Dialect, Fields, Media, Part, Reply, ToolCall, ToolKind, numbered,
};
use crate::wire::openai::shared::{made_up_call_id, says_something};
use crate::wire::openai::{ProviderFault, is_truthy, read_usage};
use bytes::Bytes;
use serde_json::Value;

/// Reads a chat completion.
///
/// # Errors
///
/// `upstream_invalid` when it is no JSON object, tells an error, or has no answer in it.
pub fn read_reply(body: &Bytes) -> Result<Reply, Error> {
    let mut fields = Fields::parse_reply(body)?;
    refuse_error(&mut fields)?;
    let mut choices = fields.elements("choices");
    if choices.is_empty() {
        return Err(Error::InvalidReply {
            problem: "has no `choices`".to_owned(),
        });
    }
    let place = |choice: &Value| choice.get("index").and_then(Value::as_u64);
    choices.sort_by_key(place);
    let id = fields.text("id").unwrap_or_default();
    let choices = choices.into_iter().enumerate();
    let choices = choices.map(|(place, choice)| read_choice(&id, place, choice));
    let choices = choices.collect();
    fields.take("object");
    let usage = fields.take("usage");
    Ok(Reply {
        dialect: Dialect::Chat,
        model: fields.text("model").unwrap_or_default(),
        created: fields
            .count("created")
            .and_then(|at| i64::try_from(at).ok()),
        choices,
        usage: usage
            .as_ref()
            .and_then(|usage| read_usage(&usage.to_string())),
        usage_reported: usage,
        service_tier: fields.text("service_tier"),
        rest: fields.into_rest(),
        id,
    })
}

/// Finds an error in an answer whose status told none.
pub(in crate::wire) fn refuse_error(fields: &mut Fields) -> Result<(), Error> {
    match fields.take("error").map(|error| error.to_string()) {
        Some(error) if is_truthy(&error) => {
            let fault = ProviderFault::from_error(&error);
            Err(Error::InvalidReply {
                problem: format!("is an error: {}", fault.message),
            })
        }
        _ => Ok(()),
    }
}

fn read_choice(reply: &str, place: usize, choice: Value) -> Choice {
    let path = format!("choices[{place}]");
    let Value::Object(map) = choice else {
        return Choice::default();
    };
    let mut fields = Fields::new(path, map);
    fields.take("index");
    let mut parts = match fields.inner("message") {
        Some(message) => read_message(message),
        None => Vec::new(),
    };
    for (number, part) in parts.iter_mut().enumerate() {
        if let Part::ToolCall(call) = part
            && call.id.is_empty()
        {
            call.id = made_up_call_id(reply, place, number);
        }
    }
    let matched = fields.take("stop_reason");
    let native = fields.text("native_finish_reason");
    let said = Said::of(&parts);
    let stop = fields
        .text("finish_reason")
        .map(|reason| read_stop(&reason, matched.as_ref(), native.as_deref(), said));
    let log_probs = fields.take_if("logprobs", says_something);
    parts.extend(foreign_fields(fields));
    Choice {
        parts,
        stop,
        log_probs,
    }
}

/// Reads what the model says.
fn read_message(mut fields: Fields) -> Vec<Part> {
    fields.take("role");
    let mut parts = take_reasoning(&mut fields);
    parts.extend(read_content(&mut fields));
    if let Some(refusal) = fields.text("refusal").filter(|text| !text.is_empty()) {
        parts.push(Part::Refusal(refusal));
    }
    let citations = fields.take_if("annotations", Value::is_array);
    cite(&mut parts, citations);
    let path = fields.path("images");
    for (path, image) in numbered(&path, fields.elements("images")) {
        let is_image = |part: &Part| matches!(part, Part::Image { .. });
        let read = read_part(path.clone(), image.clone()).ok().filter(is_image);
        parts.push(read.unwrap_or(Part::Foreign {
            name: path,
            value: image,
        }));
    }
    if let Some(audio) = fields.inner("audio") {
        parts.extend(read_audio(audio));
    }
    let path = fields.path("tool_calls");
    for (path, call) in numbered(&path, fields.elements("tool_calls")) {
        parts.push(read_tool_call(path, call));
    }
    if let Some(call) = fields.inner("function_call") {
        parts.extend(read_function_call(call));
    }
    parts.extend(foreign_fields(fields));
    parts
}

/// Takes the content: a text, or parts.
fn read_content(fields: &mut Fields) -> Vec<Part> {
    let path = fields.path("content");
    match fields.take("content") {
        Some(Value::String(text)) if !text.is_empty() => vec![Part::plain(text)],
        Some(Value::Array(parts)) => {
            let parts = numbered(&path, parts).into_iter();
            parts
                .map(
                    |(name, value)| match read_part(name.clone(), value.clone()) {
                        Ok(part) => part,
                        Err(_) => Part::Foreign { name, value },
                    },
                )
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Reads what was said aloud. What has no place is kept beside it.
fn read_audio(mut fields: Fields) -> Vec<Part> {
    let here = fields.here().to_owned();
    let mut parts = vec![Part::Audio {
        source: Media::Inline {
            media_type: UNKNOWN_AUDIO.to_owned(),
            data: fields.text("data").unwrap_or_default(),
        },
        format: String::new(),
        transcript: fields.text("transcript"),
        id: fields.text("id"),
    }];
    let rest = fields.into_rest();
    if !rest.is_empty() {
        parts.push(Part::Foreign {
            name: here,
            value: Value::Object(rest),
        });
    }
    parts
}

/// The call of a function before there were tools, which some imitators still write.
fn read_function_call(mut fields: Fields) -> Option<Part> {
    Some(Part::ToolCall(ToolCall {
        id: String::new(),
        item_id: None,
        name: fields.text("name")?,
        arguments: arguments(fields.take("arguments").as_ref()),
        kind: ToolKind::Function,
        signature: fields
            .take("extra_content")
            .as_ref()
            .and_then(thought_signature),
        cache: None,
    }))
}
