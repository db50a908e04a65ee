//! A request for Gemini. The model and whether a stream is wanted stand in the address.

use crate::wire::asked::{refuse_field, refuse_tool};
use crate::wire::conversation::{
    Form, Losses, ModelTraits, Part, Reasoning, Request, Tool, ToolChoice, ToolKind, Unsupported,
    Written, path_of_message, path_of_part,
};
use crate::wire::gemini::contents::{Contents, warn_of_cache};
use crate::wire::messages::understood_tool;
use crate::wire::names::{Names, Setting};
use crate::wire::tree::{Json, Object};
use crate::wire::turns::{Side, Turns};
use serde_json::Value;

const TARGET: &str = "Gemini's API";

/// Fields of Gemini's own that a client of any dialect may give: nobody else has them.
const OWN_FIELDS: [&str; 3] = ["safetySettings", "cachedContent", "labels"];

/// Writes a request.
///
/// # Errors
///
/// When it says what Gemini's API cannot: the field is named.
pub fn write_request(request: &Request, traits: &ModelTraits) -> Result<Written, Unsupported> {
    write(request, traits, Losses::new(TARGET, false))
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
    write(request, traits, Losses::new(TARGET, true))
}

fn write(request: &Request, traits: &ModelTraits, losses: Losses) -> Result<Written, Unsupported> {
    let mut writer = Writer {
        request,
        traits,
        names: Names::of(request),
        losses,
    };
    let body = writer.conversation()?;
    let body = writer.tools(body)?;
    let generation = writer.generation()?;
    let body = body.with_full("generationConfig", generation);
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

impl Writer<'_> {
    fn conversation(&mut self) -> Result<Object, Unsupported> {
        for (place, message) in self.request.messages.iter().enumerate() {
            if message.name.is_some() {
                let name = format!("{}.name", path_of_message(self.request, place));
                self.losses.refuse(name, "its messages have no names")?;
            }
        }
        let mut turns = Turns::of(self.request);
        let is_system = |turn: &crate::wire::turns::Turn<'_>| turn.side == Side::System;
        while let Some(place) = turns.turns.iter().position(is_system) {
            let message = turns.turns.get(place).map_or(0, |turn| turn.message);
            self.losses.bend(
                path_of_message(self.request, message),
                "it takes system messages only at the beginning",
                "was moved to the beginning",
            )?;
            turns.move_to_system(place);
        }
        let mut contents = Contents::new(self.request, &mut self.losses);
        let system = contents.write(&turns.system)?;
        let mut written = Vec::with_capacity(turns.turns.len());
        for turn in &turns.turns {
            let parts = contents.write(&turn.parts)?;
            let role = match turn.side {
                Side::Model => "model",
                Side::User | Side::System => "user",
            };
            if !parts.is_empty() {
                written.push(Object::default().with("role", role).with("parts", parts));
            }
        }
        if written.is_empty() {
            return Err(Unsupported {
                field: "messages".to_owned(),
                target: TARGET,
                reason: "there is no message with content in it".to_owned(),
            });
        }
        let system = (!system.is_empty()).then(|| Object::default().with("parts", system));
        Ok(Object::default()
            .with_some("systemInstruction", system)
            .with("contents", written))
    }

    fn tools(&mut self, body: Object) -> Result<Object, Unsupported> {
        let mut functions = Vec::with_capacity(self.request.tools.len());
        for (place, tool) in self.request.tools.iter().enumerate() {
            functions.extend(self.tool(place, tool)?);
        }
        let has_functions = !functions.is_empty();
        let config = self.tool_config(has_functions)?;
        if self.request.parallel_tool_calls == Some(false) && has_functions {
            let name = self.names.setting(Setting::Parallel);
            self.losses
                .refuse(name, "it calls as many tools at once as it likes")?;
        }
        let tools =
            has_functions.then(|| vec![Object::default().with("functionDeclarations", functions)]);
        Ok(body
            .with_some("tools", tools)
            .with_some("toolConfig", config))
    }

    fn tool(&mut self, place: usize, tool: &Tool) -> Result<Option<Json>, Unsupported> {
        let name = format!("tools[{place}]");
        match tool {
            Tool::Function {
                name: function,
                description,
                parameters,
                cache,
                ..
            } => {
                if cache.is_some() {
                    warn_of_cache(&mut self.losses);
                }
                let function = Object::default()
                    .with("name", function)
                    .with_some("description", description.as_ref())
                    .with_some("parametersJsonSchema", parameters.clone());
                Ok(Some(function.into()))
            }
            Tool::Custom { .. } => {
                self.losses
                    .refuse(name, "its tools take JSON, no bare text")?;
                Ok(None)
            }
            Tool::Foreign { name: kind, value } => {
                refuse_tool(place, kind, &mut self.losses)?;
                match understood_tool(self.request, value) {
                    Some(tool) => self.tool(place, &tool),
                    None => Ok(None),
                }
            }
        }
    }

    /// Returns how tools are to be called. Arguments follow their schema for certain only in the modes `ANY` and
    /// `VALIDATED`.
    fn tool_config(&mut self, has_functions: bool) -> Result<Option<Object>, Unsupported> {
        let is_strict = self.request.tools.iter().any(|tool| {
            matches!(
                tool,
                Tool::Function {
                    strict: Some(true),
                    ..
                }
            )
        });
        let free = if is_strict { "VALIDATED" } else { "AUTO" };
        let (mode, only) = match &self.request.tool_choice {
            None if is_strict && has_functions => (free, None),
            None => return Ok(None),
            Some(ToolChoice::Auto) => (free, None),
            Some(ToolChoice::None) => ("NONE", None),
            Some(ToolChoice::Required) => ("ANY", None),
            Some(ToolChoice::Named(name, ToolKind::Function)) => ("ANY", Some(name)),
            Some(ToolChoice::Named(_, ToolKind::Custom) | ToolChoice::Foreign(_)) => {
                self.losses
                    .refuse("tool_choice", "it knows auto, any, none and a function")?;
                return Ok(None);
            }
        };
        let only = only.map(|name| vec![Json::from(name)]);
        let calling = Object::default()
            .with("mode", mode)
            .with_some("allowedFunctionNames", only);
        Ok(Some(
            Object::default().with("functionCallingConfig", calling),
        ))
    }

    fn generation(&mut self) -> Result<Object, Unsupported> {
        let sampling = &self.request.sampling;
        let seed = match sampling.seed {
            Some(seed) if i32::try_from(seed).is_err() => {
                self.losses.refuse("seed", "its seeds have 32 bits")?;
                None
            }
            seed => seed,
        };
        let temperature = match sampling.temperature {
            Some(temperature) if 2.0 < temperature => {
                let reason = "its temperatures end at 2";
                self.losses
                    .bend("temperature", reason, "was lowered to 2")?;
                Some(2.0)
            }
            temperature => temperature,
        };
        let penalty = |penalty: Option<f64>| penalty.filter(|penalty| penalty.abs() > 0.0);
        let choices = sampling.choices.filter(|choices| 1 < *choices);
        let top = sampling.top_log_probs.filter(|top| 0 < *top);
        let log_probs = sampling.log_probs.or_else(|| top.map(|_| true));
        let config = Object::default()
            .with_some("temperature", temperature)
            .with_some("topP", sampling.top_p)
            .with_some("topK", sampling.top_k)
            .with_some("candidateCount", choices)
            .with_some("maxOutputTokens", sampling.max_output_tokens)
            .with_full("stopSequences", sampling.stop.as_slice())
            .with_some("presencePenalty", penalty(sampling.presence_penalty))
            .with_some("frequencyPenalty", penalty(sampling.frequency_penalty))
            .with_some("seed", seed)
            .with_some("responseLogprobs", log_probs.filter(|asked| *asked))
            .with_some("logprobs", top)
            .with_some("mediaResolution", self.media_resolution()?);
        let config = self.form(config);
        let thinking = self.thinking()?;
        Ok(config.with_full("thinkingConfig", thinking))
    }

    /// Returns how finely pictures are looked at: Gemini's older models take this for all of them only.
    fn media_resolution(&mut self) -> Result<Option<&'static str>, Unsupported> {
        let request = self.request;
        let mut wanted: Option<&str> = None;
        for (message, said) in request.messages.iter().enumerate() {
            for (part, content) in said.parts.iter().enumerate() {
                let Part::Image {
                    detail: Some(detail),
                    ..
                } = content
                else {
                    continue;
                };
                let name = || format!("{}.detail", path_of_part(request, message, part));
                match (detail.as_str(), wanted) {
                    ("auto", _) => {}
                    ("low" | "high", None) => wanted = Some(detail),
                    (detail, Some(wanted)) if detail == wanted => {}
                    ("low" | "high", Some(_)) => {
                        let reason = "all pictures are looked at equally finely";
                        self.losses.refuse(name(), reason)?;
                    }
                    _ => self.losses.refuse(name(), "it knows low and high")?,
                }
            }
        }
        Ok(wanted.map(|wanted| match wanted {
            "low" => "MEDIA_RESOLUTION_LOW",
            _ => "MEDIA_RESOLUTION_HIGH",
        }))
    }

    fn form(&self, config: Object) -> Object {
        match &self.request.form {
            None | Some(Form::Text) => config,
            Some(Form::JsonObject) => config.with("responseMimeType", "application/json"),
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
                config
                    .with("responseMimeType", "application/json")
                    .with("responseJsonSchema", schema)
            }
        }
    }

    fn thinking(&mut self) -> Result<Object, Unsupported> {
        let Some(reasoning) = &self.request.reasoning else {
            return Ok(Object::default());
        };
        let is_shown = reasoning
            .is_shown
            .or_else(|| reasoning.summary.as_ref().map(|_| true));
        let config = Object::default().with_some("includeThoughts", is_shown);
        Ok(match (reasoning.budget_tokens, self.level(reasoning)?) {
            (Some(budget), _) => config.with("thinkingBudget", budget),
            (None, Some(Level::Budget(budget))) => config.with("thinkingBudget", budget),
            (None, Some(Level::Word(word))) => config.with("thinkingLevel", word),
            (None, None) if reasoning.is_adaptive => config.with("thinkingBudget", -1_i64),
            (None, None) => config,
        })
    }

    fn level(&mut self, reasoning: &Reasoning) -> Result<Option<Level>, Unsupported> {
        let Some(effort) = reasoning.effort.as_deref() else {
            return Ok(None);
        };
        if effort == "none" || self.traits.thinks_by_budget {
            let limit = self.request.sampling.max_output_tokens;
            let budget = self.traits.budget_of(effort, limit);
            return Ok(budget.map(Level::Budget));
        }
        Ok(match effort {
            "minimal" => Some(Level::Word("MINIMAL")),
            "low" => Some(Level::Word("LOW")),
            "medium" => Some(Level::Word("MEDIUM")),
            "high" => Some(Level::Word("HIGH")),
            "xhigh" => Some(Level::Word("XHIGH")),
            other => {
                let name = self.names.setting(Setting::Effort);
                let reason = format!("it knows no effort `{other}`");
                self.losses.refuse(name, reason)?;
                None
            }
        })
    }

    fn rest(&mut self, body: Object) -> Result<Object, Unsupported> {
        let tier = match self.request.service_tier.as_deref() {
            None | Some("auto") => None,
            Some("default" | "standard_only") => Some("standard"),
            Some(tier @ ("flex" | "priority")) => Some(tier),
            Some(tier) => {
                let reason = format!("it has no tier `{tier}`");
                self.losses.refuse("service_tier", reason)?;
                None
            }
        };
        if !self.request.metadata.is_empty() {
            self.losses
                .warn("`metadata` was recorded and not sent: Gemini's API has no place for it");
        }
        if self.request.user.is_some() {
            let name = self.names.setting(Setting::User);
            self.losses.warn(format!(
                "`{name}` was recorded and not sent: Gemini's API has no place for it"
            ));
        }
        let mut body = body.with_some("serviceTier", tier);
        for (key, value) in &self.request.rest {
            if OWN_FIELDS.contains(&key.as_str()) {
                body.put(key, Value::clone(value));
            } else {
                refuse_field(key, &mut self.losses)?;
            }
        }
        Ok(body)
    }
}

/// How much is to be thought.
#[derive(Debug, Clone, Copy)]
enum Level {
    Budget(u64),
    Word(&'static str),
}
