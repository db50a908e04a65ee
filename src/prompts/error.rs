//! Everything that can go wrong between a reference and rendered messages.

use crate::domain::{Blame, BundleHash, ParseReferenceError};
use crate::git;
use crate::prompts::problem::Problem;
use std::time::Duration;

/// A variable that does not fit the prompt's schema. Never carries the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidVariable {
    /// JSON pointer into the variables: `/customer/name`.
    pub pointer: String,
    /// What is expected there: "a string".
    pub expected: String,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reference cannot be read.
    #[error(transparent)]
    InvalidReference(#[from] ParseReferenceError),
    /// No such prompt, or one that the caller may not see.
    #[error("prompt `{name}` not found")]
    NotFound {
        /// As asked for.
        name: String,
        /// Names like it that the caller may use.
        nearest: Vec<String>,
    },
    /// The caller's key does not cover the prompt. Reads like [`Error::NotFound`].
    #[error("prompt `{name}` not found")]
    Forbidden {
        /// As asked for.
        name: String,
        /// Names like it that the caller may use.
        nearest: Vec<String>,
    },
    /// The prompt has no such version.
    #[error("prompt `{name}` has no version `{selector}`")]
    VersionNotFound {
        /// The prompt.
        name: String,
        /// As asked for.
        selector: String,
        /// What there is instead, in words.
        choices: String,
    },
    /// The prompt has no such label.
    #[error("prompt `{name}` has no label `{label}`")]
    LabelNotFound {
        /// The prompt.
        name: String,
        /// As asked for.
        label: String,
        /// Labels that there are.
        known: Vec<String>,
    },
    /// The prompt is retired.
    #[error("prompt `{name}` is retired since {since}")]
    Retired {
        /// The prompt.
        name: String,
        /// From when on, as its file says.
        since: String,
        /// What to use instead.
        replacement: Option<String>,
    },
    /// An override that cannot be put in force.
    #[error("{problem}")]
    InvalidOverride {
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// There is no such override.
    #[error("label `{label}` of prompt `{name}` is not overridden")]
    OverrideNotFound {
        /// The label.
        label: String,
        /// The prompt.
        name: String,
    },
    /// No such pull request is previewed.
    #[error("prompt `{name}` has no preview of pull request {number}")]
    PreviewNotFound {
        /// The prompt.
        name: String,
        /// The pull request.
        number: u32,
    },
    /// A short hash fits several versions.
    #[error(
        "`sha-{hex}` fits several versions of prompt `{name}`: {}",
        hashes(candidates)
    )]
    VersionAmbiguous {
        /// The prompt.
        name: String,
        /// As asked for.
        hex: String,
        /// The versions it fits.
        candidates: Vec<BundleHash>,
    },
    /// Variables that the prompt needs were not given.
    #[error("missing variables of the prompt: {}", quoted(names))]
    MissingVariables {
        /// All of them.
        names: Vec<String>,
    },
    /// Variables do not fit the schema, or are too large.
    #[error("invalid variables of the prompt: {}", expectations(variables))]
    InvalidVariables {
        /// All of them.
        variables: Vec<InvalidVariable>,
    },
    /// A variable that the prompt, which is strict, does not declare.
    #[error("the prompt has no variable `{name}`")]
    UnknownVariable {
        /// As given.
        name: String,
        /// Declared names like it.
        nearest: Vec<String>,
    },
    /// The prompt takes no messages of the client.
    #[error("the prompt takes no messages, {count} were given")]
    MessagesNotAllowed {
        /// How many were given.
        count: usize,
    },
    /// The template cannot be rendered: its author's mistake.
    #[error("prompt {version} cannot be rendered: line {line}: {reason}")]
    RenderFailed {
        /// The version's short hash.
        version: String,
        /// The line in the file.
        line: usize,
        /// Without values.
        reason: String,
    },
    /// The template did more than a render may.
    #[error("prompt {version} cannot be rendered: more than {limit} of {what}")]
    RenderLimit {
        /// The version's short hash.
        version: String,
        /// Which limit.
        what: &'static str,
        /// The limit.
        limit: String,
    },
    /// The files have problems; what was loaded before stays.
    #[error("the prompts were not loaded: {} problem(s), the first: {}", problems.len(), first(problems))]
    LoadFailed {
        /// All of them.
        problems: Vec<Problem>,
    },
    /// The directory of the prompts cannot be read.
    #[error("prompts cannot be read from `{path}`: {reason}")]
    SourceUnreadable {
        /// Where they should be.
        path: String,
        /// The operating system's words.
        reason: String,
    },
    /// The repository of the prompts cannot be read.
    #[error("prompts cannot be read from Git")]
    Git(#[source] git::Error),
    /// The archive of versions cannot be read or written.
    #[error("the archive of prompt versions failed: {0}")]
    Archive(String),
    /// A stored version does not have the hash it is stored under, or cannot be read.
    #[error("a stored prompt version is damaged: {reason}")]
    BundleDamaged {
        /// What is wrong with it.
        reason: String,
    },
    /// The history is still being numbered.
    #[error("the versions of the prompts are still being numbered")]
    NumbersPending,
    /// The history cannot be read, so no version has a number that could be relied on.
    #[error("the versions of the prompts cannot be numbered: {reason}")]
    NumbersUnavailable {
        /// What is wrong with the repository.
        reason: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The prompts are in no commit, so they have no history.
    #[error("the prompts have no history: they are in no commit of a Git repository")]
    NoHistory,
    /// Nothing has come yet that could be served.
    #[error("no prompts have been fetched or pushed yet")]
    NothingLoaded,
    /// Prompts do not come as bundles here.
    #[error("prompts are not pushed to this gateway")]
    PushNotExpected,
    /// A bundle that is not newer than the last one.
    #[error("the bundle has the sequence number {sequence}, the last one had {last}")]
    BundleReplayed {
        /// Of the bundle.
        sequence: u64,
        /// Of the last bundle that was taken.
        last: u64,
    },
    /// Background work was stopped, as the process is ending.
    #[error("the prompts are shutting down")]
    Stopping,
}

fn quoted(names: &[String]) -> String {
    let names: Vec<_> = names
        .iter()
        .take(20)
        .map(|name| format!("`{name}`"))
        .collect();
    names.join(", ")
}

fn hashes(candidates: &[BundleHash]) -> String {
    let hashes: Vec<_> = candidates.iter().take(5).map(|hash| hash.short()).collect();
    hashes.join(", ")
}

fn expectations(variables: &[InvalidVariable]) -> String {
    let texts: Vec<_> = variables
        .iter()
        .take(5)
        .map(|variable| format!("`{}` must be {}", variable.pointer, variable.expected))
        .collect();
    texts.join("; ")
}

fn first(problems: &[Problem]) -> String {
    problems
        .first()
        .map(ToString::to_string)
        .unwrap_or_default()
}

impl Error {
    /// Returns the stable code of the kind of error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::InvalidReference(_) => "invalid_prompt_reference",
            Self::NotFound { .. } => "prompt_not_found",
            Self::Forbidden { .. } => "prompt_forbidden",
            Self::VersionNotFound { .. } => "prompt_version_not_found",
            Self::LabelNotFound { .. } => "prompt_label_not_found",
            Self::Retired { .. } => "prompt_retired",
            Self::InvalidOverride { .. } => "invalid_prompt_override",
            Self::OverrideNotFound { .. } => "prompt_override_not_found",
            Self::PreviewNotFound { .. } => "prompt_preview_not_found",
            Self::VersionAmbiguous { .. } => "prompt_version_ambiguous",
            Self::MissingVariables { .. } => "missing_prompt_variables",
            Self::InvalidVariables { .. } => "invalid_prompt_variable",
            Self::UnknownVariable { .. } => "unknown_prompt_variable",
            Self::MessagesNotAllowed { .. } => "prompt_messages_not_allowed",
            Self::RenderFailed { .. } => "prompt_render_failed",
            Self::RenderLimit { .. } => "prompt_render_limit",
            Self::LoadFailed { .. } => "prompt_load_failed",
            Self::SourceUnreadable { .. }
            | Self::Git(_)
            | Self::Archive(_)
            | Self::NumbersPending
            | Self::NumbersUnavailable { .. }
            | Self::NothingLoaded
            | Self::Stopping => "prompt_registry_unavailable",
            Self::PushNotExpected => "prompt_push_not_expected",
            Self::BundleReplayed { .. } => "prompt_bundle_replayed",
            Self::NoHistory => "prompt_history_not_found",
            Self::BundleDamaged { .. } => "prompt_bundle_damaged",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::InvalidReference(_)
            | Self::NotFound { .. }
            | Self::Forbidden { .. }
            | Self::VersionNotFound { .. }
            | Self::LabelNotFound { .. }
            | Self::Retired { .. }
            | Self::InvalidOverride { .. }
            | Self::OverrideNotFound { .. }
            | Self::PreviewNotFound { .. }
            | Self::VersionAmbiguous { .. }
            | Self::MissingVariables { .. }
            | Self::InvalidVariables { .. }
            | Self::UnknownVariable { .. }
            | Self::NoHistory
            | Self::PushNotExpected
            | Self::BundleReplayed { .. }
            | Self::MessagesNotAllowed { .. } => Blame::Client,
            Self::RenderFailed { .. }
            | Self::RenderLimit { .. }
            | Self::LoadFailed { .. }
            | Self::SourceUnreadable { .. }
            | Self::Git(_)
            | Self::Archive(_)
            | Self::BundleDamaged { .. }
            | Self::NumbersPending
            | Self::NumbersUnavailable { .. }
            | Self::NothingLoaded
            | Self::Stopping => Blame::Gateway,
        }
    }

    /// Returns the request's field that is at fault.
    #[must_use]
    pub fn param(&self) -> Option<String> {
        match self {
            Self::InvalidReference(_)
            | Self::NotFound { .. }
            | Self::Forbidden { .. }
            | Self::Retired { .. } => Some("prompt.id".to_owned()),
            Self::InvalidOverride { .. } | Self::OverrideNotFound { .. } => None,
            Self::VersionNotFound { .. }
            | Self::LabelNotFound { .. }
            | Self::PreviewNotFound { .. }
            | Self::NumbersPending
            | Self::NumbersUnavailable { .. }
            | Self::VersionAmbiguous { .. } => Some("prompt.version".to_owned()),
            Self::MissingVariables { names } => {
                names.first().map(|name| format!("prompt.variables.{name}"))
            }
            Self::InvalidVariables { variables } => variables
                .first()
                .map(|variable| format!("prompt.variables{}", variable.pointer.replace('/', "."))),
            Self::UnknownVariable { name, .. } => Some(format!("prompt.variables.{name}")),
            Self::MessagesNotAllowed { .. } => Some("messages".to_owned()),
            Self::NoHistory
            | Self::RenderFailed { .. }
            | Self::RenderLimit { .. }
            | Self::LoadFailed { .. }
            | Self::SourceUnreadable { .. }
            | Self::Git(_)
            | Self::Archive(_)
            | Self::BundleDamaged { .. }
            | Self::NothingLoaded
            | Self::PushNotExpected
            | Self::BundleReplayed { .. }
            | Self::Stopping => None,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { nearest, .. }
            | Self::Forbidden { nearest, .. }
            | Self::UnknownVariable { nearest, .. } => {
                (!nearest.is_empty()).then(|| format!("did you mean {}?", quoted(nearest)))
            }
            Self::VersionNotFound { choices, .. } => Some(choices.clone()),
            Self::LabelNotFound { known, .. } => Some(format!("the labels are {}", quoted(known))),
            Self::Retired { replacement, .. } => replacement
                .as_ref()
                .map(|name| format!("use `{name}` instead")),
            Self::InvalidOverride { hint, .. } => Some(hint.clone()),
            Self::OverrideNotFound { .. } => {
                Some("`promptgate prompts override list` shows what is".to_owned())
            }
            Self::PreviewNotFound { .. } => {
                Some("ask for a commit of the pull request: `@git:COMMIT`".to_owned())
            }
            Self::VersionAmbiguous { .. } => Some("write more digits of the hash".to_owned()),
            Self::MissingVariables { .. } => Some("send them in `prompt.variables`".to_owned()),
            Self::MessagesNotAllowed { .. } => {
                Some("send an empty `messages` and pass values in `prompt.variables`".to_owned())
            }
            Self::LoadFailed { problems } => problems.first().and_then(|first| first.hint.clone()),
            Self::Git(error) => error.hint(),
            Self::NumbersPending => Some(
                "ask again soon, or for a hash `@sha-HEX` or a commit `@git:REF` now".to_owned(),
            ),
            Self::NumbersUnavailable { hint, .. } => hint.clone(),
            Self::NoHistory => Some("commit them to a Git repository".to_owned()),
            Self::NothingLoaded => Some(
                "fetch them: `promptgate prompts sync --now`; or push some: `promptgate prompts push`"
                    .to_owned(),
            ),
            Self::PushNotExpected => Some(
                "set `pushed = true` and `push_secret` in `[prompts]` of promptgate.toml"
                    .to_owned(),
            ),
            Self::BundleReplayed { .. } => {
                Some("make a new bundle; its number must be higher".to_owned())
            }
            Self::InvalidReference(_)
            | Self::InvalidVariables { .. }
            | Self::RenderFailed { .. }
            | Self::RenderLimit { .. }
            | Self::SourceUnreadable { .. }
            | Self::Archive(_)
            | Self::BundleDamaged { .. }
            | Self::Stopping => None,
        }
    }

    /// Returns when it is worth asking again.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::SourceUnreadable { .. }
            | Self::Git(_)
            | Self::Archive(_)
            | Self::NothingLoaded
            | Self::Stopping => Some(Duration::from_secs(5)),
            Self::NumbersPending => Some(Duration::from_secs(2)),
            Self::NumbersUnavailable { .. } => Some(Duration::from_secs(60)),
            Self::InvalidReference(_)
            | Self::NotFound { .. }
            | Self::Forbidden { .. }
            | Self::VersionNotFound { .. }
            | Self::LabelNotFound { .. }
            | Self::Retired { .. }
            | Self::InvalidOverride { .. }
            | Self::OverrideNotFound { .. }
            | Self::PreviewNotFound { .. }
            | Self::VersionAmbiguous { .. }
            | Self::MissingVariables { .. }
            | Self::InvalidVariables { .. }
            | Self::UnknownVariable { .. }
            | Self::MessagesNotAllowed { .. }
            | Self::RenderFailed { .. }
            | Self::RenderLimit { .. }
            | Self::LoadFailed { .. }
            | Self::NoHistory
            | Self::PushNotExpected
            | Self::BundleReplayed { .. }
            | Self::BundleDamaged { .. } => None,
        }
    }
}
