//! A whole answer.

use crate::wire::Error;
use crate::wire::conversation::{
    Choice, Dialect, Fallback, Fields, Media, Part, Reply, StopReason, shows_summaries,
};
use crate::wire::messages::block::{thoughts, tool_use};
use crate::wire::messages::citation::of_bedrock;
use crate::wire::messages::read_block::{Written, part_of_reply};
use crate::wire::messages::stop::{read_stop, write_stop};
use crate::wire::messages::usage::{read_usage, write_usage};
use crate::wire::openai::ProviderFault;
use crate::wire::signature::mark_gemini;
use crate::wire::tree::{Json, Object};
use bytes::Bytes;
use serde_json::Value;

/// Reads an answer.
///
/// # Errors
///
/// `upstream_invalid` when it is none, or an error in spite of its good status.
pub fn read_reply(body: &Bytes) -> Result<Reply, Error> {
    let mut fields = Fields::parse_reply(body)?;
    if fields.text("type").as_deref() == Some("error") || fields.peek("error").is_some() {
        let said = ProviderFault::read(200, None, body).message;
        return Err(invalid(format!("is an error: {said}")));
    }
    fields.take("role");
    if fields.peek("content").is_none() {
        return Err(invalid("has no `content`".to_owned()));
    }
    let model = fields.text("model").unwrap_or_default();
    let is_summary = shows_summaries(&model);
    let written = Written::of(Some(body), "content");
    let parts = fields.elements("content").into_iter().enumerate();
    let parts = parts.map(|(place, block)| {
        let path = format!("content[{place}]");
        part_of_reply(path, block, written.get(place))
            .map(|part| part.summarized(is_summary))
            .map_err(|error| invalid(format!("is odd: {error}")))
    });
    let parts = parts.collect::<Result<Vec<Part>, Error>>()?;
    let sequence = fields.text("stop_sequence");
    let stop = fields.text("stop_reason");
    let mut usage = fields.take("usage");
    let tier = usage
        .as_ref()
        .and_then(|usage| usage.get("service_tier")?.as_str());
    let service_tier = tier.map(ToOwned::to_owned);
    Ok(Reply {
        dialect: Dialect::Messages,
        id: fields.text("id").unwrap_or_default(),
        model,
        created: None,
        choices: vec![Choice {
            parts,
            stop: stop.map(|stop| read_stop(&stop, sequence)),
            log_probs: None,
        }],
        usage: usage
            .as_mut()
            .and_then(|usage| read_usage(usage.as_object()?)),
        usage_reported: usage,
        service_tier,
        rest: fields.into_rest(),
    })
}

pub(super) const fn invalid(problem: String) -> Error {
    Error::InvalidReply { problem }
}

/// Writes an answer: the first of them, as nobody can ask for more in this dialect. What only another dialect has a
/// word for is left out; `fallback` gives the id where the provider gave none.
#[must_use]
pub fn write_reply(reply: &Reply, fallback: &Fallback<'_>) -> Bytes {
    let is_own = reply.dialect == Dialect::Messages;
    let choice = reply.choices.first();
    let parts = choice.map_or(&[][..], |choice| choice.parts.as_slice());
    let content: Vec<Json> = parts
        .iter()
        .flat_map(|part| [proof_of(part), block_of(part, reply.dialect)])
        .flatten()
        .collect();
    let stop = choice.and_then(|choice| choice.stop.as_ref());
    let is_refused = parts.iter().any(|part| matches!(part, Part::Refusal(_)));
    let (reason, sequence) = match stop {
        Some(StopReason::EndTurn) | None if is_refused => ("refusal", None),
        Some(stop) => write_stop(stop, reply.dialect),
        None => ("end_turn", None),
    };
    let usage: Json = match &reply.usage_reported {
        Some(reported) if is_own => reported.clone().into(),
        _ => write_usage(
            &reply.usage.unwrap_or_default(),
            reply.service_tier.as_deref(),
        )
        .into(),
    };
    let body = Object::default()
        .with("id", id_of(&reply.id, fallback))
        .with("type", "message")
        .with("role", "assistant")
        .with("model", &reply.model)
        .with("content", content)
        .with("stop_reason", reason)
        .with("stop_sequence", text_or_null(sequence))
        .with("usage", usage);
    let body = if is_own {
        body.with_all(&reply.rest)
    } else {
        body
    };
    body.to_bytes()
}

/// Returns the id of an answer.
pub(super) fn id_of(id: &str, fallback: &Fallback<'_>) -> String {
    match id {
        "" => format!("msg_{}", fallback.id),
        id => id.to_owned(),
    }
}

/// Returns `text` as JSON.
pub(super) fn text_or_null(text: Option<&str>) -> Json {
    text.map_or(Json::Value(Value::Null), Json::from)
}

/// Returns the proof of the thought behind a tool call as a block of its own, as calls have no place for it here. Sent
/// back, it finds its way to the call that follows it.
pub(super) fn proof_of(part: &Part) -> Option<Json> {
    match part {
        Part::ToolCall(call) => {
            let proof = mark_gemini(call.signature.as_deref()?);
            Some(thoughts(&[], &proof, true).into())
        }
        _ => None,
    }
}

/// Returns a citation that was read from `source`; `None` when this dialect has no word for it.
pub(super) fn citation_of(citation: &Value, source: Dialect) -> Option<Json> {
    match source {
        Dialect::Messages => Some(citation.clone().into()),
        Dialect::Converse => of_bedrock(citation),
        _ => None,
    }
}

/// Returns a part of an answer as a block.
pub(super) fn block_of(part: &Part, source: Dialect) -> Option<Json> {
    let is_own = source == Dialect::Messages;
    let block = match part {
        Part::Text {
            text, citations, ..
        } => {
            let citations = citations.iter();
            let citations = citations.filter_map(|citation| citation_of(citation, source));
            let citations: Vec<Json> = citations.collect();
            Object::of_type("text")
                .with("text", text)
                .with_full("citations", citations)
        }
        Part::Refusal(text) => Object::of_type("text").with("text", text),
        Part::Audio { transcript, .. } => {
            Object::of_type("text").with("text", transcript.as_deref()?)
        }
        Part::Reasoning {
            texts,
            signature,
            is_redacted,
            ..
        } => thoughts(
            texts,
            signature.as_deref().unwrap_or_default(),
            *is_redacted,
        ),
        Part::ToolCall(call) => tool_use(
            &call.id,
            &call.name,
            Json::arguments_or_text(&call.arguments),
        ),
        Part::Foreign { value, .. } if is_own => return Some(value.clone().into()),
        // Anthropic's models make no pictures; the block is that of a request.
        Part::Image {
            source: Media::Inline { media_type, data },
            ..
        } => Object::of_type("image").with(
            "source",
            Object::of_type("base64")
                .with("media_type", media_type)
                .with("data", data),
        ),
        Part::Foreign { .. } | Part::Image { .. } | Part::Document { .. } | Part::ToolResult(_) => {
            return None;
        }
    };
    Some(block.into())
}
