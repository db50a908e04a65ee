//! What both forms for people say in the same words: contracts, tokens, cost, cache, reach.

use crate::cli::diff::money::{difference, dollars};
use crate::prompts::diff::{
    CacheEffect, Contract, Forecast, MIN_CACHED, MessageChange, MessageDiff, PromptDiff, Reach,
    SampleDiff, SettingDiff, Subject, Subset, TreeName, USAGE_DAYS, Variable, VariableDiff,
    VersionName, WORKING,
};
use serde_json::Value;

/// `main (1a2b3c4d5)`.
pub(super) fn tree(name: &TreeName) -> String {
    let commit = name
        .commit
        .as_ref()
        .filter(|commit| !commit.starts_with(&name.name));
    match commit {
        Some(commit) if name.name == WORKING => {
            format!(
                "{} (on {})",
                name.name,
                commit.chars().take(9).collect::<String>()
            )
        }
        Some(commit) => format!(
            "{} ({})",
            name.name,
            commit.chars().take(9).collect::<String>()
        ),
        None => name.name.clone(),
    }
}

/// Whether there is only one side.
pub(super) const fn is_alone(diff: &PromptDiff) -> bool {
    diff.base.is_none() || diff.head.is_none()
}

/// Returns the first prompt before this one that changes in the same way, as all do that include a
/// partial that changed.
pub(super) fn same_change(all: &[PromptDiff], index: usize) -> Option<&PromptDiff> {
    let diff = all.get(index).filter(|diff| !diff.template.is_empty())?;
    let is_same = |other: &&PromptDiff| {
        other.template == diff.template
            && other.findings == diff.findings
            && other.variables == diff.variables
            && other.settings == diff.settings
            && other.contracts == diff.contracts
    };
    all.iter().take(index).find(is_same)
}

/// Whether every side renders every sample to the same messages.
pub(super) fn is_untouched(samples: &[SampleDiff]) -> bool {
    samples.iter().all(|sample| {
        let mut messages = sample.messages.iter();
        sample.base_error.is_none()
            && sample.head_error.is_none()
            && messages.all(|message| message.change == MessageChange::Unchanged)
    })
}

/// `v3`, else the short hash; `(uncommitted)` when no commit has it.
pub(super) fn version(name: Option<&VersionName>) -> String {
    let Some(name) = name else {
        return "nothing".to_owned();
    };
    let version = name.version.clone().unwrap_or_else(|| name.hash.short());
    if name.dirty {
        format!("{version} (uncommitted)")
    } else {
        version
    }
}

/// `+ tier: string, required`, and who sends it.
pub(super) fn variable(diff: &VariableDiff) -> (char, String) {
    let sign = match (&diff.base, &diff.head) {
        (None, _) => '+',
        (_, None) => '-',
        _ => '~',
    };
    let mut words = match (&diff.base, &diff.head) {
        (Some(base), Some(head)) => changed(base, head),
        (one, other) => one
            .as_ref()
            .or(other.as_ref())
            .map(declared)
            .unwrap_or_default(),
    };
    if let Some(senders) = diff.senders {
        let callers = senders.callers;
        let told = match (&diff.base, &diff.head) {
            _ if callers == 0 => format!("no calls in the last {USAGE_DAYS} days"),
            (_, None) => format!("{} of {callers} callers send it", senders.sending),
            _ => format!(
                "{} of {callers} callers of the last {USAGE_DAYS} days do not send it",
                senders.not_sending
            ),
        };
        words = format!("{words}; {told}");
    }
    (sign, words)
}

fn declared(variable: &Variable) -> String {
    let mut words = vec![variable.r#type.clone()];
    words.push(need(variable));
    words.join(", ")
}

fn need(variable: &Variable) -> String {
    match &variable.default {
        Some(default) => format!("default {default}"),
        None if variable.bound => "filled from the last user message".to_owned(),
        None if variable.required => "required".to_owned(),
        None => "optional".to_owned(),
    }
}

fn changed(base: &Variable, head: &Variable) -> String {
    let mut words = Vec::new();
    if base.r#type != head.r#type {
        words.push(format!("{} -> {}", base.r#type, head.r#type));
    }
    let (old, new) = (need(base), need(head));
    if old != new {
        words.push(format!("{old} -> {new}"));
    }
    if base.description != head.description {
        words.push("another description".to_owned());
    }
    if words.is_empty() {
        words.push("another schema".to_owned());
    }
    words.join(", ")
}

/// `gpt-5-mini -> gpt-5`.
pub(super) fn setting(diff: &SettingDiff) -> String {
    let show = |value: &Value| match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    format!("{} -> {}", show(&diff.base), show(&diff.head))
}

/// The question and its answer, for a release and for its rollback.
pub(super) fn contract(contract: &Contract) -> (String, Vec<String>) {
    let (name, release, rollback) = match &contract.subject {
        Subject::Input => (
            "input".to_owned(),
            "old callers send valid inputs",
            "after a rollback, new callers do",
        ),
        Subject::Output => (
            "output".to_owned(),
            "old consumers can read new outputs",
            "after a rollback, new consumers can read old ones",
        ),
        Subject::ToolArguments { tool } => (
            format!("tool {tool}, arguments"),
            "old callers can run what the model asks for",
            "after a rollback, new callers can",
        ),
        Subject::ToolResult { tool } => (
            format!("tool {tool}, result"),
            "the model is given what it is told to expect",
            "after a rollback, it is",
        ),
    };
    let lines = [(release, &contract.release), (rollback, &contract.rollback)];
    let lines = lines.map(|(question, answer)| format!("{question}: {}", subset(answer)));
    (name, lines.to_vec())
}

fn subset(answer: &Subset) -> String {
    let at = |pointer: &str| {
        if pointer.is_empty() {
            String::new()
        } else {
            format!("{pointer}: ")
        }
    };
    match answer {
        Subset::Yes => "yes".to_owned(),
        Subset::No {
            pointer,
            reason,
            example,
        } => format!("no ({}{reason}; for example {example})", at(pointer)),
        Subset::CannotDecide { pointer, reason } => {
            format!("cannot decide ({}{reason})", at(pointer))
        }
    }
}

/// What calls cost, in lines.
pub(super) fn forecast(forecast: &Forecast) -> Vec<String> {
    let sides = (&forecast.base, &forecast.head);
    let (Some(last), first) = (sides.1.as_ref().or(sides.0.as_ref()), sides.0.as_ref()) else {
        return Vec::new();
    };
    let two = |old: Option<String>, new: String| match old.filter(|_| sides.1.is_some()) {
        Some(old) if old != new => format!("{old} -> {new}"),
        _ => new,
    };
    let tokens = two(
        first.map(|side| side.input_tokens.to_string()),
        last.input_tokens.to_string(),
    );
    let is_same = sides
        .0
        .as_ref()
        .zip(sides.1.as_ref())
        .is_some_and(|(old, new)| {
            old.input_tokens == new.input_tokens
                && old.call_pico_usd == new.call_pico_usd
                && old.price == new.price
        });
    let unchanged = if is_same { "unchanged: " } else { "" };
    let mut lines = vec![format!(
        "{unchanged}{tokens} tokens go in, the mean of the samples"
    )];
    let call = two(
        first.map(|side| dollars(side.call_pico_usd)),
        dollars(last.call_pico_usd),
    );
    let price = two(
        first.map(|side| row(side.price.as_ref())),
        row(last.price.as_ref()),
    );
    let priced = match forecast.output_tokens_per_call {
        Some(output) => format!("with {output} tokens out, as in the last {USAGE_DAYS} days"),
        None => "the input alone: no records tell what comes out".to_owned(),
    };
    lines.push(format!("{call} a call ({priced}; {price})"));
    if is_same {
        return lines;
    }
    lines.push(match forecast.calls {
        None => "how many calls there are is not known".to_owned(),
        Some(calls) if sides.0.is_some() && sides.1.is_some() => format!(
            "{} for the {calls} calls of the last {USAGE_DAYS} days ({})",
            two(
                first.map(|side| dollars(side.total_pico_usd)),
                dollars(last.total_pico_usd)
            ),
            difference(forecast.difference_pico_usd),
        ),
        Some(calls) => format!(
            "{} for the {calls} calls of the last {USAGE_DAYS} days",
            dollars(last.total_pico_usd)
        ),
    });
    lines
}

fn row(price: Option<&String>) -> String {
    price.map_or_else(
        || "no price is known for the model".to_owned(),
        |price| format!("by {price}"),
    )
}

/// What becomes of the provider's cache, in lines; none when nothing does.
pub(super) fn cache(effect: &CacheEffect) -> Vec<String> {
    let CacheEffect {
        base_tokens,
        head_tokens,
        ..
    } = effect;
    let Some(first) = effect.first_difference else {
        return if base_tokens == head_tokens {
            Vec::new()
        } else {
            vec![format!(
                "the shared prefix grows, {base_tokens} -> {head_tokens} tokens; what is cached stays"
            )]
        };
    };
    let tokens = if base_tokens == head_tokens {
        format!("{base_tokens} tokens")
    } else {
        format!("{base_tokens} -> {head_tokens} tokens")
    };
    let mut lines = vec![if effect.model_changed {
        format!(
            "another model shares no cache: the prefix of {base_tokens} tokens is read anew once"
        )
    } else {
        format!(
            "the prefix that all calls share ({tokens}) differs from token {first} \
             on: {} % of it is read anew once",
            effect.lost_percent
        )
    }];
    if !effect.was_cacheable {
        lines.push(format!(
            "it costs nothing: providers cache from {MIN_CACHED} tokens on"
        ));
        return lines;
    }
    lines.push(match effect.once_pico_usd {
        None => "what that costs is not known: there is no price of cached input".to_owned(),
        Some(once) => format!(
            "{} more at the first call after the release",
            dollars(Some(once))
        ),
    });
    match effect.lasting_pico_usd {
        Some(0) => {}
        Some(lasting) => lines.push(format!(
            "less can be cached: {} more for the calls of the last {USAGE_DAYS} days",
            dollars(Some(lasting))
        )),
        None if head_tokens < base_tokens => {
            lines.push("less can be cached; what that costs is not known".to_owned());
        }
        None => {}
    }
    lines
}

/// Whom a prompt reaches, in lines.
pub(super) fn reach(reach: &Reach, no_records: Option<&String>) -> Vec<String> {
    let mut lines = Vec::new();
    match &reach.labels {
        Some(labels) if labels.is_empty() => {}
        Some(labels) => lines.push(format!("labels that get the head: {}", labels.join(", "))),
        None => lines.push("labels: `releases.yaml` cannot be read".to_owned()),
    }
    lines.push(match (&reach.usage, no_records) {
        (None, Some(problem)) => format!("callers: {problem}"),
        (None, None) => "callers: not looked at".to_owned(),
        (Some(usage), _) if usage.calls == 0 => {
            format!("callers: none in the last {USAGE_DAYS} days")
        }
        (Some(usage), _) => {
            let callers = usage.callers.iter().map(|caller| {
                let key = caller
                    .key
                    .as_ref()
                    .map_or_else(String::new, |key| format!(" (key {key})"));
                let pinned = match caller.pinned_calls {
                    0 => String::new(),
                    pinned => format!(", {pinned} pinned to a version"),
                };
                let calls = caller.calls + caller.pinned_calls;
                format!("{}{key}: {calls} calls{pinned}", caller.caller)
            });
            let callers: Vec<String> = callers.collect();
            let read = if usage.read_calls < usage.calls {
                format!(
                    " (who sends what is told by the newest {})",
                    usage.read_calls
                )
            } else {
                String::new()
            };
            format!(
                "callers of the last {USAGE_DAYS} days: {}{read}",
                callers.join("; ")
            )
        }
    });
    if let Some(usage) = reach
        .usage
        .as_ref()
        .filter(|usage| !usage.labels.is_empty())
    {
        let labels: Vec<String> = usage
            .labels
            .iter()
            .map(|(label, calls)| format!("{label} ({calls} calls)"))
            .collect();
        lines.push(format!("labels asked for: {}", labels.join(", ")));
    }
    lines
}

/// ``sample `x` (3 -> 5 tokens)``.
pub(super) fn sample(sample: &SampleDiff) -> String {
    let tokens = match (sample.base_tokens, sample.head_tokens) {
        (Some(old), Some(new)) if old != new => format!("{old} -> {new} tokens"),
        (one, other) => other.or(one).map_or_else(
            || "no tokens".to_owned(),
            |tokens| format!("{tokens} tokens"),
        ),
    };
    if sample.made_up {
        return format!("values made up from the schema, for want of samples ({tokens})");
    }
    format!("sample `{}` ({tokens})", sample.sample)
}

/// `system: changed`.
pub(super) fn message(diff: &MessageDiff) -> String {
    let place = match (diff.base_place, diff.head_place) {
        (Some(old), Some(new)) if old != new => format!(" (message {old} -> {new})"),
        (_, Some(place)) | (Some(place), None) => format!(" (message {place})"),
        (None, None) => String::new(),
    };
    let what = match diff.change {
        MessageChange::Unchanged => "unchanged".to_owned(),
        MessageChange::Changed => "changed".to_owned(),
        MessageChange::Added => "added".to_owned(),
        MessageChange::Removed => "removed".to_owned(),
        MessageChange::Moved => "moved".to_owned(),
        MessageChange::RoleChanged => {
            format!(
                "said by `{}` before",
                diff.base_role.as_deref().unwrap_or("somebody else")
            )
        }
    };
    format!("{}: {what}{place}", diff.role)
}

/// Whether a sample has anything to show that one before it does not.
pub(super) fn twin<'a>(diff: &'a PromptDiff, index: usize) -> Option<&'a SampleDiff> {
    let sample = diff.samples.get(index)?;
    let changes = |sample: &'a SampleDiff| -> Vec<&'a MessageDiff> {
        let is_change = |message: &&MessageDiff| message.change != MessageChange::Unchanged;
        sample.messages.iter().filter(is_change).collect()
    };
    let mine = changes(sample);
    let mut before = diff.samples.iter().take(index);
    before.find(|other| {
        !mine.is_empty()
            && changes(other) == mine
            && other.base_error.is_none()
            && other.head_error.is_none()
    })
}
