//! `LiteLLM`'s prompts: `.prompt` files in Jinja, and configs that hold such texts.
//!
//! The extension is Dotprompt's and the language is not: messages begin with `System:`, `User:` or
//! `Assistant:`, and unknown keys are settings of the model.

use crate::prompts::import::file::Imported;
use crate::prompts::import::formats::roles::by_prefixes;
use crate::prompts::import::formats::{
    Read, line_of, parse_json, parse_yaml, refuse, settings, stem, text_of, untranslatable,
};
use crate::prompts::import::jinja::{Dialect, translate};
use crate::prompts::import::template::Turn;
use crate::prompts::import::{Foreign, Refusal};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

pub(super) fn read(files: &[Foreign]) -> Read {
    let mut refusals = Vec::new();
    let mut versions: BTreeMap<String, Vec<(u32, Imported)>> = BTreeMap::new();
    for file in files {
        let outcome = if has_extension(&file.path, &["prompt"]) {
            let (name, version) = name_and_version(&file.path);
            dotprompt(file, &name, &file.text, 0).map(|prompt| vec![(version, prompt)])
        } else if has_extension(&file.path, &["json"]) {
            parse_json(file).and_then(|value| config(file, &value))
        } else {
            parse_yaml(file, &file.text, 0).and_then(|value| config(file, &value))
        };
        match outcome {
            Err(refused) => refusals.extend(refused),
            Ok(read) => {
                for (version, prompt) in read {
                    versions
                        .entry(prompt.name.clone())
                        .or_default()
                        .push((version, prompt));
                }
            }
        }
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let newest = versions.into_values().filter_map(|mut all| {
        all.sort_by_key(|(version, _)| *version);
        let (_, mut prompt) = all.pop()?;
        for (_, old) in all {
            prompt.dropped(format!(
                "`{}`: an older version; Git keeps those here",
                old.from
            ));
        }
        Some(prompt)
    });
    Ok(newest.collect())
}

fn has_extension(path: &str, extensions: &[&str]) -> bool {
    let extension = path.rsplit_once('.').map(|(_, extension)| extension);
    extension.is_some_and(|extension| extensions.contains(&extension))
}

/// `greet` and 2 of `greet.v2.prompt`.
fn name_and_version(path: &str) -> (String, u32) {
    let whole = path.strip_suffix(".prompt").unwrap_or(path);
    let numbered = whole
        .rsplit_once(".v")
        .and_then(|(name, number)| Some((name, number.parse().ok()?)));
    let (name, version) = numbered.unwrap_or((whole, 0));
    (name.to_owned(), version)
}

/// Texts inside a config: `{id: {content, metadata}}`, or `prompts:` of the proxy's config.
fn config(file: &Foreign, value: &Value) -> Result<Vec<(u32, Imported)>, Vec<Refusal>> {
    let listed = value.get("prompts").and_then(Value::as_array);
    let mut prompts = Vec::new();
    for item in listed.into_iter().flatten() {
        let name = text_of(item, "prompt_id").unwrap_or_else(|| stem(&file.path));
        let parameters = item.get("litellm_params").unwrap_or(&Value::Null);
        if let Some(text) = text_of(parameters, "dotprompt_content") {
            let prompt = dotprompt(file, name, text, line_of(file, text).saturating_sub(1))?;
            prompts.push((0, prompt));
        } else if let Some(data) = parameters.get("prompt_data") {
            prompts.push((0, entry(file, name, data)?));
        } else {
            let integration = text_of(parameters, "prompt_integration").unwrap_or("none");
            let message = format!("`{name}` is kept elsewhere (`{integration}`), not in this file");
            return Err(refuse(file, message));
        }
    }
    if listed.is_none() {
        for (name, data) in value.as_object().into_iter().flatten() {
            prompts.push((0, entry(file, name, data)?));
        }
    }
    if prompts.is_empty() {
        return Err(refuse(file, "there are no prompts in this file"));
    }
    Ok(prompts)
}

fn entry(file: &Foreign, name: &str, data: &Value) -> Result<Imported, Vec<Refusal>> {
    let text = text_of(data, "content")
        .ok_or_else(|| refuse(file, format!("`{name}` has no `content`")))?;
    let metadata = data
        .get("metadata")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    build(file, name, &metadata, text, line_of(file, text))
}

/// A text with front matter between two lines of `---`, after `lines_before` lines of its file.
fn dotprompt(
    file: &Foreign,
    name: &str,
    text: &str,
    lines_before: usize,
) -> Result<Imported, Vec<Refusal>> {
    let Some((yaml, body)) = text
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
    else {
        return build(file, name, &Map::new(), text, lines_before + 1);
    };
    let front = parse_yaml(file, yaml, lines_before + 1)?;
    let front = front.as_object().cloned().unwrap_or_default();
    build(
        file,
        name,
        &front,
        body,
        lines_before + 3 + yaml.lines().count(),
    )
}

fn build(
    file: &Foreign,
    name: &str,
    front: &Map<String, Value>,
    text: &str,
    first_line: usize,
) -> Result<Imported, Vec<Refusal>> {
    let mut prompt = Imported::new(&file.path, name);
    let mut rest = front.clone();
    prompt.model = rest
        .shift_remove("model")
        .and_then(|model| model.as_str().map(str::to_owned));
    prompt.description = rest
        .shift_remove("description")
        .and_then(|text| text.as_str().map(str::to_owned));
    let input = rest.shift_remove("input");
    prompt.input = input.and_then(|input| input.get("schema").cloned());
    if let Some(Value::Object(output)) = rest.shift_remove("output") {
        prompt.output = output;
    }
    for key in ["name", "version", "optional_params"] {
        match rest.shift_remove(key) {
            Some(Value::Object(nested)) => rest.extend(nested),
            Some(_) => prompt.dropped(format!("`{key}`")),
            None => {}
        }
    }
    settings(&mut prompt, &rest);
    for section in by_prefixes(text, first_line) {
        let translated = translate(&section.text, section.line, Dialect::Jinja)
            .map_err(|problem| untranslatable(file, problem))?;
        prompt.defaults.extend(translated.defaults);
        prompt
            .turns
            .push(Turn::Message(section.role, translated.nodes));
    }
    if prompt.turns.is_empty() {
        return Err(refuse(file, format!("`{name}` has no text")));
    }
    prompt.changed("a value can no longer open a message by a line that begins with `System:`");
    prompt.changed("white space around each line is gone from the file; it was never sent");
    Ok(prompt)
}
