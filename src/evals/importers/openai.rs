//! OpenAI Evals: `{input, ideal}` samples, and the classes of its registry.

use crate::evals::importers::{Draft, Foreign, Imported, lines, literal, write};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a class checks, in JavaScript over `ideal`, one or several.
const MATCH: &str = "[].concat(context.vars.ideal).some((ideal) => output.startsWith(ideal))";
const INCLUDES: &str = "[].concat(context.vars.ideal).some((ideal) => output.includes(ideal))";
const INCLUDES_ANY_CASE: &str = "[].concat(context.vars.ideal)\
    .some((ideal) => output.toLowerCase().includes(ideal.toLowerCase()))";
/// Lower case, without punctuation and articles, spaces made one; then one holds the other.
const FUZZY: &str = "const plain = (text) => text.toLowerCase()\
    .replace(/[!-\\/:-@\\[-`{-~]/g, '').replace(/\\b(a|an|the)\\b/g, ' ')\
    .split(/\\s+/).filter(Boolean).join(' ');\n\
    const said = plain(output);\n\
    return [].concat(context.vars.ideal).some((ideal) => {\n  \
    const wanted = plain(ideal);\n  \
    if (said === '' || wanted === '') return said === wanted;\n  \
    return said.includes(wanted) || wanted.includes(said);\n});";
const JSON_MATCH: &str = "const sorted = (value) => Array.isArray(value) ? value.map(sorted)\n  \
    : value && typeof value === 'object'\n  \
    ? Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])])) : value;\n\
    const read = (text) => { try { return JSON.stringify(sorted(JSON.parse(text))); } catch { return null; } };\n\
    const said = read(output);\n\
    return said !== null && [].concat(context.vars.ideal).some((ideal) => read(ideal) === said);";

/// Converts every eval of a registry that has its samples among the files.
pub(super) fn import(files: &[Foreign], model: &str, imported: &mut Imported) {
    let is_yaml = |file: &&Foreign| file.path.ends_with(".yaml") || file.path.ends_with(".yml");
    let mut aliases: BTreeMap<String, String> = BTreeMap::new();
    let mut evals: Vec<(&Foreign, String, Map<String, Value>)> = Vec::new();
    // Prompts of judges lie in a directory of their own, and are no evals.
    let registries = files.iter().filter(is_yaml);
    for file in registries.filter(|file| !file.path.split('/').any(|part| part == "modelgraded")) {
        let parsed: Result<Map<String, Value>, _> = serde_saphyr::from_str(&file.text);
        let entries = match parsed {
            Ok(entries) => entries,
            Err(error) => {
                let words = error.to_string();
                imported.refuse(&file.path, words.lines().next().unwrap_or_default());
                continue;
            }
        };
        for (name, entry) in entries {
            let Value::Object(entry) = entry else {
                continue;
            };
            if entry.contains_key("class") {
                evals.push((file, name, entry));
            } else if let Some(id) = entry.get("id").and_then(Value::as_str) {
                aliases.insert(id.to_owned(), name);
            }
        }
    }
    for (file, name, entry) in evals {
        let name = aliases.get(&name).cloned().unwrap_or(name);
        convert(files, file, (&name, &entry), model, imported);
    }
}

fn convert(
    files: &[Foreign],
    file: &Foreign,
    (name, entry): (&str, &Map<String, Value>),
    model: &str,
    imported: &mut Imported,
) {
    let no_args = Map::new();
    let args = entry.get("args").and_then(Value::as_object);
    let args = args.unwrap_or(&no_args);
    let class = entry
        .get("class")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let assertion = match assertion(class, args) {
        Ok(assertion) => assertion,
        Err(reason) => return imported.refuse(&file.path, format!("`{name}`: {reason}")),
    };
    let known = [
        "samples_jsonl",
        "ignore_case",
        "eval_type",
        "modelgraded_spec",
    ];
    for arg in args.keys().filter(|arg| !known.contains(&arg.as_str())) {
        imported.refuse(
            &file.path,
            format!("`{name}`: the argument `{arg}` has no counterpart"),
        );
    }
    let Some(path) = args.get("samples_jsonl").and_then(Value::as_str) else {
        return imported.refuse(&file.path, format!("`{name}` names no `samples_jsonl`"));
    };
    let is_it = |file: &&Foreign| {
        let rest = file.path.strip_suffix(path);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('/'))
    };
    let Some(samples) = files.iter().find(is_it) else {
        return imported.refuse(
            &file.path,
            format!("`{name}`: the samples `{path}` are not there"),
        );
    };
    let read = lines(samples, imported);
    let has_chat = read
        .iter()
        .any(|row| row.get("input").is_some_and(Value::is_array));
    let mut rows = Vec::with_capacity(read.len());
    for (index, row) in read.into_iter().enumerate() {
        match case(row, index, has_chat) {
            Ok(case) => rows.push(case),
            Err(reason) => imported.refuse(&samples.path, format!("line {}: {reason}", index + 1)),
        }
    }
    let description = entry.get("description").and_then(Value::as_str);
    let prompt = if has_chat {
        "{{ input | dump }}"
    } else {
        "{{ input }}"
    };
    let mut default = Map::new();
    default.insert("assert".to_owned(), json!([assertion]));
    default.insert("options".to_owned(), json!({"disableVarExpansion": true}));
    let draft = Draft {
        name: name.to_owned(),
        description: description.map(str::to_owned),
        prompt: json!({"raw": prompt, "label": name}),
        model: model.to_owned(),
        default,
        rows,
    };
    write(&draft, imported);
}

/// What a class asserts; an error says why it cannot be.
fn assertion(class: &str, args: &Map<String, Value>) -> Result<Value, String> {
    let name = class.rsplit(':').next().unwrap_or_default();
    let javascript =
        |code: &str| Ok(json!({"type": "javascript", "value": code, "metric": "accuracy"}));
    let is_any_case = args.get("ignore_case") == Some(&Value::Bool(true));
    match name {
        "Match" if is_any_case => Err("`Match` with `ignore_case` has no counterpart".to_owned()),
        "Match" => javascript(MATCH),
        "Includes" if is_any_case => javascript(INCLUDES_ANY_CASE),
        "Includes" => javascript(INCLUDES),
        "FuzzyMatch" => javascript(FUZZY),
        "JsonMatch" => javascript(JSON_MATCH),
        "ModelBasedClassify" => {
            let spec = args.get("modelgraded_spec").and_then(Value::as_str);
            match spec {
                Some("fact") => {
                    Ok(json!({"type": "factuality", "value": "{{ ideal }}", "metric": "accuracy"}))
                }
                Some("closedqa") => Ok(
                    json!({"type": "model-graded-closedqa", "value": "{{ criteria }}", "metric": "accuracy"}),
                ),
                Some(spec) => Err(format!(
                    "the judge `{spec}` answers with choices of its own; write it as a rubric"
                )),
                None => Err("`ModelBasedClassify` names no `modelgraded_spec`".to_owned()),
            }
        }
        _ => Err(format!("the class `{class}` is a program, and none is run")),
    }
}

fn case(mut row: Map<String, Value>, index: usize, has_chat: bool) -> Result<Value, String> {
    let input = row.shift_remove("input").ok_or("there is no `input`")?;
    let input = match input {
        Value::String(text) if has_chat => json!([{"role": "user", "content": text}]),
        Value::String(text) => Value::String(text),
        Value::Array(messages) => {
            let is_text = |message: &Value| {
                let has = |key: &str| message.get(key).is_some_and(Value::is_string);
                has("role") && has("content")
            };
            if let Some(odd) = messages.iter().position(|message| !is_text(message)) {
                return Err(format!(
                    "message {} of `input` is no text with a role",
                    odd + 1
                ));
            }
            Value::Array(messages)
        }
        _ => return Err("`input` is neither text nor messages".to_owned()),
    };
    let mut vars = Map::new();
    vars.insert("input".to_owned(), literal(input));
    if let Some(ideal) = row.shift_remove("ideal") {
        let is_good = match &ideal {
            Value::String(_) => true,
            Value::Array(items) => items.iter().all(Value::is_string),
            _ => false,
        };
        if !is_good {
            return Err("`ideal` is neither a text nor a list of texts".to_owned());
        }
        vars.insert("ideal".to_owned(), literal(ideal));
    }
    for (name, value) in row {
        vars.insert(name, literal(value));
    }
    Ok(json!({
        "description": format!("sample {}", index + 1),
        "vars": vars,
        "metadata": {"id": format!("sample-{}", index + 1)},
    }))
}
