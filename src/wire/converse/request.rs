//! A request for Bedrock. The model, and whether a stream is wanted, stand in the address.

use crate::wire::asked::{input_schema, no_messages, refuse_field, refuse_sampling, refuse_tool};
use crate::wire::conversation::{
    Dialect, Form, Losses, ModelTraits, Reasoning, Request, Tool, ToolChoice, ToolKind,
    Unsupported, Written, path_of_message,
};
use crate::wire::converse::block::{Blocks, cache_point};
use crate::wire::messages::understood_tool;
use crate::wire::names::{Names, Setting};
use crate::wire::tree::Object;
use crate::wire::turns::{Side, Turns};
use serde_json::Value;

const TARGET: &str = "Bedrock's API";

/// Fields of Bedrock's own that a client of any dialect may give: nobody else has them.
const OWN_FIELDS: [&str; 4] = [
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "performanceConfig",
];

/// Writes a request.
///
/// # Errors
///
/// When it says what Bedrock's API cannot: the field is named.
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
        more: Object::default(),
        output: Object::default(),
    };
    let body = writer.conversation()?;
    let body = writer.tools(body)?;
    let body = writer.settings(body)?;
    writer.reasoning()?;
    writer.form()?;
    let body = writer.rest(body)?;
    Ok(Written {
        body: body.to_bytes(),
        warnings: writer.losses.into_warnings(),
    })
}

/// Whose model it is, as far as its id tells: what Bedrock has no word for is said in the model's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Family {
    Anthropic,
    Nova,
    Mistral,
    Other,
}

impl Family {
    fn of(model: &str) -> Self {
        let families = [
            ("anthropic.", Self::Anthropic),
            ("claude", Self::Anthropic),
            ("amazon.nova", Self::Nova),
            ("mistral.", Self::Mistral),
        ];
        let found = families.into_iter().find(|(name, _)| model.contains(name));
        found.map_or(Self::Other, |(_, family)| family)
    }
}

struct Writer<'a> {
    request: &'a Request,
    traits: &'a ModelTraits,
    names: Names,
    losses: Losses,
    /// `additionalModelRequestFields`.
    more: Object,
    /// `outputConfig`.
    output: Object,
}

impl<'a> Writer<'a> {
    fn conversation(&mut self) -> Result<Object, Unsupported> {
        for (place, message) in self.request.messages.iter().enumerate() {
            if message.name.is_some() {
                let name = format!("{}.name", path_of_message(self.request, place));
                self.losses.refuse(name, "its messages have no names")?;
            }
        }
        let turns = self.placed_turns()?;
        let mut blocks = Blocks::new(self.request, &mut self.losses);
        let system = blocks.write(&turns.system)?;
        let mut messages = Vec::with_capacity(turns.turns.len());
        for turn in &turns.turns {
            let content = blocks.write(&turn.parts)?;
            let role = match turn.side {
                Side::User => "user",
                Side::Model => "assistant",
                Side::System => "system",
            };
            if !content.is_empty() {
                messages.push(
                    Object::default()
                        .with("role", role)
                        .with("content", content),
                );
            }
        }
        if messages.is_empty() {
            return Err(no_messages(TARGET));
        }
        Ok(Object::default()
            .with_full("system", system)
            .with("messages", messages))
    }

    /// Returns the turns. What the application says in the middle stays where it is behind a user's turn, which is
    /// where Bedrock takes it; elsewhere it would have to be moved.
    fn placed_turns(&mut self) -> Result<Turns<'a>, Unsupported> {
        let mut turns = Turns::of(self.request);
        while let Some((place, message)) = turns.misplaced_system() {
            self.losses.bend(
                path_of_message(self.request, message),
                "in the middle of a conversation it takes a system message only behind a user's",
                "was moved to the beginning",
            )?;
            turns.move_to_system(place);
        }
        if self.request.tools.is_empty() && turns.has_tools() {
            let reason = "it wants the tools that the conversation has calls of";
            self.losses.bend("tools", reason, "are missing")?;
        }
        Ok(turns)
    }

    fn tools(&mut self, body: Object) -> Result<Object, Unsupported> {
        let mut tools = Vec::with_capacity(self.request.tools.len());
        for (place, tool) in self.request.tools.iter().enumerate() {
            self.tool(place, tool, &mut tools)?;
        }
        if tools.is_empty() {
            return Ok(body);
        }
        if self.request.parallel_tool_calls == Some(false) {
            let name = self.names.setting(Setting::Parallel);
            let reason = "it calls as many tools at once as it likes";
            self.losses.refuse(name, reason)?;
        }
        let has_calls = Turns::of(self.request).has_tools();
        let choice = match &self.request.tool_choice {
            None => None,
            Some(ToolChoice::Auto) => Some(("auto", Object::default())),
            Some(ToolChoice::Required) => Some(("any", Object::default())),
            Some(ToolChoice::Named(name, ToolKind::Function)) => {
                Some(("tool", Object::default().with("name", name)))
            }
            // Without tools none is called.
            Some(ToolChoice::None) if !has_calls => return Ok(body),
            Some(_) => {
                let reason = "it knows auto, required and a function";
                self.losses.refuse("tool_choice", reason)?;
                None
            }
        };
        let choice = choice.map(|(kind, choice)| Object::default().with(kind, choice));
        let config = Object::default()
            .with("tools", tools)
            .with_some("toolChoice", choice);
        Ok(body.with("toolConfig", config))
    }

    fn tool(
        &mut self,
        place: usize,
        tool: &Tool,
        out: &mut Vec<Object>,
    ) -> Result<(), Unsupported> {
        let refused = format!("tools[{place}]");
        match tool {
            Tool::Function {
                name,
                description,
                parameters,
                strict,
                cache,
            } => {
                let schema = Object::default().with("json", input_schema(parameters.as_ref()));
                let description = description.as_ref().filter(|text| !text.is_empty());
                let tool = Object::default()
                    .with("name", name)
                    .with_some("description", description)
                    .with("inputSchema", schema)
                    .with_some("strict", strict.filter(|strict| *strict));
                out.push(Object::default().with("toolSpec", tool));
                let cache = cache.as_ref();
                out.extend(cache.map(|cache| cache_point(cache, &mut self.losses)));
                Ok(())
            }
            Tool::Foreign {
                value: Value::Object(tool),
                ..
            } if self.request.dialect == Dialect::Converse => {
                out.push(Object::default().with_all(tool));
                Ok(())
            }
            Tool::Foreign { name, value } => {
                refuse_tool(place, name, &mut self.losses)?;
                match understood_tool(self.request, value) {
                    Some(tool) => self.tool(place, &tool, out),
                    None => Ok(()),
                }
            }
            Tool::Custom { .. } => self
                .losses
                .refuse(refused, "its tools take JSON, no bare text"),
        }
    }

    fn settings(&mut self, body: Object) -> Result<Object, Unsupported> {
        let sampling = &self.request.sampling;
        let temperature = match sampling.temperature {
            Some(temperature) if 1.0 < temperature => {
                let reason = "its temperatures end at 1";
                self.losses
                    .bend("temperature", reason, "was lowered to 1")?;
                Some(1.0)
            }
            temperature => temperature,
        };
        refuse_sampling(sampling, self.names, &mut self.losses)?;
        if let Some(top_k) = sampling.top_k {
            match Family::of(&self.request.model) {
                Family::Anthropic | Family::Mistral => self.more.put("top_k", top_k),
                Family::Nova => {
                    let config = Object::default().with("topK", top_k);
                    self.more.put("inferenceConfig", config);
                }
                Family::Other => {
                    let reason = "it has no word for it, and that of the model is not known";
                    self.losses.refuse("top_k", reason)?;
                }
            }
        }
        let config = Object::default()
            .with_some("maxTokens", sampling.max_output_tokens)
            .with_some("temperature", temperature)
            .with_some("topP", sampling.top_p)
            .with_full("stopSequences", sampling.stop.as_slice());
        Ok(body.with_full("inferenceConfig", config))
    }

    fn reasoning(&mut self) -> Result<(), Unsupported> {
        let Some(reasoning) = &self.request.reasoning else {
            return Ok(());
        };
        let is_anthropic = Family::of(&self.request.model) == Family::Anthropic;
        let budget = reasoning.budget_tokens.or_else(|| self.budget(reasoning));
        let effort = reasoning
            .effort
            .as_deref()
            .filter(|effort| *effort != "none");
        // An effort alone says nothing of thinking where it comes from Anthropic's own clients.
        let is_wanted = effort.is_some() && self.request.dialect != Dialect::Messages;
        let display = reasoning
            .is_shown
            .or(reasoning.summary.as_ref().map(|_| true));
        let display = display.map(|is_shown| match is_shown {
            true => "summarized",
            false => "omitted",
        });
        match (budget, is_anthropic) {
            (Some(0), false) => {}
            (Some(0), true) => self.more.put("thinking", Object::of_type("disabled")),
            (Some(budget), true) => {
                let thinking = Object::of_type("enabled")
                    .with("budget_tokens", budget)
                    .with_some("display", display);
                self.more.put("thinking", thinking);
            }
            (Some(_), false) => {
                let reason = "it has no word for it, and that of the model is not known";
                self.losses.refuse("thinking.budget_tokens", reason)?;
            }
            (None, true) if reasoning.is_adaptive || is_wanted => {
                let thinking = Object::of_type("adaptive").with_some("display", display);
                self.more.put("thinking", thinking);
            }
            (None, false) if reasoning.is_adaptive => {
                let reason = "only Anthropic's models decide how much they think";
                self.losses.refuse("thinking", reason)?;
            }
            (None, _) => {}
        }
        match effort {
            Some("minimal") if budget.is_none() => {
                let name = self.names.setting(Setting::Effort);
                self.losses
                    .bend(name, "its least effort is `low`", "was raised")?;
                self.output.put("effort", "low");
            }
            Some(effort) if !self.traits.thinks_by_budget => self.output.put("effort", effort),
            Some(_) | None => {}
        }
        Ok(())
    }

    fn budget(&self, reasoning: &Reasoning) -> Option<u64> {
        let effort = reasoning.effort.as_deref()?;
        let is_budget = self.traits.thinks_by_budget || effort == "none";
        let limit = self.request.sampling.max_output_tokens;
        self.traits.budget_of(effort, limit).filter(|_| is_budget)
    }

    fn form(&mut self) -> Result<(), Unsupported> {
        match &self.request.form {
            None | Some(Form::Text) => Ok(()),
            Some(Form::JsonObject) => {
                let name = self.names.setting(Setting::Form);
                self.losses.refuse(name, "it makes JSON only by a schema")
            }
            Some(Form::JsonSchema {
                name,
                description,
                schema,
                ..
            }) => {
                // The schema is a text in a text.
                let definition = Object::default()
                    .with("schema", schema.to_string())
                    .with_some("name", name.as_ref())
                    .with_some("description", description.as_ref());
                let structure = Object::default().with("jsonSchema", definition);
                let format = Object::of_type("json_schema").with("structure", structure);
                self.output.put("textFormat", format);
                Ok(())
            }
        }
    }

    fn rest(&mut self, body: Object) -> Result<Object, Unsupported> {
        let tier = match self.request.service_tier.as_deref() {
            None | Some("auto") => None,
            Some("default" | "standard_only") => Some("default"),
            Some(tier @ ("flex" | "priority" | "reserved")) => Some(tier),
            Some(tier) => {
                let reason = format!("it has no tier `{tier}`");
                self.losses.refuse("service_tier", reason)?;
                None
            }
        };
        if self.request.user.is_some() {
            let name = self.names.setting(Setting::User);
            self.losses.warn(format!(
                "`{name}` was recorded and not sent: Bedrock's API has no place for it"
            ));
        }
        let mut metadata = Object::default();
        for (key, value) in &self.request.metadata {
            metadata.put(key, value);
        }
        let mut body = body
            .with_full("outputConfig", std::mem::take(&mut self.output))
            .with_some("serviceTier", tier.map(Object::of_type))
            .with_full("requestMetadata", metadata);
        let is_own = self.request.dialect == Dialect::Converse;
        for (key, value) in &self.request.rest {
            match (key.as_str(), value) {
                ("additionalModelRequestFields", Value::Object(fields)) => {
                    self.more = std::mem::take(&mut self.more).with_all(fields);
                }
                (own, _) if is_own || OWN_FIELDS.contains(&own) => body.put(key, value.clone()),
                _ => refuse_field(key, &mut self.losses)?,
            }
        }
        let more = std::mem::take(&mut self.more);
        Ok(body.with_full("additionalModelRequestFields", more))
    }
}
