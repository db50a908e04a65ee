//! What a client calls the parts of its request, so that an error names what the client wrote.

use crate::wire::conversation::{Dialect, Request, Role};

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

/// The names of one request's parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Names {
    dialect: Dialect,
    /// How many messages at the beginning stand in a field of their own.
    before: usize,
}

impl Names {
    /// Returns the names that `request` has in the dialect it was read from.
    pub(super) fn of(request: &Request) -> Self {
        let is_apart = matches!(request.dialect, Dialect::Messages | Dialect::Responses);
        let first = request.messages.first();
        let is_system = first.is_some_and(|message| message.role == Role::System);
        Self {
            dialect: request.dialect,
            before: usize::from(is_apart && is_system),
        }
    }

    /// Returns the name of a message.
    pub(super) fn message(self, message: usize) -> String {
        let list = if self.dialect == Dialect::Responses {
            "input"
        } else {
            "messages"
        };
        match (message.checked_sub(self.before), self.dialect) {
            (Some(place), _) => format!("{list}[{place}]"),
            (None, Dialect::Responses) => "instructions".to_owned(),
            (None, _) => "system".to_owned(),
        }
    }

    /// Returns the name of a part of a message.
    pub(super) fn part(self, message: usize, part: usize) -> String {
        let message = self.message(message);
        if message.ends_with(']') {
            format!("{message}.content[{part}]")
        } else {
            format!("{message}[{part}]")
        }
    }

    /// Returns the name of the mark behind a part.
    pub(super) fn cache(self, message: usize, part: usize) -> String {
        format!("{}.cache_control", self.part(message, part))
    }

    /// Returns the name of a setting.
    pub(super) const fn setting(self, setting: Setting) -> &'static str {
        match (setting, self.dialect) {
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
    use crate::wire::conversation::{Dialect, Message, Request, Role};

    #[test]
    fn parts_are_named_as_the_client_wrote_them() {
        let message = |role| Message {
            role,
            name: None,
            parts: Vec::new(),
            is_plain: true,
        };
        let names = |dialect| {
            Names::of(&Request {
                dialect,
                messages: vec![message(Role::System), message(Role::User)],
                ..Request::default()
            })
        };
        let chat = names(Dialect::Chat);
        assert_eq!(chat.part(1, 0), "messages[1].content[0]");
        assert_eq!(chat.setting(Setting::Form), "response_format");
        let messages = names(Dialect::Messages);
        assert_eq!(messages.cache(0, 2), "system[2].cache_control");
        assert_eq!(messages.message(1), "messages[0]");
        let responses = names(Dialect::Responses);
        assert_eq!(responses.message(0), "instructions");
        assert_eq!(responses.part(1, 0), "input[0].content[0]");
    }
}
