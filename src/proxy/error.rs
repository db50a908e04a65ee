//! Everything that can keep a call from its answer, with whose fault it is.

use crate::domain::{Blame, CallState, Dialect};
use crate::providers::{Clock, ErrorKind, UploadFault};
use crate::proxy::naming::Way;
use crate::safety::Secrets;
use crate::wire::conversation::Unsupported;
use crate::wire::openai::ProviderFault;
use crate::wire::translate::{self, FaultHead};
use crate::{prompts, providers, store, wire};
use std::time::Duration;

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be read.
    #[error(transparent)]
    Request(#[from] wire::Error),
    /// The prompt cannot be resolved or rendered.
    #[error(transparent)]
    Prompt(#[from] prompts::Error),
    /// The request names two different prompts.
    #[error("the request names two prompts, `{first}` ({first_way}) and `{second}` ({second_way})")]
    PromptReferenceConflict {
        /// The one.
        first: String,
        /// Where it is named.
        first_way: Way,
        /// The other.
        second: String,
        /// Where that is named.
        second_way: Way,
    },
    /// The request gives a variable two values.
    #[error("variable `{name}` has two values, in {first} and in {second}")]
    PromptVariableConflict {
        /// The variable.
        name: String,
        /// Where it has the one.
        first: Way,
        /// Where it has the other.
        second: Way,
    },
    /// A variable that should be an image or a file cannot be used as one.
    #[error("variable `{name}` {problem}")]
    MediaInvalid {
        /// The variable.
        name: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A variable that is an image or a file is too large.
    #[error("variable `{name}` has more than {limit} bytes")]
    MediaTooLarge {
        /// The variable.
        name: String,
        /// How much it may have.
        limit: usize,
    },
    /// Neither the request nor the prompt names a model.
    #[error("prompt `{prompt}` names no model, and neither does the request")]
    MissingModel {
        /// The prompt.
        prompt: String,
    },
    /// The request sets a parameter that the prompt locks.
    #[error("prompt `{prompt}` does not let a request set `{parameter}`")]
    ParameterLocked {
        /// The prompt.
        prompt: String,
        /// The parameter.
        parameter: String,
    },
    /// No provider serves the model.
    #[error("model `{model}` is not known here")]
    ModelNotFound {
        /// The model that was asked for.
        model: String,
        /// The provider it belongs to, which is not configured.
        owner: Option<String>,
        /// Providers with similar names.
        near: Vec<String>,
    },
    /// The caller's key does not allow the model.
    #[error("this key may not use model `{model}`")]
    ModelForbidden {
        /// The model that was asked for.
        model: String,
    },
    /// Every attempt failed; this is the last one's error.
    #[error("{}", told(.error, .fault.as_deref()))]
    Provider {
        /// What happened to the request.
        error: providers::Error,
        /// What the provider said about it, free of secrets.
        fault: Option<Box<ProviderFault>>,
    },
    /// The provider that the model is routed to cannot be told a part of the request.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// The body of a raw request did not come whole.
    #[error(transparent)]
    Upload(UploadFault),
    /// The same as `Unsupported`, of a setting that the prompt brings.
    #[error("prompt `{prompt}` sets `{setting}`: {unsupported}")]
    PromptUnsupported {
        /// The prompt.
        prompt: String,
        /// The setting, by its name in chat completions.
        setting: String,
        /// What cannot be said.
        unsupported: Unsupported,
    },
    /// A raw request names no model, and no provider speaks as `OpenAI` does.
    #[error("no configured provider has `{path}`")]
    NoProvider {
        /// The path.
        path: String,
    },
    /// The answer that a request goes on from is not there, or not for this caller.
    #[error("response `{id}` is not kept here")]
    PreviousNotFound {
        /// The answer.
        id: String,
    },
    /// The conversation that a request goes on with is too long.
    #[error("the conversation before response `{id}` is too long")]
    PreviousTooLong {
        /// The answer.
        id: String,
    },
    /// A stream began and brought no content in time.
    #[error("provider `{provider}` sent no content within {limit:?}")]
    NoContent {
        /// The provider.
        provider: String,
        /// The limit.
        limit: Duration,
    },
    /// The provider answered 200 with an error, or with something that is no answer.
    #[error("provider `{provider}` sent an answer that cannot be used: {problem}")]
    InvalidAnswer {
        /// The provider.
        provider: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The answer is well-formed and not what is wanted of the model: asked again, it would be no other.
    #[error("provider `{provider}` sent an answer that cannot be used: {problem}")]
    UnfitAnswer {
        /// The provider.
        provider: String,
        /// What is wrong with it.
        problem: String,
    },
    /// An answer does not have the form that its prompt insists on.
    #[error("the answer does not have the form of prompt `{prompt}`: {fault}")]
    OutputInvalid {
        /// The prompt.
        prompt: String,
        /// What is wrong, without values.
        fault: String,
    },
    /// The call cannot be recorded, so it is not made.
    #[error("the call cannot be recorded")]
    Record(#[from] store::Error),
    /// A record's prompt renders to something else than was recorded.
    #[error("prompt `{prompt}` does not render to what was recorded")]
    NotReproducible {
        /// The prompt.
        prompt: String,
    },
    /// The process is shutting down.
    #[error("the gateway is shutting down")]
    ShuttingDown,
}

/// The provider's own words where there are some.
fn told(error: &providers::Error, fault: Option<&ProviderFault>) -> String {
    fault.map_or_else(
        || error.to_string(),
        |fault| format!("{error}: {}", fault.message),
    )
}

/// Providers echo keys.
fn scrubbed(fault: ProviderFault, secrets: &Secrets) -> ProviderFault {
    fault.scrubbed(|text| secrets.scrub_text(text).into_owned())
}

impl Error {
    /// Returns the error for a request that a provider did not answer well. What it says is freed of
    /// secrets: providers echo keys.
    pub(crate) fn from_provider(
        error: providers::Error,
        dialect: Dialect,
        secrets: &Secrets,
    ) -> Self {
        let fault = error.body().filter(|body| !body.is_empty()).map(|body| {
            let head = FaultHead {
                status: error.status().unwrap_or_default(),
                content_type: error.content_type(),
                error_type: error.header_error_type(),
            };
            Box::new(scrubbed(
                translate::read_fault(dialect, &head, body),
                secrets,
            ))
        });
        Self::Provider { error, fault }
    }

    /// Returns the error for a fault in an answer or a stream with a good status, freed of secrets. What the provider
    /// says means the same as it would have before the answer began; what was found here makes it no answer.
    pub(crate) fn from_fault(provider: &str, fault: &ProviderFault, secrets: &Secrets) -> Self {
        let fault = scrubbed(fault.clone(), secrets);
        if fault.is_found {
            return Self::InvalidAnswer {
                provider: provider.to_owned(),
                problem: fault.message,
            };
        }
        Self::Provider {
            error: providers::Error::from_fault(provider, &fault),
            fault: Some(Box::new(fault)),
        }
    }

    /// Returns what the provider said about it, where it said something.
    #[must_use]
    pub fn fault(&self) -> Option<&ProviderFault> {
        match self {
            Self::Provider { fault, .. } => fault.as_deref(),
            _ => None,
        }
    }

    /// Returns the stable code of the error, for bodies, records and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Request(error) => error.kind(),
            Self::Prompt(error) => error.kind(),
            Self::PromptReferenceConflict { .. } => "prompt_reference_conflict",
            Self::PromptVariableConflict { .. } => "prompt_variable_conflict",
            Self::MediaInvalid { .. } => "prompt_media_invalid",
            Self::MediaTooLarge { .. } => "prompt_media_too_large",
            Self::MissingModel { .. } => "missing_model",
            Self::ParameterLocked { .. } => "prompt_parameter_locked",
            Self::ModelNotFound { .. } => "model_not_found",
            Self::ModelForbidden { .. } => "model_forbidden",
            Self::Provider { error, .. } => error.kind(),
            Self::Unsupported(_) | Self::PromptUnsupported { .. } => "unsupported_parameter",
            Self::Upload(UploadFault::TooLarge { .. }) => "request_too_large",
            Self::Upload(UploadFault::TooSlow) => "request_timeout",
            Self::Upload(UploadFault::BrokenOff) => "request_incomplete",
            Self::NoProvider { .. } => "provider_not_found",
            Self::PreviousNotFound { .. } => "previous_response_not_found",
            Self::PreviousTooLong { .. } => "previous_response_too_long",
            Self::NoContent { .. } => "upstream_timeout",
            Self::InvalidAnswer { .. } | Self::UnfitAnswer { .. } => "upstream_invalid",
            Self::OutputInvalid { .. } => "prompt_output_invalid",
            Self::Record(error) => error.kind(),
            Self::NotReproducible { .. } => "not_reproducible",
            Self::ShuttingDown => "shutting_down",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Request(_)
            | Self::PromptReferenceConflict { .. }
            | Self::PromptVariableConflict { .. }
            | Self::MediaInvalid { .. }
            | Self::MediaTooLarge { .. }
            | Self::MissingModel { .. }
            | Self::ParameterLocked { .. }
            | Self::ModelNotFound { .. }
            | Self::ModelForbidden { .. }
            | Self::Unsupported(_)
            | Self::PromptUnsupported { .. }
            | Self::Upload(_)
            | Self::NoProvider { .. }
            | Self::PreviousNotFound { .. }
            | Self::PreviousTooLong { .. } => Blame::Client,
            Self::Prompt(error) => error.blame(),
            Self::Provider { error, .. } => error.blame(),
            Self::NoContent { .. }
            | Self::InvalidAnswer { .. }
            | Self::UnfitAnswer { .. }
            | Self::OutputInvalid { .. } => Blame::Provider,
            Self::Record(_) | Self::NotReproducible { .. } | Self::ShuttingDown => Blame::Gateway,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Request(error) => error.hint(),
            Self::Prompt(error) => error.hint(),
            Self::ParameterLocked { parameter, .. } => Some(format!(
                "leave `{parameter}` out; the prompt's file decides it"
            )),
            Self::ModelNotFound {
                owner: Some(owner), ..
            } => Some(format!(
                "it belongs to provider `{owner}`, which is not configured; set its API key in the \
                 environment or add `[providers.{owner}]` to promptgate.toml"
            )),
            Self::ModelNotFound { near, .. } if !near.is_empty() => Some(format!(
                "write it as `provider/model`; near: {}",
                near.join(", ")
            )),
            Self::Provider { error, .. } => error.hint(),
            Self::Record(error) => error.hint(),
            other => other.plain_hint().map(str::to_owned),
        }
    }

    /// What to do where that is always the same.
    const fn plain_hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::PromptReferenceConflict { .. } => "name the prompt once, or everywhere alike",
            Self::PromptVariableConflict { .. } => "send each variable once, in `prompt.variables`",
            Self::MediaInvalid { .. } => {
                "send an `https:` or `data:` URL in `image_url`, `file_url` or `file_data`"
            }
            Self::MediaTooLarge { .. } => "send its URL in place of its content",
            Self::MissingModel { .. } => {
                "set `model:` in the prompt's front matter or `model` in the request"
            }
            Self::ModelNotFound { .. } => {
                "write it as `provider/model`, or route it in `[models]` of promptgate.toml; \
                 GET /v1/models lists what there is"
            }
            Self::ModelForbidden { .. } => "ask for a key with a wider `--model` scope",
            Self::Unsupported(_) => {
                "leave it out, ask a model whose provider has it, or set `drop_unsupported = true` for \
                 the provider or the route of the model in promptgate.toml: it is then left out with a warning"
            }
            Self::PromptUnsupported { .. } => {
                "take it out of the prompt's file, ask a model whose provider has it, or set \
                 `drop_unsupported = true` for the provider or the route of the model in promptgate.toml: it is \
                 then left out with a warning"
            }
            Self::Upload(UploadFault::TooLarge { .. }) => {
                "send less, or raise `server.max_body` in promptgate.toml"
            }
            Self::NoProvider { .. } => {
                "set `OPENAI_API_KEY`, name a model in the body, or write the provider in front: \
                 `/PROVIDER/v1/...`"
            }
            Self::PreviousNotFound { .. } => {
                "answers are kept for the key that asked, unless it said `\"store\": false`; send the \
                 conversation's items in `input`"
            }
            Self::PreviousTooLong { .. } => "send the items that still matter in `input`",
            Self::UnfitAnswer { .. } => {
                "say the dimensions and the cut that the model can give, or ask another model"
            }
            Self::OutputInvalid { .. } => {
                "the answer is in the record; without `promptgate.enforce_output` it is handed over with a warning"
            }
            _ => return None,
        })
    }

    /// Returns the request's field that is at fault.
    #[must_use]
    pub fn param(&self) -> Option<String> {
        match self {
            Self::Request(error) => error.param().map(str::to_owned),
            Self::Prompt(error) => error.param(),
            Self::PromptReferenceConflict { .. } => Some("prompt".to_owned()),
            Self::PromptVariableConflict { name, .. }
            | Self::MediaInvalid { name, .. }
            | Self::MediaTooLarge { name, .. } => Some(format!("prompt.variables.{name}")),
            Self::MissingModel { .. }
            | Self::ModelNotFound { .. }
            | Self::ModelForbidden { .. } => Some("model".to_owned()),
            Self::ParameterLocked { parameter, .. } => Some(parameter.clone()),
            Self::Unsupported(unsupported) => Some(unsupported.field.clone()),
            Self::PromptUnsupported { setting, .. } => Some(format!("prompt.{setting}")),
            Self::PreviousNotFound { .. } | Self::PreviousTooLong { .. } => {
                Some("previous_response_id".to_owned())
            }
            Self::Provider { fault, .. } => fault.as_ref().and_then(|fault| fault.param.clone()),
            Self::NoContent { .. }
            | Self::InvalidAnswer { .. }
            | Self::UnfitAnswer { .. }
            | Self::Upload(_)
            | Self::NoProvider { .. }
            | Self::OutputInvalid { .. }
            | Self::Record(_)
            | Self::NotReproducible { .. }
            | Self::ShuttingDown => None,
        }
    }

    /// Returns how long the client should wait before it tries again.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Provider { error, .. } => error.retry_after(),
            Self::Prompt(error) => error.retry_after(),
            Self::Record(_) | Self::ShuttingDown => Some(Duration::from_secs(1)),
            _ => None,
        }
    }

    /// Whether the same question may be answered later: the provider was busy, or could not be reached.
    #[must_use]
    pub fn may_succeed_later(&self) -> bool {
        match self {
            Self::Provider { error, .. } => error.is_retryable(),
            Self::NoContent { .. }
            | Self::InvalidAnswer { .. }
            | Self::Record(_)
            | Self::ShuttingDown => true,
            _ => false,
        }
    }

    /// Whether the provider had the request and did not answer in time.
    #[must_use]
    pub fn was_too_slow(&self) -> bool {
        let Self::Provider { error, .. } = self else {
            return false;
        };
        match error.error_kind() {
            ErrorKind::Timeout(clock) => clock != Clock::Connect,
            _ => false,
        }
    }

    /// Returns how the record of a call ends that ends with this error.
    #[must_use]
    pub fn state(&self) -> CallState {
        match self {
            Self::NoContent { .. } => CallState::Timeout,
            Self::Upload(UploadFault::BrokenOff) => CallState::ClientGone,
            Self::Provider { error, .. } if matches!(error.error_kind(), ErrorKind::Timeout(_)) => {
                CallState::Timeout
            }
            // A refusal of our own credentials is no fault of the request.
            Self::Provider { error, .. }
                if error.error_kind() == ErrorKind::Rejected
                    && !matches!(error.status(), Some(401 | 403)) =>
            {
                CallState::Refused
            }
            Self::Provider { .. } => CallState::UpstreamError,
            _ if self.blame() == Blame::Client => CallState::Refused,
            _ => CallState::UpstreamError,
        }
    }
}
