//! OpenAI's hosted evals: the definition with its graders, and the rows of runs.

use crate::evals::importers::{Draft, Foreign, Imported, lines, literal, write};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What a grader calls the answer.
const OUTPUT: &str = "{{sample.output_text}}";

/// Converts a definition (JSON) and the rows beside it (JSONL).
pub(super) fn import(files: &[Foreign], model: &str, imported: &mut Imported) {
    let mut rows = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with(".jsonl")) {
        let read = lines(file, imported);
        rows.extend(read.into_iter().map(|row| (file.path.clone(), row)));
    }
    let definitions: Vec<(&Foreign, Map<String, Value>)> = files
        .iter()
        .filter(|file| file.path.ends_with(".json"))
        .filter_map(|file| match serde_json::from_str(&file.text) {
            Ok(Value::Object(definition)) => Some((file, definition)),
            Ok(_) => None,
            Err(error) => {
                imported.refuse(&file.path, error.to_string());
                None
            }
        })
        .filter(|(_, definition)| definition.contains_key("testing_criteria"))
        .collect();
    let [(file, definition)] = definitions.as_slice() else {
        let count = definitions.len();
        let message = format!(
            "there must be one definition (JSON with `testing_criteria`), and there are {count}"
        );
        return imported.refuse(".", message);
    };
    let Some(cases) = cases(&rows, imported) else {
        return;
    };
    let Some(prompt) = prompt(definition, &cases) else {
        let message =
            "the prompt is not in the export: add the run's `data_source` to the definition";
        return imported.refuse(&file.path, message);
    };
    let graders = definition.get("testing_criteria").and_then(Value::as_array);
    let mut asserts = Vec::new();
    for grader in graders.into_iter().flatten() {
        let name = text(grader, "name").unwrap_or("a grader without a name");
        match assertion(grader) {
            Ok(mut assertion) => {
                if let Some(fields) = assertion.as_object_mut() {
                    fields.insert("metric".to_owned(), json!(name));
                }
                asserts.push(assertion);
            }
            Err(reason) => imported.refuse(&file.path, format!("the grader `{name}`: {reason}")),
        }
    }
    let mut default = Map::new();
    default.insert("assert".to_owned(), Value::Array(asserts));
    let name = definition.get("name").and_then(Value::as_str);
    let draft = Draft {
        name: name.unwrap_or("hosted-eval").to_owned(),
        description: None,
        prompt,
        model: model.to_owned(),
        default,
        rows: cases,
    };
    write(&draft, imported);
}

/// A case for each item; rows of several runs about one item are one.
fn cases(rows: &[(String, Map<String, Value>)], imported: &mut Imported) -> Option<Vec<Value>> {
    let mut seen = BTreeSet::new();
    let (mut cases, mut recorded) = (Vec::new(), 0);
    for (path, row) in rows {
        let index = row.get("data_source_idx").and_then(Value::as_u64);
        let (Some(index), Some(item)) = (index, row.get("item").filter(|item| item.is_object()))
        else {
            imported.refuse(path, "a row has no `data_source_idx` or no `item`");
            return None;
        };
        recorded += usize::from(row.contains_key("sample") || row.contains_key("grades"));
        if seen.insert((index, item.to_string())) {
            let twins = cases
                .iter()
                .filter(|case: &&Value| case["metadata"]["item"] == index);
            let twin = match twins.count() {
                0 => String::new(),
                count => format!("-{}", count + 1),
            };
            cases.push(json!({
                "description": format!("item {index}"),
                "vars": {"item": literal(item.clone())},
                "metadata": {"id": format!("item-{index}{twin}"), "item": index},
            }));
        }
    }
    if cases.is_empty() {
        imported.refuse(
            ".",
            "there are no rows (JSONL with `data_source_idx` and `item`)",
        );
        return None;
    }
    if 0 < recorded {
        imported.notes.push(format!(
            "{recorded} rows have answers and grades of past runs, which are not carried over"
        ));
    }
    Some(cases)
}

/// The prompt of the run, else the items' own `input`.
fn prompt(definition: &Map<String, Value>, cases: &[Value]) -> Option<Value> {
    let source = definition.get("data_source");
    let template = source.and_then(|source| source.pointer("/input_messages/template"));
    let messages = template.and_then(Value::as_array);
    if let Some(messages) = messages {
        let read: Option<Vec<Value>> = messages.iter().map(message).collect();
        return Some(json!({"raw": json!(read?).to_string(), "label": "prompt"}));
    }
    let has_input = |case: &Value| {
        case.pointer("/vars/item/input")
            .is_some_and(Value::is_string)
    };
    cases
        .iter()
        .all(has_input)
        .then(|| json!({"raw": "{{ item.input }}", "label": "prompt"}))
}

/// A message whose content is text; the parts of a content are joined.
fn message(message: &Value) -> Option<Value> {
    let role = text(message, "role")?;
    let role = if role == "developer" { "system" } else { role };
    let content = match message.get("content")? {
        Value::String(text) => text.clone(),
        part @ Value::Object(_) => text(part, "text")?.to_owned(),
        Value::Array(parts) => {
            let texts: Option<Vec<&str>> = parts.iter().map(|part| text(part, "text")).collect();
            texts?.join("\n")
        }
        _ => return None,
    };
    Some(json!({"role": role, "content": content}))
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str()
}

/// Whether a grader looks at the whole answer.
fn is_output(grader: &Value) -> bool {
    let input = text(grader, "input").unwrap_or_default();
    input.replace(' ', "") == OUTPUT
}

fn assertion(grader: &Value) -> Result<Value, String> {
    let kind = text(grader, "type").unwrap_or_default();
    match kind {
        "string_check" => {
            let reference = text(grader, "reference").ok_or("it has no `reference`")?;
            if !is_output(grader) {
                return Err("it looks at something else than the answer".to_owned());
            }
            let kind = match text(grader, "operation") {
                Some("eq") => "equals",
                Some("ne") => "not-equals",
                Some("like") => "contains",
                Some("ilike") => "icontains",
                other => return Err(format!("the operation {other:?} is not known")),
            };
            Ok(json!({"type": kind, "value": reference}))
        }
        "text_similarity" => similarity(grader),
        "label_model" => label_model(grader),
        "score_model" => score_model(grader),
        "python" => Err("it runs Python, and only JavaScript is run".to_owned()),
        other => Err(format!("the kind `{other}` has no counterpart")),
    }
}

fn similarity(grader: &Value) -> Result<Value, String> {
    let reference = text(grader, "reference").ok_or("it has no `reference`")?;
    if !is_output(grader) {
        return Err("it looks at something else than the answer".to_owned());
    }
    let metric = text(grader, "evaluation_metric").unwrap_or_default();
    let kind = match metric {
        "bleu" => "bleu",
        "gleu" => "gleu",
        "meteor" => "meteor",
        "rouge_1" => "rouge-n",
        "cosine" => "similar",
        other => return Err(format!("the measure `{other}` has no counterpart")),
    };
    let threshold = grader.get("pass_threshold").and_then(Value::as_f64);
    let threshold = threshold.ok_or("it has no `pass_threshold`")?;
    Ok(json!({"type": kind, "value": reference, "threshold": threshold}))
}

/// The messages of a judge, with what it must answer here behind them.
fn judge(grader: &Value, answer: &str) -> Result<Value, String> {
    let model = text(grader, "model").ok_or("it names no `model`")?;
    let messages = grader.get("input").and_then(Value::as_array);
    let messages = messages.ok_or("it has no messages under `input`")?;
    let read: Option<Vec<Value>> = messages.iter().map(message).collect();
    let mut read = read.ok_or("it has messages that are not text")?;
    for message in &mut read {
        if let Some(Value::String(content)) = message.get_mut("content") {
            *content = renamed(content)?;
        }
    }
    read.push(json!({"role": "system", "content": answer}));
    Ok(json!({
        "type": "llm-rubric",
        "value": "as the instructions say",
        "provider": format!("gateway:openai/{model}"),
        "rubricPrompt": read,
    }))
}

/// What graders call the answer is `output` here.
fn renamed(content: &str) -> Result<String, String> {
    let content = content
        .replace("{{sample.output_text}}", "{{ output }}")
        .replace("{{ sample.output_text }}", "{{ output }}");
    if content.contains("sample.") {
        return Err("it looks at parts of the answer that are not carried over".to_owned());
    }
    Ok(content)
}

fn label_model(grader: &Value) -> Result<Value, String> {
    let list = |key: &str| -> Option<Vec<&str>> {
        let items = grader.get(key)?.as_array()?;
        items.iter().map(Value::as_str).collect()
    };
    let labels = list("labels").ok_or("it has no `labels`")?;
    let passing = list("passing_labels").ok_or("it has no `passing_labels`")?;
    judge(
        grader,
        &format!(
            "Choose exactly one of these labels: {}. Answer with JSON only: {{\"reason\": \"the label, \
             and why\", \"pass\": true if the label is one of {}, else false, \"score\": 1 or 0 likewise}}",
            json!(labels),
            json!(passing)
        ),
    )
}

fn score_model(grader: &Value) -> Result<Value, String> {
    let range = grader.get("range").and_then(Value::as_array);
    let bound = |index: usize, absent: f64| {
        let bound = range.and_then(|range| range.get(index)?.as_f64());
        bound.unwrap_or(absent)
    };
    let (low, high) = (bound(0, 0.0), bound(1, 1.0));
    if high <= low {
        return Err("its `range` is empty".to_owned());
    }
    let threshold = grader.get("pass_threshold").and_then(Value::as_f64);
    let threshold = threshold.ok_or("it has no `pass_threshold`")?;
    let answer = format!(
        "Score from {low} to {high}. Answer with JSON only: {{\"reason\": \"why\", \"pass\": true, \
         \"score\": your score, less {low}, divided by {}}}",
        high - low
    );
    let mut assertion = judge(grader, &answer)?;
    if let Some(fields) = assertion.as_object_mut() {
        let threshold = (threshold - low) / (high - low);
        fields.insert("threshold".to_owned(), json!(threshold));
    }
    Ok(assertion)
}
