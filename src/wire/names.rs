//! What a client calls the settings of its request, so that an error names what the client wrote.

use crate::wire::conversation::{Dialect, Request};

/// A setting that the dialects call by different names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Setting {
    /// The form of the answer.
    Form,
    /// How much is thought.
    Effort,
    /// Whether several tools may be called at once.
    Parallel,
    /// Log probabilities.
    LogProbs,
    /// The end user.
    User,
}

/// The names that one request's settings have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names(Dialect);

impl Names {
    /// Returns the names that settings have in the dialect from which `request` was read.
    pub(super) const fn of(request: &Request) -> Self {
        Self(request.dialect)
    }

    /// Returns the name of a setting.
    pub(super) const fn setting(self, setting: Setting) -> &'static str {
        match (setting, self.0) {
            (Setting::Form, Dialect::Chat) => "response_format",
            (Setting::Form, Dialect::Responses) => "text.format",
            (Setting::Form, _) => "output_config.format",
            (Setting::Effort, Dialect::Chat) => "reasoning_effort",
            (Setting::Effort, Dialect::Responses) => "reasoning.effort",
            (Setting::Effort, _) => "output_config.effort",
            (Setting::Parallel, Dialect::Messages) => "tool_choice.disable_parallel_tool_use",
            (Setting::Parallel, _) => "parallel_tool_calls",
            (Setting::LogProbs, Dialect::Responses) => "top_logprobs",
            (Setting::LogProbs, _) => "logprobs",
            (Setting::User, Dialect::Messages) => "metadata.user_id",
            (Setting::User, _) => "user",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Names, Setting};
    use crate::wire::conversation::{Dialect, Request};

    #[test]
    fn settings_are_named_as_the_client_wrote_them() {
        for (dialect, form, effort) in [
            (Dialect::Chat, "response_format", "reasoning_effort"),
            (Dialect::Responses, "text.format", "reasoning.effort"),
            (
                Dialect::Messages,
                "output_config.format",
                "output_config.effort",
            ),
        ] {
            let names = Names::of(&Request {
                dialect,
                ..Request::default()
            });
            assert_eq!(names.setting(Setting::Form), form);
            assert_eq!(names.setting(Setting::Effort), effort);
        }
    }
}
