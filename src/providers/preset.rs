//! What is known about each provider: where it lives, what it speaks, how it is asked, and where it
//! differs.

use crate::domain::Dialect;
use crate::domain::Operation;
use std::fmt;
use std::str::FromStr;

/// Whose API an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Preset {
    /// `OpenAI`, and anything that calls itself compatible with it.
    OpenAi,
    /// Azure `OpenAI`: the model is a deployment in the path, the key a header of its own.
    AzureOpenAi,
    /// Anthropic: messages, and the `OpenAI`-compatible endpoint beside them.
    Anthropic,
    /// Google's Gemini API: its own, and the `OpenAI`-compatible endpoint beside it.
    Gemini,
    /// Google's Vertex AI: Gemini and Claude, below a project and a location.
    Vertex,
    /// Amazon's Bedrock.
    Bedrock,
    /// Mistral.
    Mistral,
    /// Cohere's `OpenAI`-compatible endpoint.
    Cohere,
    /// Groq.
    Groq,
    /// DeepSeek.
    DeepSeek,
    /// xAI.
    Xai,
    /// Together AI.
    Together,
    /// Fireworks AI.
    Fireworks,
    /// OpenRouter.
    OpenRouter,
    /// A local Ollama.
    Ollama,
    /// A local vLLM.
    Vllm,
    /// A local llama.cpp server.
    LlamaCpp,
    /// The provider in this process, which answers without a network (see `simulated`).
    Simulated,
}

/// How the key is shown to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthStyle {
    /// `authorization: Bearer KEY`.
    Bearer,
    /// `api-key: KEY`.
    ApiKeyHeader,
    /// `x-api-key: KEY` for messages, as a bearer for the compatible endpoint.
    Anthropic,
    /// `x-goog-api-key: KEY` for Gemini's own API, as a bearer for the compatible endpoint.
    Google,
}

/// Who proves who asks, where that is more than a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// Amazon: requests are signed.
    Aws,
    /// Google: requests carry a token for an hour.
    Google,
}

/// The facts of a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The name in config files.
    pub name: &'static str,
    /// The base URL when none is configured; `None` when there can be no default.
    pub base_url: Option<&'static str>,
    /// The path that a configured base URL without any path means.
    pub default_path: &'static str,
    /// Environment variables that may hold the key, in order of preference.
    pub key_variables: &'static [&'static str],
    /// The environment variable that may hold the base URL.
    pub base_url_variable: Option<&'static str>,
    /// How the key is shown.
    pub auth: AuthStyle,
    /// Whose credentials prove who asks when there is no key; `None` where there is only the key.
    pub cloud: Option<Cloud>,
    /// What it speaks in conversations, its best first.
    pub dialects: &'static [Dialect],
    /// What it speaks for embeddings, its best first; empty where it has none.
    pub embeddings: &'static [Dialect],
    /// Whether `stream_options.include_usage` is understood. Where it is not, usage comes anyway.
    pub stream_usage: bool,
    /// Whether dropping a stream stops the billing. Where it does not, the whole answer is billed.
    pub cancel_stops_billing: bool,
    /// Whether it runs on the operator's own machine, so that it needs no key.
    pub is_local: bool,
}

impl Facts {
    /// Returns what it speaks for `operation`, its best first.
    #[must_use]
    pub const fn dialects(&self, operation: Operation) -> &'static [Dialect] {
        match operation {
            Operation::Chat | Operation::Raw | Operation::Count => self.dialects,
            Operation::Embeddings => self.embeddings,
        }
    }
}

impl Preset {
    /// Every preset, in the order in which lists show them.
    pub const ALL: [Self; 18] = [
        Self::OpenAi,
        Self::AzureOpenAi,
        Self::Anthropic,
        Self::Gemini,
        Self::Vertex,
        Self::Bedrock,
        Self::Mistral,
        Self::Cohere,
        Self::Groq,
        Self::DeepSeek,
        Self::Xai,
        Self::Together,
        Self::Fireworks,
        Self::OpenRouter,
        Self::Ollama,
        Self::Vllm,
        Self::LlamaCpp,
        Self::Simulated,
    ];

    /// Returns the name in config files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// Returns what a config may say that it speaks.
    #[must_use]
    pub const fn may_speak(self) -> &'static [Dialect] {
        match self {
            Self::Anthropic => &[Dialect::Messages, Dialect::Chat],
            Self::Gemini => &[Dialect::Gemini, Dialect::Chat],
            Self::Vertex => &[Dialect::Gemini, Dialect::Messages, Dialect::Chat],
            Self::Bedrock => &[Dialect::Converse, Dialect::Chat],
            Self::AzureOpenAi => &[Dialect::Chat, Dialect::Responses],
            Self::Simulated => &[Dialect::Chat],
            Self::OpenAi
            | Self::Mistral
            | Self::Cohere
            | Self::Groq
            | Self::DeepSeek
            | Self::Xai
            | Self::Together
            | Self::Fireworks
            | Self::OpenRouter
            | Self::Ollama
            | Self::Vllm
            | Self::LlamaCpp => &[Dialect::Chat, Dialect::Responses, Dialect::Messages],
        }
    }

    /// Returns what is known about the provider.
    ///
    /// Who stops billing on a cancelled stream is OpenRouter's published list; where a provider
    /// is not on it, or resells others, the answer is the expensive one.
    #[must_use]
    pub const fn facts(self) -> Facts {
        match self {
            Self::OpenAi => OPENAI,
            Self::AzureOpenAi => Facts {
                base_url: None,
                base_url_variable: Some("AZURE_OPENAI_ENDPOINT"),
                auth: AuthStyle::ApiKeyHeader,
                dialects: &[Dialect::Chat, Dialect::Responses],
                ..hosted("azure_openai", "", &["AZURE_OPENAI_API_KEY"], "")
            },
            Self::Anthropic => ANTHROPIC,
            Self::Gemini => GEMINI,
            Self::Vertex => VERTEX,
            Self::Bedrock => BEDROCK,
            Self::Mistral => MISTRAL,
            Self::Cohere => COHERE,
            Self::Groq => Facts {
                cancel_stops_billing: false,
                ..hosted(
                    "groq",
                    "https://api.groq.com/openai/v1",
                    &["GROQ_API_KEY"],
                    "GROQ_BASE_URL",
                )
            },
            Self::DeepSeek => DEEPSEEK,
            Self::Xai => XAI,
            Self::Together => TOGETHER,
            Self::Fireworks => FIREWORKS,
            Self::OpenRouter => OPENROUTER,
            Self::Ollama => local(
                "ollama",
                "http://127.0.0.1:11434/v1",
                &["OLLAMA_API_KEY"],
                "OLLAMA_BASE_URL",
            ),
            Self::Vllm => local(
                "vllm",
                "http://127.0.0.1:8000/v1",
                &["VLLM_API_KEY"],
                "VLLM_BASE_URL",
            ),
            // Its own default port is our data plane's: it has a URL when one is set.
            Self::LlamaCpp => Facts {
                base_url: None,
                ..local("llama_cpp", "", &["LLAMA_API_KEY"], "LLAMA_CPP_BASE_URL")
            },
            Self::Simulated => Facts {
                base_url: None,
                base_url_variable: None,
                ..local("simulated", "", &[], "")
            },
        }
    }
}

const OPENAI: Facts = Facts {
    dialects: &[Dialect::Chat, Dialect::Responses],
    ..hosted(
        "openai",
        "https://api.openai.com/v1",
        &["OPENAI_API_KEY"],
        "OPENAI_BASE_URL",
    )
};

const ANTHROPIC: Facts = Facts {
    // Anthropic's own SDKs take the URL without the version.
    default_path: "/v1",
    auth: AuthStyle::Anthropic,
    dialects: &[Dialect::Messages, Dialect::Chat],
    embeddings: &[],
    ..hosted(
        "anthropic",
        "https://api.anthropic.com/v1",
        &["ANTHROPIC_API_KEY"],
        "ANTHROPIC_BASE_URL",
    )
};

const GEMINI: Facts = Facts {
    default_path: "/v1beta",
    auth: AuthStyle::Google,
    dialects: &[Dialect::Gemini, Dialect::Chat],
    embeddings: &[Dialect::Gemini, Dialect::Chat],
    cancel_stops_billing: false,
    ..hosted(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
        "GEMINI_BASE_URL",
    )
};

const VERTEX: Facts = Facts {
    base_url: None,
    default_path: "/v1",
    cloud: Some(Cloud::Google),
    dialects: &[Dialect::Gemini, Dialect::Messages],
    embeddings: &[Dialect::Gemini],
    cancel_stops_billing: false,
    ..hosted("vertex", "", &[], "GOOGLE_VERTEX_BASE_URL")
};

const BEDROCK: Facts = Facts {
    base_url: None,
    cloud: Some(Cloud::Aws),
    dialects: &[Dialect::Converse],
    embeddings: &[Dialect::Converse],
    cancel_stops_billing: false,
    ..hosted(
        "bedrock",
        "",
        &["AWS_BEARER_TOKEN_BEDROCK"],
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME",
    )
};

const MISTRAL: Facts = Facts {
    stream_usage: false,
    cancel_stops_billing: false,
    ..hosted(
        "mistral",
        "https://api.mistral.ai/v1",
        &["MISTRAL_API_KEY"],
        "MISTRAL_BASE_URL",
    )
};

const DEEPSEEK: Facts = hosted(
    "deepseek",
    "https://api.deepseek.com/v1",
    &["DEEPSEEK_API_KEY"],
    "DEEPSEEK_BASE_URL",
);

const COHERE: Facts = hosted(
    "cohere",
    "https://api.cohere.ai/compatibility/v1",
    &["COHERE_API_KEY", "CO_API_KEY"],
    "COHERE_BASE_URL",
);

const XAI: Facts = Facts {
    dialects: &[Dialect::Chat, Dialect::Responses],
    ..hosted(
        "xai",
        "https://api.x.ai/v1",
        &["XAI_API_KEY"],
        "XAI_BASE_URL",
    )
};

const FIREWORKS: Facts = hosted(
    "fireworks",
    "https://api.fireworks.ai/inference/v1",
    &["FIREWORKS_API_KEY"],
    "FIREWORKS_BASE_URL",
);

const TOGETHER: Facts = hosted(
    "together",
    "https://api.together.xyz/v1",
    &["TOGETHER_API_KEY"],
    "TOGETHER_BASE_URL",
);

const OPENROUTER: Facts = Facts {
    cancel_stops_billing: false,
    ..hosted(
        "openrouter",
        "https://openrouter.ai/api/v1",
        &["OPENROUTER_API_KEY"],
        "OPENROUTER_BASE_URL",
    )
};

/// What a hosted provider with a bearer key has in common with the others.
const fn hosted(
    name: &'static str,
    base_url: &'static str,
    key_variables: &'static [&'static str],
    base_url_variable: &'static str,
) -> Facts {
    Facts {
        name,
        base_url: Some(base_url),
        default_path: "",
        key_variables,
        base_url_variable: Some(base_url_variable),
        auth: AuthStyle::Bearer,
        cloud: None,
        dialects: &[Dialect::Chat],
        embeddings: &[Dialect::Chat],
        stream_usage: true,
        cancel_stops_billing: true,
        is_local: false,
    }
}

/// What local servers have in common: nobody bills, and people leave the `/v1` out.
const fn local(
    name: &'static str,
    base_url: &'static str,
    key_variables: &'static [&'static str],
    base_url_variable: &'static str,
) -> Facts {
    Facts {
        default_path: "/v1",
        is_local: true,
        ..hosted(name, base_url, key_variables, base_url_variable)
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// A name that is no preset's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of provider; there are {list}", list = names())]
pub struct UnknownPreset(String);

impl FromStr for Preset {
    type Err = UnknownPreset;

    /// Reads a name as in config files; `-` and `_`, upper and lower case are the same.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.to_ascii_lowercase().replace('-', "_");
        Self::ALL
            .into_iter()
            .find(|preset| preset.as_str() == wanted)
            .ok_or_else(|| UnknownPreset(text.chars().take(80).collect()))
    }
}

fn names() -> String {
    let quoted: Vec<String> = Preset::ALL.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::Preset;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct_and_read_back() {
        let names: BTreeSet<&str> = Preset::ALL.iter().map(|preset| preset.as_str()).collect();
        assert_eq!(names.len(), Preset::ALL.len());
        for preset in Preset::ALL {
            assert_eq!(preset.as_str().parse::<Preset>().unwrap(), preset);
        }
        assert_eq!(
            "Azure-OpenAI".parse::<Preset>().unwrap(),
            Preset::AzureOpenAi
        );
        let error = "opnai".parse::<Preset>().unwrap_err().to_string();
        assert!(
            error.contains("`opnai`") && error.contains("`openai`"),
            "{error}"
        );
    }

    #[test]
    fn every_hosted_provider_has_a_key_or_a_cloud_and_few_lack_a_url() {
        for preset in Preset::ALL {
            let facts = preset.facts();
            assert_eq!(
                facts.base_url.is_none(),
                matches!(
                    preset,
                    Preset::AzureOpenAi
                        | Preset::Vertex
                        | Preset::Bedrock
                        | Preset::LlamaCpp
                        | Preset::Simulated
                ),
                "{preset}"
            );
            assert!(
                facts.is_local || !facts.key_variables.is_empty() || facts.cloud.is_some(),
                "{preset}"
            );
            assert!(!facts.dialects.is_empty(), "{preset}");
            for dialect in facts.dialects.iter().chain(facts.embeddings) {
                assert!(preset.may_speak().contains(dialect), "{preset} {dialect:?}");
            }
            if let (Some(url), false) = (facts.base_url, facts.is_local) {
                assert!(url.starts_with("https://"), "{preset}");
            }
        }
    }
}
