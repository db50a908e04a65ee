//! A client's request.

use crate::wire::Error;
use crate::wire::conversation::{
    Dialect, Fields, Form, Message, Part, Reasoning, Request, Role, Sampling, Tool, ToolChoice,
    ToolKind,
};
use crate::wire::messages::read_block::{Written, cache, part_of};
use bytes::Bytes;
use serde_json::Value;

/// The most messages that a request may have, as Anthropic has it.
const MAX_MESSAGES: usize = 100_000;

/// Reads a request.
///
/// # Errors
///
/// What is no JSON object; a missing `model` or `messages`; a parameter of the wrong type, named by its path.
pub fn read_request(body: &Bytes) -> Result<Request, Error> {
    let mut fields = Fields::parse(body)?;
    let mut request = Request {
        dialect: Dialect::Messages,
        model: fields.required_string("model")?,
        stream: fields.boolean("stream")?.unwrap_or_default(),
        stream_usage: true,
        wants_signatures: true,
        ..Request::default()
    };
    request.messages.extend(system(&mut fields)?);
    request.messages.extend(messages(&mut fields, body)?);
    request.tools = tools(&mut fields)?;
    tool_choice(&mut fields, &mut request)?;
    request.sampling = sampling(&mut fields)?;
    output(&mut fields, &mut request)?;
    thinking(&mut fields, &mut request)?;
    request.service_tier = fields.string("service_tier")?;
    if let Some(mut metadata) = fields.object("metadata")? {
        request.user = metadata.string("user_id")?;
        let rest = metadata.into_rest();
        if !rest.is_empty() {
            request.rest.insert("metadata".to_owned(), rest.into());
        }
    }
    request.rest.extend(fields.into_rest());
    Ok(request)
}

fn system(fields: &mut Fields) -> Result<Option<Message>, Error> {
    let is_plain = fields.peek("system").is_some_and(Value::is_string);
    let parts = if is_plain {
        fields.string("system")?.map(|text| vec![Part::plain(text)])
    } else {
        let blocks = fields.array("system")?;
        let parts = blocks.map(|blocks| {
            let parts = blocks
                .into_iter()
                .map(|(path, block)| part_of(path, block, None));
            parts.collect::<Result<Vec<Part>, Error>>()
        });
        parts.transpose()?
    };
    Ok(parts.map(|parts| Message {
        role: Role::System,
        name: None,
        parts,
        is_plain,
    }))
}

fn messages(fields: &mut Fields, body: &Bytes) -> Result<Vec<Message>, Error> {
    let Some(messages) = fields.array("messages")? else {
        return Err(Error::missing("messages"));
    };
    if MAX_MESSAGES < messages.len() {
        return Err(Error::TooManyMessages {
            count: messages.len(),
            limit: MAX_MESSAGES,
        });
    }
    // A body may begin with spaces; a value does not.
    let start = body.iter().position(|byte| !byte.is_ascii_whitespace());
    let body = body.slice(start.unwrap_or_default()..);
    let written = Written::of(Some(&body), "messages");
    let messages = messages.into_iter().enumerate();
    messages
        .map(|(place, (path, value))| message(path, value, written.get(place)))
        .collect()
}

fn message(path: String, value: Value, written: Option<&Bytes>) -> Result<Message, Error> {
    let as_it_came = value.clone();
    let mut fields = Fields::of(path, value)?;
    let role = match fields.required_string("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => {
            return Err(Error::InvalidValue {
                param: fields.path("role"),
                problem: "must be `user`, `assistant` or `system`",
            });
        }
    };
    let is_plain = fields.peek("content").is_some_and(Value::is_string);
    let mut parts = if is_plain {
        vec![Part::plain(fields.required_string("content")?)]
    } else {
        let path = fields.path("content");
        let blocks = fields
            .array("content")?
            .ok_or_else(|| Error::missing(path))?;
        let written = Written::of(written, "content");
        let parts = blocks.into_iter().enumerate();
        parts
            .map(|(place, (path, block))| part_of(path, block, written.get(place)))
            .collect::<Result<Vec<Part>, Error>>()?
    };
    let path = fields.here().to_owned();
    if let Some(key) = fields.into_rest().keys().next() {
        parts.push(Part::Foreign {
            name: format!("{path}.{key}"),
            value: as_it_came.get(key).cloned().unwrap_or_default(),
        });
    }
    Ok(Message {
        role,
        name: None,
        parts,
        is_plain,
    })
}

fn tools(fields: &mut Fields) -> Result<Vec<Tool>, Error> {
    let tools = fields.array("tools")?.unwrap_or_default();
    let tools = tools.into_iter().map(|(path, value)| tool(path, value));
    tools.collect()
}

/// Returns what a tool is to those who do not know a field of it, for a provider that is not told what it cannot be told.
/// `None` for the tools of Anthropic's own, and for what did not come from its clients.
pub(in crate::wire) fn understood_tool(request: &Request, tool: &Value) -> Option<Tool> {
    let is_own = tool.get("type").is_some_and(|kind| kind != "custom");
    if request.dialect != Dialect::Messages || is_own {
        return None;
    }
    let mut fields = Fields::of(String::new(), tool.clone()).ok()?;
    function(&mut fields).ok()
}

fn function(fields: &mut Fields) -> Result<Tool, Error> {
    Ok(Tool::Function {
        name: fields.required_string("name")?,
        description: fields.string("description")?,
        parameters: fields.take("input_schema"),
        strict: fields.boolean("strict")?,
        cache: cache(fields),
    })
}

fn tool(path: String, value: Value) -> Result<Tool, Error> {
    let as_it_came = value.clone();
    let mut fields = Fields::of(path, value)?;
    let kind = fields.string("type")?;
    if let Some(kind) = kind.filter(|kind| kind != "custom") {
        return Ok(Tool::Foreign {
            name: kind,
            value: as_it_came,
        });
    }
    let tool = function(&mut fields)?;
    let path = fields.here().to_owned();
    Ok(match fields.into_rest().keys().next() {
        Some(key) => Tool::Foreign {
            name: format!("{path}.{key}"),
            value: as_it_came,
        },
        None => tool,
    })
}

fn tool_choice(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let Some(value) = fields.take("tool_choice") else {
        return Ok(());
    };
    let as_it_came = value.clone();
    let mut choice = Fields::of("tool_choice".to_owned(), value)?;
    let chosen = match choice.required_string("type")?.as_str() {
        "auto" => Some(ToolChoice::Auto),
        "any" => Some(ToolChoice::Required),
        "none" => Some(ToolChoice::None),
        "tool" => Some(ToolChoice::Named(
            choice.required_string("name")?,
            ToolKind::Function,
        )),
        _ => None,
    };
    let is_disabled = choice.boolean("disable_parallel_tool_use")?;
    let chosen = chosen.filter(|_| choice.is_empty());
    if chosen.is_some() {
        request.parallel_tool_calls = is_disabled.map(|is_disabled| !is_disabled);
    }
    request.tool_choice = Some(chosen.unwrap_or(ToolChoice::Foreign(as_it_came)));
    Ok(())
}

fn sampling(fields: &mut Fields) -> Result<Sampling, Error> {
    let stop = fields.array("stop_sequences")?.unwrap_or_default();
    let stop = stop.into_iter().map(|(path, value)| match value {
        Value::String(text) => Ok(text),
        other => Err(crate::wire::conversation::wrong_type(
            path, "a string", &other,
        )),
    });
    Ok(Sampling {
        temperature: fields.float("temperature")?,
        top_p: fields.float("top_p")?,
        top_k: fields.unsigned("top_k")?,
        stop: stop.collect::<Result<_, _>>()?,
        max_output_tokens: fields.unsigned("max_tokens")?,
        ..Sampling::default()
    })
}

/// Takes the form of the answer, by its name and by the one it had before, and the effort.
fn output(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let mut form = fields.take_if("output_format", is_schema);
    if let Some(mut config) = fields.object("output_config")? {
        if let Some(effort) = config.string("effort")? {
            request.reasoning.get_or_insert_default().effort = Some(effort);
        }
        form = config.take_if("format", is_schema).or(form);
        let rest = config.into_rest();
        if !rest.is_empty() {
            request.rest.insert("output_config".to_owned(), rest.into());
        }
    }
    let schema = form.and_then(|mut form| form.get_mut("schema").map(Value::take));
    request.form = schema.map(|schema| Form::JsonSchema {
        name: None,
        description: None,
        schema,
        strict: None,
    });
    Ok(())
}

fn is_schema(form: &Value) -> bool {
    let has_schema = form.get("schema").is_some_and(Value::is_object);
    let is_plain = form.as_object().is_some_and(|form| form.len() == 2);
    has_schema && is_plain && form.get("type").and_then(Value::as_str) == Some("json_schema")
}

fn thinking(fields: &mut Fields, request: &mut Request) -> Result<(), Error> {
    let known = |thinking: &Value| {
        let kind = thinking.get("type").and_then(Value::as_str);
        matches!(kind, Some("enabled" | "disabled" | "adaptive"))
    };
    let Some(thinking) = fields.take_if("thinking", known) else {
        return Ok(());
    };
    let as_it_came = thinking.clone();
    let mut thinking = Fields::of("thinking".to_owned(), thinking)?;
    let kind = thinking.required_string("type")?;
    let budget = thinking.unsigned("budget_tokens")?;
    let display = thinking.string("display")?;
    let is_known = matches!(display.as_deref(), None | Some("summarized" | "omitted"));
    if !thinking.is_empty() || !is_known {
        request.rest.insert("thinking".to_owned(), as_it_came);
        return Ok(());
    }
    let reasoning: &mut Reasoning = request.reasoning.get_or_insert_default();
    reasoning.is_adaptive = kind == "adaptive";
    reasoning.budget_tokens = if kind == "disabled" { Some(0) } else { budget };
    reasoning.is_shown = display.map(|display| display == "summarized");
    Ok(())
}
