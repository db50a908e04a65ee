//! Sample inputs beside a prompt, `NAME.samples.yaml`: shown, previewed, and rendered at every load.

use crate::domain::PromptKey;
use crate::prompts::bundle::{Bundle, RenderInput};
use crate::prompts::error::Error;
use crate::prompts::files::{Shelves, Text};
use crate::prompts::front_matter::parse_yaml;
use crate::prompts::lint::Rule;
use crate::prompts::load::{Loaded, Prompt};
use crate::prompts::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One input that a prompt's author thought of.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// What the sample stands for.
    pub name: String,
    /// The variables.
    #[serde(default)]
    pub variables: Map<String, Value>,
    /// Messages of the client, in OpenAI's shape.
    #[serde(default)]
    pub messages: Vec<Value>,
    /// Values for `@name`.
    #[serde(default)]
    pub context: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleFile {
    samples: Vec<Sample>,
}

/// Gives every prompt its samples and renders them. A variant without a file of its own has its
/// base's.
pub(super) fn attach(shelves: &Shelves, loaded: &mut Loaded) {
    let Loaded {
        prompts,
        problems,
        failed,
        releases: _,
    } = loaded;
    for (key, text) in &shelves.samples {
        if !prompts.contains_key(key) && !failed.contains(key) {
            let problem = Problem::new(format!("there is no prompt `{key}` for these samples"));
            problems.push(problem.rule(Rule::SampleFails).in_file(&text.path));
        }
    }
    for (key, prompt) in prompts.iter_mut() {
        let own = shelves.samples.get(key);
        let Some(text) = own.or_else(|| shelves.samples.get(&base_of(key)?)) else {
            continue;
        };
        if let Err(found) = attach_one(key, prompt, text) {
            problems.extend(found.into_iter().map(|problem| problem.in_file(&text.path)));
        }
    }
}

fn base_of(key: &PromptKey) -> Option<PromptKey> {
    let text = key.as_str();
    let start = text.rfind('/').map_or(0, |slash| slash + 1);
    let dot = start + text.get(start..)?.rfind('.')?;
    PromptKey::parse(text.get(..dot)?).ok()
}

fn attach_one(key: &PromptKey, prompt: &mut Prompt, text: &Text) -> Result<(), Vec<Problem>> {
    let file: SampleFile = parse_yaml(&text.text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    for sample in &file.samples {
        if let Err(error) = prompt.bundle.render(&sample.input()) {
            let message = format!("sample `{}` of `{key}`: {error}", sample.name);
            let rule = match &error {
                Error::RenderLimit { .. } => Rule::SampleTooLarge,
                _ => Rule::SampleFails,
            };
            let problem = match line_of(&text.text, &sample.name) {
                Some(line) => Problem::new(message).at(line),
                None => Problem::new(message),
            }
            .rule(rule);
            problems.push(match error.hint() {
                Some(hint) => problem.hint(hint),
                None => problem,
            });
        }
    }
    prompt.samples = file.samples.into();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems)
    }
}

fn line_of(text: &str, name: &str) -> Option<usize> {
    let is_it = |line: &str| line.contains("name:") && line.contains(name);
    text.lines().position(is_it).map(|index| index + 1)
}

impl Sample {
    /// Returns a sample without values.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            name: String::new(),
            variables: Map::new(),
            messages: Vec::new(),
            context: Map::new(),
        }
    }

    /// Returns the sample without variables that `bundle` does not have: another version may.
    #[must_use]
    pub fn declared_by(&self, bundle: &Bundle) -> Self {
        let declared = bundle.variables();
        let mut sample = self.clone();
        sample
            .variables
            .retain(|name, _| declared.iter().any(|(own, _)| own == name));
        sample
    }

    /// Returns what to render the prompt with.
    #[must_use]
    pub fn input(&self) -> RenderInput<'_> {
        RenderInput {
            context: Some(&self.context),
            history_len: self.messages.len(),
            ..RenderInput::new(&self.variables)
        }
    }
}
