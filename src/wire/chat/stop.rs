//! Why an answer ended: the words of chat completions, and of those who have others.

use crate::wire::conversation::{Part, StopReason};
use serde_json::Value;

/// What of an answer decides what its `finish_reason` means.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::wire) struct Said {
    /// Whether a tool is called.
    pub(in crate::wire) calls: bool,
    /// Whether there is a refusal.
    pub(in crate::wire) refuses: bool,
}

impl Said {
    /// Returns what `parts` say.
    pub(in crate::wire) fn of(parts: &[Part]) -> Self {
        Self {
            calls: parts.iter().any(|part| matches!(part, Part::ToolCall(_))),
            refuses: parts.iter().any(|part| matches!(part, Part::Refusal(_))),
        }
    }

    /// Returns why an answer ended that was finished: many say `stop` where tools are to be called.
    pub(in crate::wire) const fn finished(self) -> StopReason {
        if self.calls {
            StopReason::ToolUse
        } else if self.refuses {
            StopReason::Refusal
        } else {
            StopReason::EndTurn
        }
    }
}

/// Returns why an answer ended. `matched` is vLLM's `stop_reason` (the text that ended it), `native` is
/// OpenRouter's `native_finish_reason`.
pub(super) fn read_stop(
    reason: &str,
    matched: Option<&Value>,
    native: Option<&str>,
    said: Said,
) -> StopReason {
    match reason {
        "stop" if native == Some("pause_turn") => StopReason::Pause,
        "stop" | "stop_sequence" if matched.is_some_and(Value::is_string) => {
            let text = matched.and_then(Value::as_str).map(str::to_owned);
            StopReason::StopSequence(text)
        }
        "stop_sequence" => StopReason::StopSequence(None),
        "stop" | "eos" | "eos_token" | "end_turn" | "complete" | "COMPLETE" | "" => said.finished(),
        "length" | "max_tokens" | "model_length" | "MAX_TOKENS" => StopReason::MaxTokens,
        "tool_calls" | "function_call" | "tool_use" | "tool_call" => StopReason::ToolUse,
        "content_filter" if said.refuses => StopReason::Refusal,
        "content_filter" | "safety" => StopReason::ContentFilter,
        "refusal" => StopReason::Refusal,
        other => StopReason::Other(other.to_owned()),
    }
}

/// A `finish_reason`, and a field beside it that says more.
pub(super) type WrittenStop<'a> = (&'a str, Option<(&'static str, &'a str)>);

/// Returns the `finish_reason` of an answer, with the field by which imitators say what it cannot.
pub(super) fn written_stop(reason: &StopReason, refuses: bool) -> WrittenStop<'_> {
    match reason {
        StopReason::EndTurn | StopReason::StopSequence(None) => ("stop", None),
        StopReason::StopSequence(Some(text)) => ("stop", Some(("stop_reason", text))),
        StopReason::MaxTokens => ("length", None),
        StopReason::ToolUse => ("tool_calls", None),
        // `OpenAI` ends a refusal like any answer; without its text nothing else would tell.
        StopReason::Refusal if refuses => ("stop", None),
        StopReason::ContentFilter | StopReason::Refusal => ("content_filter", None),
        StopReason::Pause => ("stop", Some(("native_finish_reason", "pause_turn"))),
        StopReason::Other(reason) => (reason, None),
    }
}

#[cfg(test)]
mod tests {
    use super::{Said, read_stop, written_stop};
    use crate::wire::conversation::StopReason;
    use serde_json::json;

    #[test]
    fn reasons_are_read() {
        let calls = Said {
            calls: true,
            refuses: false,
        };
        let refuses = Said {
            calls: false,
            refuses: true,
        };
        let plain = Said::default();
        for (reason, said, expected) in [
            ("stop", plain, StopReason::EndTurn),
            ("eos", plain, StopReason::EndTurn),
            ("stop", calls, StopReason::ToolUse),
            ("tool_calls", calls, StopReason::ToolUse),
            ("function_call", calls, StopReason::ToolUse),
            ("length", calls, StopReason::MaxTokens),
            ("model_length", plain, StopReason::MaxTokens),
            ("stop", refuses, StopReason::Refusal),
            ("content_filter", plain, StopReason::ContentFilter),
            ("error", plain, StopReason::Other("error".to_owned())),
        ] {
            assert_eq!(read_stop(reason, None, None, said), expected, "{reason}");
        }
        let matched = json!("END");
        assert_eq!(
            read_stop("stop", Some(&matched), None, plain),
            StopReason::StopSequence(Some("END".to_owned()))
        );
        // vLLM's number of a token is no text.
        assert_eq!(
            read_stop("stop", Some(&json!(2)), None, plain),
            StopReason::EndTurn
        );
        assert_eq!(
            read_stop("stop", None, Some("pause_turn"), plain),
            StopReason::Pause
        );
    }

    #[test]
    fn reasons_are_written_so_that_they_can_be_read() {
        let calls = Said {
            calls: true,
            refuses: false,
        };
        for (reason, said) in [
            (StopReason::EndTurn, Said::default()),
            (StopReason::MaxTokens, Said::default()),
            (StopReason::ToolUse, calls),
            (StopReason::ContentFilter, Said::default()),
            (StopReason::Pause, Said::default()),
            (StopReason::Other("odd".to_owned()), Said::default()),
            (
                StopReason::StopSequence(Some("x".to_owned())),
                Said::default(),
            ),
            (
                StopReason::Refusal,
                Said {
                    calls: false,
                    refuses: true,
                },
            ),
        ] {
            let (word, more) = written_stop(&reason, said.refuses);
            let value = |key: &str| more.filter(|(name, _)| *name == key).map(|(_, text)| text);
            let matched = value("stop_reason").map(|text| json!(text));
            let native = value("native_finish_reason");
            assert_eq!(read_stop(word, matched.as_ref(), native, said), reason);
        }
    }
}
