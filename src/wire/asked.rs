//! What several providers want, or do not take, alike.

use crate::wire::conversation::{Cache, Losses, Sampling, ToolCall, Unsupported};
use crate::wire::names::{Names, Setting};
use crate::wire::tree::Json;
use serde_json::{Value, json};

/// Refuses the ways of choosing tokens that neither Anthropic nor Bedrock has; zeros ask for nothing.
pub(super) fn refuse_sampling(
    sampling: &Sampling,
    names: Names,
    losses: &mut Losses,
) -> Result<(), Unsupported> {
    let is_set = |penalty: Option<f64>| penalty.is_some_and(|penalty| penalty.abs() > 0.0);
    let asked = [
        ("frequency_penalty", is_set(sampling.frequency_penalty)),
        ("presence_penalty", is_set(sampling.presence_penalty)),
        ("seed", sampling.seed.is_some()),
        (
            names.setting(Setting::LogProbs),
            sampling.log_probs == Some(true) || sampling.top_log_probs.is_some_and(|top| 0 < top),
        ),
        ("n", sampling.choices.is_some_and(|choices| 1 < choices)),
    ];
    for (name, is_asked) in asked {
        if is_asked {
            losses.refuse(name, "it has no such setting")?;
        }
    }
    Ok(())
}

/// Returns that nothing is left to be asked of `target`.
pub(super) fn no_messages(target: &'static str) -> Unsupported {
    Unsupported {
        field: "messages".to_owned(),
        target,
        reason: "there is no message with content in it".to_owned(),
    }
}

/// Returns the arguments of a call, which stands at `name`: an object, for that is what these providers take.
pub(super) fn arguments(
    call: &ToolCall,
    name: &str,
    losses: &mut Losses,
) -> Result<Json, Unsupported> {
    if let Some(arguments) = Json::arguments(&call.arguments) {
        return Ok(arguments);
    }
    losses.bend(
        format!("{name}.arguments"),
        "the arguments of a call must be a JSON object",
        "were put into one",
    )?;
    Ok(Json::arguments_or_text(&call.arguments))
}

/// Returns the schema of a tool's arguments, which is one of an object.
pub(super) fn input_schema(parameters: Option<&Value>) -> Value {
    match parameters {
        Some(Value::Object(schema)) => {
            let mut schema = schema.clone();
            schema.entry("type").or_insert_with(|| "object".into());
            Value::Object(schema)
        }
        Some(_) | None => json!({"type": "object", "properties": {}}),
    }
}

/// Refuses a field that has no place. What only says how `OpenAI` shall cache, or whom it shall watch, asks for nothing
/// that an answer would show: it is worth a warning.
pub(super) fn refuse_field(key: &str, losses: &mut Losses) -> Result<(), Unsupported> {
    match key {
        key if key.starts_with("prompt_cache") => losses.warn(format!(
            "`{key}` is left out: the provider decides by itself what it caches"
        )),
        "safety_identifier" => losses.warn("`safety_identifier` is left out: only OpenAI wants it"),
        _ => losses.refuse(key, "it has no such setting")?,
    }
    Ok(())
}

/// Refuses a tool that only its own dialect has; where it is a field of the tool that nobody else knows, `name` is that
/// field.
pub(super) fn refuse_tool(
    place: usize,
    name: &str,
    losses: &mut Losses,
) -> Result<(), Unsupported> {
    if name.starts_with("tools[") {
        return losses.refuse(name, "it has no such setting");
    }
    losses.refuse(
        format!("tools[{place}]"),
        format!("it has no tool `{name}`"),
    )
}

/// Returns for how long Anthropic and Bedrock are to keep what stands before a mark: they know five minutes and an hour,
/// and any other time becomes the longer one.
pub(super) fn kept_for<'a>(cache: &'a Cache, losses: &mut Losses) -> Option<&'a str> {
    match cache.ttl.as_deref() {
        Some(ttl) if !matches!(ttl, "5m" | "1h") => {
            losses.warn(format!("a cache for `{ttl}` is asked for as one for `1h`"));
            Some("1h")
        }
        ttl => ttl,
    }
}
