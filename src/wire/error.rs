//! What can be wrong with foreign JSON, told so that a client can mend it.

use crate::domain::Blame;

/// JSON that cannot be read as what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The body is not JSON, or not UTF-8.
    #[error("the body is not valid JSON: {problem}")]
    InvalidJson {
        /// What the parser found, with line and column.
        problem: String,
    },
    /// The body is JSON but no object.
    #[error("the body must be a JSON object, but is {found}")]
    NotAnObject {
        /// What it is: `an array`.
        found: &'static str,
    },
    /// A key stands twice in the body, so that two readers could read two requests.
    #[error("the key `{key}` stands twice in the body")]
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// Arrays and objects are nested too deeply.
    #[error("the JSON is nested deeper than {limit} levels at byte {position}")]
    TooDeep {
        /// The deepest level allowed.
        limit: usize,
        /// Where the limit is passed, in bytes from the start.
        position: usize,
    },
    /// There are too many messages.
    #[error("`messages` has {count} entries; at most {limit} are allowed")]
    TooManyMessages {
        /// How many there are.
        count: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A parameter is missing.
    #[error("`{param}` is missing")]
    MissingParameter {
        /// Its name.
        param: String,
    },
    /// A parameter has the wrong JSON type.
    #[error("`{param}` must be {expected}, but is {found}")]
    InvalidType {
        /// Its name, as a path: `messages[3].role`.
        param: String,
        /// What it must be: `a string`.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A parameter has the right type and a value that cannot be.
    #[error("`{param}` {problem}")]
    InvalidValue {
        /// Its name, as a path.
        param: String,
        /// What is wrong: `is empty`.
        problem: &'static str,
    },
    /// A provider's answer cannot be read.
    #[error("the provider's answer {problem}")]
    InvalidReply {
        /// What is wrong: `is not JSON: ...`.
        problem: String,
    },
    /// A line of a provider's event stream is longer than the limit.
    #[error("the provider's stream has an event of more than {limit} bytes")]
    EventTooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

impl Error {
    /// Returns the stable code of the error, the JSON `code` and the metric label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::InvalidJson { .. } | Self::NotAnObject { .. } => "invalid_json",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::TooDeep { .. } => "json_too_deep",
            Self::TooManyMessages { .. } => "too_many_messages",
            Self::MissingParameter { .. } => "missing_required_parameter",
            Self::InvalidType { .. } => "invalid_type",
            Self::InvalidValue { .. } => "invalid_value",
            Self::InvalidReply { .. } => "upstream_invalid",
            Self::EventTooLong { .. } => "upstream_event_too_long",
        }
    }

    /// Returns the parameter at fault, the JSON `param`.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::MissingParameter { param }
            | Self::InvalidType { param, .. }
            | Self::InvalidValue { param, .. } => Some(param),
            Self::DuplicateKey { key } => Some(key),
            Self::TooManyMessages { .. } => Some("messages"),
            Self::InvalidJson { .. }
            | Self::NotAnObject { .. }
            | Self::TooDeep { .. }
            | Self::InvalidReply { .. }
            | Self::EventTooLong { .. } => None,
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::InvalidReply { .. } | Self::EventTooLong { .. } => Blame::Provider,
            Self::InvalidJson { .. }
            | Self::NotAnObject { .. }
            | Self::DuplicateKey { .. }
            | Self::TooDeep { .. }
            | Self::TooManyMessages { .. }
            | Self::MissingParameter { .. }
            | Self::InvalidType { .. }
            | Self::InvalidValue { .. } => Blame::Client,
        }
    }

    /// Returns what to do about it, where that is not plain from the message.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::DuplicateKey { key } => Some(format!("send `{key}` once")),
            Self::MissingParameter { param } if param == "messages" => {
                Some("send `messages`, or name a prompt".to_owned())
            }
            Self::InvalidType { param, .. } if param == "prompt" => Some(
                "on chat completions `prompt` is an object: {\"id\": ..., \"version\": ..., \
                 \"variables\": {...}}"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    /// An error about a parameter that is missing.
    #[must_use]
    pub fn missing(param: impl Into<String>) -> Self {
        Self::MissingParameter {
            param: param.into(),
        }
    }

    /// An error about a provider's answer that is not the JSON it should be.
    pub(super) fn reply(error: &serde_json::Error) -> Self {
        Self::InvalidReply {
            problem: format!("cannot be read: {error}"),
        }
    }
}
