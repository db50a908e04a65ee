//! Prompty, version 2 by its specification; version 1 is turned into it first.

use crate::prompts::import::file::Imported;
use crate::prompts::import::formats::roles::{Section, by_lines};
use crate::prompts::import::formats::{
    Read, parse_yaml, prompty_v1, refuse, settings, stem, text_of, untranslatable,
};
use crate::prompts::import::jinja::{self, Dialect, Translated};
use crate::prompts::import::jinja_tokens::Untranslatable;
use crate::prompts::import::mustache::{self, Kinds};
use crate::prompts::import::template::{Node, Turn};
use crate::prompts::import::{Foreign, Refusal};
use serde_json::{Map, Value, json};

/// Keys that are read; others are named in the report.
const KEYS: [&str; 10] = [
    "name",
    "displayName",
    "description",
    "metadata",
    "model",
    "inputs",
    "outputs",
    "tools",
    "template",
    "kind",
];

pub(super) fn read(file: &Foreign) -> Read {
    let (front, body, first_line) = split(file)?;
    let is_first_version = front.contains_key("sample")
        || front.get("model").is_some_and(|model| {
            model.get("configuration").is_some()
                || model.get("api").is_some()
                || model.get("parameters").is_some()
        });
    let mut prompt = Imported::new(&file.path, stem(&file.path));
    let front = if is_first_version {
        prompty_v1::upgrade(&front, &mut prompt)
    } else {
        front
    };
    describe(&mut prompt, &front);
    model(&mut prompt, &front).map_err(|message| refuse(file, message))?;
    let inputs = properties(front.get("inputs")).map_err(|message| refuse(file, message))?;
    let kinds = kinds(&inputs);
    variables(&mut prompt, &inputs);
    output(&mut prompt, &front).map_err(|message| refuse(file, message))?;
    tools(&mut prompt, &front).map_err(|message| refuse(file, message))?;
    let language = language(file, &front, &mut prompt)?;
    for section in by_lines(&body, first_line) {
        turn(file, &mut prompt, &section, &kinds, language)?;
    }
    Ok(vec![prompt])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    Jinja,
    Mustache,
}

/// Front matter, body, and the body's first line. Without a fence all is body.
fn split(file: &Foreign) -> Result<(Map<String, Value>, String, usize), Vec<Refusal>> {
    let mut lines = file.text.lines();
    let fence = lines
        .next()
        .map(str::trim_end)
        .filter(|line| matches!(*line, "---" | "+++"));
    let Some(fence) = fence else {
        return Ok((Map::new(), file.text.clone(), 1));
    };
    let rest: Vec<&str> = lines.collect();
    let end = rest.iter().position(|line| line.trim_end() == fence);
    let end =
        end.ok_or_else(|| refuse(file, format!("the front matter has no closing `{fence}`")))?;
    let (yaml, body) = rest.split_at(end);
    let value = parse_yaml(file, &yaml.join("\n"), 1)?;
    let front = match value {
        Value::Object(map) => map,
        Value::Null => Map::new(),
        _ => return Err(refuse(file, "the front matter is no mapping")),
    };
    if file.text.contains("${file:") {
        let refusal = Refusal::new(&file.path, "the front matter takes values from other files");
        return Err(vec![
            refusal.hint("write what `${file:…}` stands for into the file"),
        ]);
    }
    let body = body.get(1..).unwrap_or_default().join("\n");
    Ok((front, body, end + 3))
}

fn describe(prompt: &mut Imported, front: &Map<String, Value>) {
    let text = |key: &str| front.get(key).and_then(Value::as_str).map(str::to_owned);
    prompt.description = text("description").or_else(|| text("displayName"));
    for key in front.keys().filter(|key| !KEYS.contains(&key.as_str())) {
        prompt.dropped(format!("`{key}`"));
    }
    if front.contains_key("metadata") {
        prompt.dropped("`metadata`: Git knows authors and versions");
    }
}

fn model(prompt: &mut Imported, front: &Map<String, Value>) -> Result<(), String> {
    let Some(model) = front.get("model") else {
        return Ok(());
    };
    if let Some(id) = model.as_str() {
        prompt.model = Some(id.to_owned());
        return Ok(());
    }
    let id = text_of(model, "id");
    let provider =
        text_of(model, "provider").filter(|provider| !matches!(*provider, "openai" | "foundry"));
    prompt.model = id.map(|id| match provider {
        Some(provider) => format!("{provider}/{id}"),
        None => id.to_owned(),
    });
    if let Some(kind) = text_of(model, "apiType").filter(|kind| *kind != "chat") {
        if kind != "responses" {
            return Err(format!("a prompt for the API `{kind}` is no chat"));
        }
        prompt.changed("it was for the responses API, and is a chat prompt now");
    }
    if model.get("connection").is_some() {
        prompt.dropped("`model.connection`: providers are set in promptgate.toml");
    }
    if let Some(options) = model.get("options").and_then(Value::as_object) {
        let mut options = options.clone();
        if let Some(Value::Object(more)) = options.shift_remove("additionalProperties") {
            options.extend(more);
        }
        settings(prompt, &options);
    }
    Ok(())
}

/// A property: its name and its fields.
type Property = (String, Map<String, Value>);

/// Properties as a list with names, or as a mapping whose values may be short.
fn properties(value: Option<&Value>) -> Result<Vec<Property>, String> {
    let full = |name: &str, value: &Value| match value {
        Value::Object(fields) => (name.to_owned(), fields.clone()),
        other => (
            name.to_owned(),
            Map::from_iter([
                ("default".to_owned(), other.clone()),
                ("kind".to_owned(), json!(kind_of(other))),
            ]),
        ),
    };
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Object(map)) => Ok(map.iter().map(|(name, value)| full(name, value)).collect()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| {
                let name = text_of(item, "name").ok_or("a property has no `name`")?;
                Ok(full(name, item))
            })
            .collect(),
        Some(_) => Err("properties are neither a list nor a mapping".to_owned()),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "integer",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Null | Value::String(_) => "string",
    }
}

fn kinds(inputs: &[Property]) -> Kinds {
    let kind = |fields: &Map<String, Value>| {
        fields
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or("string")
            .to_owned()
    };
    inputs
        .iter()
        .map(|(name, fields)| (name.clone(), kind(fields)))
        .collect()
}

/// The JSON Schema of a property; a kind is a promise here.
fn schema_of(fields: &Map<String, Value>) -> Result<Value, String> {
    let kind = fields
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or("string");
    let mut schema = Map::new();
    match kind {
        "float" | "number" => schema.insert("type".to_owned(), json!("number")),
        "string" | "integer" | "boolean" => schema.insert("type".to_owned(), json!(kind)),
        "array" => {
            if let Some(Value::Object(items)) = fields.get("items") {
                schema.insert("items".to_owned(), schema_of(items)?);
            }
            schema.insert("type".to_owned(), json!("array"))
        }
        "object" => {
            let inner = object_of(&properties(fields.get("properties"))?)?;
            schema.extend(inner);
            None
        }
        _ => {
            return Err(format!(
                "a value of the kind `{kind}` has no counterpart here"
            ));
        }
    };
    for (key, name) in [("description", "description"), ("enumValues", "enum")] {
        if let Some(value) = fields.get(key).filter(|value| !value.is_null()) {
            schema.insert(name.to_owned(), value.clone());
        }
    }
    Ok(Value::Object(schema))
}

/// The schema of an object; an optional property may be null.
fn object_of(properties: &[Property]) -> Result<Map<String, Value>, String> {
    let mut fields = Map::new();
    let mut required = Vec::new();
    for (name, property) in properties {
        fields.insert(name.clone(), schema_of(property)?);
        if property.get("required") == Some(&Value::Bool(true)) {
            required.push(json!(name));
        }
    }
    let mut schema = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Value::Object(fields)),
    ]);
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::from(required));
    }
    Ok(schema)
}

/// The variables of the prompt. Types were not checked before; now they are.
fn variables(prompt: &mut Imported, inputs: &[Property]) {
    let (mut fields, mut required) = (Map::new(), Vec::new());
    for (name, input) in inputs {
        if input.get("kind") == Some(&json!("thread")) {
            continue;
        }
        let Ok(schema) = schema_of(input) else {
            prompt.dropped(format!(
                "the input `{name}`, whose kind has no counterpart here"
            ));
            continue;
        };
        fields.insert(name.clone(), schema);
        if let Some(default) = input.get("default").filter(|value| !value.is_null()) {
            prompt.defaults.insert(name.clone(), default.clone());
        } else if input.get("required") == Some(&Value::Bool(true)) {
            required.push(json!(name));
        }
        if input.contains_key("example") {
            prompt.dropped(format!("the example of `{name}`"));
        }
    }
    if fields.is_empty() {
        return;
    }
    let mut schema = Map::from_iter([
        ("type".to_owned(), json!("object")),
        ("properties".to_owned(), Value::Object(fields)),
    ]);
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::from(required));
    }
    prompt.input = Some(Value::Object(schema));
    prompt.changed("the kinds of the variables are checked at every call");
}

fn output(prompt: &mut Imported, front: &Map<String, Value>) -> Result<(), String> {
    let outputs = properties(front.get("outputs"))?;
    if !outputs.is_empty() {
        let mut schema = object_of(&outputs)?;
        schema.insert("additionalProperties".to_owned(), json!(false));
        prompt.output.insert("format".to_owned(), json!("json"));
        prompt
            .output
            .insert("schema".to_owned(), Value::Object(schema));
    }
    Ok(())
}

fn tools(prompt: &mut Imported, front: &Map<String, Value>) -> Result<(), String> {
    for (name, tool) in properties(front.get("tools"))? {
        let kind = tool
            .get("kind")
            .and_then(Value::as_str)
            .unwrap_or("function");
        if kind != "function" {
            prompt.dropped(format!("the tool `{name}` of the kind `{kind}`"));
            continue;
        }
        let bound = properties(tool.get("bindings"))?;
        let mut parameters = properties(tool.get("parameters"))?;
        parameters.retain(|(name, _)| !bound.iter().any(|(other, _)| other == name));
        if !bound.is_empty() {
            let names: Vec<&str> = bound.iter().map(|(name, _)| name.as_str()).collect();
            prompt.changed(format!(
                "the application gives `{}` to the tool `{name}` itself",
                names.join("`, `")
            ));
        }
        let mut map = Map::from_iter([("name".to_owned(), json!(name))]);
        if let Some(description) = tool.get("description") {
            map.insert("description".to_owned(), description.clone());
        }
        map.insert(
            "inputSchema".to_owned(),
            Value::Object(object_of(&parameters)?),
        );
        prompt.tools.push(Value::Object(map));
    }
    Ok(())
}

fn language(
    file: &Foreign,
    front: &Map<String, Value>,
    prompt: &mut Imported,
) -> Result<Language, Vec<Refusal>> {
    let template = front.get("template").unwrap_or(&Value::Null);
    let format = template.get("format").unwrap_or(template);
    if template.is_string() {
        prompt.changed("`template` was a word, which newer versions of Prompty refuse");
    }
    let format = format
        .as_str()
        .or_else(|| text_of(format, "kind"))
        .unwrap_or("jinja2");
    let parser = template.get("parser").map(|parser| {
        parser
            .as_str()
            .or_else(|| text_of(parser, "kind"))
            .unwrap_or_default()
    });
    if parser.is_some_and(|parser| parser != "prompty") {
        return Err(refuse(
            file,
            "the template has another parser than `prompty`",
        ));
    }
    match format {
        "jinja2" => Ok(Language::Jinja),
        "mustache" => Ok(Language::Mustache),
        _ => Err(refuse(
            file,
            format!("a template in `{format}` cannot be translated"),
        )),
    }
}

/// Adds a message; an input of the kind `thread` alone between two texts is the client's messages.
fn turn(
    file: &Foreign,
    prompt: &mut Imported,
    section: &Section,
    kinds: &Kinds,
    language: Language,
) -> Result<(), Vec<Refusal>> {
    if section.attributes.is_some() {
        prompt.dropped(format!(
            "the attributes of the message at line {}",
            section.line - 1
        ));
    }
    let translated = match language {
        Language::Jinja => jinja::translate(&section.text, section.line, Dialect::Jinja),
        Language::Mustache => {
            mustache::translate(&section.text, section.line, kinds).map(|nodes| Translated {
                nodes,
                ..Translated::default()
            })
        }
    };
    let translated = translated.map_err(|problem| untranslatable(file, problem))?;
    prompt.defaults.extend(translated.defaults);
    let mut nodes: Vec<Node> = Vec::new();
    let is_block = |node: Option<&Node>| matches!(node, Some(Node::If { .. } | Node::Each { .. }));
    if is_block(translated.nodes.first()) || is_block(translated.nodes.last()) {
        prompt.changed(
            "line breaks beside a block at the edge of a message stay when the block is empty",
        );
    }
    for node in translated.nodes {
        let kind = match &node {
            Node::Print(path) => kinds.get(path).map(String::as_str),
            _ => None,
        };
        match kind {
            Some("thread") => {
                push_message(prompt, section, std::mem::take(&mut nodes));
                prompt.turns.push(Turn::History);
            }
            Some(kind @ ("image" | "file" | "audio")) => {
                let message = format!("an input of the kind `{kind}` cannot be carried over");
                let problem = Untranslatable::new(section.line, message);
                return Err(untranslatable(file, problem));
            }
            _ => nodes.push(node),
        }
    }
    push_message(prompt, section, nodes);
    Ok(())
}

/// Texts beside the client's messages lose the line breaks that set them apart.
fn push_message(prompt: &mut Imported, section: &Section, mut nodes: Vec<Node>) {
    if let Some(Node::Text(text)) = nodes.last_mut() {
        text.truncate(text.trim_end_matches('\n').len());
    }
    if let Some(Node::Text(text)) = nodes.first_mut() {
        *text = text.trim_start_matches('\n').to_owned();
    }
    nodes.retain(|node| *node != Node::Text(String::new()));
    if nodes.is_empty() {
        if prompt.turns.last() != Some(&Turn::History) {
            prompt.dropped(format!(
                "an empty message of the role {}",
                section.role.as_str()
            ));
        }
        return;
    }
    prompt.turns.push(Turn::Message(section.role, nodes));
}
