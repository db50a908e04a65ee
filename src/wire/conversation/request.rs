//! What is asked of a model.

use crate::wire::conversation::Dialect;
use crate::wire::conversation::part::{Cache, Part, ToolKind};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Who says a message. The result of a tool is a part of a `User` or `Tool` message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Whoever runs the application, above everybody.
    System,
    /// The same, by its newer name.
    Developer,
    /// The end user.
    User,
    /// The model.
    Assistant,
    /// A tool.
    Tool,
}

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// The participant's name.
    pub name: Option<String>,
    /// What is said.
    pub parts: Vec<Part>,
    /// Whether the content was a bare string, so that it can be one again.
    pub is_plain: bool,
}

/// A tool the model may call.
#[derive(Debug, Clone, PartialEq)]
pub enum Tool {
    /// A function.
    Function {
        /// Its name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// The JSON Schema of its arguments; `None` when it takes none.
        parameters: Option<Value>,
        /// Whether the arguments must follow the schema, where that was said.
        strict: Option<bool>,
        /// A mark behind it.
        cache: Option<Cache>,
    },
    /// A tool whose input is text, in a grammar perhaps.
    Custom {
        /// Its name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// The format of its input, as it came.
        format: Option<Value>,
    },
    /// A tool of the provider's own (web search, code execution): only its dialect has it.
    Foreign {
        /// Its type.
        name: String,
        /// As it came.
        value: Value,
    },
}

/// Which tool must be called.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// None.
    None,
    /// One of them.
    Required,
    /// This one.
    Named(String, ToolKind),
    /// What only its own dialect can say.
    Foreign(Value),
}

/// What form the answer shall have.
#[derive(Debug, Clone, PartialEq)]
pub enum Form {
    /// Text.
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema's name.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The schema.
        schema: Value,
        /// Whether it must be followed, where that was said.
        strict: Option<bool>,
    },
}

/// How the next token is chosen.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// Temperature.
    pub temperature: Option<f64>,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// The most likely k.
    pub top_k: Option<u64>,
    /// Against repetition, by count.
    pub frequency_penalty: Option<f64>,
    /// Against repetition, at all.
    pub presence_penalty: Option<f64>,
    /// The seed.
    pub seed: Option<i64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// The most tokens of the answer.
    pub max_output_tokens: Option<u64>,
    /// Whether log probabilities are wanted.
    pub log_probs: Option<bool>,
    /// Of how many alternatives.
    pub top_log_probs: Option<u64>,
    /// How many answers.
    pub choices: Option<u64>,
}

/// How much the model shall think.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reasoning {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`.
    pub effort: Option<String>,
    /// The most tokens of thought; 0 for none.
    pub budget_tokens: Option<u64>,
    /// `auto`, `concise`, `detailed`: that the thoughts are shown in short.
    pub summary: Option<String>,
    /// Whether thoughts are shown at all, where that was said.
    pub is_shown: Option<bool>,
    /// Whether the provider decides how much (Anthropic's `adaptive`).
    pub is_adaptive: bool,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Request {
    /// The dialect it was read from: the only one that can say what is foreign in it.
    pub dialect: Dialect,
    /// The model.
    pub model: String,
    /// The messages in their order; system messages too.
    pub messages: Vec<Message>,
    /// The tools.
    pub tools: Vec<Tool>,
    /// Which one must be called.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several may be called at once.
    pub parallel_tool_calls: Option<bool>,
    /// The form of the answer.
    pub form: Option<Form>,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// How much is thought.
    pub reasoning: Option<Reasoning>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// Whether the usage of the stream is asked for.
    pub stream_usage: bool,
    /// Whether thoughts are to come with what proves them, so that they can be sent back. Only
    /// `OpenAI`'s responses have to be asked for it.
    pub wants_signatures: bool,
    /// The end user.
    pub user: Option<String>,
    /// `auto`, `default`, `flex`, `priority`, `standard_only`.
    pub service_tier: Option<String>,
    /// Texts of the caller's about the request.
    pub metadata: BTreeMap<String, String>,
    /// Top-level fields that have no place above, as they came; only the dialect they came from can say
    /// them.
    pub rest: Map<String, Value>,
}

/// What the dialect (or the provider) that is written to cannot say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` cannot be sent to {target}: {reason}")]
pub struct Unsupported {
    /// The field as the client wrote it: `top_k`, `messages[2].content[0]`.
    pub field: String,
    /// Whose dialect cannot say it: `Anthropic's API`.
    pub target: &'static str,
    /// Why, in words.
    pub reason: String,
}

impl Unsupported {
    /// Returns the setting that holds the field, by the name that chat completions have for it.
    #[must_use]
    pub fn name_in_chat(&self) -> &str {
        match self.field.as_str() {
            "text.format" | "output_config.format" => "response_format",
            "reasoning.effort" | "output_config.effort" => "reasoning_effort",
            "tool_choice.disable_parallel_tool_use" => "parallel_tool_calls",
            "stop_sequences" => "stop",
            other => other.split(['.', '[']).next().unwrap_or(other),
        }
    }
}
