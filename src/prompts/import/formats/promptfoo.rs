//! promptfoo: configs with prompts, providers and tests, and prompt files by themselves.

use crate::prompts::import::file::Imported;
use crate::prompts::import::formats::{
    Read, messages, parse_json, parse_yaml, refuse, settings, stem, text_of, untranslatable,
};
use crate::prompts::import::jinja::{Dialect, translate};
use crate::prompts::import::jinja_tokens::Untranslatable;
use crate::prompts::import::template::{Node, Turn, variables};
use crate::prompts::import::{Foreign, Refusal};
use crate::prompts::syntax::Role;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

pub(super) fn read(files: &[Foreign]) -> Read {
    let (mut prompts, mut refusals, mut used) = (Vec::new(), Vec::new(), BTreeSet::new());
    let (configs, others): (Vec<&Foreign>, Vec<&Foreign>) =
        files.iter().partition(|file| is_config(file));
    for config in configs {
        let mut reader = Config {
            file: config,
            files,
            used: &mut used,
        };
        match reader.read() {
            Ok(read) => prompts.extend(read),
            Err(refused) => refusals.extend(refused),
        }
    }
    for file in others.into_iter().filter(|file| !used.contains(&file.path)) {
        match prompt_file(file, stem(&file.path)) {
            Ok(read) => prompts.extend(read),
            Err(refused) => refusals.extend(refused),
        }
    }
    if refusals.is_empty() {
        Ok(prompts)
    } else {
        Err(refusals)
    }
}

fn is_config(file: &Foreign) -> bool {
    let is_yaml = file.path.ends_with(".yaml") || file.path.ends_with(".yml");
    let mut lines = file.text.lines();
    is_yaml && lines.any(|line| line.starts_with("prompts:"))
}

struct Config<'a> {
    file: &'a Foreign,
    files: &'a [Foreign],
    used: &'a mut BTreeSet<String>,
}

impl Config<'_> {
    fn read(&mut self) -> Read {
        let value = parse_yaml(self.file, &self.file.text, 0)?;
        let list = match value.get("prompts") {
            Some(Value::Array(items)) => items.clone(),
            Some(one) => vec![one.clone()],
            None => Vec::new(),
        };
        let mut prompts = Vec::new();
        for (index, item) in list.iter().enumerate() {
            prompts.extend(self.prompt(item, index + 1)?);
        }
        for prompt in &mut prompts {
            provider(prompt, &value);
            tests(prompt, &value);
        }
        Ok(prompts)
    }

    /// A prompt is a text, a path, or an object with a label and one of them.
    fn prompt(&mut self, item: &Value, number: usize) -> Read {
        let text = item
            .as_str()
            .or_else(|| text_of(item, "raw"))
            .or_else(|| text_of(item, "id"));
        let text = text
            .ok_or_else(|| refuse(self.file, format!("prompt {number} is no text and no path")))?;
        let label = text_of(item, "label").map(str::to_owned);
        let path = text.strip_prefix("file://").unwrap_or(text);
        let is_path = text.starts_with("file://")
            || (!text.contains('\n')
                && [".txt", ".json", ".yaml", ".yml", ".md", ".j2"]
                    .iter()
                    .any(|end| text.ends_with(end)));
        if !is_path {
            let name = label.unwrap_or_else(|| format!("{}-{number}", stem(&self.file.path)));
            let line = super::line_of(self.file, text);
            return Ok(vec![plain_text(self.file, &name, text, line)?]);
        }
        let directory = self
            .file
            .path
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        let wanted = format!("{directory}/{path}");
        let wanted = wanted.trim_start_matches('/').replace("/./", "/");
        let wanted = wanted.trim_start_matches("./");
        let Some(file) = self.files.iter().find(|file| file.path == wanted) else {
            let message =
                format!("prompt {number} is `{path}`, which is not among the imported files");
            return Err(refuse(self.file, message));
        };
        self.used.insert(file.path.clone());
        prompt_file(file, label.as_deref().unwrap_or_else(|| stem(&file.path)))
    }
}

/// A file of chat messages, or of texts apart by lines of `---`.
fn prompt_file(file: &Foreign, name: &str) -> Read {
    let is = |extension: &str| file.path.ends_with(extension);
    if is(".json") || is(".yaml") || is(".yml") {
        let value = if is(".json") {
            parse_json(file)
        } else {
            parse_yaml(file, &file.text, 0)
        };
        let value = value.map_err(|refusals| {
            let hint = "tags outside of texts cannot be translated";
            refusals
                .into_iter()
                .map(|refusal| refusal.hint(hint))
                .collect::<Vec<_>>()
        })?;
        let list = value
            .as_array()
            .ok_or_else(|| refuse(file, "this is no list of messages"))?;
        let mut prompt = Imported::new(&file.path, name);
        prompt.turns = chat(file, list, &mut prompt.defaults)?;
        prompt.needs_variables("a call without one of the variables is refused");
        return Ok(vec![prompt]);
    }
    if is(".js") || is(".ts") || is(".py") || is(".csv") {
        return Err(refuse(
            file,
            "a prompt that a program makes cannot be carried over",
        ));
    }
    let mut prompts = Vec::new();
    let (mut line, mut text, mut start) = (1, String::new(), 1);
    for piece in file.text.split_inclusive('\n').chain(["---\n"]) {
        if piece.trim_end() == "---" {
            if !text.trim().is_empty() {
                let number = prompts.len() + 1;
                let name = if number == 1 {
                    name.to_owned()
                } else {
                    format!("{name}-{number}")
                };
                prompts.push(plain_text(file, &name, &text, start)?);
            }
            text.clear();
            start = line + 1;
        } else {
            text.push_str(piece);
        }
        line += 1;
    }
    if prompts.is_empty() {
        return Err(refuse(file, "there is no text"));
    }
    Ok(prompts)
}

fn chat(
    file: &Foreign,
    list: &[Value],
    defaults: &mut Map<String, Value>,
) -> Result<Vec<Turn>, Vec<Refusal>> {
    messages(file, list, &mut |text, line| nodes(text, line, defaults))
}

fn nodes(
    text: &str,
    line: usize,
    defaults: &mut Map<String, Value>,
) -> Result<Vec<Node>, Untranslatable> {
    let translated = translate(text, line, Dialect::Nunjucks)?;
    defaults.extend(translated.defaults);
    Ok(translated.nodes)
}

/// A text is one message of the user, or messages in JSON.
fn plain_text(
    file: &Foreign,
    name: &str,
    text: &str,
    line: usize,
) -> Result<Imported, Vec<Refusal>> {
    let mut prompt = Imported::new(&file.path, name);
    let trimmed = text.trim();
    let list = serde_json::from_str::<Value>(trimmed).ok();
    if let Some(Value::Array(list)) = list {
        prompt.turns = chat(file, &list, &mut prompt.defaults)?;
    } else {
        let skipped = text.len() - text.trim_start().len();
        let line = line
            + text
                .get(..skipped)
                .unwrap_or_default()
                .matches('\n')
                .count();
        let nodes = nodes(trimmed, line, &mut prompt.defaults)
            .map_err(|problem| untranslatable(file, problem))?;
        prompt.turns.push(Turn::Message(Role::User, nodes));
    }
    prompt.needs_variables("a call without one of the variables is refused");
    Ok(prompt)
}

/// One provider is the prompt's model; several are a comparison.
fn provider(prompt: &mut Imported, config: &Value) {
    let providers = config.get("providers").or_else(|| config.get("targets"));
    let list = match providers {
        Some(Value::Array(items)) => items.clone(),
        Some(one) => vec![one.clone()],
        None => return,
    };
    let [one] = list.as_slice() else {
        prompt.dropped("`providers`: there are several, and a prompt names one model");
        return;
    };
    let id = one
        .as_str()
        .or_else(|| text_of(one, "id"))
        .unwrap_or_default();
    let parts: Vec<&str> = id.split(':').collect();
    let model = match parts.as_slice() {
        [provider, model] | [provider, "chat" | "messages" | "responses", model] => {
            Some(format!("{provider}/{model}"))
        }
        _ => None,
    };
    match model {
        Some(model) => prompt.model = Some(model),
        None => prompt.dropped(format!("the provider `{id}`")),
    }
    if let Some(options) = one.get("config").and_then(Value::as_object) {
        settings(prompt, options);
    }
}

/// The variables of tests become samples; assertions are evals.
fn tests(prompt: &mut Imported, config: &Value) {
    let names = variables(&prompt.turns);
    let Some(Value::Array(tests)) = config.get("tests") else {
        if config.get("tests").is_some() {
            prompt.dropped("`tests`: they are in another file");
        }
        return;
    };
    let shared = config
        .get("defaultTest")
        .and_then(|test| test.get("vars"))
        .and_then(Value::as_object);
    let mut has_assertions = config
        .get("defaultTest")
        .is_some_and(|test| test.get("assert").is_some());
    for (index, test) in tests.iter().enumerate() {
        has_assertions |= test.get("assert").is_some();
        let own = test.get("vars").and_then(Value::as_object);
        let mut variables = Map::new();
        for (name, value) in shared.into_iter().chain(own).flatten() {
            let is_elsewhere = value
                .as_str()
                .is_some_and(|text| text.starts_with("file://"));
            if is_elsewhere {
                prompt.dropped(format!(
                    "`{name}` of test {}: it is in another file",
                    index + 1
                ));
            } else if names.contains(name) {
                variables.insert(name.clone(), value.clone());
            }
        }
        let is_whole = names.iter().all(|name| variables.contains_key(name));
        let name = text_of(test, "description")
            .map_or_else(|| format!("test {}", index + 1), str::to_owned);
        if is_whole && !names.is_empty() {
            prompt.samples.push((name, variables));
        }
    }
    if has_assertions {
        prompt.dropped("assertions: the config itself runs as an eval suite");
    }
}
