//! Rules about what a front matter declares: keys, schemas, defaults, names of variables.

use crate::domain::nearest_names;
use crate::prompts::compile::{BLOCKS, HELPERS};
use crate::prompts::input;
use crate::prompts::lint::finding::{Finding, Fix, Sheet};
use crate::prompts::lint::rule::Rule;
use crate::prompts::lint::subject::{Subject, property_name};
use crate::prompts::lint::yaml::{Entry, Kind, Node};
use crate::prompts::metadata::KEYS;
use crate::prompts::picoschema::SCALARS;
use crate::prompts::usage;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;

/// Settings that mean the same in two spellings.
const SPELLINGS: [&[&str]; 9] = [
    &[
        "maxOutputTokens",
        "max_output_tokens",
        "max_completion_tokens",
        "max_tokens",
    ],
    &["topP", "top_p"],
    &["topK", "top_k"],
    &["stopSequences", "stop_sequences", "stop"],
    &["presencePenalty", "presence_penalty"],
    &["frequencyPenalty", "frequency_penalty"],
    &["reasoningEffort", "reasoning_effort"],
    &["parallelToolCalls", "parallel_tool_calls"],
    &["responseFormat", "response_format"],
];

/// Keys that a JSON Schema may have; beside a `type`, any other is a field of picoschema.
const KEYWORDS: [&str; 46] = [
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "default",
    "definitions",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxItems",
    "maxLength",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "required",
    "then",
    "title",
    "type",
    "uniqueItems",
];

/// All rules of this file on one prompt.
pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    unknown_keys(subject, findings);
    two_spellings(subject, findings);
    shadowed_helpers(subject, findings);
    defaults(subject, findings);
    unused_variables(subject, findings);
    trusted_names(subject, findings);
    for key in ["input", "output"] {
        if let Some(schema) = subject.yaml.at(&[key, "schema"]) {
            schema_form(subject.sheet, &schema.value, findings);
        }
    }
    if let Some(tools) = subject.yaml.entry("toolDefs") {
        for tool in tools.value.items() {
            tool_schemas(subject.sheet, tool, findings);
        }
    }
}

/// The schemas of a tool.
pub(super) fn tool_schemas(sheet: Sheet<'_>, tool: &Node, findings: &mut Vec<Finding>) {
    for key in ["inputSchema", "outputSchema"] {
        if let Some(schema) = tool.entry(key) {
            schema_form(sheet, &schema.value, findings);
        }
    }
}

/// P002. What the load takes for a slip of the pen gets its cure here.
fn unknown_keys(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    for entry in subject.yaml.entries() {
        if KEYS.contains(&entry.key.as_str()) || entry.key.contains('.') {
            continue;
        }
        let near = nearest_names(&entry.key, KEYS.into_iter());
        let slip = near
            .first()
            .filter(|near| near.len().abs_diff(entry.key.len()) <= 1);
        let message = format!(
            "`{}` is no key of Dotprompt and has no namespace",
            entry.key
        );
        let finding = subject.finding(Rule::UnknownKey, &entry.key_range, message);
        let Some(near) = slip else {
            let hint = format!("own keys need a namespace: `team.{}`", entry.key);
            findings.push(finding.hint(hint));
            continue;
        };
        if subject.yaml.entry(near).is_some() {
            continue;
        }
        let title = format!("rename `{}` to `{near}`", entry.key);
        let fix = Fix::replace(title, &entry.key_range, near);
        attach(findings, &finding, fix);
    }
}

/// Gives the finding of the load that stands where `like` does its fix.
pub(super) fn attach(findings: &mut [Finding], like: &Finding, fix: Fix) {
    let place = |finding: &Finding| {
        let problem = &finding.problem;
        (
            problem.code,
            problem.path.clone(),
            problem.line,
            problem.column,
        )
    };
    let wanted = place(like);
    if let Some(known) = findings.iter_mut().find(|known| place(known) == wanted) {
        known.fix = Some(fix);
    }
}

/// P007: a field called `type` or `properties` makes the whole JSON Schema.
pub(super) fn schema_form(sheet: Sheet<'_>, schema: &Node, findings: &mut Vec<Finding>) {
    let is_type = |name: &str| SCALARS.contains(&name) || matches!(name, "object" | "array");
    let field = schema
        .entries()
        .iter()
        .find(|entry| match &entry.value.kind {
            Kind::Scalar(text) => entry.key == "type" && is_type(text),
            Kind::Map(_) => entry.key == "properties",
            Kind::List(_) => false,
        });
    let Some(field) = field else { return };
    let ignored = schema
        .entries()
        .iter()
        .find(|entry| !KEYWORDS.contains(&entry.key.as_str()) && !entry.key.starts_with("x-"));
    if let Some(ignored) = ignored {
        let message = format!(
            "the field `{}` makes this a JSON Schema, in which `{}` means nothing",
            field.key, ignored.key
        );
        let finding = sheet.finding(Rule::BadSchema, &field.key_range, message);
        findings.push(finding.hint(format!(
            "rename `{}`, or write the schema as JSON Schema: \
             `{{type: object, properties: {{{}: …}}}}`",
            field.key, field.key
        )));
    }
}

/// P008.
fn defaults(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(bundle) = subject.prompt.map(|prompt| &prompt.bundle) else {
        return;
    };
    let Some(schema) = bundle
        .input_schema()
        .filter(|_| !bundle.defaults().is_empty())
    else {
        return;
    };
    let place = |name: &str| subject.key_place(&["input", "default", name]);
    let declared = schema.get("properties").and_then(Value::as_object);
    let is_closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    for name in bundle.defaults().keys() {
        let is_declared = declared.is_some_and(|declared| declared.contains_key(name));
        if is_closed && !is_declared {
            let message = format!("the default of `{name}` is for no declared variable");
            let finding = subject.finding(Rule::BadDefault, &place(name), message);
            findings.push(finding.hint("declare it in `input.schema`, or remove the default"));
        }
    }
    let defaults = Value::Object(bundle.defaults().clone());
    for (pointer, expected) in input::violations(schema, &defaults) {
        let name = pointer.trim_start_matches('/').split('/').next();
        let name = name
            .unwrap_or_default()
            .replace("~1", "/")
            .replace("~0", "~");
        if !name.is_empty() {
            let message = format!("the default of `{name}` does not fit: {expected}");
            findings.push(subject.finding(Rule::BadDefault, &place(&name), message));
        }
    }
}

/// P010.
fn shadowed_helpers(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let schema = subject.yaml.at(&["input", "schema"]);
    let is_full = schema.is_some_and(|schema| schema.value.entry("properties").is_some());
    let schema = if is_full {
        subject.yaml.at(&["input", "schema", "properties"])
    } else {
        schema
    };
    let default = subject.yaml.at(&["input", "default"]);
    let entries = schema
        .into_iter()
        .chain(default)
        .flat_map(|entry| entry.value.entries());
    let mut seen = BTreeSet::new();
    for entry in entries {
        let name = property_name(&entry.key);
        let is_helper = HELPERS.contains(&name) || BLOCKS.contains(&name);
        if is_helper && seen.insert(name) {
            let message = format!("the variable `{name}` has the name of a helper");
            let finding = subject.finding(Rule::ShadowedHelper, &entry.key_range, message);
            findings.push(finding.hint(format!(
                "`{{{{{name}}}}}` means the helper; rename the variable"
            )));
        }
    }
}

/// W104.
fn two_spellings(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(config) = subject.yaml.entry("config") else {
        return;
    };
    for names in SPELLINGS {
        let mut there = config
            .value
            .entries()
            .iter()
            .filter(|entry| names.contains(&entry.key.as_str()));
        let (Some(first), Some(second)) = (there.next(), there.next()) else {
            continue;
        };
        let message = format!(
            "`{}` and `{}` are the same setting in two spellings",
            first.key, second.key
        );
        let finding = subject.finding(Rule::TwoSpellings, &second.key_range, message);
        let finding = finding.hint(format!(
            "keep one, for Dotprompt `{}`",
            names.join("` or `")
        ));
        let is_equal =
            first.value.scalar().is_some() && first.value.scalar() == second.value.scalar();
        findings.push(match line_of(subject.sheet.text, second) {
            Some(line) if is_equal => {
                finding.fix(Fix::replace(format!("remove `{}`", second.key), &line, ""))
            }
            _ => finding,
        });
    }
}

/// The line of an entry with its line break, when nothing else stands on it and all of the entry does.
fn line_of(text: &str, entry: &Entry) -> Option<Range<usize>> {
    let before = text.get(..entry.key_range.start)?;
    let start = before.rfind('\n').map_or(0, |start| start + 1);
    let end = entry.key_range.start + text.get(entry.key_range.start..)?.find('\n')? + 1;
    let is_alone = before.get(start..)?.trim().is_empty();
    (is_alone && entry.value.range.end <= end).then_some(start..end)
}

/// W101.
fn unused_variables(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(bundle) = subject.prompt.map(|prompt| &prompt.bundle) else {
        return;
    };
    let used = usage::find(bundle.program(), bundle.included());
    let declared = bundle
        .input_schema()
        .and_then(|schema| schema.get("properties"));
    let Some(declared) = declared
        .and_then(Value::as_object)
        .filter(|_| !used.uses_all)
    else {
        return;
    };
    for name in declared.keys() {
        if !used.variables.contains_key(name) {
            let message = format!("the variable `{name}` is declared and not used");
            let finding =
                subject.finding(Rule::UnusedVariable, &subject.declaration(name), message);
            findings.push(finding.hint(format!(
                "print `{{{{{name}}}}}`, or remove it from the schema"
            )));
        }
    }
}

/// P002: who is trusted must be there.
fn trusted_names(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let Some(bundle) = subject.prompt.map(|prompt| &prompt.bundle) else {
        return;
    };
    let Some(entry) = subject.yaml.entry("promptgate.trusted") else {
        return;
    };
    let is_all = entry
        .value
        .scalar()
        .is_some_and(|text| matches!(text, "true" | "false"));
    if !is_all && !matches!(entry.value.kind, Kind::List(_)) {
        let message = "`promptgate.trusted` is a list of variables, or true";
        findings.push(subject.finding(Rule::UnknownKey, &entry.key_range, message));
    }
    let variables = bundle.variables();
    let names = || variables.iter().map(|(name, _)| *name);
    for item in entry.value.items() {
        let name = item.scalar().unwrap_or_default();
        if !names().any(|known| known == name) {
            let message = format!("`promptgate.trusted` names `{name}`, which is no variable");
            let finding = subject.finding(Rule::UnknownKey, &item.range, message);
            findings.push(match nearest_names(name, names()).first() {
                Some(near) => finding.hint(format!("did you mean `{near}`?")),
                None => finding,
            });
        }
    }
}
