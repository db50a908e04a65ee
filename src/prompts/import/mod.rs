//! Prompts of other tools, written as `.prompt` files.
//!
//! A file is carried over exactly, or it is refused with the line that cannot be: nothing is guessed.
//! What another tool keeps beside the text (labels, evaluators, weights) is named in a report, so that
//! nobody finds out later. What is written is loaded and checked first, by the loader that serves it.
//!
//! **Invariant**: pure. Files come in and files go out; nothing is read or written here.

mod file;
mod formats;
mod jinja;
mod jinja_tokens;
mod mustache;
mod plain;
mod safety;
mod template;
#[cfg(test)]
mod tests;
mod yaml;

use crate::git::File;
use crate::prompts::import::file::Imported;
use crate::prompts::load::load;
use crate::prompts::problem::Problem;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// Whose files they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `OpenAI`'s hosted prompts, as JSON.
    OpenAi,
    /// Langfuse's prompts, as its API gives them.
    Langfuse,
    /// `LiteLLM`'s `.prompt` files and prompt configs.
    LiteLlm,
    /// Prompty, versions 1 and 2.
    Prompty,
    /// GitHub Models' `.prompt.yml`.
    GitHubModels,
    /// `TensorZero`'s configuration with its templates.
    TensorZero,
    /// promptfoo's configs and prompt files.
    Promptfoo,
}

/// A file to import.
#[derive(Debug, Clone)]
pub struct Foreign {
    /// Its path below the directory that is imported.
    pub path: String,
    /// Its text.
    pub text: String,
    /// What a TOML file says, which is parsed elsewhere.
    pub toml: Option<Value>,
}

/// Why a file cannot be carried over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Refusal {
    /// The file.
    pub path: String,
    /// The line, from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// What cannot be carried over.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What became of one prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct PromptReport {
    /// The file it came from.
    pub from: String,
    /// Its name here.
    pub name: String,
    /// The files it is written to, below the prompts' directory.
    pub files: Vec<String>,
    /// What was carried over as it is.
    pub carried: Vec<String>,
    /// What works differently now.
    pub changed: Vec<String>,
    /// What could not be carried over.
    pub dropped: Vec<String>,
    /// What the other tool calls it, for `aliases:` in `releases.yaml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// The outcome of an import. Nothing of it may be written when there are refusals.
#[derive(Debug, Default)]
pub struct Import {
    /// The files to write, below the prompts' directory.
    pub files: BTreeMap<String, String>,
    /// What became of each prompt.
    pub prompts: Vec<PromptReport>,
    /// What cannot be carried over.
    pub refusals: Vec<Refusal>,
}

impl Refusal {
    fn new(path: &str, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line: None,
            message: message.into(),
            hint: None,
        }
    }

    const fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Imports `foreign` files of one tool.
#[must_use]
pub fn import(format: Format, foreign: &[Foreign]) -> Import {
    let mut import = Import::default();
    for file in foreign {
        import.refusals.extend(safety::check(file));
    }
    let (prompts, refusals) = formats::read(format, foreign);
    import.refusals.extend(refusals);
    for prompt in prompts {
        import.add(prompt);
    }
    if import.refusals.is_empty() {
        import.check();
    }
    import.refusals.sort();
    import.refusals.dedup();
    import
}

impl Import {
    fn add(&mut self, prompt: Imported) {
        let from = prompt.from.clone();
        let (files, report) = match prompt.write() {
            Ok(written) => written,
            Err(message) => {
                self.refusals.push(Refusal::new(&from, message));
                return;
            }
        };
        for (path, text) in files {
            if self.files.contains_key(&path) {
                let message = format!("two prompts would be written to `{path}`");
                self.refusals
                    .push(Refusal::new(&from, message).hint("rename one of them"));
                return;
            }
            self.files.insert(path, text);
        }
        self.prompts.push(report);
    }

    /// Loads what would be written, as a registry would.
    fn check(&mut self) {
        let files: Vec<File> = self
            .files
            .iter()
            .map(|(path, text)| File {
                path: path.clone(),
                bytes: text.as_bytes().to_vec(),
            })
            .collect();
        let problems = load(&files).problems;
        let refusals = problems.into_iter().map(|problem| self.refusal(problem));
        let refusals: Vec<Refusal> = refusals.collect();
        self.refusals.extend(refusals);
    }

    /// Says a problem of the new file with the name of the old one.
    fn refusal(&self, problem: Problem) -> Refusal {
        let mut reports = self.prompts.iter();
        let report = reports.find(|report| report.files.contains(&problem.path));
        let from = report.map_or(problem.path.as_str(), |report| report.from.as_str());
        let message = format!("would give a broken prompt: {}", problem.message);
        Refusal {
            hint: problem.hint,
            ..Refusal::new(from, message)
        }
    }
}
