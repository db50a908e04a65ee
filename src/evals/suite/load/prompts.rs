//! `prompts`: what is tested. Texts, files of many kinds, and prompts of the registry.

use crate::domain::{PromptReference, Selector};
use crate::evals::dataset;
use crate::evals::suite::load::files::extension;
use crate::evals::suite::load::glob;
use crate::evals::suite::load::models::unique;
use crate::evals::suite::load::node::{Content, Node};
use crate::evals::suite::load::reading::{FILE, Loader, is_foreign_code, is_javascript};
use crate::evals::suite::{PromptEntry, PromptSource};
use serde_json::{Map, Value};

/// Characters of a text that its label shows.
const LABEL_LENGTH: usize = 60;
/// What begins the name of a prompt of the registry.
const REGISTRY: &str = "prompt://";
/// Keys of a prompt.
const KEYS: [&str; 4] = ["id", "label", "raw", "config"];
/// Files that hold prompts.
const ENDINGS: [&str; 8] = ["txt", "md", "json", "jsonl", "yaml", "yml", "j2", "csv"];

/// A prompt entry with the other names that it is chosen by.
#[derive(Debug, Clone)]
pub(super) struct NamedPrompt {
    pub(super) names: Vec<String>,
    pub(super) entry: PromptEntry,
}

/// A prompt as it is written.
struct Written<'a> {
    raw: &'a str,
    id: Option<String>,
    label: Option<String>,
    config: Map<String, Value>,
    node: &'a Node,
}

impl Loader<'_> {
    /// Reads `prompts`: a text, a list, or a mapping from file to label.
    pub(super) fn prompts(&self, node: &Node) -> Vec<NamedPrompt> {
        let mut prompts = Vec::new();
        match &node.content {
            Content::List(items) => {
                for item in items {
                    self.prompt(item, &mut prompts);
                }
            }
            Content::Map(fields) => {
                for field in fields {
                    let label = field.value.text().map(str::to_owned);
                    if label.is_none() {
                        let message = "a prompt's label is text";
                        self.wrong(&field.value, message, "write `FILE: LABEL`");
                    }
                    let written = Written {
                        raw: &field.name,
                        id: None,
                        label,
                        config: Map::new(),
                        node: &field.value,
                    };
                    self.read_prompt(written, &mut prompts);
                }
            }
            Content::Scalar(_) => self.prompt(node, &mut prompts),
        }
        let mut labels: Vec<String> = Vec::new();
        for prompt in &mut prompts {
            prompt.entry.label = unique(&prompt.entry.label, &labels);
            labels.push(prompt.entry.label.clone());
        }
        if prompts.is_empty() && !self.has_problems() {
            self.wrong(
                node,
                "there are no prompts",
                "name a prompt: `prompt://NAME`, a file or a text",
            );
        }
        prompts
    }

    fn prompt(&self, node: &Node, prompts: &mut Vec<NamedPrompt>) {
        if let Some(raw) = node.text() {
            let written = Written {
                raw,
                id: None,
                label: None,
                config: Map::new(),
                node,
            };
            return self.read_prompt(written, prompts);
        }
        let Some(fields) = self.fields(node, "a prompt", &KEYS) else {
            return;
        };
        let id = self.text_at(&fields, "id");
        let raw = self.text_at(&fields, "raw").or_else(|| id.clone());
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else {
            self.wrong(
                node,
                "the prompt has neither `raw` nor `id`",
                "write its text under `raw`",
            );
            return;
        };
        let config = self.map_at(&fields, "config");
        let written = Written {
            raw: &raw,
            id,
            label: self.text_at(&fields, "label"),
            config: config
                .map(|config| self.parameters(config, "a prompt"))
                .unwrap_or_default(),
            node,
        };
        self.read_prompt(written, prompts);
    }

    fn read_prompt(&self, written: Written<'_>, prompts: &mut Vec<NamedPrompt>) {
        let raw = written.raw;
        if let Some(name) = raw.strip_prefix(REGISTRY) {
            prompts.extend(self.of_registry(name, &written));
            return;
        }
        if ["langfuse://", "portkey://", "helicone://"]
            .iter()
            .any(|tool| raw.starts_with(tool))
        {
            let message = format!("`{raw}` is kept by another tool, which is not asked");
            let hint = "bring it here with `promptgate prompts import`, then write `prompt://NAME`";
            self.wrong(written.node, message, hint);
            return;
        }
        let is_file = raw.starts_with(FILE);
        if !is_file && !looks_like_file(raw) {
            prompts.push(written.text(raw.to_owned(), None, Vec::new()));
            return;
        }
        if raw.starts_with("exec:")
            || is_foreign_code(code_path(raw))
            || is_javascript(code_path(raw))
        {
            let message =
                format!("`{raw}` makes the prompt by a program, and none is run for that");
            let hint =
                "write the prompt as text or as a `.prompt` file, and what varies as variables";
            self.wrong(written.node, message, hint);
            return;
        }
        for path in self.paths_of(raw, written.node) {
            self.of_file(&path, &written, prompts);
        }
    }

    fn of_registry(&self, name: &str, written: &Written<'_>) -> Option<NamedPrompt> {
        // `@HEAD` says what no selector says too: as the files have it.
        let name = name.strip_suffix("@HEAD").unwrap_or(name);
        let reference: PromptReference = match name.parse() {
            Ok(reference) => reference,
            Err(error) => {
                self.wrong(
                    written.node,
                    format!("{error}"),
                    "write `prompt://support/refund`",
                );
                return None;
            }
        };
        if let Selector::PullRequest(_) = reference.selector {
            let message = format!("`{name}` is the head of a pull request, which moves");
            self.wrong(
                written.node,
                message,
                "check the pull request out, and name no selector",
            );
            return None;
        }
        let label = written.label.clone().unwrap_or_else(|| name.to_owned());
        let mut names = vec![name.to_owned(), [REGISTRY, name].concat()];
        names.extend(written.id.clone());
        Some(NamedPrompt {
            names,
            entry: PromptEntry {
                label,
                source: PromptSource::Registry(reference),
                config: written.config.clone(),
                place: written.node.place(),
            },
        })
    }

    fn of_file(&self, path: &str, written: &Written<'_>, prompts: &mut Vec<NamedPrompt>) {
        let Some(text) = self.text(path, written.node) else {
            return;
        };
        let named = |label: &str| {
            let own = written.label.clone();
            Some(own.unwrap_or_else(|| label.to_owned()))
        };
        let names = || vec![path.to_owned(), written.raw.to_owned()];
        match extension(path).as_str() {
            "txt" => {
                for part in split_at_rules(&text) {
                    prompts.push(written.text(part, named(path), names()));
                }
            }
            "jsonl" => {
                let lines = text.lines().filter(|line| !line.trim().is_empty());
                prompts
                    .extend(lines.map(|line| written.text(line.to_owned(), named(path), names())));
            }
            "csv" => self.of_csv(path, &text, written, prompts),
            "yaml" | "yml" => {
                let Some(node) = self.document(path, written.node) else {
                    return;
                };
                let raw = match node.to_value() {
                    Value::String(text) => text,
                    value => value.to_string(),
                };
                prompts.push(written.text(raw, named(path), names()));
            }
            "md" | "j2" | "json" => prompts.push(written.text(text, named(path), names())),
            "prompt" => {
                let message = format!("`{path}` is a prompt of the registry");
                self.wrong(
                    written.node,
                    message,
                    "write `prompt://NAME`, its path without the ending",
                );
            }
            _ => {
                let message = format!("`{path}` is no file of prompts that is known");
                let hint = "known are `.txt`, `.md`, `.json`, `.jsonl`, `.yaml`, `.j2` and `.csv`";
                self.wrong(written.node, message, hint);
            }
        }
    }

    /// The column `prompt` of a table, with labels from `label`; or a line each.
    fn of_csv(
        &self,
        path: &str,
        text: &str,
        written: &Written<'_>,
        prompts: &mut Vec<NamedPrompt>,
    ) {
        let names = || vec![path.to_owned(), written.raw.to_owned()];
        if !text.contains(',') {
            let mut lines = text
                .lines()
                .filter(|line| !line.trim().is_empty())
                .peekable();
            if lines
                .peek()
                .is_some_and(|line| line.trim().eq_ignore_ascii_case("prompt"))
            {
                lines.next();
            }
            for (index, line) in lines.enumerate() {
                let label = format!("Prompt {} - {line}", index + 1);
                prompts.push(written.text(line.to_owned(), Some(shortened(&label)), names()));
            }
            return;
        }
        let table = match dataset::table(text, path, self.delimiter()) {
            Ok(table) => table,
            Err(problems) => {
                return problems
                    .into_iter()
                    .for_each(|problem| self.problem(problem));
            }
        };
        for (index, record) in table.iter().enumerate() {
            let Some(prompt) = record.get("prompt").filter(|prompt| !prompt.is_empty()) else {
                continue;
            };
            let label = record.get("label").filter(|label| !label.is_empty());
            let label = label.map_or_else(
                || shortened(&format!("Prompt {} - {prompt}", index + 1)),
                str::to_owned,
            );
            prompts.push(written.text(prompt.to_owned(), Some(label), names()));
        }
    }

    /// What stands between the cells of a table.
    pub(super) fn delimiter(&self) -> char {
        let environment = self.environment.borrow();
        let set = environment.get("PROMPTFOO_CSV_DELIMITER");
        set.and_then(|text| text.chars().next()).unwrap_or(',')
    }
}

impl Written<'_> {
    /// A prompt whose text is `raw`: messages when it is a list of them.
    fn text(&self, raw: String, label: Option<String>, mut names: Vec<String>) -> NamedPrompt {
        names.extend(self.id.clone());
        names.push(raw.clone());
        let label = label
            .or_else(|| self.label.clone())
            .unwrap_or_else(|| shortened(&raw));
        let source = match messages(&raw) {
            Some(messages) => PromptSource::Chat(messages),
            None => PromptSource::Text(raw),
        };
        NamedPrompt {
            names,
            entry: PromptEntry {
                label,
                source,
                config: self.config.clone(),
                place: self.node.place(),
            },
        }
    }
}

/// The messages that a text is, when it is JSON of them before anything is filled. One with tags
/// outside of strings is JSON only then, and is read when it is filled.
pub(super) fn messages(raw: &str) -> Option<Value> {
    let trimmed = raw.trim();
    if !trimmed.starts_with('[') {
        return None;
    }
    let value: Value = serde_json::from_str(trimmed).ok()?;
    let is_message = |item: &Value| item.get("role").is_some_and(Value::is_string);
    let items = value.as_array()?;
    (!items.is_empty() && items.iter().all(is_message)).then_some(value)
}

/// The parts of a file of prompts, between lines of `---`.
fn split_at_rules(text: &str) -> Vec<String> {
    let mut parts = vec![Vec::new()];
    for line in text.lines() {
        if line.trim() == "---" {
            parts.push(Vec::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(line);
        }
    }
    let texts = parts
        .into_iter()
        .map(|lines| lines.join("\n").trim().to_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

/// Whether a text without `file://` is a path: it has the ending of a file of prompts, or is a pattern,
/// and nothing in it is what only a prompt has.
fn looks_like_file(raw: &str) -> bool {
    let is_prose = raw.contains(['\n', ' ', '\t']) || raw.contains("{{");
    let ending = extension(code_path(raw));
    let is_known = ENDINGS.contains(&ending.as_str())
        || is_javascript(code_path(raw))
        || is_foreign_code(code_path(raw));
    !is_prose && (is_known || (raw.contains('/') && glob::is_pattern(raw)))
        || raw.starts_with("exec:")
}

/// The path in `path:function`.
fn code_path(raw: &str) -> &str {
    let raw = raw.strip_prefix(FILE).unwrap_or(raw);
    match raw.rsplit_once(':') {
        Some((path, function)) if !function.contains(['/', '.']) => path,
        _ => raw,
    }
}

fn shortened(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    if line.chars().count() <= LABEL_LENGTH && line.len() == text.trim().len() {
        return line.to_owned();
    }
    let start: String = line.chars().take(LABEL_LENGTH).collect();
    format!("{}…", start.trim_end())
}
