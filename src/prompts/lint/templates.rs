//! Rules about what a template says in which role.

use crate::prompts::files::Shelves;
use crate::prompts::lint::finding::{Finding, Fix, Sheet};
use crate::prompts::lint::rule::Rule;
use crate::prompts::lint::subject::Subject;
use crate::prompts::lint::walk::{Event, Printed, What};
use crate::prompts::syntax::Role;
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;

/// Bytes of fixed text that are worth a place in a provider's cache: about 1024 tokens, below which
/// nothing is cached.
const WORTH_CACHING: usize = 4096;
/// Bytes of fixed text behind something volatile that are worth a word.
const WORTH_MOVING: usize = 1024;

/// Parts of names of values that differ in every call.
const VOLATILE: [&str; 14] = [
    "date",
    "datetime",
    "day",
    "id",
    "nonce",
    "now",
    "random",
    "seed",
    "time",
    "timestamp",
    "today",
    "ts",
    "uid",
    "uuid",
];

/// All rules of this file on one prompt.
pub(super) fn check(subject: &Subject<'_>, shelves: &Shelves, findings: &mut Vec<Finding>) {
    let rules = Templates { subject, shelves };
    rules.tool_roles(findings);
    rules.text_after_history(findings);
    rules.raw_values(findings);
    rules.untrusted(findings);
    rules.cache_breakers(findings);
}

struct Templates<'a> {
    subject: &'a Subject<'a>,
    shelves: &'a Shelves,
}

impl<'a> Templates<'a> {
    fn sheet(&self, event: &Event<'_>) -> Sheet<'a> {
        let partial = event
            .partial
            .and_then(|name| self.shelves.partials.get(name));
        partial.map_or(self.subject.sheet, |text| Sheet {
            path: &text.path,
            text: &text.text,
        })
    }

    fn finding(
        &self,
        rule: Rule,
        event: &Event<'_>,
        place: &Range<usize>,
        message: String,
    ) -> Finding {
        self.sheet(event).finding(rule, place, message)
    }

    fn printed(&self) -> impl Iterator<Item = (&'a Event<'a>, &'a Printed<'a>)> {
        self.subject
            .events
            .iter()
            .filter_map(|event| match &event.what {
                What::Printed(printed) => Some((event, printed)),
                What::Text(_) | What::Role(_) | What::History => None,
            })
    }

    /// " of `support/refund`", where a partial is spoken of, which does not know who includes it.
    fn whose(&self, event: &Event<'_>) -> String {
        match event.partial {
            Some(_) => format!(" of `{}`", self.subject.key),
            None => String::new(),
        }
    }

    /// P009: a tool's message answers a call, which only the history can hold.
    fn tool_roles(&self, findings: &mut Vec<Finding>) {
        for event in &self.subject.events {
            match &event.what {
                What::History => return,
                What::Role(Role::Tool) => {
                    let message = "a tool's message without a call that it answers".to_owned();
                    let finding = self.finding(Rule::BadRole, event, &event.place, message);
                    findings.push(
                        finding.hint(
                            "put `{{history}}` before it, or give the result in a user message",
                        ),
                    );
                }
                What::Role(_) | What::Text(_) | What::Printed(_) => {}
            }
        }
    }

    /// P009: what follows the history without a role is said by the model.
    fn text_after_history(&self, findings: &mut Vec<Finding>) {
        let mut is_after = false;
        for event in &self.subject.events {
            let place = match &event.what {
                What::History => {
                    is_after = true;
                    continue;
                }
                What::Role(_) => {
                    is_after = false;
                    continue;
                }
                What::Text(text) if text.trim().is_empty() => continue,
                What::Text(_) => first_word(self.sheet(event).text, event.place.start),
                What::Printed(_) => event.place.clone(),
            };
            if is_after {
                let message = "text after `{{history}}` has no role: the model says it".to_owned();
                let finding = self.finding(Rule::BadRole, event, &place, message);
                findings.push(finding.hint(
                    "write `{{role \"user\"}}` before it, or `{{role \"model\"}}` if it is meant",
                ));
                is_after = false;
            }
        }
    }

    /// W102.
    fn raw_values(&self, findings: &mut Vec<Finding>) {
        for (event, printed) in self.printed().filter(|(_, printed)| printed.is_raw) {
            let Some(kind) = printed.schema.and_then(structured) else {
                continue;
            };
            let path = &printed.path.text;
            let message = format!("`{path}`{} is {kind} and is printed raw", self.whose(event));
            let finding = self.finding(Rule::RawValue, event, &event.place, message);
            let finding = finding.hint(format!(
                "write `{{{{json {path}}}}}`, or use `{{{{#each}}}}`"
            ));
            // What a partial prints depends on who includes it.
            findings.push(match event.partial {
                Some(_) => finding,
                None => {
                    let place = event.place.start..event.place.start;
                    finding.fix(Fix::replace(
                        format!("print `{path}` as JSON"),
                        &place,
                        "json ",
                    ))
                }
            });
        }
    }

    /// W103.
    fn untrusted(&self, findings: &mut Vec<Finding>) {
        let Some(trusted) = self.subject.trusted() else {
            return;
        };
        let mut seen = BTreeSet::new();
        for (event, printed) in self.printed() {
            let Some(variable) = printed.variable.as_deref() else {
                continue;
            };
            let is_harmless = printed.role != Role::System
                || trusted.contains(&variable)
                || !is_free_text(printed.schema);
            if is_harmless || !seen.insert((event.partial, variable)) {
                continue;
            }
            let whose = self.whose(event);
            let message = format!("`{variable}`{whose} is free text in a system message");
            let finding = self.finding(Rule::UntrustedSystemText, event, &event.place, message);
            findings.push(finding.hint(format!(
                "move it into a user message, or vouch for it: `promptgate.trusted: [{variable}]`"
            )));
        }
    }

    /// W107.
    fn cache_breakers(&self, findings: &mut Vec<Finding>) {
        let is_promised = self.subject.document.raw.get("promptgate.cache_prefix");
        let is_promised = is_promised == Some(&Value::Bool(true));
        let size = |event: &Event<'_>| match &event.what {
            What::Text(text) => text.len(),
            What::Printed(_) | What::Role(_) | What::History => 0,
        };
        let total: usize = self.subject.events.iter().map(size).sum();
        let mut rest = total;
        for event in &self.subject.events {
            rest -= size(event);
            let What::Printed(printed) = &event.what else {
                continue;
            };
            let name = printed.path.text.as_str();
            let is_volatile = is_volatile(name, printed.schema);
            let costs = is_volatile && WORTH_CACHING <= total && WORTH_MOVING <= rest;
            let breaks_promise = is_promised && printed.role == Role::System && 0 < rest;
            if !costs && !breaks_promise {
                continue;
            }
            let whose = self.whose(event);
            let message = format!(
                "`{name}`{whose} differs from call to call and stands before {rest} bytes of fixed text"
            );
            let finding = self.finding(Rule::CacheBreaker, event, &event.place, message);
            findings.push(finding.hint(
                "put it behind the fixed text, so that providers can cache what stands before",
            ));
            // What comes behind the first one is lost already.
            return;
        }
    }
}

/// The first word at or after `start`.
fn first_word(text: &str, start: usize) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    let skipped = rest.len() - rest.trim_start().len();
    let word = rest.trim_start().split(char::is_whitespace).next();
    let start = start + skipped;
    start..start + word.unwrap_or_default().len()
}

/// "an object" or "a list", where the schema says so.
fn structured(schema: &Value) -> Option<&'static str> {
    let is = |name: &str| match schema.get("type") {
        Some(Value::String(kind)) => kind == name,
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == name),
        _ => false,
    };
    if is("object") {
        Some("an object")
    } else if is("array") {
        Some("a list")
    } else {
        None
    }
}

/// Whether a value may be any text: neither a number nor one of a few words.
fn is_free_text(schema: Option<&Value>) -> bool {
    let Some(schema) = schema else { return true };
    if schema.get("enum").is_some() || schema.get("const").is_some() {
        return false;
    }
    let is_free = |kind: &Value| {
        !matches!(
            kind.as_str(),
            Some("boolean" | "integer" | "null" | "number")
        )
    };
    match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(is_free),
        Some(kind) => is_free(kind),
        None => true,
    }
}

fn is_volatile(name: &str, schema: Option<&Value>) -> bool {
    let last = name.rsplit(['.', '/']).next().unwrap_or(name);
    let mut words = vec![String::new()];
    for c in last.chars() {
        if c.is_uppercase() || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
    }
    let format = schema.and_then(|schema| schema.get("format"));
    let is_moment = |format: &str| matches!(format, "date" | "date-time" | "time" | "uuid");
    words.iter().any(|word| VOLATILE.contains(&word.as_str()))
        || format.and_then(Value::as_str).is_some_and(is_moment)
}

#[cfg(test)]
mod tests {
    use super::{is_free_text, is_volatile};
    use serde_json::json;

    #[test]
    fn names_tell_what_changes_in_every_call() {
        for (name, expected) in [
            ("order_id", true),
            ("orderId", true),
            ("request.now", true),
            ("currentDate", true),
            ("today", true),
            ("idea", false),
            ("update", false),
            ("candidate", false),
            ("customer", false),
        ] {
            assert_eq!(is_volatile(name, None), expected, "{name}");
        }
        assert!(is_volatile("x", Some(&json!({"format": "date-time"}))));
    }

    #[test]
    fn closed_sets_and_numbers_cannot_give_orders() {
        for (schema, expected) in [
            (json!({"type": "string"}), true),
            (json!({"type": ["string", "null"]}), true),
            (json!({}), true),
            (json!({"type": ["integer", "null"]}), false),
            (json!({"enum": ["a", null]}), false),
            (json!({"type": "boolean"}), false),
        ] {
            assert_eq!(is_free_text(Some(&schema)), expected, "{schema}");
        }
        assert!(is_free_text(None));
    }
}
