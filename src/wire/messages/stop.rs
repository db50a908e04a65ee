//! Why an answer ended, in Anthropic's words.

use crate::wire::conversation::{Dialect, StopReason};

/// Returns what `reason` means; `sequence` is the text that came, where one did.
pub(super) fn read_stop(reason: &str, sequence: Option<String>) -> StopReason {
    match reason {
        "end_turn" => StopReason::EndTurn,
        "max_tokens" | "model_context_window_exceeded" => StopReason::MaxTokens,
        "stop_sequence" => StopReason::StopSequence(sequence),
        "tool_use" => StopReason::ToolUse,
        "refusal" => StopReason::Refusal,
        "pause_turn" => StopReason::Pause,
        other => StopReason::Other(other.to_owned()),
    }
}

/// Returns the reason and the text that ended the answer; what other providers alone say, `source` being one of them,
/// is the end of a turn.
pub(super) fn write_stop(reason: &StopReason, source: Dialect) -> (&str, Option<&str>) {
    match reason {
        StopReason::EndTurn => ("end_turn", None),
        StopReason::MaxTokens => ("max_tokens", None),
        StopReason::StopSequence(sequence) => ("stop_sequence", sequence.as_deref()),
        StopReason::ToolUse => ("tool_use", None),
        StopReason::ContentFilter | StopReason::Refusal => ("refusal", None),
        StopReason::Pause => ("pause_turn", None),
        StopReason::Other(reason) if source == Dialect::Messages => (reason, None),
        StopReason::Other(_) => ("end_turn", None),
    }
}
