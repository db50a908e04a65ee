//! A request for Anthropic.

use crate::wire::asked::{input_schema, no_messages, refuse_field, refuse_sampling, refuse_tool};
use crate::wire::conversation::{
    Dialect, Form, Losses, ModelTraits, Reasoning, Request, Sampling, Tool, ToolChoice, ToolKind,
    Unsupported, Written, path_of_message,
};
use crate::wire::messages::block::{Blocks, with_cache};
use crate::wire::names::{Names, Setting};
use crate::wire::tree::{Json, Object};
use crate::wire::turns::{Side, Turns};
use serde_json::Value;

pub(super) const TARGET: &str = "Anthropic's API";

/// Writes a request.
///
/// # Errors
///
/// When it says what Anthropic's API cannot: the field is named.
pub fn write_request(request: &Request, traits: &ModelTraits) -> Result<Written, Unsupported> {
    write(request, traits, Losses::new(TARGET, false), Purpose::Answer)
}

/// Writes a request without what cannot be said, which is told in the warnings.
///
/// # Errors
///
/// When nothing that could be asked is left.
pub fn write_request_dropping(
    request: &Request,
    traits: &ModelTraits,
) -> Result<Written, Unsupported> {
    write(request, traits, Losses::new(TARGET, true), Purpose::Answer)
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// An answer.
    Answer,
    /// How many tokens go in.
    Count,
}

pub(super) fn write(
    request: &Request,
    traits: &ModelTraits,
    losses: Losses,
    purpose: Purpose,
) -> Result<Written, Unsupported> {
    let mut writer = Writer {
        request,
        traits,
        names: Names::of(request),
        losses,
    };
    let mut body = Object::default().with("model", &request.model);
    if purpose == Purpose::Answer {
        let asked = request.sampling.max_output_tokens;
        body.put("max_tokens", asked.unwrap_or(traits.max_output_tokens));
    }
    let body = writer.conversation(body)?;
    let body = writer.tools(body)?;
    let body = writer.tool_choice(body)?;
    let body = writer.reasoning_and_form(body)?;
    let body = match purpose {
        Purpose::Answer => writer.settings(body)?,
        Purpose::Count => body,
    };
    let body = writer.rest(body)?;
    Ok(Written {
        body: body.to_bytes(),
        warnings: writer.losses.into_warnings(),
    })
}

struct Writer<'a> {
    request: &'a Request,
    traits: &'a ModelTraits,
    names: Names,
    losses: Losses,
}

impl<'a> Writer<'a> {
    fn is_own(&self) -> bool {
        self.request.dialect == Dialect::Messages
    }

    fn conversation(&mut self, body: Object) -> Result<Object, Unsupported> {
        for (place, message) in self.request.messages.iter().enumerate() {
            if message.name.is_some() {
                let name = format!("{}.name", path_of_message(self.request, place));
                self.losses.refuse(name, "its messages have no names")?;
            }
        }
        let turns = self.placed_turns()?;
        let mut blocks = Blocks {
            request: self.request,
            losses: &mut self.losses,
        };
        let system = blocks.content(&turns.system, turns.is_system_plain)?;
        let mut messages = Vec::with_capacity(turns.turns.len());
        for turn in &turns.turns {
            let Some(content) = blocks.content(&turn.parts, turn.is_plain)? else {
                continue;
            };
            let role = match turn.side {
                Side::User => "user",
                Side::Model => "assistant",
                Side::System => "system",
            };
            messages.push(
                Object::default()
                    .with("role", role)
                    .with("content", content),
            );
        }
        if messages.is_empty() {
            return Err(no_messages(TARGET));
        }
        Ok(body.with_some("system", system).with("messages", messages))
    }

    /// Returns the turns. What the application says in the middle stays where it is behind a user's turn, which is
    /// where Anthropic takes it; elsewhere it would have to be moved.
    fn placed_turns(&mut self) -> Result<Turns<'a>, Unsupported> {
        let mut turns = Turns::of(self.request);
        if self.is_own() {
            return Ok(turns);
        }
        while let Some((place, message)) = turns.misplaced_system() {
            let name = path_of_message(self.request, message);
            self.losses.bend(
                name,
                "in the middle of a conversation it takes a system message only behind a user's",
                "was moved to the beginning",
            )?;
            turns.move_to_system(place);
        }
        Ok(turns)
    }

    fn tools(&mut self, body: Object) -> Result<Object, Unsupported> {
        let mut tools = Vec::with_capacity(self.request.tools.len());
        for (place, tool) in self.request.tools.iter().enumerate() {
            tools.extend(self.tool(place, tool)?);
        }
        Ok(body.with_full("tools", tools))
    }

    fn tool(&mut self, place: usize, tool: &Tool) -> Result<Option<Json>, Unsupported> {
        match tool {
            Tool::Function {
                name,
                description,
                parameters,
                strict,
                cache,
            } => {
                let tool = Object::default()
                    .with("name", name)
                    .with_some("description", description.as_ref())
                    .with("input_schema", input_schema(parameters.as_ref()))
                    .with_some("strict", strict.filter(|strict| *strict));
                Ok(Some(
                    with_cache(tool, cache.as_ref(), &mut self.losses).into(),
                ))
            }
            Tool::Foreign { value, .. } if self.is_own() => Ok(Some(value.clone().into())),
            Tool::Foreign { name, .. } => {
                refuse_tool(place, name, &mut self.losses)?;
                Ok(None)
            }
            Tool::Custom { .. } => {
                let reason = "its tools take JSON, no bare text";
                self.losses.refuse(format!("tools[{place}]"), reason)?;
                Ok(None)
            }
        }
    }

    fn tool_choice(&mut self, body: Object) -> Result<Object, Unsupported> {
        let has_tools = !self.request.tools.is_empty();
        let is_one_at_a_time = self.request.parallel_tool_calls == Some(false);
        let choice = match &self.request.tool_choice {
            None if is_one_at_a_time && has_tools => Object::of_type("auto"),
            None => return Ok(body),
            Some(ToolChoice::Auto) => Object::of_type("auto"),
            Some(ToolChoice::Required) => Object::of_type("any"),
            Some(ToolChoice::None) => return Ok(body.with("tool_choice", Object::of_type("none"))),
            Some(ToolChoice::Named(name, ToolKind::Function)) => {
                Object::of_type("tool").with("name", name)
            }
            Some(ToolChoice::Foreign(value)) if self.is_own() => {
                return Ok(body.with("tool_choice", value.clone()));
            }
            Some(ToolChoice::Named(_, ToolKind::Custom) | ToolChoice::Foreign(_)) => {
                self.losses
                    .refuse("tool_choice", "it knows auto, any, none and a function")?;
                return Ok(body);
            }
        };
        let disabled = match self.request.parallel_tool_calls {
            Some(false) => Some(true),
            Some(true) if self.is_own() => Some(false),
            Some(true) | None => None,
        };
        let choice = choice.with_some("disable_parallel_tool_use", disabled);
        Ok(body.with("tool_choice", choice))
    }

    /// Returns how the next token shall be chosen, as far as this version of the API lets anybody say it.
    fn sampling(&mut self) -> Result<Sampling, Unsupported> {
        let mut sampling = self.request.sampling.clone();
        if self.traits.has_sampling {
            return Ok(sampling);
        }
        let asked = [
            ("temperature", sampling.temperature.take().is_some()),
            ("top_p", sampling.top_p.take().is_some()),
            ("top_k", sampling.top_k.take().is_some()),
        ];
        for (name, _) in asked.into_iter().filter(|(_, is_asked)| *is_asked) {
            let reason = "the version that is asked for has no such setting any more";
            self.losses.refuse(name, reason)?;
        }
        Ok(sampling)
    }

    fn settings(&mut self, body: Object) -> Result<Object, Unsupported> {
        let sampling = self.sampling()?;
        let temperature = match sampling.temperature {
            Some(temperature) if 1.0 < temperature => {
                let reason = "its temperatures end at 1";
                self.losses
                    .bend("temperature", reason, "was lowered to 1")?;
                Some(1.0)
            }
            temperature => temperature,
        };
        refuse_sampling(&sampling, self.names, &mut self.losses)?;
        let tier = match self.request.service_tier.as_deref() {
            Some("default") => Some("standard_only"),
            Some(tier) if self.is_own() || matches!(tier, "auto" | "standard_only") => Some(tier),
            Some(tier) => {
                let reason = format!("it has no tier `{tier}`");
                self.losses.refuse("service_tier", reason)?;
                None
            }
            None => None,
        };
        if !self.request.metadata.is_empty() {
            self.losses
                .warn("`metadata` was recorded and not sent: Anthropic's API has no place for it");
        }
        let user = self.request.user.as_ref();
        let metadata = user.map(|user| Object::default().with("user_id", user));
        Ok(body
            .with_some("temperature", temperature)
            .with_some("top_p", sampling.top_p)
            .with_some("top_k", sampling.top_k)
            .with_full("stop_sequences", sampling.stop.as_slice())
            .with_some("metadata", metadata)
            .with_some("service_tier", tier)
            .with_some("stream", self.request.stream.then_some(true)))
    }

    fn reasoning_and_form(&mut self, body: Object) -> Result<Object, Unsupported> {
        let (thinking, effort) = self.reasoning()?;
        let format = self.form()?;
        let mut config = Object::default()
            .with_some("effort", effort)
            .with_some("format", format);
        if let Some(Value::Object(rest)) = self.own_rest("output_config") {
            config = config.with_all(rest);
        }
        Ok(body
            .with_some("thinking", thinking)
            .with_full("output_config", config))
    }

    /// Returns what is to be thought, and with what effort.
    fn reasoning(&mut self) -> Result<(Option<Object>, Option<String>), Unsupported> {
        let Some(reasoning) = &self.request.reasoning else {
            return Ok((None, None));
        };
        let display = reasoning.is_shown.map(|is_shown| match is_shown {
            true => "summarized",
            false => "omitted",
        });
        let display = match &reasoning.summary {
            Some(_) => display.or(Some("summarized")),
            None => display,
        };
        let enabled = |budget: u64| match budget {
            0 => Object::of_type("disabled"),
            budget => Object::of_type("enabled")
                .with("budget_tokens", budget)
                .with_some("display", display),
        };
        let adaptive = || Object::of_type("adaptive").with_some("display", display);
        let effort = self.effort(reasoning)?;
        let budget = reasoning.budget_tokens.or_else(|| {
            let is_budget = self.traits.thinks_by_budget && !self.is_own();
            let effort = effort
                .as_deref()
                .filter(|effort| is_budget || *effort == "none");
            let limit = self.request.sampling.max_output_tokens;
            self.traits.budget_of(effort?, limit)
        });
        let is_sent = self.is_own() || !self.traits.thinks_by_budget;
        let effort = effort.filter(|effort| effort != "none" && is_sent);
        let thinking = match (budget, reasoning.is_adaptive) {
            (_, true) => Some(adaptive()),
            (Some(budget), false) => Some(enabled(budget)),
            // An effort alone says nothing of thinking where it comes from Anthropic's own clients.
            (None, false) if self.is_own() && display.is_none() => None,
            (None, false) => Some(adaptive()),
        };
        Ok((thinking, effort))
    }

    fn effort(&mut self, reasoning: &Reasoning) -> Result<Option<String>, Unsupported> {
        match reasoning.effort.as_deref() {
            Some("minimal") if !self.traits.thinks_by_budget => {
                let name = self.names.setting(Setting::Effort);
                self.losses
                    .bend(name, "its least effort is `low`", "was raised")?;
                Ok(Some("low".to_owned()))
            }
            effort => Ok(effort.map(ToOwned::to_owned)),
        }
    }

    fn form(&mut self) -> Result<Option<Object>, Unsupported> {
        match &self.request.form {
            None | Some(Form::Text) => Ok(None),
            Some(Form::JsonObject) => {
                let name = self.names.setting(Setting::Form);
                self.losses.refuse(name, "it makes JSON only by a schema")?;
                Ok(None)
            }
            Some(Form::JsonSchema {
                schema,
                description,
                ..
            }) => {
                let mut schema = schema.clone();
                if let (Some(description), Some(schema)) = (description, schema.as_object_mut()) {
                    schema
                        .entry("description")
                        .or_insert_with(|| description.as_str().into());
                }
                Ok(Some(Object::of_type("json_schema").with("schema", schema)))
            }
        }
    }

    fn own_rest(&self, key: &str) -> Option<&Value> {
        self.request.rest.get(key).filter(|_| self.is_own())
    }

    fn rest(&mut self, mut body: Object) -> Result<Object, Unsupported> {
        for (key, value) in &self.request.rest {
            match (self.is_own(), key.as_str()) {
                (true, "output_config") => {}
                (true, "metadata") => {
                    let mut metadata =
                        Object::default().with_some("user_id", self.request.user.as_ref());
                    if let Value::Object(rest) = value {
                        metadata = metadata.with_all(rest);
                    }
                    body.put("metadata", metadata);
                }
                (true, _) => body.put(key, value.clone()),
                (false, _) => refuse_field(key, &mut self.losses)?,
            }
        }
        Ok(body)
    }
}
