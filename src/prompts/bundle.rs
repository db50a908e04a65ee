//! A version of a prompt: everything its text and its call depend on, immutable and hashed.

use crate::domain::{BundleHash, PromptKey};
use crate::prompts::compile::compile;
use crate::prompts::contract::{OutputFormat, Tool};
use crate::prompts::error::Error;
use crate::prompts::evaluate::{Failure, Partial, Partials, RenderLimits, run};
use crate::prompts::identity;
use crate::prompts::input::InputContract;
use crate::prompts::messages::{MessagesMode, Part, RawMessage, RawPart, assemble, place_history};
use crate::prompts::metadata::{Extensions, Metadata};
use crate::prompts::problem::Problem;
use crate::prompts::scope::Inputs;
use crate::prompts::syntax::{Program, Role};
use crate::prompts::usage;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

/// The language of templates and its major version; a change of meaning changes every hash.
const ENGINE: &str = "dotprompt/1";
/// The format of stored bundles.
const FORMAT: &str = "promptbundle/1";

static NO_VALUES: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// A version of a prompt, ready to be rendered.
#[derive(Debug)]
pub struct Bundle {
    hash: BundleHash,
    /// What the hash is over, as JSON text. Invariant: `identity::hash_of(document) == hash`.
    document: String,
    template: String,
    metadata: Metadata,
    /// `@metadata`.
    data: Value,
    program: Program,
    partials: Partials,
    contract: InputContract,
}

/// What a prompt is filled with.
#[derive(Debug, Clone, Copy)]
pub struct RenderInput<'a> {
    /// The variables of the call.
    pub variables: &'a Map<String, Value>,
    /// Defaults of the call's options: weaker than `variables`, stronger than the file's.
    pub defaults: Option<&'a Map<String, Value>>,
    /// Values for `@name`.
    pub context: Option<&'a Map<String, Value>>,
    /// How many messages the client sent.
    pub history_len: usize,
}

impl<'a> RenderInput<'a> {
    /// Returns an input of `variables` and nothing else.
    #[must_use]
    pub const fn new(variables: &'a Map<String, Value>) -> Self {
        Self {
            variables,
            defaults: None,
            context: None,
            history_len: 0,
        }
    }
}

/// A prompt, filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The conversation.
    pub messages: Vec<RenderedMessage>,
    /// What the caller should know: unknown variables, objects printed raw. Without values.
    pub warnings: Vec<String>,
}

/// One message of a filled prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RenderedMessage {
    /// A message of the prompt.
    Prompt {
        /// Who it is from.
        role: Role,
        /// Invariant: not empty.
        content: Vec<Part>,
    },
    /// The client's message at this place of the request, untouched.
    Client(usize),
}

/// What a bundle is made from.
pub(super) struct Parts {
    pub(super) template: String,
    /// The line the template starts at in its file.
    pub(super) template_line: usize,
    pub(super) metadata: Metadata,
    /// All partials that are included, directly or not.
    pub(super) partials: Partials,
}

#[derive(Deserialize)]
struct Stored<'a> {
    format: String,
    hash: BundleHash,
    names: Vec<PromptKey>,
    #[serde(borrow)]
    document: &'a RawValue,
    partials: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct ToStore<'a> {
    format: &'a str,
    hash: BundleHash,
    names: &'a [PromptKey],
    document: &'a RawValue,
    partials: BTreeMap<&'a str, &'a str>,
}

/// What a stored bundle's document says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    engine: String,
    template: String,
    model: Option<String>,
    config: Map<String, Value>,
    input: DocumentInput,
    output: Option<DocumentOutput>,
    tool_defs: Vec<Value>,
    partials: BTreeMap<String, String>,
    extensions: Map<String, Value>,
}

#[derive(Deserialize)]
struct DocumentInput {
    schema: Option<Value>,
    default: Map<String, Value>,
}

#[derive(Deserialize)]
struct DocumentOutput {
    format: Option<String>,
    schema: Option<Value>,
}

impl Bundle {
    /// Compiles and checks; all problems together.
    pub(super) fn build(parts: Parts) -> Result<Self, Vec<Problem>> {
        let document = document(&parts).to_string();
        Self::with_document(parts, document)
    }

    fn with_document(parts: Parts, document: String) -> Result<Self, Vec<Problem>> {
        let Parts {
            template,
            template_line,
            metadata,
            partials,
        } = parts;
        let fail = |message: String| vec![Problem::new(message).at(template_line)];
        let hash = identity::hash_of(&document).map_err(|error| fail(error.to_string()))?;
        let program = compile(&template, template_line)?;
        let usage = usage::find(&program, &partials);
        if usage.is_too_large {
            return Err(fail("partials include partials too often".to_owned()));
        }
        let schema = metadata.input_schema.as_ref();
        let contract = InputContract::compile(schema, usage, metadata.extensions.is_strict)
            .map_err(|message| vec![Problem::new(message).at(1)])?;
        let undeclared: Vec<_> = contract
            .undeclared_uses()
            .into_iter()
            .filter(|(name, _)| !metadata.defaults.contains_key(*name))
            .map(|(name, line)| {
                Problem::new(format!("variable `{name}` is used but not declared"))
                    .at(line)
                    .hint(format!(
                        "add `{name}` to `input.schema`, or correct its name"
                    ))
            })
            .collect();
        if !undeclared.is_empty() {
            return Err(undeclared);
        }
        Ok(Self {
            hash,
            data: json!({"prompt": prompt_data(&metadata)}),
            document,
            template,
            metadata,
            program,
            partials,
            contract,
        })
    }

    /// Returns the identity of the version.
    #[must_use]
    pub const fn hash(&self) -> BundleHash {
        self.hash
    }

    /// Returns the template's text, without front matter.
    #[must_use]
    pub fn template(&self) -> &str {
        &self.template
    }

    /// Returns the texts of the partials that are included, by name.
    pub fn partials(&self) -> impl Iterator<Item = (&str, &str)> {
        self.partials
            .iter()
            .map(|(name, partial)| (name.as_str(), partial.text.as_str()))
    }

    /// Returns the model that the prompt names.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.metadata.model.as_deref()
    }

    /// Returns the parameters of the model call, as the file has them.
    #[must_use]
    pub const fn config(&self) -> &Map<String, Value> {
        &self.metadata.config
    }

    /// Returns what the prompt is for. Not part of the identity; absent on a stored version.
    #[must_use]
    pub fn description(&self) -> Option<&str> {
        self.metadata.description.as_deref()
    }

    /// Returns who owns the prompt. Not part of the identity; absent on a stored version.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        self.metadata.owner.as_deref()
    }

    /// Returns the JSON Schema of the variables.
    #[must_use]
    pub const fn input_schema(&self) -> Option<&Value> {
        self.metadata.input_schema.as_ref()
    }

    /// Returns the defaults of the variables.
    #[must_use]
    pub const fn defaults(&self) -> &Map<String, Value> {
        &self.metadata.defaults
    }

    /// Returns the variables with whether a call must give them.
    #[must_use]
    pub fn variables(&self) -> Vec<(&str, bool)> {
        self.contract
            .names()
            .into_iter()
            .map(|name| {
                let has_default = self.metadata.defaults.contains_key(name);
                (name, self.contract.requires(name) && !has_default)
            })
            .collect()
    }

    /// Returns what the answer must look like.
    #[must_use]
    pub const fn output(&self) -> Option<&OutputFormat> {
        self.metadata.output.as_ref()
    }

    /// Returns the tools the model may call.
    #[must_use]
    pub fn tools(&self) -> &[Tool] {
        &self.metadata.tool_definitions
    }

    /// Returns the parameters that a request must not change.
    #[must_use]
    pub fn locked(&self) -> &[String] {
        &self.metadata.extensions.locked
    }

    /// Returns the variables that are filled from the request: name and source, which is
    /// `last_user_message`.
    #[must_use]
    pub fn bindings(&self) -> &[(String, String)] {
        &self.metadata.extensions.bindings
    }

    /// Returns where the client's messages go.
    #[must_use]
    pub const fn messages_mode(&self) -> MessagesMode {
        self.metadata.extensions.messages
    }

    /// Whether an answer that violates the output schema must be refused.
    #[must_use]
    pub const fn enforces_output(&self) -> bool {
        self.metadata.extensions.enforces_output
    }

    /// Fills the prompt.
    ///
    /// # Errors
    ///
    /// [`Error::MissingVariables`], [`Error::InvalidVariables`], [`Error::UnknownVariable`] and
    /// [`Error::MessagesNotAllowed`] for the caller; [`Error::RenderFailed`] and
    /// [`Error::RenderLimit`] for the author.
    pub fn render(&self, input: &RenderInput<'_>) -> Result<Rendered, Error> {
        self.render_within(input, &RenderLimits::default())
    }

    /// Fills the prompt, doing at most what `limits` allow.
    ///
    /// # Errors
    ///
    /// As [`Bundle::render`].
    pub fn render_within(
        &self,
        input: &RenderInput<'_>,
        limits: &RenderLimits,
    ) -> Result<Rendered, Error> {
        let mode = self.messages_mode();
        if mode == MessagesMode::Forbid && 0 < input.history_len {
            let count = input.history_len;
            return Err(Error::MessagesNotAllowed { count });
        }
        let inputs = Inputs {
            layers: [
                input.variables,
                input.defaults.unwrap_or(&NO_VALUES),
                &self.metadata.defaults,
            ],
            context: input.context.unwrap_or(&NO_VALUES),
            metadata: &self.data,
            schema: self.metadata.input_schema.as_ref(),
        };
        let mut warnings = self.contract.check(&inputs.layers)?;
        let output = run(&self.program, &self.partials, &inputs, limits)
            .map_err(|failure| self.error_of(failure))?;
        warnings.extend(output.warnings);
        let mut messages = assemble(output.pieces);
        if 0 < input.history_len {
            place_history(&mut messages, mode);
        }
        Ok(Rendered {
            messages: finish(messages, input.history_len),
            warnings,
        })
    }

    fn error_of(&self, failure: Failure) -> Error {
        let version = self.hash.short();
        match failure {
            Failure::Missing { path, .. } => Error::MissingVariables { names: vec![path] },
            Failure::Limit { what, limit } => Error::RenderLimit {
                version,
                what,
                limit,
            },
            Failure::Impossible { reason, line } => Error::RenderFailed {
                version,
                line,
                reason,
            },
        }
    }

    /// Writes the version with everything it needs to be rendered again, and the `names` it was
    /// served under.
    ///
    /// # Errors
    ///
    /// [`Error::BundleDamaged`] when it cannot be written, which no version that was loaded is.
    pub fn to_json(&self, names: &[PromptKey]) -> Result<Vec<u8>, Error> {
        let damaged = |error: serde_json::Error| damaged(error.to_string());
        let document: &RawValue = serde_json::from_str(&self.document).map_err(damaged)?;
        let stored = ToStore {
            format: FORMAT,
            hash: self.hash,
            names,
            document,
            partials: self.partials().collect(),
        };
        serde_json::to_vec(&stored).map_err(damaged)
    }

    /// Rebuilds a version, and returns it with its names.
    ///
    /// # Errors
    ///
    /// [`Error::BundleDamaged`] when it is not what its hash says, or of another engine.
    pub fn from_json(bytes: &[u8]) -> Result<(Self, Vec<PromptKey>), Error> {
        let stored: Stored<'_> =
            serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
        let text = stored.document.get();
        let hash = identity::hash_of(text).map_err(|error| damaged(error.to_string()))?;
        if stored.format != FORMAT || hash != stored.hash {
            return Err(damaged(format!(
                "its content has the hash {}",
                hash.short()
            )));
        }
        let document: Document =
            serde_json::from_str(text).map_err(|error| damaged(error.to_string()))?;
        if document.engine != ENGINE {
            return Err(damaged(format!(
                "it is made for the engine `{}`",
                document.engine
            )));
        }
        let parts = Parts::from_document(document, stored.partials)?;
        let bundle = Self::with_document(parts, text.to_owned()).map_err(|problems| {
            damaged(
                problems
                    .first()
                    .map(|problem| problem.message.clone())
                    .unwrap_or_default(),
            )
        })?;
        Ok((bundle, stored.names))
    }
}

impl Parts {
    fn from_document(document: Document, texts: BTreeMap<String, String>) -> Result<Self, Error> {
        let mut partials = Partials::new();
        for (name, text) in texts {
            if document.partials.get(&name) != Some(&identity::sha256_hex(&text)) {
                return Err(damaged(format!(
                    "partial `{name}` is not the one that was hashed"
                )));
            }
            let program = compile(&text, 1)
                .map_err(|_| damaged(format!("partial `{name}` does not compile")))?;
            partials.insert(name, Arc::new(Partial { text, program }));
        }
        if partials.len() != document.partials.len() {
            return Err(damaged("a partial is missing".to_owned()));
        }
        let mut tool_definitions = Vec::with_capacity(document.tool_defs.len());
        for tool in &document.tool_defs {
            tool_definitions.push(Tool::parse(tool, None, &mut |_| Ok(None)).map_err(damaged)?);
        }
        let metadata = Metadata {
            model: document.model,
            config: document.config,
            defaults: document.input.default,
            input_schema: document.input.schema,
            output: document.output.map(|output| OutputFormat {
                format: output.format,
                schema: output.schema,
            }),
            tool_definitions,
            extensions: Extensions::from_written(&document.extensions).map_err(damaged)?,
            ..Metadata::default()
        };
        Ok(Self {
            template: document.template,
            template_line: 1,
            metadata,
            partials,
        })
    }
}

const fn damaged(reason: String) -> Error {
    Error::BundleDamaged { reason }
}

/// Returns everything that the identity covers.
fn document(parts: &Parts) -> Value {
    let metadata = &parts.metadata;
    let partials: Map<String, Value> = parts
        .partials
        .iter()
        .map(|(name, partial)| (name.clone(), json!(identity::sha256_hex(&partial.text))))
        .collect();
    let tools: Vec<_> = metadata
        .tool_definitions
        .iter()
        .map(Tool::to_value)
        .collect();
    json!({
        "engine": ENGINE,
        "template": parts.template,
        "model": metadata.model,
        "config": metadata.config,
        "input": {"schema": metadata.input_schema, "default": metadata.defaults},
        "output": metadata.output.as_ref().map(|output| {
            json!({"format": output.format, "schema": output.schema})
        }),
        "toolDefs": tools,
        "partials": partials,
        "extensions": metadata.extensions.written,
    })
}

/// Returns `@metadata.prompt`: only what the identity covers, so that equal hashes mean equal texts.
fn prompt_data(metadata: &Metadata) -> Value {
    let tools: Vec<_> = metadata
        .tool_definitions
        .iter()
        .map(Tool::to_value)
        .collect();
    json!({
        "model": metadata.model,
        "config": metadata.config,
        "output": metadata.output.as_ref().map(|output| {
            json!({"format": output.format, "schema": output.schema})
        }),
        "toolDefs": tools,
    })
}

/// Puts the client's messages in their place and drops what carries nothing to a model.
fn finish(raw: Vec<RawMessage>, history_len: usize) -> Vec<RenderedMessage> {
    let mut messages = Vec::with_capacity(raw.len() + history_len);
    for message in raw {
        match message {
            RawMessage::Client => messages.extend((0..history_len).map(RenderedMessage::Client)),
            RawMessage::Prompt { role, content } => {
                let content: Vec<Part> = content
                    .into_iter()
                    .filter_map(|part| match part {
                        RawPart::Part(part) => Some(part),
                        RawPart::Section(_) => None,
                    })
                    .collect();
                if !content.is_empty() {
                    messages.push(RenderedMessage::Prompt { role, content });
                }
            }
        }
    }
    messages
}
