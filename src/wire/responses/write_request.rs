//! Requests for responses, written.

use crate::wire::chat::{CacheMarks, effort_of, insert, written_schema};
use crate::wire::conversation::{
    Dialect, Form, Losses, Request, Tool, ToolChoice, ToolKind, Unsupported, Written,
};
use crate::wire::openai::shared::{SHARED_FIELDS, put};
use crate::wire::responses::output::write_messages;
use serde_json::{Map, Value, json};

/// In what models that speak responses differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Target {
    /// Whether parts can be marked by `prompt_cache_breakpoint`: `OpenAI`'s models from `gpt-5.6` on. Where
    /// they cannot, a mark is left out with a warning.
    pub has_breakpoints: bool,
}

/// Writes a request for a response. It is never kept by the provider (`store` is false) unless chat
/// completions asked for it, and thoughts are asked for with their proof, so that they can be sent
/// back.
///
/// # Errors
///
/// When responses cannot say a part of the request.
pub fn write_request(request: &Request, target: &Target) -> Result<Written, Unsupported> {
    write(request, *target, false)
}

/// Writes a request for a response and leaves out what cannot be said; the warnings tell what.
///
/// # Errors
///
/// Never, as long as everything can be left out.
pub fn write_request_dropping(request: &Request, target: &Target) -> Result<Written, Unsupported> {
    write(request, *target, true)
}

const NO_PARAMETER: &str = "it has no such parameter";

fn write(request: &Request, target: Target, is_dropping: bool) -> Result<Written, Unsupported> {
    let mut writer = Writer {
        request,
        losses: Losses::new("OpenAI's responses", is_dropping),
        body: Map::new(),
    };
    writer.set("model", Some(&request.model));
    let (instructions, input) =
        write_messages(request, marks_of(request, target), &mut writer.losses)?;
    writer.set("instructions", instructions);
    writer.set("input", Some(input));
    writer.tools()?;
    writer.text();
    writer.sampling()?;
    writer.reasoning();
    writer.caller();
    writer.set("store", Some(false));
    writer.rest()?;
    Ok(Written {
        body: Value::Object(writer.body).to_string().into(),
        warnings: writer.losses.into_warnings(),
    })
}

/// Returns how parts are marked. Whoever speaks responses knows whether the model can be told.
fn marks_of(request: &Request, target: Target) -> CacheMarks {
    if target.has_breakpoints || request.dialect == Dialect::Responses {
        CacheMarks::Breakpoint
    } else {
        CacheMarks::None
    }
}

struct Writer<'a> {
    request: &'a Request,
    losses: Losses,
    body: Map<String, Value>,
}

impl Writer<'_> {
    fn set<T: serde::Serialize>(&mut self, key: &str, value: Option<T>) {
        // What is set is made of strings, numbers and values.
        let value = value.and_then(|value| serde_json::to_value(value).ok());
        insert(&mut self.body, key, value);
    }

    fn tools(&mut self) -> Result<(), Unsupported> {
        let mut tools = Vec::new();
        for (place, tool) in self.request.tools.iter().enumerate() {
            tools.extend(self.tool(place, tool)?);
        }
        if !tools.is_empty() {
            self.set("tools", Some(tools));
        }
        let is_own = self.request.dialect == Dialect::Responses;
        match &self.request.tool_choice {
            Some(ToolChoice::Foreign(_)) if !is_own => {
                let reason = "it has no such choice of tools";
                self.losses.refuse("tool_choice", reason)?;
            }
            choice => self.set("tool_choice", choice.as_ref().map(written_choice)),
        }
        self.set("parallel_tool_calls", self.request.parallel_tool_calls);
        Ok(())
    }

    fn tool(&mut self, place: usize, tool: &Tool) -> Result<Option<Value>, Unsupported> {
        let is_own = self.request.dialect == Dialect::Responses;
        Ok(match tool {
            Tool::Foreign { value, .. } if is_own => Some(value.clone()),
            Tool::Foreign { name, .. } => {
                let reason = format!("it has no tool of the type `{name}`");
                self.losses.refuse(format!("tools[{place}]"), reason)?;
                None
            }
            Tool::Function {
                name,
                description,
                parameters,
                strict,
                cache,
            } => {
                if cache.is_some() {
                    self.losses.warn(crate::wire::chat::CACHE_MARK_LEFT_OUT);
                }
                let mut fields = named("function", name, description.as_ref());
                let parameters = parameters.clone().unwrap_or(Value::Null);
                fields.insert("parameters".to_owned(), parameters);
                // What is not said is strict here, and nowhere else.
                let strict = strict.or((!is_own).then_some(false));
                insert(&mut fields, "strict", strict.map(Value::from));
                Some(Value::Object(fields))
            }
            Tool::Custom {
                name,
                description,
                format,
            } => {
                let mut fields = named("custom", name, description.as_ref());
                insert(&mut fields, "format", format.clone());
                Some(Value::Object(fields))
            }
        })
    }

    fn text(&mut self) {
        let format = self.request.form.as_ref().map(|form| match form {
            Form::Text => json!({"type": "text"}),
            Form::JsonObject => json!({"type": "json_object"}),
            schema @ Form::JsonSchema { .. } => {
                let mut fields = Map::new();
                fields.insert("type".to_owned(), "json_schema".into());
                fields.extend(written_schema(schema));
                Value::Object(fields)
            }
        });
        self.set("text", format.map(|format| json!({"format": format})));
    }

    fn sampling(&mut self) -> Result<(), Unsupported> {
        let sampling = &self.request.sampling;
        self.set("temperature", sampling.temperature);
        self.set("top_p", sampling.top_p);
        self.set("max_output_tokens", sampling.max_output_tokens);
        self.set("top_logprobs", sampling.top_log_probs);
        let stop = match self.request.dialect {
            Dialect::Messages => "stop_sequences",
            _ => "stop",
        };
        for (name, is_given) in [
            ("top_k", sampling.top_k.is_some()),
            ("frequency_penalty", is_not_zero(sampling.frequency_penalty)),
            ("presence_penalty", is_not_zero(sampling.presence_penalty)),
            ("seed", sampling.seed.is_some()),
            (stop, !sampling.stop.is_empty()),
            ("n", sampling.choices.is_some_and(|count| count != 1)),
        ] {
            if is_given {
                self.losses.refuse(name, NO_PARAMETER)?;
            }
        }
        Ok(())
    }

    fn reasoning(&mut self) {
        let is_own = self.request.dialect == Dialect::Responses;
        let mut include = Vec::new();
        let thinks = self
            .request
            .reasoning
            .as_ref()
            .is_some_and(|reasoning| reasoning.effort.as_deref() != Some("none"));
        if self.request.wants_signatures || (thinks && !is_own) {
            include.push("reasoning.encrypted_content");
        }
        if self.request.sampling.log_probs == Some(true) {
            include.push("message.output_text.logprobs");
        }
        if !include.is_empty() {
            self.set("include", Some(include));
        }
        let Some(reasoning) = &self.request.reasoning else {
            return;
        };
        let mut fields = Map::new();
        let effort = effort_of(reasoning, &mut self.losses);
        insert(&mut fields, "effort", effort.map(Value::from));
        let shown = (reasoning.is_shown == Some(true)).then(|| "auto".to_owned());
        let summary = reasoning.summary.clone().or(shown);
        insert(&mut fields, "summary", summary.map(Value::from));
        if !fields.is_empty() {
            self.set("reasoning", Some(fields));
        }
    }

    fn caller(&mut self) {
        if self.request.stream {
            self.set("stream", Some(true));
        }
        self.set("user", self.request.user.as_ref());
        let tier = self.request.service_tier.as_deref();
        let tier = tier.map(|tier| match tier {
            "standard_only" => "default",
            tier => tier,
        });
        self.set("service_tier", tier);
        if !self.request.metadata.is_empty() {
            self.set("metadata", Some(&self.request.metadata));
        }
    }

    fn rest(&mut self) -> Result<(), Unsupported> {
        for (key, value) in &self.request.rest {
            match (self.request.dialect, key.as_str()) {
                (Dialect::Responses, "include") => self.include(value),
                (Dialect::Responses, _) => put(&mut self.body, key, value.clone()),
                (Dialect::Chat, "store") => put(&mut self.body, key, value.clone()),
                (Dialect::Chat, "verbosity") => {
                    put(&mut self.body, "text", json!({"verbosity": value}));
                }
                (Dialect::Chat, "modalities") if *value == json!(["text"]) => {}
                (Dialect::Chat, key) if SHARED_FIELDS.contains(&key) => {
                    put(&mut self.body, key, value.clone());
                }
                (Dialect::Chat, "stream_options") => {
                    for name in value.as_object().into_iter().flat_map(Map::keys) {
                        self.losses.refuse(format!("{key}.{name}"), NO_PARAMETER)?;
                    }
                }
                _ => self.losses.refuse(key, NO_PARAMETER)?,
            }
        }
        Ok(())
    }

    fn include(&mut self, more: &Value) {
        let more = more.as_array().cloned().unwrap_or_default();
        match self.body.get_mut("include").and_then(Value::as_array_mut) {
            Some(include) => include.extend(more),
            None => self.set("include", Some(more)),
        }
    }
}

/// Whether a penalty was given that does anything.
fn is_not_zero(penalty: Option<f64>) -> bool {
    penalty.is_some_and(|penalty| 0.0 < penalty.abs())
}

fn named(kind: &str, name: &str, description: Option<&String>) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), kind.into());
    fields.insert("name".to_owned(), name.into());
    let description = description.map(|text| text.as_str().into());
    insert(&mut fields, "description", description);
    fields
}

fn written_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name, ToolKind::Function) => json!({"type": "function", "name": name}),
        ToolChoice::Named(name, ToolKind::Custom) => json!({"type": "custom", "name": name}),
        ToolChoice::Foreign(value) => value.clone(),
    }
}
