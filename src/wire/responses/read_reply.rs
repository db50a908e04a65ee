//! Responses, read.

use crate::wire::Error;
use crate::wire::chat::{Said, refuse_error};
use crate::wire::conversation::{
    Choice, Dialect, Fields, Media, Part, Reply, StopReason, numbered,
};
use crate::wire::openai::read_usage;
use crate::wire::responses::item::{Item, push_part, read_item};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Reads a response.
///
/// # Errors
///
/// `upstream_invalid` when it is no JSON object, tells an error, has failed, or has no output in it.
pub fn read_reply(body: &Bytes) -> Result<Reply, Error> {
    let mut fields = Fields::parse_reply(body)?;
    refuse_error(&mut fields)?;
    let status = fields.text("status");
    if let Some(status @ ("failed" | "cancelled" | "queued" | "in_progress")) = status.as_deref() {
        return Err(Error::InvalidReply {
            problem: format!("has the status `{status}`"),
        });
    }
    if !fields.peek("output").is_some_and(Value::is_array) {
        return Err(Error::InvalidReply {
            problem: "has no `output`".to_owned(),
        });
    }
    let mut log_probs = Vec::new();
    let output = numbered("output", fields.elements("output"));
    let parts = read_output(output, &mut log_probs);
    let details = fields.take("incomplete_details");
    let stop = stop_of(status.as_deref(), details.as_ref(), Said::of(&parts));
    let usage = fields.take("usage");
    let created = fields.count("created_at");
    fields.take("object");
    Ok(Reply {
        dialect: Dialect::Responses,
        id: fields.text("id").unwrap_or_default(),
        model: fields.text("model").unwrap_or_default(),
        created: created.and_then(|at| i64::try_from(at).ok()),
        choices: vec![Choice {
            parts,
            stop: Some(stop),
            log_probs: (!log_probs.is_empty()).then(|| json!({"content": log_probs})),
        }],
        usage: usage
            .as_ref()
            .and_then(|usage| read_usage(&usage.to_string())),
        usage_reported: usage,
        service_tier: fields.text("service_tier"),
        rest: fields.into_rest(),
    })
}

/// Reads the items of an output, and collects the log probabilities of its texts.
fn read_output(output: Vec<(String, Value)>, log_probs: &mut Vec<Value>) -> Vec<Part> {
    let mut parts = Vec::new();
    for (path, value) in output {
        collect_log_probs(&value, log_probs);
        let foreign = |value: Value| Part::Foreign {
            name: path.clone(),
            value,
        };
        if let Some(image) = generated_image(&value) {
            parts.push(image);
            continue;
        }
        match read_item(path.clone(), value.clone()) {
            Ok(Item::Message { parts: said, .. }) => parts.extend(said),
            Ok(Item::Part(part)) => push_part(&mut parts, part),
            Ok(Item::Foreign(value)) => parts.push(foreign(value)),
            Ok(Item::Result(_)) | Err(_) => parts.push(foreign(value)),
        }
    }
    parts
}

fn collect_log_probs(item: &Value, log_probs: &mut Vec<Value>) {
    let contents = item.get("content").and_then(Value::as_array);
    for content in contents.into_iter().flatten() {
        let tokens = content.get("logprobs").and_then(Value::as_array);
        log_probs.extend(tokens.into_iter().flatten().cloned());
    }
}

/// Returns the picture that a tool of the provider's made.
pub(super) fn generated_image(item: &Value) -> Option<Part> {
    let is_image = item.get("type")? == "image_generation_call";
    let data = item.get("result")?.as_str().filter(|_| is_image)?;
    let format = item.get("output_format").and_then(Value::as_str);
    Some(Part::Image {
        source: Media::Inline {
            media_type: format!("image/{}", format.unwrap_or("png")),
            data: data.to_owned(),
        },
        detail: None,
        cache: None,
    })
}

/// Returns why a response ended.
pub(super) fn stop_of(status: Option<&str>, details: Option<&Value>, said: Said) -> StopReason {
    let reason = details.and_then(|details| details.get("reason"));
    match (status, reason.and_then(Value::as_str)) {
        (Some("incomplete"), Some("max_output_tokens")) => StopReason::MaxTokens,
        (Some("incomplete"), Some("content_filter")) => StopReason::ContentFilter,
        (Some("incomplete"), Some("pause_turn")) => StopReason::Pause,
        (Some("incomplete"), Some(other)) => StopReason::Other(other.to_owned()),
        (Some("incomplete"), None) => StopReason::Other("incomplete".to_owned()),
        _ => said.finished(),
    }
}

/// Returns the status of a response that ended so, and its `incomplete_details`.
///
/// A refusal in words is a whole answer, as at `OpenAI`: its message has a part that `refuses`. Where the provider stopped
/// the model without a word, nothing else would tell that this is no answer, and it ends as what a filter stopped.
pub(super) fn status_of(reason: &StopReason, refuses: bool) -> (&'static str, Value) {
    let reason = match reason {
        StopReason::MaxTokens => "max_output_tokens",
        StopReason::ContentFilter => "content_filter",
        StopReason::Refusal if !refuses => "content_filter",
        StopReason::Pause => "pause_turn",
        StopReason::Other(reason) => reason,
        StopReason::EndTurn
        | StopReason::StopSequence(_)
        | StopReason::ToolUse
        | StopReason::Refusal => return ("completed", Value::Null),
    };
    let mut details = Map::new();
    details.insert("reason".to_owned(), reason.into());
    ("incomplete", Value::Object(details))
}
