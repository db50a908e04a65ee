//! A whole answer.

use crate::wire::Error;
use crate::wire::conversation::{Choice, Dialect, Fields, Reply, StopReason, shows_summaries};
use crate::wire::converse::read_block::part_of;
use crate::wire::converse::usage::read_usage;
use bytes::Bytes;
use serde_json::Value;

/// Whose answer it is: it does not say so itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Origin<'a> {
    /// Its id: the header `x-amzn-requestid`.
    pub id: &'a str,
    /// The model that was asked.
    pub model: &'a str,
}

/// Reads an answer.
///
/// # Errors
///
/// `upstream_invalid` when it is none.
pub fn read_reply(body: &Bytes, origin: &Origin<'_>) -> Result<Reply, Error> {
    let mut fields = Fields::parse_reply(body)?;
    let message = fields
        .inner("output")
        .and_then(|mut output| output.inner("message"));
    let Some(mut message) = message else {
        return Err(Error::InvalidReply {
            problem: "has no `output.message`".to_owned(),
        });
    };
    let blocks = message.elements("content").into_iter().enumerate();
    let is_summary = shows_summaries(origin.model);
    let parts = blocks
        .map(|(place, block)| part_of(&format!("content[{place}]"), block).summarized(is_summary));
    let stop = fields.text("stopReason");
    let more = fields.peek("additionalModelResponseFields");
    let stop = stop.map(|stop| read_stop(&stop, more));
    let reported = fields.take("usage");
    let tier = fields.peek("serviceTier");
    let tier = tier.and_then(|tier| tier.get("type")?.as_str());
    let service_tier = tier.map(ToOwned::to_owned);
    if service_tier.is_some() {
        fields.take("serviceTier");
    }
    Ok(Reply {
        dialect: Dialect::Converse,
        id: origin.id.to_owned(),
        model: origin.model.to_owned(),
        choices: vec![Choice {
            parts: parts.collect(),
            stop,
            log_probs: None,
        }],
        usage: reported.as_ref().and_then(read_usage),
        usage_reported: reported,
        service_tier,
        rest: fields.into_rest(),
        ..Reply::default()
    })
}

/// Returns what a reason means. Which text ended the answer is told only where it was asked for.
pub(super) fn read_stop(reason: &str, more: Option<&Value>) -> StopReason {
    match reason {
        "end_turn" => StopReason::EndTurn,
        "max_tokens" | "model_context_window_exceeded" => StopReason::MaxTokens,
        "stop_sequence" => {
            let sequence = more.and_then(|more| more.get("stop_sequence")?.as_str());
            StopReason::StopSequence(sequence.map(ToOwned::to_owned))
        }
        "tool_use" => StopReason::ToolUse,
        "guardrail_intervened" | "content_filtered" => StopReason::ContentFilter,
        "refusal" => StopReason::Refusal,
        "pause_turn" => StopReason::Pause,
        other => StopReason::Other(other.to_owned()),
    }
}
