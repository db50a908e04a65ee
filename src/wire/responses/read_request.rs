//! Requests for responses, read.

use crate::wire::Error;
use crate::wire::chat::{choice_of_word, read_metadata, read_schema, read_user};
use crate::wire::conversation::{
    Dialect, Fields, Form, Message, Part, Reasoning, Request, Role, Sampling, Tool, ToolChoice,
    ToolKind, numbered, wrong_type,
};
use crate::wire::openai::MAX_MESSAGES;
use crate::wire::openai::shared::{flat_format, has_only, tell_results};
use crate::wire::responses::input::read_items;
use bytes::Bytes;
use serde_json::{Map, Value};

/// Reads a request for a response.
///
/// Fields without a place in a [`Request`] are in its `rest`, but for what this gateway answers for
/// itself: `store`, and what asks for nothing (`background: false`, `truncation: "disabled"`). A prompt,
/// `previous_response_id` and `conversation` must be resolved before; what of them is still there is in
/// `rest`.
///
/// # Errors
///
/// When the body is no JSON object, and when a field has another type than it must have; the error
/// names it by its path.
pub fn read_request(body: &Bytes) -> Result<Request, Error> {
    let mut fields = Fields::parse(body)?;
    let model = fields.required_string("model")?;
    let messages = read_messages(&mut fields)?;
    let mut request = Request {
        dialect: Dialect::Responses,
        model,
        messages,
        tools: read_tools(&mut fields)?,
        tool_choice: read_tool_choice(&mut fields),
        parallel_tool_calls: fields.boolean("parallel_tool_calls")?,
        sampling: Sampling {
            temperature: fields.float("temperature")?,
            top_p: fields.float("top_p")?,
            max_output_tokens: fields.unsigned("max_output_tokens")?,
            top_log_probs: fields.unsigned("top_logprobs")?,
            ..Sampling::default()
        },
        stream: fields.boolean("stream")?.unwrap_or(false),
        user: read_user(&mut fields)?,
        service_tier: fields.string("service_tier")?,
        metadata: read_metadata(&mut fields)?,
        ..Request::default()
    };
    request.stream_usage = request.stream;
    let mut rest = Map::new();
    read_text(&mut fields, &mut request, &mut rest)?;
    read_thinking(&mut fields, &mut request, &mut rest)?;
    read_include(&mut fields, &mut request, &mut rest)?;
    // `0` alternatives are those of the tokens themselves, which are not asked for by it.
    if request
        .sampling
        .top_log_probs
        .is_some_and(|count| 0 < count)
    {
        request.sampling.log_probs = Some(true);
    }
    fields.take("store");
    fields.take_if("background", |is_wanted| is_wanted == false);
    fields.take_if("truncation", |how| how == "disabled");
    fields.take_if("stream_options", |options| {
        let fields = options.as_object();
        fields.is_some_and(|fields| {
            has_only(fields, &["include_obfuscation"])
                && fields.values().all(|is_wanted| is_wanted == false)
        })
    });
    rest.extend(fields.into_rest());
    request.rest = rest;
    Ok(request)
}

fn read_messages(fields: &mut Fields) -> Result<Vec<Message>, Error> {
    let mut messages = Vec::new();
    let said = |role: Role, text: String| Message {
        role,
        name: None,
        parts: vec![Part::plain(text)],
        is_plain: true,
    };
    if let Some(instructions) = fields.string("instructions")? {
        messages.push(said(Role::System, instructions));
    }
    match fields.take("input") {
        None => return Err(Error::missing("input")),
        Some(Value::String(text)) => messages.push(said(Role::User, text)),
        Some(Value::Array(items)) if MAX_MESSAGES < items.len() => {
            return Err(Error::InvalidValue {
                param: "input".to_owned(),
                problem: "has more than 4096 items",
            });
        }
        Some(Value::Array(items)) => read_items(numbered("input", items), &mut messages)?,
        Some(other) => {
            let expected = "a string or an array";
            return Err(wrong_type("input".to_owned(), expected, &other));
        }
    }
    tell_results(&mut messages);
    Ok(messages)
}

fn read_tools(fields: &mut Fields) -> Result<Vec<Tool>, Error> {
    let tools = fields.array("tools")?.unwrap_or_default().into_iter();
    tools.map(|(path, tool)| read_tool(path, tool)).collect()
}

fn read_tool(path: String, value: Value) -> Result<Tool, Error> {
    let mut fields = Fields::of(path, value.clone())?;
    let kind = fields.required_string("type")?;
    let known: &[&str] = match kind.as_str() {
        "function" => &["type", "name", "description", "parameters", "strict"],
        "custom" => &["type", "name", "description", "format"],
        _ => &[],
    };
    if !value.as_object().is_some_and(|tool| has_only(tool, known)) {
        return Ok(Tool::Foreign { name: kind, value });
    }
    let name = fields.required_string("name")?;
    let description = fields.string("description")?;
    Ok(if kind == "custom" {
        Tool::Custom {
            name,
            description,
            format: fields.take("format").as_ref().map(flat_format),
        }
    } else {
        Tool::Function {
            name,
            description,
            parameters: fields.take("parameters"),
            strict: fields.boolean("strict")?,
            cache: None,
        }
    })
}

fn read_tool_choice(fields: &mut Fields) -> Option<ToolChoice> {
    let choice = fields.take("tool_choice")?;
    if let Some(word) = choice.as_str() {
        return Some(choice_of_word(word));
    }
    let named = |kind: &str, of: ToolKind| {
        let is_kind = choice.get("type")? == kind;
        let name = choice.get("name")?.as_str()?;
        is_kind.then(|| ToolChoice::Named(name.to_owned(), of))
    };
    Some(
        named("function", ToolKind::Function)
            .or_else(|| named("custom", ToolKind::Custom))
            .unwrap_or(ToolChoice::Foreign(choice)),
    )
}

/// Takes `text`: the form of the answer, and what else is said about it.
fn read_text(
    fields: &mut Fields,
    request: &mut Request,
    rest: &mut Map<String, Value>,
) -> Result<(), Error> {
    let Some(mut text) = fields.object("text")? else {
        return Ok(());
    };
    request.form = read_form(&text);
    if request.form.is_some() {
        text.take("format");
    }
    keep_rest(rest, "text", text);
    Ok(())
}

fn read_form(text: &Fields) -> Option<Form> {
    let form = text.peek("format")?.as_object()?;
    match form.get("type")?.as_str()? {
        "text" => Some(Form::Text),
        "json_object" => Some(Form::JsonObject),
        "json_schema" => read_schema(form),
        _ => None,
    }
}

fn read_thinking(
    fields: &mut Fields,
    request: &mut Request,
    rest: &mut Map<String, Value>,
) -> Result<(), Error> {
    let Some(mut thinking) = fields.object("reasoning")? else {
        return Ok(());
    };
    let effort = thinking.string("effort")?;
    let older = thinking.string("generate_summary")?;
    let summary = thinking.string("summary")?.or(older);
    if effort.is_some() || summary.is_some() {
        request.reasoning = Some(Reasoning {
            effort,
            summary,
            ..Reasoning::default()
        });
    }
    keep_rest(rest, "reasoning", thinking);
    Ok(())
}

/// Takes `include`, of which some is asked for elsewhere by other names.
fn read_include(
    fields: &mut Fields,
    request: &mut Request,
    rest: &mut Map<String, Value>,
) -> Result<(), Error> {
    let wanted = fields.array("include")?.unwrap_or_default();
    let mut others = Vec::new();
    for (_, name) in wanted {
        match name.as_str() {
            Some("reasoning.encrypted_content") => request.wants_signatures = true,
            Some("message.output_text.logprobs") => request.sampling.log_probs = Some(true),
            _ => others.push(name),
        }
    }
    if !others.is_empty() {
        rest.insert("include".to_owned(), others.into());
    }
    Ok(())
}

fn keep_rest(rest: &mut Map<String, Value>, key: &str, fields: Fields) {
    if !fields.is_empty() {
        rest.insert(key.to_owned(), Value::Object(fields.into_rest()));
    }
}

#[cfg(test)]
mod tests {
    use super::read_request;
    use crate::wire::conversation::{Part, Role};
    use bytes::Bytes;

    fn read(body: &str) -> Result<super::Request, crate::wire::Error> {
        read_request(&Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn bad_requests_are_told_by_the_path() {
        for (body, expected) in [
            (r#"{"input":"x"}"#, "`model` is missing"),
            (r#"{"model":"m"}"#, "`input` is missing"),
            (
                r#"{"model":"m","input":7}"#,
                "`input` must be a string or an array, but is a number",
            ),
            (
                r#"{"model":"m","input":[{}]}"#,
                "`input[0].type` is missing",
            ),
            (
                r#"{"model":"m","input":["x"]}"#,
                "`input[0]` must be an object, but is a string",
            ),
            (
                r#"{"model":"m","input":[{"role":"tool","content":"x"}]}"#,
                "`input[0].role` is none of `system`, `developer`, `user` and `assistant`",
            ),
            (
                r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_text"}]}]}"#,
                "`input[0].content[0].text` is missing",
            ),
            (
                r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}"#,
                "`input[0].content[0].image_url` is missing",
            ),
            (
                r#"{"model":"m","input":[{"type":"function_call","name":"f"}]}"#,
                "`input[0].call_id` is missing",
            ),
            (
                r#"{"model":"m","input":[{"type":"function_call_output","output":"x"}]}"#,
                "`input[0].call_id` is missing",
            ),
            (
                r#"{"model":"m","input":[{"type":"reasoning","summary":[{"text":1}]}]}"#,
                "`input[0].summary[0].text` must be a string, but is a number",
            ),
            (
                r#"{"model":"m","input":"x","tools":[{"type":"function"}]}"#,
                "`tools[0].name` is missing",
            ),
            (
                r#"{"model":"m","input":"x","reasoning":{"effort":1}}"#,
                "`reasoning.effort` must be a string, but is a number",
            ),
        ] {
            assert_eq!(read(body).unwrap_err().to_string(), expected, "{body}");
        }
        let many = format!(r#"{{"model":"m","input":[{}{{}}]}}"#, "{},".repeat(4096));
        let error = read(&many).unwrap_err();
        assert_eq!(error.to_string(), "`input` has more than 4096 items");
    }

    #[test]
    fn what_asks_for_nothing_is_no_foreign_field() {
        let request = read(
            r#"{"model":"m","input":"x","store":true,"background":false,"truncation":"disabled",
                "stream_options":{"include_obfuscation":false},"top_logprobs":0,
                "include":["reasoning.encrypted_content","message.output_text.logprobs"]}"#,
        )
        .unwrap();
        assert_eq!(request.rest.len(), 0);
        assert!(request.wants_signatures);
        assert_eq!(request.sampling.log_probs, Some(true));
        let request = read(
            r#"{"model":"m","input":"x","background":true,"truncation":"auto","include":["other"],
                "text":{"verbosity":"low","format":{"type":"odd"}},"reasoning":{"mode":"pro"}}"#,
        )
        .unwrap();
        let rest = serde_json::json!(request.rest);
        assert_eq!(
            rest,
            serde_json::json!({
                "text": {"verbosity": "low", "format": {"type": "odd"}},
                "reasoning": {"mode": "pro"},
                "include": ["other"],
                "background": true,
                "truncation": "auto",
            })
        );
    }

    #[test]
    fn items_of_one_turn_are_one_message() {
        let call = |id: &str| {
            format!(r#"{{"type":"function_call","call_id":"{id}","name":"f","arguments":"{{}}"}}"#)
        };
        let thoughts = r#"{"type":"reasoning","summary":[],"encrypted_content":"e"}"#;
        let said = r#"{"role":"assistant","content":"x"}"#;
        let given = r#"{"type":"function_call_output","call_id":"a","output":"y"}"#;
        let (a, b) = (call("a"), call("b"));
        let cases: [(&[&str], &[usize]); 5] = [
            (&[thoughts, said, &a, &b, given], &[4, 1]),
            (&[thoughts, &a, thoughts, &b, given], &[4, 1]),
            (&[said, said], &[1, 1]),
            (&[said, thoughts, &a], &[1, 2]),
            (&[&a, given, thoughts, said], &[1, 1, 2]),
        ];
        for (items, expected) in cases {
            let body = format!(r#"{{"model":"m","input":[{}]}}"#, items.join(","));
            let messages = read(&body).unwrap().messages;
            let counts: Vec<usize> = messages.iter().map(|m| m.parts.len()).collect();
            assert_eq!(counts, expected, "{items:?}");
        }
    }

    #[test]
    fn the_proof_of_a_call_goes_back_into_it() {
        let proof = r#"{"type":"reasoning","id":"rs_a","summary":[],"encrypted_content":"e"}"#;
        let call = r#"{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}"#;
        for items in [[proof, call], [call, proof]] {
            let body = format!(r#"{{"model":"m","input":[{}]}}"#, items.join(","));
            let messages = read(&body).unwrap().messages;
            assert_eq!(messages.len(), 1);
            assert_eq!(messages[0].role, Role::Assistant);
            assert!(
                matches!(messages[0].parts.as_slice(), [Part::ToolCall(call)]
                    if call.signature.as_deref() == Some("e")),
                "{messages:?}"
            );
        }
    }
}
