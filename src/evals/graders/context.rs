//! What scripts are told beside the output: promptfoo's `context`.

use crate::evals::grade::Graded;
use crate::evals::graders::ready::Ready;
use serde_json::{Map, Value, json};

/// The context of a transform: `vars`, `prompt`.
pub(super) fn of_transform(graded: &Graded<'_>) -> Value {
    json!({
        "vars": graded.vars,
        "prompt": {"label": graded.prompt, "raw": graded.prompt},
        "metadata": graded.case.metadata,
    })
}

/// The context of an assertion: `vars`, `prompt`, `test`, `logProbs`, `provider`, `providerResponse`,
/// `config`, `threshold`, `metadata`, `steps`.
pub(super) fn of_assertion(ready: &Ready<'_>) -> Value {
    let (graded, assertion) = (ready.graded, ready.assertion);
    let mut context = Map::new();
    let mut tell = |name: &str, value: Value| {
        if !value.is_null() {
            context.insert(name.to_owned(), value);
        }
    };
    tell("vars", json!(graded.vars));
    tell("prompt", json!(graded.prompt));
    tell("test", test_of(graded));
    tell("logProbs", json!(graded.log_probs));
    tell(
        "provider",
        json!({"id": graded.subject.model_label, "label": graded.subject.model_label}),
    );
    tell("providerResponse", response_of(graded));
    tell("metadata", json!(graded.case.metadata));
    tell("steps", json!(graded.steps.ok()));
    tell("threshold", json!(assertion.threshold));
    if !assertion.config.is_empty() {
        tell("config", json!(assertion.config));
    }
    Value::Object(context)
}

fn test_of(graded: &Graded<'_>) -> Value {
    let case = graded.case;
    json!({
        "description": case.description,
        "vars": graded.vars,
        "metadata": case.metadata,
        "threshold": case.threshold,
        "options": case.options.other,
    })
}

fn response_of(graded: &Graded<'_>) -> Value {
    let answer = graded.answer;
    let usage = answer.usage.map(|usage| {
        json!({"prompt": usage.input, "completion": usage.output, "total": usage.input + usage.output})
    });
    json!({
        "output": answer.output,
        "raw": answer.message,
        "finishReason": answer.finish_reason,
        "cost": super::measures::dollars(&answer.cost),
        "cached": answer.cached_from.is_some(),
        "tokenUsage": usage,
        "latencyMs": super::measures::milliseconds(answer.latency_us),
        "logProbs": graded.log_probs,
        "metadata": {},
    })
}
