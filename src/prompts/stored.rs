//! The stored form of a version: self-contained JSON whose hash can be proven.

use crate::domain::{BundleHash, PromptKey, sha256_hex};
use crate::prompts::bundle::{Bundle, Parts};
use crate::prompts::compile::compile;
use crate::prompts::contract::{OutputFormat, Tool};
use crate::prompts::error::Error;
use crate::prompts::evaluate::{Partial, Partials};
use crate::prompts::identity;
use crate::prompts::metadata::{Extensions, Metadata};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The language of templates and its major version; a change of meaning changes every hash.
pub(super) const ENGINE: &str = "dotprompt/1";
/// The format of stored bundles.
const FORMAT: &str = "promptbundle/1";

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
    /// Writes the version with everything it needs to be rendered again, and the `names` it was
    /// served under.
    ///
    /// # Errors
    ///
    /// [`Error::BundleDamaged`] when it cannot be written, which no version that was loaded is.
    pub fn to_json(&self, names: &[PromptKey]) -> Result<Vec<u8>, Error> {
        let damaged = |error: serde_json::Error| damaged(error.to_string());
        let document: &RawValue = serde_json::from_str(self.document()).map_err(damaged)?;
        let stored = ToStore {
            format: FORMAT,
            hash: self.hash(),
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
            if document.partials.get(&name) != Some(&sha256_hex(text.as_bytes())) {
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
            program: compile(&document.template, 1)
                .map_err(|_| damaged("its template does not compile".to_owned()))?,
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
pub(super) fn document(parts: &Parts) -> Value {
    let metadata = &parts.metadata;
    let partials: Map<String, Value> = parts
        .partials
        .iter()
        .map(|(name, partial)| (name.clone(), json!(sha256_hex(partial.text.as_bytes()))))
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
pub(super) fn prompt_data(metadata: &Metadata) -> Value {
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
