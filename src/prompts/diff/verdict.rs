//! Which rules fire on a change.

use crate::prompts::bundle::Bundle;
use crate::prompts::diff::contracts::{Contract, Subject};
use crate::prompts::diff::lines::SourceLine;
use crate::prompts::diff::rule::{Finding, Rule, Verdict};
use crate::prompts::diff::schema::{Subset, without_remarks};
use crate::prompts::diff::settings::{SettingDiff, format_of};
use crate::prompts::diff::template::condensed;
use crate::prompts::diff::usage::Senders;
use crate::prompts::diff::variables::{Variable, VariableDiff};
use crate::prompts::messages::MessagesMode;
use serde_json::Value;

/// Everything that rules look at.
pub(super) struct Evidence<'a> {
    pub(super) base: &'a Bundle,
    pub(super) head: &'a Bundle,
    pub(super) base_lines: &'a [SourceLine],
    pub(super) head_lines: &'a [SourceLine],
    pub(super) variables: &'a [VariableDiff],
    pub(super) settings: &'a [SettingDiff],
    pub(super) contracts: &'a [Contract],
}

/// Returns what fired, the gravest first.
pub(super) fn judge(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut found = Vec::new();
    for variable in evidence.variables {
        of_variable(variable, evidence, &mut found);
    }
    for setting in evidence.settings {
        of_setting(setting, evidence, &mut found);
    }
    of_contracts(evidence, &mut found);
    of_tools(evidence, &mut found);
    of_text(evidence, &mut found);
    of_remarks(evidence, &mut found);
    if found.is_empty() && evidence.base.hash() != evidence.head.hash() {
        let message = "line ends of the template or of a partial";
        found.push(Finding::new(
            Rule::WhitespaceOnly,
            Verdict::Cosmetic,
            message,
        ));
    }
    found.sort_by(|a, b| (b.verdict, a.rule, &a.message).cmp(&(a.verdict, b.rule, &b.message)));
    found.dedup();
    found
}

fn who(senders: Option<Senders>, count: fn(&Senders) -> usize, verb: &str) -> String {
    match senders {
        None => "no records tell who sends it".to_owned(),
        Some(senders) if senders.callers == 0 => "nobody called in the last 7 days".to_owned(),
        Some(senders) => format!(
            "{} of {} callers of the last 7 days {verb}",
            count(&senders),
            senders.callers
        ),
    }
}

fn of_variable(diff: &VariableDiff, evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let VariableDiff { name, senders, .. } = diff;
    let missing = || who(*senders, |senders| senders.not_sending, "do not send it");
    match (&diff.base, &diff.head) {
        (None, Some(new)) if new.required => found.push(Finding::new(
            Rule::RequiredVariable,
            Verdict::Breaking,
            format!("new required variable `{name}`: {}", missing()),
        )),
        (None, Some(_)) => found.push(Finding::new(
            Rule::Variable,
            Verdict::Behavioural,
            format!("new variable `{name}`, which may be left out"),
        )),
        (Some(_), None) => {
            let is_used = senders.is_none_or(|senders| 0 < senders.sending);
            let verdict = if is_used {
                Verdict::Breaking
            } else {
                Verdict::Behavioural
            };
            let effect = if evidence.head.is_strict() {
                "refused"
            } else {
                "ignored"
            };
            let sent = who(*senders, |senders| senders.sending, "send it");
            found.push(Finding::new(
                if is_used {
                    Rule::RemovedVariable
                } else {
                    Rule::Variable
                },
                verdict,
                format!("variable `{name}` is gone, and {effect} from now on: {sent}"),
            ));
        }
        (Some(old), Some(new)) => changed_variable(diff, old, new, found),
        (None, None) => {}
    }
}

/// A reason with an example, where the example tells more.
fn told(reason: &str, example: &Value, what: &str) -> String {
    let example = example.to_string();
    if reason.contains(&example) {
        return reason.to_owned();
    }
    format!("{reason} (`{example}` {what})")
}

fn changed_variable(diff: &VariableDiff, old: &Variable, new: &Variable, found: &mut Vec<Finding>) {
    let name = &diff.name;
    if new.required && !old.required {
        let missing = who(
            diff.senders,
            |senders| senders.not_sending,
            "do not send it",
        );
        let message = format!("variable `{name}` is required now: {missing}");
        found.push(Finding::new(
            Rule::RequiredVariable,
            Verdict::Breaking,
            message,
        ));
    }
    match &diff.fits {
        None => {}
        Some(Subset::Yes) => found.push(Finding::new(
            Rule::Variable,
            Verdict::Behavioural,
            format!(
                "variable `{name}` takes more than before: {} -> {}",
                old.r#type, new.r#type
            ),
        )),
        Some(Subset::No {
            reason, example, ..
        }) => found.push(Finding::new(
            Rule::NarrowedVariable,
            Verdict::Breaking,
            format!(
                "variable `{name}` takes less than before: {}",
                told(reason, example, "was taken")
            ),
        )),
        Some(Subset::CannotDecide { reason, .. }) => found.push(Finding::new(
            Rule::Undecided,
            Verdict::Behavioural,
            format!("cannot decide whether variable `{name}` takes less than before: {reason}"),
        )),
    }
    if old.default != new.default || (old.required && !new.required) || old.bound != new.bound {
        let message = format!("variable `{name}` is filled in another way when it is not sent");
        found.push(Finding::new(Rule::Variable, Verdict::Behavioural, message));
    }
    if old.description != new.description {
        let message = format!("the description of variable `{name}`");
        found.push(Finding::new(
            Rule::DescriptionOnly,
            Verdict::Cosmetic,
            message,
        ));
    }
}

fn of_setting(setting: &SettingDiff, evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let SettingDiff { name, base, head } = setting;
    let message = format!("{name}: {} -> {}", short(base), short(head));
    let (rule, verdict, message) = match name.as_str() {
        "model" => (Rule::Model, Verdict::Behavioural, message),
        "promptgate.strict" if evidence.head.is_strict() => (
            Rule::StrictVariables,
            Verdict::Breaking,
            "undeclared variables are refused from now on".to_owned(),
        ),
        "promptgate.messages" if evidence.head.messages_mode() == MessagesMode::Forbid => (
            Rule::ForbiddenMessages,
            Verdict::Breaking,
            "calls with messages are refused from now on".to_owned(),
        ),
        "promptgate.locked" => {
            let old = evidence.base.locked();
            let added = evidence
                .head
                .locked()
                .iter()
                .filter(|name| !old.contains(name));
            let added: Vec<String> = added.map(|name| format!("`{name}`")).collect();
            if added.is_empty() {
                (Rule::Handling, Verdict::Behavioural, message)
            } else {
                let message = format!(
                    "calls that send {} are refused from now on",
                    added.join(", ")
                );
                (Rule::LockedParameter, Verdict::Breaking, message)
            }
        }
        "output.format" => (Rule::OutputIncompatible, Verdict::Breaking, message),
        _ if name.starts_with("config.") => (Rule::Config, Verdict::Behavioural, message),
        _ => (Rule::Handling, Verdict::Behavioural, message),
    };
    found.push(Finding::new(rule, verdict, message));
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn of_contracts(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    for contract in evidence.contracts {
        let (rule, kept, what) = match &contract.subject {
            // Told variable by variable.
            Subject::Input => continue,
            Subject::Output => (
                Rule::OutputIncompatible,
                Rule::Output,
                "the output".to_owned(),
            ),
            Subject::ToolArguments { tool } => (
                Rule::ToolIncompatible,
                Rule::Tool,
                format!("the arguments of tool `{tool}`"),
            ),
            Subject::ToolResult { tool } => (
                Rule::ToolIncompatible,
                Rule::Tool,
                format!("the result of tool `{tool}`"),
            ),
        };
        found.push(match &contract.release {
            Subset::Yes => Finding::new(
                kept,
                Verdict::Behavioural,
                format!("{what} changed, and old readers understand the new form"),
            ),
            Subset::No {
                pointer,
                reason,
                example,
            } => {
                let place = if pointer.is_empty() {
                    String::new()
                } else {
                    format!(" at `{pointer}`")
                };
                let told = told(reason, example, "is not known to old readers");
                let message = format!("{what} changed{place}: {told}");
                Finding::new(rule, Verdict::Breaking, message)
            }
            Subset::CannotDecide { reason, .. } => {
                let message =
                    format!("cannot decide whether old readers understand {what}: {reason}");
                Finding::new(Rule::Undecided, Verdict::Behavioural, message)
            }
        });
    }
    let schema = |bundle: &Bundle| bundle.output().and_then(|output| output.schema.clone());
    let (old, new) = (schema(evidence.base), schema(evidence.head));
    let is_told = evidence
        .contracts
        .iter()
        .any(|contract| contract.subject == Subject::Output);
    if old != new && !is_told && format_of(evidence.base) == format_of(evidence.head) {
        let message = "descriptions in the output schema, which the model reads";
        found.push(Finding::new(Rule::Output, Verdict::Behavioural, message));
    }
}

fn of_tools(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let (old, new) = (evidence.base.tools(), evidence.head.tools());
    for tool in new {
        match old.iter().find(|other| other.name == tool.name) {
            None => {
                let message = format!("new tool `{}`: callers must be able to run it", tool.name);
                found.push(Finding::new(
                    Rule::ToolIncompatible,
                    Verdict::Breaking,
                    message,
                ));
            }
            Some(other) => {
                let is_same =
                    without_remarks(&other.input_schema) == without_remarks(&tool.input_schema);
                if other != tool && is_same && other.output_schema == tool.output_schema {
                    let message = format!(
                        "the description of tool `{}`, which the model reads",
                        tool.name
                    );
                    found.push(Finding::new(Rule::Tool, Verdict::Behavioural, message));
                }
            }
        }
    }
    for tool in old
        .iter()
        .filter(|tool| new.iter().all(|other| other.name != tool.name))
    {
        let message = format!("tool `{}` is gone", tool.name);
        found.push(Finding::new(Rule::Tool, Verdict::Behavioural, message));
    }
}

fn of_text(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let (old, new) = (evidence.base_lines, evidence.head_lines);
    let is_same = old
        .iter()
        .map(|line| &line.text)
        .eq(new.iter().map(|line| &line.text));
    if is_same {
        return;
    }
    found.push(if condensed(old, true) == condensed(new, true) {
        Finding::new(
            Rule::WhitespaceOnly,
            Verdict::Cosmetic,
            "blanks and line ends of the template",
        )
    } else if condensed(old, false) == condensed(new, false) {
        Finding::new(
            Rule::CommentOnly,
            Verdict::Cosmetic,
            "comments of the template",
        )
    } else {
        Finding::new(Rule::Text, Verdict::Behavioural, "the text of the template")
    });
}

fn of_remarks(evidence: &Evidence<'_>, found: &mut Vec<Finding>) {
    let (base, head) = (evidence.base, evidence.head);
    let remark = |name: &str| {
        Finding::new(
            Rule::DescriptionOnly,
            Verdict::Cosmetic,
            format!("the {name} of the prompt"),
        )
    };
    if base.description() != head.description() {
        found.push(remark("description"));
    }
    if base.owner() != head.owner() {
        found.push(remark("owner"));
    } else if base.ext() != head.ext() && base.hash() == head.hash() {
        found.push(remark("remarks"));
    }
}
