//! Rules about the model: whether it may be used, what it takes in, and what form of answer it can
//! promise.

use crate::domain::Timestamp;
use crate::metering::{PriceRow, Prices, Tokens};
use crate::prompts::bundle::RenderedMessage;
use crate::prompts::files::Shelves;
use crate::prompts::lint::finding::{Finding, Sheet};
use crate::prompts::lint::policy::Policy;
use crate::prompts::lint::rule::{Rule, Severity};
use crate::prompts::lint::subject::{Subject, property};
use crate::prompts::lint::yaml::Node;
use crate::prompts::messages::Part;
use serde_json::Value;
use std::sync::Arc;

/// Where a model without a provider is looked for, in this order.
const PROVIDERS: [&str; 10] = [
    "openai",
    "anthropic",
    "gemini",
    "mistral",
    "deepseek",
    "xai",
    "groq",
    "cohere",
    "together",
    "azure",
];

/// Providers with the strict mode that W105 is about.
const STRICT: [&str; 2] = ["openai", "azure"];

/// Keywords that the strict mode does not know.
const NOT_STRICT: [&str; 9] = [
    "allOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "dependentSchemas",
    "patternProperties",
];

/// Days before a shutdown from which on it is a warning.
const NOTICE_DAYS: i64 = 90;

/// What is known about models.
#[derive(Debug, Clone, Copy)]
pub struct ModelFacts<'a> {
    /// Prices, context sizes and dates of shutdowns.
    pub prices: &'a Prices,
    /// The moment that is called now.
    pub now: Timestamp,
}

impl ModelFacts<'_> {
    /// The row of a model: of the provider before its name, else of the first that has it.
    fn row(self, model: &str) -> Option<Arc<PriceRow>> {
        let named = model
            .split_once('/')
            .and_then(|(provider, name)| self.prices.lookup(provider, name, self.now));
        named.or_else(|| {
            PROVIDERS
                .iter()
                .find_map(|provider| self.prices.lookup(provider, model, self.now))
        })
    }
}

/// The rules of this file on one prompt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Models<'a> {
    pub(super) facts: ModelFacts<'a>,
    pub(super) policy: &'a Policy,
    pub(super) shelves: &'a Shelves,
}

impl Models<'_> {
    pub(super) fn check(self, subject: &Subject<'_>, findings: &mut Vec<Finding>) {
        let Some(model) = subject.document.raw.get("model").and_then(Value::as_str) else {
            return;
        };
        let row = self.facts.row(model);
        self.allowed(subject, model, findings);
        if let Some(row) = &row {
            self.shutdown(subject, (model, row), findings);
        }
        self.samples(subject, model, row.as_deref(), findings);
        if row.is_some_and(|row| STRICT.contains(&row.provider.as_str())) {
            loose_output(subject, self.shelves, findings);
        }
    }

    /// P011, by the list of the registry.
    fn allowed(self, subject: &Subject<'_>, model: &str, findings: &mut Vec<Finding>) {
        if self.policy.allows(model) {
            return;
        }
        let message = format!("the model `{model}` is not allowed here");
        let place = subject.value_place("model");
        let finding = subject.finding(Rule::ModelNotAllowed, &place, message);
        findings.push(finding.hint(format!(
            "`registry.yaml` allows {}",
            self.policy.models().join(", ")
        )));
    }

    /// P011, by the provider's dates.
    fn shutdown(
        self,
        subject: &Subject<'_>,
        (model, row): (&str, &PriceRow),
        findings: &mut Vec<Finding>,
    ) {
        let lists = [row.provider.as_str()];
        let retirement = self.facts.prices.retirement(&lists, model, self.facts.now);
        let Some(retirement) = retirement.filter(|it| it.days_left() <= NOTICE_DAYS) else {
            return;
        };
        let message = format!("the model `{model}` of `{}` {retirement}", subject.key);
        let place = subject.value_place("model");
        let mut finding = subject.finding(Rule::ModelNotAllowed, &place, message);
        if !retirement.is_past() {
            finding.severity = Severity::Warning;
        }
        findings
            .push(finding.hint("choose another model, and compare the answers before it is live"));
    }

    /// P014: what the limits of the load do not know.
    fn samples(
        self,
        subject: &Subject<'_>,
        model: &str,
        row: Option<&PriceRow>,
        findings: &mut Vec<Finding>,
    ) {
        let context = row.and_then(|row| row.context);
        let limit = self.policy.max_tokens.into_iter().chain(context).min();
        let (Some(prompt), Some(limit)) = (subject.prompt, limit) else {
            return;
        };
        for sample in prompt.samples.iter() {
            let Ok(rendered) = prompt.bundle.render(&sample.input()) else {
                continue;
            };
            let text = text_of(&rendered.messages);
            // A token has at least one byte, and the tokenizer takes a while to load.
            if u64::try_from(text.len()).is_ok_and(|bytes| bytes <= limit) {
                continue;
            }
            let tokens = Tokens.count_text(model, &text);
            if tokens <= limit {
                continue;
            }
            let name = &sample.name;
            let reason = if context == Some(limit) {
                format!("`{model}` takes {limit}")
            } else {
                format!("the limit is {limit}")
            };
            let message = format!(
                "sample `{name}` of `{}` has {tokens} tokens, {reason}",
                subject.key
            );
            findings.push(self.sample_finding(subject, name, message));
        }
    }

    fn sample_finding(self, subject: &Subject<'_>, name: &str, message: String) -> Finding {
        let own = self.shelves.samples.get(subject.key);
        let found = own.and_then(|text| {
            let root = Node::parse(&text.text, 0)?;
            let samples = root.entry("samples")?.value.items().iter();
            let mut names = samples.filter_map(|sample| sample.entry("name"));
            let entry = names.find(|entry| entry.value.scalar() == Some(name))?;
            let sheet = Sheet {
                path: &text.path,
                text: &text.text,
            };
            Some(sheet.finding(Rule::SampleTooLarge, &entry.value.range, message.clone()))
        });
        let place = subject.value_place("model");
        found
            .unwrap_or_else(|| subject.finding(Rule::SampleTooLarge, &place, message))
            .hint("shorten the template or the sample; leave room for the answer")
    }
}

fn text_of(messages: &[RenderedMessage]) -> String {
    let mut text = String::new();
    for message in messages {
        let RenderedMessage::Prompt { content, .. } = message else {
            continue;
        };
        for part in content {
            if let Part::Text(part) = part {
                text.push_str(part);
            }
        }
        text.push('\n');
    }
    text
}

/// W105.
fn loose_output(subject: &Subject<'_>, shelves: &Shelves, findings: &mut Vec<Finding>) {
    let output = subject.prompt.and_then(|prompt| prompt.bundle.output());
    let Some(schema) = output.and_then(|output| output.schema.as_ref()) else {
        return;
    };
    let mut faults = Vec::new();
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        faults.push((Vec::new(), "the answer is no object".to_owned()));
    }
    strict_faults(schema, &mut Vec::new(), &mut faults);
    for (path, reason) in faults {
        let message = format!("strict mode is not possible: {reason}");
        let finding = match place_of(subject, shelves, &path) {
            (sheet, Some(range)) => sheet.finding(Rule::LooseOutput, &range, message),
            (_, None) => {
                subject.finding(Rule::LooseOutput, &subject.key_place(&["output"]), message)
            }
        };
        findings.push(finding.hint(
            "make it required and closed, and say in its description what stands for nothing",
        ));
    }
}

/// Finds the entry of a property of the output schema; as far down as the file goes.
fn place_of<'s>(
    subject: &'s Subject<'_>,
    shelves: &'s Shelves,
    path: &[String],
) -> (Sheet<'s>, Option<std::ops::Range<usize>>) {
    let Some(schema) = subject.yaml.at(&["output", "schema"]) else {
        return (subject.sheet, None);
    };
    let (mut node, mut range) = (&schema.value, schema.key_range.clone());
    let shared = schema
        .value
        .scalar()
        .map(|text| text.split(',').next().unwrap_or(text).trim());
    if let Some(text) = shared.and_then(|name| shelves.schemas.get(name)) {
        let sheet = Sheet {
            path: &text.path,
            text: &text.text,
        };
        let root = Node::parse(&text.text, 0);
        let mut found = 0..0;
        let mut node = root.as_ref();
        for name in path {
            let Some(entry) = node.and_then(|node| property(node, name)) else {
                break;
            };
            found = entry.key_range.clone();
            node = Some(&entry.value);
        }
        return (sheet, Some(found));
    }
    for name in path {
        let items = node.entry("items").map_or(node, |items| &items.value);
        let Some(entry) = property(items, name) else {
            break;
        };
        range = entry.key_range.clone();
        node = &entry.value;
    }
    (subject.sheet, Some(range))
}

/// Collects what keeps a schema out of the strict mode, with the properties that lead there.
fn strict_faults(schema: &Value, path: &mut Vec<String>, faults: &mut Vec<(Vec<String>, String)>) {
    let Some(map) = schema.as_object() else {
        return;
    };
    let whole = || {
        path.last()
            .map_or_else(|| "the answer".to_owned(), |name| format!("`{name}`"))
    };
    for keyword in NOT_STRICT
        .iter()
        .filter(|keyword| map.contains_key(**keyword))
    {
        faults.push((path.clone(), format!("{} uses `{keyword}`", whole())));
    }
    let properties = map.get("properties").and_then(Value::as_object);
    let is_object = properties.is_some() || has_type(schema, "object");
    if is_object && map.get("additionalProperties") != Some(&Value::Bool(false)) {
        faults.push((
            path.clone(),
            format!("{} may have any other field", whole()),
        ));
    }
    let required = map.get("required").and_then(Value::as_array);
    for (name, property) in properties.into_iter().flatten() {
        let is_required =
            required.is_some_and(|names| names.iter().any(|other| other == name.as_str()));
        path.push(name.clone());
        if !is_required {
            faults.push((path.clone(), format!("`{name}` is optional")));
        }
        strict_faults(property, path, faults);
        path.pop();
    }
    if let Some(items) = map.get("items") {
        strict_faults(items, path, faults);
    }
    for branch in map
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        strict_faults(branch, path, faults);
    }
    for key in ["$defs", "definitions"] {
        for schema in map
            .get(key)
            .and_then(Value::as_object)
            .into_iter()
            .flat_map(|named| named.values())
        {
            strict_faults(schema, path, faults);
        }
    }
}

fn has_type(schema: &Value, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == name,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == name),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::strict_faults;
    use serde_json::json;

    #[test]
    fn what_strict_mode_refuses_is_named() {
        let closed = |properties, required| {
            json!({"type": "object", "properties": properties, "required": required,
                   "additionalProperties": false})
        };
        for (schema, wanted) in [
            (
                closed(json!({"a": {"type": "string"}}), json!(["a"])),
                vec![],
            ),
            (
                closed(json!({"a": {"type": "string"}}), json!([])),
                vec!["`a` is optional"],
            ),
            (
                closed(
                    json!({"a": {"type": "array", "items": {"type": "object"}}}),
                    json!(["a"]),
                ),
                vec!["`a` may have any other field"],
            ),
            (
                json!({"type": "object", "allOf": [], "additionalProperties": false}),
                vec!["the answer uses `allOf`"],
            ),
            (json!({"type": "string"}), vec![]),
        ] {
            let mut faults = Vec::new();
            strict_faults(&schema, &mut Vec::new(), &mut faults);
            let found: Vec<_> = faults.iter().map(|(_, reason)| reason.as_str()).collect();
            assert_eq!(found, wanted, "{schema}");
        }
    }
}
