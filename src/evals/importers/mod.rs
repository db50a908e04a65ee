//! Suites of other tools -> files of ours: carried over exactly, or refused by name.

mod hosted;
mod openai;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};
use std::fmt;

/// Whose evals they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The registry of the open-source OpenAI Evals: YAML with samples as JSONL.
    OpenAiEvals,
    /// An export of OpenAI's hosted evals: the definition as JSON, rows as JSONL.
    OpenAiHosted,
}

/// A file that is brought here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// Its path below what was named.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// Something that cannot be carried over.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// The file.
    pub path: String,
    /// What it is, and why not.
    pub message: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// Files to write, by path below the directory of suites.
    pub files: Vec<(String, String)>,
    /// What should be known of them.
    pub notes: Vec<String>,
    /// What cannot be carried over; then nothing should be written.
    pub refusals: Vec<Refusal>,
}

impl Imported {
    fn refuse(&mut self, path: &str, message: impl Into<String>) {
        self.refusals.push(Refusal {
            path: path.to_owned(),
            message: message.into(),
        });
    }
}

/// Converts `files`. `model` answers in the suites that come out, as the gateway routes it.
#[must_use]
pub fn import(format: Format, files: &[Foreign], model: &str) -> Imported {
    let mut imported = Imported::default();
    match format {
        Format::OpenAiEvals => openai::import(files, model, &mut imported),
        Format::OpenAiHosted => hosted::import(files, model, &mut imported),
    }
    if imported.files.is_empty() && imported.refusals.is_empty() {
        imported.refuse(".", "there are no evals of that format");
    }
    imported
}

/// A suite that is written: its name, and what is in it.
struct Draft {
    name: String,
    description: Option<String>,
    prompt: Value,
    model: String,
    default: Map<String, Value>,
    rows: Vec<Value>,
}

/// Writes a suite and its data.
fn write(draft: &Draft, imported: &mut Imported) {
    let name = file_name(&draft.name);
    let data = format!("datasets/{name}.jsonl");
    let suite = json!({
        "description": draft.description.clone().unwrap_or_else(|| draft.name.clone()),
        "prompts": [draft.prompt],
        "providers": [format!("gateway:{}", draft.model)],
        "defaultTest": draft.default,
        "tests": format!("file://{data}"),
    });
    match serde_saphyr::to_string(&suite) {
        Ok(yaml) => imported.files.push((format!("{name}.yaml"), yaml)),
        Err(error) => imported.refuse(&draft.name, format!("cannot be written: {error}")),
    }
    let lines: Vec<String> = draft.rows.iter().map(|row| format!("{row}\n")).collect();
    imported.files.push((data, lines.concat()));
}

/// A name that can be a file's: all but letters, digits, `-`, `_` and `.` becomes `-`.
fn file_name(name: &str) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(safe).collect();
    name.trim_matches(['.', '-']).to_owned()
}

/// Text from data is no template: what would be read as one is quoted.
fn literal(value: Value) -> Value {
    match value {
        Value::String(text) if ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) => {
            // The end of the quotation in the text would end it.
            let text = text.replace("{% endraw %}", "{% endraw %}{{ '{% endraw %}' }}{% raw %}");
            Value::String(format!("{{% raw %}}{text}{{% endraw %}}"))
        }
        Value::Array(items) => Value::Array(items.into_iter().map(literal).collect()),
        Value::Object(fields) => Value::Object(
            fields
                .into_iter()
                .map(|(name, value)| (name, literal(value)))
                .collect(),
        ),
        other => other,
    }
}

/// The lines of a JSONL file as objects; what is none is refused.
fn lines(file: &Foreign, imported: &mut Imported) -> Vec<Map<String, Value>> {
    let mut rows = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(line) {
            Ok(Value::Object(row)) => rows.push(row),
            Ok(_) => imported.refuse(&file.path, format!("line {} is no object", index + 1)),
            Err(error) => imported.refuse(&file.path, format!("line {}: {error}", index + 1)),
        }
    }
    rows
}
