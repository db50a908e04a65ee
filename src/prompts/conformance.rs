//! Holds the parser and the renderer against Dotprompt's own cases, every field of them.

use crate::prompts::compile::compile;
use crate::prompts::contract::Tool;
use crate::prompts::evaluate::{Partial, Partials, RenderLimits, run};
use crate::prompts::front_matter::{Document, parse_yaml};
use crate::prompts::messages::{MessagesMode, Part, RawMessage, RawPart, assemble, place_history};
use crate::prompts::metadata::{Metadata, Registry};
use crate::prompts::scope::Inputs;
use crate::prompts::trace::NoRecorder;
use serde_json::{Map, Value, json};
use std::path::Path;
use std::sync::Arc;

/// How many cases there are; fewer means that some were not run.
const CASES: usize = 117;

struct Schemas(Map<String, Value>);

impl Registry for Schemas {
    fn schema(&mut self, name: &str) -> Result<Option<Value>, String> {
        Ok(self.0.get(name).cloned())
    }

    fn tool(&mut self, name: &str) -> Result<Tool, String> {
        Err(format!("no case has tools, this one names `{name}`"))
    }
}

fn map(value: &Value, key: &str) -> Map<String, Value> {
    value
        .get(key)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// Runs one case and returns the messages and the metadata.
fn outcome(suite: &Value, case: &Value) -> (Value, Value) {
    let document = Document::parse(suite["template"].as_str().unwrap()).unwrap();
    let mut schemas = map(suite, "schemas");
    schemas.extend(map(suite, "resolverSchemas"));
    let metadata = Metadata::read(&document, &mut Schemas(schemas)).unwrap();
    let mut partials = Partials::new();
    for key in ["partials", "resolverPartials"] {
        for (name, text) in map(suite, key) {
            let text = text.as_str().unwrap().to_owned();
            let program = compile(&text, 1).unwrap();
            partials.insert(name, Arc::new(Partial { text, program }));
        }
    }
    let mut data = map(suite, "data");
    data.extend(map(case, "data"));
    let data = Value::Object(data);
    let option_defaults = map(&case["options"]["input"], "default");
    let (input, context) = (map(&data, "input"), map(&data, "context"));
    let program = compile(&document.template, document.template_line).unwrap();
    let inputs = Inputs {
        layers: [&input, &option_defaults, &metadata.defaults],
        context: &context,
        metadata: &Value::Null,
        schema: None,
    };
    let limits = RenderLimits::default();
    let output = run(&program, &partials, &inputs, &limits, &mut NoRecorder).unwrap();
    let history = data
        .get("messages")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    let messages = messages(assemble(output.pieces), &history);
    (messages, fields(&document, &metadata, option_defaults))
}

fn messages(mut raw: Vec<RawMessage>, history: &[Value]) -> Value {
    let is_explicit = raw.contains(&RawMessage::Client);
    place_history(&mut raw, MessagesMode::History);
    let mut messages = Vec::new();
    for message in raw {
        match message {
            RawMessage::Prompt { role, content } => {
                let content: Vec<_> = content.iter().map(part).collect();
                messages.push(json!({"role": role.as_str(), "content": content}));
            }
            RawMessage::Client => messages.extend(history.iter().cloned().map(|mut message| {
                if is_explicit {
                    message["metadata"] = json!({"purpose": "history"});
                }
                message
            })),
        }
    }
    Value::Array(messages)
}

fn part(part: &RawPart) -> Value {
    match part {
        RawPart::Part(Part::Text(text)) => json!({"text": text}),
        RawPart::Part(Part::Media {
            url,
            content_type: None,
        }) => json!({"media": {"url": url}}),
        RawPart::Part(Part::Media {
            url,
            content_type: Some(kind),
        }) => {
            json!({"media": {"url": url, "contentType": kind}})
        }
        RawPart::Section(purpose) => json!({"metadata": {"purpose": purpose, "pending": true}}),
    }
}

fn fields(document: &Document, metadata: &Metadata, options: Map<String, Value>) -> Value {
    let mut input = Map::new();
    let mut defaults = metadata.defaults.clone();
    defaults.extend(options);
    if !defaults.is_empty() {
        input.insert("default".to_owned(), Value::Object(defaults));
    }
    if let Some(schema) = &metadata.input_schema {
        input.insert("schema".to_owned(), schema.clone());
    }
    let mut output = Map::new();
    if let Some(written) = &metadata.output {
        if let Some(format) = &written.format {
            output.insert("format".to_owned(), json!(format));
        }
        if let Some(schema) = &written.schema {
            output.insert("schema".to_owned(), schema.clone());
        }
    }
    let mut fields = json!({
        "config": metadata.config,
        "ext": metadata.ext,
        "raw": document.raw,
        "metadata": map(&Value::Object(document.raw.clone()), "metadata"),
    });
    for (key, value) in [
        ("model", metadata.model.as_ref().map(|model| json!(model))),
        (
            "description",
            metadata.description.as_ref().map(|text| json!(text)),
        ),
        ("input", (!input.is_empty()).then_some(Value::Object(input))),
        (
            "output",
            (!output.is_empty()).then_some(Value::Object(output)),
        ),
    ] {
        if let Some(value) = value {
            fields[key] = value;
        }
    }
    fields
}

/// What a case expects of the metadata: absent `ext`, `config`, `metadata` mean empty.
fn expected_fields(expect: &Value, got: &Value) -> Value {
    let mut wanted = expect.as_object().unwrap().clone();
    wanted.remove("messages");
    for key in ["config", "ext", "metadata"] {
        wanted.entry(key).or_insert_with(|| json!({}));
    }
    // The front matter as parsed is compared only where a case lists it.
    if !wanted.contains_key("raw") {
        wanted.insert("raw".to_owned(), got["raw"].clone());
    }
    Value::Object(wanted)
}

#[test]
#[expect(clippy::print_stdout, reason = "the count is this test's result")]
fn every_case_of_dotprompt_passes_in_every_field() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dotprompt");
    let mut files = Vec::new();
    for directory in [root.clone(), root.join("helpers")] {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                files.push(path);
            }
        }
    }
    files.sort();
    let (mut ran, mut failures) = (0, Vec::new());
    for path in files {
        let suites: Value = parse_yaml(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for suite in suites.as_array().unwrap() {
            for case in suite["tests"].as_array().unwrap() {
                ran += 1;
                let (messages, fields) = outcome(suite, case);
                let wanted = expected_fields(&case["expect"], &fields);
                let wanted_messages = case["expect"]
                    .get("messages")
                    .cloned()
                    .unwrap_or_else(|| json!([]));
                if messages != wanted_messages || fields != wanted {
                    failures.push(format!(
                        "{}: {}: {}\n  got  {messages} {fields}\n  want {wanted_messages} {wanted}",
                        path.display(),
                        suite["name"],
                        case["desc"],
                    ));
                }
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {ran} failed:\n{}",
        failures.len(),
        failures.join("\n")
    );
    println!("{ran} of {CASES} cases of Dotprompt pass");
    assert_eq!(ran, CASES, "cases that ran");
}
