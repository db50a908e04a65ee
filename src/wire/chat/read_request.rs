//! Requests for chat completions, read.

use crate::wire::Error;
use crate::wire::chat::read_message::read_messages;
use crate::wire::conversation::{
    Dialect, Fields, Form, Reasoning, Request, Sampling, Tool, ToolChoice, ToolKind, wrong_type,
};
use crate::wire::openai::MAX_MESSAGES;
use crate::wire::openai::shared::{cache_of, flat_format, has_only};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Reads a request for a chat completion.
///
/// Fields without a place in a [`Request`] are in its `rest`; parts, tools and calls with fields that
/// are not known here are foreign as a whole, so that no field of theirs is lost.
///
/// # Errors
///
/// When the body is no JSON object, and when a field has another type than it must have; the error
/// names it by its path.
pub fn read_request(body: &Bytes) -> Result<Request, Error> {
    let mut fields = Fields::parse(body)?;
    let model = fields.required_string("model")?;
    let messages = fields
        .array("messages")?
        .ok_or_else(|| Error::missing("messages"))?;
    if MAX_MESSAGES < messages.len() {
        return Err(Error::TooManyMessages {
            count: messages.len(),
            limit: MAX_MESSAGES,
        });
    }
    let mut request = Request {
        dialect: Dialect::Chat,
        model,
        messages: read_messages(messages)?,
        tools: read_tools(&mut fields)?,
        tool_choice: read_tool_choice(&mut fields),
        parallel_tool_calls: fields.boolean("parallel_tool_calls")?,
        form: read_form(&mut fields),
        sampling: read_sampling(&mut fields)?,
        stream: fields.boolean("stream")?.unwrap_or(false),
        user: read_user(&mut fields)?,
        service_tier: fields.string("service_tier")?,
        metadata: read_metadata(&mut fields)?,
        ..Request::default()
    };
    if let Some(effort) = fields.string("reasoning_effort")? {
        request.reasoning = Some(Reasoning {
            effort: Some(effort),
            ..Reasoning::default()
        });
    }
    let options = fields.object("stream_options")?;
    let mut rest = Map::new();
    if let Some(mut options) = options {
        request.stream_usage = options.boolean("include_usage")?.unwrap_or(false);
        // Padding against eavesdroppers, of which there is none here.
        options.take_if("include_obfuscation", |is_wanted| is_wanted == false);
        if !options.is_empty() {
            rest.insert("stream_options".to_owned(), options.into_rest().into());
        }
    }
    rest.extend(fields.into_rest());
    request.rest = rest;
    Ok(request)
}

/// Takes the end user, by the newer name or the older one. A second one stays where it is.
pub(in crate::wire) fn read_user(fields: &mut Fields) -> Result<Option<String>, Error> {
    match fields.string("user")? {
        Some(user) => {
            fields.take_if("safety_identifier", |newer| *newer == *user);
            Ok(Some(user))
        }
        None => fields.string("safety_identifier"),
    }
}

/// Takes the caller's texts about the request.
///
/// # Errors
///
/// When one of them is no text.
pub(in crate::wire) fn read_metadata(
    fields: &mut Fields,
) -> Result<BTreeMap<String, String>, Error> {
    let mut metadata = BTreeMap::new();
    let Some(given) = fields.object("metadata")? else {
        return Ok(metadata);
    };
    let here = given.here().to_owned();
    for (key, value) in given.into_rest() {
        match value {
            Value::String(text) => metadata.insert(key, text),
            other => return Err(wrong_type(format!("{here}.{key}"), "a string", &other)),
        };
    }
    Ok(metadata)
}

fn read_sampling(fields: &mut Fields) -> Result<Sampling, Error> {
    let newer = fields.unsigned("max_completion_tokens")?;
    let older = fields.unsigned("max_tokens")?;
    Ok(Sampling {
        temperature: fields.float("temperature")?,
        top_p: fields.float("top_p")?,
        top_k: fields.unsigned("top_k")?,
        frequency_penalty: fields.float("frequency_penalty")?,
        presence_penalty: fields.float("presence_penalty")?,
        seed: fields.integer("seed")?,
        stop: read_stop(fields)?,
        max_output_tokens: newer.or(older),
        log_probs: fields.boolean("logprobs")?,
        top_log_probs: fields.unsigned("top_logprobs")?,
        choices: fields.unsigned("n")?,
    })
}

/// Takes the texts that end the answer: one, or a list.
fn read_stop(fields: &mut Fields) -> Result<Vec<String>, Error> {
    if fields.peek("stop").is_some_and(Value::is_string) {
        return Ok(vec![fields.required_string("stop")?]);
    }
    let texts = fields.array("stop")?.unwrap_or_default();
    let texts = texts.into_iter().map(|(path, text)| match text {
        Value::String(text) => Ok(text),
        other => Err(wrong_type(path, "a string", &other)),
    });
    texts.collect()
}

fn read_tools(fields: &mut Fields) -> Result<Vec<Tool>, Error> {
    let tools = fields.array("tools")?.unwrap_or_default();
    let tools = tools
        .into_iter()
        .map(|(path, value)| read_tool(path, value));
    tools.collect()
}

fn read_tool(path: String, value: Value) -> Result<Tool, Error> {
    let mut fields = Fields::of(path, value.clone())?;
    let kind = fields.required_string("type")?;
    if !is_known_tool(&kind, &value) {
        return Ok(Tool::Foreign { name: kind, value });
    }
    let cache = fields
        .take("cache_control")
        .and_then(|mark| cache_of(&mark));
    let mut inner = fields
        .object(&kind)?
        .ok_or_else(|| Error::missing(fields.path(&kind)))?;
    let name = inner.required_string("name")?;
    let description = inner.string("description")?;
    if kind == "custom" {
        return Ok(Tool::Custom {
            name,
            description,
            format: inner.take("format").as_ref().map(flat_format),
        });
    }
    Ok(Tool::Function {
        name,
        description,
        parameters: inner.take("parameters"),
        strict: inner.boolean("strict")?,
        cache,
    })
}

/// Whether a tool has a type that is known here, and no fields that are not.
fn is_known_tool(kind: &str, value: &Value) -> bool {
    let (outer, inner): (&[&str], &[&str]) = match kind {
        "function" => (
            &["type", "function", "cache_control"],
            &["name", "description", "parameters", "strict"],
        ),
        "custom" => (&["type", "custom"], &["name", "description", "format"]),
        _ => return false,
    };
    let knows = |value: Option<&Value>, known: &[&str]| {
        let fields = value.and_then(Value::as_object);
        fields.is_none_or(|fields| has_only(fields, known))
    };
    let mark = value.get("cache_control").filter(|mark| !mark.is_null());
    knows(Some(value), outer)
        && knows(value.get(kind), inner)
        && mark.is_none_or(|mark| cache_of(mark).is_some())
}

/// Takes which tool must be called.
fn read_tool_choice(fields: &mut Fields) -> Option<ToolChoice> {
    let choice = fields.take("tool_choice")?;
    let named = |kind: &str, of: ToolKind| {
        let is_kind = choice.get("type")? == kind;
        let name = choice.get(kind)?.get("name")?.as_str()?;
        is_kind.then(|| ToolChoice::Named(name.to_owned(), of))
    };
    Some(match choice.as_str() {
        Some(word) => choice_of_word(word),
        None => named("function", ToolKind::Function)
            .or_else(|| named("custom", ToolKind::Custom))
            .unwrap_or(ToolChoice::Foreign(choice)),
    })
}

/// Returns the choice that a word stands for.
pub(in crate::wire) fn choice_of_word(word: &str) -> ToolChoice {
    match word {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        // Mistral's word for it.
        "required" | "any" => ToolChoice::Required,
        other => ToolChoice::Foreign(other.into()),
    }
}

/// Takes the form of the answer, unless it is one that is not known here.
fn read_form(fields: &mut Fields) -> Option<Form> {
    let form = fields.peek("response_format")?.as_object()?;
    let form = match form.get("type")?.as_str()? {
        "text" => Form::Text,
        "json_object" => Form::JsonObject,
        "json_schema" => {
            let schema = form.get("json_schema")?.as_object()?;
            has_only(form, &["type", "json_schema"]).then(|| read_schema(schema))??
        }
        _ => return None,
    };
    fields.take("response_format");
    Some(form)
}

/// Reads the form that follows a schema; `None` when there is more to it than is known here.
pub(in crate::wire) fn read_schema(fields: &Map<String, Value>) -> Option<Form> {
    let known = ["type", "name", "description", "schema", "strict"];
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    has_only(fields, &known).then_some(())?;
    Some(Form::JsonSchema {
        name: text("name"),
        description: text("description"),
        schema: fields.get("schema").cloned()?,
        strict: fields.get("strict").and_then(Value::as_bool),
    })
}

#[cfg(test)]
mod tests {
    use super::read_request;
    use crate::wire::conversation::{Part, Role, ToolChoice};
    use bytes::Bytes;

    fn error(body: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        read_request(&body).unwrap_err().to_string()
    }

    /// Bodies, and what is said of them.
    const BAD: &[(&str, &str)] = &[
        (r#"[1]"#, "the body must be a JSON object, but is an array"),
        (r#"{"messages":[]}"#, "`model` is missing"),
        (r#"{"model":"m"}"#, "`messages` is missing"),
        (
            r#"{"model":"m","messages":{}}"#,
            "`messages` must be an array, but is an object",
        ),
        (
            r#"{"model":"m","messages":["x"]}"#,
            "`messages[0]` must be an object, but is a string",
        ),
        (
            r#"{"model":"m","messages":[{"content":"x"}]}"#,
            "`messages[0].role` is missing",
        ),
        (
            r#"{"model":"m","messages":[{"role":"boss"}]}"#,
            "`messages[0].role` is none of `system`, `developer`, `user`, `assistant` and `tool`",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":7}]}"#,
            "`messages[0].content` must be a string or an array, but is a number",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"text":"x"}]}]}"#,
            "`messages[0].content[0].type` is missing",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
            "`messages[0].content[0].text` is missing",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{}}]}]}"#,
            "`messages[0].content[0].image_url.url` is missing",
        ),
        (
            r#"{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{}}]}]}"#,
            "`messages[0].content[0].file.file_data` is missing",
        ),
        (
            r#"{"model":"m","messages":[{"role":"tool","content":"x"}]}"#,
            "`messages[0].tool_call_id` is missing",
        ),
        (
            r#"{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f"}}]}]}"#,
            "`messages[0].tool_calls[0].id` is missing",
        ),
        (
            r#"{"model":"m","messages":[],"tools":[{"type":"function","function":{}}]}"#,
            "`tools[0].function.name` is missing",
        ),
        (
            r#"{"model":"m","messages":[],"temperature":"hot"}"#,
            "`temperature` must be a number, but is a string",
        ),
        (
            r#"{"model":"m","messages":[],"stop":["a",1]}"#,
            "`stop[1]` must be a string, but is a number",
        ),
        (
            r#"{"model":"m","messages":[],"metadata":{"a":1}}"#,
            "`metadata.a` must be a string, but is a number",
        ),
        (
            r#"{"model":"m","messages":[],"stream_options":{"include_usage":1}}"#,
            "`stream_options.include_usage` must be a boolean, but is a number",
        ),
    ];

    #[test]
    fn bad_requests_are_told_by_the_path() {
        for (body, expected) in BAD {
            assert_eq!(error(body), *expected, "{body}");
        }
        let many = format!(r#"{{"model":"m","messages":[{}{{}}]}}"#, "{},".repeat(4096));
        assert!(error(&many).contains("at most 4096"));
    }

    #[test]
    fn what_is_left_over_is_kept() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"x","weight":1}],
            "tool_choice":{"type":"allowed_tools"},"stream_options":{"include_obfuscation":true},
            "logit_bias":{},"stop":null,"user":"a","safety_identifier":"a"}"#;
        let request = read_request(&Bytes::from_static(body)).unwrap();
        let keys: Vec<&String> = request.rest.keys().collect();
        assert_eq!(keys, ["stream_options", "logit_bias"]);
        assert!(matches!(request.tool_choice, Some(ToolChoice::Foreign(_))));
        assert_eq!(request.user.as_deref(), Some("a"));
        let message = &request.messages[0];
        assert_eq!(message.role, Role::User);
        assert!(
            matches!(&message.parts[1], Part::Foreign { name, .. } if name == "messages[0].weight")
        );
    }
}
