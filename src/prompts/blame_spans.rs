//! `prompts blame --rendered`: who wrote each part of what reaches the model.

use crate::domain::PromptKey;
use crate::prompts::bundle::RenderedMessage;
use crate::prompts::diff::{Revision, Side, made_up_for};
use crate::prompts::error::Error;
use crate::prompts::numbers_blame::BlamedLine;
use crate::prompts::numbers_log::CommitLine;
use crate::prompts::registry::Prompts;
use crate::prompts::samples::Sample;
use crate::prompts::trace::Span;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// What a prompt is rendered with.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleChoice {
    /// The first sample of the prompt; made up from the schema when it has none.
    First,
    /// The sample of this name.
    Named(String),
    /// These variables.
    Variables(Map<String, Value>),
}

/// A name that no sample of a prompt has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("prompt `{prompt}` has no sample `{name}`")]
pub struct UnknownSample {
    prompt: PromptKey,
    name: String,
    /// Those it has.
    pub known: Vec<String>,
}

impl Side {
    /// Returns the sample that is meant.
    ///
    /// # Errors
    ///
    /// [`UnknownSample`] when the prompt has no sample of the name.
    pub fn sample(&self, choice: &SampleChoice) -> Result<Sample, UnknownSample> {
        match choice {
            SampleChoice::First => {
                let first = self.samples.first().cloned();
                Ok(first.unwrap_or_else(|| made_up_for(&self.bundle)))
            }
            SampleChoice::Named(name) => {
                let found = self.samples.iter().find(|sample| sample.name == *name);
                found.cloned().ok_or_else(|| UnknownSample {
                    prompt: self.key.clone(),
                    name: name.clone(),
                    known: self
                        .samples
                        .iter()
                        .map(|sample| sample.name.clone())
                        .collect(),
                })
            }
            SampleChoice::Variables(variables) => Ok(Sample {
                name: "given".to_owned(),
                variables: variables.clone(),
                messages: Vec::new(),
                context: Map::new(),
            }),
        }
    }
}

/// Who wrote each part of a rendered prompt. Serialised as its fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpanBlame {
    /// The prompt.
    pub name: PromptKey,
    /// The commit whose files were rendered.
    pub commit: String,
    /// The sample.
    pub sample: String,
    /// The messages; the client's own are left out.
    pub messages: Vec<BlamedMessage>,
}

/// A message of a rendered prompt. Serialised as its fields.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlamedMessage {
    /// Who says it.
    pub role: String,
    /// Put together, their texts are the message.
    pub spans: Vec<BlamedSpan>,
}

/// A part of a message, and the commit that last changed the line that made it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlamedSpan {
    /// The file, below the directory of the prompts.
    pub file: String,
    /// The part.
    #[serde(flatten)]
    pub span: Span,
    /// The commit; absent only for a line that the file does not have.
    #[serde(flatten)]
    pub commit: Option<CommitLine>,
}

impl Prompts {
    /// Returns the newest committed version of `key`, with its samples. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Prompts::blame`].
    pub fn committed(&self, key: &PromptKey) -> Result<Side, Error> {
        let known = self.numbered()?;
        let tip = known.tip.ok_or(Error::NoHistory)?;
        let tree = self.tree(&Revision::Reference(tip.to_string()))?;
        tree.side(key)
            .ok_or_else(|| crate::prompts::numbers_log::unknown(&known, key))
    }

    /// Returns who wrote each part of `side`, rendered with `sample`. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Prompts::blame`], and those of rendering.
    pub fn blame_spans(&self, side: &Side, sample: &Sample) -> Result<SpanBlame, Error> {
        let blame = self.blame(&side.key)?;
        let traced = side.bundle.trace(&sample.input())?;
        let lines: HashMap<&str, &[BlamedLine]> = blame
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.lines.as_slice()))
            .collect();
        let blamed = |span: &Span| {
            let file = span.place.file(&side.path);
            let lines = lines.get(file.as_str()).copied().unwrap_or_default();
            let line = span.place.line.checked_sub(1).and_then(|at| lines.get(at));
            BlamedSpan {
                commit: line.map(|line| line.commit.clone()),
                span: span.clone(),
                file,
            }
        };
        let all = traced.rendered.messages.iter().zip(&traced.spans);
        let messages = all.filter_map(|(message, parts)| match message {
            RenderedMessage::Client(_) => None,
            RenderedMessage::Prompt { role, .. } => Some(BlamedMessage {
                role: role.as_str().to_owned(),
                spans: parts.iter().flatten().map(blamed).collect(),
            }),
        });
        Ok(SpanBlame {
            name: side.key.clone(),
            sample: sample.name.clone(),
            messages: messages.collect(),
            commit: blame.commit,
        })
    }
}
