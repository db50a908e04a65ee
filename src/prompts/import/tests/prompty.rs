//! Prompty's own data: what is translated renders as Prompty renders it.

use super::{foreign, show};
use crate::prompts::bundle::tests::bundle;
use crate::prompts::bundle::{RenderInput, RenderedMessage};
use crate::prompts::import::formats::sections;
use crate::prompts::import::jinja::{Dialect, translate};
use crate::prompts::import::mustache::{self, Kinds};
use crate::prompts::import::template::{Node, Turn, write};
use crate::prompts::import::{Foreign, Format, import};
use crate::prompts::messages::Part;
use crate::prompts::syntax::Role;
use serde_json::{Map, Value};
use std::fs;
use std::path::PathBuf;

fn fixture(path: &str) -> String {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prompty");
    fs::read_to_string(root.join(path)).unwrap()
}

/// Renders translated pieces; a variable that is absent is empty, as an optional input is.
fn render(nodes: Vec<Node>, inputs: &Map<String, Value>) -> Result<String, String> {
    let template = write(&[Turn::Message(Role::User, nodes)])?;
    let optional = "---\ninput:\n  schema: {missing?: any, name?: any, (*): any}\n---\n";
    let bundle = bundle(&format!("{optional}{template}"));
    let rendered = bundle.render(&RenderInput::new(inputs)).unwrap();
    let mut text = String::new();
    for message in &rendered.messages {
        let RenderedMessage::Prompt { content, .. } = message else {
            panic!("a client's message");
        };
        for part in content {
            let Part::Text(part) = part else {
                panic!("no text")
            };
            text.push_str(part);
        }
    }
    Ok(text)
}

/// Every case is rendered alike or refused; which, is in the snapshot.
#[test]
fn what_is_translated_renders_alike() {
    let mut shown = String::new();
    let golden: Vec<Value> = serde_json::from_str(&fixture("jinja.json")).unwrap();
    let vectors: Vec<Value> = serde_json::from_str(&fixture("vectors.json")).unwrap();
    let of_render = vectors.iter().filter(|vector| vector["stage"] == "render");
    let vectors = of_render.filter(|vector| vector["expected"]["rendered"].is_string());
    let cases = golden
        .iter()
        .map(|case| (case, &case["template"], &case["inputs"], &case["rendered"]))
        .chain(vectors.map(|vector| {
            let input = &vector["input"];
            (
                vector,
                &input["template"],
                &input["inputs"],
                &vector["expected"]["rendered"],
            )
        }));
    for (case, template, inputs, wanted) in cases {
        let (name, template) = (case["name"].as_str().unwrap(), template.as_str().unwrap());
        let Some(wanted) = wanted.as_str() else {
            continue;
        };
        let mut inputs = inputs.as_object().unwrap().clone();
        let nodes = if case["input"]["engine"] == "mustache" {
            let kind = |value: &Value| if value.is_array() { "array" } else { "boolean" };
            let kinds: Kinds = inputs
                .iter()
                .map(|(name, value)| (name.clone(), kind(value).to_owned()))
                .collect();
            mustache::translate(template, 1, &kinds).map_err(|problem| problem.message)
        } else {
            let translated = translate(template, 1, Dialect::Jinja);
            translated
                .map_err(|problem| problem.message)
                .map(|translated| {
                    for (name, default) in translated.defaults {
                        inputs.entry(name).or_insert(default);
                    }
                    translated.nodes
                })
        };
        let outcome = nodes.and_then(|nodes| render(nodes, &inputs));
        match outcome {
            // White space around a whole file is nobody's.
            Ok(text) if text == wanted || text == wanted.trim_end() => {
                shown.push_str(&format!("{name}: alike\n"));
            }
            Ok(text) => panic!("{name}: {text:?} is not {wanted:?}"),
            Err(reason) => shown.push_str(&format!("{name}: refused, {reason}\n")),
        }
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn messages_are_told_apart_alike() {
    let vectors: Vec<Value> = serde_json::from_str(&fixture("vectors.json")).unwrap();
    let of_parse = vectors.iter().filter(|vector| vector["stage"] == "parse");
    let mut count = 0;
    for vector in of_parse.filter(|vector| vector["input"].get("thread_inputs").is_none()) {
        let rendered = vector["input"]["rendered"].as_str().unwrap();
        let found: Vec<(Role, String)> = sections(rendered);
        let messages = vector["expected"]["messages"].as_array().unwrap().iter();
        let wanted: Vec<(Role, String)> = messages
            .map(|message| {
                let role = Role::parse(message["role"].as_str().unwrap()).unwrap();
                let text = message["content"][0]["value"].as_str().unwrap();
                (role, text.to_owned())
            })
            .collect();
        assert_eq!(found, wanted, "{}", vector["name"]);
        count += 1;
    }
    assert_eq!(count, 18);
}

#[test]
fn files_are_carried_over_or_refused() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/prompty/files");
    let mut paths: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    assert_eq!(paths.len(), 12);
    let mut shown = String::new();
    for path in paths {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let file: Foreign = foreign(&name, &text);
        shown.push_str(&show(&import(Format::Prompty, &[file])));
        // Without the connection, which must not come in, most of them do.
        let mut is_inside = false;
        let lines = text.lines().filter(|line| {
            let indent = line.len() - line.trim_start().len();
            if line.trim() == "connection:" {
                is_inside = true;
                return false;
            }
            is_inside &= 4 <= indent;
            !is_inside
        });
        let clean: String = lines.map(|line| format!("{line}\n")).collect();
        if clean != text {
            shown.push_str(&format!("##### without connection: {name}\n"));
            shown.push_str(&show(&import(Format::Prompty, &[foreign(&name, &clean)])));
        }
    }
    insta::assert_snapshot!(shown);
}
