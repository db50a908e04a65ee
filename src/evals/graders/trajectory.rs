//! `trajectory:*`: which tools were called on the way to the answer, in which order, with what.
//!
//! The steps are tool calls: those of the answer, or of the whole session that `metadata.session` names.
//! Other kinds of steps that promptfoo reads from traces (commands, searches, messages) are not recorded,
//! and an assertion that asks for them cannot be judged.

use crate::evals::grade::Step;
use crate::evals::graders::ready::Ready;
use crate::evals::graders::{CannotJudge, Judged};
use crate::evals::values::{is_same, text_of};
use serde_json::{Map, Value};

/// The tools were called: all of a list, or one as often as `min` and `max` say.
/// `not-` with a list: none of them was called.
pub(super) fn tool_used(ready: &Ready<'_>) -> Judged {
    let steps = ready.steps()?;
    let patterns = match ready.needed()? {
        Value::Object(fields) => return tool_count(ready, fields),
        Value::String(pattern) => vec![pattern.as_str()],
        Value::Array(items) => items
            .iter()
            .map(|item| {
                item.as_str()
                    .ok_or_else(|| CannotJudge::because("its `value` must list names of tools"))
            })
            .collect::<Result<_, _>>()?,
        _ => {
            return Err(CannotJudge::because(
                "its `value` must be a name, a list of names or an object",
            ));
        }
    };
    if patterns.is_empty() {
        return Err(CannotJudge::because(
            "its `value` must name at least one tool",
        ));
    }
    let is_used = |pattern: &&&str| steps.iter().any(|step| is_match(pattern, &step.name));
    let (used, missing): (Vec<&&str>, Vec<&&str>) = patterns.iter().partition(is_used);
    let holds = if ready.assertion.is_negated {
        !used.is_empty()
    } else {
        missing.is_empty()
    };
    let wanted = patterns.join("`, `");
    ready.plain(
        holds,
        format!("looked for `{wanted}`; called: {}", names(steps)),
    )
}

fn tool_count(ready: &Ready<'_>, fields: &Map<String, Value>) -> Judged {
    let matcher = Matcher::of(fields)?.named()?;
    let count = matcher.count(ready.steps()?);
    let low = bound(fields, "min").unwrap_or(1.0);
    let high = bound(fields, "max");
    let holds = low <= count && high.is_none_or(|high| count <= high);
    let span = high.map_or_else(
        || format!("at least {low}"),
        |high| format!("{low} to {high}"),
    );
    ready.plain(
        holds,
        format!(
            "`{}` was called {count} times, with {span} wanted",
            matcher.label()
        ),
    )
}

/// The tools were called in that order: among others, or (`mode: exact`) these alone.
pub(super) fn tool_sequence(ready: &Ready<'_>) -> Judged {
    let value = ready.needed()?;
    let (steps, is_exact) = match value {
        Value::Array(steps) => (steps.as_slice(), false),
        Value::Object(fields) => {
            let steps = fields.get("steps").and_then(Value::as_array);
            let is_exact = fields.get("mode").and_then(Value::as_str) == Some("exact");
            (steps.map(Vec::as_slice).unwrap_or_default(), is_exact)
        }
        _ => {
            return Err(CannotJudge::because(
                "its `value` must be a list, or an object of `steps`",
            ));
        }
    };
    let wanted = steps.iter().map(|step| match step {
        Value::String(pattern) => Ok(Matcher {
            pattern: Some(pattern),
        }),
        Value::Object(fields) => Matcher::of(fields)?.named(),
        _ => Err(CannotJudge::because(
            "a step must be a name or an object of `name`",
        )),
    });
    let wanted: Vec<Matcher<'_>> = wanted.collect::<Result<_, _>>()?;
    if wanted.is_empty() {
        return Err(CannotJudge::because(
            "its `value` must have at least one step",
        ));
    }
    let called = ready.steps()?;
    let holds = if is_exact {
        called.len() == wanted.len()
            && wanted
                .iter()
                .zip(called)
                .all(|(matcher, step)| matcher.fits(step))
    } else {
        let mut left = wanted.iter().peekable();
        for step in called {
            left.next_if(|matcher| matcher.fits(step));
        }
        left.peek().is_none()
    };
    let labels: Vec<&str> = wanted.iter().map(Matcher::label).collect();
    ready.plain(
        holds,
        format!(
            "looked for `{}` in that order; called: {}",
            labels.join("`, `"),
            names(called)
        ),
    )
}

/// A tool was called with those arguments: partly (more may be there), or (`mode: exact`) these alone.
pub(super) fn tool_args_match(ready: &Ready<'_>) -> Judged {
    let Value::Object(fields) = ready.needed()? else {
        return Err(CannotJudge::because(
            "its `value` must be an object of `name` and `args`",
        ));
    };
    let matcher = Matcher::of(fields)?.named()?;
    let wanted = fields
        .get("args")
        .or_else(|| fields.get("arguments"))
        .ok_or_else(|| CannotJudge::because("its `value` must have `args`"))?;
    let is_exact = match fields.get("mode").map(Value::as_str) {
        None | Some(Some("partial")) => false,
        Some(Some("exact")) => true,
        Some(_) => {
            return Err(CannotJudge::because(
                "its `mode` must be `partial` or `exact`",
            ));
        }
    };
    let ignored = ignored_names(fields)?;
    let defaults = match fields.get("defaults") {
        None => None,
        Some(Value::Object(defaults)) => Some(defaults),
        Some(_) => return Err(CannotJudge::because("its `defaults` must be an object")),
    };
    let wanted = without(wanted, &ignored, None);
    let calls: Vec<&Step> = ready
        .steps()?
        .iter()
        .filter(|step| matcher.fits(step))
        .collect();
    let holds = calls.iter().any(|step| {
        let given = without(&step.arguments, &ignored, defaults);
        if is_exact {
            is_same(&given, &wanted)
        } else {
            has_part(&given, &wanted)
        }
    });
    let seen: Vec<String> = calls.iter().map(|step| text_of(&step.arguments)).collect();
    let found = format!(
        "`{}` was called {} times; looked for {}, seen: {}",
        matcher.label(),
        calls.len(),
        text_of(&wanted),
        if seen.is_empty() {
            "nothing".to_owned()
        } else {
            seen.join(", ")
        },
    );
    ready.plain(holds, found)
}

/// The number of steps is between `min` and `max`.
pub(super) fn step_count(ready: &Ready<'_>) -> Judged {
    let Value::Object(fields) = ready.needed()? else {
        return Err(CannotJudge::because(
            "its `value` must be an object of `min` and `max`",
        ));
    };
    let matcher = Matcher::of(fields)?;
    let (low, high) = (bound(fields, "min"), bound(fields, "max"));
    if low.is_none() && high.is_none() {
        return Err(CannotJudge::because("its `value` must have `min` or `max`"));
    }
    let count = matcher.count(ready.steps()?);
    let holds = low.is_none_or(|low| low <= count) && high.is_none_or(|high| count <= high);
    let wanted: Vec<String> = [("at least", low), ("at most", high)]
        .iter()
        .filter_map(|(words, bound)| Some(format!("{words} {}", (*bound)?)))
        .collect();
    ready.plain(
        holds,
        format!("{count} steps were taken, {} wanted", wanted.join(" and ")),
    )
}

/// Which steps are meant.
struct Matcher<'a> {
    /// A name with `*` and `?`; `None`: every step.
    pattern: Option<&'a str>,
}

impl<'a> Matcher<'a> {
    fn of(fields: &'a Map<String, Value>) -> Result<Self, CannotJudge> {
        let types = match fields.get("type") {
            None => Vec::new(),
            Some(Value::Array(types)) => types.iter().map(Value::as_str).collect(),
            Some(other) => vec![other.as_str()],
        };
        if types.iter().any(|kind| *kind != Some("tool")) {
            return Err(CannotJudge::because(
                "only steps of type `tool` are recorded",
            ));
        }
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let pattern = text("pattern")
            .or_else(|| text("name"))
            .filter(|text| !text.is_empty());
        Ok(Self { pattern })
    }

    fn named(self) -> Result<Self, CannotJudge> {
        match self.pattern {
            Some(_) => Ok(self),
            None => Err(CannotJudge::because(
                "its `value` must have a `name` or a `pattern`",
            )),
        }
    }

    fn label(&self) -> &'a str {
        self.pattern.unwrap_or("*")
    }

    fn fits(&self, step: &Step) -> bool {
        self.pattern
            .is_none_or(|pattern| is_match(pattern, &step.name))
    }

    fn count(&self, steps: &[Step]) -> f64 {
        let count = steps.iter().filter(|step| self.fits(step)).count();
        f64::from(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

/// Whether `name` is like `pattern`, whatever the case: `*` stands for any text, `?` for one character.
fn is_match(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let (mut at, mut in_name, mut star) = (0, 0, None);
    while in_name < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, in_name));
                at += 1;
            }
            Some(c) if *c == '?' || Some(c) == name.get(in_name) => {
                at += 1;
                in_name += 1;
            }
            _ => {
                let Some((star_at, taken)) = star else {
                    return false;
                };
                star = Some((star_at, taken + 1));
                at = star_at + 1;
                in_name = taken + 1;
            }
        }
    }
    pattern
        .get(at..)
        .unwrap_or_default()
        .iter()
        .all(|c| *c == '*')
}

/// Whether `given` has all of `wanted`: objects may have more, lists may not.
fn has_part(given: &Value, wanted: &Value) -> bool {
    match (given, wanted) {
        (Value::Array(given), Value::Array(wanted)) => {
            given.len() == wanted.len()
                && given
                    .iter()
                    .zip(wanted)
                    .all(|(given, wanted)| has_part(given, wanted))
        }
        (Value::Object(given), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, wanted)| given.get(key).is_some_and(|given| has_part(given, wanted))),
        _ => is_same(given, wanted),
    }
}

/// Arguments without those that are ignored, and without those that have their default value.
fn without(arguments: &Value, ignored: &[&str], defaults: Option<&Map<String, Value>>) -> Value {
    let Value::Object(fields) = arguments else {
        return arguments.clone();
    };
    let is_kept = |key: &str, value: &Value| {
        let is_default = defaults
            .and_then(|defaults| defaults.get(key))
            .is_some_and(|default| is_same(default, value));
        !is_default && !ignored.iter().any(|name| is_ignored(name, key))
    };
    let kept = fields.iter().filter(|(key, value)| is_kept(key, value));
    Value::Object(
        kept.map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    )
}

fn is_ignored(name: &str, key: &str) -> bool {
    name == key || (name.contains(['*', '?']) && is_match(name, key))
}

fn ignored_names(fields: &Map<String, Value>) -> Result<Vec<&str>, CannotJudge> {
    let names = match fields.get("ignore") {
        None => return Ok(Vec::new()),
        Some(Value::Array(names)) => names.iter().map(Value::as_str).collect(),
        Some(name) => vec![name.as_str()],
    };
    let names: Option<Vec<&str>> = names.into_iter().collect();
    names
        .filter(|names| names.iter().all(|name| !name.trim().is_empty()))
        .ok_or_else(|| CannotJudge::because("its `ignore` must be a name or a list of names"))
}

fn bound(fields: &Map<String, Value>, name: &str) -> Option<f64> {
    fields.get(name)?.as_f64()
}

fn names(steps: &[Step]) -> String {
    if steps.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    format!("`{}`", names.join("`, `"))
}

#[cfg(test)]
mod tests {
    use super::is_match;
    use crate::evals::grade::{Mark, Step};
    use crate::evals::graders::tests::{Bench, assertion};
    use serde_json::{Value, json};

    fn mark(name: &str, value: Value) -> Mark {
        let mut bench = Bench::of(json!("done"));
        let steps = [
            (
                "search_docs",
                json!({"query": "refund", "limit": 5, "trace_id": "x"}),
            ),
            ("get_order", json!({"id": 7, "deep": {"a": 1, "b": 2}})),
            ("search_docs", json!({"query": "rules"})),
        ]
        .into_iter()
        .map(|(name, arguments)| Step {
            name: name.to_owned(),
            arguments,
            result: None,
        })
        .collect();
        bench.steps = Ok(steps);
        bench.grade(&assertion(name, value)).mark
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn tools_are_looked_for() {
        for (name, value, expected) in [
            ("trajectory:tool-used", json!("get_order"), Mark::Pass),
            (
                "trajectory:tool-used",
                json!(["GET_*", "search_docs"]),
                Mark::Pass,
            ),
            (
                "trajectory:tool-used",
                json!(["get_order", "refund"]),
                Mark::Fail,
            ),
            (
                "not-trajectory:tool-used",
                json!(["get_order", "refund"]),
                Mark::Fail,
            ),
            (
                "not-trajectory:tool-used",
                json!(["refund", "delete_*"]),
                Mark::Pass,
            ),
            (
                "trajectory:tool-used",
                json!({"name": "search_docs", "min": 2}),
                Mark::Pass,
            ),
            (
                "trajectory:tool-used",
                json!({"pattern": "search*", "max": 1}),
                Mark::Fail,
            ),
            (
                "not-trajectory:tool-used",
                json!({"pattern": "search*", "max": 1}),
                Mark::Pass,
            ),
            ("trajectory:tool-used", json!({"min": 2}), Mark::Error),
            ("trajectory:tool-used", json!([]), Mark::Error),
            (
                "trajectory:tool-used",
                json!({"name": "x", "type": "command"}),
                Mark::Error,
            ),
            (
                "trajectory:tool-sequence",
                json!(["search_docs", "get_order"]),
                Mark::Pass,
            ),
            (
                "trajectory:tool-sequence",
                json!(["get_order", "search_docs"]),
                Mark::Pass,
            ),
            (
                "trajectory:tool-sequence",
                json!(["get_order", "get_order"]),
                Mark::Fail,
            ),
            (
                "trajectory:tool-sequence",
                json!({"mode": "exact", "steps": ["search_docs", "get_order"]}),
                Mark::Fail,
            ),
            (
                "trajectory:tool-sequence",
                json!({"mode": "exact", "steps": ["search*", {"name": "get_order"}, "search*"]}),
                Mark::Pass,
            ),
            (
                "not-trajectory:tool-sequence",
                json!(["get_order", "search_docs"]),
                Mark::Fail,
            ),
            ("trajectory:tool-sequence", json!([]), Mark::Error),
            (
                "trajectory:step-count",
                json!({"min": 3, "max": 3}),
                Mark::Pass,
            ),
            (
                "trajectory:step-count",
                json!({"max": 1, "pattern": "get*"}),
                Mark::Pass,
            ),
            ("not-trajectory:step-count", json!({"min": 4}), Mark::Pass),
            ("trajectory:step-count", json!({}), Mark::Error),
            (
                "trajectory:step-count",
                json!({"max": 3, "type": ["tool", "search"]}),
                Mark::Error,
            ),
        ] {
            assert_eq!(mark(name, value.clone()), expected, "{name} {value}");
        }
    }

    #[test]
    fn arguments_are_compared() {
        let name = "trajectory:tool-args-match";
        for (value, expected) in [
            (
                json!({"name": "get_order", "args": {"deep": {"a": 1.0}}}),
                Mark::Pass,
            ),
            (json!({"name": "get_order", "args": {"id": 8}}), Mark::Fail),
            (
                json!({"name": "get_order", "mode": "exact", "args": {"id": 7}}),
                Mark::Fail,
            ),
            (
                json!({"name": "get_order", "mode": "exact", "ignore": "deep", "args": {"id": 7}}),
                Mark::Pass,
            ),
            (
                json!({"name": "search_docs", "mode": "exact", "ignore": ["trace_*"], "defaults": {"limit": 5}, "args": {"query": "refund"}}),
                Mark::Pass,
            ),
            (json!({"name": "nope", "args": {}}), Mark::Fail),
            (json!({"name": "get_order"}), Mark::Error),
            (json!({"args": {}}), Mark::Error),
            (
                json!({"name": "get_order", "args": {}, "mode": "close"}),
                Mark::Error,
            ),
            (
                json!({"name": "get_order", "args": {}, "ignore": [""]}),
                Mark::Error,
            ),
        ] {
            assert_eq!(mark(name, value.clone()), expected, "{value}");
        }
    }

    #[test]
    fn patterns_have_stars() {
        for (pattern, name, expected) in [
            ("a*c", "abbc", true),
            ("a*c", "abcd", false),
            ("*", "", true),
            ("a?c", "abc", true),
            ("a.c", "abc", false),
            ("*b*", "abc", true),
            ("", "a", false),
        ] {
            assert_eq!(is_match(pattern, name), expected, "{pattern} {name}");
        }
    }
}
