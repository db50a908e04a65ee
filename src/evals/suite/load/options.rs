//! `options` of a case: how it is run.

use crate::evals::suite::CaseOptions;
use crate::evals::suite::load::assertions::ANY;
use crate::evals::suite::load::fields::Fields;
use crate::evals::suite::load::models::NamedModel;
use crate::evals::suite::load::node::{Content, Field, Node, to_map};
use crate::evals::suite::load::parameters;
use crate::evals::suite::load::problem::Problem;
use crate::evals::suite::load::reading::Loader;
use serde_json::Value;

/// Options of promptfoo; all others must be request parameters.
const KEYS: [&str; 14] = [
    "prefix",
    "suffix",
    "transform",
    "postprocess",
    "transformVars",
    "storeOutputAs",
    "rubricPrompt",
    "provider",
    "factuality",
    "disableVarExpansion",
    "disableConversationVar",
    "disableDefaultAsserts",
    "runSerially",
    "repeat",
];

/// What is read of options beside [`CaseOptions`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Switches {
    pub(super) is_without_expansion: bool,
    pub(super) is_without_default_asserts: bool,
}

impl Loader<'_> {
    /// Reads options that were merged from several places. `at` is the case.
    pub(super) fn options(
        &self,
        merged: &[Field],
        at: &Node,
        models: &[NamedModel],
    ) -> CaseOptions {
        let node = at.with(Content::Map(merged.to_vec()));
        let known: Vec<&str> = KEYS.iter().chain(&parameters::KNOWN).copied().collect();
        let Some(fields) = self.fields(&node, "the options of a case", &known) else {
            return CaseOptions::default();
        };
        let script = |key: &str| fields.get(key).and_then(|node| self.script(node));
        let is_on = |key: &str| self.bool_at(&fields, key).unwrap_or(false);
        let others: Vec<Field> = merged
            .iter()
            .filter(|field| parameters::KNOWN.contains(&field.name.as_str()))
            .cloned()
            .collect();
        let repeat = self.count_at(&fields, "repeat", (1, 1000));
        CaseOptions {
            prefix: self.text_at(&fields, "prefix"),
            suffix: self.text_at(&fields, "suffix"),
            transform: script("transform").or_else(|| script("postprocess")),
            transform_vars: script("transformVars"),
            store_output_as: self.text_at(&fields, "storeOutputAs"),
            rubric_prompt: fields
                .get("rubricPrompt")
                .and_then(|node| self.rubric_prompt(node)),
            grader: fields
                .get("provider")
                .and_then(|node| self.grader(node, models)),
            factuality: self.factuality(&fields),
            is_serial: is_on("runSerially"),
            is_without_conversation: is_on("disableConversationVar"),
            repeat: repeat.and_then(|repeat| u32::try_from(repeat).ok()),
            other: self.parameters(&others, "the options of a case"),
        }
    }

    /// Reads the switches that are needed before defaults are merged.
    pub(super) fn switches(&self, options: &[Field]) -> Switches {
        let is_on = |key: &str| {
            let field = options.iter().find(|field| field.name == key);
            field.is_some_and(|field| field.value.content == Content::Scalar(Value::Bool(true)))
        };
        for field in options {
            let is_switch =
                ["disableVarExpansion", "disableDefaultAsserts"].contains(&field.name.as_str());
            if is_switch && !matches!(field.value.content, Content::Scalar(Value::Bool(_))) {
                let message = format!("`{}` is a boolean", field.name);
                let problem = Problem::new(field.value.place(), message);
                self.problem(problem.hint("write `true` or `false`"));
            }
        }
        Switches {
            is_without_expansion: is_on("disableVarExpansion"),
            is_without_default_asserts: is_on("disableDefaultAsserts"),
        }
    }

    /// Scores of the categories of `factuality`.
    fn factuality(&self, fields: &Fields<'_>) -> Option<Value> {
        let node = fields.get("factuality")?;
        let known = [
            "subset",
            "superset",
            "agree",
            "disagree",
            "differButFactual",
        ];
        let scores = self.fields(node, "`factuality`", &known)?;
        for key in known {
            self.number_at(&scores, key, ANY);
        }
        match &node.content {
            Content::Map(fields) => Some(Value::Object(to_map(fields))),
            _ => None,
        }
    }
}
