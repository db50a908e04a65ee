//! promptfoo's names of providers -> names that the gateway routes. One table, nothing guessed.

use crate::evals::suite::ModelSource;
use crate::evals::suite::load::problem::listed;

/// What a name becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::evals) enum Mapped {
    /// A model; the text is what should be known.
    Model(ModelSource, Option<String>),
    /// Nothing here: why, and what to do.
    Refused(String, String),
}

/// promptfoo's provider -> the gateway's. Those after the gap have no preset: the config must name them.
const PROVIDERS: [(&str, &str, bool); 24] = [
    ("openai", "openai", true),
    ("azureopenai", "azure_openai", true),
    ("azure", "azure_openai", true),
    ("anthropic", "anthropic", true),
    ("google", "gemini", true),
    ("palm", "gemini", true),
    ("mistral", "mistral", true),
    ("groq", "groq", true),
    ("deepseek", "deepseek", true),
    ("togetherai", "together", true),
    ("openrouter", "openrouter", true),
    ("ollama", "ollama", true),
    ("llama", "llamacpp", true),
    ("simulated", "simulated", true),
    ("vertex", "vertex", false),
    ("bedrock", "bedrock", false),
    ("cohere", "cohere", false),
    ("xai", "xai", false),
    ("perplexity", "perplexity", false),
    ("cerebras", "cerebras", false),
    ("fireworks", "fireworks", false),
    ("databricks", "databricks", false),
    ("cloudflare-ai", "cloudflare", false),
    ("github", "github", false),
];

/// Which of a provider's APIs: the gateway knows by the call.
const APIS: [&str; 8] = [
    "chat",
    "messages",
    "responses",
    "embedding",
    "embeddings",
    "moderation",
    "converse",
    "completion",
];

/// APIs that are no question and answer.
const OTHER_APIS: [&str; 8] = [
    "assistant",
    "realtime",
    "image",
    "tts",
    "speech",
    "transcription",
    "video",
    "agents",
];

/// Returns what a name of `providers` means.
pub(in crate::evals) fn map_model(name: &str) -> Mapped {
    let refused = |reason: String, hint: &str| Mapped::Refused(reason, hint.to_owned());
    if name == "echo" {
        return Mapped::Model(ModelSource::Echo, None);
    }
    if let Some((reason, hint)) = program(name) {
        return refused(reason, hint);
    }
    let Some((provider, rest)) = name.split_once(':') else {
        return refused(
            format!("`{name}` names no model"),
            "write `gateway:MODEL` for a model as the gateway routes it, or `gateway:default`",
        );
    };
    match (provider, rest) {
        ("gateway" | "promptgate", "default") => return Mapped::Model(ModelSource::OfPrompt, None),
        ("gateway" | "promptgate", "") => {
            return refused(format!("`{name}` names no model"), "write `gateway:MODEL`");
        }
        ("gateway" | "promptgate", model) => {
            return Mapped::Model(ModelSource::Route(model.to_owned()), None);
        }
        _ => {}
    }
    let Some((_, route, has_preset)) = PROVIDERS.iter().find(|(known, ..)| *known == provider)
    else {
        let names: Vec<&str> = PROVIDERS.iter().map(|(name, ..)| *name).collect();
        let hint = format!(
            "write `gateway:MODEL` for a model that the gateway routes; known are {}",
            listed(&names)
        );
        return Mapped::Refused(
            format!("`{provider}` is no provider that is known here"),
            hint,
        );
    };
    let (api, model) = match rest.split_once(':') {
        Some((api, model)) if APIS.contains(&api) || OTHER_APIS.contains(&api) => (api, model),
        None if APIS.contains(&rest) || OTHER_APIS.contains(&rest) => (rest, ""),
        _ => ("", rest),
    };
    if OTHER_APIS.contains(&api) {
        return refused(
            format!("`{name}` is an API that has no one answer to one question"),
            "evaluate the model behind it with chat messages",
        );
    }
    if model.is_empty() {
        return refused(
            format!("`{name}` names no model"),
            "name the model, as in `openai:gpt-5-mini`",
        );
    }
    let note = (!has_preset)
        .then(|| format!("`{name}` needs a provider called `{route}` in the gateway's config"));
    Mapped::Model(ModelSource::Route(format!("{route}/{model}")), note)
}

/// Providers that are programs or services of their own.
fn program(name: &str) -> Option<(String, &'static str)> {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
    let hint = "give it OpenAI's API and name it as a provider in promptgate.toml, then \
        write `gateway:PROVIDER/MODEL`";
    if starts(&["http:", "https:", "webhook:"]) || name == "http" || name == "https" {
        return Some((format!("`{name}` is a web service of its own"), hint));
    }
    if starts(&["ws:", "wss:", "websocket:"]) || name == "websocket" {
        return Some((format!("`{name}` is a websocket of its own"), hint));
    }
    let is_code = ends(&[".py", ".js", ".ts", ".mjs", ".cjs", ".rb", ".go"]);
    if starts(&["exec:", "python:", "ruby:", "golang:", "package:", "mcp:"]) || is_code {
        return Some((format!("`{name}` is a program, and none is run here"), hint));
    }
    if starts(&["file://"]) {
        return Some((
            format!("`{name}` is a program, and none is run here"),
            "`file://` may name a YAML or JSON file of providers",
        ));
    }
    if starts(&["promptfoo:", "sequence", "browser", "manual-input"]) {
        return Some((
            format!("`{name}` is a part of promptfoo itself"),
            "name a model, or `echo`",
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Mapped, map_model};
    use crate::evals::suite::ModelSource;

    #[test]
    fn names_become_routes() {
        for (name, route) in [
            ("openai:gpt-4.1", "openai/gpt-4.1"),
            ("openai:chat:gpt-4.1-mini", "openai/gpt-4.1-mini"),
            ("openai:responses:gpt-5", "openai/gpt-5"),
            ("openai:chat:ft:gpt-4o:org::id", "openai/ft:gpt-4o:org::id"),
            (
                "anthropic:messages:claude-sonnet-4",
                "anthropic/claude-sonnet-4",
            ),
            ("anthropic:claude-sonnet-4", "anthropic/claude-sonnet-4"),
            ("google:gemini-2.5-pro", "gemini/gemini-2.5-pro"),
            (
                "mistral:mistral-large-latest",
                "mistral/mistral-large-latest",
            ),
            ("ollama:chat:llama3:8b", "ollama/llama3:8b"),
            ("openrouter:meta/llama-3", "openrouter/meta/llama-3"),
            (
                "azureopenai:chat:my-deployment",
                "azure_openai/my-deployment",
            ),
            (
                "openai:embedding:text-embedding-3-small",
                "openai/text-embedding-3-small",
            ),
            ("gateway:simulated/any?text=hi", "simulated/any?text=hi"),
            ("promptgate:best", "best"),
        ] {
            let expected = Mapped::Model(ModelSource::Route(route.to_owned()), None);
            assert_eq!(map_model(name), expected, "{name}");
        }
        assert_eq!(map_model("echo"), Mapped::Model(ModelSource::Echo, None));
        let default = Mapped::Model(ModelSource::OfPrompt, None);
        assert_eq!(map_model("gateway:default"), default);
        let Mapped::Model(ModelSource::Route(route), Some(note)) =
            map_model("bedrock:us.anthropic.claude-sonnet-4-v1:0")
        else {
            panic!("refused");
        };
        assert_eq!(route, "bedrock/us.anthropic.claude-sonnet-4-v1:0");
        assert!(note.contains("`bedrock`"), "{note}");
    }

    #[test]
    fn what_is_no_model_is_refused_with_the_reason() {
        for (name, reason) in [
            ("https://example.com/api", "web service"),
            ("exec:./run.sh", "program"),
            ("file://provider.py", "program"),
            ("python:provider.py", "program"),
            ("wss://example.com", "websocket"),
            ("promptfoo:redteam:crescendo", "part of promptfoo"),
            ("openai:assistant:asst_1", "no one answer"),
            ("openai:chat", "names no model"),
            ("openai:", "names no model"),
            ("gateway:", "names no model"),
            ("gpt-4.1", "names no model"),
            ("opnai:gpt-4", "no provider"),
        ] {
            let Mapped::Refused(words, _) = map_model(name) else {
                panic!("{name} was taken");
            };
            assert!(words.contains(reason), "{name}: {words}");
        }
    }
}
