//! Requests for chat completions, written.

use crate::wire::chat::write_message::write_messages;
use crate::wire::conversation::{
    Cache, Dialect, Form, Losses, Reasoning, Request, Tool, ToolChoice, ToolKind, Unsupported,
    Written,
};
use crate::wire::openai::shared::{
    BREAKPOINT, SHARED_FIELDS, breakpoint_to, cache_to, effort_of_budget, nested_format, put,
};
use serde_json::{Map, Value, json};

/// In what a provider that speaks chat completions differs from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The name of the limit of output tokens: `max_completion_tokens` or `max_tokens`.
    pub token_limit: &'static str,
    /// Where thoughts go that the model has had before.
    pub thoughts: Thoughts,
    /// Whether there is a role `developer`; elsewhere it is `system`, which means the same.
    pub has_developer_role: bool,
    /// Whether there is `top_k`.
    pub has_top_k: bool,
    /// How a part is marked up to which the provider shall keep what it has read.
    pub cache_marks: CacheMarks,
    /// Whether calls carry the proof of a thought (Gemini's `extra_content`).
    pub has_thought_signatures: bool,
}

/// Where thoughts go that the model has had before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoughts {
    /// Nowhere: such a request is refused.
    Nowhere,
    /// Nowhere, and the provider says that it does not want them back: they are left out with a warning.
    LeftOut,
    /// Into this field of the message, as text (DeepSeek's `reasoning_content`).
    Field(&'static str),
    /// Into OpenRouter's `reasoning_details`, with what proves them.
    Details,
}

/// How a part is marked up to which the provider shall keep what it has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CacheMarks {
    /// Not at all: the provider decides by itself. A mark is left out with a warning.
    #[default]
    None,
    /// By Anthropic's `cache_control`, as OpenRouter and others understand it.
    CacheControl,
    /// By `OpenAI`'s `prompt_cache_breakpoint`, which its models understand from `gpt-5.6` on.
    Breakpoint,
}

impl CacheMarks {
    /// Marks a part, or warns that it cannot be marked.
    pub(in crate::wire) fn mark(
        self,
        part: &mut Map<String, Value>,
        cache: Option<&Cache>,
        losses: &mut Losses,
    ) {
        let Some(cache) = cache else {
            return;
        };
        match self {
            Self::None => losses.warn(CACHE_MARK_LEFT_OUT),
            Self::CacheControl => {
                part.insert("cache_control".to_owned(), cache_to(cache));
            }
            Self::Breakpoint => {
                part.insert(BREAKPOINT.to_owned(), breakpoint_to(cache, losses));
            }
        }
    }
}

impl Default for Target {
    /// `OpenAI` itself.
    fn default() -> Self {
        Self {
            token_limit: "max_completion_tokens",
            thoughts: Thoughts::Nowhere,
            has_developer_role: true,
            has_top_k: false,
            cache_marks: CacheMarks::None,
            has_thought_signatures: false,
        }
    }
}

/// Writes a request for a chat completion.
///
/// # Errors
///
/// When chat completions, or the provider by its `target`, cannot say a part of the request.
pub fn write_request(request: &Request, target: &Target) -> Result<Written, Unsupported> {
    write(request, target, false)
}

/// Writes a request for a chat completion and leaves out what cannot be said; the warnings tell what.
///
/// # Errors
///
/// Never, as long as everything can be left out.
pub fn write_request_dropping(request: &Request, target: &Target) -> Result<Written, Unsupported> {
    write(request, target, true)
}

fn write(request: &Request, target: &Target, is_dropping: bool) -> Result<Written, Unsupported> {
    let mut writer = Writer {
        request,
        target,
        losses: Losses::new("chat completions", is_dropping),
        body: Map::new(),
    };
    writer.set("model", Some(&request.model));
    let messages = write_messages(request, target, &mut writer.losses)?;
    writer.set("messages", Some(messages));
    writer.tools()?;
    writer.form();
    writer.sampling()?;
    writer.reasoning();
    writer.stream();
    writer.caller();
    writer.rest()?;
    Ok(Written {
        body: Value::Object(writer.body).to_string().into(),
        warnings: writer.losses.into_warnings(),
    })
}

struct Writer<'a> {
    request: &'a Request,
    target: &'a Target,
    losses: Losses,
    body: Map<String, Value>,
}

impl Writer<'_> {
    fn set<T: serde::Serialize>(&mut self, key: &str, value: Option<T>) {
        // What is set is made of strings, numbers and values.
        let value = value.and_then(|value| serde_json::to_value(value).ok());
        if let Some(value) = value {
            self.body.insert(key.to_owned(), value);
        }
    }

    fn tools(&mut self) -> Result<(), Unsupported> {
        let mut tools = Vec::new();
        for (place, tool) in self.request.tools.iter().enumerate() {
            tools.extend(self.tool(place, tool)?);
        }
        if !tools.is_empty() {
            self.set("tools", Some(tools));
        }
        match &self.request.tool_choice {
            Some(ToolChoice::Foreign(_)) if self.request.dialect != Dialect::Chat => {
                let reason = "it has no such choice of tools";
                self.losses.refuse("tool_choice", reason)?;
            }
            choice => self.set("tool_choice", choice.as_ref().map(written_choice)),
        }
        self.set("parallel_tool_calls", self.request.parallel_tool_calls);
        Ok(())
    }

    fn tool(&mut self, place: usize, tool: &Tool) -> Result<Option<Value>, Unsupported> {
        let (kind, mut fields, cache) = match tool {
            Tool::Foreign { value, .. } if self.request.dialect == Dialect::Chat => {
                return Ok(Some(value.clone()));
            }
            Tool::Foreign { name, .. } => {
                let reason = format!("it has no tool of the type `{name}`");
                self.losses.refuse(format!("tools[{place}]"), reason)?;
                return Ok(None);
            }
            Tool::Function {
                name,
                description,
                parameters,
                strict,
                cache,
            } => {
                let mut fields = named(name, description.as_ref());
                insert(&mut fields, "parameters", parameters.clone());
                insert(&mut fields, "strict", strict.map(Value::from));
                ("function", fields, cache.as_ref())
            }
            Tool::Custom {
                name,
                description,
                format,
            } => {
                let mut fields = named(name, description.as_ref());
                insert(&mut fields, "format", format.as_ref().map(nested_format));
                ("custom", fields, None)
            }
        };
        fields = [
            ("type".to_owned(), Value::from(kind)),
            (kind.to_owned(), Value::Object(fields)),
        ]
        .into_iter()
        .collect();
        let marks = match self.target.cache_marks {
            CacheMarks::CacheControl => CacheMarks::CacheControl,
            // Tools cannot be marked otherwise.
            CacheMarks::None | CacheMarks::Breakpoint => CacheMarks::None,
        };
        marks.mark(&mut fields, cache, &mut self.losses);
        Ok(Some(Value::Object(fields)))
    }

    fn form(&mut self) {
        let form = self.request.form.as_ref().map(|form| match form {
            Form::Text => json!({"type": "text"}),
            Form::JsonObject => json!({"type": "json_object"}),
            schema @ Form::JsonSchema { .. } => {
                json!({"type": "json_schema", "json_schema": written_schema(schema)})
            }
        });
        self.set("response_format", form);
    }

    fn sampling(&mut self) -> Result<(), Unsupported> {
        let sampling = &self.request.sampling;
        self.set("temperature", sampling.temperature);
        self.set("top_p", sampling.top_p);
        if self.target.has_top_k || self.request.dialect == Dialect::Chat {
            self.set("top_k", sampling.top_k);
        } else if sampling.top_k.is_some() {
            self.losses.refuse("top_k", "it has no such parameter")?;
        }
        self.set("frequency_penalty", sampling.frequency_penalty);
        self.set("presence_penalty", sampling.presence_penalty);
        self.set("seed", sampling.seed);
        let stop = (!sampling.stop.is_empty()).then_some(&sampling.stop);
        self.set("stop", stop);
        self.set(self.target.token_limit, sampling.max_output_tokens);
        self.set("logprobs", sampling.log_probs);
        self.set("top_logprobs", sampling.top_log_probs);
        self.set("n", sampling.choices);
        Ok(())
    }

    fn reasoning(&mut self) {
        let Some(reasoning) = &self.request.reasoning else {
            return;
        };
        let effort = effort_of(reasoning, &mut self.losses);
        self.set("reasoning_effort", effort);
        if reasoning.summary.is_some() {
            self.losses.warn(
                "`reasoning.summary` is left out: with chat completions the provider decides whether \
                 thoughts are shown",
            );
        }
    }

    fn stream(&mut self) {
        if !self.request.stream {
            return;
        }
        self.set("stream", Some(true));
        if self.request.stream_usage {
            self.set("stream_options", Some(json!({"include_usage": true})));
        }
    }

    fn caller(&mut self) {
        self.set("user", self.request.user.as_ref());
        let tier = self.request.service_tier.as_deref();
        let tier = tier.map(|tier| match tier {
            "standard_only" => "default",
            tier => tier,
        });
        self.set("service_tier", tier);
        if self.request.metadata.is_empty() {
            return;
        }
        if self.request.dialect == Dialect::Chat {
            self.set("metadata", Some(&self.request.metadata));
        } else {
            self.losses
                .warn("`metadata` is recorded and given back, but not sent to the provider");
        }
    }

    fn rest(&mut self) -> Result<(), Unsupported> {
        for (key, value) in &self.request.rest {
            let is_known = match self.request.dialect {
                Dialect::Chat => true,
                Dialect::Responses => SHARED_FIELDS.contains(&key.as_str()),
                _ => false,
            };
            if is_known {
                put(&mut self.body, key, value.clone());
                continue;
            }
            self.refuse_rest(key, value)?;
        }
        Ok(())
    }

    fn refuse_rest(&mut self, key: &str, value: &Value) -> Result<(), Unsupported> {
        const REASON: &str = "it has no such parameter";
        let is_text = self.request.dialect == Dialect::Responses && key == "text";
        let inner = value
            .as_object()
            .filter(|_| matches!(key, "text" | "reasoning" | "stream_options"));
        let Some(inner) = inner else {
            return self.losses.refuse(key, REASON);
        };
        for (name, value) in inner {
            if is_text && name == "verbosity" {
                put(&mut self.body, "verbosity", value.clone());
            } else {
                self.losses.refuse(format!("{key}.{name}"), REASON)?;
            }
        }
        Ok(())
    }
}

/// The warning of a mark that is not sent.
pub(in crate::wire) const CACHE_MARK_LEFT_OUT: &str =
    "`cache_control` is left out: the provider decides by itself what it caches";

/// Returns how hard the model shall think, in a word: `OpenAI`'s dialects take no number of tokens.
pub(in crate::wire) fn effort_of(reasoning: &Reasoning, losses: &mut Losses) -> Option<String> {
    if let Some(effort) = &reasoning.effort {
        return Some(effort.clone());
    }
    let tokens = reasoning.budget_tokens?;
    let effort = effort_of_budget(tokens);
    losses.warn(format!(
        "a budget of {tokens} tokens of thought is sent as the effort `{effort}`"
    ));
    Some(effort.to_owned())
}

fn named(name: &str, description: Option<&String>) -> Map<String, Value> {
    let mut fields = Map::new();
    insert(&mut fields, "name", Some(name.into()));
    let description = description.map(|text| text.as_str().into());
    insert(&mut fields, "description", description);
    fields
}

/// Puts a value at `key`, if there is one.
pub(in crate::wire) fn insert(fields: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    if let Some(value) = value {
        fields.insert(key.to_owned(), value);
    }
}

/// Returns the fields of a schema; the two dialects have them in different places. `OpenAI` wants a
/// name, which other dialects do not have.
pub(in crate::wire) fn written_schema(form: &Form) -> Map<String, Value> {
    let mut fields = Map::new();
    if let Form::JsonSchema {
        name,
        description,
        schema,
        strict,
    } = form
    {
        fields = named(name.as_deref().unwrap_or("response"), description.as_ref());
        insert(&mut fields, "schema", Some(schema.clone()));
        insert(&mut fields, "strict", strict.map(Value::from));
    }
    fields
}

fn written_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name, ToolKind::Function) => {
            json!({"type": "function", "function": {"name": name}})
        }
        ToolChoice::Named(name, ToolKind::Custom) => {
            json!({"type": "custom", "custom": {"name": name}})
        }
        ToolChoice::Foreign(value) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::{CacheMarks, Target, Thoughts, write_request, write_request_dropping};
    use crate::wire::conversation::testing::text;
    use crate::wire::conversation::{
        Cache, Dialect, Message, Part, Reasoning, Request, Role, Sampling, ToolCall, ToolKind,
        ToolResult,
    };
    use serde_json::{Value, json};

    fn message(role: Role, parts: Vec<Part>) -> Message {
        Message {
            role,
            name: None,
            parts,
            is_plain: false,
        }
    }

    fn request(messages: Vec<Message>) -> Request {
        Request {
            dialect: Dialect::Messages,
            model: "m".to_owned(),
            messages,
            ..Request::default()
        }
    }

    fn written(request: &Request, target: &Target) -> (Value, Vec<String>) {
        let written = write_request(request, target).unwrap();
        (
            serde_json::from_slice(&written.body).unwrap(),
            written.warnings,
        )
    }

    fn thoughts(signature: Option<&str>) -> Part {
        Part::Reasoning {
            id: None,
            texts: vec!["a".to_owned(), "b".to_owned()],
            is_summary: false,
            signature: signature.map(str::to_owned),
            is_redacted: false,
        }
    }

    #[test]
    fn a_target_has_its_own_words() {
        let mut asked = request(vec![message(Role::Developer, vec![text("x")])]);
        asked.sampling = Sampling {
            max_output_tokens: Some(7),
            top_k: Some(3),
            ..Sampling::default()
        };
        let openai = Target::default();
        let refused = write_request(&asked, &openai).unwrap_err();
        assert_eq!(refused.field, "top_k");
        let (body, _) = written(
            &asked,
            &Target {
                token_limit: "max_tokens",
                has_developer_role: false,
                has_top_k: true,
                ..openai
            },
        );
        assert_eq!(
            body,
            json!({
                "model": "m",
                "messages": [{"role": "system", "content": "x"}],
                "top_k": 3,
                "max_tokens": 7,
            })
        );
    }

    #[test]
    fn thoughts_go_where_the_target_wants_them() {
        let asked = request(vec![message(
            Role::Assistant,
            vec![thoughts(Some("s")), text("x")],
        )]);
        let target = |thoughts| Target {
            thoughts,
            ..Target::default()
        };
        let refused = write_request(&asked, &target(Thoughts::Nowhere)).unwrap_err();
        assert_eq!(refused.field, "messages[0].content[0]");
        let dropped = write_request_dropping(&asked, &target(Thoughts::Nowhere)).unwrap();
        assert_eq!(dropped.warnings.len(), 1);
        let (body, warnings) = written(&asked, &target(Thoughts::LeftOut));
        assert_eq!(
            body["messages"],
            json!([{"role": "assistant", "content": "x"}])
        );
        assert_eq!(warnings.len(), 1);
        let (body, warnings) = written(&asked, &target(Thoughts::Field("reasoning_content")));
        assert_eq!(body["messages"][0]["reasoning_content"], "a\n\nb");
        assert_eq!(warnings.len(), 1);
        let (body, warnings) = written(&asked, &target(Thoughts::Details));
        assert_eq!(
            body["messages"][0]["reasoning_details"],
            json!([
                {"type": "reasoning.text", "text": "a", "index": 0},
                {"type": "reasoning.text", "text": "b", "signature": "s", "index": 1},
            ])
        );
        assert_eq!(warnings.len(), 0);
    }

    #[test]
    fn results_stand_before_what_the_user_says_beside_them() {
        let result = |id: &str| {
            Part::ToolResult(ToolResult {
                call_id: id.to_owned(),
                name: None,
                parts: vec![text("y")],
                is_error: Some(true),
                is_plain: false,
                kind: ToolKind::Function,
                cache: Some(Cache::default()),
            })
        };
        let asked = request(vec![message(
            Role::User,
            vec![text("go on"), result("a"), result("b")],
        )]);
        let (body, warnings) = written(&asked, &Target::default());
        assert_eq!(
            body["messages"],
            json!([
                {"role": "tool", "tool_call_id": "a", "content": "y"},
                {"role": "tool", "tool_call_id": "b", "content": "y"},
                {"role": "user", "content": "go on"},
            ])
        );
        // That the tools failed, and the marks, each told once.
        assert_eq!(warnings.len(), 2);
        let marking = Target {
            cache_marks: CacheMarks::Breakpoint,
            ..Target::default()
        };
        let (body, _) = written(&asked, &marking);
        assert_eq!(
            body["messages"][0]["content"],
            json!([{
                "type": "text",
                "text": "y",
                "prompt_cache_breakpoint": {"mode": "explicit"},
            }])
        );
    }

    #[test]
    fn a_proof_of_a_call_is_for_those_who_know_it() {
        let call = Part::ToolCall(ToolCall {
            id: "a".to_owned(),
            item_id: None,
            name: "f".to_owned(),
            arguments: String::new(),
            kind: ToolKind::Function,
            signature: Some("s".to_owned()),
            cache: None,
        });
        let asked = request(vec![message(Role::Assistant, vec![call])]);
        let (body, warnings) = written(&asked, &Target::default());
        assert_eq!(
            body["messages"][0]["tool_calls"],
            json!([{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}])
        );
        assert_eq!(warnings.len(), 1);
        let gemini = Target {
            has_thought_signatures: true,
            ..Target::default()
        };
        let (body, _) = written(&asked, &gemini);
        let signature = &body["messages"][0]["tool_calls"][0]["extra_content"]["google"];
        assert_eq!(signature, &json!({"thought_signature": "s"}));
    }

    #[test]
    fn a_budget_of_thought_becomes_an_effort() {
        for (tokens, effort) in [
            (0, "none"),
            (1024, "low"),
            (10_000, "medium"),
            (32_000, "high"),
        ] {
            let asked = Request {
                reasoning: Some(Reasoning {
                    budget_tokens: Some(tokens),
                    ..Reasoning::default()
                }),
                ..request(Vec::new())
            };
            let (body, warnings) = written(&asked, &Target::default());
            assert_eq!(body["reasoning_effort"], effort);
            assert_eq!(warnings.len(), 1);
        }
    }
}
