//! What a plan needs of a version, whoever found it.

use crate::domain::PromptKey;
use crate::evals::planner::ResolvedVersion;
use crate::prompts::Bundle;

/// Request parameters that bound an answer.
const LIMITS: [&str; 3] = ["max_tokens", "maxOutputTokens", "max_completion_tokens"];

impl ResolvedVersion {
    /// Describes the version `bundle` of the prompt `key`, which people call `version`.
    ///
    /// # Errors
    ///
    /// In words, when the version cannot be written down.
    pub fn of(key: &PromptKey, bundle: &Bundle, version: String) -> Result<Self, String> {
        let stored = bundle
            .to_json(std::slice::from_ref(key))
            .map_err(|error| error.to_string())?;
        let bound: Vec<&str> = bundle
            .bindings()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        let variables = bundle.variables().into_iter();
        let partials: String = bundle.partials().map(|(_, text)| text).collect();
        Ok(Self {
            key: key.clone(),
            hash: bundle.hash(),
            bundle: serde_json::from_slice(&stored).map_err(|error| error.to_string())?,
            version,
            model: bundle.model().map(str::to_owned),
            variables: variables
                .map(|(name, is_required)| (name.to_owned(), is_required && !bound.contains(&name)))
                .collect(),
            is_strict: bundle.is_strict(),
            text: [bundle.template(), &partials].concat(),
            max_output: LIMITS
                .iter()
                .find_map(|key| bundle.config().get(*key)?.as_u64()),
        })
    }
}
