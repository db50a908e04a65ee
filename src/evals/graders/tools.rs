//! Assertions about calls of functions and tools: whether they are valid, and whether they are the right ones.

use crate::evals::graders::ready::Ready;
use crate::evals::graders::{CannotJudge, Judged};
use crate::evals::values::{float_text, string_of, trim};
use crate::prompts::violations;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A call as the model made it.
struct Call<'a> {
    name: &'a str,
    /// JSON, as text or already read.
    arguments: &'a Value,
}

impl<'a> Call<'a> {
    /// Reads `{"name": ..., "arguments": ...}`.
    fn of(function: &'a Value) -> Option<Self> {
        let name = function.get("name")?.as_str()?;
        let arguments = function.get("arguments")?;
        (arguments.is_string() || arguments.is_object()).then_some(Self { name, arguments })
    }
}

/// The output is a call of a function of the subject, with arguments that fit its schema.
pub(super) fn function_call(ready: &Ready<'_>) -> Judged {
    let message = &ready.graded.answer.message;
    let inner = [&ready.output as &Value, message]
        .into_iter()
        .find_map(|holder| holder.get("function_call").filter(|call| call.is_object()));
    let call = match inner.or(Some(&*ready.output)).and_then(Call::of) {
        Some(call) => Some(call),
        None => first_tool_call(message),
    };
    let Some(call) = call else {
        return ready.plain(false, "the output is no function call");
    };
    let broken = broken_call(&call, &known_functions(ready)?)?;
    ready.plain(
        broken.is_none(),
        broken.unwrap_or_else(|| format!("`{}` is called as it should be", call.name)),
    )
}

/// The output is calls of tools of the subject, with arguments that fit their schemas.
pub(super) fn tool_calls(ready: &Ready<'_>) -> Judged {
    if let Some(outcome) = mcp_outcome(&ready.text) {
        return ready.plain(outcome.is_ok(), outcome.unwrap_or_else(|words| words));
    }
    let message = &ready.graded.answer.message;
    let listed = match &*ready.output {
        Value::Array(calls) => Some(calls),
        output => [output, message]
            .into_iter()
            .find_map(|holder| holder.get("tool_calls")?.as_array()),
    };
    let calls: Option<Vec<Call<'_>>> = listed.filter(|calls| !calls.is_empty()).and_then(|calls| {
        calls
            .iter()
            .map(|call| Call::of(call.get("function")?))
            .collect()
    });
    let Some(calls) = calls else {
        return ready.plain(false, "the output is no list of tool calls");
    };
    let known = known_functions(ready)?;
    for call in &calls {
        if let Some(reason) = broken_call(call, &known)? {
            return ready.plain(false, reason);
        }
    }
    ready.plain(
        true,
        format!("{} tool calls are as they should be", calls.len()),
    )
}

fn first_tool_call(message: &Value) -> Option<Call<'_>> {
    let calls = message.get("tool_calls")?.as_array()?;
    Call::of(calls.first()?.get("function")?)
}

/// What an MCP client wrote in place of the calls: they were made already.
fn mcp_outcome(text: &str) -> Option<Result<String, String>> {
    let named = |mark: &str| {
        let (_, rest) = text.split_once(mark)?;
        let rest = rest.trim_start().strip_prefix('(')?;
        Some(rest.split_once(')')?.0.to_owned())
    };
    if text.contains("MCP Tool Error") {
        let tool = named("MCP Tool Error").unwrap_or_else(|| "unknown".to_owned());
        return Some(Err(format!("the MCP tool `{tool}` failed")));
    }
    text.contains("MCP Tool Result").then(|| {
        let tool = named("MCP Tool Result").unwrap_or_else(|| "unknown".to_owned());
        Ok(format!("the MCP tool `{tool}` answered"))
    })
}

/// The functions of the subject: `tools` and the older `functions` among its parameters.
fn known_functions<'a>(ready: &Ready<'a>) -> Result<Vec<&'a Value>, CannotJudge> {
    let parameters = &ready.graded.subject.parameters;
    let list = |name: &str| parameters.get(name).and_then(Value::as_array);
    let tools = list("tools").into_iter().flatten();
    let functions = list("functions").into_iter().flatten();
    let known: Vec<&Value> = tools
        .map(|tool| tool.get("function").unwrap_or(tool))
        .chain(functions)
        .filter(|function| function.get("name").is_some())
        .collect();
    if known.is_empty() {
        return Err(CannotJudge::because(
            "neither prompt nor model has `tools` to hold the call against",
        ));
    }
    Ok(known)
}

/// Returns what is wrong with a call, in words.
fn broken_call(call: &Call<'_>, known: &[&Value]) -> Result<Option<String>, CannotJudge> {
    let name = call.name;
    let mut named = known
        .iter()
        .filter(|function| function.get("name").and_then(Value::as_str) == Some(name));
    let Some(function) = named.next() else {
        return Ok(Some(format!(
            "`{name}` was called, and there is no function with that name"
        )));
    };
    let parsed;
    let arguments = match call.arguments {
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(value) => {
                parsed = value;
                &parsed
            }
            Err(error) => {
                return Ok(Some(format!(
                    "the arguments of `{name}` are not JSON: {error}"
                )));
            }
        },
        other => other,
    };
    let anything = json!({});
    let schema = function.get("parameters").unwrap_or(&anything);
    let broken = violations(schema, arguments)
        .map_err(|words| CannotJudge::because(format!("the parameters of `{name}`: {words}")))?;
    Ok((!broken.is_empty()).then(|| {
        format!(
            "the arguments of `{name}` do not fit its schema: {}",
            broken.join("; ")
        )
    }))
}

/// The tools that were called are those expected, as sets: their F1 score reaches the threshold (1).
/// `not-` turns the mark around and leaves the score.
pub(super) fn f1(ready: &Ready<'_>) -> Judged {
    let expected: BTreeSet<String> = match ready.needed()? {
        Value::Array(names) => names.iter().map(string_of).collect(),
        Value::String(names) => names.split(',').map(|name| trim(name).to_owned()).collect(),
        _ => {
            return Err(CannotJudge::because(
                "its `value` must be a list of tool names",
            ));
        }
    };
    if expected.is_empty() {
        return Err(CannotJudge::because(
            "its `value` must name at least one tool",
        ));
    }
    let mut called = BTreeSet::new();
    collect_names(&ready.output, &mut called);
    if called.is_empty() {
        collect_names(&ready.graded.answer.message, &mut called);
    }
    let count = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let shared = count(expected.intersection(&called).count());
    let together = count(expected.len()) + count(called.len());
    let score = 2.0 * shared / together;
    let threshold = ready.assertion.threshold.unwrap_or(1.0);
    let list = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>().join(", ");
    let found = format!(
        "F1 of the tools is {score:.3}, with {} wanted: expected {}; called {}",
        float_text(threshold),
        list(&expected),
        if called.is_empty() {
            "none".to_owned()
        } else {
            list(&called)
        },
    );
    let mut grade = ready.plain(threshold <= score, found)?;
    grade.score = score;
    Ok(grade)
}

/// Collects the names of the tools that are called, in the shapes of several providers; text is read as
/// JSON, whole or line by line.
fn collect_names(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => collect_from_text(text, names),
        Value::Array(items) => items.iter().for_each(|item| {
            names.extend(name_of(item).map(str::to_owned));
        }),
        Value::Object(fields) => {
            let inner = value
                .get("toolCall")
                .and_then(|call| call.get("functionCalls"));
            let calls = fields.get("tool_calls").or(inner).and_then(Value::as_array);
            match calls {
                Some(calls) => names.extend(calls.iter().filter_map(name_of).map(str::to_owned)),
                None if fields.contains_key("functionCall") || is_tool_use(value) => {
                    names.extend(name_of(value).map(str::to_owned));
                }
                None => {}
            }
        }
        _ => {}
    }
}

fn collect_from_text(text: &str, names: &mut BTreeSet<String>) {
    let is_structured = |value: &Value| value.is_array() || value.is_object();
    if let Ok(value) = serde_json::from_str::<Value>(text) {
        if is_structured(&value) {
            collect_names(&value, names);
        }
        return;
    }
    let lines = text
        .lines()
        .map(trim)
        .filter(|line| line.starts_with(['{', '[']));
    for value in lines.filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        collect_names(&value, names);
    }
}

fn is_tool_use(value: &Value) -> bool {
    value.get("type").and_then(Value::as_str) == Some("tool_use")
}

fn name_of(call: &Value) -> Option<&str> {
    let holder = ["functionCall", "function"]
        .iter()
        .find_map(|key| call.get(key).filter(|inner| inner.is_object()))
        .unwrap_or(call);
    holder.get("name")?.as_str()
}

#[cfg(test)]
mod tests {
    use crate::evals::grade::Mark;
    use crate::evals::graders::tests::{Bench, assertion, graded};
    use serde_json::{Value, json};

    fn bench(output: Value) -> Bench {
        let mut bench = Bench::of(output);
        let function = json!({"name": "weather", "parameters": {"type": "object",
            "required": ["city"], "properties": {"city": {"type": "string"}}}});
        let tools = json!([{"type": "function", "function": function}]);
        bench.subject.parameters.insert("tools".to_owned(), tools);
        bench
    }

    fn call(name: &str, arguments: &str) -> Value {
        json!([{"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}])
    }

    #[test]
    fn calls_are_held_against_the_tools() {
        for (output, mark) in [
            (call("weather", "{\"city\":\"Rome\"}"), Mark::Pass),
            (
                json!({"tool_calls": call("weather", "{\"city\":\"Rome\"}")}),
                Mark::Pass,
            ),
            (call("weather", "{\"city\":1}"), Mark::Fail),
            (call("weather", "{"), Mark::Fail),
            (call("nope", "{}"), Mark::Fail),
            (json!([]), Mark::Fail),
            (json!("text"), Mark::Fail),
            (json!("MCP Tool Result (weather): 20"), Mark::Pass),
            (json!("MCP Tool Error (weather): down"), Mark::Fail),
        ] {
            let assertion = assertion("is-valid-openai-tools-call", json!(null));
            let grade = bench(output.clone()).grade(&assertion);
            assert_eq!(grade.mark, mark, "{output}: {}", grade.reason);
        }
        let assertion = assertion("is-valid-openai-tools-call", json!(null));
        let without = Bench::of(call("weather", "{}")).grade(&assertion);
        assert_eq!(without.mark, Mark::Error, "no tools to hold it against");
        let mut in_message = bench(json!(""));
        in_message.answer.message = json!({"tool_calls": call("weather", "{\"city\":\"Rome\"}")});
        assert_eq!(in_message.grade(&assertion).mark, Mark::Pass);
    }

    #[test]
    fn a_function_call_is_one_call() {
        for (output, mark) in [
            (
                json!({"name": "weather", "arguments": "{\"city\":\"Rome\"}"}),
                Mark::Pass,
            ),
            (
                json!({"function_call": {"name": "weather", "arguments": "{}"}}),
                Mark::Fail,
            ),
            (json!("text"), Mark::Fail),
        ] {
            for name in ["is-valid-function-call", "is-valid-openai-function-call"] {
                let grade = bench(output.clone()).grade(&assertion(name, json!(null)));
                assert_eq!(grade.mark, mark, "{output}: {}", grade.reason);
            }
        }
    }

    #[test]
    fn f1_is_that_of_sets() {
        let actual =
            json!([{"function": {"name": "a"}}, {"function": {"name": "d"}}, {"name": "a"}]);
        assert_eq!(
            graded("tool-call-f1", json!(["a", "b", "c"]), actual.clone()),
            (Mark::Fail, 0.4)
        );
        assert_eq!(
            graded("not-tool-call-f1", json!("a, b, c"), actual),
            (Mark::Pass, 0.4)
        );
        for output in [
            json!({"tool_calls": [{"function": {"name": "a"}}]}),
            json!([{"type": "tool_use", "name": "a"}]),
            json!({"type": "tool_use", "name": "a"}),
            json!({"functionCall": {"name": "a"}}),
            json!({"toolCall": {"functionCalls": [{"name": "a"}]}}),
            json!("[{\"name\": \"a\"}]"),
            json!("I call:\n {\"functionCall\": {\"name\": \"a\"}}\n"),
        ] {
            assert_eq!(
                graded("tool-call-f1", json!(["a"]), output.clone()),
                (Mark::Pass, 1.0),
                "{output}"
            );
        }
        assert_eq!(
            graded("tool-call-f1", json!(["a"]), json!("no calls")),
            (Mark::Fail, 0.0)
        );
        assert_eq!(graded("tool-call-f1", json!([]), json!("x")).0, Mark::Error);
    }
}
