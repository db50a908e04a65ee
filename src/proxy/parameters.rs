//! A prompt's own settings as parameters of a chat completion, under those of the request.

use crate::domain::PromptKey;
use crate::prompts::{Bundle, Part, Role};
use crate::wire::json::{RawObject, write_json};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The two spellings of a setting: Dotprompt's, and `OpenAI`'s.
const SPELLINGS: [(&str, &str); 8] = [
    ("maxOutputTokens", "max_completion_tokens"),
    ("topP", "top_p"),
    ("topK", "top_k"),
    ("stopSequences", "stop"),
    ("presencePenalty", "presence_penalty"),
    ("frequencyPenalty", "frequency_penalty"),
    ("reasoningEffort", "reasoning_effort"),
    ("parallelToolCalls", "parallel_tool_calls"),
];

/// Settings that speak to the prompt's tooling, not to the model.
const NOT_PARAMETERS: [&str; 1] = ["version"];

/// Returns the names under which a request may send the setting `name`.
pub(crate) fn spellings(name: &str) -> impl Iterator<Item = &str> {
    let other = SPELLINGS
        .iter()
        .find(|(dotprompt, _)| *dotprompt == name)
        .map(|(_, openai)| *openai);
    let token_limit =
        matches!(other.unwrap_or(name), "max_completion_tokens").then_some("max_tokens");
    std::iter::once(name).chain(other).chain(token_limit)
}

/// Adds the prompt's config, tools and output format to `body` where the request has none. Returns
/// the limit of output tokens, which each provider spells in its own way.
pub(crate) fn apply(key: &PromptKey, bundle: &Bundle, body: &mut RawObject) -> Option<Bytes> {
    let mut token_limit = None;
    for (name, value) in bundle.config() {
        let is_sent = spellings(name).any(|name| body.get(name).is_some());
        if is_sent || NOT_PARAMETERS.contains(&name.as_str()) {
            continue;
        }
        // Dotprompt's name stands for whatever the provider has; `OpenAI`'s are sent as they are written.
        if name == "maxOutputTokens" {
            token_limit = Some(to_bytes(value));
            continue;
        }
        let spelled = SPELLINGS.iter().find(|(dotprompt, _)| dotprompt == name);
        body.set(
            spelled.map_or(name.as_str(), |(_, openai)| openai),
            to_bytes(value),
        );
    }
    if body.get("tools").is_none() && !bundle.tools().is_empty() {
        let tools: Vec<Value> = bundle.tools().iter().map(function_tool).collect();
        body.set("tools", to_bytes(&Value::Array(tools)));
    }
    if body.get("response_format").is_none()
        && let Some(format) = response_format(key, bundle)
    {
        body.set("response_format", to_bytes(&format));
    }
    token_limit
}

/// Returns one rendered message as `OpenAI` spells it.
pub(crate) fn encode_message(role: Role, content: &[Part]) -> Bytes {
    let mut out = Vec::with_capacity(512);
    out.extend_from_slice(b"{\"role\":");
    write_json(role.openai_name(), &mut out);
    out.extend_from_slice(b",\"content\":");
    match content {
        [Part::Text(text)] => write_json(text, &mut out),
        parts => {
            let parts: Value = parts.iter().map(encode_part).collect();
            out.extend_from_slice(&to_bytes(&parts));
        }
    }
    out.push(b'}');
    out.into()
}

fn encode_part(part: &Part) -> Value {
    match part {
        Part::Text(text) => json!({"type": "text", "text": text}),
        Part::Media { url, content_type } => encode_media(url, content_type.as_deref()),
    }
}

/// Media as chat completions take it: sound and files that come with their content have forms of
/// their own, everything else is an image.
fn encode_media(url: &str, content_type: Option<&str>) -> Value {
    let data = url
        .strip_prefix("data:")
        .and_then(|rest| rest.split_once(";base64,"));
    let kind = content_type
        .or_else(|| data.map(|(kind, _)| kind))
        .unwrap_or_default();
    match (kind.split_once('/'), data) {
        (Some(("audio", format)), Some((_, content))) => {
            let format = if format == "mpeg" { "mp3" } else { format };
            let format = format.trim_start_matches("x-");
            json!({"type": "input_audio", "input_audio": {"data": content, "format": format}})
        }
        (Some(("application" | "text", kind)), Some(_)) => {
            let name = format!("file.{kind}");
            json!({"type": "file", "file": {"filename": name, "file_data": url}})
        }
        _ => json!({"type": "image_url", "image_url": {"url": url}}),
    }
}

fn function_tool(tool: &crate::prompts::Tool) -> Value {
    let mut function = Map::new();
    function.insert("name".to_owned(), tool.name.as_str().into());
    if let Some(description) = &tool.description {
        function.insert("description".to_owned(), description.as_str().into());
    }
    function.insert("parameters".to_owned(), tool.input_schema.clone());
    json!({"type": "function", "function": function})
}

/// `json_schema` when the prompt declares a schema, `json_object` when it only asks for JSON.
fn response_format(key: &PromptKey, bundle: &Bundle) -> Option<Value> {
    let output = bundle.output()?;
    if let Some(schema) = &output.schema {
        // The name is for the model's eyes; the API allows letters, digits, `_` and `-`.
        let name: String = key
            .as_str()
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '-' {
                    c
                } else {
                    '_'
                }
            })
            .take(64)
            .collect();
        return Some(json!({
            "type": "json_schema",
            "json_schema": {"name": name, "strict": output.is_strict(), "schema": schema},
        }));
    }
    (output.format.as_deref() == Some("json")).then(|| json!({"type": "json_object"}))
}

fn to_bytes(value: &Value) -> Bytes {
    // A value has no keys but strings: writing it cannot fail.
    Bytes::from(serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::encode_media;
    use serde_json::json;

    #[test]
    fn media_has_the_form_of_its_kind() {
        let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
        for (url, kind, wanted) in [
            ("https://x/y", None, image("https://x/y")),
            ("https://x/y", Some("application/pdf"), image("https://x/y")),
            (
                "data:image/png;base64,AA",
                None,
                image("data:image/png;base64,AA"),
            ),
            (
                "data:audio/mpeg;base64,AA",
                None,
                json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "mp3"}}),
            ),
            (
                "data:;base64,AA",
                Some("audio/x-wav"),
                json!({"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}}),
            ),
            (
                "data:application/pdf;base64,AA",
                None,
                json!({"type": "file", "file": {"filename": "file.pdf", "file_data": "data:application/pdf;base64,AA"}}),
            ),
        ] {
            assert_eq!(encode_media(url, kind), wanted, "{url} {kind:?}");
        }
    }
}
