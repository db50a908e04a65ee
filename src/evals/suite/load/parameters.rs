//! Request parameters as the chat API names them, from the `config` of providers and prompts.

use crate::evals::suite::load::files::extension;
use crate::evals::suite::load::node::{Content, Field, Node};
use crate::evals::suite::load::problem::Problem;
use crate::evals::suite::load::reading::{FILE, Loader, is_foreign_code, is_javascript};
use serde_json::{Map, Value};

/// Parameters that are sent as they stand.
pub(super) const KNOWN: [&str; 32] = [
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "stop",
    "seed",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "response_format",
    "reasoning_effort",
    "reasoning",
    "thinking",
    "verbosity",
    "user",
    "metadata",
    "service_tier",
    "modalities",
    "prediction",
    "web_search_options",
    "safety_identifier",
    "prompt_cache_key",
];

/// What other APIs call them.
const RENAMED: [(&str, &str); 15] = [
    ("maxTokens", "max_tokens"),
    ("maxOutputTokens", "max_tokens"),
    ("max_output_tokens", "max_tokens"),
    ("max_new_tokens", "max_tokens"),
    ("num_predict", "max_tokens"),
    ("topP", "top_p"),
    ("topK", "top_k"),
    ("stopSequences", "stop"),
    ("stop_sequences", "stop"),
    ("presencePenalty", "presence_penalty"),
    ("frequencyPenalty", "frequency_penalty"),
    ("toolChoice", "tool_choice"),
    ("toolConfig", "tool_choice"),
    ("responseFormat", "response_format"),
    ("reasoningEffort", "reasoning_effort"),
];

/// Where and as whom is asked: the gateway's config decides that.
const CONNECTION: [&str; 19] = [
    "apiKey",
    "apiKeyEnvar",
    "apiKeyRequired",
    "apiBaseUrl",
    "apiHost",
    "apiVersion",
    "apiType",
    "headers",
    "organization",
    "project",
    "projectId",
    "region",
    "profile",
    "accessKeyId",
    "secretAccessKey",
    "sessionToken",
    "deploymentName",
    "publisher",
    "credentials",
];

/// What promptfoo does for itself: retries, prices and times are the gateway's affair.
const BOOKKEEPING: [&str; 8] = [
    "cost",
    "inputCost",
    "outputCost",
    "maxRetries",
    "max_retries",
    "timeout",
    "showThinking",
    "omitDefaults",
];

impl Loader<'_> {
    /// Reads request parameters. What is not one is a problem, or ignored with a warning.
    pub(super) fn parameters(&self, fields: &[Field], what: &str) -> Map<String, Value> {
        let mut parameters = Map::new();
        for field in fields {
            self.parameter(field, what, &mut parameters);
        }
        parameters
    }

    fn parameter(&self, field: &Field, what: &str, parameters: &mut Map<String, Value>) {
        let name = field.name.as_str();
        let renamed = RENAMED.iter().find(|(other, _)| *other == name);
        let chat_name = renamed.map_or(name, |(_, chat_name)| chat_name);
        if KNOWN.contains(&chat_name) {
            if let Some(value) = self.loaded(&field.value) {
                parameters.insert(chat_name.to_owned(), flattened(chat_name, value));
            }
        } else if name == "passthrough" || name == "generationConfig" {
            // The one is sent as it is; the other holds what others have at the top.
            let Content::Map(inner) = &field.value.content else {
                self.wrong(
                    &field.value,
                    format!("`{name}` is no mapping"),
                    "write a mapping",
                );
                return;
            };
            if name == "generationConfig" {
                parameters.extend(self.parameters(inner, what));
            } else {
                let values = inner
                    .iter()
                    .filter_map(|field| Some((field.name.clone(), self.loaded(&field.value)?)));
                parameters.extend(values);
            }
        } else if CONNECTION.contains(&name) {
            let line = field.place.to_string();
            self.warn(format!(
                "{line}: `{name}` is ignored: the gateway's config decides where and as whom is asked"
            ));
        } else if BOOKKEEPING.contains(&name) {
            let line = field.place.to_string();
            self.warn(format!(
                "{line}: `{name}` is ignored: the gateway sees to that"
            ));
        } else if let Some(reason) = refusal(name) {
            let problem = Problem::new(field.place.clone(), format!("`{name}` {reason}"));
            self.problem(problem.hint("remove it"));
        } else if !name.starts_with("x-") {
            let message = format!("`{name}` is no request parameter of {what}");
            let place = field.place.clone();
            let problem = Problem::unknown(place, message, name, &KNOWN);
            self.problem(match problem.hint {
                Some(ref hint) if hint.starts_with("known are") => problem
                    .hint("what a provider wants beyond the chat API stands under `passthrough`"),
                _ => problem,
            });
        }
    }

    /// A value with the files in it read: JSON and YAML as what they hold, all else as text.
    pub(super) fn loaded(&self, node: &Node) -> Option<Value> {
        match &node.content {
            Content::Scalar(Value::String(text)) if text.starts_with(FILE) => {
                self.loaded_file(text, node)
            }
            Content::Scalar(value) => Some(value.clone()),
            Content::List(items) => {
                let values: Option<Vec<Value>> =
                    items.iter().map(|item| self.loaded(item)).collect();
                values.map(Value::Array)
            }
            Content::Map(fields) => {
                let values: Option<Map<String, Value>> = fields
                    .iter()
                    .map(|field| Some((field.name.clone(), self.loaded(&field.value)?)))
                    .collect();
                values.map(Value::Object)
            }
        }
    }

    /// What the file at `file://...` holds.
    pub(super) fn loaded_file(&self, reference: &str, node: &Node) -> Option<Value> {
        if is_foreign_code(reference) || is_javascript(reference) {
            self.refuse_code(reference, node);
            return None;
        }
        let path = self.path_of(reference, node)?;
        match extension(&path).as_str() {
            "json" | "yaml" | "yml" => self.document(&path, node).map(|node| node.to_value()),
            _ => self.text(&path, node).map(Value::String),
        }
    }
}

/// A list of tools may name files, each of which holds a list.
fn flattened(name: &str, value: Value) -> Value {
    match value {
        Value::Array(items) if name == "tools" || name == "functions" => {
            let mut flat = Vec::with_capacity(items.len());
            for item in items {
                match item {
                    Value::Array(inner) => flat.extend(inner),
                    other => flat.push(other),
                }
            }
            Value::Array(flat)
        }
        other => other,
    }
}

fn refusal(name: &str) -> Option<&'static str> {
    match name {
        "functionToolCallbacks" | "toolCallbacks" | "tool_callbacks" => {
            Some("runs code for tools; here no tool is executed, its call is graded")
        }
        "mcp" => Some("connects tools to servers; here no tool is executed, its call is graded"),
        "transformRequest" | "transformResponse" | "responseParser" | "requestTransform" => {
            Some("rewrites what goes over the wire, which the gateway does itself")
        }
        "n" | "best_of" => Some("asks for several answers; use `repeat`"),
        "stream" => Some("is not for suites: an answer is graded when it is whole"),
        _ => None,
    }
}
