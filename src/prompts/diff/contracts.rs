//! Whether the two sides of a release understand each other: callers and inputs, consumers and outputs,
//! the model and the tools.

use crate::prompts::bundle::Bundle;
use crate::prompts::contract::Tool;
use crate::prompts::diff::schema::{Subset, is_subset, without_remarks};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What two versions must agree about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "subject", rename_all = "snake_case")]
pub enum Subject {
    /// What callers send: values of the old input must be values of the new one.
    Input,
    /// What consumers read: values of the new output must be values of the old one.
    Output,
    /// What the model calls a tool with: the new arguments must be valid by the old schema.
    ToolArguments {
        /// The tool.
        tool: String,
    },
    /// What a tool returns: the old results must be valid by the new schema.
    ToolResult {
        /// The tool.
        tool: String,
    },
}

/// Whether two versions agree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contract {
    /// About what.
    #[serde(flatten)]
    pub subject: Subject,
    /// Whether what was written for the base goes on working with the head.
    pub release: Subset,
    /// Whether what was written for the head goes on working when the base comes back.
    pub rollback: Subset,
}

/// What callers must send. `is_reader` gives what a version takes, else what callers of it send: a
/// version that is not strict takes variables that it does not know.
fn input(bundle: &Bundle, is_reader: bool) -> Value {
    let variables = bundle.variables();
    let is_bound = |name: &str| bundle.bindings().iter().any(|(own, _)| own == name);
    let required = variables
        .iter()
        .filter(|(name, is_required)| *is_required && !is_bound(name))
        .map(|(name, _)| *name);
    let required: Vec<&str> = required.collect();
    let schema = bundle.input_schema().and_then(Value::as_object);
    let mut fields = schema
        .cloned()
        .unwrap_or_else(|| Map::from_iter([("type".to_owned(), json!("object"))]));
    if schema.is_none() && !is_reader {
        let names = variables
            .iter()
            .map(|(name, _)| ((*name).to_owned(), json!({})));
        fields.insert("properties".to_owned(), Value::Object(names.collect()));
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    fields.insert("required".to_owned(), json!(required));
    let is_closed = fields.get("additionalProperties") == Some(&Value::Bool(false));
    if is_reader && is_closed && !bundle.is_strict() {
        fields.shift_remove("additionalProperties");
    }
    Value::Object(fields)
}

fn output(bundle: &Bundle) -> Value {
    let schema = bundle.output().and_then(|output| output.schema.clone());
    schema.unwrap_or(Value::Bool(true))
}

/// Returns what both sides must agree about, where it is not the same.
pub(super) fn compare(base: &Bundle, head: &Bundle) -> Vec<Contract> {
    let mut found = Vec::new();
    let inputs = [base, head].map(|bundle| without_remarks(&input(bundle, true)));
    if inputs[0] != inputs[1] {
        found.push(Contract {
            subject: Subject::Input,
            release: is_subset(&input(base, false), &input(head, true)),
            rollback: is_subset(&input(head, false), &input(base, true)),
        });
    }
    let (old, new) = (output(base), output(head));
    if without_remarks(&old) != without_remarks(&new) {
        found.push(Contract {
            subject: Subject::Output,
            release: is_subset(&new, &old),
            rollback: is_subset(&old, &new),
        });
    }
    let tool = |bundle: &Bundle, name: &str| {
        let tools: Vec<Tool> = bundle.tools().to_vec();
        tools.into_iter().find(|tool| tool.name == name)
    };
    let names: BTreeSet<String> = base.tools().iter().map(|tool| tool.name.clone()).collect();
    for name in names {
        if let (Some(old), Some(new)) = (tool(base, &name), tool(head, &name)) {
            found.extend(of_tool(&name, &old, &new));
        }
    }
    found
}

fn of_tool(name: &str, old: &Tool, new: &Tool) -> Vec<Contract> {
    let mut found = Vec::new();
    if without_remarks(&old.input_schema) != without_remarks(&new.input_schema) {
        found.push(Contract {
            subject: Subject::ToolArguments {
                tool: name.to_owned(),
            },
            release: is_subset(&new.input_schema, &old.input_schema),
            rollback: is_subset(&old.input_schema, &new.input_schema),
        });
    }
    let result = |tool: &Tool| tool.output_schema.clone().unwrap_or(Value::Bool(true));
    let (old, new) = (result(old), result(new));
    if without_remarks(&old) != without_remarks(&new) {
        found.push(Contract {
            subject: Subject::ToolResult {
                tool: name.to_owned(),
            },
            release: is_subset(&old, &new),
            rollback: is_subset(&new, &old),
        });
    }
    found
}
